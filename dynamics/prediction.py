"""Prediction: who is learned first, when, for how long alone, and what is wrong meanwhile."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations import preference
from derivations.correlations import Correlations
from derivations.errors import DomainError
from derivations.network import FusionNetwork
from derivations.saddles import Course, aligned_signs, course
from dynamics.estimates import Estimate, leading_estimate, reduced_estimate
from dynamics.half_times import Status
from dynamics.tables import Table, from_log, number, percent
from dynamics.weights import checked_positive, start_norms

NOISE = 1e-3  # a law that misses by less is not worth a warning


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
    leading, refined, reduced, ensemble : estimates; None where the road does not exist (or is not built)
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
        """Half-times (of weights and of output) by each road, with an estimate of the error that it leaves."""
        return self._table(None)

    def in_steps(self, learning_rate: float) -> Table:
        """The table with steps of gradient descent, time / learning_rate, beside the times."""
        return self._table(checked_positive(learning_rate, "learning_rate"))

    def _table(self, learning_rate: float | None) -> Table:
        rows = []
        for name in ("leading", "reduced"):
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
        )
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
            notes.append(f"{verdict}: {first} is learned first, {most} alone explains most of <y^2> ({worth}).")
        if not self.network.is_early_fusion:
            shares = np.ravel(self.misattribution[first])
            outputs = len(shares) // len(self.columns[first])
            names = [n if outputs == 1 else f"{n} on output {i}" for i in range(outputs) for n in self.columns[first]]
            wrong = ", ".join(f"{name} {number(float(v), 3)}" for name, v in zip(names, shares, strict=True))
            notes.append(f"Misattribution while {first} is alone (its weights minus the global ones): {wrong}")
        return notes + [f"Warning: {w}" for w in self.warnings]

    def _answer(self) -> str:
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

    def __str__(self) -> str:
        return self.table.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table.html()

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
            "ensemble": None,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


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
    signs = aligned_signs(network, data)
    aligned_course = course(network, data, leaf_norms, signs)
    _refuse_large_start(network, data, norms, random_course)
    warnings = list(data.warnings)
    if random_course.tie:
        warnings.append(f"{' and '.join(random_course.order[:2])} are equally fast: their order is undefined")
    warnings += _upset(network, data, norms, random_course)
    reduced = reduced_estimate(network, data, u0, aligned_course, warnings)
    leading = leading_estimate(network, data, norms, random_course, warnings)
    lost = [m for m in aligned_course.never if m not in random_course.never]
    if lost:
        warnings.append(
            f"an aligned balanced start never learns {', '.join(lost)} (its weight keeps its sign); a random start does"
        )
    source = "leading" if leading is not None and (reduced is None or lost) else "reduced"
    warnings += [f"{m} is never learned: {reason}" for m, reason in random_course.never.items()]
    if reduced is None and leading is None:
        reasons = "; ".join(w for w in warnings if w.startswith(("no reduced flow", "no leading law")))
        raise DomainError(f"no estimate exists here: {reasons}; see integrate")
    if source == "reduced" and max(network.path_depths.values()) > 2 and not network.is_early_fusion:
        warnings.append(
            "these times hold for an aligned start: at depth > 2 a random one is slower, by a factor that grows with "
            "the width (several at width 100); see integrate or compare"
        )
    if reduced is not None and leading is not None and not lost:
        warnings += _disagreements(leading, reduced)
    chosen = leading if source == "leading" else reduced
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
        None,
        reduced,
    )


def _upset(network: FusionNetwork, data: Correlations, norms: Mapping[str, float], plan: Course) -> list[str]:
    """Say where depth or start, not |Sigma_yx|, decides who is first."""
    strongest = max(data.modalities, key=data.strength)
    first = plan.order[0]
    if plan.tie or network.is_early_fusion or data.strength(strongest) <= data.strength(first) * (1 + 1e-9):
        return []
    facts = " and ".join(
        f"{m} {network.depths[m]} layers of its own from u0 {norms[m]:.3g}" for m in (strongest, first)
    )
    domain = f"; (59), (60) with {strongest} first are outside their domain" if len(network.modalities) == 2 else ""
    return [f"{strongest} has the larger |Sigma_yx| but {first} leaves zero first: {facts}{domain}"]


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


def _disagreements(leading: Estimate, reduced: Estimate) -> list[str]:
    """Warn, with the cause, where the law misses the exact aligned flow by half or by more than it neglects."""
    found = []
    for m in reduced.order:
        if leading.status[m] is not Status.REACHED or reduced.status[m] is not Status.REACHED:
            continue
        gap = abs(math.expm1(leading.log_times[m] - reduced.log_times[m]))
        known = leading.bound[m] + reduced.bound[m]
        if gap <= 0.5 and (gap <= known or gap < NOISE):
            continue
        if reduced.fit_times[m] < 0.7 * reduced.times[m]:
            cause = (
                f"inputs of {m} are nearly collinear: half of its output is there at {number(reduced.fit_times[m])}, "
                f"half of its weights only at {number(reduced.times[m])}"
            )
        else:
            cause = f"what it leaves out is estimated at {percent(known)} here"
        found.append(f"the leading law misses the half-time of {m} by {number(100 * gap, 2)} %: {cause}")
    return found
