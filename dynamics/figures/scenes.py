"""The picture of a Scene: loss, total weights, phase portrait and time line, drawn in some tens of milliseconds.

Layout is fixed and the field is arrows: stream lines and a layout engine take longer than all the rest.
"""

from __future__ import annotations

import io
import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dynamics.figures.portraits import draw_nullcline, draw_points
from dynamics.figures.style import COLOURS, colour, house_style, plain
from dynamics.figures.trajectories import until
from dynamics.prediction.estimates import Estimate
from dynamics.prediction.scenes import Scene
from dynamics.runs.portraits import Portrait
from dynamics.runs.trajectory import Trajectory
from dynamics.starts.start import StartKind

LOOKS: dict[str, dict[str, Any]] = {"random": {"lw": 1.8}, "aligned": {"lw": 1.6, "ls": (0, (4, 2))}}
SIZE = (8.4, 5.2)  # inches
DPI = 88
TIME = r"time [$\tau$]"


def blank() -> Figure:
    """A figure with four empty axes that no window and no notebook shows by itself."""
    figure = Figure(figsize=SIZE, dpi=DPI)
    FigureCanvasAgg(figure)  # one renderer for all updates: it keeps the layout of text
    _lay_out(figure)
    return figure


def draw(scene: Scene) -> Figure:
    """A figure of its own."""
    figure = plt.figure(figsize=SIZE, dpi=DPI)
    _lay_out(figure)
    draw_on(figure, scene)
    return figure


def _lay_out(figure: Figure) -> None:
    """What stays from one scene to the next: making axes takes longer than filling them."""
    with house_style():
        (loss, plane), (weights, phases) = figure.subplots(2, 2, width_ratios=[1.25, 1.0])
        figure.subplots_adjust(0.075, 0.1, 0.985, 0.91, 0.24, 0.34)
        loss.set_ylabel("loss")
        weights.set_xlabel(TIME)
        phases.set_xlabel(f"half-{TIME}; bar: one modality alone", fontsize="small")
        phases.set_ylim(2.5, -0.6)
        for ax in (loss, plane, weights, phases):
            ax.locator_params(nbins=5)
        phases.set_yticks(range(3), ["law", "aligned", "random"], fontsize="small")
        figure.text(0.5, 0.5, "", ha="center", va="center", wrap=True)


def draw_on(figure: Figure, scene: Scene) -> None:
    """Put a scene into a figure from `blank`."""
    loss, plane, weights, phases = figure.axes
    for ax in figure.axes:
        ax.set_visible(scene.data is not None)
        for artist in (*ax.lines, *ax.collections, *ax.patches, *ax.texts):
            artist.remove()
    figure.texts[0].set_text("" if scene.data is not None else "\n".join(scene.messages))
    if scene.data is None:
        return
    runs = {name: run for name in LOOKS if (run := getattr(scene, name)) is not None}
    end = max((_end(run) for run in runs.values()), default=1.0)
    for i, (name, run) in enumerate(runs.items()):
        t, values = until(run, run.loss, end)
        loss.plot(t, values, color="0.25", **LOOKS[name])
        for j, m in enumerate(run.total):
            size = run.total[m][:, 0] if run.total[m].shape[1] == 1 else run.norms[m]
            weights.plot(*until(run, size, end), color=colour(j), **LOOKS[name])
        loss.plot([0.02 + 0.36 * i, 0.09 + 0.36 * i], [1.08, 1.08], color="0.25", clip_on=False,
                  transform=loss.transAxes, **LOOKS[name])  # fmt: skip
        loss.text(0.11 + 0.36 * i, 1.08, f"{name} start", va="center", fontsize="small", transform=loss.transAxes)
    for name, run in list(runs.items())[:1]:  # of several outputs: ticks where modes are half there
        if len(run.modes):
            loss.text(0.78, 1.08, f"ticks: modes, {name}", va="center", fontsize="small", transform=loss.transAxes)
        for row in run.modes:
            if row.time < end:
                mark = colour(list(run.total).index(row.modality))
                loss.axvline(row.time, ymax=0.05, color=mark, lw=1.2)
    weights.axhline(0, color="0.8", lw=0.7, zorder=0)
    left = 0.02
    for j, m in enumerate(scene.data.modalities):
        weights.text(left, 1.04, plain(m), color=colour(j), weight="bold", transform=weights.transAxes)
        left += 0.07 + 0.025 * len(plain(m))
    several = any(size > 1 for size in scene.data.sizes.values())
    weights.set_ylabel("norm of total weights" if several else "total weights")
    for ax in (loss, weights):
        ax.relim()
        ax.autoscale(axis="y")
        ax.set_xlim(0, end)
    loss.set_ylim(bottom=0)
    plane.set_visible(scene.plane is not None)
    if scene.plane is not None:
        draw_plane(plane, scene.plane)
        first, second = map(plain, scene.plane.modalities)
        unit = ", 1 = alone" if scene.plane.alone else ""
        plane.set_xlabel(f"weight of {first}{unit}", labelpad=1, fontsize="small")
        plane.set_ylabel(f"weight of {second}{unit}", labelpad=1, fontsize="small")
    draw_phases(phases, scene, end)


