"""Conserved quantities: found by null space, compared with (38)-(41) in their right form, and with the flow."""

from itertools import pairwise

import numpy as np
import pytest
import sympy as sp

from derivations import Chain, Correlations, DomainError, FusionNetwork, differences, quadratic_invariants
from derivations.flow import gradient_flow as law
from tests.cases import random_correlations, random_layers, random_network

FOUR = FusionNetwork.tree(1, Chain(2, "A"), Chain(1, (Chain(2, "B"), Chain(1, "C"))), Chain(2, "D"))


def symbolic_weights(net: FusionNetwork, width: int, sizes: dict[str, int], outputs: int = 1):
    """Matrices whose entries bear the names that `quadratic_invariants` uses."""
    ends = net.trunk.children if net.trunk.depth == 0 else (net.trunk,)
    weights = {}
    for name, chain in net.chains.items():
        widths = [sizes[name] if not chain.children else width, *[width] * chain.depth]
        if chain in ends:
            widths[-1] = outputs
        weights[name] = [
            sp.Matrix(b, a, lambda r, c, n=name, i=i: sp.Symbol(f"{n}{i + 1}_{r}{c}", real=True))
            for i, (a, b) in enumerate(pairwise(widths))
        ]
    return weights


def vector(expression: sp.Expr) -> dict:
    return sp.Poly(expression, *sorted(expression.free_symbols, key=str)).as_expr().as_coefficients_dict()


def rank(forms) -> int:
    terms = sorted({t for f in forms for t in vector(sp.expand(f))}, key=str)
    rows = [[vector(sp.expand(f)).get(t, 0) for t in terms] for f in forms]
    return int(np.linalg.matrix_rank(np.array(rows, dtype=float))) if rows else 0


CASES = [
    (FusionNetwork.fused_at(2, 1), 2, {"A": 1, "B": 2}, 1),
    (FusionNetwork.fused_at(3, 2), 2, {"A": 1, "B": 1}, 1),
    (FusionNetwork.fused_at(3, 3), 2, {"A": 1, "B": 1}, 1),
    (FusionNetwork.fused_at(4, 2), 2, {"A": 1, "B": 1}, 1),
    (FusionNetwork.fused_at(2, 2), 2, {"A": 2, "B": 2}, 2),
    (FOUR, 2, dict.fromkeys("ABCD", 1), 1),
]


@pytest.mark.parametrize(("net", "width", "sizes", "outputs"), CASES)
def test_the_null_space_is_the_differences_and_no_more(net, width, sizes, outputs) -> None:
    found = quadratic_invariants(net, width, sizes, outputs)
    known = [entry for gap in differences(net, symbolic_weights(net, width, sizes, outputs)).values() for entry in gap]
    assert rank(found) == len(found)
    assert rank(known) == len(found)
    assert rank([*found, *known]) == len(found)


def test_two_layers_from_one_input_to_one_output_conserve_more() -> None:
    """W2 J W1 with J antisymmetric is conserved too, one a modality at width 2: (38) is not complete there."""
    net, sizes = FusionNetwork.fused_at(2, 2), {"A": 1, "B": 1}
    found = quadratic_invariants(net, 2, sizes)
    known = [entry for gap in differences(net, symbolic_weights(net, 2, sizes)).values() for entry in gap]
    assert (len(found), rank(known)) == (8, 6)
    a = {name: sp.Symbol(name, real=True) for name in ("A1_00", "A1_10", "A2_00", "A2_01")}
    swirl = a["A2_00"] * a["A1_10"] - a["A2_01"] * a["A1_00"]
    assert rank([*found, swirl]) == 8
    assert rank([*known, swirl]) == 7


