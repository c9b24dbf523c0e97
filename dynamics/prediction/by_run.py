"""Predictions where a run of as many steps as training is the only road: Adam, AdamW, RMSprop; logistic loss."""

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
from dynamics.recipe import COORDINATEWISE, LABELLED, Recipe
from dynamics.runs.half_times import Status
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.asked import as_asked
from dynamics.simulation.coordinatewise import coordinatewise
from dynamics.simulation.descent import typical_descent
from dynamics.starts.recipes import trained
from dynamics.starts.start import StartKind

CLOSE = 1.06  # ratio below which the order is open: what the memory of a start does at three layers and more
FIRST_STEPS = "the first few steps, in which a random start comes to equal entries, are left out"
SCATTER = "how random starts scatter about the typical one is left out"
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
    run, name, left_out = (_labelled if recipe.has_labels else _coordinatewise)(network, data, u0, width, recipe)
    reached = [m for m in run.order if run.status[m] is Status.REACHED]
    bound = {m: math.inf if m in reached else math.nan for m in data.modalities}
    kind = StartKind.ALIGNED if width is None else StartKind.RANDOM
    assumes = "aligned balanced start" if width is None else f"random start, width {width}"
    estimate = Estimate(
        name, Kind.HEURISTIC, kind, assumes, run.half_times, bound, run.reasons, (), run.weight_times, run=run,
        notes=run.warnings,
    )  # fmt: skip
    slides = recipe.has_labels and balanced(Problem.of(network, data, recipe.terms(network)))
    together = slides or (len(reached) > 1 and run.times[reached[1]] < CLOSE * run.times[reached[0]])
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
        None,
        None,
        estimate,
        None,
        recipe,
    )


Found = tuple[Trajectory, str, tuple[str, ...]]


def _coordinatewise(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None, recipe: Recipe
) -> Found:
    if width is None:
        raise DomainError(f"optimizer {recipe.optimizer} needs a width: its entries all move alike, however many")
    asked = trained(network, data, u0, recipe, COORDINATEWISE, f"predict with {recipe.optimizer}")
    run = as_asked(asked, coordinatewise(asked.problem, asked.u0, width, recipe))
    return run, f"reduced {recipe.optimizer}", (FIRST_STEPS,)


def _labelled(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None, recipe: Recipe
) -> Found:
    asked = trained(network, data, u0, recipe, LABELLED, "predict with loss = logistic")
    run = typical_descent(asked, width)
    return run, "descent on samples", (FITS,) if width is None else (SCATTER, FITS)
