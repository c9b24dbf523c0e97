"""Prediction: who is learned first, when, for how long alone, and what is wrong meanwhile."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations import preference
from derivations.correlations import Correlations, require_problem
from derivations.errors import DomainError, SolveError
from derivations.network import FusionNetwork
from derivations.saddles import Course, aligned_signs, course
from dynamics.cautions import close_calls, disagreements, first_by_inputs, refuse_large_start, upset
from dynamics.estimates import Estimate, leading_estimate, reduced_estimate
from dynamics.half_times import Status
from dynamics.refined import ensemble_estimate, refined_aligned, refined_from, refined_typical, refined_wide
from dynamics.starts import start_of
from dynamics.tables import Table, from_log, number, percent, printed
from dynamics.weights import WIDEST, checked_integer, checked_positive, checked_weights, random_weights, start_norms

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@printed
@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The answer, by several roads side by side.

    order : modalities in the order of leaving zero
    tie : the first two leave zero together, so that the order means nothing
    source : the estimate that times, status, ratio and lag come from
    misattribution : modality -> unimodal minus global weights
    columns : modality -> names of its inputs, in the order of `misattribution`
    contribution : modality -> Sigma_yx_m Sigma_m^-1 Sigma_yx_m^T
    superficial : whether the first modality is not the one that contributes most, (10); None on a tie and
        in early fusion
    leading : the paper's law, with sign and rotation; leading order
    refined : next order from an aligned start, or the law of random starts
    reduced : the reduced flow, exact for an aligned start
    ensemble : medians of simulated random starts (`.runs` has all of them), on request
    """

    network: FusionNetwork
    u0: float | Mapping[str, float]
    order: tuple[str, ...]
    tie: bool
    source: str
    misattribution: Mapping[str, np.ndarray]
    columns: Mapping[str, tuple[str, ...]]
    contribution: Mapping[str, float]
    superficial: bool | None
    warnings: tuple[str, ...]
    leading: Estimate | None
    refined: Estimate | None
    reduced: Estimate | None
    ensemble: Estimate | None = None

    @property
    def estimate(self) -> Estimate:
        """The estimate named by `source`."""
        return getattr(self, self.source)  # type: ignore[no-any-return]

    @property
    def times(self) -> dict[str, float]:
        return self.estimate.times

    @property
    def log_times(self) -> Mapping[str, float]:
        return self.estimate.log_times

    @property
    def status(self) -> Mapping[str, Status]:
        return self.estimate.status

    @property
    def ratio(self) -> float:
        return self.estimate.ratio

    @property
    def lag(self) -> float:
        return self.estimate.lag

    @property
    def log_excess(self) -> float:
        return self.estimate.log_excess

    @property
    def table(self) -> Table:
        """Half-times (of weights and of output) by each road, with an estimate of the error that it leaves."""
        return self._table(None)

    def in_steps(self, learning_rate: float) -> Table:
        """The table with steps of gradient descent, time / learning_rate, beside the times."""
        return self._table(checked_positive(learning_rate, "learning_rate"))

    def _table(self, learning_rate: float | None) -> Table:
        rows = []
        for name in ("leading", "refined", "reduced", "ensemble"):
            estimate: Estimate | None = getattr(self, name)
            if estimate is None:
                continue
            for m in self.order:
                time = estimate.times[m]
                steps = [] if learning_rate is None else [number(time / learning_rate)]
                fit = number(estimate.fit_times[m]) if estimate.fit_times else ""
                ratio = number(estimate.ratio) if m == self.order[0] else ""
                cells = [
                    from_log(estimate.log_times[m]),
                    *steps,
                    fit,
                    percent(estimate.bound[m]),
                    ratio,
                    estimate.assumes,
                    estimate.kind.value,
                ]
                rows.append((name, m, estimate.status[m].value, *cells))
        steps = [] if learning_rate is None else ["steps"]
        head = (
            "road",
            "modality",
            "status",
            "half-time [tau]",
            *steps,
            "half-output [tau]",
            "est. error",
            "ratio",
            "start",
            "kind",
        )
        return Table(self._title(), head, tuple(rows), tuple(self._notes()))

    def _title(self) -> str:
        norms = self.u0
        scale = ", ".join(f"{m} {v:g}" for m, v in norms.items()) if isinstance(norms, Mapping) else f"{norms:g}"
        branches = ", ".join(f"{m} {d}" for m, d in self.network.depths.items())
        return f"Layers before fusion: {branches}; after it: {self.network.trunk.depth}. u0 = {scale}"

    def _notes(self) -> list[str]:
        first, notes = self.order[0], [self.answer]
        for m, reason in self.estimate.reasons.items():
            notes.append(f"{m} is never learned: {reason}.")
        if self.superficial is not None:
            most = max(self.contribution, key=lambda m: self.contribution[m])
            worth = ", ".join(f"{m} {number(v, 3)}" for m, v in self.contribution.items())
            verdict = "Superficial preference" if self.superficial else "No superficial preference"
            notes.append(f"{verdict}: {first} is learned first, {most} alone explains most of <y^2> ({worth}).")
        if not self.network.is_early_fusion:
            shares = np.ravel(self.misattribution[first])
            outputs = len(shares) // len(self.columns[first])
            names = [n if outputs == 1 else f"{n} on output {i}" for i in range(outputs) for n in self.columns[first]]
            wrong = ", ".join(f"{name} {number(float(v), 3)}" for name, v in zip(names, shares, strict=True))
            notes.append(f"Misattribution while {first} is alone (its weights minus the global ones): {wrong}")
        return notes + [f"Warning: {w}" for w in self.warnings]

    @property
    def answer(self) -> str:
        """One sentence: who, when, and how long alone."""
        times, status, fits = self.times, self.status, self.estimate.fit_times
        at = {m: from_log(log_time) for m, log_time in self.log_times.items()}
        origin = f"[{self.source}, {self.estimate.assumes}]"
        first = self.order[0]
        half_outputs = ", ".join(f"{m} {number(fits[m])}" for m in self.order) if fits else ""
        if self.network.is_early_fusion:
            outputs = f"; half of the output of {half_outputs}" if fits else ""
            return f"Early fusion: no state with a single modality is visited{outputs} {origin}."
        if self.tie:
            both = ", ".join(f"{m} {number(times[m])}" for m in self.order)
            return f"{first} and {self.order[1]} leave zero together; half-times: {both} {origin}."
        in_order = sorted(self.order, key=lambda m: times[m]) == list(self.order)
        if len(self.order) > 1 and in_order and all(s is Status.REACHED for s in status.values()):
            later = ", ".join(f"{m} at {at[m]}" for m in self.order[1:])
            alone = self.lag if len(self.order) == 2 else times[self.order[1]] - times[first]
            excess = from_log(self.log_excess, 2)
            times_later = f"{number(self.ratio)} times" if self.log_excess > math.log(1e-2) else f"1 + {excess} times"
            return (
                f"{first} is learned first, at {at[first]}, then {later} ({times_later} as late); "
                f"{first} is alone for {number(alone)} tau {origin}."
            )
        parts = [f"{m} {number(times[m])}" if math.isfinite(times[m]) else f"{m} {status[m].value}" for m in self.order]
        outputs = f" Half of its output is there at: {half_outputs}." if fits else ""
        return f"{first} leaves zero first.{outputs} Half of its weights at: {', '.join(parts)} {origin}."

    def plot(self) -> Axes:
        """Half-times by each road, with the estimated error as bars."""
        from dynamics.figures.predictions import draw
        from dynamics.figures.style import only

        return only(draw(self))

    def to_dict(self) -> dict[str, Any]:
        """What `predict --json` prints: infinite times as "inf", unreached ones as "not reached", nan as None."""
        return {
            "order": list(self.order),
            **self.estimate.half_times.to_dict(),
            "source": self.source,
            "superficial": self.superficial,
            "misattribution": {m: np.ravel(v).tolist() for m, v in self.misattribution.items()},
            "columns": {m: list(names) for m, names in self.columns.items()},
            "contribution": dict(self.contribution),
            "warnings": list(self.warnings),
            "leading": self.leading and self.leading.to_dict(),
            "refined": self.refined and self.refined.to_dict(),
            "reduced": self.reduced and self.reduced.to_dict(),
            "ensemble": self.ensemble and self.ensemble.to_dict(),
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


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
        raise DomainError("a prediction needs numbers in sigma and sigma_yx, got symbols; see derivations.timescales")
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


SHOWN = {
    "leading": "the leading law, whose start is another one",
    "reduced": "an aligned start",
    "ensemble": "the simulated starts",
    "": "nothing",
}


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
