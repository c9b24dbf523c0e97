"""The signature of the loss at any critical point, from ranks alone; no Hessian.

Second order: moving the weights by delta changes the loss by half of

    Q(delta) = |J delta|^2_Sigma - 2 F(delta),    J the derivative of W^tot,  F = sum_m e_m (second order of W_m^tot)

with e frozen at the point. At a critical point each layer has P = 0 or G = 0. A term of F pairs P delta_l of a layer
with delta_k G_k^T of a lower one, so it is not zero only if P_l != 0 and G_k != 0: F pairs the *open* layers
(P != 0) with the closed ones. J sees the open ones only. Hence

    Q = u K u - 2 u B v,    K = J^T Sigma J >= 0,

and by Sylvester's law of inertia Q has rank(B) negative and rank(B) + rank(K on ker B^T) positive directions, the
rest is zero. ker B^T are the moves that keep P = 0 wherever a forward signal dies; J of them is what the learned
modalities can do, so rank(K on ker B^T) = rank(Sigma of the learned), as long as no modality that is cut has e = 0.

rank(B) is counted cut by cut. From the inputs of the layer that cuts, the products of layers down to each place
where a forward signal dies are stacked side by side; the rank of that matrix is what the cut adds: the rank of *the
product of the surviving layers between the two deaths*, the identity where there is none between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations.correlations import Correlations
from derivations.errors import DomainError
from derivations.gradient_flow import above, errors, total_weights
from derivations.network import TRUNK, Chain, FusionNetwork

Weights = Mapping[str, Sequence[Any]]
ZERO = 1e-8  # a signal below this share of what its factors could give counts as zero


@dataclass(frozen=True)
class Signature:
    """Numbers of negative, zero and positive eigenvalues of a Hessian."""

    negative: int
    zero: int
    positive: int


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
    def is_critical(self) -> bool:
        """P = 0 or G = 0 at every layer."""
        return not any(
            up and down
            for name, ups in self.alive_above.items()
            for up, down in zip(ups, self.alive_below[name], strict=False)
        )


def signals(network: FusionNetwork, data: Correlations, weights: Weights, tolerance: float = ZERO) -> Signals:
    """P and G of every layer, with what counts as zero.

    A signal is zero if it is below `tolerance` times s^n, n its number of factors and s the size of a layer
    (`layer_scale`); an error e_m if it is below `tolerance` times the terms that it is the difference of.
    """
    if data.outputs > 1:
        raise DomainError(f"P and G are rows for one output only, got {data.outputs} outputs")
    rows = above(network, weights)
    total = total_weights(network, weights, rows)
    error = errors(data, total)
    scale = layer_scale(network, data, weights)
    depth = {name: _layers_above(network, name) for name in network.chains}
    up: dict[str, list[np.ndarray]] = {}
    up_alive: dict[str, list[bool]] = {}
    for name, products in rows.items():
        layers = weights.get(name, ())
        up[name] = [np.ones((1, 1)) if p is None else np.asarray(p) for p in products]
        factors = [depth[name] + len(layers) - 1 - i for i in range(len(layers))]
        up_alive[name] = [_size(p) > tolerance * scale**n for p, n in zip(up[name], factors, strict=True)]
    down: dict[str, list[np.ndarray]] = {}
    down_alive: dict[str, list[bool]] = {}

    def push(chain: Chain, name: str) -> tuple[np.ndarray, float]:
        """What a chain puts out, and how large it could be."""
        if chain.children:
            parts = [push(child, child.name) for child in chain.children]
            signal, could = np.sum([p[0] for p in parts], axis=0), max(p[1] for p in parts)
        else:
            signal = np.asarray(error[name], dtype=float)
            pulls = sum(data.norm(total[n] @ data.input_block(n, name)) for n in data.modalities)
            rounding = data.strength(name) + pulls
            signal = signal if _size(signal) > tolerance * rounding else 0.0 * signal
            could = rounding
        down[name], down_alive[name] = [signal], [_size(signal) > tolerance * could]
        for layer in weights.get(name, ()):
            signal, could = signal @ np.asarray(layer).T, could * scale
            down[name].append(signal)
            down_alive[name].append(_size(signal) > tolerance * could)
        return signal, could

    push(network.trunk, TRUNK)
    return Signals(up, down, error, up_alive, down_alive)


def _size(array: Any) -> float:
    return float(np.max(np.abs(array), initial=0.0))


def _layers_above(network: FusionNetwork, name: str) -> int:
    """Layers between a chain and the output."""
    parents, count = network.parents, 0
    while name in parents:
        name = parents[name]
        count += network.chains[name].depth
    return count


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


def layer_scale(network: FusionNetwork, data: Correlations, weights: Weights) -> float:
    """Largest norm of a layer, or the norm of one in a balanced network that has learned everything."""
    depth = float(max(network.path_depths.values()))
    goal = float(data.norm(np.atleast_2d(data.optimum)))
    sizes = [float(np.linalg.norm(w, 2)) for layers in weights.values() for w in layers]
    return float(max(goal ** (1.0 / depth), *sizes, 0.0))


def coupling_rank(
    network: FusionNetwork, weights: Weights, found: Signals, scale: float, tolerance: float = ZERO
) -> int:
    """rank(B): summed over the cuts, of the products from the cut down to where forward signals die."""

    def stacked(chain: Chain, name: str, layer: int, between: np.ndarray) -> list[tuple[np.ndarray, int]]:
        """Products from the cut down to each place below `layer` (not included) where a forward signal dies."""
        factors = 0
        for lower in range(layer - 1, 0, -1):
            if found.alive_below[name][lower - 1]:
                return [(between, factors)]
            between, factors = between @ np.asarray(weights[name][lower - 1]), factors + 1
        parts = []
        for child in chain.children:
            inner = stacked(child, child.name, len(weights[child.name]) + 1, between)
            parts += [(product, factors + more) for product, more in inner]
        return parts

    rank = 0
    for name, layer in cuts(network, found).items():
        size = np.asarray(weights[name][layer - 1]).shape[1]
        parts = stacked(network.chains[name], name, layer, np.eye(size))
        if parts:
            whole = np.hstack([product / scale**factors for product, factors in parts])
            rank += int(np.sum(np.linalg.svd(whole, compute_uv=False) > tolerance))
    return rank


def signature(network: FusionNetwork, data: Correlations, weights: Weights, tolerance: float = ZERO) -> Signature:
    """Negative, zero and positive directions of the loss at a critical point, by the rank theorem. Exact, one output.

    Parameters
    ----------
    weights : chain name -> list of arrays (out, in), any widths
    tolerance : share below which a signal or a singular value counts as zero, see `signals`

    Raises
    ------
    DomainError
        Where the weights are not critical, or a modality that is cut has e = 0 (its data are degenerate there).

    Examples
    --------
    >>> data, late = Correlations.scalar(2, 1, 0.5), FusionNetwork.fused_at(2, 2)
    >>> a_alone = {"A": [np.ones((1, 1)), np.full((1, 1), 1.25)], "B": [np.zeros((1, 1))] * 2, "trunk": []}
    >>> signature(late, data, a_alone)
    Signature(negative=1, zero=1, positive=2)
    """
    found = signals(network, data, weights, tolerance)
    if not found.is_critical:
        name, layer = next(
            (name, i + 1)
            for name, ups in found.alive_above.items()
            for i, up in enumerate(ups)
            if up and found.alive_below[name][i]
        )
        raise DomainError(f"weights are not critical: the gradient of weights[{name!r}][{layer - 1}] is not zero")
    learned = tuple(m for m in network.modalities if found.alive_above[m][0])
    still = [m for m in network.modalities if m not in learned and not found.alive_below[m][0]]
    if still:
        raise DomainError(f"the residual of {still[0]} is zero here, so ranks do not give the signature")
    count = sum(int(np.size(w)) for layers in weights.values() for w in layers)
    coupled = coupling_rank(network, weights, found, layer_scale(network, data, weights), tolerance)
    positive = data.rank(learned) + coupled
    return Signature(coupled, count - coupled - positive, positive)
