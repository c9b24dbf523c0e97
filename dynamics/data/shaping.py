"""From the cells of a table to numbers: classes and categories one-hot, gaps dropped or filled, codes noticed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from derivations import DataError
from derivations.rows import Gaps, Missing, checked_labels, class_note, contrasts, is_gap, label_of, means_of
from dynamics.data.columns import MOST_COLUMNS, NO_DATES, Picked
from dynamics.data.source import Source
from dynamics.messages import shown

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
DATE = re.compile(r"\d{4}-\d\d?-\d\d?([ T].*)?|\d\d?[./]\d\d?[./]\d{2,4}", re.ASCII)
MOST_LEVELS = 50  # of an input's text: more are names, not categories


@dataclass(frozen=True)
class Shaped:
    """Blocks of numbers from a table, and what they stand for.

    picked : the columns of the blocks: an input of categories has one for each, a target of classes one less
    blocks : (rows, K) without gaps, a fresh run through the table at each call
    free : the number of targets that are classes, which z-scoring leaves alone
    """

    picked: Picked
    blocks: Callable[[], Iterator[np.ndarray]]
    has_classes: bool
    notes: Callable[[], tuple[str, ...]]


def shaped(source: Source, picked: Picked, missing: Missing, classes: bool) -> Shaped:
    """The picked columns of a table as numbers.

    Raises
    ------
    DataError
        Here on columns that are neither numbers nor categories; from the blocks on gaps, where they are an error.
    """
    labels = _labels(source, picked, classes)
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
    has_classes = any(name in labels for name in picked.targets)
    means = None
    if missing is Missing.MEAN:
        means = means_of_blocks(_numbers(source, picked, labels), len(columns.targets))
    gaps: list[Gaps] = []

    def blocks() -> Iterator[np.ndarray]:
        gaps[:] = [Gaps(columns.names, len(columns.targets))]
        for rows in _numbers(source, picked, labels):
            whole = gaps[0].seen(rows)
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
        told += [f"{name} holds categories ({', '.join(labels[name][:6])}): one column each" for name in coded[:4]]
        return (*source.notes, *told, *(gaps[0].note(missing) if gaps else ()))

    return Shaped(columns, blocks, has_classes, notes)


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


def _labels(source: Source, picked: Picked, classes: bool) -> dict[str, list[str]]:
    """Column of text, or target of classes -> its labels in order."""
    first = next(source.picked(picked.names), None)
    if first is None:
        raise DataError(f"{source.name} has no rows")
    text = [n for n, cells in zip(picked.names, first, strict=True) if cells.dtype.kind == "O"]
    asked = list(dict.fromkeys([*text, *(picked.targets if classes else ())]))
    if not asked:
        return {}
    found: dict[str, dict[str, None]] = {name: {} for name in asked}
    rows = 0
    for block in source.picked(asked):
        for name, cells in zip(asked, block, strict=True):
            whole = [v for v in cells.tolist() if not is_gap(v)]
            kept = found[name]
            kept.update(dict.fromkeys(map(label_of, whole)))
            if len(kept) > MOST_COLUMNS and name in text and not any(map(_is_number, kept)):
                raise DataError(f"{source.name}: column {shown(name)} holds text of more than {MOST_COLUMNS} kinds")
        rows += len(block[0])
    labels = {}
    for name, kept in found.items():
        is_target = name in picked.targets
        numbers = [label for label in kept if _is_number(label)]
        if name in text and numbers and not (is_target and classes):
            continue  # numbers, or dirty ones: told cell by cell
        if any(map(_is_date, kept)):
            raise DataError(
                f"{source.name}: column {shown(name)} holds dates, {shown(next(filter(_is_date, kept)))}: {NO_DATES}"
            )
        if any(COMMA.fullmatch(label) for label in kept):
            odd = next(label for label in kept if COMMA.fullmatch(label))
            raise DataError(
                f"{source.name}: column {shown(name)} has {shown(odd)}: decimal commas? decimal=',' reads them"
            )
        if not is_target and len(kept) > min(MOST_LEVELS, max(rows / 2, 2)):
            raise DataError(
                f"{source.name}: column {shown(name)} holds text of {len(kept)} kinds in {rows} rows, "
                f"{shown(next(iter(kept)))} for one: a name or free text, no input"
            )
        labels[name] = checked_labels(f"{source.name}: {shown(name)}", list(kept)) if is_target else sorted(kept)
    return labels


def _is_number(label: str) -> bool:
    return NUMBER.fullmatch(label.strip()) is not None


def _is_date(label: str) -> bool:
    return DATE.fullmatch(label.strip()) is not None


def _expanded(name: str, labels: dict[str, list[str]], is_target: bool) -> list[str]:
    """Names of the columns that a column becomes."""
    if name not in labels:
        return [name]
    kinds = labels[name]
    if is_target:
        return [name] if len(kinds) == 2 else [f"{name} {i + 1}" for i in range(len(kinds) - 1)]
    return [f"{name}={kind}" for kind in (kinds[1:] if len(kinds) == 2 else kinds)]


def _numbers(source: Source, picked: Picked, labels: dict[str, list[str]]) -> Iterator[np.ndarray]:
    """Blocks (rows, K) of numbers, gaps as NaN."""
    codes = {name: {label: i for i, label in enumerate(kinds)} for name, kinds in labels.items()}
    start = 0
    for block in source.picked(picked.names):
        parts = []
        for name, cells in zip(picked.names, block, strict=True):
            if name not in labels:
                parts.append(_floats(cells, name, source, start)[:, None])
                continue
            code = np.array([-1 if is_gap(v) else codes[name][label_of(v)] for v in cells.tolist()], dtype=int)
            if name in picked.targets:
                parts.append(contrasts(code, len(labels[name])))
            else:
                kinds = np.arange(1 if len(labels[name]) == 2 else 0, len(labels[name]))
                parts.append(np.where((code < 0)[:, None], np.nan, (code[:, None] == kinds).astype(float)))
        rows = np.hstack(parts)
        start += len(rows)
        yield rows


def _floats(cells: np.ndarray, name: str, source: Source, start: int) -> np.ndarray:
    """A column of numbers; a cell that is none is told with its place."""
    if cells.dtype.kind == "O":
        values = np.empty(len(cells))
        for i, cell in enumerate(cells.tolist()):
            text = "" if cell is None else cell.strip()
            if cell is not None and not NUMBER.fullmatch(text):
                raise _no_number(cell, name, source, start + i)
            values[i] = np.nan if cell is None else float(text)
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
    if COMMA.fullmatch(cell.strip()):
        hint = ": a decimal comma? decimal=',' reads it"
    elif cell.strip().startswith("="):
        hint = ": formulas are not evaluated"
    return DataError(
        f"{source.name} {source.place(row)}, column {shown(name, 30)}: {shown(cell, 30)} is not a number{hint}"
    )
