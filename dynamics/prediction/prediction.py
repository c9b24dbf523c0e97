"""Prediction: who is learned first, when, for how long alone, and what is wrong meanwhile."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from derivations import FusionNetwork
from dynamics.checks import checked_positive
from dynamics.prediction.estimates import Estimate, Road
from dynamics.runs.half_times import HalfTimes, Status, Timed
from dynamics.strict_json import told
from dynamics.tables import WARNING, Drawn, Shown, Table, from_log, number, percent


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Timed, Shown, Drawn):
    """The answer, by several roads side by side.

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

    figure: ClassVar[str] = "figures.predictions"

    network: FusionNetwork
    u0: float | Mapping[str, float]
    tie: bool
    source: Road
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
    def estimates(self) -> dict[Road, Estimate]:
        """Those that exist."""
        found: dict[Road, Estimate | None] = {road: getattr(self, road) for road in Road}
        return {road: estimate for road, estimate in found.items() if estimate is not None}

    @property
    def half_times(self) -> HalfTimes:
        return self.estimate.half_times

    @property
    def table(self) -> Table:
        """Half-times (of weights and of output) by each road, with an estimate of the error that it leaves."""
        return self._table(None)

    def in_steps(self, learning_rate: float) -> Table:
        """The table with steps of gradient descent, time / learning_rate, beside the times."""
        return self._table(checked_positive(learning_rate, "learning_rate"))

    def _table(self, learning_rate: float | None) -> Table:
        rows = []
        for name, estimate in self.estimates.items():
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
        return Table(self.title, head, tuple(rows), (*self.notes, *(WARNING + w for w in self.warnings)))

    @property
    def title(self) -> str:
        """Network and start."""
        norms = self.u0
        scale = ", ".join(f"{m} {v:g}" for m, v in norms.items()) if isinstance(norms, Mapping) else f"{norms:g}"
        branches = ", ".join(f"{m} {d}" for m, d in self.network.depths.items())
        return f"Layers before fusion: {branches}; after it: {self.network.trunk.depth}. u0 = {scale}"

    @property
    def notes(self) -> list[str]:
        """The answer, and what else is said below the table; warnings apart."""
        first, reasons = self.order[0], self.estimate.reasons.items()
        notes = [self.answer, *(f"{m} is never learned: {reason}." for m, reason in reasons)]
        if self.superficial is not None:
            most = max(self.contribution, key=lambda m: self.contribution[m])
            worth = ", ".join(f"{m} {number(v, 3)}" for m, v in self.contribution.items())
            verdict = "Superficial preference" if self.superficial else "No superficial preference"
            notes.append(f"{verdict}: {first} is learned first, {most} alone explains most of <y^2> ({worth}).")
        if not self.network.is_early_fusion:
            names, (shares,) = labelled(self.columns[first], self.misattribution[first])
            wrong = ", ".join(f"{name} {number(float(v), 3)}" for name, v in zip(names, shares, strict=True))
            notes.append(f"Misattribution while {first} is alone (its weights minus the global ones): {wrong}")
        return notes

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

    def to_dict(self) -> dict[str, Any]:
        """What `predict --json` prints: infinite times as "inf", unreached ones as "not reached", nan as None."""
        wrong = {m: np.ravel(v).tolist() for m, v in self.misattribution.items()}
        head = {"order": list(self.order), **self.half_times.to_dict(), **told(self, "source superficial")}
        rest = told(self, f"columns contribution warnings {' '.join(Road)}")
        return {**head, "misattribution": wrong, **rest}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


def labelled(columns: tuple[str, ...], *weights: np.ndarray) -> tuple[list[str], list[np.ndarray]]:
    """Names of all entries, and the entries of each array flat; several outputs one after the other."""
    flat = [np.ravel(w) for w in weights]
    outputs = len(flat[0]) // len(columns)
    names = [n if outputs == 1 else f"{n} on output {i}" for i in range(outputs) for n in columns]
    return names, flat
