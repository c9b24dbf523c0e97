"""One step of many trajectories at once, each with its own step size: a state is (n, N), a step size (N,).

Two methods with an error estimate and an interpolant:

- `dormand_prince`: explicit, order 5, six evaluations; coefficients from SciPy's RK45. Stable to |lambda| h = 3.3.
- `rosenbrock`: linearly implicit, order 3, for stiff plateaus. What is stiff there is the relaxation of learned
  modalities, and its part of the Jacobian, -G Sigma G^T with G = d W^tot/d weights, has at most as many ranks as W^tot
  has entries. The method keeps its order with this part alone, so a step costs little more than an explicit one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import RK45

from dynamics.simulation.batch.kernel import Slope

SMALL = 12  # ranks above which one product of matrices a trajectory is faster than sums over all of them
STABLE = 3.3  # |lambda| h up to which Dormand and Prince's method is stable on the negative real axis


@dataclass(frozen=True)
class Step:
    """A trial step.

    begin, end, first, last : state and slope at both ends, (n, N)
    other : what `slope` gave beside the slope, at the end
    error : estimate of the local error, (n, N)
    squared : integral of |slope|^2 over the step, (N,)
    inside : coefficients of the interpolant, (powers of theta from 1 on, n, N)
    stiffness : |lambda| h of the fastest mode, (N,); nan where the method does not see it
    """

    begin: np.ndarray
    end: np.ndarray
    first: np.ndarray
    last: np.ndarray
    other: np.ndarray
    error: np.ndarray
    squared: np.ndarray
    inside: Callable[[np.ndarray], np.ndarray]
    stiffness: np.ndarray

    def at(self, columns: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """State of some trajectories at shares `theta` of the step, (n, len(columns))."""
        coefficients = self.inside(columns)
        found = coefficients[-1]
        for coefficient in coefficients[-2::-1]:
            found = coefficient + theta * found
        return np.asarray(self.begin[:, columns] + theta * found)


def dormand_prince(slope: Slope, y: np.ndarray, first: np.ndarray, h: np.ndarray) -> Step:
    """Order 5 with a fourth-order estimate and interpolant; `first` is the slope at y."""
    stages = np.empty((7, *y.shape))
    stages[0] = first
    argument = y
    for i in range(1, 6):
        argument = _combined(RK45.A[i, :i], stages, h, y)
        stages[i], _ = slope(argument)
    end = _combined(RK45.B, stages, h, y)
    stages[6], other = slope(end)
    powers = np.einsum("snm,snm->sm", stages[:6], stages[:6])
    argument -= end
    faster = stages[6] - stages[5]
    with np.errstate(invalid="ignore", divide="ignore"):
        stiffness = h * np.sqrt(_squares(faster) / _squares(argument))

    def inside(columns: np.ndarray) -> np.ndarray:
        return np.asarray(h[columns] * np.einsum("snm,sp->pnm", stages[:, :, columns], RK45.P))

    error = _combined(RK45.E, stages, h)
    return Step(y, end, first, stages[6], other, error, h * (RK45.B @ powers), inside, stiffness)


def _combined(
    coefficients: np.ndarray, stages: np.ndarray, h: np.ndarray | None = None, y: np.ndarray | None = None
) -> np.ndarray:
    """y + h times the sum of the first stages times coefficients: one product, and the rest in place."""
    count = len(coefficients)
    found = np.dot(coefficients, stages[:count].reshape(count, -1)).reshape(stages.shape[1:])
    if h is not None:
        found *= h
    if y is not None:
        found += y
    return np.asarray(found)


def _squares(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("nm,nm->m", vectors, vectors))


GAMMA = 0.435866521508459  # root of 6 x^3 - 18 x^2 + 9 x - 1: L-stable
ALPHA = np.array(
    [
        [0.0, 0.0, 0.0],
        [0.871733043016918, 0.0, 0.0],
        [0.84457060015369423, -0.11299064236484185, 0.0],
        [0.0, 0.0, 1.0],
    ]
)
COUPLING = np.array(
    [
        [0.0, 0.0, 0.0],
        [-0.871733043016918, 0.0, 0.0],
        [-0.90338057013044082, 0.054180672388095326, 0.0],
        [0.24212380706095346, -1.2232505839045147, 0.54526025533510214],
    ]
)
WEIGHTS = np.array([0.24212380706095346, -1.2232505839045147, 1.545260255335102, GAMMA])
EMBEDDED = np.array([0.37810903145819369, -0.096042292212423178, 0.5, 0.2179332607542295])


def rosenbrock(
    slope: Slope, y: np.ndarray, first: np.ndarray, h: np.ndarray, factor: np.ndarray, metric: np.ndarray
) -> Step:
    """ROS34PW2 (Rang and Angermann 2005): order 3 with any matrix A in place of the Jacobian, L-stable, four stages.

    A = -G S G^T, with G = `factor` (n, K, N) and S = `metric` (K, K, N or 1): systems 1 - h gamma A are solved by
    Woodbury's formula, K by K. Cubic interpolant; `first` is the slope at y.
    """
    count = len(h)
    metric = np.broadcast_to(metric, (*metric.shape[:2], count))
    if factor.shape[1] > SMALL:
        tall = factor.transpose(2, 0, 1)
        held = metric.transpose(2, 0, 1) @ (tall.transpose(0, 2, 1) @ tall)
    else:
        squares = np.einsum("nkm,njm->kjm", factor, factor)
        held = np.einsum("kim,ijm->kjm", metric, squares).transpose(2, 0, 1)  # S G^T G
    inverse = np.linalg.inv(np.eye(factor.shape[1]) + (GAMMA * h)[:, None, None] * held).transpose(1, 2, 0)

    def relaxed(vector: np.ndarray, by: np.ndarray) -> np.ndarray:
        """G (by) S G^T v for a matrix `by` (K, K, N)."""
        inner = np.einsum("kim,im->km", metric, np.einsum("nkm,nm->km", factor, vector))
        return np.asarray(np.einsum("nkm,km->nm", factor, np.einsum("kjm,jm->km", by, inner)))

    unit = np.broadcast_to(np.eye(factor.shape[1])[..., None], inverse.shape)
    stages = np.empty((4, *y.shape))
    for i in range(4):
        right = h * (first if i == 0 else slope(_combined(ALPHA[i, :i], stages, y=y))[0])
        if i:
            right = right - h * relaxed(_combined(COUPLING[i, :i], stages), unit)
        stages[i] = right - GAMMA * h * relaxed(right, inverse)
    end = _combined(WEIGHTS, stages, y=y)
    last, other = slope(end)
    error = _combined(WEIGHTS - EMBEDDED, stages)
    squared = h / 2 * (_squares(first) + _squares(last))

    def inside(columns: np.ndarray) -> np.ndarray:
        step, gap = h[columns], end[:, columns] - y[:, columns]
        low, high = step * first[:, columns], step * last[:, columns]
        return np.stack([low, 3 * gap - 2 * low - high, low + high - 2 * gap])

    return Step(y, end, first, last, other, error, squared, inside, h * np.trace(held, axis1=1, axis2=2))
