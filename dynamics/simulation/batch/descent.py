"""Gradient descent of a batch, equations (14), (15): the same steps that each network alone would take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from derivations import SolveError
from dynamics.simulation.batch.members import DIVERGED, NO_PATHS, Batch, HalfTimeRecord, Member, Runs
from dynamics.simulation.system import Path


def run(
    members: Sequence[Member],
    learning_rate: float | np.ndarray,
    *,
    t_end: float = math.inf,
    max_steps: int | np.ndarray = 200_000,
    settle: bool | np.ndarray = False,
    progress: Callable[[int, int], None] | None = None,
    paths: Mapping[int, Path] = NO_PATHS,
) -> Runs:
    """Descend with all members until each has learned what it can; half-times are linear within a step.

    paths : place of a member -> where its states, as the kernel has them, are to be kept
    settle : which members go on until their loss has settled: steps that are too long never do, they diverge or hit the
        budget

    Raises
    ------
    SolveError
        When a learning rate that is too large makes weights diverge.
    """
    batch = Batch(members)
    kernel, count, everyone = batch.kernel, batch.count, np.arange(batch.count)
    rates = np.broadcast_to(np.asarray(learning_rate, dtype=float), (count,)).copy()
    state = kernel.pack([m.weights for m in members])
    moved, begin = kernel.velocity(state)
    shares, total, record = batch.shares(begin, everyone), begin, HalfTimeRecord(batch, members, begin, moved)
    most = np.broadcast_to(DIVERGED * np.maximum(1.0, np.max(np.abs(batch.optimum), axis=(0, 1))), (count,))
    restless = np.broadcast_to(np.asarray(settle, dtype=bool), (count,))
    last_steps = np.minimum(np.floor(t_end / rates + 1e-9), max_steps)
    last, ended, settled = begin.copy(), np.zeros(count, dtype=int), np.zeros(count, dtype=bool)
    ids, slope, step, evaluations = everyone, kernel.slope(everyone), 0, 1
    watched = np.zeros(count, dtype=bool)
    for i, path in paths.items():
        path.restart(state[:, i])
        watched[i] = True
    while True:
        settled[ids] = record.finished(ids, total, restless) | batch.at_rest(state, moved, total, ids)
        through = settled[ids] | (step >= last_steps[ids])
        if np.any(through):
            last[..., ids[through]], ended[ids[through]] = total[..., through], step
            kept = ~through
            ids, state, moved, shares = ids[kept], state[:, kept], moved[:, kept], shares[:, kept]
            slope = kernel.slope(ids)
            if progress is not None:
                progress(count - len(ids), count)
        if not len(ids):
            break
        with np.errstate(over="ignore", invalid="ignore"):
            state += rates[ids] * moved
            moved, total = slope(state)
        evaluations += 1
        lost = ~(np.max(np.abs(total), axis=(0, 1)) < most[ids])  # nan too
        if np.any(lost):
            one = int(ids[lost][0])
            where = f"step {step + 1}, {batch.labels[one]}"
            raise SolveError(f"gradient descent diverged at {where}: learning_rate {rates[one]:.3g} is too large")
        after = batch.shares(total, ids)
        m, k = np.nonzero(record.crossed(shares, after, ids))
        theta = -shares[m, k] / (after[m, k] - shares[m, k])
        record.advance(ids, step * rates[ids], rates[ids], m, k, theta)
        shares, step = after, step + 1
        for column in np.flatnonzero(watched[ids]):
            paths[int(ids[column])].pass_by(state[:, column])
    return record.runs(last, ended * rates, ended, settled, evaluations, np.full(count, math.nan))
