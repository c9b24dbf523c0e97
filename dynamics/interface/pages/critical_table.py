"""Critical manifolds as a table, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from derivations.algebra.typesetting import text_lines
from derivations.critical.manifolds import Manifold
from derivations.critical.mode_sets import ModeManifold
from dynamics.tables import Table, number

HEAD = ("manifold", "learned", "strata", "dimension", "negative", "zero", "positive")
COUNTS = (
    "Counts: at a generic point of the largest stratum. Ways out, in 1/tau: from where training from small weights "
    "comes, the weights of all unlearned modalities zero, the others balanced."
)


def critical_table(manifolds: Sequence[Manifold | ModeManifold]) -> Table:
    """One row a manifold. For its equations and strata print the manifold itself, or a stratum."""
    numbers = all(isinstance(m.loss, float) for m in manifolds)
    rows, lines = [], []
    for m in manifolds:
        counts = (str(x) for x in (len(m.strata), m.dimension, m.negative, m.zero, m.positive))
        ways = "; ".join(str(way) for way in m.escapes) or f"nothing leads away ({m.kind})"
        more = (number(m.loss), ways) if numbers else ()
        rows.append((m.name, ", ".join(m.learned) or "-", *counts, *more))
        lines += [] if numbers else [f"{m.name}: loss {m.loss}; left by: {ways}"]
    head = (*HEAD, "loss", "left by") if numbers else HEAD
    notes = [*lines, COUNTS, *dict.fromkeys(f"Warning: {note}" for m in manifolds for note in m.notes)]
    return Table("Critical manifolds of the loss", head, tuple(rows), tuple(notes))


def to_dict(manifold: Manifold | ModeManifold) -> dict[str, Any]:
    """For strict JSON: numbers as numbers, expressions as text."""

    def plain(value: Any) -> Any:
        return value if isinstance(value, int | float) else int(value) if value.is_Integer else str(value)

    totals = {m: [[plain(x) for x in row] for row in rows.tolist()] for m, rows in manifold.total.items()}
    return {
        "name": manifold.name,
        "learned": list(manifold.learned),
        "kind": manifold.kind.value,
        **{name: plain(getattr(manifold, name)) for name in ("dimension", "negative", "zero", "positive", "loss")},
        "total": {m: rows[0] if len(rows) == 1 else rows for m, rows in totals.items()},
        "equations": text_lines(manifold.equations),
        "rates": [plain(rate) for rate in manifold.rates],
        "degenerate": manifold.degenerate,
        "escapes": [
            {
                "modalities": list(way.modalities),
                "law": way.law.value,
                "layers": way.layers,
                "speed": plain(way.speed),
                "equation": str(way),
            }
            for way in manifold.escapes
        ],
        "strata": [
            {
                "name": stratum.name,
                "dimension": plain(stratum.dimension),
                "negative": plain(stratum.negative),
                "equations": text_lines(stratum.equations),
                "proof": list(stratum.proof),
            }
            for stratum in manifold.strata
        ],
        "notes": list(manifold.notes),
    }
