r"""The typical network of a random start: what a wide random network looks like to its own flow.

A layer h x h with entries of variance (u/h)^2 turns any fixed unit vector into a new direction, of length u/sqrt(h) up
to a share of order h^(-1/2): that is how the width enters the times. So a hidden node needs one direction for each
input that is pushed forward to it and one for each output that is pulled back, and to leading order in h^(-1/2) all of
them are orthogonal. What is left is a deterministic narrow network, whose flow takes milliseconds at any width.

What varies from seed to seed, to the same order, are the lengths of these images (each normal in the limit, with
relative deviation 1/sqrt(2h)) and the cosines between them (1/sqrt(h)). One run for each gives the spread of the
half-times over seeds, by propagation of errors. Heuristic: an idealisation, exact as h tends to infinity at fixed
scaled time; the next order is 1/h.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from derivations.correlations import spans_of
from derivations.critical.saddles import Course
from derivations.network import TRUNK
from dynamics.checks import checked_integer
from dynamics.starts.weights import Weights, start_norms

STEP = 0.5  # of a standard deviation: the difference quotients of the spread


def median_length(width: int) -> float:
    """Median of |v|, v of `width` entries of variance 1/width (Wilson and Hilferty; 0.035/width^2 too large)."""
    return float((1 - 2 / (9 * width)) ** 1.5)


def typical_weights(network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int) -> Weights:
    """The narrow deterministic network that random ones of this width look like; chain name -> [(out, in), ...].

    A hidden node below a fusion has d_m + outputs units, a fused one the sum of its modalities' d_m plus outputs.

    Raises
    ------
    DomainError
        Where the width does not exceed the directions that a node must hold.

    Examples
    --------
    >>> net, data = FusionNetwork.fused_at(3, 2), Correlations.scalar(2, 1, 0.5)
    >>> w = typical_weights(net, data, 0.1, width=100)
    >>> [layer.shape for layer in w["A"] + w["trunk"]]
    [(2, 1), (3, 2), (1, 3)]
    """
    width = checked_integer(width, "width", 1)
    needed = sum(data.sizes.values()) + data.outputs
    if width < needed:
        raise DomainError(f"the typical network needs a width of at least inputs and outputs, {needed}, got {width}")
    norms, out, length = start_norms(network, u0), data.outputs, median_length(width)
    weights: Weights = {}
    for name, chain in network.chains.items():
        norm, inputs = norms[name], sum(data.sizes[m] for m in chain.modalities)
        place, room = _in_parent(network, data, name)
        layers = []
        for i in range(int(chain.depth)):
            first, last = i == 0 and not chain.children, _puts_out(network, name, i)
            before, after = (0, inputs) if i < chain.depth - 1 or name == TRUNK else (place, room)
            scale = length * norm / math.sqrt(data.drawn_sizes[name] if first else width)
            if last:
                layer = np.zeros((out, inputs + out))
                layer[:, inputs:] = length * norm / math.sqrt(out) * np.eye(out)
            else:
                layer = np.zeros((after + out, inputs if first else inputs + out))
                layer[before : before + inputs, :inputs] = scale * np.eye(inputs)
                if not first:
                    layer[after:, inputs:] = scale * np.eye(out)
            layers.append(layer)
        weights[name] = layers
    return weights


def _puts_out(network: FusionNetwork, name: str, place: int) -> bool:
    """Whether this layer's output is the network's."""
    whole = name == TRUNK or (network.parents[name] == TRUNK and network.trunk.depth == 0)
    return bool(whole and place == network.chains[name].depth - 1)


def _in_parent(network: FusionNetwork, data: Correlations, name: str) -> tuple[int, int]:
    """Where a chain's inputs stand among those of the node that it is fused into, and how many these are."""
    if name == TRUNK:
        return 0, sum(data.sizes.values())
    siblings = network.chains[network.parents[name]].children
    sizes = {c.name: sum(data.sizes[m] for m in c.modalities) for c in siblings}
    return spans_of(sizes)[name].start, sum(sizes.values())


