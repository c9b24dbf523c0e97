"""The reduced flow as SymPy derives it."""

import numpy as np
import pytest
import sympy as sp

from derivations import Chain, Correlations, DomainError, FusionNetwork, reduce
from derivations.flow import gradient_flow as law
from derivations.flow.reduction import chain_norms, gains
from tests.cases import SOAK

L, L_f = sp.symbols("L L_f", positive=True)
a, b = sp.symbols("Sigma_yA Sigma_yB", positive=True)
u_a, u_b, u = sp.symbols("u_A u_B u", positive=True)


def test_without_saturation_it_is_equation_44_for_symbolic_depths() -> None:
    system = reduce(FusionNetwork.fused_at(L, L_f), saturation=False)
    printed = (
        a * u_a ** (L_f - 1) * u ** (L - L_f),
        b * u_b ** (L_f - 1) * u ** (L - L_f),
        a * u_a**L_f * u ** (L - L_f - 1) + b * u_b**L_f * u ** (L - L_f - 1),
    )
    assert system.state == (u_a, u_b, u)
    assert all(sp.simplify(got - want) == 0 for got, want in zip(system.rhs, printed, strict=True))
    assert system.residual == (0, 0, 0)
    assert r"\dot{u_{A}}" in system.to_latex()


@pytest.mark.parametrize("saturation", [True, False])
def test_the_invariant_41_is_conserved_by_the_reduced_flow(saturation: bool) -> None:
    system = reduce(FusionNetwork.fused_at(L, L_f), saturation=saturation)
    assert system.invariants == (u**2 - u_a**2 - u_b**2,)
    for invariant in system.invariants:
        change = sum(sp.diff(invariant, s) * f for s, f in zip(system.state, system.rhs, strict=True))
        assert sp.simplify(sp.expand(change)) == 0


NETWORKS = {f"{L}-{L_f}": FusionNetwork.fused_at(L, L_f) for L in range(2, 5 if SOAK else 4) for L_f in range(1, L + 1)}
NETWORKS |= {
    "unequal": FusionNetwork.branches({"A": 3, "B": 1, "C": 2}, trunk=2),
    "nested": FusionNetwork.tree(1, Chain(2, "A"), Chain(2, (Chain(1, "B"), Chain(2, "C")))),
    "nested late": FusionNetwork.tree(0, Chain(2, "A"), Chain(1, (Chain(2, "B"), Chain(1, "C")))),
}


@pytest.mark.parametrize("saturation", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_ansatz_43_substituted_into_the_full_flow_gives_the_reduced_flow(name: str, saturation: bool) -> None:
    """Width 2, every hidden direction its own rotated unit vector: dW/dt = (du/dt) r r^T in every layer."""
    net = NETWORKS[name]
    free = Correlations.symbolic(dict.fromkeys(net.modalities, 1))
    names = {s: sp.Symbol(s.name, positive=True) for s in free.sigma_yx}
    data = Correlations(free.sigma, free.sigma_yx.subs(names), free.sizes, free.sigma_yy)
    system = reduce(net, data, saturation=saturation)
    assert not any(system.residual)
    velocity = dict(zip(system.state, system.rhs, strict=True))
    # rational points on the circle: exact, all different
    directions = iter(
        [sp.Matrix([(1 - t**2) / (1 + t**2), 2 * t / (1 + t**2)]) for t in map(sp.Rational, range(2, 20))]
    )
    norms = chain_norms(net)
    shapes: dict[str, list] = {}

    def lay(chain: Chain, name: str, out: sp.Matrix) -> None:
        """Layers from the chain's end down; the branches that meet share a direction."""
        into = sp.ones(1, 1) if not chain.children else next(directions)
        columns = [*(next(directions) for _ in range(chain.depth - 1)), out]
        shapes[name] = list(zip(columns, [into, *columns[:-1]], strict=True)) if chain.depth else []
        for child in chain.children:
            lay(child, child.name, into if chain.depth else sp.ones(1, 1))

    lay(net.trunk, "trunk", sp.ones(1, 1))
    matrices = {n: [norms[n] * out * into.T for out, into in layers] for n, layers in shapes.items()}
    total = law.total_weights(net, matrices)
    errors = law.errors(data, total) if saturation else {m: data.target_block(m) for m in net.modalities}
    flow = law.flow(net, matrices, errors)
    for n, layers in shapes.items():
        for (out, into), moved in zip(layers, flow[n], strict=True):
            assert (moved - velocity[norms[n]] * out * into.T).applyfunc(sp.simplify) == sp.zeros(*moved.shape)


def test_gains_times_error_move_the_first_layer() -> None:
    net = FusionNetwork.branches({"A": 3, "B": 2}, trunk=2)
    assert gains(net) == {"A": u_a**2 * u**2, "B": u_b * u**2}


def test_numbers_and_free_symbols_agree() -> None:
    net = FusionNetwork.fused_at(3, 2)
    free, fixed = reduce(net), reduce(net, Correlations.scalar(2, 1, sp.Rational(1, 2)))
    values = {"Sigma_A": 4, "Sigma_B": 1, "Sigma_AB": 1, "Sigma_yA": 5, "Sigma_yB": 2}
    for one, two in zip(free.rhs, fixed.rhs, strict=True):
        swapped = one.subs({s: values[s.name] for s in one.free_symbols if s.name in values})
        assert sp.simplify(swapped - two) == 0


def test_vector_inputs_are_refused_in_one_line() -> None:
    with pytest.raises(DomainError, match="reduce needs scalar inputs and one output"):
        reduce(FusionNetwork.fused_at(2, 2), Correlations(np.eye(3), [1, 1, 1], {"A": 1, "B": 2}))
