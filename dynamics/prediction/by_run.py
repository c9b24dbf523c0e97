"""Predictions where a run of as many steps as training is the only road: Adam, momentum, logistic loss."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from derivations.critical import preference
from dynamics.prediction.estimates import Estimate, Kind, Road
from dynamics.prediction.laws.modulated import slides as balanced
from dynamics.prediction.prediction import Prediction
from dynamics.problem import Problem
from dynamics.recipe import CLASSED, HEAVY, LABELLED, Ingredient, Optimizer, Recipe
from dynamics.runs.half_times import HalfTimes, Status, before_it
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.asked import as_asked
from dynamics.simulation.classes import class_flow
from dynamics.simulation.coordinatewise import coordinatewise
from dynamics.simulation.descent import typical_descent
from dynamics.starts.recipes import trained
from dynamics.starts.start import StartKind, random_start

STEPS, SHARE = 3.0, 0.01  # what reduced runs of such optimizers miss, in steps and as a share; see the benchmark
CLOSE = 1.06  # ratio below which the order is open, where no bound says it: ratios of batches and momentum miss that
SCATTER = "how random starts scatter about the typical one is left out"
BY_LOSS = "half of a modality is by the loss of its part alone: weights of separable classes grow for ever"
FITS = "contribution and misattribution are those of the squared loss on the labels"


def predicted_by_run(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None, recipe: Recipe
) -> Prediction:
    """Half-times of the reduced run of a recipe, in units of tau; steps = time / learning rate.

    Raises
    ------
    DomainError
        On an ingredient that goes with none of these runs; of such an optimizer without a width: entries move by the
        learning rate each, so that it counts how many there are.
    """
    of = (
        _classes if recipe.has_classes else _labelled if recipe.has_labels
        else _coordinatewise if recipe.is_coordinatewise else _heavy
    )  # fmt: skip
    run, name, left_out, bounds = of(network, data, u0, width, recipe)
    reached = [m for m in run.order if run.status[m] is Status.REACHED]
    bound = {m: bounds.get(m, math.inf) if m in reached else math.nan for m in data.modalities}
    kind = StartKind.ALIGNED if width is None else StartKind.RANDOM
    assumes = "aligned balanced start" if width is None else f"random start, width {width}"
    estimate = Estimate(
        name, Kind.HEURISTIC, kind, assumes, run.half_times, bound, run.reasons, (), run.weight_times, run=run,
        notes=run.warnings,
    )  # fmt: skip
    slides = balanced(Problem.of(network, data, recipe.terms(network)))
    leading = _leading(network, data, u0, width, recipe, run) if recipe.is_coordinatewise else None
    open_order = slides or run.monitors.get("orders", 1.0) > 1
    together = len(reached) > 1 and (open_order or _overlap(run, bound, *reached[:2]))
    worth = preference.contribution(data)
    power = float(np.trace(np.atleast_2d(data.sigma_yy)))
    alike = len(data.modalities) == 1
    return Prediction(
        network,
        u0,
        Road.REDUCED,
        together,
        preference.misattribution(data),
        {m: data.column_names(m) for m in data.modalities},
        worth,
        {m: value / power if power > 0 else math.nan for m, value in worth.items()},
        None if alike else preference.superficial(run.order, worth, together),
        run.warnings,
        left_out,
        leading,
        None,
        estimate,
        None,
        recipe,
    )


def _overlap(run: Trajectory, bound: Mapping[str, float], one: str, other: str) -> bool:
    """Whether the order of two is open."""
    times = run.times
    if not all(math.isfinite(bound[m]) for m in (one, other)):
        return times[other] < CLOSE * times[one]
    return times[other] - times[one] < bound[one] * times[one] + bound[other] * times[other]


Found = tuple[Trajectory, str, tuple[str, ...], Mapping[str, float]]


def _coordinatewise(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None, recipe: Recipe
) -> Found:
    if width is None:
        raise DomainError(
            f"optimizer {recipe.optimizer} needs a width=, --width: times go by it, for all entries move alike"
        )
    asked = trained(network, data, u0, recipe, recipe.known, f"predict with {recipe.optimizer}")
    rows = None
    if recipe.batch_size is not None and recipe.optimizer is Optimizer.SIGN:
        raise DomainError(f"batch_size = {recipe.batch_size} is not known to predict with sign: see descend")
    if recipe.batch_size is not None:
        if data.samples is None or recipe.unimodal_loss:
            why = "samples, these have none" if data.samples is None else "no unimodal losses"
            raise DomainError(f"batch_size with {recipe.optimizer} needs {why}")
        rows = np.hstack([data.samples.inputs[m] for m in data.modalities]), data.samples.targets[:, 0]
    run = coordinatewise(asked.problem, asked.u0, width, recipe, rows=rows)
    rate = float(recipe.learning_rate or 1.0)
    known = rows is None and not run.monitors["turned"]
    scatter = {m: run.monitors[f"scatter {m}"] for m in data.modalities}
    bound = {m: SHARE + STEPS * rate / t + scatter[m] for m, t in run.times.items() if t > 0} if known else {}
    return as_asked(asked, run), f"reduced {recipe.optimizer}", (), bound


def _leading(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None, recipe: Recipe,
    run: Trajectory,
) -> Estimate | None:  # fmt: skip
    """The law of the entries, in the order that the run has; None where there is none."""
    from dynamics.prediction.laws.adaptive import with_adam  # whose law SymPy keeps: not for every prediction

    asked = trained(network, data, u0, recipe, recipe.known, "predict")
    begin = random_start(asked.problem, asked.u0, width)
    order = tuple(m for m in run.order if m not in run.reasons)
    try:
        times, bound = with_adam(begin, order, recipe, int(width or 1))
    except DomainError:
        return None
    clock, status = before_it(begin.course)
    status |= dict.fromkeys(times, Status.REACHED)
    half_times = HalfTimes.from_clock((*order, *(m for m in run.order if m in run.reasons)), clock | times, status)
    bound |= {m: math.nan for m in data.modalities if m not in times}
    assumes = f"small random start, width {width}"
    return Estimate(
        "equal entries", Kind.ASYMPTOTIC, StartKind.RANDOM, assumes, half_times, bound, run.reasons, ("147", "148")
    )


def _labelled(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None, recipe: Recipe
) -> Found:
    asked = trained(network, data, u0, recipe, LABELLED, "predict with loss = logistic")
    run = typical_descent(asked, width)
    return run, "descent on samples", (FITS,) if width is None else (SCATTER, FITS), {}


def _classes(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None, recipe: Recipe
) -> Found:
    asked = trained(network, data, u0, recipe, CLASSED, "predict with loss = cross_entropy")
    run = class_flow(asked.problem, asked.scaled_samples, asked.u0, width)
    return (
        as_asked(asked, run),
        "cross-entropy flow, (156)",
        (BY_LOSS, FITS) if width is None else (BY_LOSS, SCATTER, FITS),
        {},
    )


def _heavy(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None, recipe: Recipe
) -> Found:
    asked = trained(network, data, u0, recipe, HEAVY - {Ingredient.BATCH_SIZE}, "predict with momentum")
    return typical_descent(asked, width), "descent with momentum", () if width is None else (SCATTER,), {}
