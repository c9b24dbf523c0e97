"""From the cells of a table to numbers: classes and categories one-hot, gaps dropped or filled, codes noticed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations import DataError
from derivations.rows import (
    MOST_CLASSES,
    Gaps,
    Missing,
    checked_labels,
    class_note,
    contrasts,
    is_gap,
    label_of,
    means_of,
    some_of,
)
from dynamics.data.columns import LONGEST, MOST_COLUMNS, NO_DATES, Picked
from dynamics.data.source import Source, number_in
from dynamics.messages import one_line, shown

NUMERIC = re.compile(  # a number as people write it, whether this reader takes it or not
    r"[(+−-]?[$€£¥]? ?[.,]?\d[\d.,'’_ \u00a0]*([ed][+-]?\d[\d.]*)?\s*[%$€£¥)]?|0x[\da-f.p+-]+|[+-]?inf(inity)?|=.*",
    re.I,
)
COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
DATE = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?([ T].*)?|\d\d?[-./]\d\d?[-./]\d{2,4}( .*)?|\d\d?:\d\d(:.*)?", re.ASCII)
LOGICAL = {"true", "false"}
ALIKE = 1e-9  # a spread below this share of large numbers, which floats may not tell apart
LONGEST_NOTE = 300  # characters
MOST_LEVELS = 50  # of an input's text: more are names, not categories


@dataclass(frozen=True)
class Words:
    """Columns of text: the labels of classes and categories, in order, and which hold true and false, one and zero."""

    labels: dict[str, list[str]]
    logical: frozenset[str]


@dataclass(frozen=True)
class Shaped:
    """Blocks of numbers from a table, and what they stand for.

    picked : the columns of the blocks: an input of categories has one for each, a target of classes one less
    blocks : (rows, K) without gaps, a fresh run through the table at each call
    free : the number of targets that are classes, which z-scoring leaves alone
    plain : (K,), whether a column is one of numbers of the table itself
    """

    picked: Picked
    blocks: Callable[[], Iterator[np.ndarray]]
    free: int
    plain: np.ndarray
    notes: Callable[[], tuple[str, ...]]


def shaped(source: Source, picked: Picked, missing: Missing, classes: bool) -> Shaped:
    """The picked columns of a table as numbers.

    Raises
    ------
    DataError
        Here on columns that are neither numbers nor categories; from the blocks on gaps, where they are an error.
    """
    words = _words(source, picked, classes)
    labels = words.labels
    columns = Picked(
        {
            m: tuple(c for name in names for c in _expanded(name, labels, False))
            for m, names in picked.modalities.items()
        },
        tuple(c for name in picked.targets for c in _expanded(name, labels, True)),
    )
    if len(columns.names) > MOST_COLUMNS:
        raise DataError(
            f"{source.name}: categories make {len(columns.names)} columns, at most {MOST_COLUMNS} are allowed"
        )
    free = sum(len(_expanded(name, labels, True)) for name in picked.targets if name in labels)
    means = None
    if missing is Missing.MEAN:
        means = means_of_blocks(_numbers(source, picked, words), len(columns.targets))
    gaps: list[Gaps] = []
    widths = [len(_expanded(name, labels, name in picked.targets)) for name in picked.names]
    firsts = np.cumsum([0, *widths[:-1]])  # where each column of the table begins

    def blocks() -> Iterator[np.ndarray]:
        gaps[:] = [Gaps(picked.names, len(picked.targets))]
        for rows in _numbers(source, picked, words):
            gaps[0].seen(rows[:, firsts])
            whole = ~np.isnan(rows).any(axis=1)
            if means is not None:
                whole = ~np.isnan(rows[:, len(means) :]).any(axis=1)
                rows[:, : len(means)] = np.where(np.isnan(rows[:, : len(means)]), means, rows[:, : len(means)])
            if missing is not Missing.ERROR or gaps[0].first is None:
                yield rows[whole]
        if missing is Missing.ERROR and gaps[0].first is not None:
            raise DataError(f"{source.name} has {gaps[0].told(source.place(gaps[0].first[0]))}")

    def notes() -> tuple[str, ...]:
        told = [class_note(name, labels[name]) for name in picked.targets if name in labels]
        coded = [name for name in picked.names if name in labels and name not in picked.targets]
        told += [
            f"{name} holds categories ({some_of(labels[name])}): one column{' each' * (len(labels[name]) > 2)}"
            for name in coded[:4]
        ]
        every = (*source.notes, *told, *(gaps[0].note(missing) if gaps else ()))
        return tuple(one_line(note, LONGEST_NOTE) for note in every)

    return Shaped(columns, blocks, free, np.isin(columns.names, [n for n in picked.names if n not in labels]), notes)


def means_of_blocks(blocks: Iterator[np.ndarray], targets: int) -> np.ndarray:
    """Means of the inputs over what is there, in rows that have a target."""
    total = count = np.zeros(0)
    for block in blocks:
        rows = block[~np.isnan(block[:, block.shape[1] - targets :]).any(axis=1), : block.shape[1] - targets]
        there = ~np.isnan(rows)
        part = np.nan_to_num(means_of(rows)) if len(rows) else np.zeros(rows.shape[1])
        more = there.sum(axis=0)
        total, count = (total + part * more, count + more) if len(count) else (part * more, more)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(count, total / np.maximum(count, 1), 0.0))


def _words(source: Source, picked: Picked, classes: bool) -> Words:
    """What the columns of text hold, found by a run through them."""
    first = next(source.picked(picked.names), None)
    if first is None:
        raise DataError(f"{source.name} has no rows")
    forced = {*source.categories, *(picked.targets if classes else ())}
    found, rows = _kinds(
        source,
        [n for n, cells in zip(picked.names, first, strict=True) if n in forced or _is_unsure(cells)],
        forced,
        picked.targets,
    )
    logical = frozenset(n for n, kinds in found.items() if n not in forced and {k.casefold() for k in kinds} <= LOGICAL)
    labels = {}
    for name, kinds in found.items():
        if name in logical:
            continue
        if any(map(_is_date, kinds)):
            raise DataError(_free_text(source, name, kinds, ""))
        if name in picked.targets:
            labels[name] = checked_labels(f"{source.name}: {shown(name)}", list(kinds))
        elif len(kinds) > max(rows / 2, 2) and name not in forced:
            raise DataError(_free_text(source, name, kinds, f"{len(kinds)} kinds in {rows} rows"))
        else:
            labels[name] = sorted(kinds)
    return Words(labels, logical)


def _kinds(
    source: Source, names: Sequence[str], forced: Set[str], targets: Sequence[str]
) -> tuple[dict[str, dict[str, None]], int]:
    """Column -> its different values, where these are words, and the number of rows."""
    found: dict[str, dict[str, None]] = {name: {} for name in names}
    rows = 0
    for block in source.picked(names) if names else ():
        rows += len(block[0])
        for name, cells in zip(names, block, strict=True):
            if name not in found:
                continue
            kinds = found[name]
            kinds.update(dict.fromkeys(_label(value, name, source) for value in cells.tolist() if not is_gap(value)))
            if name not in forced and any(map(NUMERIC.fullmatch, kinds)):
                del found[name]  # numbers, or dirty ones: told cell by cell
            elif name in targets and len(kinds) > MOST_CLASSES:
                checked_labels(f"{source.name}: {shown(name)}", list(kinds))
            elif name not in targets and len(kinds) > MOST_LEVELS:
                raise DataError(_free_text(source, name, kinds, f"more than {MOST_LEVELS} kinds"))
    return {name: kinds for name, kinds in found.items() if kinds}, rows


def _free_text(source: Source, name: str, kinds: Iterable[str], told: str) -> str:
    dated = next(filter(_is_date, kinds), None)
    if dated is not None:
        return f"{source.name}: column {shown(name)} holds dates or times, such as {shown(dated)}: {NO_DATES}"
    example = shown(next(iter(kinds)))
    return f"{source.name}: column {shown(name)} holds text of {told}, {example} for one: a name or free text, no input"


def _is_unsure(cells: np.ndarray) -> bool:
    """Whether a block leaves open that the column is one of numbers."""
    return cells.dtype.kind == "O" or bool(np.isnan(cells).all())


def _label(value: Any, name: str, source: Source) -> str:
    """What a cell is called: 1.0 in a column of text as in one of numbers."""
    if isinstance(value, str) and name not in source.categories:
        number = number_in(value, source.decimal)
        return value if number is None or abs(number) > LONGEST else label_of(number)
    return label_of(value)


def _is_date(label: str) -> bool:
    return DATE.fullmatch(label) is not None


def _expanded(name: str, labels: dict[str, list[str]], is_target: bool) -> list[str]:
    """Names of the columns that a column becomes."""
    if name not in labels:
        return [name]
    kinds = labels[name]
    if is_target:
        return [name] if len(kinds) == 2 else [f"{name} {i + 1}" for i in range(len(kinds) - 1)]
    return [one_line(f"{name}={kind}") for kind in (kinds[1:] if len(kinds) == 2 else kinds)]


def _numbers(source: Source, picked: Picked, words: Words) -> Iterator[np.ndarray]:
    """Blocks (rows, K) of numbers, gaps as NaN."""
    labels = words.labels
    codes = {name: {label: i for i, label in enumerate(kinds)} for name, kinds in labels.items()}
    start = 0
    for block in source.picked(picked.names):
        parts = []
        for name, cells in zip(picked.names, block, strict=True):
            if name not in labels:
                parts.append(_floats(cells, name, source, start, name in words.logical)[:, None])
                continue
            code = np.array(
                [-1 if is_gap(v) else codes[name][_label(v, name, source)] for v in cells.tolist()], dtype=int
            )
            if name in picked.targets:
                parts.append(contrasts(code, len(labels[name])))
            else:
                kinds = np.arange(1 if len(labels[name]) == 2 else 0, len(labels[name]))
                parts.append(np.where((code < 0)[:, None], np.nan, (code[:, None] == kinds).astype(float)))
        rows = np.hstack(parts)
        start += len(rows)
        yield rows


def _floats(cells: np.ndarray, name: str, source: Source, start: int, logical: bool) -> np.ndarray:
    """A column of numbers; a cell that is none is told with its place."""
    if cells.dtype.kind == "O":
        values = np.empty(len(cells))
        for i, cell in enumerate(cells.tolist()):
            value = (
                np.nan if cell is None else cell.casefold() == "true" if logical else number_in(cell, source.decimal)
            )
            if value is None:
                raise _no_number(cell, name, source, start + i)
            values[i] = value
        size = float(np.max(np.abs(values), initial=0.0))
        alike = LONGEST < size < np.inf and np.ptp(values / size) < ALIKE
        if alike and len(set(cells.tolist())) > len(set(values.tolist())):
            told = f"differs in digits beyond 2^53 that floats do not hold, such as {shown(cells[0])}"
            raise DataError(f"{source.name}: column {shown(name)} {told}: take off what all have in common")
        cells = values
    endless = np.isinf(cells)
    if endless.any():
        row = int(np.argmax(endless))
        raise DataError(
            f"{source.name} {source.place(start + row)}, column {shown(name, 30)}: {cells[row]} is not finite"
        )
    return cells


def _no_number(cell: str, name: str, source: Source, row: int) -> DataError:
    hint = ""
    if source.decimal == "." and COMMA.fullmatch(cell):
        hint = ": a decimal comma (decimal=',' reads it), or one of thousands?"
    elif cell.startswith("="):
        hint = ": formulas are not evaluated"
    return DataError(
        f"{source.name} {source.place(row)}, column {shown(name, 30)}: {shown(cell, 30)} is not a number{hint}"
    )
