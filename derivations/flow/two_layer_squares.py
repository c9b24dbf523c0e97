"""Two layers from any start, closed in total weights and two squares: 156.

p = W^2 W^1, M = W^1T W^1 and a = W^2 W^2T move by themselves once the error is known, whatever the width, the start and
the loss: these three are all that a start is.
"""

from __future__ import annotations

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation
from derivations.algebra.matrices import e_A, matrix
from derivations.algebra.notation import l, named, u_0
from derivations.algebra.ordered_products import Layers, T, layer, normal
from derivations.errors import SolveError
from derivations.flow.symbolic_flow import EQ_3A, TWO

#: p, M, a, and the left sides of their flows; `a` alone is the norm of Sigma_yx_A.
TOTAL, INNER, OUTER = matrix("p", r"\mathbf{p}"), matrix("M", r"\mathbf{M}"), matrix("a_p", r"\mathbf{a}")
RATES = tuple(named(f"tau*d{name}/dt", rf"\tau\dot{{\mathbf{{{name[0]}}}}}") for name in ("p", "M", "a_p"))
inputs, outputs, width = sp.symbols("d K h", positive=True)
MEAN_INNER, MEAN_OUTER = named("<M_ii>", r"\langle M_{ii} \rangle"), named("<a_p,ii>", r"\langle a_{ii} \rangle")
#: Means over random starts with layers of norm u_0.
TYPICAL_INNER, TYPICAL_OUTER = u_0**2 / inputs, u_0**2 / outputs

_first, _second = layer("W_A", 1), layer("W_A", 2)
_product = Layers("W_A", 2, 1)
_NAMES = {
    (_second, T(_second)): OUTER,
    (T(_first), _first): INNER,
    (_product,): TOTAL,
    (T(_product),): T(TOTAL),
}


def _moved(before: sp.Expr, law: sp.Eq) -> sp.Expr:
    """tau d/dt of a product of both layers and their transposes, by Leibniz, in p, M and a."""
    flows = {single: law.rhs.subs(TWO).subs(l, n) for n, single in enumerate((_first, _second), start=1)}
    factors, change = before.args, sp.Integer(0)
    for i, factor in enumerate(factors):
        turned = isinstance(factor, sp.transpose)
        flow = flows[factor.args[0] if turned else factor]
        change += sp.Mul(*factors[:i], T(flow) if turned else flow, *factors[i + 1 :])
    found = normal(change, _NAMES)
    if found.has(Layers):
        raise SolveError(f"{found} is not closed")
    return found


def _mean_of_square(count: sp.Symbol, entries: sp.Expr) -> sp.Expr:
    """The mean of a sum of `count` squares of entries, independent and alike, of a layer of norm u_0."""
    variance = u_0**2 / entries
    return sp.Sum(variance, (sp.Symbol("k"), 1, count)).doit()


EXT_156 = Entry(
    156, "", "two layers, any start: closed in p and two squares",
    (
        Statement(equation(RATES[0], OUTER * e_A + e_A * INNER), lambda eq3a: _moved(_second * _first, eq3a)),
        Statement(
            equation(RATES[1], T(TOTAL) * e_A + T(e_A) * TOTAL), lambda eq3a: _moved(T(_first) * _first, eq3a)
        ),
        Statement(
            equation(RATES[2], e_A * T(TOTAL) + TOTAL * T(e_A)), lambda eq3a: _moved(_second * T(_second), eq3a)
        ),
        Statement(equation(MEAN_INNER, TYPICAL_INNER), lambda: _mean_of_square(width, width * inputs)),
        Statement(equation(MEAN_OUTER, TYPICAL_OUTER), lambda: _mean_of_square(width, outputs * width)),
    ),
    (EQ_3A,),
    condition="p = W^2 W^1, M = W^1T W^1, a_p = W^2 W^2T of a part of the network with two layers of its own: a "
    "modality of late fusion, or early fusion with all inputs as one; any width and start. Last lines: a random start, "
    "entries independent with mean 0 and alike in a layer, layers of norm u_0, d inputs, K outputs, h hidden units",
    proof="The product rule with (3) at L = L_f = 2: W^1 moves by W^2T e, W^2 by e W^1T. Nothing of a layer alone is "
    "left. A diagonal entry of M, or of a_p, is a sum of h squares of mean u_0^2/(h d), or u_0^2/(h K).",
    note="Any loss: (3) asks only that e is minus the gradient by the total weights, e = <delta x^T> with delta minus "
    "the derivative of the loss by the output. In the mean the other entries of M and a_p, and p, are zero: signs of "
    "entries are as likely as not. Entries of M, a_p and p stray from their means by a share of order 1/sqrt(h), which "
    "a wide network leaves out. More than two layers do not close so: W^2 W^1 W^1T W^2T comes in.",
)  # fmt: skip
