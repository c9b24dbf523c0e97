r"""The narrow network of a random start, drawn from its own law: no wide matrix is ever made.

`dynamics.starts.compression` needs W only through its action on some vectors, one after the other. The entries of W are
independent N(0, s^2) in any orthonormal bases. Given W v for v in C and W^T u for u in R (C, R orthonormal), what is
left, (1 - R R^T) W (1 - C C^T), is Gaussian and independent of them. So the bases may be chosen as the vectors come:
with v orthogonal to C, W v has the components that are already drawn along the directions met so far, and beyond them
one new direction, of length s times a chi variable with as many degrees of freedom as there are directions left. Its
entries against all others are normal, but zero against C and R. For two layers this is Bartlett's decomposition of a
Wishart matrix. The cost does not depend on the width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from derivations import Correlations, FusionNetwork
from derivations.network import layer_shapes
from dynamics.starts.compression import Layer, Space, end_spaces, layers_of
from dynamics.starts.weights import Weights, start_norms

NEW = 1e-12  # length below which a unit vector lies in the span of those asked before


class NarrowDraw:
    """The narrow networks of one random start at any number of rounds; more rounds extend the same draw.

    Distributed as `compressed(network, random_weights(network, data, u0, width), rounds)` for a random seed, up to
    rotations of the hidden units, which no total weight sees.

    Examples
    --------
    >>> net, data = FusionNetwork.fused_at(4, 4), Correlations.scalar(2, 1, 0.5)
    >>> [w.shape for w in NarrowDraw(net, data, 0.1, width=10**6, seed=0).rounds(1)["A"]]
    [(3, 1), (4, 3), (3, 4), (1, 3)]
    """

    def __init__(
        self, network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int, seed: int
    ) -> None:
        self._network, self._width, self._rng = network, width, np.random.default_rng(seed)
        norms, shapes = start_norms(network, u0), layer_shapes(network, data.sizes, data.outputs, width)
        drawn = layer_shapes(network, data.drawn_sizes, data.outputs, width)
        self._layers = layers_of(network)
        self._ends = end_spaces(network)
        self._scale = {}
        self._met: dict[Space, int] = {}  # directions met so far
        for layer in self._layers:
            out, into = shapes[layer.chain][layer.place]
            self._scale[layer] = norms[layer.chain] / math.sqrt(math.prod(drawn[layer.chain][layer.place]))
            self._met[layer.reads] = into if layer.reads in self._ends else 0
            self._met[layer.writes] = out if layer.writes in self._ends else 0
        size = self._met
        self._w = {
            one: self._rng.normal(size=(size[one.writes], size[one.reads])) * self._scale[one] for one in self._layers
        }  # a layer between two ends is all there is
        # what has been asked: vectors pushed forward from the input side, pulled back from the output side
        self._asked = {one: [np.zeros((size[one.reads], 0)), np.zeros((size[one.writes], 0))] for one in self._layers}
        self._sizes: list[dict[Space, int]] = []  # directions met after each round

    def rounds(self, count: int) -> Weights:
        """The narrow network after `count` rounds; drawn once, so fewer rounds are the same start."""
        while len(self._sizes) <= count:
            if self._sizes:
                met = dict(self._met)
                for layer in self._layers:
                    for side, space in enumerate((layer.reads, layer.writes)):
                        for direction in np.eye(met[space]):
                            self._ask(layer, side, direction)
            else:
                self._through()
            self._sizes.append(dict(self._met))
        size = self._sizes[count]
        found: Weights = {name: [] for name in self._network.chains}
        for layer in self._layers:
            found[layer.chain].append(self._w[layer][: size[layer.writes], : size[layer.reads]].copy())
        return found

    def _through(self) -> None:
        """Inputs pushed forward to the output, the output pulled back to the inputs."""
        for side, layers in enumerate((self._layers, self._layers[::-1])):
            found = {space: list(np.eye(self._met[space])) for space in self._ends}
            for layer in layers:
                begin, end = _spaces(layer, side)
                for vector in found[begin]:
                    image = self._ask(layer, side, vector)
                    if end not in self._ends:
                        found.setdefault(end, []).append(image)

    def _ask(self, layer: Layer, side: int, vector: np.ndarray) -> np.ndarray:
        """W v (side 0) or W^T v (side 1) along the directions met, of which it may add one."""
        begin, end = _spaces(layer, side)
        vector = np.pad(vector, (0, self._met[begin] - len(vector))) / (np.linalg.norm(vector) or 1.0)
        asked = self._asked[layer][side]
        rest = vector - asked @ (asked.T @ vector)
        if np.linalg.norm(rest) > NEW:
            unit = rest / np.linalg.norm(rest)
            asked = self._asked[layer][side] = np.column_stack([asked, unit])
            left = 0 if end in self._ends else self._width - self._met[end]
            if left > 0:
                beyond = self._scale[layer] * math.sqrt(self._rng.chisquare(left))
                self._meet(end, layer, self._fresh(layer, side) + beyond * unit)
        return np.asarray((self._w[layer].T if side else self._w[layer]) @ vector)

    def _meet(self, space: Space, by: Layer, entries: np.ndarray) -> None:
        """One more direction in a space: `entries` of the layer that found it, fresh ones of its neighbours."""
        self._met[space] += 1
        for layer in self._layers:
            for side in (0, 1):
                if _spaces(layer, side)[1] == space:
                    line = entries if layer == by else self._fresh(layer, side)
                    table = self._w[layer]
                    self._w[layer] = np.column_stack([table, line]) if side else np.vstack([table, line])
                    self._asked[layer][1 - side] = np.pad(self._asked[layer][1 - side], ((0, 1), (0, 0)))

    def _fresh(self, layer: Layer, side: int) -> np.ndarray:
        """Normal entries against a new direction; zero along what has been asked, whose image is complete."""
        asked = self._asked[layer][side]
        draw = self._rng.normal(size=len(asked))
        return np.asarray(self._scale[layer] * (draw - asked @ (asked.T @ draw)))


def _spaces(layer: Layer, side: int) -> tuple[Space, Space]:
    """From where to where: forward on side 0, back on side 1."""
    return (layer.writes, layer.reads) if side else (layer.reads, layer.writes)
