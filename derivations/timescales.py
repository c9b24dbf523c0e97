"""From the reduced flow to the half-times, line by line: (8), (9), (12), (13), (26)-(33), (45)-(60).

A is the modality learned first, B the second; `notation` has the symbols. The walk:

    two layers   (25) -> (26), (27) t_A -> (29), (30) B at t_A -> (31), (32) -> (33) t_B -> (8), (9)
    deep         (44) -> (45) B as a function of A -> (46), (47) -> (48), (13) t_A
                 (50) the plateau -> (51) B at t_A -> (52), (53) -> (54) t_B -> (12)
    L_f = 2      (55)-(58), unequal depths (59), (60)

X and X_B are the sizes, of order one, at which a modality counts as learned; they drop out as u_0 -> 0. Each
law leaves out terms of relative order 1/ln(1/u_0) (L_f = 2, the lag; L = 2, t_A) or u_0^(L_f - 2) and, for L_f < L,
u_0^2 (the lag); u_0^(L - 2) (t_A).

The expressions in capitals are what `dynamics` turns into numbers, at tau = 1.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from derivations.ansatz import EQ_25, EQ_44A, EQ_44B, turning_moves, turning_speed, two_layer_shapes, two_layer_speed
from derivations.conservation import EQ_23, EQ_41
from derivations.entry import Entry, Kind, Statement, factor, small, small_beside_one, term
from derivations.errors import SolveError
from derivations.network import FusionNetwork
from derivations.notation import (
    L_A,
    L_B,
    Y_B,
    I,
    L,
    L_c,
    L_f,
    R,
    a,
    b,
    c,
    cos,
    g,
    k,
    matrix,
    r,
    rate,
    residual_B,
    t,
    t_A,
    t_B,
    tau,
    u,
    u_0,
    u_A,
    u_B,
    x,
    y,
)
from derivations.ordered_products import T, layer, normal, same, words
from derivations.positive_powers import as_power, canonical, equal, separated
from derivations.reduction import reduce
from derivations.symbolic_flow import EQ_22B, EQ_31, EQ_52, equation

X, X_B = sp.symbols("X X_B", positive=True)
u_B_at = sp.Symbol("u_B(t_A)", positive=True)
u_B_end = sp.Symbol("u_B(t_B)", positive=True)
RATIO, LAG_NAME = t_B / t_A, t_B - t_A
_n, _q, _m = sp.symbols("n q m", positive=True)
_s = sp.Symbol("s", nonnegative=True)
#: Depths by positive numbers: 2 < L_f <= L; 2 = L_f < L, with k < 1; 2 < L_f < L.
DEEP = {L_f: 2 + _n, L: 2 + _n + _s}
AT_TWO = {L: 2 + _q, k: 1 / (1 + _m)}
BETWEEN = {L_f: 2 + _n, L: 2 + _n + _q}
_LOG = 1 / sp.log(1 / u_0)


def integral(f: sp.Expr, low: Any, high: Any) -> sp.Integral:
    return sp.Integral(f, (x, low, high))


# ---- Two layers.


def growth(speed: sp.Eq, norm: sp.Symbol, start: Any, since: Any = 0) -> sp.Eq:
    """t - since as a function of the norm: the separated equation of du/dt."""
    left = t if since == 0 else t - since
    return equation(left, tau * separated(speed.rhs, norm, start, norm))


def _first_time(eq26: sp.Eq) -> sp.Eq:
    return equation(t_A, eq26.rhs.subs(u_A, X))


def _order(times: sp.Expr, swapped: sp.Expr, by: tuple[Any, Any] | None = None) -> sp.Tuple:
    """t_A < t_B divided by the positive t_B: the condition that is left."""
    quotient = sp.Lt(canonical(times / swapped), 1)
    return sp.Tuple(sp.Lt(times, swapped), quotient.subs(*by) if by else quotient)


def _speed_of_b(eq22: sp.Tuple, eq23: sp.Tuple) -> sp.Eq:
    return equation(rate(u_B), two_layer_speed("W_B", eq22, two_layer_shapes("W_B", eq22, eq23)))


def _start_of_lag(eq29: sp.Tuple, eq27: sp.Eq) -> sp.Eq:
    """(29) at t_A, solved for ln u_B."""
    log_b = sp.Symbol("ln u_B", real=True)
    (found,) = sp.solve(eq29[1].rhs.subs(sp.log(u_B), log_b) - eq27.rhs.subs(sp.log(1 / u_0), -sp.log(u_0)), log_b)
    return equation(sp.log(u_B_at), found)


def _turning_two(eq31: sp.Tuple) -> sp.Eq:
    """(31) with W_B^1 along a unit row d at an angle to the residual, W_B^2 = u_B r^T."""
    d, column = matrix("d"), matrix("q")
    law = eq31[1].rhs.subs(layer("W_B", 1), u_B * column * d)
    found = normal(law, {(residual_B, T(d)): r * cos})
    if not same(found, r * cos * u_B * T(column)):
        raise SolveError(f"{found} is not along the second layer")
    return equation(rate(u_B), r * cos * u_B)


EQ_26 = Entry(
    26, "", "time of A, two layers",
    (Statement(equation(t, tau / a * (sp.log(u_A) - sp.log(u_0))), lambda eq25: growth(eq25[1], u_A, u_0)),),
    (EQ_25,), condition="weights near zero", proof="dt = tau du_A/(|Sigma_yx_A| u_A), integrated from u_0.",
)  # fmt: skip
EQ_27 = Entry(
    27, "", "t_A, two layers",
    (Statement(equation(t_A, tau / a * sp.log(1 / u_0)), _first_time, lead=small(u_0), neglected=_LOG),),
    (EQ_26,), condition="u_0 -> 0; relative error of order 1/ln(1/u_0)",
    proof="(26) at a size X of order one; ln X is left out beside ln(1/u_0).",
    note="Why ln 1/u_0: growth is exponential, so the time is the logarithm of how much there is to grow.",
)  # fmt: skip
EQ_28 = Entry(
    28, "", "which modality is first",
    (
        Statement(
            sp.Tuple(sp.Lt(tau / a * sp.log(1 / u_0), tau / b * sp.log(1 / u_0)), sp.Gt(a, b)),
            lambda eq27: _order(eq27.rhs, eq27.rhs.subs(a, b)),
        ),
    ),
    (EQ_27,), condition="u_0 < 1", proof="The quotient of the two times is |Sigma_yx_B|/|Sigma_yx_A|.",
)  # fmt: skip
EQ_29 = Entry(
    29, "", "growth of B until t_A",
    (
        Statement(equation(rate(u_B), b * u_B), _speed_of_b),
        Statement(
            equation(t, tau / b * (sp.log(u_B) - sp.log(u_0))),
            lambda eq22, eq23: growth(_speed_of_b(eq22, eq23), u_B, u_0),
        ),
    ),
    (EQ_22B, EQ_23), condition="0 <= t <= t_A, balanced, W_B^1 along Sigma_yx_B", proof="As (25), (26), from (22b).",
)  # fmt: skip
EQ_30 = Entry(
    30, "", "B at t_A",
    (Statement(equation(sp.log(u_B_at), (1 - b / a) * sp.log(u_0)), _start_of_lag),),
    (EQ_29, EQ_27), condition="that of (29), with t_A of (27)", proof="(27) into (29), solved for ln u_B.",
)  # fmt: skip
_FULL_TURN = {cos: 1}
EQ_32 = Entry(
    32, "", "growth of B after t_A, two layers",
    (
        Statement(
            equation(rate(u_B), r * u_B), _turning_two,
            given=_FULL_TURN, counterexample={cos: sp.Rational(1, 2), r: 5, u_B: 3, rate(u_B): sp.Rational(15, 2)},
        ),
        Statement(
            equation(t - t_A, tau / r * (sp.log(u_B) - sp.log(u_B_at))),
            lambda eq31: growth(_turning_two(eq31), u_B, u_B_at, t_A),
            given=_FULL_TURN, counterexample={cos: sp.Rational(1, 2), r: 5, u_B: 3, u_B_at: 2, tau: 7}
            | {t_A: 1, t: 1 + sp.Rational(14, 5) * sp.log(sp.Rational(3, 2))},
        ),
    ),
    (EQ_31,), condition="W_B^1 along the residual (always for scalar inputs)",
    proof="(31) with W_B^1 = u_B r d, W_B^2 = u_B r^T: the speed is the residual's component along d.",
    note="The turn from Sigma_yx_B to the residual takes a time of order one, small beside ln(1/u_0).",
)  # fmt: skip
_SIGN = "the residual points like Sigma_yx_B (c = 1): for a scalar B it has the same sign"
_FLIP = (
    "Where the residual of a scalar B has the other sign, c = -1 from a random start, 1 + (a + b)/r; from a balanced "
)
_FLIP += "start B is never learned, since w = u^L cannot cross zero."
_NUMBERS = {a: 3, b: 2, r: 5, u_0: sp.Rational(1, 100), tau: 7, k: sp.Rational(2, 3), g: 32, L: 5, L_f: 3, I: 11}


def flipped(**instance: Any) -> dict[sp.Basic, Any]:
    """Numbers with c = -1 (and R = 2) at which the right form holds: its left side is worked out by hand."""
    lag, ratio = instance.get("lag", 0), instance.get("ratio", 0)
    times = {t_A: 1, t_B: 1 + lag} if lag else {t_A: 1, t_B: ratio}
    return {c: -1, R: 2} | _NUMBERS | times | dict(instance.get("also", {}).items())


_LN = sp.log(100)


def _lag_of_two_layers(eq32: sp.Tuple, eq30: sp.Eq) -> sp.Expr:
    """(32) from (30) to X_B; with c b for b the mode that the residual will drive."""
    start = eq30.rhs.subs(b, c * b)
    return eq32[1].rhs.subs(u_B, X_B).subs(sp.log(u_B_at), start)


EQ_33 = Entry(
    33, "", "t_B, two layers",
    (
        Statement(
            equation(LAG_NAME, -tau / r * sp.log(u_B_at)),
            lambda eq32, eq30: equation(LAG_NAME, eq32[1].rhs.subs(u_B, X_B)),
            lead=small(u_B_at), neglected=1 / sp.log(1 / u_B_at),
        ),
        Statement(
            equation(LAG_NAME, tau * (1 - b / a) / r * sp.log(1 / u_0)),
            lambda eq32, eq30: equation(LAG_NAME, _lag_of_two_layers(eq32, eq30)),
            lead=small(u_0), neglected=_LOG, given={c: 1},
            counterexample=flipped(lag=sp.Rational(7, 3) * _LN),  # 7 (1 + 2/3)/5 ln 100
        ),
    ),
    (EQ_32, EQ_30), condition="u_0 -> 0; relative error of order 1/ln(1/u_0); " + _SIGN,
    proof="(32) from u_B(t_A) of (30) to a size X_B of order one.",
)  # fmt: skip
EQ_8A = Entry(
    8, "a", "t_A, two layers",
    (Statement(equation(t_A, tau / a * sp.log(1 / u_0)), _first_time, lead=small(u_0), neglected=_LOG),),
    (EQ_26,), condition=EQ_27.condition, proof="(27).",
)  # fmt: skip
FIRST_AT_DEPTH_2 = EQ_8A.printed.rhs.subs(tau, 1)


def mode(eq22: sp.Tuple) -> sp.Eq:
    """W^1 d^T + c W^2T, d the unit row along Sigma_yx_B, grows at the rate c |Sigma_yx_B|, c = +-1: from (22b)."""
    d = Y_B / b
    combined = eq22[0].rhs * T(d) + c * T(eq22[1].rhs)
    law = normal(combined, {(Y_B, T(Y_B)): b**2})
    now = normal(layer("W_B", 1) * T(d) + c * T(layer("W_B", 2)))
    gap = normal(law - c * b * now, {}).subs(c**2, 1)
    if normal(gap) != 0:
        raise SolveError(f"the mode does not grow by itself: {gap}")
    return equation(sp.Symbol("rate of the mode c"), c * b)


EQ_8B = Entry(
    8, "b", "t_B - t_A, two layers",
    (
        Statement(
            equation(LAG_NAME, tau * (1 - b / a) / r * sp.log(1 / u_0)),
            lambda eq32, eq30: equation(LAG_NAME, _lag_of_two_layers(eq32, eq30)),
            lead=small(u_0), neglected=_LOG, given={c: 1},
            counterexample=flipped(lag=sp.Rational(7, 3) * _LN),  # 7 (1 + 2/3)/5 ln 100
        ),
    ),
    (EQ_32, EQ_30), condition=_SIGN, proof="(33), with the sign c of the mode that the residual will drive.",
    note=_FLIP,
)  # fmt: skip


def ratio_of_two_layers(eq26: sp.Eq, eq32: sp.Tuple, eq30: sp.Eq) -> sp.Eq:
    """t_B/t_A from (26) at X and the lag at X_B, before u_0 -> 0."""
    return equation(RATIO, 1 + _lag_of_two_layers(eq32, eq30) / eq26.rhs.subs(u_A, X))


# ---- Claims beside (9), for the paper's scalar data y = x_A + x_B.

_sd_A, _sd_B = sp.symbols("sigma_A sigma_B", positive=True)
_rho = sp.Symbol("rho", real=True)
_sign_b = sp.Symbol("sign(Sigma_yxB)", real=True)
_direction = sp.Symbol("sign of the change of t_B/t_A", real=True)


def _paper_example() -> sp.Eq:
    """(9) for Sigma = [sA^2, rho sA sB; rho sA sB, sB^2], y = x_A + x_B, from the correlations."""
    cross = _rho * _sd_A * _sd_B
    sigma = sp.Matrix([[_sd_A**2, cross], [cross, _sd_B**2]])
    target_a, target_b = sp.Matrix([[1, 1]]) * sigma
    left = sp.factor(target_b - target_a / _sd_A**2 * cross)  # sigma_B^2 (1 - rho^2), positive
    return equation(RATIO, 1 + (target_a - _sign_b * target_b) / left)


def _stronger_correlation() -> sp.Eq:
    """How (9) changes with a growing positive rho for y = 2 x_A + x_B and unit variances."""
    rho = sp.Symbol("rho", positive=True)
    sigma = sp.Matrix([[1, rho], [rho, 1]])
    target_a, target_b = sp.Matrix([[2, 1]]) * sigma  # positive
    left = sp.factor(target_b - target_a * rho)  # 1 - rho^2
    law = sp.cancel(1 + (target_a - target_b) / left)
    return equation(_direction, sp.sign(sp.factor(sp.diff(law, rho))))


_CLAIMS_9 = (
    Statement(
        equation(RATIO, a / b), lambda *s: equation(RATIO, (1 + (a - b) / r).subs(r, b)),
        claim="section 3.2: without cross correlation the ratio is |Sigma_yx_A|/|Sigma_yx_B|",
    ),
    Statement(
        equation(RATIO, 1 + (_sd_A**2 / _sd_B**2 - 1) / (1 - _rho**2)), lambda *s: _paper_example(),
        given={_sign_b: 1}, counterexample={_sign_b: -1, _sd_A: 2, _sd_B: 1, _rho: sp.Rational(-4, 5), t_A: 1, t_B: 6},
        claim="appendix J.3: (9) is 1 + (sigma_A^2/sigma_B^2 - 1)/(1 - rho^2); where Sigma_yx_B < 0 (rho < "
        "-sigma_B/sigma_A) it is not (9) but the signed ratio, which is what a random start does",
    ),
    Statement(
        equation(sp.Symbol("time ratio"), t_A / t_B), lambda *s: equation(sp.Symbol("time ratio"), RATIO),
        defect=factor((t_A / t_B) ** 2),
        claim="appendix I: the time ratio of table 1 is the first time divided by the second; (9) is the inverse",
    ),
    Statement(
        equation(_direction, 1), lambda *s: _stronger_correlation(), defect=factor(-1),
        claim="section 3.2: stronger correlations between the inputs make the ratio larger; for y = 2 x_A + x_B and "
        "unit variances it is 1 + 1/(1 + rho), which falls",
    ),
)  # fmt: skip
EQ_9 = Entry(
    9, "", "time ratio, two layers",
    (
        Statement(
            equation(RATIO, 1 + (a - b) / r), ratio_of_two_layers,
            lead=small(u_0), neglected=_LOG, given={c: 1}, counterexample=flipped(ratio=2),  # 1 + (3 + 2)/5
        ),
    ),
    (EQ_26, EQ_32, EQ_30), condition=_SIGN,
    proof="(32) from (30), over (26), that is (8b) over (8a): ln(1/u_0) drops out, with it the start.",
    note=_FLIP + " If x_B is collinear with x_A the residual is zero and the ratio infinite.",
    claims=_CLAIMS_9,
)  # fmt: skip

# ---- Deep, L_f > 2.

SECOND_POWER = k * u_A ** (2 - L_f) + (1 - k) * u_0 ** (2 - L_f)
BRACKET = u_A**2 + SECOND_POWER ** (2 / (2 - L_f))
#: (13), the integrand over x = u_A/u_0 from 1 to infinity.
INTEGRAND = x ** (1 - L) * (1 + (k + (1 - k) * x ** (L_f - 2)) ** (2 / (2 - L_f))) ** ((L_f - L) / 2)


def quotient(top: sp.Eq, bottom: sp.Eq, name: str) -> sp.Eq:
    return equation(sp.Symbol(name), canonical(top.rhs / bottom.rhs))


def _branches(top: sp.Eq, bottom: sp.Eq) -> sp.Eq:
    """Both sides of du_B/du_A separated and integrated from u_0, divided: the quotient of the drives."""
    scale_b = separated(top.rhs / u ** (L - L_f), u_B, u_0, u_B)
    scale_a = separated(bottom.rhs / u ** (L - L_f), u_A, u_0, u_A)
    return equation(canonical(scale_b * b / (scale_a * a)), b / a)


def second_of_first(sign: Any = 1) -> sp.Expr:
    """u_B^(2 - L_f) as a function of u_A: (45) solved, with k times `sign` for a mode of that sign."""
    return u_0 ** (2 - L_f) * (1 - sign * k) + sign * k * u_A ** (2 - L_f)


def _second_power(eq45: sp.Tuple, sign: Any = 1) -> sp.Expr:
    """u_B^(2 - L_f) by (45), b driving with `sign`; put back into it."""
    found = second_of_first(sign)
    law = eq45[1].subs({b: sign * k * a})
    if not equal(law.lhs.subs(u_B, found ** (1 / (2 - L_f))), law.rhs):
        raise SolveError("(45) is not solved")
    return found


def _checked_second(eq45: sp.Tuple) -> sp.Expr:
    return _second_power(eq45) ** (1 / (2 - L_f))


def _first_alone(eq44: sp.Eq, eq45: sp.Tuple, eq41: sp.Eq) -> sp.Eq:
    """(44a) with u from (41) and u_B from (45)."""
    (trunk,) = sp.solve(eq41.lhs - eq41.rhs, u)[:1] or [None]
    return equation(rate(u_A), eq44.rhs.subs(u, trunk).subs(u_B, _checked_second(eq45)))


def time_of(speed: sp.Eq, high: Any) -> sp.Expr:
    """tau int_{u_0}^{high} dx/speed."""
    return integral(tau / speed.rhs.subs(u_A, x), u_0, high)


def in_units_of_start(time: sp.Integral) -> sp.Integral:
    """The integral over x = u_A/u_0 from 1 on."""
    ((_, low, high),) = time.limits
    return integral(canonical(time.function.subs(x, u_0 * x) * u_0), canonical(low / u_0), high / u_0)


def _first_deep(eq46: sp.Eq) -> sp.Eq:
    return equation(t_A, in_units_of_start(time_of(eq46, X)))


_PROPORTION = (u_B ** (2 - L_f) - u_0 ** (2 - L_f)) / (u_A ** (2 - L_f) - u_0 ** (2 - L_f))
EQ_45 = Entry(
    45, "", "B as a function of A",
    (
        Statement(
            equation(sp.Symbol("du_B/du_A"), b * u_B ** (L_f - 1) / (a * u_A ** (L_f - 1))),
            lambda eq44b, eq44a: quotient(eq44b, eq44a, "du_B/du_A"),
        ),
        Statement(equation(_PROPORTION, b / a), _branches),
    ),
    (EQ_44B, EQ_44A), condition="L_f not 2; both branches start at u_0",
    proof="(44b) over (44a): the trunk cancels; both sides integrated from u_0. k = |Sigma_yx_B|/|Sigma_yx_A|.",
)  # fmt: skip
EQ_46 = Entry(
    46, "", "growth of A alone",
    (
        Statement(
            equation(rate(u_A), a * u_A ** (L_f - 1) * BRACKET ** ((L_f - L) / 2)), _first_alone,
            defect=factor(BRACKET ** (L_f - L)),
        ),
    ),
    (EQ_44A, EQ_45, EQ_41), condition="L_f not 2, weights near zero",
    proof="(44a) with u = sqrt(u_A^2 + u_B^2), (41), and u_B by (45): the bracket is u^2, its power (L - L_f)/2.",
    note="Printed is the power (L_f - L)/2, that of the reciprocal in (47).",
)  # fmt: skip
EQ_47 = Entry(
    47, "", "time of A",
    (
        Statement(
            equation(t, integral((u_A ** (1 - L_f) * BRACKET ** ((L_f - L) / 2)).subs(u_A, x), u_0, u_A)),
            lambda eq46: equation(t, time_of(eq46, u_A)), defect=factor(a / tau),
        ),
    ),
    (EQ_46,), condition="L_f not 2, weights near zero", proof="dt = tau du_A / (right side of (46)).",
    note="The factor tau/|Sigma_yx_A| is missing; (48) has it.",
)  # fmt: skip
EQ_48 = Entry(
    48, "", "t_A",
    (
        Statement(
            equation(t_A, tau / a * integral((u_A ** (1 - L_f) * BRACKET ** ((L_f - L) / 2)).subs(u_A, x), u_0, a / 2)),
            lambda eq46: equation(t_A, time_of(eq46, a / 2)),
        ),
        Statement(
            equation(t_A, tau / a * u_0 ** (2 - L) * integral(INTEGRAND, 1, sp.oo)), _first_deep,
            lead=small(u_0, DEEP), neglected=u_0 ** (L - 2),
        ),
    ),
    (EQ_46,), condition="u_0 -> 0; relative error of order u_0^(L - 2)",
    proof="(47) up to a size X of order one, in x = u_A/u_0; beyond X/u_0 the integral has (X/u_0)^(2-L)/(L-2) left.",
    note="|Sigma_yx_A|/2 is one choice of X; the plateau of u_A is |Sigma_yx_A Sigma_A^-1|^(1/L).",
)  # fmt: skip
EQ_13 = Entry(
    13, "", "the integral I(L, L_f)",
    (
        Statement(
            equation(I, integral(INTEGRAND, 1, sp.oo)),
            lambda eq48: equation(I, canonical(eq48[1].rhs * a * u_0 ** (L - 2) / tau)),
        ),
    ),
    (EQ_48,), condition="2 < L_f <= L", proof="t_A of (48) in units of tau u_0^(2-L)/|Sigma_yx_A|.",
)  # fmt: skip
_TIME = tau / a * u_0 ** (2 - L) * I


def _with_I(eq48: sp.Tuple, eq13: sp.Eq) -> sp.Eq:
    """(48) with the integral by its name."""
    if not equal(eq48[1].rhs, _TIME.subs(I, eq13.rhs)):
        raise SolveError("(48) is not a multiple of (13)")
    return equation(t_A, _TIME)


EQ_49 = Entry(
    49, "", "which modality is first",
    (
        Statement(equation(t_A, tau / a * u_0 ** (2 - L_f) * I), _with_I, defect=factor(u_0 ** (L - L_f))),
        Statement(
            sp.Tuple(sp.Lt(tau / a * u_0 ** (2 - L_f) * I, tau / b * u_0 ** (2 - L_f) * I), sp.Lt(k, 1)),
            lambda *s: _order(_with_I(*s).rhs, _with_I(*s).rhs.subs(a, b), (b, k * a)),
        ),
    ),
    (EQ_48, EQ_13), proof="The quotient of the two times is k; both sides carry the same power of u_0.",
    note="Printed u_0^(2 - L_f); (48) has u_0^(2 - L). The comparison is not touched: both sides have it. It puts the "
    "I of A on both sides; B's own, with 1/k for k, exists only where B is first.",
)  # fmt: skip


def _plateau(which: sp.Symbol, eq41: sp.Eq) -> sp.Eq:
    """u_A^L_f u^(L - L_f) = |W_A^tot| = g with u by (41), to first order in u_B^2."""
    at = g ** (1 / L)
    small_square = sp.Symbol("u_B^2", positive=True)
    (square,) = sp.solve((eq41.lhs - eq41.rhs).subs(u, sp.sqrt(x)), x)
    law = sp.log(u_A) * L_f + (L - L_f) / 2 * sp.log(square.subs(u_B**2, small_square)) - sp.log(g)
    if not equal(law.subs(small_square, 0).subs(u_A, at), 0):
        raise SolveError("u_A = g^(1/L) is not on the plateau")
    slope = sp.simplify((-sp.diff(law, small_square) / sp.diff(law, u_A)).subs(small_square, 0).subs(u_A, at))
    first = at + slope * u_B**2
    trunk = at + (slope + 1 / (2 * at)) * u_B**2
    return equation(which, first if which == u_A else trunk)


EQ_50 = Entry(
    50, "", "norms on the plateau of A",
    tuple(
        Statement(
            equation(norm, g ** (1 / L)), lambda eq41, _norm=norm: _plateau(_norm, eq41),
            lead=small(u_B), neglected=u_B**2,
        )
        for norm in (u_A, u)
    ),
    (EQ_41,), condition="t_A < t < t_B, balanced; relative error of order (u_B/u_A)^2",
    proof="|W_A^tot| = u_A^L_f u^(L - L_f) with u^2 = u_A^2 + u_B^2, expanded in u_B^2.",
)  # fmt: skip
_WITHOUT_K = (X ** (2 - L_f) + (1 - k) * u_0 ** (2 - L_f)) ** (1 / (2 - L_f))
_AT_FIRST = SECOND_POWER.subs(u_A, X) ** (1 / (2 - L_f))
EQ_51 = Entry(
    51, "", "B at t_A",
    (
        Statement(
            equation(u_B_at, _WITHOUT_K), lambda eq45: equation(u_B_at, _checked_second(eq45).subs(u_A, X)),
            defect=factor(_WITHOUT_K / _AT_FIRST),
        ),
        Statement(
            equation(u_B_at, (1 - k) ** (1 / (2 - L_f)) * u_0),
            lambda eq45: equation(u_B_at, _checked_second(eq45).subs(u_A, X)),
            lead=small(u_0, DEEP), neglected=u_0 ** (L_f - 2),
        ),
    ),
    (EQ_45,), condition="u_A(t_A) = X of order one; relative error of order u_0^(L_f - 2)",
    proof="(45) solved for u_B.", note="Printed without the k before u_A^(2 - L_f); the second form is right.",
)  # fmt: skip
#: u_B/u_0 when u_A/u_0 = x, by (45) and (55), for a mode of sign c: no power overflows for x >= 1.
_TERMS = second_of_first(c).subs(u_A, u_0 * x).args
SECOND_SIZE = sp.Add(*(sp.powsimp(sp.expand_power_base(e / u_0 ** (2 - L_f))) for e in _TERMS)) ** (1 / (2 - L_f))
SECOND_SIZE_AT_2 = x ** (c * k)


def _turning(eq52: sp.Tuple, eq50: sp.Tuple) -> sp.Eq:
    """(52) with W_B^1 along a unit row d at an angle to the residual, A and the trunk on the plateau (50)."""
    d = matrix("d")
    found = turning_speed(eq52[0], d, {(residual_B, T(d)): r * cos})
    return equation(rate(u_B), canonical(found.subs(u, eq50[1].rhs)))


def _lag_from(speed: sp.Eq) -> sp.Expr:
    return tau * separated(speed.rhs, u_B, u_B_at, u_B)


EQ_53 = Entry(
    53, "", "growth of B after t_A",
    (
        Statement(
            equation(rate(u_B), g ** (1 - L_f / L) * r * u_B ** (L_f - 1)), _turning,
            given=_FULL_TURN,
            counterexample={cos: sp.Rational(1, 2), r: 5, u_B: 3, g: 32, L: 5, L_f: 4, rate(u_B): 135},
        ),
        Statement(
            equation(t - t_A, tau * g ** (L_f / L - 1) / r * (u_B ** (2 - L_f) - u_B_at ** (2 - L_f)) / (2 - L_f)),
            lambda *s: equation(t - t_A, _lag_from(_turning(*s))),
            given=_FULL_TURN,
            counterexample={cos: sp.Rational(1, 2), r: 5, u_B: 3, u_B_at: 2, g: 32, L: 5, L_f: 4, tau: 7}
            | {t_A: 1, t: 1 + sp.Rational(7, 72)},  # 7 (1/4 - 1/9)/(2 * 2 * 5/2)
        ),
    ),
    (EQ_52, EQ_50), condition="W_B^1 along the residual (always for scalar inputs)",
    proof="(52) with the ansatz for B; the trunk stands at (50). Then the separated equation.",
    note="For vector inputs and L_f > 2 the turn is not short beside the lag: the lag is longer by R, (104).",
)  # fmt: skip


def exact_lag(sign: Any, turn: Any, eq53: sp.Tuple, eq45: sp.Tuple) -> sp.Expr:
    """t_B - t_A from (53) between (45) at X and X_B; `sign` and `turn` act on the start as c and R do."""
    lag = eq53[1].rhs.subs(u_B, X_B)
    start = _second_power(eq45, sign).subs(u_A, X)
    return lag.subs(u_B_at ** (2 - L_f), turn * start)


_DENOMINATOR = (L_f - 2) * g ** (1 - L_f / L) * r
_ALONE = {c: 1, R: 1}
_ORDER = "relative error of order u_0^(L_f - 2), for L_f < L also of order u_0^2 (L_f = 4: with a logarithm), (112)"
EQ_54 = Entry(
    54, "", "t_B - t_A",
    (
        Statement(
            equation(
                LAG_NAME, tau * (u_B_end ** (2 - L_f) - u_B_at ** (2 - L_f)) / ((2 - L_f) * g ** (1 - L_f / L) * r)
            ),
            lambda eq53, eq45: equation(LAG_NAME, eq53[1].rhs.subs(u_B, u_B_end)),
        ),
        Statement(
            equation(LAG_NAME, -tau * u_B_at ** (2 - L_f) / ((2 - L_f) * g ** (1 - L_f / L) * r)),
            lambda eq53, eq45: equation(LAG_NAME, eq53[1].rhs.subs(u_B, u_B_end)),
            lead=small(u_B_at, DEEP), neglected=u_B_at ** (L_f - 2),
        ),
        Statement(
            equation(LAG_NAME, tau * (1 - b / a) * u_0 ** (2 - L_f) / _DENOMINATOR),
            lambda eq53, eq45: equation(LAG_NAME, exact_lag(c, R, eq53, eq45).subs(k, b / a)),
            lead=small(u_0, DEEP), neglected=u_0 ** (L_f - 2), given=_ALONE,
            counterexample=flipped(lag=sp.Rational(350, 3)),  # 7 (1 + 2/3) 2 * 100/(32^(2/5) 5)
        ),
    ),
    (EQ_53, EQ_45), condition=_SIGN + "; vectors: along it (R = 1); " + _ORDER,
    proof="(53) from (51) to X_B with the trunk held at (50); terms of order one are left out beside u_0^(2 - L_f).",
)  # fmt: skip


def exact_ratio(sign: Any, turn: Any, eq53: sp.Tuple, eq45: sp.Tuple, eq48: sp.Tuple, eq13: sp.Eq) -> sp.Eq:
    first = _with_I(eq48, eq13).rhs
    return equation(RATIO, 1 + canonical(first**-1) * exact_lag(sign, turn, eq53, eq45).subs(k, b / a))


_EXCESS_12 = (a - b) / r * u_0 ** (L - L_f) / ((L_f - 2) * g ** (1 - L_f / L)) / I


def _change_with_k(eq13: sp.Eq) -> sp.Eq:
    """How (12) changes with k = b/a in late fusion, at fixed a and r; I from (13)."""
    late = _EXCESS_12.subs(I, _depth_drops_out(eq13).rhs).subs(L_f, L).subs(b, k * a)
    return equation(_direction, sp.sign(canonical(sp.diff(sp.simplify(late), k))))


_sd_ratio = sp.Symbol("sigma_A/sigma_B", positive=True)


def _ratio_of_deviations() -> sp.Eq:
    """k = |Sigma_yx_B|/|Sigma_yx_A| for y = x_A + x_B without correlation, solved for sigma_A/sigma_B."""
    target_a, target_b = sp.Matrix([[1, 1]]) * sp.diag(_sd_A**2, _sd_B**2)
    (found,) = sp.solve(k - target_b / target_a, _sd_A)
    return equation(_sd_ratio, sp.simplify(found / _sd_B))


EQ_12 = Entry(
    12, "", "time ratio, 2 < L_f",
    (
        Statement(
            equation(RATIO, 1 + _EXCESS_12), lambda *s: exact_ratio(c, R, *s),
            lead=small_beside_one(u_0, DEEP), neglected=u_0 ** (L_f - 2), given=_ALONE,
            counterexample=flipped(ratio=1 + sp.Rational(1, 220000)),  # 1 + (3 + 2) 2 * 1e-4/(32^(2/5) 5 * 11)
        ),
    ),
    (EQ_53, EQ_45, EQ_48, EQ_13), condition=EQ_54.condition + ", of the excess over 1",
    proof="(54) over (48).",
    note="With L_f = L and (106) it is (9): depth drops out for scalar inputs. For vectors R stays, so it does not.",
    claims=(
        Statement(
            equation(_direction, 1), lambda *s: _change_with_k(s[3]), defect=factor(-1),
            claim="section 4.2: a larger k prolongs the unimodal phase; at fixed |Sigma_yx_A| and residual it shortens "
            "it (derived for late fusion)",
        ),
        Statement(
            equation(_sd_ratio, sp.sqrt(k)), lambda *s: _ratio_of_deviations(), defect=factor(k),
            claim="figure 6c: sigma_A/sigma_B = sqrt(k) at rho = 0",
        ),
    ),
)  # fmt: skip
FIRST = _with_I(EQ_48.printed, EQ_13.printed).rhs.subs(tau, 1)

# ---- Fusion at the second layer.

#: (58), the limit L_f -> 2 of (13).
INTEGRAND_AT_2 = (x**2 + x ** (2 * k)) ** (1 - L / 2) / x


def _logs(eq44b: sp.Eq, eq44a: sp.Eq) -> sp.Eq:
    """(44) at L_f = 2: both sides of du_A/du_B separated, integrated from u_0 and divided."""
    top, bottom = (eq.rhs.subs(L_f, 2) / u ** (L - 2) for eq in (eq44a, eq44b))
    return equation(canonical(separated(top, u_A, u_0, u_A) * a / (separated(bottom, u_B, u_0, u_B) * b)), a / b)


def _second_at_two(eq55: sp.Tuple, sign: Any = 1) -> sp.Expr:
    """u_B by (55): u_0 (u_A/u_0)^k, b driving with `sign`; put back into it."""
    found = u_0 * (u_A / u_0) ** (sign * k)
    law = eq55[1].subs({b: sign * k * a})
    if not equal(law.lhs.subs(u_B, found), law.rhs):
        raise SolveError("(55) is not solved")
    return found


def _first_at_two(eq44a: sp.Eq, eq55: sp.Tuple, eq41: sp.Eq) -> sp.Eq:
    second = _second_at_two(eq55)
    (trunk,) = sp.solve(eq41.lhs - eq41.rhs, u)[:1] or [None]
    speed = equation(rate(u_A), eq44a.rhs.subs(L_f, 2).subs(u, trunk).subs(u_B, second))
    return equation(t_A, in_units_of_start(time_of(speed, X)))


def _limit_at_two(eq13: sp.Eq) -> sp.Eq:
    """(13) as L_f -> 2: (k + (1-k) x^n)^(-2/n) tends to x^(-2(1-k)), by the derivative of its logarithm at n = 0."""
    n = sp.Symbol("n", positive=True)
    inner = k + (1 - k) * x**n
    if not equal(inner.subs(n, 0), 1):
        raise SolveError("the base does not tend to 1")
    limit = x ** sp.simplify(-2 * sp.diff(sp.log(inner), n).subs(n, 0) / sp.log(x))
    power = (k + (1 - k) * x ** (L_f - 2)) ** (2 / (2 - L_f))
    integrand = INTEGRAND
    if not equal(eq13.rhs, integral(integrand, 1, sp.oo)) or power not in integrand.atoms(sp.Pow):
        raise SolveError("the power is not in (13)")
    return equation(I, integral(canonical(integrand.subs(power, limit).subs(L_f, 2)), 1, sp.oo))


def lag_at_two(sign: Any, eq53_speed: sp.Eq, eq55: sp.Tuple) -> sp.Expr:
    """t_B - t_A at L_f = 2 from (53)'s speed, with u_B(t_A) by (55) at u_A = X."""
    size = _second_at_two(eq55, sign).subs(u_A, X)
    start = sp.expand_log(sp.log(size), force=True)
    lag = tau * separated(eq53_speed.rhs.subs(L_f, 2), u_B, u_B_at, X_B)
    return lag.subs(sp.log(u_B_at), start)


