"""The first screen of a prediction with what stands beside it: a random start, the rows, a rescaling."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from derivations import Correlations, DataError, DomainError, SolveError
from dynamics.prediction.confidence import Confidence
from dynamics.prediction.estimates import Road
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.prescribing import together_by
from dynamics.prediction.refined import refined_typical
from dynamics.prediction.resampling import bootstrap
from dynamics.prediction.words import answered
from dynamics.recipe import MODULATED
from dynamics.simulation.descent import doubts_of_rate
from dynamics.starts.recipes import trained
from dynamics.starts.start import random_start
from dynamics.tables import Table

STEPS_AT = 0.01  # a learning rate at which steps stand beside times where none is given
TYPICAL_WIDTH = 100  # of the random start that stands beside an aligned one
QUICK, DRAWS, SECONDS = 30, 200, 4.0  # inputs and seconds up to which more is asked for, draws


def screen(
    prediction: Prediction,
    data: Correlations,
    width: int | None = None,
    learning_rate: float | None = None,
    sure: Confidence | None = None,
    resample: bool = True,
) -> Table:
    """The answer with everything beside it that takes no more than seconds.

    Parameters
    ----------
    width : that the prediction was made with
    learning_rate : of the column of steps; None for STEPS_AT, or no column where that is beyond stable
    sure : a bootstrap that is there already
    resample : else make a small one, where the data have rows and few columns

    Examples
    --------
    >>> from dynamics import FusionNetwork, load_example, predict
    >>> data = load_example("diabetes")
    >>> network = FusionNetwork.fused_at(2, 2, data.modalities)
    >>> print(screen(predict(network, data), data).title)
    serum is learned first, body follows 1.46 times as late; they overlap.
    """
    typical = change = None
    read = tuple(f"Data: {note}" for note in data.notes)
    network, u0, recipe = prediction.network, prediction.u0, prediction.recipe
    if recipe.is_run_alone:
        rate = recipe.learning_rate if learning_rate is None else learning_rate
        found = answered(prediction, learning_rate=rate)
        return replace(found, notes=(*found.notes, *read))
    asked = trained(network, data, u0, recipe, MODULATED, "a prediction")
    several = len(prediction.order) > 1 and not network.is_early_fusion
    if prediction.source is Road.REDUCED:
        with suppress(DomainError, SolveError):
            typical = refined_typical(random_start(asked.problem, asked.u0, TYPICAL_WIDTH), spread=False)
    if several and sure is None and resample and data.samples is not None and len(data.sigma) <= QUICK:
        with suppress(DomainError, DataError, SolveError):
            sure = bootstrap(network, data, u0=u0, draws=DRAWS, recipe=recipe)
    quick = len(data.sigma) <= QUICK
    if (
        len(prediction.order) == 2
        and several
        and quick
        and not prediction.together
        and prediction.estimate.runs is None
    ):
        with suppress(DomainError, SolveError):
            change = together_by(prediction, data, width, SECONDS)
    rate = recipe.learning_rate if learning_rate is None else learning_rate
    left = []
    if rate is None and doubts_of_rate(asked.problem, asked.u0, STEPS_AT):  # no count of steps that would diverge
        left.append(f"no steps beside times: a learning rate of {STEPS_AT} is beyond stable here (--learning-rate)")
    elif rate is None:
        rate = STEPS_AT
    if several and sure is None and resample and data.samples is not None and not quick:
        left.append(f"rows are not resampled for more than {QUICK} inputs (--bootstrap {DRAWS} does)")
    found = answered(prediction, learning_rate=rate, typical=typical, sure=sure, change=change)
    return replace(found, notes=(*found.notes, *left, *read))
