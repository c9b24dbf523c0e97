"""Report: what prediction, simulation, bootstrap, prescription and portrait say of one problem."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from derivations import Correlations
from dynamics.files import write_whole
from dynamics.prediction.comparison import Comparison
from dynamics.prediction.confidence import Confidence
from dynamics.prediction.optimizers import ByOptimizer
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.prescription import Prescription
from dynamics.prediction.scalings import Scalings
from dynamics.prediction.stopping import Stoppings
from dynamics.prediction.words import answered
from dynamics.runs.half_times import Status
from dynamics.runs.portraits import Portrait
from dynamics.tables import WARNING


@dataclass(frozen=True, eq=False)
class Report:
    """Everything about one network and data set.

    prediction : of random starts of this width
    comparison : simulations from several seeds beside the laws
    confidence, prescription, portrait, scalings, optimizers, stopping : None where `missing` says why
    missing : part -> why there is none
    learning_rate : times are given in steps too; None leaves them in tau
    render : makes the page of it
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
    render: Callable[[Report], str]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    optimizers: ByOptimizer | None = None
    stopping: Stoppings | None = None

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
        """Of the first modality, (d,) or (outputs, d): alone, and in the end."""
        first = self.prediction.order[0]
        runs = [
            e.run for e in (self.prediction.estimate, self.prediction.reduced) if e is not None and e.run is not None
        ]
        if runs and self.data.is_collinear:  # what training comes to is no regression
            final = runs[0].total[first][-1]
        else:
            final = self.data.optimum[..., self.data.span(first)]
        return {"alone": self.prediction.misattribution[first] + final, "final": final}

    def html(self) -> str:
        """One page with pictures and equations inside; no script, nothing is loaded."""
        return self.render(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page; whole or not at all."""
        write_whole(path, self.html().encode(), "report")

    def __str__(self) -> str:
        """The first screen, with steps and how sure the rows are where these are known."""
        return str(answered(self.prediction, learning_rate=self.learning_rate, sure=self.confidence))

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
            "optimizers": self.optimizers and self.optimizers.to_dict(),
            "stopping": self.stopping and self.stopping.to_dict(),
            "weights": {name: np.ravel(w).tolist() for name, w in self.weights.items()},
            "missing": dict(self.missing),
            "learning_rate": self.learning_rate,
            "warnings": list(self.warnings),
            "provenance": dict(self.provenance),
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)
