"""Cross-entropy on samples: drives, the closed flow of two layers, half by the loss, accuracy."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from derivations import Correlations, DomainError, FusionNetwork
from derivations.flow import gradient_flow
from dynamics import Recipe, accuracy_along, descend, integrate_reduced, predict, random_weights, train_linear
from dynamics.simulation.classes import classes_of, half_times
from dynamics.simulation.two_layers import Closed, squares_of
from tests.cases import flat_flow

LATE = FusionNetwork.fused_at(2, 2)


def three_classes(rows: int = 90, one_hot: bool = False) -> Correlations:
    """A tells class 0 from the rest well, B the other two, less well."""
    rng = np.random.default_rng(3)
    labels = np.arange(rows) % 3
    a = np.column_stack([2.0 * (labels == 0), 0.3 * labels]) + rng.normal(size=(rows, 2))
    b = np.column_stack([1.2 * (labels == 1), 0.5 * (labels == 2)]) + rng.normal(size=(rows, 2))
    return Correlations.from_samples({"A": a, "B": b}, np.eye(3)[labels] if one_hot else np.array(list("xyz"))[labels])


@pytest.mark.parametrize("one_hot", [False, True])
def test_the_drive_is_minus_the_slope_of_the_cross_entropy(one_hot: bool) -> None:
    """By central differences of -mean ln softmax, written out anew; contrasts and one-hot columns alike."""
    data = three_classes(one_hot=one_hot)
    classes = classes_of(data.samples)
    rng = np.random.default_rng(0)
    totals = {m: rng.normal(size=(data.outputs, 2)) for m in "AB"}
    labels = np.arange(90) % 3

    def loss(now: dict[str, np.ndarray]) -> float:
        chances = np.exp(sum(data.samples.inputs[m] @ w.T for m, w in now.items()) @ classes.codes)
        chances /= chances.sum(axis=1, keepdims=True)
        own = [chances[classes.labels == k][:, k] for k in range(3)]
        return float(-np.mean(np.log(np.concatenate(own))))

    assert len(set(zip(labels.tolist(), classes.labels.tolist(), strict=True))) == 3
    value, drive = classes.drive(totals)
    assert value == pytest.approx(loss(totals), rel=1e-13)
    for m in "AB":
        for place in np.ndindex(drive[m].shape):
            step = np.zeros_like(drive[m])
            step[place] = 1e-5
            up, down = (loss(totals | {m: totals[m] + sign * step}) for sign in (1, -1))
            assert -(up - down) / 2e-5 == pytest.approx(drive[m][place], abs=1e-10)


@pytest.mark.parametrize("network", [LATE, FusionNetwork.fused_at(2, 1)], ids=["late", "early"])
def test_three_squares_say_all_of_two_layers(network: FusionNetwork) -> None:
    """(156) against every weight of a random start of width 5, squared loss and cross-entropy, to 1e-8."""
    data = three_classes()
    weights, times = random_weights(network, data, 0.5, width=5, seed=1), np.linspace(0, 6, 7)
    classes = classes_of(data.samples)
    start, total, squared = flat_flow(network, data, weights)
    shapes = [(name, w.shape) for name, layers in weights.items() for w in layers]

    def entropy(_: float, y: np.ndarray) -> np.ndarray:
        now: dict[str, list[np.ndarray]] = {name: [] for name in weights}
        ends = np.cumsum([a * b for _, (a, b) in shapes])[:-1]
        for (name, shape), part in zip(shapes, np.split(y, ends), strict=True):
            now[name].append(part.reshape(shape))
        moved = gradient_flow.flow(network, now, classes.drive(gradient_flow.total_weights(network, now))[1])
        return np.concatenate([v.ravel() for name in weights for v in moved[name]])

    losses = ((squared, lambda w: gradient_flow.errors(data, w)), (entropy, lambda w: classes.drive(w)[1]))
    for velocity, errors in losses:
        full = solve_ivp(velocity, (0, 6), start, "DOP853", times, rtol=1e-11, atol=1e-13)
        flow = Closed(squares_of(network, data.sizes, weights), errors)
        closed = solve_ivp(flow.velocity, (0, 6), flow.start, "DOP853", times, rtol=1e-11, atol=1e-13)
        for y, state in zip(full.y.T, closed.y.T, strict=True):
            for m, w in total(y).items():
                np.testing.assert_allclose(flow.totals(state)[m], w, rtol=0, atol=1e-8)


def test_half_by_the_loss_is_that_of_training() -> None:
    """Descent of every weight, width 100, two seeds, within 3 %, the scatter of a width of 100 among them."""
    data = three_classes()
    found = predict(LATE, data, u0=1e-2, width=100, recipe=Recipe(loss="cross_entropy"))
    labels = np.array(list("xyz"))[np.arange(90) % 3]
    for seed in (0, 1):
        run = train_linear(
            LATE, data.samples.inputs, labels, loss="cross_entropy", u0=1e-2, width=100, seed=seed, learning_rate=0.05,
            t_end=min(3 * max(found.times.values()), float(found.reduced.run.t[-1])),
        )  # fmt: skip
        trained = half_times(classes_of(data.samples), run.t, run.total)
        for m in "AB":
            assert trained.times[m] == pytest.approx(found.times[m], rel=0.03)
    assert "takes off the loss" in str(found)
    assert found.holds_for.count("cross_entropy") == 1


def test_classes_are_told_from_other_targets() -> None:
    data = Correlations.from_samples({"A": np.arange(8.0), "B": np.arange(8.0) ** 2}, np.arange(8.0) ** 3)
    with pytest.raises(DomainError, match="cross_entropy needs a target of classes, this one has 8 different rows"):
        predict(LATE, data, recipe=Recipe(loss="cross_entropy"))
    with pytest.raises(DomainError, match="closes for two layers only, got 3, 3"):
        predict(FusionNetwork.fused_at(3, 3), three_classes(), recipe=Recipe(loss="cross_entropy"))
    with pytest.raises(DomainError, match=r"cross_entropy is not known to gradient descent.*train_linear know"):
        descend(LATE, three_classes(), recipe=Recipe(loss="cross_entropy"), on_samples=True)


@pytest.mark.parametrize("standardize", [False, True])
def test_accuracy_ends_with_that_of_the_regression_on_one_hot_columns(standardize: bool) -> None:
    """By the largest output of least squares with an offset, on inputs as they were: targets scaled or turned too."""
    labels = np.arange(90) % 3
    data = three_classes(one_hot=True)
    if standardize:
        data = Correlations.from_samples(dict(data.samples.inputs), np.eye(3)[labels], standardize=True)
    found = accuracy_along(data, integrate_reduced(LATE, data, u0=1e-2))
    x = np.column_stack([*data.samples.inputs.values(), np.ones(90)])
    fit = x @ np.linalg.lstsq(x, np.eye(3)[labels], rcond=None)[0]
    best = np.mean(np.argmax(fit, axis=1) == labels)
    assert found["all"][-1] == pytest.approx(best, abs=0.5 / 90)
    assert found["all"][-1] >= max(found["A"][-1], found["B"][-1])
