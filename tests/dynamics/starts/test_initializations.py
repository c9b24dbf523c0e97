"""What is my u0: norms of real weights and of named initialisations, and the prediction from them."""

import math
import re

import numpy as np
import pytest

from derivations import Correlations, DataError, DomainError, FusionNetwork
from dynamics import (
    default_start,
    default_weights,
    integrate,
    load_example,
    predict,
    random_weights,
    recorded,
    start_of,
    weights_from_state,
)
from tests.cases import ROOT, SOAK, documented, random_correlations

LATE, EARLY = FusionNetwork.fused_at(2, 2), FusionNetwork.fused_at(2, 1)


@pytest.mark.parametrize("net", [LATE, EARLY], ids=["late", "early"])
def test_u0_of_two_layers_predicts_the_flow_from_those_very_weights(net: FusionNetwork) -> None:
    """Vector inputs, layers of unequal norm, ten draws (four here): half-times of the first within 3 %.

    Leading order in u0: what is left out is the part of the layers that shrinks, u0^2 beside one, and here the first
    layer's rows across Sigma_yx.
    """
    data = random_correlations(np.random.default_rng(8), {"A": 3, "B": 2}, correlation=0.4)
    gaps, naive = [], []
    aligned = predict(net, data, u0=1e-4).reduced
    for seed in range(10 if SOAK else 4):
        weights = random_weights(net, data, 1e-4, width=30, seed=seed)
        weights = {
            name: [w * (5.0 if i == 0 else 1.0) for i, w in enumerate(layers)] for name, layers in weights.items()
        }
        start = start_of(net, data, weights)
        flow = integrate(net, data, weights=weights)
        reduced = predict(net, data, u0=start.u0).reduced
        first = flow.order[0]
        gaps.append(reduced.times[first] / flow.times[first] - 1)
        naive.append(aligned.times[first] / flow.times[first] - 1)
    assert max(map(abs, gaps)) < 0.03
    assert min(map(abs, naive)) > 3 * max(map(abs, gaps))  # the norm of a layer alone would miss by far more


def test_the_growing_mode_is_exact_for_scalar_inputs() -> None:
    """W1, W2 of two units against the solution W = 2 kappa sinh(s): the aligned start of u0 grows alike."""
    w1, w2 = np.array([[3e-6], [1e-6]]), np.array([[-1e-6, 4e-6]])
    data = Correlations([[2.0]], [1.5], {"A": 1})
    net = FusionNetwork.branches({"A": 2})
    start = start_of(net, data, {"A": [w1, w2]})
    assert start.u0["A"] == pytest.approx(np.linalg.norm(w1.T + w2) / 2, rel=1e-14)
    flow = integrate(net, data, weights={"A": [w1, w2]}, rtol=1e-11)
    assert predict(net, data, u0=start.u0).reduced.times["A"] == pytest.approx(flow.times["A"], rel=1e-7)


@pytest.mark.parametrize(
    ("init", "variance"),
    [("pytorch", lambda o, i: 1 / (3 * i)), ("kaiming", lambda o, i: 2 / i),
     ("xavier", lambda o, i: 2 / (i + o)), ("lecun", lambda o, i: 1 / i)],
)  # fmt: skip
def test_named_initialisations_have_their_textbook_variance(init: str, variance) -> None:
    data = random_correlations(np.random.default_rng(0), {"A": 3, "B": 2})
    net = FusionNetwork.fused_at(3, 2)
    weights, start = default_weights(net, data, init, width=200, seed=1), default_start(net, data, init, width=200)
    for name, layers in weights.items():
        for w, norm in zip(layers, start.norms[name], strict=True):
            assert norm == pytest.approx(math.sqrt(w.size * variance(*w.shape)), rel=1e-12)
            assert np.linalg.norm(w) == pytest.approx(norm, rel=6 / math.sqrt(w.size))  # sd of a norm is 1/sqrt(2 n)


@pytest.mark.parametrize("net", [LATE, EARLY], ids=["late", "early"])
def test_the_mean_start_of_an_initialisation_is_that_of_its_draws(net: FusionNetwork) -> None:
    """Root mean square of u0 over 30 draws, within three standard errors (the square has sd sqrt(2/h) of itself)."""
    data = random_correlations(np.random.default_rng(0), {"A": 3, "B": 2})
    mean = default_start(net, data, "xavier", width=50).u0
    draws = [start_of(net, data, default_weights(net, data, "xavier", width=50, seed=s)).u0 for s in range(30)]
    for m in "AB":
        squares = np.array([u[m] ** 2 for u in draws])
        assert math.sqrt(squares.mean()) == pytest.approx(mean[m], rel=1.5 * math.sqrt(2 / 50 / 30))


def test_a_start_too_large_for_the_laws_is_refused_and_can_be_simulated() -> None:
    data = load_example("diabetes")
    net = FusionNetwork.fused_at(2, 2, data.modalities)
    with pytest.raises(DomainError, match="u0 is too large to predict from"):
        predict(net, data, u0=default_start(net, data, "kaiming").u0)
    run = integrate(net, data, weights=default_weights(net, data, "kaiming", seed=0))
    assert set(run.status.values()) == {"reached"}


