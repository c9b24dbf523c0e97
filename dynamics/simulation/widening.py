"""Runs of narrow networks, each closer to the whole one, until they agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count as count_from
from typing import Any

import numpy as np

from dynamics.runs.half_times import Status
from dynamics.runs.trajectory import Trajectory
from dynamics.starts.compression import VISITED, is_exact, neighbours, projected, visited
from dynamics.starts.start import Start
from dynamics.starts.weights import Weights, count

COMPRESSED = 1e-4  # error in the half-times that a narrow run may have
LARGEST_NARROW = 20_000  # weights of a narrow network beyond which it takes minutes: then the error reached is said
UNFINISHED = "the narrow network misses half-times by about {:.1g}: to know them better it would need {} weights"
COLUMNS, FEWEST = 600, 20  # of a layer that a path shows, at about this many, and at least so many times
PAYS = 0.3  # share of the weights above which a narrow run saves too little


def widened(
    start: Start,
    run: Callable[[Weights], Trajectory],
    target: Callable[[Trajectory], float],
    path: list[Weights] | None = None,
) -> Trajectory:
    """Runs of wider and wider networks until they agree; in full where that pays no more.

    `target(run)` is the error that may be left. It is estimated by the gap to the run before; from the third run on
    by what is left of a geometric series of gaps, times two.

    path : the weights that each run leaves here show what the next network needs; without them rounds are added
    """
    if is_exact(start.problem.network):
        return run(start.narrow(0))
    before: Trajectory | None = None
    gap, error = math.inf, math.inf
    for narrow in _by_rounds(start) if path is None or not start.is_drawn else _along(start, path):
        if count(narrow) > PAYS * start.entries:
            return run(start.full())
        if before is not None and count(narrow) > LARGEST_NARROW:
            note = UNFINISHED.format(error, count(narrow))
            return replace(
                before, monitors={**before.monitors, "compression": error}, warnings=(*before.warnings, note)
            )
        current = run(narrow)
        if before is not None:
            last, gap = gap, apart(before, current)
            error = remainder(last, gap)
            if error <= target(current):
                return replace(current, monitors={**current.monitors, "compression": error})
        before = current
    raise AssertionError("networks get wider without end")


def _by_rounds(start: Start) -> Iterator[Weights]:
    for rounds in count_from(1):
        yield start.narrow(rounds)


def _along(start: Start, path: Sequence[Weights]) -> Iterator[Weights]:
    """The network on what the run before has passed through, more and more finely."""
    network, full = start.problem.network, start.full()
    bases, cut = neighbours(network, full), VISITED
    while True:
        yield projected(network, full, bases)
        most = max(FEWEST, COLUMNS // (len(start.problem.data.sigma) + start.problem.data.outputs))
        chosen = np.unique(np.linspace(0, len(path) - 1, min(most, len(path))).round().astype(int))
        bases = visited(network, full, bases, [path[i] for i in chosen], cut)
        cut /= 10


def remainder(last: float, gap: float) -> float:
    """What two gaps in a row leave of a geometric series, times two; never more than the gap itself."""
    shrinks = gap / last if 0 < last < math.inf else math.inf
    return gap * min(1.0, 2 * shrinks / (1 - shrinks)) if shrinks < 1 else gap


def times_apart(one: Trajectory, other: Trajectory) -> float:
    """Largest relative difference of half-times; inf where not the same are reached."""
    if one.status != other.status:
        return math.inf
    reached = [m for m, status in one.status.items() if status is Status.REACHED and one.times[m] != other.times[m]]
    return max((abs(one.times[m] - other.times[m]) / max(one.times[m], other.times[m]) for m in reached), default=0.0)


def apart(one: Trajectory, other: Trajectory) -> float:
    """Largest relative difference of half-times, and of the weights wherever both runs have the same time."""
    gaps = [times_apart(one, other)]
    for m in one.total:
        if np.array_equal(one.t, other.t):
            gaps.append(_share(one.total[m] - other.total[m], other.total[m]))
        elif one.t[-1] == other.t[-1]:
            gaps.append(_share(one.total[m][-1] - other.total[m][-1], other.total[m][-1]))
    return max(gaps)


def weights_apart(one: Trajectory, other: Trajectory) -> float:
    """Largest difference of total weights at the same times, as a share of the largest; inf where times differ."""
    if not np.array_equal(one.t, other.t):
        return math.inf
    return max(_share(one.total[m] - other.total[m], other.total[m]) for m in one.total)


def _share(gap: Any, of: Any) -> float:
    return float(np.max(np.abs(gap)) / (np.max(np.abs(of)) or 1.0))
