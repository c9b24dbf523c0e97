"""Gradient flow of a batch: own step size, own method, half-times by dense output, own end.

A trajectory goes by Dormand and Prince's method until it is stiff: a learned modality relaxes so much faster than the
next one grows that stability, not accuracy, sets its step. Then the linearly implicit method takes over. Trajectories
that have finished leave the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from derivations import DomainError
from dynamics.simulation.batch.kernel import Kernel, Slope
from dynamics.simulation.batch.members import NO_PATHS, OUT_OF_RANGE, Batch, HalfTimeRecord, Member, Runs
from dynamics.simulation.batch.steppers import STABLE, Step, dormand_prince, rosenbrock
from dynamics.simulation.system import Path

FLOOR = 1e-3  # absolute tolerance: this share of rtol times the size of an entry at the start
STIFF_STEPS = 12  # steps at the edge of stability after which a trajectory changes to the implicit method
CALM = 6.0  # |lambda| h below which it does not pay: after as many such steps it changes back
SAFETY, LEAST, MOST = 0.9, 0.2, 6.0  # factors of the step-size control
ROOT = 1e-13  # accuracy of a half-time as a share of a plateau


@dataclass
class _Live:
    """The trajectories that still run: every array has them in its last axis."""

    ids: np.ndarray
    y: np.ndarray
    slope: np.ndarray
    total: np.ndarray
    shares: np.ndarray
    h: np.ndarray
    t: np.ndarray
    work: np.ndarray  # integral of |velocity|^2
    rtol: np.ndarray
    atol: np.ndarray
    stiff: np.ndarray
    edge: np.ndarray  # steps in a row that speak for the other method
    patience: np.ndarray  # how many of them are needed to become stiff
    steps: np.ndarray

    def keep(self, chosen: np.ndarray) -> None:
        for name, value in vars(self).items():
            setattr(self, name, value[..., chosen])


def run(
    members: Sequence[Member],
    *,
    rtol: float | np.ndarray = 1e-6,
    t_end: float = math.inf,
    settle: bool = False,
    max_steps: int = 100_000,
    progress: Callable[[int, int], None] | None = None,
    paths: Mapping[int, Path] = NO_PATHS,
) -> Runs:
    """Integrate all members until each has learned what it can.

    Parameters
    ----------
    members : of one architecture and one set of sizes; widths may differ
    rtol : relative tolerance, one for all or (N,)
    t_end, max_steps : where a trajectory ends at the latest; what it has not learned by then is `not reached`
    settle : go on until the excess loss is next to nothing of its start (`excess_left`)
    progress : called with the number that has finished and the number of all
    paths : place of a member -> where its states, as the kernel has them, are to be kept
    """
    batch = Batch(members)
    kernel, count, ids = batch.kernel, batch.count, np.arange(batch.count)
    start = kernel.pack([m.weights for m in members])
    with np.errstate(over="ignore", invalid="ignore"):
        slope, total = kernel.velocity(start)
        excess = batch.excess(total, ids)
    if not (np.all(np.isfinite(slope)) and np.all(np.isfinite(excess))):
        raise DomainError(OUT_OF_RANGE)
    record, settling = HalfTimeRecord(batch, members, total, slope), np.full(count, settle)
    tolerance = np.broadcast_to(np.asarray(rtol, dtype=float), (count,)).copy()
    live = _Live(
        ids=ids,
        y=start.copy(),
        slope=slope,
        total=total.copy(),
        shares=batch.shares(total, ids),
        h=_first_steps(start, slope),
        t=np.zeros(count),
        work=np.zeros(count),
        rtol=tolerance,
        atol=FLOOR * tolerance * _smallest(kernel, start),
        stiff=np.zeros(count, dtype=bool),
        edge=np.zeros(count, dtype=int),
        patience=np.full(count, STIFF_STEPS),
        steps=np.zeros(count, dtype=int),
    )
    final, last, ended = start.copy(), total.copy(), np.zeros(count)
    work, steps, evaluations = np.zeros(count), np.zeros(count, dtype=int), 1
    slopes: dict[bytes, Slope] = {}
    watched = np.zeros(count, dtype=bool)
    for i, path in paths.items():
        path.restart(start[:, i])
        watched[i] = True
    settled = record.finished(ids, total, settling)
    finished = settled.copy()
    while True:
        if np.any(finished):
            gone = live.ids[finished]
            final[:, gone], last[..., gone] = live.y[:, finished], live.total[..., finished]
            ended[gone], work[gone], steps[gone] = live.t[finished], live.work[finished], live.steps[finished]
            live.keep(~finished)
            slopes.clear()
            if progress is not None:
                progress(count - len(live.ids), count)
        if not len(live.ids):
            break
        for stiff in (False, True):
            columns = np.flatnonzero(live.stiff == stiff)
            if len(columns):
                key = columns.tobytes()
                if key not in slopes:
                    slopes[key] = kernel.slope(live.ids[columns])
                with np.errstate(over="ignore", invalid="ignore"):  # a step that overflows is tried again, shorter
                    evaluations += _advance(record, live, columns, stiff, slopes[key], t_end)
        for column in np.flatnonzero(watched[live.ids]):
            paths[int(live.ids[column])].pass_by(live.y[:, column])
        settled[live.ids] = record.finished(live.ids, live.total, settling)
        if batch.rest is not None:
            settled[live.ids] |= batch.at_rest(live.y, live.slope, live.total, live.ids)
        finished = settled[live.ids] | (live.t >= t_end) | (live.steps >= max_steps)
    decayed = batch.decay_energy(start) - batch.decay_energy(final)
    drift = kernel.drift(start, final, batch.balance_kept(ended))
    known = None if kernel.kept is not None else work  # modulation does not go down the loss
    return record.runs(last, ended, steps, settled, evaluations, drift, known, decayed)


def _smallest(kernel: Kernel, y: np.ndarray) -> np.ndarray:
    """Size of an entry of the smallest layer that is not zero, (N,)."""
    belongs = kernel.belongs()
    counts = belongs @ (y != 0)  # zeros may fill up
    sizes = np.sqrt(belongs @ y**2 / np.maximum(counts, 1))
    smallest = np.min(np.where(counts > 0, sizes, math.inf), axis=0)
    return np.where(np.isfinite(smallest), smallest, 1.0)


def _first_steps(y: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """A hundredth of the time in which the weights would change by their own size; the control takes it from there."""
    unit = np.ldexp(0.5, np.frexp(np.max(np.abs(slope), axis=0))[1])  # a power of two: squares stay in range
    size, speed = np.linalg.norm(y, axis=0), np.linalg.norm(slope / unit, axis=0)
    return np.where(speed > 0, 0.01 * size / np.where(speed > 0, speed, 1.0) / unit, 1.0)


def _advance(record: HalfTimeRecord, live: _Live, columns: np.ndarray, stiff: bool, slope: Slope, t_end: float) -> int:
    """One trial step of some trajectories by one of the methods; returns the number of evaluations."""
    batch = record.batch
    alone = len(columns) == len(live.ids)  # the only method in use: nothing is copied
    y, first = (live.y, live.slope) if alone else (live.y[:, columns], live.slope[:, columns])
    h = np.minimum(live.h[columns], t_end - live.t[columns])
    if stiff:
        kernel = batch.kernel
        step = rosenbrock(slope, y, first, h, kernel.sensitivity(y), kernel.metric(live.ids[columns]))
        spent, order = 5, 3
        elsewhere = step.stiffness < CALM
    else:
        step, spent, order = dormand_prince(slope, y, first, h), 6, 5
        elsewhere = step.stiffness > 0.8 * STABLE
    scale = np.maximum(np.abs(y), np.abs(step.end))
    scale *= live.rtol[columns]
    scale += live.atol[columns]
    error = np.divide(step.error, scale, out=scale)
    error = np.sqrt(np.einsum("nm,nm->m", error, error) / len(error))
    error = np.where(np.isfinite(error), error, math.inf)
    fine = error <= 1
    factor = np.clip(SAFETY * np.maximum(error, 1e-10) ** (-1 / order), LEAST, MOST)
    live.h[columns] = h * np.where(fine, factor, np.minimum(factor, SAFETY))
    live.steps[columns] += 1
    good, kept = columns[fine], np.flatnonzero(fine)
    if not len(good):
        return spent
    ids = live.ids[good]
    shares = batch.shares(step.other if len(kept) == len(columns) else step.other[..., kept], ids)
    m, k = np.nonzero(record.crossed(live.shares[:, good], shares, ids))
    theta = _roots(batch, step, kept[k], ids[k], m, live.shares[m, good[k]], shares[m, k]) if len(m) else np.empty(0)
    record.advance(ids, live.t[good], h[kept], m, k, theta)
    if alone and len(good) == len(columns):
        live.y, live.slope, live.total, live.shares = step.end, step.last, step.other, shares
    else:
        live.y[:, good], live.slope[:, good] = step.end[:, kept], step.last[:, kept]
        live.total[..., good], live.shares[:, good] = step.other[..., kept], shares
    live.t[good] += h[kept]
    live.work[good] += step.squared[kept]
    live.edge[good] = np.where(elsewhere[kept], live.edge[good] + 1, 0)
    changing = good[live.edge[good] >= (STIFF_STEPS if stiff else live.patience[good])]
    live.stiff[changing], live.edge[changing] = not stiff, 0
    if stiff:
        live.patience[changing] *= 4
    return spent


def _roots(
    batch: Batch,
    step: Step,
    columns: np.ndarray,
    ids: np.ndarray,
    m: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
) -> np.ndarray:
    """Where in the step modality m[i] of its column columns[i] passes half: regula falsi with Illinois' halving."""
    low, high, f_low, f_high = np.zeros(len(m)), np.ones(len(m)), before.copy(), after.copy()
    rows, side, theta = np.arange(len(m)), np.zeros(len(m)), np.ones(len(m))
    for _ in range(100):
        theta = np.where(f_high > 0, high - f_high * (high - low) / (f_high - f_low), high)
        value = batch.shares(batch.kernel.total(step.at(columns, theta)), ids)[m, rows]
        if np.all((np.abs(value) < ROOT) | (high - low < ROOT)):
            break
        up = value >= 0
        f_low = np.where(up, np.where(side == 1, f_low / 2, f_low), value)
        f_high = np.where(up, value, np.where(side == -1, f_high / 2, f_high))
        high, low, side = np.where(up, theta, high), np.where(up, low, theta), np.where(up, 1, -1)
    return theta
