"""Optimizers that treat each entry by itself, against loops of this file over every weight."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dynamics import Correlations, DomainError, FusionNetwork, Recipe, descend, load_example, predict, random_weights
from dynamics.problem import Problem
from dynamics.simulation.coordinatewise import TYPICAL, coordinatewise

RNG = np.random.default_rng(27)
ROWS = RNG.normal(size=(200, 3)) + 0.4 * RNG.normal(size=(200, 1))
DATA = Correlations.from_samples({"A": ROWS[:, :2], "B": ROWS[:, 2:]}, ROWS @ [1.0, -0.7, 0.4]).standardized()


def trained(data, weights, recipe, steps):
    """Total weights (steps + 1, D) of late fusion by the formulas of Kingma and Ba (or Tieleman and Hinton)."""
    names, (first, second), rate = data.modalities, recipe.betas, recipe.learning_rate
    flat = [w.copy() for m in names for w in weights[m]]
    depth, mean, square, path = len(weights[names[0]]), [0.0] * len(flat), [0.0] * len(flat), []
    for count in range(1, steps + 2):
        chains = [flat[i * depth : (i + 1) * depth] for i in range(len(names))]
        total = np.hstack([np.linalg.multi_dot(chain[::-1]) for chain in chains])
        path.append(total[0])
        error = np.atleast_2d(data.sigma_yx) - total @ data.sigma
        for c, (chain, m) in enumerate(zip(chains, names, strict=True)):
            for k in range(depth):
                above, below = np.eye(1), np.eye(data.sizes[m])
                for w in chain[:k:-1]:
                    above = above @ w
                for w in chain[:k]:
                    below = w @ below
                g, i = -(above.T @ error[:, data.span(m)] @ below.T), c * depth + k
                mean[i], square[i] = first * mean[i] + (1 - first) * g, second * square[i] + (1 - second) * g * g
                if recipe.optimizer == "rmsprop":
                    flat[i] = flat[i] - rate * g / (np.sqrt(square[i]) + recipe.eps)
                elif recipe.optimizer == "sgd":
                    mean[i] = g if count == 1 else recipe.momentum * (mean[i] - (1 - first) * g) / first + g
                    flat[i] = flat[i] - rate * mean[i]
                else:
                    m_hat, v_hat = mean[i] / (1 - first**count), square[i] / (1 - second**count)
                    flat[i] = flat[i] - rate * m_hat / (np.sqrt(v_hat) + recipe.eps)
    return np.array(path)


def on_manifold(data, depth, width, u0):
    """Every weight of a network with equal entries, of random signs."""
    weights = {}
    for m in data.modalities:
        signs = [RNG.choice([-1.0, 1.0], size=width) for _ in range(depth - 1)]
        d = data.sizes[m]
        row = np.sign(np.atleast_2d(data.target_block(m))[0]) * TYPICAL * u0 / np.sqrt(width * d)
        layers = [np.outer(signs[0], row)]
        layers += [TYPICAL * u0 / width * np.outer(b, a) for a, b in pairwise(signs)]
        weights[m] = [*layers, TYPICAL * u0 / np.sqrt(width) * signs[-1][None]]
    return weights


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_reduced_is_training_step_for_step(depth, optimizer):
    network, recipe = FusionNetwork.fused_at(depth, depth), Recipe(optimizer=optimizer, learning_rate=2e-3)
    run = coordinatewise(Problem.of(network, DATA), 0.1, 12, recipe)
    expected = trained(DATA, on_manifold(DATA, depth, 12, 0.1), recipe, 300)
    found = np.hstack([run.total["A"], run.total["B"]])[:301]
    assert np.max(np.abs(found - expected[: len(found)])) < 1e-9


def test_adam_learns_the_smaller_weight_first():
    """Figures of a prototype of others in PyTorch: 1400 and 685 steps where gradient flow has a ratio of 16."""
    data = Correlations.scalar(2, 1, 0, (4, 1))
    recipe = Recipe(optimizer="adam", learning_rate=1e-4)
    p = predict(FusionNetwork.fused_at(2, 2), data, u0=1e-3, width=50, recipe=recipe)
    assert p.order == ("B", "A")
    assert [round(t / 1e-4) for t in (p.times["A"], p.times["B"])] == pytest.approx([1400, 685], abs=2)
    star = load_example("star98")
    net = FusionNetwork.fused_at(2, 2, star.modalities)
    assert predict(net, star, u0=1e-3).order[0] == "demographics"
    for rate, width in ((1e-4, 100), (1e-3, 64)):  # measured as training every weight is
        adam = Recipe(optimizer="adam", learning_rate=rate)
        said = predict(net, star, u0=1e-3, width=width, recipe=adam)
        run = descend(net, star, u0=1e-3, width=width, recipe=adam, t_end=1.5 * said.times["demographics"])
        assert said.order == run.order == ("school", "demographics")
        for m in said.order if rate == 1e-4 else ():  # 21 steps for 25 at 1e-3: the first few are left out
            assert said.times[m] == pytest.approx(run.times[m], rel=0.02)


def test_a_random_start_comes_to_the_manifold():
    """Half-times of training every weight, median of three seeds."""
    network, recipe = FusionNetwork.fused_at(2, 2), Recipe(optimizer="adam", learning_rate=2e-4)
    p = predict(network, DATA, u0=1e-3, width=30, recipe=recipe)
    halves = {"A": [], "B": []}
    for seed in range(3):
        path = trained(DATA, random_weights(network, DATA, 1e-3, 30, seed), recipe, 700)
        for m in "AB":
            goal, metric = p.reduced.run.plateaus[m], DATA.input_block(m, m)
            share = path[:, DATA.span(m)] @ metric @ goal / (goal @ metric @ goal)
            halves[m].append(np.argmax(share >= 0.5))
    for m in "AB":
        assert np.median(halves[m]) == pytest.approx(p.times[m] / 2e-4, rel=0.02)


@pytest.mark.parametrize("recipe", [
    Recipe(optimizer="adam", learning_rate=2e-3), Recipe(momentum=0.9, learning_rate=0.02)
])  # fmt: skip
def test_descent_takes_the_steps_of_the_optimizer(recipe):
    network = FusionNetwork.fused_at(2, 2)
    weights = random_weights(network, DATA, 0.2, 5, seed=1)
    run = descend(network, DATA, weights=weights, recipe=recipe, t_end=100.5 * recipe.learning_rate, exact=True)
    expected = trained(DATA, weights, recipe, 100)
    assert np.allclose(np.hstack([run.total["A"], run.total["B"]]), expected, atol=1e-10)


def test_what_such_an_optimizer_does_not_know():
    net, data, adam = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0), {"optimizer": "adam"}
    for recipe, width, line in (
        (Recipe(**adam), 50, "optimizer adam needs a learning_rate"),
        (Recipe(**adam, learning_rate=1e-3), None, "optimizer adam needs a width"),
        (Recipe(**adam, learning_rate=1e-3, ogm=0.3), 50, "ogm = 0.3 is not known to predict with adam"),
        (Recipe(**adam, learning_rate=1e-3, weight_decay=0.1), 50, "weight_decay = 0.1 is not known to predict with"),
    ):
        with pytest.raises(DomainError, match=line):
            predict(net, data, u0=1e-3, width=width, recipe=recipe)
    for recipe, line in (
        (Recipe(**adam, learning_rate=1e-3, dropout={"A": 0.5}), "dropout = A 0.5 is not known to gradient descent on"),
        (Recipe(**adam), "optimizer adam needs a learning_rate"),
    ):
        with pytest.raises(DomainError, match=line):
            descend(net, data, width=5, recipe=recipe)
    with pytest.raises(DomainError, match="is for late fusion of two layers or more, one output"):
        predict(FusionNetwork.fused_at(3, 2), data, u0=1e-3, width=50, recipe=Recipe(**adam, learning_rate=1e-3))
