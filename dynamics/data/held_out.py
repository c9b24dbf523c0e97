"""Rows held out: what is left to learn from, and how far a network is from the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np

from derivations import Correlations, DataError, DomainError
from derivations.samples import has_mask, off_graph, prepared_samples
from dynamics.checks import checked_integer, told

#: A share of the rows, or their numbers in `data.samples`, from 0.
Holdout = float | Sequence[int] | np.ndarray
LEAST = 2  # rows that have to be left: one alone has no variance
NO_ROWS = "holdout needs rows: data.samples is None (moments given as such, or a table of more than 64 MiB)"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Data without some rows, and those rows.

    left : what there is to learn from, centred with its own means, in the units of the data
    inputs, targets : modality -> (P, d) and (P, outputs) of the rows held out, less the means of those left
    """

    left: Correlations
    inputs: Mapping[str, np.ndarray]
    targets: np.ndarray

    @property
    def count(self) -> int:
        return len(self.targets)

    def errors(self, packed: np.ndarray) -> np.ndarray:
        """Half the mean squared error on the rows held out, (T,), of total weights (T, outputs, D).

        By second moments, so that it costs the same for any number of rows.
        """
        x, y = np.hstack([self.inputs[m] for m in self.left.modalities]), self.targets
        cross, square = y.T @ x / len(x), x.T @ x / len(x)
        fit = np.sum(packed * (packed @ square - 2 * cross), axis=(1, 2))
        return np.asarray(np.maximum(self.spread + fit / 2, 0.0))

    @property
    def spread(self) -> float:
        """The same error of predicting the mean of the rows left."""
        return float(np.mean(np.sum(self.targets**2, axis=1))) / 2


def held_out(data: Correlations, holdout: Holdout, seed: int | None = None) -> HeldOut:
    """Some rows set aside.

    Parameters
    ----------
    data : with samples
    holdout : share of the rows, drawn, between 0 and 1; or a list of their numbers
    seed : of the draw; 0 where none is given

    Raises
    ------
    DataError
        Of data without samples; where the rows left have a constant target or lack a class.
    DomainError
        On a share or numbers that name no rows, name one twice, or leave fewer than LEAST.

    Examples
    --------
    >>> data = Correlations.from_samples({"A": [1.0, 2, 3, 4], "B": [1.0, 0, 1, 1]}, [1.0, 2, 2, 3])
    >>> split = held_out(data, [3])
    >>> split.left.samples.count, split.count, split.targets.round(3).tolist()
    (3, 1, [[1.333]])
    """
    if data.samples is None:
        raise DataError(NO_ROWS)
    total = data.samples.count
    out = np.zeros(total, dtype=bool)
    out[_rows(holdout, seed, total)] = True
    kept = total - int(np.sum(out))
    if kept < LEAST:
        raise DomainError(f"holdout must leave at least {LEAST} of {total} rows, {told(holdout)} leaves {kept}")
    inputs, targets = data.samples.inputs, data.samples.targets
    try:
        found = prepared_samples(
            {m: x[~out] for m, x in inputs.items()}, targets[~out], False, has_classes=data.has_classes,
            columns=data.columns,
        )  # fmt: skip
        left = Correlations.of_prepared(found, data.notes)
    except DataError as error:
        why = ": a class may lack rows" if data.has_classes else ""
        raise DataError(f"the rows that holdout leaves: {error}{why}") from None
    if left.outputs != data.outputs:
        raise DataError(
            f"the rows that holdout leaves have {left.outputs} of {data.outputs} outputs: a class may lack rows"
        )
    if data.axes is not None:
        left = replace(left, axes=data.axes)
    apart = {m: x[out] - np.mean(x[~out], axis=0) for m, x in inputs.items()}
    return HeldOut(left, apart, targets[out] - np.mean(targets[~out], axis=0))


def _rows(holdout: Holdout, seed: int | None, total: int) -> np.ndarray:
    """Numbers of the rows."""
    holdout = off_graph(holdout, "holdout")
    if isinstance(holdout, int | float | np.number) and not isinstance(holdout, bool):
        if not 0 < holdout < 1:
            raise DomainError(f"holdout must be a share between 0 and 1, or a list of rows, got {told(holdout)}")
        count = round(float(holdout) * total)
        if count < 1:
            raise DomainError(f"holdout = {told(holdout)} of {total} rows is less than one row")
        draw = np.random.default_rng(0 if seed is None else checked_integer(seed, "holdout_seed", 0))
        return draw.permutation(total)[:count]
    if seed is not None:
        raise DomainError("holdout_seed goes with a share, not with a list of rows")
    if isinstance(holdout, np.ndarray) and holdout.ndim == 1 and not has_mask(holdout):
        holdout = holdout.tolist()
    if not isinstance(holdout, Sequence) or isinstance(holdout, str) or not len(holdout):
        raise DomainError(f"holdout must be a share between 0 and 1, or a list of rows, got {told(holdout)}")
    seen = set[int]()
    for row in holdout:
        if isinstance(row, bool | np.bool_) or not isinstance(row, Integral):
            raise DomainError(f"holdout must hold numbers of rows, got {told(row)}")
        if not 0 <= row < total:
            raise DomainError(f"holdout must hold rows from 0 to {total - 1}, got {told(row)}")
        if int(row) in seen:
            raise DomainError(f"holdout names row {told(row)} twice")
        seen.add(int(row))
    return np.array(sorted(seen))
