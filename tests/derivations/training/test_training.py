"""The entries 132-145 against losses, masks, batches and networks that are written out here; tau = 1.

A law to leading order loses a number beside ln(1/u_0). Runs from u_0 and from u_0/100 lose the same number, so the
difference of their times has the law's slope up to powers of u_0.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq, minimize

from derivations import ledger
from derivations.algebra.notation import (
    L,
    L_f,
    a,
    alpha,
    b,
    batch,
    c,
    c_A,
    c_B,
    decay,
    eta,
    eta_0,
    eta_A,
    kappa,
    q_A,
    q_B,
    r,
    t,
    tau,
    u_0,
)
from derivations.times.closed_forms import start, strength, variance
from derivations.training import decay as with_decay
from derivations.training import effective, modulation, noise

SIGMA, TARGET = np.array([[4.0, 1.0], [1.0, 1.0]]), np.array([5.0, 2.0])  # y = x_A + x_B, sigma 2 and 1, rho 1/2
FLIPPED = np.array([[4.0, 1.6], [1.6, 1.0]]), np.array([5.0, 1.0])  # B's residual is negative
A, B = TARGET
R = float(TARGET[1] - TARGET[0] * SIGMA[0, 1] / SIGMA[0, 0])


def number(law: sp.Basic, at: Mapping[sp.Symbol, float]) -> float:
    return float(law.subs(at))


def scales(name: str, at: Mapping[sp.Symbol, float]) -> np.ndarray:
    """What an entry multiplies Sigma_A, Sigma_B, Sigma_AB, Sigma_BA, Sigma_yxA, Sigma_yxB by."""
    return np.array([number(sp.Mul(*line.rhs.args_cnc()[0]), at) for line in ledger()[name].right])


def gradient(loss: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """Central differences; the losses are polynomials of low degree."""
    steps = 1e-4 * np.eye(at.size)
    return np.array([(loss(at + h) - loss(at - h)) / 2e-4 for h in steps])


def three_layers(w: np.ndarray) -> np.ndarray:
    """Total weights of two inputs a modality, two hidden units, one layer in each branch, two after the fusion."""
    branches, inner, last = w[:8].reshape(2, 4), w[8:12].reshape(2, 2), w[12:]
    return last @ inner @ branches


ROWS = np.random.default_rng(0).normal(size=(12, 5))
WEIGHTS = np.random.default_rng(1).normal(size=14)
X, Y = ROWS[:, :4], ROWS[:, 4]


def of_scaled(w: np.ndarray, scale: np.ndarray) -> float:
    """The loss of scaled correlations, up to a constant."""
    blocks = np.kron([[scale[0], scale[2]], [scale[3], scale[1]]], np.ones((2, 2)))
    p = three_layers(w)
    return p @ (blocks * (X.T @ X / len(X))) @ p / 2 - p @ (np.repeat(scale[4:], 2) * (Y @ X / len(X)))


def test_the_mean_over_all_masks_is_the_loss_of_other_correlations() -> None:
    keep = (0.3, 0.8)

    def loss(w: np.ndarray) -> float:
        found = 0.0
        for masks in itertools.product((0, 1), repeat=2):
            odds = np.prod([k if m else 1 - k for m, k in zip(masks, keep, strict=True)])
            found += odds * np.mean((Y - (X * np.repeat(masks, 2)) @ three_layers(w)) ** 2) / 2
        return found

    scale = scales("132", {q_A: keep[0], q_B: keep[1]})
    right = gradient(lambda w: of_scaled(w, scale), WEIGHTS)
    np.testing.assert_allclose(gradient(loss, WEIGHTS), right, atol=1e-6)


def test_unimodal_losses_are_the_loss_of_other_correlations() -> None:
    weights = (0.5, 2.0)

    def loss(w: np.ndarray) -> float:
        found = np.mean((Y - X @ three_layers(w)) ** 2) / 2
        for weight, seen in zip(weights, ([1, 1, 0, 0], [0, 0, 1, 1]), strict=True):
            found += weight * np.mean((Y - (X * seen) @ three_layers(w)) ** 2) / 2
        return found

    scale = scales("133", {c_A: weights[0], c_B: weights[1]})
    right = gradient(lambda w: of_scaled(w, scale), WEIGHTS)
    np.testing.assert_allclose(gradient(loss, WEIGHTS), right, atol=1e-6)


def branches_and_trunk(
    begun: np.ndarray, sigma: np.ndarray, target: np.ndarray, rates: np.ndarray, shrink: np.ndarray
) -> np.ndarray:
    """Total weights at a few times of scalar layers: two in each branch, one after the fusion."""

    def law(_: float, w: np.ndarray) -> np.ndarray:
        e = target - sigma @ (w[4] * np.array([w[0] * w[1], w[2] * w[3]]))
        moved = [w[4] * w[1] * e[0], w[4] * w[0] * e[0], w[4] * w[3] * e[1], w[4] * w[2] * e[1]]
        return rates * (np.array([*moved, w[0] * w[1] * e[0] + w[2] * w[3] * e[1]]) - shrink * w)

    w = solve_ivp(law, (0, 6), begun, rtol=1e-11, atol=1e-13, t_eval=np.linspace(0, 6, 9)).y
    return w[4] * np.array([w[0] * w[1], w[2] * w[3]])


@pytest.mark.parametrize("shrink", [0.0, 0.05])
def test_rates_of_branches_are_other_inputs_and_another_start(shrink: float) -> None:
    rates, begun = np.array([0.6, 0.6, 1.5, 1.5, 0.8]), np.array([0.3, 0.3, 0.3, 0.3, 0.42])
    depths = {L: 3, L_f: 2, eta_A: 0.6, eta_0: 0.8}
    scale = np.array([number(effective.SCALE_OF_RATES, depths | {eta_A: rate}) for rate in (0.6, 1.5)])
    assert number(effective.START_OF_RATES, {u_0: 0.3, eta_A: 0.6}) == pytest.approx(begun[0] / np.sqrt(rates[0]))
    run = branches_and_trunk(begun, SIGMA, TARGET, rates, np.full(5, shrink))
    sigma, target = SIGMA * np.outer(scale, scale), TARGET * scale
    plain = branches_and_trunk(begun / np.sqrt(rates), sigma, target, np.ones(5), shrink * rates)
    np.testing.assert_allclose(run, scale[:, None] * plain, rtol=1e-7, atol=1e-9)


def test_balance_is_restored_at_twice_the_decay() -> None:
    """Three hidden units, two inputs a modality, all matrices of the flow written out."""
    rng, shrink = np.random.default_rng(2), 0.3
    sizes = [(3, 2), (3, 3), (3, 2), (3, 3), (3, 3), (1, 3)]  # branch A, branch B, trunk
    ends = np.cumsum([0, *(m * n for m, n in sizes)])
    sigma, target = np.cov(rng.normal(size=(4, 9))), rng.normal(size=(1, 4))

    def layers(state: np.ndarray) -> list[np.ndarray]:
        return [state[i:j].reshape(shape) for i, j, shape in zip(ends, ends[1:], sizes, strict=False)]

    def law(_: float, state: np.ndarray) -> np.ndarray:
        a1, a2, b1, b2, w1, w2 = layers(state)
        e = target - w2 @ w1 @ np.hstack([a2 @ a1, b2 @ b1]) @ sigma
        e_a, e_b, top = e[:, :2], e[:, 2:], w2 @ w1
        fused = a2 @ a1 @ e_a.T + b2 @ b1 @ e_b.T
        moved = [(top @ a2).T @ e_a, top.T @ e_a @ a1.T, (top @ b2).T @ e_b, top.T @ e_b @ b1.T]
        moved += [w2.T @ fused.T, fused.T @ w1.T]
        return np.concatenate([m.ravel() for m in moved]) - shrink * state

    def gaps(state: np.ndarray) -> np.ndarray:
        a1, a2, b1, b2, w1, w2 = layers(state)
        found = [a2.T @ a2 - a1 @ a1.T, b2.T @ b2 - b1 @ b1.T, w2.T @ w2 - w1 @ w1.T]
        return np.array([*found, w1.T @ w1 - a2 @ a2.T - b2 @ b2.T])

    run = solve_ivp(law, (0, 3), 0.5 * rng.normal(size=ends[-1]), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gaps(run.y[:, -1]), np.exp(-6 * shrink) * gaps(run.y[:, 0]), atol=1e-8)


def late(
    depth: int, shrink: float, begun: np.ndarray, end: float, data: tuple[np.ndarray, np.ndarray] = (SIGMA, TARGET)
) -> Any:
    """Late fusion of scalar inputs on the balanced ansatz, in y = ln u of A and B."""
    sigma, target = data

    def law(_: float, y: np.ndarray) -> np.ndarray:
        e = target - sigma @ np.exp(depth * y)
        return np.exp((depth - 2) * y) * e - shrink

    return solve_ivp(law, (0, end), np.log(begun), "LSODA", rtol=1e-9, atol=1e-11, dense_output=True)


@pytest.mark.parametrize("depth", [2, 3])
def test_the_end_with_decay(depth: int) -> None:
    """The run rests where the penalized loss in total weights has its minimum, and the errors are as derived."""
    shrink = 0.15
    w = np.exp(depth * late(depth, shrink, np.array([0.5, 0.5]), 400).y[:, -1])
    np.testing.assert_allclose(TARGET - SIGMA @ w, shrink * w ** (2 / depth - 1), rtol=1e-6)
    penalty = sp.lambdify(with_decay.size, with_decay.PENALTY.subs({L: depth, decay: shrink}))
    best = minimize(lambda p: p @ SIGMA @ p / 2 - TARGET @ p + sum(penalty(x) for x in p), [1.0, 0.8], tol=1e-12)
    np.testing.assert_allclose(w, best.x, rtol=1e-5)
    least = minimize(
        lambda y: shrink / 2 * (np.exp(2 * y).sum() + np.exp(2 * (np.log(0.7) - y.sum()))), [0.3] * (depth - 1)
    )
    assert penalty(0.7) == pytest.approx(least.fun, rel=1e-8)


def four_weights(
    shrink: float, begun: np.ndarray, end: float, sigma: np.ndarray, target: np.ndarray, factor: float = 1.0
) -> Any:
    """Two layers of scalars, any start; the first layer of A has its gradient times `factor`."""

    def law(_: float, w: np.ndarray) -> np.ndarray:
        e = target - sigma @ np.array([w[0] * w[1], w[2] * w[3]])
        return np.array([factor * e[0] * w[1], e[0] * w[0], e[1] * w[3], e[1] * w[2]]) - shrink * w

    return solve_ivp(law, (0, end), begun, "LSODA", rtol=1e-10, atol=1e-22, dense_output=True)


START = np.array([0.7, 1.1, 1.2, -0.4])  # both modes of B


@pytest.mark.parametrize(("data", "sign"), [((SIGMA, TARGET), 1), (FLIPPED, -1)])
def test_from_the_critical_decay_on_b_is_never_learned(data: tuple[np.ndarray, np.ndarray], sign: int) -> None:
    sigma, target = data
    left = abs(target[1] - target[0] * sigma[0, 1] / sigma[0, 0])
    border = number(with_decay.CRITICAL_DECAY_SCALAR, {a: target[0], b: target[1], r: left, c: sign})
    below, above = (four_weights(share * border, 0.1 * START, 3000, sigma, target).y[:, -1] for share in (0.95, 1.05))
    assert sign * below[2] * below[3] > 1e-3
    assert abs(above[2] * above[3]) < 1e-12
    alone = number(with_decay.PLATEAU_WITH_DECAY, {a: target[0], decay: 1.05 * border, variance: sigma[0, 0]})
    assert above[0] * above[1] == pytest.approx(alone, rel=1e-6)


def test_the_critical_decay_of_vectors() -> None:
    """A has two columns; its plateau is a ridge, the residual at it decides, from a start that is not small."""
    sigma, target = np.array([[2.0, 0.3, 0.5], [0.3, 1.0, 0.2], [0.5, 0.2, 1.0]]), np.array([1.5, 0.8, 0.9])

    def run(shrink: float) -> np.ndarray:
        def law(_: float, w: np.ndarray) -> np.ndarray:
            e = target - sigma @ np.array([w[0] * w[2], w[1] * w[2], w[3] * w[4]])
            moved = [e[0] * w[2], e[1] * w[2], e[0] * w[0] + e[1] * w[1], e[2] * w[4], e[2] * w[3]]
            return np.array(moved) - shrink * w

        w = solve_ivp(law, (0, 3000), np.ones(5), "LSODA", rtol=1e-9, atol=1e-15).y[:, -1]
        return np.array([w[0] * w[2], w[1] * w[2], w[3] * w[4]])

    def alone(shrink: float) -> np.ndarray:
        def weights(mu: float) -> np.ndarray:
            return np.linalg.solve(sigma[:2, :2] + mu * np.eye(2), target[:2])

        return weights(brentq(lambda mu: mu * np.linalg.norm(weights(mu)) - shrink, 0, 100, xtol=1e-13))

    border = brentq(lambda shrink: abs(target[2] - sigma[2, :2] @ alone(shrink)) - shrink, 0.05, 1.5)
    assert run(0.95 * border)[2] > 1e-3
    np.testing.assert_allclose(run(1.05 * border), [*alone(1.05 * border), 0], rtol=1e-6, atol=1e-9)


def first_time(run: Any, share: Callable[[np.ndarray], np.ndarray], end: float) -> float:
    """When a share of a run first reaches 1."""
    grid = np.linspace(0, end, 4001)
    n = int(np.argmax(share(run.sol(grid)) >= 1))
    assert n > 0, "never reached"
    return brentq(lambda s: share(run.sol(np.array([s])))[0] - 1, grid[n - 1], grid[n], xtol=1e-11)


def test_the_half_time_of_one_modality_with_decay() -> None:
    at = {strength: 2.0, decay: 0.7, variance: 1.5, start: 1e-4}
    run = late(2, 0.7, np.array([1e-2, 1e-30]), 12, (1.5 * np.eye(2), np.array([2.0, 1e-9])))
    found = first_time(run, lambda y: np.exp(2 * y[0]) / (1.3 / 1.5 / 2), 12)
    assert found == pytest.approx(number(with_decay.HALF_TIME_WITH_DECAY, at), rel=1e-7)


@pytest.mark.parametrize(("data", "sign"), [((SIGMA, TARGET), 1), (FLIPPED, -1)])
def test_time_ratio_with_decay(data: tuple[np.ndarray, np.ndarray], sign: int) -> None:
    sigma, target = data
    left = abs(target[1] - target[0] * sigma[0, 1] / sigma[0, 0])
    at = {a: target[0], b: target[1], r: left, c: sign}
    border = number(with_decay.CRITICAL_DECAY_SCALAR, at)
    shrink = 0.3 * border
    plateau = (target[0] - shrink) / sigma[0, 0]
    at |= {decay: shrink, with_decay.critical: border}
    at |= {with_decay.r_lambda: abs(target[1] - sigma[0, 1] * plateau)}
    ratios = [number(law, at) for law in (with_decay.RATIO_WITH_DECAY, with_decay.RATIO_WITH_DECAY_SCALAR)]
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-12)

    def times(u0: float) -> np.ndarray:
        run = four_weights(shrink, u0 * START, 90, sigma, target)
        end = run.y[2, -1] * run.y[3, -1]
        first = first_time(run, lambda w: w[0] * w[1] / (plateau / 2), 90)
        return np.array([first, first_time(run, lambda w: w[2] * w[3] / (end / 2), 90)])

    slope = (times(1e-7) - times(1e-5)) / np.log(100)
    assert slope[0] == pytest.approx(number(with_decay.FIRST_WITH_DECAY, at | {u_0: np.exp(-1)}), rel=1e-4)
    assert slope[1] / slope[0] == pytest.approx(ratios[0], rel=1e-3)


@pytest.mark.parametrize("depth", [3, 5])
def test_times_of_deep_branches_with_decay(depth: int) -> None:
    """By quadrature of the flow near zero: A to infinity, and B with it, then with the residual alone."""
    u0 = 0.05
    at = {L: depth, u_0: u0, a: A, b: B, r: R, c: 1, decay: 0.6 * 5 / (1 + 3 / R) * u0 ** (depth - 2)}
    shrink = at[decay]

    def way(drive: float, begun: float) -> float:
        """In y = ln u; far out the integrand is an exponential."""
        return quad(lambda y: 1 / (drive * np.exp((depth - 2) * y) - shrink), np.log(begun), np.log(begun) + 40)[0]

    first = way(A, u0)
    assert number(with_decay.DEEP_WITH_DECAY, at) == pytest.approx(first, rel=1e-6)
    second = solve_ivp(
        lambda _, y: B * np.exp((depth - 2) * y) - shrink, (0, first), [np.log(u0)], rtol=1e-10, atol=1e-12
    ).y[0, -1]
    assert number(with_decay.SECOND_POWER_WITH_DECAY, at) == pytest.approx(np.exp((2 - depth) * second), rel=1e-6)
    assert number(with_decay.LAG_WITH_DECAY_DEEP, at) == pytest.approx(way(R, np.exp(second)), rel=1e-6)


@pytest.mark.parametrize("depth", [3, 4])
def test_thresholds_of_deep_branches(depth: int) -> None:
    """The full reduced flow, saturation and the decayed plateau included, from a tiny start."""
    u0 = 0.003 if depth == 3 else 0.02
    at = {L: depth, u_0: u0, a: A, b: B, r: R, c: 1}
    borders = [number(law, at) for law in (with_decay.THRESHOLD, with_decay.SECOND_THRESHOLD)]
    assert borders[1] == pytest.approx(1.0 * u0 ** (depth - 2))
    for which, border in enumerate(borders):
        ends = [np.exp(late(depth, share * border, np.full(2, u0), 60 / border).y[which, -1]) for share in (0.96, 1.04)]
        assert ends[0] > 0.5
        assert ends[1] < u0


def test_time_ratio_under_modulation() -> None:
    held = number(modulation.STRENGTH, {alpha: 0.3})
    plateau, whole = A / SIGMA[0, 0], np.linalg.solve(SIGMA, TARGET)[1]

    def times(u0: float) -> np.ndarray:
        run = four_weights(0, u0 * START, 60, SIGMA, TARGET, held)
        first = first_time(run, lambda w: w[0] * w[1] / (plateau / 2), 60)
        return np.array([first, first_time(run, lambda w: w[2] * w[3] / (whole / 2), 60)])

    slope = (times(1e-7) - times(1e-5)) / np.log(100)
    at = {kappa: held, a: A, b: B, r: R, c: 1}
    assert 1 / slope[0] == pytest.approx(number(modulation.MODULATED_GROWTH, at), rel=1e-5)
    assert slope[1] / slope[0] == pytest.approx(number(modulation.MODULATED_RATIO, at), rel=1e-3)


def test_beyond_the_critical_modulation_both_are_learned_together() -> None:
    """Small steps near zero, the first layer of whoever has the larger w Sigma_yx held back."""
    drives, step = np.array([1.0, 0.8]), 1e-3
    border = number(modulation.CRITICAL_MODULATION, {a: 1.0, b: 0.8})

    def growth(strong: float) -> np.ndarray:
        held = number(modulation.STRENGTH, {alpha: strong})
        first, second, scale = np.ones(2), np.ones(2), np.zeros(2)
        for n in range(12000):
            if n == 4000:
                scale = np.log(first * second)
            factor = np.where(first * second * drives == max(first * second * drives), held, 1.0)
            first, second = first + step * factor * drives * second, second + step * drives * first
        return (np.log(first * second) - scale) / (2 * 8000 * step)

    held = number(modulation.STRENGTH, {alpha: border / 2})
    np.testing.assert_allclose(growth(border / 2), [np.sqrt(held), 0.8], rtol=2e-3)
    strong = 2 * border
    at = {kappa: number(modulation.STRENGTH, {alpha: strong}), a: 1.0, b: 0.8}
    np.testing.assert_allclose(growth(strong), number(modulation.SLIDING_GROWTH, at), rtol=2e-3)


def test_the_mean_step_of_all_batches_is_the_step() -> None:
    """Three samples, all nine batches of two."""
    data = np.random.default_rng(4).normal(size=(3, 3))
    w = np.array([0.4, -0.7, 1.2, 0.3])

    def gradients(rows: np.ndarray) -> np.ndarray:
        error = rows[:, 2] - w[0] * w[1] * rows[:, 0] - w[2] * w[3] * rows[:, 1]
        return np.mean(error * rows[:, 0]) * w[1]

    each = np.array([gradients(data[[i]]) for i in range(3)])
    batches = np.array([gradients(data[list(rows)]) for rows in itertools.product(range(3), repeat=2)])
    assert batches.mean() == pytest.approx(gradients(data), rel=1e-12)
    assert batches.var() == pytest.approx(each.var() / 2, rel=1e-12)


def test_noise_of_batches_spreads_and_shifts_in_first_order() -> None:
    """A weight with f = s w + q w^2/2 from zero, noise of variance v/n, many runs at once and their mirror images."""
    s, q, v, size, rate, end = 0.8, 0.5, 1.0, 4, 0.004, 1.0
    rng = np.random.default_rng(5)
    w = np.zeros((2, 4000))
    for _ in range(round(end / rate)):
        kick = np.sqrt(v / size) * rng.normal(size=4000)
        w = w + rate * (s * w + q * w**2 / 2 + np.array([kick, -kick]))
    law = noise.VARIANCE_OF_WEIGHTS.subs({noise.slope: s, noise.spread: v, batch: size, eta: rate})
    assert w.var() == pytest.approx(number(law, {t: end}), rel=0.05)
    pull = sp.lambdify(t, law * q / 2)
    shift = solve_ivp(lambda t, m: s * m + q * m**2 / 2 + pull(t), (0, end), [0.0], rtol=1e-9).y[0, -1]
    assert w.mean() == pytest.approx(shift, rel=0.1)


def test_a_schedule_changes_the_clock() -> None:
    """Descent with warm-up and a cosine against the flow at the sum of the rates: an error of first order."""

    def gap(steps: int) -> float:
        n = np.arange(steps)
        rates = np.minimum(1, n / (0.1 * steps)) * (1 + np.cos(np.pi * n / steps))
        u = 0.01
        for rate in 4.5 * rates / rates.sum():
            u += rate * u * (1 - u**2)
        return u - 1 / np.sqrt(1 + (1e4 - 1) * np.exp(-2 * 4.5))

    errors = [gap(200), gap(400)]
    assert abs(errors[0]) < 0.03
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.02)


def test_what_one_step_misses() -> None:
    w, step = 0.3, 1e-3
    speed = w * (1 - w**2)
    flow = 1 / np.sqrt(1 + (1 / w**2 - 1) * np.exp(-2 * step))
    law = ledger()["145"].statements[0].printed.rhs
    law = number(law, {noise.slope: 1 - 3 * w**2, noise.flow: speed})
    assert (flow - w - step * speed) / step**2 == pytest.approx(law, rel=2e-3)


@pytest.mark.parametrize("layers", [2, 3, 4])
def test_how_late_steps_are(layers: int) -> None:
    """Steps of du/dt = u^(L-1) (1 - u^L) from 0.05 to 0.7 against its quadrature, to the next order in the rate."""
    law = ledger()["145"].statements[2].printed.rhs

    def speed(u: float) -> float:
        return u ** (layers - 1) * (1 - u**layers)

    for rate in (0.1, 0.05):
        u, steps = [0.05], 0
        while u[-1] < 0.7:
            u.append(u[-1] + rate * speed(u[-1]))
            steps += 1
        late = rate * steps - quad(lambda v: 1 / speed(v), u[0], u[-1], epsabs=1e-9)[0]
        expected = number(law, {noise.BEGIN: speed(u[0]), noise.END: speed(u[-1]), tau: 1})
        assert late / rate == pytest.approx(expected, rel=rate)
