"""Cost against width, depth and number of trajectories, full width beside narrow: the figure growth.png."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from benchmarks.timing import medians
from derivations.flow import gradient_flow as law
from dynamics import Correlations, FusionNetwork, random_weights
from dynamics.problem import Problem
from dynamics.simulation.batch import flow
from dynamics.simulation.batch.kernel import Kernel
from dynamics.simulation.batch.members import Member
from dynamics.starts.compression import compressed
from dynamics.starts.start import random_start

DATA, U0 = Correlations.scalar(2, 1, 0.5), 0.1
WIDTHS, DEPTHS, COUNTS = (10, 30, 100, 300, 1000), (2, 3, 4, 6, 8), (1, 10, 100, 1000)


def full_slope(network: FusionNetwork, weights: dict[str, list[np.ndarray]]) -> object:
    """One evaluation of (3), (4) by matrix products."""
    products = law.above(network, weights)
    return law.flow(network, weights, law.errors(DATA, law.total_weights(network, weights, products)), products)


def slopes(network: FusionNetwork, width: int) -> list[float]:
    """Seconds of one evaluation: narrow with no round and with one, full width."""
    weights = random_weights(network, DATA, U0, width=width)
    works = []
    for rounds in (0, 1):
        narrow = compressed(network, weights, rounds)
        kernel = Kernel(network, [DATA], [narrow])
        works.append(partial(kernel.velocity, kernel.pack([narrow])))
    # apart, since large matrices leave nothing else in the cache
    return [*medians(works, 60), *medians([partial(full_slope, network, weights)], 20)]


def trajectories() -> dict[str, list[float]]:
    """Seconds of a batch of 1 to 1000 flows."""
    found = {}
    for depth, fused, u0 in ((2, 2, 1e-3), (4, 2, 0.1), (4, 3, 0.1), (4, 4, 0.1)):
        network = FusionNetwork.fused_at(depth, fused)
        plan = random_start(Problem.of(network, DATA), u0).course
        rounds = 0 if depth == 2 else 1
        members = [
            Member(compressed(network, random_weights(network, DATA, u0, width=100, seed=s), rounds), plan)
            for s in range(COUNTS[-1])
        ]
        found[f"({depth}, {fused})"] = medians([partial(flow.run, members[:n], rtol=1e-5) for n in COUNTS], 3)
    return found


def draw(path: Path) -> str:
    """Write the figure; returns the exponents as text."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.3), layout="constrained")
    labels = ("narrow, 0 rounds", "narrow, 1 round", "full width")
    colours, markers = ("#0072B2", "#56B4E9", "#D55E00"), ("o", "s", "^")
    by_width = np.array([slopes(FusionNetwork.fused_at(4, 4), h) for h in WIDTHS]).T
    by_depth = np.array([slopes(FusionNetwork.fused_at(depth, depth), 100) for depth in DEPTHS]).T
    for row, depth_row, label, colour, marker in zip(by_width, by_depth, labels, colours, markers, strict=True):
        axes[0].loglog(WIDTHS, 1e6 * row, color=colour, marker=marker, label=label)
        axes[1].loglog(DEPTHS, 1e6 * depth_row, color=colour, marker=marker, label=label)
    counted = trajectories()
    for (label, seconds), colour, marker in zip(
        counted.items(), ("#0072B2", "#009E73", "#CC79A7", "#D55E00"), "os^D", strict=True
    ):
        axes[2].loglog(COUNTS, seconds, color=colour, marker=marker, label=label)
    _name(axes[0], "width h", "one evaluation of the flow [µs]", "(4, 4)")
    _name(axes[1], "depth L", "one evaluation of the flow [µs]", "late fusion, h = 100")
    axes[1].set_xticks(DEPTHS, [str(depth) for depth in DEPTHS], minor=False)
    axes[1].minorticks_off()
    ticks = [20, 50, 100, 200, 500, 1000]
    axes[1].set_yticks(ticks, [str(tick) for tick in ticks])
    _name(axes[2], "number of trajectories", "all half-times [s]", "batches (L, L_f), h = 100")
    figure.savefig(path, dpi=130)
    plt.close(figure)
    power = float(np.log(by_width[2][-1] / by_width[2][-2]) / np.log(WIDTHS[-1] / WIDTHS[-2]))
    growth = ", ".join(f"{label} {seconds[-1] / seconds[0]:.1f}" for label, seconds in counted.items())
    deep = ", ".join(f"L = {depth}: {1e6 * cost:.0f}" for depth, cost in zip(DEPTHS, by_depth[1], strict=True))
    return (
        f"![Cost against width, depth and number of trajectories]({path.name})\n\n"
        f"One evaluation at full width grows like h^{power:.1f} (from h = 300 to 1000), narrow "
        f"{by_width[1][-1] / by_width[1][2]:.2f} times from h = 100 to 1000. Narrow with one round, in microseconds: "
        f"{deep}. "
        f"1000 trajectories against one: {growth} times the cost.\n"
    )


def _name(ax: Axes, x: str, y: str, title: str) -> None:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.set_title(title, loc="left", fontsize="medium")
    ax.legend(fontsize="small", frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
