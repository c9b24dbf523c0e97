"""Predict: every road to the half-times, and the one that is spoken of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from derivations.correlations import Correlations, require_problem
from derivations.critical import preference
from derivations.critical.saddles import Course, aligned_signs, course
from derivations.errors import DomainError, SolveError
from derivations.network import FusionNetwork
from dynamics.checks import checked_integer
from dynamics.prediction.cautions import close_calls, disagreements, first_by_inputs, refuse_large_start, upset
from dynamics.prediction.estimates import Estimate, leading_estimate, reduced_estimate
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.refined import ensemble_estimate, refined_aligned, refined_from, refined_typical, refined_wide
from dynamics.starts.initializations import start_of
from dynamics.starts.weights import WIDEST, checked_weights, random_weights, start_norms

SHOWN = {
    "leading": "the leading law, whose start is another one",
    "reduced": "an aligned start",
    "ensemble": "the simulated starts",
    "": "nothing",
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
    >>> p.order, p.source, round(p.ratio, 3), round(p.leading.ratio, 3)
    (('A', 'B'), 'reduced', 1.093, 1.095)
    >>> p = predict(FusionNetwork.fused_at(4, 3), Correlations.scalar(2, 1, 0.5), u0=1e-2, width=100)
    >>> p.source, round(p.ratio, 3), round(p.refined.spread["A"], 2)
    ('refined', 1.063, 0.08)
    """
    require_problem(network, data)
    if data.is_symbolic:
        raise DomainError("a prediction needs numbers in sigma and sigma_yx, got symbols; see derivations.times.signed")
    if weights is not None:
        given = [name for name, value in (("width", width), ("seed", seed), ("seeds", seeds)) if value is not None]
        if given:
            raise DomainError(f"weights are a start: {given[0]} says another one")
        u0 = start_of(network, data, weights).u0
    elif width is None and (seed is not None or seeds is not None):
        raise DomainError(f"{'seed' if seed is not None else 'seeds'} goes with a width")
    width = None if width is None else checked_integer(width, "width", 1, WIDEST)
    seed = None if seed is None else checked_integer(seed, "seed", 0)
    norms = start_norms(network, u0)
    leaf_norms = {m: norms[m] for m in data.modalities}
    random_course = course(network, data, leaf_norms, {})
    signs = aligned_signs(network, data)
    aligned_course = course(network, data, leaf_norms, signs)
    refuse_large_start(network, data, norms, random_course)
    warnings = list(data.warnings)
    if random_course.tie:
        warnings += [w for w in random_course.remarks if "equally fast" in w]
    else:
        warnings += close_calls(network, data, norms, random_course)
    warnings += upset(network, data, norms, random_course)
    reduced = reduced_estimate(network, data, u0, aligned_course, warnings)
    leading = leading_estimate(network, data, norms, random_course, warnings)
    lost = [m for m in aligned_course.never if m not in random_course.never]
    if lost:
        warnings.append(
            f"an aligned balanced start never learns {', '.join(lost)} (its weight keeps its sign); a random start does"
        )
    start = _Start(network, data, u0, norms, width, seed, weights, aligned_course, random_course, bool(lost))
    refined, missing = _refined(start)
    simulated = None
    if seeds is not None and width is not None:
        simulated = ensemble_estimate(network, data, u0, width, seeds, random_course)
    if width is not None and weights is None:
        warnings += first_by_inputs(network, data, norms, width, random_course)
    is_random = width is not None or weights is not None
    source = _source(leading, refined, reduced, simulated, is_random, bool(lost))
    if refined is None and is_random:
        warnings.append(f"no law of this random start: {missing}; the times shown are of {SHOWN[source]}")
    warnings += random_course.reasons
    if not source:
        reasons = "; ".join(w for w in warnings if w.startswith(("no reduced flow", "no leading law")))
        raise DomainError(f"no estimate exists here: {reasons}; see integrate")
    deep = max(network.path_depths.values()) > 2 and not network.is_early_fusion
    if source == "reduced" and deep and not is_random:
        warnings.append(
            "these times hold for an aligned start: at depth > 2 a random one is slower, by a factor that grows with "
            "the width (several at width 100); give a width"
        )
    estimates = {"leading": leading, "refined": refined, "reduced": reduced, "ensemble": simulated}
    warnings += disagreements({name: e for name, e in estimates.items() if e is not None}, data)
    chosen = estimates[source]
    order = chosen.order if chosen is not None else random_course.order
    worth = preference.contribution(data)
    return Prediction(
        network,
        u0,
        order,
        random_course.tie,
        source,
        preference.misattribution(data),
        {m: data.column_names(m) for m in data.modalities},
        worth,
        None
        if network.is_early_fusion or len(data.modalities) == 1
        else preference.superficial(order, worth, random_course.tie),
        tuple(dict.fromkeys(warnings)),
        leading,
        refined,
        reduced,
        simulated,
    )


@dataclass(frozen=True, eq=False)
class _Start:
    """What a prediction starts from."""

    network: FusionNetwork
    data: Correlations
    u0: float | Mapping[str, float]
    norms: Mapping[str, float]
    width: int | None
    seed: int | None
    weights: Mapping[str, Any] | None
    aligned: Course
    random: Course
    lost: bool


def _refined(s: _Start) -> tuple[Estimate | None, str]:
    """The refined estimate of a start, or why there is none."""
    missing = ""
    try:
        if s.weights is not None:
            layers = checked_weights(s.network, s.data, s.weights)
            return refined_from(s.network, s.data, layers, s.random, "given start"), ""
        if s.width is None:
            if s.lost:
                return refined_wide(s.network, s.data, s.norms, s.random), ""
            return refined_aligned(s.network, s.data, s.norms, s.aligned), ""
        if s.seed is not None:
            layers = random_weights(s.network, s.data, s.u0, s.width, s.seed)
            try:
                start = f"random start, width {s.width}, seed {s.seed}"
                return refined_from(s.network, s.data, layers, s.random, start), ""
            except DomainError as error:
                missing = str(error)
        return refined_typical(s.network, s.data, s.u0, s.width, s.random), ""
    except (DomainError, SolveError) as error:
        return None, missing or str(error)


def _source(
    leading: Estimate | None,
    refined: Estimate | None,
    reduced: Estimate | None,
    simulated: Estimate | None,
    is_random: bool,
    lost: bool,
) -> str:
    """The estimate that a prediction speaks of; empty if there is none."""
    if refined is not None and (is_random or lost):
        return "refined"
    if simulated is not None:
        return "ensemble"
    if leading is not None and (reduced is None or lost):
        return "leading"
    if reduced is not None:
        return "reduced"
    return "refined" if refined is not None else ""
