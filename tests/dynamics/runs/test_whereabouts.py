"""Where a network with given weights stands, and what holds it there."""

import numpy as np
import pytest

from derivations import Correlations, DomainError, FusionNetwork, fixed_points
from derivations.critical.signature import signature
from derivations.critical.stratum_points import flat, unflat
from dynamics import aligned_weights, integrate, locate, random_weights
from dynamics.runs.hessian import DENSE, _eigenvalues, hessian_product
from dynamics.runs.whereabouts import Held
from tests.cases import random_correlations, random_tree
from tests.critical_points import hessian, random_layers_of_order_one

DATA = Correlations.scalar(2, 1, 0.5)
LATE = FusionNetwork.fused_at(2, 2)


def test_hessian_products_are_columns_of_the_hessian() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        network = random_tree(rng, int(rng.integers(1, 4)), 2)
        data = random_correlations(rng, {m: int(rng.integers(1, 3)) for m in network.modalities})
        weights = random_layers_of_order_one(rng, network, data.sizes, 3)
        full, rounding = hessian(network, data, weights)
        change = rng.normal(size=len(full))
        product = flat(hessian_product(network, data, weights, unflat(change, weights)))
        scale = float(np.max(np.abs(full)))
        np.testing.assert_allclose(product, full @ change, atol=1e-6 * scale + 100 * rounding)


def test_lanczos_finds_the_ends_of_the_dense_spectrum() -> None:
    """At a size where both are possible: a network beyond DENSE, its Hessian column by column."""
    network = FusionNetwork.fused_at(3, 2)
    data = random_correlations(np.random.default_rng(1), {"A": 3, "B": 2})
    weights = random_weights(network, data, 0.7, width=16)
    size = len(flat(weights))
    assert size > DENSE
    ends, complete, converged = _eigenvalues(network, data, weights, 3)
    assert converged
    assert not complete
    columns = [flat(hessian_product(network, data, weights, unflat(unit, weights))) for unit in np.eye(size)]
    dense = np.linalg.eigvalsh(np.array(columns))
    np.testing.assert_allclose(np.sort(ends)[:3], dense[:3], rtol=1e-6)
    np.testing.assert_allclose(np.sort(ends)[-3:], dense[-3:], rtol=1e-6)


@pytest.mark.parametrize(("depth", "fusion_depth"), [(2, 2), (3, 2), (4, 2), (3, 3), (2, 1)])
def test_at_a_critical_point_it_says_what_the_manifold_says(depth: int, fusion_depth: int) -> None:
    network = FusionNetwork.fused_at(depth, fusion_depth)
    data = random_correlations(np.random.default_rng(3), {"A": 2, "B": 1})
    for manifold in fixed_points(network, data, 3):
        for seed, stratum in enumerate(manifold.strata):
            here = locate(network, data, stratum.point(seed))
            assert here.name == manifold.name
            assert here.learned == manifold.learned
            assert here.loss == pytest.approx(manifold.loss, rel=1e-9)
            assert (here.negative, here.zero, here.positive) == (stratum.negative, stratum.zero, stratum.positive)
            assert here.degenerate == 0
            assert here.distance < 1e-9
            assert here.displacement < 1e-9
            assert here.speed < 1e-9
            assert bool(here.rates) is bool(stratum.negative)


def test_a_start_from_small_weights_is_held_by_small_products() -> None:
    network = FusionNetwork.fused_at(4, 4)
    here = locate(network, DATA, random_weights(network, DATA, 0.1, width=10))
    assert here.name == "M_0"
    assert {state.held_by for state in here.layers} <= {Held.ABOVE, Held.ERROR, Held.BOTH}
    first = next(s for s in here.layers if (s.chain, s.layer) == ("A", 1))
    assert first.held_by is Held.ABOVE
    assert not here.complete or len(here.layers) == 8
    assert any("u^-2 falls" in line for line in here.warnings)
    assert "held by" in str(here)
    assert here._repr_html_().startswith("<p>")


