"""Data of many inputs seen along few directions, along which training does the same.

From small weights a modality is driven along Sigma_yx_m, at a saddle along its residual there, and what is learned
relaxes: with gains that change slowly its weights are Sigma_yx times a filter of Sigma, of the time that has passed. So
the few directions of modality m are

    Sigma_yx, the residual at each saddle, the regressions, and their images under Sigma, block by block;
    Sigma_yx (Sigma + s)^-1, residual (Sigma + s)^-1, Sigma_yx_m (Sigma_m + s)^-1

for some shifts s between the ends of Sigma's spectrum (a polynomial and a rational Krylov space). Saddles are held
exactly; images and shifts are added until half-times of the reduced flow agree. What a random first layer does across
the directions is left out; it is of the order of u0/sqrt(width) of what is learned. Where Sigma is singular the
directions are the range of each Sigma_m instead: the same flow, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from derivations.critical.saddles import Course
from dynamics.problem import Problem
from dynamics.provenance import origin_of
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.reduced_system import reduced_run
from dynamics.simulation.widening import times_apart
from dynamics.starts.weights import along_axes, checked_weights, start_norms

MANY = 100  # inputs from which on it pays
PAYS = 0.7  # share of the inputs above which it does not
IMAGES = 2  # rounds of images under Sigma, one at each level but the first
SHIFTS = ((0.3, 0.7), (0.1, 0.5, 0.9), (0.2, 0.4, 0.6, 0.8), tuple(i / 20 for i in range(1, 20, 2)))
LUCKY = 10.0  # times that a gap between two runs may be too small by chance
SAFE = 10.0  # calibrated on 60 random problems, of which 6.0 was the worst; shown on others in benchmarks/INPUTS.md
CLOSE = 1e-3  # error of half-times at which no more shifts are tried
FINE = 3e-2  # error above which all inputs are run
ROUGH = 5e-2  # error that will do for what scatters by more: random starts, resampled rows, what to change
LOOSE = 1e-7  # relative tolerance of the runs that are compared
RANGE = 1e-12  # share of the largest eigenvalue of Sigma_m below which a direction is none
CUT = 1e-8  # singular values of normalised columns below this share add no direction
STEPS = 5000


@dataclass(frozen=True, eq=False)
class Narrowed:
    """Data along few directions, the error in half-times that this leaves, and what to say of it.

    rough : along fewer still, with a larger error
    """

    data: Correlations
    whole: Correlations
    error: float
    note: str
    rough: Narrowed | None = None

    def along(self, network: FusionNetwork, weights: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Given weights of all inputs as these act along the directions."""
        if weights is None:
            return None
        return along_axes(self.data, checked_weights(network, self.whole, weights))

    def widened(self, run: Trajectory) -> Trajectory:
        """A run on them with total weights of all inputs, without what a random start has across the directions."""
        axes = self.data.axes
        assert axes is not None
        total = {m: np.ascontiguousarray(w @ axes[m].T) for m, w in run.total.items()}
        plateaus = {m: np.atleast_1d(w) @ axes[m].T for m, w in run.plateaus.items()}
        monitors = {**run.monitors, "inputs": self.error}
        origin = {**run.provenance, **origin_of(self.whole)}
        return replace(run, total=total, plateaus=plateaus, monitors=monitors, provenance=origin)


def narrowed(problem: Problem, u0: float | Mapping[str, float] | None) -> Narrowed | None:
    """The data along the directions that count; None where there are few inputs, or all of them count.

    Half-times are compared from an aligned start of norm u0; without a u0 only what is exact is left out.
    """
    network, data = problem.network, problem.data
    if data.axes is not None or len(data.sigma) < MANY:
        return None
    norms = None if u0 is None else start_norms(network, u0)
    key = ("narrowed", network, problem.terms, None if norms is None else tuple(norms.items()))
    if key not in data.kept:
        data.kept[key] = _in_range(data) if data.is_singular else norms and _compared(problem, norms)
    found: Narrowed | None = data.kept[key]
    return found


def few_inputs(problem: Problem, u0: float | Mapping[str, float]) -> Problem:
    """The problem along the fewest directions that leave an error of ROUGH, or as it is."""
    narrow = narrowed(problem, u0)
    return problem if narrow is None else problem.on((narrow.rough or narrow).data)


def _in_range(data: Correlations) -> Narrowed | None:
    axes = {}
    for m in data.modalities:
        values, vectors = np.linalg.eigh(data.input_block(m, m))
        axes[m] = vectors[:, values > RANGE * max(values[-1], 0.0)]
        if not axes[m].shape[1]:
            axes[m] = vectors[:, -1:]
    count = sum(axis.shape[1] for axis in axes.values())
    if count > (PAYS + 1) / 2 * len(data.sigma):
        return None
    note = f"{len(data.sigma)} inputs of rank {count} are run along the {count} directions in which they vary"
    return Narrowed(data.projected(axes), data, 0.0, note)


