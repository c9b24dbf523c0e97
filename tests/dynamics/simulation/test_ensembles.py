"""Ensembles: members are single runs, numbers are those of training from random starts."""

import math

import numpy as np
import pytest

from dynamics import Correlations, DomainError, FusionNetwork, SolveError, descend, ensemble, integrate
from dynamics.runs.half_times import Status
from dynamics.simulation import jobs
from tests.cases import SOAK

DATA = Correlations.scalar(2, 1, 0.5)
RATIOS = {2: (1.044, 5e-4), 3: (1.48, 5e-3), 4: (3.96, 5e-3)}  # of 200 full-width trainings, half a last digit


@pytest.mark.parametrize(("depth", "fused", "u0"), [(2, 2, 1e-3), (2, 1, 1e-3), (3, 2, 0.1), (4, 4, 0.1)])
def test_members_are_single_runs(depth: int, fused: int, u0: float) -> None:
    """Against `integrate`, whose integrator is SciPy's: within the errors that both state."""
    net = FusionNetwork.fused_at(depth, fused)
    runs = ensemble(net, DATA, u0=u0, width=50, seeds=[4, 1], rtol=1e-6)
    assert runs.seeds == (4, 1)
    for k, seed in enumerate(runs.seeds):
        one = integrate(net, DATA, u0=u0, width=50, seed=seed, rtol=1e-9)
        error = runs.compression + one.monitors["compression"] + 1e-5
        for m in "AB":
            assert runs.times[m][k] == pytest.approx(one.times[m], rel=error)
        assert runs.lag[k] == pytest.approx(one.lag, rel=error * one.times["B"] / one.lag)
        assert runs.ratio[k] == pytest.approx(one.ratio, rel=2 * error)
        assert runs.race == one.race
        assert one.order == tuple(sorted("AB", key=lambda m: one.times[m]))


