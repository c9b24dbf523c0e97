"""The entries 152-155 against layers that are moved here, one by one."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad, solve_ivp
from scipy.linalg import fractional_matrix_power

from derivations.algebra.notation import L, l, u_0
from derivations.times import modes as law


def product(layers: list[np.ndarray]) -> np.ndarray:
    return reduce(lambda below, layer: layer @ below, layers)


def moved(layers: list[np.ndarray], error: np.ndarray) -> list[np.ndarray]:
    """Minus the gradient of each layer, input side first."""
    found = []
    for n in range(len(layers)):
        above, below = np.eye(len(layers[-1])), np.eye(layers[0].shape[1])
        above = reduce(lambda upper, layer: upper @ layer, reversed(layers[n + 1 :]), above)
        below = reduce(lambda lower, layer: layer @ lower, layers[:n], below)
        found.append(above.T @ error @ below.T)
    return found


def basis(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(rows, columns)))[0]


def balanced(
    rng: np.random.Generator, depth: int, values: np.ndarray, ends: tuple[np.ndarray, np.ndarray], width: int
) -> list[np.ndarray]:
    """Layers with these singular values, from the columns ends[0] to ends[1], any directions between."""
    columns = [ends[0], *(basis(rng, width, len(values)) for _ in range(depth - 1)), ends[1]]
    return [(upper * values) @ lower.T for lower, upper in pairwise(columns)]


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_balanced_total_weights_move_by_themselves(depth: int) -> None:
    """SciPy's fractional powers against a step of all layers; the exponents are read from the ledger."""
    rng = np.random.default_rng(depth)
    layers = balanced(rng, depth, np.array([1.3, 0.8, 0.5]), (basis(rng, 3, 3), basis(rng, 3, 3)), 4)
    for lower, upper in pairwise(layers):
        assert upper.T @ upper == pytest.approx(lower @ lower.T)
    total, error, step = product(layers), rng.normal(size=(3, 3)), 1e-5
    flow = moved(layers, error)
    ends = [product([w + sign * step * v for w, v in zip(layers, flow, strict=True)]) for sign in (1, -1)]
    outer, _, inner = (factor.as_base_exp()[1] for factor in law.EXT_152.right[2].rhs.function.args)
    said = np.zeros((3, 3))
    for n in range(1, depth + 1):
        above, below = (float(power.subs({L: depth, l: n})) for power in (outer, inner))
        said += (
            fractional_matrix_power(total @ total.T, above) @ error @ fractional_matrix_power(total.T @ total, below)
        )
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(said, rel=1e-6, abs=1e-8)


DRIVES, VARIANCES = np.array([2.0, 1.1]), np.array([0.7, 1.6])


def half_times_of_layers(depth: int, u0: float) -> np.ndarray:
    """Of both modes of four inputs and three outputs, by integrating every layer; two modes in the start."""
    rng = np.random.default_rng(depth)
    left, right = basis(rng, 3, 2), basis(rng, 4, 4)
    spread = np.array([*VARIANCES, 1.0, 1.0])
    sigma, target = (right * spread) @ right.T, (left * DRIVES) @ right[:, :2].T
    layers = balanced(rng, depth, np.full(2, u0 / np.sqrt(2)), (right[:, :2], left), 3)
    shapes = [w.shape for w in layers]
    places = np.cumsum([0, *(w.size for w in layers)])

    def unpacked(state: np.ndarray) -> list[np.ndarray]:
        return [state[a:b].reshape(s) for a, b, s in zip(places, places[1:], shapes, strict=False)]

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        now = unpacked(state)
        return np.concatenate([v.ravel() for v in moved(now, target - product(now) @ sigma)])

    def passing(mode: int):
        goal = DRIVES[mode] / VARIANCES[mode] / 2
        return lambda _, state: left[:, mode] @ product(unpacked(state)) @ right[:, mode] - goal

    events = [passing(mode) for mode in (0, 1)]
    start = np.concatenate([w.ravel() for w in layers])
    run = solve_ivp(velocity, (0, 6.0), start, "DOP853", rtol=1e-7, atol=1e-9, events=events)
    return np.array([found[0] for found in run.t_events])


