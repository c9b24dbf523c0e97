"""The runs behind a stopping time: of the rows left, by the road of the prediction, and of each modality alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from dynamics.checks import checked_integer, checked_seconds
from dynamics.data.held_out import HeldOut, held_out
from dynamics.prediction.by_run import predicted_by_run
from dynamics.prediction.estimates import Road
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.stopping import Stopping, Stoppings, packed_of
from dynamics.prediction.typical_runs import typical_course
from dynamics.problem import Problem
from dynamics.recipe import MODULATED, Recipe
from dynamics.runs.half_times import Status
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.asked import as_asked
from dynamics.simulation.flow import integrate
from dynamics.simulation.narrowed import narrowed
from dynamics.simulation.reduced import reduced_flow
from dynamics.starts.recipes import trained
from dynamics.starts.start import StartKind, random_start
from dynamics.starts.weights import start_norms

WIDE = 100  # units of a random start that stands for a wide one
RTOL, EXCESS, MOST_STEPS = 1e-6, 1e-4, 1500  # of the runs; test errors to 1e-5, seconds where inputs are collinear
QUICK = 30  # inputs of a random start up to which modalities are run alone beside it
FEWEST = 2  # splits that are run whatever they take
SHORT = "the run ends at t = {:.4g}, some way past the last half-time: what training does later is not in it"


def stopping_of(
    prediction: Prediction, split: HeldOut, width: int | None, seed: int | None, weights: Mapping[str, Any] | None
) -> Stopping:
    """By the run of the source: given weights and single seeds as they are, else the typical random or aligned start.

    Parameters
    ----------
    prediction : of the rows left, from this width, seed or these weights

    Raises
    ------
    DomainError
        For another loss than the squared one, and where no run stands behind the prediction.
    """
    network, recipe, left, notes = prediction.network, prediction.recipe, split.left, list[str]()
    require_squared(recipe)
    run = prediction.estimate.run
    if recipe.is_run_alone and run is not None:
        notes.append(SHORT.format(run.t[-1]))
    elif weights is not None or seed is not None:
        start: dict[str, Any] = {"weights": weights} if weights is not None else {"width": width, "seed": seed}
        run = integrate(network, left, u0=prediction.u0, recipe=recipe, **start)
    elif run is None and prediction.source is Road.ENSEMBLE and prediction.refined is not None:
        run = prediction.refined.run
    if run is None:
        is_random = prediction.estimate.start is StartKind.RANDOM
        width = WIDE if width is None and is_random else width
        run = typical_run(network, left, prediction.u0, width, recipe)
    if prediction.estimate.run is not run:  # its own warnings are not among those of the prediction
        notes += [w for w in run.warnings if w not in prediction.warnings]
    is_plain = not recipe.ingredients and len(left.modalities) > 1 and prediction.source is not Road.ENSEMBLE
    is_plain &= width is None or len(left.sigma) <= QUICK
    alone = _alone(network, split, prediction.u0, width) if is_plain else {}
    return Stopping.of(run, split, alone, notes)


def stopping_over(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float],
    width: int | None,
    recipe: Recipe,
    share: float = 0.2,
    splits: int = 10,
    seconds: float = math.inf,
    progress: Callable[[str], None] = lambda _: None,
) -> Stoppings:
    """The same for rows drawn with the seeds 0, 1, ...: of a typical random start, or aligned without a width.

    Parameters
    ----------
    share : of the rows that each split holds out
    seconds : after which no more are begun, once there are FEWEST
    """
    splits, until = checked_integer(splits, "splits", 1), time.monotonic() + checked_seconds(seconds)
    require_squared(recipe)
    found = []
    for k in range(splits):
        if k >= FEWEST and time.monotonic() > until:
            break
        progress(f"split {k + 1} of {splits}")
        split = held_out(data, share, k)
        if recipe.is_run_alone:
            run = predicted_by_run(network, split.left, u0, width, recipe).estimate.run
            assert run is not None
        else:
            run = typical_run(network, split.left, u0, width, recipe)
        found.append(Stopping.of(run, split))
    return Stoppings(tuple(found), share)


def require_squared(recipe: Recipe) -> None:
    """Refuse other losses, whose runs stop where half-times are known."""
    if recipe.has_labels or recipe.has_classes:
        raise DomainError(f"loss = {recipe.loss} is not known to holdout: test errors are of the squared loss")


def typical_run(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None, recipe: Recipe
) -> Trajectory:
    """Of the typical random start of a width; of the aligned one without a width, or one too narrow for the inputs.

    Two layers in late fusion, one output: the aligned start that grows alike, for a fraction of the work.
    """
    asked = trained(network, data, u0, recipe, MODULATED, "a run of held-out rows")
    if width is not None and set(network.depths.values()) == {2} and not network.trunk.depth and data.outputs == 1:
        return as_asked(asked, reduced_flow(asked.problem, _growing_alike(asked.problem, asked.u0), rtol=RTOL))
    if width is None or width < sum(data.sizes.values()) + data.outputs:
        return as_asked(asked, reduced_flow(asked.problem, asked.u0, rtol=RTOL))
    narrow = narrowed(asked.problem, asked.u0)
    here = asked.problem if narrow is None else asked.problem.on(narrow.data)
    run = typical_course(random_start(here, asked.u0, width), width, rtol=RTOL, excess=EXCESS, max_steps=MOST_STEPS)
    return as_asked(asked, run if narrow is None else narrow.widened(run))


def _growing_alike(problem: Problem, u0: float | Mapping[str, float]) -> dict[str, float]:
    """Norms of an aligned start of two layers whose modes grow from where those of a random one do, in the mean square.

    What grows of each of h hidden units is half the sum of its weights along Sigma_yx and out, of variances u0^2/(h d)
    and u0^2/h: over all units (u0/2)^2 (1 + 1/d); with one input u0/sqrt(2), as in (127).
    """
    norms = start_norms(problem.network, u0)
    return {m: norms[m] / 2 * math.sqrt(1 + 1 / d) for m, d in problem.data.drawn_sizes.items()}


def _alone(
    network: FusionNetwork, split: HeldOut, u0: float | Mapping[str, float], width: int | None
) -> dict[str, float]:
    """Modality -> lowest test error of a network of its path alone; left out where nothing of it is learned."""
    norms, found = start_norms(network, u0), {}
    for m in split.left.modalities:
        left = split.left
        own = Correlations(left.input_block(m, m), left.target_block(m), {m: left.sizes[m]}, left.sigma_yy)
        with suppress(DomainError, SolveError):
            one = FusionNetwork.branches({m: network.path_depths[m]})
            run = typical_run(one, own, norms[m], width, Recipe())
            rows = HeldOut(own, {m: split.inputs[m]}, split.targets)
            if run.status[m] is not Status.NEVER:
                found[m] = float(rows.errors(packed_of(own, run)).min())
    return found
