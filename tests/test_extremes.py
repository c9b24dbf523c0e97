"""The families Statistics and Network of what may go wrong: scales, degenerate statistics, starts, depths."""

import math

import numpy as np
import pytest

from derivations import Correlations, DataError, DomainError, FusionNetwork, SolveError
from dynamics import (
    compare,
    descend,
    integrate,
    integrate_reduced,
    load_example,
    predict,
    read_table,
)
from dynamics.prediction.scalings import both_scalings
from dynamics.runs.half_times import HalfTimes, Status
from tests.cases import random_correlations

LATE, EARLY = FusionNetwork.fused_at(2, 2), FusionNetwork.fused_at(3, 1)
SCALAR = Correlations.scalar(2, 1, 0.5)


# ---- Extreme scales.


def test_a_start_of_one_is_refused_by_the_law_and_simulated() -> None:
    with pytest.raises(DomainError, match="u0 is too large to predict from"):
        predict(LATE, SCALAR, u0=1.0)
    assert integrate(LATE, SCALAR, u0=1.0, width=20).status == dict.fromkeys("AB", "reached")


@pytest.mark.parametrize(("inputs", "target"), [(1e100, 1e100), (1e-100, 1e-100), (1e100, 1e-100), (1e-100, 1e100)])
def test_units_over_a_hundred_decades_change_nothing_but_units(inputs: float, target: float) -> None:
    """From samples: half-times scale as the units say, on all roads; nothing overflows on the way."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    y = x @ [1.0, 2.0, -1.0] + rng.normal(size=50)
    blocks = lambda c: {"A": c * x[:, :2], "B": c * x[:, 2:]}
    one = Correlations.from_samples(blocks(1.0), y)
    two = Correlations.from_samples(blocks(inputs), target * y)
    for depth in (2, 4):
        net = FusionNetwork.fused_at(depth, 2)
        grown = (target / inputs) ** (1 / depth)
        unit = grown ** (2 - depth) / (inputs * target)
        before, after = predict(net, one, u0=0.01).reduced, predict(net, two, u0=0.01 * grown).reduced
        assert {m: t / unit for m, t in after.times.items()} == pytest.approx(before.times, rel=1e-6)
        assert after.ratio == pytest.approx(before.ratio, rel=1e-7)
        if 0.3 * grown > 1e-95:
            runs = [integrate(net, d, u0=0.3 * g, width=4, seed=1) for d, g in ((one, 1.0), (two, grown))]
            times = [run.times for run in runs]
            assert {m: t / unit for m, t in times[1].items()} == pytest.approx(times[0], rel=1e-6)
            assert runs[1].monitors["balance"] < 1e-4


# ---- Degenerate statistics.


def test_ties_collinear_and_nearly_collinear_modalities_are_said() -> None:
    tie = predict(LATE, Correlations.scalar(1, 1, 0.3), u0=1e-3)
    assert tie.together
    assert tie.superficial is None
    assert any("their order is undefined" in w for w in tie.warnings)
    collinear = predict(LATE, Correlations([[4, 2], [2, 1]], [6, 3], {"A": 1, "B": 1}), u0=1e-3)
    assert collinear.times["B"] == math.inf
    assert collinear.status["B"] is Status.NEVER
    # B is half of A: its ln u grows half as fast, so W_B = u0^2 (W_A/u0^2)^(1/2), 1 in 2500 of what it would have alone
    end = {m: w[-1, 0] for m, w in collinear.reduced.run.total.items()}
    assert end["A"] + end["B"] / 2 == pytest.approx(1.5, rel=2e-3)
    assert end["B"] == pytest.approx(1e-6 * math.sqrt(end["A"] / 1e-6), rel=1e-3)
    near = Correlations.scalar(2, 1, 1 - 1e-8)
    found = predict(LATE, near, u0=1e-3)
    assert any("nearly collinear: condition number" in w for w in found.warnings)
    assert found.status["B"] is not Status.NEVER


@pytest.mark.parametrize("net", [LATE, FusionNetwork.fused_at(3, 3), FusionNetwork.fused_at(2, 1)])
def test_fewer_samples_than_inputs_are_answered(net: FusionNetwork) -> None:
    """P < D: the pseudo-inverse, a larger M_*; every road ends at zero loss and says that sigma is singular."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(6, 8)), rng.normal(size=6)
    data = Correlations.from_samples({"A": x[:, :5], "B": x[:, 5:]}, y)
    p = predict(net, data, u0=0.05)
    assert any("sigma is singular, rank 5 of 8 (6 samples, 8 inputs)" in w for w in p.warnings)
    for run in (integrate_reduced(net, data, u0=0.05), integrate(net, data, u0=0.05, width=10)):
        assert run.loss[-1] <= 2e-6 * run.loss[0]
        assert any("sigma is singular" in w for w in run.warnings)


