"""What a sweep runs: parameters with one value or many, a grid of them or a list, and its points in batches."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from derivations import Correlations, DataError, DomainError
from derivations.network import shown_number
from dynamics.checks import told
from dynamics.messages import one_line, shown
from dynamics.recipe import MODULATED, PLAIN, Recipe, checked_recipe

MOST_POINTS = 10_000_000
BATCH = 64  # points that are run together: one result, one file
LIGHT_BATCH = 512  # of two layers of scalars: eight weights each, so that calls of NumPy are most of the work
LARGEST_SPEC = 2**20  # bytes
DEEPEST_KEY = 8  # parts of a dotted key: the reader takes hours for thousands
MOST_GROUPS = 100_000  # of points that cannot be run together: each is a file of its own
#: Strings and comments of a TOML file, in which dots are no keys; what is not closed ends with its line or the file.
NO_KEYS = re.compile(
    r"""\"{3}(?:\\[\s\S]|[^\\])*?(?:\"{3}|\Z)|'{3}[\s\S]*?(?:'{3}|\Z)|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?|\#[^\n]*"""
)
SMALLEST = 1e-150  # of a size: its square is a number

Value = int | float | str
Point = dict[str, Value]


class Layout(StrEnum):
    GRID = "grid"  # every combination
    LIST = "list"  # first with first, second with second


@dataclass(frozen=True)
class Parameter:
    """One thing that may be swept."""

    section: str
    kind: type
    default: Value | None
    least: float
    units: str = "1"
    meaning: str = ""
    most: float = math.inf


BELOW_ONE = 1 - 1e-9
PARAMETERS: dict[str, Parameter] = {
    "depth": Parameter("network", int, 2, 1, meaning="layers from an input to the output"),
    "fusion_depth": Parameter("network", int, 2, 1, meaning="layer of fusion"),
    "sigma_a": Parameter("data", float, None, SMALLEST, meaning="standard deviation of x_A"),
    "sigma_b": Parameter("data", float, 1.0, SMALLEST, meaning="standard deviation of x_B"),
    "rho": Parameter("data", float, 0.0, -1, meaning="correlation of x_A and x_B", most=1),
    "w_a": Parameter("data", float, 1.0, -math.inf, meaning="weight of x_A in the target"),
    "w_b": Parameter("data", float, 1.0, -math.inf, meaning="weight of x_B in the target"),
    "example": Parameter("data", str, None, 0, meaning="a real data set instead of scalars"),
    "factor": Parameter("data", float, 1.0, SMALLEST, meaning="of the columns of the last modality"),
    "u0": Parameter("start", float, 1e-3, 0, meaning="norm of every layer before the fusion at t = 0"),
    "width": Parameter("start", int, 100, 1, meaning="hidden units"),
    "seed": Parameter("start", int, 0, 0, meaning="of the random start"),
    "weight_decay": Parameter("recipe", float, None, 0, "1/tau", "of every layer"),
    "unimodal_loss": Parameter("recipe", float, None, 0, meaning="weight of the loss of each modality alone"),
    "rate": Parameter("recipe", float, None, SMALLEST, meaning="factor on the learning rate of the last branch"),
    "dropout": Parameter("recipe", float, None, 0, meaning="probability of masking the last modality", most=BELOW_ONE),
    "ogm": Parameter("recipe", float, None, 0, meaning="alpha of gradient modulation"),
    "learning_rate": Parameter("run", float, 0.0, 0, "tau", "of gradient descent; 0 is gradient flow"),
    "rtol": Parameter("run", float, 1e-5, 1e-13, meaning="relative tolerance of the integrator", most=1e-3),
}
SCALARS = ("sigma_a", "sigma_b", "rho", "w_a", "w_b")
GROUPED = ("depth", "fusion_depth", "width", "rtol")  # points that differ in one of these are run in other batches


