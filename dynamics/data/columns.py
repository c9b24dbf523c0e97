"""The columns that a user picks of a table: by name, pattern or range; and the cells of a column as numbers or text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from unicodedata import normalize

import numpy as np

from derivations import DataError, DomainError
from derivations.network import checked_name
from derivations.rows import is_gap
from dynamics.files import is_text
from dynamics.messages import cut, listed, shown

LONGEST = 2**53  # integers beyond it are not all floats
MOST_COLUMNS = 10_000  # Sigma of more would take over 800 MB, its eigenvalues hours
NO_DATES = "give a number, such as days since a start"
BLOCK = 2**20  # bytes that are turned into floats at a time, where that makes LEAST rows or more
LEAST = 128


@dataclass(frozen=True)
class Picked:
    """Columns of each modality, in order, and of the target."""

    modalities: dict[str, tuple[str, ...]]
    targets: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Inputs, then targets: the columns of every block that a reader yields."""
        return (*(name for columns in self.modalities.values() for name in columns), *self.targets)


def asked(modalities: Any, target: Any, noun: str = "column") -> Picked:
    """What the caller asks for, checked as far as it can be without the table.

    Raises
    ------
    DataError
        On names that are no text or integer, a modality without columns.
    """
    if not isinstance(modalities, Mapping) or not modalities:
        raise DataError(f"modalities must map each modality to its {noun}s, got {modalities!r}")
    for name in modalities:
        try:
            checked_name(name)
        except DomainError as error:
            raise DataError(str(error)) from None
    found = {name: _names(each, f"modalities[{shown(name)}]", noun) for name, each in modalities.items()}
    picked = Picked(found, _names(target, "target", noun))
    check_width(len(picked.names))
    return picked


def resolved(
    wanted: Picked, present: Sequence[str], source: str, noun: str = "column", but: Iterable[str] = ()
) -> Picked:
    """The columns that names, patterns (`img_*`) and ranges (`img_0:img_127`) stand for, in the order of the table.

    A column of exactly that name comes first; a pattern or a range never takes a target or a column in `but`.

    Raises
    ------
    DataError
        On a column that is missing, there more than once, or used twice.

    Examples
    --------
    >>> table = ["id", "img_0", "img_1", "img_2", "age", "y"]
    >>> resolved(asked({"image": "img_*", "lab": ["img_2:age"]}, "y"), table[:3] + table[4:], "t").modalities
    Traceback (most recent call last):
    derivations.errors.DataError: t has no column 'img_2' of 'img_2:age'; it has 'id', 'img_0', 'img_1', 'age', 'y'
    >>> resolved(asked({"image": "img_0:img_2", "lab": "age"}, "y"), table, "t").names
    ('img_0', 'img_1', 'img_2', 'age', 'y')
    """
    first: dict[str, int] = {}
    again = {name for i, name in enumerate(present) if first.setdefault(name, i) != i}
    plain = {_plain(name): name for name in reversed(present)}

    def found(name: str) -> str | None:
        return name if name in first else plain.get(_plain(name))

    def columns(name: str, whole: bool) -> list[str]:
        one = found(name)
        if one is not None:
            return [one]
        if whole and ("*" in name or "?" in name):
            these = [column for column in first if fnmatchcase(column, name) and column not in left]
            if these:
                return these
        start, colon, end = name.partition(":")
        if whole and colon and start and end:
            ends = [found(start), found(end)]
            for side, place in zip((start, end), ends, strict=True):
                if place is None:
                    raise DataError(f"{source} has no {noun} {shown(side)} of {shown(name)}; it has {listed(present)}")
            low, high = (first[str(place)] for place in ends)
            if low > high:
                raise DataError(f"{source}: {shown(start)} stands after {shown(end)}: the range {shown(name)} is empty")
            return [column for column in present[low : high + 1] if column not in left]
        quoted = any(column.startswith(f"{name},") for column in present)
        hint = '; a name with a comma goes into quotation marks, "a, b"' if quoted else ""
        raise DataError(f"{source} has no {noun} {shown(name)}; it has {listed(present)}{hint}")

    left = set(but)
    targets = tuple(column for name in wanted.targets for column in columns(name, False))
    left |= set(targets)
    modalities = {m: tuple(c for name in names for c in columns(name, True)) for m, names in wanted.modalities.items()}
    picked = Picked(modalities, targets)
    unclear = [name for name in picked.names if name in again]
    if unclear:
        raise DataError(f"{source} has more than one {noun} {shown(unclear[0])}")
    used: set[str] = set()
    for name in picked.names:
        if name in used:
            raise DataError(f"{noun} {shown(name)} is used twice")
        used.add(name)
    check_width(len(used))
    return picked


