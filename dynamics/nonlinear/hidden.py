"""What one layer of ReLU units makes of the samples: the loss and its gradient, in three exact forms.

`on_samples` is the definition. Where the inputs have little in them the same sums take far fewer terms:

- `on_atoms`, late fusion of scalars and of inputs with few distinct values. relu(w x) of a scalar is
  relu(w) max(x, 0) + relu(-w) max(-x, 0); of a table of values it is one number a value. So a branch puts out
  o_1 F_1(x) + ... + o_k F_k(x), o the units' output at k atoms, and the loss is a quadratic form in o whose
  coefficients are means of products F_i F_j and y F_i, taken once.
- `on_lines`, one continuous column beside few distinct values. Along each value y_hat is piecewise linear in the
  continuous column with one kink a unit; with the samples sorted, sums over active samples are differences of
  cumulative sums.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from itertools import pairwise

import numpy as np

#: A hidden layer: first weights (h, d) and second weights (h,).
Units = tuple[np.ndarray, np.ndarray]
#: Hidden layers that are added at the output -> loss and minus its gradient.
HiddenVelocity = Callable[[list[Units]], tuple[float, list[Units]]]

BLOCK = 512  # samples at a time: their activations stay in the cache
FEW = 16  # distinct values up to which a table of them pays


class Form(StrEnum):
    """How the sums over samples are taken; all are exact."""

    SAMPLES = "samples"
    ATOMS = "atoms"
    LINES = "lines"


def forms(blocks: list[np.ndarray]) -> list[Form]:
    """The forms that these hidden layers allow, one (P, d) block of inputs each; the cheapest first."""
    found = []
    if all(_atoms_of(x) is not None for x in blocks):
        found.append(Form.ATOMS)
    if len(blocks) == 1 and _continuous_column(blocks[0]) is not None:
        found.append(Form.LINES)
    return [*found, Form.SAMPLES]


def hidden_velocity(blocks: list[np.ndarray], y: np.ndarray, form: Form) -> HiddenVelocity:
    """Half the mean squared error of y_hat = sum over layers of second . relu(first x)."""
    return {Form.SAMPLES: on_samples, Form.ATOMS: on_atoms, Form.LINES: on_lines}[form](blocks, y)


def on_samples(blocks: list[np.ndarray], y: np.ndarray) -> HiddenVelocity:
    count = len(y)
    cuts = [slice(i, i + BLOCK) for i in range(0, count, BLOCK)]

    def velocity(units: list[Units]) -> tuple[float, list[Units]]:
        moved = [(np.zeros_like(first), np.zeros_like(second)) for first, second in units]
        loss = 0.0
        for cut in cuts:
            active = [np.maximum(x[cut] @ first.T, 0.0) for x, (first, _) in zip(blocks, units, strict=True)]
            error = y[cut] - sum(a @ second for a, (_, second) in zip(active, units, strict=True))
            loss += float(error @ error)
            for x, a, (_, second), (to_first, to_second) in zip(blocks, active, units, moved, strict=True):
                np.add(to_second, error @ a, out=to_second)
                np.add(to_first, second[:, None] * ((a > 0).T @ (error[:, None] * x[cut])), out=to_first)
        return loss / (2 * count), [(first / count, second / count) for first, second in moved]

    return velocity


def _atoms_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Where units are evaluated, (k, d), and the features F, (P, k): relu(w x) = relu(atoms w) F(x)."""
    if x.shape[1] == 1:
        return np.array([[1.0], [-1.0]]), np.hstack([np.maximum(x, 0.0), np.maximum(-x, 0.0)])
    found = _few_rows(x)
    return None if found is None else (found[0], np.eye(len(found[0]))[found[1]])


