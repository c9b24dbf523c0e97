"""Signs of a quadratic form, counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CLEAR = 1e-9  # share of the largest eigenvalue below which one is zero


@dataclass(frozen=True)
class Signature:
    """Numbers of negative, zero and positive eigenvalues of a Hessian."""

    negative: int
    zero: int
    positive: int


def inertia(form: np.ndarray) -> Signature:
    """Of a symmetric matrix, whatever the units of its rows: they are first made alike, which changes no sign."""
    if not len(form):
        return Signature(0, 0, 0)
    size = np.sqrt(np.max(np.abs(form), axis=1))
    size = np.where(size > 0, size, 1.0)
    values = np.linalg.eigvalsh(form / size / size[:, None])
    zero = CLEAR * max(float(np.max(np.abs(values))), 1e-300)
    below, above = int(np.sum(values < -zero)), int(np.sum(values > zero))
    return Signature(below, len(values) - below - above, above)
