"""A network as boxes: layers from the inputs at the bottom to the output at the top, branches side by side."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from derivations import FusionNetwork
from derivations.network import TRUNK
from dynamics.figures.style import colour

BOX = (0.62, 0.34)  # width and height of a layer where chains are one apart
LOOK: dict[str, Any] = {"boxstyle": "round,pad=0.02", "ec": "none", "alpha": 0.85}


def draw_schematic(ax: Axes, network: FusionNetwork) -> None:
    """Any tree. Modalities have the colours of the style, what comes after a fusion is grey."""
    colours = {m: colour(i) for i, m in enumerate(network.modalities)}
    height = max(int(depth) for depth in network.path_depths.values())
    columns = _columns(network)
    tops: dict[str, float] = {}
    for name, chain in network.chains.items():
        x = columns[name]
        base = max((tops[child.name] for child in chain.children), default=0.0)
        for child in chain.children:
            ax.plot([columns[child.name], x], [tops[child.name] - 0.33, base + 0.5 - BOX[1] / 2], color="0.5", lw=1)
        for i in range(int(chain.depth)):
            y = base + i + 0.5
            if i:
                ax.plot([x, x], [y - 1 + BOX[1] / 2, y - BOX[1] / 2], color="0.5", lw=1, zorder=0)
            fill = colours.get(name, "0.6")
            ax.add_patch(FancyBboxPatch((x - BOX[0] / 2, y - BOX[1] / 2), *BOX, fc=fill, **LOOK))
            number = base + i + 1
            label = rf"$W^{{{number:g}}}$" if name == TRUNK else rf"$W_{{\mathrm{{{name}}}}}^{{{number:g}}}$"
            ax.text(x, y, label, ha="center", va="center", color="white", fontsize="small")
        if not chain.children:
            ax.plot([x, x], [-0.1, 0.5 - BOX[1] / 2], color="0.5", lw=1, zorder=0)
            ax.text(x, -0.15, rf"$x_{{\mathrm{{{name}}}}}$", ha="center", va="top")
        tops[name] = base + int(chain.depth)
    top = tops[TRUNK]
    if network.trunk.depth:
        ax.plot([columns[TRUNK]] * 2, [top - 0.5 + BOX[1] / 2, top + 0.25], color="0.5", lw=1, zorder=0)
    ax.text(columns[TRUNK], top + 0.3, r"$\hat y$", ha="center", va="bottom")
    ax.set_xlim(min(columns.values()) - 0.6, max(columns.values()) + 0.6)
    ax.set_ylim(-0.7, max(height, top) + 0.85)
    ax.axis("off")


def _columns(network: FusionNetwork) -> dict[str, float]:
    """Where each chain stands: modalities in their order, a fusion over the middle of its children."""
    found: dict[str, float] = {m: float(i) for i, m in enumerate(network.modalities)}
    for name, chain in network.chains.items():
        if chain.children:
            places = [found[child.name] for child in chain.children]
            found[name] = sum(places) / len(places)
    return found
