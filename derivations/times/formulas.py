"""The laws as formulas, tau = 1: what the entries print and prove, and `dynamics` turns into numbers.

`any_branches` has those for branches of any depths and starts. Nothing here needs an entry, so that a prediction does
not build the ledger.
"""

from __future__ import annotations

import sympy as sp

from derivations.algebra.notation import I, L, L_f, R, a, c, cos, g, k, r, u_0, x, y
from derivations.times.names import integral

#: t_A, (8a) at two layers and (48).
FIRST_AT_DEPTH_2 = sp.log(1 / u_0) / a
FIRST = u_0 ** (2 - L) * I / a
#: (13) and its limit L_f -> 2, (58): the integrand of I over x = u_A/u_0 from 1 to infinity.
INTEGRAND = x ** (1 - L) * (1 + (k + (1 - k) * x ** (L_f - 2)) ** (2 / (2 - L_f))) ** ((L_f - L) / 2)
INTEGRAND_AT_2 = (x**2 + x ** (2 * k)) ** (1 - L / 2) / x
#: (111), u_B/u_0 when u_A/u_0 = x, for a mode of sign c: no power overflows for x >= 1.
SECOND_SIZE = (1 - c * k + c * k * x ** (2 - L_f)) ** (1 / (2 - L_f))
SECOND_SIZE_AT_2 = x ** (c * k)
#: t_B - t_A: (8b) and (56b) for L_f = 2 (at L = 2 the power of g is 0), (54) for L_f > 2, with sign and rotation.
LAG_AT_2 = (1 - c * k) / (r * g ** (1 - 2 / L)) * sp.log(1 / u_0)
LAG = (1 - c * k) * R * u_0 ** (2 - L_f) / ((L_f - 2) * g ** (1 - L_f / L) * r)
#: R(cos, L_f): the time in which B's first layer turns and escapes, over the one without a turn.
ROTATION_INTEGRAND = (L_f - 2) * (y**2 + 1 - cos**2) ** (-(L_f - 1) / 2)
#: x = u_A/U at the half of A's plateau, W_A^tot = x^L times it, and C_L of (117): what saturation adds to t_A.
HALF = 2 ** (-1 / L)
SATURATION = -(HALF ** (2 - L)) / (L - 2) + integral(x / (1 - x**L), 0, HALF)


def logarithm(law: sp.Expr) -> sp.Expr:
    """ln of a positive law as a sum, so that u_0^(2-L) does not overflow."""
    powers = (part.as_base_exp() for part in sp.Mul.make_args(law))
    return sp.Add(*(exponent * sp.log(base) for base, exponent in powers))


def rotation_angle_integrand() -> sp.Expr:
    """The integrand of R over s from 0 to 1 after y = sin(alpha) cot(alpha s), cos = cos(alpha).

    R = (L_f - 2) (alpha/sin alpha) int_0^1 (sin(alpha s)/sin(alpha))^(L_f-3) ds stays finite where the
    integral over y has an infinite range.
    """
    s, alpha = sp.symbols("s alpha", positive=True)
    height = sp.sin(alpha) / sp.tan(alpha * s)
    jacobian = sp.sin(alpha) * alpha / sp.sin(alpha * s) ** 2
    squared = sp.sin(alpha) ** 2 / sp.sin(alpha * s) ** 2  # y^2 + 1 - cos^2
    assert sp.simplify(height**2 + sp.sin(alpha) ** 2 - squared) == 0
    return (L_f - 2) * jacobian * squared ** (-(L_f - 1) / 2)
