"""Noisy digits: ratios, table 1 and its figures, the linear law of the same data, commands."""

import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dynamics import DataError, StoreError, reproduce
from dynamics.interface.cli import main
from dynamics.nonlinear.mnist.campaign import shipped
from dynamics.nonlinear.mnist.corruption import corrupted, normalised
from dynamics.nonlinear.mnist.families import PRINTED, Family, families, main_family
from dynamics.nonlinear.mnist.linear_theory import covariance, linear_theory, modes, shipped_theory
from dynamics.nonlinear.mnist.runs import DigitRun, crossing, ratio_of, run_from
from dynamics.nonlinear.mnist.setting import FUSIONS, Network
from dynamics.paper.digits import checks
from tests.cases import documented
from tests.digits import ABSENT, SIDE, absent, made_up, small, write_images


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Networks are small here, and other tests run beside these."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def run_of(a: list[int], b: list[int], fusion: int = 1, seed: int = 0, tests: int = 100) -> DigitRun:
    t = np.arange(len(a), dtype=float)
    correct = {"A and B": np.array(a), "A": np.array(a), "B": np.array(b)}
    origin = {"command": "c", "torch": "t", "version": "v"}
    return DigitRun(small(fusion_depth=fusion, seed=seed), t, np.linspace(2.3, 1, len(a)), correct, tests, origin)


def test_the_ratio_is_later_over_earlier_first_crossing_of_half() -> None:
    run = run_of([10, 30, 70, 40, 80], [10, 20, 30, 45, 65])
    assert run.times == pytest.approx({"A": 1.5, "B": 3.25})
    assert run.order == ("A", "B")
    assert run.ratio == pytest.approx(3.25 / 1.5)
    assert run_of([10, 20, 30, 45, 65], [10, 30, 70, 40, 80]).order == ("B", "A")
    assert crossing([0, 1], [0.5, 0.6]) == 0
    assert crossing([0, 1, 2], [0.1, 0.5, 0.6]) == 1
    assert crossing([0, 1], [0.1, 0.49]) == math.inf


def test_a_ratio_that_is_not_reached_is_said() -> None:
    run = run_of([10, 60, 70], [10, 20, 30])
    assert math.isnan(run.ratio)
    assert not run.learned
    document = json.loads(run.to_json())
    assert document["times"] == {"A": 0.8, "B": "not reached"}
    assert document["ratio"] is None
    assert "not reached" in str(run)
    assert math.isnan(ratio_of({"A": 0.0, "B": 1.0}))
    (family,) = families([run, run_of([10, 60], [10, 90], seed=1)])
    assert "(L_f 1, seed 0, 2 epochs)" in str(family)
    assert family.ratios(1) == pytest.approx([0.8 / 0.5])


def test_a_run_survives_its_file_and_damage_is_told() -> None:
    run = run_of([10, 30, 70], [10, 20, 90])
    text = run.to_json()
    assert run_from(text, "f").to_json() == text
    for bad in (text[:-9], "[]", "{}", text.replace('"seed": 0', '"seed": -1'), text.replace("digits 1", "digits 9"),
                text.replace("[10, 20, 90]", "[10, 20]"), text.replace("90]", "101]"),
                text.replace("1.0, 2.0]", "2.0, 1.0]"), text.replace('"mlp"', '"rnn"')):  # fmt: skip
        with pytest.raises(DataError, match="'f' is no run on noisy digits"):
            run_from(bad, "f")


def test_shipped_runs_are_what_they_say() -> None:
    runs = shipped()
    assert len({run.setting.name for run in runs}) == len(runs) > 0
    for run in runs:
        assert run.setting.key in run.setting.name
        assert run.setting.command in json.loads(run.to_json())["command"]
        assert run.tests == 10_000
        assert run.t[0] == 0
        assert np.all(np.diff(run.t) > 0)
        assert run.loss[0] == pytest.approx(math.log(10), abs=0.02)  # nothing known yet
    main_ones = [main_family(families(runs), network) for network in Network]
    assert all(family is not None and len(family.seeds) >= 3 for family in main_ones)


def test_shipped_theory_is_of_shipped_runs() -> None:
    found = families(shipped(), shipped_theory())
    assert all(family.theory is not None for family in found)
    for theory in shipped_theory():
        for u0, each in theory.ratios.items():
            assert all(ratios[0] == 1 for ratios in each)
            assert u0 > 0.2 or all(list(ratios) == sorted(ratios) for ratios in each)


# linear theory


def test_the_correlations_of_noisy_pairs_are_those_of_samples() -> None:
    """Against 80000 drawn pairs: errors of about 1/sqrt(80000) of an entry's own size."""
    torch = pytest.importorskip("torch", reason=ABSENT)
    digits, setting = made_up(40, 10, 4), small(images=40)
    (data, *_), _ = modes(digits.train_images, digits.train_labels, setting)
    x = normalised(digits.train_images)[:, None]
    many = torch.from_numpy(np.tile(x, (2000, 1, 1, 1)))
    a, b = corrupted(many, torch.Generator().manual_seed(0))
    seen = np.hstack([s.flatten(1).numpy() for s in (a, b)]).astype(float)
    sampled = np.cov(seen.T, bias=True)
    np.testing.assert_allclose(data.sigma, sampled, atol=0.02)
    flat = x.reshape(40, -1).astype(float)
    np.testing.assert_array_equal(data.sigma, covariance(flat.mean(axis=0), flat.T @ flat / 40, setting))
    target = np.eye(10)[np.tile(digits.train_labels, 2000)]
    cross = (target - target.mean(axis=0)).T @ (seen - seen.mean(axis=0)) / len(seen)
    _, strengths, right = np.linalg.svd(cross, full_matrices=False)
    assert data.strength("A") > data.strength("B")
    whole = np.hstack([data.target_block(m)[0] for m in "AB"])
    assert np.linalg.norm(whole) == pytest.approx(strengths[0], rel=0.01)
    assert abs(whole @ right[0]) / np.linalg.norm(whole) > 0.99


