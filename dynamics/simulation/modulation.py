"""On-the-fly gradient modulation (OGM): what an encoder takes of its gradient, from the scores of both modalities.

The score of a modality is one over the mean squared error of the network with that modality alone. Where its score is
higher, the encoder takes k = 1 - tanh(alpha ratio of the scores), (141), else all. A flow switches over within EDGE
of equality, each encoder modulated for a share of the time, so that it can stay there as steps do that zigzag, (143).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from derivations import Correlations, FusionNetwork

EDGE = 0.05  # of what both explain: half-times move by less than 1 % against a tenth of it
LARGEST_RATIO = 1e9  # beyond it nothing is left of the gradient


def encoders(network: FusionNetwork) -> dict[tuple[str, int], str]:
    """(chain, layer) of every encoder's layer -> modality: its branch, in late fusion but for the last layer.

    That layer is a part of the head, which reads all branches and is not modulated.
    """
    late = network.trunk.depth == 0
    return {(m, i): m for m, depth in network.depths.items() for i in range(depth - 1 if late else depth)}


def shares(data: Sequence[Correlations]) -> Callable[..., np.ndarray]:
    """The function of total weights (outputs, D, N) that gives k of each modality, (M, N); one data set or one each."""
    power = np.array([float(np.trace(np.atleast_2d(d.sigma_yy))) for d in data])
    spans = [data[0].span(m) for m in data[0].modalities]
    target = np.stack([np.atleast_2d(d.sigma_yx) for d in data], axis=-1)
    sigma = np.stack([np.asarray(d.sigma) for d in data], axis=-1)
    one = len(data) == 1

    def found(total: np.ndarray, alpha: Any, active: Any = slice(None)) -> np.ndarray:
        y, s, p = (target, sigma, power) if one else (target[..., active], sigma[..., active], power[active])
        gains = np.stack([
            np.sum(total[:, c] * (2 * y[:, c] - np.einsum("pdn,den->pen", total[:, c], s[c, c])), axis=(0, 1))
            for c in spans
        ])  # fmt: skip
        sizes = np.where(np.real(gains) < 0, -gains, gains)  # states may be complex (`full_system`)
        ahead = (gains - gains[::-1]) / np.maximum(np.sum(sizes, axis=0), 1e-300)
        on = np.clip((1 + ahead / EDGE) / 2, 0.0, 1.0)  # at equality each is modulated for half of the time
        return kept(p - gains, alpha, on * on * (3 - 2 * on))

    return found


def kept(misses: np.ndarray, alpha: Any, on: np.ndarray | None = None) -> np.ndarray:
    """k of both modalities from the errors that each alone leaves, (2, N).

    on : how far modulation is switched on; without it by which error is the smaller one. Near zero weights the errors
        are equal to rounding, so that a flow has to say
    """
    ratio = np.clip(misses[::-1] / np.maximum(misses, 1e-300), 1.0, LARGEST_RATIO)
    return np.asarray(1 - (ratio > 1 if on is None else on) * np.tanh(alpha * ratio))
