"""Codes for missing values, such as -9999: noticed by how they lie beside the other values, said, never acted upon."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.messages import shown

OFTEN = 3  # times that a value must stand somewhere to be taken for a code
NINES = re.compile(r"-?9{2,}(\.0)?")


@dataclass(frozen=True, eq=False)
class Ends:
    """The smallest and the largest value of each column (K,), how often each stands there, and the next value to it."""

    low: np.ndarray
    lows: np.ndarray
    above: np.ndarray
    high: np.ndarray
    highs: np.ndarray
    below: np.ndarray


def ends_of(rows: np.ndarray) -> Ends:
    """Of rows (P, K) without gaps."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    least, most = rows == low, rows == high
    above, below = np.where(least, np.inf, rows).min(axis=0), np.where(most, -np.inf, rows).max(axis=0)
    return Ends(low, least.sum(axis=0), above, high, most.sum(axis=0), below)


def ends_of_both(one: Ends, other: Ends) -> Ends:
    """Of two lots of rows together.

    Examples
    --------
    >>> both = ends_of_both(ends_of(np.array([[1.0], [2.0]])), ends_of(np.array([[1.0], [9.0]])))
    >>> [float(x[0]) for x in (both.low, both.lows, both.above, both.high, both.highs, both.below)]
    [1.0, 2.0, 2.0, 9.0, 1.0, 2.0]
    """
    low, lows, above = _joined(one.low, one.lows, one.above, other.low, other.lows, other.above)
    high, highs, below = _joined(-one.high, one.highs, -one.below, -other.high, other.highs, -other.below)
    return Ends(low, lows, above, -high, highs, -below)


def _joined(*ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, lows, above, other, others, next_other = ends
    least = np.minimum(low, other)
    count = np.where(low == least, lows, 0) + np.where(other == least, others, 0)
    following = np.minimum(np.where(low == least, above, low), np.where(other == least, next_other, other))
    return least, count, following


def suspects(ends: Ends, names: Sequence[str], asked: np.ndarray) -> tuple[str, ...]:
    """Values that look like codes for a missing one.

    Such a value stands OFTEN times or more, and lies further from the rest than these are wide; and either it stands
    so in several columns, or it is written in nines. asked : (K,), the columns in which it may be one.
    """
    found: dict[float, list[int]] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        below = (ends.lows >= OFTEN) & (ends.above < ends.high) & (ends.above - ends.low > ends.high - ends.above)
        above = (ends.highs >= OFTEN) & (ends.low < ends.below) & (ends.high - ends.below > ends.below - ends.low)
    for value, odd in ((ends.low, below), (ends.high, above)):
        for i in np.flatnonzero(odd & asked).tolist():
            found.setdefault(float(value[i]), []).append(i)
    told = []
    for code, columns in found.items():
        if len(columns) < 2 and not NINES.fullmatch(f"{code!r}"):
            continue
        i = columns[0]
        is_low = code == ends.low[i]
        rest = (ends.above[i], ends.high[i]) if is_low else (ends.low[i], ends.below[i])
        more = f" and {len(columns) - 1} more" if len(columns) > 1 else ""
        times = int((ends.lows if is_low else ends.highs)[i])
        told.append(
            f"{code:g} stands {times} times in {shown(names[i], 30)}{more}, where all else lies in {rest[0]:.4g} to "
            f"{rest[1]:.4g}: a code for a missing value? na={code:g} (--na {code:g}) takes it as a gap"
        )
    return tuple(told)
