"""Prediction: who is learned first, when, for how long alone, and what is wrong meanwhile."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from derivations import preference
from derivations.correlations import Correlations
from derivations.errors import DomainError
from derivations.network import FusionNetwork
from derivations.saddles import Course, aligned_signs, course
from dynamics.half_times import HalfTimes, Status
from dynamics.tables import Table, number
from dynamics.weights import start_norms

RTOL = 1e-8  # of the reduced flow behind a prediction
SOLVED = 1e-6  # its bound: a hundred times RTOL, checked against 30 digits


class Kind(StrEnum):
    EXACT = "exact"
    ASYMPTOTIC = "asymptotic"


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """Half-times by one road: the equations used, the start assumed, the error left.

    bound : modality -> relative error of its time: an estimate of the neglected terms, or of the solver
    fit_times : modality -> when half of its final output is there (runs only; see Trajectory)
    printed_ratio : what (9), (12) or (57) print, in norms; nan where none applies
    """

    equations: str
    kind: Kind
    assumes: str
    half_times: HalfTimes
    bound: Mapping[str, float]
    reasons: Mapping[str, str]
    fit_times: Mapping[str, float] = field(default_factory=dict)
    printed_ratio: float = math.nan

    @property
    def order(self) -> tuple[str, ...]:
        return self.half_times.order

    @property
    def times(self) -> dict[str, float]:
        return self.half_times.times

    @property
    def log_times(self) -> Mapping[str, float]:
        return self.half_times.log_times

    @property
    def status(self) -> Mapping[str, Status]:
        return self.half_times.status

    @property
    def ratio(self) -> float:
        return self.half_times.ratio

    @property
    def lag(self) -> float:
        return self.half_times.lag

    @property
    def log_excess(self) -> float:
        return self.half_times.log_excess

    def __repr__(self) -> str:
        times = ", ".join(f"{m}: {self.status[m].value}, {number(t)}" for m, t in self.times.items())
        return f"Estimate({self.equations}, {self.assumes}: {times}; ratio {number(self.ratio)})"

    def to_dict(self) -> dict[str, Any]:
        return {
            **_half_times_dict(self.half_times),
            "bound": {m: _finite(v) for m, v in self.bound.items()},
            "assumes": self.assumes,
            "kind": self.kind.value,
            "equations": self.equations,
            "reasons": dict(self.reasons),
            "fit_times": {m: _finite(v) for m, v in self.fit_times.items()},
            "printed_ratio": _finite(self.printed_ratio),
        }


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The answer, by several roads side by side.

    order : modalities in the order of leaving zero
    tie : the first two leave zero together, so that the order means nothing
    source : the estimate that times, status, ratio and lag come from
    misattribution : modality -> unimodal minus global weights
    contribution : modality -> Sigma_yx_m Sigma_m^-1 Sigma_yx_m^T
    superficial : whether the first modality is not the one that contributes most, (10); None on a tie and
        in early fusion
    leading, refined, reduced, ensemble : estimates; None where the road does not exist (or is not built)
    """

    network: FusionNetwork
    u0: float | Mapping[str, float]
    order: tuple[str, ...]
    tie: bool
    source: str
    misattribution: Mapping[str, np.ndarray]
    contribution: Mapping[str, float]
    superficial: bool | None
    warnings: tuple[str, ...]
    leading: Estimate | None
    refined: Estimate | None
    reduced: Estimate | None
    ensemble: Any = None

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
        """Half-times by each road, with the error that the road is known to leave."""
        rows = []
        for name in ("leading", "reduced"):
            estimate: Estimate | None = getattr(self, name)
            if estimate is None:
                continue
            for m in self.order:
                fit = number(estimate.fit_times[m]) if estimate.fit_times else ""
                ratio = number(estimate.ratio) if m == self.order[0] else ""
                cells = (number(estimate.times[m]), fit, _percent(estimate.bound[m]), ratio, estimate.assumes)
                rows.append((name, m, estimate.status[m].value, *cells))
        head = ("road", "modality", "status", "half-time [tau]", "of its output", "error up to", "ratio", "start")
        return Table(self._title(), head, tuple(rows), tuple(self._notes()))

    def _title(self) -> str:
        norms = self.u0
        scale = ", ".join(f"{m} {v:g}" for m, v in norms.items()) if isinstance(norms, Mapping) else f"{norms:g}"
        branches = ", ".join(f"{m} {d}" for m, d in self.network.depths.items())
        return f"Layers before fusion: {branches}; after it: {self.network.trunk.depth}. u0 = {scale}"

    def _notes(self) -> list[str]:
        first, notes = self.order[0], [self._answer()]
        for m, reason in self.estimate.reasons.items():
            notes.append(f"{m} is never learned: {reason}.")
        if self.superficial is not None:
            most = max(self.contribution, key=lambda m: self.contribution[m])
            worth = ", ".join(f"{m} {number(v, 3)}" for m, v in self.contribution.items())
            verdict = "Superficial preference" if self.superficial else "No superficial preference"
            notes.append(f"{verdict}: {most} contributes most ({worth}), {first} is learned first.")
        if not self.network.is_early_fusion:
            wrong = ", ".join(number(float(v), 3) for v in np.ravel(self.misattribution[first]))
            notes.append(f"Misattribution while {first} is alone (its weights minus the global ones): {wrong}")
        return notes + [f"Warning: {w}" for w in self.warnings]

    def _answer(self) -> str:
        """One sentence: who, when, and how long alone."""
        first, last = self.order[0], self.order[-1]
        times, origin = self.times, f"[{self.source}, {self.estimate.assumes}]"
        if self.network.is_early_fusion:
            return f"Early fusion: the modalities are learned in one transition, without a unimodal phase {origin}."
        if self.tie:
            both = ", ".join(f"{m} {number(times[m])}" for m in self.order)
            return f"{first} and {self.order[1]} leave zero together; half-times: {both} {origin}."
        if len(self.order) > 1 and self.lag < 0:
            fits = self.estimate.fit_times
            return (
                f"{first} leaves zero first, but {last} reaches half of its weights before it, "
                f"at {number(times[last])} against {number(times[first])}; "
                f"half of its output: {first} {number(fits[first])}, {last} {number(fits[last])} {origin}."
            )
        if math.isfinite(times[first]) and math.isfinite(times[last]) and first != last:
            return (
                f"{first} is learned first, at {number(times[first])}, {last} at {number(times[last])}: "
                f"{number(self.ratio)} times later, unimodal for {number(self.lag)} {origin}."
            )
        parts = [
            f"{m}: {self.status[m].value}" + (f" at {number(times[m])}" if math.isfinite(times[m]) else "")
            for m in self.order
        ]
        halves = ", ".join(f"{m} {number(t)}" for m, t in self.estimate.fit_times.items())
        outputs = f"; half of its output: {halves}" if halves else ""
        return f"{first} leaves zero first. {'; '.join(parts)}{outputs} {origin}."

    def __str__(self) -> str:
        return self.table.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table.html()

    def to_dict(self) -> dict[str, Any]:
        """What `predict --json` prints: infinite times as "inf", unreached ones as "not reached", nan as None."""
        return {
            "order": list(self.order),
            **_half_times_dict(self.estimate.half_times),
            "source": self.source,
            "superficial": self.superficial,
            "misattribution": {m: np.ravel(v).tolist() for m, v in self.misattribution.items()},
            "contribution": dict(self.contribution),
            "warnings": list(self.warnings),
            "leading": self.leading and self.leading.to_dict(),
            "refined": self.refined and self.refined.to_dict(),
            "reduced": self.reduced and self.reduced.to_dict(),
            "ensemble": None,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


def _percent(share: float) -> str:
    if math.isnan(share):
        return "-"
    return "< 0.001 %" if share < 1e-5 else f"{number(100 * share, 2)} %" if share < 10 else "unbounded"


def _finite(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def _half_times_dict(half_times: HalfTimes) -> dict[str, Any]:
    status = half_times.status
    times = half_times.times
    return {
        "times": {m: "not reached" if status[m] is Status.NOT_REACHED else _finite(t) for m, t in times.items()},
        "log_times": {m: _finite(t) for m, t in half_times.log_times.items()},
        "status": {m: s.value for m, s in status.items()},
        "ratio": _finite(half_times.ratio),
        "lag": _finite(half_times.lag),
        "log_excess": _finite(half_times.log_excess),
    }


def predict(network: FusionNetwork, data: Correlations, *, u0: float | Mapping[str, float] = 1e-3) -> Prediction:
    """Predict order, half-times, unimodal phase and misattribution from an aligned balanced start.

    The source is the reduced flow, exact for that start; where such a start never learns a modality that a
    random start does learn (the sign of a scalar residual flips), it is the leading law of a random start.

    Parameters
    ----------
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm

    Raises
    ------
    DomainError
        When u0^L is at or above half of a plateau, or no estimate exists (several outputs).

    Examples
    --------
    >>> p = predict(FusionNetwork.fused_at(4, 3), Correlations.scalar(2, 1, 0.5), u0=1e-2)
    >>> p.order, p.source, round(p.ratio, 3), round(p.leading.ratio, 3)
    (('A', 'B'), 'reduced', 1.093, 1.095)
    """
    network.require_modalities(data.modalities)
    if data.is_symbolic:
        raise DomainError("a prediction needs numbers in sigma and sigma_yx, got symbols; see derivations.timescales")
    norms = start_norms(network, u0)
    leaf_norms = {m: norms[m] for m in data.modalities}
    random_course = course(network, data, leaf_norms, {})
    signs = aligned_signs(network, data) if data.outputs == 1 else {}
    aligned_course = course(network, data, leaf_norms, signs)
    _refuse_large_start(network, data, norms, random_course)
    warnings = list(data.warnings)
    if random_course.tie:
        warnings.append(f"{' and '.join(random_course.order[:2])} are equally fast: their order is undefined")
    reduced = _reduced(network, data, u0, aligned_course, warnings)
    leading = _leading(network, data, leaf_norms, random_course, warnings)
    lost = [m for m in aligned_course.never if m not in random_course.never]
    if lost:
        warnings.append(
            f"an aligned balanced start never learns {', '.join(lost)} (its weight keeps its sign); a random start does"
        )
    source = "leading" if leading is not None and (reduced is None or lost) else "reduced"
    warnings += [f"{m} is never learned: {reason}" for m, reason in random_course.never.items()]
    if reduced is None and leading is None:
        raise DomainError("no estimate exists here; " + (warnings[-1] if warnings else "see integrate"))
    if reduced is not None and leading is not None and not lost:
        warnings += _disagreements(leading, reduced)
    worth = preference.contribution(data)
    return Prediction(
        network,
        u0,
        random_course.order,
        random_course.tie,
        source,
        preference.misattribution(data),
        worth,
        None if network.is_early_fusion else preference.superficial(random_course.order, worth, random_course.tie),
        tuple(dict.fromkeys(warnings)),
        leading,
        None,
        reduced,
    )


def _refuse_large_start(network: FusionNetwork, data: Correlations, norms: Mapping[str, float], plan: Course) -> None:
    for m in plan.order:
        if m in plan.never or norms[m] == 0:
            continue
        log_size = sum(network.chains[c].depth * math.log(norms[c]) for c in network.path(m) if norms[c] > 0)
        size, plateau = math.exp(min(log_size, 700.0)), data.norm(plan.plateaus[m])
        if size >= plateau / 2:
            raise DomainError(
                f"u0 is too large to predict from: the initial weight of {m} can be {size:.3g}, "
                f"half of its plateau is {plateau / 2:.3g}"
            )


def _reduced(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], plan: Course, warnings: list[str]
) -> Estimate | None:
    from dynamics.reduced import integrate_reduced

    try:
        run = integrate_reduced(network, data, u0=u0, rtol=RTOL)
    except DomainError as error:
        warnings.append(f"no reduced flow: {error}")
        return None
    warnings += [w for w in run.warnings if w not in warnings]
    return Estimate(
        "(44) with saturation",
        Kind.EXACT,
        "aligned start",
        run.half_times,
        {m: SOLVED if run.status[m] is Status.REACHED else math.nan for m in run.order},
        plan.never,
        run.fit_times,
    )


def _leading(
    network: FusionNetwork, data: Correlations, norms: Mapping[str, float], plan: Course, warnings: list[str]
) -> Estimate | None:
    from dynamics.laws import TwoModalities, neglected

    u0 = norms[plan.order[0]]
    try:
        law = TwoModalities.of(network, data, plan.order)
        if len(set(norms.values())) > 1 or not 0 < u0 < 1:
            raise DomainError(f"the laws need one u0 between 0 and 1, got {dict(norms)}")
    except DomainError as error:
        warnings.append(f"no leading law: {error}")
        return None
    log_first, log_lag = law.log_first(u0), law.log_lag(u0)
    printed = 1 + math.exp(min(law.log_lag(u0, printed=True) - log_first, 709.0)) if law.r > 0 else math.inf
    bound = neglected(law, data, u0)
    if law.flips and law.depth > 2:  # the width enters a deep random start as a factor that this law lacks
        bound = dict.fromkeys(bound, math.inf)
        warnings.append(
            "in deep networks a random start is slower by a factor that grows with the width: the leading law lacks it"
        )
    elif law.flips:  # growth starts from (u0/2) sqrt(1 + 1/d), theory behind the random start
        half = math.log(2) / math.log(1 / u0)
        bound = {m: value + half for m, value in bound.items()}
    first, second = plan.order
    start = "random start" if law.flips else "aligned start"
    equations = {2: "(8), (9)" if law.depth == 2 else "(56), (57)"}.get(law.fusion_depth, "(48), (54), (12)")
    if second in plan.never:
        log_times, status = {first: log_first, second: math.inf}, {first: Status.REACHED, second: Status.NEVER}
        half_times = HalfTimes(plan.order, log_times, status)
        bound[second] = math.nan
    else:
        log_times = {first: log_first, second: float(np.logaddexp(log_first, log_lag))}
        lag = math.exp(log_lag) if log_lag < 709 else math.inf
        half_times = HalfTimes(
            plan.order, log_times, dict.fromkeys(plan.order, Status.REACHED), lag, log_lag - log_first
        )
    return Estimate(equations, Kind.ASYMPTOTIC, start, half_times, bound, plan.never, printed_ratio=printed)


def _disagreements(leading: Estimate, reduced: Estimate) -> list[str]:
    """Warn, with the cause, where the law misses the exact aligned flow by half or by more than it neglects."""
    found = []
    for m in reduced.order:
        if leading.status[m] is not Status.REACHED or reduced.status[m] is not Status.REACHED:
            continue
        gap = abs(math.expm1(leading.log_times[m] - reduced.log_times[m]))
        if gap <= min(0.5, leading.bound[m] + reduced.bound[m]):
            continue
        late = reduced.fit_times[m] < 0.7 * reduced.times[m]
        cause = (
            f"inputs of {m} are nearly collinear: half of its output is there at {number(reduced.fit_times[m])}, "
            f"half of its weights only at {number(reduced.times[m])}"
            if late
            else "u0 is not small enough for this data"
        )
        found.append(f"the leading law misses the half-time of {m} by {number(100 * gap, 2)} %: {cause}")
    return found
