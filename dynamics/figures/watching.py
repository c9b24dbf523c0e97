"""The figure of a watched training: its loss, what each modality puts out, and its accuracy alone."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dynamics.figures.style import colour, house_style, plain
from dynamics.prediction.watching import WatchedTraining, Yardstick


def draw(seen: WatchedTraining) -> Figure:
    """Loss, size of each part (dots at the half-times) and, with classes, accuracy."""
    with house_style():
        panels = 3 if seen.accuracy else 2
        figure, axes = plt.subplots(panels, 1, figsize=(6.0, 2.0 * panels + 0.4), sharex=True, layout="constrained")
        axes[0].plot(seen.t, seen.loss, color="0.25")
        axes[0].set_ylabel("cross-entropy" if seen.yardstick is Yardstick.LOSS else "loss (half mean\nsquared error)")
        axes[0].set_ylim(bottom=0)
        for i, m in enumerate(seen.order):
            axes[1].plot(seen.t, seen.size[m], color=colour(i), label=plain(m))
            if math.isfinite(seen.times[m]):
                at = float(np.interp(seen.times[m], seen.t, seen.size[m]))
                axes[1].plot([seen.times[m]], [at], "o", color=colour(i), ms=5)
            if seen.accuracy:
                axes[2].plot(seen.t, seen.accuracy[m], color=colour(i), label=f"{plain(m)} alone")
        axes[1].set_ylabel("size of its part\nof the output")
        axes[1].set_ylim(bottom=0)
        if seen.accuracy:
            axes[2].plot(seen.t, seen.accuracy["all"], color="0.25", ls="--", label="all")
            axes[2].set_ylabel("accuracy")
            axes[2].set_ylim(0, 1)
        axes[-1].set_xlabel(r"time [$\tau$ = sum of the learning rates]")
        for ax in axes[1:]:
            ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small")
        axes[0].set_xlim(seen.t[0], seen.t[-1])
        axes[0].set_title(f"watched training; dots: half of {seen.yardstick}", fontsize="medium")
    return figure
