"""Figures of a Stopping, and of several: errors along t, what each modality puts out, and where the error is lowest."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynamics.figures.style import colour, house_style, legend_above, plain
from dynamics.prediction.stopping import Stopping, Stoppings

EARLIER, LATER = 0.3, 30.0  # of the first half-time, and of the last or of t_best, between which t is drawn
MOST = 1.6  # of what is put out in the end: larger shares leave the panel


def draw(found: Stopping) -> Figure:
    """Errors above, shares of what each modality puts out below; a dashed line where the test error is lowest."""
    with house_style():
        figure, axes = plt.subplots(2, 1, figsize=(5.6, 4.6), sharex=True, layout="constrained")
        draw_errors(axes[0], found)
        draw_shares(axes[1], found)
    return figure


def draw_errors(ax: Axes, found: Stopping) -> None:
    """Test and training error, the level of the mean of the target, half-times as ticks on top."""
    ax.plot(found.t, found.test, color="0.15", lw=2, label=f"test, {found.held} rows held out")
    ax.plot(found.t, found.train, color="0.55", label=f"training, {found.rows} rows")
    _level(ax, found.mean)
    _mark(ax, found.t_best)
    _learned(ax, found.times)
    ax.plot(found.t_best, found.error_best, "o", color="0.15", ms=6, zorder=4)
    _errors(ax, found.t, found.times, found.t_best, max(found.mean, float(np.max(found.test[found.t > 0]))))


def draw_shares(ax: Axes, found: Stopping) -> None:
    """What each modality puts out, 1 in the end."""
    for i, (m, share) in enumerate(found.shares.items()):
        ax.plot(found.t, share, color=colour(i), label=plain(m))
        if math.isfinite(share[found.best]):
            ax.plot(found.t_best, share[found.best], "o", color=colour(i), ms=6, zorder=4)
    _mark(ax, found.t_best)
    _shares(ax, found.t, found.times, found.t_best)


def draw_splits(found: Stoppings) -> Figure:
    """Thin: single splits; thick: the mean of their test errors, and medians of what is put out."""
    with house_style():
        figure, axes = plt.subplots(2, 1, figsize=(4.6, 4.8), sharex=True, layout="constrained")
        first, t = found.each[0], found.t
        for one in found.each:
            axes[0].plot(one.t, one.test, color="0.75", lw=0.7)
            axes[0].plot(one.t_best, one.error_best, "o", color="0.55", ms=3, zorder=3)
        axes[0].plot(t, found.mean, color="0.15", lw=2, label=f"test, mean of {len(found.each)} splits")
        axes[0].plot([], [], color="0.75", lw=0.7, marker="o", ms=3, label="single splits, their lowest")
        level = float(np.mean([one.mean for one in found.each]))
        _level(axes[0], level)
        times = found.times
        for i, m in enumerate(first.shares):
            for one in found.each:
                axes[1].plot(one.t, one.shares[m], color=colour(i), lw=0.5, alpha=0.5)
            middle = np.median([np.interp(t, one.t, one.shares[m]) for one in found.each], axis=0)
            axes[1].plot(t, middle, color=colour(i), label=plain(m))
        for ax in axes:
            _mark(ax, found.t_best)
        _learned(axes[0], times)
        _errors(axes[0], t, times, found.t_best, max(level, float(np.max(found.mean))))
        _shares(axes[1], t, times, found.t_best)
    return figure


def _level(ax: Axes, level: float) -> None:
    ax.axhline(level, color="0.6", lw=1, ls=":", label="mean of the target")


def _mark(ax: Axes, t_best: float) -> None:
    if t_best > 0:
        ax.axvline(t_best, color="0.3", lw=1, ls="--", zorder=1)


def _learned(ax: Axes, times: Mapping[str, float]) -> None:
    """Ticks on top, where half of each output is there."""
    for i, t in enumerate(times.values()):
        if 0 < t < math.inf:
            ax.plot([t, t], [0.93, 1.0], color=colour(i), lw=3, transform=ax.get_xaxis_transform(), zorder=5)


def _errors(ax: Axes, t: np.ndarray, times: Mapping[str, float], t_best: float, top: float) -> None:
    ax.set_ylabel("half the mean\nsquared error")
    ax.set_ylim(0, 1.12 * top)
    _stretch(ax, t, times, t_best)
    legend_above(ax, 3 if ax.get_window_extent().width > 420 else 2)


def _shares(ax: Axes, t: np.ndarray, times: Mapping[str, float], t_best: float) -> None:
    ax.axhline(1, color="0.85", lw=0.8, zorder=0)
    ax.set_ylabel("output, as a share\nof that in the end")
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, -0.25), min(high, MOST))
    _stretch(ax, t, times, t_best)
    ax.set_xlabel(r"time [$\tau$ = 1/learning rate]")
    legend_above(ax, 3)


def _stretch(ax: Axes, t: np.ndarray, times: Mapping[str, float], t_best: float) -> None:
    """From some way before the first half-time to the end, or well past all that happens, in logarithms."""
    known = [time for time in (*times.values(), t_best) if 0 < time < math.inf] or [float(t[-1])]
    ax.set_xscale("log")
    ax.set_xlim(EARLIER * min(known), max(min(LATER * max(known), float(t[-1])), 1.2 * max(known)))
