"""When to stop: curves of an own integration on rows, closed forms of what is said, figure 5's claim, refusals."""

import json
import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from dynamics import (
    Correlations,
    DataError,
    DomainError,
    FusionNetwork,
    Recipe,
    aligned_weights,
    integrate,
    load_example,
    predict,
)
from dynamics.data.held_out import held_out
from dynamics.figures.stopping import draw_splits
from dynamics.interface.cli import main
from dynamics.prediction.stopping import Stopping, Stoppings
from dynamics.prediction.stopping_runs import stopping_over

LATE, EARLY = FusionNetwork.fused_at(2, 2), FusionNetwork.fused_at(2, 1)


def table(rows: int, seed: int = 0, outputs: int = 1, noise: float = 0.5) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Raw rows, off centre; A and B have two and three columns that are correlated."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5)) @ (np.eye(5) + 0.2 * rng.normal(size=(5, 5))) + 2
    y = x @ rng.normal(size=(5, outputs)) * 0.5 + noise * rng.normal(size=(rows, outputs)) - 3
    return {"A": 1.5 * x[:, :2], "B": x[:, 2:]}, y


def by_hand(inputs, y, held) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Rows left and rows held out, both less the means of those left."""
    left = np.setdiff1d(np.arange(len(y)), held)
    means = {m: x[left].mean(axis=0) for m, x in inputs.items()}
    near = {m: x[left] - means[m] for m, x in inputs.items()}
    return (
        near,
        y[left] - y[left].mean(0),
        {m: x[held] - means[m] for m, x in inputs.items()},
        y[held] - y[left].mean(0),
    )


def test_both_curves_are_those_of_every_weight_integrated_on_the_rows_left() -> None:
    """SciPy on the rows, error and gradients written out; it shares the start alone."""
    inputs, y = table(40)
    held = [3, 7, 8, 20, 31, 39]
    found = predict(LATE, Correlations.from_samples(inputs, y), u0=0.05, holdout=held)
    near, target, far, asked = by_hand(inputs, y, held)
    start = aligned_weights(LATE, Correlations.from_samples(near, target), 0.05)
    shapes = [w.shape for m in "AB" for w in start[m]]
    cuts = np.cumsum([math.prod(shape) for shape in shapes])[:-1]

    def layers(state: np.ndarray) -> list[np.ndarray]:
        return [part.reshape(shape) for part, shape in zip(np.split(state, cuts), shapes, strict=True)]

    def out(state: np.ndarray, x: dict[str, np.ndarray]) -> np.ndarray:
        a1, a2, b1, b2 = layers(state)
        return x["A"] @ a1.T @ a2.T + x["B"] @ b1.T @ b2.T

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        a1, a2, b1, b2 = layers(state)
        error = (target - out(state, near)) / len(target)
        a, b = error.T @ near["A"], error.T @ near["B"]
        return np.concatenate([g.ravel() for g in (a2.T @ a, a @ a1.T, b2.T @ b, b @ b1.T)])

    stop = found.stopping
    times = stop.t[:: len(stop.t) // 25]
    begin = np.concatenate([w.ravel() for m in "AB" for w in start[m]])
    run = solve_ivp(velocity, (0, times[-1]), begin, "DOP853", times, rtol=1e-10, atol=1e-12).y.T
    test = [np.mean((asked - out(state, far)) ** 2) / 2 for state in run]
    train = [np.mean((target - out(state, near)) ** 2) / 2 for state in run]
    some = stop.test[:: len(stop.t) // 25], stop.train[:: len(stop.t) // 25]
    np.testing.assert_allclose(some, [test, train], rtol=1e-6)  # the reduced flow is run to 1e-8
    assert stop.mean == pytest.approx(np.mean(asked**2) / 2, rel=1e-12)
    a1, a2, b1, b2 = layers(run[-1])
    end = {"A": near["A"] @ (a2 @ a1).T, "B": near["B"] @ (b2 @ b1).T}
    a1, a2, b1, b2 = layers(run[12])
    mid = {"A": near["A"] @ (a2 @ a1).T, "B": near["B"] @ (b2 @ b1).T}
    for m, share in stop.shares.items():  # the last of `times` is next to the end
        along = np.sum(mid[m] * end[m]) / np.sum(end[m] ** 2)
        assert share[:: len(stop.t) // 25][12] == pytest.approx(along, rel=1e-2)


def test_a_share_is_a_list_of_rows_and_the_prediction_is_that_of_the_others() -> None:
    inputs, y = table(30, outputs=2)
    data = Correlations.from_samples(inputs, y)
    rows = np.random.default_rng(3).permutation(30)[:6]
    split, same = held_out(data, 0.2, 3), held_out(data, rows)
    near, target, far, asked = by_hand(inputs, y, np.sort(rows))
    packed = np.random.default_rng(0).normal(size=(4, 2, 5))
    wrong = [np.hstack(list(far.values())) @ w.T - asked for w in packed]
    for one in (split, same):
        np.testing.assert_allclose(one.errors(packed), [np.sum(e**2) / 12 for e in wrong], rtol=1e-10)
        np.testing.assert_allclose(one.left.sigma, np.cov(np.hstack(list(near.values())).T, bias=True), rtol=1e-10)
    data = Correlations.from_samples(inputs, y[:, 0])
    found = predict(LATE, data, holdout=rows.tolist())
    direct = predict(LATE, Correlations.from_samples(near, target[:, 0]))
    assert found.times == pytest.approx(direct.times, rel=1e-9)
    assert direct.stopping is None
    assert direct.to_dict()["stopping"] is None


def five(seed: int, rows: int) -> tuple[Correlations, np.ndarray]:
    """Few rows of many inputs, as in figure 5: B is stronger, the target is noisy."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows + 400, 40)) * np.repeat([1.0, math.sqrt(3)], 20)
    y = 0.16 * x.sum(axis=1) + 0.5 * rng.normal(size=rows + 400)
    return Correlations.from_samples({"A": x[:, :20], "B": x[:, 20:]}, y), np.arange(rows, rows + 400)


