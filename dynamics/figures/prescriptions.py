"""The figure of a Prescription: what every fusion depth and every rescaling does."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynamics.figures.style import colour, house_style, legend_above, plain
from dynamics.prediction.prescription import Prescription

WIDE = 20.0  # times that differ by more than this factor are drawn on a logarithmic axis


def draw(prescription: Prescription) -> Figure:
    """Left: half-times of first and last for every fusion depth. Right: the ratio over the factor of the block."""
    with house_style():
        figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.4), layout="constrained")
        draw_depths(axes[0], prescription)
        draw_rescaling(axes[1], prescription)
        figure.suptitle(f"{prescription.source}, {prescription.assumes}", fontsize="medium")
    return figure


def draw_depths(ax: Axes, prescription: Prescription) -> None:
    """The unimodal phase is the broad bar between the two."""
    options = [o for o in prescription.fusion_depths if np.isfinite(o.first) and np.isfinite(o.last)]
    depths = [o.value for o in options]
    for o in options:  # in early fusion no modality is alone: only two speeds
        thick = 1 if o.value == 1 else 6
        ax.plot([o.value, o.value], [o.first, o.last], color="0.8", linewidth=thick, zorder=0, solid_capstyle="butt")
    ax.plot(depths, [o.first for o in options], "o", color=colour(0), label=plain(prescription.order[0]))
    ax.plot(depths, [o.last for o in options], "s", color=colour(1), label=plain(prescription.order[-1]))
    for o in options:
        ax.annotate(f"{o.ratio:.3g}", (o.value, max(o.first, o.last)), (0, 6), textcoords="offset points", ha="center")
    ax.set_xticks(depths)
    ax.set_xlabel("fusion depth")
    ax.set_ylabel(r"half of its output is there [$\tau$]")
    seen = [t for o in options for t in (o.first, o.last)]
    if seen and max(seen) > WIDE * min(seen):
        ax.set_yscale("log")
    else:
        ax.set_ylim(0, 1.18 * max(seen, default=1.0))
    ax.margins(x=0.15, y=0.18)
    legend_above(ax)


def draw_rescaling(ax: Axes, prescription: Prescription) -> None:
    factors, ratios = (np.array(column) for column in zip(*prescription.sweep, strict=True))
    kept = np.isfinite(ratios) & (ratios > 0)
    ax.plot(factors[kept], ratios[kept], ".-", color="0.25")
    ax.axhline(prescription.wanted, color="0.6", linewidth=1, linestyle="--", label="wanted")
    change = prescription.rescale
    if np.isfinite(change.ratio):
        ax.plot(change.value, change.ratio, "D", color="black", label=plain(change.what))
    if np.isfinite(prescription.leading_factor):
        ax.axvline(prescription.leading_factor, color="0.6", linewidth=1, linestyle=":", label=r"equal $|\Sigma_{yx}|$")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel(f"factor of the columns of {plain(prescription.block)}")
    ax.set_ylabel(f"ratio, {plain(prescription.order[-1])} to {plain(prescription.order[0])}")
    legend_above(ax)
