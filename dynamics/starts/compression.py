r"""The same network, narrow: the subspaces of its hidden layers in which the flow moves at all.

A gradient is an outer product, so the flow changes W_l only by (what is pulled back from the output) times (what is
pushed forward from the inputs). Let V_l, with orthonormal columns, span what layer l puts out: V = 1 at the inputs and
at the output, and

    V_l  >=  W_l V_(l-1)  (pushed forward),    V_l  >=  W_(l+1)^T V_(l+1)  (pulled back),

at a fusion for every branch. If both held at every layer, W_l = V_l w_l V_(l-1)^T + (a part that neither moves nor
carries a signal), and the narrow layers w_l = V_l^T W_l V_(l-1) would obey the same flow with the same total weights:
rows and columns outside the spans meet only zeros.

Two layers: V_1 = span(W_1, W_2^T) satisfies both at once, so a width of d + outputs is exact, for any start.
Deeper: pushing forward what was pulled back leaves the span again. `rounds` = k adds the neighbours k times,

    V_l <- V_l + W_l V_(l-1) + W_(l+1)^T V_(l+1)   (all layers at once),

An h x h layer shrinks what it mixes in by its norm over sqrt(h), so the rounds that are needed fall with the start and
grow with the depth. Measured on half-times: at L = 4, u0 = 0.1, h = 100 a round divides the miss by 50 and more, at
L = 8, u0 = 0.5, h = 2001 by 3.5. That it goes on falling is not proved; `dynamics.simulation.widening` watches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations import FusionNetwork
from derivations.network import TRUNK
from dynamics.checks import checked_integer
from dynamics.starts.weights import Weights

CUT = 1e-10  # singular values of normalised columns below this share add no direction
OUTPUT = "output"

Space = tuple[str, int] | str


@dataclass(frozen=True)
class Layer:
    """A layer with the spaces that it reads and writes."""

    chain: str
    place: int
    reads: Space
    writes: Space


def layers_of(network: FusionNetwork) -> list[Layer]:
    """All layers, inputs first. Chains that meet write the space that the next chain reads; place -1 is its input."""
    chains, parents, late = network.chains, network.parents, network.trunk.depth == 0
    found = []
    for name, chain in chains.items():
        goal = parents.get(name, OUTPUT)
        last: Space = OUTPUT if goal == OUTPUT or (goal == TRUNK and late) else (goal, -1)
        for i in range(chain.depth):
            found.append(Layer(name, i, (name, i - 1), last if i == chain.depth - 1 else (name, i)))
    return found


def end_spaces(network: FusionNetwork) -> set[Space]:
    """Inputs and output: they stay whole."""
    return {(m, -1) for m in network.modalities} | {OUTPUT}


def is_exact(network: FusionNetwork) -> bool:
    """Two layers: the narrow network is exact without a round."""
    return bool(max(network.path_depths.values()) <= 2)


def compressed(network: FusionNetwork, weights: Mapping[str, Any], rounds: int = 1) -> Weights:
    """The narrow network whose flow is that of `weights`: exact for two layers, else to an order set by `rounds`.

    Parameters
    ----------
    weights : chain name -> list of arrays (out, in), input side first
    rounds : how often the neighbours' directions are added, >= 0

    Returns
    -------
    Weights
        Total weights, and their flow, are those of the given network; a hidden layer has at most its old width.

    Examples
    --------
    >>> from dynamics import Correlations, random_weights
    >>> net, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)
    >>> [w.shape for w in compressed(net, random_weights(net, data, 1e-3, width=1000))["A"]]
    [(2, 1), (1, 2)]
    """
    rounds = checked_integer(rounds, "rounds", 0)
    layers = layers_of(network)
    matrices = {layer: np.asarray(weights[layer.chain][layer.place], dtype=float) for layer in layers}
    sizes = {layer.reads: w.shape[1] for layer, w in matrices.items()} | {
        layer.writes: w.shape[0] for layer, w in matrices.items()
    }
    ends = end_spaces(network)
    whole: dict[Space, np.ndarray] = {space: np.eye(sizes[space]) for space in ends}
    forward: dict[Space, list[np.ndarray]] = {space: [basis] for space, basis in whole.items() if space != OUTPUT}
    for layer, w in matrices.items():
        if layer.writes not in ends:
            forward.setdefault(layer.writes, []).append(w @ np.hstack(forward[layer.reads]))
    backward: dict[Space, list[np.ndarray]] = {OUTPUT: [whole[OUTPUT]]}
    for layer, w in reversed(matrices.items()):
        if layer.reads not in ends:
            backward.setdefault(layer.reads, []).append(w.T @ np.hstack(backward[layer.writes]))
    inner = [space for space in sizes if space not in ends]
    bases = whole | {space: _basis(forward[space] + backward[space]) for space in inner}
    for _ in range(rounds):
        neighbours = {space: [bases[space]] for space in inner}
        for layer, w in matrices.items():
            if layer.writes not in ends:
                neighbours[layer.writes].append(w @ bases[layer.reads])
            if layer.reads not in ends:
                neighbours[layer.reads].append(w.T @ bases[layer.writes])
        bases = whole | {space: _basis(columns) for space, columns in neighbours.items()}
    narrow: Weights = {name: [] for name in network.chains}
    for layer, w in matrices.items():
        narrow[layer.chain].append(bases[layer.writes].T @ w @ bases[layer.reads])
    return narrow


def _basis(columns: list[np.ndarray]) -> np.ndarray:
    """Orthonormal columns of the span; each column counts alike, however small it is."""
    joined = np.hstack(columns)
    sizes = np.linalg.norm(joined, axis=0)
    joined = joined[:, sizes > 0] / sizes[sizes > 0]
    if not joined.shape[1]:
        return np.zeros((len(joined), 1))  # a dead layer stays dead at width one
    left, values, _ = np.linalg.svd(joined, full_matrices=False)
    return np.asarray(left[:, values > CUT * values[0]])
