"""Entry 164 against a difference quotient of the loss of one unit, and against its own time."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.algebra.notation import tau, u_0
from derivations.nonlinear import unit_growth as law

ROWS = 25


def test_a_unit_near_zero_moves_as_said() -> None:
    """c, m and phi by central differences of the written-out loss; what is left out goes as the cube of the weights."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(ROWS, 2)), rng.normal(size=ROWS)

    def loss(unit: np.ndarray) -> float:
        return float(np.mean((y - unit[2] * np.maximum(x @ unit[:2], 0)) ** 2) / 2)

    size, angle, second = 1e-4, 0.7, -2e-4
    unit = np.array([size * np.cos(angle), size * np.sin(angle), second])
    step = 1e-3 * size
    moved = np.array([(loss(unit - e) - loss(unit + e)) / (2 * step) for e in step * np.eye(3)])
    drive = y @ (x * (x @ unit[:2] > 0)[:, None]) / ROWS
    at = {law.c: second, law.m: size, law.phi: angle, law.G_1: drive[0], law.G_2: drive[1]}
    turning = (-np.sin(angle) * moved[0] + np.cos(angle) * moved[1]) / size
    assert turning == pytest.approx(float(law.EXT_164.printed[4].rhs.subs(at)), rel=1e-3)
    force = float(np.mean(y * np.maximum(x @ unit[:2], 0)))
    assert moved[2] == pytest.approx(force, rel=1e-3)
    assert force == pytest.approx(float(drive @ unit[:2]), rel=1e-12)


def test_its_time() -> None:
    """A balanced unit: d(c m)/dt = 2 gamma c m."""
    said = law.EXT_164.printed[7].rhs.subs({tau: 1, law.gamma: 0.7, u_0: 1e-5})
    assert float(said) == pytest.approx(np.log(1e10) / (2 * 0.7))