def _excess_at_two(eq53: sp.Tuple, eq56a: sp.Eq, eq55: sp.Tuple) -> sp.Eq:
    """The lag over t_A of (56a), its integral by the name of (58)."""
    ((inner,),) = [tuple(eq56a.rhs.atoms(sp.Integral))]
    if not equal(inner, integral(INTEGRAND_AT_2, 1, sp.oo)):
        raise SolveError(f"{inner} is not (58)")
    first = eq56a.rhs.subs(inner, I)
    return equation(RATIO, 1 + canonical(1 / first) * lag_at_two(c, eq53[0], eq55).subs(k, b / a))


EQ_55 = Entry(
    55, "", "B as a function of A, L_f = 2",
    (
        Statement(
            equation(sp.Symbol("du_A/du_B"), a * u_A / (b * u_B)),
            lambda eq44b, eq44a: quotient(
                equation(0, eq44a.rhs.subs(L_f, 2)), equation(0, eq44b.rhs.subs(L_f, 2)), "du_A/du_B"
            ),
        ),
        Statement(
            equation((sp.log(u_A) - sp.log(u_0)) / (sp.log(u_B) - sp.log(u_0)), a / b),
            _logs,
        ),
    ),
    (EQ_44B, EQ_44A), condition="L_f = 2; both branches start at u_0", proof="(44a) over (44b), integrated from u_0.",
    note="What changes at L_f = 2: the branches grow exponentially, so a logarithm takes the place of a power.",
)  # fmt: skip
EQ_56A = Entry(
    56, "a", "t_A, L_f = 2",
    (
        Statement(
            equation(t_A, tau * u_0 ** (2 - L) / a * integral(INTEGRAND_AT_2, 1, sp.oo)), _first_at_two,
            lead=small(u_0, AT_TWO), neglected=u_0 ** (L - 2),
        ),
    ),
    (EQ_44A, EQ_55, EQ_41), condition="2 = L_f < L; relative error of order u_0^(L - 2)", proof="As (48), with (55).",
)  # fmt: skip
_LAG_56 = tau * (1 - b / a) / r * g ** (2 / L - 1) * sp.log(1 / u_0)
EQ_56B = Entry(
    56, "b", "t_B - t_A, L_f = 2",
    (
        Statement(
            equation(LAG_NAME, _LAG_56),
            lambda eq53, eq55: equation(LAG_NAME, lag_at_two(c, eq53[0], eq55).subs(k, b / a)),
            lead=small(u_0), neglected=_LOG, given={c: 1},
            counterexample=flipped(lag=sp.Rational(7, 24) * _LN),  # 7 (1 + 2/3)/(5 * 32^(3/5)) ln 100
        ),
    ),
    (EQ_53, EQ_55), condition="2 = L_f < L; " + _SIGN + "; relative error of order 1/ln(1/u_0)",
    proof="(53) at L_f = 2 from u_B(t_A) by (55).", note=_FLIP,
)  # fmt: skip
_EXCESS_57 = (a - b) * u_0 ** (L - 2) * sp.log(1 / u_0) / (r * g ** (1 - 2 / L)) / I
_EXCESS_57_PRINTED = (a - b) * u_0 ** (L - 2) * sp.log(1 / u_0) / ((L_f - 2) * r * g ** (1 - L / 2)) / I
EQ_57 = Entry(
    57, "", "time ratio, L_f = 2",
    (
        Statement(
            equation(RATIO, 1 + _EXCESS_57_PRINTED),
            _excess_at_two,
            lead=small_beside_one(u_0, AT_TWO), neglected=_LOG, given={c: 1},
            counterexample=flipped(ratio=1 + _LN / 88_000_000),  # 1 + (3 + 2) 1e-6 ln 100/(5 * 32^(3/5) * 11)
            defect=term(_EXCESS_57 * (g ** (L / 2 - 2 / L) / (L_f - 2) - 1)),
        ),
    ),
    (EQ_53, EQ_56A, EQ_55), condition=EQ_56B.condition, proof="(56b) over (56a).",
    note="Printed has the factor L_f - 2 in the denominator, which is zero, and the exponent 1 - L/2 for 1 - 2/L.",
)  # fmt: skip
EQ_58 = Entry(
    58, "", "the integral I(L, 2)",
    (
        Statement(
            equation(I, integral(INTEGRAND_AT_2, 1, sp.oo)),
            lambda eq56a, eq13: equation(I, canonical(eq56a.rhs * a * u_0 ** (L - 2) / tau)),
        ),
        Statement(
            equation(I, integral(INTEGRAND_AT_2, 1, sp.oo)), lambda eq56a, eq13: _limit_at_two(eq13),
            claim="the limit L_f -> 2 of (13)",
        ),
    ),
    (EQ_56A, EQ_13), condition="L > 2", proof="t_A of (56a) in its units; and (13) as L_f -> 2.",
)  # fmt: skip

