"""Confidence: shares and quantiles over the draws of a bootstrap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynamics.strict_json import told
from dynamics.tables import Shown, Table, number

Quantiles = tuple[float, float, float]


@dataclass(frozen=True, eq=False, repr=False)
class Confidence(Shown):
    """Shares and quantiles over the draws of a bootstrap.

    first : modality -> share of draws in which it is learned first, of an aligned start
    best : modality -> share of draws in which it alone explains most of <y^2>
    superficial : share of draws in which those two differ, (10); None for early fusion, for one modality, and where
        no draw decides
    order : full order of half-times -> share of draws, the most frequent one first
    strength : modality -> (2.5 %, median, 97.5 %) of |Sigma_yx_m|, in the units of the (z-scored) data
    contribution : the same of Sigma_yx_m Sigma_m^-1 Sigma_yx_m^T
    rows : of the data, and of every draw
    draws, seed : of the bootstrap
    standardized : every draw was z-scored again
    degenerate : draws with a constant column or target, with a Sigma of lower rank than the data's, or with inputs so
        nearly collinear that `Correlations` refuses their moments
    undecided : draws with a tie for the first or the best, or in which nothing is learned; the shares of `first`, of
        `best` and of `order` are of all draws, so that such draws are missing in their sums
    notes : what a reader should know
    """

    first: Mapping[str, float]
    best: Mapping[str, float]
    superficial: float | None
    order: Mapping[tuple[str, ...], float]
    strength: Mapping[str, Quantiles]
    contribution: Mapping[str, Quantiles]
    rows: int
    draws: int
    seed: int
    standardized: bool
    degenerate: int
    undecided: int
    notes: tuple[str, ...] = ()

    def error(self, share: float) -> float:
        """Monte Carlo error (one standard deviation) of a share of the draws, sqrt(p (1 - p) / draws)."""
        return math.sqrt(max(share * (1 - share), 0.0) / self.draws)

    @property
    def table(self) -> Table:
        """One row a modality, the most frequent first one on top; each share with its Monte Carlo error."""
        rows = []
        for m in sorted(self.first, key=lambda m: -self.first[m]):
            ranges = [_range(self.strength[m]), _range(self.contribution[m])]
            rows.append((m, self._share(self.first[m]), self._share(self.best[m]), *ranges))
        head = (
            "modality",
            "learned first",
            "best alone",
            "|Sigma_yx| (2.5 %, 97.5 %)",
            "<y^2> explained (2.5 %, 97.5 %)",
        )
        units = "every draw z-scored" if self.standardized else "in the units of the data"
        title = f"Bootstrap of {self.rows} rows: {self.draws} draws, seed {self.seed}, {units}"
        return Table(title, head, tuple(rows), tuple(self._lines()))

    def percent(self, share: float) -> str:
        """A share as the draws know it: none and all of them say how far that is sure."""
        beyond = 3 / self.draws  # at 95 %
        if share == 0:
            return f"< {number(100 * beyond, 3)} %"
        return f"> {number(100 * (1 - beyond), 3)} %" if share == 1 else f"{number(100 * share, 3)} %"

    def _share(self, share: float) -> str:
        return f"{100 * share:.4g} % +- {100 * self.error(share):.2g}"

    def _lines(self) -> list[str]:
        lines = []
        if self.superficial is not None:
            lines.append(f"Superficial preference (the first is not the best alone): {self._share(self.superficial)}.")
        if len(self.first) > 2:
            lines += [f"Order {', '.join(order)}: {self._share(share)}." for order, share in self.order.items()]
        shares = [*self.first.values(), *self.best.values(), *([] if self.superficial is None else [self.superficial])]
        lines.append(
            "+-: error of a share p from the number of draws, sqrt(p (1 - p) / draws). Ranges are around the median."
        )
        if any(share in (0.0, 1.0) for share in shares):
            lines.append(f"0 % and 100 % hold to within 3 / draws = {number(300 / self.draws, 2)} % (at 95 %).")
        return lines + list(self.notes)

    def to_dict(self) -> dict[str, Any]:
        """For strict JSON; orders, which are tuples, as a list of objects."""
        order = [{"order": list(order), "share": share} for order, share in self.order.items()]
        rest = "strength contribution rows draws seed standardized degenerate undecided notes"
        return {**told(self, "first best superficial"), "order": order, **told(self, rest)}


def _range(values: Quantiles) -> str:
    low, median, high = (number(value, 3) for value in values)
    return f"{median} ({low}, {high})"