def test_a_modality_with_no_signal_of_its_own() -> None:
    """Sigma_yx_B = 0: no aligned start, and that is said; random starts learn it second."""
    data = Correlations([[1, 0.5], [0.5, 1]], [1, 0], {"A": 1, "B": 1})
    with pytest.raises(DomainError, match="an aligned start is undefined: Sigma_yx of B is zero"):
        integrate_reduced(LATE, data)
    p = predict(LATE, data, u0=1e-3)
    assert p.source == "leading"
    assert any("no reduced flow: an aligned start is undefined" in w for w in p.remarks)
    assert integrate(LATE, data, u0=1e-3, width=20).status["B"] == "reached"


def test_no_signal_at_all_is_never() -> None:
    data = Correlations(np.eye(2), [0.0, 0.0], {"A": 1, "B": 1}, 1.0)
    with pytest.raises(DomainError, match="no estimate exists here"):
        predict(LATE, data)
    run = integrate(LATE, data, u0=1e-3, width=5)
    assert run.status == dict.fromkeys("AB", "never")


def test_early_fusion_has_no_law_is_said_and_simulated_on_all_roads() -> None:
    result = compare(EARLY, SCALAR, u0=0.1, width=10, seeds=2)
    assert result.prediction.leading is None
    assert any("early fusion has no t_A, t_B law" in w for w in result.prediction.remarks)
    assert result.reduced is not None
    assert len(result.flows) == len(result.descents) == 2
    assert "Early fusion: all are learned in one go, no modality is ever alone." in str(result)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: Correlations([[1, np.nan], [np.nan, 1]], [1, 1], {"A": 1, "B": 1}),
            r"sigma has nan at index \(0, 1\)",
        ),
        (lambda: Correlations([[1, 0.1], [0.2, 1]], [1, 1], {"A": 1, "B": 1}), "sigma is not symmetric: 0.1 at"),
        (lambda: Correlations([[1, 2], [2, 1]], [1, 1], {"A": 1, "B": 1}), "negative eigenvalue"),
        (lambda: Correlations([[1, 1], [1, 1]], [1, 0], {"A": 1, "B": 1}), "lies outside the range of sigma, by 0.7"),
        (lambda: Correlations(np.eye(3), [1, 1, 1], {"A": 1, "B": 1}), r"must have shape \(2, 2\)"),
        (lambda: Correlations.from_samples({"A": [1, 2, 3]}, [1, 1, 1]), "targets column 0 is constant"),
        (lambda: Correlations.from_samples({"A": [1.0]}, [1.0]), "at least two samples are needed, got 1"),
        (lambda: Correlations.from_samples({"A": np.eye(2, 3).T}, [1, 2]), "differ in their number of samples"),
        (lambda: Correlations.from_samples({"A": [1j, 2]}, [1, 2]), "must hold real numbers, got dtype complex128"),
        (lambda: Correlations.from_samples({"A": ["x", "y"]}, [1, 2]), "must hold real numbers, got dtype <U1"),
        (lambda: Correlations.from_samples({"A": [None, 2]}, [1, 2]), "gaps in 1 of 2 rows, the first in row 0"),
        (lambda: SCALAR.rescaled({"C": 2}), "modality must be one of A, B, got 'C'"),
    ],
)
def test_bad_statistics_are_one_line_with_field_and_value(make, says: str) -> None:
    with pytest.raises(DataError, match=says) as error:
        make()
    assert "\n" not in str(error.value)


def test_integers_do_not_wrap_around() -> None:
    x = np.array([[200, 3], [100, 250], [7, 90], [255, 0]], dtype=np.uint8)
    y = np.array([1, 2, 3, 5], dtype=np.int8)
    small = Correlations.from_samples({"A": x[:, :1], "B": x[:, 1:]}, y)
    large = Correlations.from_samples({"A": x[:, :1].astype(float), "B": x[:, 1:].astype(float)}, y.astype(float))
    np.testing.assert_array_equal(small.sigma, large.sigma)
    np.testing.assert_array_equal(small.sigma_yx, large.sigma_yx)


# ---- Real data and its singular variants.


def test_real_data_sets_are_answered_in_both_units() -> None:
    """Who is first, raw and z-scored; the raw units of diabetes spread over four decades, and that is said."""
    for name in ("diabetes", "star98", "linnerud"):
        raw = load_example(name, standardize=False)
        found = both_scalings(FusionNetwork.fused_at(2, 2, raw.modalities), raw, u0=1e-3).predictions
        same = predict(FusionNetwork.fused_at(2, 2, raw.modalities), load_example(name), u0=1e-3)
        assert found["z-scored"].times == pytest.approx(same.times, rel=1e-5)
        assert isinstance(found["as given"], type(same))
    assert any("in very different units" in w for w in load_example("diabetes", standardize=False).warnings)


