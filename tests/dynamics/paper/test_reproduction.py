"""The figures of the paper: every check holds, what is drawn is what is saved, and the checks can fail."""

import json
import math
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dynamics import DomainError, FusionNetwork, reproduce
from dynamics.figures.schematics import draw_schematic
from dynamics.interface.cli import main
from dynamics.paper import figure_03, figure_05, figure_06, figure_09, figure_12
from dynamics.paper.drawing import draw_panel
from dynamics.paper.experiments import EXPERIMENTS, Task
from dynamics.paper.panels import Plot, Role, line, over_seeds
from dynamics.paper.reproduction import Check, Reproduction, Side, worst
from tests.cases import SOAK, documented

QUICK = {1: None, 2: None, 4: 1, 5: 1, 7: None, 8: 5, 10: None, 11: 1, 14: None}  # figure -> seeds
FEWER = {"inputs": 20, "samples": (280, 28)}  # of figure 5, whose runs have 10,000 weights a modality at its own size


@pytest.fixture(scope="module")
def made() -> dict[int, Reproduction]:
    return {}


def figure(made: dict[int, Reproduction], number: int) -> Reproduction:
    if number not in made:
        five = replace(EXPERIMENTS[5], seeds=(0,), width=20, more={**EXPERIMENTS[5].more, **FEWER})
        small = number == 5 and not SOAK
        made[number] = figure_05.reproduced(five, lambda _: None) if small else reproduce(number, seeds=QUICK[number])
    return made[number]


@pytest.mark.parametrize("number", QUICK)
def test_every_check_of_a_figure_holds(made: dict[int, Reproduction], number: int) -> None:
    found = figure(made, number)
    assert found.holds, str(found)
    assert number == 1 or found.checks
    assert set("".join(found.layout)) - {"."} == set(found.panels)


@pytest.mark.parametrize("number", QUICK)
def test_what_is_drawn_is_what_is_saved(made: dict[int, Reproduction], number: int, tmp_path: Path) -> None:
    found = figure(made, number)
    found.save(tmp_path / "numbers.json")

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    saved = json.loads((tmp_path / "numbers.json").read_text(), parse_constant=refuse)
    assert saved["figure"] == number
    for letter, panel in found.panels.items():
        if not isinstance(panel, Plot):
            continue
        _, ax = plt.subplots()
        draw_panel(ax, panel)
        assert ax.get_xlabel() == saved["panels"][letter]["x"] != ""
        assert ax.get_ylabel() == saved["panels"][letter]["y"] != ""
        assert all(s["label"] for s in saved["panels"][letter]["series"] if s["role"] != "time")
        curves = [s for s in panel.series if s.role in {Role.RUN, Role.LAW, Role.SECOND_LAW}]
        drawn = [line.get_xydata() for line in ax.lines if len(line.get_xydata()) > 2]
        stored = [s for s in saved["panels"][letter]["series"] if s["role"] in {"run", "law", "second law"}]
        assert len(curves) == len(stored) == len(drawn)
        for xy, s in zip(drawn, stored, strict=True):
            np.testing.assert_array_equal(xy, np.column_stack([s["x"], s["y"]]))
        plt.close("all")


def test_the_readme_shows_the_checks_of_figure_2(made: dict[int, Reproduction]) -> None:
    shown = documented()
    for row in str(figure(made, 2)).splitlines()[:-1]:
        assert row in shown


def test_no_legend_or_title_leaves_the_picture(made: dict[int, Reproduction]) -> None:
    for number in (4, 5, 11):
        picture = figure(made, number).plot()[0].figure
        picture.draw_without_rendering()
        whole = picture.bbox
        for ax in picture.axes:
            box = ax.get_tightbbox()
            assert box is not None
            assert min(box.x0, box.y0) >= -2, (number, ax.get_title("left"))
            assert box.x1 <= whole.x1 + 2, (number, ax.get_title("left"))
            assert box.y1 <= whole.y1 + 2, (number, ax.get_title("left"))


def test_figure_3_where_pytorch_has_references() -> None:
    """sigma = (2, 1), rho = -0.6 (0, 0.6): flow, descent, ReLU against laws and against five full trainings."""
    experiment = replace(EXPERIMENTS[3], rhos=(-0.6, 0.0, 0.6) if SOAK else (-0.6,))
    network = experiment.network()
    row = figure_03.Row.of(experiment, network, 2.0, lambda line: None)
    checks = row.checks(experiment)
    assert len(checks) == (9 if SOAK else 7)
    assert all(check.holds for check in checks), [c for c in checks if not c.holds]
    # the printed (9), in norms, is wrong where the residual flips; the check of 6 % sees it
    data = Task(2, 1, -0.6).data
    a, b = (float(abs(data.target_block(m)[0, 0])) for m in ("A", "B"))
    printed = 1 + (a - b) / float(abs(np.ravel(data.residual("B", given="A"))[0]))
    flow = float(np.mean(row.ratios[Role.FLOW][0]))
    assert not Check("printed", flow, printed, 0.06).holds
    # and the law without the learning rate is not that of steps of 0.04 where it should differ by 8 %
    late = Task(3, 1, 0.8)
    assert figure_03.descent_ratio(late, 0.04) < 0.93 * figure_03.descent_ratio(late, 1e-9)


def test_figure_6_at_the_learning_rate_of_the_paper() -> None:
    experiment = EXPERIMENTS[6] if SOAK else replace(EXPERIMENTS[6], seeds=EXPERIMENTS[6].seeds[:1])
    for i, (_, fused) in enumerate(experiment.networks):
        if fused == 1:
            continue
        network = experiment.network(i)
        found = figure_06.simulated(experiment, network, [(0.0, experiment.tasks[0], 0.1)], experiment.learning_rate)
        mean, deviation = figure_06.TRAINED[fused]
        assert abs(float(np.mean(found)) - mean) <= max(0.06 * mean, deviation), fused


