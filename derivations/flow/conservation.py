"""Balance for symbolic depth: (23), (38)-(41).

The flow of two neighbours contains the same words, so W^(l+1)T W^(l+1) - W^l W^lT is constant, and at a
fusion W^T W minus the sum over the branches of W W^T. Equalities, as printed, hold for a balanced start.
`balance` has the same matrices as functions, and finds every quadratic conserved quantity of a tree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, expect_zero, factor, term
from derivations.algebra.matrices import W_A_tot, e_A, matrix
from derivations.algebra.notation import L, L_f, l, named, tau, u, u_A, u_B
from derivations.algebra.ordered_products import T, evaluate, layer, normal, same, words
from derivations.errors import SolveError
from derivations.flow.symbolic_flow import EQ_2, EQ_3A, EQ_3B, EQ_4, EQ_18A, EQ_18B, totals

#: The conserved difference between two neighbours, zero for a balanced start, and its trace.
C, C_TRACE = matrix("C"), named("tr C", r"\mathrm{tr}\,C", real=True)
_UNBALANCED = "balanced start; only the difference of the two sides is conserved"


def _rate(before: sp.Expr, law: sp.Expr) -> sp.Expr:
    """d(W W^T)/dt of a layer that moves by `law`; with both transposed d(W^T W)/dt."""
    return law * T(before) + before * T(law)


def neighbours(lower: sp.Expr, upper: sp.Expr, below: sp.Eq, above: sp.Eq) -> sp.Eq:
    """W^l W^lT = W^(l+1)T W^(l+1) - C along a chain, C constant: proved from the flows of the two layers."""
    change = _rate(T(upper), T(above.rhs)) - _rate(lower, below.rhs)
    expect_zero(change, f"the difference of {lower} and {upper} moves")
    return equation(lower * T(lower), T(upper) * upper - C)


def along(label: str, low: Any, flow: sp.Eq) -> sp.Eq:
    """`neighbours` for layers of any index."""
    return neighbours(layer(label, low), layer(label, low + 1), flow.subs(l, low), flow.subs(l, low + 1))


def fusion(flow_a: sp.Eq, flow_b: sp.Eq, flow: sp.Eq) -> sp.Eq:
    """W_A W_A^T + W_B W_B^T = W^T W - C where the branches meet the trunk."""
    last_a, last_b, first = layer("W_A", L_f), layer("W_B", L_f), layer("W", L_f + 1)
    change = _rate(T(first), T(flow.rhs.subs(l, L_f + 1)))
    change -= _rate(last_a, flow_a.rhs.subs(l, L_f)) + _rate(last_b, flow_b.rhs.subs(l, L_f))
    expect_zero(change, "the difference at the fusion moves")
    return equation(last_a * T(last_a) + last_b * T(last_b), T(first) * first - C)


def norms(law: sp.Eq, names: dict[sp.Expr, sp.Symbol]) -> sp.Eq:
    """The trace of a balance law: tr X^T X = tr X X^T = |X|^2."""

    def trace(e: sp.Expr) -> sp.Expr:
        total = sp.Integer(0)
        for coefficient, word in words(e):
            if word == (C,):
                total += coefficient * C_TRACE
            elif len(word) == 2 and word[0] == T(word[1]):
                total += coefficient * names[next(x for x in word if x in names)] ** 2
            else:
                raise SolveError(f"{sp.Mul(*word)} is no squared norm")
        return total

    return equation(trace(law.lhs), trace(law.rhs))


def trunk_norm(eq41: sp.Eq) -> sp.Expr:
    """u by (41)."""
    (found,) = sp.solve(eq41.lhs - eq41.rhs, u)
    return found


def _root(law: sp.Eq) -> sp.Eq:
    return equation(sp.sqrt(law.lhs), sp.sqrt(law.rhs))


def unbalanced(upper: sp.Expr, *lower: sp.Expr) -> Callable[[sp.Eq, sp.Eq], bool]:
    """Explicit weights that are not balanced: the printed equality is false there, the law with its constant true.

    The constant is upper^T upper minus the sum of W W^T below, as `balance.differences` has it.
    """
    rng = np.random.default_rng(0)
    values = {single: rng.integers(-3, 4, (3, 3)).astype(float) for single in (upper, *lower)}
    constant = values[upper].T @ values[upper] - sum(values[w] @ values[w].T for w in lower)

    def tells_apart(printed: sp.Eq, right: sp.Eq) -> bool:
        at = values | {C: constant}
        gaps = [np.abs(evaluate(law.lhs - law.rhs, at)).max() for law in (printed, right)]
        return bool(gaps[0] > 1e-9 > gaps[1])

    return tells_apart


def _conserved(printed: sp.Eq, derive: Any, upper: sp.Expr, *lower: sp.Expr, defect: Any = None) -> Statement:
    """A balance law, printed without its constant."""
    return Statement(printed, derive, given={C: 0}, counterexample=unbalanced(upper, *lower), defect=defect)


def _same_norm(names: dict[sp.Expr, sp.Symbol], derive: Any) -> Statement:
    """Its trace: the norms of the two layers, the lower one first, are one."""
    lower, upper = names.values()
    return Statement(
        equation(lower, upper), derive, given={C_TRACE: 0}, counterexample={lower: 1, upper: 2, C_TRACE: 3}
    )


def _transposed(label: str, low: Any) -> Statement:
    """A line of (38): balance of layers `low` and `low` + 1, printed with the wrong transposes."""
    lower, upper = layer(label, low), layer(label, low + 1)
    printed, defect = equation(lower * T(lower), upper * T(upper)), term(upper * T(upper) - T(upper) * upper)
    return _conserved(printed, partial(along, label, low), upper, lower, defect=defect)


def _along(part: str, title: str, flow: Entry, *lines: Statement) -> Entry:
    return Entry(
        38,
        part,
        title,
        lines,
        (flow,),
        condition=_UNBALANCED,
        proof="d(W^(l+1)T W^(l+1))/dt and d(W^l W^lT)/dt by the flow are the same words.",
        note="Printed are the wrong transposes: W^(l+1) W^(l+1)T does not even have the size of W^l W^lT in general.",
    )


EQ_38A = _along("a", "balance along branch A", EQ_3A, _transposed("W_A", l))
EQ_38B = _along("b", "balance along branch B", EQ_3B, _transposed("W_B", l))
_END, _LAST = layer("W", L - 1), layer("W", L)
_AT_THE_END = replace(  # W^L is a row, and printed without a transpose
    _transposed("W", L - 1),
    printed=equation(_END * T(_END), _LAST * _LAST),
    defect=term(_LAST * _LAST - T(_LAST) * _LAST),
)
EQ_38C = _along("c", "balance along the trunk", EQ_4, _transposed("W", l), _AT_THE_END)
_INTO_A, _INTO_B, _OUT = layer("W_A", L_f), layer("W_B", L_f), layer("W", L_f + 1)
#: The largest rank that a layer before the fusion can have under exact balance.
RANK = named("max rank W_A^l", r"\max\,\mathrm{rank}\,\mathbf{W}_A^l", positive=True)
WIDTH = sp.Symbol("h", positive=True)


def largest_rank(law_a: sp.Eq, law_b: sp.Eq, law: sp.Eq) -> sp.Eq:
    """Exact balance and one output: every layer has rank one at most.

    W^L is a row, so W^LT W^L has rank one, and with (38) so have the trunk's layers. Let v be across the row
    of W^(L_f+1): then 0 = v^T W^T W v = |W_A^T v|^2 + |W_B^T v|^2, so the columns of W_A and W_B lie along it;
    (38) carries the rank down the branches.
    """
    v = matrix("v")
    fused = fusion(law_a, law_b, law).subs(C, 0)
    across = normal(T(v) * fused.rhs * v, {(_OUT, v): sp.Integer(0)})
    squares = normal(T(v) * fused.lhs * v)
    seen = [T(_INTO_A) * v, T(_INTO_B) * v]
    if across != 0 or not same(squares, sum(T(s) * s for s in seen)):
        raise SolveError("the two terms at the fusion are not squares that vanish together")
    return equation(RANK, 1)


_RANK_CLAIM = Statement(
    equation(RANK, WIDTH),
    largest_rank,
    defect=factor(WIDTH),
    claim="appendices E.1 and F.2: (38) and (39) force rank one after the fusion but not before it",
)
EQ_39 = Entry(
    39,
    "",
    "balance at the fusion",
    (
        _conserved(
            equation(_INTO_A * T(_INTO_A) + _INTO_B * T(_INTO_B), _OUT * T(_OUT)),
            fusion,
            *(_OUT, _INTO_A, _INTO_B),
            defect=term(_OUT * T(_OUT) - T(_OUT) * _OUT),
        ),
    ),
    (EQ_3A, EQ_3B, EQ_4),
    condition=_UNBALANCED + "; L_f < L",
    proof="(4) at l = L_f + 1 has one word for each branch, the same as (3a), (3b) at l = L_f.",
    note="Printed are the wrong transposes on the right. Under exact balance and one output positive terms that add up "
    "to rank one are each of rank one, so (43) is no extra assumption then.",
    claims=(_RANK_CLAIM,),
)


def _norm(label: str, index: Any) -> sp.Symbol:
    return sp.Symbol(f"|{label}^{index}|", positive=True)


def _equal_norms(part: str, label: str, name: sp.Symbol, flow: Entry, title: str) -> Entry:
    lower, upper = layer(label, l), layer(label, l + 1)
    names = {lower: _norm(label, l), upper: _norm(label, l + 1)}
    return Entry(
        40,
        part,
        title,
        (_same_norm(names, lambda law: _root(norms(along(label, l, law), names))),),
        (flow,),
        condition="balanced start; only the difference of the squared norms is conserved",
        proof=f"The trace of (38{part}); all are called {name}.",
        note="Entries N(0, 1e-4) at width 100, as appendix J.3 starts figure 6, give |W^1| = 0.1 for a scalar input, "
        "but |W^2| = 1: that start is not balanced.",
    )


EQ_40A = _equal_norms("a", "W_A", u_A, EQ_3A, "equal norms along branch A")
EQ_40B = _equal_norms("b", "W_B", u_B, EQ_3B, "equal norms along branch B")
EQ_40C = _equal_norms("c", "W", u, EQ_4, "equal norms along the trunk")
EQ_41 = Entry(
    41,
    "",
    "norms at the fusion",
    (
        Statement(
            equation(u_A**2 + u_B**2, u**2),
            lambda *laws: norms(fusion(*laws), {_INTO_A: u_A, _INTO_B: u_B, _OUT: u}),
            given={C_TRACE: 0},
            counterexample={u_A: 1, u_B: 1, u: 2, C_TRACE: 2},
        ),
    ),
    (EQ_3A, EQ_3B, EQ_4),
    condition="u(0)^2 = u_A(0)^2 + u_B(0)^2, i.e. sqrt(2) u_0; otherwise u^2 - u_A^2 - u_B^2 is conserved",
    proof="The trace of (39).",
)
_FIRST, _SECOND = layer("W_A", 1), layer("W_A", 2)
_NAMES = {_FIRST: _norm("W_A", 1), _SECOND: _norm("W_A", 2)}


EQ_23 = Entry(
    23,
    "",
    "balance of two layers",
    (
        _conserved(
            equation(_FIRST * T(_FIRST), T(_SECOND) * _SECOND), partial(neighbours, _FIRST, _SECOND), _SECOND, _FIRST
        ),
        _same_norm(_NAMES, lambda *laws: _root(norms(neighbours(_FIRST, _SECOND, *laws), _NAMES))),
    ),
    (EQ_18A, EQ_18B),
    condition=_UNBALANCED,
    proof="d(W^2T W^2 - W^1 W^1T)/dt = 0 by (18a), (18b); its trace gives the norms.",
    note="The transposes are right here, unlike in (38). Why the norm is the same in each layer: the difference of the "
    "squared norms never changes, and a small or balanced start makes it small or zero.",
)

ALIGNMENT = named("<e_A, W_A^tot>", r"\langle\mathbf{e}_A,\mathbf{W}_A^{\mathrm{tot}}\rangle", real=True)
_GAINED = named("d|W_A^l|^2/dt", r"\frac{d}{dt}\|\mathbf{W}_A^l\|^2")


def power_law(flow: sp.Eq, eq2: sp.Tuple) -> sp.Eq:
    """d|W^l|^2/dt = 2 tr(W^lT dW^l/dt): the trace rotated until e_A stands first is e_A W_A^totT."""
    ((coefficient, word),) = words(normal(T(layer("W_A", l)) * flow.rhs))
    place = word.index(e_A)
    rotated = normal(sp.Mul(*word[place:], *word[:place]))
    if not same(rotated, e_A * T(totals(eq2)[W_A_tot])):
        raise SolveError(f"{rotated} is not e_A W_A^totT")
    return equation(_GAINED, 2 * coefficient * ALIGNMENT / tau)


EXT_105 = Entry(
    105,
    "",
    "power law",
    (Statement(equation(_GAINED, 2 * ALIGNMENT / tau), power_law),),
    (EQ_3A, EQ_2),
    condition="any depth, start and data, without an ansatz; after a fusion the sum over the branches",
    proof="The squared norm of a layer moves by twice a trace of the flow; rotated it is <e_A, W_A^tot>, the same for "
    "every layer. (40) and (41) follow by subtraction.",
    note="Why the norm is the same in each layer: all layers of a chain gain the same squared norm per unit of time.",
)