def _compared(problem: Problem, norms: Mapping[str, float]) -> Narrowed | None:
    data, space = problem.data, _Space(problem.course(norms, {}))
    tried, gaps = list[tuple[Correlations, Trajectory]](), list[float]()
    for level in range(len(SHIFTS)):
        axes = space.wider(level)
        if sum(axis.shape[1] for axis in axes.values()) > PAYS * len(data.sigma) or (gaps and _error(gaps) <= CLOSE):
            break
        try:
            here = data.projected(axes)
            tried.append((here, reduced_run(problem.on(here), norms, rtol=LOOSE, max_steps=STEPS)))
        except (DomainError, SolveError):
            return None
        gaps += [times_apart(tried[-2][1], tried[-1][1])] if len(tried) > 1 else []
    error = _error(gaps)
    if error > FINE:
        return None
    apart = [error + times_apart(run, tried[-1][1]) for _, run in tried[:-1]] + [error]
    few = next(i for i, gap in enumerate(apart) if gap <= max(error, ROUGH))
    rough = _told(tried[few][0], data, apart[few])
    return replace(_told(tried[-1][0], data, error), rough=rough)


def _told(here: Correlations, data: Correlations, error: float) -> Narrowed:
    told = f"{len(data.sigma)} inputs are run along {len(here.sigma)} directions"
    return Narrowed(here, data, error, f"{told}, which moves half-times by {error:.1g}")


def _error(gaps: list[float]) -> float:
    """Of the last of some runs: SAFE times the gap to the run before, or a tenth of the gap before that."""
    return max(SAFE * gaps[-1], SAFE / LUCKY * gaps[-2], 10 * LOOSE) if len(gaps) > 1 else math.inf


class _Space:
    """The directions of one course."""

    def __init__(self, plan: Course) -> None:
        data = self.data = plan.data
        self.names, target = data.modalities, np.atleast_2d(data.sigma_yx)
        rests = [data.regression(data.modalities), *(data.regression((m,)) for m in data.modalities)]
        rests += [saddle.total for saddle in plan.saddles]
        self.rests = [np.hstack([total[m] for m in self.names]) for total in rests]
        left = [target - total @ data.sigma for total in self.rests]
        self.driven = np.vstack(
            [target, *(row for row in left if np.linalg.norm(row) > RANGE * np.linalg.norm(target))]
        )
        self.whole = data.eigen
        self.parts = {m: np.linalg.eigh(data.input_block(m, m)) for m in self.names}
        rows = np.vstack([self.driven, *self.rests])
        self.axes = {m: _basis([rows[:, data.span(m)].T]) for m in self.names}
        rows = np.vstack([target, *self.rests])
        self.images = {m: _basis([rows[:, data.span(m)].T]) for m in self.names}

    def wider(self, level: int) -> dict[str, np.ndarray]:
        """Axes with the images and the shifts of this level, and of those before, which it needs to be called for.

        SHIFTS stand between the largest eigenvalue of Sigma, 0, and the smallest, 1, in logarithms.
        """
        values = self.whole[0]
        largest, smallest = values[-1], max(values[0], RANGE * values[-1])
        data = self.data
        if 0 < level <= IMAGES:
            images = {m: [data.input_block(m, n) @ self.images[n] for n in self.names] for m in self.names}
            self.images = {m: _basis([self.images[m], *images[m]]) for m in self.names}
        columns = {m: [self.axes[m], self.images[m]] for m in self.names}
        for shift in (largest * (smallest / largest) ** place for place in SHIFTS[level]):
            filtered = _filtered(self.driven, *self.whole, shift)
            for m in self.names:
                own = _filtered(self.data.target_block(m), *self.parts[m], shift)
                columns[m] += [filtered[:, self.data.span(m)].T, own.T]
        self.axes = {m: _basis(parts) for m, parts in columns.items()}
        return self.axes


def _filtered(rows: np.ndarray, values: np.ndarray, vectors: np.ndarray, shift: float) -> np.ndarray:
    """rows (Sigma + shift)^-1."""
    return np.asarray((rows @ vectors / (np.maximum(values, 0.0) + shift)) @ vectors.T)


def _basis(columns: list[Any]) -> np.ndarray:
    """Orthonormal columns of the span."""
    joined = np.hstack(columns)
    sizes = np.linalg.norm(joined, axis=0)
    joined = joined[:, sizes > 0] / sizes[sizes > 0]
    if not joined.shape[1]:
        return np.eye(len(joined))[:, :1]  # nothing drives it: one direction, which rests
    left, values, _ = np.linalg.svd(joined, full_matrices=False)
    return np.asarray(left[:, values > CUT * values[0]])
