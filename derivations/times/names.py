"""Names that the laws of the half-times share."""

from __future__ import annotations

from typing import Any

import sympy as sp

from derivations.algebra.notation import named, t_A, t_B, x

#: Sizes, of order one, at which A and B count as learned.
X, X_B = sp.symbols("X X_B", positive=True)
u_B_at = sp.Symbol("u_B(t_A)", positive=True)
RATIO, LAG_NAME = t_B / t_A, t_B - t_A
SLOPE = named("du_B/du_A", r"\frac{du_B}{du_A}")
SLOPE_OF_A = named("du_A/du_B", r"\frac{du_A}{du_B}")
DIRECTION = named("sign of the change of t_B/t_A", r"\mathrm{sign}\,\Delta(t_B/t_A)", real=True)


def integral(f: sp.Expr, low: Any, high: Any) -> sp.Integral:
    return sp.Integral(f, (x, low, high))
