"""The figure of a Trajectory: loss, total weights, and the saddles visited."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynamics.figures.style import colour, house_style, plain
from dynamics.runs.trajectory import Trajectory

NAMED = 0.09  # share of the axis that a visit must take to bear its name


def draw(run: Trajectory) -> Figure:
    """Loss above, |W_m| below; shaded in turn: the saddles visited."""
    with house_style():
        figure, axes = plt.subplots(2, 1, figsize=(6.0, 4.4), sharex=True, layout="constrained")
        end = horizon(run)
        axes[0].plot(run.t, run.loss, color="0.25")
        axes[0].set_ylabel("loss (half mean\nsquared error)")
        axes[0].set_ylim(bottom=0)
        for i, m in enumerate(run.order):
            axes[1].plot(run.t, run.norms[m], color=colour(i), label=f"|W| of {plain(m)}")
        axes[1].set_ylabel("norm of the\ntotal weights |W|")
        axes[1].set_ylim(bottom=0)
        axes[1].set_xlabel(r"time [$\tau$ = 1/learning rate]")
        axes[1].legend(loc="best", fontsize="small")
        for ax in axes:
            ax.set_xlim(0, end)
            for visit in run.itinerary[1::2]:
                if visit.enter < end:
                    ax.axvspan(visit.enter, min(visit.leave, end), color="0.93", zorder=0, lw=0)
        _name_visits(axes[0], run, end)
        start = run.provenance.get("start", "given")
        axes[0].set_title(f"{run.provenance.get('producer', 'run')}, {start} start", pad=18, fontsize="medium")
    return figure


def horizon(*runs: Trajectory) -> float:
    """Well past the last time at which a run has half of an output."""
    ends = [t for run in runs for t in run.times.values() if math.isfinite(t)]
    return min(1.6 * max(ends, default=0.0) or math.inf, max(float(run.t[-1]) for run in runs))


def until(run: Trajectory, values: np.ndarray, end: float) -> tuple[np.ndarray, np.ndarray]:
    """A settled run goes on as it is to the end of the axis."""
    return (run.t, values) if run.t[-1] >= end else (np.append(run.t, end), np.append(values, values[-1]))


def _name_visits(ax: Axes, run: Trajectory, end: float) -> None:
    for visit in run.itinerary:
        until = min(visit.leave, end)
        if until - visit.enter > NAMED * end:
            ax.annotate(
                plain(visit.name), (float(np.mean([visit.enter, until])), 1.02), xycoords=("data", "axes fraction"),
                ha="center", va="bottom", fontsize="small",
            )  # fmt: skip