def test_figure_9_labels_keep_the_ratio_and_real_targets_do_not() -> None:
    """rho = 0: (9) is 4, to the O(1/ln(1/u0)) and the rate it leaves out. Real targets: more than twice that."""
    experiment = EXPERIMENTS[9]
    late = experiment.network(1)
    for labels in (True, False):
        samples = figure_09.samples_of(experiment, 0.0, labels, seed=0)
        law = figure_09.logistic_ratio(samples)
        run = figure_09.train(experiment, 1, samples, 0, law).as_linear(late, samples)
        assert abs(run.ratio / 4 - 1) < 0.08 if labels else run.ratio > 8
        flow = figure_09.flow_ratio(samples, experiment.norms(late)["A"])
        assert run.ratio == pytest.approx(flow, rel=0.06)
        # (125) is for u0 -> 0: from there its excess is reached, slowly
        tiny = figure_09.flow_ratio(samples, 1e-60)
        assert abs(tiny / law - 1) < min(0.08, abs(flow / law - 1) + 0.01)


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_figure_12_late_fusion_always_learns_xor(sigma: float) -> None:
    """Early fusion does at sigma_A = 1; at 3 most seeds do not. Seed 0."""
    experiment = replace(EXPERIMENTS[12], more={**EXPERIMENTS[12].more, "t_end": 240 if SOAK else 100})
    seeds = range(20 if SOAK else 1)
    late = [figure_12.succeeds(experiment, figure_12.train(experiment, 1, sigma, seed)) for seed in seeds]
    early = [figure_12.succeeds(experiment, figure_12.train(experiment, 0, sigma, seed)) for seed in seeds]
    assert all(late)
    assert np.mean(early) == 1 if sigma == 1 else np.mean(early) < 0.5


@pytest.mark.skipif(not SOAK, reason="minutes: every figure at its own setting, under SOAK=1")
def test_every_figure_at_its_own_setting(tmp_path: Path) -> None:
    assert main(["figure", "all", "-o", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 2 * (len(EXPERIMENTS) - 1)  # 13 needs images of MNIST


def test_a_check_can_fail() -> None:
    assert Check("", 1.019, 1.0, 0.02).holds
    assert not Check("", 1.021, 1.0, 0.02).holds
    assert not Check("", math.nan, 1.0, 0.02).holds
    assert not Check("", 0.01, 0.0, 1e-3).holds
    assert not Check("", 1.0, 1.0, 0.5, side=Side.BELOW).holds
    assert Check("", 1.1, 1.0, 0.0, side=Side.ABOVE).holds
    bad = worst("", [1.0, math.nan, 1.1], [1.0, 1.0, 1.0], 0.2)
    assert math.isnan(bad.found)
    assert not bad.holds


def test_means_over_seeds_leave_out_what_is_not_reached() -> None:
    series = over_seeds("", Role.FLOW, [0, 1], [[1.0, 3.0, math.inf], [math.nan, math.nan, math.nan]])
    assert series.y[0] == 2
    assert series.spread is not None
    assert series.spread[0] == pytest.approx(math.sqrt(2))
    assert math.isnan(series.y[1])


def test_any_tree_has_a_schematic() -> None:
    from derivations import Chain

    network = FusionNetwork.tree(1, Chain(2, (Chain(1, "A"), Chain(2, "B"))), Chain(3, "C"))
    _, ax = plt.subplots()
    draw_schematic(ax, network)
    texts = [t.get_text() for t in ax.texts]
    assert sum(t.startswith("$W") for t in texts) == sum(chain.depth for chain in network.chains.values())
    assert sum(t.startswith("$x") for t in texts) == 3
    plt.close("all")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "eight.png"
    assert main(["figure", "8", "-o", str(target), "--seeds", "1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["holds"] is True
    assert target.stat().st_size > 10_000
    assert json.loads((tmp_path / "eight.json").read_text())["figure"] == 8
    assert main(["figure", "8", "-o", str(target), "--seeds", "1", "--data", str(tmp_path / "own.json")]) == 0
    assert "weight of A at the end" in capsys.readouterr().out
    assert (tmp_path / "own.json").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["15"], "figure must be one of 1, 2, 3, 4, 5, 6, 7, 8"),
        (["all", "--data", "x.json"], "--data names the file of one figure"),
        (["x"], "or all, got 'x'"),
        (["8", "-o", "f.txt"], "-o must end in .png"),
        (["8", "-o", "nowhere/f.png"], "-o: no folder 'nowhere'"),
        (["8", "--seeds", "0"], "seeds must be"),
    ],
)
def test_what_the_command_refuses(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figure", *arguments]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_a_figure_that_is_not_built() -> None:
    with pytest.raises(DomainError, match="got 99"):
        reproduce(99)
    with pytest.raises(DomainError, match="seeds must be"):
        reproduce(8, seeds=[1.5])


def test_numbers_are_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    panel = Plot("", "x", "y", (line("", Role.LAW, [0, 1], [math.nan, math.inf]),))
    found = Reproduction(1, "", {"a": panel}, ("a",), "", (), {})
    found.save(tmp_path / "n.json")
    series = json.loads((tmp_path / "n.json").read_text())["panels"]["a"]["series"][0]
    assert series["y"] == [None, "inf"]
    folder = tmp_path / "folder"
    folder.mkdir()
    from dynamics import StoreError

    with pytest.raises(StoreError, match="numbers not written"):
        found.save(folder)
    assert not list(tmp_path.glob("*.part"))
