"""Correlations of a stream of rows: samples are kept while they fit, then only moments, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from derivations import Correlations, DataError
from derivations.samples import COARSE, OFFSET
from dynamics.data.columns import Picked, check_width
from dynamics.messages import shown

KEPT = 64 * 2**20  # bytes of floats kept as samples; making Correlations of them takes three times as much
STEP = 8 * 2**20  # bytes of floats added to the moments at a time
SMALLEST = float(np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean, range and second moments of the rows so far.

    Rows are taken relative to `shift` (K,), so that a mean of 1e8 leaves the digits of a spread of 1. `comoments`
    (K, K), sums of products of deviations from the mean, are in units of `scale` (K,), powers of two beyond the
    largest deviation, so that squares neither overflow nor vanish.
    """

    count: int
    shift: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    comoments: np.ndarray
    low: np.ndarray
    high: np.ndarray


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
        moments = Moments(0, shift, none, scale, np.zeros((len(shift),) * 2), none + np.inf, none - np.inf)
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
        np.minimum(moments.low, rows.min(axis=0)),
        np.maximum(moments.high, rows.max(axis=0)),
    )


def correlations_of(blocks: Iterable[np.ndarray], picked: Picked, source: str, standardize: bool) -> Correlations:
    """Correlations of the rows that the blocks (rows, K) hold, K columns as in `picked.names`.

    Up to KEPT bytes the samples are kept, as in `Correlations.from_samples`; beyond it only their moments.

    Raises
    ------
    DataError
        On fewer than two rows, a constant column, a column whose variance over- or underflows.
    """
    check_width(len(picked.names))
    kept: list[np.ndarray] = []
    size, moments = 0, None
    for rows in _joined(blocks):
        _check_size(rows, picked, source, standardize)
        kept.append(rows)
        size += rows.nbytes
        while kept and size > KEPT:
            moments = merged(moments, kept.pop(0))
    if moments is None:
        return _from_kept(kept, picked, source, standardize)
    _check_spread(moments.count, moments.low, moments.high, picked, source, standardize)
    inputs = len(picked.names) - len(picked.targets)
    sizes = {name: len(columns) for name, columns in picked.modalities.items()}
    units = np.ones_like(moments.scale) if standardize else moments.scale
    second = moments.comoments / moments.count * units * units[:, None]
    data = Correlations(
        second[:inputs, :inputs],
        second[inputs:, :inputs],
        sizes,
        second[inputs:, inputs:],
        columns=picked.modalities,
    )
    return data.standardized() if standardize else data


def _from_kept(kept: list[np.ndarray], picked: Picked, source: str, standardize: bool) -> Correlations:
    if not kept:
        raise DataError(f"{source}: at least two samples are needed, got 0")
    table = np.concatenate(kept)
    kept.clear()
    _check_spread(len(table), table.min(axis=0), table.max(axis=0), picked, source, standardize)
    inputs, start = {}, 0
    for name, columns in picked.modalities.items():
        inputs[name] = table[:, start : start + len(columns)]
        start += len(columns)
    return Correlations.from_samples(inputs, table[:, start:], standardize, picked.modalities)


def _joined(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same rows in blocks of about STEP bytes: a merge costs K^2, however few its rows are."""
    waiting: list[np.ndarray] = []
    for block in blocks:
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


def _check_spread(
    count: int, low: np.ndarray, high: np.ndarray, picked: Picked, source: str, standardize: bool
) -> None:
    if count < 2:
        raise DataError(f"{source}: at least two samples are needed, got {count}")
    spread, size = high - low, np.maximum(np.abs(low), np.abs(high))
    constant = np.flatnonzero(spread <= 8 * np.finfo(float).eps * size)  # up to rounding
    if len(constant):
        raise DataError(f"{source}: column {shown(picked.names[constant[0]])} is constant ({low[constant[0]]:g})")
    coarse = np.flatnonzero(spread <= COARSE * np.finfo(float).eps * size)
    if len(coarse):
        i = int(coarse[0])
        raise DataError(
            f"{source}: column {shown(picked.names[i])} varies by {spread[i]:.3g} around {low[i]:.6g}: {OFFSET}"
        )
    tiny = np.flatnonzero(spread < (1e-300 if standardize else 2e-150))
    if len(tiny):
        name = shown(picked.names[tiny[0]])
        raise DataError(
            f"{source}: column {name} varies by less than 1e-150: its variance underflows, rescale the units"
        )
