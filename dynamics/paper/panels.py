"""What a figure shows, as data: series in panels, a caption, and checks of simulation against theory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from derivations import FusionNetwork
from dynamics.runs.portraits import Portrait
from dynamics.strict_json import finite


class Role(StrEnum):
    """What a series is, which decides how it is drawn."""

    LAW = "law"
    SECOND_LAW = "second law"
    PRINTED = "as printed"
    FLOW = "gradient flow"
    DESCENT = "gradient descent"
    RELU = "ReLU network"
    RUN = "run"
    LEVEL = "level"
    TIME = "time"
    UNITS = "hidden units"
    ARROW = "arrow from zero"
    REGION = "region"


@dataclass(frozen=True, eq=False)
class Series:
    """Points of one thing.

    x, y : (n,)
    hue : which colour of the style; None for black
    spread : (n,) standard deviation over seeds, or nothing
    shade : (n,) values shown by the colour of each point, or nothing
    note : written at the last point, or nothing
    about : what it is, where the legend names only one of several alike
    """

    label: str
    role: Role
    x: np.ndarray
    y: np.ndarray
    hue: int | None = None
    spread: np.ndarray | None = None
    shade: np.ndarray | None = None
    note: str = ""
    about: str = ""

    def to_dict(self) -> dict[str, Any]:
        arrays = {"x": self.x, "y": self.y, "spread": self.spread, "shade": self.shade}
        numbers = {k: [finite(float(v)) for v in np.ravel(a)] for k, a in arrays.items() if a is not None}
        return {"label": self.label or self.about or self.note, "role": self.role.value, **numbers}


@dataclass(frozen=True, eq=False)
class Plot:
    """Series on two axes.

    shade_label : what the colour of points shows
    keys : what roles are called in the legend, where their series have no labels of their own
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_log: bool = False
    y_log: bool = False
    shade_label: str = ""
    keys: Mapping[Role, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        series = [s.to_dict() for s in self.series]
        return {"title": self.title, "x": self.x_label, "y": self.y_label, "series": series}


@dataclass(frozen=True, eq=False)
class Schematic:
    """A network as boxes, a layer each."""

    title: str
    network: FusionNetwork

    def to_dict(self) -> dict[str, Any]:
        chains = {name: chain.depth for name, chain in self.network.chains.items()}
        return {"title": self.title, "layers": chains, "feeds": self.network.parents}


@dataclass(frozen=True, eq=False)
class PhasePlane:
    """A phase portrait."""

    title: str
    portrait: Portrait

    def to_dict(self) -> dict[str, Any]:
        at = self.portrait
        points = [{"name": p.name, "kind": p.kind.value, "position": list(p.position)} for p in at.points]
        runs = [{"label": name, "path": path.tolist()} for name, path in zip(at.labels, at.paths, strict=True)]
        # stream lines, and the nullclines where a component is zero; indexed [component, y, x]
        axes, velocity = (np.vectorize("{:.6g}".format)(v).astype(float).tolist() for v in (at.axes, at.velocity))
        return {"title": self.title, "modalities": list(at.modalities), "points": points, "runs": runs,
                "axes": axes, "velocity": velocity}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Pictures:
    """Grey images in rows.

    images : (rows, columns, side, side)
    names : of the rows
    """

    title: str
    images: np.ndarray
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        images = [[[round(float(v), 3) for v in image.ravel()] for image in row] for row in self.images]
        return {"title": self.title, "rows": list(self.names), "side": self.images.shape[-1], "images": images}


Panel = Plot | Schematic | PhasePlane | Pictures


def line(label: str, role: Role, x: Any, y: Any, hue: int | None = None, **more: Any) -> Series:
    return Series(label, role, np.asarray(x, dtype=float), np.asarray(y, dtype=float), hue, **more)


def level(label: str, value: float, hue: int | None = None) -> Series:
    """A horizontal line."""
    return line(label, Role.LEVEL, [math.nan], [value], hue)


def time(label: str, value: float, hue: int | None = None) -> Series:
    """A vertical line."""
    return line(label, Role.TIME, [value], [math.nan], hue)


def over_seeds(
    label: str, role: Role, x: Sequence[float], values: Any, hue: int | None = None, about: str = ""
) -> Series:
    """Mean and standard deviation along the last axis of `values` (n, seeds); unreached members are left out."""
    known = [row[np.isfinite(row)] for row in np.asarray(values, dtype=float)]
    mean = np.array([np.mean(row) if len(row) else math.nan for row in known])
    spread = np.array([np.std(row, ddof=1) if len(row) > 1 else 0.0 for row in known])
    return line(label, role, x, mean, hue, spread=spread, about=about)
