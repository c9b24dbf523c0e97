"""The pictures of a Report, one panel each, so that a phone shows them at a size that can be read."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynamics.figures import comparison, modes, optimizers, portraits, predictions, prescriptions, stopping
from dynamics.figures.style import house_style
from dynamics.interface.pages.findings import Report
from dynamics.interface.pages.svg import inline_svg

WIDTH = 4.6  # inches: 440 pixels


def pictures(report: Report) -> dict[str, str]:
    """Name -> inline SVG; what the report lacks is left out."""
    p = report.prediction
    with house_style():
        figures = {
            "roads": _panel(1.3 + 0.5 * len(predictions.roads_of(p)), lambda ax: predictions.draw_roads(ax, p)),
            "loss": _panel(2.9, lambda ax: _loss(ax, report)),
            "weights": _panel(2.9, lambda ax: comparison.draw_timed(ax, report.comparison, comparison.draw_weights)),
        }
        if len(p.modes):
            figures["modes"] = _panel(modes.height(p.modes), lambda ax: modes.draw_modes(ax, p.modes, p.order))
        change = report.prescription
        if change is not None:
            if change.fusion_depths:
                figures["depths"] = _panel(2.9, lambda ax: prescriptions.draw_depths(ax, change))
            figures["rescaling"] = _panel(3.1, lambda ax: prescriptions.draw_rescaling(ax, change))
        if not p.network.is_early_fusion and len(p.order) > 1:
            alone, final = report.weights["alone"], report.weights["final"]
            rows = min(final.size, predictions.MOST_BARS)
            figures["misattribution"] = _panel(
                1.1 + 0.26 * rows, lambda ax: predictions.draw_misattribution(ax, p, alone, final)
            )
        if report.optimizers is not None:
            figures["optimizers"] = optimizers.draw(report.optimizers, narrow=True)
        if report.stopping is not None:
            figures["stopping"] = stopping.draw_splits(report.stopping)
        if report.portrait is not None:
            figures["portrait"] = portraits.draw(report.portrait)
    about = {
        "roads": "half-times of each modality by each road", "loss": "loss over time",
        "weights": "total weights over time", "depths": "half-times for each fusion depth",
        "rescaling": "time ratio over the factor of a block", "portrait": "phase portrait of the reduced flow",
        "modes": "half-times of the modes of each modality",
        "stopping": "test error and outputs of the modalities over time, for several splits of the rows",
        "optimizers": "outputs of the modalities over steps, by optimizer",
        "misattribution": "weights of the first modality while alone and in the end",
    }  # fmt: skip
    return {name: inline_svg(figure, name, about[name]) for name, figure in figures.items()}


def _loss(ax: Axes, report: Report) -> None:
    comparison.draw_timed(ax, report.comparison, comparison.draw_loss)
    ax.set_xlabel(r"time [$\tau$]")


def _panel(height: float, draw: Callable[[Axes], None]) -> Figure:
    figure, ax = plt.subplots(figsize=(WIDTH, height), layout="constrained")
    draw(ax)
    return figure
