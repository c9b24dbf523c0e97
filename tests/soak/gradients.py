"""The flow against the gradient of the loss by complex steps, which have no difference to cancel."""

from __future__ import annotations

import numpy as np

from derivations import FusionNetwork
from derivations.correlations import Correlations
from derivations.flow import gradient_flow
from dynamics import random_weights
from tests.cases import random_correlations, random_tree
from tests.soak.row import Outcome

CLOSE = 1e-13
STEP = 1e-30

Weights = dict[str, list[np.ndarray]]


def measure(count: int, seed: int) -> Outcome:
    """Slope along a random direction of every layer, as a share of the sizes of what it adds up."""
    worst, misses = 0.0, []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        net = random_tree(rng, int(rng.integers(1, 5)))
        outputs = int(rng.integers(1, 3))
        data = random_correlations(rng, {m: int(rng.integers(1, 4)) for m in net.modalities}, outputs)
        weights = random_weights(net, data, 0.9, width=int(rng.integers(1, 5)), seed=int(rng.integers(1000)))
        error = max(
            slope_error(net, data, weights, name, layer, rng) for name in weights for layer in range(len(weights[name]))
        )
        worst = max(worst, error)
        if not error <= CLOSE:
            misses.append(f"case {i}: {net.modalities} with {net.depths}, off by {error:.1e}")
    return Outcome(f"{count} shapes, every layer, worst {worst:.1e}", tuple(misses))


def slope_error(
    net: FusionNetwork, data: Correlations, weights: Weights, name: str, layer: int, rng: np.random.Generator
) -> float:
    """How far the flow of one layer is from minus the slope of the loss along a random direction."""
    errors = gradient_flow.errors(data, gradient_flow.total_weights(net, weights))
    moved = gradient_flow.flow(net, weights, errors)[name][layer]
    direction = rng.normal(size=moved.shape)
    shifted = {chain: list(layers) for chain, layers in weights.items()}
    shifted[name][layer] = weights[name][layer] + 1j * STEP * direction
    quadratic, linear = (value.imag / STEP for value in loss_terms(net, data, shifted))
    size = abs(quadratic) + abs(linear) + float(np.sum(np.abs(moved * direction)))
    return abs(quadratic + linear + float(np.sum(moved * direction))) / size if size else 0.0


def loss_terms(net: FusionNetwork, data: Correlations, weights: Weights) -> tuple[complex, complex]:
    """tr(W Sigma W^T)/2 and -tr(W Sigma_yx^T) by the network's own tree; shares no code with the flow."""

    def output(name: str) -> np.ndarray:
        chain = net.chains[name]
        if chain.children:
            pushed = sum(output(child.name) for child in chain.children)
        else:
            pushed = np.eye(len(data.sigma), dtype=complex)[data.span(name)]
        for layer in weights[name]:
            pushed = layer @ pushed
        return pushed

    whole = output("trunk")
    return complex(np.trace(whole @ data.sigma @ whole.T)) / 2, -complex(
        np.trace(whole @ np.atleast_2d(data.sigma_yx).T)
    )
