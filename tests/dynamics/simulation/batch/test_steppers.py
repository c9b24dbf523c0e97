"""One step of a batch: error estimate, interpolant, stability; SciPy is the judge. Its order: `tests.soak.engine`."""

import math

import numpy as np
import pytest
from scipy.integrate import RK45, solve_ivp

from dynamics.simulation.batch.steppers import dormand_prince, rosenbrock
from tests.soak.engine import implicit

RATES = np.array([0.5, 1.0, 2.0])  # of three trajectories at once


def pendulum(y):
    """A nonlinear flow of two variables, at a rate of its own for each trajectory."""
    return RATES[: y.shape[1]] * np.stack([y[1], -np.sin(y[0])]), np.zeros((1, 1, y.shape[1]))


def test_dormand_prince_takes_the_step_of_scipys_rk45() -> None:
    """The same step size: end, error estimate and dense output to rounding."""
    y, h = np.array([[1.0], [0.3]]), 0.37
    solver = RK45(lambda t, y: pendulum(y[:, None])[0][:, 0], 0.0, y[:, 0], 5.0, first_step=h, rtol=1e-2, atol=1e-2)
    solver.step()
    assert solver.t == h
    step = dormand_prince(pendulum, y, pendulum(y)[0], np.array([h]))
    np.testing.assert_allclose(step.end[:, 0], solver.y, rtol=1e-14)
    np.testing.assert_allclose(step.error[:, 0], h * np.dot(solver.K.T, RK45.E), atol=1e-17)
    for theta in (0.2, 0.9):
        np.testing.assert_allclose(
            step.at(np.array([0]), np.array([theta]))[:, 0], solver.dense_output()(theta * h), rtol=1e-13
        )


@pytest.mark.parametrize(("method", "order"), [(dormand_prince, 5), (implicit(1.0), 4)])
def test_the_interpolant_loses_no_more_than_the_step(method, order: int) -> None:
    """Halving the step divides its local error inside by 2^order."""
    errors = []
    for h in (0.4, 0.2, 0.1):
        y = np.array([[1.0], [0.3]])
        step = method(pendulum, y, pendulum(y)[0], np.array([h]))
        exact = solve_ivp(
            lambda t, y: pendulum(y[:, None])[0][:, 0], (0, 0.5 * h), y[:, 0], method="DOP853", rtol=1e-13, atol=1e-15
        ).y[:, -1]
        errors.append(np.linalg.norm(step.at(np.array([0]), np.array([0.5]))[:, 0] - exact))
    assert math.log2(errors[1] / errors[2]) > order - 0.4


def test_the_implicit_method_damps_what_its_matrix_knows() -> None:
    """y' = -lambda (y - cos t): |lambda| h up to 1e8, and the slow part is followed to h^2."""
    rates = np.array([1e2, 1e5, 1e9])

    def decay(y):
        return np.stack([-rates * (y[0] - np.cos(y[1])), np.ones(3)]), np.zeros((1, 1, 3))

    y, h = np.array([[2.0] * 3, [0.0] * 3]), np.full(3, 0.1)
    factor = np.broadcast_to(np.array([1.0, 0.0])[:, None, None], (2, 1, 3))
    for _ in range(20):
        y = rosenbrock(decay, y, decay(y)[0], h, factor, rates[None, None]).end
    np.testing.assert_allclose(y[0], np.cos(2.0), atol=0.02)


def test_woodbury_solves_the_systems_of_a_dense_jacobian() -> None:
    """The step of three trajectories against the method written out with dense matrices, in its usual form."""
    from dynamics.simulation.batch import steppers as s

    rng = np.random.default_rng(0)
    factor, root = rng.normal(size=(6, 2, 3)), rng.normal(size=(2, 2, 3))
    metric = np.einsum("ikm,jkm->ijm", root, root)
    linear = rng.normal(size=(6, 6, 3))

    def slope(y):
        return np.einsum("ijm,jm->im", linear, np.tanh(y)), np.zeros((1, 1, 3))

    y, h = rng.normal(size=(6, 3)), np.array([0.1, 0.3, 1.0])
    step = rosenbrock(slope, y, slope(y)[0], h, factor, metric)
    for n in range(3):
        matrix = -factor[..., n] @ metric[..., n] @ factor[..., n].T
        stages: list[np.ndarray] = []
        for i in range(4):
            at = y[:, n] + sum((s.ALPHA[i, j] * stages[j] for j in range(i)), np.zeros(6))
            right = h[n] * linear[:, :, n] @ np.tanh(at)
            right = right + h[n] * matrix @ sum((s.COUPLING[i, j] * stages[j] for j in range(i)), np.zeros(6))
            stages.append(np.linalg.solve(np.eye(6) - h[n] * s.GAMMA * matrix, right))
        np.testing.assert_allclose(step.end[:, n], y[:, n] + s.WEIGHTS @ np.array(stages), rtol=1e-11)
        assert step.stiffness[n] == pytest.approx(-h[n] * np.trace(matrix), rel=1e-12)


def test_work_is_the_integral_of_the_squared_slope() -> None:
    """A gradient flow loses what it works: loss y^2/2, slope -y."""

    def decay(y):
        return -y, np.zeros((1, 1, y.shape[1]))

    y = np.array([[1.0, 2.0]])
    implicit_step = rosenbrock(decay, y, -y, np.full(2, 0.1), np.ones((1, 1, 2)), np.ones((1, 1, 1)))
    for step, accuracy in ((dormand_prince(decay, y, -y, np.full(2, 0.1)), 1e-7), (implicit_step, 5e-3)):
        np.testing.assert_allclose(step.squared, (y[0] ** 2 - step.end[0] ** 2) / 2, rtol=accuracy)


def test_stiffness_is_seen() -> None:
    rate = 30.0

    def decay(y):
        return -rate * y, np.zeros((1, 1, y.shape[1]))

    y = np.ones((1, 1))
    assert dormand_prince(decay, y, -rate * y, np.array([0.1])).stiffness[0] == pytest.approx(3.0)