# ---- Unequal depths.

_EQUAL_DEPTHS = {L_A: L_f, L_B: L_f, L_c: L - L_f}
UNEQUAL = FusionNetwork.branches({"A": L_A, "B": L_B}, trunk=L_c)
_small_ends = sp.Symbol("epsilon", positive=True)


def unequal_flow() -> dict[sp.Symbol, sp.Expr]:
    """The reduced flow near zero for branch depths L_A, L_B and L_c layers after the fusion."""
    system = reduce(UNEQUAL, saturation=False)
    names = {s: {"Sigma_yA": a, "Sigma_yB": b}[s.name] for f in system.rhs for s in f.free_symbols if "Sigma" in s.name}
    return {s: f.subs(names) for s, f in zip(system.state, system.rhs, strict=True)}


def _flow_like_44(eq44a: sp.Eq, eq44b: sp.Eq) -> dict[sp.Symbol, sp.Expr]:
    """The flow of unequal branches; at equal depths it must be (44)."""
    flow = unequal_flow()
    for eq, norm in ((eq44a, u_A), (eq44b, u_B)):
        if not equal(eq.rhs, flow[norm].subs(_EQUAL_DEPTHS)):
            raise SolveError(f"the flow of {norm} is not (44) at equal depths")
    return flow


def second_of_first_unequal(sign: Any = 1) -> sp.Expr:
    """u_B^(2 - L_B) as a function of u_A: the two flows divided, separated and integrated from u_0."""
    flow = unequal_flow()
    side_a = separated(flow[u_A] / (a * u**L_c), u_A, u_0, u_A)
    side_b = separated(flow[u_B] / (b * u**L_c), u_B, u_0, u_B)
    power = u_0 ** (2 - L_B) + (2 - L_B) * sign * k * side_a
    if not equal(side_b.subs(u_B, power ** (1 / (2 - L_B))), sign * k * side_a):
        raise SolveError("the two separated sides do not agree")
    return power


