"""The signature of the loss at any critical point, from ranks alone; no Hessian.

Second order: moving the weights by delta changes the loss by half of

    Q(delta) = |J delta|^2_Sigma - 2 F(delta),    J the derivative of W^tot,  F = sum_m e_m (second order of W_m^tot)

with e frozen at the point. At a critical point each layer has P = 0 or G = 0. A term of F pairs P delta_l of a layer
with delta_k G_k^T of a lower one, so it is not zero only if P_l != 0 and G_k != 0: F pairs the *open* layers
(P != 0) with the closed ones. J sees the open ones only. Hence

    Q = u K u - 2 u B v,    K = J^T Sigma J >= 0,

and by Sylvester's law of inertia Q has rank(B) negative and rank(B) + rank(K on ker B^T) positive directions, the
rest is zero. ker B^T are the moves that keep P = 0 wherever a forward signal dies; J of them is what the learned
modalities can do, so rank(K on ker B^T) = rank(Sigma of the learned). Only for degenerate data, where a modality that
is cut has e = 0, its weights can move as well, by what the layers below the cut let through (`_moves`).

rank(B) is counted cut by cut. From the inputs of the layer that cuts, the products of layers down to each place
where a forward signal dies are stacked side by side; the rank of that matrix is what the cut adds: the rank of *the
product of the surviving layers between the two deaths*, the identity where there is none between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations.correlations import Correlations, require_problem
from derivations.critical import mode_signature
from derivations.critical.inertia import Signature
from derivations.critical.stratum_points import require_layers, rows_above
from derivations.errors import DomainError
from derivations.flow.gradient_flow import errors, total_weights
from derivations.network import TRUNK, Chain, FusionNetwork

Weights = Mapping[str, Sequence[Any]]
ZERO = 1e-8  # a signal below this share of what its factors could give counts as zero
SMALL = 1e-6  # of a layer in a balanced network that has learned everything; rounding of a zero layer is far below
ROUNDING = 1e-13  # of the largest terms that an error can be the difference of, or that a correlation can be


@dataclass(frozen=True, eq=False)
class Signals:
    """What reaches every layer, and how large it could be.

    above : chain -> P of each layer, (1, out); below : chain -> G at the input of each layer, (1, in), and last
    what the chain puts out; errors : modality -> e_m
    alive_above, alive_below : the same, whether it is more than rounding
    """

    above: Mapping[str, list[np.ndarray]]
    below: Mapping[str, list[np.ndarray]]
    errors: Mapping[str, np.ndarray]
    alive_above: Mapping[str, list[bool]]
    alive_below: Mapping[str, list[bool]]

    @property
    def moving(self) -> list[tuple[str, int]]:
        """Layers with a gradient, P != 0 and G != 0: chain and place in it. None at a critical point."""
        return [
            (name, i)
            for name, ups in self.alive_above.items()
            for i, up in enumerate(ups)
            if up and self.alive_below[name][i]
        ]


def signals(network: FusionNetwork, data: Correlations, weights: Weights, tolerance: float = ZERO) -> Signals:
    """P and G of every layer, with what counts as zero.

    A signal is zero if it is below `tolerance` times the product of the norms of its factors (and of the terms whose
    difference an error is). A layer below SMALL of the largest, or of one in a balanced network that has learned
    everything, counts as that large, so that the rounding of a layer that is zero is zero.
    """
    require_problem(network, data)
    if data.is_symbolic:
        raise DomainError("a signature needs numbers in sigma and sigma_yx, got symbols")
    if data.outputs > 1:
        raise DomainError(f"P and G are rows for one output only, got {data.outputs} outputs")
    require_layers(network, data, weights)
    rows = rows_above(network, weights)
    total = total_weights(network, weights, rows)
    error = errors(data, total)
    norms = layer_norms(network, data, weights)
    up: dict[str, list[np.ndarray]] = {}
    up_alive: dict[str, list[bool]] = {}
    down: dict[str, list[np.ndarray]] = {}
    down_alive: dict[str, list[bool]] = {}
    most: dict[str, float] = {}  # |W_m^tot| could be
    explained = float(np.sum(np.atleast_2d(data.optimum) * np.atleast_2d(data.sigma_yx)))  # of <y^2>

    def descend(chain: Chain, name: str, could: float) -> None:
        up[name] = [np.asarray(p) for p in rows[name]]
        up_alive[name] = []
        for product, norm in zip(reversed(up[name]), reversed(norms[name]), strict=True):
            up_alive[name].insert(0, _size(product) > tolerance * could)
            could *= norm
        if not chain.children:
            most[name] = could
        for child in chain.children:
            descend(child, child.name, could)

    def push(chain: Chain, name: str) -> tuple[np.ndarray, float]:
        """What a chain puts out, and how large it could be."""
        if chain.children:
            parts = [push(child, child.name) for child in chain.children]
            signal, could = np.sum([p[0] for p in parts], axis=0), max(p[1] for p in parts)
        else:
            signal = np.asarray(error[name], dtype=float)
            could = data.strength(name) + sum(data.norm(total[n] @ data.input_block(n, name)) for n in data.modalities)
            pulls = sum(most[n] * data.norm(data.input_block(n, name)) for n in data.modalities)
            pulls += np.sqrt(data.norm(data.input_block(name, name)) * explained)
            signal = signal if _size(signal) > max(tolerance * could, ROUNDING * pulls) else 0.0 * signal
        down[name], down_alive[name] = [signal], [_size(signal) > tolerance * could]
        for layer, norm in zip(weights.get(name, ()), norms[name], strict=True):
            signal, could = signal @ np.asarray(layer).T, could * norm
            down[name].append(signal)
            down_alive[name].append(_size(signal) > tolerance * could)
        return signal, could

    descend(network.trunk, TRUNK, 1.0)
    push(network.trunk, TRUNK)
    return Signals(up, down, error, up_alive, down_alive)


def _size(array: Any) -> float:
    return float(np.max(np.abs(array), initial=0.0))


def cuts(network: FusionNetwork, found: Signals) -> dict[str, int]:
    """Chain -> the layer (from 1) where the backward signal is cut: P != 0 there and P W = 0."""
    chosen: dict[str, int] = {}

    def visit(chain: Chain, name: str) -> None:
        alive = found.alive_above[name]
        below = [found.alive_above[child.name] for child in chain.children]
        for layer in range(len(alive), 0, -1):
            lower = alive[layer - 2] if layer > 1 else any(any(b) for b in below)
            if not lower and (layer > 1 or chain.children):
                chosen[name] = layer
                return
        for child in chain.children:
            visit(child, child.name)

    visit(network.trunk, TRUNK)
    return chosen


def usual_norm(network: FusionNetwork, data: Correlations) -> float:
    """Norm of a layer in a balanced network that has learned everything, to order one."""
    depth = float(max(network.path_depths.values()))
    return float(float(data.norm(np.atleast_2d(data.optimum))) ** (1.0 / depth))


def layer_norms(network: FusionNetwork, data: Correlations, weights: Weights) -> dict[str, list[float]]:
    """Norm of every layer, at least SMALL of the usual one and of the largest."""
    norms = {
        name: [float(np.linalg.norm(np.asarray(w, dtype=float), 2)) for w in weights.get(name, ())]
        for name in network.chains
    }
    least = SMALL * max(usual_norm(network, data), *(norm for layers in norms.values() for norm in layers))
    return {name: [max(norm, least) for norm in layers] for name, layers in norms.items()}


def coupling(
    network: FusionNetwork, data: Correlations, weights: Weights, found: Signals, tolerance: float = ZERO
) -> tuple[int, list[np.ndarray]]:
    """rank(B), and what the modalities that are cut though e = 0 can do: rows of changes of W^tot, (k, D) each.

    rank(B) is summed over the cuts, of the products from the cut down to where forward signals die.
    """
    norms = layer_norms(network, data, weights)

    def stacked(chain: Chain, name: str, layer: int, between: np.ndarray) -> list[np.ndarray]:
        """Products from the cut down to each place below `layer` (not included) where a forward signal dies."""
        for lower in range(layer - 1, 0, -1):
            if found.alive_below[name][lower - 1]:
                return [between]
            between = between @ np.asarray(weights[name][lower - 1]) / norms[name][lower - 1]
        return [
            product
            for child in chain.children
            for product in stacked(child, child.name, len(weights[child.name]) + 1, between)
        ]

    def through(chain: Chain, name: str, layer: int, between: np.ndarray) -> None:
        """Products from the cut down to the inputs of the modalities with e = 0."""
        for lower in range(layer - 1, 0, -1):
            between = between @ np.asarray(weights[name][lower - 1]) / norms[name][lower - 1]
        if not chain.children and not found.alive_below[name][0]:
            passed[:, data.span(name)] = between
        for child in chain.children:
            through(child, child.name, len(weights[child.name]) + 1, between)

    rank, moves = 0, []
    for name, layer in cuts(network, found).items():
        size = np.asarray(weights[name][layer - 1]).shape[1]
        parts = stacked(network.chains[name], name, layer, np.eye(size))
        free = np.eye(size)  # rows x with x C = 0: moves of P at the cut that keep the silenced products
        if parts:
            left, values, _ = np.linalg.svd(np.hstack(parts))
            own = int(np.sum(values > tolerance))
            rank, free = rank + own, left[:, own:].T
        passed = np.zeros((size, len(data.sigma)))
        through(network.chains[name], name, layer, np.eye(size))
        moves.append(free @ passed)
    return rank, moves


def signature(network: FusionNetwork, data: Correlations, weights: Weights, tolerance: float = ZERO) -> Signature:
    """Negative, zero and positive directions of the loss at a critical point, by the rank theorem. Exact.

    Parameters
    ----------
    weights : chain name -> list of arrays (out, in), any widths
    tolerance : share below which a signal or a singular value counts as zero, see `signals`; one output

    Several outputs, by `mode_signature` or, where layers are shared, `free_units`.

    Raises
    ------
    DomainError
        Where the weights are not critical; for several outputs that share layers, where too many units have weights.

    Examples
    --------
    >>> data, late = Correlations.scalar(2, 1, 0.5), FusionNetwork.fused_at(2, 2)
    >>> a_alone = {"A": [np.ones((1, 1)), np.full((1, 1), 1.25)], "B": [np.zeros((1, 1))] * 2, "trunk": []}
    >>> signature(late, data, a_alone)
    Signature(negative=1, zero=1, positive=2)
    """
    require_problem(network, data)
    if data.outputs > 1:
        return mode_signature.signature(network, data, weights)
    found = signals(network, data, weights, tolerance)
    if found.moving:
        name, place = found.moving[0]
        raise DomainError(f"weights are not critical: the gradient of weights[{name!r}][{place}] is not zero")
    learned = tuple(m for m in network.modalities if found.alive_above[m][0])
    count = sum(int(np.size(w)) for layers in weights.values() for w in layers)
    coupled, moves = coupling(network, data, weights, found, tolerance)
    positive = _rank_of_moves(data, learned, moves, tolerance) + coupled
    return Signature(coupled, count - coupled - positive, positive)


def _rank_of_moves(data: Correlations, learned: tuple[str, ...], moves: list[np.ndarray], tolerance: float) -> int:
    """Rank of Sigma on the changes of W^tot that are free: those of the learned, and the rows of `moves`."""
    rows = np.vstack([np.zeros((0, len(data.sigma))), *moves])
    if not np.any(np.abs(rows) > tolerance):
        return data.rank(learned)
    scale = np.sqrt(np.diag(data.sigma))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(data.sigma / scale / scale[:, None])
    root = (scale[:, None] * vectors) * np.sqrt(np.maximum(values, 0.0))
    own = np.vstack([np.eye(len(data.sigma))[data.span(m)] for m in learned] + [np.zeros((0, len(data.sigma)))])
    rows = rows[np.max(np.abs(rows), axis=1) > tolerance]
    whole = np.vstack([own / scale, rows / np.linalg.norm(rows * scale, axis=1)[:, None]]) @ root
    sizes = np.linalg.svd(whole, compute_uv=False)
    return int(np.sum(sizes > max(tolerance, 1e-7) * np.max(sizes, initial=0.0)))
