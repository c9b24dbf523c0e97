"""Samples of several modalities and a target: checked, centred, kept behind Correlations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations.errors import DataError

SMALLEST_UNIT, LARGEST_UNIT = 1e-151, 1e151  # of inputs and of the target: squares stay in the range of floats

COARSE = 1000  # roundings of its largest value by which a column has to vary: then its variance is good to 1e-6
FAR = 1e6  # times its spread: a mean beyond it is taken out twice
OFFSET = "too little for the digits of floats, subtract an offset first"


def frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def real_array(value: Any, field_name: str) -> np.ndarray:
    """A new float array, or a DataError that says which entry is no finite real number."""
    if np.ma.isMaskedArray(value):
        raise DataError(f"{field_name} is a masked array: fill or drop what is masked")
    try:
        raw = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{field_name} is ragged: {error}") from None
    if raw.dtype.kind not in "biuf":
        raise DataError(f"{field_name} must hold real numbers, got dtype {raw.dtype}")
    array = np.array(raw, dtype=float)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        index = tuple(int(i) for i in bad[0])
        raise DataError(f"{field_name} has {array[index]} at index {index}")
    return array


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Centred samples behind a Correlations: `inputs` modality -> (P, d), `targets` (P, outputs)."""

    inputs: dict[str, np.ndarray]
    targets: np.ndarray

    @property
    def count(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        return f"Samples({self.count})"


def centred_samples(inputs: Mapping[str, Any], targets: Any, standardize: bool) -> Samples:
    """Centred columns of every modality and of the target; with `standardize` of variance one.

    Raises a DataError on fewer than two samples, differing lengths, NaN, a constant column or target.
    """
    if not isinstance(inputs, Mapping) or not inputs:
        raise DataError(f"inputs must map at least one modality to samples, got {type(inputs).__name__}")
    blocks = {name: _columns(block, f"inputs[{name!r}]") for name, block in inputs.items()}
    y = _columns(targets, "targets")
    lengths = {name: len(block) for name, block in blocks.items()} | {"targets": len(y)}
    if len(set(lengths.values())) > 1:
        raise DataError(f"inputs and targets differ in their number of samples: {lengths}")
    if len(y) < 2:
        raise DataError(f"at least two samples are needed, got {len(y)}")
    centred = {name: frozen(_centred(x, f"inputs[{name!r}]", standardize)) for name, x in blocks.items()}
    return Samples(centred, frozen(_centred(y, "targets", standardize)))


def _columns(block: Any, name: str) -> np.ndarray:
    array = real_array(block, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise DataError(f"{name} must have shape (P,) or (P, columns), got {array.shape}")
    return array


def _centred(block: np.ndarray, name: str, standardize: bool) -> np.ndarray:
    size = np.max(np.abs(block), axis=0)
    constant = np.flatnonzero(np.ptp(block, axis=0) <= 8 * np.finfo(float).eps * size)  # up to rounding
    if len(constant):
        raise DataError(f"{name} column {constant[0]} is constant ({block[0, constant[0]]:g})")
    coarse = np.flatnonzero(np.ptp(block, axis=0) <= COARSE * np.finfo(float).eps * size)
    if len(coarse):
        i = int(coarse[0])
        raise DataError(f"{name} column {i} varies by {np.ptp(block[:, i]):.3g} around {block[0, i]:.6g}: {OFFSET}")
    mean = block.mean(axis=0)
    centred: np.ndarray = block - mean
    sizes = np.max(np.abs(centred), axis=0)
    left = np.abs(mean) > FAR * sizes  # of a mean that far from zero rounding leaves something
    centred[:, left] -= centred[:, left].mean(axis=0)
    far = np.flatnonzero((sizes < SMALLEST_UNIT) | (sizes > LARGEST_UNIT))
    if not standardize and len(far):
        i = int(far[0])
        raise DataError(f"{name} column {i} has values of size {sizes[i]:.3g}: rescale the units")
    if not standardize:
        return centred
    scale = np.max(np.abs(centred), axis=0)  # keeps squares of very small or large units in range
    centred /= scale
    centred /= np.std(centred, axis=0)
    return centred
