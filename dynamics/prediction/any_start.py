"""Two layers from a named initialisation of any size, from small weights (rich) to large ones (lazy).

Total weights and two squares of the layers say all of two layers (156). Their means over draws make the typical run of
an initialisation: exact as the width grows and the weights shrink. At PyTorch's own size the output at the start is of
order one at any width and differs from seed to seed, so that there is no one answer: starts are drawn and run, and
what is told is their distribution. From large weights the squares hardly change: the lazy limit is a regression by
gradient descent, `lazy_times`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import brentq

from derivations import Correlations, DomainError, FusionNetwork
from derivations.critical import preference
from derivations.critical.saddles import Course
from derivations.network import layer_shapes
from dynamics.checks import checked_integer, checked_positive
from dynamics.prediction.estimates import Estimate, Kind, Road
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.refined import medians
from dynamics.prediction.words import SURE
from dynamics.problem import Problem
from dynamics.runs.half_times import Status
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.ensembles import checked_seeds, from_starts
from dynamics.simulation.march import march
from dynamics.simulation.system import System
from dynamics.simulation.two_layers import Closed, require_two_layers, typical_squares
from dynamics.starts.initializations import Initialization, checked_initialization, default_start, default_weights
from dynamics.starts.start import Start, given_start

SEEDS = 200  # of which the 5 and 95 % quantiles cover 89 % of others in the mean
RTOL, MOST_STEPS = 1e-7, 20_000
DRAWN = "times are medians of {} drawn starts; .ensemble.runs has all of them, .quantile(q) among them"


def predicted_from(
    network: FusionNetwork,
    data: Correlations,
    init: str | Initialization,
    scale: float,
    width: int | None,
    seeds: int | Sequence[int] | None,
) -> Prediction:
    """The answer for an initialisation times `scale`: medians of drawn starts, and beside them the typical run.

    Raises
    ------
    DomainError
        Beyond two layers, on an unknown initialisation, or a scale that is not positive.
    """
    problem, kind = Problem.of(network, data), checked_initialization(init)
    require_two_layers(network)
    scale, width = checked_positive(scale, "scale"), checked_integer(100 if width is None else width, "width", 1)
    chosen = checked_seeds(SEEDS if seeds is None else seeds)
    starts = drawn_starts(problem, kind, scale, width, chosen)
    plan, told = starts[0].course, f"{kind} start x {scale:g}, width {width}"
    runs = from_starts(starts, chosen)
    ensemble = medians(runs, told, plan)
    typical = typical_from(problem, plan, kind, scale, width)
    reached = [m for m in data.modalities if typical.status[m] is Status.REACHED]
    refined = Estimate(
        "typical squares, (156)", Kind.HEURISTIC, ensemble.start, told, typical.half_times,
        {m: math.inf if m in reached else math.nan for m in data.modalities}, typical.reasons, ("156",),
        typical.weight_times, spread=ensemble.spread, odds=ensemble.odds, run=typical,
    )  # fmt: skip
    norms = {name: scale * norm for name, norm in default_start(network, data, kind, width).u0.items()}
    worth, power = preference.contribution(data), float(np.trace(np.atleast_2d(data.sigma_yy)))
    together = len(data.modalities) > 1 and max(ensemble.odds.values(), default=1.0) < SURE
    alike = network.is_early_fusion or len(data.modalities) == 1
    return Prediction(
        network,
        norms,
        Road.ENSEMBLE,
        together,
        preference.misattribution(data),
        {m: data.column_names(m) for m in data.modalities},
        worth,
        {m: value / power if power > 0 else math.nan for m, value in worth.items()},
        None if alike else preference.superficial(ensemble.order, worth, together),
        tuple(dict.fromkeys((*data.warnings, *runs.warnings))),
        (DRAWN.format(len(chosen)),),
        None,
        refined,
        None,
        ensemble,
    )


def drawn_starts(problem: Problem, init: Initialization, scale: float, width: int, seeds: Sequence[int]) -> list[Start]:
    """A start for each seed, all along the course of their norms in the mean."""
    network, data = problem.network, problem.data
    layers = _norms(network, data, init, scale, width)
    norms = {m: math.sqrt(np.mean(np.square(layers[m]))) for m in network.modalities}
    found = []
    for seed in seeds:
        weights = default_weights(network, data, init, width, seed)
        scaled = {name: [scale * w for w in layers] for name, layers in weights.items()}
        start = replace(given_start(problem, scaled), norms=norms, signs={}, width=width, seed=seed)
        origin = {"start": f"{init} x {scale:g}", "u0": norms, "width": width}
        found.append(replace(start, origin=origin))
    return found


def _norms(
    network: FusionNetwork, data: Correlations, init: Initialization, scale: float, width: int
) -> dict[str, list[float]]:
    """Chain -> norm of each layer, in the mean square over draws."""
    shapes = layer_shapes(network, data.drawn_sizes, data.outputs, width)
    return {
        name: [scale * math.sqrt(out * into * init.variance(out, into)) for out, into in layers]
        for name, layers in shapes.items()
    }


def typical_from(problem: Problem, plan: Course, init: Initialization, scale: float, width: int) -> Trajectory:
    """The flow of the mean squares."""
    network, data = problem.network, problem.data
    norms = _norms(network, data, init, scale, width)
    parts = typical_squares(network, data.sizes, data.outputs, norms)
    flow = Closed(parts, lambda totals: _errors(data, totals))
    smallest = min(float(np.min(np.diag(array))) for one in parts for array in (one.inner, one.outer))
    system = System(
        lambda state: (flow.velocity(0.0, state), plan.drives),
        lambda state: np.hstack([flow.totals(state)[m] for m in data.modalities]),
        flow.start, np.full(len(flow.start), 1e-3 * RTOL * smallest),
    )  # fmt: skip
    origin = {"producer": "typical squares", "start": f"{init} x {scale:g}", "network": str(network), "width": width}
    return march(system, plan, rtol=RTOL, max_steps=MOST_STEPS, provenance=origin, warnings=data.warnings)[0]


def _errors(data: Correlations, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    packed = np.hstack([totals[m] for m in data.modalities])
    wrong = np.atleast_2d(data.sigma_yx) - packed @ data.sigma
    return {m: wrong[:, data.span(m)] for m in data.modalities}


def lazy_times(data: Correlations, plan: Course, paces: Mapping[str, float]) -> dict[str, float]:
    """Half-times where the squares do not change: dW_m/dt = pace_m e_m, a linear regression by gradient descent.

    Parameters
    ----------
    paces : modality -> sum of the eigenvalues of M and a that move it, h (v_1 + v_2) of an even start
    """
    root = np.sqrt(np.concatenate([np.full(data.sizes[m], paces[m]) for m in data.modalities]))
    values, vectors = np.linalg.eigh(root[:, None] * data.sigma * root)
    drive = np.atleast_2d(data.sigma_yx) * root @ vectors

    def total(t: float) -> np.ndarray:
        x = values * t
        grown = np.where(x > 1e-12, -np.expm1(-x) / np.where(values > 0, values, 1.0), t)
        return np.asarray(drive * grown @ vectors.T * root)

    found = {}
    for m in data.modalities:
        end = 1.0 / values[-1]
        while plan.past_half(m, total(end)) < 0 and end * values[-1] < 1e15:
            end *= 2
        reached = plan.past_half(m, total(end)) >= 0
        found[m] = float(brentq(lambda t, m=m: plan.past_half(m, total(t)), 0.0, end)) if reached else math.inf
    return found


def refuse_others(given: Mapping[str, Any]) -> None:
    """An initialisation is a start: what says another one, or how else to train, is not known here."""
    for name, value in given.items():
        if value is not None:
            raise DomainError(f"init is a start of its own, trained by gradient flow: {name} does not go with it")
