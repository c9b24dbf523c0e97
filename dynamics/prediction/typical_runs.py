"""Half-times of the typical network, and their spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from derivations import DomainError
from dynamics.prediction.estimates import MODE_EXCESS, MODE_RTOL, MODE_STEPS
from dynamics.prediction.other_orders import races_of, shifts
from dynamics.prediction.shortening import Shortening, lengthened, shortened, waited
from dynamics.runs.half_times import HalfTimes, Status
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.batch import flow as batch_flow
from dynamics.simulation.batch.members import Member, Runs, along_own_courses
from dynamics.simulation.full_system import full_system
from dynamics.simulation.march import march
from dynamics.starts.start import Start
from dynamics.starts.typical import STEP, moved, typical_weights, variations
from dynamics.starts.weights import count

RTOL = 1e-5  # of the runs: half-times to 1e-4, far below the spread over seeds
MOST_VARIED = 5000  # weights of all runs of a spread with several outputs
MOST_WEIGHED = 20_000  # the same of odds, which are twice as many runs
MOST_STEPS = 5000  # of a run; a start so small that it takes more is refused


@dataclass(frozen=True)
class Typical:
    """Half-times of the typical network, and over seeds; modality -> relative spread, and largest change of ln t.

    share : relative error of having run it from a larger start (`shortened`)
    """

    half_times: HalfTimes
    spread: Mapping[str, float]
    shift: Mapping[str, float]
    share: float


def typical_runs(start: Start, width: int, spread: bool = True) -> Typical:
    """Half-times of the typical network; by propagation of errors how they vary over seeds (0 if not `spread`).

    The spread is one standard deviation to first order in h^(-1/2); `shifts` looks at other orders, too.
    """
    plan, shorter = start.course, shortened(start, width)
    names = plan.data.modalities

    def lengths(runs: Runs) -> tuple[np.ndarray, float]:
        columns = [lengthened(dict(zip(names, map(float, column), strict=True)), shorter) for column in runs.times.T]
        return np.array([[column[m] for column, _ in columns] for m in names]), columns[0][1]

    points = single_steps(start, width) if spread else single_steps(start, width)[:1]
    runs = _runs_at(start, width, shorter, points)
    logs, share = lengths(runs)
    gaps = gaps_of(logs)
    sizes = np.sqrt(np.sum(np.where(np.isnan(gaps), math.inf, gaps) ** 2, axis=1))
    moved = shifts(
        logs[:, 0],
        gaps,
        races_of(plan.rivals, names),
        lambda places: lengths(_runs_at(start, width, shorter, places))[0],
    )
    clock = dict(zip(names, map(float, runs.times[:, 0]), strict=True))
    status = {m: Status(str(runs.status[i, 0])) for i, m in enumerate(names)}
    half_times = HalfTimes.from_clock(plan.order, clock, status)
    if not math.isnan(half_times.lag):
        first, last = names.index(half_times.order[0]), names.index(half_times.order[-1])
        half_times = half_times.lasting(float(runs.lags[first, last, 0]))
    if shorter.changes:
        half_times = waited(half_times, dict(zip(names, map(float, logs[:, 0]), strict=True)), shorter)
    found, shift = (
        {m: float(sizes[i]) if status[m] is Status.REACHED else math.nan for i, m in enumerate(names)}
        for sizes in (sizes, moved)
    )
    return Typical(half_times, found, shift, share)


def is_small(start: Start, width: int, most: int = MOST_VARIED) -> bool:
    """Whether a run for each of the start's random numbers has at most so many weights, which costs seconds."""
    weights = typical_weights(start.problem.network, start.problem.data, start.norms, width)
    return count(weights) * (1 + len(variations(start.course, width))) <= most


def typical_course(
    start: Start,
    width: int,
    *,
    rtol: float = MODE_RTOL,
    excess: float | None = MODE_EXCESS,
    max_steps: int = MODE_STEPS,
) -> Trajectory:
    """The run of the typical network itself, every weight of it; with several outputs it shows when modes are learned.

    It ends where a share `excess` of the loss is left; None for where any run ends.
    """
    weights = typical_weights(start.problem.network, start.problem.data, start.norms, width)
    system, _ = full_system(start.course, weights, rtol)
    origin = {"producer": "typical network", "network": str(start.problem.network), **start.origin}
    return march(
        system, start.course, rtol=rtol, max_steps=max_steps, provenance=origin, excess=excess,
        warnings=start.problem.data.warnings,
    )[0]  # fmt: skip


def log_times_at(start: Start, width: int, points: np.ndarray, rtol: float = RTOL) -> np.ndarray:
    """ln of half-times (M, n) of the typical network with its random numbers at `points` (n, K), in deviations.

    Rows in the order of the data's modalities, K that of `variations`; inf where a half-time is not reached. Where the
    start is `shortened`, those of the larger one: who is first is the same, and no lag is lost beside a long wait.

    Examples
    --------
    >>> from dynamics import Correlations, FusionNetwork
    >>> from dynamics.problem import Problem
    >>> from dynamics.starts.start import random_start
    >>> problem = Problem.of(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5))
    >>> start = random_start(problem, 0.01, 100)
    >>> gaps_of(log_times_at(start, 100, single_steps(start, 100))).shape
    (2, 6)
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(_runs_at(start, width, shortened(start, width), points, rtol).times))


def single_steps(start: Start, width: int) -> np.ndarray:
    """The typical network itself, then a step of each of its random numbers, (1 + K, K)."""
    count = len(variations(start.course, width))
    return np.vstack([np.zeros(count), STEP * np.eye(count)])


def gaps_of(logs: np.ndarray) -> np.ndarray:
    """Change of each ln t by a deviation of each random number, (M, K), from `logs` at `single_steps`.

    Rows times rows is the covariance of ln t over seeds, to first order; nan where a time is not reached.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray((logs[:, 1:] - logs[:, :1]) / STEP)


def _runs_at(start: Start, width: int, shorter: Shortening, points: np.ndarray, rtol: float = RTOL) -> Runs:
    network, data, plan = start.problem.network, start.problem.data, start.course
    typical, changes = typical_weights(network, data, shorter.norms, width), variations(plan, width)
    members = []
    for point in points:
        weights = typical
        for change, deviations in zip(changes, point.tolist(), strict=True):
            if deviations:
                weights = moved(weights, change, deviations)
        members.append(Member(weights, plan))

    def attempt(_: Sequence[int], some: Sequence[Member]) -> Runs:
        return batch_flow.run(some, rtol=rtol, max_steps=MOST_STEPS)

    runs = along_own_courses(members, attempt)
    if not np.any(points[0]) and not runs.settled[0] and np.any(runs.status[:, 0] == Status.NOT_REACHED):
        raise DomainError(f"the typical network takes more than {MOST_STEPS} steps: see ensemble, or a larger u0")
    return runs
