"""Entry 156 against a small step of both layers, and against drawn weights."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.algebra.matrices import e_A
from derivations.algebra.notation import u_0
from derivations.algebra.ordered_products import evaluate
from derivations.flow import two_layer_squares as law


def test_p_and_two_squares_move_by_themselves() -> None:
    """Any weights, any error: no balance, no loss; four hidden units, three inputs, two outputs."""
    rng = np.random.default_rng(0)
    first, second, error = rng.normal(size=(4, 3)), rng.normal(size=(2, 4)), rng.normal(size=(2, 3))

    def closed(step: float) -> list[np.ndarray]:
        w1, w2 = first + step * second.T @ error, second + step * error @ first.T
        return [w2 @ w1, w1.T @ w1, w2 @ w2.T]

    total, inner, outer = closed(0.0)
    values = {law.TOTAL: total, law.INNER: inner, law.OUTER: outer, e_A: error}
    for line, ahead, behind in zip(law.EXT_156.right, closed(1e-5), closed(-1e-5), strict=False):
        assert (ahead - behind) / 2e-5 == pytest.approx(evaluate(line.rhs, values), rel=1e-8, abs=1e-8)


def test_means_of_squares_are_those_of_drawn_weights() -> None:
    rng, draws, hidden, inputs, outputs, u0 = np.random.default_rng(1), 4000, 6, 3, 2, 0.7
    first = rng.normal(size=(draws, hidden, inputs)) * u0 / np.sqrt(hidden * inputs)
    second = rng.normal(size=(draws, outputs, hidden)) * u0 / np.sqrt(hidden * outputs)
    at = {u_0: u0, law.inputs: inputs, law.outputs: outputs}
    inner, outer = (float(e.subs(at)) for e in (law.TYPICAL_INNER, law.TYPICAL_OUTER))
    assert np.mean(np.swapaxes(first, 1, 2) @ first, axis=0) == pytest.approx(inner * np.eye(inputs), abs=0.01)
    assert np.mean(second @ np.swapaxes(second, 1, 2), axis=0) == pytest.approx(outer * np.eye(outputs), abs=0.01)
    assert np.mean(second @ first, axis=0) == pytest.approx(np.zeros((outputs, inputs)), abs=0.01)
