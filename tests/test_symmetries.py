"""What must not change an answer, on every architecture that the types can express, to 1e-10.

Random trees of one to four modalities (nested, unequal depths, one layer to three a chain), and two-layer networks
with several outputs. Four roads: the law, the reduced flow, the full flow and gradient descent.
"""

import math
import os
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from derivations import Chain, Correlations, FusionNetwork
from derivations.saddles import course
from dynamics import descend, integrate, integrate_reduced, random_weights
from dynamics.estimates import leading_estimate
from dynamics.weights import start_norms
from tests.cases import random_correlations, random_tree

COUNT = 500 if os.environ.get("SOAK") else 3
CLOSE = 1e-10
WIDTH = 3


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


def problems(seed: int):
    rng = np.random.default_rng(seed)
    for i in range(COUNT):
        several = i % 4 == 3
        count = int(rng.integers(1, 5))
        names = tuple("ABCD"[:count])
        net = FusionNetwork.fused_at(2, int(rng.integers(1, 3)), names) if several else random_tree(rng, count)
        sizes = {m: int(rng.integers(1, 4)) for m in net.modalities}
        data = random_correlations(rng, sizes, outputs=2 if several else 1, correlation=0.5)
        u0 = {m: float(rng.uniform(0.05, 0.2)) for m in net.modalities}
        weights = random_weights(net, data, 0.9, width=WIDTH, seed=int(rng.integers(1000)))
        yield rng, Problem(net, data, weights, u0)


def flow_totals(p: Problem) -> dict[str, np.ndarray]:
    """At t = 0.7: early enough that an error of the integrator has not grown with the weights."""
    run = integrate(p.net, p.data, weights=p.weights, t_end=0.7 * p.time, rtol=1e-12)
    return {m: w[-1:] for m, w in run.total.items()}


def descent_totals(p: Problem) -> dict[str, np.ndarray]:
    rate = 0.01 * p.time
    run = descend(p.net, p.data, weights=p.weights, learning_rate=rate, t_end=150 * rate)
    return {m: w[[20, 150]] for m, w in run.total.items()}


def reduced_times(p: Problem) -> dict[str, float]:
    return integrate_reduced(p.net, p.data, u0=p.u0, rtol=1e-12).times


def law_times(p: Problem) -> dict[str, float]:
    norms = start_norms(p.net, p.u0)
    plan = course(p.net, p.data, {m: norms[m] for m in p.net.modalities}, {})
    estimate = leading_estimate(p.net, p.data, norms, plan, [])
    return estimate.times if estimate else {}


def assert_same_path(one: Problem, two: Problem) -> None:
    """Full flow and descent: total weights along the run, turned and scaled back."""
    for road in (flow_totals, descent_totals):
        before, after = road(one), road(two)
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
        before, after = road(one), road(two)
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


def test_swapping_the_branches_of_every_fusion() -> None:
    for _, p in problems(1):
        renamed: dict[str, str] = {}

        def mirror(chain: Chain, name: str, renamed=renamed) -> Chain:
            children = tuple(mirror(child, child.name) for child in reversed(chain.children))
            made = Chain(chain.depth, children or chain.source)
            renamed[name] = name if name == "trunk" else made.name
            return made

        net = FusionNetwork(mirror(p.net.trunk, "trunk"))
        weights = {renamed[name]: layers for name, layers in p.weights.items()}
        two = Problem(net, reordered(p.data, net.modalities), weights, p.u0)
        assert_same_path(p, two)
        assert_same_times(p, two)


def test_rotating_inside_every_modality() -> None:
    for rng, p in problems(2):
        whole, turns, weights = np.eye(len(p.data.sigma)), {}, dict(p.weights)
        for m, d in p.data.sizes.items():
            turns[m] = np.linalg.qr(rng.normal(size=(d, d)))[0] if d > 1 else np.eye(1)
            whole[p.data.span(m), p.data.span(m)] = turns[m]
            weights[m] = [p.weights[m][0] @ turns[m], *p.weights[m][1:]]
        two = Problem(p.net, mapped(p.data, whole, p.data.sizes), weights, p.u0, turns=turns)
        assert_same_path(p, two)
        assert_same_times(p, two)


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


def test_permuting_hidden_units() -> None:
    for rng, p in problems(3):

        def shuffle(weights, below, above, rng=rng) -> None:
            order = rng.permutation(weights[above[0]][above[1]].shape[1])
            weights[above[0]][above[1]] = weights[above[0]][above[1]][:, order]
            for name, i in below:
                weights[name][i] = weights[name][i][order]

        assert_same_path(p, Problem(p.net, p.data, rearranged(p, shuffle), p.u0))


def test_hidden_units_of_zeros() -> None:
    for _, p in problems(4):

        def pad(weights, below, above) -> None:
            weights[above[0]][above[1]] = np.pad(weights[above[0]][above[1]], ((0, 0), (0, 2)))
            for name, i in below:
                weights[name][i] = np.pad(weights[name][i], ((0, 2), (0, 0)))

        assert_same_path(p, Problem(p.net, p.data, rearranged(p, pad), p.u0))


def test_inputs_of_zeros() -> None:
    """A column that is always zero. The times only where no scalar becomes a row that could turn."""
    for _, p in problems(5):
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


def test_the_same_factor_on_inputs_and_target_is_a_factor_of_time() -> None:
    """x, y -> sqrt(c) x, sqrt(c) y: Sigma and Sigma_yx times c, the same path c times as fast, in any tree."""
    factor = 1e-3
    for _, p in problems(6):
        data = Correlations(p.data.sigma * factor, p.data.sigma_yx * factor, p.data.sizes, p.data.sigma_yy * factor)
        two = Problem(p.net, data, p.weights, p.u0, time=1 / factor)
        assert_same_path(p, two)
        assert_same_times(p, two)


@pytest.mark.parametrize(("inputs", "target"), [(3.0, 1.0), (1.0, 0.2), (0.1, 5.0)])
def test_units_of_inputs_and_target(inputs: float, target: float) -> None:
    """x -> c x, y -> d y where all paths are L layers: layers times lambda, lambda^L = d/c, times lambda^(2-L)/(c d).

    With paths of unequal length no factor of the layers undoes a change of units: it is another problem.
    """
    for _, p in problems(7):
        depths = {sum(p.net.chains[c].depth for c in p.net.path(m)) for m in p.net.modalities}
        if len(depths) > 1:
            continue
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
        before, after = reduced_times(p), reduced_times(two)
        for m, t in before.items():
            if math.isfinite(t):
                assert after[m] == pytest.approx(t * time, rel=CLOSE, abs=CLOSE * time)


def test_one_network_has_one_name() -> None:
    """L_f = L is late fusion, and equal branches are the paper's network."""
    late = FusionNetwork.branches({"A": 4, "B": 4})
    assert FusionNetwork.fused_at(4, 4) == late == FusionNetwork.tree(0, Chain(4, "A"), Chain(4, "B"))
    assert FusionNetwork.fused_at(5, 3) == FusionNetwork.branches({"A": 3, "B": 3}, trunk=2)
