"""A table that is open: its columns by name, and their cells a block of rows at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from derivations import DataError
from derivations.rows import is_gap, label_of

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
ENDLESS = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
SWAPPED = str.maketrans(".,", ",.")
Cells = list[np.ndarray]  # a column each, (rows,): floats with gaps as NaN, or text with gaps as None


def counted(row: int) -> str:
    """The place of a row of a table that has no lines."""
    return f"row {row} (the first being 0)"


@dataclass(frozen=True)
class Source:
    """A table from anywhere.

    name : what messages call it
    columns : names of all columns, in order
    blocks : places of columns -> their cells, block by block; can be asked more than once
    place : number of a row -> what messages call it
    notes : what a reader found out for itself
    decimal : mark of decimals in cells of text
    categories : columns whose values are categories, whatever they look like
    """

    name: str
    columns: tuple[str, ...]
    blocks: Callable[[Sequence[int]], Iterator[Cells]]
    place: Callable[[int], str] = counted
    notes: tuple[str, ...] = ()
    decimal: str = "."
    categories: frozenset[str] = frozenset()

    def picked(self, names: Sequence[str]) -> Iterator[Cells]:
        """Blocks of the columns of these names."""
        places = {name: i for i, name in reversed(list(enumerate(self.columns)))}
        return self.blocks([places[name] for name in names])

    def whole(self, names: Sequence[str]) -> Cells:
        """All rows of some columns at once."""
        blocks = list(self.picked(names))
        if not blocks:
            raise DataError(f"{self.name} has no rows")
        parts = [[block[i] for block in blocks] for i in range(len(names))]
        return [np.concatenate(_alike(part)) for part in parts]


def with_gaps(source: Source, codes: Sequence[str | float]) -> Source:
    """The same table, text stripped; blank cells and those that hold one of these codes are gaps."""
    words = {"", *(str(code).strip() for code in codes)}
    numbers = [float(word) for word in words if number_in(word) is not None or ENDLESS.fullmatch(word)]

    def whole(cell: str | None) -> str | None:
        text = "" if cell is None else cell.strip()
        return None if text in words or (numbers and number_in(text, source.decimal) in numbers) else text

    def blocks(places: Sequence[int]) -> Iterator[Cells]:
        for block in source.blocks(places):
            yield [
                np.array([*map(whole, cells.tolist()), None], dtype=object)[:-1]
                if cells.dtype.kind == "O"
                else np.where(np.isin(cells, numbers), np.nan, cells)
                for cells in block
            ]

    return replace(source, blocks=blocks)


def number_in(text: str, decimal: str = ".") -> float | None:
    """The decimal number that a text is, if it is one.

    Examples
    --------
    >>> number_in("-1.5e3"), number_in("1,5", ","), number_in("1.000", ","), number_in("1_0"), number_in("inf")
    (-1500.0, 1.5, None, None, None)
    """
    plain = text if decimal == "." else text.translate(SWAPPED)
    return float(plain) if NUMBER.fullmatch(plain) else None


def _alike(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Floats as text where other blocks of the column are text."""
    if len({part.dtype.kind for part in parts}) == 1:
        return parts
    return [
        part
        if part.dtype.kind == "O"
        else np.array([None if is_gap(v) else label_of(v) for v in part.tolist()], dtype=object)
        for part in parts
    ]
