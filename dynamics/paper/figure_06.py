"""Figure 6: how long the unimodal phase is in four layers, by fusion depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from derivations import FusionNetwork
from dynamics.paper.common import TIME, Member, Progress, flows, latest, on_grid, ratio_of, seed_ratios
from dynamics.paper.experiments import Experiment, Task
from dynamics.paper.panels import Panel, Plot, Role, Series, line, over_seeds
from dynamics.paper.reproduction import Check, Reproduction, worst
from dynamics.prediction.laws.grids import law_grid
from dynamics.prediction.predicting import predict
from dynamics.simulation.ensembles import ensemble

#: L_f -> (ratio, deviation) at learning rate 0.04, rho = 0, from full training in PyTorch, 5 seeds.
TRAINED = {2: (1.043, 0.003), 3: (1.51, 0.06), 4: (3.76, 0.59)}
RATIO = r"time ratio $t_B/t_A$"
KEYS = {Role.SECOND_LAW: "law of random starts"}
CURVE = 33  # points of a law's line


def _name(fused: int) -> str:
    return rf"$L_f$ = {fused}"


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    task, u0 = experiment.tasks[0], experiment.u0
    assert u0 is not None
    networks = {fused: experiment.network(i) for i, (_, fused) in enumerate(experiment.networks)}
    losses: list[Series] = []
    for hue, (fused, network) in enumerate(networks.items()):
        progress(f"losses, L_f = {fused}")
        runs = flows(experiment, network, task.data)
        end = 1.3 * latest(runs)
        losses += [
            Member(f"run {i}", i == 1).line(_name(fused), *on_grid(run.t, run.loss, end), hue)
            for i, run in enumerate(runs, start=1)
        ]
    panels: dict[str, Panel] = {"a": Plot(r"losses, $\rho$ = 0", TIME, "loss", tuple(losses))}
    rhos = [(rho, Task(task.sigma_a, task.sigma_b, rho), u0) for rho in experiment.rhos]
    ratios = [(ratio, Task(ratio, 1), u0) for ratio in experiment.sigma_ratios]
    starts = [(start, task, start) for start in experiment.u0s]
    fine_rhos = [(rho, Task(task.sigma_a, task.sigma_b, rho), u0) for rho in np.linspace(-0.8, 0.8, CURVE)]
    fine_ratios = [(ratio, Task(ratio, 1), u0) for ratio in np.linspace(1.2, 3, CURVE)]
    fine_starts = [(start, task, start) for start in np.geomspace(min(experiment.u0s), max(experiment.u0s), 9)]
    checks: list[Check] = []
    for letter, title, label, points, fine in (
        ("b", "correlation", r"correlation $\rho$", rhos, fine_rhos),
        ("c", "ratio of sizes", r"$\sigma_A/\sigma_B$", ratios, fine_ratios),
        ("d", "initialisation", r"$u_0$", starts, fine_starts),
    ):
        series: list[Series] = []
        for hue, (fused, network) in enumerate(networks.items()):
            progress(f"{title}, L_f = {fused}: {len(points)} x {len(experiment.seeds)} starts")
            law, wide = _lines(experiment, network, fused, points, fine, hue)
            found = simulated(experiment, network, points, None)
            series += [law, wide, over_seeds("", Role.FLOW, [x for x, _, _ in points], found, hue, _name(fused))]
            checks.append(_against_law(experiment, network, f"{title}, L_f = {fused}", points, found, wide.y))
            if letter == "b":
                some = points[::2]
                descended = simulated(experiment, network, some, experiment.learning_rate)
                series.append(over_seeds("", Role.DESCENT, [x for x, _, _ in some], descended, hue, _name(fused)))
                if fused in TRAINED:
                    mean, deviation = TRAINED[fused]
                    at = float(np.mean(descended[[rho for rho, _, _ in some].index(0.0)]))
                    within = max(0.06, deviation / mean)
                    checks.append(Check(f"ratio, steps of 0.04, rho = 0, L_f = {fused}", at, mean, within, "PyTorch"))
        panels[letter] = Plot(title, label, RATIO, tuple(series), x_log=letter == "d", y_log=True, keys=KEYS)
    caption = f"""
        Four layers, width {experiment.width}, y = x_A + x_B; random starts, every layer before the fusion of norm u0 =
        {u0:g} but in d; {len(experiment.seeds)} seeds, bars one standard deviation; b, d: sigma = (2, 1); c, d: rho =
        0. Lines: (12) for L_f = 3, 4 and (57) for L_f = 2, which assume aligned starts and do not know the width.
        Dashed: the law of random starts of this width (median): square layers act on a vector with u0/sqrt(width), so
        A takes 5 to 6 times longer than the aligned law says and the ratio shrinks. Circles are gradient flow, squares
        descent at 0.04. The printed norm of a square layer in J is ten times u0; here all layers before the fusion
        have u0, as the theory asks.
        """
    return Reproduction.of(experiment, panels, ("ab", "cd"), checks, caption)


Points = Sequence[tuple[float, Task, float]]  # where it is drawn, the data, u0


def _lines(
    experiment: Experiment, network: FusionNetwork, fused: int, points: Points, fine: Points, hue: int
) -> tuple[Series, Series]:
    """The leading law and the random-start law; early fusion has neither, its modalities are learned together."""
    at, grid = ([x for x, _, _ in some] for some in (points, fine))
    if network.is_early_fusion:
        return line(_name(fused), Role.LAW, grid, np.ones(len(fine)), hue), line("", Role.SECOND_LAW, [], [], hue)
    leading = [float(law_grid(network, t.sigma_a, t.sigma_b, t.rho, u0=u0).ratio) for _, t, u0 in fine]
    wide = [ratio_of(predict(network, task.data, u0=u0, width=experiment.width).refined) for _, task, u0 in points]
    return (
        line(_name(fused), Role.LAW, grid, leading, hue),
        line("", Role.SECOND_LAW, at, wide, hue, about=_name(fused)),
    )


def simulated(
    experiment: Experiment, network: FusionNetwork, points: Points, learning_rate: float | None
) -> np.ndarray:
    """Ratios (points, seeds), B's half-time over A's."""
    rows = []
    for _, task, u0 in points:
        found = ensemble(
            network, task.data, u0=u0, width=experiment.width, seeds=experiment.seeds, learning_rate=learning_rate
        )
        rows.append(found.times["B"] / found.times["A"])
    return np.array(rows)


def _against_law(
    experiment: Experiment, network: FusionNetwork, what: str, points: Points, runs: np.ndarray, typical: np.ndarray
) -> Check:
    """Late fusion: each seed against the law of its weights. Intermediate: means against the typical network."""
    if network.is_early_fusion:
        return worst(f"{what}: one transition", np.mean(runs, axis=1), np.ones(len(points)), 0.1)
    if network.trunk.depth:
        return worst(f"{what}: mean ratio", np.mean(runs, axis=1), typical, 0.06, "typical network")
    expected = [seed_ratios(experiment, network, task.data, u0) for _, task, u0 in points]
    return worst(f"{what}: ratio of each seed", runs, expected, 0.005, "ways of a start")
