"""What to change: the rescaling, fusion depth, u0 or width at which the modalities are learned at a wanted ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dynamics.strict_json import told
from dynamics.tables import Drawn, Shown, Table, number, percent

RULERS = "Half is of what the first contributes alone, and of what the last contributes beside it."


@dataclass(frozen=True)
class Option:
    """One thing to change, and what it gives by the same estimate as the rest.

    what : in words
    value : the factor, depth, norm or width; nan where none does it
    first, last : half-times of the modalities that are first and last now, units of tau
    ratio : last / first
    met : within 1 % of the wanted ratio
    note : why not, if not
    kept : share of what the best fit explains that is left where training ends: what the change costs
    """

    what: str
    value: float
    first: float
    last: float
    ratio: float
    met: bool
    note: str = ""
    kept: float = math.nan


@dataclass(frozen=True, eq=False, repr=False)
class Prescription(Shown, Drawn):
    """What each change of the network or of the data does to the time ratio.

    wanted : the ratio aimed at; 1 is together
    order : modalities in the order in which they are learned now
    source, assumes : the estimate behind all numbers, and its start
    now : as it is
    rescale : columns of `block` times a factor
    leading_factor : 1/k to leading order: the factor at which |Sigma_yx| of both are equal; two modalities; nan where
        times do not go by |Sigma_yx|
    fusion_depths : every fusion depth of the same total depth
    start : another u0
    width : other hidden units; None for an aligned start, which has none
    sweep : (factor of the block, ratio), all that were tried, in order
    holds_for : network, loss, start and recipe
    recipes : a learning rate, dropout, unimodal losses, gradient modulation
    remarks : what does nothing here
    too_large : modality -> weight decay beyond which it is never learned; empty for more than two layers
    """

    figure: ClassVar[str] = "figures.prescriptions"

    wanted: float
    order: tuple[str, ...]
    block: str
    source: str
    assumes: str
    now: Option
    rescale: Option
    leading_factor: float
    fusion_depths: tuple[Option, ...]
    start: Option
    width: Option | None
    sweep: tuple[tuple[float, float], ...]
    holds_for: str
    warnings: tuple[str, ...]
    recipes: tuple[Option, ...] = ()
    too_large: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        """All of them, what is now first."""
        rest = () if self.width is None else (self.width,)
        return (self.now, self.rescale, *self.fusion_depths, self.start, *rest, *self.recipes)

    @property
    def table(self) -> Table:
        first, last = self.order[0], self.order[-1]
        rows = [
            (o.what, *map(number, (o.first, o.last, o.ratio)), "yes" if o.met else "no", percent(o.kept), o.note)
            for o in self.options
        ]
        aim = "together" if self.wanted == 1 else f"at the ratio {number(self.wanted)}"
        title = f"To learn {first} and {last} {aim} [{self.source}, {self.assumes}]"
        head = ("change", f"half of {first} [tau]", f"half of {last} [tau]", "ratio", "met", "fit kept", "")
        notes = [f"Holds for: {self.holds_for}"] if self.holds_for else []
        if not math.isnan(self.leading_factor):
            equal = f"{self.block} x {number(self.leading_factor)}"
            notes.append(f"To leading order |Sigma_yx| of both are equal at {equal}.")
        if self.wanted == 1:
            notes.append(RULERS)
        if self.too_large:
            decays = ", ".join(f"{m} beyond {number(rate)}" for m, rate in self.too_large.items())
            notes.append(f"Weight decay that is too large, never learned: {decays}.")
        return Table(title, head, tuple(rows), (*notes, *self.remarks, *(f"Warning: {w}" for w in self.warnings)))

    def to_dict(self) -> dict[str, Any]:
        """What `prescribe --json` prints."""
        names = "wanted order block source assumes holds_for now rescale leading_factor fusion_depths start width"
        return told(self, f"{names} recipes too_large remarks warnings")
