"""A reproduced figure: its panels and its checks."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np

from dynamics.files import write_whole
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Panel
from dynamics.provenance import _version
from dynamics.strict_json import finite
from dynamics.tables import Drawn, Shown, Table, number


class Side(StrEnum):
    """How a number must lie to the one expected."""

    CLOSE = "close to"
    BELOW = "below"
    ABOVE = "above"


@dataclass(frozen=True)
class Check:
    """A number found by simulation against the one expected.

    within : largest difference allowed, as a share of what is expected (absolute where that is zero)
    reason : where the expectation, or the allowance, comes from
    """

    what: str
    found: float
    expected: float
    within: float
    reason: str = ""
    side: Side = Side.CLOSE

    @property
    def miss(self) -> float:
        gap = abs(self.found - self.expected)
        return gap / abs(self.expected) if self.expected else gap

    @property
    def allowed(self) -> str:
        if self.side is not Side.CLOSE:
            return self.side.value
        return f"{100 * self.within:.3g} %" if self.expected and self.within else f"{self.within:g}"

    @property
    def holds(self) -> bool:
        if self.side is Side.CLOSE:
            return bool(self.miss <= self.within)  # nan does not hold
        return self.found < self.expected if self.side is Side.BELOW else self.found > self.expected

    def to_dict(self) -> dict[str, Any]:
        return {
            "what": self.what, "found": finite(self.found), "expected": finite(self.expected),
            "side": self.side.value, "within": self.within, "holds": self.holds, "reason": self.reason,
        }  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Reproduction(Shown, Drawn):
    """A figure of the paper from this code.

    panels : letter -> what it shows
    layout : rows of letters; a letter may stand twice in a row to be wide, "." is empty
    caption : what is drawn; where simulation and paper differ it says why
    checks : simulation against theory
    setting : how to make it again
    """

    figure: ClassVar[str] = "paper.drawing"

    number: int
    title: str
    panels: Mapping[str, Panel]
    layout: tuple[str, ...]
    caption: str
    checks: tuple[Check, ...]
    setting: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        panels: Mapping[str, Panel],
        layout: tuple[str, ...],
        checks: Sequence[Check],
        caption: str,
    ) -> Reproduction:
        """caption : a paragraph, its lines broken anywhere"""
        text = " ".join(caption.split())
        return cls(experiment.figure, experiment.title, panels, layout, text, tuple(checks), experiment.to_dict())

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)

    @property
    def table(self) -> Table:
        rows = [
            (c.what, number(c.found), number(c.expected), c.allowed, "yes" if c.holds else "NO") for c in self.checks
        ]
        head = ("check", "found", "expected", "within", "holds")
        return Table(f"figure {self.number}: {self.title}", head, tuple(rows), (self.caption,))

    def to_dict(self) -> dict[str, Any]:
        """Every number drawn, for strict JSON."""
        return {
            "figure": self.number, "title": self.title, "caption": self.caption,
            "checks": [c.to_dict() for c in self.checks], "setting": dict(self.setting), "version": _version(),
            "panels": {letter: panel.to_dict() for letter, panel in self.panels.items()},
        }  # fmt: skip

    def save(self, path: str | os.PathLike[str]) -> None:
        """The numbers as JSON; whole or not at all."""
        text = json.dumps(self.to_dict(), allow_nan=False, ensure_ascii=False) + "\n"
        write_whole(path, text.encode(), "numbers")


def worst(what: str, found: Any, expected: Any, within: float, reason: str = "") -> Check:
    """The check of the worst of many pairs."""
    pairs = [
        Check(what, float(f), float(e), within, reason)
        for f, e in zip(np.ravel(found), np.ravel(expected), strict=True)
    ]
    return max(pairs, key=lambda check: math.inf if math.isnan(check.miss) else check.miss)
