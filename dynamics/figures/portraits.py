"""The figure of a Portrait: stream lines, nullclines, critical points typed by marker and colour, runs."""

from __future__ import annotations

import itertools
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dynamics.figures.style import COLOURS, house_style, plain
from dynamics.runs.portraits import PointKind, Portrait

INK = "0.15"
SHORT = 14  # characters
CHARACTER = 0.02  # share of the axis that one of a name takes
STYLES: list[dict[str, Any]] = [  # of runs, one after the other
    {"color": "#009E73", "lw": 2.2},
    {"color": "#CC79A7", "lw": 2.2, "ls": (0, (5, 2))},
    {"color": "#E69F00", "lw": 2.2, "ls": (0, (1, 1))},
]
LABEL = {"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75}
STILL: Any = (0, (3, 2))  # dashes of a nullcline


def draw(portrait: Portrait) -> Figure:
    """One panel with its legend above."""
    with house_style():
        figure, panel = plt.subplots(figsize=(4.6, 4.9), layout="constrained")
        draw_portrait(panel, portrait)
        columns = 2 if max(map(len, portrait.modalities)) <= SHORT else 1  # two columns of long names are too wide
        handles = [h for h in legend(portrait) if columns == 2 or h.get_label() != " "]
        panel.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.01), ncols=columns, fontsize="small")
    return figure


def draw_portrait(ax: Axes, portrait: Portrait) -> None:
    """Everything but the legend."""
    x, y = portrait.axes
    across, up = portrait.velocity
    ax.streamplot(x, y, across, up, color="0.75", linewidth=0.7, arrowsize=0.7, density=1.1, zorder=1)
    for m, component, colour in zip(portrait.modalities, (across, up), COLOURS[:2], strict=True):
        draw_nullcline(ax, x, y, component, colour)
        if m in portrait.barriers:  # its weight is zero there and stays so: no sign changes
            line = ax.axvline if m == portrait.modalities[0] else ax.axhline
            line(0.0, color=colour, ls=STILL, lw=1.2, zorder=2)
    styles = _styles(portrait)
    for path, label in zip(portrait.paths, portrait.labels, strict=True):
        ax.plot(*path.T, zorder=3, **styles[label])
        _arrow(ax, path, styles[label]["color"])
    draw_points(ax, portrait)
    one, two = portrait.modalities
    unit = " / unimodal" if portrait.alone else ""
    ax.set_xlabel(f"total weight of {plain(one)}{unit}" + (f"\n({portrait.note})" if portrait.note else ""))
    ax.set_ylabel(f"total weight of {plain(two)}{unit}")


def draw_points(ax: Axes, portrait: Portrait) -> None:
    """The critical manifolds with their names, and nothing beyond the plane."""
    colours = {f"M_{m}": shade for m, shade in zip(portrait.modalities, COLOURS[:2], strict=True)}
    x, y = portrait.axes
    for point in portrait.points:
        ax.plot(*point.position, **_marker(point.kind, colours.get(point.name, INK)), zorder=4)
        left = point.position[0] + CHARACTER * len(point.name) * (x[-1] - x[0]) > x[-1]  # where it would run out
        ax.annotate(
            _name(point.name), point.position, (-7 if left else 7, 6), textcoords="offset points", zorder=5, bbox=LABEL,
            ha="right" if left else "left",
        )  # fmt: skip
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])


def legend(portrait: Portrait) -> list[Line2D]:
    """Handles for what the panel shows, in two columns of one length: points, then lines."""
    kinds = {point.kind for point in portrait.points}
    points = [Line2D([], [], ls="", **_marker(k, INK), label=k.value) for k in reversed(PointKind) if k in kinds]
    lines = [
        Line2D([], [], color=colour, ls=STILL, lw=1.2, label=f"{plain(m)} stands still")
        for m, colour in zip(portrait.modalities, COLOURS[:2], strict=True)
    ]
    lines += [Line2D([], [], label=label, **style) for label, style in _styles(portrait).items()]
    blank = [Line2D([], [], ls="", label=" ")]
    return points + blank * (len(lines) - len(points)) + lines + blank * (len(points) - len(lines))


def _styles(portrait: Portrait) -> dict[str, dict[str, Any]]:
    """Runs with the same label are drawn alike."""
    return dict(zip(dict.fromkeys(portrait.labels), itertools.cycle(STYLES)))


def _name(name: str) -> str:
    """A manifold's name with a subscript, which only letters and digits make without a fault."""
    inner = name.removeprefix("M_")
    if inner == "*":
        return r"$\mathcal{M}_{*}$"
    fine = inner.isascii() and inner.isalnum()
    return rf"$\mathcal{{M}}_{{\mathrm{{{inner}}}}}$" if fine else rf"$\mathcal{{M}}$ {plain(inner)}"


def _marker(kind: PointKind, colour: str) -> dict[str, Any]:
    if kind is PointKind.SADDLE:
        return {"marker": "X", "ms": 10, "mfc": colour, "mec": "white", "color": colour}
    shape, fill = "s" if kind is PointKind.REST else "o", "white" if kind is PointKind.SOURCE else INK
    return {"marker": shape, "ms": 9, "mfc": fill, "mec": INK, "mew": 1.5, "color": INK}


def draw_nullcline(ax: Axes, x: np.ndarray, y: np.ndarray, component: np.ndarray, colour: str) -> None:
    """Where one weight stands still; the sign of its velocity changes there."""
    if np.any(component > 0) and np.any(component < 0):
        ax.contour(x, y, component, levels=[0.0], colors=[colour], linestyles=[STILL], linewidths=1.2, zorder=2)


def _arrow(ax: Axes, path: np.ndarray, colour: str) -> None:
    """Two arrows along a run."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    if length[-1] == 0:
        return
    for share in (0.3, 0.75):
        at = length[-1] * np.array([share, share + 0.02])
        tail, head = np.column_stack([np.interp(at, length, path[:, 0]), np.interp(at, length, path[:, 1])]).tolist()
        ax.annotate("", head, tail, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2}, zorder=3)
