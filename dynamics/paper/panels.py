"""What a figure shows, as data: series in panels, a caption, and checks of simulation against theory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from derivations.network import FusionNetwork
from dynamics.documents import finite
from dynamics.runs.portraits import Portrait


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
        points = [{"name": p.name, "kind": p.kind.value, "position": list(p.position)} for p in self.portrait.points]
        runs = [
            {"label": label, "path": path.tolist()}
            for label, path in zip(self.portrait.labels, self.portrait.paths, strict=True)
        ]
        field = {
            "axes": [[float(f"{v:.6g}") for v in axis] for axis in self.portrait.axes],
            "velocity": [[[float(f"{v:.6g}") for v in row] for row in part] for part in self.portrait.velocity],
        }  # stream lines, and the nullclines where a component is zero; indexed [component, y, x]
        modalities = list(self.portrait.modalities)
        return {"title": self.title, "modalities": modalities, "points": points, "runs": runs, **field}


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
    found = np.asarray(values, dtype=float)
    known = np.where(np.isfinite(found), found, np.nan)
    with np.errstate(invalid="ignore"):
        mean = np.array([np.mean(v[np.isfinite(v)]) if np.any(np.isfinite(v)) else math.nan for v in known])
        spread = np.array([np.std(v[np.isfinite(v)], ddof=1) if np.sum(np.isfinite(v)) > 1 else 0.0 for v in known])
    return line(label, role, x, mean, hue, spread=spread, about=about)
