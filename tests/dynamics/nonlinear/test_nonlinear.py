"""ReLU networks and logistic loss: gradients by finite differences and autograd, the forms of the sums alike."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import sympy as sp

from derivations import FusionNetwork
from derivations.nonlinear.logistic import LOGISTIC, label, y_hat
from dynamics import DataError, DomainError, SolveError, descend, random_weights, train_linear, train_relu
from dynamics.nonlinear.hidden import Form, forms, hidden_velocity
from dynamics.nonlinear.samples import Samples, checked_samples, gaussian_samples, xor_samples
from dynamics.simulation.logistic import logistic

EARLY, LATE = FusionNetwork.fused_at(2, 1), FusionNetwork.fused_at(2, 2)


def vectors(seed: int, count: int = 60) -> Samples:
    rng = np.random.default_rng(seed)
    x = {"A": rng.normal(size=(count, 2)), "B": rng.normal(size=(count, 3))}
    return checked_samples(x, np.tanh(x["A"][:, 0]) - x["B"][:, 1] + 0.1 * rng.normal(size=count))


def relu_loss(samples: Samples, early: bool) -> Callable[[dict[str, list[np.ndarray]]], float]:
    """Written out, sample by sample."""

    def loss(weights: dict[str, list[np.ndarray]]) -> float:
        whole = 0.0
        for i, y in enumerate(samples.targets):
            if early:
                hidden = sum(weights[m][0] @ x[i] for m, x in samples.inputs.items())
                put_out = weights["trunk"][0] @ np.maximum(hidden, 0)
            else:
                put_out = sum(weights[m][1] @ np.maximum(weights[m][0] @ x[i], 0) for m, x in samples.inputs.items())
            whole += (y - float(put_out[0])) ** 2 / 2
        return whole / samples.count

    return loss


@pytest.mark.parametrize("network", [EARLY, LATE], ids=["early", "late"])
@pytest.mark.parametrize("samples", [vectors(0), xor_samples(1.5, 80, 1), gaussian_samples(np.eye(2), [1, -1], 70, 2)],
                         ids=["vectors", "xor", "scalars"])  # fmt: skip
def test_a_step_follows_minus_the_gradient(network: FusionNetwork, samples: Samples) -> None:
    """Central differences of the written-out loss; none of the kinks lies within their step."""
    start = random_weights(network, samples.correlations, 1.0, width=7, seed=4)
    rate, step = 1e-3, 1e-6
    run = train_relu(network, samples.inputs, samples.targets, weights=start, learning_rate=rate, t_end=rate)
    loss = relu_loss(samples, network is EARLY)
    assert run.loss[0] == pytest.approx(loss(start), rel=1e-12)
    for name, layers in start.items():
        for k, layer in enumerate(layers):
            moved = (run.weights[name][k] - layer) / rate
            slopes = np.empty_like(layer)
            for place in np.ndindex(*layer.shape):
                ends = []
                for sign in (1, -1):
                    other = {n: [w.copy() for w in ws] for n, ws in start.items()}
                    other[name][k][place] += sign * step
                    ends.append(loss(other))
                slopes[place] = (ends[0] - ends[1]) / (2 * step)
            np.testing.assert_allclose(moved, -slopes, rtol=0, atol=1e-7)


@pytest.mark.parametrize("network", [EARLY, LATE], ids=["early", "late"])
@pytest.mark.parametrize("samples", [xor_samples(2.0, 900, 3), gaussian_samples([[4, 1], [1, 1]], [1, 1], 900, 5)],
                         ids=["xor", "scalars"])  # fmt: skip
def test_all_forms_take_the_same_steps(network: FusionNetwork, samples: Samples) -> None:
    blocks = list(samples.inputs.values())
    best = forms([np.hstack(blocks)] if network is EARLY else blocks)[0]
    gaussian = samples.inputs["B"].shape[1] == 1
    assert best is (Form.ATOMS if network is LATE else Form.SAMPLES if gaussian else Form.LINES)
    runs = [
        train_relu(network, samples.inputs, samples.targets, u0=0.3, width=30, t_end=20, form=form)
        for form in (best, Form.SAMPLES)
    ]
    assert runs[0].loss[-1] < 0.2 * runs[0].loss[0]  # far enough for units to have turned
    # the quadratic form of atoms rounds at 1e-16 of <y^2>, however small the loss
    np.testing.assert_allclose(runs[0].loss, runs[1].loss, rtol=1e-9, atol=1e-13)
    for m in samples.inputs:
        np.testing.assert_allclose(runs[0].total[m], runs[1].total[m], atol=1e-9)


def test_units_without_slope_and_samples_on_a_kink() -> None:
    """Along lines: a unit that ignores the continuous column is on or off everywhere; the slope of relu at 0 is 0."""
    x = np.column_stack([np.tile(np.arange(-20.0, 20.0), 2), np.repeat([1.0, -1.0], 40)])
    y = np.sin(x[:, 0]) + x[:, 1]
    first = np.array([[0.0, 1.0], [0.0, -2.0], [0.0, 0.0], [1.0, 3.0], [-1.0, 0.0], [2.0, -7.0]])
    units = [(first, np.array([1.0, -0.5, 2.0, 0.3, -0.7, 0.1]))]
    loss, ((to_first, to_second),) = hidden_velocity([x], y, Form.LINES)(units)
    true, ((true_first, true_second),) = hidden_velocity([x], y, Form.SAMPLES)(units)
    assert loss == pytest.approx(true, rel=1e-13)
    np.testing.assert_allclose(to_second, true_second, atol=1e-12)
    np.testing.assert_allclose(to_first, true_first, atol=1e-12)


def test_mirrored_samples_and_paired_units_are_a_linear_network() -> None:
    """(126), exactly: with (x, y), (-x, -y) and units (w, v), (-w, -v) every step is a linear one at half rate."""
    rng = np.random.default_rng(6)
    x_a, x_b = rng.normal(size=(40, 2)), rng.normal(size=(40, 1))
    y = x_a @ [1.0, -2.0] + 0.5 * x_b[:, 0]
    samples = checked_samples({"A": np.vstack([x_a, -x_a]), "B": np.vstack([x_b, -x_b])}, np.concatenate([y, -y]))
    half = random_weights(LATE, samples.correlations, 0.1, width=5, seed=1)
    both = {m: [np.vstack([w[0], -w[0]]), np.hstack([w[1], -w[1]])] if w else [] for m, w in half.items()}
    rate = 0.05
    relu = train_relu(LATE, samples.inputs, samples.targets, weights=both, learning_rate=rate, t_end=20)
    linear = train_linear(
        LATE, samples.inputs, samples.targets, loss="squared", weights=half, learning_rate=rate / 2, t_end=10
    )
    assert linear.loss[-1] < 0.1 * linear.loss[0]
    np.testing.assert_allclose(relu.loss, linear.loss, rtol=1e-9, atol=1e-12)
    for m in samples.inputs:
        np.testing.assert_allclose(relu.total[m], 2 * linear.total[m], atol=1e-10)


@pytest.mark.parametrize("network", [EARLY, LATE], ids=["early", "late"])
def test_relu_training_takes_pytorchs_steps_by_autograd(network: FusionNetwork) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is absent; CI runs this test where it is installed")
    samples = xor_samples(1.0, 300, 7)
    start = random_weights(network, samples.correlations, 0.5, width=12, seed=2)
    leaves = {n: [torch.tensor(w, requires_grad=True) for w in ws] for n, ws in start.items()}
    optimiser = torch.optim.SGD([w for ws in leaves.values() for w in ws], lr=0.04)
    x = {m: torch.tensor(np.array(block)) for m, block in samples.inputs.items()}
    y = torch.tensor(np.array(samples.targets))
    losses = []
    for _ in range(201):
        if network is EARLY:
            hidden = torch.relu(sum(x[m] @ leaves[m][0].T for m in x))
            put_out = (hidden @ leaves["trunk"][0].T)[:, 0]
        else:
            put_out = sum(torch.relu(x[m] @ leaves[m][0].T) @ leaves[m][1].T for m in x)[:, 0]
        loss = torch.mean((y - put_out) ** 2) / 2
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    run = train_relu(network, samples.inputs, samples.targets, weights=start, learning_rate=0.04, t_end=8)
    np.testing.assert_allclose(run.loss, losses, rtol=1e-10)


def test_logistic_training_takes_pytorchs_steps_by_autograd() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is absent; CI runs this test where it is installed")
    network, samples = FusionNetwork.fused_at(3, 2), vectors(8)
    y = np.sign(samples.targets)
    start = random_weights(network, samples.correlations, 0.8, width=6, seed=3)
    leaves = {n: [torch.tensor(w, requires_grad=True) for w in ws] for n, ws in start.items()}
    optimiser = torch.optim.SGD([w for ws in leaves.values() for w in ws], lr=0.1)
    losses = []
    for _ in range(101):
        hidden = sum(torch.tensor(np.array(x)) @ leaves[m][0].T @ leaves[m][1].T for m, x in samples.inputs.items())
        loss = torch.mean(torch.nn.functional.softplus(-torch.tensor(y) * (hidden @ leaves["trunk"][0].T)[:, 0]))
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    run = train_linear(network, samples.inputs, y, weights=start, learning_rate=0.1, t_end=10)
    np.testing.assert_allclose(run.loss, losses, rtol=1e-10)


def test_logistic_numbers_are_those_of_the_ledger() -> None:
    """(35), in 30 digits, and its derivative; far out nothing overflows."""
    slope = -sp.diff(LOGISTIC, y_hat)
    for y in (-1.0, 1.0, 2.5):
        for z in (-30.0, -1.3, 0.0, 0.2, 8.0):
            loss, drive = logistic(np.array([y]), np.array([z]))
            at = {label: sp.Rational(y), y_hat: sp.Rational(z)}
            assert loss[0] == pytest.approx(float(LOGISTIC.subs(at).evalf(30)), rel=1e-14)
            assert drive[0] == pytest.approx(float(slope.subs(at).evalf(30)), rel=1e-14)
    far, drive = logistic(np.array([1.0, 1.0]), np.array([1e4, -1e4]))
    assert far.tolist() == [0.0, 1e4]
    assert drive.tolist() == [0.0, 1.0]


def test_squared_loss_is_that_of_descend() -> None:
    samples, network = vectors(9), FusionNetwork.fused_at(3, 2)
    start = random_weights(network, samples.correlations, 0.3, width=6, seed=1)
    run = train_linear(
        network, samples.inputs, samples.targets, loss="squared", weights=start, learning_rate=0.02, t_end=10
    )
    same = descend(network, samples.correlations, weights=start, learning_rate=0.02, t_end=10, exact=True)
    np.testing.assert_allclose(run.loss, same.loss, rtol=1e-10)
    for m in samples.inputs:
        np.testing.assert_allclose(run.total[m], same.total[m], atol=1e-11)


def test_samples_are_drawn_as_said() -> None:
    """Five standard errors of 200,000 samples."""
    sigma, count = np.array([[4, 1.2], [1.2, 1]]), 200_000
    drawn = gaussian_samples(sigma, [1, 2], count, 0, noise=0.5)
    np.testing.assert_allclose(drawn.correlations.sigma, sigma, atol=5 * 4 * math.sqrt(2 / count))
    np.testing.assert_allclose(drawn.correlations.sigma_yx, [1, 2] @ sigma, atol=0.15)
    misfit = drawn.targets - drawn.inputs["A"][:, 0] - 2 * drawn.inputs["B"][:, 0]
    assert np.std(misfit) == pytest.approx(0.5, rel=5 / math.sqrt(2 * count))
    xor = xor_samples(3**0.5, count, 0)
    assert np.var(xor.inputs["A"]) == pytest.approx(3, rel=5 * math.sqrt(2 / count))
    np.testing.assert_allclose(xor.correlations.sigma_yx[1:], 0, atol=5 * 2 / math.sqrt(count))
    rest = xor.targets - xor.inputs["A"][:, 0]
    assert set(zip(*xor.inputs["B"].T, rest.round(9), strict=True)) == {
        (1, 1, -1),
        (-1, -1, -1),
        (1, -1, 1),
        (-1, 1, 1),
    }


def test_a_training_tells_what_it_is() -> None:
    samples = gaussian_samples(np.eye(2), [1, 1], 100)
    run = train_relu(LATE, samples.inputs, samples.targets, u0=0.1, width=9, seed=3, t_end=4, snapshots=(0, 2))
    assert list(run.snapshots) == pytest.approx([0, 2, 4])
    assert np.array_equal(run.snapshots[0]["A"][0], random_weights(LATE, samples.correlations, 0.1, 9, 3)["A"][0])
    assert run.provenance["form"] == "atoms"
    assert "ReLU network" in str(run)
    assert "<table>" in run._repr_html_()
    short = train_relu(LATE, samples.inputs, samples.targets, u0=1e-3, max_steps=3)
    assert any("of the loss is left after 3 steps" in w for w in short.warnings)
    until = train_relu(LATE, samples.inputs, samples.targets, u0=0.1)
    assert until.loss[-1] <= 1e-6 * until.loss[0]
    assert not until.warnings


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"network": FusionNetwork.fused_at(3, 2)}, DomainError, "two layers and one fusion"),
        ({"network": FusionNetwork.branches({"A": 2, "B": 1}, trunk=1)}, DomainError, "two layers and one fusion"),
        ({"network": FusionNetwork.fused_at(2, 2, ("A", "C"))}, DomainError, "modalities of network and data differ"),
        ({"inputs": {"A": np.ones(5), "B": np.ones(4)}}, DataError, r"inputs\['B'\] must have shape \(5, d\)"),
        ({"inputs": {"A": np.ones(5), "B": np.array([1, 2, 3, 4, math.nan])}}, DataError, "has nan at index"),
        ({"inputs": {"A": np.ones(5), "B": ["x"] * 5}}, DataError, "must hold real numbers"),
        ({"inputs": [1, 2]}, DataError, "inputs must map modalities"),
        ({"targets": np.ones((5, 1))}, DataError, r"targets must have shape \(P,\)"),
        ({"learning_rate": 0.0}, DomainError, "learning_rate must be positive"),
        ({"snapshots": (3.0,)}, DomainError, "snapshots must lie within the run"),
        ({"t_end": -1.0}, DomainError, "t_end"),
    ],
)
def test_what_does_not_fit_is_named(change: dict, error: type[Exception], text: str) -> None:
    given = {"network": LATE, "inputs": {"A": np.arange(5.0), "B": np.ones(5)}, "targets": np.arange(5.0), "t_end": 1.0}
    given |= change
    with pytest.raises(error, match=text):
        train_relu(given.pop("network"), given.pop("inputs"), given.pop("targets"), **given)


def test_a_rate_that_diverges_and_a_loss_that_does_not_exist() -> None:
    samples = gaussian_samples(4 * np.eye(2), [1, 1], 50)
    with pytest.raises(SolveError, match=r"diverged at step \d+: learning_rate 5"):
        train_relu(LATE, samples.inputs, samples.targets, u0=0.5, learning_rate=5.0, t_end=1000)
    with pytest.raises(DomainError, match="loss must be one of squared, logistic, cross_entropy, got 'hinge'"):
        train_linear(LATE, samples.inputs, samples.targets, loss="hinge")
    with pytest.raises(DomainError, match="form must be one of atoms, samples for these inputs, got 'x'"):
        train_relu(LATE, samples.inputs, samples.targets, form="x")
    with pytest.raises(DomainError, match="form must be one of samples for these inputs"):
        train_relu(LATE, vectors(0).inputs, vectors(0).targets, form="atoms")
    with pytest.raises(DataError, match="targets are 0 and 1"):
        train_linear(LATE, samples.inputs, samples.targets > 0)
    short = train_linear(LATE, samples.inputs, samples.targets, t_end=40, max_steps=10)
    assert short.warnings == ("stopped at t = 0.4, after max_steps = 10: t_end takes 1000",)
