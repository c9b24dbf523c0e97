"""Figure 2: early and late fusion, the same data. Trajectories and phase portraits."""

from __future__ import annotations

import math

import numpy as np

from derivations.critical.preference import contribution
from dynamics.paper.common import Progress, flows, trajectories
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Panel, PhasePlane, Schematic
from dynamics.paper.reproduction import Check, Reproduction, worst
from dynamics.prediction.predicting import predict
from dynamics.runs.portraits import portrait


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    data = experiment.tasks[0].data
    panels: dict[str, Panel] = {}
    checks: list[Check] = []
    for i, (letters, name) in enumerate(zip(("abc", "def"), ("early", "late"), strict=True)):
        network = experiment.network(i)
        progress(f"{name} fusion, {len(experiment.seeds)} starts")
        runs = flows(experiment, network, data)
        panels[letters[0]] = Schematic(f"{name} fusion", network)
        panels[letters[1]] = trajectories("gradient flow", runs)
        panels[letters[2]] = PhasePlane("phase portrait", portrait(network, data, runs=runs[:1]))
        ratios = [run.times["B"] / run.times["A"] for run in runs]
        if network.is_early_fusion:
            checks.append(worst("early: B's half-time over A's", ratios, [1.0] * len(ratios), 0.1, "one transition"))
            continue
        laws = [predict(network, data, **experiment.start(network), seed=seed).refined for seed in experiment.seeds]
        for m in data.modalities:
            expected = [law.times[m] if law else math.nan for law in laws]
            checks.append(
                worst(f"late: half-time of {m}", [r.times[m] for r in runs], expected, 1e-3, "ways of a start")
            )
        seen = [float(np.interp((r.times["A"] + r.times["B"]) / 2, r.t, r.loss)) for r in runs]
        saddle = (float(data.sigma_yy) - contribution(data)["A"]) / 2
        checks.append(worst("late: loss half way between the two", seen, [saddle] * len(seen), 1e-3, "(62) at M_A"))
    caption = f"""
        Sigma = diag(4, 1), y = x_A + x_B; random starts, every entry of standard deviation 1e-9, width
        {experiment.width}; gradient flow from {len(experiment.seeds)} seeds, all drawn. Portraits: the reduced flow
        of a balanced network, with one of the runs over it; dashed, where A (blue) or B (orange) stands still. Late
        fusion adds two saddles, where one modality is learned and the other not.
        """
    return Reproduction.of(experiment, panels, ("abbcc", "deeff"), checks, caption)
