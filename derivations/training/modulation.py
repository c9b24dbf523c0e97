"""Gradient modulation: the encoder of the modality with the higher score has its gradient times kappa. 141-143.

kappa = 1 - tanh(alpha s), s the ratio of its score to the other one's; at the start, where outputs are zero, s = 1. The
encoder is all layers of a branch but the last.

    141  two layers: growth of the modulated modality
    142  the time ratio
    143  the alpha at which both are learned together, and what happens beyond it
"""

from __future__ import annotations

from functools import partial
from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, small
from derivations.algebra.matrices import Y_A, Y_B
from derivations.algebra.notation import a, alpha, b, c, kappa, named, r, t_A, tau, u_0, u_B
from derivations.algebra.ordered_products import T, layer, normal
from derivations.algebra.positive_powers import equal
from derivations.errors import SolveError
from derivations.flow.symbolic_flow import EQ_22A, EQ_22B
from derivations.times.conditions import LOG_ORDER
from derivations.times.names import RATIO, X_B, X, u_B_at
from derivations.times.two_layers import EQ_32, MODE

__all__ = ["CRITICAL_MODULATION", "MODULATED_GROWTH", "MODULATED_RATIO", "SLIDING_GROWTH", "STRENGTH"]

CRITICAL = named("alpha_*", r"\alpha_*", positive=True)
#: kappa while both scores are equal.
STRENGTH = 1 - sp.tanh(alpha)
MODULATED_GROWTH = sp.sqrt(kappa) * a
MODULATED_RATIO = 1 + (sp.sqrt(kappa) * a - c * b) / r
CRITICAL_MODULATION = sp.atanh(1 - (b / a) ** 2)
#: Growth of both modalities while their scores stay equal, kappa beyond the critical one.
SLIDING_GROWTH = a * b * sp.sqrt((1 + kappa) / (a**2 + b**2))
_B_SEEN = (layer("W_B", 1), layer("W_B", 2), Y_B, b)
_A_SEEN = (layer("W_A", 1), layer("W_A", 2), Y_A, a)
Seen = tuple[sp.Expr, sp.Expr, sp.Expr, sp.Symbol]


def modulated_rate(seen: Seen, factor: Any, eq22: sp.Tuple) -> sp.Expr:
    """Growth rate of W^1 d^T + c sqrt(kappa) W^2T, d the unit row along Sigma_yx, layer 1 at kappa times (22)."""
    first, second, drive, length = seen
    d, squares = drive / length, {(drive, T(drive)): length**2}
    moved = normal(factor * eq22[0].rhs * T(d) + c * sp.sqrt(factor) * T(eq22[1].rhs), squares)
    now = sp.expand(first * T(d) + c * sp.sqrt(factor) * T(second))
    speed = c * moved.coeff(T(second)) / sp.sqrt(factor)  # 1/c is c
    gap = sp.expand(normal(moved - sp.expand(speed * now), squares)).subs({c**3: c, c**2: 1})
    if normal(gap) != 0:
        raise SolveError(f"the mode does not grow by itself: {gap}")
    return sp.powsimp(speed)


EXT_141 = Entry(
    141, "", "growth under gradient modulation, two layers",
    (Statement(equation(MODE, c * MODULATED_GROWTH), partial(modulated_rate, _A_SEEN, kappa)),), (EQ_22A,),
    condition="weights near zero, kappa constant, c = 1 or -1; two layers, so that the first one is the encoder",
    proof="With the first layer at kappa times (22a) the matrix of W^1 d^T and W^2T is [[0, kappa a], [a, 0]]: W^1 "
    "d^T + c sqrt(kappa) W^2T grows at c sqrt(kappa) a.",
    note="Squared loss; near zero the logistic loss halves every drive and leaves ratios. An optimiser that divides "
    "each gradient by its own size, as Adam does, takes kappa out again: there modulation does nothing.",
)  # fmt: skip


def _ratio(eq141: sp.Eq, eq22b: sp.Tuple, eq32: sp.Tuple) -> sp.Expr:
    """A at its modulated rate, B at its own, then (32)."""
    first = tau * (sp.log(X) - sp.log(u_0)) / eq141.rhs.subs(c, 1)
    begun = sp.log(u_0) + first / tau * modulated_rate(_B_SEEN, sp.Integer(1), eq22b)
    return 1 + eq32[1].rhs.subs(sp.log(u_B_at), begun).subs(u_B, X_B) / first


