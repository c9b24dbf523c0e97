"""The batched kernel is the law of `derivations.flow.gradient_flow` and `derivations.flow.balance`, for any tree."""

import numpy as np
import pytest

from derivations import Correlations, FusionNetwork
from derivations.flow import gradient_flow as law
from derivations.flow.balance import differences
from dynamics import random_weights
from dynamics.simulation.batch.kernel import Kernel
from dynamics.starts.compression import compressed
from tests.cases import random_correlations, random_tree


def members(rng: np.random.Generator, net: FusionNetwork, data: Correlations, count: int = 3):
    """Starts of different widths: zeros fill up the smaller ones."""
    return [
        compressed(net, random_weights(net, data, 0.7, width=int(rng.integers(2, 12)), seed=seed), seed % 2)
        for seed in range(count)
    ]


@pytest.mark.parametrize("seed", range(12))
def test_velocity_and_total_weights_of_a_batch_are_those_of_each_network(seed: int) -> None:
    """Random trees of up to five modalities, different data for each member: to rounding."""
    rng = np.random.default_rng(seed)
    net = random_tree(rng, int(rng.integers(1, 6)))
    sizes = {m: int(rng.integers(1, 4)) for m in net.modalities}
    data = [random_correlations(rng, sizes) for _ in range(3)]
    weights = members(rng, net, data[0])
    kernel = Kernel(net, data, weights)
    velocity, total = kernel.velocity(kernel.pack(weights))
    some = kernel.slope(np.array([2, 0]))(kernel.pack(weights)[:, [2, 0]])
    np.testing.assert_allclose(some[0], velocity[:, [2, 0]], rtol=0, atol=1e-14)
    for n, (one, layers) in enumerate(zip(data, weights, strict=True)):
        expected = law.total_weights(net, layers)
        moved = law.flow(net, layers, law.errors(one, expected))
        np.testing.assert_allclose(total[:, :, n], np.hstack([expected[m] for m in net.modalities]), atol=1e-14)
        unpacked = kernel.unpack(velocity)[n]
        for name, blocks in moved.items():
            for found, block in zip(unpacked[name], blocks, strict=True):
                np.testing.assert_allclose(found, block, rtol=0, atol=1e-13)


@pytest.mark.parametrize("fused", [1, 2])
def test_several_outputs_at_two_layers(fused: int) -> None:
    rng = np.random.default_rng(3)
    net = FusionNetwork.fused_at(2, fused)
    data = random_correlations(rng, {"A": 3, "B": 2}, outputs=2)
    weights = [random_weights(net, data, 0.5, width=h, seed=h) for h in (4, 7)]
    kernel = Kernel(net, [data], weights)
    velocity, total = kernel.velocity(kernel.pack(weights))
    for n, layers in enumerate(weights):
        expected = law.total_weights(net, layers)
        moved = law.flow(net, layers, law.errors(data, expected))
        np.testing.assert_allclose(total[:, :, n], np.hstack([expected["A"], expected["B"]]), atol=1e-14)
        for name in moved:
            for found, block in zip(kernel.unpack(velocity)[n][name], moved[name], strict=True):
                np.testing.assert_allclose(found, block, rtol=0, atol=1e-13)


def test_what_is_packed_comes_back() -> None:
    rng = np.random.default_rng(1)
    net = random_tree(rng, 4)
    data = random_correlations(rng, {m: int(rng.integers(1, 3)) for m in net.modalities})
    weights = members(rng, net, data)
    kernel = Kernel(net, [data], weights)
    for one, back in zip(weights, kernel.unpack(kernel.pack(weights)), strict=True):
        for name, layers in one.items():
            for layer, found in zip(layers, back[name], strict=True):
                np.testing.assert_array_equal(found, layer)


@pytest.mark.parametrize("seed", range(4))
def test_drift_is_that_of_the_conserved_matrices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = random_tree(rng, int(rng.integers(1, 5)))
    data = random_correlations(rng, dict.fromkeys(net.modalities, 2))
    before = members(rng, net, data)
    after = [{n: [w + 0.3 * rng.normal(size=w.shape) for w in layers] for n, layers in one.items()} for one in before]
    kernel = Kernel(net, [data], before)
    drift = kernel.drift(kernel.pack(before), kernel.pack(after))
    for n, (low, high) in enumerate(zip(before, after, strict=True)):
        begin, end = differences(net, low), differences(net, high)
        largest = max(float(np.sum(w * w)) for layers in high.values() for w in layers)
        expected = max((float(np.linalg.norm(end[k] - begin[k])) for k in begin), default=0.0) / largest
        assert drift[n] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("outputs", [1, 2])
def test_sensitivity_is_the_derivative_of_the_total_weights(outputs: int) -> None:
    """Against central differences, for two networks at once; and G e is the velocity."""
    rng = np.random.default_rng(7)
    net = FusionNetwork.fused_at(3, 2) if outputs == 1 else FusionNetwork.fused_at(2, 2)
    data = random_correlations(rng, {"A": 2, "B": 1}, outputs=outputs)
    weights = [random_weights(net, data, 0.9, width=3, seed=s) for s in (0, 1)]
    kernel = Kernel(net, [data], weights)
    state = kernel.pack(weights)
    found = kernel.sensitivity(state)
    for i in range(0, kernel.size, 5):
        step = np.zeros((kernel.size, 1))
        step[i] = 1e-5
        slope = (kernel.total(state + step) - kernel.total(state - step)) / 2e-5
        np.testing.assert_allclose(found[i], slope.reshape(-1, 2), rtol=0, atol=1e-9)
    velocity, total = kernel.velocity(state)
    error = np.atleast_2d(data.sigma_yx)[..., None] - np.einsum("pdn,de->pen", total, data.sigma)
    np.testing.assert_allclose(np.einsum("nkm,km->nm", found, error.reshape(-1, 2)), velocity, atol=1e-13)
    relaxed = np.einsum(
        "kjm,jm->km", np.broadcast_to(kernel.metric(), (*kernel.metric().shape[:2], 2)), total.reshape(-1, 2)
    )
    np.testing.assert_allclose(np.atleast_2d(data.sigma_yx).reshape(-1, 1) - relaxed, error.reshape(-1, 2), atol=1e-13)
