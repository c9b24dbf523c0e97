"""The entries 147-151 against steps that are taken here, one by one."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.algebra.notation import L, a, b, batch, eta, r
from derivations.training import optimizers as law
from derivations.training.noise import spread

RATE = 1e-4


def entry(depth: int, first: float, second: float, steps: int) -> np.ndarray:
    """Size of an entry under Adam while gradients go as z^(L-1), in learning rates."""
    z, mean, square, path = 1e-3, 0.0, 0.0, [1e-3]
    for count in range(1, steps + 1):
        gradient = z ** (depth - 1)
        mean, square = first * mean + (1 - first) * gradient, second * square + (1 - second) * gradient**2
        z += mean / (1 - first**count) / np.sqrt(square / (1 - second**count))
        path.append(z)
    return np.array(path)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_entries_grow_on_a_line_that_memory_shifts(depth: int) -> None:
    """A start near zero costs a few steps more; what a shift grows by with beta_1 does not depend on them."""
    steps, pace = 4000, np.sqrt(2 * depth - 1)
    short, long = (steps - entry(depth, first, 1 - 1e-9, steps)[-1] / pace for first in (0.5, 0.9))
    said = [float(law.LAG.subs({L: depth, law.first_beta: first})) for first in (0.5, 0.9)]
    assert long - short == pytest.approx(said[1] - said[0], rel=0.03)
    end = entry(depth, 0.0, 1 - 1e-5, steps)[-1] / pace / steps
    forgotten = float(law.FORGETTING.subs({L: depth, law.second_beta: 1 - 1e-5})) * steps
    rest = 1 - entry(depth, 0.0, 1 - 1e-9, steps)[-1] / pace / steps  # of the start
    assert 1 - end - rest == pytest.approx(forgotten, rel=0.05)


def test_steps_to_half_of_a_line() -> None:
    numbers = {law.weight: 3.0, L: 3, law.units: 40, eta: RATE}
    steps = float(law.STEPS_TO_HALF.subs(numbers))
    assert 40**2 * (np.sqrt(5) * RATE * steps) ** 3 == pytest.approx(1.5)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(("rate", "beta"), [(0.01, 0.5), (0.1, 0.9), (0.05, 0.99)])
def test_momentum_grows_by_its_root(rate: float, beta: float, nesterov: bool) -> None:
    w, v, drive = 1.0, 0.0, 1.3
    for _ in range(3000):
        before = w
        v = beta * v + drive * w
        w += rate * (drive * w + beta * v if nesterov else v)
        w, v = w / before, v / before
    form = law.GROWTH_OF_NESTEROV if nesterov else law.GROWTH_OF_MOMENTUM
    assert w == pytest.approx(float(form.subs({a: drive, eta: rate, law.beta: beta})), rel=1e-12)


def test_the_ratio_under_momentum_lies_between_both_regimes() -> None:
    drives = {a: 2.0, b: 1.0, r: 0.5}

    def ratio(rate: float) -> float:
        return float(law.RATIO_OF_MOMENTUM.subs({**drives, eta: rate, law.beta: 0.9}))

    assert ratio(1e-6) == pytest.approx(1 + (2 - 1) / 0.5, rel=1e-3)
    assert 1 + (np.sqrt(2) - 1) / np.sqrt(0.5) < ratio(0.1) < ratio(1e-3) < ratio(1e-6)


def test_noise_takes_its_share_of_the_pace() -> None:
    """Adam without a memory of gradients, long averages of squares, batches of normal gradients."""
    rng, steps = np.random.default_rng(0), 200_000
    gradients = 1.0 + np.sqrt(9.0 / 4) * rng.normal(size=steps)
    paces = gradients / np.sqrt(np.cumsum(gradients**2) / np.arange(1, steps + 1))
    said = float(law.BATCH_FACTOR.subs({law.mean_gradient: 1.0, spread: 9.0, batch: 4}))
    assert np.mean(paces[steps // 2 :]) == pytest.approx(said, rel=0.01)
