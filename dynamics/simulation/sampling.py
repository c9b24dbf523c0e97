"""Errors of a step from the samples themselves: masks, batches and scores as training has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from derivations.samples import Samples
from dynamics.recipe import Loss, Recipe
from dynamics.simulation.logistic import labelled, logistic


class Sampled:
    """Rows, in the units of the effective data, as steps of training see them.

    Each call of `step` takes the next batch of a shuffled epoch, with masks of its own.
    """

    def __init__(self, samples: Samples, recipe: Recipe, seed: int) -> None:
        self.has_labels = recipe.loss is Loss.LOGISTIC
        samples = labelled(samples) if self.has_labels else samples
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

        The second line of (14a). Unimodal losses add <(y - W_m x_m) x_m^T>. With logistic loss the drive (36) of each
        row, y/(1 + exp(y y_hat)), stands for y - y_hat, and one over the mean probability of the right label for what
        a modality leaves.
        """
        rows = next(self.batches)
        inputs = {m: x[rows] for m, x in self.inputs.items()}
        for m, p in self.dropout.items():
            inputs[m] = inputs[m] * (self.rng.random((len(inputs[m]), 1)) >= p)
        targets = self.targets[rows]
        outputs = {m: x @ totals[m].T for m, x in inputs.items()}
        count = len(targets)
        if self.has_labels:
            drive = logistic(targets, sum(outputs.values()))[1]
            right = [1 - np.mean(np.abs(logistic(targets, output)[1])) for output in outputs.values()]
            return {m: drive.T @ x / count for m, x in inputs.items()}, 1 / np.array(right)[:, None]
        misfit = targets - sum(outputs.values())
        alone = {m: targets - output for m, output in outputs.items()}
        errors = {m: (misfit + self.unimodal * alone[m]).T @ x / count for m, x in inputs.items()}
        return errors, np.array([[np.sum(miss**2) / count] for miss in alone.values()])
