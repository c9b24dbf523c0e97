"""The figure of an Ensemble: how half-times and their ratio spread over the random starts."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynamics.figures.style import colour, house_style, legend_above, plain
from dynamics.simulation.ensembles import Ensemble


def draw(ensemble: Ensemble) -> Figure:
    """Left: share of the members that have learned a modality by a time. Right: share with a ratio up to a value."""
    with house_style():
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.0), sharey=True, layout="constrained")
        draw_times(axes[0], ensemble)
        draw_ratio(axes[1], ensemble)
    return figure


def draw_times(ax: Axes, ensemble: Ensemble) -> None:
    for i, m in enumerate(ensemble.order):
        _steps(ax, ensemble.times[m], colour(i), plain(m))
    reached = np.concatenate([t[np.isfinite(t)] for t in ensemble.times.values()])
    if len(reached) and np.min(reached) > 0 and np.max(reached) > 20 * np.min(reached):
        ax.set_xscale("log")
    ax.set_xlabel(r"half-time [$\tau$]")
    ax.set_ylabel("share of the members")
    ax.set_ylim(0, 1.02)
    legend_above(ax, 3)


def draw_ratio(ax: Axes, ensemble: Ensemble) -> None:
    mean, error = ensemble.mean_ratio
    label = f"mean {mean:.4g} $\\pm$ {error:.2g}" if np.isfinite(error) else "ratio"
    _steps(ax, ensemble.ratio, "0.25", label)
    first, last = ensemble.order[0], ensemble.order[-1]
    ax.set_xlabel(f"ratio of the half-times, {plain(last)} to {plain(first)}")
    legend_above(ax, 1)


def _steps(ax: Axes, values: np.ndarray, shade: str, label: str) -> None:
    """Empirical distribution; what is not reached keeps it below one."""
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        ax.plot([], [], color=shade, label=f"{label}: not reached")
        return
    share = np.arange(len(known) + 1) / len(values)
    ax.step(np.append(known[:1], known), share, where="post", color=shade, label=label)
