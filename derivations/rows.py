"""Rows of a table before they are samples: aligned, without gaps, classes as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np

from derivations.errors import DataError, DomainError

MOST_CLASSES = 1000  # of a target: more are a number or a name, not a class


class Missing(StrEnum):
    """What becomes of rows that have gaps."""

    ERROR = "error"
    DROP = "drop"
    MEAN = "mean"


def checked_missing(missing: Any) -> Missing:
    """The policy of that name."""
    try:
        return Missing(missing)
    except ValueError:
        raise DomainError(f"missing must be one of {', '.join(Missing)}, got {missing!r}") from None


def contrasts(codes: np.ndarray, count: int) -> np.ndarray:
    """Classes 0..count-1 of the rows (P,) as (P, count - 1): the one-hot columns, turned.

    One-hot columns, centred, sum to zero, so that they hold count - 1 dimensions. These are seen along orthonormal
    axes (Helmert's), which changes no loss and no time; of two classes one column is left, the second one positive. A
    code below zero is a gap.

    Examples
    --------
    >>> contrasts(np.array([0, 1, 0]), 2).ravel() * 2**0.5
    array([-1.,  1., -1.])
    """
    axes = np.zeros((count, count - 1))
    for k in range(1, count):
        axes[:k, k - 1], axes[k, k - 1] = -1.0, float(k)  # a later class is positive
    axes /= np.linalg.norm(axes, axis=0) if count > 1 else 1.0
    return np.where((codes < 0)[:, None], np.nan, axes[codes.astype(int)])


def some_of(labels: Sequence[str]) -> str:
    """The first few names, and how many there are."""
    shown = ", ".join(label if len(label) <= 30 else f"{label[:27]}..." for label in labels[:6])
    return shown + (f", ... ({len(labels)} in all)" if len(labels) > 6 else "")


def class_note(name: str, labels: Sequence[str]) -> str:
    """What has been made of classes."""
    told = some_of(labels)
    head = f"{name} has {len(labels)} classes ({told}): one-hot, which is"
    if len(labels) == 2:
        return f"{head} one output, sqrt(2) times a column of 0 and 1, {labels[1]!r} on the positive side"
    return f"{head} {len(labels) - 1} outputs up to a rotation of the outputs"


def checked_labels(name: str, labels: Sequence[str]) -> list[str]:
    """Classes in order: numbers by size, text by the alphabet."""
    if len(labels) > MOST_CLASSES:
        raise DataError(f"{name} has {len(labels)} classes, at most {MOST_CLASSES} are taken: a number, or a name?")
    if len(labels) < 2:
        raise DataError(f"{name} has one class only, {', '.join(map(repr, labels))}: there is nothing to learn")
    try:
        return sorted(labels, key=float)
    except ValueError:
        return sorted(labels)


def label_of(value: Any) -> str:
    """The name of a class: 3 and 3.0 are one."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def is_gap(value: Any) -> bool:
    """Whether a Python object stands for nothing: None, NaN, pandas' NA or NaT."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)  # noqa: PLR0124


class Gaps:
    """Counts of what is missing, over as many blocks of rows as there are."""

    def __init__(self, names: Sequence[str], targets: int) -> None:
        self.names, self.targets = names, targets
        self.total = self.rows = self.cells = self.unlabelled = 0
        self.columns = np.zeros(len(names), dtype=int)
        self.first: tuple[int, str] | None = None

    def seen(self, rows: np.ndarray) -> np.ndarray:
        """Count the gaps of rows (P, K), and give (P,) which are whole."""
        gaps = np.isnan(rows)
        if not gaps.any():
            self.total += len(rows)
            return np.ones(len(rows), dtype=bool)
        broken = gaps.any(axis=1)
        if self.first is None:
            row = int(np.argmax(broken))
            self.first = (self.total + row, self.names[int(np.argmax(gaps[row]))])
        self.rows += int(broken.sum())
        self.columns += gaps.sum(axis=0)
        self.cells += int(gaps[:, : len(self.names) - self.targets].sum())
        self.unlabelled += int(gaps[:, len(self.names) - self.targets :].any(axis=1).sum())
        self.total += len(rows)
        return np.asarray(~broken)

    def told(self, where: str) -> str:
        """How much is missing, and what each way out costs; `where` is the place of the first."""
        unlabelled = f", {self.unlabelled} rows without a target go" if self.unlabelled else ""
        return (
            f"gaps in {self.rows} of {self.total} rows, the first in {where}, column {self.names_of_first!r}: "
            f"--missing drop (missing='drop') leaves {self.total - self.rows} rows, mean fills {self.cells} cells"
            f"{unlabelled}"
        )

    @property
    def names_of_first(self) -> str:
        return "" if self.first is None else self.first[1][:40]

    def note(self, missing: Missing) -> tuple[str, ...]:
        """What was done about them."""
        if not self.rows:
            return ()
        if missing is Missing.DROP:
            return (f"{self.rows} of {self.total} rows have gaps and were dropped",)
        inputs = int(np.sum(self.columns[: len(self.names) - self.targets] > 0))
        filled = [f"{self.cells} gaps in {inputs} columns were filled with their means"] * bool(inputs)
        dropped = [f"{self.unlabelled} rows without a target were dropped"] * bool(self.unlabelled)
        return ("; ".join(filled + dropped),)


def means_of(rows: np.ndarray) -> np.ndarray:
    """Means of columns (P, K) over what is there; NaN of a column that is empty."""
    there = ~np.isnan(rows)
    count = there.sum(axis=0)
    return np.asarray(np.where(there, rows, 0.0).sum(axis=0) / np.where(count, count, np.nan))


def aligned(inputs: Mapping[str, Any], targets: Any) -> tuple[dict[str, Any], Any]:
    """The same, frames and series with their rows in the order of the first one's index.

    Objects without an index go by position. Two indexes with other members, or with one twice, are refused: joining
    them by position would pair rows that do not belong together.
    """
    fields = {**{f"inputs[{m!r}]": x for m, x in inputs.items()}, "targets": targets}
    indexed = {name: x for name, x in fields.items() if hasattr(x, "iloc") and hasattr(x, "index")}
    if len(indexed) < 2:
        return dict(inputs), targets
    (first, base), *rest = indexed.items()
    found = dict(fields)
    for name, other in rest:
        if other.index.equals(base.index):
            continue
        way_out = "reindex them, or give arrays to go by position"
        if not base.index.is_unique or not other.index.is_unique:
            raise DataError(f"{first} and {name} have different indexes with entries twice: {way_out}")
        shared = len(base.index.intersection(other.index))
        if shared < max(len(base.index), len(other.index)):
            raise DataError(
                f"{first} and {name} have different indexes ({len(base.index)} and {len(other.index)} rows, {shared} "
                f"in both): {way_out}"
            )
        found[name] = other.loc[base.index]
    *blocks, y = found.values()
    return dict(zip(inputs, blocks, strict=True)), y
