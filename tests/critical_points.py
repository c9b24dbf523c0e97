"""Random critical points, and Hessians by finite differences of a loss written without the project's laws."""

from __future__ import annotations

from typing import Any

import numpy as np

from derivations import Correlations, FusionNetwork
from derivations.critical.strata import Case, cases
from derivations.critical.stratum_points import flat, moved_onto
from derivations.network import layer_shapes
from tests.cases import random_correlations, random_tree


def random_layers_of_order_one(
    rng: np.random.Generator, network: FusionNetwork, sizes: dict[str, int], width: int
) -> dict[str, list[np.ndarray]]:
    """Parts of orthogonal matrices, times 0.7 to 1.4: eigenvalues that are not zero stay well away from it."""
    weights: dict[str, list[np.ndarray]] = {}
    for name, shapes in layer_shapes(network, sizes, 1, width).items():
        weights[name] = []
        for out, into in shapes:
            whole, _ = np.linalg.qr(rng.normal(size=(max(out, into),) * 2))
            weights[name].append(whole[:out, :into] * rng.uniform(0.7, 1.4))
    return weights


def random_critical_point(
    rng: np.random.Generator,
) -> tuple[FusionNetwork, Correlations, Case, dict[str, list[np.ndarray]], bool]:
    """Any (L, L_f) up to L = 4 or any tree as deep; one to three modalities; inputs of one to three; width 1 to 5.

    Half of them degraded: layers of the dead parts are zero or have lost rank.
    """
    while True:
        modalities = int(rng.choice([1, 2, 2, 2, 3]))
        if rng.random() < 0.35:
            network = random_tree(rng, modalities, 2)
        else:
            depth = int(rng.integers(1, 5))
            network = FusionNetwork.fused_at(depth, int(rng.integers(1, depth + 1)), tuple("ABC"[:modalities]))
        if max(network.path_depths.values()) <= 4:
            break
    sizes = {m: int(rng.choice([1, 1, 2, 3])) for m in network.modalities}
    data = random_correlations(rng, sizes)
    weights = random_layers_of_order_one(rng, network, sizes, int(rng.integers(1, 6)))
    found = cases(network)
    case = found[rng.integers(len(found))]
    degraded = bool(rng.random() < 0.5)
    dead = {m for part in case.dead for m in part.modalities}
    for name, layers in weights.items():
        if degraded and set(network.chains[name].modalities) <= dead:
            for i, layer in enumerate(layers):
                left, sizes_, right = np.linalg.svd(layer, full_matrices=False)
                luck = rng.random()
                if luck < 0.6:
                    sizes_[0 if luck < 0.35 else int(rng.integers(0, len(sizes_) + 1)) :] = 0.0
                layers[i] = (left * sizes_) @ right
    return network, data, case, moved_onto(network, data, case, weights), degraded


def losses_at(network: FusionNetwork, data: Correlations, like: Any, vectors: np.ndarray) -> np.ndarray:
    """Loss of each row of weights: the product of the layers of every path, then a quadratic form."""
    place, layers = 0, {}
    for name, own in like.items():
        layers[name] = []
        for layer in own:
            layers[name].append(vectors[:, place : place + layer.size].reshape(-1, *layer.shape))
            place += layer.size
    rows = []
    for m in network.modalities:
        product: Any = np.broadcast_to(np.eye(data.sizes[m]), (len(vectors), data.sizes[m], data.sizes[m]))
        for name in (c for c in layers if c == "trunk" or m in c.split("+")):  # children come before parents
            for layer in layers[name]:
                product = layer @ product
        rows.append(product)
    total = np.concatenate(rows, axis=2)
    quadratic = np.einsum("nki,ij,nkj->n", total, data.sigma, total)
    met = np.einsum("nki,ki->n", total, np.atleast_2d(data.sigma_yx))
    return (float(np.trace(np.atleast_2d(data.sigma_yy))) - 2 * met + quadratic) / 2


