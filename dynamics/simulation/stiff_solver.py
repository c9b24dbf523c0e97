"""The linearly implicit method for one trajectory."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dynamics.simulation.batch.steppers import Step, rosenbrock

Rhs = Callable[[float, np.ndarray], np.ndarray]
StiffPart = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]  # of state and slope: G and metric


class StiffSolver:
    """`batch.steppers.rosenbrock` for one trajectory, with as much of SciPy's interface as a phase uses."""

    def __init__(
        self, rhs: Rhs, stiff_part: StiffPart, start: tuple[float, np.ndarray], first_step: float, rtol: float,
        atol: np.ndarray,
    ) -> None:  # fmt: skip
        self._rhs, self._stiff_part, self._h, self._rtol, self._atol = rhs, stiff_part, first_step, rtol, atol
        self.t, self.y = start
        self.t_old, self.nfev, self.status = self.t, 1, "running"
        self._slope = rhs(self.t, self.y)
        self.cost = 4 + len(stiff_part(self.y, self._slope)[1])  # evaluations a step
        self._step: Step | None = None

    def step(self) -> str | None:
        count = 0

        def slope(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self._rhs(0.0, states[:, 0])[:, None], states

        factor, metric = self._stiff_part(self.y, self._slope)
        while self._h > 1e-14 * max(abs(self.t), 1e-300):
            h = np.array([self._h])
            step = rosenbrock(slope, self.y[:, None], self._slope[:, None], h, factor[..., None], metric[..., None])
            count += 1
            self.nfev += 4
            scale = self._rtol * np.maximum(np.abs(self.y), np.abs(step.end[:, 0])) + self._atol
            error = float(np.sqrt(np.mean((step.error[:, 0] / scale) ** 2)))
            factor_of_h = 0.9 * max(error, 1e-10) ** (-1 / 3) if math.isfinite(error) else 0.2
            self._h *= min(max(factor_of_h, 0.2), 6.0)
            if error <= 1:
                self.t_old, self.t = self.t, self.t + float(h[0])
                self.y, self._slope, self._step = step.end[:, 0], step.last[:, 0], step
                return None
        self.status = "failed"
        return f"the step size fell to {self._h:.1e} after {count} trials"

    def dense_output(self) -> Callable[[float], np.ndarray]:
        step, begin, length = self._step, self.t_old, self.t - self.t_old
        assert step is not None
        return lambda t: step.at(np.array([0]), np.array([(t - begin) / length]))[:, 0]
