"""Checks of a user's numbers: a DomainError names the field and the value."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from importlib import import_module
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

from derivations import DataError, DomainError
from derivations.network import shown_number
from derivations.samples import has_mask, real_array
from dynamics.messages import cut

E = TypeVar("E", bound=StrEnum)
LARGEST_INTEGER = 10**4000
LONGEST_VALUE = 100  # characters of a value in a message


def told(value: Any) -> str:
    """A value from outside in a message: of bounded length, and whatever its size."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return shown_number(int(value))
    try:
        return cut(" ".join(repr(value).split()), LONGEST_VALUE)
    except ValueError:  # it holds an integer of more digits than Python prints
        return f"a {type(value).__name__}"


def checked_number(value: Any, field: str) -> float:
    """A finite, non-negative number, or a DomainError that names the field."""
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        raise DomainError(f"{field} must be a finite number >= 0, got an integer beyond the range of floats") from None
    if not 0 <= number < math.inf:
        raise DomainError(f"{field} must be a finite number >= 0, got {told(value)}")
    return number


def checked_positive(value: Any, field: str) -> float:
    if (isinstance(value, Real) and value <= 0) or checked_number(value, field) == 0:
        raise DomainError(f"{field} must be positive, got {told(value)}")
    return float(value)


def checked_seconds(value: Any) -> float:
    """A time to work; inf for ever."""
    return math.inf if isinstance(value, Real) and value == math.inf else checked_positive(value, "seconds")


def checked_flag(value: Any, field: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise DomainError(f"{field} must be True or False, got {told(value)}")
    return bool(value)


def checked_call(value: Any, field: str = "progress") -> Callable[..., Any]:
    """What is called as work goes on; for None a call that does nothing."""
    if not callable(value) and value is not None:
        raise DomainError(f"{field} must be a function or None, got {told(value)}")
    return value or (lambda *_: None)


def checked_integer(value: Any, field: str, least: int, most: int = LARGEST_INTEGER) -> int:
    """A whole number between `least` and `most`, or a DomainError that names the field."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise DomainError(f"{field} must be an integer >= {least}, got {told(value)}")
    if int(value) > most:
        raise DomainError(f"{field} must be an integer <= {shown_number(most)}, got {shown_number(int(value))}")
    return int(value)


def real_numbers(value: Any, field: str) -> np.ndarray:
    """An array or a tensor of any package as finite floats, without importing that package."""
    try:
        return real_array(value, field)
    except DataError as error:
        raise DomainError(str(error)) from None
    except Exception as error:  # a foreign type may raise anything
        raise DomainError(f"{field} cannot be read as real numbers: {str(error)[:100]!r}") from None


def checked_rtol(rtol: Any) -> float:
    if not 1e-13 <= checked_number(rtol, "rtol") <= 1e-3:
        raise DomainError(f"rtol must lie between 1e-13 and 1e-3, got {told(rtol)}")
    return float(rtol)


def checked_times(t_end: Any, t_eval: Any) -> tuple[float | None, np.ndarray | None]:
    """t_end and t_eval as numbers; t_end is the last of t_eval where it is not given."""
    end = None if t_end is None else checked_positive(t_end, "t_end")
    if t_eval is None:
        return end, None
    if has_mask(t_eval):
        raise DomainError("t_eval is a masked array: fill or drop what is masked")
    times = real_numbers(t_eval, "t_eval")
    increasing = times.ndim == 1 and len(times) > 0 and bool(np.all(np.diff(times) > 0))
    if not increasing or times[0] < 0 or times[-1] == 0:
        raise DomainError("t_eval must be increasing and finite, from 0 or later, and end after 0")
    if end is not None and times[-1] > end:
        raise DomainError(f"t_eval must not pass t_end = {end:g}, got {times[-1]:g}")
    return (float(times[-1]) if end is None else end), times


def required(package: str, purpose: str, extra: str) -> Any:
    """A package that comes with an extra, or a DomainError that says how to install it."""
    try:
        return import_module(package)
    except ImportError:
        raise DomainError(f"{purpose} needs the package {package}: pip install 'fusion-dynamics[{extra}]'") from None


def one_of(kind: type[E], value: Any, field: str) -> E:
    """A member of an enumeration by its value, or a DomainError that names those there are."""
    try:
        return kind(value)
    except ValueError:
        raise DomainError(f"{field} must be one of {', '.join(kind)}, got {told(value)}") from None
