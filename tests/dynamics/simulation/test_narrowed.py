"""Many inputs along few directions: half-times within the stated error, weights of all inputs, refusals said."""

import numpy as np
import pytest

from derivations import Correlations, FusionNetwork
from dynamics import descend, ensemble, integrate, integrate_reduced, predict
from dynamics.problem import Problem
from dynamics.simulation import narrowed
from dynamics.simulation.reduced_system import _Reduced
from dynamics.simulation.widening import times_apart
from dynamics.starts.aligned import aligned_rows
from dynamics.starts.start import aligned_start

NET = FusionNetwork.fused_at(2, 2)


def table(size: int, rows: int, seed: int, decay: float = 0.0) -> Correlations:
    """Two blocks of `size` inputs that share five topics; `decay` of what each column has for itself."""
    rng = np.random.default_rng(seed)
    topics, own = rng.normal(size=(rows, 5)), np.arange(1, size + 1) ** -decay
    x = {m: topics @ rng.normal(size=(5, size)) * 0.3 + rng.normal(size=(rows, size)) * own for m in "AB"}
    y = x["A"] @ rng.normal(size=size) + 0.6 * x["B"] @ rng.normal(size=size) + rng.normal(size=rows)
    return Correlations.from_samples(x, y, standardize=True)


def whole(data: Correlations) -> Correlations:
    """The same data, held from being narrowed."""
    return data.projected({m: np.eye(d) for m, d in data.sizes.items()})


@pytest.mark.parametrize(("net", "u0"), [(NET, 1e-3), (FusionNetwork.fused_at(4, 3), 0.05)])
def test_few_directions_keep_half_times_within_the_stated_error(net: FusionNetwork, u0: float) -> None:
    data = table(60, 800, 1)
    found = narrowed.narrowed(Problem.of(net, data), u0)
    assert found is not None
    assert found.rough is not None
    judge = integrate_reduced(net, whole(data), u0=u0, rtol=1e-9)
    for one in (found, found.rough):
        assert len(one.data.sigma) < 100
        assert times_apart(integrate_reduced(net, one.data, u0=u0, rtol=1e-8), judge) <= one.error
    p = predict(net, data, u0=u0)
    assert any("directions" in remark for remark in p.remarks)
    assert all(abs(p.times[m] / judge.times[m] - 1) <= p.estimate.bound[m] for m in "AB")
    run = integrate_reduced(net, data, u0=u0)
    assert run.total["A"].shape[1] == 60
    gap = np.abs(run.total["A"][-1] - data.optimum[:60])
    assert np.max(gap) < 0.02 * np.max(np.abs(data.optimum))


def test_a_random_start_is_the_same_one_seen_along_few_directions() -> None:
    data = table(60, 800, 2)
    judges = [integrate(NET, data, u0=0.01, width=12, seed=seed, exact=True) for seed in (0, 1)]
    stated = (
        narrowed.narrowed(Problem.of(NET, data), 0.01).error + 1e-3
    )  # u0/sqrt(width) across the directions, and integration
    runs = [integrate(NET, data, u0=0.01, width=12, seed=seed) for seed in (0, 1)]
    assert all(run.monitors["inputs"] > 0 for run in runs)
    assert max(times_apart(run, judge) for run, judge in zip(runs, judges, strict=True)) <= stated
    steps = descend(NET, data, u0=0.01, width=12, seed=0, learning_rate=0.01)
    assert times_apart(steps, judges[0]) < 0.02
    several = ensemble(NET, data, u0=0.01, width=12, seeds=2)
    rough = several.compression + 1e-3
    assert abs(several.times["A"][1] / judges[1].times["A"] - 1) <= rough
    given = {"A": [np.full((3, 60), 1e-3), np.ones((1, 3))], "B": [np.full((3, 60), -1e-3), np.ones((1, 3))]}
    assert integrate(NET, data, weights=given).total["B"].shape[1] == 60


def test_fewer_rows_than_columns_are_run_in_the_row_space() -> None:
    data = table(150, 40, 3)
    found = narrowed.narrowed(Problem.of(NET, data), 1e-3)
    assert found.error == 0
    assert dict(found.data.sizes) == {"A": 39, "B": 39}
    u, s, _ = np.linalg.svd(data.samples.inputs["A"], full_matrices=False)
    scores = {"A": (u * s)[:, :39], "B": data.samples.inputs["B"] @ found.data.axes["B"]}
    judge = integrate_reduced(NET, Correlations.from_samples(scores, data.samples.targets), u0=1e-3)
    assert times_apart(integrate_reduced(NET, data, u0=1e-3), judge) < 2e-3  # where training comes to, to sqrt(EXCESS)


def test_where_few_directions_do_not_do_all_are_run_and_it_is_said() -> None:
    data = table(52, 1000, 4, decay=1.5)
    assert narrowed.narrowed(Problem.of(NET, data), 1e-3) is None
    assert any(remark.startswith("all 104 inputs are run") for remark in predict(NET, data).remarks)


def test_the_reduced_flows_own_slope_is_its_derivative() -> None:
    data, net = table(4, 50, 5), FusionNetwork.fused_at(4, 3)
    system = _Reduced(aligned_start(Problem.of(net, data), 0.3), aligned_rows(data), 1e-9)
    rng = np.random.default_rng(0)
    state = system.system().start + 0.2 * rng.normal(size=8)
    found, rates = system.slope(state)
    for i, h in enumerate(1e-6 * np.eye(8)):
        ends = [system.velocity(state + sign * h) for sign in (1, -1)]
        np.testing.assert_allclose(found[:, i], (ends[0][0] - ends[1][0]) / 2e-6, rtol=1e-6, atol=1e-8)
        for m in "AB":
            assert rates[m][i] == pytest.approx((ends[0][1][m] - ends[1][1][m]) / 2e-6, rel=1e-6, abs=1e-8)


def test_outputs_that_depend_on_one_another_are_turned_to_fewer() -> None:
    rng = np.random.default_rng(6)
    x, labels = {m: rng.normal(size=(90, 2)) for m in "AB"}, rng.integers(3, size=90)
    x["A"][:, 0] += labels
    onehot = np.eye(3)[labels]
    data = Correlations.from_samples(x, onehot)
    assert data.outputs == 2
    centred = {m: v - v.mean(axis=0) for m, v in x.items()}
    cross = (onehot - onehot.mean(axis=0)).T @ np.hstack([centred["A"], centred["B"]]) / 90
    np.testing.assert_allclose(data.sigma_yx.T @ data.sigma_yx, cross.T @ cross, atol=1e-12)
    assert predict(NET, data).status["A"] == "reached"
