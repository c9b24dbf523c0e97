"""Batches of a sweep as one labelled data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.checks import required
from dynamics.files import write_whole
from dynamics.provenance import _version
from dynamics.simulation.sweeps.spec import PARAMETERS, Layout, Spec
from dynamics.simulation.sweeps.work import STATUSES, Result, modalities_of
from dynamics.tables import Table, number

if TYPE_CHECKING:
    import xarray

UNITS = {"half_time": "tau", "lag": "tau"}
MEANING = {
    "half_time": "when half of what a modality contributes to the output is there; inf if never or not reached",
    "status": "reached, never, not reached, or failed",
    "ratio": "half-time of the last over that of the first",
    "lag": "half-time of the last less that of the first",
    "balance": "drift of the conserved matrices, a share of the largest squared norm of a layer",
    "steps": "steps of the integrator, or of gradient descent",
    "compression": "estimate of the relative error of half-times from the narrow width",
}


def assembled(
    spec: Spec, batches: Sequence[np.ndarray], found: Mapping[int, tuple[Result, list[str]]]
) -> xarray.Dataset:
    """An xarray.Dataset with one dimension an axis (a list has the dimension `point`), and the modality."""
    dataset = require_xarray().Dataset
    names = modalities_of(spec.fixed, spec.data)
    columns: dict[str, np.ndarray] = {}
    warnings: list[str] = []
    for i, numbers in enumerate(batches):
        result, said = found[i]
        warnings += said
        for key, values in result.items():
            whole = columns.setdefault(key, np.empty((*values.shape[:-1], spec.count), dtype=values.dtype))
            whole[..., list(numbers)] = values
    dimensions = ("point",) if spec.layout is Layout.LIST else tuple(spec.axes)
    variables = {}
    for key, values in columns.items():
        shaped = values.reshape((*values.shape[:-1], *spec.shape))
        if key == "status":
            shaped = np.array([*(s.value for s in STATUSES), "failed"])[shaped]
        front = ("modality",) if values.ndim == 2 else ()
        units = {} if key == "status" else {"units": UNITS.get(key, "1")}
        variables[key] = ((*front, *dimensions), shaped, {"long_name": MEANING[key], **units})
    coordinates: dict[str, Any] = {"modality": list(names)}
    for key, given in spec.axes.items():
        parameter = PARAMETERS[key]
        listed: list[Any] = list(given)
        if parameter.kind is int and max(listed) >= 2**31:
            listed = [str(value) for value in listed]  # netCDF 3 has no wider integers
        where = "point" if spec.layout is Layout.LIST else key
        coordinates[key] = (where, listed, {"long_name": parameter.meaning, "units": parameter.units})
    attributes = {
        "title": spec.name, "version": f"fusion-dynamics {_version()}", "spec": spec.canonical(), "key": spec.key,
        "warnings": "\n".join(dict.fromkeys(warnings)), "time_unit": "tau = 1/learning rate",
        **{f"fixed_{k}": v if not isinstance(v, int) or v < 2**31 else str(v) for k, v in spec.fixed.items()},
    }  # fmt: skip
    made: xarray.Dataset = dataset(variables, coordinates, attributes)
    return made


def require_xarray() -> Any:
    """The package, or one line that says how to install it."""
    return required("xarray", "a sweep", "sweep")


def save_dataset(found: Any, path: str) -> None:
    """As netCDF, whole or not at all."""
    write_whole(path, bytes(found.to_netcdf(engine="scipy")), "result")


def summary(found: Any) -> Table:
    """How many points were reached, and how the ratio spreads over them."""
    ratio, listed = found["ratio"].values, []
    for m in found["modality"].values:
        at = found.sel(modality=m)
        listed.append((f"half-time {m} [tau]", at["status"].values == STATUSES[0].value, at["half_time"].values))
    listed.append(("ratio", np.isfinite(ratio), ratio))
    rows = [(what, f"{np.sum(fine)} of {values.size}", *_range(values)) for what, fine, values in listed]
    warnings = tuple(f"Warning: {w}" for w in str(found.attrs["warnings"]).split("\n") if w)
    shape = " x ".join(f"{name} {found.sizes[name]}" for name in found["ratio"].dims) or "one point"
    return Table(f"{found.attrs['title']}: {shape}", ("", "reached", "least", "median", "most"), tuple(rows), warnings)


def _range(values: np.ndarray) -> tuple[str, str, str]:
    known = values[np.isfinite(values)]
    if not len(known):
        return ("-",) * 3
    return number(float(np.min(known))), number(float(np.median(known))), number(float(np.max(known)))
