"""The critical set for several outputs, late fusion: 160-163. `mode_sets` and `mode_signature` have them in numbers.

160  two layers: what critical means, and which total weights are critical
161  two layers: the dimension over given total weights
162  the signature: what the error sees of the second order, and its negative directions
163  how a mode that is not learned leaves zero
"""

from __future__ import annotations

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation
from derivations.algebra.matrices import S_A, Y_A, W_A_tot, e_A, matrix
from derivations.algebra.notation import L, L_f, l, named, rate, u
from derivations.algebra.ordered_products import (
    Direction,
    Layers,
    T,
    coefficient_of,
    layer,
    normal,
    rank_one_product,
    words,
)
from derivations.critical.mode_strata import coupled_directions, fibre_dimension
from derivations.errors import SolveError
from derivations.flow.symbolic_flow import EQ_2, EQ_3A, EQ_5A, TWO, totals

FIRST, SECOND = layer("W_A", 1), layer("W_A", 2)
U, V = matrix("U"), matrix("V")  # the same, W2 and W1
#: W2^T W2, the projection on the columns of W2, and Sigma_yx_A Sigma_A^-1 Sigma_yx_A^T.
G, P, Q = matrix("G"), matrix("P"), matrix("Q")
#: Width; dimensions of the kernels L, R of the error; ranks of W_A^tot, W2, W1; rank of the error.
h, a, b, k, r, s, p = sp.symbols("h a b k r s p", positive=True)
kernel, dimension = named("dim ker", r"\dim\ker", real=True), named("dim", r"\dim", real=True)
#: Strengths of a learned mode and of one that is not, where inputs are white; the second order of W_A^tot.
s_i, s_j = sp.symbols("s_i s_j", positive=True)
second_order, negative, minor = (
    matrix("W_A_tot_2", r"\delta^2\mathbf{W}_A^{\mathrm{tot}}"),
    sp.Symbol("n_-"),
    sp.Symbol("det"),
)
D_first, D_inner, D_last = matrix("D_1"), matrix("D_l"), matrix("D_L")
#: Singular value of the error.
strength = named("sigma_e", r"\sigma(\mathbf{e}_A)", positive=True)


# ---- 160.


def _at_rest(eq3a: sp.Eq, index: int) -> sp.Eq:
    """The flow of a layer of two, at rest."""
    return equation(normal(eq3a.rhs.subs(TWO).subs(l, index)), 0)


def _solved(eq3a: sp.Eq, eq5a: sp.Eq, eq2: sp.Tuple) -> tuple[sp.Expr, sp.Expr]:
    """V = W^1 from W2^T e = 0, nothing of B in e; and e with it. W2 is U: its product with V is not joined."""
    seen = _apart(normal(eq5a.rhs.subs(totals(eq2)).subs(TWO)))
    seen = sp.Add(*(c * sp.Mul(*word) for c, word in words(seen) if not _reads_b(word)))
    law = normal(_apart(_at_rest(eq3a, 1).lhs).subs(e_A, seen), {(T(U), U): G})
    rest = sp.Add(*(c * sp.Mul(*word) for c, word in words(law) if V not in word))
    ((scale, word),) = ((c, word) for c, word in words(law) if V in word)
    place = word.index(V)
    first = -(sp.Mul(*word[:place]) ** -1) * rest * sp.Mul(*word[place + 1 :]) ** -1 / scale
    return normal(first), normal(seen.subs(V, first), _PROJECTION)


def _reads_b(word: tuple[sp.Expr, ...]) -> bool:
    return any("B" in str(factor) for factor in word)


def _apart(e: sp.Expr) -> sp.Expr:
    """The two layers by the names U and V."""
    return sp.expand(e.subs(Layers("W_A", 2, 1), U * V).subs({SECOND: U, FIRST: V}))


_PROJECTION = {(U, G**-1, T(U)): P}


def _total(eq3a: sp.Eq, eq5a: sp.Eq, eq2: sp.Tuple) -> sp.Eq:
    return equation(W_A_tot, normal(U * _solved(eq3a, eq5a, eq2)[0], _PROJECTION))


def _invariant(eq3a: sp.Eq, eq5a: sp.Eq, eq2: sp.Tuple) -> sp.Eq:
    """e W1^T = 0 with that W^1, times G."""
    first, seen = _solved(eq3a, eq5a, eq2)
    law = _apart(_at_rest(eq3a, 2).lhs).subs(e_A, seen).subs(T(V), T(first)).subs(T(G), G)
    left = normal(law * G, {(Y_A, S_A**-1, T(Y_A)): Q, (G**-1, G): 1}).subs(U, SECOND)
    kept = sp.Add(*(c * sp.Mul(*word) for c, word in words(left) if word[0] != P))
    return equation(kept, sp.expand(kept - left))