def _unequal_integral(eq44a: sp.Eq, eq44b: sp.Eq, eq41: sp.Eq) -> sp.Eq:
    """(60): t_A in units of tau u_0^(2 - L_A - L_c)/a, its upper limit X/u_0 at infinity."""
    flow = _flow_like_44(eq44a, eq44b)
    (trunk,) = sp.solve(eq41.lhs - eq41.rhs, u)[:1] or [None]
    second = canonical(second_of_first_unequal()) ** (1 / (2 - L_B))
    speed = flow[u_A].subs(u, trunk).subs(u_B, second)
    inside = canonical((u_0 / speed).subs(u_A, u_0 * x) * a * u_0 ** (L_A + L_c - 2))
    return equation(I, integral(inside.subs(k, b / a), 1, sp.oo))


def _unequal_ratio(sign: Any, turn: Any, eq60: sp.Eq, *laws: sp.Eq) -> sp.Eq:
    """Lag by the flow of B at u = g^(1/(L_A + L_c)), over t_A = tau u_0^(2 - L_A - L_c) I/a.

    The ends of both transitions, X^(2 - L_A) and X_B^(2 - L_B), are of the order epsilon beside the rest.
    """
    if not equal(eq60.rhs, _unequal_integral(*laws).rhs):
        raise SolveError("(60) is not t_A in its units")
    speed = _flow_like_44(*laws[:2])[u_B].subs({b: r, u: g ** (1 / (L_A + L_c))})
    lag = tau * separated(speed, u_B, u_B_at, X_B)
    start = second_of_first_unequal(sign).subs(u_A, X)
    lag = lag.subs(u_B_at ** (2 - L_B), turn * start)
    lag = lag.subs({X ** (2 - L_A): _small_ends, X_B ** (2 - L_B): _small_ends})
    first = tau * u_0 ** (2 - L_A - L_c) * I / a
    return equation(RATIO, (1 + lag / first).subs(k, b / a))


