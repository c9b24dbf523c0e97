"""Raw units beside z-scored ones: who is first depends on the units of the columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from derivations import Correlations, DataError, DomainError, FusionNetwork, SolveError
from dynamics.prediction.predicting import predict
from dynamics.prediction.prediction import Prediction
from dynamics.recipe import Recipe
from dynamics.tables import Shown, Table, number

RAW, SCORED = "as given", "z-scored"


@dataclass(frozen=True, eq=False, repr=False)
class Scalings(Shown):
    """Predictions for the same rows in two units; a text says why one does not exist."""

    predictions: Mapping[str, Prediction | str]

    @property
    def table(self) -> Table:
        rows, notes = [], []
        for units, found in self.predictions.items():
            if isinstance(found, str):
                rows.append((units, "-", "-", "-", "-"))
                notes.append(f"{units}: {found}")
                continue
            outputs = ", ".join(f"{m} {number(found.times[m])}" for m in found.order)
            preference = "-" if found.superficial is None else "yes" if found.superficial else "no"
            first = "together" if found.together or found.network.is_early_fusion else found.order[0]
            rows.append((units, first, outputs, number(found.ratio), preference))
        firsts = {row[1] for row in rows} - {"-"}
        if len(firsts) > 1:
            notes.append("Who is first depends on the units: rescaling a modality is a choice, see both.")
        head = ("units", "first", "half of its output [tau]", "last/first", "superficial preference")
        return Table(
            "The same rows in other units (aligned start; tau is not the same)", head, tuple(rows), tuple(notes)
        )

    @property
    def disagreement(self) -> list[str]:
        """One line where the other units have another modality first."""
        raw, scored = (self.predictions[units] for units in (RAW, SCORED))
        if isinstance(raw, str) or isinstance(scored, str) or raw.order[0] == scored.order[0]:
            return []
        return [f"who is first depends on the units: with z-scored columns it is {scored.order[0]} (--standardize)"]

    def to_dict(self) -> dict[str, Any]:
        return {units: p if isinstance(p, str) else p.to_dict() for units, p in self.predictions.items()}


def both_scalings(
    network: FusionNetwork,
    data: Correlations,
    u0: float | Mapping[str, float] = 1e-3,
    recipe: Recipe | None = None,
) -> Scalings:
    """Predict for the data as they are and with every column and target z-scored.

    Examples
    --------
    >>> data = Correlations([[4, 0.3], [0.3, 1]], [1.0, 0.9], {"A": 1, "B": 1}, sigma_yy=2.0)
    >>> [p.order[0] for p in both_scalings(FusionNetwork.fused_at(2, 2), data).predictions.values()]
    ['A', 'B']
    """
    found: dict[str, Prediction | str] = {}
    for units in (RAW, SCORED):
        try:
            found[units] = predict(network, data if units == RAW else data.standardized(), u0=u0, recipe=recipe)
        except (DataError, DomainError, SolveError) as error:
            found[units] = str(error)
    return Scalings(found)
