"""The flow is minus the gradient of the loss: by symbols, by complex step, by samples, as the paper prints it."""

import numpy as np
import pytest
import sympy as sp

from derivations import Correlations, FusionNetwork
from derivations.flow import gradient_flow as law
from tests.cases import SOAK, random_correlations, random_layers, random_network

SHAPES = [(L, L_f) for L in range(1, 5 if SOAK else 4) for L_f in range(1, L + 1)]


@pytest.mark.parametrize(("depth", "fusion_depth"), SHAPES)
def test_flow_is_minus_gradient_of_loss_symbolically(depth: int, fusion_depth: int) -> None:
    """Two hidden units, scalar inputs, every entry of every layer, all data at once."""
    net = FusionNetwork.fused_at(depth, fusion_depth)
    data = Correlations.symbolic({"A": 1, "B": 1})
    weights = {}
    for name, chain in net.chains.items():
        layers = []
        for i in range(chain.depth):
            into = 1 if i == 0 and name != "trunk" else 2
            last = i == chain.depth - 1 and (name == "trunk" or net.trunk.depth == 0)
            layers.append(sp.Matrix(1 if last else 2, into, lambda r, c, n=name, j=i: sp.Symbol(f"{n}_{j}_{r}{c}")))
        weights[name] = layers
    total = law.total_weights(net, weights)
    loss = sp.expand(law.loss(data, total))
    flow = law.flow(net, weights, law.errors(data, total))
    for name, layers in weights.items():
        for layer, velocity in zip(layers, flow[name], strict=True):
            gradient = layer.applyfunc(lambda entry: sp.diff(loss, entry))
            assert (velocity + gradient).applyfunc(sp.expand) == sp.zeros(*layer.shape)


def test_flow_is_minus_gradient_of_loss_by_complex_step() -> None:
    """50 random trees, widths, numbers of inputs and outputs; complex steps have no cancellation."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        net = random_network(rng)
        sizes = {m: int(rng.integers(1, 4)) for m in net.modalities}
        outputs = int(rng.integers(1, 3))
        data = random_correlations(rng, sizes, outputs)
        weights = random_layers(rng, net, sizes, outputs)
        flow = law.flow(net, weights, law.errors(data, law.total_weights(net, weights)))
        for name, layers in weights.items():
            for i, layer in enumerate(layers):
                gradient = np.empty_like(layer)
                for index in np.ndindex(layer.shape):
                    shifted = {n: [w.astype(complex) for w in ws] for n, ws in weights.items()}
                    shifted[name][i][index] += 1e-30j
                    gradient[index] = _loss_by_hand(data, net, shifted).imag / 1e-30
                scale = max(np.max(np.abs(gradient)), 1.0)
                np.testing.assert_allclose(flow[name][i], -gradient, rtol=0, atol=1e-12 * scale)


def _loss_by_hand(data: Correlations, net: FusionNetwork, weights) -> complex:
    """Equation (2) and the loss from plain matrix products, sharing nothing with the law."""
    rows = []
    for m in net.modalities:
        product = np.eye(data.sizes[m])
        for layer in (*weights[m], *weights["trunk"]):
            product = layer @ product
        rows.append(product)
    total = np.hstack(rows)
    target = np.atleast_2d(data.sigma_yx)
    return np.trace(np.atleast_2d(data.sigma_yy) - 2 * total @ target.T + total @ data.sigma @ total.T) / 2


def test_loss_is_half_the_mean_squared_error_of_samples() -> None:
    rng = np.random.default_rng(3)
    x, z, y = rng.normal(size=(40, 2)), rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    data = Correlations.from_samples({"A": x, "B": z}, y)
    total = {"A": rng.normal(size=(2, 2)), "B": rng.normal(size=(2, 3))}
    misfit = (y - y.mean(0)) - (x - x.mean(0)) @ total["A"].T - (z - z.mean(0)) @ total["B"].T
    assert law.loss(data, total) == pytest.approx(np.mean(np.sum(misfit**2, axis=1)) / 2, rel=1e-13)


def test_flow_of_two_layers_is_as_printed() -> None:
    """(16) for early and (18) for late fusion, typed from the paper."""
    rng = np.random.default_rng(4)
    data = random_correlations(rng, {"A": 2, "B": 3})
    s, yx = data.sigma, data.sigma_yx[None, :]
    early = {"A": [rng.normal(size=(4, 2))], "B": [rng.normal(size=(4, 3))], "trunk": [rng.normal(size=(1, 4))]}
    w1, w2 = np.hstack([early["A"][0], early["B"][0]]), early["trunk"][0]
    net = FusionNetwork.fused_at(2, 1)
    flow = law.flow(net, early, law.errors(data, law.total_weights(net, early)))
    np.testing.assert_allclose(np.hstack([flow["A"][0], flow["B"][0]]), w2.T @ (yx - w2 @ w1 @ s), rtol=1e-12)
    np.testing.assert_allclose(flow["trunk"][0], (yx - w2 @ w1 @ s) @ w1.T, rtol=1e-12)

    late = {
        "A": [rng.normal(size=(4, 2)), rng.normal(size=(1, 4))],
        "B": [rng.normal(size=(5, 3)), rng.normal(size=(1, 5))],
    }
    net = FusionNetwork.fused_at(2, 2)
    flow = law.flow(net, late, law.errors(data, law.total_weights(net, late)))
    (a1, a2), (b1, b2) = late["A"], late["B"]
    e_a = yx[:, :2] - a2 @ a1 @ s[:2, :2] - b2 @ b1 @ s[2:, :2]
    e_b = yx[:, 2:] - a2 @ a1 @ s[:2, 2:] - b2 @ b1 @ s[2:, 2:]
    for got, want in zip((*flow["A"], *flow["B"]), (a2.T @ e_a, e_a @ a1.T, b2.T @ e_b, e_b @ b1.T), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_flow_agrees_with_autograd() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is absent; CI runs this test where it is installed")
    rng = np.random.default_rng(5)
    net = FusionNetwork.branches({"A": 3, "B": 2}, trunk=2)
    sizes = {"A": 2, "B": 3}
    data = random_correlations(rng, sizes)
    weights = random_layers(rng, net, sizes, 1)
    leaves = {n: [torch.tensor(w, requires_grad=True) for w in ws] for n, ws in weights.items()}
    rows = []
    for m in net.modalities:
        product = torch.eye(sizes[m], dtype=torch.float64)
        for layer in (*leaves[m], *leaves["trunk"]):
            product = layer @ product
        rows.append(product)
    total = torch.hstack(rows)
    sigma, target = torch.tensor(np.array(data.sigma)), torch.tensor(np.array(data.sigma_yx))
    loss = (total @ sigma @ total.T)[0, 0] / 2 - (total @ target)[0]
    loss.backward()
    flow = law.flow(net, weights, law.errors(data, law.total_weights(net, weights)))
    for name, layers in leaves.items():
        for leaf, velocity in zip(layers, flow[name], strict=True):
            np.testing.assert_allclose(velocity, -leaf.grad.numpy(), rtol=1e-11, atol=1e-12)