@dataclass(frozen=True)
class Variation:
    """One random number of the start: its standard deviation, the entries of a layer that it changes, and how.

    block : added to them, times the entry (place, 0) of the layer: images turned; None where they grow by a share
    """

    deviation: float
    chain: str
    layer: int
    rows: slice
    columns: slice
    block: np.ndarray | None = None
    place: int = 0


def variations(plan: Course, width: int) -> list[Variation]:
    """Lengths of images, forward and back, and the cosines that matter to first order."""
    found, network, data = [], plan.network, plan.data
    length, cosine = 1 / math.sqrt(2 * width), 1 / math.sqrt(width)
    for name, chain in network.chains.items():
        inputs = sum(data.sizes[m] for m in chain.modalities)
        for i in range(int(chain.depth)):
            first = i == 0 and not chain.children
            if not _puts_out(network, name, i):
                # columns of each modality among the forward directions of a chain
                spans = [slice(None)] if first else spans_of({m: data.sizes[m] for m in chain.modalities}).values()
                found += [Variation(length, name, i, slice(None), columns) for columns in spans]
            if not first:
                found.append(Variation(length, name, i, slice(None), slice(inputs, None)))
    for m in data.modalities:
        shallow = network.depths[m] == 1
        if shallow and network.trunk.depth == 0 and network.parents[m] == TRUNK:
            continue
        along, across = _directions(plan, m)
        place = _in_parent(network, data, m)[0] if shallow else 0
        back = np.atleast_2d(np.eye(data.outputs)[0]).T @ along[None]
        turns = [(cosine, slice(-data.outputs, None), back)]
        if across is not None:
            layers = math.sqrt(max(network.depths[m] - 1, 1))
            rows = slice(place, place + data.sizes[m])
            turns.append((cosine * layers, rows, np.outer(along, across)))
            turns.append((length * layers, rows, np.outer(across, across)))
        found += [Variation(size, m, 0, rows, slice(None), block, place) for size, rows, block in turns]
    return found + _meetings(plan, cosine)


def _meetings(plan: Course, cosine: float) -> list[Variation]:
    """Images of two modalities in the node where they meet are not orthogonal."""
    found, network, data = [], plan.network, plan.data
    for name, parent in network.chains.items():
        if name == TRUNK and network.trunk.depth == 0:
            continue
        for child, other in permutations(parent.children, 2):
            (begin, _), (end, _) = _in_parent(network, data, child.name), _in_parent(network, data, other.name)
            m, n = child.modalities[0], other.modalities[0]
            block = np.outer(_directions(plan, n)[0], _directions(plan, m)[0])
            rows, columns = slice(end, end + data.sizes[n]), slice(0, data.sizes[m])
            found.append(Variation(cosine, child.name, -1, rows, columns, block, begin))
    return found


def _directions(plan: Course, m: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Unit vectors of the inputs: along Sigma_yx, and along what the plateau or the residual has beside it."""
    data = plan.data
    row = data.target_block(m)[0]
    along = row / np.linalg.norm(row) if np.any(row) else np.eye(data.sizes[m])[0]
    if data.sizes[m] == 1:
        return along, None
    other = plan.plateaus[m][0]
    rest = other - along * (other @ along)
    if np.linalg.norm(rest) <= 1e-9 * np.linalg.norm(other):
        return along, None
    return along, rest / np.linalg.norm(rest)


def moved(weights: Weights, variation: Variation, deviations: float = STEP) -> Weights:
    """The typical network after so many deviations of one random number."""
    changed = {name: [layer.copy() for layer in layers] for name, layers in weights.items()}
    layer, amount = changed[variation.chain][variation.layer], deviations * variation.deviation
    if variation.block is None:
        layer[:, variation.columns] *= 1 + amount
    else:
        layer[variation.rows, variation.columns] += amount * layer[variation.place, 0] * variation.block
    return changed
