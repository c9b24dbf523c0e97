"""Two layers: from the growth of a norm to t_A, t_B and their ratio, (8), (9), (26)-(30), (32), (33).

    (25) -> (26), (27) t_A -> (29), (30) B at t_A -> (31), (32) -> (33) t_B -> (8), (9)

X and X_B are the sizes, of order one, at which a modality counts as learned; they drop out as u_0 -> 0.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, factor, small
from derivations.algebra.examples import rho, scalar_example, sd_A, sd_B
from derivations.algebra.matrices import Y_B, matrix, residual_B
from derivations.algebra.notation import a, b, c, cos, named, r, rate, t, t_A, t_B, tau, u_0, u_A, u_B
from derivations.algebra.ordered_products import T, coefficient_of, layer, normal
from derivations.algebra.positive_powers import canonical, separated
from derivations.errors import SolveError
from derivations.flow.ansatz import EQ_25, two_layer_shapes, two_layer_speed
from derivations.flow.conservation import EQ_23
from derivations.flow.symbolic_flow import EQ_22B, EQ_31
from derivations.times.conditions import FLIP_NOTE, FULL_TURN, LN_100, LOG_ORDER, SAME_SIGN, flipped
from derivations.times.formulas import FIRST_AT_DEPTH_2
from derivations.times.names import DIRECTION, LAG_NAME, RATIO, X_B, X, u_B_at

MODE = named("rate of the mode c", r"\mathrm{rate}_c")


def growth(speed: sp.Eq, norm: sp.Symbol, start: Any, since: Any = 0) -> sp.Eq:
    """t - since as a function of the norm: the separated equation of du/dt."""
    left = t if since == 0 else t - since
    return equation(left, tau * separated(speed.rhs, norm, start, norm))


def first_if(times: sp.Expr, swapped: sp.Expr, by: tuple[Any, Any] | None = None) -> sp.Tuple:
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
    return equation(rate(u_B), coefficient_of(normal(law, {(residual_B, T(d)): r * cos}), T(column)))


EQ_26 = Entry(
    26, "", "time of A, two layers",
    (Statement(equation(t, tau / a * (sp.log(u_A) - sp.log(u_0))), lambda eq25: growth(eq25[1], u_A, u_0)),),
    (EQ_25,), condition="weights near zero", proof="dt = tau du_A/(|Sigma_yx_A| u_A), integrated from u_0.",
)  # fmt: skip
EQ_27 = Entry(
    27, "", "t_A, two layers",
    (
        Statement(
            equation(t_A, tau * FIRST_AT_DEPTH_2), lambda eq26: eq26.rhs.subs(u_A, X),
            lead=small(u_0), neglected=LOG_ORDER,
        ),
    ),
    (EQ_26,), condition="u_0 -> 0; relative error of order 1/ln(1/u_0)",
    proof="(26) at a size X of order one; ln X is left out beside ln(1/u_0).",
    note="Why ln 1/u_0: growth is exponential, so the time is the logarithm of how much there is to grow.",
)  # fmt: skip
EQ_28 = Entry(
    28, "", "which modality is first",
    (
        Statement(
            sp.Tuple(sp.Lt(tau / a * sp.log(1 / u_0), tau / b * sp.log(1 / u_0)), sp.Gt(a, b)),
            lambda eq27: first_if(eq27.rhs, eq27.rhs.subs(a, b)),
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
EQ_32 = Entry(
    32, "", "growth of B after t_A, two layers",
    (
        Statement(
            equation(rate(u_B), r * u_B), _turning_two,
            given=FULL_TURN, counterexample={cos: sp.Rational(1, 2), r: 5, u_B: 3, rate(u_B): sp.Rational(15, 2)},
        ),
        Statement(
            equation(t - t_A, tau / r * (sp.log(u_B) - sp.log(u_B_at))),
            lambda eq31: growth(_turning_two(eq31), u_B, u_B_at, t_A),
            given=FULL_TURN, counterexample={cos: sp.Rational(1, 2), r: 5, u_B: 3, u_B_at: 2, tau: 7}
            | {t_A: 1, t: 1 + sp.Rational(14, 5) * sp.log(sp.Rational(3, 2))},
        ),
    ),
    (EQ_31,), condition="W_B^1 along the residual (always for scalar inputs)",
    proof="(31) with W_B^1 = u_B r d, W_B^2 = u_B r^T: the speed is the residual's component along d.",
    note="The turn from Sigma_yx_B to the residual takes a time of order one, small beside ln(1/u_0).",
)  # fmt: skip


def _lag_of_two_layers(eq32: sp.Tuple, eq30: sp.Eq) -> sp.Expr:
    """(32) from (30) to X_B; with c b for b the mode that the residual will drive."""
    start = eq30.rhs.subs(b, c * b)
    return eq32[1].rhs.subs(u_B, X_B).subs(sp.log(u_B_at), start)


EQ_33 = Entry(
    33, "", "t_B, two layers",
    (
        Statement(
            equation(LAG_NAME, -tau / r * sp.log(u_B_at)),
            lambda eq32, eq30: eq32[1].rhs.subs(u_B, X_B),
            lead=small(u_B_at), neglected=1 / sp.log(1 / u_B_at),
        ),
        Statement(
            equation(LAG_NAME, tau * (1 - b / a) / r * sp.log(1 / u_0)),
            _lag_of_two_layers,
            lead=small(u_0), neglected=LOG_ORDER, given={c: 1},
            counterexample=flipped(lag=sp.Rational(7, 3) * LN_100),  # 7 (1 + 2/3)/5 ln 100
        ),
    ),
    (EQ_32, EQ_30), condition="u_0 -> 0; relative error of order 1/ln(1/u_0); " + SAME_SIGN,
    proof="(32) from u_B(t_A) of (30) to a size X_B of order one.",
)  # fmt: skip
EQ_8A = Entry(
    8, "a", "t_A, two layers",
    EQ_27.statements, (EQ_26,), condition=EQ_27.condition, proof="(27).",
)  # fmt: skip


def mode(eq22: sp.Tuple) -> sp.Eq:
    """W^1 d^T + c W^2T, d the unit row along Sigma_yx_B, grows at the rate c |Sigma_yx_B|, c = +-1: from (22b)."""
    d = Y_B / b
    combined = eq22[0].rhs * T(d) + c * T(eq22[1].rhs)
    law = normal(combined, {(Y_B, T(Y_B)): b**2})
    now = normal(layer("W_B", 1) * T(d) + c * T(layer("W_B", 2)))
    gap = normal(law - c * b * now, {}).subs(c**2, 1)
    if normal(gap) != 0:
        raise SolveError(f"the mode does not grow by itself: {gap}")
    return equation(MODE, c * b)


EQ_8B = Entry(
    8, "b", "t_B - t_A, two layers", EQ_33.statements[1:],
    (EQ_32, EQ_30), condition=SAME_SIGN, proof="(33), with the sign c of the mode that the residual will drive.",
    note=FLIP_NOTE,
)  # fmt: skip


def ratio_of_two_layers(eq26: sp.Eq, eq32: sp.Tuple, eq30: sp.Eq) -> sp.Eq:
    """t_B/t_A from (26) at X and the lag at X_B, before u_0 -> 0."""
    return equation(RATIO, 1 + _lag_of_two_layers(eq32, eq30) / eq26.rhs.subs(u_A, X))


# ---- Claims beside (9), for the paper's scalar data y = x_A + x_B.

_sign_b = named("sign(Sigma_yxB)", r"\mathrm{sign}(\Sigma_{yx_B})", real=True)
_inverse = named("time ratio", r"\mathrm{time\ ratio}")


def _paper_example() -> sp.Eq:
    """(9) for Sigma = [sA^2, rho sA sB; rho sA sB, sB^2], y = x_A + x_B, from the correlations."""
    sigma, (target_a, target_b) = scalar_example(1, 1)
    left = sp.factor(target_b - target_a / sd_A**2 * sigma[0, 1])  # sigma_B^2 (1 - rho^2), positive
    return equation(RATIO, 1 + (target_a - _sign_b * target_b) / left)


def _stronger_correlation() -> sp.Eq:
    """How (9) changes with a growing positive rho for y = 2 x_A + x_B and unit variances."""
    growing = sp.Symbol("rho", positive=True)
    target_a, target_b = scalar_example(2, 1)[1].subs({sd_A: 1, sd_B: 1, rho: growing})  # positive
    left = sp.factor(target_b - target_a * growing)  # 1 - rho^2
    law = sp.cancel(1 + (target_a - target_b) / left)
    return equation(DIRECTION, sp.sign(sp.factor(sp.diff(law, growing))))


_CLAIMS_9 = (
    Statement(
        equation(RATIO, a / b), lambda: (1 + (a - b) / r).subs(r, b),
        claim="section 3.2: without cross correlation the ratio is |Sigma_yx_A|/|Sigma_yx_B|",
    ),
    Statement(
        equation(RATIO, 1 + (sd_A**2 / sd_B**2 - 1) / (1 - rho**2)), _paper_example,
        given={_sign_b: 1}, counterexample={_sign_b: -1, sd_A: 2, sd_B: 1, rho: sp.Rational(-4, 5), t_A: 1, t_B: 6},
        claim="appendix J.3: (9) is 1 + (sigma_A^2/sigma_B^2 - 1)/(1 - rho^2); where Sigma_yx_B < 0 (rho < "
        "-sigma_B/sigma_A) it is not (9) but the signed ratio, which is what a random start does",
    ),
    Statement(
        equation(_inverse, t_A / t_B), lambda: RATIO,
        defect=factor((t_A / t_B) ** 2),
        claim="appendix I: the time ratio of table 1 is the first time divided by the second; (9) is the inverse",
    ),
    Statement(
        equation(DIRECTION, 1), _stronger_correlation, defect=factor(-1),
        claim="section 3.2: stronger correlations between the inputs make the ratio larger; for y = 2 x_A + x_B and "
        "unit variances it is 1 + 1/(1 + rho), which falls",
    ),
)  # fmt: skip
EQ_9 = Entry(
    9, "", "time ratio, two layers",
    (
        Statement(
            equation(RATIO, 1 + (a - b) / r), ratio_of_two_layers,
            lead=small(u_0), neglected=LOG_ORDER, given={c: 1}, counterexample=flipped(ratio=2),  # 1 + (3 + 2)/5
        ),
    ),
    (EQ_26, EQ_32, EQ_30), condition=SAME_SIGN,
    proof="(32) from (30), over (26), that is (8b) over (8a): ln(1/u_0) drops out, with it the start.",
    note=FLIP_NOTE + " If x_B is collinear with x_A the residual is zero and the ratio infinite.",
    claims=_CLAIMS_9,
)  # fmt: skip

EXT_101 = Entry(
    101, "", "a mode of either sign",
    (Statement(equation(MODE, c * b), mode),), (EQ_22B,),
    condition="c = 1 or -1, two layers, weights near zero",
    proof="(22b): (W^1 d^T + c W^2T)' = c |Sigma_yx_B| (W^1 d^T + c W^2T), d the unit row along Sigma_yx_B.",
    note="A random start has both modes; while A is learned one grows and the other decays.",
)  # fmt: skip
