"""How training leaves a saddle: the laws against integrated runs and against the reduced system."""

import numpy as np
import pytest
import sympy as sp

from derivations import Correlations, FusionNetwork, fixed_points, reduce
from derivations.critical.escape import balanced_norms, escapes
from derivations.flow.gradient_flow import total_weights
from derivations.flow.reduction import chain_norms
from dynamics import aligned_weights, integrate, integrate_reduced
from tests.cases import SOAK, random_correlations, random_tree

DATA = Correlations.scalar(2, 1, 0.5)
DISPLACED = 1e-6


def leaving(run, network: FusionNetwork, product: float, layers: int) -> float:
    """Speed fitted to a run: the slope of ln u, or of u^(2-n)/(2-n), u the norm of a layer of B."""
    u = (np.linalg.norm(run.total["B"], axis=1) / product) ** (1 / layers)
    values = np.log(u) if layers == 2 else u ** (2 - layers) / (2 - layers)
    assert u[-1] > 3 * u[0]
    return float(np.polyfit(run.t, values, 1)[0])


@pytest.mark.parametrize(("depth", "fusion_depth"), [(2, 2), (3, 2), (4, 2), (3, 3), (4, 3)] + [(4, 4)] * SOAK)
def test_a_run_displaced_by_1e_6_leaves_m_a_as_stated(depth: int, fusion_depth: int) -> None:
    """Every weight integrated at width 4, to 100 times rtol = 1e-6. The law leaves out a relative u^2, below 2e-7."""
    network = FusionNetwork.fused_at(depth, fusion_depth)
    saddle = next(m for m in fixed_points(network, DATA) if m.name == "M_A")
    (way,) = saddle.escapes
    norms = balanced_norms(network, {"A": 1.25, "B": 0.0})
    start = {"A": norms["A"], "B": DISPLACED} | ({"trunk": norms["trunk"]} if depth > fusion_depth else {})
    n = way.layers
    assert n == fusion_depth
    end = 6 / way.speed if n == 2 else 0.9 * DISPLACED ** (2 - n) / ((n - 2) * way.speed)
    weights = aligned_weights(network, DATA, start, width=4, seed=1)
    run = integrate(network, DATA, weights=weights, t_eval=np.linspace(0, end, 40), exact=n < 4)
    product = float(norms["trunk"]) ** (depth - fusion_depth) if depth > fusion_depth else 1.0
    assert leaving(run, network, product, n) == pytest.approx(way.speed, rel=1e-4)
    assert [v.name for v in run.itinerary] == ["M_A"]
    assert run.itinerary[0].leave == pytest.approx(end)  # not inf: a saddle is no attractor, however slow


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_vector_inputs_leave_at_the_norm_of_the_residual(depth: int) -> None:
    """The row of B turns to the residual while it grows: fitted over the second half."""
    data = random_correlations(np.random.default_rng(4), {"A": 2, "B": 3})
    network = FusionNetwork.fused_at(depth, depth)
    (way,) = next(m for m in fixed_points(network, data) if m.name == "M_A").escapes
    u = float(np.linalg.norm(data.unimodal("A"))) ** (1 / depth)
    along = {m: row / np.linalg.norm(row) for m, row in (("A", data.unimodal("A")), ("B", data.residual("B", "A")))}
    weights = {
        m: [size * (along[m][None] if i == 0 else np.ones((1, 1))) for i in range(depth)]
        for m, size in (("A", u), ("B", DISPLACED))
    }
    np.testing.assert_allclose(total_weights(network, {**weights, "trunk": []})["A"][0], data.unimodal("A"))
    end = 6 / way.speed if depth == 2 else 0.9 * DISPLACED ** (2 - depth) / ((depth - 2) * way.speed)
    run = integrate(network, data, weights={**weights, "trunk": []}, t_eval=np.linspace(0, end, 40))
    assert leaving(run, network, 1.0, depth) == pytest.approx(way.speed, rel=1e-4)


def test_the_aligned_reduced_flow_takes_the_same_start() -> None:
    """Beyond the corrector of LSODA (a stiffness of 1e13) the linearly implicit method goes on."""
    network = FusionNetwork.fused_at(4, 4)
    (way,) = next(m for m in fixed_points(network, DATA) if m.name == "M_A").escapes
    end = 0.9 * DISPLACED**-2 / (2 * way.speed)
    run = integrate_reduced(network, DATA, u0={"A": 1.25**0.25, "B": DISPLACED}, t_eval=np.linspace(0, end, 30))
    assert leaving(run, network, 1.0, 4) == pytest.approx(way.speed, rel=1e-6)


