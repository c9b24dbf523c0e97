"""Optimizers against PyTorch's own, step for step, and reduced runs against training every weight."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

from derivations.network import Chain
from dynamics import Correlations, DomainError, FusionNetwork, Recipe, descend, load_example, predict, random_weights
from dynamics.prediction.laws.adaptive import level, saturation
from dynamics.problem import Problem
from dynamics.simulation.coordinatewise import coordinatewise
from dynamics.simulation.equal_entries import Manifold

RNG = np.random.default_rng(27)
ROWS = RNG.normal(size=(200, 5)) + 0.4 * RNG.normal(size=(200, 1))
TARGET = ROWS @ [1.0, -0.7, 0.4, 0.5, -0.3] + RNG.normal(size=200)
VECTORS = Correlations.from_samples({"A": ROWS[:, :2], "B": ROWS[:, 2:]}, TARGET).standardized()
THREE = Correlations.from_samples({"A": ROWS[:, :1], "B": ROWS[:, 1:4], "C": ROWS[:, 4:]}, TARGET).standardized()
NESTED = FusionNetwork.tree(1, Chain(2, "A"), Chain(1, (Chain(1, "B"), Chain(2, "C"))))
ABC = ("A", "B", "C")
ADAM = {"optimizer": "adam", "learning_rate": 2e-3}


def by_pytorch(network, data, weights, recipe, steps):
    """Total weights (steps + 1, D) by autograd of the loss and `torch.optim`."""
    torch = pytest.importorskip("torch", reason="PyTorch is absent; CI runs this test where it is installed")
    of = {name: [torch.tensor(w, requires_grad=True) for w in own] for name, own in weights.items()}
    flat = [w for own in of.values() for w in own]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    made = {
        "adam": lambda: torch.optim.Adam(flat, rate, recipe.betas, recipe.eps, decay),
        "adamw": lambda: torch.optim.AdamW(flat, rate, recipe.betas, recipe.eps, decay),
        "rmsprop": lambda: torch.optim.RMSprop(flat, rate, recipe.betas[1], recipe.eps, decay),
        "sgd": lambda: torch.optim.SGD(
            flat, rate, recipe.momentum, weight_decay=decay, nesterov=recipe.nesterov
        ),
    }[str(recipe.optimizer)]()  # fmt: skip
    sigma, target = torch.tensor(data.sigma), torch.tensor(np.ravel(data.sigma_yx))
    path = []
    for _ in range(steps + 1):
        totals = [reduce(lambda x, w: w @ x, [w for c in network.path(m) for w in of[c]]) for m in data.modalities]
        total = torch.hstack(totals)[0]
        path.append(total.detach().numpy().copy())
        made.zero_grad()
        (total @ sigma @ total / 2 - total @ target).backward()
        made.step()
    return np.array(path)


@pytest.mark.parametrize(
    ("network", "data", "more"),
    [
        (FusionNetwork.fused_at(2, 2), VECTORS, {}),
        (FusionNetwork.fused_at(3, 3), Correlations.scalar(2, 1, 0.5), {"weight_decay": 0.02}),
        (FusionNetwork.fused_at(4, 4, ABC), THREE, {"optimizer": "adamw", "weight_decay": 0.3}),
        (FusionNetwork.fused_at(4, 2), VECTORS, {"optimizer": "rmsprop", "learning_rate": 3e-4}),
        (FusionNetwork.branches({"A": 1, "B": 3}, trunk=1), VECTORS, {}),
        (NESTED, THREE, {}),
        (FusionNetwork.fused_at(2, 2), VECTORS, {"eps": 1e-3}),
    ],
)  # fmt: skip
def test_equal_entries_stay_equal_step_for_step(network, data, more):
    """(146): the reduced run is training at any width, with a trunk and nested fusions too."""
    recipe, width = Recipe(**{**ADAM, **more}), 7
    form = Manifold(network, data, width)
    state = form.start(dict.fromkeys(network.chains, 0.3))
    state[0] *= np.random.default_rng(3).uniform(0.5, 1.5, len(state[0]))
    terms = recipe.terms(network)
    run = coordinatewise(Problem.of(network, data, terms), 0.3, width, recipe, state=state, max_steps=300)
    expected = by_pytorch(network, data, form.weights(state, np.random.default_rng(5)), recipe, 300)
    found = np.hstack([run.total[m].reshape(len(run.t), -1) for m in data.modalities])
    assert len(found) > 60
    assert np.max(np.abs(found - expected[: len(found)])) < 1e-10


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(**ADAM, weight_decay=0.1), Recipe(optimizer="adamw", learning_rate=2e-3, weight_decay=0.5),
        Recipe(momentum=0.9, learning_rate=0.02, weight_decay=0.1),
        Recipe(momentum=0.9, learning_rate=0.02, nesterov=True),
    ],
    ids=str,
)  # fmt: skip
def test_descent_takes_pytorchs_steps(recipe):
    network = FusionNetwork.fused_at(2, 2)
    weights = random_weights(network, VECTORS, 0.2, 5, seed=1)
    run = descend(network, VECTORS, weights=weights, recipe=recipe, t_end=150.5 * recipe.learning_rate, exact=True)
    expected = by_pytorch(network, VECTORS, weights, recipe, 150)
    assert np.max(np.abs(np.hstack([run.total["A"], run.total["B"]]) - expected)) < 1e-10


@pytest.mark.parametrize(
    ("depth", "fused", "u0", "recipe"),
    [
        (2, 2, 1e-3, Recipe(optimizer="adam", learning_rate=2e-4)),
        (2, 2, 1e-3, Recipe(optimizer="adam", learning_rate=1e-3)),
        (3, 3, 0.05, Recipe(optimizer="adam", learning_rate=3e-4)),
        (3, 2, 0.05, Recipe(optimizer="rmsprop", learning_rate=5e-5)),
        (2, 2, 1e-2, Recipe(momentum=0.9, learning_rate=0.01)),
        (2, 2, 1e-3, Recipe(optimizer="sign", learning_rate=2e-4, momentum=0.9)),
    ],
)  # fmt: skip
def test_half_times_from_random_starts(depth, fused, u0, recipe):
    """Within the stated bound, or 3 %, of the median of five seeds that are not those of the prediction."""
    network = FusionNetwork.fused_at(depth, fused)
    said = predict(network, VECTORS, u0=u0, width=40, recipe=recipe)
    runs = [descend(network, VECTORS, u0=u0, width=40, seed=100 + k, recipe=recipe) for k in range(5)]
    for m in "AB":
        bound = said.estimate.bound[m]
        middle = float(np.median([run.times[m] for run in runs]))
        assert said.times[m] == pytest.approx(middle, rel=bound if np.isfinite(bound) else 0.03)


def test_momentum_changes_no_end_of_training():
    """What is attributed wrongly goes by the data that training sees, whatever its steps remember."""
    network, more = FusionNetwork.fused_at(2, 2), {"dropout": {"A": 0.4}, "weight_decay": 0.05}
    plain = predict(network, VECTORS, recipe=Recipe(**more)).misattribution
    heavy = predict(network, VECTORS, recipe=Recipe(**more, momentum=0.9, learning_rate=0.01)).misattribution
    for m in "AB":
        assert np.allclose(heavy[m], plain[m], atol=1e-12)


def test_adam_learns_the_smaller_weight_first():
    """Figures of a prototype of others in PyTorch: 1400 and 685 steps where gradient flow has a ratio of 16."""
    data = Correlations.scalar(2, 1, 0, (4, 1))
    recipe = Recipe(optimizer="adam", learning_rate=1e-4)
    p = predict(FusionNetwork.fused_at(2, 2), data, u0=1e-3, width=50, recipe=recipe)
    assert p.order == ("B", "A")
    assert [round(t / 1e-4) for t in (p.times["A"], p.times["B"])] == pytest.approx([1400, 685], abs=2)
    assert abs(p.leading.times["B"] / p.times["B"] - 1) < p.leading.bound["B"] < 0.05
    assert p.leading.bound["A"] == np.inf  # more steps than Adam's squares remember
    with pytest.raises(DomainError, match=r"learning_rate must be that of these times, 0\.0001, got 0\.1"):
        p.in_steps(0.1)
    star = load_example("star98")
    net = FusionNetwork.fused_at(2, 2, star.modalities)
    assert predict(net, star, u0=1e-3).order[0] == "demographics"
    for rate, width in ((1e-4, 100), (1e-3, 64)):
        adam = Recipe(optimizer="adam", learning_rate=rate)
        said = predict(net, star, u0=1e-3, width=width, recipe=adam)
        run = descend(net, star, u0=1e-3, width=width, recipe=adam, seed=9)
        assert said.order == run.order == ("school", "demographics")
        for m in said.order:
            assert said.times[m] == pytest.approx(run.times[m], rel=0.03)


def test_batches_slow_what_has_the_smaller_signal():
    """(149): medians of four seeds of real batches, where all rows have another ratio."""
    data = Correlations.from_samples({"A": ROWS[:, :2], "B": 0.5 * ROWS[:, 2:]}, TARGET)
    network = FusionNetwork.fused_at(2, 2)
    recipe = Recipe(optimizer="adam", learning_rate=2e-4, batch_size=8)
    said = predict(network, data, width=30, recipe=recipe)
    runs = [descend(network, data, width=30, seed=k, on_samples=True, recipe=recipe) for k in range(4)]
    for m in "AB":
        assert said.times[m] == pytest.approx(np.median([run.times[m] for run in runs]), rel=0.06)
    assert said.ratio == pytest.approx(np.median([run.ratio for run in runs]), rel=0.05)


def test_the_level_at_half_and_what_saturation_adds():
    """Water fills the weights of uncorrelated inputs; and a fine run of one entry without memory of its own."""
    data = Correlations(np.diag([1.0, 4.0, 1.0]), [1.0, 2.0, 1.0], {"A": 2, "B": 1}, 10.0)
    # weights 1 and 1/2, second moments 1 and 4: outputs of equal size, x + min(x, 1/2) 2 = 1
    assert level(data, "A", np.array([[1.0, 0.5]])) == pytest.approx(1 / 3)
    for depth in (2, 3):
        z, square, count, goal = 1e-3, 0.0, 0, 1.0
        while z**depth < goal / 2:
            count += 1
            gradient = z ** (depth - 1) * (goal - z**depth)
            square += gradient**2
            z += 1e-4 * gradient / np.sqrt(square / count)
        straight = 0.5 ** (1 / depth) / np.sqrt(2 * depth - 1) / 1e-4
        assert saturation(depth) == pytest.approx(count / straight, rel=5e-3)


def test_what_such_an_optimizer_does_not_know():
    net, data, adam = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0), {"optimizer": "adam"}
    two = Correlations(np.eye(2), np.eye(2), {"A": 1, "B": 1}, np.eye(2))
    for recipe, width, line, given in (
        (Recipe(**adam), 50, "optimizer adam needs a learning_rate", data),
        (Recipe(**adam, learning_rate=1e-3), None, "optimizer adam needs a width=, --width", data),
        (Recipe(**adam, learning_rate=1e-3, ogm=0.3), 50, "ogm = 0.3 is not known to predict with adam", data),
        (Recipe(**adam, learning_rate=1e-3, batch_size=8), 50, "batch_size with adam needs samples", data),
        (Recipe(**adam, learning_rate=1e-3), 50, "is for one output: units of differing signs", two),
    ):
        with pytest.raises(DomainError, match=line):
            predict(net, given, u0=1e-3, width=width, recipe=recipe)
    for recipe, line in (
        (Recipe(**adam, learning_rate=1e-3, dropout={"A": 0.5}), "dropout = A 0.5 is not known to gradient descent on"),
        (Recipe(**adam), "optimizer adam needs a learning_rate"),
    ):
        with pytest.raises(DomainError, match=line):
            descend(net, data, width=5, recipe=recipe)
    with pytest.raises(DomainError, match="nesterov goes with a momentum, got nesterov = True without one"):
        Recipe(nesterov=True)
