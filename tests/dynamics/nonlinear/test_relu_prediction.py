"""ReLU networks predicted by narrow ones, against linear laws, difference quotients, the plane and trained networks."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from derivations import DomainError, FusionNetwork
from dynamics import DataError, load_example, predict, predict_relu, train_relu
from dynamics.nonlinear.growth import climbed, drives, growing, in_the_plane, sites
from dynamics.nonlinear.narrow import MOST_UNITS, Parts, merged, part_of
from dynamics.nonlinear.samples import Samples, checked_samples, xor_samples
from dynamics.prediction.estimates import Kind
from dynamics.prediction.prediction import Activation, Prediction
from dynamics.runs.half_times import Status

EARLY, LATE = FusionNetwork.fused_at(2, 1), FusionNetwork.fused_at(2, 2)


@cache
def mirrored(outputs: int = 1) -> Samples:
    """(x, y) and (-x, -y) alike; A has three inputs."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 5)) * [1.6, 1.2, 1, 1, 0.7]
    y = x @ rng.normal(size=(5, outputs)) + 0.2 * rng.normal(size=(60, outputs))
    x, y = np.vstack([x, -x]), np.vstack([y, -y])
    return checked_samples({"A": x[:, :3], "B": x[:, 3:]}, y, several=True)


@cache
def bent() -> Samples:
    """Far from symmetric."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(80, 5)) @ np.triu(rng.normal(size=(5, 5)))
    y = np.maximum(x @ rng.normal(size=5), 0) + x[:, 0]
    return checked_samples({"A": x[:, :3], "B": x[:, 3:]}, (y - y.mean()) / y.std())


def predicted(network: FusionNetwork, samples: Samples, **more: float) -> Prediction:
    return predict_relu(network, samples.inputs, samples.targets, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("network", "outputs"), [(LATE, 1), (EARLY, 1), (LATE, 2)])
def test_symmetric_data_take_twice_as_long_as_a_linear_network(network: FusionNetwork, outputs: int) -> None:
    """(126). Half of the units serve each half of the inputs: the linear network starts 1/sqrt(2) as large.

    Early parts mix what both modalities do, so that only the first crossing is compared; within 2 %: that many of the
    ln(1/u0) the draw of 500 units leaves.
    """
    samples = mirrored(outputs)
    found = predicted(network, samples, width=10**9)
    linear = predict(network, samples.correlations, u0=1e-3 / math.sqrt(2), width=10**9)
    assert found.order == linear.order
    for m in found.order if network is LATE and outputs == 1 else found.order[:1]:
        assert found.times[m] == pytest.approx(2 * linear.times[m], rel=0.02 if outputs == 1 else 0.05)


@pytest.mark.parametrize("outputs", [1, 3])
def test_rates_are_slopes_of_what_they_drive(outputs: int) -> None:
    """Central differences of <y relu(w.x)>, which is piecewise linear: no kink lies within the step."""
    rng = np.random.default_rng(1)
    x, y, w = rng.normal(size=(40, 4)), rng.normal(size=(40, outputs)), rng.normal(size=(6, 4))
    force, slope = drives(x, y, w)
    np.testing.assert_allclose(force, np.maximum(x @ w.T, 0).T @ y / 40, atol=1e-14)
    for k in range(4):
        ends = [drives(x, y, w + s * 1e-7 * np.eye(4)[k])[0] for s in (1, -1)]
        np.testing.assert_allclose((ends[0] - ends[1]) / 2e-7, slope[:, :, k], atol=1e-7)


def test_a_unit_at_its_site_grows_at_gamma() -> None:
    """(164): a balanced unit at the fastest site grows as exp(gamma t); midpoint steps of a tenth leave 2e-3 of it."""
    x, y = bent().inputs["A"], bent().targets[:, None]
    found = sites(x, y, np.random.default_rng(0).normal(size=(100, 3)))
    *_, log_size, span = growing(x, y, found.directions[:1], found.outputs[:1], 3.0)
    assert log_size[0] - math.log(2) / 2 == pytest.approx(found.rates[0] * span, rel=5e-3)


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_search_finds_the_maxima_of_the_plane(outputs: int) -> None:
    """In two dimensions, against a fine grid of the circle; and the ascent against these maxima."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(30, 2)) * [2, 1] + [0.3, 0]
    y = rng.normal(size=(30, outputs)) + x[:, :1]
    exact = in_the_plane(x, y)
    angle = np.linspace(0, 2 * np.pi, 200_001)[:-1]
    around = np.linalg.norm(drives(x, y, np.column_stack([np.cos(angle), np.sin(angle)]))[0], axis=1)
    tops = (around > np.roll(around, 1)) & (around >= np.roll(around, -1))
    rates = np.linalg.norm(drives(x, y, exact)[0], axis=1)
    assert len(exact) == tops.sum()
    np.testing.assert_allclose(np.sort(rates), np.sort(around[tops]), rtol=1e-8)
    climbs = climbed(x, y, rng.normal(size=(200, 2)))
    reached = np.linalg.norm(drives(x, y, climbs)[0], axis=1)
    assert reached.max() == pytest.approx(rates.max(), rel=1e-4)