def hessian(network: FusionNetwork, data: Correlations, weights: Any) -> tuple[np.ndarray, float]:
    """Central second differences at two steps, extrapolated (error of order step^4), and the rounding in them."""
    point = flat(weights)
    size, step = len(point), 4e-3
    rows, columns = np.triu_indices(size)

    def loss(vectors: np.ndarray) -> np.ndarray:
        return losses_at(network, data, weights, vectors)

    def second(width: float) -> np.ndarray:
        unit, found = width * np.eye(size), np.zeros((size, size))
        for begin in range(0, len(rows), 5000):
            i, j = rows[begin : begin + 5000], columns[begin : begin + 5000]
            values = loss(point + unit[i] + unit[j]) + loss(point - unit[i] - unit[j])
            values -= loss(point + unit[i] - unit[j]) + loss(point - unit[i] + unit[j])
            found[i, j] = found[j, i] = values / (4 * width**2)
        return found

    rounding = (
        1e-16
        * max(float(np.trace(np.atleast_2d(data.sigma_yy))), float(np.max(np.abs(loss(point[None])))))
        * size
        / (step / 2) ** 2
    )
    return (4 * second(step / 2) - second(step)) / 3, rounding


def counts(eigenvalues: np.ndarray, rounding: float) -> tuple[int, int, int]:
    """Negative, zero, positive; zero is what the rounding of the differences may be."""
    zero = max(10 * rounding, 1e-10 * float(np.max(np.abs(eigenvalues))))
    return int(np.sum(eigenvalues < -zero)), int(np.sum(np.abs(eigenvalues) <= zero)), int(np.sum(eigenvalues > zero))


def equations_of_two_layers(data: Correlations, early: bool, width: int, flat: np.ndarray) -> np.ndarray:
    """W2^T e and e W1^T of n points, (n, P), straight from the definitions."""
    outputs, sizes = data.outputs, list(data.sizes.values())
    sizes = [sum(sizes)] if early else sizes
    place, factors, spans = 0, [], np.cumsum([0, *sizes])
    for d in sizes:
        bottom = flat[:, place : place + width * d].reshape(-1, width, d)
        top = flat[:, place + width * d : place + width * (d + outputs)].reshape(-1, outputs, width)
        place += width * (d + outputs)
        factors.append((top, bottom))
    total = np.concatenate([top @ bottom for top, bottom in factors], axis=2)
    error = np.atleast_2d(data.sigma_yx) - total @ data.sigma
    parts = []
    for (top, bottom), begin, end in zip(factors, spans[:-1], spans[1:], strict=True):
        own = error[:, :, begin:end]
        parts += [np.swapaxes(top, 1, 2) @ own, own @ np.swapaxes(bottom, 1, 2)]
    return np.concatenate([part.reshape(len(flat), -1) for part in parts], axis=1)


def critical_by_least_squares(
    rng: np.random.Generator, network: FusionNetwork, data: Correlations, width: int
) -> dict[str, list[np.ndarray]] | None:
    """Where damped Gauss-Newton steps lead to from random weights of two layers; None where they do not converge."""
    early = network.trunk.depth == 1
    size = width * (len(data.sigma) + data.outputs * (1 if early else len(data.sizes)))
    point, damping = rng.normal(size=size) * rng.uniform(0.1, 1.2), 0.1
    left = equations_of_two_layers(data, early, width, point[None])[0]
    for _ in range(200):
        moved = point + 1e-30j * np.eye(size)
        slope = equations_of_two_layers(data, early, width, moved).imag.T / 1e-30
        step = np.linalg.solve(slope.T @ slope + damping * np.eye(size), slope.T @ left)
        after = equations_of_two_layers(data, early, width, (point - step)[None])[0]
        better = after @ after < left @ left
        point, left = (point - step, after) if better else (point, left)
        damping = max(damping / 5, 1e-15) if better else 5 * damping
        if np.linalg.norm(left) < 1e-14 or damping > 1e8:
            break
    if np.linalg.norm(left) > 1e-12:
        return None
    sizes = {"all": len(data.sigma)} if early else dict(data.sizes)
    place, found = 0, {}
    for name, d in sizes.items():
        bottom = point[place : place + width * d].reshape(width, d)
        top = point[place + width * d : place + width * (d + data.outputs)].reshape(data.outputs, width)
        found[name] = [bottom, top]
        place += width * (d + data.outputs)
    if early:
        (bottom, top), ends = found["all"], np.cumsum(list(data.sizes.values()))[:-1]
        blocks = np.split(bottom, ends, axis=1)
        return {**{m: [b] for m, b in zip(data.sizes, blocks, strict=True)}, "trunk": [top]}
    return {**found, "trunk": []}