def test_speeds_are_the_reduced_flow_near_the_saddle() -> None:
    """du_B/dt / u_B^(n-1) as u_B -> 0 on M_A, from the system that `reduce` derives; scalar inputs, symbolic Sigma."""
    for depth, fusion_depth in ((2, 2), (4, 2), (3, 3), (5, 4)):
        network = FusionNetwork.fused_at(depth, fusion_depth)
        system, symbols = reduce(network, DATA), chain_norms(network)
        u = sp.Rational(5, 4) ** sp.Rational(1, depth)
        on_saddle = {symbols["A"]: u} | ({symbols["trunk"]: u} if depth > fusion_depth else {})
        rhs = dict(zip(system.state, system.rhs, strict=True))[symbols["B"]].subs(on_saddle)
        limit = sp.limit(rhs / symbols["B"] ** (fusion_depth - 1), symbols["B"], 0)
        (way,) = escapes(network, DATA, ("A",))
        assert float(limit) == pytest.approx(way.speed, rel=1e-12)


def test_balanced_norms_multiply_to_the_weights_and_balance_at_every_fusion() -> None:
    rng = np.random.default_rng(6)
    for _ in range(12):
        network = random_tree(rng, int(rng.integers(1, 5)))
        sizes = {m: np.array([rng.uniform(0.01, 3), rng.uniform(0.01, 3), 0.0]) for m in network.modalities}
        sizes[network.modalities[0]][2] = 1.7
        norms = balanced_norms(network, sizes)
        chains = network.chains
        for m in network.modalities:
            product = np.prod([norms[c] ** chains[c].depth for c in network.path(m) if chains[c].depth], axis=0)
            np.testing.assert_allclose(product, sizes[m], rtol=1e-9, atol=1e-13)
        for name, chain in chains.items():
            if chain.children and chain.depth:
                squares = sum(norms[child.name] ** 2 for child in chain.children)
                np.testing.assert_allclose(norms[name] ** 2, squares, rtol=1e-9, atol=1e-13)


def test_ways_out_in_words() -> None:
    """On M_A of late fusion p = 1 and |e| = 2 - 5/4; u^(2-n) falls at (n-2) |e|."""
    for depth, words in (
        (2, "B at the rate 0.75"),
        (3, "B, whose u^-1 falls at 0.75"),
        (5, "B, whose u^-3 falls at 3 * 0.75"),
    ):
        (way,) = escapes(FusionNetwork.fused_at(depth, depth), DATA, ("A",))
        assert str(way) == words


def test_symbolic_speeds_of_vector_inputs_are_the_numbers() -> None:
    data = random_correlations(np.random.default_rng(3), {"A": 2, "B": 1})
    symbols = Correlations.symbolic(data.sizes)
    values = dict(zip(symbols.sigma, data.sigma.ravel(), strict=True))
    values |= dict(zip(symbols.sigma_yx, data.sigma_yx, strict=True))
    for learned in ((), ("A",), ("B",)):
        network = FusionNetwork.fused_at(3, 3)
        found, numbers = (escapes(network, d, learned) for d in (symbols, data))
        for way, number in zip(found, numbers, strict=True):
            assert float(way.speed.subs(values)) == pytest.approx(number.speed, rel=1e-9)


def test_symbolic_norms_are_the_numbers() -> None:
    """Two of one depth fused once have a closed form, whatever the trunk; else the norms keep their names."""
    sizes, at = {m: sp.Symbol(f"w_{m}", positive=True) for m in "AB"}, {"A": 0.7, "B": 2.5}
    values = {sizes[m]: at[m] for m in "AB"}
    for depths, trunk in (((2, 2), 0), ((3, 3), 0), ((2, 2), 1), ((3, 3), 2), ((2, 3), 0)):
        network = FusionNetwork.branches(dict(zip("AB", depths, strict=True)), trunk=trunk)
        symbolic, numbers = balanced_norms(network, sizes), balanced_norms(network, at)
        names = {*"AB", *(["trunk"] if trunk else [])}
        assert names <= set(symbolic)
        if len(set(depths)) > 1:
            assert {symbolic[m] for m in "AB"} == {chain_norms(network)[m] for m in "AB"}
        else:
            found = {name: float(sp.sympify(symbolic[name]).subs(values)) for name in names}
            assert found == pytest.approx({name: float(numbers[name]) for name in names}, rel=1e-9)
