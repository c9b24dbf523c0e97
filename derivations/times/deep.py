"""More than two layers before the fusion: (12), (13), (45)-(51), (53), (54).

(44) -> (45) B as a function of A -> (46), (47) -> (48), (13) t_A
(50) the plateau -> (51) B at t_A -> (52), (53) -> (54) t_B -> (12)
"""

from __future__ import annotations

from functools import partial
from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, factor, small, small_beside_one
from derivations.algebra.examples import SD_RATIO, rho, scalar_example, sd_A, sd_B
from derivations.algebra.matrices import matrix, residual_B
from derivations.algebra.notation import I, L, L_f, R, a, b, c, cos, g, k, r, rate, t, t_A, tau, u, u_0, u_A, u_B, x
from derivations.algebra.ordered_products import T
from derivations.algebra.positive_powers import canonical, equal, separated
from derivations.errors import SolveError
from derivations.flow.ansatz import EQ_44A, EQ_44B, turning_speed
from derivations.flow.conservation import EQ_41, trunk_norm
from derivations.flow.symbolic_flow import EQ_52
from derivations.times.conditions import DEEP, FULL_TURN, SAME_SIGN, flipped
from derivations.times.formulas import FIRST, INTEGRAND
from derivations.times.names import DIRECTION, LAG_NAME, RATIO, SLOPE, X_B, X, integral, u_B_at
from derivations.times.two_layers import first_if

u_B_end = sp.Symbol("u_B(t_B)", positive=True)
SECOND_POWER = k * u_A ** (2 - L_f) + (1 - k) * u_0 ** (2 - L_f)
BRACKET = u_A**2 + SECOND_POWER ** (2 / (2 - L_f))


def _branches(top: sp.Eq, bottom: sp.Eq) -> sp.Eq:
    """Both sides of du_B/du_A separated and integrated from u_0, divided: the quotient of the drives."""
    scale_b = separated(top.rhs / u ** (L - L_f), u_B, u_0, u_B)
    scale_a = separated(bottom.rhs / u ** (L - L_f), u_A, u_0, u_A)
    return equation(canonical(scale_b * b / (scale_a * a)), b / a)


def second_power(eq45: sp.Tuple, sign: Any = 1) -> sp.Expr:
    """u_B^(2 - L_f) as a function of u_A: (45) solved, k times `sign` for a mode of that sign; put back into it."""
    found = u_0 ** (2 - L_f) * (1 - sign * k) + sign * k * u_A ** (2 - L_f)
    law = eq45[1].subs({b: sign * k * a})
    if not equal(law.lhs.subs(u_B, found ** (1 / (2 - L_f))), law.rhs):
        raise SolveError("(45) is not solved")
    return found


def _checked_second(eq45: sp.Tuple) -> sp.Expr:
    return second_power(eq45) ** (1 / (2 - L_f))


def time_of(speed: sp.Eq, high: Any) -> sp.Expr:
    """tau int_{u_0}^{high} dx/speed."""
    return integral(tau / speed.rhs.subs(u_A, x), u_0, high)


def in_units_of_start(time: sp.Integral) -> sp.Integral:
    """The integral over x = u_A/u_0 from 1 on."""
    ((_, low, high),) = time.limits
    return integral(canonical(time.function.subs(x, u_0 * x) * u_0), canonical(low / u_0), high / u_0)


_PROPORTION = (u_B ** (2 - L_f) - u_0 ** (2 - L_f)) / (u_A ** (2 - L_f) - u_0 ** (2 - L_f))
EQ_45 = Entry(
    45, "", "B as a function of A",
    (
        Statement(
            equation(SLOPE, b * u_B ** (L_f - 1) / (a * u_A ** (L_f - 1))),
            lambda eq44b, eq44a: canonical(eq44b.rhs / eq44a.rhs),
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
            equation(rate(u_A), a * u_A ** (L_f - 1) * BRACKET ** ((L_f - L) / 2)),
            lambda eq44a, eq45, eq41: eq44a.rhs.subs(u, trunk_norm(eq41)).subs(u_B, _checked_second(eq45)),
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
            lambda eq46: time_of(eq46, u_A), defect=factor(a / tau),
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
            lambda eq46: time_of(eq46, a / 2),
        ),
        Statement(
            equation(t_A, tau / a * u_0 ** (2 - L) * integral(INTEGRAND, 1, sp.oo)),
            lambda eq46: in_units_of_start(time_of(eq46, X)), lead=small(u_0, DEEP), neglected=u_0 ** (L - 2),
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
            lambda eq48: canonical(eq48[1].rhs * a * u_0 ** (L - 2) / tau),
        ),
    ),
    (EQ_48,), condition="2 < L_f <= L", proof="t_A of (48) in units of tau u_0^(2-L)/|Sigma_yx_A|.",
)  # fmt: skip
_TIME = tau * FIRST


