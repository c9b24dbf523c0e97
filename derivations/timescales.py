"""Half-times of two modalities to leading order in u0: (8), (9), (12), (13), (48), (54), (56)-(58).

A is the modality learned first, B the second. Symbols, tau = 1:

    L, L_f      depth and fusion depth
    u_0         norm of every pre-fusion layer at t = 0
    a, k        |Sigma_yx_A| and |Sigma_yx_B| / |Sigma_yx_A|
    g           |Sigma_yx_A Sigma_A^-1|, the plateau of A
    r           |Sigma_yx_B - Sigma_yx_A Sigma_A^-1 Sigma_AB|, what is left for B
    c           -1 where a scalar residual has flipped its sign (then from a random start), else +1
    I           the integral (13), or (58) at L_f = 2
    R           1 for scalar inputs; the rotation of B's first layer for vectors and L_f > 2

Each law leaves out terms of relative order 1/ln(1/u0) (L_f = 2) or u0^(L_f - 2) (L_f > 2) in the lag,
1/ln(1/u0) (L = 2) or u0^(L - 2) in t_A.
"""

from __future__ import annotations

import sympy as sp

L, L_f, u_0, a, k, g, r, R, x, y = sp.symbols("L L_f u_0 a k g r R x y", positive=True)
c = sp.Symbol("c", real=True)
I = sp.Symbol("I", positive=True)  # noqa: E741  (the paper's name)
cos = sp.Symbol("cos", real=True)

#: (13), the integrand over x = u_A/u_0 from 1 to infinity.
INTEGRAND = x ** (1 - L) * (1 + (k + (1 - k) * x ** (L_f - 2)) ** (2 / (2 - L_f))) ** ((L_f - L) / 2)
#: (58), its limit L_f -> 2.
INTEGRAND_AT_2 = (x**2 + x ** (2 * k)) ** (1 - L / 2) / x

#: t_A: (8a) for L = 2, (48) and (56a) for L > 2.
FIRST_AT_DEPTH_2 = sp.log(1 / u_0) / a
FIRST = u_0 ** (2 - L) * I / a

#: t_B - t_A: (8b) and (56b) for L_f = 2 (at L = 2 the power of g is 0), (54) for L_f > 2.
LAG_AT_2 = (1 - c * k) / (r * g ** (1 - 2 / L)) * sp.log(1 / u_0)
LAG = (1 - c * k) * R * u_0 ** (2 - L_f) / ((L_f - 2) * g ** (1 - L_f / L) * r)

#: R(cos, L_f) = (L_f - 2) int_cos^inf (y^2 + 1 - cos^2)^(-(L_f-1)/2) dy, cos between Sigma_yx_B and its
#: residual: the time in which B's first layer, |v| = u_B, dv/dt = |v|^(L_f-1) e, turns and escapes.
ROTATION_INTEGRAND = (L_f - 2) * (y**2 + 1 - cos**2) ** (-(L_f - 1) / 2)


def logarithm(law: sp.Expr) -> sp.Expr:
    """ln of a positive law as a sum, so that u_0^(2-L) does not overflow."""
    return sp.expand_log(sp.log(law), force=True)


def log_integrand(at_two: bool) -> sp.Expr:
    """ln of the integrand (13) or (58) times dx/dy at x = e^y, as a function of y."""
    integrand = INTEGRAND_AT_2 if at_two else INTEGRAND
    return sp.expand_log(sp.log(integrand.subs(x, sp.exp(y)) * sp.exp(y)), force=True)


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
