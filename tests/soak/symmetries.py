"""What must not change an answer, on every architecture that the types can express, to 1e-10.

Random trees of one to four modalities (nested, unequal depths, one layer to three a chain), and two-layer networks
with several outputs. Four roads: the law, the reduced flow, the full flow and gradient descent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from derivations import Chain, Correlations, FusionNetwork
from dynamics import descend, integrate, integrate_reduced, random_weights
from dynamics.prediction.estimates import Estimate, leading_estimate
from dynamics.prediction.laws.leading import TwoBranches
from dynamics.problem import Problem as Question
from dynamics.starts.start import random_start
from dynamics.starts.weights import start_norms
from tests.cases import random_correlations, random_tree
from tests.soak.row import Outcome

CLOSE = 1e-10
WIDTH = 3

Weights = dict[str, list[np.ndarray]]


@dataclass
class Problem:
    """A network, its data and weights; `time` and `scale` say how times and total weights have changed."""

    net: FusionNetwork
    data: Correlations
    weights: dict[str, list[np.ndarray]]
    u0: dict[str, float]
    time: float = 1.0
    scale: float = 1.0
    turns: dict[str, np.ndarray] = field(default_factory=dict)
    found: dict[Any, Any] = field(default_factory=dict)

    def by(self, road: Callable[[Problem], Any]) -> Any:
        """What a road gives, taken once."""
        if road not in self.found:
            self.found[road] = road(self)
        return self.found[road]


def problem(rng: np.random.Generator, i: int) -> Problem:
    several = i % 4 == 3
    count = int(rng.integers(1, 5))
    names = tuple("ABCD"[:count])
    net = FusionNetwork.fused_at(2, int(rng.integers(1, 3)), names) if several else random_tree(rng, count)
    sizes = {m: int(rng.integers(1, 4)) for m in net.modalities}
    data = random_correlations(rng, sizes, outputs=2 if several else 1, correlation=0.5)
    u0 = {m: float(rng.uniform(0.05, 0.2)) for m in net.modalities}
    weights = random_weights(net, data, 0.9, width=WIDTH, seed=int(rng.integers(1000)))
    return Problem(net, data, weights, u0)


def flow_totals(p: Problem) -> dict[str, np.ndarray]:
    """At t = 0.7: early enough that an error of the integrator has not grown with the weights."""
    run = integrate(p.net, p.data, weights=p.weights, t_end=0.7 * p.time, rtol=1e-12, exact=True)
    return {m: w[-1:] for m, w in run.total.items()}


def descent_totals(p: Problem) -> dict[str, np.ndarray]:
    rate = 0.01 * p.time
    run = descend(p.net, p.data, weights=p.weights, learning_rate=rate, t_end=150 * rate)
    return {m: w[[20, 150]] for m, w in run.total.items()}


def reduced_times(p: Problem) -> dict[str, float]:
    return integrate_reduced(p.net, p.data, u0=p.u0, rtol=1e-12).times


def law_times(p: Problem) -> dict[str, float]:
    estimate = leading_estimate(random_start(Question.of(p.net, p.data), p.u0))
    return estimate.times if isinstance(estimate, Estimate) else {}


def assert_same_path(one: Problem, two: Problem) -> None:
    """Full flow and descent: total weights along the run, turned and scaled back."""
    for road in (flow_totals, descent_totals):
        before, after = one.by(road), two.by(road)
        largest = max(np.max(np.abs(w)) for w in before.values())
        for m in one.net.modalities:
            back = after[m][..., : one.data.sizes[m]] / two.scale
            if m in two.turns:
                back = back @ two.turns[m].T
            np.testing.assert_allclose(back, before[m], rtol=0, atol=CLOSE * largest)
            np.testing.assert_allclose(after[m][..., one.data.sizes[m] :], 0, atol=CLOSE)


def assert_same_times(one: Problem, two: Problem) -> None:
    """Law and reduced flow: half-times, in the new unit of time."""
    for road in (law_times, reduced_times):
        before, after = one.by(road), two.by(road)
        assert set(before) == set(after)
        for m, t in before.items():
            if math.isfinite(t):
                assert after[m] == pytest.approx(t * two.time, rel=CLOSE, abs=CLOSE * two.time)
            else:
                assert math.isinf(after[m])


def reordered(data: Correlations, names: tuple[str, ...]) -> Correlations:
    places = np.concatenate([np.arange(len(data.sigma))[data.span(m)] for m in names])
    return Correlations(
        data.sigma[np.ix_(places, places)], data.sigma_yx[..., places], {m: data.sizes[m] for m in names}, data.sigma_yy
    )


def mapped(data: Correlations, matrix: np.ndarray, sizes: dict[str, int]) -> Correlations:
    """x -> matrix^T x."""
    sigma = matrix.T @ data.sigma @ matrix
    return Correlations((sigma + sigma.T) / 2, data.sigma_yx @ matrix, sizes, data.sigma_yy)


def rearranged(p: Problem, change) -> dict[str, list[np.ndarray]]:
    """Weights after `change(layer, axis)` on every hidden axis, each hidden space in the same way."""
    weights = {name: list(layers) for name, layers in p.weights.items()}
    for name, chain in p.net.chains.items():
        inner = [(name, i) for i in range(chain.depth)]
        for low, high in pairwise(inner):
            change(weights, [low], high)
        if chain.children and chain.depth:
            change(weights, [(child.name, child.depth - 1) for child in chain.children], (name, 0))
    return weights


def swapped_branches(rng: np.random.Generator, p: Problem) -> None:
    """The branches of every fusion in the other order."""
    renamed: dict[str, str] = {}

    def mirror(chain: Chain, name: str) -> Chain:
        children = tuple(mirror(child, child.name) for child in reversed(chain.children))
        made = Chain(chain.depth, children or chain.source)
        renamed[name] = name if name == "trunk" else made.name
        return made

    net = FusionNetwork(mirror(p.net.trunk, "trunk"))
    weights = {renamed[name]: layers for name, layers in p.weights.items()}
    two = Problem(net, reordered(p.data, net.modalities), weights, p.u0)
    assert_same_path(p, two)
    assert_same_times(p, two)


def rotated_inputs(rng: np.random.Generator, p: Problem) -> None:
    """Inside every modality."""
    whole, turns, weights = np.eye(len(p.data.sigma)), {}, dict(p.weights)
    for m, d in p.data.sizes.items():
        turns[m] = np.linalg.qr(rng.normal(size=(d, d)))[0] if d > 1 else np.eye(1)
        whole[p.data.span(m), p.data.span(m)] = turns[m]
        weights[m] = [p.weights[m][0] @ turns[m], *p.weights[m][1:]]
    two = Problem(p.net, mapped(p.data, whole, p.data.sizes), weights, p.u0, turns=turns)
    assert_same_path(p, two)
    assert_same_times(p, two)


def permuted_units(rng: np.random.Generator, p: Problem) -> None:
    """The hidden units of every layer."""

    def shuffle(weights: Weights, below: list[tuple[str, int]], above: tuple[str, int]) -> None:
        order = rng.permutation(weights[above[0]][above[1]].shape[1])
        weights[above[0]][above[1]] = weights[above[0]][above[1]][:, order]
        for name, i in below:
            weights[name][i] = weights[name][i][order]

    assert_same_path(p, Problem(p.net, p.data, rearranged(p, shuffle), p.u0))


def hidden_zeros(rng: np.random.Generator, p: Problem) -> None:
    """Hidden units of zeros in every layer."""

    def pad(weights: Weights, below: list[tuple[str, int]], above: tuple[str, int]) -> None:
        weights[above[0]][above[1]] = np.pad(weights[above[0]][above[1]], ((0, 0), (0, 2)))
        for name, i in below:
            weights[name][i] = np.pad(weights[name][i], ((0, 2), (0, 0)))

    assert_same_path(p, Problem(p.net, p.data, rearranged(p, pad), p.u0))


def input_zeros(rng: np.random.Generator, p: Problem) -> None:
    """A column that is always zero. The times only where no scalar becomes a row that could turn."""
    columns, sizes = [], {}
    for m, d in p.data.sizes.items():
        block = np.zeros((len(p.data.sigma), d + 1))
        block[p.data.span(m), :d] = np.eye(d)
        columns.append(block)
        sizes[m] = d + 1
    weights = {m: list(layers) for m, layers in p.weights.items()}
    for m in sizes:
        weights[m][0] = np.pad(weights[m][0], ((0, 0), (0, 1)))
    two = Problem(p.net, mapped(p.data, np.hstack(columns), sizes), weights, p.u0)
    assert_same_path(p, two)
    if min(p.data.sizes.values()) > 1 and p.data.outputs == 1:
        assert_same_times(p, two)


def unit_of_time(rng: np.random.Generator, p: Problem) -> None:
    """x, y -> sqrt(c) x, sqrt(c) y: Sigma and Sigma_yx times c, the same path c times as fast, in any tree."""
    factor = float(10 ** rng.uniform(-3, 1))
    data = Correlations(p.data.sigma * factor, p.data.sigma_yx * factor, p.data.sizes, p.data.sigma_yy * factor)
    two = Problem(p.net, data, p.weights, p.u0, time=1 / factor)
    assert_same_path(p, two)
    assert_same_times(p, two)


def units_of_inputs_and_target(rng: np.random.Generator, p: Problem) -> None:
    """x -> c x, y -> d y where all paths are L layers: layers times lambda, lambda^L = d/c, times lambda^(2-L)/(c d).

    With paths of unequal length no factor of the layers undoes a change of units: it is another problem.
    """
    inputs, target = (float(c) for c in 10 ** rng.uniform(-1, 1, 2))
    depths = set(p.net.path_depths.values())
    if len(depths) > 1:
        return
    (depth,) = depths
    grown = (target / inputs) ** (1 / depth)
    data = Correlations(
        p.data.sigma * inputs**2,
        p.data.sigma_yx * inputs * target,
        p.data.sizes,
        p.data.sigma_yy * target**2,
    )
    weights = {name: [grown * w for w in layers] for name, layers in p.weights.items()}
    u0 = {m: grown * u for m, u in p.u0.items()}
    time = grown ** (2 - depth) / (inputs * target)
    two = Problem(p.net, data, weights, u0, time=time, scale=target / inputs)
    assert_same_path(p, two)
    before, after = p.by(reduced_times), two.by(reduced_times)
    for m, t in before.items():
        if math.isfinite(t):
            assert after[m] == pytest.approx(t * time, rel=CLOSE, abs=CLOSE * time)


def fused_at_the_output(rng: np.random.Generator, p: Problem) -> None:
    """L_f = L: whatever the depth, the law is (9), here from NumPy alone; scalar inputs."""
    data = random_correlations(rng, {"A": 1, "B": 1})
    first = int(np.argmax(np.abs(data.sigma_yx)))
    a, b = data.sigma_yx[first], data.sigma_yx[1 - first]
    residual = b - data.sigma[0, 1] * a / data.sigma[first, first]
    ratio = 1 + (abs(a) - b * np.sign(residual)) / abs(residual)
    depth, u0 = int(rng.integers(2, 40)), float(10 ** rng.uniform(-9, -1))
    net = FusionNetwork.fused_at(depth, depth)
    law = TwoBranches.of(net, data, ("AB"[first], "AB"[1 - first]), start_norms(net, u0))
    assert 1 + math.exp(law.log_excess()) == pytest.approx(ratio, rel=CLOSE)


def equal_depths(rng: np.random.Generator, p: Problem) -> None:
    """The law of unequal branches, taken at starts that differ by 1e-14, is the paper's at equal ones."""
    data = random_correlations(rng, {"A": 1, "B": 1})
    order = ("A", "B") if data.strength("A") > data.strength("B") else ("B", "A")
    fused = int(rng.integers(2, 12))
    net = FusionNetwork.fused_at(fused + int(rng.integers(0, 8)), fused)
    norms = start_norms(net, float(10 ** rng.uniform(-9, -1)))
    paper = TwoBranches.of(net, data, order, norms)
    starts = paper.log_starts[0], paper.log_starts[1] * (1 - 1e-14)
    general = replace(paper, log_starts=starts)
    assert paper.alike
    assert not general.alike
    assert general.log_first() == pytest.approx(paper.log_first(), rel=CLOSE, abs=CLOSE)
    assert general.log_excess() == pytest.approx(paper.log_excess(), rel=CLOSE, abs=CLOSE)


Symmetry = Callable[[np.random.Generator, Problem], None]
SYMMETRIES: tuple[Symmetry, ...] = (
    swapped_branches, rotated_inputs, permuted_units, hidden_zeros, input_zeros, unit_of_time,
    units_of_inputs_and_target, fused_at_the_output, equal_depths,
)  # fmt: skip


def broken(case: int, seed: int) -> Iterator[str]:
    """One line for each symmetry that changes the answer of this problem."""
    p = problem(np.random.default_rng([seed, case]), case)
    for i, symmetry in enumerate(SYMMETRIES):
        try:
            symmetry(np.random.default_rng([seed, case, i]), p)
        except AssertionError as error:
            said = " ".join(str(error).split())
            yield f"{symmetry.__name__}, case {case}: {said[:300]}"


def measure(count: int, seed: int) -> Outcome:
    misses = tuple(miss for case in range(count) for miss in broken(case, seed))
    return Outcome(f"{len(SYMMETRIES)} x {count}, {len(misses)} beyond 1e-10", misses)
