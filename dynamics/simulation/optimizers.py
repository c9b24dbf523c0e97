"""Steps of the optimizers that people train with, entry by entry, as PyTorch takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynamics.recipe import Optimizer, Recipe

Arrays = list[np.ndarray]


class Stepper:
    """One step after the other; what an optimizer remembers is kept here.

    L2 weight decay is a part of the gradient that is given; AdamW's, beside it, is taken here. RMSprop forgets squares
    at betas[1]; sign descent goes along the signs of the mean of gradients.

    factors : on the learning rate of each array, or of its entries; None for one rate
    mean, square : of gradients, for each array; count : steps taken
    """

    def __init__(self, recipe: Recipe, rate: float, factors: Sequence[Any] | None = None) -> None:
        self.recipe, self.rate, self.factors, self.count = recipe, rate, factors, 0
        self.mean: Arrays = []
        self.square: Arrays = []

    def __call__(
        self, weights: Sequence[np.ndarray], downhill: Sequence[np.ndarray], spread: Sequence[np.ndarray] | None = None
    ) -> Arrays:
        """Weights after a step along -gradients `downhill`, which have the variances `spread` over batches."""
        recipe, (first, second) = self.recipe, self.recipe.betas
        self.count += 1
        if not self.mean:
            self.mean = [np.zeros_like(w) for w in weights]
            self.square = [np.zeros_like(w) for w in weights]
        rates = [self.rate * f for f in self.factors] if self.factors is not None else [self.rate] * len(weights)
        if recipe.optimizer is Optimizer.ADAMW:
            weights = [w * (1 - rate * recipe.weight_decay) for w, rate in zip(weights, rates, strict=True)]
        found = []
        for i, (w, g, rate) in enumerate(zip(weights, downhill, rates, strict=True)):
            mean, square = self.mean, self.square
            if recipe.optimizer is Optimizer.SGD:
                mean[i] = recipe.momentum * mean[i] + g
                found.append(w + rate * (g + recipe.momentum * mean[i] if recipe.nesterov else mean[i]))
                continue
            if recipe.optimizer is Optimizer.SIGN:
                mean[i] = recipe.momentum * mean[i] + (1 - recipe.momentum) * g
                found.append(w + rate * np.sign(mean[i]))
                continue
            more = 0.0 if spread is None else spread[i]
            square[i] = second * square[i] + (1 - second) * (g * g + more)
            if recipe.optimizer is Optimizer.RMSPROP:
                found.append(w + rate * g / (np.sqrt(square[i]) + recipe.eps))
                continue
            mean[i] = first * mean[i] + (1 - first) * g
            size = np.sqrt(square[i]) / np.sqrt(1 - second**self.count) + recipe.eps
            found.append(w + rate / (1 - first**self.count) * mean[i] / size)
        return found