EXT_160 = Entry(
    160, "", "several outputs, two layers, late fusion: which points are critical",
    (
        Statement(equation(T(SECOND) * e_A, 0), lambda eq3a: _at_rest(eq3a, 1)),
        Statement(equation(e_A * T(FIRST), 0), lambda eq3a: _at_rest(eq3a, 2)),
        Statement(equation(W_A_tot, P * Y_A * S_A**-1), _total),
        Statement(equation(Q * SECOND, P * Q * SECOND), _invariant),
    ),
    (EQ_3A, EQ_5A, EQ_2),
    condition="any number of outputs; lines three and four: A alone, or uncorrelated with what B has learned; W2 of "
    "full column rank (hidden units that nothing reads left out), G = W2^T W2, P = W2 G^-1 W2^T the projection on its "
    "columns, Q = Sigma_yx_A Sigma_A^-1 Sigma_yx_A^T",
    proof="(3a) at rest. W2^T e = 0 is linear in W^1; put into e W1^T = 0 it says that the columns of W2 span an "
    "invariant space of Q, so P projects on a subset of its eigenvectors, if these are distinct.",
    note="Baldi and Hornik (1989). For one output W2^T e is a column times a row: one of both vanishes, (6), (7). With "
    "correlations and both modalities learned in part, P_A and P_B solve a polynomial system.",
)  # fmt: skip

# ---- 161.

#: Rows of U in L and columns of V in R, by the hidden units that they meet: shared, of U alone, of V alone, none.
_ROWS, _COLUMNS = {"shared": k, "U": r - k, "": a - r}, {"shared": k, "V": s - k, "": b - s}
#: The hidden units, the same way.
_HIDDEN = {"shared": k, "U": r - k, "V": s - k, "": h - r - s + k}


def _meets(eq2: sp.Tuple) -> tuple[bool, bool]:
    """Whether moving the second and the first layer of two moves W_A^tot by a product with the other one."""
    product = totals(eq2)[W_A_tot].subs(TWO)
    ((scale, word),) = words(_apart(product))
    if scale != 1 or len(word) != 2:
        raise SolveError(f"{product} is not a product of two layers")
    return word[-1] == V, word[0] == U


def _kernel(eq2: sp.Tuple) -> sp.Expr:
    """Moves of U and V that keep U V: all, less the blocks of L x R that dU V or U dV reach, each as large as it is."""
    by_second, by_first = _meets(eq2)
    reached = [
        size * width
        for row, size in _ROWS.items()
        for column, width in _COLUMNS.items()
        if (column and by_second) or (row and by_first)
    ]
    return sp.expand(h * (sum(_ROWS.values()) + sum(_COLUMNS.values())) - sp.Add(*reached))


EXT_161 = Entry(
    161, "", "several outputs, two layers: the dimension over given total weights",
    (
        Statement(equation(kernel, h * (a + b) - a * b + (a - r) * (b - s)), _kernel),
        Statement(equation(dimension, fibre_dimension(h, a, b, k, r)), lambda eq2: _kernel(eq2).subs(s, h + k - r)),
        Statement(equation(dimension, fibre_dimension(h, a, b, k, a)), lambda eq2: _kernel(eq2).subs({r: a, s: b})),
    ),
    (EQ_2,),
    condition="U = W2 (a, h) with columns in the left kernel of e_A, V = W1 (h, b) with rows in its right kernel, "
    "a = K - rank e_A, b = d_A - rank e_A; U V = W_A^tot of rank k; ranks r, s of U and V; line two where "
    "r + s = h + k, line three where r = a, s = b (h >= a + b - k): these are the "
    "components. The dimensions of all paths add up",
    proof="Changes of basis take U and V to 1 on shared hidden units, on those of U alone and of V alone, and 0 else. "
    "dU V reaches the columns of V, U dV the rows of U. The kernel is the tangent space: U with r columns in L that "
    "hold those of W_A^tot, then V up to the kernel of U, make a manifold of this dimension.",
    note="One output, e_A not 0: a = k = r = 0, b = d_A - 1, dimension h (d_A - 1), (7).",
)  # fmt: skip

# ---- 162.


