"""Counts of directions and weights: numbers, or expressions in the width."""

from __future__ import annotations

from typing import Any

import sympy as sp

h = sp.Symbol("h", integer=True, positive=True)  # the width, where none is given


def plain(count: Any) -> Any:
    """An int where it is one, else an expression in h."""
    value = sp.expand(count)
    return int(value) if value.is_Integer else value