def by_name(eq48: sp.Tuple, eq13: sp.Eq) -> sp.Eq:
    """(48) with the integral by its name."""
    if not equal(eq48[1].rhs, _TIME.subs(I, eq13.rhs)):
        raise SolveError("(48) is not a multiple of (13)")
    return equation(t_A, _TIME)


EQ_49 = Entry(
    49, "", "which modality is first",
    (
        Statement(equation(t_A, tau / a * u_0 ** (2 - L_f) * I), by_name, defect=factor(u_0 ** (L - L_f))),
        Statement(
            sp.Tuple(sp.Lt(tau / a * u_0 ** (2 - L_f) * I, tau / b * u_0 ** (2 - L_f) * I), sp.Lt(k, 1)),
            lambda *s: first_if(by_name(*s).rhs, by_name(*s).rhs.subs(a, b), (b, k * a)),
        ),
    ),
    (EQ_48, EQ_13), proof="The quotient of the two times is k; both sides carry the same power of u_0.",
    note="Printed u_0^(2 - L_f); (48) has u_0^(2 - L). The comparison is not touched: both sides have it. It puts the "
    "I of A on both sides; B's own, with 1/k for k, exists only where B is first.",
)  # fmt: skip


def plateau_norm(which: sp.Symbol, eq41: sp.Eq) -> sp.Eq:
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
            equation(norm, g ** (1 / L)), partial(plateau_norm, norm), lead=small(u_B), neglected=u_B**2,
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
            equation(u_B_at, _WITHOUT_K), lambda eq45: _checked_second(eq45).subs(u_A, X),
            defect=factor(_WITHOUT_K / _AT_FIRST),
        ),
        Statement(
            equation(u_B_at, (1 - k) ** (1 / (2 - L_f)) * u_0),
            lambda eq45: _checked_second(eq45).subs(u_A, X),
            lead=small(u_0, DEEP), neglected=u_0 ** (L_f - 2),
        ),
    ),
    (EQ_45,), condition="u_A(t_A) = X of order one; relative error of order u_0^(L_f - 2)",
    proof="(45) solved for u_B.", note="Printed without the k before u_A^(2 - L_f); the second form is right.",
)  # fmt: skip


def _turning(eq52: sp.Tuple, eq50: sp.Tuple) -> sp.Eq:
    """(52) with W_B^1 along a unit row d at an angle to the residual, A and the trunk on the plateau (50)."""
    d = matrix("d")
    found = turning_speed(eq52[0], d, {(residual_B, T(d)): r * cos})
    return equation(rate(u_B), canonical(found.subs(u, eq50[1].rhs)))