def _second_order(eq2: sp.Tuple) -> sp.Expr:
    """Words with two moves that neither begin with the last layer nor end with the first one."""
    if totals(eq2)[W_A_tot].subs(L_f, L) != Layers("W_A", L, 1):
        raise SolveError("W_A^tot is not a product of its layers")
    between = Layers("W_A", L - 1, l + 1), Layers("W_A", l - 1, 2)
    last, first = layer("W_A", L), layer("W_A", 1)
    moved = (last + D_last) * between[0] * (layer("W_A", l) + D_inner) * between[1] * (first + D_first)
    moves = {D_last, D_inner, D_first}
    found = [
        c * sp.Mul(*word)
        for c, word in words(moved)
        if sum(f in moves for f in word) == 2 and word[0] != last and word[-1] != first
    ]
    return normal(sp.Add(*found))


def _seen_form(hidden: str) -> sp.Matrix:
    """The form on a pair u, v of one hidden unit, one row and one column outside L, R: white inputs, U = 1, V = s_i."""
    by_v = s_i if hidden in {"shared", "V"} else 0
    by_u = 1 if hidden in {"shared", "U"} else 0
    return sp.Matrix([[by_v**2, -s_j], [-s_j, by_u**2]])


def _free(eq2: sp.Tuple) -> sp.Expr:
    """p for each hidden unit whose pairs have a negative determinant whatever the strengths."""
    _second_order(eq2)
    found = [size for hidden, size in _HIDDEN.items() if _seen_form(hidden).det().is_negative]
    return sp.expand(p * sp.Add(*found))


EXT_162 = Entry(
    162, "", "several outputs, late fusion: the signature",
    (
        Statement(equation(second_order, D_last * Layers("W_A", L - 1, 2) * D_first), _second_order),
        Statement(equation(negative, coupled_directions(h, p, k)), _free),
        Statement(
            equation(minor, s_i**2 - s_j**2),
            lambda: sp.expand(_seen_form("shared").det()),
        ),
    ),
    (EQ_2,),
    condition="W^L T e_A = 0 and e_A W^1 T = 0 (two layers: every critical point); line two two layers, p = rank e_A, "
    "white, uncorrelated inputs; beside these, line three, one for each learned mode i and each stronger mode j that "
    "is not. Every one of them has a positive partner; all other directions that J sees are positive",
    proof="A word that begins with W^L or ends with W^1 is at right angles to e_A. In a basis of hidden units as in "
    "(161) the form falls into pairs u, v, one for each unit and each pair of singular vectors of e_A: "
    "s_i^2 u^2 [units of V] + v^2 [units of U] - 2 s_j u v. Without the first two terms, or one of them, the "
    "determinant is negative: one direction of each sign. In general: `mode_signature`.",
    note="Zero directions are as many as (161) where no two modes are equally strong: nothing is degenerate.",
)  # fmt: skip

# ---- 163.

_UNIT = sp.Symbol("i", integer=True, positive=True)


def _growth(eq3a: sp.Eq) -> sp.Expr:
    """Layer l on W^i = u r^i r^(i-1)T, r^L and r^0 singular vectors of e_A with singular value sigma."""
    factor = u * Direction("r_A", _UNIT) * T(Direction("r_A", _UNIT - 1))
    above = rank_one_product("W_A", factor, _UNIT, L, l + 1)
    below = rank_one_product("W_A", factor, _UNIT, l - 1, sp.Integer(1))
    law = eq3a.rhs.subs(L_f, L).subs({Layers("W_A", L, l + 1): above, Layers("W_A", l - 1, 1): below})
    ends = Direction("r_A", L), Direction("r_A", 0)
    found = normal(law, {(T(ends[0]), e_A, ends[1]): strength})
    return coefficient_of(found, Direction("r_A", l), T(Direction("r_A", l - 1)))


EXT_163 = Entry(
    163, "", "several outputs, late fusion: how a mode that is not learned leaves zero",
    (
        Statement(equation(rate(u), strength * u ** (L - 1)), _growth),
        Statement(equation(rate(u), strength * u), lambda eq3a: _growth(eq3a).subs(L, 2)),
    ),
    (EQ_3A,),
    condition="hidden units without weights take up a singular pair of e_A, W^i = u r^i r^(i-1)T, at right angles to "
    "what is learned; to first order in what saturates",
    proof="(3a) on this shape; r^L T e_A r^0 = sigma.",
    note="Two layers: the rate sigma(e_A), an eigenvalue of minus the Hessian, h - k times each. Three and more: the "
    "inner product Z of (162) has rank k there, rank Z - k = 0: no negative direction, u^(2-L) falls at (L - 2) sigma.",
)  # fmt: skip