@dataclass(frozen=True, eq=False)
class Spec:
    """A sweep. `axes` holds what has many values, in order; `fixed` the rest; `data` replaces the data parameters."""

    name: str
    layout: Layout
    axes: Mapping[str, tuple[Value, ...]]
    fixed: Mapping[str, Value]
    data: Correlations | None = None
    recipe: Recipe = PLAIN

    @property
    def count(self) -> int:
        lengths = [len(values) for values in self.axes.values()]
        return (lengths[0] if lengths else 1) if self.layout is Layout.LIST else math.prod(lengths)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.count,) if self.layout is Layout.LIST else tuple(len(v) for v in self.axes.values())

    def points(self) -> Iterator[Point]:
        """In the order of the grid, the last axis fastest."""
        columns = self.axes.values()
        rows = zip(*columns, strict=True) if self.layout is Layout.LIST else itertools.product(*columns)
        for row in rows if self.axes else [()]:
            yield {**self.fixed, **dict(zip(self.axes, row, strict=True))}

    def at(self, numbers: Sequence[int] | np.ndarray) -> list[Point]:
        """Some points by their numbers."""
        found = []
        for i in numbers:
            places: Any = (i,) * len(self.axes) if self.layout is Layout.LIST else np.unravel_index(i, self.shape)
            row = {k: values[int(place)] for (k, values), place in zip(self.axes.items(), places, strict=True)}
            found.append({**self.fixed, **row})
        return found

    def canonical(self) -> str:
        """The same text for the same sweep, whatever wrote it down."""
        digest = None
        if self.data is not None:
            sums = (self.data.sigma, self.data.sigma_yx, self.data.sigma_yy)
            digest = hashlib.sha256(b"".join(np.asarray(s, dtype=float).tobytes() for s in sums)).hexdigest()
            digest += ":" + ",".join(f"{m}={d}" for m, d in self.data.sizes.items())
        batch = [BATCH, LIGHT_BATCH] if self.has_light else BATCH
        document = {
            "name": self.name, "layout": self.layout.value, "axes": [[k, list(v)] for k, v in self.axes.items()],
            "fixed": dict(sorted(self.fixed.items())), "data": digest, "batch": batch,
        }  # fmt: skip
        if self.recipe.ingredients:
            document["recipe"] = self.recipe.to_dict()
        return json.dumps(document, sort_keys=True, allow_nan=False)

    @property
    def has_light(self) -> bool:
        """Whether some points are two layers of scalars."""
        given = {**self.fixed, **self.axes}
        return self.data is None and "example" not in given and 2 in np.atleast_1d(given["depth"])

    @property
    def key(self) -> str:
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    def batches(self) -> list[np.ndarray]:
        """Numbers of the points that are run together; they depend on the spec alone.

        In the order in which the groups are met. Counted in arrays: a grid may have millions of points.
        """
        numbers = np.arange(self.count)
        codes = np.zeros(self.count, dtype=np.int64)
        for name in (*GROUPED, "learning_rate"):
            if name not in self.axes:
                continue
            values = np.array(self.axes[name])
            ids = np.unique(values == 0 if name == "learning_rate" else values, return_inverse=True)[1]
            axis = list(self.axes).index(name)
            places = numbers if self.layout is Layout.LIST else np.unravel_index(numbers, self.shape)[axis]
            codes = np.unique(codes * len(ids) + ids[places], return_inverse=True)[1]  # small numbers again
        ordered, ends = np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))
        groups = sorted(np.split(ordered, ends[:-1]), key=lambda members: int(members[0]))
        found, light = [], self.has_light
        for members in groups:
            size = LIGHT_BATCH if light and self.at([int(members[0])])[0]["depth"] == 2 else BATCH
            found += [members[begin : begin + size] for begin in range(0, len(members), size)]
        return found


