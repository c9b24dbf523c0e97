"""Figure 10: first-layer weights along training, linear networks of two layers."""

from __future__ import annotations

import math

import numpy as np

from dynamics.nonlinear.linear import train_linear
from dynamics.nonlinear.samples import gaussian_samples
from dynamics.paper.common import SIZES, TIME, Progress, members
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Panel, Plot, Role, Series, line, time
from dynamics.paper.reproduction import Check, Reproduction
from dynamics.recipe import Loss

#: When -> in late fusion, |W_B^1|^2 / |W_A^1|^2 and how far it may be off.
LATE = {"start": (1.0, 0.5), "meanwhile": (0.0, 1e-3), "end": (1.0, 0.05)}


def alignment(first: np.ndarray, direction: np.ndarray) -> float:
    """Share of |W^1|^2 along a direction of the inputs."""
    unit = direction / np.linalg.norm(direction)
    return float(np.sum((first @ unit) ** 2) / np.sum(first**2))


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    task, (seed, member) = experiment.tasks[0], members(experiment.seeds)[0]
    drawn = gaussian_samples(task.sigma, task.w, experiment.samples, seed)
    data = drawn.correlations
    strength, optimum = np.ravel(data.sigma_yx), np.ravel(data.optimum)
    panels: dict[str, Panel] = {}
    checks: list[Check] = []
    for i, (letters, name) in enumerate(zip(("abcd", "efgh"), ("early", "late"), strict=True)):
        progress(f"{name} fusion")
        network = experiment.network(i)
        norms = experiment.norms(network)
        # early fusion: in the middle of its one transition; late fusion: on the plateau between the two
        size = float(np.linalg.norm(strength)) if i == 0 else float(abs(strength[0]))
        middle = -np.log(norms["A"]) / size * (0.95 if i == 0 else 2.2)
        end = 4 * middle if i == 0 else 2.6 * middle
        run = train_linear(
            network, drawn.inputs, drawn.targets, loss=Loss.SQUARED, **experiment.descent(network), seed=seed,
            t_end=end, snapshots=(0.0, middle),
        )  # fmt: skip
        curves = member.curves(run, float(run.t[-1]))
        panels[letters[0]] = Plot(f"{name} fusion", TIME, SIZES, (*curves, time("", middle)))
        for letter, when, (_, weights) in zip(letters[1:], LATE, sorted(run.snapshots.items()), strict=True):
            first = np.hstack([weights[m][0] for m in data.modalities])
            powers = [math.floor(math.log10(np.max(np.abs(column)))) for column in first.T]
            powers = [max(powers)] * 2 if i == 0 else powers  # arrows keep their directions
            x, y = (first / 10.0 ** np.array(powers)).T
            arrows = _arrows(np.column_stack([x, y]), strength, optimum) if i == 0 else ()
            x_label, y_label = (rf"$W_{m}^1$ [$10^{{{k}}}$]" for m, k in zip(data.modalities, powers, strict=True))
            panels[letter] = Plot(
                f"{name}, {when}", x_label, y_label, (Series("", Role.UNITS, x, y, i, about="hidden units"), *arrows)
            )
            if i == 0 and when != "start":
                toward, what = (strength, "Sigma_yx") if when == "meanwhile" else (optimum, "Sigma_yx Sigma^-1")
                checks.append(Check(f"early, {when}: |W^1|^2 along {what}", alignment(first, toward), 1.0, 0.01))
            if i == 1:
                share = float(np.sum(first[:, 1] ** 2) / np.sum(first[:, 0] ** 2))
                expected, allowed = LATE[when]
                checks.append(Check(f"late, {when}: |W_B^1|^2 / |W_A^1|^2", share, expected, allowed, "balanced"))
    caption = f"""
        Two linear layers, Sigma = diag(4, 1), y = x_A + x_B, {experiment.samples} samples, gradient descent at
        {experiment.learning_rate:g} from a random start, every entry of standard deviation 1e-9, width
        {experiment.width}, seed {seed}. A point is a hidden unit; in late fusion the k-th units of both branches share
        a point. Each panel has its own scale: from 1e-9 to 0.1. Early fusion: all units first align with Sigma_yx, then
        turn to Sigma_yx Sigma^-1 as they grow. Late fusion: W_A^1 grows first, W_B^1 after the plateau, and no unit of
        one branch knows of the other. The dotted line is "meanwhile".
        """
    return Reproduction.of(experiment, panels, ("abcd", "efgh"), checks, caption)


def _arrows(first: np.ndarray, strength: np.ndarray, optimum: np.ndarray) -> tuple[Series, ...]:
    """The two directions, as long as the units reach."""
    reach = float(np.max(np.linalg.norm(first, axis=1)))
    return tuple(
        line(name, Role.ARROW, [0.0, reach * d[0]], [0.0, reach * d[1]], hue)
        for name, hue, d in (
            (r"$\Sigma_{yx}$", 2, strength / np.linalg.norm(strength)),
            (r"$\Sigma_{yx}\Sigma^{-1}$", 1, optimum / np.linalg.norm(optimum)),
        )
    )
