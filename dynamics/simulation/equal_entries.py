"""Networks of equal entries, (146): every layer is a number times signs, the first one a row for each modality.

W_1 = s a^T,   W_l = c_l s s'^T,   W_L = b s'^T,       s, s' of signs +-1, h units
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from derivations import Correlations, FusionNetwork
from derivations.network import TRUNK
from dynamics.simulation.optimizers import Arrays, Stepper
from dynamics.starts.weights import Weights

TYPICAL = math.sqrt(2 / math.pi)  # mean size of a normal entry, in deviations


class Manifold:
    """Networks of equal entries: a state holds the rows a of all modalities (D,), then a number for each other layer.

    Total weights are h^(L - 1) a times the product of a branch's numbers, h^(L-1) b prod c_l a^T.
    """

    def __init__(self, network: FusionNetwork, data: Correlations, width: int) -> None:
        names = data.modalities
        self.network, self.data, self.width = network, data, width
        self.layers = [(n, i) for n, c in network.chains.items() for i in range(int(c.depth)) if c.children or i]
        sizes = [data.sizes[m] for m in names]
        self.begins, self.owner = np.cumsum([0, *sizes[:-1]]), np.repeat(np.arange(len(names)), sizes)
        depths = np.array([network.path_depths[m] for m in names])
        self.scale = float(width) ** (depths - 1)
        self.first = np.where(depths > 1, float(width), 1.0)[self.owner]  # entries of a column of the first layer
        self.entries = np.array([float(width if is_last(network, *layer) else width**2) for layer in self.layers])
        self.on = np.array([[name in network.path(m) for name, _ in self.layers] for m in names])
        self.others = self.on[:, None, :] & self.on[:, :, None] & ~np.eye(len(self.layers), dtype=bool)

    def factors(self, rates: Mapping[str, float]) -> list[np.ndarray]:
        """Of the learning rate of every number, where branches have their own."""
        row = np.array([rates.get(m, 1.0) for m in self.data.modalities])[self.owner]
        return [np.concatenate([row, [rates.get(name, 1.0) for name, _ in self.layers]])]

    def start(self, norms: Mapping[str, float]) -> Arrays:
        """Entries of the mean size of a random start, rows along the signs of Sigma_yx."""
        sizes = np.array([norms[m] / math.sqrt(self.data.drawn_sizes[m]) for m in self.data.modalities])
        row = np.sign(np.ravel(self.data.sigma_yx)) * sizes[self.owner] / np.sqrt(self.first)
        inner = [norms[name] / math.sqrt(count) for (name, _), count in zip(self.layers, self.entries, strict=True)]
        return [TYPICAL * np.concatenate([row, inner])]

    def total(self, state: Arrays) -> np.ndarray:
        row, numbers = self._parts(state)
        return np.asarray(self._whole(numbers) * row)

    def downhill(self, state: Arrays, error: np.ndarray) -> Arrays:
        """Of each entry, -dloss/dW: the chain rule, over the entries that share a number."""
        row, numbers = self._parts(state)
        pull = np.add.reduceat(row * error, self.begins)
        inner = pull @ self._without(numbers) / self.entries
        return [np.concatenate([self._whole(numbers) / self.first * error, inner])]

    def _parts(self, state: Arrays) -> tuple[np.ndarray, np.ndarray]:
        """The rows of all modalities, and the numbers."""
        return state[0][: len(self.owner)], state[0][len(self.owner) :]

    def _whole(self, numbers: np.ndarray) -> np.ndarray:
        """Total weights over rows, (D,)."""
        return np.asarray(self.scale * np.multiply.reduce(np.where(self.on, numbers, 1.0), axis=1))[self.owner]

    def _without(self, numbers: np.ndarray) -> np.ndarray:
        """The product of a branch's other numbers, (modalities, layers)."""
        rest = np.multiply.reduce(np.where(self.others, numbers, 1.0), axis=2)
        return np.where(self.on, self.scale[:, None] * rest, 0.0)

    def spread(self, state: Arrays, each: np.ndarray) -> Arrays:
        """Variance of `downhill` over errors of single rows, (P, D)."""
        row, numbers = self._parts(state)
        slopes = row[:, None] * self._without(numbers)[self.owner] / self.entries
        return [
            np.concatenate(
                [(self._whole(numbers) / self.first) ** 2 * np.var(each, axis=0), np.var(each @ slopes, axis=0)]
            )
        ]

    def weights(self, state: Arrays, rng: np.random.Generator) -> Weights:
        """Every weight of such a network, with random signs."""
        row, numbers = self._parts(state)
        of = dict(zip(self.layers, numbers.tolist(), strict=True))
        found: Weights = {name: [] for name in self.network.chains}
        nodes = {name: _signs(rng, self.width) for name in self.network.chains}  # of what a chain begins with
        for name, chain in self.network.chains.items():
            below = nodes[name]
            for i in range(int(chain.depth)):
                whole = is_last(self.network, name, i)
                ends = i == chain.depth - 1
                above = np.ones(1) if whole else nodes[self.network.parents[name]] if ends else _signs(rng, self.width)
                if (name, i) in of:
                    found[name].append(of[name, i] * np.outer(above, below))
                else:
                    found[name].append(np.outer(above, row[self.data.span(name)]))
                below = above
        return found

    def read_off(self, weights: Weights, move: Stepper) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """State, mean and root square of the gradient of the network of equal entries that is nearest to these weights.

        The square is such that the mean step stays what it is.
        """
        places = [(name, i) for name in weights for i in range(len(weights[name]))]
        memory = {place: (m, np.sqrt(v)) for place, m, v in zip(places, move.mean, move.square, strict=True)}
        found: dict[tuple[str, int], np.ndarray] = {}
        nodes: dict[str, np.ndarray] = {}

        def down(name: str, above: np.ndarray) -> None:
            for i in reversed(range(len(weights[name]))):
                layer = weights[name][i]
                mean, root = memory[name, i]
                leaf = (name, i) not in self.layers
                below = np.eye(layer.shape[1]) if leaf else _sign(above @ layer)[:, None] / layer.shape[1]
                with np.errstate(divide="ignore", invalid="ignore"):
                    pace = np.where(root > 0, mean / root, 0.0)
                now, moved, step = (above @ a @ below / len(above) for a in (layer, mean, pace))
                plain = np.ones(len(above)) @ root @ np.abs(below) / len(above)
                clear = np.abs(step) > 0.1
                found[name, i] = np.array([now, moved, np.where(clear, moved / np.where(clear, step, 1.0), plain)])
                above = above if leaf else np.ravel(below) * layer.shape[1]
            nodes[name] = above

        for name in reversed(list(self.network.chains)):
            parent = self.network.parents.get(name)
            ends = parent is None or (parent == TRUNK and not self.network.trunk.depth)
            down(name, np.ones(1) if ends else nodes[str(parent)])
        rows = [found[m, 0] for m in self.data.modalities]
        packed = np.concatenate([*rows, *(found[layer].reshape(3, 1) for layer in self.layers)], axis=1)
        return packed[0], packed[1], packed[2]


def _signs(rng: np.random.Generator, width: int) -> np.ndarray:
    return rng.choice([-1.0, 1.0], width)


def _sign(values: np.ndarray) -> np.ndarray:
    return np.where(values < 0, -1.0, 1.0)


def is_last(network: FusionNetwork, name: str, i: int) -> bool:
    """Whether this layer puts out what the network does."""
    whole = name == TRUNK or (network.parents[name] == TRUNK and network.trunk.depth == 0)
    return bool(whole and i == network.chains[name].depth - 1)
