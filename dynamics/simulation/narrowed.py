"""Data of many inputs seen along few directions, along which training does the same.

The flow drives the weights of a modality along Sigma_yx_m and its images under Sigma, and ends at regressions. So the
few directions (`krylov`)

    V_m  >=  Sigma_yx_m,  Sigma_yx_m Sigma_m^-1,  the optimum's,  and  Sigma_mn V_n  for all n, round after round,

hold all but a little of it: saddles exactly, what lies between them better with each round. Rounds are added until
half-times of the reduced flow agree. What a random first layer does across them is left out; it is of the order of
u0/sqrt(width) of what is learned. Where Sigma is singular the directions are the range of each Sigma_m: the same flow.
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
from dynamics.simulation.widening import remainder, times_apart
from dynamics.starts.weights import along_axes, checked_weights, start_norms

MANY = 100  # inputs from which on it pays
PAYS = 0.7  # share of the inputs above which it does not
LEAST = 2  # gaps between rounds that must be known: a single one may be small by chance
CLOSE = 1e-4  # gap between half-times of two rounds at which no further one is tried
ROUGH = 1e-2  # error above which all inputs are run
LOOSE = 1e-7  # relative tolerance of the runs that are compared
RANGE = 1e-12  # share of the largest eigenvalue of Sigma_m below which a direction is none
CUT = 1e-10
STEPS = 5000


@dataclass(frozen=True, eq=False)
class Narrowed:
    """Data along few directions, the error in half-times that this leaves, and what to say of it."""

    data: Correlations
    whole: Correlations
    error: float
    note: str

    def along(self, network: FusionNetwork, weights: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Given weights of all inputs as these act along the directions."""
        if weights is None:
            return None
        return along_axes(self.data, checked_weights(network, self.whole, weights))

    def widened(self, run: Trajectory) -> Trajectory:
        """A run on them with total weights of all inputs."""
        axes = self.data.axes
        assert axes is not None
        total = {m: np.ascontiguousarray(w @ axes[m].T) for m, w in run.total.items()}
        plateaus = {m: np.atleast_1d(w) @ axes[m].T for m, w in run.plateaus.items()}
        monitors = {**run.monitors, "inputs": self.error}
        origin = {**run.provenance, **origin_of(self.whole)}
        return replace(run, total=total, plateaus=plateaus, monitors=monitors, provenance=origin)


def narrowed(network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float] | None) -> Narrowed | None:
    """The data along the directions that count; None where there are few inputs, or all of them count.

    Half-times are compared from an aligned start of norm u0; without a u0 only what is exact is left out.
    """
    if data.is_symbolic or data.axes is not None or len(data.sigma) < MANY:
        return None
    norms = None if u0 is None else start_norms(network, u0)
    key = ("narrowed", network, None if norms is None else tuple(norms.items()))
    if key not in data.kept:
        data.kept[key] = _in_range(data) if data.is_singular else norms and _compared(network, data, norms)
    found: Narrowed | None = data.kept[key]
    return found


def few_inputs(network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float]) -> Correlations:
    """The data as `narrowed` sees them, or as they are."""
    narrow = narrowed(network, data, u0)
    return data if narrow is None else narrow.data


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


def _compared(network: FusionNetwork, data: Correlations, norms: Mapping[str, float]) -> Narrowed | None:
    from dynamics.simulation.reduced import integrate_reduced

    axes = krylov(Problem.of(network, data).course(norms, {}))
    runs: list[Trajectory] = []
    gaps: list[float] = []
    found: Narrowed | None = None
    while len(gaps) < LEAST or gaps[-1] > CLOSE:
        axes = _further(data, axes)
        if sum(axis.shape[1] for axis in axes.values()) > PAYS * len(data.sigma):
            break
        try:
            here = data.projected(axes)
            runs.append(integrate_reduced(network, here, u0=norms, rtol=LOOSE, max_steps=STEPS))
        except (DomainError, SolveError):
            return None
        gaps += [times_apart(*runs[-2:])] if len(runs) > 1 else []
        error = max(remainder(*gaps[-2:]), 10 * LOOSE) if len(gaps) >= LEAST else math.inf
        if error <= ROUGH:
            told = f"{len(data.sigma)} inputs are run along {len(here.sigma)} directions"
            found = Narrowed(here, data, error, f"{told}, which moves half-times by {error:.1g}")
    return found


def krylov(plan: Course) -> dict[str, np.ndarray]:
    """Modality -> (inputs, k): what drives it first, and where it may come to rest."""
    data = plan.data
    rests = [data.regression(data.modalities), *({m: data.regression((m,))[m]} for m in data.modalities)]
    rests += [saddle.total for saddle in plan.saddles]
    return {
        m: _basis([data.target_block(m).T, *(total[m].T for total in rests if m in total)]) for m in data.modalities
    }


def _further(data: Correlations, axes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {m: _basis([axes[m], *(data.input_block(m, n) @ axes[n] for n in data.modalities)]) for m in data.modalities}


def _basis(columns: list[Any]) -> np.ndarray:
    """Orthonormal columns of the span."""
    joined = np.hstack(columns)
    sizes = np.linalg.norm(joined, axis=0)
    joined = joined[:, sizes > 0] / sizes[sizes > 0]
    if not joined.shape[1]:
        return np.eye(len(joined))[:, :1]  # nothing drives it: one direction, which rests
    left, values, _ = np.linalg.svd(joined, full_matrices=False)
    return np.asarray(left[:, values > CUT * values[0]])