def half_times_of_a_trained_network(network: FusionNetwork, samples: Samples, end: float) -> dict[str, float]:
    """u0 = 1e-2, width 100, one seed: when half of what there is at the end is there, to 0.3 % of the end."""
    looks = np.linspace(0, end, 300)
    run = train_relu(
        network, samples.inputs, samples.targets, u0=1e-2, learning_rate=0.04, t_end=end + 0.1,
        snapshots=list(looks[1:]), max_steps=100_000,
    )  # fmt: skip
    early = network is EARLY
    data = samples.correlations
    blocks = {"": np.hstack(list(samples.inputs.values()))} if early else samples.inputs
    spans = {m: data.span(m) for m in data.modalities} if early else {}

    def units(now: dict[str, list[np.ndarray]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        if early:
            return {"": (np.hstack([now[m][0] for m in data.modalities]), now["trunk"][0].T)}
        return {m: (now[m][0], now[m][1].T) for m in data.modalities}

    crossed = {}
    for m in data.modalities:
        parts = {t: part_of(blocks, spans, units(now), m) for t, now in run.snapshots.items() if t > 0}
        last = parts[max(parts)]
        crossed[m] = min(t for t, part in parts.items() if np.sum(part * last) >= 0.5 * np.sum(last**2))
    return crossed


def end_of(found: Prediction) -> float:
    return float(found.remarks[0].split("t = ")[1].split(",")[0])


@pytest.mark.parametrize("network", [LATE, EARLY], ids=["late", "early"])
def test_a_trained_network_keeps_its_times(network: FusionNetwork) -> None:
    """Width 100, one seed, data without a symmetry: within the stated bound."""
    samples = bent()
    found = predicted(network, samples, u0=1e-2)
    for m, crossed in half_times_of_a_trained_network(network, samples, end_of(found) - 0.2).items():
        assert crossed == pytest.approx(found.times[m], rel=found.estimate.bound[m] + 0.01)


def test_units_that_are_not_alike_stay_apart() -> None:
    """|a| and bends of b: units that go to one site near zero end as several, and merged there A is 20 % too early."""
    rng = np.random.default_rng(1)
    a, b = 1.5 * rng.normal(size=(150, 2)), rng.normal(size=(150, 3))
    bends = 0.7 * np.maximum(b[:, 0], 0) - 0.7 * np.maximum(b[:, 1], 0) + 0.5 * np.maximum(-b[:, 2] - b[:, 1], 0)
    y = 1.5 * np.abs(a[:, 0]) + bends
    samples = checked_samples({"A": a, "B": b}, y - y.mean())
    found = predicted(LATE, samples, u0=1e-2)
    for m, crossed in half_times_of_a_trained_network(LATE, samples, end_of(found) - 0.2).items():
        assert crossed == pytest.approx(found.times[m], rel=0.08)


def test_what_no_linear_network_learns() -> None:
    """XOR, appendix H.2: nothing of B is linear, and units of early fusion find it."""
    samples = xor_samples(2.0, 200, 3)
    found = predicted(LATE, samples)
    assert found.order == ("A", "B")
    assert found.status["B"] is Status.REACHED
    assert found.warnings == ()  # it learns all
    assert found.activation is Activation.RELU
    assert found.estimate.kind is Kind.HEURISTIC
    assert found.holds_for.startswith("ReLU network")
    assert found.to_dict()["activation"] == "ReLU"


def test_what_is_learned_later_is_not_said_to_be_never_learned() -> None:
    """XOR in early fusion: near zero all units go along A, and the narrow network ends there. The wide one goes on."""
    samples = xor_samples(2.0, 400, 3)
    found = predicted(EARLY, samples)
    assert found.status["B"] is Status.NOT_REACHED
    assert any("a wide network may learn it later" in w for w in found.warnings)
    run = train_relu(EARLY, samples.inputs, samples.targets, learning_rate=0.1, t_end=60)
    end = float(found.remarks[0].split("t = ")[1].split(",")[0])
    assert np.interp(end, run.t, run.loss) > 0.4  # XOR is half of its variance, 0.5
    assert run.loss[-1] < 0.025


def test_what_has_no_part_is_never_learned() -> None:
    """B is nothing at all; half of the samples of A leave units of both signs dead or not."""
    samples = bent()
    found = predict_relu(LATE, {"A": samples.inputs["A"], "B": np.zeros((80, 2))}, samples.targets, t_end=20.0)
    assert found.status["B"] is Status.NEVER
    assert found.estimate.reasons["B"] == "none of its units grows"
    dead = predict_relu(LATE, {"A": samples.inputs["A"], "B": np.ones((80, 1))}, samples.targets + 0.5, t_end=5.0)
    assert any("of the units of B are dead" in w for w in dead.warnings)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"network": FusionNetwork.fused_at(3, 2)}, "predict_relu needs two layers and one fusion, got .* trunk 1"),
        ({"u0": 3.0}, "u0 of A must be small, at most .* got 3"),
        ({"u0": 0.0}, "u0 of A is 0"),
        ({"width": 0}, "width must be"),
        ({"restarts": 3}, "restarts must be"),
        ({"t_end": -1.0}, "t_end must be"),
    ],
)
def test_refusals_are_one_line(more: dict[str, float], told: str) -> None:
    samples = bent()
    given = {"network": LATE, "inputs": samples.inputs, "targets": samples.targets, **more}
    with pytest.raises(DomainError, match=told) as caught:
        predict_relu(**given)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_wrong_samples_are_named() -> None:
    with pytest.raises(DataError, match="inputs\\['B'\\] must have shape"):
        predict_relu(LATE, {"A": np.ones(4), "B": np.ones(3)}, np.ones(4))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "ReLU network"),
        (["--optimizer", "adam", "--learning-rate", "0.1"], "does not know recipe optimizer adam"),
        (["--init", "pytorch"], "does not know --init"),
        (["--seeds", "3"], "does not know --seeds"),
        (["--depth", "3"], "needs two layers"),
    ],
)
def test_the_command(flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    from dynamics.interface.cli import main

    status = main(["predict", "--example", "linnerud", "--activation", "relu", *flags])
    shown = capsys.readouterr()
    assert told in (shown.err if flags else shown.out)
    assert status == (2 if flags else 0)
    assert load_example("linnerud").modalities[0] in shown.out or flags


@pytest.mark.parametrize("network", [LATE, EARLY], ids=["late", "early"])
def test_the_benchmark_descends_the_gradient(network: FusionNetwork) -> None:
    """`benchmarks.relu` writes gradients of three seeds out, in float32; PyTorch differentiates each seed's loss."""
    torch = pytest.importorskip("torch", reason="PyTorch is absent; CI runs this test where it is installed")
    from benchmarks.relu import WIDTH, Wide

    samples = bent()
    wide = Wide(network, samples.inputs, samples.targets, 3)
    layers = [30 * p for p in wide.start]  # large enough that every unit sees the others
    moved, loss = wide.velocity(layers)
    leaves = [p.clone().requires_grad_() for p in layers]
    for seed in range(3):
        own = slice(seed * WIDTH, (seed + 1) * WIDTH)
        pairs = zip(wide.x, leaves[::2], leaves[1::2], strict=True)
        out = sum(torch.relu(x @ w[own].T) @ c[own] for x, w, c in pairs)
        value = ((wide.y - out) ** 2).mean() / 2
        assert loss[seed] == pytest.approx(value.item(), rel=1e-5)
        value.backward()
    for found, leaf in zip(moved, leaves, strict=True):
        np.testing.assert_allclose(found.numpy(), -leaf.grad.numpy(), atol=2e-6)


def test_units_alike_are_merged_and_no_others() -> None:
    """Three units along two directions: squares of those alike add up, as what they do near zero does."""
    w, c = np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]]) / math.sqrt(2), np.ones((3, 1)) / math.sqrt(2)
    first, second = merged(w, c, np.log([3.0, 4.0, 1.0]), width=10**9)
    size = np.sqrt(np.sum(first**2, 1) + np.sum(second**2, 1))
    np.testing.assert_allclose(np.sort(size), [1.0, 5.0], rtol=1e-4)
    crowd = np.random.default_rng(0).normal(size=(300, 6))
    crowd /= np.linalg.norm(crowd, axis=1)[:, None]
    first, second = merged(crowd[:, :5], crowd[:, 5:], np.zeros(300), width=10**9)
    assert len(first) == MOST_UNITS
    assert np.sum(first**2) + np.sum(second**2) == pytest.approx(300)


def test_a_part_that_comes_slowly_has_a_wide_bound() -> None:
    """Of a straight rise to t = 10 the half-time moves by 1 of 5 to both sides; of a jump not at all."""
    t = np.linspace(0, 10, 101)
    ramp, jump = t / 10, (t > 5.05).astype(float)
    parts = Parts(t, {"A": ramp, "B": jump}, {"A": 1.0, "B": 1.0}, 1 - ramp, False, np.zeros((1, 1)))
    assert parts.flank("A") == pytest.approx(0.4, rel=1e-6)
    assert parts.flank("B") < 0.01