def read_spec(source: str | os.PathLike[str]) -> Spec:
    """From a TOML file; nothing in it is evaluated.

    Raises
    ------
    DataError, DomainError
    """
    try:
        path = os.fspath(source)
    except TypeError:
        raise DataError(f"spec must be a TOML file or a mapping, got {type(source).__name__}") from None
    try:
        if not os.path.isfile(path):
            raise DataError(f"spec {path!r}: {'it is no plain file' if os.path.exists(path) else 'no such file'}")
        if os.path.getsize(path) > LARGEST_SPEC:
            raise DataError(f"spec {path!r} is larger than {LARGEST_SPEC} bytes")
        text = Path(path).read_bytes().decode("utf-8-sig")
        parts = re.split(r"[=,{}\[\]\n]", NO_KEYS.sub("", text))
        deep = any(part.count(".") > DEEPEST_KEY for part in parts)
        document = {} if deep else tomllib.loads(text)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"spec {path!r} not read: {error}") from None
    except UnicodeDecodeError:
        raise DataError(f"spec {shown(path)} is no TOML: it is not in UTF-8") from None
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, an integer of more digits than Python reads
        raise DataError(f"spec {shown(path)} is no TOML: {one_line(str(error))}") from None
    if deep:
        raise DataError(f"spec {shown(path)} has a key of more than {DEEPEST_KEY} parts")
    return make_spec(document)


def make_spec(document: Mapping[str, Any], data: Correlations | None = None, recipe: Recipe | None = None) -> Spec:
    """From the sections of a spec (or the same names without sections), `name` and `layout`."""
    flat: dict[str, Any] = {}
    name, layout = "sweep", Layout.GRID
    for key, value in document.items():
        given: Mapping[str, Any] = {}
        if key == "name":
            if not isinstance(value, str) or not value.isprintable() or len(value) > 200:
                raise DataError(f"name must be a line of text, got {told(value)}")
            name = value
        elif key == "layout":
            if value not in list(Layout):
                raise DataError(f"layout must be one of {', '.join(Layout)}, got {told(value)}")
            layout = Layout(value)
        elif isinstance(value, Mapping) and key in {p.section for p in PARAMETERS.values()}:
            wrong = [k for k in value if k not in PARAMETERS or PARAMETERS[k].section != key]
            if wrong:
                known = ", ".join(k for k, p in PARAMETERS.items() if p.section == key)
                raise DataError(f"[{key}] has no {shown(wrong[0])}; it may have {known}")
            given = value
        elif key in PARAMETERS:
            given = {key: value}
        else:
            if key in {p.section for p in PARAMETERS.values()}:
                raise DataError(f"{key} is a section, [{key}], got {told(value)}")
            raise DataError(f"a sweep has no {shown(key)}; it may have name, layout, {', '.join(PARAMETERS)}")
        twice = [k for k in given if k in flat]
        if twice:
            raise DataError(f"{twice[0]} is given twice")
        flat |= given
    spec = _checked(name, layout, flat, data)
    recipe = checked_recipe(recipe)
    recipe.require(MODULATED, "a sweep")
    if recipe.learning_rate is not None and "learning_rate" in flat:
        raise DataError(f"learning_rate is given in [run], and in the recipe as {recipe.learning_rate:g}: give one")
    return replace(spec, recipe=recipe)


