"""The itinerary of a run: which saddles it came to, how near, from when to when."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from derivations import Correlations, DomainError
from derivations.critical.mode_points import named_totals
from derivations.critical.saddles import Course, saddle_name
from derivations.critical.strata import count_learned_sets, learned_sets
from derivations.terms import PLAIN
from dynamics.tables import number

NEAR = 1 / 3  # of the distance to the nearest other saddle: such balls do not meet, a visit is never ambiguous
SETTLED = 1e-5  # of the initial excess loss: closer to the lowest loss that the start can reach, a run stays
LEVEL = 1e-3  # a run that settles as soon as its last half-time is reached ends half way to its goal, to rounding
SAME = 1e-9  # saddles that differ by less in their outputs are one
MOST = 256  # saddles looked at; where there are more, the course's own


@dataclass(frozen=True)
class Visit:
    """One saddle on the way.

    name : M_0, M_A, ..., M_*; M_A1 where mode 1 of A is learned, for several outputs
    enter, leave : in units of tau; half way from the saddle before, and to the next one, in the output. `leave` is
        inf only where the run stays for ever, at the lowest loss that its start can reach; where a record ends at a
        saddle it is the time of its end
    distance : closest approach: rms difference of the outputs there and at the saddle, as a share of the best output's
    """

    name: str
    enter: float
    leave: float
    distance: float

    def __str__(self) -> str:
        end = "stays" if math.isinf(self.leave) else f"to {number(self.leave)}"
        return f"{self.name} ({number(self.enter)} {end}, {number(self.distance, 2)} away)"


def visits(course: Course, t: np.ndarray, packed: np.ndarray, loss: np.ndarray) -> tuple[Visit, ...]:
    """The saddles that a run came to, found from its total weights (T, outputs, D) alone, unlearning included.

    A saddle has the weights of the regression on some of the modalities that this network can learn without the
    others; for several outputs, where modes can be listed, those of a subset of modes. It is visited while the run is
    nearer to it than NEAR of the way to the nearest other saddle. Learning all at one pace does not come so near: the
    output of a regression stands at right angles on what it leaves to be learned, so the straight way from zero to the
    optimum passes it at 0.71 of that distance or more. The start is counted to the saddle nearest to it.
    """
    data = course.data
    names, points = _saddles(course)
    gaps = output_distances(data, packed, points)  # (T, saddles)
    between = output_distances(data, points, points)
    np.fill_diagonal(between, math.inf)
    inside = gaps <= NEAR * np.min(between, axis=1)
    inside[0, int(np.argmin(gaps[0]))] = True
    excess, left = float(loss[0]) - course.lowest_loss, float(loss[-1]) - course.lowest_loss
    end = int(np.argmin(gaps[-1]))
    final = np.hstack([course.saddles[-1].total[m] for m in data.modalities])
    goal = int(np.argmin(output_distances(data, final[None], points)[0]))
    if course.terms.decay:  # its end is not the least loss: how far the output is from there
        left = float(output_distances(data, packed[-1:], final[None])[0, 0]) ** 2 / 2
    settled = left <= SETTLED * excess and gaps[-1, goal] <= (1 + LEVEL) * gaps[-1, end]
    end = goal if settled else end
    inside[-1, end] |= settled  # it may settle before it is near, where little is left to learn
    stays: list[tuple[int, int]] = []  # saddle, index of the closest approach
    for i in np.flatnonzero(np.any(inside, axis=1)):
        saddle = int(np.argmax(np.where(inside[i], -gaps[i], -math.inf)))
        if stays and stays[-1][0] == saddle:
            closest = stays[-1][1]
            stays[-1] = (saddle, int(i) if gaps[i, saddle] < gaps[closest, saddle] else closest)
        else:
            stays.append((saddle, int(i)))
    borders = [float(t[0]), *(_half_way(t, gaps, one, other) for one, other in pairwise(stays))]
    last = math.inf if settled else float(t[-1])
    if end != stays[-1][0]:  # under way when the record ends
        last = _half_way(t, gaps, stays[-1], (end, len(t) - 1))
    unit = size_of_best(data) if course.rests is None else float(np.max(between[np.isfinite(between)]))
    return tuple(
        Visit(names[saddle], enter, leave, float(gaps[closest, saddle]) / unit)
        for (saddle, closest), enter, leave in zip(stays, borders, [*borders[1:], last], strict=True)
    )


def size_of_best(data: Correlations) -> float:
    best = np.atleast_2d(data.optimum)[None]
    return float(output_distances(data, best, 0 * best)[0, 0]) or 1.0


def _saddles(course: Course) -> tuple[list[str], np.ndarray]:
    """Names and total weights (saddles, outputs, D); those with the same output once: as M_*, or by the fewest."""
    data = course.data
    everyone = data.modalities
    if data.outputs > 1 and course.rests is None and course.terms == PLAIN:
        with suppress(DomainError):  # by modality where modes cannot be listed
            return named_totals(course.network, data)
    few = count_learned_sets(course.network) <= MOST
    found = learned_sets(course.network) if few else [saddle.learned for saddle in course.saddles]
    sets = [everyone, (), *found]
    points = np.array([np.hstack([rests[m] for m in everyone]) for rests in map(course.resting, sets)])
    gaps = output_distances(data, points, points)
    size = float(np.max(gaps)) or 1.0
    kept = [i for i in range(len(sets)) if not np.any(gaps[i, :i] <= SAME * size)]
    return [saddle_name(everyone, sets[i]) for i in kept], points[kept]


def output_distances(data: Correlations, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rms differences of outputs (n, k) between total weights (n, outputs, D) and (k, outputs, D)."""
    seen, goals = (x @ data.root for x in (one, other))
    largest = max(float(np.max(np.abs(seen), initial=0.0)), float(np.max(np.abs(goals), initial=0.0))) or 1.0
    columns = [np.sqrt(np.sum(((seen - goal) / largest) ** 2, axis=(1, 2))) for goal in goals]
    return largest * np.array(columns).T


def _half_way(t: np.ndarray, gaps: np.ndarray, one: tuple[int, int], other: tuple[int, int]) -> float:
    """The last time between two closest approaches at which both saddles are equally far."""
    (here, begin), (there, end) = one, other
    ahead = gaps[begin : end + 1, here] - gaps[begin : end + 1, there]  # negative while the first is nearer
    last = np.flatnonzero(ahead < 0)
    i = int(last[-1]) if len(last) else 0
    if i + 1 >= len(ahead):
        return float(t[end])
    share = -ahead[i] / (ahead[i + 1] - ahead[i])
    return float(t[begin + i] + min(max(share, 0.0), 1.0) * (t[begin + i + 1] - t[begin + i]))
