"""Figure 11: two-layer ReLU networks on the linear task. Twice as slow, twice the weights."""

from __future__ import annotations

import numpy as np

from dynamics.nonlinear.relu import train_relu
from dynamics.nonlinear.samples import gaussian_samples
from dynamics.paper.common import SIZES, TIME, Progress, members, on_grid
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Panel, Plot, Role, Series, line
from dynamics.paper.reproduction import Check, Reproduction, worst
from dynamics.simulation.descent import descend

LATER = 3.2  # times the last half-time of the linear network


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    task, rate = experiment.tasks[0], experiment.learning_rate
    panels: dict[str, Panel] = {}
    checks: list[Check] = []
    for i, (letter, name) in enumerate(zip("ab", ("early", "late"), strict=True)):
        network = experiment.network(i)
        start = experiment.start(network)
        series: list[Series] = []
        slower: dict[str, list[float]] = {"A": [], "B": []}
        larger: dict[str, list[float]] = {"A": [], "B": []}
        for seed, member in members(experiment.seeds):
            progress(f"{name} fusion, seed {seed}")
            drawn = gaussian_samples(task.sigma, task.w, experiment.samples, seed)
            # half the rate: a ReLU unit is driven by half of the inputs, so its steps are half as coarse
            linear = descend(network, drawn.correlations, **start, seed=seed, learning_rate=rate / 2)
            end = LATER * max(linear.times.values())
            run = train_relu(network, drawn.inputs, drawn.targets, **start, seed=seed, learning_rate=rate, t_end=end)
            as_linear = run.as_linear(network, drawn, 0.5)
            for m in drawn.inputs:
                slower[m].append(as_linear.times[m] / linear.times[m])
                larger[m].append(float(run.total[m][-1, 0] / linear.total[m][-1, 0]))
            loss, *weights = member.curves(run, end)
            series.append(loss)
            for hue, (m, curve) in enumerate(zip(drawn.inputs, weights, strict=True)):
                series.append(curve)
                if member.first:
                    twice = on_grid(2 * linear.t, 2 * linear.total[m][:, 0], end)
                    label, about = "" if hue else "linear network, twice", f"linear network, {m}, twice"
                    series.append(line(label, Role.SECOND_LAW, *twice, hue=2, about=about))
        panels[letter] = Plot(f"{name} fusion", TIME, SIZES, tuple(series))
        two = np.full(len(experiment.seeds), 2.0)
        for what, found in (("half-time", slower), ("weight at the end", larger)):
            checks += [worst(f"{name}: {what} of {m}, ReLU / linear", f, two, 0.05, "(126)") for m, f in found.items()]
    caption = f"""
        Two layers, ReLU between them, Sigma = diag(4, 1), y = x_A + x_B, {experiment.samples} samples, gradient descent
        at {rate:g}; random starts, every entry of standard deviation 1e-9, width {experiment.width},
        {len(experiment.seeds)} seeds, all drawn. W^tot is W^2 W^1 without the ReLU. Dashed: the linear network, with
        its times and weights doubled (seed {experiment.seeds[0]}, at half the learning rate, which is what a ReLU unit
        feels of it). What is left, 2 to 4 %: half of the units serve each sign of an input, so what grows starts from a
        norm smaller by sqrt(2), and samples are not quite symmetric under x -> -x.
        """
    return Reproduction.of(experiment, panels, ("ab",), checks, caption)