def test_figure_5_few_rows_leave_the_second_modality_out_for_good_in_late_fusion_alone() -> None:
    data, held = five(0, 28)
    late = predict(LATE, data, u0=1e-9, holdout=held).stopping
    early = predict(EARLY, data, u0=1e-9, holdout=held).stopping
    assert late.cut_off == ("A",)
    assert late.left["A"] < 0.2 < late.left["B"]
    assert late.error_best < late.error_end
    assert "cut off by early stopping: A" in " ".join(late.sentences())
    assert early.cut_off == ()
    assert early.error_best < late.error_best  # it has learned from both
    data, held = five(0, 400)
    many = predict(LATE, data, u0=1e-9, holdout=held).stopping
    assert many.cut_off == ()
    assert many.times["B"] < many.times["A"] < many.t_best


def parabola(place: float, height: float = 1.0) -> Stopping:
    """Test error height + (ln t - place)^2, its best time e^place; A is learned at 1, B at 20."""
    t = np.geomspace(0.05, 200, 4001)
    grown = {"A": np.minimum(t, 1.0), "B": np.minimum(t / 40, 1.0)}
    return Stopping(t, height + (np.log(t) - place) ** 2, 1 / t, grown, {"A": 1.0, "B": 20.0}, 30.0, 80, 20)


def test_several_splits_stop_where_the_mean_of_their_errors_is_lowest() -> None:
    """Of parabolas in ln t that is the mean of their places."""
    found = Stoppings(tuple(parabola(place) for place in (1.0, 2.0, 2.4)), 0.2)
    middle = math.exp(1.8)
    assert found.t_best == pytest.approx(middle, rel=0.02)  # the grid
    assert found.scatter == pytest.approx((math.e, math.exp(2.4)), rel=0.005)
    np.testing.assert_allclose(found.costs, [(1.8 - p) ** 2 for p in (1.0, 2.0, 2.4)], atol=0.03)
    assert found.left == pytest.approx({"A": 1.0, "B": middle / 40}, rel=0.02)
    assert found.loss_best == pytest.approx(1 / middle, rel=0.02)
    assert found.cut_off == ("B",)
    answer = found.sentences(0.01)
    assert answer[0].startswith(f"at {found.t_best:.3g} tau ({100 * found.t_best:.0f} steps at rate 0.01)")
    assert "best times of single splits: 2.72 to 11 tau" in answer[-1]
    figure = draw_splits(found)
    mean = next(line for line in figure.axes[0].lines if str(line.get_label()).startswith("test, mean"))
    np.testing.assert_array_equal(mean.get_ydata(), found.mean)


def test_what_is_said_of_one_split() -> None:
    low = parabola(1.0)
    assert low.t_best == pytest.approx(math.e, rel=1e-3)
    assert low.left == pytest.approx({"A": 1.0, "B": math.e / 40}, rel=1e-3)
    assert "B (7 % of its output is there, half at 20 tau)" in low.sentences()[1]
    assert low.sentences(0.1)[0].startswith(
        "at 2.72 tau (27.2 steps at rate 0.1), at training loss 0.368: test error 1"
    )
    assert parabola(4.0).cut_off == ()
    assert "early stopping changes nothing" in parabola(9.0).sentences()[0]  # still falling at the end
    assert "no time of this run beats predicting the mean" in parabola(1.0, 30.0).sentences()[0]
    axes = low.plot()
    assert any(line.get_xdata()[0] == low.t_best for line in axes[0].lines if line.get_linestyle() == "--")


