"""Correlations of a stream of rows: samples are kept while they fit, then only moments, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from derivations import Correlations, DataError
from derivations.samples import COARSE, OFFSET, constant_notes, prepared_samples
from dynamics.data.codes import Ends, ends_of, ends_of_both, suspects
from dynamics.data.columns import Picked, check_width
from dynamics.data.shaping import Shaped
from dynamics.messages import shown

KEPT = 64 * 2**20  # bytes of floats kept as samples; making Correlations of them takes three times as much
STEP = 8 * 2**20  # bytes of floats added to the moments at a time
SMALLEST = float(np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and second moments of the rows so far.

    Rows are taken relative to `shift` (K,), so that a mean of 1e8 leaves the digits of a spread of 1. `comoments`
    (K, K), sums of products of deviations from the mean, are in units of `scale` (K,), powers of two beyond the
    largest deviation, so that squares neither overflow nor vanish.
    """

    count: int
    shift: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    comoments: np.ndarray


def merged(moments: Moments | None, rows: np.ndarray) -> Moments:
    """Moments of the rows (P, K) joined with those before them (Chan, Golub, LeVeque 1983).

    Examples
    --------
    >>> rows = np.array([[1.0, 2.0], [2.0, 0.0], [6.0, 1.0]])
    >>> found = merged(merged(None, rows[:1]), rows[1:])
    >>> found.shift + found.mean, found.comoments * np.outer(found.scale, found.scale)
    (array([3., 1.]), array([[14., -1.], [-1.,  2.]]))
    """
    if moments is None:
        shift = rows.mean(axis=0)
        none = np.zeros_like(shift)
        scale = np.full_like(shift, SMALLEST)
        moments = Moments(0, shift, none, scale, np.zeros((len(shift),) * 2))
    deviation = rows - moments.shift
    mean = deviation.mean(axis=0)
    deviation -= mean
    left = deviation.mean(axis=0)  # what rounding left of the mean
    deviation -= left
    mean += left
    step = mean - moments.mean if moments.count else mean
    largest = np.maximum(np.max(np.abs(deviation), axis=0), np.abs(step))
    scale = np.maximum(moments.scale, np.ldexp(1.0, np.frexp(np.maximum(largest, SMALLEST))[1]))
    shrunk = moments.scale / scale
    deviation /= scale
    step_in_units = step / scale
    count = moments.count + len(rows)
    between = moments.count * len(rows) / count
    return Moments(
        count,
        moments.shift,
        moments.mean + step * (len(rows) / count),
        scale,
        moments.comoments * np.outer(shrunk, shrunk)
        + deviation.T @ deviation
        + between * np.outer(step_in_units, step_in_units),
    )


def correlations_of(table: Shaped, source: str, standardize: bool) -> Correlations:
    """Correlations of the rows of a table; z-scoring leaves classes as they are.

    Up to KEPT bytes the samples are kept, as in `Correlations.from_samples`; beyond it only their moments.

    Raises
    ------
    DataError
        On fewer than two rows, a constant target, a column whose variance over- or underflows.
    """
    picked = table.picked
    check_width(len(picked.names))
    if standardize and 0 < table.free < len(picked.targets):
        raise DataError(f"{source}: z-scoring leaves classes alone: give targets of classes and of numbers apart")
    kept: list[np.ndarray] = []
    size, moments, ends = 0, None, None
    for rows in _joined(table.blocks()):
        _check_size(rows, picked, source, standardize)
        ends = ends_of(rows) if ends is None else ends_of_both(ends, ends_of(rows))
        kept.append(rows)
        size += rows.nbytes
        while kept and size > KEPT:
            moments = merged(moments, kept.pop(0))
    count = sum(map(len, kept)) if moments is None else moments.count
    if count < 2 or ends is None:
        raise DataError("; ".join([f"{source}: at least two samples are needed, got {count}", *table.notes()]))
    still = _still(ends, picked, source, standardize)
    notes = (*table.notes(), *suspects(ends, picked.names, table.plain))
    inputs = len(picked.names) - len(picked.targets)
    if moments is None:
        rows = np.concatenate(kept)
        kept.clear()
        spans = np.cumsum([len(columns) for columns in picked.modalities.values()])
        *blocks, y = np.split(rows, spans, axis=1)
        samples = dict(zip(picked.modalities, blocks, strict=True))
        found = prepared_samples(samples, y, standardize, has_classes=bool(table.free), columns=picked.modalities)
        return Correlations.of_prepared(found, notes)
    sizes = {name: len(columns) for name, columns in picked.modalities.items()}
    units = np.ones_like(moments.scale) if standardize else moments.scale
    second = moments.comoments / moments.count * units * units[:, None]
    second[still], second[:, still] = 0.0, 0.0
    notes += constant_notes([picked.names[i] for i in np.flatnonzero(still)])
    data = Correlations(
        second[:inputs, :inputs],
        second[inputs:, :inputs],
        sizes,
        second[inputs:, inputs:],
        None,
        picked.modalities,
        notes,
        has_classes=bool(table.free),
    ).of_full_rank()
    return data.standardized() if standardize else data


def _joined(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same rows in blocks of about STEP bytes: a merge costs K^2, however few its rows are."""
    waiting: list[np.ndarray] = []
    for block in filter(len, blocks):
        waiting.append(block)
        if sum(rows.nbytes for rows in waiting) >= STEP:
            yield np.concatenate(waiting)
            waiting.clear()
    if waiting:
        yield np.concatenate(waiting)


def _check_size(rows: np.ndarray, picked: Picked, source: str, standardize: bool) -> None:
    size = np.max(np.abs(rows), axis=0)
    beyond = np.flatnonzero(size > (1e300 if standardize else 1e150))
    if len(beyond):
        name = shown(picked.names[beyond[0]])
        raise DataError(
            f"{source}: column {name} reaches {size[beyond[0]]:.3g}: its variance overflows, rescale the units"
        )


def _still(ends: Ends, picked: Picked, source: str, standardize: bool) -> np.ndarray:
    """Which columns are constant; a DataError of a target that is, and of columns too tight or too small."""
    spread, size = ends.high - ends.low, np.maximum(np.abs(ends.low), np.abs(ends.high))
    still = spread <= 8 * np.finfo(float).eps * size  # up to rounding
    constant = [i for i in np.flatnonzero(still) if i >= len(still) - len(picked.targets)]
    if constant:
        name = shown(picked.names[constant[0]])
        raise DataError(f"{source}: target {name} is constant ({ends.low[constant[0]]:g}): there is nothing to learn")
    coarse = np.flatnonzero(~still & (spread <= COARSE * np.finfo(float).eps * size))
    if len(coarse):
        i = int(coarse[0])
        raise DataError(
            f"{source}: column {shown(picked.names[i])} varies by {spread[i]:.3g} around {ends.low[i]:.6g}: {OFFSET}"
        )
    tiny = np.flatnonzero(~still & (spread < (1e-300 if standardize else 2e-150)))
    if len(tiny):
        name = shown(picked.names[tiny[0]])
        raise DataError(
            f"{source}: column {name} varies by less than 1e-150: its variance underflows, rescale the units"
        )
    return np.asarray(still)