_SCALED = (L_B - 2) * b / ((L_A - 2) * a) * u_0 ** (L_B - L_A) * (x ** (2 - L_A) - 1) + 1
INTEGRAND_UNEQUAL = x ** (1 - L_A) * (x**2 + _SCALED ** (2 / (2 - L_B))) ** (-L_c / 2)
_EXCESS_59 = (
    (u_0 ** (L_c + L_A - L_B) / (L_B - 2) * a - u_0**L_c / (L_A - 2) * b) / (g ** (L_c / (L_A + L_c)) * r) / I
)  # fmt: skip
EQ_60 = Entry(
    60, "", "the integral for unequal depths",
    (Statement(equation(I, integral(INTEGRAND_UNEQUAL, 1, sp.oo)), _unequal_integral),),
    (EQ_44A, EQ_44B, EQ_41), condition="L_A, L_B > 2, and A first: u_0^(2-L_A)/((L_A-2) a) < u_0^(2-L_B)/((L_B-2) b)",
    proof="As (48), from the flow of a network with branches L_A, L_B and L_c layers after the fusion; "
    "the upper limit X/u_0 is put to infinity, a share of order u_0^(L_A + L_c - 2).",
    note="Outside the condition B is first and the base turns negative.",
    claims=(
        Statement(
            equation(I, integral(INTEGRAND, 1, sp.oo)),
            lambda *s: equation(I, integral(INTEGRAND_UNEQUAL.subs(_EQUAL_DEPTHS).subs(b, k * a), 1, sp.oo)),
            claim="at equal depths (60) is (13)",
        ),
    ),
)  # fmt: skip
EQ_59 = Entry(
    59, "", "time ratio for unequal depths",
    (
        Statement(
            equation(RATIO, 1 + _EXCESS_59), lambda *s: _unequal_ratio(c, R, *s),
            lead=small_beside_one(_small_ends, {}), neglected=_small_ends, given=_ALONE,
            counterexample=flipped(
                ratio=1 + sp.Rational(304, 2_200_000), also={L_A: 3, L_B: 4, L_c: 2}
            ),  # 1 + (1e-2 * 3/2 + 1e-4 * 2) 2/(32^(2/5) 5 * 11)
        ),
    ),
    (EQ_60, EQ_44A, EQ_44B, EQ_41), condition=EQ_60.condition + "; scalar inputs or R = 1; c = 1",
    proof="t_B - t_A from the flow of B on the plateau of A, over t_A = tau u_0^(2 - L_A - L_c) I/|Sigma_yx_A|; "
    "epsilon stands for u_A(t_A)^(2 - L_A) and u_B(t_B)^(2 - L_B), which are left out.",
    claims=(
        Statement(
            equation(RATIO, 1 + _EXCESS_12), lambda *s: equation(RATIO, 1 + _EXCESS_59.subs(_EQUAL_DEPTHS)),
            claim="appendix E.4: at equal depths (59) is (12)",
        ),
    ),
)  # fmt: skip