def test_the_linear_law_orders_fusion_depths_at_small_starts() -> None:
    digits = made_up(100, 10, 6)
    found = linear_theory(digits.train_images, digits.train_labels, small(images=100))
    assert found.ratios[0.03][0][0] == 1
    assert list(found.ratios[0.03][0]) == sorted(found.ratios[0.03][0])


# commands


def test_the_table_of_shipped_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "1"]) == 0
    text = capsys.readouterr().out
    for network in Network:
        assert network.upper() in text
        for mean, spread in PRINTED[network]:
            assert f"{mean:.2f} ± {spread:.2f}" in text
    assert main(["table", "1", "--network", "mlp", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(family["setting"]["network"] == "mlp" for family in document)
    assert [row["fusion_depth"] for row in document[0]["rows"]] == [1, 2, 3, 4, 5]


def test_training_by_command_and_its_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason=ABSENT)
    images, store = write_images(tmp_path / "images", made_up(4000)), tmp_path / "store"
    flags = ["--width", "16", "--learning-rate", "0.3", "--train-images", "4000", "--every", "2", "--seeds", "1"]
    command = ["table", "1", "--images", str(images), "--store", str(store), *flags, "--max-epochs", "150"]
    assert main(command) == 0
    first = capsys.readouterr()
    assert "fusion 5, seed 0: ratio" in first.err
    assert "linear, u0 0.1" in first.out
    assert main(command) == 0
    assert capsys.readouterr().out == first.out
    assert main(["table", "1", "--store", str(store)]) == 0
    picture = tmp_path / "f.png"
    assert main(["figure", "7", "--store", str(store), "-o", str(picture)]) in {0, 1}  # three checks on templates
    assert picture.stat().st_size > 10_000
    assert reproduce(7, store=store).setting["seeds"] == [0]
    with pytest.raises(StoreError, match="no runs of a cnn"):
        reproduce(14, store=store)


def test_figure_13_shows_the_three_kinds(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=ABSENT)
    images = write_images(tmp_path / "images", made_up(10_000, 10))
    found = reproduce(13, images=images)
    assert found.holds, str(found)
    found.save(tmp_path / "numbers.json")
    panels = json.loads((tmp_path / "numbers.json").read_text())["panels"]
    assert panels["a"]["side"] == SIDE
    picture = tmp_path / "f.png"
    assert main(["figure", "13", "--images", str(images), "-o", str(picture), "--json"]) == 0
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["table", "2"], "table must be 1"),
        (["table", "1", "--width", "9"], "--width is for training: give --images"),
        (["table", "1", "--images", "nowhere"], "--images needs --store"),
        (["table", "1", "--images", "nowhere", "--store", "s", "--seeds", "0"], "seeds must be"),
        (["figure", "13"], "not part of the package"),
        (["figure", "8", "--store", "s"], "store is for figure 7 and 14, got figure 8"),
        (["figure", "7", "--images", "s"], "images is for figure 13, got figure 7"),
    ],
)
def test_what_the_commands_refuse(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_a_table_is_printed_within_seconds_and_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynamics.nonlinear.mnist.setting.import_module", absent)
    begin = time.monotonic()
    assert main(["table", "1"]) == 0
    assert time.monotonic() - begin < 20


def test_the_readme_shows_what_the_table_prints(capsys: pytest.CaptureFixture[str]) -> None:
    shown = documented()
    assert main(["table", "1"]) == 0
    for line in capsys.readouterr().out.splitlines():
        if line[:1].isdigit() or line.startswith("Table 1"):
            assert line in shown


@pytest.mark.parametrize("network", Network)
def test_the_checks_of_the_figures_fail_where_fusion_depths_are_turned_round(network: Network) -> None:
    family = main_family(families(shipped()), network)
    assert family is not None
    assert all(check.holds for check in checks(family))
    turned = [
        replace(run, setting=replace(run.setting, fusion_depth=6 - run.setting.fusion_depth)) for run in family.runs
    ]
    found = checks(replace(family, runs=tuple(turned)))
    assert not found[0].holds
    assert not found[1].holds


def test_one_setting_has_one_key() -> None:
    assert small(learning_rate=1).key == small(learning_rate=1.0).key != small(learning_rate=2).key


def test_ranks_tell_order_from_disorder() -> None:
    setting = small().family
    runs = tuple(run_of([10, 60, *[90] * f], [10, *[10] * f, 60], fusion=f) for f in (1, 2, 3))
    assert Family(setting, runs).rank_correlation == pytest.approx(1)
    turned = tuple(
        replace(run, setting=replace(run.setting, fusion_depth=4 - run.setting.fusion_depth)) for run in runs
    )
    assert Family(setting, turned).rank_correlation == pytest.approx(-1)


def test_what_the_readme_says_of_the_runs_holds() -> None:
    """At 60 % the mean ratio grows with every layer; the printed MLP at L_f >= 4 lies between text and code."""
    found = families(shipped())
    for family in found:
        means = [float(np.mean(family.ratios(fusion, 0.6))) for fusion in FUSIONS]
        assert means == sorted(means), family.title
    text, code = (f.means for f in found if f.setting.network is Network.MLP)
    for fusion in (4, 5):
        assert text[fusion - 1] < PRINTED[Network.MLP][fusion - 1][0] < code[fusion - 1]
