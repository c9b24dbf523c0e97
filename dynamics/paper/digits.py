"""Figures 7 and 14: loss and accuracies on noisy MNIST, from runs that `table 1` has trained."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from derivations import StoreError
from dynamics.nonlinear.mnist.campaign import shipped, stored
from dynamics.nonlinear.mnist.families import Family, families, main_family, mean_and_spread
from dynamics.nonlinear.mnist.runs import BOTH, MODALITIES, DigitRun
from dynamics.nonlinear.mnist.setting import FUSIONS, Network
from dynamics.paper.common import Member, Progress
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Panel, Plot, Role, Series, line, time
from dynamics.paper.reproduction import Check, Reproduction, Side

NETWORKS = {7: Network.MLP, 14: Network.CNN}  # by the number of the figure
LETTERS = "abcde"
ONE_PERCENT = 2.326  # deviations that a normal number exceeds in 1 % of cases


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    network, store = NETWORKS[experiment.figure], experiment.more.get("store")
    progress("reading runs")
    family = main_family(families(shipped() if store is None else stored(Path(store))), network)
    if family is None:
        raise StoreError(f"store: no runs of a {network} at every fusion depth in {store or 'the package'}")
    chosen = [seed for seed in experiment.seeds if seed in family.seeds]
    if not chosen:
        raise StoreError(f"seeds must be among {family.seeds}, got {experiment.seeds}")
    family = replace(family, runs=tuple(run for run in family.runs if run.setting.seed in chosen))
    panels: dict[str, Panel] = {
        letter: Plot(_title(family, fusion), "epochs", "loss / start; accuracy", curves(family.at(fusion), fusion == 1))
        for letter, fusion in zip(LETTERS, FUSIONS, strict=True)
    }
    found = Reproduction.of(experiment, panels, ("abc", "de."), checks(family), _caption(family, chosen))
    return replace(found, setting={**found.setting, "seeds": chosen, "run": family.setting.to_dict()})


def _title(family: Family, fusion: int) -> str:
    mean, spread = mean_and_spread(family.ratios(fusion))
    return rf"$L_f$ = {fusion}: ratio {mean:.2f}" + ("" if np.isnan(spread) else rf" $\pm$ {spread:.2f}")


def curves(runs: tuple[DigitRun, ...], named: bool) -> tuple[Series, ...]:
    """Every seed, each to the end of its run, as runs last differently long; the mean time of each modality."""
    found: list[Series] = []
    for i, run in enumerate(runs):
        member = Member(f"seed {run.setting.seed}", named and not i)
        found.append(member.line("loss", run.t, run.loss / run.loss[0]))
        about = "accuracy of A and B"
        found.append(member.line("A and B", run.t, run.accuracy[BOTH], about=about, role=Role.SECOND_LAW))
        for hue, m in enumerate(MODALITIES):
            found.append(member.line(f"{m} alone", run.t, run.accuracy[m], hue, f"accuracy of {m} alone"))
    for hue, m in enumerate(MODALITIES):
        found.append(time("", mean_and_spread(np.array([run.times[m] for run in runs if run.learned]))[0], hue))
    return (*found, line("50 %" if named else "", Role.LEVEL, [np.nan], [0.5], about="50 %"))


def checks(family: Family) -> tuple[Check, ...]:
    """What the paper concludes: the deeper the fusion, the later the second modality."""
    means, printed = family.means, "the paper: the deeper the fusion, the slower the second modality"
    learned = sum(run.learned for run in family.runs)
    chance = ONE_PERCENT / math.sqrt(max(learned - 1, 1))  # by chance a rank correlation of n has variance 1/(n - 1)
    beyond = f"{printed}; chance reaches as much in 1 % of samples of {learned} runs"
    deepest = float(np.max(means[:-1]))
    firsts = [run.order[0] == "A" for fusion in FUSIONS[1:] for run in family.at(fusion) if run.learned]
    return (
        Check("mean ratio at L_f = 5 above all others", float(means[-1]), deepest, 0.0, printed, Side.ABOVE),
        Check("rank correlation of ratio and L_f over runs", family.rank_correlation, chance, 0.0, beyond, Side.ABOVE),
        Check("L_f >= 2: share of runs that learn A first", float(np.mean(firsts)), 0.5, 0.0,
              "A is corrupted less often", Side.ABOVE),
    )  # fmt: skip


def _caption(family: Family, seeds: list[int]) -> str:
    setting = family.setting
    means = ", ".join(f"{mean:.2f}" for mean in family.means)
    falls = [f"{f} to {f + 1}" for f, (a, b) in enumerate(pairwise(family.means), start=1) if b < a]
    order = f"; they fall from L_f = {' and from '.join(falls)}" if falls else ""
    return f"""
        {family.title}: seeds {", ".join(map(str, seeds))}, each to the end of its run, soon after both modalities are
        learned (the paper shows means over seeds); unimodal accuracy is that of a clean test image beside a blank one;
        loss of training batches, a share of that at the start. Vertical: mean time at which a unimodal accuracy
        reaches 50 %, first crossing, measured every {setting.every} steps of {setting.steps} an epoch. Mean ratios for
        L_f = 1 to 5: {means}{order}. B is corrupted with probability {setting.b_corrupted:g}, A with
        {setting.a_corrupted:g}; the paper's text has 0.6 and 0.2, the authors' public code draws 0.8 and 0.16.
        """