def test_deep_paths_say_that_a_random_start_is_slower() -> None:
    data = Correlations.scalar(2, 1, 0.5)
    start = start_of(
        FusionNetwork.fused_at(4, 3), data, random_weights(FusionNetwork.fused_at(4, 3), data, 0.1, width=20)
    )
    assert any("a random start is slower" in note for note in start.notes)
    assert set(start.u0) == {"A", "B", "trunk"}
    sizes = start.norms["A"]
    assert start.u0["A"] == pytest.approx(math.prod(sizes) ** (1 / 3))


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ({"A": ["a.weight"], "B": ["b.weight", "hb.weight"]}, r"weights\['A'\] must have 2 layers, got 1"),
        ({"A": ["a.weight", "x"], "B": ["b.weight", "hb.weight"]}, "the state has no 'x'; it has a.weight"),
        ({"A": ["bias", "ha.weight"], "B": ["b.weight", "hb.weight"]}, r"'bias' must be a matrix \(out, in\)"),
        ({"A": [3, "ha.weight"], "B": ["b.weight", "hb.weight"]}, "must hold names, or pairs of a name and a slice"),
        ({"A": ["ha.weight", "a.weight"], "B": ["b.weight", "hb.weight"]}, "must have 1 columns"),
        ("a.weight", "must be mappings"),
    ],
)
def test_a_state_that_does_not_fit_is_told(layers, says: str) -> None:
    state = {"a.weight": np.ones((3, 1)), "b.weight": np.ones((3, 1)), "bias": np.ones(3)}
    state |= {"ha.weight": np.ones((1, 3)), "hb.weight": np.ones((1, 3))}
    with pytest.raises(DomainError, match=says):
        weights_from_state(LATE, Correlations.scalar(2, 1, 0.5), state, layers)
    with pytest.raises(DomainError, match="init must be one of pytorch, kaiming, xavier, lecun, got 'he'"):
        default_start(LATE, Correlations.scalar(2, 1, 0.5), "he")


def test_a_recorded_flow_has_the_half_times_of_the_flow() -> None:
    """Linear interpolation between points h apart: an error of order h^2."""
    data = random_correlations(np.random.default_rng(3), {"A": 2, "B": 2}, correlation=0.4)
    flow = integrate(LATE, data, u0=1e-3, width=20, seed=0, rtol=1e-9)
    times = np.linspace(0, 1.5 * max(flow.times.values()), 4001)
    path = integrate(LATE, data, u0=1e-3, width=20, seed=0, rtol=1e-9, t_eval=times)
    run = recorded(LATE, data, times, path.total)
    assert run.order == flow.order
    for m in "AB":
        assert run.times[m] == pytest.approx(flow.times[m], abs=(times[1] - times[0]) ** 2)
    assert [v.name for v in run.itinerary] == [v.name for v in flow.itinerary]
    short = recorded(LATE, data, times[:100], {m: w[:100] for m, w in path.total.items()})
    assert any("record for longer" in w for w in short.warnings)


@pytest.mark.parametrize(
    ("t", "total", "says"),
    [
        ([0.0], {"A": [1.0], "B": [1.0]}, "two or more increasing"),
        ([0.0, 1.0], {"A": [1.0, 2.0]}, "total must map each of A, B"),
        ([0.0, 1.0], {"A": [1.0, 2.0], "B": [1.0]}, r"total\['B'\] must have shape \(2,\), got \(1,\)"),
        ([0.0, 1.0], {"A": [1.0, math.nan], "B": [1.0, 1.0]}, r"total\['A'\]\[1\] must be finite, got nan"),
        ([-1.0, 1.0], {"A": [1.0, 2.0], "B": [1.0, 1.0]}, "from 0 on"),
        ([0.0, 1.0], {"A": [[1.0, 2.0]], "B": [1.0, 1.0]}, r"total\['A'\] must have shape \(2,\), got \(1, 2\)"),
        (["x", 1.0], {"A": [1.0, 2.0], "B": [1.0, 1.0]}, "t must hold numbers"),
    ],
)
def test_bad_recordings_are_told(t, total, says: str) -> None:
    with pytest.raises(DataError, match=says):
        recorded(LATE, Correlations.scalar(2, 1, 0.5), t, total)


def test_a_record_in_another_order_than_expected_says_so() -> None:
    t = np.linspace(0, 10, 101)
    rise = lambda c: 1 / (1 + np.exp(4 * (c - t)))
    run = recorded(LATE, Correlations.scalar(2, 1, 0.0), t, {"A": rise(5), "B": rise(2)})
    assert (run.race, run.order) == (("A", "B"), ("B", "A"))
    assert (run.ratio, run.lag) == pytest.approx((2.5, 3.0))
    assert "A leaves zero before B, which overtakes it" in str(run)
    late = recorded(LATE, Correlations.scalar(2, 1, 0.0), t + 5, {"A": 0 * t + 1, "B": rise(2)})
    assert late.times["A"] == pytest.approx(5)
    assert any("when the record begins" in w for w in late.warnings)