def star98_variants() -> dict[str, tuple[dict[str, list[str]], str]]:
    demographics = ["LOWINC", "PERASIAN", "PERBLACK", "PERHISP"]
    school = ["PERMINTE", "AVYRSEXP", "AVSALK", "PERSPENK", "PTRATIO", "PCTAF", "PCTCHRT", "PCTYRRND"]
    products = ["PERMINTE_AVYRSEXP", "PERMINTE_AVSAL", "AVYRSEXP_AVSAL", "PERSPEN_PTRATIO", "PERSPEN_PCTAF"]
    products += ["PTRATIO_PCTAF", "PERMINTE_AVYRSEXP_AVSAL", "PERSPEN_PTRATIO_PCTAF"]
    return {
        "products of columns": ({"demographics": demographics, "school": school + products}, ""),
        "a sum across": (
            {"demographics": demographics, "school": [*school, "SUM"]},
            "sigma is singular, rank 12 of 13",
        ),
        "a copy inside": (
            {"demographics": [*demographics, "COPY"], "school": school},
            "",  # within a block it changes no output
        ),
        "nearly a sum": ({"demographics": demographics, "school": [*school, "NEAR"]}, "nearly collinear"),
    }


@pytest.mark.parametrize("standardize", [False, True], ids=["raw", "z-scored"])
@pytest.mark.parametrize("variant", star98_variants())
def test_star98s_singular_and_ill_conditioned_variants(variant: str, standardize: bool) -> None:
    """Answered with the warning; the larger |Sigma_yx| leaves zero first; the optimum is that of numpy's lstsq.

    Products of columns are in other units than the columns, which is said of them; z-scored there is nothing to say.
    """
    from statsmodels.datasets import star98

    frame = star98.load_pandas().data
    blocks, says = star98_variants()[variant]
    total = frame[["LOWINC", "PERASIAN", "PERBLACK", "PERHISP"]].sum(axis=1)
    noise = np.random.default_rng(0).normal(size=len(frame))
    share = frame["NABOVE"] / (frame["NABOVE"] + frame["NBELOW"])
    frame = frame.assign(share=share, SUM=total, COPY=frame["LOWINC"], NEAR=total + 1e-4 * noise)
    data = read_table(frame, "share", blocks, standardize)
    net = FusionNetwork.fused_at(2, 2, data.modalities)
    p = predict(net, data, u0=1e-3)
    said = [says] * bool(says) or ["in very different units"] * (not standardize)
    assert all(any(text in w for w in p.warnings) for text in said)
    assert said or not any("collinear" in w or "singular" in w or "units" in w for w in p.warnings)
    assert p.race[0] == max(data.modalities, key=data.strength)
    x = np.hstack(list(data.samples.inputs.values()))
    fitted = x @ np.linalg.lstsq(x, data.samples.targets[:, 0], rcond=1e-13)[0]
    known = 10 * np.finfo(float).eps * data.condition  # moments square the condition number, lstsq does not
    np.testing.assert_allclose(x @ data.optimum, fitted, atol=max(1e-6, known) * np.max(np.abs(fitted)))
    reached = [m for m in data.modalities if p.status[m] is Status.REACHED]
    assert reached
    for m in set(data.modalities) - set(reached):
        assert any(m in w for w in p.warnings)  # never in silence


