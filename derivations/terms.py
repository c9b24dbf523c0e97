"""Terms: what a way of training adds to the gradient flow. Numbers only; `derivations.training` has the laws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from derivations.network import FusionNetwork


@dataclass(frozen=True)
class Terms:
    """Weight decay and gradient modulation beside dW/dt = -dloss/dW; none by default.

    decay : (chain, lambda) of each chain whose layers decay, dW/dt = ... - lambda W
    modulation : alpha of OGM: the encoder (all layers of a branch but the last) of the modality with the higher score
        takes 1 - tanh(alpha ratio of the scores) of its gradient
    """

    decay: tuple[tuple[str, float], ...] = ()
    modulation: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.decay) or self.modulation > 0

    def decay_of(self, chain: str) -> float:
        return dict(self.decay).get(chain, 0.0)

    @property
    def is_uniform(self) -> bool:
        """One decay for all layers: balance is restored, and kept where it is there."""
        return len({rate for _, rate in self.decay}) <= 1

    @classmethod
    def of(
        cls, network: FusionNetwork, weight_decay: float, rates: Mapping[str, float], modulation: float = 0.0
    ) -> Terms:
        """Decay of each chain: that of a branch goes with its learning rate."""
        decay = ((name, weight_decay * rates.get(name, 1.0)) for name, chain in network.chains.items() if chain.depth)
        return cls(tuple(decay) if weight_decay else (), modulation)


PLAIN = Terms()


def by_chain(terms: Terms, chains: Iterable[str]) -> dict[str, float]:
    decay = dict(terms.decay)
    return {chain: decay.get(chain, 0.0) for chain in chains}
