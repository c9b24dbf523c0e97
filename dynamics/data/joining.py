"""One table of several files: a file for a modality, rows joined by a column that names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from derivations import DataError
from derivations.rows import is_gap, label_of
from dynamics.data.columns import MOST_COLUMNS, rows_at_a_time
from dynamics.data.source import Cells, Source
from dynamics.messages import listed, shown


def joined(base: Source, parts: Mapping[str, Source], key: str | None) -> tuple[Source, dict[str, tuple[str, ...]]]:
    """The base table with the columns of each modality's own file beside it, and what these are called there.

    With a key (the name of a column that all files have) each row of the base takes the row of the same name; a row
    that a file does not have is a gap. Without one, rows go by position, and all files must have as many.

    Raises
    ------
    DataError
        On a name that stands twice or is missing, or numbers of rows that differ.
    """
    columns, cells = list(base.columns), base.whole(base.columns)
    count, notes = len(cells[0]), list(base.notes)
    names = None if key is None else _keys(base, key)
    own: dict[str, tuple[str, ...]] = {}
    for modality, part in parts.items():
        theirs = [column for column in part.columns if column != key]
        if len(theirs) > MOST_COLUMNS:
            raise DataError(f"{part.name} has {len(theirs)} columns, at most {MOST_COLUMNS} are allowed")
        added = part.whole(theirs)
        if names is None:
            if len(added[0]) != count:
                raise DataError(
                    f"{part.name} has {len(added[0])} rows, {base.name} {count}: name the column that joins them (id)"
                )
        else:
            rows = {name: i for i, name in enumerate(_keys(part, str(key)))}
            places = np.array([rows.get(name, -1) for name in names])
            lost, left = int(np.sum(places < 0)), len(rows) - int(np.sum(places >= 0))
            if lost == count:
                raise DataError(f"{part.name} and {base.name} share no value of {shown(str(key))}")
            added = [_taken(column, places) for column in added]
            if lost or left:
                notes.append(f"{part.name}: {lost} rows of {base.name} are not in it, {left} of its own are not used")
        labels = tuple(_label(modality, name, columns) for name in theirs)
        own[modality] = labels
        columns += labels
        cells += added
        notes += part.notes

    def blocks(places: Sequence[int]) -> Iterator[Cells]:
        step = rows_at_a_time(len(places) or 1)
        for start in range(0, count, step):
            yield [cells[i][start : start + step] for i in places]

    return Source(base.name, tuple(columns), blocks, base.place, tuple(notes)), own


def _label(modality: str, name: str, taken: Sequence[str]) -> str:
    """A column of an array is called after its modality, and so is one whose name the base has too."""
    if name.isdigit():
        return f"{modality}_{name}"
    return f"{modality} {name}" if name in taken else name


def _keys(source: Source, key: str) -> list[str]:
    if key not in source.columns:
        raise DataError(f"{source.name} has no column {shown(key)} to join by; it has {listed(source.columns)}")
    values = source.whole([key])[0].tolist()
    names = [label_of(value).strip() for value in values if not is_gap(value)]
    if len(names) < len(values):
        raise DataError(
            f"{source.name}: column {shown(key)} has {len(values) - len(names)} gaps: rows cannot be joined by it"
        )
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise DataError(
            f"{source.name}: column {shown(key)} has {shown(twice)} more than once: rows cannot be joined by it"
        )
    return names


def _taken(column: np.ndarray, places: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "O":
        return np.array([None if i < 0 else column[i] for i in places.tolist()], dtype=object)
    return np.where(places < 0, np.nan, column[places])
