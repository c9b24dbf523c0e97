"""What several figures need."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations import Correlations, FusionNetwork
from dynamics.nonlinear.training import Training
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Plot, Role, Series, line
from dynamics.prediction.estimates import Estimate
from dynamics.prediction.predicting import predict
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.flow import integrate

Progress = Callable[[str], None]
DRAWN = 300  # points of a trajectory
TIME = r"time [$\tau$]"
SIZES = "loss; total weights"


def flows(
    experiment: Experiment, network: FusionNetwork, data: Correlations, t_end: float | None = None
) -> list[Trajectory]:
    """Gradient flow from every seed of the setting."""
    start = experiment.start(network)
    return [integrate(network, data, **start, seed=seed, t_end=t_end) for seed in experiment.seeds]


def ratio_of(estimate: Estimate | None) -> float:
    return estimate.ratio if estimate else math.nan


def seed_ratios(
    experiment: Experiment, network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float]
) -> list[float]:
    """By the law of each seed's own weights."""
    return [
        ratio_of(predict(network, data, u0=u0, width=experiment.width, seed=seed).refined) for seed in experiment.seeds
    ]


def latest(runs: Sequence[Trajectory]) -> float:
    """The last half-time of any run, in units of tau."""
    return max(t for run in runs for t in run.times.values() if math.isfinite(t))


def on_grid(t: np.ndarray, values: np.ndarray, end: float) -> tuple[np.ndarray, np.ndarray]:
    """DRAWN points up to `end`."""
    grid = np.linspace(0.0, min(end, float(t[-1])), DRAWN)
    return grid, np.interp(grid, t, values)


@dataclass(frozen=True)
class Member:
    """One of several alike, such as a seed: the first has the names in the legend."""

    about: str
    first: bool

    def line(
        self, label: str, x: Any, y: Any, hue: int | None = None, about: str = "", role: Role = Role.RUN
    ) -> Series:
        """about : what it is, where that is not its label"""
        return line(label if self.first else "", role, x, y, hue, about=f"{about or label}, {self.about}")

    def curves(self, run: Trajectory | Training, end: float) -> list[Series]:
        """Loss in black and the total weight of each (scalar) modality in its colour."""
        found = [self.line("loss", *on_grid(run.t, run.loss, end))]
        for hue, (m, w) in enumerate(run.total.items()):
            found.append(self.line(rf"$W_{m}^{{\mathrm{{tot}}}}$", *on_grid(run.t, w[:, 0], end), hue, f"W_{m}"))
        return found


def members(seeds: Sequence[int]) -> list[tuple[int, Member]]:
    return [(seed, Member(f"seed {seed}", not i)) for i, seed in enumerate(seeds)]


def trajectories(title: str, runs: Sequence[Trajectory], *more: Series, end: float | None = None) -> Plot:
    """end : None is a little after the last half-time"""
    end = 1.35 * latest(runs) if end is None else end
    curves = [s for i, run in enumerate(runs, start=1) for s in Member(f"run {i}", i == 1).curves(run, end)]
    return Plot(title, TIME, SIZES, (*curves, *more))


def plateau_weight(run: Trajectory, first: str, begin: float, end: float) -> float:
    """The total weight of a scalar modality where the loss stands stillest between two times: the plateau as seen."""
    inside = np.flatnonzero((run.t > begin) & (run.t < end))
    pace = np.abs(np.gradient(run.loss, run.t))
    return float(run.total[first][inside[np.argmin(pace[inside])], 0])
