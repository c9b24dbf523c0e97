"""Loss and gradient flow of a fusion network, equations (2)-(5), for any tree.

Each function uses only `@`, `.T`, `+` and `-` on its matrices, so it runs on NumPy arrays and on SymPy
matrices alike. Equations (14)-(16) and (18) are these laws at a finite step and at two layers.

Weights are a mapping chain name -> list of matrices (out, in), input side first; the trunk of a late
fusion network has no layers. Time is in units of tau.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

from derivations.correlations import Correlations
from derivations.network import TRUNK, Chain, FusionNetwork

Weights = Mapping[str, Sequence[Any]]


def _times(left: Any, right: Any) -> Any:
    """left @ right, where None stands for the identity of whatever size fits."""
    if left is None:
        return right
    return left if right is None else left @ right


def above(network: FusionNetwork, weights: Weights) -> dict[str, list[Any]]:
    """P_l: product of everything above each layer, (outputs, out_l); None for the identity at the output."""
    products: dict[str, list[Any]] = {}

    def descend(chain: Chain, name: str, top: Any) -> None:
        rows: list[Any] = []
        for layer in reversed(weights.get(name, ())):
            rows.append(top)
            top = layer if top is None else top @ layer
        products[name] = rows[::-1]
        for child in chain.children:
            descend(child, child.name, top)

    descend(network.trunk, TRUNK, None)
    return products


def total_weights(
    network: FusionNetwork, weights: Weights, products: Mapping[str, list[Any]] | None = None
) -> dict[str, Any]:
    """W_m^tot of each modality, (outputs, d_m), equation (2); `products` are `above`, if at hand."""
    products = above(network, weights) if products is None else products
    return {m: _times(products[m][0], weights[m][0]) for m in network.modalities}


def errors(data: Correlations, total: Mapping[str, Any]) -> dict[str, Any]:
    """e_m = <(y - y_hat) x_m^T>, (outputs, d_m), equation (5)."""
    found = {}
    for m in data.modalities:
        error = data.target_block(m)
        for n in data.modalities:
            error = error - total[n] @ data.input_block(n, m)
        found[m] = error
    return found


def loss(data: Correlations, total: Mapping[str, Any]) -> Any:
    """Half the mean squared error of a network with these total weights.

    (1/2) [tr Sigma_yy - sum_m tr W_m (Sigma_yx_m + e_m)^T], the square completed with equation (5).
    """
    error = errors(data, total)
    value = _trace(data.sigma_yy)
    for m in data.modalities:
        value = value - _trace(total[m] @ (data.target_block(m) + error[m]).T)
    return value / 2


def _trace(matrix: Any) -> Any:
    return matrix.trace() if len(getattr(matrix, "shape", ())) == 2 else matrix


def flow(
    network: FusionNetwork,
    weights: Weights,
    error: Mapping[str, Any],
    products: Mapping[str, list[Any]] | None = None,
) -> dict[str, list[Any]]:
    """dW/dt of every layer, equations (3) and (4), given e_m; `products` are `above`, if at hand.

    The gradient of a layer is P_l^T G_(l-1): P_l the product above it, G_(l-1) the error e_m pushed
    forward to its input, summed over branches at a fusion. Multiplied by a learning rate it is the step
    of gradient descent, equations (14) and (15).
    """
    products = above(network, weights) if products is None else products
    velocity: dict[str, list[Any]] = {}

    def push(chain: Chain, name: str) -> Any:
        pushed = [push(child, child.name) for child in chain.children]
        forward = reduce(add, pushed) if pushed else error[name]
        velocity[name] = []
        for layer, product in zip(weights.get(name, ()), products[name], strict=True):
            velocity[name].append(forward if product is None else product.T @ forward)
            forward = forward @ layer.T
        return forward

    push(network.trunk, TRUNK)
    return velocity
