"""Predict: every road to the half-times, and the one that is spoken of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from derivations.critical import preference
from dynamics.checks import checked_integer
from dynamics.prediction.cautions import close_calls, disagreements, first_by_inputs, refuse_large_start, upset
from dynamics.prediction.estimates import Estimate, Missing, Road, leading_estimate, reduced_estimate
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.refined import ensemble_estimate, refined_aligned, refined_from, refined_typical, refined_wide
from dynamics.problem import Problem
from dynamics.starts.initializations import start_of
from dynamics.starts.start import Start, StartKind, aligned_start, random_start
from dynamics.starts.weights import WIDEST, checked_weights, random_weights

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
) -> Prediction:
    """Predict order, half-times, unimodal phase and misattribution.

    Without a width the start is aligned and balanced, and the source is the reduced flow, exact for that start; where
    such a start never learns a modality that a random start does learn (the sign of a scalar residual flips), it is
    the law of a random start. With a width the start is random, and the source is the law of random starts.

    Parameters
    ----------
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm
    width : hidden units: `refined` is the typical network of a random start, its bound five deviations over seeds
    seed : with a width: `refined` is the law from the weights of that start (late fusion, scalar inputs)
    seeds : with a width: n for 0..n-1, or a list: `ensemble` simulates these
    weights : chain name -> [(out, in), ...], instead of u0, width and seed: the law from these weights

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
    problem = Problem.of(network, data)
    if weights is not None:
        given = [name for name, value in (("width", width), ("seed", seed), ("seeds", seeds)) if value is not None]
        if given:
            raise DomainError(f"weights are a start: {given[0]} says another one")
        u0 = start_of(network, data, weights).u0
    elif width is None and (seed is not None or seeds is not None):
        raise DomainError(f"{'seed' if seed is not None else 'seeds'} goes with a width")
    width = None if width is None else checked_integer(width, "width", 1, WIDEST)
    seed = None if seed is None else checked_integer(seed, "seed", 0)
    aligned, start = aligned_start(problem, u0), random_start(problem, u0, width, seed or 0)
    is_random = width is not None or weights is not None
    refuse_large_start(start)
    reduced, leading = reduced_estimate(aligned), leading_estimate(start)
    lost = [m for m in aligned.course.never if m not in start.course.never]
    if weights is not None:
        layers = checked_weights(network, data, weights)
        refined = _tried(lambda: refined_from(replace(start, kind=StartKind.GIVEN), layers, "given start"))
    elif width is not None:
        refined = _of_seed(start) if seed is not None else _tried(lambda: refined_typical(start))
    else:
        refined = _tried(lambda: refined_wide(start) if lost else refined_aligned(aligned))
    found: dict[Road, Estimate | Missing] = {Road.LEADING: leading, Road.REFINED: refined, Road.REDUCED: reduced}
    if seeds is not None:
        found[Road.ENSEMBLE] = ensemble_estimate(start, seeds)
    estimates = {road: e for road, e in found.items() if isinstance(e, Estimate)}
    source = _source(estimates, is_random, bool(lost))
    warnings = [
        *data.warnings,
        *(start.course.tie_notes or close_calls(start)),
        *upset(start),
        *_notes(reduced, leading),
    ]
    if lost:
        warnings.append(
            f"an aligned balanced start never learns {', '.join(lost)} (its weight keeps its sign); a random start does"
        )
    if width is not None:
        warnings += first_by_inputs(start)
    if isinstance(refined, Missing) and is_random:
        shown = "nothing" if source is None else SHOWN[source]
        warnings.append(f"no law of this random start: {refined.reason}; the times shown are of {shown}")
    if source is None:
        reasons = "; ".join(e.reason for e in (reduced, leading) if isinstance(e, Missing))
        raise DomainError(f"no estimate exists here: {reasons}; see integrate")
    warnings += start.course.reasons
    deep = max(network.path_depths.values()) > 2 and not network.is_early_fusion
    if source is Road.REDUCED and deep and not is_random:
        warnings.append(
            "these times hold for an aligned start: at depth > 2 a random one is slower, by a factor that grows with "
            "the width (several at width 100); give a width"
        )
    warnings += disagreements(estimates, data)
    worth, tie, chosen = preference.contribution(data), start.course.tie, estimates[source]
    alike = network.is_early_fusion or len(data.modalities) == 1
    return Prediction(
        network,
        u0,
        tie,
        source,
        preference.misattribution(data),
        {m: data.column_names(m) for m in data.modalities},
        worth,
        None if alike else preference.superficial(chosen.order, worth, tie),
        tuple(dict.fromkeys(warnings)),
        *(estimates.get(road) for road in Road),
    )


def _tried(road: Callable[[], Estimate]) -> Estimate | Missing:
    try:
        return road()
    except (DomainError, SolveError) as error:
        return Missing(Road.REFINED, str(error))


def _of_seed(start: Start) -> Estimate | Missing:
    """From the weights of one random start, else from the typical network of its width."""
    problem, norms, width, seed = start.problem, start.norms, start.width, start.seed
    assert width is not None
    assert seed is not None
    try:
        layers = random_weights(problem.network, problem.data, norms, width, seed)
        return refined_from(start, layers, f"random start, width {width}, seed {seed}")
    except DomainError as error:
        typical = _tried(lambda: refined_typical(start))
        return Missing(Road.REFINED, str(error)) if isinstance(typical, Missing) else typical
    except SolveError as error:
        return Missing(Road.REFINED, str(error))


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