@pytest.mark.parametrize(("depth", "u0"), [(2, 0.1), (3, 0.6)])
def test_half_times_are_those_of_layers(depth: int, u0: float) -> None:
    said = []
    for drive, variance in zip(DRIVES, VARIANCES, strict=True):
        at = {law.drive: drive, law.variance: variance, L: depth}
        begin = float(law.MODE_START.subs({u_0: u0, law.rank: 2, L: depth}))
        if depth == 2:
            said.append(float(law.MODE_HALF_TIME_AT_2.subs(at | {law.begin: begin})))
        else:
            pace = sp.lambdify(law.size, law.MODE_PACE.subs(at))
            said.append(quad(lambda w, pace=pace: 1 / pace(w), begin, drive / variance / 2, epsabs=0)[0])
    assert half_times_of_layers(depth, u0) == pytest.approx(said, rel=1e-5)


@pytest.mark.parametrize("depth", [3, 4])
def test_what_is_left_out_of_a_half_time_shrinks_as_stated(depth: int) -> None:
    """Relative errors of both orders at two starts: u_0^(L-2), then u_0^L."""
    at = {law.drive: 1.7, law.variance: 0.6, law.rank: 3, L: depth}
    added = float(law.MODE_ADDED.subs(at))
    pace = sp.lambdify(law.size, law.MODE_PACE.subs(at))
    missed = []
    for u0 in (0.08, 0.04):
        begin, lead = (float(e.subs(at | {u_0: u0})) for e in (law.MODE_START, law.MODE_HALF_TIME))
        top = np.log(1.7 / 0.6 / 2)
        time = quad(lambda y: np.exp(y) / pace(np.exp(y)), np.log(begin), top, epsabs=0, epsrel=1e-10)[0]
        missed.append([abs(1 - lead / time), abs(1 - (lead + added) / time)])
    slopes = np.log2(np.array(missed[0]) / missed[1])
    assert slopes == pytest.approx([depth - 2, depth], abs=0.15)


def test_a_saddle_is_left_at_the_largest_singular_value_of_its_error() -> None:
    """Correlated inputs, the first mode learned: the largest eigenvalue of the flow of two layers, by differences."""
    rng = np.random.default_rng(3)
    root, target = rng.normal(size=(3, 3)), rng.normal(size=(2, 3))
    sigma = root @ root.T + np.eye(3)
    u = np.linalg.eigh(target @ np.linalg.solve(sigma, target.T))[1][:, -1]
    total = np.outer(u, u) @ np.linalg.solve(sigma, target.T).T
    error = target - total @ sigma
    assert u @ error == pytest.approx(np.zeros(3), abs=1e-12)
    assert error @ total.T == pytest.approx(np.zeros((2, 2)), abs=1e-12)
    size, hidden = np.linalg.norm(total), np.eye(4)[0]
    saddle = np.concatenate([np.outer(hidden, u @ total).ravel(), size * np.outer(u, hidden).ravel()]) / np.sqrt(size)

    def velocity(state: np.ndarray) -> np.ndarray:
        layers = [state[:12].reshape(4, 3), state[12:].reshape(2, 4)]
        return np.concatenate([v.ravel() for v in moved(layers, target - product(layers) @ sigma)])

    assert velocity(saddle) == pytest.approx(np.zeros(20), abs=1e-12)
    slopes = [(velocity(saddle + 1e-6 * way) - velocity(saddle - 1e-6 * way)) / 2e-6 for way in np.eye(20)]
    growth = law.EXT_155.right[4].rhs.subs({law.residual_drive: np.linalg.norm(error, 2), law.new: 1})
    assert max(np.linalg.eigvals(np.array(slopes)).real) == pytest.approx(float(growth), rel=1e-8)
