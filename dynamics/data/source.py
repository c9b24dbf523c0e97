"""A table that is open: its columns by name, and their cells a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from derivations import DataError

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
    """

    name: str
    columns: tuple[str, ...]
    blocks: Callable[[Sequence[int]], Iterator[Cells]]
    place: Callable[[int], str] = counted
    notes: tuple[str, ...] = ()

    def picked(self, names: Sequence[str]) -> Iterator[Cells]:
        """Blocks of the columns of these names."""
        return self.blocks([self.columns.index(name) for name in names])

    def whole(self, names: Sequence[str]) -> Cells:
        """All rows of some columns at once."""
        blocks = list(self.picked(names))
        if not blocks:
            raise DataError(f"{self.name} has no rows")
        parts = [[block[i] for block in blocks] for i in range(len(names))]
        return [np.concatenate(_alike(part)) for part in parts]


def with_gaps(source: Source, codes: Sequence[str | float]) -> Source:
    """The same table, cells that hold one of these codes taken as gaps."""
    text = {str(code).strip() for code in codes}
    numbers = [value for value in map(_number_of, codes) if value is not None]

    def blocks(places: Sequence[int]) -> Iterator[Cells]:
        for block in source.blocks(places):
            yield [
                np.array([None if v is None or v.strip() in text else v for v in cells.tolist()], dtype=object)
                if cells.dtype.kind == "O"
                else np.where(np.isin(cells, numbers), np.nan, cells)
                for cells in block
            ]

    return replace(source, blocks=blocks) if len(codes) else source


def _number_of(code: str | float) -> float | None:
    try:
        return float(code)
    except ValueError:
        return None


def _alike(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Floats as text where other blocks of the column are text."""
    if len({part.dtype.kind for part in parts}) == 1:
        return parts
    return [
        part
        if part.dtype.kind == "O"
        else np.array([None if np.isnan(v) else repr(v) for v in part.tolist()], dtype=object)
        for part in parts
    ]
