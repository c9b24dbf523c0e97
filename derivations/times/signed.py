"""The laws with the sign and rotation that the printed ones lack: 102-104, 106-108, 111, 112.

A is the modality learned first, B the second; `notation` has the symbols.

Each law leaves out terms of relative order 1/ln(1/u_0) (L_f = 2, the lag; L = 2, t_A), or u_0^(L_f - 2) and, for
L_f < L, u_0^2 (the lag); u_0^(L - 2) (t_A). `any_branches` has the same laws for any depths and starts.
"""

from __future__ import annotations

from functools import partial

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, small
from derivations.algebra.matrices import matrix, residual_B
from derivations.algebra.notation import I, L, L_f, R, c, cos, g, k, named, tau, u, u_0, u_A, u_B, x, y
from derivations.algebra.ordered_products import words
from derivations.algebra.positive_powers import as_power, canonical, separated
from derivations.errors import SolveError
from derivations.flow.ansatz import turning_moves
from derivations.flow.conservation import EQ_41
from derivations.flow.symbolic_flow import EQ_52
from derivations.times.conditions import DEEP, LOG_ORDER
from derivations.times.deep import EQ_13, EQ_45, EQ_53, depth_drops_out, exact_lag, plateau_norm, second_power
from derivations.times.formulas import LAG, LAG_AT_2, ROTATION_INTEGRAND, SECOND_SIZE, SECOND_SIZE_AT_2
from derivations.times.names import LAG_NAME, X_B, X, u_B_at
from derivations.times.second_layer import EQ_55, EQ_58, lag_at_two, second_at_two


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


EXT_102 = Entry(
    102, "", "lag with its sign, L_f = 2",
    (
        Statement(
            equation(LAG_NAME, tau * LAG_AT_2), lambda eq53, eq55: lag_at_two(c, eq53[0], eq55),
            lead=small(u_0), neglected=LOG_ORDER,
        ),
    ),
    (EQ_53, EQ_55), condition="c = -1 for a scalar residual of the other sign (random start), else 1",
    proof="(53) at L_f = 2 from the mode (101) that the residual will drive.",
)  # fmt: skip
EXT_103 = Entry(
    103, "", "lag with sign and rotation, L_f > 2",
    (
        Statement(
            equation(LAG_NAME, tau * LAG), partial(exact_lag, c, R), lead=small(u_0, DEEP), neglected=u_0 ** (L_f - 2),
        ),
    ),
    (EQ_53, EQ_45), condition="R by (104); c as in (102)", proof="(53) from (45) with c k for k, the start times R.",
)  # fmt: skip
EXT_104 = Entry(
    104, "", "rotation of B's first layer",
    (Statement(equation(R, sp.Integral(ROTATION_INTEGRAND, (y, cos, sp.oo))), _rotation),), (EQ_52,),
    condition="aligned balanced start, L_f > 2; cos between Sigma_yx_B and the residual",
    proof="Balanced layers have the norm |v| of the row, so dv/dt = |v|^(L_f - 1) along the residual; the part of v "
    "across it stays. The time to infinity, over the one without a turn.",
)  # fmt: skip
EXT_106 = Entry(
    106, "", "depth drops out of late fusion",
    (Statement(equation(I, 1 / (L - 2)), depth_drops_out),), (EQ_13,), condition="L_f = L > 2",
    proof="(13) at L_f = L.",
)  # fmt: skip
EXT_107 = Entry(
    107, "", "I at equal strengths",
    (Statement(equation(I, 2 ** ((L_f - L) / 2) / (L - 2)), _equal_strengths),), (EQ_13,), condition="k = 1",
    proof="(13) at k = 1: both branches grow together, the bracket is 2.",
)  # fmt: skip
EXT_108 = Entry(
    108, "", "I(4, 2) at k = 1/2",
    (Statement(equation(I, 1 - sp.log(2)), _one_minus_log_two),), (EQ_58,), condition="L = 4, L_f = 2, k = 1/2",
    proof="1/(x^2 (x + 1)) has an elementary antiderivative.",
)  # fmt: skip


_CHANGE = named("change of the lag", r"\frac{\delta(t_B - t_A)}{t_B - t_A}")


def _trunk_growth(eq53: sp.Tuple, eq41: sp.Eq) -> sp.Eq:
    """What the growth of the trunk with u_B^2, (50), does to the lag (53), as a share of it, for L_f > 4.

    u^(L - L_f) = U^(L - L_f) (1 + s u_B^2), so 1/(du_B/dt) loses the share s u_B^2.
    """
    trunk = plateau_norm(u, eq41).rhs
    share = sp.diff(trunk, u_B, 2) / 2 * (L - L_f) / trunk.subs(u_B, 0)
    whole = separated(eq53[0].rhs, u_B, u_B_at, X_B).subs(X_B ** (2 - L_f), 0)
    lost = share * separated(eq53[0].rhs / u_B**2, u_B, u_B_at, X_B).subs(X_B ** (4 - L_f), 0)
    return equation(_CHANGE, canonical(-lost / whole))


EXT_112 = Entry(
    112, "", "the trunk grows with B",
    (
        Statement(
            equation(_CHANGE, -L_f * (L - L_f) * (L_f - 2) / (2 * L * (L_f - 4)) * (u_B_at / g ** (1 / L)) ** 2),
            _trunk_growth,
        ),
    ),
    (EQ_53, EQ_41), condition="4 < L_f < L; as a share of the lag, to first order in u_B^2",
    proof="The norm (50) of the trunk, expanded in u_B^2, in the separated equation (53).",
    note="At L_f = 4 the power is a logarithm, below it the ends of the transitions are larger.",
)  # fmt: skip
SIZE = named("u_B/u_0", r"\frac{u_B}{u_0}", positive=True)


def _size(eq45: sp.Tuple) -> sp.Expr:
    """(45) for a mode of sign c, u_A = x u_0: its left side with this u_B is c k."""
    return canonical(second_power(eq45, c).subs(u_A, u_0 * x) ** (1 / (2 - L_f)) / u_0)


EXT_111 = Entry(
    111, "", "B while A grows, either sign",
    (
        Statement(equation(SIZE, SECOND_SIZE), _size),
        Statement(equation(SIZE, SECOND_SIZE_AT_2), lambda eq55: second_at_two(eq55, c).subs(u_A, u_0 * x) / u_0),
    ),
    (EQ_45, EQ_55), condition="x = u_A/u_0, L_f > 2 (first) and L_f = 2 (second); weights near zero",
    proof="(45), (55) with c k for k, by (101).",
)  # fmt: skip