# ---- Extensions: what holds where the printed laws do not.

#: t_B - t_A: (8b) and (56b) for L_f = 2 (at L = 2 the power of g is 0), (54) for L_f > 2, with sign and rotation.
LAG_AT_2 = (1 - c * k) / (r * g ** (1 - 2 / L)) * sp.log(1 / u_0)
LAG = (1 - c * k) * R * u_0 ** (2 - L_f) / ((L_f - 2) * g ** (1 - L_f / L) * r)
#: R(cos, L_f): the time in which B's first layer turns and escapes, over the one without a turn.
ROTATION_INTEGRAND = (L_f - 2) * (y**2 + 1 - cos**2) ** (-(L_f - 1) / 2)


def _rotation(eq52: sp.Tuple) -> sp.Eq:
    """B's first row v = (y, h) along and across the residual, |v| = 1 at t = 0: only y moves, dy/dt = |v|^n.

    By (52) the first layer moves along the residual; n counts the other layers of B, all of norm |v| when
    balanced. R is the time that y takes from cos to infinity, over the one without a turn, from 1 at h = 0.
    """
    across = sp.Symbol("h", positive=True)
    ((coefficient, word),) = words(turning_moves(eq52[0], matrix("d"))[1][0])
    if word[-1] != residual_B:
        raise SolveError(f"the first layer does not move along the residual: {word}")
    _, n = as_power(coefficient, u_B)
    speed = sp.sqrt(y**2 + across**2) ** n
    straight = separated(y**n, y, 1, X).subs(X ** (1 - n), 0)  # X to infinity, L_f > 2
    return equation(
        R, sp.Integral(canonical((1 / speed / straight).subs(across, sp.sqrt(1 - cos**2))), (y, cos, sp.oo))
    )


