"""Predict: every road to the half-times, and the one that is spoken of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from derivations.critical import preference
from derivations.critical.saddles import Course
from dynamics.checks import checked_integer
from dynamics.data.held_out import Holdout, held_out
from dynamics.prediction.cautions import (
    close_calls,
    disagreements,
    first_by_inputs,
    in_steps,
    is_large,
    refuse_large_start,
    refuse_silent,
    upset,
)
from dynamics.prediction.estimates import Estimate, Kind, Missing, Road, leading_estimate, reduced_estimate
from dynamics.prediction.laws.modulated import slides
from dynamics.prediction.order_odds import CLEAR, order_probability
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.refined import ensemble_estimate, refined_aligned, refined_from, refined_typical, refined_wide
from dynamics.prediction.stopping_runs import require_squared, stopping_of
from dynamics.prediction.typical_runs import MOST_WEIGHED, is_small
from dynamics.prediction.words import SURE
from dynamics.problem import Problem
from dynamics.recipe import MODULATED, Recipe, checked_recipe
from dynamics.runs.half_times import Status
from dynamics.runs.plateaus import as_told, follows
from dynamics.simulation.asked import as_asked
from dynamics.simulation.descent import doubts_of_rate
from dynamics.simulation.narrowed import FINE, MANY, Narrowed, few_inputs, narrowed
from dynamics.starts.initializations import start_of
from dynamics.starts.recipes import trained
from dynamics.starts.start import Start, StartKind, aligned_start, random_start
from dynamics.starts.weights import WIDEST, along_axes, checked_weights, plain_norms, random_weights

RIVALS = 2.0  # ratio of half-times below which one that leaves zero later is not first for sure
SEVERAL = 9  # random starts that are simulated where no law of them is known
UNWEIGHED = "how often each modality is first over random starts is left out, it takes minutes: seeds simulate some"
LARGE = "layers of this size are no small start"
ELSEWHERE = "its plateaus are regressions that training does not come to here"
SHOWN = {
    Road.LEADING: "the leading law, whose start is another one",
    Road.REDUCED: "an aligned start",
    Road.ENSEMBLE: "the simulated starts",
}


def predict(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    width: int | None = None,
    seed: int | None = None,
    seeds: int | Sequence[int] | None = None,
    weights: Mapping[str, Any] | None = None,
    recipe: Recipe | None = None,
    init: str | None = None,
    scale: float = 1.0,
    holdout: Holdout | None = None,
    holdout_seed: int | None = None,
) -> Prediction:
    """Predict order, half-times, unimodal phase and misattribution.

    Without a width the start is aligned and balanced, and the source is the reduced flow, exact for that start; where
    such a start never learns a modality that a random start does learn (the sign of a scalar residual flips), it is
    the law of a random start. With a width the start is random, and the source is the law of random starts.

    Parameters
    ----------
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm
    width : hidden units: `refined` is the typical network of a random start, its bound five deviations over seeds,
        close orders of learning, too
    seed : with a width: `refined` is the law from the weights of that start (late fusion, scalar inputs); elsewhere
        that start is simulated, which a warning says, and is the source as `ensemble`
    seeds : with a width: n for 0..n-1, or a list: `ensemble` simulates these
    weights : chain name -> [(out, in), ...], instead of u0, width and seed: the law from these weights
    recipe : how it is trained; a road that does not know an ingredient is left out, and says so
    init, scale : "pytorch", "kaiming", "xavier" or "lecun" times a factor, instead of u0: two layers from a start of
        any size, by gradient flow. The source is `ensemble`, medians of `seeds` starts drawn (200, width 100), for such
        a start has no one answer; `refined` is the typical run of the initialisation (156)

    Raises
    ------
    DomainError
        When u0^L is at or above half of a plateau, or no estimate exists.

    Examples
    --------
    >>> p = predict(FusionNetwork.fused_at(4, 3), Correlations.scalar(2, 1, 0.5), u0=1e-2)
    >>> p.order, str(p.source), round(p.ratio, 3), round(p.leading.ratio, 3)
    (('A', 'B'), 'reduced', 1.093, 1.095)
    >>> p = predict(FusionNetwork.fused_at(4, 3), Correlations.scalar(2, 1, 0.5), u0=1e-2, width=100)
    >>> str(p.source), round(p.ratio, 3), round(p.refined.spread["A"], 2)
    ('refined', 1.063, 0.08)
    """
    Problem.of(network, data)
    if holdout is not None:
        require_squared(checked_recipe(recipe))
        split = held_out(data, holdout, holdout_seed)
        found = predict(
            network, split.left, u0=u0, width=width, seed=seed, seeds=seeds, weights=weights, recipe=recipe, init=init,
            scale=scale,
        )  # fmt: skip
        return replace(found, stopping=stopping_of(found, split, width, seed, weights))
    if holdout_seed is not None:
        raise DomainError("holdout_seed goes with holdout")
    recipe, u0 = checked_recipe(recipe), plain_norms(network, u0)
    if init is not None:
        other = None if u0 == 1e-3 else u0
        trained_so = recipe if recipe.ingredients else None
        from dynamics.prediction.any_start import predicted_from, refuse_others  # imported where it is asked for

        refuse_others({"u0": other, "seed": seed, "weights": weights, "recipe": trained_so})
        return predicted_from(network, data, init, scale, width, seeds)
    if scale != 1:
        raise DomainError(f"scale goes with init, got {scale!r}")
    if weights is not None:
        given = [name for name, value in (("width", width), ("seed", seed), ("seeds", seeds)) if value is not None]
        if given:
            raise DomainError(f"weights are a start: {given[0]} says another one")
        u0 = start_of(network, data, weights).u0  # below in the units of the effective data, as the weights
    elif width is None and (seed is not None or seeds is not None):
        raise DomainError(f"{'seed' if seed is not None else 'seeds'} goes with a width")
    width = None if width is None else checked_integer(width, "width", 1, WIDEST)
    seed = None if seed is None else checked_integer(seed, "seed", 0)
    if recipe.is_run_alone:
        if weights is not None or seed is not None or seeds is not None:
            told = f"optimizer {recipe.optimizer}" if recipe.is_coordinatewise else f"loss {recipe.loss}"
            raise DomainError(f"{told} is predicted from random starts: give u0= and width=, no weights and no seeds")
        from dynamics.prediction.by_run import predicted_by_run

        by_run = predicted_by_run(network, data, u0, width, recipe)
        if recipe.has_labels or recipe.has_classes:
            return by_run
        asked = trained(network, data, u0, recipe, recipe.known, "predict")
        return replace(by_run, misattribution=asked.back(_misattribution(asked.problem, by_run.estimate, {})))
    asked = trained(network, data, u0, recipe, MODULATED, "predict")
    seen, norms = asked.problem.data, asked.u0  # what training sees, and from where it starts in these units
    narrow = narrowed(asked.problem, norms)
    problem = asked.problem if narrow is None else asked.problem.on(narrow.data)
    rough = few_inputs(asked.problem, norms)
    aligned, start = aligned_start(problem, norms), random_start(rough, norms, width, seed or 0)
    refuse_silent(aligned, start)
    is_random = width is not None or weights is not None
    refuse_large_start(start, of_a_draw=weights is None)
    large = is_large(start)
    if large:  # of a random start with a width: its norms are those of no aligned start
        reduced: Estimate | Missing = Missing(Road.REDUCED, LARGE)
        leading: Estimate | Missing = Missing(Road.LEADING, LARGE)
    else:
        reduced, leading = reduced_estimate(aligned), leading_estimate(start)
    lost = [m for m in aligned.course.never if m not in start.course.never]
    if weights is not None:
        layers = along_axes(rough.data, checked_weights(network, seen, asked.weights(weights) or {}))
        refined = _tried(lambda: refined_from(replace(start, kind=StartKind.GIVEN), layers, "given start"))
    elif width is None:
        refined = _tried(lambda: refined_wide(start) if lost else refined_aligned(aligned))
    elif large and seed is not None:
        refined = Missing(Road.REFINED, LARGE)
    else:
        refined = _tried(lambda: _with_odds(start) if seed is None else _of_seed(start))
    run = next((e.run for e in (refined, reduced) if isinstance(e, Estimate) and e.run is not None), None)
    expected = aligned.course if run is not None and run.provenance["start"] == "aligned" else start.course
    strays = run is not None and not follows(expected, run)
    if strays:
        leading = Missing(Road.LEADING, f"no leading law: {ELSEWHERE}")
        if isinstance(refined, Estimate) and refined.run is None:
            refined = Missing(Road.REFINED, ELSEWHERE)
    roads: dict[Road, Estimate | Missing] = {Road.LEADING: leading, Road.REFINED: refined, Road.REDUCED: reduced}
    warnings, remarks = [*data.warnings], [*data.notes, *_notes(leading)]
    warnings += [f"{LARGE}: the times are of a typical draw, without a bound"] if large else []
    if recipe.learning_rate is not None:
        warnings += doubts_of_rate(asked.problem, norms, recipe.learning_rate)
    if width is not None and seed is None and isinstance(refined, Missing) and seeds is None and narrow is not None:
        seeds = SEVERAL  # more directions than the typical network of this width can hold
        warnings.append(f"no law of random starts here ({refined.reason}): the times are medians of {SEVERAL} of them")
    if seed is not None and isinstance(refined, Missing) and seeds is None:
        seeds, stands = [seed], f"the times are those of seed {seed}, simulated"
        warnings.append(f"no law of a single seed here ({refined.reason}): {stands}")
    if seeds is not None:
        roads[Road.ENSEMBLE] = ensemble_estimate(start, seeds)
    wrong_from = {road: _told_of(e, narrow) for road, e in roads.items() if isinstance(e, Estimate)}
    estimates = {road: e if e.run is None else replace(e, run=as_asked(asked, e.run)) for road, e in wrong_from.items()}
    if narrow is not None:
        remarks.append(narrow.note)
    elif len(data.sigma) >= MANY and data.axes is None:
        remarks.append(f"all {len(data.sigma)} inputs are run: no few directions hold what they do to {FINE:.0%}")
    source = _source(estimates, is_random, bool(lost))
    if source is None:
        reasons = "; ".join(e.reason for e in (reduced, leading) if isinstance(e, Missing))
        hint = "with a width one may exist" if width is None and weights is None else "see integrate"
        raise DomainError(f"no estimate exists here: {reasons}; {hint}")
    chosen = estimates[source]
    if source is Road.LEADING and isinstance(reduced, Missing) and not network.is_early_fusion:
        warnings.append(f"{reduced.reason}: give a width")
    if strays:
        warnings.append("half of an output is of where this training comes to, which is no regression here")
    warnings += _notes(reduced) if source is Road.REDUCED else chosen.notes if source is Road.REFINED else []
    if lost:
        told = (
            f"an aligned balanced start never learns {', '.join(lost)} (its weight keeps its sign); a random start does"
        )
        remarks.append(told)
    if isinstance(refined, Missing) and is_random and seed is None:
        warnings.append(f"no law of this random start: {refined.reason}; the times shown are of {SHOWN[source]}")
    deep = max(network.path_depths.values()) > 2 and not network.is_early_fusion
    if source is Road.REDUCED and deep and not is_random:
        warnings.append(
            "these times are of an aligned start; at depth > 2 a random one is slower, the wider the more: give a width"
        )
    remarks += [*close_calls(start), *upset(start), *(first_by_inputs(start) if width is not None else [])]
    remarks += [] if source is Road.REDUCED else _notes(reduced)
    remarks += disagreements(estimates)
    remarks += asked.notes
    wrong = asked.back(_misattribution(asked.problem, wrong_from[source], wrong_from))
    worth = preference.contribution(data)
    together = start.course.tie or slides(asked.problem) or _together(chosen)
    power = float(np.trace(np.atleast_2d(data.sigma_yy)))
    if recipe.learning_rate is not None:
        estimates, said = in_steps(start, estimates, source, asked.notes, recipe.learning_rate)
        warnings += said
    alike = network.is_early_fusion or len(data.modalities) == 1
    return Prediction(
        network,
        u0,
        source,
        together,
        wrong,
        {m: data.column_names(m) for m in data.modalities},
        worth,
        {m: value / power if power > 0 else math.nan for m, value in worth.items()},
        None if alike else preference.superficial(chosen.order, worth, together),
        tuple(dict.fromkeys(warnings)),
        tuple(dict.fromkeys(w for w in remarks if w not in warnings)),
        estimates.get(Road.LEADING),
        estimates.get(Road.REFINED),
        estimates.get(Road.REDUCED),
        estimates.get(Road.ENSEMBLE),
        asked.recipe,
    )


def _together(estimate: Estimate) -> bool:
    """Whether the order of the first two is open.

    By the odds over starts, within the bounds of their times, or since the second has left zero before the first.
    """
    learned = [m for m in estimate.order if estimate.status[m] is Status.REACHED]
    if len(learned) < 2:
        return False
    one, other = learned[:2]
    leaves_first = next(m for m in estimate.half_times.race if m in learned)
    if leaves_first != one and estimate.times[other] < RIVALS * estimate.times[one]:
        return True  # each would be first by the other's ruler
    if estimate.odds:
        return max(estimate.odds.values()) < SURE
    both = len(learned) == len(estimate.order) == 2
    lag = estimate.lag if both else estimate.times[other] - estimate.times[one]
    if estimate.kind is Kind.ASYMPTOTIC:  # its lag is known better than its times, and the order is the race's
        return not lag > 0
    return not lag > sum(estimate.times[m] * estimate.bound[m] for m in (one, other))


def _misattribution(problem: Problem, estimate: Estimate, estimates: Mapping[Road, Estimate]) -> dict[str, np.ndarray]:
    """Unimodal minus global weights; where training does not come to the regressions, what a run has instead."""
    data = problem.data
    if problem.terms.decay:
        plan = problem.course(dict.fromkeys(data.modalities, 1.0), {})
        end = plan.resting(data.modalities)
        rows: Any = 0 if data.outputs == 1 else slice(None)
        return {m: (plan.resting((m,))[m] - end[m])[rows] for m in data.modalities}
    others = (estimates[road].run for road in (Road.REFINED, Road.REDUCED) if road in estimates)
    run = estimate.run or next((run for run in others if run is not None), None)
    if run is None or not data.is_collinear:
        return preference.misattribution(data)
    found = {}
    for m in data.modalities:
        end = run.total[m][-1]
        own = m == estimate.order[0] and m in run.plateaus and not np.array_equal(run.plateaus[m], end)
        found[m] = (run.plateaus[m] if own else data.unimodal(m)) - end
    return found


def _told_of(estimate: Estimate, narrow: Narrowed | None) -> Estimate:
    """With what few directions of many inputs leave out in its bounds, and the run of all inputs."""
    if narrow is None:
        return estimate
    narrow = narrow if estimate.start is StartKind.ALIGNED else narrow.rough or narrow
    run = None if estimate.run is None else narrow.widened(estimate.run)
    return replace(estimate, run=run, bound={m: bound + narrow.error for m, bound in estimate.bound.items()})


def _tried(road: Callable[[], Estimate]) -> Estimate | Missing:
    try:
        return road()
    except (DomainError, SolveError) as error:
        return Missing(Road.REFINED, str(error))


def _with_odds(start: Start) -> Estimate:
    """The typical network of a width, and who is first over its seeds."""
    found = refined_typical(start)
    odds: Mapping[str, float] = {}
    if _is_clear(found):  # the difference scatters by the sum of the two spreads at most
        odds = {m: float(m == found.order[0]) for m in start.problem.data.modalities}
    elif len(found.order) > 1 and start.problem.data.outputs > 1 and not _is_weighed(start):
        return replace(found, notes=(*found.notes, UNWEIGHED))
    elif len(found.order) > 1:
        with suppress(DomainError, SolveError):
            odds = order_probability(replace(start, own_course=_along(start, found)))
    return replace(found, odds=odds)


def _is_weighed(start: Start) -> bool:
    assert start.width is not None
    return is_small(start, start.width, MOST_WEIGHED)


def _is_clear(found: Estimate) -> bool:
    """Whether the first is before all others by more than CLEAR deviations."""
    first, spread, logs = found.order[0], found.spread, found.log_times
    if len(found.order) < 2 or found.status[first] is not Status.REACHED:
        return False
    return all(logs[m] - logs[first] > CLEAR * (spread[m] + spread[first]) for m in found.order[1:] if m in spread)


def _along(start: Start, found: Estimate) -> Course:
    return start.course if found.run is None else as_told(start.course, found.run.plateaus, found.run.reasons)


def _of_seed(start: Start) -> Estimate:
    """From the weights of one random start."""
    problem, width, seed = start.problem, start.width, start.seed
    assert width is not None
    assert seed is not None
    layers = random_weights(problem.network, problem.data, start.norms, width, seed)
    return refined_from(start, layers, f"random start, width {width}, seed {seed}")


def _notes(*found: Estimate | Missing) -> list[str]:
    return [note for e in found for note in ((e.reason,) if isinstance(e, Missing) else e.notes)]


def _source(estimates: Mapping[Road, Estimate], is_random: bool, lost: bool) -> Road | None:
    """The estimate that a prediction speaks of."""
    if Road.REFINED in estimates and (is_random or lost):
        return Road.REFINED
    if Road.ENSEMBLE in estimates:
        return Road.ENSEMBLE
    if Road.LEADING in estimates and (Road.REDUCED not in estimates or lost):
        return Road.LEADING
    return next((road for road in (Road.REDUCED, Road.REFINED) if road in estimates), None)
