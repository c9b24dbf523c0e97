"""The signature by ranks, against Hessians by finite differences of a loss that shares no code with the laws."""

import numpy as np
import pytest

from derivations import Correlations, DomainError, FusionNetwork
from derivations.critical.signature import signature
from derivations.critical.strata import components
from derivations.critical.stratum_points import flat, moved_onto, tangent_space
from tests.cases import SOAK, random_correlations
from tests.critical_points import counts, hessian, random_critical_point, random_layers_of_order_one


def test_signature_is_that_of_the_hessian_at_random_critical_points() -> None:
    """All (L, L_f) up to L = 4 and trees, widths 1 to 5, scalar and vector inputs, up to three modalities, degraded.

    The largest zero is 25 times below the threshold that `counts` takes from rounding, the smallest other eigenvalue
    70 000 times above it (measured at 1000 points): the threshold decides nothing.
    """
    seen, count = {"degraded": 0, "singular": 0}, 1000 if SOAK else 250
    for k in range(count):
        network, data, case, weights, degraded = random_critical_point(np.random.default_rng([11, k]))
        found, rounding = hessian(network, data, weights)
        expected = signature(network, data, weights)
        assert counts(np.linalg.eigvalsh(found), rounding) == (expected.negative, expected.zero, expected.positive), (
            f"seed {k}: {case}"
        )
        seen["degraded"] += degraded
        generic = sum(part.conditions for part in case.dead)
        seen["singular"] += degraded and generic > 0 and expected.negative == 0
    assert seen["degraded"] > 0.3 * count
    assert seen["singular"] > 0.03 * count  # saddles without a negative direction


@pytest.mark.parametrize(("depth", "fusion_depth"), [(2, 1), (2, 2), (3, 2), (3, 3), (4, 3)])
def test_generic_points_are_morse_bott(depth: int, fusion_depth: int) -> None:
    """The null space of the Hessian is the tangent space of the stratum; nothing is degenerate."""
    network = FusionNetwork.fused_at(depth, fusion_depth)
    rng = np.random.default_rng(depth)
    data = random_correlations(rng, {"A": 2, "B": 1})
    for case in components(network):
        point = moved_onto(network, data, case, random_layers_of_order_one(rng, network, data.sizes, 3))
        found, rounding = hessian(network, data, point)
        tangent = tangent_space(network, data, case, point)
        assert np.max(np.abs(found @ tangent)) < 10 * rounding + 1e-8
        assert counts(np.linalg.eigvalsh(found), rounding)[1] == tangent.shape[1]


def test_the_points_that_training_visits_are_degenerate() -> None:
    """No negative direction at M_A for L_f >= 3; at W = 0 and L >= 3 the Hessian is the zero matrix."""
    data = Correlations.scalar(2, 1, 0.5)
    for depth in (3, 4):
        network = FusionNetwork.fused_at(depth, depth)
        point = {"A": [np.full((1, 1), 1.25 ** (1 / depth))] * depth, "B": [np.zeros((1, 1))] * depth, "trunk": []}
        assert signature(network, data, point).negative == 0
        assert np.linalg.eigvalsh(hessian(network, data, point)[0])[0] > -1e-9
        nothing = {"A": [np.zeros((1, 1))] * depth, "B": [np.zeros((1, 1))] * depth, "trunk": []}
        assert signature(network, data, nothing).zero == 2 * depth == len(flat(nothing))
        assert np.max(np.abs(hessian(network, data, nothing)[0])) < 1e-6  # the extrapolated x^4 terms of depth 4


def test_refusals() -> None:
    network, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)
    halves = {"A": [np.full((1, 1), 0.5)] * 2, "B": [np.full((1, 1), 0.5)] * 2, "trunk": []}
    with pytest.raises(DomainError, match=r"not critical: the gradient of weights\['A'\]\[0\] is not zero"):
        signature(network, data, halves)
    zero = {"A": [np.ones((1, 1))] * 2, "B": [np.zeros((1, 1))] * 2, "trunk": []}
    two = random_correlations(np.random.default_rng(0), {"A": 1, "B": 1}, outputs=2)
    with pytest.raises(DomainError, match="the network puts out 1 values, the data has 2 outputs"):
        signature(network, two, zero)
