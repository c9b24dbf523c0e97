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

`visited` asks a run instead: along a narrow one, what the full network pushes forward and pulls back spans few
directions that matter (`VISITED`), and the network on these and their neighbours is narrow and closer. At L = 8,
u0 = 0.3, h = 100 half-times miss by 8e-2, 2e-3, 4e-4, where four rounds and more than twice the weights leave 5e-3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from derivations import FusionNetwork
from derivations.network import TRUNK
from dynamics.checks import checked_integer
from dynamics.starts.weights import Weights

CUT = 1e-10  # singular values of normalised columns below this share add no direction
SQUARED = 1e-7  # a cut that is safe with squares of singular values
LEADING = 0.05  # from this share on a direction that a run passes through takes its neighbours with it
VISITED = 1e-3  # the same for what a run passes through, ten times less each time
OUTPUT = "output"

Space = tuple[str, int] | str
Bases = dict[Space, np.ndarray]  # orthonormal columns


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
    return projected(network, weights, neighbours(network, weights, rounds))


def neighbours(network: FusionNetwork, weights: Mapping[str, Any], rounds: int = 1) -> Bases:
    """V of every space after some rounds."""
    rounds = checked_integer(rounds, "rounds", 0)
    matrices = _matrices(network, weights)
    whole, columns = _signals(network, matrices)
    bases = whole | {space: _span(_unit(found), CUT) for space, found in columns.items()}
    for _ in range(rounds):
        bases = _with_images(matrices, bases, bases, CUT)
    return bases


def visited(
    network: FusionNetwork, weights: Mapping[str, Any], bases: Bases, path: Sequence[Weights], cut: float = VISITED
) -> tuple[Bases, float]:
    """V of what the full network passes through along a run of the narrow one, and the most that `bases` missed of it.

    path : weights of the narrow run, the first of them at t = 0
    cut : singular values of normalised columns below this share of the largest are left out

    Returns
    -------
    Bases
    float
        The largest share of a signal, pushed forward or pulled back, that lies outside of `bases`.
    """
    matrices = _matrices(network, weights)
    whole, units = _passed(network, matrices, bases, path)
    spans, leading = ({space: _span(one, share) for space, one in units.items()} for share in (cut, LEADING))
    return _with_images(matrices, whole | spans, whole | leading, VISITED), _missed(bases, units)


def missed(network: FusionNetwork, weights: Mapping[str, Any], bases: Bases, path: Sequence[Weights]) -> float:
    """The second part of `visited` alone."""
    return _missed(bases, _passed(network, _matrices(network, weights), bases, path)[1])


def _missed(bases: Bases, units: Mapping[Space, np.ndarray]) -> float:
    outside = [one - bases[space] @ (bases[space].T @ one) for space, one in units.items()]
    return max(float(np.max(np.linalg.norm(one, axis=0), initial=0.0)) for one in outside)


def _passed(
    network: FusionNetwork, matrices: dict[Layer, np.ndarray], bases: Bases, path: Sequence[Weights]
) -> tuple[Bases, dict[Space, np.ndarray]]:
    """The ends, whole; and of each space between what passes through it along the path, columns of length one."""
    moves = {
        layer: _Moves(
            bases[layer.writes],
            np.stack([now[layer.chain][layer.place] - path[0][layer.chain][layer.place] for now in path]),
            bases[layer.reads],
        )
        for layer in layers_of(network)
    }
    whole, columns = _signals(network, matrices, moves)
    return whole, {space: _unit(found) for space, found in columns.items()}


def projected(network: FusionNetwork, weights: Mapping[str, Any], bases: Bases) -> Weights:
    """V_l^T W_l V_(l-1) of every layer."""
    narrow: Weights = {name: [] for name in network.chains}
    for layer, w in _matrices(network, weights).items():
        narrow[layer.chain].append(bases[layer.writes].T @ w @ bases[layer.reads])
    return narrow


def _matrices(network: FusionNetwork, weights: Mapping[str, Any]) -> dict[Layer, np.ndarray]:
    return {layer: np.asarray(weights[layer.chain][layer.place], dtype=float) for layer in layers_of(network)}


