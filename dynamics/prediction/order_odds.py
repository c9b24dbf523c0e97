r"""Who is learned first from a random start: the odds, from the spread of the typical network.

To first order a modality's ln t is a linear form of the start's random numbers, independent and normal. What two
modalities share (a trunk, data) is in both forms, so that D = ln t_n - ln t_m has the deviation |g|, g the difference
of their rows of `gaps_of`, and m is before n with probability Phi(D/|g|).

Near a tie D is no linear form: as soon as one escapes, the other runs at another speed, so D has a kink where they
change places, the sharper the longer the waits; with a shared trunk it need not change its sign at all. But all that
is a function of the one number in which they race, whose direction among the random ones is g. So D is run along g,
P(m before n) is the normal measure of where it is positive, and no slope matters any more.

Three and more: each pair is a cut of its own chance, across its own g, and a modality is first on the right side of
all of its cuts. Heuristic, as the typical network is: the next order is 1/h in ln t, h^(-1/2) in deviations.
"""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
from scipy.special import ndtr, ndtri

from derivations import DomainError
from dynamics.prediction.typical_runs import gaps_of, log_times_at, single_steps
from dynamics.starts.start import Start
from dynamics.starts.weights import require_range

RTOL = 1e-4  # of the runs: their spread is a hundred times as much, and chances do not move by 1e-3
CLEAR = 6.0  # deviations beyond which a pair is not looked at again
WHOLE = np.arange(-3.5, 4.0)  # where D is looked at along g, in deviations
NEAR = np.array([-0.6, -0.2, -0.06, -0.02, 0.02, 0.06, 0.2, 0.6])  # and about where the linear form is zero
DRAWS = 14  # ln_2 of the points that split the chances of three and more: to 1e-3
LATEST = 1.0  # ln by which what is not reached is later than all that is

Pair = tuple[int, int]


def order_probability(start: Start) -> dict[str, float]:
    """Probability over seeds that each modality is the first by half-times, from runs of the typical network alone.

    Modalities that are never learned have 0; if there is nothing to learn, all have. In early fusion nothing but the
    first layers tells them apart: then it says, as elsewhere, who has half of its plateau first.

    Parameters
    ----------
    start : random, with a width

    Raises
    ------
    DomainError
        Without a width, or where the typical network cannot be run.

    Examples
    --------
    >>> from dynamics import Correlations, FusionNetwork
    >>> from dynamics.problem import Problem
    >>> from dynamics.starts.start import random_start
    >>> data = Correlations([[1, 0.3], [0.3, 1]], [1.15, 1], {"A": 1, "B": 1})
    >>> start = random_start(Problem.of(FusionNetwork.fused_at(3, 3), data), 0.05, 40)
    >>> {m: round(p, 1) for m, p in order_probability(start).items()}  # B is first in 30 of 200 seeds
    {'A': 0.9, 'B': 0.1}
    """
    if start.width is None:
        raise DomainError("the odds of an order are those of a random start: give a width")
    require_range(start.problem.network, start.norms)
    names, never = start.problem.data.modalities, start.course.never
    found = dict.fromkeys(names, 0.0)
    racing = [i for i, m in enumerate(names) if m not in never]
    if len(racing) < 2:
        return found | {names[i]: 1.0 for i in racing}
    logs = _reached(log_times_at(start, start.width, single_steps(start, start.width), RTOL))
    first = _split(logs, _before(start, start.width, logs, list(combinations(racing, 2))), racing)
    return found | {names[i]: p for i, p in first.items()}


def _reached(logs: np.ndarray) -> np.ndarray:
    """Finite times: what is not reached is later than all that is, by as much."""
    known = np.isfinite(logs)
    return np.where(np.isposinf(logs), float(np.max(logs[known], initial=0.0)) + LATEST, np.where(known, logs, -1e3))


def _before(start: Start, width: int, logs: np.ndarray, pairs: list[Pair]) -> dict[Pair, float]:
    """Chance that the one is before the other, from D along g."""
    found, asked, places = {}, dict[Pair, slice](), list[np.ndarray]()
    for one, other in pairs:
        slope = gaps_of(logs)[other] - gaps_of(logs)[one]
        size, apart = float(np.linalg.norm(slope)), float(logs[other, 0] - logs[one, 0])
        if abs(apart) >= CLEAR * size:
            found[one, other] = 0.5 if apart == 0 else float(apart > 0)
            continue
        along = np.unique(np.concatenate([WHOLE, NEAR - apart / size]))
        begin = sum(map(len, places))
        asked[one, other] = slice(begin, begin + len(along))
        places.append(along[:, None] * slope / size)
    if asked:
        runs = _reached(log_times_at(start, width, np.vstack(places), RTOL))
        for ((one, other), chosen), points in zip(asked.items(), places, strict=True):
            slope = gaps_of(logs)[other] - gaps_of(logs)[one]
            along = points @ slope / float(np.linalg.norm(slope))
            found[one, other] = _positive(along, runs[other, chosen] - runs[one, chosen])
    return found


def _positive(places: np.ndarray, values: np.ndarray) -> float:
    """Normal measure of where the line through the values is positive; beyond the ends it keeps its sign."""
    if not np.any(values):
        return 0.5
    ends = ndtr(places[0]) * (values[0] > 0) + ndtr(-places[-1]) * (values[-1] > 0)
    inner = 0.0
    for (low, a), (high, b) in pairwise(zip(places, values, strict=True)):
        if (a > 0) == (b > 0):
            inner += (ndtr(high) - ndtr(low)) * (a > 0)
        else:
            zero = low + (high - low) * a / (a - b)
            inner += ndtr(high) - ndtr(zero) if b > 0 else ndtr(zero) - ndtr(low)
    return float(min(ends + inner, 1.0))


def _split(logs: np.ndarray, before: dict[Pair, float], racing: list[int]) -> dict[int, float]:
    """Chance of each to be before all others, from those of the pairs and the directions of their cuts."""
    if len(racing) == 2:
        p = before[racing[0], racing[1]]
        return {racing[0]: p, racing[1]: 1 - p}
    from scipy.stats import qmc  # scipy.stats takes longer to import than two modalities to predict

    rows = gaps_of(logs)[racing]
    # differences of rows span one dimension less than there are rows: all cuts can be seen there
    _, triangle = np.linalg.qr((rows[1:] - rows[0]).T)
    forms = dict(zip(racing, np.vstack([np.zeros(triangle.shape[0]), triangle.T]), strict=True))
    even = qmc.Sobol(triangle.shape[0], scramble=False).random_base2(DRAWS) + 0.5**DRAWS / 2  # begins at 0
    normal = ndtri(even)
    wins = {m: np.ones(len(normal), dtype=bool) for m in racing}
    for (one, other), chance in before.items():
        slope = forms[other] - forms[one]
        size = float(np.linalg.norm(slope))
        place = normal @ slope / size if size > 0 else normal[:, 0]
        right = place > -ndtri(chance)
        wins[one] &= right
        wins[other] &= ~right
    total = sum(int(np.sum(won)) for won in wins.values())  # cuts that were moved one by one may leave a gap
    return {m: float(np.sum(won)) / max(total, 1) for m, won in wins.items()}
