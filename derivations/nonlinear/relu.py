"""Two layers of ReLU on symmetric data, (x, y) and (-x, -y) equally likely: 126.

A hidden unit is active where w x > 0 and linear there. A mean that does not change under (x, y) -> (-x, -y) is
taken over both halves alike, so over the active half it is half of the whole: the linear flow at half the drive.
"""

from __future__ import annotations

from functools import partial

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, small
from derivations.algebra.matrices import S_A, Y_A, Y_B, W_A_tot, matrix, residual_B, target, x_A, x_B
from derivations.algebra.notation import a, b, c, r, rate, t_A, tau, u_0, u_A
from derivations.algebra.ordered_products import (
    Layers,
    T,
    averaged,
    coefficient_of,
    descent,
    layer,
    means,
    normal,
    same,
    words,
)
from derivations.errors import SolveError
from derivations.flow.symbolic_flow import EQ_1A, EQ_1B, EQ_31, error
from derivations.times.conditions import LOG_ORDER
from derivations.times.names import RATIO, X
from derivations.times.two_layers import EQ_26, EQ_30, EQ_32, ratio_of_two_layers

SEEN = matrix("<y*x_A^T*1(w*x_A > 0)>", r"\langle y\,\mathbf{x}_A^\top 1(\mathbf{w}\mathbf{x}_A > 0)\rangle")
SEEN_LATE = matrix(
    "<(y - y_hat)*x_B^T*1(w*x_B > 0)>", r"\langle (y - \hat y)\,\mathbf{x}_B^\top 1(\mathbf{w}\mathbf{x}_B > 0)\rangle"
)
SUM = matrix("sum of W_A^2*W_A^1 over units", r"\textstyle\sum_{\mathrm{units}}\mathbf{W}_A^2\mathbf{W}_A^1")


def active(word: sp.Expr, *definitions: sp.Basic) -> sp.Expr:
    """The mean of a word over the samples on which a unit is active.

    (x, y) -> (-x, -y) exchanges the samples with w x > 0 and those with w x < 0.
    """
    turned = normal(word.subs({target: -target, x_A: -x_A, x_B: -x_B}, simultaneous=True))
    if not same(turned, word):
        raise SolveError(f"{word} is not the same on both halves")
    whole = averaged(word, means(*definitions))
    here, there = sp.symbols("here there")
    ((share, _),) = sp.linsolve([here + there - 1, here - there], here, there)
    return normal(share * whole)


def _share(eq1a: sp.Tuple, eq1b: sp.Tuple) -> sp.Expr:
    """The drive of a unit near zero as a share of Sigma_yx."""
    return coefficient_of(active(target * T(x_A), eq1a, eq1b), Y_A)


def _unit(index: int, eq1a: sp.Tuple, eq1b: sp.Tuple) -> sp.Eq:
    """(22) for one hidden unit: linear on its half of the samples."""
    seen = {(error, T(x_A)): active(target * T(x_A), eq1a, eq1b)}
    moved = descent(Layers("W_A", 2, 1) * x_A, layer("W_A", index), seen, error)
    return equation(rate(f"W_A^{index}"), moved)


def _late(eq1a: sp.Tuple, eq1b: sp.Tuple, eq31: sp.Tuple) -> sp.Eq:
    """What drives B at M_A, where y_hat = Sigma_yx_A Sigma_A^-1 x_A on both halves."""
    seen = active((target - W_A_tot * x_A) * T(x_B), eq1a, eq1b).subs(W_A_tot, Y_A * S_A**-1)
    return equation(SEEN_LATE, normal(seen.subs(Y_B, residual_B - (eq31[2].rhs - Y_B))))


def _ratio(eq1a: sp.Tuple, eq1b: sp.Tuple, eq26: sp.Eq, eq32: sp.Tuple, eq30: sp.Eq, eq31: sp.Tuple) -> sp.Eq:
    """(9) with a, b and the residual at the shares that a unit sees."""
    early = _share(eq1a, eq1b)
    ((late, _),) = words(_late(eq1a, eq1b, eq31).rhs)
    drives = {a: early * a, b: early * b, r: late * r}
    return equation(RATIO, ratio_of_two_layers(eq26, eq32, eq30).rhs.subs(drives, simultaneous=True))


def _sum_of_units(eq1a: sp.Tuple, eq1b: sp.Tuple) -> sp.Eq:
    """Units along +w and -w: y_hat = P x where w x > 0, N x where w x < 0; each side alone removes its error."""
    sides = []
    for total in (matrix("P"), matrix("N")):
        seen = active((target - total * x_A) * T(x_A), eq1a, eq1b)
        gain = sp.Add(*(coefficient for coefficient, word in words(seen) if word == (total, S_A)))
        solved = normal(total - seen * S_A**-1 / gain)  # the error is gain * P Sigma_A + the rest
        if not same(seen.subs(total, solved), 0):
            raise SolveError(f"{solved} leaves an error")
        sides.append(solved)
    return equation(SUM, sp.Add(*sides))


EXT_126 = Entry(
    126, "", "two layers of ReLU",
    (
        Statement(equation(SEEN, Y_A / 2), lambda eq1a, eq1b: active(target * T(x_A), eq1a, eq1b)),
        Statement(equation(rate("W_A^1"), T(layer("W_A", 2)) * Y_A / 2), partial(_unit, 1)),
        Statement(equation(rate("W_A^2"), Y_A * T(layer("W_A", 1)) / 2), partial(_unit, 2)),
        Statement(
            equation(t_A, 2 * tau / a * sp.log(1 / u_0)),
            lambda eq1a, eq1b, eq26: eq26.rhs.subs(a, _share(eq1a, eq1b) * a).subs(u_A, X),
            lead=small(u_0), neglected=LOG_ORDER,
        ),
        Statement(equation(SEEN_LATE, residual_B / 2), _late),
        Statement(equation(RATIO, 1 + (a - c * b) / r), _ratio, lead=small(u_0), neglected=LOG_ORDER),
        Statement(equation(SUM, 2 * Y_A * S_A**-1), _sum_of_units),
    ),
    (EQ_1A, EQ_1B, EQ_26, EQ_32, EQ_30, EQ_31),
    condition="late fusion, no biases, (x, y) and (-x, -y) equally likely; units of both signs in each branch; the sum "
    "over units for scalar inputs, or where units come in pairs w, -w; c as in (102)",
    proof="The flow of a unit is the linear one on the samples with w x > 0, where the means are half of the whole. As "
    "w x = relu(w x) - relu(-w x), one side of the units serves w x > 0, the other w x < 0; both need all of w.",
    note="Against (27) times double; the ratio is that of the linear network, and the sum of W_A^2 W_A^1 over units is "
    "twice the W_A^tot of (7).",
)  # fmt: skip
