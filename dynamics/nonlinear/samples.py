"""The samples that a nonlinear network is trained on: its dynamics need more of them than Sigma and Sigma_yx."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations import Correlations, DataError
from derivations.samples import real_array


@dataclass(frozen=True, eq=False)
class Samples:
    """inputs : modality -> (P, d); targets : (P,), or (P, outputs). As given: nothing is centred."""

    inputs: Mapping[str, np.ndarray]
    targets: np.ndarray

    def __post_init__(self) -> None:
        for array in (*self.inputs.values(), self.targets):
            array.setflags(write=False)

    @property
    def count(self) -> int:
        return len(self.targets)

    @property
    def correlations(self) -> Correlations:
        """<x x^T>, <y x^T> and <y^2> of the samples as they are, which is what a network without biases sees."""
        x = np.hstack(list(self.inputs.values()))
        sizes = {m: block.shape[1] for m, block in self.inputs.items()}
        y = self.targets
        return Correlations(x.T @ x / len(x), y.T @ x / len(x), sizes, y.T @ y / len(y))


def checked_samples(inputs: Any, targets: Any, several: bool = False) -> Samples:
    """Copies as arrays of numbers, after a look at their shapes and entries; a DataError names what is wrong.

    several : targets may be (P, outputs)
    """
    if not isinstance(inputs, Mapping) or not inputs:
        raise DataError(f"inputs must map modalities to arrays (P, d), got {type(inputs).__name__}")
    y = real_array(targets, "targets")
    if y.ndim not in ((1, 2) if several else (1,)) or y.size < 1:
        raise DataError(f"targets must have shape (P,){' or (P, outputs)' if several else ''}, got {y.shape}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    found = {}
    for m, given in inputs.items():
        block = real_array(given, f"inputs[{m!r}]")
        block = block[:, None] if block.ndim == 1 else block
        if block.ndim != 2 or block.shape[1] < 1 or len(block) != len(y):
            raise DataError(f"inputs[{m!r}] must have shape ({len(y)}, d) to match the targets, got {block.shape}")
        found[m] = block
    return Samples(found, y)


def gaussian_samples(sigma: Any, weights: Any, count: int = 8192, seed: int = 0, noise: float = 0.0) -> Samples:
    """Samples as in J.2: x = (x_A, x_B) drawn from N(0, Sigma), y = w x + noise. Each modality has half of the columns.

    Parameters
    ----------
    sigma : (D, D); weights : (D,)
    noise : standard deviation of what is added to the target

    Examples
    --------
    >>> drawn = gaussian_samples([[4, 0], [0, 1]], [1, 1], count=5)
    >>> drawn.inputs["B"].shape, bool(np.allclose(drawn.targets, drawn.inputs["A"][:, 0] + drawn.inputs["B"][:, 0]))
    ((5, 1), True)
    """
    covariance = np.asarray(sigma, dtype=float)
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal(np.zeros(len(covariance)), covariance, size=count, method="eigh")
    y = x @ np.asarray(weights, dtype=float)
    if noise:
        y = y + rng.normal(0.0, noise, count)
    half = len(covariance) // 2
    return checked_samples({"A": x[:, :half], "B": x[:, half:]}, y)


def xor_samples(sigma: float = 1.0, count: int = 8192, seed: int = 0) -> Samples:
    """Samples of y = x_A + XOR(x_B), appendix H.2: x_A from N(0, sigma^2), x_B one of the four corners (+-1, +-1).

    XOR is 1 where the two entries of x_B differ and -1 where they agree, so that its mean is zero and no linear map
    of x_B explains any of it.

    Examples
    --------
    >>> drawn = xor_samples(count=4)
    >>> bool(np.all(drawn.targets == drawn.inputs["A"][:, 0] - np.prod(drawn.inputs["B"], axis=1)))
    True
    """
    rng = np.random.default_rng(seed)
    corners = rng.choice([-1.0, 1.0], size=(count, 2))
    linear = rng.normal(0.0, sigma, count)
    return checked_samples({"A": linear, "B": corners}, linear - np.prod(corners, axis=1))
