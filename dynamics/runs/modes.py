"""Modes: when each singular direction of Sigma_yx is learned, of data with several outputs.

Sigma_yx_m = sum of size_i u_i v_i^T, the largest first. What m has learned of its mode i is u_i^T W_m v_i; times
size_i, that is the covariance of m's part of the output with the target along u_i. The mode is learned when half of
what it has in the end is there, at the regression on all that is learned. One output has one mode a modality, whose
time is that of the modality: nothing is listed there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from derivations.critical.saddles import Course
from dynamics.runs.half_times import HALF, WORTHLESS, Status, first_time
from dynamics.starts.aligned import Directions, directions_of
from dynamics.tables import Drawn, Shown, Table, number

Key = tuple[str, int]  # modality and place, from 0
Mark = Callable[[np.ndarray], float]
LISTED = 30  # rows of a table


@dataclass(frozen=True)
class Mode:
    """A singular direction of Sigma_yx of a modality, and when it is learned.

    modality : whose inputs it reads
    number : from 1, the largest singular value first
    size : its singular value, in units of Sigma_yx
    time : when half of what it has in the end is there, in units of tau; inf if it is not
    status : `never` where it ends with less than 1 % of what it would have alone, or with the other sign
    """

    modality: str
    number: int
    size: float
    time: float
    status: Status


@dataclass(frozen=True, eq=False, repr=False)
class Modes(Shown, Drawn):
    """The modes of all modalities in the order in which they are learned; empty for one output."""

    figure: ClassVar[str] = "figures.modes"

    rows: tuple[Mode, ...] = ()

    def __iter__(self) -> Iterator[Mode]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Mode:
        return self.rows[place]

    @property
    def times(self) -> dict[tuple[str, int], float]:
        """(modality, number) -> time, in the order of the times."""
        return {(row.modality, row.number): row.time for row in self.rows}

    @property
    def order(self) -> tuple[tuple[str, int], ...]:
        """(modality, number) of those that are reached."""
        return tuple((row.modality, row.number) for row in self.rows if row.status is Status.REACHED)

    @property
    def table(self) -> Table:
        rows = tuple(
            (row.modality, str(row.number), number(row.size), row.status.value, number(row.time))
            for row in self.rows[:LISTED]
        )
        more = len(self.rows) - len(rows)
        head = ("modality", "mode", "singular value", "status", "half-time [tau]")
        return Table("Modes of Sigma_yx", head, rows, (f"and {more} more",) if more else ())

    def to_list(self) -> list[dict[str, Any]]:
        """For strict JSON."""
        keys = ("modality", "mode", "singular_value", "time", "status")
        told = [
            (r.modality, r.number, r.size, r.time if math.isfinite(r.time) else "inf", r.status.value) for r in self
        ]
        return [dict(zip(keys, row, strict=True)) for row in told]


def directions(course: Course) -> dict[str, Directions]:
    """The modes of each modality; none for one output."""
    data = course.data
    if data.outputs == 1:
        return {}
    key = "modes"
    if key not in data.kept:
        data.kept[key] = directions_of(data)
    found: dict[str, Directions] = data.kept[key]
    return found


def strength(modes: Directions, weights: np.ndarray) -> np.ndarray:
    """u_i^T W v_i of every mode, (..., r), of total weights (..., outputs, d)."""
    return np.asarray(np.einsum("oi,...od,id->...i", modes.left, weights, modes.right))


def goals(course: Course) -> dict[str, np.ndarray]:
    """Modality -> what each mode has in the end; 0 where it is never learned."""
    end, found = course.saddles[-1].total, {}
    for m, modes in directions(course).items():
        last, alone = strength(modes, end[m]), strength(modes, course.data.regression((m,))[m])
        found[m] = np.where(last > WORTHLESS * np.abs(alone), last, 0.0)
    return found


def marks(course: Course) -> dict[Key, Mark]:
    """What passes zero when a mode that can be learned is half there, of packed total weights (outputs, D)."""

    def mark(m: str, i: int, goal: float) -> Mark:
        modes, span = directions(course)[m], course.data.span(m)
        seen = np.outer(modes.left[:, i], modes.right[i]) / goal
        return lambda packed: float(np.sum(seen * packed[:, span])) - 0.5

    return {(m, i): mark(m, i, float(g)) for m, row in goals(course).items() for i, g in enumerate(row) if g > 0}


def timed(course: Course, clock: Mapping[Key, float]) -> Modes:
    """The modes with their times on a clock; a key that it lacks is never learned."""
    rows = []
    for m, modes in directions(course).items():
        for i, size in enumerate(modes.sizes):
            time = clock.get((m, i), math.inf)
            late = Status.NEVER if (m, i) not in clock else Status.NOT_REACHED
            rows.append(Mode(m, i + 1, float(size), float(time), Status.REACHED if math.isfinite(time) else late))
    ranks = list(Status)
    return Modes(tuple(sorted(rows, key=lambda row: (ranks.index(row.status), row.time, -row.size))))


def read_off(course: Course, t: np.ndarray, packed: np.ndarray) -> Modes:
    """The modes of a run (T,), (T, outputs, D), interpolated between its points."""
    clock: dict[Key, float] = {}
    ends = goals(course)
    for m, modes in directions(course).items():
        path = strength(modes, packed[:, :, course.data.span(m)])
        clock |= {(m, i): first_time(t, path[:, i] / g, HALF) for i, g in enumerate(ends[m]) if g > 0}
    return timed(course, clock)