def test_the_bound_of_the_reduced_flow_grows_with_the_condition_number() -> None:
    """Weak directions are known to eps times the condition number: halving the tolerance must not leave the bound."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(200, 3))
    x = np.column_stack([x, x.sum(axis=1) + 1e-5 * rng.normal(size=200)])
    data = Correlations.from_samples({"A": x[:, :2], "B": x[:, 2:]}, x @ [1, 2, -1, 0.3] + 0.1 * rng.normal(size=200))
    p = predict(LATE, data, u0=1e-2)
    reached = [m for m in "AB" if p.status[m] is Status.REACHED]
    assert reached
    tight = integrate_reduced(LATE, data, u0=1e-2, rtol=1e-9)
    for m in reached:
        assert p.reduced.bound[m] > 1e-5
        assert tight.times[m] == pytest.approx(p.times[m], rel=10 * p.reduced.bound[m])


# ---- Networks and starts.


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: FusionNetwork.fused_at(2, 3), "fusion_depth must not exceed depth 2, got 3"),
        (lambda: FusionNetwork.fused_at(2, 0), "fusion_depth must be at least 1, got 0"),
        (lambda: FusionNetwork.fused_at(2.0, 2), "depth must be an integer, got 2.0"),
        (lambda: FusionNetwork.fused_at(True, 1), "depth must be an integer, got True"),
        (lambda: predict(LATE, SCALAR, u0=-1e-3), "u0 must be a finite number >= 0, got -0.001"),
        (lambda: predict(LATE, SCALAR, u0=math.nan), "u0 must be a finite number >= 0, got nan"),
        (lambda: predict(LATE, SCALAR, u0={"A": 1e-3}), "u0 must name every modality or be one number, got none of B"),
        (lambda: integrate(LATE, SCALAR, width=0), "width must be an integer >= 1, got 0"),
        (lambda: integrate(LATE, SCALAR, weights={"A": [[[1.0]]], "B": [[[1.0]]]}), "must have 2 layers, got 1"),
        (lambda: integrate(LATE, SCALAR, seed=-1), "seed must be an integer >= 0, got -1"),
        (lambda: descend(LATE, SCALAR, learning_rate=0), "learning_rate must be positive, got 0"),
        (lambda: integrate(FusionNetwork.fused_at(2, 2, ("B", "A")), SCALAR), "modalities of network and data differ"),
    ],
)
def test_bad_networks_and_starts_are_one_line(make, says: str) -> None:
    with pytest.raises(DomainError, match=says) as error:
        make()
    assert "\n" not in str(error.value)


def test_unknown_keywords_are_refused() -> None:
    for call in (predict, integrate, integrate_reduced, descend, compare):
        with pytest.raises(TypeError, match="unexpected keyword"):
            call(LATE, SCALAR, uo=1e-3)


def test_a_start_that_never_escapes_says_so_with_evidence() -> None:
    run = integrate(LATE, SCALAR, u0=0.0, width=5)
    assert run.status == dict.fromkeys("AB", "never")
    assert any("exactly stationary" in w for w in run.warnings)


def test_a_horizon_that_ends_too_early_says_how_to_extend() -> None:
    run = integrate_reduced(LATE, SCALAR, u0=1e-3, t_end=3.0)
    assert run.status == {"A": "reached", "B": "not reached"}
    assert any("extend with a later t_end" in w for w in run.warnings)


@pytest.mark.parametrize("late", "AB")
def test_what_is_not_reached_has_no_lag_and_no_ratio(late: str) -> None:
    status = dict.fromkeys("AB", Status.REACHED) | {late: Status.NOT_REACHED}
    clock = {"A": 2.0, "B": 5.0} | {late: math.inf}
    found = HalfTimes.from_clock(("A", "B"), clock, status, [(m, t) for m, t in clock.items() if t < math.inf])
    assert all(math.isnan(v) for v in (found.lag, found.log_excess, found.ratio))
    assert found.to_dict()["times"][late] == "not reached"
    for times in ((2.0, 5.0), (5.0, 2.0)):  # the second to leave zero may overtake the first
        clock = dict(zip("AB", times, strict=True))
        met = sorted("AB", key=lambda m: clock[m])
        events = [(met[0], 2.0), (met[1], 3.0)]
        reached = HalfTimes.from_clock(("A", "B"), clock, dict.fromkeys("AB", Status.REACHED), events)
        assert (reached.order, reached.race) == (tuple(met), ("A", "B"))
        assert (reached.lag, reached.ratio) == (3.0, pytest.approx(2.5))
    begun = HalfTimes.from_clock(("A", "B"), {"A": 0.0, "B": 3.0}, dict.fromkeys("AB", Status.REACHED), [("B", 3.0)])
    assert (begun.times["A"], begun.lag, begun.ratio) == (0.0, 3.0, math.inf)


def test_two_half_times_in_one_step_are_both_found() -> None:
    """Strengths that differ by 1e-7: both modalities cross within one step of the integrator."""
    data = Correlations(np.diag([1.0, 1.0]), [1.0, 1.0 - 1e-7], {"A": 1, "B": 1})
    run = integrate_reduced(LATE, data, u0=1e-3)
    assert run.status == dict.fromkeys("AB", "reached")
    assert 0 < run.lag < 1e-5
    exact = [math.log(s / 1e-6 - 1) / (2 * s) for s in (1.0, 1.0 - 1e-7)]  # (21) at W(0) = 1e-6
    assert run.lag == pytest.approx(exact[1] - exact[0], rel=1e-2)


def test_divergence_is_a_solve_error() -> None:
    with pytest.raises(SolveError, match="diverged at step"):
        descend(LATE, random_correlations(np.random.default_rng(0), {"A": 2, "B": 1}), u0=0.5, learning_rate=50.0)
