"""The entries 121-126 against networks that are trained here, in a few lines each, without the project's code.

A law to leading order loses a number beside ln(1/u_0). Runs that start from u_0 and from u_0/100 in the same
direction lose the same number, so the difference of their times has the law's slope up to powers of u_0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, minimize
from scipy.special import expit

Drives = Callable[[float, float], tuple[float, float]]


def square_loss(sigma: list[list[float]], target: list[float]) -> Drives:
    """e_A and e_B for total weights of A and B."""
    s, y = np.array(sigma), np.array(target)
    return lambda p, q: tuple(y - np.array([p, q]) @ s)


def totals(layers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """W^tot of both branches; the rows are W_A^1, W_A^2, W_B^1, W_B^2."""
    return (layers[0] * layers[1]).sum(axis=0), (layers[2] * layers[3]).sum(axis=0)


def flow(drives: Drives, start: np.ndarray, end: float) -> solve_ivp:
    """dW/dt of two branches of two layers with scalar inputs."""

    def law(_: float, state: np.ndarray) -> np.ndarray:
        w = state.reshape(4, -1)
        e_a, e_b = drives(w[0] @ w[1], w[2] @ w[3])
        return np.concatenate([e_a * w[1], e_a * w[0], e_b * w[3], e_b * w[2]])

    return solve_ivp(law, (0, end), start.ravel(), "DOP853", rtol=1e-12, atol=1e-18, dense_output=True)


def weights(run: solve_ivp, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return totals(run.sol(times).reshape(4, -1, len(times)))


def reached(run: solve_ivp, modality: int, value: float) -> float:
    """The first time at which total weights reach a value, which is not zero."""
    grid = np.linspace(0, run.t[-1], 4001)
    share = weights(run, grid)[modality] / value
    n = int(np.argmax(share >= 1))
    assert share[n] >= 1, "never reached"
    return brentq(lambda t: weights(run, np.array([t]))[modality][0] / value - 1, grid[n - 1], grid[n], xtol=1e-12)


def balanced(u0: float, signs: tuple[int, int] = (1, 1)) -> np.ndarray:
    """Equal norms in all layers, one hidden direction a branch."""
    directions = np.random.default_rng(3).normal(size=(2, 3))
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return u0 * np.array([signs[0] * unit[0], unit[0], signs[1] * unit[1], unit[1]])


def unbalanced(u0: float) -> np.ndarray:
    return u0 * np.random.default_rng(5).normal(size=(4, 3))


def slope(law: Callable[[float], np.ndarray], u0: float) -> np.ndarray:
    """Change of what a run gives when ln(1/u_0) grows by 1."""
    return (law(u0 / 100) - law(u0)) / np.log(100)


@pytest.mark.parametrize("k", [0.6, -0.6])
def test_collinear_weights_of_b_are_a_power_of_those_of_a(k: float) -> None:
    """At every time, to the accuracy of the solver; B never gets the half of what the pseudo-inverse gives it."""
    a, variance, u0 = 2.0, 1.5, 1e-3
    drives = square_loss([[variance, k * variance], [k * variance, k**2 * variance]], [a, k * a])
    run = flow(drives, balanced(u0, (1, int(np.sign(k)))), 40)
    first, second = weights(run, np.linspace(0, 40, 400))
    np.testing.assert_allclose(np.sign(k) * second, u0 ** (2 * (1 - abs(k))) * first ** abs(k), rtol=1e-8)
    assert first[-1] + k * second[-1] == pytest.approx(a / variance, rel=1e-9)  # the loss is at its minimum
    assert max(abs(second)) < 0.02 * abs(k * a / variance / (1 + k**2))


def test_a_tie_is_kept_where_the_variances_are_equal_and_decided_by_saturation_where_not() -> None:
    start = balanced(1e-4)
    run = flow(square_loss([[1, 0.4], [0.4, 1]], [1, 1]), start, 40)
    np.testing.assert_allclose(*weights(run, np.linspace(0, 40, 200)), rtol=1e-9)  # the solver's accuracy

    law = square_loss([[1, 0.3], [0.3, 2]], [1, 1])
    ends = np.linalg.solve([[1, 0.3], [0.3, 2]], [1, 1])

    def lag(u0: float) -> float:
        run = flow(law, balanced(u0), 60)
        early = reached(run, 0, 1e-4)
        first, second = weights(run, np.array([early]))
        # d ln(u_B/u_A) = (Sigma_A - Sigma_B) u^2 dt, at u^2 = 1e-4 the weights differ by this share of themselves
        assert second[0] / first[0] - 1 == pytest.approx((1 - 2) * 1e-4, rel=1e-3)
        assert np.all(weights(run, np.linspace(0.1, 60, 300))[1] < weights(run, np.linspace(0.1, 60, 300))[0])
        return reached(run, 1, ends[1] / 2) - reached(run, 0, ends[0] / 2)

    assert lag(1e-6) == pytest.approx(lag(1e-4), abs=1e-6)  # a number, so no part of ln(1/u_0); u_0^2 is left out


def test_a_tie_with_the_other_sign_of_the_residual_is_a_long_one() -> None:
    """a = b = 1, residual 1 - 1.5: the lag grows by 2/r for each e-fold of u_0, t_A by 1/a; u_0^2 is left out."""
    sigma = [[1, 1.5], [1.5, 4]]
    ends = np.linalg.solve(sigma, [1, 1])
    assert ends[1] < 0

    def times(u0: float) -> np.ndarray:
        run = flow(square_loss(sigma, [1, 1]), unbalanced(u0), 130)
        first, second = reached(run, 0, 0.5), reached(run, 1, ends[1] / 2)
        return np.array([first, second - first])

    np.testing.assert_allclose(slope(times, 1e-2), [1, 2 / 0.5], rtol=1e-3)


UNLEARNING = {"sd": (3.0, 1.0), "rho": 0.9, "w": (-0.2, 1.0)}


def unlearning() -> tuple[Drives, np.ndarray, np.ndarray]:
    (sd_a, sd_b), rho = UNLEARNING["sd"], UNLEARNING["rho"]
    sigma = np.array([[sd_a**2, rho * sd_a * sd_b], [rho * sd_a * sd_b, sd_b**2]])
    target = np.array(UNLEARNING["w"]) @ sigma
    return square_loss(sigma.tolist(), target.tolist()), sigma, target


def test_unlearning_goes_by_way_of_m_b_and_a_balanced_run_stays_there() -> None:
    """Points at the times in between; they are approached exponentially, 1 % is enough to tell them apart."""
    drives, sigma, target = unlearning()
    saddles = np.array([[target[0] / sigma[0, 0], 0], [0, target[1] / sigma[1, 1]], UNLEARNING["w"]])
    assert saddles[0, 0] * UNLEARNING["w"][0] < 0
    grid = np.linspace(0, 250, 5001)
    for start, visited in ((unbalanced(1e-4), [0, 1, 2]), (balanced(1e-4), [0, 1])):
        run = np.array(weights(flow(drives, start, 250), grid))
        near = [np.flatnonzero(np.all(abs(run.T - point) < 0.01, axis=1)) for point in saddles]
        assert [n for n in range(3) if len(near[n])] == visited
        assert all(near[i][-1] < near[i + 1][0] for i in visited[:-1])
        assert near[visited[-1]][-1] == len(grid) - 1
        assert visited == [0, 1, 2] or np.all(run[0] > 0)


def test_the_rate_of_leaving_m_b() -> None:
    """|W_A^tot| grows at twice the rate while it is small: from 1e-7 to 1e-5, errors of order 1e-3 at its start (the
    other mode, which still decays) and 1e-4 at its end (saturation)."""
    drives, _, _ = unlearning()
    run = flow(drives, unbalanced(1e-4), 250)
    between = reached(run, 0, -1e-5) - reached(run, 0, -1e-7)
    rate = UNLEARNING["sd"][0] ** 2 * abs(UNLEARNING["w"][0]) * (1 - UNLEARNING["rho"] ** 2)
    assert np.log(100) / between / 2 == pytest.approx(rate, rel=2e-3)


def descended(drives: Drives, layers: np.ndarray, eta: float, ends: np.ndarray) -> np.ndarray:
    """Steps of gradient descent until A, and then B, has half of its end; between two steps ln|W| is straight."""
    w, found, before, step = layers.copy(), [np.nan, np.nan], None, 0
    while np.isnan(found).any():
        share = np.array([w[0] @ w[1], w[2] @ w[3]]) / ends * 2
        for m in (0, 1):
            if np.isnan(found[m]) and share[m] >= 1:
                found[m] = step - np.log(share[m]) / np.log(share[m] / before[m])
        e_a, e_b = drives(w[0] @ w[1], w[2] @ w[3])
        w = w + eta * np.array([e_a * w[1], e_a * w[0], e_b * w[3], e_b * w[2]])
        before, step = share, step + 1
        assert step < 5000
    return np.array([found[0], found[1] - found[0]])


@pytest.mark.parametrize(("cross", "c"), [(0.2, 1), (1.2, -1)])
def test_gradient_descent_at_a_finite_learning_rate(cross: float, c: int) -> None:
    """Steps of A and of the lag for each e-fold of u_0, within 0.2 %: a crossing is known to some hundredths of a
    step of a difference of 30 or more. The flow's (9) is 2 % off or more, and for c = -1
    so is c before the second logarithm as well as in it."""
    eta, a, b = 0.05, 3.0, 1.0
    sigma = np.array([[2.0, cross], [cross, 2.0]])
    r = abs(b - a * cross / 2)
    ends = np.linalg.solve(sigma, [a, b])
    assert np.sign(ends[1]) == c
    ends[0] = a / 2
    found = slope(lambda u0: descended(square_loss(sigma, [a, b]), unbalanced(u0), eta, ends), 1e-3)
    first = 1 / np.log1p(eta * a)
    ratio = 1 + (np.log1p(eta * a) - np.log1p(c * eta * b)) / np.log1p(eta * r)
    assert found[0] == pytest.approx(first, rel=2e-3)
    assert 1 + found[1] / found[0] == pytest.approx(ratio, rel=2e-3)
    other = 1 + (np.log1p(eta * a) - c * np.log1p(c * eta * b)) / np.log1p(eta * r)
    for wrong in (1 + (a - c * b) / r, *([other] if c < 0 else [])):
        assert abs(ratio / wrong - 1) > 0.01


Atoms = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def labels() -> Atoms:
    """Probabilities, x_A, x_B, y = +-1 with E[x_B | x_A] = 0.4 x_A exactly; P(y = 1 | x_A) is odd about 1/2."""
    x = np.tile([-2.0, -1.0, 1.0, 2.0], 4)
    up = np.tile([0.2, 0.35, 0.65, 0.8], 4)
    y = np.repeat([1.0, -1.0, 1.0, -1.0], 4)
    noise = np.repeat([1.0, 1.0, -1.0, -1.0], 4)
    return np.where(y > 0, up, 1 - up) / 8, x, 0.4 * x + 0.25 * (y - (2 * up - 1)) + noise, y


def real_targets() -> Atoms:
    """Targets of different sizes: the large ones are soon fitted, and with them what B shares with them."""
    rng = np.random.default_rng(2)
    x_a = rng.normal(size=60)
    x_b = 0.2 * x_a * abs(x_a) + 0.7 * rng.normal(size=60)
    return np.full(60, 1 / 60), x_a, x_b, 2 * x_a + x_b + 2 * rng.normal(size=60)


def late_drive(atoms: Atoms) -> tuple[float, float]:
    """w_A of the logistic loss of A alone, and <y x_B sigmoid(-y w_A x_A)>."""
    p, x_a, x_b, y = atoms

    def mean(w: float, x: np.ndarray) -> float:
        return float(np.sum(p * y * x * expit(-y * w * x_a)))

    w_a = brentq(lambda w: mean(w, x_a), -50, 50, xtol=1e-14)
    return w_a, mean(w_a, x_b)


def test_late_drive_is_half_the_residual_for_labels_and_not_for_real_targets() -> None:
    for atoms, half in ((labels(), True), (real_targets(), False)):
        p, x_a, x_b, y = atoms
        residual = np.sum(p * y * x_b) - np.sum(p * y * x_a) * np.sum(p * x_a * x_b) / np.sum(p * x_a**2)
        found = late_drive(atoms)[1] / residual
        assert (found == pytest.approx(0.5, rel=1e-10)) if half else abs(found - 0.5) > 0.1


@pytest.mark.parametrize("atoms", [labels(), real_targets()], ids=["labels", "real"])
def test_times_of_the_logistic_loss(atoms: Atoms) -> None:
    """Slopes of t_A and of the lag in ln(1/u_0), within 0.2 %: u_0^(2(1-k)) at u_0 = 1e-4 is left out."""
    p, x_a, x_b, y = atoms

    def drives(first: float, second: float) -> tuple[float, float]:
        share = p * y * expit(-y * (first * x_a + second * x_b))
        return share @ x_a, share @ x_b

    ends = minimize(lambda w: p @ np.logaddexp(0, -y * (w[0] * x_a + w[1] * x_b)), [0, 0]).x
    a, b = np.sum(p * y * x_a), np.sum(p * y * x_b)
    w_a, s_b = late_drive(atoms)
    assert a > b > 0 < s_b

    def times(u0: float) -> np.ndarray:
        run = flow(drives, balanced(u0), 3 * np.log(1 / u0) * (2 / a + (1 - b / a) / s_b))
        first, second = reached(run, 0, w_a / 2), reached(run, 1, ends[1] / 2)
        return np.array([first, second - first])

    found = slope(times, 1e-4)
    assert found[0] == pytest.approx(2 / a, rel=2e-3)
    assert 1 + found[1] / found[0] == pytest.approx(1 + (a - b) / (2 * s_b), rel=2e-3)


def symmetric_samples(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x_A (of some dimension), x_B, y, each sample with its mirror image; the noise of y is mirrored as well."""
    rng = np.random.default_rng(2)
    x_a = 1.5 * rng.normal(size=(40, size))
    x_b = 0.3 * x_a[:, 0] + 0.8 * rng.normal(size=40)
    y = x_a.sum(axis=1) + 0.8 * x_b + 0.3 * rng.normal(size=40)
    return np.concatenate([x_a, -x_a]), np.concatenate([x_b, -x_b])[:, None], np.concatenate([y, -y])


