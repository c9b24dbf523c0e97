"""The columns that a user picks of a table, as floats; and how messages show text that comes from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations import DataError, DomainError
from derivations.network import checked_name
from dynamics.messages import cut, listed, shown

MOST_COLUMNS = 10_000  # Sigma of more would take over 800 MB, its eigenvalues hours
BLOCK = 2**20  # bytes that are read, or turned into floats, at a time


@dataclass(frozen=True)
class Picked:
    """Columns of each modality, in order, and of the target."""

    modalities: dict[str, tuple[str, ...]]
    targets: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Inputs, then targets: the columns of every block that a reader yields."""
        return (*(name for columns in self.modalities.values() for name in columns), *self.targets)

    def places(self, present: Sequence[str], source: str, noun: str = "column", hint: str = "") -> list[int]:
        """Where the picked columns stand among those present; a DataError names one that is missing or not unique."""
        first: dict[str, int] = {}
        again = {name for i, name in enumerate(present) if first.setdefault(name, i) != i}
        unclear = [name for name in self.names if name in again]
        if unclear:
            raise DataError(f"{source} has more than one {noun} {shown(unclear[0])}")
        missing = [name for name in self.names if name not in first]
        if missing:
            raise DataError(f"{source} has no {noun} {shown(missing[0])}; it has {listed(present)}{hint}")
        return [first[name] for name in self.names]


def picked(modalities: Mapping[str, Sequence[str]], target: str | Sequence[str], noun: str = "column") -> Picked:
    """What the caller picks, checked as far as it can be without the table.

    Raises
    ------
    DataError
        On names that are no text or integer, a modality without columns, a column used twice.

    Examples
    --------
    >>> picked({"A": ["a1", "a2"], "B": ["b"]}, "y").names
    ('a1', 'a2', 'b', 'y')
    """
    if not isinstance(modalities, Mapping) or not modalities:
        raise DataError(f"modalities must map each modality to its {noun}s, got {modalities!r}")
    for name in modalities:
        try:
            checked_name(name)
        except DomainError as error:
            raise DataError(str(error)) from None
    chosen = Picked(
        {name: _names(columns, f"modalities[{shown(name)}]", noun) for name, columns in modalities.items()},
        targets_of(target, noun),
    )
    seen: set[str] = set()
    for name in chosen.names:
        if name in seen:
            raise DataError(f"{noun} {shown(name)} is used twice")
        seen.add(name)
    check_width(len(seen))
    return chosen


def targets_of(target: str | Sequence[str], noun: str = "column") -> tuple[str, ...]:
    """Names of one target or of several."""
    return _names([target] if isinstance(target, str | int) else target, "target", noun)


def check_width(columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise DataError(f"{columns} columns are picked, at most {MOST_COLUMNS} are allowed")


def _names(columns: Any, field: str, noun: str) -> tuple[str, ...]:
    fine = isinstance(columns, Sequence | np.ndarray) or hasattr(columns, "tolist")
    if not fine or isinstance(columns, str | bytes) or not len(columns):
        raise DataError(f"{field} must be a list of {noun}s, got {columns!r}")
    wrong = [name for name in columns if isinstance(name, bool) or not isinstance(name, str | int | np.integer)]
    if wrong:
        raise DataError(f"{field} must be a list of {noun}s, got {wrong[0]!r} in it")
    return tuple(str(name) for name in columns)


def advice(name: str, picked: Picked) -> str:
    """What to do about a column of categories."""
    if name in picked.targets:
        return "classes have to be coded as 0/1 columns first, one target each"
    return "a categorical column has to be coded as numbers first"


def check_type(kind: str, told: object, name: str, picked: Picked, source: str) -> None:
    """Refuse a column whose type is not real: `kind` is NumPy's letter of it, `told` what the message calls it."""
    if kind in "OSTU":
        said = f"holds text, categories or objects ({cut(str(told), 20)})"
        raise DataError(f"{source}: column {shown(name)} {said}; {advice(name, picked)}")
    if kind not in "biuf":
        raise DataError(f"{source}: column {shown(name)} must hold real numbers, got dtype {cut(str(told), 40)}")


def floats(values: np.ndarray, names: Sequence[str], source: str, first: int) -> np.ndarray:
    """Rows of columns (rows,) or (rows, columns) as (rows, columns) floats; `first` is the number of their first row.

    Raises
    ------
    DataError
        On NaN or Inf, naming row and column.
    """
    with np.errstate(over="ignore"):  # of long doubles: the check below finds them
        table = np.array(values, dtype=float, order="C").reshape(len(values), len(names))
    if not np.isfinite(table).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(table))[0])
        value = table[row, column]
        raise DataError(f"{source}: column {shown(names[column])} has {value} in row {first + row}, the first being 0")
    return table


def rows_at_a_time(columns: int) -> int:
    """How many rows of so many floats make a block."""
    return max(1, BLOCK // (8 * columns))