def test_which_run_stands_behind_it() -> None:
    """Given weights and seeds as they are; an optimizer's own run, which says where it ends."""
    inputs, y = table(24)
    data = Correlations.from_samples(inputs, y)
    one = predict(LATE, data, u0=0.05, width=12, seed=2, holdout=[0, 1, 2]).stopping
    own = integrate(LATE, held_out(data, [0, 1, 2]).left, u0=0.05, width=12, seed=2)
    np.testing.assert_allclose(one.train, own.loss, rtol=1e-9)
    adam = Recipe(optimizer="adam", learning_rate=0.01)
    told = predict(LATE, data, width=12, holdout=0.2, recipe=adam).stopping
    assert any("what training does later is not in it" in note for note in told.notes)
    assert told.alone == {}
    deep = predict(FusionNetwork.fused_at(3, 3), data, u0=0.3, width=12, holdout=0.2)
    assert deep.estimate.run is None  # half-times alone
    typical = stopping_over(
        FusionNetwork.fused_at(3, 3), data, u0=0.3, width=12, recipe=Recipe(), splits=1
    )  # the same split
    np.testing.assert_array_equal(deep.stopping.test, typical.each[0].test)
    assert typical.each[0].times == pytest.approx(deep.times, rel=1e-3)


SAMPLES = Correlations.from_samples(*table(10))


@pytest.mark.parametrize(
    ("holdout", "says"),
    [
        (0.0, "holdout must be a share between 0 and 1, or a list of rows, got 0.0"),
        (1, "holdout must be a share between 0 and 1, or a list of rows, got 1"),
        (math.nan, "got nan"),
        ("half", "got 'half'"),
        (True, "got True"),
        ([], r"got \[\]"),
        (0.04, "holdout = 0.04 of 10 rows is less than one row"),
        (0.95, "holdout must leave at least 2 of 10 rows, 0.95 leaves 0"),
        (list(range(9)), "leaves 1"),
        ([0, 10], "holdout must hold rows from 0 to 9, got 10"),
        ([-1], "from 0 to 9, got -1"),
        ([2, 3, 2], "holdout names row 2 twice"),
        ([1.0], "holdout must hold numbers of rows, got 1.0"),
        (np.ones(10, dtype=bool), "holdout must hold numbers of rows, got True"),
        (np.zeros((2, 2), dtype=int), "holdout must be a share"),
    ],
)
def test_rows_that_cannot_be_held_out(holdout, says) -> None:
    with pytest.raises(DomainError, match=says) as caught:
        predict(LATE, SAMPLES, holdout=holdout)
    assert "\n" not in str(caught.value)


def test_other_refusals(capsys) -> None:
    with pytest.raises(DataError, match=r"holdout needs rows: data.samples is None"):
        predict(LATE, Correlations.scalar(2, 1, 0.5), holdout=0.2)
    with pytest.raises(DomainError, match="holdout_seed goes with holdout"):
        predict(LATE, SAMPLES, holdout_seed=1)
    with pytest.raises(DomainError, match="holdout_seed goes with a share, not with a list"):
        predict(LATE, SAMPLES, holdout=[1], holdout_seed=1)
    with pytest.raises(DomainError, match="loss = logistic is not known to holdout"):
        predict(LATE, SAMPLES, holdout=0.2, recipe=Recipe(loss="logistic"))
    inputs, _ = table(6)
    same = Correlations.from_samples(inputs, [0.0, 0, 0, 0, 1, 2])
    with pytest.raises(DataError, match="the rows that holdout leaves: targets column 0 is constant"):
        predict(LATE, same, holdout=[4, 5])
    classes = Correlations.from_samples(inputs, list("aabbcc"))
    with pytest.raises(DataError, match="a class may lack rows"):
        predict(LATE, classes, holdout=[4, 5])
    for words, says in (
        (["--holdout-seed", "1"], "holdout_seed goes with holdout"),
        (["--holdout", "2"], "holdout must be a share"),
        (["--holdout", "0.2", "--activation", "relu"], "--activation relu does not know --holdout"),
    ):
        assert main(["predict", "--example", "linnerud", *words]) == 2
        assert says in capsys.readouterr().err


def test_the_command_prints_it(capsys) -> None:
    words = ["predict", "--example", "linnerud", "--holdout", "0.3", "--holdout-seed", "4", "--bootstrap", "0"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    data = load_example("linnerud")
    found = predict(FusionNetwork.fused_at(2, 2, data.modalities), data, holdout=0.3, holdout_seed=4)
    assert told == found.to_dict()
    stop = told["stopping"]
    assert (stop["rows"], stop["held"]) == (14, 6)
    assert stop["t_best"] in stop["curves"]["t"]
    assert min(stop["curves"]["test"]) == stop["error_best"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "To stop" in printed
    assert "by 6 rows held out, the run of the other 14" in printed
