"""What several figures need."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from derivations.correlations import Correlations
from derivations.network import FusionNetwork
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Plot, Role, Series, line
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.flow import integrate

Progress = Callable[[str], None]
DRAWN = 300  # points of a trajectory
TIME = r"time [$\tau$]"
SIZES = "loss; total weights"


def flows(experiment: Experiment, network: FusionNetwork, data: Correlations) -> list[Trajectory]:
    """Gradient flow from every seed of the setting."""
    norms = experiment.norms(network)
    return [integrate(network, data, u0=norms, width=experiment.width, seed=seed) for seed in experiment.seeds]


def latest(runs: Sequence[Trajectory]) -> float:
    """The last half-time of any run, in units of tau."""
    return max(t for run in runs for t in run.times.values() if math.isfinite(t))


def on_grid(t: np.ndarray, values: np.ndarray, end: float) -> tuple[np.ndarray, np.ndarray]:
    """DRAWN points up to `end`."""
    grid = np.linspace(0.0, min(end, float(t[-1])), DRAWN)
    return grid, np.interp(grid, t, values)


def curves(runs: Sequence[Trajectory], end: float, role: Role = Role.RUN, note: str = "") -> tuple[Series, ...]:
    """Loss in black and the total weight of each (scalar) modality in its colour, all seeds; the first is named."""
    found = []
    for i, run in enumerate(runs):
        named, about = not i, f"run {i + 1}"
        found.append(line(f"loss{note}" if named else "", role, *on_grid(run.t, run.loss, end), about=f"loss, {about}"))
        for hue, (m, w) in enumerate(run.total.items()):
            name = rf"$W_{m}^{{\mathrm{{tot}}}}${note}" if named else ""
            found.append(line(name, role, *on_grid(run.t, w[:, 0], end), hue=hue, about=f"W_{m}, {about}"))
    return tuple(found)


def trajectories(title: str, runs: Sequence[Trajectory], end: float, *more: Series) -> Plot:
    return Plot(title, TIME, SIZES, (*curves(runs, end), *more))


def plateau_weight(run: Trajectory, first: str, begin: float, end: float) -> float:
    """The total weight of a scalar modality where the loss stands stillest between two times: the plateau as seen."""
    inside = np.flatnonzero((run.t > begin) & (run.t < end))
    pace = np.abs(np.gradient(run.loss, run.t))
    return float(run.total[first][inside[np.argmin(pace[inside])], 0])
