"""The figure of a Comparison: loss, total weights and the unimodal phase for each fusion depth, on time axes in tau."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dynamics.figures.style import colour, house_style, plain
from dynamics.figures.trajectories import horizon, until
from dynamics.prediction.comparison import Comparison
from dynamics.runs.trajectory import Trajectory

PHASE = "0.9"
THREE_COLUMNS = 5.0  # inches that the legend takes side by side
ONE_LINE = 2.0  # inches that the name of the phase takes
THIN: dict[str, Any] = {"lw": 0.7, "alpha": 0.6}
DASHED: dict[str, Any] = {"ls": (0, (4, 2)), "lw": 1.8}


def draw(comparison: Comparison) -> Figure:
    """Loss above, |W_m| below on one time axis, the strip over fusion depths at the bottom.

    Solid: full gradient flow; thin: gradient descent, one line a seed; dashed: reduced flow (aligned
    start). Ticks on top: half-times of the leading law. Shaded: the unimodal phase of the gradient flow,
    from half of the first modality's output to half of the second one's (for scalar inputs: half-times).
    """
    with house_style():
        depths = comparison.fusion_depths
        ratios = [1.0, 1.3] + ([0.25 + 0.17 * len(depths)] if len(depths) > 1 else [])
        figure, axes = plt.subplots(
            len(ratios), 1, figsize=(7.2, 1.9 * sum(ratios) + 1.0), height_ratios=ratios, layout="constrained"
        )
        draw_timed(axes[0], comparison, draw_loss)
        draw_timed(axes[1], comparison, draw_weights)
        axes[0].tick_params(labelbottom=False)
        if len(depths) > 1:
            draw_fusion_depths(axes[2], comparison)
    return figure


def draw_timed(ax: Axes, comparison: Comparison, draw_on: Callable[[Axes, Comparison], None]) -> None:
    """`draw_loss` or `draw_weights` up to the end of what there is to see, with the unimodal phase shaded."""
    limit = _end(comparison)
    draw_on(ax, comparison)
    span = phase(comparison)
    if span is not None:
        ax.axvspan(span[0], min(span[1], limit), color=PHASE, zorder=0, lw=0)
    ax.set_xlim(0, limit)
    if draw_on is draw_loss:
        _name_phase(ax, comparison, limit)
    else:
        _law_ticks(ax, comparison, limit)


def _end(comparison: Comparison) -> float:
    return horizon(*(run for run, _ in _runs(comparison)))


def _runs(comparison: Comparison) -> list[tuple[Trajectory, dict[str, Any]]]:
    """Runs with their line styles, faint ones first."""
    styled: list[tuple[Trajectory, dict[str, Any]]] = [(run, THIN) for run in comparison.descents]
    styled.append((comparison.shown, {}))
    return styled + ([(comparison.reduced, DASHED)] if comparison.reduced is not None else [])


def draw_loss(ax: Axes, comparison: Comparison) -> None:
    end = _end(comparison)
    for run, style in _runs(comparison):
        ax.plot(*until(run, run.loss, end), color="0.25", **style)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(
        "mean logistic\nloss" if comparison.prediction.recipe.has_labels else "loss (half mean\nsquared error)"
    )
    solid = "gradient flow" if comparison.flows else comparison.steps
    shown = {f"{solid}, seed {comparison.shown.provenance.get('seed', '-')}": Line2D([], [], color="0.25")}
    if comparison.descents:
        count = len(comparison.descents)
        shown[f"{comparison.steps}, {count} seed{'' if count == 1 else 's'}"] = Line2D([], [], color="0.25", **THIN)
    if comparison.reduced is not None:
        start = "aligned" if comparison.flows else "typical"
        shown[f"{comparison.reduced_road}, {start} start"] = Line2D([], [], color="0.25", **DASHED)
    columns = 3 if ax.bbox.width / ax.figure.dpi > THREE_COLUMNS else 1
    ax.legend(
        shown.values(), shown.keys(), loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, fontsize="small"
    )


def draw_weights(ax: Axes, comparison: Comparison) -> None:
    colours = _colours(comparison)
    end = _end(comparison)  # slow directions go on growing beyond the axis
    for run, style in _runs(comparison):
        for m, norm in run.norms.items():
            ax.plot(*until(run, norm, end), color=colours[m], **style)
    seen = [float(np.max(norm[run.t <= end])) for run, _ in _runs(comparison) for norm in run.norms.values()]
    ax.set_ylim(0, 1.3 * max(*seen, 1e-300))
    for m, norm in comparison.shown.norms.items():
        shown = float(np.interp(end, comparison.shown.t, norm))
        if abs(norm[-1] - shown) > 0.1 * norm[-1]:  # what the axis cuts off is said
            text = f"grows on,\nto {norm[-1]:.2g} by\nt = {comparison.shown.t[-1]:.0f}"
            beside = ax.get_yaxis_transform()  # share of the axes along, data up
            ax.annotate(text, (1.005, shown), xycoords=beside, color=colours[m], fontsize="small", va="center")
    ax.set_ylabel("norm of the\ntotal weights |W|")
    ax.set_xlabel(r"time [$\tau$ = 1/learning rate]")
    handles = [Line2D([], [], color=colours[m], lw=2) for m in colours]
    ax.legend(handles, [f"|W| of {plain(m)}" for m in colours], loc="best", fontsize="small")


def draw_fusion_depths(ax: Axes, comparison: Comparison) -> None:
    """One bar a fusion depth, from half of the first modality's output to half of the second one's."""
    order, colours = comparison.prediction.order, _colours(comparison)
    first, second = order[0], order[min(1, len(order) - 1)]
    own = next(iter(comparison.prediction.network.depths.values()))
    latest = 0.0
    for depth, run in comparison.fusion_depths.items():
        begin, end = run.times[first], run.times[second]
        if depth > 1 and math.isfinite(end):
            shade = "0.75" if depth == own else PHASE
            ax.barh(depth, end - begin, left=begin, height=0.62, color=shade, edgecolor="0.5", lw=0.8)
        elif math.isfinite(end):  # early fusion: no state with a single modality, only two speeds
            ax.plot([begin, end], [depth, depth], color="0.5", lw=0.8)
        for m in order:
            if math.isfinite(run.times[m]):
                ax.plot(run.times[m], depth, "o", color=colours[m], ms=5, zorder=3)
                latest = max(latest, run.times[m])
            else:
                text = f"{plain(m)}: {run.status[m].value}"
                ax.annotate(text, (begin, depth), xytext=(8, -3), textcoords="offset points", fontsize="small")
    earliest = min(min(run.times.values()) for run in comparison.fusion_depths.values())
    if latest > 20 * earliest > 0:
        ax.set_xscale("log")
        ax.set_xlim(0.8 * earliest, 1.25 * latest)
    else:
        ax.set_xlim(left=0)
    count = len(comparison.fusion_depths)
    ax.set_yticks(
        range(1, count + 1), [_depth_name(d, count) + ("  *" if d == own else "") for d in range(1, count + 1)]
    )
    ax.set_ylim(0.4, count + 0.6)
    ax.set_xlabel(r"time [$\tau$], reduced flow, aligned start")
    ax.set_title(
        "Fused at another layer (own time scale): dots where half of each output is there, bar between the two",
        fontsize="small",
    )


def _depth_name(depth: int, total: int) -> str:
    kind = "early" if depth == 1 else "late" if depth == total else "intermediate"
    return f"{kind}, $L_f$ = {depth}"


def _colours(comparison: Comparison) -> dict[str, str]:
    return {m: colour(i) for i, m in enumerate(comparison.prediction.order)}


def phase(comparison: Comparison) -> tuple[float, float] | None:
    """Of the gradient flow drawn, from half of the first output to half of the second one's: where it visits the first
    one alone, its unimodal phase."""
    run = comparison.shown
    if comparison.prediction.network.is_early_fusion:
        return None
    order = comparison.prediction.order
    begin, end = run.times[order[0]], run.times[order[min(1, len(order) - 1)]]
    return (begin, end) if math.isfinite(begin) and begin < end else None


def _name_phase(ax: Axes, comparison: Comparison, limit: float) -> None:
    """Name the shaded phase where the loss leaves room."""
    span = phase(comparison)
    if span is None:
        return
    end = min(span[1], limit)
    middle = (span[0] + end) / 2
    wide = (end - span[0]) / limit * ax.bbox.width / ax.figure.dpi > ONE_LINE
    first, run = comparison.prediction.order[0], comparison.shown
    seed = f"seed {run.provenance.get('seed', '-')}"
    if any(visit.name == f"M_{first}" for visit in run.itinerary):
        lines = [f"only {plain(first)}", "(unimodal phase", f"of {seed})"]
    else:
        lines = ["from half of", "one to half of", f"the other, {seed}"]
    inside = (run.t >= span[0]) & (run.t <= end)
    low = np.mean(run.loss[inside]) < 0.5 * ax.get_ylim()[1] if np.any(inside) else True
    ax.annotate(
        " ".join(lines) if wide else "\n".join(lines), (middle, 0.97 if low else 0.04),
        xycoords=("data", "axes fraction"), ha="center", va="top" if low else "bottom", fontsize="small",
    )  # fmt: skip


def _law_ticks(ax: Axes, comparison: Comparison, limit: float) -> None:
    leading = comparison.prediction.leading
    if leading is None:
        return
    colours = _colours(comparison)
    shown = {m: t for m, t in leading.times.items() if t <= limit}
    up = ax.get_xaxis_transform()  # data along, share of the axes up
    for m, t in shown.items():
        ax.plot([t, t], [0.93, 1.0], color=colours[m], lw=3, transform=up, solid_capstyle="butt")
    if shown:
        at, text = (float(np.mean([*shown.values()])), 1.01), f"law {leading.equations} predicts"
        ax.annotate(text, at, xycoords=up, ha="center", va="bottom", fontsize="small")
