"""At which width a start is run: narrow, wider until runs agree, or in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from derivations.correlations import Correlations
from derivations.errors import DomainError
from derivations.network import FusionNetwork, layer_shapes
from dynamics.checks import checked_integer
from dynamics.starts.compression import compressed
from dynamics.starts.narrow_law import NarrowDraw
from dynamics.starts.weights import WIDEST, Weights, random_weights, require_rank

LARGEST_DRAWN = 2000  # width up to which every weight of a random start is drawn; beyond it the narrow network is


@dataclass(frozen=True)
class InitialWeights:
    """Weights at t = 0 that may be had narrow.

    entries : how many weights the network has at its full width
    narrow(rounds) : the narrow network, exact for two layers
    full() : all weights; a DomainError where there are too many
    """

    entries: int
    narrow: Callable[[int], Weights]
    full: Callable[[], Weights]


def given_start(network: FusionNetwork, weights: Weights) -> InitialWeights:
    return InitialWeights(count(weights), lambda rounds: compressed(network, weights, rounds), lambda: weights)


def random_start(
    network: FusionNetwork,
    data: Correlations,
    u0: float | Mapping[str, float],
    width: int,
    seed: int,
    kept: bool = True,
) -> InitialWeights:
    """Every weight drawn up to a width of LARGEST_DRAWN, beyond it the narrow network from its own law.

    kept : hold the wide weights; else they are drawn again for each call
    """
    width, seed = checked_integer(width, "width", 1, WIDEST), checked_integer(seed, "seed", 0)
    shapes = layer_shapes(network, data.sizes, data.outputs, width)
    entries = sum(out * into for layers in shapes.values() for out, into in layers)

    def drawn() -> Weights:
        weights = random_weights(network, data, u0, width, seed)
        require_rank(network, data, weights)
        return weights

    if width <= LARGEST_DRAWN and kept:
        return given_start(network, drawn())
    if width <= LARGEST_DRAWN:
        return InitialWeights(entries, lambda rounds: compressed(network, drawn(), rounds), drawn)

    def refuse() -> Weights:
        raise DomainError(f"width must be at most {LARGEST_DRAWN} to run in full, got {width}; or give the weights")

    return InitialWeights(entries, NarrowDraw(network, data, u0, width, seed).rounds, refuse)


def is_exact(network: FusionNetwork) -> bool:
    """Two layers: the narrow network is exact without a round."""
    return bool(max(network.path_depths.values()) <= 2)


def count(weights: Weights) -> int:
    return sum(w.size for layers in weights.values() for w in layers)