def _depth_drops_out(eq13: sp.Eq) -> sp.Eq:
    """(13) at L_f = L: x^(1-L) from 1 to infinity."""
    late = canonical(eq13.rhs.function.subs(L_f, L))
    whole = separated(1 / late, x, 1, X)
    return equation(I, canonical(whole.subs(X ** (2 - L), 0)))


def _equal_strengths(eq13: sp.Eq) -> sp.Eq:
    """(13) at k = 1: the bracket is 2."""
    inside = canonical(eq13.rhs.function.subs(k, 1))
    whole = separated(1 / inside, x, 1, X)
    return equation(I, canonical(whole.subs(X ** (2 - L), 0)))


def _one_minus_log_two(eq58: sp.Tuple) -> sp.Eq:
    """(58) at L = 4, k = 1/2: an elementary integral."""
    inside = eq58[0].rhs.function.subs({L: 4, k: sp.Rational(1, 2)})
    root = sp.log(x / (x + 1)) + 1 / x  # antiderivative times -1
    if sp.simplify(-sp.diff(root, x) - sp.simplify(inside)) != 0:
        raise SolveError("no antiderivative")
    return equation(I, root.subs(x, 1) - sp.limit(root, x, sp.oo))


def _signed_lag(eq53: sp.Tuple, eq45: sp.Tuple) -> sp.Eq:
    return equation(LAG_NAME, exact_lag(c, R, eq53, eq45))


