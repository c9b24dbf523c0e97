"""The Hessian of the loss at given weights: products with it, its eigenvalues."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from derivations import Correlations, FusionNetwork
from derivations.flow import gradient_flow
from dynamics.starts.weights import Weights

DENSE = 400  # weights up to which all eigenvalues of the Hessian are computed
STEP = 1e-30  # of a complex derivative: exact to rounding, nothing is subtracted
ALIKE = 1e-3  # rates that differ by less are listed once


def _shifted(weights: Weights, change: Mapping[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """Weights + i STEP change: the laws use only products and sums, so the imaginary part is their derivative."""
    return {
        name: [w + 1j * STEP * d for w, d in zip(layers, change[name], strict=True)] for name, layers in weights.items()
    }


def hessian_product(
    network: FusionNetwork, data: Correlations, weights: Weights, change: Mapping[str, list[np.ndarray]]
) -> dict[str, list[np.ndarray]]:
    """Hessian of the loss times a change of the weights: minus the derivative of the flow (3), (4) along it. Exact."""
    moved = _shifted(weights, change)
    products = gradient_flow.above(network, moved)
    error = gradient_flow.errors(data, gradient_flow.total_weights(network, moved, products))
    found = gradient_flow.flow(network, moved, error, products)
    return {name: [-v.imag / STEP for v in layers] for name, layers in found.items()}


def _eigenvalues(
    network: FusionNetwork, data: Correlations, weights: Weights, count: int
) -> tuple[np.ndarray, bool, bool]:
    """Eigenvalues of the Hessian, all or those at both ends; whether these are all, and whether all asked for came."""
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    from derivations.critical.stratum_points import flat, unflat

    size = len(flat(weights))

    def product(vector: np.ndarray) -> np.ndarray:
        return flat(hessian_product(network, data, weights, unflat(np.ravel(vector), weights)))

    if size <= DENSE:
        hessian = np.array([product(unit) for unit in np.eye(size)])
        return np.linalg.eigvalsh((hessian + hessian.T) / 2), True, True
    operator = LinearOperator((size, size), matvec=product, dtype=float)
    start = np.random.default_rng(0).normal(size=size)  # a fixed start: the same answer each time
    try:
        values = eigsh(operator, k=min(4 * count, size - 2), which="BE", v0=start, return_eigenvectors=False, tol=1e-8)
    except ArpackNoConvergence as error:
        return np.asarray(error.eigenvalues), False, False
    return np.asarray(values), False, True


def _distinct(values: np.ndarray) -> tuple[float, ...]:
    """Positive values, the largest first, those that agree to ALIKE once."""
    found: list[float] = []
    for value in np.sort(values)[::-1].tolist():
        if not found or value < found[-1] * (1 - ALIKE):
            found.append(value)
    return tuple(found)
