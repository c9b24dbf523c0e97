"""The figure of an Ensemble: how half-times and their ratio spread over the random starts."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from dynamics.ensembles import Ensemble


def draw(ensemble: Ensemble) -> Figure:
    """Left: share of the members that have learned a modality by a time. Right: share with a ratio up to a value."""
    with as_file(files("dynamics.figures") / "fusion.mplstyle") as style, plt.style.context(str(style)):
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.0), sharey=True, layout="constrained")
        draw_times(axes[0], ensemble)
        draw_ratio(axes[1], ensemble)
        plt.close(figure)  # a notebook would show it twice
    return figure


def draw_times(ax: Axes, ensemble: Ensemble) -> None:
    cycle = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    for i, m in enumerate(ensemble.order):
        _steps(ax, ensemble.times[m], cycle[i % len(cycle)], m)
    reached = np.concatenate([t[np.isfinite(t)] for t in ensemble.times.values()])
    if len(reached) and np.min(reached) > 0 and np.max(reached) > 20 * np.min(reached):
        ax.set_xscale("log")
    ax.set_xlabel(r"half-time [$\tau$]")
    ax.set_ylabel("share of the members")
    ax.set_ylim(0, 1.02)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize="small")


def draw_ratio(ax: Axes, ensemble: Ensemble) -> None:
    mean, error = ensemble.mean_ratio
    label = f"mean {mean:.4g} $\\pm$ {error:.2g}" if np.isfinite(error) else "ratio"
    _steps(ax, ensemble.ratio, "0.25", label)
    first, last = ensemble.order[0], ensemble.order[-1]
    ax.set_xlabel(f"ratio of the half-times, {last} to {first}")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize="small")


def _steps(ax: Axes, values: np.ndarray, colour: str, label: str) -> None:
    """Empirical distribution; what is not reached keeps it below one."""
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        ax.plot([], [], color=colour, label=f"{label}: not reached")
        return
    share = np.arange(len(known) + 1) / len(values)
    ax.step(np.append(known[:1], known), share, where="post", color=colour, label=label)