def test_along_a_run_the_unlearned_modality_is_held_and_grows() -> None:
    """On the plateau of A: M_A, B held from above, growing at d ln|W_B|/dt = 2 r (two layers) and at no other pace."""
    run = integrate(LATE, DATA, u0=1e-6, width=3, exact=True)
    middle = (run.itinerary[1].enter + run.itinerary[1].leave) / 2
    u = np.exp(0.75 * (middle - run.itinerary[1].enter)) * 1e-5
    weights = aligned_weights(LATE, DATA, {"A": 1.25**0.5, "B": float(u)}, width=3)
    here = locate(LATE, DATA, weights)
    assert here.name == "M_A"
    growth = {state.modality: state.growth for state in here.modalities}
    assert growth["B"] == pytest.approx(2 * 0.75, rel=1e-3)
    assert here.rates[0] == pytest.approx(0.75, rel=1e-3)
    holds = {(s.chain, s.layer): s.held_by for s in here.layers}
    assert holds["B", 1] is Held.ABOVE
    assert holds["A", 1] is Held.ERROR


def test_degenerate_directions_are_counted_apart() -> None:
    """At M_A of (4, 4) with all weights of B zero: nothing negative, 8 zero directions beyond the tangent space."""
    network = FusionNetwork.fused_at(4, 4)
    weights = aligned_weights(network, DATA, {"A": 1.25**0.25, "B": 0.0}, width=4)
    here = locate(network, DATA, weights)
    assert (here.name, here.negative, here.degenerate) == ("M_A", 0, 8)
    assert here.rates == ()


def test_unbalanced_deep_networks_and_any_units_are_judged_right() -> None:
    """One layer a thousand times another; random minima eight layers deep; inputs in units of a millionth."""
    deep = FusionNetwork.fused_at(6, 6)
    one = lambda x: np.full((1, 1), x)
    weights = {"A": [one(0.05)] * 5 + [one(1000.0)], "B": [one(1.0)] * 6, "trunk": []}
    with pytest.raises(DomainError, match="not critical"):
        signature(deep, DATA, weights)
    network = FusionNetwork.fused_at(8, 8)
    minimum = fixed_points(network, DATA, 2)[-1]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        start = minimum.strata[0].point(seed)
        loose = {name: [w * np.exp(rng.normal()) for w in layers] for name, layers in start.items()}
        here = locate(network, DATA, minimum.strata[0].point(weights=loose))
        assert (here.name, here.negative, here.positive) == ("M_*", 0, 2)
    small = DATA.rescaled({"A": 1e-6, "B": 1e-6})
    for manifold in fixed_points(LATE, small, 2):
        here = locate(LATE, small, manifold.strata[0].point(1))
        assert (here.name, here.negative) == (manifold.name, manifold.negative)


def test_degenerate_data_have_a_place_too() -> None:
    silent = Correlations([[2, 0], [0, 1]], [0, 1], {"A": 1, "B": 1})
    for depth, fusion_depth in ((2, 2), (3, 2), (4, 2), (2, 1)):
        network = FusionNetwork.fused_at(depth, fusion_depth)
        here = locate(network, silent, random_weights(network, silent, 1e-2, width=3))
        assert here.name == "M_0"
        assert here.displacement < 1.01
    one = FusionNetwork.branches({"A": 1, "B": 2})
    data = Correlations([[2, 0.5], [0.5, 1]], [2, 1], {"A": 1, "B": 1})
    assert locate(one, data, random_weights(one, data, 1e-3, width=4)).name == "M_A"  # there is no M_0


@pytest.mark.parametrize("fusion_depth", [1, 2])
def test_several_outputs_are_located_among_subsets_of_modes(fusion_depth: int) -> None:
    network = FusionNetwork.fused_at(2, fusion_depth)
    data = random_correlations(np.random.default_rng(3), {"A": 2, "B": 1}, 2)
    for width in (2, 4):
        for manifold in fixed_points(network, data, width):
            for seed, stratum in enumerate(manifold.strata):
                here = locate(network, data, stratum.point(seed))
                assert (here.name, here.learned) == (manifold.name, manifold.learned)
                assert (here.negative, here.zero, here.positive) == (stratum.negative, stratum.zero, stratum.positive)
                assert (here.dimension, here.degenerate) == (stratum.dimension, 0)
                assert max(here.distance, here.displacement, here.speed) < 1e-9
    small = random_weights(network, data, 1e-3, width=6)
    here = locate(network, data, small)
    assert (here.name, here.learned) == ("M_0", ())
    assert here.rates[0] == pytest.approx(fixed_points(network, data)[0].rates[0], rel=1e-3)


def test_refusals() -> None:
    two = random_correlations(np.random.default_rng(0), {"A": 1, "B": 1}, outputs=2)
    shared = FusionNetwork.fused_at(3, 2)
    weights = random_weights(shared, two, 0.1, width=3)
    with pytest.raises(DomainError, match="for early and late fusion: A has layers of its own before the trunk"):
        locate(shared, two, weights)