@pytest.mark.parametrize(("net", "width", "sizes", "outputs"), CASES)
def test_the_flow_conserves_them_for_all_data(net, width, sizes, outputs) -> None:
    """Differentiated along the flow with symbols for the data: zero, entry by entry."""
    if outputs > 1:
        data = random_correlations(np.random.default_rng(0), sizes, outputs)
        data = Correlations(sp.Matrix(data.sigma).applyfunc(sp.nsimplify), sp.Matrix(data.sigma_yx), sizes, sp.eye(2))
    else:
        data = Correlations.symbolic(sizes)
    weights = symbolic_weights(net, width, sizes, outputs)
    errors = {m: sp.Matrix(outputs, sizes[m], lambda r, c, m=m: sp.Symbol(f"e{m}_{r}{c}")) for m in net.modalities}
    assert {m: e.shape for m, e in law.errors(data, law.total_weights(net, weights)).items()} == {
        m: e.shape for m, e in errors.items()
    }
    flow = law.flow(net, weights, errors)  # free errors: whatever the data and the weights
    rate = {
        entry: moved
        for n in weights
        for w, v in zip(weights[n], flow[n], strict=True)
        for entry, moved in zip(w, v, strict=True)
    }
    for form in quadratic_invariants(net, width, sizes, outputs):
        assert sp.expand(sum(sp.diff(form, w) * rate[w] for w in form.free_symbols)) == 0


def test_the_printed_form_of_38_is_not_conserved() -> None:
    """W^1 W^1T = W^2 W^2T as printed: the transposes of the second layer are lost."""
    net, sizes = FusionNetwork.fused_at(3, 3), {"A": 1, "B": 1}
    first, second, _ = symbolic_weights(net, 2, sizes)["A"]
    printed = [entry for entry in first * first.T - second * second.T if entry != 0]
    right = quadratic_invariants(net, 2, sizes)
    assert rank([*right, *printed]) > rank(right)


def test_differences_are_conserved_along_a_numerical_flow() -> None:
    """20 random trees: the derivative along the flow is rounding."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        net = random_network(rng)
        sizes = {m: int(rng.integers(1, 4)) for m in net.modalities}
        data = random_correlations(rng, sizes)
        weights = random_layers(rng, net, sizes, 1)
        flow = law.flow(net, weights, law.errors(data, law.total_weights(net, weights)))
        step = 1e-30j  # complex step without conjugation: exact derivatives of polynomials
        moved = {n: [w + step * v for w, v in zip(weights[n], flow[n], strict=True)] for n in weights}
        for name, gap in differences(net, moved).items():
            size = max(np.max(np.abs(v)) for vs in flow.values() for v in vs)
            assert np.max(np.abs(gap.imag)) / 1e-30 <= 1e-12 * max(size, 1.0) ** 2, name


def test_traces_are_the_norm_laws_40_and_41() -> None:
    net = FusionNetwork.fused_at(4, 3)
    weights = random_layers(np.random.default_rng(2), net, {"A": 1, "B": 2}, 1)
    norms = {n: [np.sum(w * w) for w in ws] for n, ws in weights.items()}
    gaps = differences(net, weights)
    assert np.trace(gaps["A 1|2"]) == pytest.approx(norms["A"][1] - norms["A"][0])
    assert np.trace(gaps["fusion into trunk"]) == pytest.approx(norms["trunk"][0] - norms["A"][-1] - norms["B"][-1])


def test_four_modalities_at_width_three() -> None:
    """Counted by hand: six entries an interface of width 3, one interface a pair of layers or a fusion."""
    net = FusionNetwork.tree(2, Chain(2, "A"), Chain(1, (Chain(2, "B"), Chain(1, "C"))), Chain(2, "D"))
    interfaces = 1 + 1 + 0 + 1 + 1 + 1 + 1  # A, B, C, D, fusion into B+C, fusion into the trunk, trunk
    assert len(quadratic_invariants(net, 3)) == 6 * interfaces


def test_symbolic_depths_are_refused() -> None:
    with pytest.raises(DomainError, match="explicit depths"):
        quadratic_invariants(FusionNetwork.fused_at(*sp.symbols("L L_f", positive=True)), 2)
