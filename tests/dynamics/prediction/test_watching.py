"""Watching: what a network puts out says when it learns each modality, whatever it is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from derivations import DataError, DomainError, FusionNetwork
from derivations.flow.gradient_flow import total_weights
from dynamics import Correlations, integrate, load_example, predict, recorded, watch
from dynamics.prediction.watching import Against, WatchedTraining, Yardstick
from dynamics.runs.half_times import Status
from dynamics.starts.weights import Weights, random_weights

RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(60, 5)) @ RNG.normal(size=(5, 5))
TARGET = ROWS @ [1.0, 0.5, -1.0, 0.8, 0.3] + 0.1 * RNG.normal(size=60)
DATA = Correlations.from_samples({"A": ROWS[:, :2], "B": ROWS[:, 2:]}, TARGET, standardize=True)


def descended(network: FusionNetwork, data: Correlations, rate: float, steps: int) -> Iterator[tuple[float, Weights]]:
    """Gradient descent of a linear network on its samples, written out: (t, weights) before every step."""
    assert data.samples is not None
    x, y = data.samples.inputs, data.samples.targets
    weights = random_weights(network, data, 0.3, 20, 1)
    for step in range(steps):
        yield step * rate, weights
        out = {m: x[m] for m in x}
        kept: dict[str, list[np.ndarray]] = {}
        for m in x:
            kept[m] = [out[m]]
            for w in weights[m]:
                out[m] = out[m] @ w.T
                kept[m].append(out[m])
        middle = [sum(out.values())]
        for w in weights["trunk"]:
            middle.append(middle[-1] @ w.T)
        back = (y - middle[-1]) / len(y)
        moved: Weights = {name: [np.zeros_like(w) for w in layers] for name, layers in weights.items()}
        for i in range(len(weights["trunk"]) - 1, -1, -1):
            moved["trunk"][i] = back.T @ middle[i]
            back = back @ weights["trunk"][i]
        for m in x:
            to_branch = back
            for i in range(len(weights[m]) - 1, -1, -1):
                moved[m][i] = to_branch.T @ kept[m][i]
                to_branch = to_branch @ weights[m][i]
        weights = {n: [w + rate * v for w, v in zip(ws, moved[n], strict=True)] for n, ws in weights.items()}


@pytest.mark.parametrize("depths", [(2, 2), (3, 2), (2, 1)])
@pytest.mark.parametrize("outputs", [1, 2])
def test_watching_a_linear_network_gives_what_its_recorded_weights_give(depths: tuple[int, int], outputs: int) -> None:
    network = FusionNetwork.fused_at(*depths)
    data = DATA
    if outputs == 2:
        targets = np.column_stack([TARGET, ROWS[:, 1] - ROWS[:, 3]])
        data = Correlations.from_samples({"A": ROWS[:, :2], "B": ROWS[:, 2:]}, targets, standardize=True)
    now: list[Weights] = []

    def forward(x: dict[str, np.ndarray]) -> np.ndarray:
        return sum(x[m] @ w.T for m, w in total_weights(network, now[-1]).items())  # type: ignore[return-value]

    watched = watch(data, forward, network=network, every=4)
    t, total = [], {"A": [], "B": []}
    for step, (clock, weights) in enumerate(descended(network, data, 0.05, 900)):
        now.append(weights)
        watched.step(0.05)
        if step % 4 == 0:
            t.append(clock)
            for m, w in total_weights(network, weights).items():
                total[m].append(w)
    run, seen = (
        recorded(network, data, t, {m: np.array(w).reshape(len(t), outputs, -1) for m, w in total.items()}),
        (watched.training),
    )
    assert seen.yardstick is Yardstick.PLATEAU
    assert seen.order == run.order
    assert seen.status == run.status
    assert Status.REACHED in run.status.values()
    assert all(
        math.isclose(seen.times[m], run.times[m], rel_tol=1e-9) for m in run.times if math.isfinite(run.times[m])
    )
    assert np.allclose(seen.loss, run.loss, rtol=1e-9)
    assert all(np.allclose(seen.total[m], run.total[m], atol=1e-9) for m in run.total)


def sigmoid(t: np.ndarray | float, half: float) -> Any:
    return 1 / (1 + np.exp(-4 * (np.asarray(t) - half)))


def test_parts_that_are_not_linear_are_half_when_half_of_their_end_is_there() -> None:
    clock = [0.0]

    def forward(x: dict[str, np.ndarray]) -> np.ndarray:
        b = np.sin(x["B"]).sum(axis=1)
        return sigmoid(clock[0], 2.0) * np.abs(x["A"][:, 0]) + sigmoid(clock[0], 5.0) * b + 3.0

    watched = watch(DATA, forward)
    for t in np.linspace(0, 12, 241):
        clock[0] = float(t)
        watched.record(float(t))
    seen = watched.training
    assert seen.yardstick is Yardstick.END
    assert seen.order == ("A", "B")
    assert math.isclose(seen.times["A"], 2.0, abs_tol=1e-6)
    assert math.isclose(seen.times["B"], 5.0, abs_tol=1e-6)
    assert seen.unimodal_phase == (seen.times["A"], seen.times["B"])
    assert seen.nonlinear["A"] > 0.1
    assert DATA.samples is not None
    part = np.abs(DATA.samples.inputs["A"][:, 0])  # the constant is no part of any modality
    assert math.isclose(float(seen.size["A"][-1]), float(np.std(part)), rel_tol=1e-9)
    against = seen.against(predict(FusionNetwork.fused_at(2, 2), DATA, u0=0.05))
    assert set(against.errors) == {"A", "B"}
    assert "measured as the trained ones" in str(against)
    assert math.isclose(against.ratio_error, against.predicted["B"] / against.predicted["A"] * 2 / 5 - 1, rel_tol=1e-5)
    assert len(seen.plot()) == 2


def test_a_part_that_puts_out_next_to_nothing_is_never_learned() -> None:
    clock = [0.0]
    watched = watch(DATA, lambda x: sigmoid(clock[0], 1.0) * (np.abs(x["A"][:, 0]) + 1e-3 * np.abs(x["B"][:, 0])))
    for t in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0):
        clock[0] = t
        watched.record(t)
    seen = watched.training
    assert seen.status == {"A": Status.REACHED, "B": Status.NEVER}
    assert math.isnan(seen.unimodal_phase[0])
    assert "less than 1% of what A does" in str(seen)


@pytest.mark.parametrize(
    ("targets", "logits"),
    [
        (list("bac" * 20), "three in the order of the names"),
        (list("ba" * 30), "one, of the second name"),
        (np.eye(3)[[1, 0, 2] * 20], "three in the order of the columns"),
    ],
)
def test_cross_entropy_is_judged_by_the_loss_of_each_part_alone(targets: Any, logits: str) -> None:
    names = ["".join(t) if isinstance(t, str) else "abc"[int(np.argmax(t))] for t in targets]
    places = np.array(["abc".index(name) for name in names])
    rng = np.random.default_rng(0)
    a, b = np.eye(3)[places] - 1 / 3, rng.normal(size=(60, 2))
    data = Correlations.from_samples({"A": a + 1e-3 * rng.normal(size=a.shape), "B": b}, targets)
    size = [0.0]

    def forward(x: dict[str, np.ndarray]) -> np.ndarray:
        out = size[0] * x["A"]
        return out[:, 1] - out[:, 0] if logits.startswith("one") else out

    watched = watch(data, forward, loss="cross_entropy")
    sizes = np.linspace(0, 8, 161)
    for t, now in enumerate(sizes):
        size[0] = float(now)
        watched.record(float(t))
    seen = watched.training
    count = len(set(names))
    entropy = np.log(np.exp(size_of(sizes, count)).sum(axis=1)) - size_of(sizes, count)[:, 0]  # by the softmax itself
    half = np.interp(-(entropy[0] + entropy[-1]) / 2, -entropy, np.arange(161.0))
    assert seen.yardstick is Yardstick.LOSS
    assert seen.status["B"] is Status.NEVER
    assert math.isclose(seen.times["A"], half, rel_tol=2e-3)  # the inputs are noisy by 1e-3
    assert np.allclose(seen.loss, entropy, atol=5e-3)
    assert seen.accuracy["all"][-1] == seen.accuracy["A"][-1] == 1.0
    assert len(seen.plot()) == 3


def size_of(sizes: np.ndarray, count: int) -> np.ndarray:
    """Logits of a row whose class comes first."""
    return np.column_stack([sizes, *[np.zeros_like(sizes)] * (count - 1)])


def test_between_records_nothing_is_asked_and_the_clock_adds_the_learning_rates() -> None:
    calls = []
    watched = watch(DATA, lambda x: calls.append(len(x["A"])) or np.zeros(len(x["A"])), every=5)
    for rate in [0.1] * 5 + [0.2] * 6:
        watched.step(rate)
    assert calls == [60] * 9  # three records of all, A and B
    assert np.allclose(watched.training.t, [0.0, 0.5, 1.5])


def test_many_rows_are_thinned_and_that_is_said() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5000, 2))
    data = Correlations.from_samples({"A": x[:, :1], "B": x[:, 1:]}, x[:, 0] + x[:, 1])
    watched = watch(data, lambda inputs: inputs["A"][:, 0], rows=500)
    watched.record(0.0)
    watched.record(1.0)
    assert "500 of 5000 rows are watched" in str(watched.training)


def test_scikit_learn_is_watched_as_any_other() -> None:
    from sklearn.neural_network import MLPRegressor

    data = load_example("star98")
    assert data.samples is not None
    x, y = np.hstack(list(data.samples.inputs.values())), data.samples.targets[:, 0]
    model = MLPRegressor(
        hidden_layer_sizes=(30,), solver="sgd", learning_rate_init=0.02, momentum=0.0, batch_size=len(y), random_state=0
    )
    model.partial_fit(x, y)
    watched = watch(data, lambda inputs: model.predict(np.hstack(list(inputs.values()))), every=3)
    parts = []
    for step in range(60):
        watched.step(0.02)
        if step % 3 == 0:  # the part of the school columns from the weights themselves
            (w, c), (hidden_bias, bias) = model.coefs_, model.intercepts_
            wide = data.sizes["demographics"]
            parts.append(np.maximum(x[:, wide:] @ w[wide:] + hidden_bias, 0) @ c[:, 0] + bias)
        model.partial_fit(x, y)
    seen = watched.training
    along = [np.cov(part, parts[-1], bias=True)[0, 1] for part in parts]
    i = next(i for i, v in enumerate(along) if v >= along[-1] / 2)
    here, before = along[i], along[i - 1]
    half = seen.t[i - 1] + 0.06 * (along[-1] / 2 - before) / (here - before) if i else 0.0
    assert seen.yardstick is Yardstick.END
    assert math.isclose(seen.times["school"], half, rel_tol=1e-6)


def test_wrong_networks_get_one_line() -> None:
    def broken(x: dict[str, np.ndarray]) -> np.ndarray:
        raise RuntimeError("mat1 and mat2 shapes\ncannot be multiplied")

    cases: list[tuple[Any, str]] = [
        (broken, "forward raised RuntimeError at t = 0: mat1 and mat2 shapes"),
        (lambda x: np.full(60, np.nan), r"forward\(...\) has nan at index \(0,\) at t = 0"),
        (lambda x: np.zeros(59), r"forward\(...\) must give outputs of shape \(60, 1\), got \(59, 1\) at t = 0"),
        (lambda x: np.zeros((60, 2)), r"outputs of shape \(60, 1\), got \(60, 2\)"),
        (lambda x: None, r"forward\(...\) must hold real numbers"),
    ]
    for forward, says in cases:
        watched = watch(DATA, forward)
        with pytest.raises(DataError, match=says) as caught:
            watched.record(0.0)
        assert "\n" not in str(caught.value)
        with pytest.raises(DataError, match="needs two records or more, this watch has 0"):
            _ = watched.training
    fine = watch(DATA, lambda x: np.zeros(60))
    fine.record(1.0)
    with pytest.raises(DataError, match="t must increase from record to record, got 1 after 1"):
        fine.record(1.0)
    with pytest.raises(DataError, match="watch needs Correlations made by from_samples"):
        watch(Correlations.scalar(2, 1, 0), broken)
    with pytest.raises(DataError, match=r"watch needs Correlations, then .* got a function first"):
        watch(broken, DATA)  # type: ignore[arg-type]
    with pytest.raises(DomainError, match="forward must be a function, got None"):
        watch(DATA, None)  # type: ignore[arg-type]
    with pytest.raises(DomainError, match="loss must be squared or cross_entropy here"):
        watch(DATA, broken, loss="logistic")
    with pytest.raises(DomainError, match="needs a target of classes"):
        watch(DATA, broken, loss="cross_entropy")


def test_the_verdict_is_of_an_order_that_is_there() -> None:
    predicted = {"A": 1.0, "B": 2.0}
    for trained, is_open, says in (
        ({"A": 1.1, "B": math.inf}, False, "the predicted order is right"),
        ({"A": 3.0, "B": 1.0}, False, "the predicted order is wrong"),
        ({"A": 3.0, "B": 1.0}, True, "the prediction leaves the order open"),
        ({"A": math.inf, "B": math.inf}, False, "training has no order yet: train longer"),
        ({"A": 0.0, "B": math.inf}, False, "training has no order: something was learned before the record began"),
    ):
        assert Against(predicted, trained, {}, "", (), is_open).verdict == says
    assert math.isnan(Against({"A": 0.0, "B": 1.0}, {"A": 1.0, "B": 2.0}, {}, "").ratio_error)
    twice = Against(predicted, {"A": 0.51, "B": 1.0}, {}, "")
    assert "does the training's loss lack its half?" in str(twice)


def test_against_takes_predictions_of_the_same_modalities_only() -> None:
    watched = watch(DATA, lambda x: np.zeros(60))
    watched.record(0.0)
    watched.record(1.0)
    seen: WatchedTraining = watched.training
    beside = seen.against(predict(FusionNetwork.fused_at(2, 2), DATA))
    assert beside.verdict == "training has no order yet: train longer"
    assert any("record for longer" in line for line in str(beside).splitlines())
    other = load_example("star98")
    with pytest.raises(DomainError, match="prediction must be of A, B, got one of demographics, school"):
        seen.against(predict(FusionNetwork.fused_at(2, 2, other.modalities), other))
    with pytest.raises(DomainError, match="against needs what predict or predict_relu gives, got a Trajectory"):
        seen.against(integrate(FusionNetwork.fused_at(2, 2), DATA, width=5, t_end=0.1))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["linear", "convolution", "transformer"])
def test_networks_of_pytorch_are_watched_by_what_they_put_out(kind: str) -> None:
    """Half-times are those of the module's own outputs, asked for beside the watch in the test."""
    torch = pytest.importorskip("torch", reason="PyTorch is absent; CI runs this test where it is installed")
    torch.manual_seed(0)
    data = Correlations.from_samples({"A": ROWS[:, :3], "B": ROWS[:, 3:]}, TARGET, standardize=True)
    assert data.samples is not None
    x = {m: torch.tensor(v) for m, v in data.samples.inputs.items()}
    y = torch.tensor(data.samples.targets)
    if kind == "linear":
        model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Linear(8, 1))
    elif kind == "convolution":
        lengthened = (torch.nn.Unflatten(1, (1, 5)), torch.nn.Conv1d(1, 4, 2), torch.nn.ReLU())
        model = torch.nn.Sequential(*lengthened, torch.nn.Flatten(), torch.nn.Linear(16, 1))
    else:
        block = torch.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
        tokens = (torch.nn.Unflatten(1, (5, 1)), torch.nn.Linear(1, 4), block, torch.nn.Flatten())
        model = torch.nn.Sequential(*tokens, torch.nn.Linear(20, 1))
    model = model.double()

    def out(inputs: Any) -> Any:
        return model(torch.cat([torch.as_tensor(inputs[m]) for m in x], dim=1))

    watched, optimizer, parts = watch(data, out, every=3), torch.optim.SGD(model.parameters(), lr=0.02), []
    for step in range(60):
        watched.step(0.02)
        if step % 3 == 0:
            part = out({"A": torch.zeros_like(x["A"]), "B": x["B"]}).detach()[:, 0]
            parts.append(part - part.mean())
        optimizer.zero_grad()
        ((y - out(x)) ** 2).mean().div(2).backward()
        optimizer.step()
    seen = watched.training
    sizes = [float(part.pow(2).mean().sqrt()) for part in parts]
    assert np.allclose(seen.size["B"], sizes, rtol=1e-12)
    assert seen.yardstick is (Yardstick.PLATEAU if kind == "linear" else Yardstick.END)
    assert seen.loss[-1] < seen.loss[0]
    assert (seen.nonlinear["B"] > 1e-4) is (kind != "linear")
