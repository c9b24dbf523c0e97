"""Half-times of the typical network, and their spread over seeds."""

from __future__ import annotations

import math

import numpy as np

from derivations import DomainError
from dynamics.prediction.shortening import lengthened, shortened, waited
from dynamics.runs.half_times import HalfTimes, Status
from dynamics.simulation.batch import flow as batch_flow
from dynamics.simulation.batch.members import Member
from dynamics.starts.start import Start
from dynamics.starts.typical import STEP, moved, typical_weights, variations

RTOL = 1e-5  # of the runs: half-times to 1e-4, far below the spread over seeds
MOST_STEPS = 5000  # of a run; a start so small that it takes more is refused


def typical_runs(start: Start, width: int, spread: bool = True) -> tuple[HalfTimes, dict[str, float], float]:
    """Half-times of the typical network; by propagation of errors how they vary over seeds (0 if not `spread`).

    The spread is relative, one standard deviation to first order in h^(-1/2). Last, the relative error of having run it
    from a larger start (`shortened`).
    """
    network, data, plan = start.problem.network, start.problem.data, start.course
    shorter = shortened(start, width)
    weights = typical_weights(network, data, shorter.norms, width)
    changes = variations(plan, width) if spread else []
    changed = [weights, *(moved(weights, one) for one in changes)]
    runs = batch_flow.run([Member(w, plan) for w in changed], rtol=RTOL, max_steps=MOST_STEPS)
    if not runs.settled[0] and np.any(runs.status[:, 0] == Status.NOT_REACHED):
        raise DomainError(f"the typical network takes more than {MOST_STEPS} steps: see ensemble, or a larger u0")
    names = data.modalities
    columns = [lengthened(dict(zip(names, map(float, column), strict=True)), shorter) for column in runs.times.T]
    logs = np.array([[column[m] for column, _ in columns] for m in names])
    with np.errstate(invalid="ignore"):
        gaps = (logs[:, 1:] - logs[:, :1]) / STEP
    sizes = np.sqrt(np.sum(np.where(np.isnan(gaps), math.inf, gaps) ** 2, axis=1))
    clock = dict(zip(names, map(float, runs.times[:, 0]), strict=True))
    status = {m: Status(str(runs.status[i, 0])) for i, m in enumerate(names)}
    half_times = HalfTimes.from_clock(plan.order, clock, status, float(runs.lag[0]))
    later, share = columns[0]
    if shorter.changes:
        half_times = waited(half_times, later, shorter)
    found = {m: float(sizes[i]) if status[m] is Status.REACHED else math.nan for i, m in enumerate(names)}
    return half_times, found, share