EXT_142 = Entry(
    142, "", "time ratio under gradient modulation, two layers",
    (
        Statement(
            equation(t_A, tau * sp.log(1 / u_0) / MODULATED_GROWTH),
            lambda eq141: tau * (sp.log(X) - sp.log(u_0)) / eq141.rhs.subs(c, 1),
            lead=small(u_0), neglected=LOG_ORDER,
        ),
        Statement(equation(RATIO, MODULATED_RATIO), _ratio, lead=small(u_0), neglected=LOG_ORDER),
    ),
    (EXT_141, EQ_22B, EQ_32),
    condition="sqrt(kappa) a > b, kappa = 1 - tanh(alpha); late fusion, u_0 -> 0; c as in (102)",
    proof="Until t_A both outputs are near zero, their scores equal to leading order and that of A the higher one: A "
    "grows at sqrt(kappa) a, B at its own rate. A's plateau has no error, whatever its gradient is multiplied by, so "
    "B's residual is that of (32).",
    note="That the ratio of the scores moves away from 1 as A is learned is left out: it happens within a time of "
    "order one. For the logistic loss 2 s_B stands for r, (125).",
    claims=(
        Statement(
            equation(RATIO, 1 + (a - c * b) / r), lambda: MODULATED_RATIO.subs(kappa, STRENGTH).subs(sp.tanh(alpha), 0),
            claim="alpha = 0 is (9) with its sign c",
        ),
    ),
)  # fmt: skip


def _critical(eq141: sp.Eq, eq22b: sp.Tuple) -> sp.Expr:
    """Where the modulated A grows like B."""
    bent = sp.Symbol("tanh", positive=True)
    gap = (eq141.rhs - modulated_rate(_B_SEEN, sp.Integer(1), eq22b)).subs(c, 1)
    (found,) = sp.solve(gap.subs(kappa, STRENGTH).subs(sp.tanh(alpha), bent), bent)
    return sp.atanh(found)


def _sliding(eq22a: sp.Tuple, eq22b: sp.Tuple) -> sp.Expr:
    """A modulated for a share of the time, B for the rest, such that both grow alike."""
    share, first, second = sp.symbols("share kappa_A kappa_B", positive=True)
    growth_a = modulated_rate(_A_SEEN, first, eq22a).subs(c, 1)
    growth_b = modulated_rate(_B_SEEN, second, eq22b).subs(c, 1)
    means = {first: share * kappa + 1 - share, second: share + (1 - share) * kappa}
    (found,) = sp.solve((growth_a**2 - growth_b**2).subs(means), share)
    one, other = (sp.factor((g**2).subs(means).subs(share, found)) for g in (growth_a, growth_b))
    if not equal(one, other):
        raise SolveError("the two rates differ")
    return sp.sqrt(one)


def _alike(eq22a: sp.Tuple, eq22b: sp.Tuple) -> sp.Expr:
    growth = _sliding(eq22a, eq22b)
    times = [tau * (sp.log(end) - sp.log(u_0)) / growth for end in (X, X_B)]
    return times[1] / times[0]


EXT_143 = Entry(
    143, "", "critical gradient modulation, two layers",
    (
        Statement(equation(CRITICAL, CRITICAL_MODULATION), _critical),
        Statement(equation(MODE, SLIDING_GROWTH), _sliding),
        Statement(
            equation(RATIO, 1), _alike, lead=small(u_0), neglected=LOG_ORDER,
        ),
    ),
    (EXT_141, EQ_22A, EQ_22B),
    condition="a > b, two layers, weights near zero; the last two lines for alpha > alpha_*, that is sqrt(kappa) a < "
    "b",
    proof="sqrt(kappa) a = b with kappa = 1 - tanh(alpha). Beyond it the modality with the higher score is the "
    "slower one, whichever it is, so the scores stay equal: each is modulated for a share of the time, and both grow "
    "alike at the mean of the two flows.",
    note="The rate of both does not vanish with kappa: never both are held back. Steps are taken as small; with "
    "finite ones the scores zigzag about equality.",
    claims=(
        Statement(
            equation(MODE, b), lambda: SLIDING_GROWTH.subs(kappa, (b / a) ** 2),
            claim="at alpha_* both grow at the rate of B",
        ),
    ),
)  # fmt: skip