def test_how_narrow_is_found_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the pilots' runs miss of the full network's signals, and by runs at two widths."""
    net = FusionNetwork.fused_at(4, 4)
    one = ensemble(net, DATA, u0=0.1, width=100, seeds=4)
    monkeypatch.setattr(jobs, "FEW", 0)
    other = ensemble(net, DATA, u0=0.1, width=100, seeds=4)
    assert 0 < one.compression != other.compression > 0
    for m in "AB":
        np.testing.assert_allclose(one.times[m], other.times[m], rtol=one.compression + other.compression)


@pytest.mark.parametrize("fused", [2, 3, 4])
def test_ratios_of_random_starts_at_four_layers(fused: int) -> None:
    """sigma = (2, 1), rho = 0, u0 = 0.1, width 100: mean of 200 seeds (30 here) within three standard errors."""
    seeds = 200 if SOAK else 30
    runs = ensemble(FusionNetwork.fused_at(4, fused), Correlations.scalar(2, 1, 0), u0=0.1, width=100, seeds=seeds)
    expected, digit = RATIOS[fused]
    mean, error = runs.mean_ratio
    assert abs(mean - expected) < 3 * error + digit
    assert runs.compression < 1e-4


def test_descent_is_descent() -> None:
    """Each member takes the steps of `descend` from the same weights; and lies off the flow by its step."""
    net, rate = FusionNetwork.fused_at(2, 2), 0.04
    runs = ensemble(net, DATA, u0=1e-2, width=20, seeds=3, learning_rate=rate)
    flow = ensemble(net, DATA, u0=1e-2, width=20, seeds=3)
    for k in range(3):
        one = descend(net, DATA, u0=1e-2, width=20, seed=k, learning_rate=rate)
        for m in "AB":
            assert runs.times[m][k] == pytest.approx(one.times[m], rel=1e-9)
    assert np.all(runs.ratio < flow.ratio)
    assert runs.provenance["producer"] == "gradient descent"


def test_too_large_a_learning_rate_is_warned_of() -> None:
    runs = ensemble(FusionNetwork.fused_at(2, 2), DATA, u0=1e-2, width=20, seeds=2, learning_rate=0.19)
    assert any("is beyond 0.186, up to which descent is stable" in w for w in runs.warnings)


def test_a_sign_flip_is_followed_from_random_starts() -> None:
    """theory: 8.03 +- 0.05 a run at u0 = 1e-3, width 100, where the printed law has 3.89."""
    runs = ensemble(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.9), u0=1e-3, width=100, seeds=20)
    one = integrate(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.9), u0=1e-3, width=100, seed=3)
    assert runs.ratio[3] == pytest.approx(one.ratio, rel=1e-3)


def test_what_is_not_reached_is_said() -> None:
    net = FusionNetwork.fused_at(3, 3)
    runs = ensemble(net, DATA, u0=0.1, width=10, seeds=4, t_end=1.0)
    assert np.all(np.isinf(runs.times["B"]))
    assert set(runs.status["B"]) == {Status.NOT_REACHED}
    assert np.all(np.isnan(runs.ratio))
    assert any("4 of 4 members: B not reached by t = 1: extend with a later t_end" in w for w in runs.warnings)
    assert math.isnan(runs.mean_ratio[0])
    assert runs.quantile(0.5).times["B"] == math.inf


def test_a_start_at_zero_never_moves() -> None:
    runs = ensemble(FusionNetwork.fused_at(2, 2), DATA, u0=0.0, width=5, seeds=2)
    assert {str(s) for s in runs.status["A"]} == {"never"}
    assert np.all(np.isinf(runs.times["A"]))


def test_verify_reports_a_second_tolerance() -> None:
    net = FusionNetwork.fused_at(2, 2)
    runs = ensemble(net, DATA, u0=1e-3, width=20, seeds=3, verify=True)
    assert np.all((runs.monitors["rerun"] > 0) & (runs.monitors["rerun"] < 1e-4))
    one = integrate(net, DATA, u0=1e-3, width=20, verify=True)
    assert 0 < one.monitors["rerun"] < 1e-4
    assert not any("relied on" in w for w in (*runs.warnings, *one.warnings))


def test_quantiles_table_and_dataset() -> None:
    runs = ensemble(FusionNetwork.fused_at(2, 2), DATA, u0=1e-3, width=20, seeds=11)
    assert runs.quantile(0.5).times["A"] == pytest.approx(np.median(runs.times["A"]), rel=1e-12)
    assert runs.quantile(0.05).ratio == pytest.approx(np.quantile(runs.ratio, 0.05), rel=1e-12)
    assert "mean ratio" in str(runs)
    assert "<table" in runs._repr_html_()
    data = runs.to_xarray()
    assert data["half_time"].dims == ("modality", "seed")
    np.testing.assert_array_equal(data["half_time"].sel(modality="B"), runs.times["B"])
    assert data["half_time"].attrs["units"] == "tau"
    assert data.attrs["start"] == "random"
    big = ensemble(FusionNetwork.fused_at(2, 2), DATA, u0=1e-3, width=5, seeds=[2**40])
    assert big.to_xarray()["seed"].item() == str(2**40)
    assert [ax.get_xlabel() for ax in runs.plot()] == [r"half-time [$\tau$]", "ratio of the half-times, B to A"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"seeds": 0}, "seeds must be an integer >= 1, got 0"),
        ({"seeds": []}, "at least one seed"),
        ({"seeds": [1, 2, 1]}, "seeds must differ, got 1 twice"),
        ({"seeds": "5"}, "seeds must be an integer"),
        ({"seeds": [-1]}, "a seed must be an integer >= 0"),
        ({"width": 0}, "width must be an integer >= 1, got 0"),
        ({"width": 10**16}, "width must be an integer <= 1"),
        ({"u0": 1e90}, "weights or units leave the range of floats"),
        ({"seeds": np.array(3)}, "seeds must be an integer"),
        ({"u0": -1.0}, "u0 must be a finite number"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"rtol": 1.0}, "rtol must lie between"),
        ({"t_end": math.nan}, "t_end must be a finite number"),
        ({"max_steps": 0}, "max_steps must be an integer"),
    ],
)
def test_bad_input_is_named(bad: dict, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        ensemble(FusionNetwork.fused_at(2, 2), DATA, **bad)


@pytest.mark.parametrize("q", [-0.1, 1.5, math.nan, "0.5", True])
def test_bad_quantiles_are_named(q: object) -> None:
    runs = ensemble(FusionNetwork.fused_at(2, 2), DATA, width=5, seeds=2)
    with pytest.raises(DomainError, match="q must lie between 0 and 1"):
        runs.quantile(q)


def test_a_descent_that_diverges_after_its_half_levels_says_so() -> None:
    """Two steps at rate 5 pass every half-level; `descend` and the ensemble both go on and see the blow-up."""
    net = FusionNetwork.fused_at(2, 2)
    for call in (
        lambda: descend(net, DATA, width=20, learning_rate=5.0),
        lambda: ensemble(net, DATA, width=20, seeds=2, learning_rate=5.0),
    ):
        with pytest.raises(SolveError, match=r"diverged at step .* is too large"):
            call()


def test_a_figure_of_what_is_not_reached() -> None:
    runs = ensemble(FusionNetwork.fused_at(3, 3), DATA, u0=0.1, width=10, seeds=3, t_end=1.0)
    labels = [text.get_text() for text in runs.plot()[0].get_legend().get_texts()]
    assert "B: not reached" in labels


@pytest.mark.parametrize("u0", [3.0, 30.0])
def test_starts_far_larger_than_what_is_learned(u0: float) -> None:
    """W^tot is then a small difference of large products: tolerances follow, against `integrate` at rtol 1e-12."""
    net = FusionNetwork.fused_at(2, 2)
    runs = ensemble(net, DATA, u0=u0, width=50, seeds=4)
    for k in range(4):
        one = integrate(net, DATA, u0=u0, width=50, seed=k, rtol=1e-12)
        loose = integrate(net, DATA, u0=u0, width=50, seed=k)
        for m in "AB":
            assert runs.times[m][k] == pytest.approx(one.times[m], rel=1e-4)
            assert loose.times[m] == pytest.approx(one.times[m], rel=1e-5)


def test_warnings_are_those_of_single_runs() -> None:
    """A start at zero, a singular sigma, a start past half: each with the number of members."""
    net = FusionNetwork.fused_at(2, 2)
    assert (
        "2 of 2 members: the start is exactly stationary" in ensemble(net, DATA, u0=0.0, width=5, seeds=2).warnings[-1]
    )
    past = ensemble(net, DATA, u0=3.0, width=50, seeds=4)
    assert any("starts past half of what it contributes" in w for w in past.warnings)
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    data = Correlations.from_samples({"A": x, "B": z}, x @ [1.0, 0.5, 0.2] + 0.3 * z[:, 0])
    singular = ensemble(net, data, width=20, seeds=3)
    single = [integrate(net, data, width=20, seed=k) for k in range(3)]
    for k, run in enumerate(single):
        assert {m: singular.status[m][k] for m in "AB"} == run.status
        for m in "AB":
            assert singular.times[m][k] == pytest.approx(run.times[m], rel=1e-3)
    assert any("sigma is singular, rank 3 of 6" in w for w in singular.warnings)
    assert not any("extend with" in w or "ends below half" in w for w in singular.warnings)


def test_the_order_is_by_the_medians_and_has_a_share_of_the_members() -> None:
    """Uncorrelated scalars are two networks of their own: each member's half-times by `integrate`, one by one."""
    net, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(1.1, 1, 0.0)
    close = ensemble(net, data, u0=0.3, width=5, seeds=20)
    single = [integrate(net, data, u0=0.3, width=5, seed=k) for k in range(20)]
    share = float(np.mean([run.times["A"] < run.times["B"] for run in single]))
    assert 0.5 < share < 1
    assert close.order_probability == pytest.approx({"A": share, "B": 1 - share})
    assert close.order == close.race == ("A", "B")
    assert int(np.sum(close.lag < 0)) == sum(run.order == ("B", "A") for run in single)
    assert f"first to be learned: A in {100 * share:.3g} %" in str(close)


