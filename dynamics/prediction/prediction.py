"""Prediction: who is learned first, when, how sure that is, and what is wrong meanwhile."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from derivations import DomainError, FusionNetwork
from dynamics.prediction.estimates import Estimate, Road
from dynamics.recipe import PLAIN, Recipe
from dynamics.runs.half_times import HalfTimes, Timed
from dynamics.strict_json import told
from dynamics.tables import Drawn, Shown, Table


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Timed, Shown, Drawn):
    """The answer, by several roads side by side.

    source : the estimate that times, order, status, ratio and lag come from
    together : whether the order of the first two is open: their lag is within what the source leaves open, or no
        modality is first in SURE of the random starts
    order_probability : modality -> probability of being the first to be learned, over random starts; None where the
        start is not random
    misattribution : modality -> unimodal minus global weights; where training does not come to these, its own
    columns : modality -> names of its inputs, in the order of `misattribution`
    contribution : modality -> Sigma_yx_m Sigma_m^-1 Sigma_yx_m^T
    explained : modality -> the same as a share of <y^2>
    superficial : whether the first modality is not the one that contributes most, (10); None where the order is open,
        on a tie and in early fusion
    warnings : what to act on
    remarks : what explains the numbers
    leading : the paper's law, with sign and rotation; leading order
    refined : next order from an aligned start, or the law of random starts
    reduced : the reduced flow, exact for an aligned start
    ensemble : medians of simulated random starts (`.runs` has all of them), on request
    recipe : how the network is trained
    """

    figure: ClassVar[str] = "figures.predictions"
    words: ClassVar[str] = "dynamics.prediction.words"  # found by name, as a picture is: what it says stands above it

    network: FusionNetwork
    u0: float | Mapping[str, float]
    source: Road
    together: bool
    misattribution: Mapping[str, np.ndarray]
    columns: Mapping[str, tuple[str, ...]]
    contribution: Mapping[str, float]
    explained: Mapping[str, float]
    superficial: bool | None
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]
    leading: Estimate | None
    refined: Estimate | None
    reduced: Estimate | None
    ensemble: Estimate | None = None
    recipe: Recipe = PLAIN

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
    def weight_times(self) -> dict[str, float]:
        """Modality -> when half of its weights is there: of one input its half-time; nan where the source is no run."""
        known = {m: t if len(self.columns[m]) == 1 else math.nan for m, t in self.times.items()}
        return known | dict(self.estimate.weight_times)

    @property
    def order_probability(self) -> Mapping[str, float] | None:
        return self.estimate.odds or None

    @property
    def holds_for(self) -> str:
        """What the numbers hold for: network, loss, start and recipe."""
        norms = self.u0.values() if isinstance(self.u0, Mapping) else [self.u0]
        size = " to ".join(f"{v:g}" for v in dict.fromkeys((min(norms), max(norms))))
        batch = "mini-batch" if self.recipe.batch_size else "full-batch"
        more = f", {self.recipe}" if self.recipe.ingredients else ""
        start = f"{self.estimate.assumes} of size u0 = {size}"
        method = "" if self.recipe.is_coordinatewise else " gradient descent"
        return f"linear network, {self.recipe.loss} loss, {start}, {batch}{method}{more}"

    @property
    def table(self) -> Table:
        """The first screen: the answer, when, how sure, what to watch, what it holds for."""
        said: Table = self._said("answered")
        return said

    @property
    def details(self) -> Table:
        """Every road, with an estimate of the error that it leaves, and what explains the numbers."""
        said: Table = self._said("detailed")
        return said

    def in_steps(self, learning_rate: float) -> Table:
        """The first screen with steps of gradient descent, time / learning_rate, beside the times.

        Raises
        ------
        DomainError
            Where the times are those of steps at another learning rate, as with momentum or Adam.
        """
        run = self.estimate.run
        own = run.provenance.get("learning_rate") if run is not None and self.recipe.is_run_alone else None
        if own is not None and not math.isclose(own, learning_rate, rel_tol=1e-9):
            raise DomainError(
                f"learning_rate must be that of these times, {own:g}, got {learning_rate!r}: predict again"
            )
        said: Table = self._said("answered", learning_rate=learning_rate)
        return said

    @property
    def answer(self) -> str:
        """One sentence: who, when, and how long alone."""
        said: str = self._said("sentence")
        return said

    def _said(self, what: str, **given: Any) -> Any:
        return getattr(import_module(self.words), what)(self, **given)

    def to_dict(self) -> dict[str, Any]:
        """What `predict --json` prints: infinite times as "inf", unreached ones as "not reached", nan as None."""
        wrong = {m: np.ravel(v).tolist() for m, v in self.misattribution.items()}
        head = {**self.half_times.to_dict(), **told(self, "source superficial together order_probability")}
        names = f"holds_for weight_times columns contribution explained warnings remarks {' '.join(Road)}"
        return {**head, "recipe": self.recipe.to_dict(), "misattribution": wrong, **told(self, names)}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)