def draw_plane(ax: Axes, plane: Portrait) -> None:
    """Directions as arrows, nullclines, critical points and runs."""
    x, y = plane.axes
    across, up = plane.velocity
    speed = np.hypot(across, up)
    speed[speed == 0] = 1.0
    ax.quiver(x, y, across / speed, up / speed, color="0.8", scale=28, width=0.004, pivot="mid", zorder=1)
    for component, shade in zip((across, up), COLOURS[:2], strict=True):
        draw_nullcline(ax, x, y, component, shade)
    for path, start in zip(plane.paths, plane.starts, strict=True):
        look = LOOKS["aligned" if start == StartKind.ALIGNED else "random"]
        ax.plot(*path.T, color="#009E73", zorder=3, **look)
    draw_points(ax, plane)


def draw_phases(ax: Axes, scene: Scene, end: float) -> None:
    """One row a road: half-times as dots, the phase between them as a bar."""
    rows = {"law": scene.law, "aligned": scene.aligned, "random": scene.random}
    for y, (name, found) in enumerate(rows.items()):
        if found is None:
            ax.text(0.5, y, f"no {name}" if name == "law" else f"no {name} start", ha="center", va="center",
                    fontsize="small", transform=ax.get_yaxis_transform())  # fmt: skip
            continue
        first, second = found.order[0], found.order[-1]
        begin, alone_until = found.times[first], found.times[second]
        if math.isfinite(begin) and alone_until > begin and not scene.network.is_early_fusion:
            ax.barh(y, min(alone_until, 1e3 * end) - begin, left=begin, height=0.42, color="0.88", zorder=1)
        for i, m in enumerate(found.times):
            if math.isfinite(found.times[m]):
                ax.plot(found.times[m], y, "o", color=colour(i), ms=6, zorder=3)
        start = " (random)" if isinstance(found, Estimate) and found.start is StartKind.RANDOM else ""
        late = [f"{m} {found.status[m].value}" for m in found.order if not math.isfinite(found.times[m])]
        ratio = ", ".join(late) or (f"ratio {found.ratio:.3g}" if math.isfinite(found.ratio) else "")
        ratio += start
        ax.text(0.995, y - 0.36, ratio, ha="right", va="center", fontsize="small", transform=ax.get_yaxis_transform())
    ax.set_xlim(0, end)


def picture_of(figure: Figure) -> bytes:
    """PNG, packed little: packing takes longer than drawing."""
    stream = io.BytesIO()
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.print_png(stream, pil_kwargs={"compress_level": 1})
    return stream.getvalue()


def _end(run: Trajectory) -> float:
    """Well past the last half-time."""
    known = [t for t in run.times.values() if 0 < t < math.inf]
    return max(min(1.5 * max(known), float(run.t[-1])), 1.06 * max(known)) if known else float(run.t[-1])
