"""The figure of a Reproduction: its panels, and the caption below them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from dynamics.figures.schematics import draw_schematic
from dynamics.figures.style import colour, house_style
from dynamics.paper.panels import Panel, PhasePlane, Pictures, Plot, Role, Schematic, Series
from dynamics.paper.reproduction import Reproduction

INK = "0.1"
CELL = (2.05, 2.75)  # inches a letter of the layout
PANEL_COLUMNS = 3.4  # inches of a panel that is one letter wide, where all are
STYLES: dict[Role, dict[str, Any]] = {
    Role.LAW: {"lw": 1.6},
    Role.SECOND_LAW: {"lw": 1.4, "ls": (0, (5, 2)), "zorder": 4},
    Role.PRINTED: {"lw": 1.4, "ls": (0, (1, 1.2)), "zorder": 5},
    Role.RUN: {"lw": 1.2},
    Role.LEVEL: {"lw": 1.2, "ls": (0, (1, 1.5))},
    Role.TIME: {"lw": 1.2, "ls": (0, (1, 1.5))},
    Role.FLOW: {"ls": "", "marker": "o", "ms": 4.5, "mfc": "none"},
    Role.DESCENT: {"ls": "", "marker": "s", "ms": 4.0, "mfc": "none"},
    Role.RELU: {"ls": "", "marker": "x", "ms": 4.5},
}
UNITS: dict[str, Any] = {"s": 14, "linewidths": 0.3, "edgecolors": "0.3", "zorder": 3}
MARKS = (Role.FLOW, Role.DESCENT, Role.RELU)
LEGEND_LETTERS = 58  # of a row above a panel


def draw(reproduction: Reproduction) -> Figure:
    """All panels by their layout, letters at the corners, the caption below."""
    rows = reproduction.layout
    wide = max(len(row) for row in rows)
    letters = len({c for c in rows[0] if c != "."})
    width = max(PANEL_COLUMNS * letters, CELL[0] * wide * 0.75)
    with house_style():
        text = "\n".join(textwrap.wrap(reproduction.caption, int(22 * width)))
        height = CELL[1] * 1.12 * len(rows) + 0.14 * (text.count("\n") + 1)
        figure = plt.figure(figsize=(width, height), layout="constrained")
        axes = figure.subplot_mosaic("\n".join(rows))
        for letter, panel in reproduction.panels.items():
            draw_panel(axes[letter], panel)
            _title(axes[letter], f"({letter}) {panel.title}")
        figure.supxlabel(text, x=0.01, ha="left", fontsize="x-small", color="0.25")
    return figure


def draw_panel(ax: Axes, panel: Panel) -> None:
    """One panel with its legend, without its title."""
    match panel:
        case Schematic():
            draw_schematic(ax, panel.network)
        case PhasePlane():
            panel.portrait.draw_on(ax)
        case Pictures():
            draw_pictures(ax, panel)
        case Plot():
            draw_plot(ax, panel)


def draw_pictures(ax: Axes, panel: Pictures) -> None:
    """All on one grey scale, with a gap between them."""
    rows, columns, side, _ = panel.images.shape
    low, high = float(panel.images.min()), float(panel.images.max())
    whole = np.full((rows * (side + 1) - 1, columns * (side + 1) - 1), high)
    for row, column in np.ndindex(rows, columns):
        y, x = row * (side + 1), column * (side + 1)
        whole[y : y + side, x : x + side] = panel.images[row, column]
    ax.imshow(whole, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([row * (side + 1) + side / 2 for row in range(rows)], panel.names)


def draw_plot(ax: Axes, panel: Plot) -> None:
    for series in panel.series:
        _draw_series(ax, series, panel.shade_label)
    ax.set_xlabel(panel.x_label)
    ax.set_ylabel(panel.y_label)
    for axis, scale, is_log in ((ax.xaxis, ax.set_xscale, panel.x_log), (ax.yaxis, ax.set_yscale, panel.y_log)):
        if is_log:
            scale("log")
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(NullLocator())
    handles = _handles(panel)
    if handles:
        columns = _columns([str(handle.get_label()) for handle in handles])
        ax.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, fontsize="x-small",
            borderaxespad=0.1, columnspacing=1.0, handlelength=1.8,
        )  # fmt: skip


def _colour(series: Series) -> str:
    return INK if series.hue is None else colour(series.hue)


def _draw_series(ax: Axes, series: Series, shade_label: str) -> None:
    style, shown = STYLES.get(series.role, {}), _colour(series)
    match series.role:
        case Role.LEVEL if np.isfinite(series.x[0]):  # a word at a point
            ax.annotate(series.note, (series.x[0], series.y[0]), ha="center", va="center", fontsize="medium")
        case Role.LEVEL:
            ax.axhline(series.y[0], color=shown, zorder=1, **style)
        case Role.TIME:
            ax.axvline(series.x[0], color=shown, zorder=1, **style)
        case Role.ARROW:
            head = (series.x[-1], series.y[-1])
            look = {"arrowstyle": "-|>", "color": shown, "lw": 2}
            ax.annotate("", head, (series.x[0], series.y[0]), arrowprops=look)
            ax.plot(series.x, series.y, alpha=0.0)  # an arrow does not stretch the axes
        case Role.REGION:
            ax.fill(series.x, series.y, color=shown, alpha=0.2, lw=0)
        case Role.UNITS:
            if series.shade is None:
                ax.scatter(series.x, series.y, color=shown, **UNITS)
            else:
                drawn = ax.scatter(series.x, series.y, c=series.shade, cmap="viridis", **UNITS)
                ax.figure.colorbar(drawn, ax=ax, label=shade_label, shrink=0.9)
        case role if role in MARKS and series.spread is not None:
            ax.errorbar(series.x, series.y, series.spread, color=shown, elinewidth=0.9, zorder=3, **style)
        case _:
            ax.plot(series.x, series.y, color=shown, **style)


def _handles(panel: Plot) -> list[Line2D]:
    """What has a name, and a key to marks and dashes that stand without one."""
    found = []
    for s in panel.series:
        if s.label:
            style = STYLES.get(s.role, {"lw": 6, "alpha": 0.2} if s.role is Role.REGION else {"lw": 2})
            if s.role is Role.UNITS:
                style = {"ls": "", "marker": "o", "ms": 4}
            found.append(Line2D([], [], color=_colour(s), label=s.label, **style))
    names = {role: role.value for role in MARKS} | dict(panel.keys)
    unnamed = dict.fromkeys(s.role for s in panel.series if not s.label and np.any(np.isfinite(s.y)))
    labelled = {s.role for s in panel.series if s.label}
    roles = [role for role in unnamed if role in names and role not in labelled]
    return found + [Line2D([], [], color="0.35", label=names[role], **STYLES[role]) for role in roles]


def _columns(names: Sequence[str]) -> int:
    """As many as fit above a panel."""
    letters = (re.sub(r"\\mathrm|\\mathcal|[${}^_]", "", name) for name in names)
    longest = max(len(re.sub(r"\\[a-zA-Z]+", "x", text)) for text in letters) + 5
    return max(1, min(len(names), 3, LEGEND_LETTERS // longest))


def _title(ax: Axes, text: str) -> None:
    """Above the legend."""
    legend = ax.get_legend()
    names = [text.get_text() for text in legend.get_texts()] if legend is not None else []
    rows = -(-len(names) // _columns(names)) if names else 0
    ax.set_title(text, pad=5 + 12.5 * rows, fontsize="medium")
