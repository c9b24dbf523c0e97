"""One table of several files: a file for a modality, rows joined by a column that names them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from derivations import DataError
from derivations.rows import is_gap, label_of
from dynamics.data.columns import MOST_COLUMNS, rows_at_a_time
from dynamics.data.source import Cells, Source
from dynamics.messages import listed, shown

WHOLE = re.compile(r"[+-]?[0-9]{1,40}(\.0*)?")
INDEX = ("", "row names", "Unnamed: 0")  # what R and pandas write beside the columns


def joined(
    base: Source, parts: Mapping[str, Source], key: str | None, targets: Sequence[str], table: Source
) -> tuple[Source, dict[str, tuple[str, ...]]]:
    """The base table with the columns of each modality's own file beside it, and what these are called there.

    With a key (the name of a column that all files have) each row of the base takes the row of the same name; a row
    that a file does not have is a gap. Without one, rows go by position, and all files must have as many. Of a file,
    all columns are taken but the key, the targets and an index without a name. `table` is the base with all columns.

    Raises
    ------
    DataError
        On a name that stands twice or is missing, or numbers of rows that differ.
    """
    columns, cells = list(base.columns), base.whole(base.columns)
    count, notes, categories = len(cells[0]), list(base.notes), set(base.categories)
    names = None if key is None else _keys(base, key)
    own: dict[str, tuple[str, ...]] = {}
    for modality, part in parts.items():
        theirs, left_out = _columns_of(part, key, targets)
        places, told = _places(base, part, key, names, count, table)
        taken = set(columns)
        labels = tuple(_label(modality, name, taken) for name in theirs)
        own[modality] = labels
        columns += labels
        cells += [column if places is None else _taken(column, places) for column in part.whole(theirs)]
        categories |= {label for label, name in zip(labels, theirs, strict=True) if name in part.categories}
        notes += [*part.notes, *left_out, *told]

    def blocks(places: Sequence[int]) -> Iterator[Cells]:
        step = rows_at_a_time(len(places) or 1)
        for start in range(0, count, step):
            yield [cells[i][start : start + step] for i in places]

    name = f"{base.name} (with {listed([part.name for part in parts.values()])})"

    def place(row: int) -> str:
        return f"{base.place(row)} of {base.name}"  # a gap may be a row that another file lacks

    whole = Source(name, tuple(columns), blocks, place, tuple(notes), base.decimal, frozenset(categories))
    return whole, own


def _columns_of(part: Source, key: str | None, targets: Sequence[str]) -> tuple[list[str], list[str]]:
    """The columns of a modality's own file that belong to it, and a note on those that do not."""
    others = {*INDEX, *targets}
    theirs = [column for column in part.columns if column != key and column not in others]
    left = [column for column in part.columns if column in others]
    if not theirs:
        raise DataError(f"{part.name} has no columns of its own; it has {listed(part.columns)}")
    if len(theirs) > MOST_COLUMNS:
        raise DataError(f"{part.name} has {len(theirs)} columns, at most {MOST_COLUMNS} are allowed")
    twice = next((column for column, times in Counter(theirs).items() if times > 1), None)
    if twice is not None:
        raise DataError(f"{part.name} has more than one column {shown(twice)}")
    return theirs, [f"{part.name}: {listed(left)} left out (index or target)"] if left else []


def _places(
    base: Source, part: Source, key: str | None, names: list[str] | None, count: int, table: Source
) -> tuple[np.ndarray | None, list[str]]:
    """Row of the part for each row of the base, -1 where it has none; and a note on what does not fit."""
    if key is None or names is None:
        rows = sum(len(block[0]) for block in part.blocks([0]))
        if rows != count:
            raise DataError(f"{part.name} has {rows} rows, {base.name} {count}: name the column that joins them (id)")
        return None, _paired(table, part)
    row_of = {name: i for i, name in enumerate(_keys(part, key))}
    places = np.array([row_of.get(name, -1) for name in names])
    lost, left = int(np.sum(places < 0)), len(row_of) - int(np.sum(places >= 0))
    if lost == count:
        raise DataError(f"{part.name} and {base.name} share no value of {shown(key)}")
    told = f"{part.name}: {lost} rows of {base.name} are not in it, {left} of its own are not used"
    return places, [told] if lost or left else []


def _paired(base: Source, part: Source) -> list[str]:
    """What to say of rows that go by position: a column that names them in both files must name the same ones.

    Raises
    ------
    DataError
        Where it does not.
    """
    for column in [c for c in base.columns if c in part.columns and c not in INDEX]:
        ours, theirs = (
            [None if is_gap(v) else label_of(v) for v in s.whole([column])[0].tolist()] for s in (base, part)
        )
        if len({*ours}) < len(ours) or None in ours or {*ours} != {*theirs}:
            continue  # no name of rows
        if ours != theirs:
            raise DataError(
                f"rows would be paired by position, but {shown(column)} of {part.name} is in another order than in "
                f"{base.name}: give id={column!r} (--id {column})"
            )
        return [f"{part.name} and {base.name}: rows are paired by position, and {shown(column)} agrees"]
    return [f"{part.name} and {base.name}: rows are paired by position (id, --id, joins them by a column)"]


def _label(modality: str, name: str, taken: set[str]) -> str:
    """A column of an array is called after its modality, and so is one whose name is taken."""
    label = f"{modality}_{name}" if name.isdigit() else name
    while label in taken:
        label = f"{modality} {label}"
    taken.add(label)
    return label


def _keys(source: Source, key: str) -> list[str]:
    """The names of the rows; 17, "17" and 17.0 are one."""
    if key not in source.columns:
        raise DataError(f"{source.name} has no column {shown(key)} to join by; it has {listed(source.columns)}")
    names = ["" if is_gap(value) else label_of(value).strip() for value in source.whole([key])[0].tolist()]
    if "" in names:
        raise DataError(f"{source.name}: column {shown(key)} has {names.count('')} gaps: rows cannot be joined by it")
    names = [str(int(name.partition(".")[0])) if WHOLE.fullmatch(name) else name for name in names]
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise DataError(
            f"{source.name}: column {shown(key)} has {shown(twice)} more than once: rows cannot be joined by it"
        )
    return names


def _taken(column: np.ndarray, places: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "O":
        return np.array([None if i < 0 else column[i] for i in places.tolist()], dtype=object)
    return np.where(places < 0, np.nan, column[places])
