"""Figure 9: logistic loss. The time ratio is (9) for labels, and something else for other targets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from derivations.algebra import notation as sym
from derivations.nonlinear.logistic import LATE_DRIVE, LOGISTIC_RATIO
from dynamics.lambdified import function
from dynamics.nonlinear.linear import train_linear
from dynamics.nonlinear.samples import Samples, checked_samples, gaussian_samples
from dynamics.nonlinear.training import Training
from dynamics.paper.common import SIZES, TIME, Progress, members, ratio_of
from dynamics.paper.experiments import Experiment, Task
from dynamics.paper.panels import Panel, Plot, Role, Series, line, over_seeds
from dynamics.paper.reproduction import Check, Reproduction, worst
from dynamics.prediction.predicting import predict
from dynamics.simulation.logistic import logistic

LATER = 1.5  # times the half-time of B that the law expects: how long to train
KEYS = {Role.PRINTED: "(9)", Role.SECOND_LAW: "flow of the two weights"}
NAMES = {True: r"labels $\mathrm{sign}(x_A + x_B)$", False: "targets $x_A + x_B$"}


def samples_of(experiment: Experiment, rho: float, labels: bool, seed: int) -> Samples:
    task = experiment.tasks[0]
    drawn = gaussian_samples(Task(task.sigma_a, task.sigma_b, rho).sigma, task.w, experiment.samples, seed)
    return checked_samples(drawn.inputs, np.sign(drawn.targets)) if labels else drawn


def logistic_ratio(samples: Samples) -> float:
    """(125) for samples of two scalars, A first."""
    data = samples.correlations
    drives = {m: float(np.ravel(data.target_block(m))[0]) for m in data.modalities}
    x_a, x_b, y = samples.inputs["A"][:, 0], samples.inputs["B"][:, 0], samples.targets

    def slope(weight: float) -> float:
        return float(np.mean(logistic(y, weight * x_a)[1] * x_a))

    alone = brentq(slope, 0.0, 1e3 * math.copysign(1.0, drives["A"]))
    late = float(np.mean(logistic(y, alone * x_a)[1] * x_b))
    law = function(LOGISTIC_RATIO, sym.a, sym.b, sym.c, LATE_DRIVE)
    return float(law(abs(drives["A"]), abs(drives["B"]), math.copysign(1.0, drives["B"] * late), abs(late)))


def flow_ratio(samples: Samples, norm: float) -> float:
    """The same by the flow of two scalars from a wide random start, W_m = u0^2 sinh(s_m), tau ds_m/dt = 2 e_m.

    Both modes of a scalar start at u0/sqrt(2), (127), so either sign may grow.
    """
    data = samples.correlations
    inputs = np.hstack(list(samples.inputs.values()))
    goals = [float(np.ravel(data.unimodal("A"))[0]), float(np.ravel(data.optimum)[1])]

    def velocity(_: float, modes: np.ndarray) -> np.ndarray:
        drive = logistic(samples.targets, inputs @ (norm**2 * np.sinh(modes)))[1]
        return np.asarray(2 * (drive @ inputs) / samples.count)

    def half(i: int) -> Callable[[float, np.ndarray], float]:
        there = math.asinh(goals[i] / 2 / norm**2)
        return lambda _, modes: float(modes[i]) - there

    events: list[Any] = [half(0), half(1)]
    events[1].terminal = True
    fastest = float(np.max(np.abs(data.sigma_yx)))  # while nothing saturates a step could leave the range of sinh
    run = solve_ivp(
        velocity, (0.0, 1e5), np.zeros(2), "LSODA", rtol=1e-8, atol=1e-8, events=events, max_step=5 / fastest
    )
    first, second = (float(t[0]) if len(t) else math.nan for t in run.t_events)
    return second / first


def train(experiment: Experiment, which: int, samples: Samples, seed: int, ratio: float) -> Training:
    network = experiment.network(which)
    descent = experiment.descent(network)
    strength = float(abs(np.ravel(samples.correlations.target_block("A"))[0]))
    first = 2 * math.log(1 / descent["u0"]["A"]) / strength  # (37): half the drive of the squared loss
    end = LATER * ratio * first
    return train_linear(network, samples.inputs, samples.targets, **descent, seed=seed, t_end=end)


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    late = experiment.network(1)
    panels: dict[str, Panel] = {}
    for i, (letter, name) in enumerate(zip("ab", ("early", "late"), strict=True)):
        progress(f"{name} fusion, labels")
        series: list[Series] = []
        for seed, member in members(experiment.seeds):
            samples = samples_of(experiment, 0.0, True, seed)
            run = train(experiment, i, samples, seed, 1.0 if i == 0 else logistic_ratio(samples))
            series += member.curves(run, float(run.t[-1]))
        panels[letter] = Plot(f"{name} fusion, labels", TIME, SIZES, tuple(series))
    ratios: list[Series] = []
    checks: list[Check] = []
    for hue, labels in enumerate((True, False)):
        found, ours, nine, wide = [], [], [], []
        for rho in experiment.rhos:
            progress(f"{'labels' if labels else 'real targets'}, rho = {rho:g}")
            drawn = [samples_of(experiment, rho, labels, seed) for seed in experiment.seeds]
            laws = [logistic_ratio(samples) for samples in drawn]
            runs = [
                train(experiment, 1, samples, seed, ratio)
                for samples, seed, ratio in zip(drawn, experiment.seeds, laws, strict=True)
            ]
            found.append([r.as_linear(late, s).ratio for r, s in zip(runs, drawn, strict=True)])
            ours.append(float(np.mean(laws)))
            norm = experiment.norms(late)["A"]
            wide.append(float(np.mean([flow_ratio(samples, norm) for samples in drawn])))
            squared = [predict(late, s.correlations, u0=experiment.norms(late)).leading for s in drawn]
            nine.append(float(np.mean([ratio_of(e) for e in squared])))
        ratios += [
            line(f"(125), {NAMES[labels]}", Role.LAW, experiment.rhos, ours, hue),
            line("", Role.SECOND_LAW, experiment.rhos, wide, hue, about=NAMES[labels]),
            line("", Role.PRINTED, experiment.rhos, nine, hue, about=NAMES[labels]),
            over_seeds("", Role.DESCENT, experiment.rhos, found, hue, NAMES[labels]),
        ]
        kind = "labels" if labels else "real targets"
        mean = np.mean(found, axis=1)
        checks.append(worst(f"{kind}: ratio against the flow of the two scalars", mean, wide, 0.06, "steps of 0.04"))
        if labels:
            checks.append(worst("labels: ratio against (9)", mean, nine, 0.08, "(9); O(1/ln(1/u0)), steps of 0.04"))
            checks.append(worst("labels: (125) against (9)", ours, nine, 0.03, "(125); sampling"))
    panels["c"] = Plot("late fusion", r"correlation $\rho$", r"time ratio $t_B/t_A$", tuple(ratios), keys=KEYS)
    caption = f"""
        Two layers, logistic loss, gradient descent at {experiment.learning_rate:g} on {experiment.samples} samples;
        sigma = (2, 1), a, b: rho = 0; random starts, every entry of standard deviation 1e-9, width
        {experiment.width}, {len(experiment.seeds)} seeds, bars one standard deviation. Weights grow for ever, so a
        modality counts as learned at half of its least-squares weight. Lines: (125); dotted: (9), which the paper
        claims for this loss; dashed: the gradient flow of the two total weights from a wide random start. For
        labels (9) holds, as half of the residual drives B. With real targets A's own fit leaves another drive, and
        the ratio is far above (9); it stays below (125), which is for u0 to 0, because A takes long to reach its
        fit and B feels more until then.
        """
    return Reproduction.of(experiment, panels, ("ab", "cc"), checks, caption)