def _plain(name: str) -> str:
    """A name without line breaks, composed, and without the single quotes that some tables have around theirs."""
    return normalize("NFC", " ".join(name.split()).strip("'"))  # macOS writes letters and their dots apart


def check_width(columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise DataError(f"{columns} columns are picked, at most {MOST_COLUMNS} are allowed")


def _names(columns: Any, field: str, noun: str) -> tuple[str, ...]:
    """One name or a list of them."""
    if isinstance(columns, str | int | np.integer) and not isinstance(columns, bool):
        columns = [columns]
    fine = isinstance(columns, Sequence | np.ndarray) or hasattr(columns, "tolist")
    if not fine or isinstance(columns, bytes) or np.size(columns) == 0:
        raise DataError(f"{field} must be a {noun} or a list of {noun}s, got {cut(repr(columns), 60)}")
    wrong = [name for name in columns if isinstance(name, bool) or not isinstance(name, str | int | np.integer)]
    if wrong:
        raise DataError(f"{field} must be a list of {noun}s, got {wrong[0]!r} in it")
    return tuple(str(name) for name in columns)


def numbers_or_text(values: np.ndarray, name: str, source: str) -> np.ndarray:
    """An array (P,) as floats with gaps as NaN, or as text with gaps as None.

    Raises
    ------
    DataError
        Of dates, complex numbers, bytes or other objects.
    """
    kind = values.dtype.kind
    if kind in "iu" and values.ndim == 1 and values.size and (values.max() > LONGEST or values.min() < -LONGEST):
        return np.array([*map(str, values.tolist()), None], dtype=object)[:-1]  # as floats, two names would be one
    if kind in "biuf" and values.ndim == 1:
        with np.errstate(over="ignore"):  # of long doubles: infinite ones are found later
            return np.asarray(values, dtype=float)
    if kind == "U":
        if not is_text(values):
            raise DataError(f"{source}: column {shown(name)} has characters beyond Unicode")
        return np.asarray(values, dtype=object)
    if kind in "Mm":
        raise DataError(
            f"{source}: column {shown(name)} holds dates or times: give a number, such as days since a start"
        )
    if kind != "O" or values.ndim != 1:
        raise DataError(
            f"{source}: column {shown(name)} must hold numbers or text, got dtype {cut(str(values.dtype), 40)}"
        )
    return _objects(values, name, source)


def _objects(values: np.ndarray, name: str, source: str) -> np.ndarray:
    """Cells that are Python objects."""
    kinds = {type(value) for value in values.tolist() if not is_gap(value)}
    long = any(isinstance(value, int) and abs(value) > LONGEST for value in values.tolist())
    text = long or any(issubclass(kind, str) for kind in kinds) or (len(kinds) > 1 and bool in kinds)
    found = np.empty(len(values), dtype=object)
    for i, value in enumerate(values.tolist()):
        if is_gap(value):
            found[i] = None if text else np.nan
        elif isinstance(value, str):
            found[i] = value
        elif type(value).__name__ == "Decimal" or isinstance(value, int | float):  # bool is an int
            try:
                found[i] = str(value) if text else float(value)
            except OverflowError:
                found[i] = np.inf
        else:
            what = f"dates or times: {NO_DATES}" if _is_date(value) else "no numbers"
            raise DataError(f"{source}: column {shown(name)} holds {what}, such as {shown(value)}")
    return found if text else found.astype(float)


def _is_date(value: object) -> bool:
    return any(base.__name__ in ("date", "time", "timedelta") for base in type(value).__mro__)


def rows_at_a_time(columns: int) -> int:
    """How many rows of so many floats make a block."""
    return max(LEAST, BLOCK // (8 * columns))
