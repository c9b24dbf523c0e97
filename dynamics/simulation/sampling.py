"""Errors of a step from the samples themselves: masks, batches and scores as training has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from derivations.samples import Samples
from dynamics.recipe import Recipe


class Sampled:
    """Rows, in the units of the effective data, as steps of training see them.

    Each call of `step` takes the next batch of a shuffled epoch, with masks of its own.
    """

    def __init__(self, samples: Samples, recipe: Recipe, seed: int) -> None:
        self.inputs = samples.inputs
        self.targets, self.count = samples.targets, samples.count
        self.size = min(recipe.batch_size or self.count, self.count)
        self.dropout = {m: p for m, p in recipe.dropout.items() if p}
        self.unimodal = recipe.unimodal_loss
        self.rng = np.random.default_rng([seed, 1])  # apart from the stream that draws the start
        self.batches = self._batches()

    @property
    def is_noisy(self) -> bool:
        return self.size < self.count or bool(self.dropout)

    def _batches(self) -> Iterator[np.ndarray | slice]:
        while True:
            if self.size == self.count:
                yield slice(None)
                continue
            order = self.rng.permutation(self.count)
            for begin in range(0, self.count - self.size + 1, self.size):
                yield order[begin : begin + self.size]

    def step(self, totals: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """e_m = <(y - y_hat) x_m^T> over a batch, and the mean squared error that each modality alone leaves, (M, 1).

        The second line of (14a). Unimodal losses add <(y - W_m x_m) x_m^T>.
        """
        rows = next(self.batches)
        inputs = {m: x[rows] for m, x in self.inputs.items()}
        for m, p in self.dropout.items():
            inputs[m] = inputs[m] * (self.rng.random((len(inputs[m]), 1)) >= p)
        targets = self.targets[rows]
        outputs = {m: x @ totals[m].T for m, x in inputs.items()}
        misfit, count = targets - sum(outputs.values()), len(targets)
        alone = {m: targets - output for m, output in outputs.items()}
        errors = {m: (misfit + self.unimodal * alone[m]).T @ x / count for m, x in inputs.items()}
        return errors, np.array([[np.sum(miss**2) / count] for miss in alone.values()])