class _Moves(NamedTuple):
    """What a layer has gained by each time of a path: left @ gained[s] @ right.T."""

    left: np.ndarray
    gained: np.ndarray
    right: np.ndarray


def _signals(
    network: FusionNetwork, matrices: dict[Layer, np.ndarray], moves: Mapping[Layer, _Moves] | None = None
) -> tuple[Bases, dict[Space, list[np.ndarray]]]:
    """The ends, whole; and of each space between what is pushed forward to it and pulled back, at each time."""
    ends = end_spaces(network)
    sizes = {layer.reads: w.shape[1] for layer, w in matrices.items()}
    sizes |= {layer.writes: w.shape[0] for layer, w in matrices.items()}
    whole: Bases = {space: np.eye(sizes[space]) for space in ends}
    count = 1 if moves is None else len(next(iter(moves.values())).gained)

    def through(w: np.ndarray, columns: list[np.ndarray], gain: _Moves | None) -> np.ndarray:
        """Columns (in, times, any) of one space to the next, (out, times, any)."""
        joined = np.concatenate(columns, axis=2)
        found = (w @ joined.reshape(len(joined), -1)).reshape(len(w), count, -1)
        if gain is None:
            return np.asarray(found)
        inner = np.einsum("sij,jsc->isc", gain.gained, np.tensordot(gain.right.T, joined, axes=1))
        return np.asarray(found + np.tensordot(gain.left, inner, axes=1))

    begin = {space: np.repeat(basis[:, None], count, axis=1) for space, basis in whole.items()}
    forward: dict[Space, list[np.ndarray]] = {space: [c] for space, c in begin.items() if space != OUTPUT}
    for layer, w in matrices.items():
        if layer.writes not in ends:
            gain = None if moves is None else moves[layer]
            forward.setdefault(layer.writes, []).append(through(w, forward[layer.reads], gain))
    backward: dict[Space, list[np.ndarray]] = {OUTPUT: [begin[OUTPUT]]}
    for layer, w in reversed(matrices.items()):
        if layer.reads not in ends:
            gain = None if moves is None else moves[layer]
            back = gain and _Moves(gain.right, gain.gained.transpose(0, 2, 1), gain.left)
            backward.setdefault(layer.reads, []).append(through(w.T, backward[layer.writes], back))
    inner = (space for space in sizes if space not in ends)
    return whole, {s: [c.reshape(len(c), -1) for c in forward[s] + backward[s]] for s in inner}


def _with_images(matrices: Mapping[Layer, np.ndarray], bases: Bases, of: Bases, cut: float) -> Bases:
    """The bases, and what the layers make of others: pushed forward and pulled back once; the ends as they are."""
    ends = {layer.reads for layer in matrices} ^ {layer.writes for layer in matrices}
    found: dict[Space, list[np.ndarray]] = {space: [] for space in bases}
    for layer, w in matrices.items():
        found[layer.writes].append(w @ of[layer.reads])
        found[layer.reads].append(w.T @ of[layer.writes])
    wider = dict(bases)
    for space in found.keys() - ends:
        basis, one = bases[space], _unit(found[space])
        left, values, _ = np.linalg.svd(one - basis @ (basis.T @ one), full_matrices=False)
        wider[space] = np.hstack([basis, left[:, values > cut]])
    return wider


def _unit(columns: list[np.ndarray]) -> np.ndarray:
    """Those that are not zero, of length one: each counts alike, however small it is."""
    joined = np.hstack(columns)
    sizes = np.linalg.norm(joined, axis=0)
    return np.asarray(joined[:, sizes > 0] / sizes[sizes > 0])


def _span(columns: np.ndarray, cut: float) -> np.ndarray:
    """Orthonormal columns of the span."""
    if not columns.shape[1]:
        return np.zeros((len(columns), 1))  # a dead layer stays dead at width one
    if columns.shape[1] > 2 * len(columns) and cut > SQUARED:
        squares, left = np.linalg.eigh(columns @ columns.T)
        left, values = left[:, ::-1], np.sqrt(np.maximum(squares[::-1], 0.0))
    else:
        left, values, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, values > cut * values[0]])
