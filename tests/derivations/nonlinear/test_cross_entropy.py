"""Entry 157 against differences of the loss, and against a margin that is integrated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from derivations.algebra.matrices import S, W_tot, Y
from derivations.algebra.notation import K, tau
from derivations.algebra.ordered_products import evaluate
from derivations.nonlinear import cross_entropy as law

CLASSES, ROWS, INPUTS = 4, 30, 3


def mean_loss(weights: np.ndarray, inputs: np.ndarray, labels: np.ndarray) -> float:
    logits = inputs @ weights.T
    return float(np.mean(np.log(np.sum(np.exp(logits), axis=1)) - logits[np.arange(len(labels)), labels]))


def test_the_drive_near_zero_is_that_of_a_squared_loss() -> None:
    """What is left over goes as the square of the weights; classes of unequal size, correlated inputs."""
    rng = np.random.default_rng(4)
    inputs, labels = rng.normal(size=(ROWS, INPUTS)) @ rng.normal(size=(INPUTS, INPUTS)), np.arange(ROWS) ** 2 % CLASSES
    labels[:4] = np.arange(4)
    inputs -= inputs.mean(axis=0)
    target = np.eye(CLASSES)[labels]
    known = {
        Y: (target - target.mean(axis=0)).T @ inputs / ROWS,
        S: inputs.T @ inputs / ROWS,
        law.CENTRED: np.eye(CLASSES) - 1 / CLASSES,
        K: CLASSES,
    }
    way, left = rng.normal(size=(CLASSES, INPUTS)), []
    for size in (0.008, 0.004):
        weights, drive, step = size * way, np.zeros_like(way), 1e-5
        for place in np.ndindex(*way.shape):
            moved = np.zeros_like(way)
            moved[place] = step
            ahead, behind = (mean_loss(weights + sign * moved, inputs, labels) for sign in (1, -1))
            drive[place] = (behind - ahead) / (2 * step)
        said = evaluate(law.EXT_157.printed[1].rhs, {**known, W_tot: weights})
        left.append(np.max(np.abs(drive - said)))
        assert left[-1] < 0.1 * np.max(np.abs(said - known[Y]))
    assert np.log2(left[0] / left[1]) == pytest.approx(2, abs=0.1)


def test_a_margin_grows_as_a_logarithm() -> None:
    """A sample with one margin over three classes; the time is left out by a share of exp(-m) m."""

    def pace(_: float, margin: np.ndarray) -> np.ndarray:
        sizes = np.exp(-margin[0]) * (CLASSES - 1)
        return np.array([0.7 * sizes / (1 + sizes)])

    run = solve_ivp(pace, (0, 1e6), [0.0], "LSODA", rtol=1e-9, atol=1e-9)
    margin = run.y[0, -1]
    said = float(law.MARGIN_TIME.subs({K: CLASSES, law.pull: 0.7, law.LEFT: np.exp(-margin), tau: 1}))
    assert said == pytest.approx(1e6, rel=2 * margin * np.exp(-margin) * (CLASSES - 1))
    assert margin == pytest.approx(np.log((CLASSES - 1) * 0.7 * 1e6), abs=1e-4)
