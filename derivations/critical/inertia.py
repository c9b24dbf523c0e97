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
    """Of a symmetric matrix, by its eigenvalues."""
    if not len(form):
        return Signature(0, 0, 0)
    values = np.linalg.eigvalsh(form)
    zero = CLEAR * max(float(np.max(np.abs(values))), 1e-300)
    below, above = int(np.sum(values < -zero)), int(np.sum(values > zero))
    return Signature(below, len(values) - below - above, above)
