"""Report: what prediction, simulation, bootstrap, prescription and portrait say of one problem."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from typing import Any

import numpy as np

from derivations.correlations import Correlations
from derivations.errors import DomainError, SolveError
from derivations.network import FusionNetwork
from dynamics.comparison import Comparison, compare
from dynamics.files import write_whole
from dynamics.half_times import Status
from dynamics.portraits import Portrait, portrait
from dynamics.prediction import Prediction, predict
from dynamics.prescription import Prescription, prescribe
from dynamics.resampling import Confidence, bootstrap
from dynamics.scalings import Scalings, both_scalings
from dynamics.tables import WARNING
from dynamics.weights import checked_integer, checked_positive

PATIENCE = 60.0  # seconds for the prescription: some sixty predictions, which stiff data make slow
MOST_STEPS = 20_000  # of gradient descent, a run
PACKAGES = ("fusion-dynamics", "numpy", "scipy", "sympy", "matplotlib")


@dataclass(frozen=True, eq=False)
class Report:
    """Everything about one network and data set.

    prediction : of random starts of this width
    comparison : simulations from several seeds beside the laws
    confidence, prescription, portrait, scalings : None where `missing` says why
    missing : part -> why there is none
    learning_rate : times are given in steps too; None leaves them in tau
    provenance : how to make it again
    """

    data: Correlations
    prediction: Prediction
    comparison: Comparison
    confidence: Confidence | None
    prescription: Prescription | None
    portrait: Portrait | None
    scalings: Scalings | None
    missing: Mapping[str, str]
    learning_rate: float | None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the prediction and of the simulations, once each."""
        bound = self.prediction.estimate.bound
        lost = [m for m in self.prediction.order if not bound.get(m, math.inf) < 1]
        reached = [m for m in lost if self.prediction.status[m] is Status.REACHED]
        unsure = [f"the half-times of {', '.join(reached)} have no error estimate to rely on"] if reached else []
        more = [] if self.confidence is None else [n.removeprefix(WARNING) for n in self.confidence.notes]
        return tuple(dict.fromkeys([*self.prediction.warnings, *unsure, *self.comparison.run_warnings, *more]))

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Of the first modality, (outputs, d): while it is alone, and in the end."""
        first = self.prediction.order[0]
        every = self.data.regression(self.data.modalities)
        return {"alone": self.data.regression((first,))[first], "final": every[first]}

    def html(self) -> str:
        """One page with pictures and equations inside; no script, nothing is loaded."""
        from dynamics.reporting.document import page

        return page(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page; whole or not at all."""
        write_whole(path, self.html().encode(), "report")

    def __str__(self) -> str:
        return str(self.prediction)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """In a frame of its own, so that its style stays inside."""
        frame = "width:100%;height:640px;border:1px solid #999"
        return f'<iframe title="report" style="{frame}" srcdoc="{escape(self.html(), quote=True)}"></iframe>'

    def to_dict(self) -> dict[str, Any]:
        """What `report --json` prints, and what the page carries: every number in it."""
        return {
            "prediction": self.prediction.to_dict(),
            "comparison": self.comparison.to_dict(),
            "bootstrap": self.confidence and self.confidence.to_dict(),
            "prescription": self.prescription and self.prescription.to_dict(),
            "scalings": self.scalings and self.scalings.to_dict(),
            "weights": {name: np.ravel(w).tolist() for name, w in self.weights.items()},
            "missing": dict(self.missing),
            "learning_rate": self.learning_rate,
            "warnings": list(self.warnings),
            "provenance": dict(self.provenance),
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


def report(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    width: int = 100,
    seeds: int = 5,
    draws: int = 1000,
    learning_rate: float | None = None,
    units: bool = False,
    source: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """All that is known of a network on a data set, as one page: `report(...).save("report.html")`.

    Parameters
    ----------
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm
    width : hidden units of the random starts
    seeds : 0 to seeds - 1 are simulated
    draws : of the bootstrap; 0 for none. A prescription that takes longer than a minute is left out
    learning_rate : gradient descent is run too, and times are given in steps
    units : predict for z-scored columns too
    source : where the data come from, to be shown
    progress : called with a line before each piece of work

    Raises
    ------
    DomainError
        When `predict` does.

    Examples
    --------
    >>> found = report(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5), width=20, seeds=1)
    >>> found.prediction.order, found.missing["bootstrap"]
    (('A', 'B'), 'a bootstrap needs the rows of the data, got correlations alone')
    """
    seeds, draws = checked_integer(seeds, "seeds", 1), checked_integer(draws, "draws", 0)
    rate = None if learning_rate is None else checked_positive(learning_rate, "learning_rate")
    say = progress or (lambda _: None)
    missing: dict[str, str] = {}

    def part(name: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (DomainError, SolveError) as error:
            missing[name] = str(error)
            return None

    say("prediction")
    prediction = predict(network, data, u0=u0, width=width)
    comparison = compare(
        network, data, u0=u0, width=width, seeds=seeds, learning_rate=rate, descent=rate is not None,
        most_steps=MOST_STEPS, progress=progress,
    )  # fmt: skip
    confidence = None
    if data.samples is None:
        missing["bootstrap"] = "a bootstrap needs the rows of the data, got correlations alone"
    elif draws == 0:
        missing["bootstrap"] = "not asked for"
    else:
        say("bootstrap")
        confidence = part("bootstrap", lambda: bootstrap(network, data, u0=u0, draws=draws))
    say("what to change")
    outputs = bool(prediction.estimate.fit_times)  # weights of nearly collinear inputs take long and change little
    asked: dict[str, Any] = {"u0": u0, "width": width, "outputs": outputs, "seconds": PATIENCE}
    change = part("prescription", lambda: prescribe(network, data, **asked))
    say("phase portrait")
    pair: Any = prediction.order[:2]
    if len(pair) < 2:
        plane, missing["portrait"] = None, f"a plane needs two modalities, got {pair[0]}"
    else:
        plane = part("portrait", lambda: portrait(network, data, pair, runs=comparison.flows[:1]))
    return Report(
        data,
        prediction,
        comparison,
        confidence,
        change,
        plane,
        both_scalings(network, data, u0) if units else None,
        missing,
        rate,
        _provenance(network, data, u0, width, seeds, draws, source or {}),
    )


def _provenance(
    network: FusionNetwork, data: Correlations, u0: Any, width: int, seeds: int, draws: int, source: Mapping[str, Any]
) -> dict[str, Any]:
    inputs = {m: list(data.column_names(m)) for m in data.modalities}
    return {
        **source,
        "rows": None if data.samples is None else data.samples.count,
        "columns": inputs,
        "outputs": data.outputs,
        "layers": {name: int(chain.depth) for name, chain in network.chains.items()},
        "u0": dict(u0) if isinstance(u0, Mapping) else u0,
        "width": width,
        "seeds": f"0 to {seeds - 1}",
        "bootstrap": f"{draws} draws, seed 0",
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }
