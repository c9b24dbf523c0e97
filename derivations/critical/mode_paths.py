"""Networks whose paths share no layer, late or early fusion and trees of both: what several outputs are solved on.

A path is a chain of layers from some modalities, read side by side, to the output: W_m^tot = W^n ... W^1, with the
first layer of all its modalities as one matrix. Everything about several outputs is a sum over such paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations.correlations import Correlations
from derivations.errors import DomainError
from derivations.network import TRUNK, Chain, FusionNetwork

Weights = Mapping[str, Sequence[Any]]
SHARED = "modes of several outputs are listed for early and late fusion: {} has layers of its own before {}"


@dataclass(frozen=True)
class Path:
    """Layers from some modalities to the output that nothing else passes.

    name : of the chain that reads the modalities, "A", or "A+B" where they are fused after one layer
    modalities : what its first layer reads, side by side
    rest : chain and place of the layers after the first one, input side first
    """

    name: str
    modalities: tuple[str, ...]
    rest: tuple[tuple[str, int], ...]

    @property
    def depth(self) -> int:
        return 1 + len(self.rest)

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        """Chain and place of every layer; the first layers of all modalities come first."""
        return (*((m, 0) for m in self.modalities), *self.rest)

    def layers(self, weights: Weights) -> list[np.ndarray]:
        """(out, in) of each layer, input side first."""
        first = np.hstack([np.asarray(weights[m][0], dtype=float) for m in self.modalities])
        return [first, *(np.asarray(weights[name][i], dtype=float) for name, i in self.rest)]

    def columns(self, data: Correlations) -> np.ndarray:
        """Places in Sigma of the inputs it reads."""
        return np.concatenate([np.arange(len(data.sigma))[data.span(m)] for m in self.modalities])


def paths_of(network: FusionNetwork) -> tuple[Path, ...]:
    """The paths of a network, in the order of its modalities.

    Raises
    ------
    DomainError
        Where a layer is shared by modalities of which one has more than one layer before: their modes mix there.

    Examples
    --------
    >>> [(path.name, path.depth) for path in paths_of(FusionNetwork.fused_at(2, 2))]
    [('A', 2), ('B', 2)]
    >>> [(path.name, path.depth) for path in paths_of(FusionNetwork.fused_at(3, 1))]
    [('A+B', 3)]
    """
    if network.is_symbolic:
        raise DomainError("several outputs need numbers for depths, got symbols")
    return tuple(_paths(network.trunk, TRUNK))


def _paths(chain: Chain, name: str) -> Iterator[Path]:
    own = tuple((name, i) for i in range(int(chain.depth)))
    if not chain.children:
        yield Path(name, chain.modalities, own[1:])
    elif not own:
        for child in chain.children:
            yield from _paths(child, child.name)
    elif len(chain.children) == 1 and not chain.children[0].children:  # a network with a single modality
        (child,) = chain.children
        yield Path(child.name, child.modalities, (*((child.name, i) for i in range(1, int(child.depth))), *own))
    elif all(not child.children and child.depth == 1 for child in chain.children):
        yield Path(chain.name, chain.modalities, own)
    else:
        ahead = next(child for child in chain.children if child.children or child.depth > 1)
        raise DomainError(SHARED.format(ahead.name, "the trunk" if name == TRUNK else f"those of {name}"))


def weights_of(network: FusionNetwork, data: Correlations, layers: Mapping[str, Sequence[np.ndarray]]) -> Any:
    """The reverse of `Path.layers`: path name -> layers, back to chain name -> layers."""
    found: dict[str, list[np.ndarray]] = {name: [np.zeros(0)] * int(c.depth) for name, c in network.chains.items()}
    for path in paths_of(network):
        first, *rest = layers[path.name]
        ends = np.cumsum([data.sizes[m] for m in path.modalities])[:-1]
        for m, block in zip(path.modalities, np.split(first, ends, axis=1), strict=True):
            found[m][0] = block
        for (name, i), layer in zip(path.rest, rest, strict=True):
            found[name][i] = layer
    return found


# ---- Units: inputs at variance one. No rank and no sign depends on them, but rounding does.


def unit_variances(data: Correlations) -> tuple[Correlations, np.ndarray]:
    """The same problem with inputs divided by their standard deviations, and these, (D,); constant inputs stay."""
    if "unit variances" not in data.kept:
        spread = np.sqrt(np.diag(data.sigma))
        spread = np.where(spread > 0, spread, 1.0)
        sigma, target = data.sigma / spread / spread[:, None], np.atleast_2d(data.sigma_yx) / spread
        data.kept["unit variances"] = Correlations(sigma, target, data.sizes, data.sigma_yy), spread
    found: tuple[Correlations, np.ndarray] = data.kept["unit variances"]
    return found


def rescaled_first_layers(data: Correlations, weights: Weights, factors: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Weights with the columns of the layers that read the inputs multiplied, (D,)."""
    found = {name: [np.asarray(w, dtype=float) for w in layers] for name, layers in weights.items()}
    for m in data.modalities:
        found[m] = [found[m][0] * factors[data.span(m)], *found[m][1:]]
    return found
