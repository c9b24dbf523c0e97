"""The bootstrap: rows that are really resampled and SciPy's half-times, normal theory, and what it says of diabetes."""

import json
import math
import time
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest

from derivations.critical import preference
from dynamics import (
    Chain,
    Correlations,
    DataError,
    DomainError,
    FusionNetwork,
    bootstrap,
    integrate_reduced,
    load_example,
)
from dynamics.prediction import resampling
from tests.cases import SOAK

LATE = FusionNetwork.fused_at(2, 2)
THREE = FusionNetwork.fused_at(3, 2, ("A", "B", "C"))
NESTED = FusionNetwork.tree(1, Chain(2, "A"), Chain(1, (Chain(2, "B"), Chain(1, "C"))))


def problem(seed: int, sizes: dict[str, int], rows: int = 60, outputs: int = 1):
    """Raw inputs and targets, off centre, in unlike units and correlated."""
    rng = np.random.default_rng(seed)
    total = sum(sizes.values())
    x = rng.normal(size=(rows, total)) @ (np.eye(total) + 0.3 * rng.normal(size=(total, total)))
    y = x @ rng.normal(size=(total, outputs)) + 2 * rng.normal(size=(rows, outputs)) - 7
    ends = np.cumsum(list(sizes.values()))
    return {m: 3 + x[:, end - d : end] for (m, d), end in zip(sizes.items(), ends, strict=True)}, y


