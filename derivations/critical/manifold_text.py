"""How a critical manifold prints, with one output or several."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape as html_escape
from typing import TYPE_CHECKING, Any

from derivations.algebra.typesetting import text_lines
from derivations.critical.escape import Kind, shown


class ManifoldText:
    """Mixin of what has a name, strata, counts, equations, ways out and notes."""

    if TYPE_CHECKING:
        name: str
        loss: Any
        notes: tuple[str, ...]
        dimension: Any
        negative: Any
        zero: Any
        positive: Any
        equations: Any
        strata: tuple[Any, ...]

        @property
        def escapes(self) -> Sequence[Any]: ...

    @property
    def kind(self) -> Kind:
        return Kind.SADDLE if self.escapes else Kind.MINIMUM

    def __str__(self) -> str:
        count = len(self.strata)
        lines = [
            f"{self.name}: {self.kind}, {count} strat{'um' if count == 1 else 'a'}",
            f"  dimension {self.dimension}, loss {shown(self.loss)}",
            f"  signature: {self.negative} negative, {self.zero} zero, {self.positive} positive",
            *(f"  {line}" for line in text_lines(self.equations)),
            *(f"  leaves: {way}" for way in self.escapes),
            *(f"  note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html_escape(str(self))}</pre>"