def train(xs: tuple[np.ndarray, ...], y: np.ndarray, layers: list[np.ndarray], end: float, relu: bool) -> solve_ivp:
    """Gradient flow on samples; `layers` are first and second layer of A, then of B, rows are hidden units."""
    sizes = np.cumsum([w.size for w in layers])[:-1]

    def law(_: float, state: np.ndarray) -> np.ndarray:
        w = [part.reshape(like.shape) for part, like in zip(np.split(state, sizes), layers, strict=True)]
        inner = [x @ w[2 * m].T for m, x in enumerate(xs)]
        on = [(z > 0).astype(float) if relu else np.ones_like(z) for z in inner]
        error = (y - sum((z * s) @ w[2 * m + 1] for m, (z, s) in enumerate(zip(inner, on, strict=True)))) / len(y)
        found = []
        for m, x in enumerate(xs):
            found += [((error[:, None] * on[m]) * w[2 * m + 1]).T @ x, (inner[m] * on[m]).T @ error]
        return np.concatenate([part.ravel() for part in found])

    start = np.concatenate([w.ravel() for w in layers])
    return solve_ivp(law, (0, end), start, "DOP853", rtol=1e-9, atol=1e-13, dense_output=True)


def product(run: solve_ivp, t: float, layers: list[np.ndarray], m: int) -> np.ndarray:
    """W^2 W^1 of a branch, summed over its units."""
    sizes = np.cumsum([w.size for w in layers])[:-1]
    parts = [part.reshape(like.shape) for part, like in zip(np.split(run.sol(t), sizes), layers, strict=True)]
    return parts[2 * m + 1] @ parts[2 * m]


