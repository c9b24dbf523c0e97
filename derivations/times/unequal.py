"""Branches of unequal depth: (59), (60), from the reduced flow of `reduction`."""

from __future__ import annotations

from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, small_beside_one
from derivations.algebra.notation import L_A, L_B, I, L, L_c, L_f, R, a, b, c, g, k, r, tau, u, u_0, u_A, u_B, x
from derivations.algebra.positive_powers import canonical, equal, separated
from derivations.errors import SolveError
from derivations.flow.ansatz import EQ_44A, EQ_44B, speeds_near_zero
from derivations.flow.conservation import EQ_41, trunk_norm
from derivations.network import FusionNetwork
from derivations.times.conditions import flipped
from derivations.times.deep import ALONE, EXCESS
from derivations.times.formulas import INTEGRAND
from derivations.times.names import RATIO, X_B, X, integral, u_B_at

_EQUAL_DEPTHS = {L_A: L_f, L_B: L_f, L_c: L - L_f}
#: Branch depths L_A and L_B, and L_c layers after the fusion.
UNEQUAL = FusionNetwork.branches({"A": L_A, "B": L_B}, trunk=L_c)
_small_ends = sp.Symbol("epsilon", positive=True)


def flow_like_44(eq44a: sp.Eq, eq44b: sp.Eq) -> dict[sp.Symbol, sp.Expr]:
    """The flow of unequal branches; at equal depths it must be (44)."""
    flow = speeds_near_zero(UNEQUAL)
    for eq, norm in ((eq44a, u_A), (eq44b, u_B)):
        if not equal(eq.rhs, flow[norm].subs(_EQUAL_DEPTHS)):
            raise SolveError(f"the flow of {norm} is not (44) at equal depths")
    return flow


def second_of_first_unequal(sign: Any = 1) -> sp.Expr:
    """u_B^(2 - L_B) as a function of u_A: the two flows divided, separated and integrated from u_0."""
    flow = speeds_near_zero(UNEQUAL)
    side_a = separated(flow[u_A] / (a * u**L_c), u_A, u_0, u_A)
    side_b = separated(flow[u_B] / (b * u**L_c), u_B, u_0, u_B)
    power = u_0 ** (2 - L_B) + (2 - L_B) * sign * k * side_a
    if not equal(side_b.subs(u_B, power ** (1 / (2 - L_B))), sign * k * side_a):
        raise SolveError("the two separated sides do not agree")
    return power


def _unequal_integral(eq44a: sp.Eq, eq44b: sp.Eq, eq41: sp.Eq) -> sp.Eq:
    """(60): t_A in units of tau u_0^(2 - L_A - L_c)/a, its upper limit X/u_0 at infinity."""
    flow = flow_like_44(eq44a, eq44b)
    second = canonical(second_of_first_unequal()) ** (1 / (2 - L_B))
    speed = flow[u_A].subs(u, trunk_norm(eq41)).subs(u_B, second)
    inside = canonical((u_0 / speed).subs(u_A, u_0 * x) * a * u_0 ** (L_A + L_c - 2))
    return equation(I, integral(inside.subs(k, b / a), 1, sp.oo))


def _unequal_ratio(sign: Any, turn: Any, eq60: sp.Eq, *laws: sp.Eq) -> sp.Eq:
    """Lag by the flow of B at u = g^(1/(L_A + L_c)), over t_A = tau u_0^(2 - L_A - L_c) I/a.

    The ends of both transitions, X^(2 - L_A) and X_B^(2 - L_B), are of the order epsilon beside the rest.
    """
    if not equal(eq60.rhs, _unequal_integral(*laws).rhs):
        raise SolveError("(60) is not t_A in its units")
    speed = flow_like_44(*laws[:2])[u_B].subs({b: r, u: g ** (1 / (L_A + L_c))})
    lag = tau * separated(speed, u_B, u_B_at, X_B)
    start = second_of_first_unequal(sign).subs(u_A, X)
    lag = lag.subs(u_B_at ** (2 - L_B), turn * start)
    lag = lag.subs({X ** (2 - L_A): _small_ends, X_B ** (2 - L_B): _small_ends})
    first = tau * u_0 ** (2 - L_A - L_c) * I / a
    return equation(RATIO, (1 + lag / first).subs(k, b / a))


_SCALED = (L_B - 2) * b / ((L_A - 2) * a) * u_0 ** (L_B - L_A) * (x ** (2 - L_A) - 1) + 1
INTEGRAND_UNEQUAL = x ** (1 - L_A) * (x**2 + _SCALED ** (2 / (2 - L_B))) ** (-L_c / 2)
EXCESS_59 = (
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
            lambda: integral(INTEGRAND_UNEQUAL.subs(_EQUAL_DEPTHS).subs(b, k * a), 1, sp.oo),
            claim="at equal depths (60) is (13)",
        ),
    ),
)  # fmt: skip
EQ_59 = Entry(
    59, "", "time ratio for unequal depths",
    (
        Statement(
            equation(RATIO, 1 + EXCESS_59), lambda *s: _unequal_ratio(c, R, *s),
            lead=small_beside_one(_small_ends, {}), neglected=_small_ends, given=ALONE,
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
            equation(RATIO, 1 + EXCESS), lambda: 1 + EXCESS_59.subs(_EQUAL_DEPTHS),
            claim="appendix E.4: at equal depths (59) is (12)",
        ),
    ),
)  # fmt: skip
