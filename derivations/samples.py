"""Samples of several modalities and a target: checked, centred, kept behind Correlations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np

from derivations.errors import DataError
from derivations.rows import (
    Gaps,
    Missing,
    aligned,
    checked_labels,
    checked_missing,
    class_note,
    contrasts,
    is_gap,
    label_of,
    means_of,
)

SMALLEST_UNIT, LARGEST_UNIT = 1e-151, 1e151  # of inputs and of the target: squares stay in the range of floats

COARSE = 1000  # roundings of its largest value by which a column has to vary: then its variance is good to 1e-6
FAR = 1e6  # times its spread: a mean beyond it is taken out twice
OFFSET = "too little for the digits of floats, subtract an offset first"


def frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def off_graph(value: Any, field_name: str) -> Any:
    """A tensor as an array: off its graph and device, dense, out of a float type that NumPy lacks; else as it is."""
    if not (hasattr(value, "detach") and hasattr(value, "is_sparse")):  # PyTorch's names
        return value
    try:
        plain = value.detach().cpu()
        plain = plain if str(plain.layout) == "torch.strided" else plain.to_dense()
        return (plain.double() if plain.is_floating_point() else plain).numpy()
    except Exception as error:  # a tensor of a kind that holds no values, or any other
        raise DataError(f"{field_name} is a tensor that cannot be read: {str(error).splitlines()[0][:100]}") from None


def has_mask(value: Any, deep: int = 4) -> bool:
    """Whether a value, or a list of lists down to a depth, holds a masked array: NumPy drops its mask."""
    if isinstance(value, list | tuple):
        return deep > 0 and any(has_mask(one, deep - 1) for one in value)
    return np.ma.isMaskedArray(value)


def real_array(value: Any, field_name: str, gaps: bool = False) -> np.ndarray:
    """A new float array, or a DataError that says which entry is no finite real number; NaN may stay with `gaps`."""
    value = off_graph(value, field_name)
    if isinstance(value, list | tuple):
        value = [off_graph(one, field_name) for one in value]
    if has_mask(value):
        raise DataError(f"{field_name} is a masked array: fill or drop what is masked")
    try:
        raw = np.asarray(value)
    except ValueError:
        raise DataError(f"{field_name} is ragged: its rows differ in their number of entries") from None
    except Exception as error:  # a foreign type may raise anything
        raise DataError(f"{field_name} cannot be read as real numbers: {str(error)[:100]!r}") from None
    if raw.dtype.kind not in "biuf":
        cells = np.asarray(value, dtype=object)
        if gaps and raw.dtype.kind == "O":  # None among numbers is a gap, as nan is
            missing = np.array([one is None for one in cells.flat], dtype=bool).reshape(cells.shape)
            raw = cells = np.where(missing, np.nan, cells).astype(object)
        odd = next((entry for entry in cells.flat if not isinstance(entry, Real)), Real)
        if odd is not Real or raw.dtype.kind != "O":
            raise DataError(f"{field_name} must hold real numbers, got dtype {raw.dtype}, such as {repr(odd)[:40]}")
    try:
        array = np.array(raw, dtype=float)
    except OverflowError:
        raise DataError(f"{field_name} holds an integer beyond the range of floats") from None
    bad = np.argwhere(np.isinf(array) if gaps else ~np.isfinite(array))
    if len(bad):
        index = tuple(int(i) for i in bad[0])
        if not index:
            raise DataError(f"{field_name} must be finite, got {array}")
        raise DataError(f"{field_name} has {array[index]} at index {index}")
    return array


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Centred samples behind a Correlations: `inputs` modality -> (P, d), `targets` (P, outputs)."""

    inputs: Mapping[str, np.ndarray]
    targets: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))

    def __reduce__(self) -> Any:
        return type(self), (dict(self.inputs), self.targets)

    @property
    def count(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        return f"Samples({self.count})"


@dataclass(frozen=True, eq=False)
class Prepared:
    """Samples, the names of their columns where the caller's objects have some, and what was done to them."""

    samples: Samples
    columns: Mapping[str, tuple[str, ...]] | None
    notes: tuple[str, ...]
    has_classes: bool


def prepared_samples(
    inputs: Mapping[str, Any],
    targets: Any,
    standardize: bool,
    missing: Any = "error",
    classes: bool = False,
    has_classes: bool = False,
    columns: Mapping[str, tuple[str, ...]] | None = None,
) -> Prepared:
    """Centred columns of every modality and of the target; with `standardize` of variance one, but for classes.

    Frames and series are aligned by their indexes, gaps (NaN) treated as `missing` says, text targets, or any with
    `classes`, taken as classes, constant inputs kept as zeros.

    Raises a DataError on fewer than two samples, differing lengths or indexes, gaps, a constant target.
    """
    policy = checked_missing(missing)
    for flag, value in (("standardize", standardize), ("classes", classes)):
        if not isinstance(value, bool | np.bool_):
            raise DataError(f"{flag} must be True or False, got {value!r}")
    if not isinstance(inputs, Mapping) or not inputs:
        raise DataError(f"inputs must map at least one modality to samples, got {type(inputs).__name__}")
    inputs, targets = aligned(inputs, targets)
    names = {m: _names(block) for m, block in inputs.items()} if columns is None else columns
    targets = off_graph(targets, "targets")
    blocks = {m: _columns(_values(block), f"inputs[{m!r}]") for m, block in inputs.items()}
    y, notes = _targets(_values(targets), bool(classes) or str(getattr(targets, "dtype", "")) == "category")
    lengths = {m: len(block) for m, block in blocks.items()} | {"targets": len(y)}
    if len(set(lengths.values())) > 1:
        raise DataError(f"inputs and targets differ in their number of samples: {lengths}")
    labels = {m: _labels(names, m, x.shape[1]) for m, x in blocks.items()}
    table = np.hstack([*blocks.values(), y])
    gaps = Gaps([*(name for each in labels.values() for name in each), *["targets"] * y.shape[1]], y.shape[1])
    whole = gaps.seen(table)
    if gaps.first is not None:
        if policy is Missing.ERROR:
            raise DataError(gaps.told(f"row {gaps.first[0]} (the first being 0)"))
        if policy is Missing.MEAN:
            whole = ~np.isnan(y).any(axis=1)
            table = np.where(np.isnan(table), np.nan_to_num(means_of(table[whole])), table)
        table = table[whole]
    if len(table) < 2:
        raise DataError(f"at least two samples are needed, got {len(table)}")
    spans = np.split(table, np.cumsum([x.shape[1] for x in blocks.values()]), axis=1)
    centred, still = {}, list[str]()
    for (m, each), block in zip(labels.items(), spans[:-1], strict=True):
        centred[m], constant = _centred(block, f"inputs[{m!r}]", standardize)
        frozen(centred[m])
        still += [each[i] for i in constant]
    has_classes = has_classes or bool(notes)
    y, constant = _centred(spans[-1], "targets", standardize and not has_classes)
    if len(constant):
        raise DataError(f"targets column {constant[0]} is constant ({spans[-1][0, constant[0]]:g})")
    return Prepared(
        Samples(centred, frozen(y)),
        columns if columns is not None else labels if any(names.values()) else None,
        (*notes, *gaps.note(policy), *constant_notes(still)),
        has_classes,
    )


def constant_notes(names: Sequence[str]) -> tuple[str, ...]:
    """That constant inputs have no effect."""
    if not names:
        return ()
    told = ", ".join(repr(name)[:40] for name in names[:4]) + (", ..." if len(names) > 4 else "")
    return (f"{len(names)} constant column{'s' if len(names) > 1 else ''} ({told}): without effect",)


def _values(block: Any) -> Any:
    """A frame or a series as an array, gaps as NaN; anything else as it is."""
    if not hasattr(block, "iloc"):
        return block
    kinds = [block.dtype] if hasattr(block, "dtype") else list(block.dtypes)
    if all(getattr(kind, "kind", "O") in "biuf" for kind in kinds):
        return block.to_numpy(dtype=float, na_value=np.nan)
    return block.to_numpy(dtype=object)


def _names(block: Any) -> tuple[str, ...] | None:
    """Names of the columns of a frame or a series."""
    if hasattr(block, "columns") and hasattr(block, "iloc"):
        return tuple(" ".join(str(name).split()) for name in block.columns)
    return (str(block.name),) if hasattr(block, "iloc") and getattr(block, "name", None) is not None else None


def _labels(names: Any, modality: str, count: int) -> tuple[str, ...]:
    """What the columns of a modality are called in notes, whatever the caller gave as their names."""
    given = names.get(modality) if isinstance(names, Mapping) else None
    own = tuple(map(str, given)) if isinstance(given, Sequence) else ()
    return (
        own if len(own) == count else (modality,) if count == 1 else tuple(f"{modality}{i + 1}" for i in range(count))
    )


def _targets(targets: Any, classes: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """Targets (P, outputs), and the note on classes if they are some."""
    raw = targets if isinstance(targets, np.ndarray) else np.asarray(targets, dtype=object)
    flat = raw.reshape(-1) if raw.ndim == 2 and raw.shape[1] == 1 else raw
    cells = flat.tolist() if flat.dtype.kind in "OU" and flat.ndim == 1 else []
    text = any(isinstance(value, str) for value in cells)
    odd = [value for value in cells if text and not isinstance(value, str) and not is_gap(value)]
    if odd and not classes:
        raise DataError(f"targets hold text and numbers, such as {odd[0]!r}: with classes=True all are classes")
    if not (text or classes):
        return _columns(targets, "targets"), ()
    if flat.ndim != 1:
        raise DataError(f"targets of classes must have shape (P,), got {raw.shape}")
    labels = [None if is_gap(value) else label_of(value) for value in flat.tolist()]
    known = checked_labels("targets", list({label for label in labels if label is not None}))
    place = {label: float(i) for i, label in enumerate(known)}
    codes = np.array([-1.0 if label is None else place[label] for label in labels])
    return contrasts(codes, len(known)), (class_note("the target", known),)


def _columns(block: Any, name: str) -> np.ndarray:
    array = real_array(block, name, gaps=True)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise DataError(f"{name} must have shape (P,) or (P, columns), got {array.shape}")
    return array


def _centred(block: np.ndarray, name: str, standardize: bool) -> tuple[np.ndarray, np.ndarray]:
    """Centred columns, z-scored on request, and the places of constant ones, which are zero."""
    size, spread = np.max(np.abs(block), axis=0), np.ptp(block, axis=0)
    still = spread <= 8 * np.finfo(float).eps * size  # up to rounding
    coarse = np.flatnonzero(~still & (spread <= COARSE * np.finfo(float).eps * size))
    if len(coarse):
        i = int(coarse[0])
        raise DataError(f"{name} column {i} varies by {spread[i]:.3g} around {block[0, i]:.6g}: {OFFSET}")
    mean = block.mean(axis=0)
    centred: np.ndarray = block - mean
    centred[:, still] = 0.0
    sizes = np.max(np.abs(centred), axis=0)
    left = ~still & (np.abs(mean) > FAR * sizes)  # of a mean that far from zero rounding leaves something
    centred[:, left] -= centred[:, left].mean(axis=0)
    far = np.flatnonzero(~still & ((sizes < SMALLEST_UNIT) | (sizes > LARGEST_UNIT)))
    if not standardize and len(far):
        i = int(far[0])
        raise DataError(f"{name} column {i} has values of size {sizes[i]:.3g}: rescale the units")
    if standardize:
        scale = np.where(still, 1.0, sizes)  # keeps squares of very small or large units in range
        centred /= scale
        centred /= np.where(still, 1.0, np.std(centred, axis=0))
    return centred, np.flatnonzero(still)
