"""The figure of Modes: which singular direction of Sigma_yx is learned when, from whose inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dynamics.figures.style import colour, house_style, legend_above, plain
from dynamics.runs.half_times import Status
from dynamics.runs.modes import Modes

MOST_ROWS = 20  # modes of a modality that are drawn
WIDE = 20.0  # times that differ by more than this factor are drawn on a logarithmic axis


def draw(modes: Modes) -> Figure:
    """One panel: `draw_modes`."""
    with house_style():
        figure, ax = plt.subplots(figsize=(5.6, height(modes)), layout="constrained")
        draw_modes(ax, modes)
    return figure


def height(modes: Modes) -> float:
    """Inches of a panel."""
    return 1.4 + 0.24 * min(max((row.number for row in modes), default=0), MOST_ROWS)


def draw_modes(ax: Axes, modes: Modes, order: Sequence[str] = ()) -> None:
    """A line a mode, by its number; a dot where half of it is learned, in the colour of the modality.

    order : modalities in the order of their colours; without it that of their first modes
    """
    rows = [row for row in modes if row.number <= MOST_ROWS]
    names = list(dict.fromkeys([*order, *(row.modality for row in rows)]))
    learned = [row for row in rows if row.status is Status.REACHED and 0 < row.time < math.inf]
    for number in {row.number for row in rows}:
        ax.axhline(number, color="0.92", lw=0.8, zorder=0)
    for i, m in enumerate(names):
        own = [row for row in learned if row.modality == m]
        at = [row.number + 0.14 * (i - (len(names) - 1) / 2) for row in own]  # none hides another
        ax.plot([row.time for row in own], at, "o", color=colour(i), ms=5.5, label=plain(m), zorder=3)
    times = [row.time for row in learned]
    if times and max(times) > WIDE * min(times):
        ax.set_xscale("log")
    else:
        ax.set_xlim(left=0)
    late = len(rows) - len(learned)
    ax.set_xlabel(r"half of the mode is there [$\tau$]" + (f"; {late} not learned by then" if late else ""))
    ax.set_ylabel(r"mode of $\Sigma_{yx}$")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.invert_yaxis()
    ax.margins(x=0.06, y=0.06)
    if names:
        legend_above(ax, min(len(names), 4))
