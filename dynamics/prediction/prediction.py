"""Prediction: who is learned first, when, how sure that is, and what is wrong meanwhile."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from derivations import DomainError, FusionNetwork
from dynamics.checks import required
from dynamics.prediction.estimates import Estimate, Road
from dynamics.prediction.stopping import Stopping
from dynamics.recipe import PLAIN, Loss, Recipe
from dynamics.runs.half_times import HalfTimes, Timed
from dynamics.runs.modes import Modes
from dynamics.strict_json import told
from dynamics.tables import Drawn, Shown, Table

if TYPE_CHECKING:
    import pandas
    import xarray


class Activation(StrEnum):
    """What stands between two layers."""

    LINEAR = "linear"
    RELU = "ReLU"


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
    activation : what the times are of; contribution, explained and misattribution are those of linear regressions
    stopping : when to stop, by the rows held out; None where none were
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
    activation: Activation = Activation.LINEAR
    stopping: Stopping | None = None

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
    def modes(self) -> Modes:
        """Several outputs: when each mode of Sigma_yx is learned, by the run behind the source; empty without one."""
        run = self.estimate.run
        return Modes() if run is None else run.modes

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
        rest = replace(self.recipe, loss=Loss.SQUARED)  # the loss is named already
        more = f", {rest}" if rest.ingredients else ""
        start = f"{self.estimate.assumes} of size u0 = {size}"
        method = "" if self.recipe.is_coordinatewise else " gradient descent"
        return f"{self.activation} network, {self.recipe.loss} loss, {start}, {batch}{method}{more}"

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
        modes = {"modes": self.modes.to_list()} if len(self.modes) else {}
        return {
            **head,
            **modes,
            **told(self, "activation"),
            "recipe": self.recipe.to_dict(),
            "misattribution": wrong,
            **told(self, names),
            "stopping": self.stopping and self.stopping.to_dict(),
        }

    def to_frame(self) -> pandas.DataFrame:
        """A pandas.DataFrame with a row for each road and modality; needs the package pandas.

        Columns are road, modality, place (0 is learned first), status, time (in units of tau; inf where it is not
        reached), bound (its relative error), spread over seeds (nan where there is none), kind, equations, and source:
        whether the answer rests on this road.

        Examples
        --------
        >>> from dynamics import Correlations, FusionNetwork, predict
        >>> frame = predict(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)).to_frame()
        >>> frame[frame.source][["modality", "status", "place"]].values.tolist()
        [['A', 'reached', 0], ['B', 'reached', 1]]
        """
        rows = [
            {
                "road": road.value, "modality": m, "place": place, "status": e.status[m].value, "time": e.times[m],
                "bound": e.bound.get(m, math.nan), "spread": e.spread.get(m, math.nan), "kind": e.kind.value,
                "equations": e.equations, "source": road is self.source,
            }
            for road, e in self.estimates.items()
            for place, m in enumerate(e.order)
        ]  # fmt: skip
        frame: pandas.DataFrame = required("pandas", "to_frame", "data").DataFrame(rows)
        return frame

    def to_xarray(self) -> xarray.Dataset:
        """An xarray.Dataset with the dimensions road and modality; needs the package xarray.

        Variables are half_time (in units of tau), bound and status of each road, contribution and explained of each
        modality. Attributes are the source, the answer, what it holds for, and the warnings.
        """
        roads, names = self.estimates, list(self.order)
        pair, dataset = ("road", "modality"), required("xarray", "to_xarray", "sweep").Dataset
        found = {
            "half_time": (pair, [[e.times[m] for m in names] for e in roads.values()], {"units": "tau"}),
            "bound": (pair, [[e.bound.get(m, math.nan) for m in names] for e in roads.values()]),
            "status": (pair, [[e.status[m].value for m in names] for e in roads.values()]),
            "contribution": ("modality", [self.contribution[m] for m in names]),
            "explained": ("modality", [self.explained[m] for m in names]),
        }
        said = {"source": self.source.value, "answer": self.answer, "holds_for": self.holds_for}
        coordinates = {"road": [road.value for road in roads], "modality": names}
        made: xarray.Dataset = dataset(found, coordinates, {**said, "warnings": "\n".join(self.warnings)})
        return made

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)
