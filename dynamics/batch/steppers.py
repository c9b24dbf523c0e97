"""One step of many trajectories at once, each with its own step size: a state is (n, N), a step size (N,).

Two explicit methods with an error estimate and an interpolant:

- `dormand_prince`: order 5, six evaluations; coefficients from SciPy's RK45. Stable to |lambda| h = 3.3.
- `chebyshev`: Runge-Kutta-Chebyshev, order 2, s stages (Sommeijer, Shampine and Verwer 1998). Stable to
  |lambda| h = 0.65 s^2 on the real axis, where the spectrum of a gradient flow lies: on a stiff plateau the cost
  grows like the root of the stiffness.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.integrate import RK45

from dynamics.batch.kernel import Slope

STABLE = 3.3  # |lambda| h up to which Dormand and Prince's method is stable on the negative real axis
DAMPING = 2 / 13  # of the Chebyshev polynomials: their stability interval stays open


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
        argument = y + h * _combined(RK45.A[i, :i], stages)
        stages[i], _ = slope(argument)
    end = y + h * _combined(RK45.B, stages)
    stages[6], other = slope(end)
    powers = np.einsum("snm,snm->sm", stages[:6], stages[:6])
    moved = np.linalg.norm(end - argument, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        stiffness = h * np.linalg.norm(stages[6] - stages[5], axis=0) / moved

    def inside(columns: np.ndarray) -> np.ndarray:
        return np.asarray(h[columns] * np.einsum("snm,sp->pnm", stages[:, :, columns], RK45.P))

    error = h * _combined(RK45.E, stages)
    return Step(y, end, first, stages[6], other, error, h * (RK45.B @ powers), inside, stiffness)


def _combined(coefficients: np.ndarray, stages: np.ndarray) -> np.ndarray:
    """Sum of the first stages times coefficients, one product."""
    count = len(coefficients)
    return np.asarray(np.dot(coefficients, stages[:count].reshape(count, -1)).reshape(stages.shape[1:]))


@lru_cache(maxsize=256)
def _chebyshev_coefficients(stages: int) -> tuple[np.ndarray, ...]:
    """mu, nu, mu~, gamma~ of stages 2..s, and mu~_1."""
    w0 = 1 + DAMPING / stages**2
    value, first, second = np.ones(stages + 1), np.zeros(stages + 1), np.zeros(stages + 1)  # T_j, T_j', T_j'' at w0
    value[1], first[1] = w0, 1.0
    for j in range(2, stages + 1):
        value[j] = 2 * w0 * value[j - 1] - value[j - 2]
        first[j] = 2 * value[j - 1] + 2 * w0 * first[j - 1] - first[j - 2]
        second[j] = 4 * first[j - 1] + 2 * w0 * second[j - 1] - second[j - 2]
    w1 = first[stages] / second[stages]
    b = np.empty(stages + 1)
    b[2:] = second[2:] / first[2:] ** 2
    b[:2] = b[2]
    a = 1 - b * value
    mu, nu = 2 * b[2:] * w0 / b[1:-1], -b[2:] / b[:-2]
    mu_slope = 2 * b[2:] * w1 / b[1:-1]
    return mu, nu, mu_slope, -a[1:-1] * mu_slope, np.array(b[1] * w1)


def stages_for(stiffness: float) -> int:
    """Stages with which the Chebyshev method is stable for |lambda| h = stiffness."""
    return max(2, 1 + int(np.sqrt(1.54 * stiffness + 1)))


def chebyshev(slope: Slope, y: np.ndarray, first: np.ndarray, h: np.ndarray, stages: int) -> Step:
    """Order 2, estimate of order 2, cubic interpolant; `first` is the slope at y."""
    mu, nu, mu_slope, gamma, start = _chebyshev_coefficients(stages)
    before, current = y, y + start * h * first
    for m, n, ms, g in zip(mu, nu, mu_slope, gamma, strict=True):
        speed, _ = slope(current)
        before, current = current, (1 - m - n) * y + m * current + n * before + h * (ms * speed + g * first)
    last, other = slope(current)
    error = 0.8 * (y - current) + 0.4 * h * (first + last)
    squared = h / 2 * (np.sum(first**2, axis=0) + np.sum(last**2, axis=0))

    def inside(columns: np.ndarray) -> np.ndarray:
        step, gap = h[columns], current[:, columns] - y[:, columns]
        low, high = step * first[:, columns], step * last[:, columns]
        return np.stack([low, 3 * gap - 2 * low - high, low + high - 2 * gap])

    return Step(y, current, first, last, other, error, squared, inside, np.full(y.shape[1], np.nan))
