"""Predictions for optimizers that treat each entry by itself: Adam, AdamW, RMSprop."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from derivations.critical import preference
from dynamics.prediction.estimates import Estimate, Kind, Road
from dynamics.prediction.prediction import Prediction
from dynamics.recipe import COORDINATEWISE, Recipe
from dynamics.runs.half_times import Status
from dynamics.simulation.asked import as_asked
from dynamics.simulation.coordinatewise import coordinatewise
from dynamics.starts.recipes import trained
from dynamics.starts.start import StartKind

CLOSE = 1.06  # ratio below which the order is open: what the memory of a start does at three layers and more
LEFT_OUT = "the first few steps, in which a random start comes to equal entries, are left out"


def predicted_coordinatewise(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None, recipe: Recipe
) -> Prediction:
    """The reduced optimizer, run as many steps as training; half-times in units of tau, steps = time / learning rate.

    Raises
    ------
    DomainError
        Without a width: entries move by the learning rate each, so that it counts how many there are.
    """
    if width is None:
        raise DomainError(f"optimizer {recipe.optimizer} needs a width: its entries all move alike, however many")
    asked = trained(network, data, u0, recipe, COORDINATEWISE, f"predict with {recipe.optimizer}")
    run = as_asked(asked, coordinatewise(asked.problem, asked.u0, width, recipe))
    reached = [m for m in run.order if run.status[m] is Status.REACHED]
    bound = {m: math.inf if m in reached else math.nan for m in data.modalities}
    estimate = Estimate(
        f"reduced {recipe.optimizer}", Kind.HEURISTIC, StartKind.RANDOM, f"random start, width {width}", run.half_times,
        bound, run.reasons, (), run.weight_times, run=run, notes=run.warnings,
    )  # fmt: skip
    together = len(reached) > 1 and run.times[reached[1]] < CLOSE * run.times[reached[0]]
    worth = preference.contribution(data)
    power = float(np.trace(np.atleast_2d(data.sigma_yy)))
    alike = len(data.modalities) == 1
    return Prediction(
        network,
        u0,
        Road.REDUCED,
        together,
        asked.back(preference.misattribution(asked.problem.data)),
        {m: data.column_names(m) for m in data.modalities},
        worth,
        {m: value / power if power > 0 else math.nan for m, value in worth.items()},
        None if alike else preference.superficial(run.order, worth, together),
        run.warnings,
        (LEFT_OUT,),
        None,
        None,
        estimate,
        None,
        recipe,
    )