def drawn_rows(rows: int, draws: int, seed: int = 0) -> list[np.ndarray]:
    """Row numbers of each draw: all that the tests share with the module."""
    rng = np.random.default_rng(seed)
    return [rng.integers(rows, size=rows) for _ in range(draws)]


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strengths and contributions ask for no half-times."""
    nobody = lambda _, __, ___, moments: (np.zeros((len(moments), 2), int), *np.zeros((2, len(moments)), bool))
    monkeypatch.setattr(resampling, "_timed", nobody)


def plain_loop(network, inputs, targets, chosen, *, standardize, u0=1e-3, timed=True):
    """Row by row, through the project's own contributions and, one by one, runs of SciPy's integrator."""
    found = []
    for rows in chosen:
        data = Correlations.from_samples({m: x[rows] for m, x in inputs.items()}, targets[rows], standardize)
        worth = preference.contribution(data)
        times = integrate_reduced(network, data, u0=u0, rtol=1e-6).times if timed else dict.fromkeys(worth, 0.0)
        order = tuple(sorted(times, key=lambda m: times[m]))
        clear = not timed or times[order[1]] > times[order[0]] * (1 + resampling.KNOWN)
        strength = {m: data.strength(m) for m in data.modalities}
        verdict = clear and max(worth, key=lambda m: worth[m]) != order[0]
        found.append((order if clear else (None,), strength, worth, verdict))
    return found


@pytest.mark.parametrize(
    ("network", "sizes", "outputs", "u0", "standardize"),
    [
        (LATE, {"A": 3, "B": 2}, 1, 1e-3, True),
        (FusionNetwork.fused_at(4, 3), {"A": 1, "B": 1}, 1, 1e-2, False),
        (LATE, {"A": 3, "B": 2}, 2, 1e-3, True),
        (FusionNetwork.branches({"A": 2, "B": 3}, trunk=1), {"A": 2, "B": 2}, 1, {"A": 0.05, "B": 0.1}, True),
        (THREE, {"A": 2, "B": 1, "C": 2}, 1, 1e-3, True),
        (NESTED, {"A": 1, "B": 2, "C": 1}, 1, 1e-3, False),
    ],
    ids=["late", "deep scalar", "two outputs", "unequal", "three", "nested"],
)
def test_it_is_what_a_loop_over_resampled_rows_finds(network, sizes, outputs, u0, standardize, monkeypatch) -> None:
    draws = 50 if SOAK else 12
    monkeypatch.setattr(resampling, "LEAST_DRAWS", draws)
    inputs, targets = problem(5, sizes, outputs=outputs)
    data = Correlations.from_samples(inputs, targets, standardize)
    sure = bootstrap(network, data, u0=u0, draws=draws, seed=3)
    loop = plain_loop(network, inputs, targets, drawn_rows(60, draws, 3), standardize=standardize, u0=u0)
    assert sure.standardized is standardize
    tied = sum(one[0] == (None,) for one in loop)
    assert (sure.degenerate, sure.undecided, sure.draws, sure.seed, sure.rows) == (0, tied, draws, 3, 60)
    assert sure.superficial == pytest.approx(np.mean([verdict for *_, verdict in loop]))
    assert sum(sure.order.values()) == pytest.approx(1 - tied / draws)
    for order, share in sure.order.items():
        assert share == pytest.approx(np.mean([one[0] == order for one in loop]))
    for m in sizes:
        assert sure.first[m] == pytest.approx(np.mean([one[0][0] == m for one in loop]))
        assert sure.best[m] == pytest.approx(np.mean([max(one[2], key=one[2].get) == m for one in loop]))
        for place, mine in ((1, sure.strength[m]), (2, sure.contribution[m])):
            expected = np.quantile([one[place][m] for one in loop], (0.025, 0.5, 0.975))
            np.testing.assert_allclose(mine, expected, rtol=1e-10)


def test_a_large_sample_follows_normal_theory(untimed: None) -> None:
    """Delta method: |Sigma_yx| has the variance of its influence y x.g over rows.

    The range between quantiles has a Monte Carlo error of 2.1 % at 2000 draws.
    """
    rng = np.random.default_rng(1)
    rows = 3000
    x = rng.normal(size=(rows, 3)) * [1.0, 0.5, 1.1]
    y = x @ [1.0, 0.6, 0.83] + rng.normal(size=rows)
    data = Correlations.from_samples({"A": x[:, :2], "B": x[:, 2]}, y)
    sure = bootstrap(LATE, data)
    assert not sure.standardized
    for m in "AB":
        along = data.target_block(m)[0] / data.strength(m)
        influence = (data.samples.inputs[m] @ along) * data.samples.targets[:, 0]
        low, median, high = sure.strength[m]
        assert (high - low) / (2 * 1.96) == pytest.approx(np.std(influence) / math.sqrt(rows), rel=0.085)
        assert median == pytest.approx(data.strength(m), rel=0.01)


def test_the_share_of_the_first_follows_normal_theory() -> None:
    """Uncorrelated scalars follow logistics, half at ln(w/u0^2 - 1)/(2 s), s = <xy>, w = s/<x^2>: the delta method."""
    rng = np.random.default_rng(1)
    rows, u0 = 3000, 1e-3
    x = np.linalg.qr(rng.normal(size=(rows, 2)))[0]
    x = (x - x.mean(axis=0)) * math.sqrt(rows) * [1.0, 1.1]
    y = x @ [1.0, 0.83] + rng.normal(size=rows)
    sure = bootstrap(LATE, Correlations.from_samples({"A": x[:, 0], "B": x[:, 1]}, y), u0=u0, draws=400)
    y = y - y.mean()
    times, influence = [], []
    for column in x.T:
        s, v = np.mean(column * y), np.mean(column**2)
        way = math.log(s / v / u0**2 - 1)
        grown = 1 / (1 - u0**2 * v / s)
        times.append(way / (2 * s))
        influence.append((grown * (column * y / s - column**2 / v) - way * column * y / s) / (2 * s))
    score = (times[1] - times[0]) * math.sqrt(rows) / np.std(influence[1] - influence[0])
    expected = (1 + math.erf(score / math.sqrt(2))) / 2
    assert 0.2 < expected < 0.8
    assert sure.first["A"] == pytest.approx(expected, abs=4 * sure.error(expected) + 0.01)


def test_a_zscored_strength_has_the_error_of_a_correlation_coefficient(untimed: None) -> None:
    """(1 - r^2)/sqrt(P) for normal variables; without z-scoring again it would be sqrt(1 + r^2)/sqrt(P), 2.3 times."""
    rng = np.random.default_rng(2)
    rows = 3000
    x = rng.normal(size=(rows, 2))
    y = x @ [1.0, 0.7] + rng.normal(size=rows)
    data = Correlations.from_samples({"A": x[:, 0], "B": x[:, 1]}, y, standardize=True)
    sure = bootstrap(LATE, data)
    assert sure.standardized
    low, _, high = sure.strength["A"]
    expected = (1 - data.strength("A") ** 2) / math.sqrt(rows)
    assert (high - low) / (2 * 1.96) == pytest.approx(expected, rel=0.12)  # 8.5 % of the draws, 3 % of the sample


def test_diabetes_serum_is_first_for_sure_and_body_better_with_some_doubt() -> None:
    network = FusionNetwork.fused_at(2, 2, ("body", "serum"))
    data = load_example("diabetes")
    began = time.process_time()
    sure = bootstrap(network, data, draws=400)
    assert time.process_time() - began < 5
    assert sure.standardized
    assert sure.first["serum"] == pytest.approx(0.999, abs=4 * sure.error(0.999))
    assert sure.best["body"] == pytest.approx(0.70, abs=4 * sure.error(0.70))
    assert sure.superficial == pytest.approx(0.70, abs=4 * sure.error(0.70))
    assert sure.error(0.70) == pytest.approx(0.0229, abs=0.0001)
    assert (sure.degenerate, sure.undecided) == (0, 0)
    for text in ("442 rows", "400 draws", "seed 0", "z-scored", "serum     99.", "sqrt(p (1 - p) / draws)"):
        assert text in str(sure)


def test_a_seed_gives_the_same_draws_whatever_the_blocks(monkeypatch) -> None:
    data = Correlations.from_samples(*problem(0, {"A": 2, "B": 1}))
    sure = bootstrap(LATE, data, draws=150, seed=7)
    assert bootstrap(LATE, data, draws=150, seed=7).to_dict() == sure.to_dict()
    assert bootstrap(LATE, data, draws=150, seed=8).to_dict() != sure.to_dict()
    monkeypatch.setattr(resampling, "STEP", 40)  # ten rows at a time
    monkeypatch.setattr(resampling, "BATCH", 7 * 16)  # seven draws at a time
    told: list[tuple[int, int]] = []
    again = bootstrap(LATE, data, draws=150, seed=7, progress=lambda done, all_: told.append((done, all_)))
    assert told[0] == (7, 150)
    assert told[-1] == (150, 150)
    assert (again.first, again.best, again.order) == (sure.first, sure.best, sure.order)
    for m in "AB":
        np.testing.assert_allclose(again.strength[m], sure.strength[m], rtol=1e-12)


def test_a_column_that_is_constant_in_a_draw_carries_nothing() -> None:
    """One row of 30 differs in the second column of A: some 36 % of the draws miss it, or draw nothing else."""
    inputs, targets = problem(2, {"A": 2, "B": 2}, rows=30)
    inputs["A"][:, 1] = 5.0 + np.eye(30)[4]
    for standardize in (False, True):
        sure = bootstrap(LATE, Correlations.from_samples(inputs, targets, standardize), draws=100)
        strengths, worths, missing = [], [], 0
        for rows in drawn_rows(30, 100):
            absent = not np.any(rows == 4)
            missing += absent
            a = inputs["A"][rows][:, :1] if absent else inputs["A"][rows]
            data = Correlations.from_samples({"A": a, "B": inputs["B"][rows]}, targets[rows], standardize)
            strengths.append(data.strength("A"))
            worths.append(preference.contribution(data)["A"])
        assert sure.degenerate == missing
        assert 20 < missing < 50
        np.testing.assert_allclose(sure.strength["A"], np.quantile(strengths, (0.025, 0.5, 0.975)), rtol=1e-10)
        np.testing.assert_allclose(sure.contribution["A"], np.quantile(worths, (0.025, 0.5, 0.975)), rtol=1e-10)
        assert f"{missing} of 100 draws are degenerate" in str(sure)


def test_a_column_of_one_outlier_is_not_taken_for_constant_without_it() -> None:
    inputs, targets = problem(2, {"A": 1, "B": 1}, rows=30)
    inputs["A"] = 1e-8 * inputs["A"] + np.eye(30)[4][:, None]
    sure = bootstrap(LATE, Correlations.from_samples(inputs, targets, True), draws=100)
    loop = plain_loop(LATE, inputs, targets, drawn_rows(30, 100), standardize=True, timed=False)
    assert sure.degenerate == 0
    np.testing.assert_allclose(
        sure.contribution["A"], np.quantile([one[2]["A"] for one in loop], (0.025, 0.5, 0.975)), rtol=1e-5
    )


def test_a_constant_target_leaves_nobody_first() -> None:
    inputs, _ = problem(3, {"A": 2, "B": 1}, rows=20)
    data = Correlations.from_samples(inputs, np.eye(20)[0], standardize=True)
    missing = sum(not np.any(rows == 0) for rows in drawn_rows(20, 100))
    for network in (LATE, FusionNetwork.branches({"A": 2, "B": 3}, trunk=1)):
        sure = bootstrap(network, data, draws=100)
        assert sure.degenerate == sure.undecided == missing
        assert sum(sure.first.values()) == pytest.approx(1 - missing / 100)
        assert sum(sure.best.values()) == pytest.approx(1 - missing / 100)
        assert sure.strength["A"][0] == sure.contribution["B"][0] == 0
        assert f"{missing} of 100 draws name no single first or best" in str(sure)


def test_lost_rank_is_counted_and_the_pseudo_inverse_used() -> None:
    """Nine rows, six inputs: a draw of fewer than seven different rows loses rank. Copies in the data are no loss."""
    inputs, targets = problem(4, {"A": 3, "B": 3}, rows=9)
    loop = plain_loop(LATE, inputs, targets, drawn_rows(9, 100), standardize=False, timed=False)
    sure = bootstrap(LATE, Correlations.from_samples(inputs, targets), draws=100)
    few = sum(len(set(rows.tolist())) < 7 for rows in drawn_rows(9, 100))
    assert sure.degenerate == few
    assert 50 < few < 100
    for m in "AB":
        expected = np.quantile([one[2][m] for one in loop], (0.025, 0.5, 0.975))
        np.testing.assert_allclose(sure.contribution[m], expected, rtol=1e-6)
    inputs, targets = problem(4, {"A": 2, "B": 2})
    inputs["A"] = np.hstack([inputs["A"], inputs["A"] @ [[1.0], [1.0]]])
    assert bootstrap(LATE, Correlations.from_samples(inputs, targets), draws=100).degenerate == 0


def test_a_draw_that_contradicts_itself_is_left_undecided(monkeypatch) -> None:
    """At the rank tolerance what is rounding in Sigma is not in <y^2>: Correlations refuses such moments."""
    learned = lambda members, _: SimpleNamespace(times=np.array([[1.0], [2.0]]).repeat(len(members), axis=1))
    monkeypatch.setattr(resampling, "along_own_courses", learned)  # of those that it takes A is first
    rng = np.random.default_rng(0)
    a, noise = rng.normal(size=(2, 200))
    other, found = rng.normal(size=200), []
    for small in np.linspace(1.4e-7, 2.6e-7, 13):  # at which of them depends on how LAPACK rounds
        inputs = {"A": np.stack([a, a + small * noise], axis=1), "B": other}
        with suppress(DataError):
            data = Correlations.from_samples(inputs, 10 * noise + a, True)
            found.append(bootstrap(FusionNetwork.branches({"A": 2, "B": 3}, trunk=1), data, draws=100))
    assert any(0 < sure.undecided < 100 for sure in found)
    assert all(sure.undecided <= sure.degenerate for sure in found)


def test_ties_decide_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    data = Correlations.from_samples({"A": x, "B": x[:, ::-1]}, x @ [1.0, 2.0])
    sure = bootstrap(LATE, data, draws=100)
    assert sure.first == sure.best == {"A": 0, "B": 0}
    assert sure.superficial is None
    assert sure.order == {}
    assert sure.undecided == 100
    assert "100 of 100 draws name no single first" in str(sure)


def test_early_fusion_and_one_modality_have_no_superficial_preference() -> None:
    data = Correlations.from_samples(*problem(0, {"A": 2, "B": 1}))
    early = bootstrap(FusionNetwork.fused_at(2, 1), data, draws=100)
    assert early.superficial is None
    assert "Early fusion: no state with a single modality" in str(early)
    assert early.best == bootstrap(LATE, data, draws=100).best
    alone = bootstrap(FusionNetwork.fused_at(2, 2, ("A",)), Correlations.from_samples(*problem(0, {"A": 2})), draws=100)
    assert (alone.superficial, alone.first, alone.best, alone.undecided) == (None, {"A": 1.0}, {"A": 1.0}, 0)
    assert "3 / draws = 3 %" in str(alone)


def test_it_prints_orders_and_json() -> None:
    sure = bootstrap(THREE, Correlations.from_samples(*problem(5, {"A": 2, "B": 1, "C": 2})), draws=100)
    shares = list(sure.order.values())
    assert len(shares) > 1
    assert shares == sorted(shares, reverse=True)
    order, share = next(iter(sure.order.items()))
    error = 100 * math.sqrt(share * (1 - share) / 100)
    assert f"Order {', '.join(order)}: {100 * share:.4g} % +- {error:.2g}." in str(sure)
    assert "Superficial preference" in str(sure)
    assert sure._repr_html_().count("<tr>") == 4
    told = json.loads(json.dumps(sure.to_dict(), allow_nan=False))
    assert told["order"][0] == {"order": list(order), "share": share}
    assert told["strength"]["A"] == list(sure.strength["A"])
    several = bootstrap(LATE, Correlations.from_samples(*problem(5, {"A": 1, "B": 2}, outputs=2)), draws=100)
    assert "several outputs are learned mode by mode" in str(several)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"draws": 99}, DomainError, "draws must be an integer >= 100, got 99"),
        ({"draws": 1e3}, DomainError, "draws must be an integer >= 100, got 1000.0"),
        ({"seed": -1}, DomainError, "seed must be an integer >= 0, got -1"),
        ({"u0": -1}, DomainError, "u0 must be a finite number >= 0, got -1"),
        ({"u0": {"A": 1}}, DomainError, "u0 must name every modality"),
        ({"network": THREE}, DomainError, "modalities of network and data differ"),
        ({"data": Correlations.scalar(2, 1, 0.5)}, DataError, "samples is None.*samples are needed"),
    ],
)
def test_errors_name_the_field_and_the_value(change, error, words) -> None:
    given = {"network": LATE, "data": Correlations.from_samples(*problem(0, {"A": 2, "B": 1})), **change}
    with pytest.raises(error, match=words) as caught:
        bootstrap(given.pop("network"), given.pop("data"), **given)
    assert "\n" not in str(caught.value)
