"""Figure 8: collinear modalities. The second one is never learned."""

from __future__ import annotations

import numpy as np

from dynamics.paper.common import Progress, flows, trajectories
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Panel, level
from dynamics.paper.reproduction import Check, Reproduction, worst
from dynamics.runs.half_times import Status


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    network, data = experiment.network(), experiment.tasks[0].data
    end = experiment.more["t_end"]
    runs = flows(experiment, network, data, end)
    alone = float(np.ravel(data.unimodal("A"))[0])
    panels: dict[str, Panel] = {
        "a": trajectories(r"$\Sigma$ = [4, 2; 2, 1]", runs, level(r"$W_A^{\mathrm{tot}}$ alone", alone, 0), end=end)
    }
    seen = [float(run.total["A"][-1, 0]) for run in runs]
    largest = max(float(np.max(np.abs(run.total["B"]))) for run in runs)
    late = sum(run.status["B"] is Status.REACHED for run in runs)
    checks = (
        worst("weight of A at the end", seen, [alone] * len(seen), 1e-3, "all of the output by A"),
        Check("largest weight of B", largest, 0.0, 1e-3, "(123): u0^(2 (1 - k)) W_A^k, k = 1/2, is 1e-8"),
        Check("runs that learn B", float(late), 0.0, 0.0),
        Check("loss at the end", max(float(run.loss[-1]) for run in runs), 0.0, 1e-4),
    )
    caption = f"""
        Two layers, late fusion, x_A = 2 x_B, y = x_A + x_B; gradient flow from random starts, every entry of standard
        deviation 1e-9, width {experiment.width}, {len(experiment.seeds)} seeds, all drawn. A alone explains all of the
        output, so nothing is left to learn B from: later becomes never.
        """
    return Reproduction.of(experiment, panels, ("a",), checks, caption)
