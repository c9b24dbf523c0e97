"""Runs of narrow networks, each closer to the whole one, until they agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
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
# error of half-times over the square of the largest share of a signal that was missed: an estimate, no bound. Fitted to
# 248 narrow networks of 93 random problems, 3 to 8 layers, 96 % of which missed less, the worst 5 times as much; of 64
# of 32 other problems (these with the neighbours of leading directions) 63 missed less, the 70 accepted 6.5e-5 at most
MISS = 0.9
GAIN = 10  # by which another run lessens it, at least
SHALLOW = 4  # layers up to which the first run is likely to do
COLUMNS, FEWEST = 2000, 20  # of a layer that a path shows, at about this many, and at least so many times
PAYS = 0.3  # share of the weights above which a narrow run saves too little


def followed(
    start: Start,
    run: Callable[[Weights, bool], Trajectory],
    path: Callable[[int], list[Weights]],
    target: float,
) -> Trajectory:
    """Runs of networks on what the run before has passed through, until little of the last one's signals was missed.

    run(weights, is_rough) : at a rougher tolerance where another run is sure to follow
    path(most) : weights along the last run
    target : the error that half-times may have, estimated by `MISS`
    """
    network, data = start.problem.network, start.problem.data
    if is_exact(network):
        return run(start.narrow(0), False)
    if not start.is_drawn:
        return widened(start, lambda layers: run(layers, False), lambda _: target)
    full = start.full()
    most = max(FEWEST, COLUMNS // (len(data.sigma) + data.outputs))
    bases, cut, error = neighbours(network, full), VISITED, math.inf
    rough, last = max(network.path_depths.values()) > SHALLOW, None  # what was run last, and whether roughly
    while True:
        narrow = projected(network, full, bases)
        if count(narrow) > PAYS * start.entries:
            return run(full, False)
        if last is not None and count(narrow) > LARGEST_NARROW:
            layers, was_rough, found = last
            found = run(layers, False) if was_rough else found
            return _said(found, error, UNFINISHED.format(error, count(narrow)))
        current = run(narrow, rough)
        bases, missed = visited(network, full, bases, path(most), cut)
        error = MISS * missed**2
        if error <= target and not rough:
            return _said(current, error)
        last, cut, rough = (narrow, rough, current), cut / 10, error > GAIN * target


def _said(run: Trajectory, error: float, *notes: str) -> Trajectory:
    return replace(run, monitors={**run.monitors, "compression": error}, warnings=(*run.warnings, *notes))


def widened(
    start: Start,
    run: Callable[[Weights], Trajectory],
    target: Callable[[Trajectory], float],
) -> Trajectory:
    """Runs at more and more rounds of compression until they agree; in full where that pays no more.

    `target(run)` is the error that may be left. It is estimated by the gap to the run before; from the third run on
    by what is left of a geometric series of gaps, times two.
    """
    if is_exact(start.problem.network):
        return run(start.narrow(0))
    before: Trajectory | None = None
    gap, error, rounds = math.inf, math.inf, 1
    while True:
        narrow = start.narrow(rounds)
        if count(narrow) > PAYS * start.entries:
            return run(start.full())
        if before is not None and count(narrow) > LARGEST_NARROW:
            return _said(before, error, UNFINISHED.format(error, count(narrow)))
        current = run(narrow)
        if before is not None:
            last, gap = gap, apart(before, current)
            error = remainder(last, gap)
            if error <= target(current):
                return _said(current, error)
        before, rounds = current, rounds + 1


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
