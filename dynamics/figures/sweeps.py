"""Pictures of a sweep: lines with bars over seeds, or a heatmap."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from derivations import DomainError
from dynamics.checks import one_of, told
from dynamics.figures.style import house_style

if TYPE_CHECKING:
    import xarray

LABELS = {
    "ratio": r"time ratio $t_{\mathrm{last}}/t_{\mathrm{first}}$",
    "lag": r"lag [$\tau$]",
    "half_time": r"half-time [$\tau$]",
}
WIDE = 20.0  # a quantity that varies by more than this factor is drawn on a logarithmic scale


class Picture(StrEnum):
    LINES = "lines"
    HEATMAP = "heatmap"


def plot_sweep(
    found: xarray.Dataset,
    quantity: str = "ratio",
    kind: Picture | str = Picture.LINES,
    x: str | None = None,
    y: str | None = None,
) -> Axes:
    """One picture of a sweep's Dataset; its axes.

    Parameters
    ----------
    found : what `sweep` returns
    quantity : ratio, lag, half_time, ...; half-times are those of the last modality
    kind : lines (over `x`, one for each value of `y`, bars the deviation over seeds) or heatmap (of `x` and `y`)
    x, y : axes of the sweep; by default the two with most values that are not the seed, the longer one along x

    Other axes are averaged over, which the title says; points without a number are left out of means.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> from dynamics import sweep
    >>> ax = plot_sweep(sweep({"sigma_a": 2.0, "rho": [0.0, 0.5], "seed": [0, 1]}))
    >>> ax.get_xlabel()
    'rho'
    """
    kind = one_of(Picture, kind, "kind")
    if not hasattr(found, "data_vars"):
        raise DomainError(f"found must be what sweep returns, got {told(found)}")
    if quantity not in found:
        raise DomainError(f"quantity must be one of {', '.join(map(str, found.data_vars))}, got {quantity!r}")
    values, label = found[quantity], LABELS.get(quantity, quantity)
    if "modality" in values.dims:
        label = f"{label} of {values['modality'].values[-1]}"
        values = values.isel(modality=-1)
    if values.dtype.kind not in "fi":
        raise DomainError(f"{quantity} has no numbers to draw")
    if "point" in values.dims:
        raise DomainError("a list has no axes to draw along: give the sweep as a grid")
    swept = sorted((str(d) for d in values.dims if d != "seed"), key=lambda d: -values.sizes[d])
    x = x if x is not None else (swept[0] if swept else None)
    y = y if y is not None else next((d for d in swept if d != x), None)
    if x is not None and x == y:
        raise DomainError(f"x and y must differ, got {x!r} twice")
    for name in (x, y) if kind is Picture.HEATMAP or y else (x,):
        if name not in values.dims or name == "seed":
            raise DomainError(
                f"{kind.value} need axes among {', '.join(map(str, swept)) or 'none'}, got {name or 'none'}"
            )
    values = values.where(np.isfinite(values)).sortby([d for d in (x, y) if d])
    rest = [d for d in values.dims if d not in {x, y, "seed"}]
    values = values.mean(rest) if rest else values
    seeds = ["seed"] if "seed" in values.dims else []
    mean, spread = values.mean(seeds), values.std(seeds, ddof=1) if seeds and values.sizes["seed"] > 1 else None
    with house_style():
        _, ax = plt.subplots(figsize=(4.8, 3.5), layout="constrained")
        if kind is Picture.HEATMAP:
            _heatmap(ax, mean, str(x), str(y), label)
        else:
            _lines(ax, mean, spread, str(x), y, label)
        hidden = [*rest, *(seeds if kind is Picture.HEATMAP else [])]
        averaged = f" (mean over {', '.join(map(str, hidden))})" if hidden else ""
        ax.set_title(f"{found.attrs.get('title', '')}{averaged}", fontsize="medium")
    return ax


def _lines(ax: Axes, mean: Any, spread: Any, x: str, y: str | None, label_of_y: str) -> None:
    for value in mean[y].values if y else [None]:
        at = {y: value} if y else {}
        one, bars = mean.sel(at), None if spread is None else spread.sel(at).values
        label = f"{y} = {value:g}" if y else None
        ax.errorbar(one[x].values.astype(float), one.values, bars, marker="o", ms=3.5, elinewidth=0.9, label=label)
    ax.set_xlabel(_axis(mean, x))
    ax.set_ylabel(label_of_y)
    if _wide(mean.values):
        ax.set_yscale("log")
    if _wide(mean[x].values):
        ax.set_xscale("log")
    else:
        ax.locator_params(axis="x", nbins=6)
    if y:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small")


def _heatmap(ax: Axes, mean: Any, x: str, y: str, label: str) -> None:
    grid = mean.transpose(y, x)
    scale = "log" if _wide(grid.values) else "linear"
    columns, rows = (np.arange(grid.sizes[d] + 1) - 0.5 for d in (x, y))  # cells of one size, whatever the steps
    mesh = ax.pcolormesh(columns, rows, grid.values, norm=scale, cmap="viridis")
    for axis, name in ((ax.xaxis, x), (ax.yaxis, y)):
        ticks = np.unique(np.linspace(0, grid.sizes[name] - 1, min(grid.sizes[name], 7)).round().astype(int))
        axis.set_ticks(list(ticks), [f"{float(grid[name].values[i]):g}" for i in ticks])
    ax.set_xlabel(_axis(mean, x))
    ax.set_ylabel(_axis(mean, y))
    ax.figure.colorbar(mesh, ax=ax, label=label)


def _axis(values: Any, name: str) -> str:
    units = values[name].attrs.get("units", "1")
    return name.replace("_", " ") + ("" if units == "1" else f" [{units}]")


def _wide(values: np.ndarray) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known) and np.min(known) > 0 and np.max(known) > WIDE * np.min(known))