EXT_101 = Entry(
    101, "", "a mode of either sign",
    (Statement(equation(sp.Symbol("rate of the mode c"), c * b), mode),), (EQ_22B,),
    condition="c = 1 or -1, two layers, weights near zero",
    proof="(22b): (W^1 d^T + c W^2T)' = c |Sigma_yx_B| (W^1 d^T + c W^2T), d the unit row along Sigma_yx_B.",
    note="A random start has both modes; while A is learned one grows and the other decays.", kind=Kind.EXTENSION,
)  # fmt: skip
EXT_102 = Entry(
    102, "", "lag with its sign, L_f = 2",
    (
        Statement(
            equation(LAG_NAME, tau * LAG_AT_2), lambda eq53, eq55: equation(LAG_NAME, lag_at_two(c, eq53[0], eq55)),
            lead=small(u_0), neglected=_LOG,
        ),
    ),
    (EQ_53, EQ_55), condition="c = -1 for a scalar residual of the other sign (random start), else 1",
    proof="(53) at L_f = 2 from the mode (101) that the residual will drive.", kind=Kind.EXTENSION,
)  # fmt: skip
EXT_103 = Entry(
    103, "", "lag with sign and rotation, L_f > 2",
    (
        Statement(
            equation(LAG_NAME, tau * LAG), _signed_lag, lead=small(u_0, DEEP), neglected=u_0 ** (L_f - 2),
        ),
    ),
    (EQ_53, EQ_45), condition="R by (104); c as in (102)", proof="(53) from (45) with c k for k, the start times R.",
    kind=Kind.EXTENSION,
)  # fmt: skip
EXT_104 = Entry(
    104, "", "rotation of B's first layer",
    (Statement(equation(R, sp.Integral(ROTATION_INTEGRAND, (y, cos, sp.oo))), _rotation),), (EQ_52,),
    condition="aligned balanced start, L_f > 2; cos between Sigma_yx_B and the residual",
    proof="Balanced layers have the norm |v| of the row, so dv/dt = |v|^(L_f - 1) along the residual; the part of v "
    "across it stays. The time to infinity, over the one without a turn.",
    kind=Kind.EXTENSION,
)  # fmt: skip
EXT_106 = Entry(
    106, "", "depth drops out of late fusion",
    (Statement(equation(I, 1 / (L - 2)), _depth_drops_out),), (EQ_13,), condition="L_f = L > 2",
    proof="(13) at L_f = L.", kind=Kind.EXTENSION,
)  # fmt: skip
EXT_107 = Entry(
    107, "", "I at equal strengths",
    (Statement(equation(I, 2 ** ((L_f - L) / 2) / (L - 2)), _equal_strengths),), (EQ_13,), condition="k = 1",
    proof="(13) at k = 1: both branches grow together, the bracket is 2.", kind=Kind.EXTENSION,
)  # fmt: skip
EXT_108 = Entry(
    108, "", "I(4, 2) at k = 1/2",
    (Statement(equation(I, 1 - sp.log(2)), _one_minus_log_two),), (EQ_58,), condition="L = 4, L_f = 2, k = 1/2",
    proof="1/(x^2 (x + 1)) has an elementary antiderivative.", kind=Kind.EXTENSION,
)  # fmt: skip


def _trunk_growth(eq53: sp.Tuple, eq41: sp.Eq) -> sp.Eq:
    """What the growth of the trunk with u_B^2, (50), does to the lag (53), as a share of it, for L_f > 4.

    u^(L - L_f) = U^(L - L_f) (1 + s u_B^2), so 1/(du_B/dt) loses the share s u_B^2.
    """
    trunk = _plateau(u, eq41).rhs
    share = sp.diff(trunk, u_B, 2) / 2 * (L - L_f) / trunk.subs(u_B, 0)
    whole = separated(eq53[0].rhs, u_B, u_B_at, X_B).subs(X_B ** (2 - L_f), 0)
    lost = share * separated(eq53[0].rhs / u_B**2, u_B, u_B_at, X_B).subs(X_B ** (4 - L_f), 0)
    return equation(sp.Symbol("change of the lag"), canonical(-lost / whole))


EXT_112 = Entry(
    112, "", "the trunk grows with B",
    (
        Statement(
            equation(
                sp.Symbol("change of the lag"),
                -L_f * (L - L_f) * (L_f - 2) / (2 * L * (L_f - 4)) * (u_B_at / g ** (1 / L)) ** 2,
            ),
            _trunk_growth,
        ),
    ),
    (EQ_53, EQ_41), condition="4 < L_f < L; as a share of the lag, to first order in u_B^2",
    proof="The norm (50) of the trunk, expanded in u_B^2, in the separated equation (53).",
    note="At L_f = 4 the power is a logarithm, below it the ends of the transitions are larger.", kind=Kind.EXTENSION,
)  # fmt: skip
SIZE = sp.Symbol("u_B/u_0", positive=True)


def _size(eq45: sp.Tuple) -> sp.Eq:
    """(45) for a mode of sign c, u_A = x u_0: its left side with this u_B is c k."""
    return equation(SIZE, canonical(_second_power(eq45, c).subs(u_A, u_0 * x) ** (1 / (2 - L_f)) / u_0))


def _size_at_two(eq55: sp.Tuple) -> sp.Eq:
    return equation(SIZE, _second_at_two(eq55, c).subs(u_A, u_0 * x) / u_0)


EXT_111 = Entry(
    111, "", "B while A grows, either sign",
    (
        Statement(equation(SIZE, SECOND_SIZE), lambda eq45, eq55: _size(eq45)),
        Statement(equation(SIZE, SECOND_SIZE_AT_2), lambda eq45, eq55: _size_at_two(eq55)),
    ),
    (EQ_45, EQ_55), condition="x = u_A/u_0, L_f > 2 (first) and L_f = 2 (second); weights near zero",
    proof="(45), (55) with c k for k, by (101).", kind=Kind.EXTENSION,
)  # fmt: skip

ENTRIES = (
    EXT_111, EXT_112,
    EQ_8A, EQ_8B, EQ_9, EQ_12, EQ_13, EQ_26, EQ_27, EQ_28, EQ_29, EQ_30, EQ_32, EQ_33, EQ_45, EQ_46, EQ_47, EQ_48,
    EQ_49, EQ_50, EQ_51, EQ_53, EQ_54, EQ_55, EQ_56A, EQ_56B, EQ_57, EQ_58, EQ_59, EQ_60,
    EXT_101, EXT_102, EXT_103, EXT_104, EXT_106, EXT_107, EXT_108,
)  # fmt: skip


# ---- Forms for numbers.


def logarithm(law: sp.Expr) -> sp.Expr:
    """ln of a positive law as a sum, so that u_0^(2-L) does not overflow."""
    powers = (part.as_base_exp() for part in sp.Mul.make_args(law))
    return sp.Add(*(exponent * sp.log(base) for base, exponent in powers))


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
