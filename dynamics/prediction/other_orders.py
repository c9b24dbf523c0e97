"""What half-times are in another order: a seed that learns its modalities in one is no small change of the typical run.

The spread over seeds is linear about the typical network. Where two race closely, some seeds turn them round, and then
who was second is no longer late, and who was first is. Between the two orders lies one number, in which the pair
races, as in `order_odds`: the typical network is moved along it, as far as a bound covers, and what the half-times are
there widens the bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np

DEVIATIONS = 5.0  # over seeds, that a bound of a typical network covers
PLACES = np.arange(1.0, DEVIATIONS + 1)  # where half-times are looked at along the number, in deviations
MOST_PAIRS = 6  # all of four modalities; of more, as many of the closest as there are modalities


def shifts(
    logs: np.ndarray,
    gaps: np.ndarray,
    races: Iterable[tuple[int, int, float]],
    logs_at: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Largest change of each ln t (M,) over seeds within DEVIATIONS of the typical one.

    So far along a pair's number, and in all others what is left of DEVIATIONS, by the linear spread.

    Parameters
    ----------
    logs : ln of half-times (M,); inf where one is not reached
    gaps : their changes by a deviation of each random number (M, K)
    races : rows of a winner and its runner-up, and what this one has left of its way then
    logs_at : places (n, K), in deviations -> (M, n)
    """
    sizes = np.linalg.norm(gaps, axis=1)
    found = DEVIATIONS * sizes
    reached = np.flatnonzero(np.isfinite(logs)).tolist()
    unsure = DEVIATIONS * math.sqrt(2) * float(np.max(sizes[reached], initial=0.0))
    close = {frozenset((one, other)) for one, other, left in races if left <= unsure}
    asked = list[tuple[float, np.ndarray]]()
    for one, other in combinations(reached, 2):
        first, last = sorted((one, other), key=lambda i: float(logs[i]))
        towards = gaps[first] - gaps[last]
        size = float(np.linalg.norm(towards))
        if not math.isfinite(size):  # a step away from the typical network, one of them is not reached
            found[[one, other]] = math.inf
        elif size > 0:
            apart = 0.0 if {one, other} in close else float(logs[last] - logs[first]) / size
            if apart <= DEVIATIONS:
                asked.append((apart, towards / size))
    if asked:
        nearest = sorted(asked, key=lambda pair: pair[0])[: max(MOST_PAIRS, len(logs))]
        places = np.concatenate([PLACES[:, None] * towards for _, towards in nearest])
        left = np.sqrt(DEVIATIONS**2 - np.tile(PLACES, len(nearest)) ** 2)
        with np.errstate(invalid="ignore"):  # of what is never reached
            moved = np.abs(logs_at(places) - logs[:, None])
            found = np.maximum(found, np.max(moved + left * sizes[:, None], axis=1))
    return np.asarray(found)


def races_of(rivals: Iterable[tuple[str, str, float]], names: tuple[str, ...]) -> list[tuple[int, int, float]]:
    """`Course.rivals` by rows."""
    return [(names.index(winner), names.index(other), left) for winner, other, left in rivals]
