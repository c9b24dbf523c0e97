"""Fusion at the second layer: (55)-(58), the case L_f = 2 < L with logarithms in the place of powers."""

from __future__ import annotations

from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, small, small_beside_one, term
from derivations.algebra.notation import I, L, L_f, a, b, c, g, k, r, rate, t_A, tau, u, u_0, u_A, u_B, x
from derivations.algebra.positive_powers import canonical, equal, separated
from derivations.errors import SolveError
from derivations.flow.ansatz import EQ_44A, EQ_44B
from derivations.flow.conservation import EQ_41, trunk_norm
from derivations.times.conditions import FLIP_NOTE, LN_100, LOG_ORDER, SAME_SIGN, flipped
from derivations.times.deep import EQ_13, EQ_53, in_units_of_start, time_of
from derivations.times.formulas import INTEGRAND, INTEGRAND_AT_2
from derivations.times.names import LAG_NAME, RATIO, SLOPE_OF_A, X_B, X, integral, u_B_at

#: Depths by positive numbers, 2 = L_f < L, and k < 1.
AT_TWO = {L: 2 + sp.Symbol("q", positive=True), k: 1 / (1 + sp.Symbol("m", positive=True))}


def _logs(eq44b: sp.Eq, eq44a: sp.Eq) -> sp.Eq:
    """(44) at L_f = 2: both sides of du_A/du_B separated, integrated from u_0 and divided."""
    top, bottom = (eq.rhs.subs(L_f, 2) / u ** (L - 2) for eq in (eq44a, eq44b))
    return equation(canonical(separated(top, u_A, u_0, u_A) * a / (separated(bottom, u_B, u_0, u_B) * b)), a / b)


def second_at_two(eq55: sp.Tuple, sign: Any = 1) -> sp.Expr:
    """u_B by (55): u_0 (u_A/u_0)^k, b driving with `sign`; put back into it."""
    found = u_0 * (u_A / u_0) ** (sign * k)
    law = eq55[1].subs({b: sign * k * a})
    if not equal(law.lhs.subs(u_B, found), law.rhs):
        raise SolveError("(55) is not solved")
    return found


def _first_at_two(eq44a: sp.Eq, eq55: sp.Tuple, eq41: sp.Eq) -> sp.Eq:
    second = second_at_two(eq55)
    speed = equation(rate(u_A), eq44a.rhs.subs(L_f, 2).subs(u, trunk_norm(eq41)).subs(u_B, second))
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
    size = second_at_two(eq55, sign).subs(u_A, X)
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
            equation(SLOPE_OF_A, a * u_A / (b * u_B)),
            lambda eq44b, eq44a: canonical(eq44a.rhs.subs(L_f, 2) / eq44b.rhs.subs(L_f, 2)),
        ),
        Statement(equation((sp.log(u_A) - sp.log(u_0)) / (sp.log(u_B) - sp.log(u_0)), a / b), _logs),
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
            lambda eq53, eq55: lag_at_two(c, eq53[0], eq55).subs(k, b / a),
            lead=small(u_0), neglected=LOG_ORDER, given={c: 1},
            counterexample=flipped(lag=sp.Rational(7, 24) * LN_100),  # 7 (1 + 2/3)/(5 * 32^(3/5)) ln 100
        ),
    ),
    (EQ_53, EQ_55), condition="2 = L_f < L; " + SAME_SIGN + "; relative error of order 1/ln(1/u_0)",
    proof="(53) at L_f = 2 from u_B(t_A) by (55).", note=FLIP_NOTE,
)  # fmt: skip
_EXCESS_57 = (a - b) * u_0 ** (L - 2) * sp.log(1 / u_0) / (r * g ** (1 - 2 / L)) / I
_EXCESS_57_PRINTED = (a - b) * u_0 ** (L - 2) * sp.log(1 / u_0) / ((L_f - 2) * r * g ** (1 - L / 2)) / I
EQ_57 = Entry(
    57, "", "time ratio, L_f = 2",
    (
        Statement(
            equation(RATIO, 1 + _EXCESS_57_PRINTED),
            _excess_at_two,
            lead=small_beside_one(u_0, AT_TWO), neglected=LOG_ORDER, given={c: 1},
            counterexample=flipped(ratio=1 + LN_100 / 88_000_000),  # 1 + (3 + 2) 1e-6 ln 100/(5 * 32^(3/5) * 11)
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
            lambda eq56a: canonical(eq56a.rhs * a * u_0 ** (L - 2) / tau),
        ),
        Statement(equation(I, integral(INTEGRAND_AT_2, 1, sp.oo)), _limit_at_two, claim="the limit L_f -> 2 of (13)"),
    ),
    (EQ_56A, EQ_13), condition="L > 2", proof="t_A of (56a) in its units; and (13) as L_f -> 2.",
)  # fmt: skip
