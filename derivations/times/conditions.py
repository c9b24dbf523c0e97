"""Conditions that the laws of the half-times share, and numbers at which they fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from derivations.algebra.notation import I, L, L_f, R, a, b, c, cos, g, k, r, t_A, t_B, tau, u_0

_n = sp.Symbol("n", positive=True)
#: Depths by numbers that are not negative: 2 < L_f <= L.
DEEP = {L_f: 2 + _n, L: 2 + _n + sp.Symbol("s", nonnegative=True)}
LOG_ORDER = 1 / sp.log(1 / u_0)
FULL_TURN = {cos: 1}
SAME_SIGN = "the residual points like Sigma_yx_B (c = 1): for a scalar B it has the same sign"
FLIP_NOTE = (
    "Where the residual of a scalar B has the other sign, c = -1 from a random start, 1 + (a + b)/r; from a balanced "
    "start B is never learned, since w = u^L cannot cross zero."
)
NUMBERS = {a: 3, b: 2, r: 5, u_0: sp.Rational(1, 100), tau: 7, k: sp.Rational(2, 3), g: 32, L: 5, L_f: 3, I: 11}
LN_100 = sp.log(100)


def flipped(lag: Any = 0, ratio: Any = 0, also: Mapping[sp.Symbol, Any] | None = None) -> dict[sp.Basic, Any]:
    """Numbers with c = -1 (and R = 2) at which the right form holds: its left side is worked out by hand."""
    return {c: -1, R: 2} | NUMBERS | {t_A: 1, t_B: 1 + lag if lag else ratio} | dict(also or {})