def test_one_modality_has_the_ratio_one() -> None:
    runs = ensemble(FusionNetwork.branches({"A": 2}), Correlations([[1.0]], [1.0], {"A": 1}), width=5, seeds=2)
    assert runs.ratio.tolist() == [1.0, 1.0]


def test_errors_name_the_seed() -> None:
    with pytest.raises(SolveError, match="seed 7: learning_rate"):
        ensemble(FusionNetwork.fused_at(2, 2), DATA, width=20, seeds=[7, 2], learning_rate=5.0)


def test_a_narrow_network_that_would_be_too_large_says_how_well_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from dynamics.simulation import jobs as jobs_module
    from dynamics.simulation import widening

    monkeypatch.setattr(widening, "LARGEST_NARROW", 400)
    monkeypatch.setattr(jobs_module, "LARGEST_NARROW", 400)
    net = FusionNetwork.fused_at(6, 3)
    runs = ensemble(net, DATA, u0=0.5, width=60, seeds=2)
    one = integrate(net, DATA, u0=0.5, width=60)
    exact = integrate(net, DATA, u0=0.5, width=60, exact=True, rtol=1e-7)
    for error, times, warnings in (
        (runs.compression, {m: t[0] for m, t in runs.times.items()}, runs.warnings),
        (one.monitors["compression"], one.times, one.warnings),
    ):
        assert any("to know them better it would need" in w for w in warnings)
        assert max(abs(times[m] / exact.times[m] - 1) for m in "AB") < error + 1e-4
