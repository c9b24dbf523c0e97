"""Figures of a Prediction: half-times by each road, and what the first modality gets wrong while it is alone."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dynamics.figures.style import colour, house_style, legend_above, plain
from dynamics.prediction.estimates import Estimate
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.words import labelled
from dynamics.runs.half_times import Status

MOST_BARS = 14  # columns of a modality that are drawn
WIDE = 20.0  # times that differ by more than this factor are drawn on a logarithmic axis


def draw(prediction: Prediction) -> Figure:
    """One panel: `draw_roads`."""
    with house_style():
        figure, ax = plt.subplots(figsize=(5.6, 1.5 + 0.5 * len(roads_of(prediction))), layout="constrained")
        draw_roads(ax, prediction)
    return figure


def draw_roads(ax: Axes, prediction: Prediction) -> None:
    """A line a road, from the first half-time to the last; equal dots stand beside each other.

    Bars are the estimated error; a dot is hollow where there is none to rely on.
    """
    roads = roads_of(prediction)
    known: list[float] = []
    for y, (_, estimate) in enumerate(roads):
        reached = [m for m in prediction.order if estimate.status[m] is Status.REACHED]
        times = {m: t for m in reached if 0 < (t := estimate.times[m]) < math.inf}
        known += times.values()
        if times:
            span = [min(times.values()), max(times.values())]
            ax.plot(span, [y, y], color="0.8", lw=5, solid_capstyle="butt", zorder=1)
        for m, time in times.items():
            bound, shade = estimate.bound.get(m, math.inf), colour(prediction.order.index(m))
            at = y + 0.11 * (prediction.order.index(m) - (len(prediction.order) - 1) / 2)  # none hides another
            ax.plot(time, at, "o", color=shade, mfc=shade if bound < 1 else "none", ms=6.5, zorder=3)
            if 0.01 < bound < 1:
                ax.plot([time * (1 - bound), time * (1 + bound)], [at, at], color=shade, lw=1.3, marker="|", zorder=2)
        missing = [f"{plain(m)} {estimate.status[m].value}" for m in prediction.order if m not in reached]
        if missing:
            ax.annotate(
                "; ".join(missing), (0.99, y), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                xytext=(0, 4), textcoords="offset points", fontsize="small",
            )  # fmt: skip
    ax.set_yticks(range(len(roads)), [f"{name}{' *' if name == prediction.source else ''}\n{e.assumes}"
                                      for name, e in roads], fontsize="small")  # fmt: skip
    ax.set_ylim(len(roads) - 0.5, -0.5)
    if known and max(known) > WIDE * min(known):
        ax.set_xscale("log")
    else:
        ax.set_xlim(left=0)
    ax.margins(x=0.08)
    ax.set_xlabel(r"half of its output is there [$\tau$]")
    handles = [
        Line2D([], [], ls="", marker="o", color=colour(i), label=plain(m)) for i, m in enumerate(prediction.order)
    ]
    hollow = Line2D([], [], ls="", marker="o", color="0.4", mfc="none", label="no useful bound")
    legend_above(ax, 2, [*handles, hollow])


def roads_of(prediction: Prediction) -> list[tuple[str, Estimate]]:
    """What there is to draw, a line each."""
    found = [(name, getattr(prediction, name)) for name in ("leading", "refined", "reduced", "ensemble")]
    return [(name, estimate) for name, estimate in found if estimate is not None]


def draw_misattribution(ax: Axes, prediction: Prediction, alone: np.ndarray, final: np.ndarray) -> None:
    """Weights of the first modality, column by column: while it is alone, and in the end.

    Parameters
    ----------
    alone, final : (d,) or (outputs, d)
    """
    first = prediction.order[0]
    names, (before, after) = labelled(prediction.columns[first], alone, final)
    if len(names) > MOST_BARS:  # those that change most, in their own order
        kept = np.sort(np.argsort(-np.abs(before - after))[:MOST_BARS])
        names, before, after = [names[i] for i in kept], before[kept], after[kept]
    rows = np.arange(len(names))
    for y, a, b in zip(rows, before, after, strict=True):
        ax.plot([a, b], [y, y], color="0.8", lw=4, solid_capstyle="butt", zorder=1)
    ax.plot(before, rows, "o", color=colour(0), ms=7, label="alone", zorder=3)
    ax.plot(after, rows, "D", color="0.35", mfc="none", ms=6, label="in the end", zorder=4)
    ax.axvline(0, color="0.6", lw=0.8, zorder=0)
    ax.set_yticks(rows, [plain(n) for n in names], fontsize="small")
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel(f"weight of {plain(first)}")
    legend_above(ax)