def test_relu_in_mirrored_pairs_is_the_linear_network_at_half_the_speed() -> None:
    """Units (w, v) and (-w, -v): at twice the time the sum over units is twice that of the linear network, exactly.

    The tolerance is the solver's: 1e-9 a step, grown by the escape from two saddles.
    """
    x_a, x_b, y = symmetric_samples(2)
    rng = np.random.default_rng(1)
    layers = [1e-3 * rng.normal(size=shape) for shape in ((3, 2), (3,), (3, 1), (3,))]
    pairs = [np.concatenate([w, -w]) for w in layers]
    linear = train((x_a, x_b), y, layers, 60, relu=False)
    bent = train((x_a, x_b), y, pairs, 120, relu=True)
    for t in np.linspace(1, 60, 30):
        for m in (0, 1):
            np.testing.assert_allclose(
                product(bent, 2 * t, pairs, m), 2 * product(linear, t, layers, m), rtol=1e-5, atol=1e-8
            )
    x = np.hstack([x_a, x_b])
    ends = np.linalg.solve(x.T @ x, x.T @ y)
    np.testing.assert_allclose(product(bent, 120.0, pairs, 0), 2 * ends[:2], rtol=1e-3)  # learned by then


def test_times_of_a_random_relu_network() -> None:
    """No pairs: twice the slopes of the linear laws in ln(1/u_0), within 0.2 %; u_0^(2(1-k)) is left out."""
    x_a, x_b, y = symmetric_samples(1)
    s_a, s_ab = np.mean(x_a**2), np.mean(x_a * x_b)
    a, b = np.mean(y * x_a[:, 0]), np.mean(y * x_b[:, 0])
    r = b - a / s_a * s_ab
    assert a > b > 0 < r
    x = np.hstack([x_a, x_b])
    ends = np.linalg.solve(x.T @ x, x.T @ y)
    rng = np.random.default_rng(4)
    directions = [rng.normal(size=shape) for shape in ((6, 1), (6,), (6, 1), (6,))]

    def times(u0: float) -> np.ndarray:
        layers = [u0 * w for w in directions]
        end = 4 * np.log(1 / u0) * (2 / a + 2 * (1 - b / a) / r)
        run = train((x_a, x_b), y, layers, end, relu=True)
        halves = [a / s_a, ends[1]]  # half of a sum that is twice as large
        found = []
        for m in (0, 1):
            gap = lambda t, m=m: product(run, t, layers, m)[0] - halves[m]
            grid = np.linspace(0, end, 2001)
            n = next(i for i, t in enumerate(grid) if gap(t) > 0)
            found.append(brentq(gap, grid[n - 1], grid[n]))
        np.testing.assert_allclose(
            [product(run, end, layers, 0)[0], product(run, end, layers, 1)[0]], 2 * ends, rtol=1e-3
        )
        return np.array([found[0], found[1] - found[0]])

    np.testing.assert_allclose(slope(times, 1e-3), [2 / a, 2 * (1 - b / a) / r], rtol=2e-3)
