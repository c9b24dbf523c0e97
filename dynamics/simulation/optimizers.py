"""Steps of the optimizers that people train with, entry by entry, as PyTorch takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dynamics.recipe import Optimizer, Recipe

Arrays = list[np.ndarray]
Stepper = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], Arrays]  # weights, -gradients -> weights


def stepper(recipe: Recipe, rate: float) -> Stepper:
    """One step after the other; what an optimizer remembers is kept inside.

    Weight decay is in the gradient (L2), for AdamW beside it (decoupled). RMSprop forgets squares at betas[1].
    """
    memory: dict[str, Arrays] = {}
    count = 0
    kind, decay, (first, second) = recipe.optimizer, recipe.weight_decay, recipe.betas

    def step(weights: Sequence[np.ndarray], downhill: Sequence[np.ndarray]) -> Arrays:
        nonlocal count
        count += 1
        if not memory:
            memory["mean"] = [np.zeros_like(w) for w in weights]
            memory["square"] = [np.zeros_like(w) for w in weights]
        if kind is Optimizer.ADAMW:
            weights = [w * (1 - rate * decay) for w in weights]
        elif decay:
            downhill = [g - decay * w for g, w in zip(downhill, weights, strict=True)]
        found = []
        for i, (w, g) in enumerate(zip(weights, downhill, strict=True)):
            mean, square = memory["mean"], memory["square"]
            if kind is Optimizer.SGD:
                mean[i] = recipe.momentum * mean[i] + g
                found.append(w + rate * mean[i])
                continue
            square[i] = second * square[i] + (1 - second) * g * g
            if kind is Optimizer.RMSPROP:
                found.append(w + rate * g / (np.sqrt(square[i]) + recipe.eps))
                continue
            mean[i] = first * mean[i] + (1 - first) * g
            size = np.sqrt(square[i]) / np.sqrt(1 - second**count) + recipe.eps
            found.append(w + rate / (1 - first**count) * mean[i] / size)
        return found

    return step
