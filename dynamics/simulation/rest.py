"""When a run with weight decay has come to its end: what is learned rests, and nothing small can grow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from derivations.critical.saddles import Course

STILL = 1e-5  # change of a layer in one time of its decay, as a share of it: then it rests
SMALL = 1e-2  # of the output that a modality has alone: less is not learned


class Rest:
    """Asks of layer norms and total weights, of many states at once (last axis).

    layers : (chain, place) of each row of `norms`
    """

    def __init__(self, courses: Sequence[Course], layers: Sequence[tuple[str, int]]) -> None:
        network, data = courses[0].network, [one.data for one in courses]
        names, self.spans = network.modalities, [data[0].span(m) for m in network.modalities]
        place = {layer: i for i, layer in enumerate(layers)}
        self.paths = [[place[c, i] for c in network.path(m) for i in range(network.chains[c].depth)] for m in names]
        self.own = [[place[m, i] for i in range(network.depths[m])] for m in names]
        self.decay = np.array([[one.terms.decay_of(chain) for chain, _ in layers] for one in courses]).T
        self.target = np.stack([np.atleast_2d(d.sigma_yx) for d in data], axis=-1)
        self.sigma = np.stack([np.asarray(d.sigma) for d in data], axis=-1)
        alone = [[d.regression((m,))[m] for m in names] for d in data]
        self.powers = np.array([
            [np.sum((w @ d.input_block(m, m)) * w) or np.inf for m, w in zip(names, own, strict=True)]
            for d, own in zip(data, alone, strict=True)
        ]).T  # fmt: skip

    def settled(
        self, norms: np.ndarray, speeds: np.ndarray, total: np.ndarray, ids: np.ndarray | slice = slice(None)
    ) -> np.ndarray:
        """(N,), from norms of layers and of their velocities (layers, N), and total weights (outputs, D, N).

        A small branch grows at |residual| times its path's layers but the two smallest, less its decay.
        """
        several = self.sigma.shape[2] > 1
        target, sigma = (self.target[..., ids], self.sigma[..., ids]) if several else (self.target, self.sigma)
        powers, decay = (self.powers[:, ids], self.decay[:, ids]) if several else (self.powers, self.decay)
        error = target - np.einsum("pdn,den->pen", total, sigma)
        done = np.ones(total.shape[2], dtype=bool)
        for columns, path, own, power in zip(self.spans, self.paths, self.own, powers, strict=True):
            still = np.all(speeds[own] <= STILL * decay[own] * norms[own], axis=0)
            part = np.einsum("pdn,den,pen->n", total[:, columns], sigma[columns, columns], total[:, columns])
            gain = np.prod(np.sort(norms[path], axis=0)[2:], axis=0)
            pull = np.sqrt(np.sum(error[:, columns] ** 2, axis=(0, 1))) * gain
            held = (part <= SMALL**2 * power) & (pull < np.min(decay[path], axis=0))
            done &= still | held
        return done