def _checked(name: str, layout: Layout, flat: Mapping[str, Any], data: Correlations | None) -> Spec:
    if data is not None and not isinstance(data, Correlations):
        raise DataError(f"data must be Correlations, got {type(data).__name__}")
    if data is not None and data.is_symbolic:
        raise DataError("a sweep needs numbers in sigma and sigma_yx, got symbols")
    mixed = [k for k in flat if k in SCALARS]
    if data is not None and (mixed or "example" in flat):
        raise DataError(f"data is given, and so is {(mixed or ['example'])[0]!r}: give one of the two")
    if mixed and "example" in flat:
        raise DataError(f"example and {mixed[0]!r} do not go together")
    axes: dict[str, tuple[Value, ...]] = {}
    fixed: dict[str, Value] = {}
    for key, parameter in PARAMETERS.items():  # defaults first, so that the order of what is given decides the axes
        if key not in flat and parameter.default is not None and not (key in SCALARS and (data or "example" in flat)):
            fixed[key] = parameter.default
    lengths = {key: len(value) for key, value in flat.items() if _is_many(value)}  # counted before they are made
    count = math.prod(lengths.values()) if layout is Layout.GRID else max(lengths.values(), default=1)
    if count > MOST_POINTS:
        raise DomainError(f"a sweep of {count:,} points is too large; at most {MOST_POINTS:,}")
    for key, value in flat.items():
        many = _is_many(value)
        if isinstance(value, Mapping):
            raise DataError(f"{key} must be a value or a list of values, got a table")
        if not many:
            fixed[key] = _value(key, value)
            continue
        if PARAMETERS[key].kind is str or not len(value):
            raise DataError(f"{key} must have one value, got {told(value)}" if len(value) else f"{key} has no values")
        axes[key] = tuple(_value(key, one) for one in value)
        twice = len(axes[key]) != len(set(axes[key]))
        if twice and layout is Layout.GRID:
            raise DataError(f"{key} has the same value twice")
    if data is None and "example" not in flat and "sigma_a" not in flat:
        raise DataError("a sweep needs data: sigma_a (and sigma_b, rho, w_a, w_b), example, or data=")
    if layout is Layout.LIST and len(set(lengths.values())) > 1:
        raise DataError(f"in a list all parameters need as many values, got {lengths}")
    spec = Spec(name, layout, axes, fixed, data)
    grouped = [name for name in GROUPED if name in axes]
    apart = min(spec.count, math.prod(len(set(axes[name])) for name in grouped))
    if apart > MOST_GROUPS:
        raise DomainError(f"{apart:,} combinations of {', '.join(grouped)} are too many; at most {MOST_GROUPS:,}")
    if not any(_possible(layout, axes, fixed)):
        got = " and ".join(told(axes.get(one, fixed.get(one))) for one in ("fusion_depth", "depth"))
        raise DataError(f"fusion_depth must be at most depth, got {got}")
    return spec


def _possible(layout: Layout, axes: Mapping[str, tuple[Value, ...]], fixed: Mapping[str, Value]) -> Iterator[bool]:
    """Of the combinations of depth and fusion depth that are swept: whether such a network exists."""
    depths, fused = (axes.get(name, (fixed.get(name),)) for name in ("depth", "fusion_depth"))
    paired = layout is Layout.LIST and len(depths) == len(fused)
    pairs = zip(depths, fused, strict=True) if paired else itertools.product(depths, fused)
    return (int(f or 0) <= int(d or 0) for d, f in pairs)


def _is_many(value: Any) -> bool:
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return listed or (isinstance(value, np.ndarray) and value.ndim > 0)


def _value(key: str, value: Any) -> Value:
    parameter = PARAMETERS[key]
    value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if parameter.kind is str:
        if not isinstance(value, str):
            raise DataError(f"{key} must be text, got {told(value)}")
        return value
    wanted = "an integer" if parameter.kind is int else "a finite number"
    fine = isinstance(value, Integral if parameter.kind is int else Real) and not isinstance(value, bool | np.bool_)
    if fine and isinstance(value, Integral) and abs(int(value)) > 10**18:
        raise DataError(f"{key} must be {wanted} below 1e18, got {shown_number(int(value))}")
    if not fine or not math.isfinite(value) or not parameter.least <= value <= parameter.most:
        most = "below 1" if parameter.most == BELOW_ONE else f"<= {parameter.most:g}"
        limits = f">= {parameter.least:g}" + (f" and {most}" if parameter.most < math.inf else "")
        raise DataError(f"{key} must be {wanted} {limits}, got {told(value)}")
    return int(value) if parameter.kind is int else float(value)