def test_u0_of_a_scalar_that_flips_is_that_of_the_growing_mode() -> None:
    """W1, W2^T nearly alike: the mode of Sigma_yx is large, the one that the residual drives much smaller."""
    rng, s = np.random.default_rng(0), 1e-9
    data = Correlations.scalar(2, 1, 0.8, w=(2, -1))
    assert data.target_block("B").item() * data.residual("B", given="A").item() < 0
    b = s * rng.normal(size=(20, 1))
    other = (b + 0.01 * s * rng.normal(size=(20, 1))).T
    weights = {"A": [s * rng.normal(size=(20, 1)), s * rng.normal(size=(1, 20))], "B": [b, other]}
    start = start_of(LATE, data, weights)
    assert start.u0["B"] == pytest.approx(np.linalg.norm(b.T - other) / 2)
    law = predict(LATE, data, u0=start.u0).leading
    flow = integrate(LATE, data, weights=weights)
    assert law.times["B"] == pytest.approx(flow.times["B"], rel=0.03)  # ends of transitions: order 1/ln(1/u0)


@pytest.mark.parametrize("sizes", [{"A": 1, "B": 10}, {"A": 1, "B": 3}])
def test_the_mean_start_of_unequal_blocks(sizes: dict[str, int]) -> None:
    """Early fusion of one input with many, one and two outputs: root mean square over 40 draws."""
    for outputs, net in ((1, EARLY), (2, EARLY), (2, LATE)):
        data = random_correlations(np.random.default_rng(0), sizes, outputs=outputs)
        mean = default_start(net, data, "lecun", width=50).u0
        draws = [start_of(net, data, default_weights(net, data, "lecun", width=50, seed=s)).u0 for s in range(40)]
        for m in sizes:
            squares = np.array([u[m] ** 2 for u in draws])
            assert math.sqrt(squares.mean()) == pytest.approx(mean[m], rel=1.5 * math.sqrt(2 / 50 / 40))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.ma.masked_array(np.ones((3, 1)), mask=[[True], [False], [False]]), "is a masked array"),
        (np.array([["1"], ["2"], ["3"]]), "must hold real numbers, got dtype <U1"),
        (np.ones((3, 1), dtype=complex), "must hold real numbers, got dtype complex128"),
        ([[1.0], [1.0, 2.0]], "is ragged"),
        (np.array([[np.inf], [1.0], [1.0]]), r"has inf at index \(0, 0\)"),
    ],
)
def test_weights_that_are_no_real_matrix_are_told(value, says: str) -> None:
    state = {"a": value, "ha": np.ones((1, 3)), "b": np.ones((3, 1)), "hb": np.ones((1, 3))}
    with pytest.raises(DomainError, match=says):
        weights_from_state(LATE, Correlations.scalar(2, 1, 0.5), state, {"A": ["a", "ha"], "B": ["b", "hb"]})
    with pytest.raises(DomainError, match=r"layers\['A'\] must be a list of names, got 'a'"):
        weights_from_state(LATE, Correlations.scalar(2, 1, 0.5), state, {"A": "a", "B": ["b", "hb"]})


def test_pytorchs_types_are_read() -> None:
    torch = pytest.importorskip("torch")
    ones = torch.ones(3, 1)
    for value in (ones, ones.half(), ones.bfloat16(), ones.clone().requires_grad_(), ones.to_sparse(), ones.int()):
        state = {"a": value, "ha": ones.T, "b": ones, "hb": ones.T}
        layers = {"A": ["a", "ha"], "B": ["b", "hb"]}
        weights = weights_from_state(LATE, Correlations.scalar(2, 1, 0.5), state, layers)
        np.testing.assert_array_equal(weights["A"][0], np.ones((3, 1)))


def test_the_readmes_network_is_watched_as_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The README's snippet as it stands; what it prints stands on the page of one's own network."""
    pytest.importorskip("torch")
    readme = (ROOT / "README.md").read_text()
    (snippet,) = (b for b in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "import torch" in b)
    exec(compile(snippet, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "the predicted order is right"
    assert all(line.rstrip() in documented() for line in lines)


def test_pytorchs_training_by_its_weights_is_predicted() -> None:
    """The page's snippet as it stands: a network trained for real beside its prediction, within 2 %."""
    pytest.importorskip("torch")
    (snippet,) = {b for b in re.findall(r"```python\n(.*?)```", documented(), re.DOTALL) if "recorded(" in b}
    found: dict = {}
    exec(compile(snippet, "README.md", "exec"), found)
    trained, predicted = found["trained"], found["predicted"].reduced
    shown = documented()
    for text in (found["start"], found["predicted"], trained):
        lines = [line for line in str(text).splitlines() if line.startswith(("demographics", "school", "reduced"))]
        assert all(line.rstrip() in shown for line in lines if "learned first" not in line)
    for m in trained.order:
        assert predicted.times[m] == pytest.approx(trained.times[m], rel=0.02)
        assert predicted.weight_times[m] == pytest.approx(trained.weight_times[m], rel=0.02)
