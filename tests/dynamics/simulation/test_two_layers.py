"""The closed flow of two layers, (156), against every weight: SciPy on a right-hand side from the loss."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from derivations import FusionNetwork, SolveError
from dynamics.simulation.two_layers import Closed, squares_of
from tests.cases import SOAK

CASES = range(50) if SOAK else (4, 13, 26, 33, 44, 48)  # two of each number of outputs, early and late
RTOL = 1e-13  # of both roads: roundings grow by the square of 1/size of the start, so that 1e-8 is asked
LOOKS, LATEST = 60, 40.0


@dataclass(frozen=True, eq=False)
class Case:
    """A problem in plain arrays. layers : a part of the network (members, first (h, D of the part), second (K, h))"""

    sizes: dict[str, int]
    sigma: np.ndarray
    sigma_yx: np.ndarray
    layers: list[tuple[tuple[str, ...], np.ndarray, np.ndarray]]
    columns: dict[str, list[int]]
    early: bool


def drawn(number: int) -> Case:
    """One to three outputs, two or three modalities, late or early; each layer's entries of a size of its own."""
    rng = np.random.default_rng([156, number])
    outputs, names = 1 + number % 3, "ABC"[: 2 + number // 3 % 2]
    early = number % 5 == 4
    sizes = {m: int(rng.integers(1, 5)) for m in names}
    total = sum(sizes.values())
    mixing = rng.normal(size=(total, 3 * total))
    sigma = mixing @ mixing.T / (3 * total)
    sigma_yx = rng.normal(size=(outputs, total)) @ sigma
    ends = np.cumsum([0, *sizes.values()]).tolist()
    columns = {m: list(range(a, b)) for m, (a, b) in zip(names, itertools.pairwise(ends), strict=True)}
    layers = []
    for members in [tuple(names)] if early else [(m,) for m in names]:
        reads = sum(sizes[m] for m in members)
        wide = int(rng.integers(min(reads, outputs) + 1, 25))  # wide enough for all that there is to learn
        small, large = np.exp(rng.uniform(np.log(0.03), np.log(2), size=2))
        layers.append((members, small * rng.normal(size=(wide, reads)), large * rng.normal(size=(outputs, wide))))
    return Case(sizes, sigma, sigma_yx, layers, columns, early)


def trained(case: Case) -> tuple[np.ndarray, Callable[[float], list[np.ndarray]]]:
    """Gradient descent of the loss <|y - sum W2 W1 x|^2>/2 in weights: times, and p, M, a of each part at a time.

    It ends where a millionth of the loss that can be lost is left, or, from too narrow a layer, at LATEST.
    """
    where = [[c for m in members for c in case.columns[m]] for members, _, _ in case.layers]
    shapes = [w.shape for _, *pair in case.layers for w in pair]
    ends = np.cumsum([0, *(a * b for a, b in shapes)])
    whole = np.linalg.solve(case.sigma, case.sigma_yx.T).T

    def weights(flat: np.ndarray) -> list[np.ndarray]:
        return [flat[a:b].reshape(s) for (a, b), s in zip(itertools.pairwise(ends), shapes, strict=True)]

    def product(flat: np.ndarray) -> np.ndarray:
        layers, found = weights(flat), np.zeros_like(whole)
        for i, own in enumerate(where):
            found[:, own] = layers[2 * i + 1] @ layers[2 * i]
        return found

    def descent(_: float, flat: np.ndarray) -> np.ndarray:
        layers, moved = weights(flat), []
        wrong = case.sigma_yx - product(flat) @ case.sigma  # minus the loss's derivative by the product
        for i, own in enumerate(where):
            first, second = layers[2 * i], layers[2 * i + 1]
            moved += [(second.T @ wrong[:, own]).ravel(), (wrong[:, own] @ first.T).ravel()]
        return np.concatenate(moved)

    def excess(flat: np.ndarray) -> float:
        off = whole - product(flat)
        return float(np.trace(off @ case.sigma @ off.T))

    start = np.concatenate([w.ravel() for _, *pair in case.layers for w in pair])
    goal = 1e-6 * excess(start)
    settled = lambda _, flat: excess(flat) - goal
    settled.terminal = True
    run = solve_ivp(
        descent, (0, LATEST), start, "DOP853", rtol=RTOL, atol=1e-15, events=settled, dense_output=True
    )  # fmt: skip
    assert run.success

    def squares(t: float) -> list[np.ndarray]:
        layers = weights(run.sol(t))
        pairs = list(zip(layers[::2], layers[1::2], strict=True))
        return [found for first, second in pairs for found in (second @ first, first.T @ first, second @ second.T)]

    return np.linspace(0, run.t[-1], LOOKS), squares


def closed_of(case: Case) -> Closed:
    """The same start in the package's flow."""
    network = FusionNetwork.fused_at(2, 1 if case.early else 2, tuple(case.sizes))
    weights: dict[str, list[np.ndarray]] = {"trunk": []}
    for members, first, second in case.layers:
        begin = 0
        for m in members:
            own = first[:, begin : begin + case.sizes[m]]
            begin += case.sizes[m]
            weights[m] = [own] if case.early else [own, second]
        if case.early:
            weights["trunk"] = [second]

    def errors(totals: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        wrong = case.sigma_yx - np.hstack(list(totals.values())) @ case.sigma
        return {m: wrong[:, own] for m, own in case.columns.items()}

    return Closed(squares_of(network, case.sizes, weights), errors)


def apart(number: int) -> float:
    """Largest difference in p, M or a of any part over the whole run, as a share of that matrix's largest entry."""
    case = drawn(number)
    times, squares = trained(case)
    flow, largest = closed_of(case), max(float(np.max(np.abs(a))) for a in squares(0.0))
    run = solve_ivp(
        flow.velocity, (0, times[-1]), flow.start, "DOP853", rtol=RTOL, atol=1e-15 * largest, dense_output=True
    )  # fmt: skip
    expected = [squares(t) for t in times]
    found = [flow.unpacked(run.sol(t)) for t in times]
    worst = 0.0
    for i in range(len(expected[0])):
        true = np.array([one[i] for one in expected])
        own = np.array([one[i] for one in found])
        worst = max(worst, float(np.max(np.abs(own - true)) / np.max(np.abs(true))))
    return worst


@pytest.mark.parametrize("number", CASES)
def test_the_squares_of_every_weight_move_by_themselves(number: int) -> None:
    assert apart(number) < 1e-8


def test_a_run_is_as_good_between_its_steps() -> None:
    """At the points that a run tells, three of four inside a step: a rtol of 1e-9 to 1e-7."""
    case = drawn(33)
    times, squares = trained(case)
    t, total, finished = closed_of(case).run(1e-9, lambda *_: False, float(times[-1]), 20_000)
    assert finished
    assert t[-1] == times[-1]
    true = [squares(now)[::3] for now in t]
    for i, w in enumerate(total.values()):
        p = np.array([one[i] for one in true])
        np.testing.assert_allclose(w, p, rtol=0, atol=1e-7 * np.max(np.abs(p)))


@pytest.mark.parametrize(("wide", "holds"), [(1, False), (4, True)])
def test_too_narrow_a_layer_is_no_case_of_squares(wide: int, holds: bool) -> None:
    """One unit for a map of rank two: weights stay with one mode for ever, roundings of squares learn another."""
    rng, sigma_yx = np.random.default_rng(0), np.diag([2.0, 1.0])
    first, second = 0.1 * rng.normal(size=(wide, 2)), 0.1 * rng.normal(size=(2, wide))
    case = Case({"A": 2}, np.eye(2), sigma_yx, [(("A",), first, second)], {"A": [0, 1]}, False)
    closed = closed_of(case)
    if holds:
        total = closed.run(1e-7, lambda *_: False, 40.0, 20_000)[1]["A"][-1]
        np.testing.assert_allclose(total, sigma_yx, rtol=0, atol=1e-6)
    else:
        with pytest.raises(SolveError, match="A: a layer of width 1 is too narrow for what there is to learn"):
            closed.run(1e-7, lambda *_: False, 40.0, 20_000)
