"""The gradient flow for symbolic depth: (1)-(5), (14)-(16), (18), (22), (31), (42), (52).

Every gradient is an outer product. W_m^tot = P W^l F for each layer l, P what is above it and F what is
below (a product split in two, by associativity), so the part of the loss that is linear in a change D of
W^l is -tr(P D F <x error>) and -dLoss/dW^l = P^T <error x^T> F^T. `gradient_flow` has the same laws as
functions on explicit matrices.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import sympy as sp

from derivations.algebra.entry import WEIGHT, Entry, Statement, equation, factor, small_weights, term
from derivations.algebra.examples import VARIANCE_A, scalar_example, sd_A
from derivations.algebra.matrices import (
    S_A,
    S_AB,
    S_B,
    S_BA,
    Y_A,
    Y_B,
    S,
    W_A_tot,
    W_B_tot,
    W_tot,
    Y,
    e_A,
    e_B,
    matrix,
    residual_B,
    target,
    x_A,
    x_all,
    x_B,
)
from derivations.algebra.notation import L, L_f, eta, l, rate
from derivations.algebra.ordered_products import Average, Layers, T, averaged, descent, layer, means, normal, words
from derivations.errors import SolveError

y_hat, error = matrix("y_hat", r"\hat y"), matrix("delta")
TRUNK, TO_A, TO_B = Layers("W", L, L_f + 1), Layers("W_A", L_f, 1), Layers("W_B", L_f, 1)
TWO = {L: 2, L_f: 2}


def prediction(eq2: sp.Tuple) -> sp.Expr:
    """y_hat by layers; the three forms of (2) must define the same."""
    if {line.lhs for line in eq2} != {y_hat} or list(words(eq2[2].rhs)) != [(1, (W_tot, x_all))]:
        raise SolveError(f"{eq2} are not three forms of one output")
    return eq2[0].rhs


def totals(eq2: sp.Tuple) -> dict[sp.Symbol, sp.Expr]:
    """W_A^tot and W_B^tot as products of layers: coefficients of x_A and x_B in the forms of (2)."""
    layered, total, _ = eq2
    found = {}
    for x in (x_A, x_B):
        ((scale, (name,)),) = words(_without(total.rhs, x))
        found[name] = normal(_without(layered.rhs, x)) / scale
    return found


def _without(e: sp.Expr, last: sp.Expr) -> sp.Expr:
    """Words without the factor that ends them."""
    return sp.Add(*(c * sp.Mul(*word[:-1]) for c, word in words(e) if word[-1] == last))


def _flow(label: str, eq2: sp.Tuple) -> sp.Eq:
    """(3), (4): the flow of layer l of a chain."""
    seen = {(error, T(x_A)): e_A, (error, T(x_B)): e_B}
    return equation(rate(f"{label}^l"), descent(prediction(eq2), layer(label, l), seen, error))


def _error(name: sp.Symbol, x: sp.Symbol, eq1a: sp.Tuple, eq1b: sp.Tuple, eq2: sp.Tuple) -> sp.Eq:
    """(5): e = <(y - y_hat) x^T>."""
    return equation(name, averaged((target - eq2[1].rhs) * T(x), means(eq1a, eq1b)))


def _step(label: str, flow: sp.Eq, *errors: sp.Eq) -> sp.Eq:
    """(14), (15): eta times the flow, with the errors written out."""
    written = flow.rhs.subs({e.lhs: e.rhs for e in errors})
    return equation(sp.Symbol(f"Delta {label}^l"), sp.expand(eta * normal(written)))


def _two_layers(label: str, index: int, e: sp.Symbol, flow: sp.Eq, eq5: sp.Eq, eq2: sp.Tuple) -> sp.Eq:
    """(18): (3) and (5) at L = L_f = 2."""
    law = flow.rhs.subs(e, eq5.rhs.subs(totals(eq2))).subs(TWO).subs(l, index)
    return equation(rate(f"{label}^{index}"), normal(law))


def _early(index: int, eq1a: sp.Tuple, eq1b: sp.Tuple) -> sp.Eq:
    """(16): the same derivation for y_hat = W^2 W^1 x."""
    prediction = Layers("W", 2, 1) * x_all
    seen = averaged((target - prediction) * T(x_all), means(eq1a, eq1b))
    law = descent(prediction, layer("W", index), {(error, T(x_all)): seen}, error)
    return equation(rate(f"W^{index}"), normal(law))


def residual(eq5b: sp.Eq) -> sp.Eq:
    """e_B at the saddle M_A, where W_A^tot = Sigma_yx_A Sigma_A^-1 and W_B^tot = 0."""
    return equation(residual_B, normal(eq5b.rhs.subs({W_A_tot: Y_A * S_A**-1, W_B_tot: 0})))


def _after_a(index: Any, flow: sp.Eq, eq5b: sp.Eq, eq2: sp.Tuple) -> sp.Eq:
    """(31) for a layer of two, (52) for layer l: the flow of B with A on its plateau; Sigma_yx_B by the residual."""
    solved = residual_B - (residual(eq5b).rhs - Y_B)  # Sigma_yx_B in terms of the residual
    seen = eq5b.rhs.subs(W_A_tot, Y_A * S_A**-1).subs(Y_B, solved).subs(totals(eq2))
    law = flow.rhs.subs(e_B, normal(seen))
    return equation(rate(f"W_B^{index}"), normal(law if index == l else law.subs(TWO).subs(l, index)))


def _saturated(label: str, flow: sp.Eq, eq2: sp.Tuple, *errors: sp.Eq) -> sp.Eq:
    """(42): (3), (4) with the errors written out; their leading words are those without Sigma."""
    written = flow.rhs.subs({e.lhs: e.rhs for e in errors}).subs(totals(eq2))
    return equation(rate(f"{label}^l"), normal(written))


def _below_fusion(branch: str, seen: Any) -> sp.Expr:
    """(above)^T seen (below)^T for layer l <= L_f of a branch, as the paper writes its flows."""
    return T(TRUNK * Layers(branch, L_f, l + 1)) * seen * T(Layers(branch, l - 1, 1))


def _after_fusion(seen_a: Any, seen_b: Any, to_a: Any = TO_A, to_b: Any = TO_B) -> sp.Expr:
    """The same for layer l > L_f: a word for each branch."""
    above, below = T(Layers("W", L, l + 1)), Layers("W", l - 1, L_f + 1)
    return above * seen_a * T(below * to_a) + above * seen_b * T(below * to_b)


def _two_flows(branch: str, seen: sp.Expr) -> tuple[tuple[int, sp.Expr], ...]:
    """The same for layers 1 and 2 of two."""
    return (1, T(layer(branch, 2)) * seen), (2, seen * T(layer(branch, 1)))


_SEEN_A = Y_A - W_A_tot * S_A - W_B_tot * S_BA
_SEEN_B = Y_B - W_A_tot * S_AB - W_B_tot * S_B


EQ_1A = Entry(
    1,
    "a",
    "input correlations",
    (
        Statement(
            sp.Tuple(
                equation(S, Average(x_all * T(x_all))),
                equation(S_A, Average(x_A * T(x_A))),
                equation(S_AB, Average(x_A * T(x_B))),
                equation(S_BA, Average(x_B * T(x_A))),
                equation(S_B, Average(x_B * T(x_B))),
            )
        ),
    ),
    condition="centred data; Sigma of full rank where its inverse is taken",
    claims=(
        Statement(
            equation(VARIANCE_A, sd_A),
            lambda: scalar_example(1, 1)[0][0, 0],  # the diagonal of the matrix that the examples print
            defect=factor(1 / sd_A),
            claim="appendices H.2 and J.3: in [sigma_A^2, ...] sigma_A is the variance of x_A (standard deviation)",
        ),
    ),
)
EQ_1B = Entry(
    1,
    "b",
    "input-output correlations",
    (
        Statement(
            sp.Tuple(
                equation(Y, Average(target * T(x_all))),
                equation(Y_A, Average(target * T(x_A))),
                equation(Y_B, Average(target * T(x_B))),
            )
        ),
    ),
)
EQ_2 = Entry(
    2,
    "",
    "the network",
    (
        Statement(
            sp.Tuple(
                equation(y_hat, TRUNK * (TO_A * x_A + TO_B * x_B)),
                equation(y_hat, W_A_tot * x_A + W_B_tot * x_B),
                equation(y_hat, W_tot * x_all),
            )
        ),
    ),
    note="Products are ordered, the largest index on the left. Late fusion is L_f = L, early fusion L_f = 1.",
)
_FLOW_PROOF = (
    "W -> W + D in layer l of (2), the product split at l by associativity; the terms of the loss linear in D are "
    "-<error change^T>, a trace; rotating its words until D^T is last leaves the gradient; <error x^T> = e."
)


def _branch_flow(part: str, branch: str, e: sp.Symbol) -> Entry:
    return Entry(
        3,
        part,
        f"flow of layer l of branch {branch[-1]}",
        (Statement(equation(rate(f"{branch}^l"), _below_fusion(branch, e)), partial(_flow, branch)),),
        (EQ_2,),
        condition="1 <= l <= L_f; loss half the mean squared error; learning rate to 0",
        proof=_FLOW_PROOF,
    )


EQ_3A, EQ_3B = _branch_flow("a", "W_A", e_A), _branch_flow("b", "W_B", e_B)
EQ_4 = Entry(
    4,
    "",
    "flow of layer l after the fusion",
    (Statement(equation(rate("W^l"), _after_fusion(e_A, e_B)), partial(_flow, "W")),),
    (EQ_2,),
    condition="L_f + 1 <= l <= L",
    proof=_FLOW_PROOF + " The layer stands in both terms of (2), so two words come out.",
)


def _seen(part: str, branch: str, e: sp.Symbol, x: sp.Symbol, printed: sp.Expr) -> Entry:
    return Entry(
        5,
        part,
        f"error as {branch} sees it",
        (Statement(equation(e, printed), partial(_error, e, x)),),
        (EQ_1A, EQ_1B, EQ_2),
        proof=f"e_{branch} = <(y - y_hat) x_{branch}^T> with y_hat from (2); the mean of each word is a correlation "
        "of (1).",
    )


EQ_5A, EQ_5B = _seen("a", "A", e_A, x_A, _SEEN_A), _seen("b", "B", e_B, x_B, _SEEN_B)
EQ_14A = Entry(
    14,
    "a",
    "gradient descent, branch A",
    (Statement(equation(sp.Symbol("Delta W_A^l"), eta * _below_fusion("W_A", _SEEN_A)), partial(_step, "W_A")),),
    (EQ_3A, EQ_5A),
    proof="eta times (3a), with e_A from (5a). Full batch: the average is taken in the last line.",
)
EQ_14B = Entry(
    14,
    "b",
    "gradient descent, branch B",
    (
        Statement(
            equation(sp.Symbol("Delta W_B^l"), _below_fusion("W_B", Y_B - W_A_tot * S_BA - W_B_tot * S_B)),
            partial(_step, "W_B"),
            defect=term(
                (1 - eta) * _below_fusion("W_B", Y_B - W_B_tot * S_B)
                - _below_fusion("W_B", W_A_tot * S_BA)
                + eta * _below_fusion("W_B", W_A_tot * S_AB)
            ),
        ),
    ),
    (EQ_3B, EQ_5B),
    proof="eta times (3b), with e_B from (5b).",
    note="Printed is Sigma_BA for Sigma_AB, which does not even fit unless d_A = d_B, and eta is missing.",
)
_LAST = eta * _after_fusion(_SEEN_A, _SEEN_B)
_LAST_PRINTED = eta * _after_fusion(_SEEN_A, _SEEN_B, TO_A * x_A, TO_B * x_B)
EQ_15 = Entry(
    15,
    "",
    "gradient descent after the fusion",
    (
        Statement(
            equation(sp.Symbol("Delta W^l"), _LAST_PRINTED),
            partial(_step, "W"),
            defect=term(sp.expand(_LAST_PRINTED - _LAST)),
        ),
    ),
    (EQ_4, EQ_5A, EQ_5B),
    proof="eta times (4), with e_A, e_B from (5).",
    note="In the last line x_A and x_B still stand inside the products although they are averaged already.",
)
EQ_16 = Entry(
    16,
    "",
    "two layers, early fusion",
    tuple(
        Statement(equation(rate(f"W^{i}"), law), partial(_early, i))
        for i, law in _two_flows("W", Y - layer("W", 2) * layer("W", 1) * S)
    ),
    (EQ_1A, EQ_1B),
    proof="The derivation of (3) for y_hat = W^2 W^1 x; <(y - y_hat) x^T> = Sigma_yx - W^2 W^1 Sigma.",
)


def _late(part: str, branch: str, index: int, e: sp.Symbol, seen: sp.Expr, flow: Entry, eq5: Entry) -> Entry:
    law = dict(_two_flows(branch, seen))[index]
    return Entry(
        18,
        part,
        f"two layers, late fusion: layer {index} of {branch[-1]}",
        (Statement(equation(rate(f"{branch}^{index}"), law), partial(_two_layers, branch, index, e)),),
        (flow, eq5, EQ_2),
        proof=f"({flow.name}) and ({eq5.name}) at L = L_f = 2, l = {index}; the empty products are 1.",
    )


_PRODUCT_A, _PRODUCT_B = layer("W_A", 2) * layer("W_A", 1), layer("W_B", 2) * layer("W_B", 1)
_LATE_A = Y_A - _PRODUCT_A * S_A - _PRODUCT_B * S_BA
_LATE_B = Y_B - _PRODUCT_A * S_AB - _PRODUCT_B * S_B
EQ_18A = _late("a", "W_A", 1, e_A, _LATE_A, EQ_3A, EQ_5A)
EQ_18B = _late("b", "W_A", 2, e_A, _LATE_A, EQ_3A, EQ_5A)
EQ_18C = _late("c", "W_B", 1, e_B, _LATE_B, EQ_3B, EQ_5B)
EQ_18D = _late("d", "W_B", 2, e_B, _LATE_B, EQ_3B, EQ_5B)


def _early_phase(part: str, branch: str, seen: sp.Symbol, first: Entry, second: Entry) -> Entry:
    return Entry(
        22,
        part,
        f"two layers near zero: branch {branch[-1]}",
        tuple(
            Statement(
                equation(rate(f"{branch}^{i}"), law),
                lambda *laws, _own=i - 1: laws[_own],
                lead=small_weights(),
                neglected=WEIGHT**2,
            )
            for i, law in _two_flows(branch, seen)
        ),
        (first, second),
        condition="weights near zero (t < t_A)",
        proof=f"({first.name}), ({second.name}): words of one layer lead, those of three are left out.",
    )


EQ_22A = _early_phase("a", "W_A", Y_A, EQ_18A, EQ_18B)
EQ_22B = _early_phase("b", "W_B", Y_B, EQ_18C, EQ_18D)
_RESIDUAL = Statement(equation(residual_B, Y_B - Y_A * S_A**-1 * S_AB), lambda flow, eq5b, eq2: residual(eq5b))
EQ_31 = Entry(
    31,
    "",
    "two layers, B while A is on its plateau",
    (
        *(
            Statement(
                equation(rate(f"W_B^{i}"), law),
                partial(_after_a, i),
                lead=small_weights("W_B"),
                neglected=WEIGHT**2,
            )
            for i, law in _two_flows("W_B", residual_B)
        ),
        _RESIDUAL,
    ),
    (EQ_3B, EQ_5B, EQ_2),
    condition="t_A < t < t_B: W_A^tot = Sigma_yx_A Sigma_A^-1, B near zero",
    proof="(3b), (5b) at L = L_f = 2 with W_A^tot on its plateau: Sigma_yx_B becomes the residual, what A cannot "
    "explain; words with three layers of B are left out.",
    note="This is why B slows down: A explains the part of the target that both share.",
)


def _deep_early(part: str, label: str, law: sp.Expr, flow: Entry, *errors: Entry) -> Entry:
    return Entry(
        42,
        part,
        {"W": "near zero: after the fusion"}.get(label, f"near zero: branch {label[-1]}"),
        (
            Statement(
                equation(rate(f"{label}^l"), law), partial(_saturated, label), lead=small_weights(), neglected=WEIGHT**L
            ),
        ),
        (flow, EQ_2, *errors),
        condition="weights near zero (t < t_A)",
        proof=f"({flow.name}) with (5): words with Sigma_yx have L - 1 layers and lead, those with Sigma have 2L - 1.",
    )


EQ_42A = _deep_early("a", "W_A", _below_fusion("W_A", Y_A), EQ_3A, EQ_5A)
EQ_42B = _deep_early("b", "W_B", _below_fusion("W_B", Y_B), EQ_3B, EQ_5B)
EQ_42C = _deep_early("c", "W", _after_fusion(Y_A, Y_B), EQ_4, EQ_5A, EQ_5B)
EQ_52 = Entry(
    52,
    "",
    "B while A is on its plateau",
    (
        Statement(
            equation(rate("W_B^l"), _below_fusion("W_B", residual_B)),
            partial(_after_a, l),
            lead=small_weights("W_B"),
            neglected=WEIGHT**L_f,
        ),
        _RESIDUAL,
    ),
    (EQ_3B, EQ_5B, EQ_2),
    condition="t_A < t < t_B: W_A^tot = Sigma_yx_A Sigma_A^-1, B near zero",
    proof="(3b) with (5b) at W_A^tot = Sigma_yx_A Sigma_A^-1; words with L_f more layers of B are left out.",
)
