"""Two looks at one digit, of which at most one is corrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dynamics.nonlinear.mnist.setting import A_CORRUPTED, B_CORRUPTED, DEVIATION, KEPT, MEAN, NOISE, require_torch

if TYPE_CHECKING:
    import torch


def normalised(images: np.ndarray, shrink: int = 1) -> np.ndarray:
    """(n, side, side) bytes -> float32 of about zero mean and unit variance, as means over squares of `shrink` pixels.

    What does not fill a square at the right and lower edge is left out.
    """
    count, side = images.shape[0], images.shape[1] // shrink
    squares = images[:, : side * shrink, : side * shrink].reshape(count, side, shrink, side, shrink)
    means = squares.mean(axis=(2, 4), dtype=np.float32) / np.float32(255)
    return np.asarray((means - np.float32(MEAN)) / np.float32(DEVIATION), dtype=np.float32)


def corrupted(
    images: torch.Tensor, generator: torch.Generator, b_corrupted: float = B_CORRUPTED, a_corrupted: float = A_CORRUPTED
) -> tuple[torch.Tensor, torch.Tensor]:
    """What A and what B sees of each image (n, ...): one of the two is corrupted, with these probabilities, or none."""
    torch = require_torch()
    draw = torch.rand(len(images), generator=generator)
    in_b = draw < b_corrupted
    in_a = ~in_b & (draw < b_corrupted + a_corrupted)
    spoilt = in_a | in_b
    noise = torch.randn(images[spoilt].shape, generator=generator)
    noisy = torch.empty_like(images)
    noisy[spoilt] = KEPT * images[spoilt] + NOISE * noise
    a, b = images.clone(), images.clone()
    a[in_a], b[in_b] = noisy[in_a], noisy[in_b]
    return a, b