EQ_53 = Entry(
    53, "", "growth of B after t_A",
    (
        Statement(
            equation(rate(u_B), g ** (1 - L_f / L) * r * u_B ** (L_f - 1)), _turning,
            given=FULL_TURN,
            counterexample={cos: sp.Rational(1, 2), r: 5, u_B: 3, g: 32, L: 5, L_f: 4, rate(u_B): 135},
        ),
        Statement(
            equation(t - t_A, tau * g ** (L_f / L - 1) / r * (u_B ** (2 - L_f) - u_B_at ** (2 - L_f)) / (2 - L_f)),
            lambda *s: tau * separated(_turning(*s).rhs, u_B, u_B_at, u_B),
            given=FULL_TURN,
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
    start = second_power(eq45, sign).subs(u_A, X)
    return lag.subs(u_B_at ** (2 - L_f), turn * start)


_DENOMINATOR = (L_f - 2) * g ** (1 - L_f / L) * r
ALONE = {c: 1, R: 1}
_ORDER = "relative error of order u_0^(L_f - 2), for L_f < L also of order u_0^2 (L_f = 4: with a logarithm), (112)"
EQ_54 = Entry(
    54, "", "t_B - t_A",
    (
        Statement(
            equation(
                LAG_NAME, tau * (u_B_end ** (2 - L_f) - u_B_at ** (2 - L_f)) / ((2 - L_f) * g ** (1 - L_f / L) * r)
            ),
            lambda eq53, eq45: eq53[1].rhs.subs(u_B, u_B_end),
        ),
        Statement(
            equation(LAG_NAME, -tau * u_B_at ** (2 - L_f) / ((2 - L_f) * g ** (1 - L_f / L) * r)),
            lambda eq53, eq45: eq53[1].rhs.subs(u_B, u_B_end),
            lead=small(u_B_at, DEEP), neglected=u_B_at ** (L_f - 2),
        ),
        Statement(
            equation(LAG_NAME, tau * (1 - b / a) * u_0 ** (2 - L_f) / _DENOMINATOR),
            lambda eq53, eq45: exact_lag(c, R, eq53, eq45).subs(k, b / a),
            lead=small(u_0, DEEP), neglected=u_0 ** (L_f - 2), given=ALONE,
            counterexample=flipped(lag=sp.Rational(350, 3)),  # 7 (1 + 2/3) 2 * 100/(32^(2/5) 5)
        ),
    ),
    (EQ_53, EQ_45), condition=SAME_SIGN + "; vectors: along it (R = 1); " + _ORDER,
    proof="(53) from (51) to X_B with the trunk held at (50); terms of order one are left out beside u_0^(2 - L_f).",
)  # fmt: skip


def exact_ratio(sign: Any, turn: Any, eq53: sp.Tuple, eq45: sp.Tuple, eq48: sp.Tuple, eq13: sp.Eq) -> sp.Eq:
    first = by_name(eq48, eq13).rhs
    return equation(RATIO, 1 + canonical(first**-1) * exact_lag(sign, turn, eq53, eq45).subs(k, b / a))


EXCESS = (a - b) / r * u_0 ** (L - L_f) / ((L_f - 2) * g ** (1 - L_f / L)) / I


def depth_drops_out(eq13: sp.Eq) -> sp.Eq:
    """(13) at L_f = L: x^(1-L) from 1 to infinity."""
    late = canonical(eq13.rhs.function.subs(L_f, L))
    whole = separated(1 / late, x, 1, X)
    return equation(I, canonical(whole.subs(X ** (2 - L), 0)))


def _change_with_k(eq13: sp.Eq) -> sp.Eq:
    """How (12) changes with k = b/a in late fusion, at fixed a and r; I from (13)."""
    late = EXCESS.subs(I, depth_drops_out(eq13).rhs).subs(L_f, L).subs(b, k * a)
    return equation(DIRECTION, sp.sign(canonical(sp.diff(sp.simplify(late), k))))


def _ratio_of_deviations() -> sp.Eq:
    """k = |Sigma_yx_B|/|Sigma_yx_A| for y = x_A + x_B without correlation, solved for sigma_A/sigma_B."""
    target_a, target_b = scalar_example(1, 1)[1].subs(rho, 0)
    (found,) = sp.solve(k - target_b / target_a, sd_A)
    return equation(SD_RATIO, sp.simplify(found / sd_B))


EQ_12 = Entry(
    12, "", "time ratio, 2 < L_f",
    (
        Statement(
            equation(RATIO, 1 + EXCESS), lambda *s: exact_ratio(c, R, *s),
            lead=small_beside_one(u_0, DEEP), neglected=u_0 ** (L_f - 2), given=ALONE,
            counterexample=flipped(ratio=1 + sp.Rational(1, 220000)),  # 1 + (3 + 2) 2 * 1e-4/(32^(2/5) 5 * 11)
        ),
    ),
    (EQ_53, EQ_45, EQ_48, EQ_13), condition=EQ_54.condition + ", of the excess over 1",
    proof="(54) over (48).",
    note="With L_f = L and (106) it is (9): depth drops out for scalar inputs. For vectors R stays, so it does not.",
    claims=(
        Statement(
            equation(DIRECTION, 1), _change_with_k, defect=factor(-1),
            claim="section 4.2: a larger k prolongs the unimodal phase; at fixed |Sigma_yx_A| and residual it shortens "
            "it (derived for late fusion)",
        ),
        Statement(
            equation(SD_RATIO, sp.sqrt(k)), _ratio_of_deviations, defect=factor(k),
            claim="figure 6c: sigma_A/sigma_B = sqrt(k) at rho = 0",
        ),
    ),
)  # fmt: skip