def _few_rows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The distinct rows, and which of them each row is; None where they are not few."""
    if len(np.unique(x[: FEW + 1], axis=0)) > FEW:
        return None
    values, which = np.unique(x, axis=0, return_inverse=True)
    return (values, which.ravel()) if len(values) <= FEW else None


def on_atoms(blocks: list[np.ndarray], y: np.ndarray) -> HiddenVelocity:
    found = [pair for pair in map(_atoms_of, blocks) if pair is not None]
    features = np.hstack([f for _, f in found])
    ends = np.cumsum([0, *(len(a) for a, _ in found)])
    spans = [slice(begin, end) for begin, end in pairwise(ends)]
    gram, cross = features.T @ features / len(y), y @ features / len(y)
    power = float(y @ y) / len(y)

    def velocity(units: list[Units]) -> tuple[float, list[Units]]:
        active = [np.maximum(first @ atoms.T, 0.0) for (first, _), (atoms, _) in zip(units, found, strict=True)]
        put_out = np.concatenate([second @ a for a, (_, second) in zip(active, units, strict=True)])
        error = cross - gram @ put_out
        moved = [
            ((second[:, None] * ((a > 0) * error[span])) @ atoms, a @ error[span])
            for a, (_, second), (atoms, _), span in zip(active, units, found, spans, strict=True)
        ]
        return max(power - float(put_out @ (cross + error)), 0.0) / 2, moved  # rounds at 1e-16 of <y^2>

    return velocity


def _continuous_column(x: np.ndarray) -> int | None:
    """The one column without which few distinct rows are left; None unless there is one."""
    columns = range(x.shape[1]) if x.shape[1] > 1 else ()
    return next((c for c in columns if _few_rows(np.delete(x, c, axis=1)) is not None), None)


def on_lines(blocks: list[np.ndarray], y: np.ndarray) -> HiddenVelocity:
    (x,) = blocks
    column = _continuous_column(x)
    assert column is not None
    others = np.delete(np.arange(x.shape[1]), column)
    values, which = np.unique(x[:, others], axis=0, return_inverse=True)
    which = which.ravel()
    order = np.lexsort((x[:, column], which))
    along, target, count = x[order, column], y[order], len(y)
    ends = np.searchsorted(which[order], np.arange(len(values) + 1))
    lines = [along[begin:end] for begin, end in pairwise(ends)]

    def velocity(units: list[Units]) -> tuple[float, list[Units]]:
        ((first, second),) = units
        slope, offset = first[:, column], first[:, others] @ values.T  # (h,) and (h, lines)
        turns = _turns(lines, slope, offset) + ends[:-1]
        rising = slope > 0
        sign = np.where(rising, second, -second)

        def put_out(part: np.ndarray) -> np.ndarray:
            """Sum over active units of second * part, at each sample; part : (h, lines)"""
            steps = np.zeros(count + 1)
            for i in range(len(lines)):  # what starts or stops at a turn, and what is active where the line begins
                steps += np.bincount(turns[:, i], sign * part[:, i], count + 1)
                steps[ends[i]] += np.sum(np.where(rising, 0.0, second * part[:, i]))
                if i:  # the line before ends here with all of its rising units
                    steps[ends[i]] -= np.sum(np.where(rising, second * part[:, i - 1], 0.0))
            return np.cumsum(steps[:-1])

        tilt = np.broadcast_to(slope[:, None], offset.shape)
        error = target - put_out(tilt) * along - put_out(offset)
        plain = np.concatenate([[0.0], np.cumsum(error)]) / count
        scaled = np.concatenate([[0.0], np.cumsum(error * along)]) / count
        after = rising[:, None]
        begin, end = np.where(after, turns, ends[:-1]), np.where(after, ends[1:], turns)  # where a unit is active
        seen, weighed = plain[end] - plain[begin], scaled[end] - scaled[begin]
        first_moved = np.empty_like(first)
        first_moved[:, column] = second * np.sum(weighed, axis=1)
        first_moved[:, others] = second[:, None] * (seen @ values)
        second_moved = slope * np.sum(weighed, axis=1) + np.sum(offset * seen, axis=1)
        return float(error @ error) / (2 * count), [(first_moved, second_moved)]

    return velocity


def _turns(lines: list[np.ndarray], slope: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """How many samples of each line lie before the kink of each unit, (h, lines).

    A unit is active after its kink if it rises, before it if not; on it relu' is 0. Without a slope it is active
    everywhere or nowhere.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        kink = np.where(slope[:, None] != 0, -offset / slope[:, None], np.where(offset > 0, np.inf, -np.inf))
    sides = [
        np.where(slope > 0, np.searchsorted(line, at, "right"), np.searchsorted(line, at))
        for line, at in zip(lines, kink.T, strict=True)
    ]
    return np.column_stack(sides)
