"""The figure of one problem under several optimizers: what each modality puts out, step by step."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dynamics.figures.style import colour, house_style, plain
from dynamics.prediction.optimizers import ByOptimizer, last_half
from dynamics.runs.plateaus import size_of_output

SHOWN = 1.6  # of the last half-time


def draw(found: ByOptimizer, narrow: bool = False) -> Figure:
    """A panel an optimizer, on its own steps; one below the other where it is `narrow`."""
    count = len(found.runs)
    size = (4.6, 0.8 + 2.0 * count) if narrow else (1.2 + 2.5 * count, 3.0)
    rows = (count, 1) if narrow else (1, count)
    with house_style():
        figure, axes = plt.subplots(*rows, figsize=size, sharey=True, layout="constrained", squeeze=False)
        for ax, name in zip(axes.flat, found.runs, strict=True):
            draw_run(ax, found, name)
        axes.flat[count // 2 if narrow else 0].set_ylabel("output of each modality,\nshare of the best fit's size")
        handles = [Line2D([], [], color=colour(i), lw=2) for i, _ in enumerate(found.data.modalities)]
        handles.append(Line2D([], [], color="0.3", marker="o", ls=""))
        labels = [*(plain(m) for m in found.data.modalities), "half of it"]
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize="small")
    return figure


def draw_run(ax: Axes, found: ByOptimizer, name: str) -> None:
    """Root mean square of W_m x_m over that of the regression on everything; dots where half of it is learned."""
    run, data, steps = found.runs[name], found.data, found.steps(name)
    clock, last = run.t / found.rate(name), last_half(found, name)
    target = np.atleast_2d(data.sigma_yx)
    best = math.sqrt(float(np.sum(np.atleast_2d(data.optimum) * target))) or 1.0
    for i, m in enumerate(data.modalities):
        size = size_of_output(data, m, run.total[m].reshape(len(clock), data.outputs, -1)) / best
        ax.plot(clock, size, color=colour(i), lw=2)
        if math.isfinite(steps[m]):
            ax.plot(steps[m], np.interp(steps[m], clock, size), "o", color=colour(i), ms=6, zorder=3, clip_on=False)
    ax.set_xlim(0, min(SHOWN * last, float(clock[-1])) if math.isfinite(last) else float(clock[-1]))
    ax.set_ylim(bottom=0)
    ax.set_title(f"{name}\n{plain(run.order[0])} first", fontsize="medium")
    ax.set_xlabel(f"steps, rate {found.rate(name):.2g}")
