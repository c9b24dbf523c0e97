"""Half-times in a run's own order: who is first to reach half of what it alone comes to, then who beside that.

Gradient descent races for the plateaus, and the course knows who leaves zero first. Optimizers that divide each entry
by its own size do not race: with them the plateaus follow from the order in which the run itself reaches their halves.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from derivations.critical.saddles import Course
from dynamics.runs.half_times import Status, before_it, first_time


def in_own_order(course: Course, t: np.ndarray, packed: np.ndarray) -> tuple[Course, dict[str, float]]:
    """The course with plateaus in the order found, and the half-times; inf where half is not reached.

    Parameters
    ----------
    t, packed : (T,) and (T, outputs, D)
    """
    learned: tuple[str, ...] = ()
    left = [m for m in course.order if m not in course.never]
    plateaus, clock = dict(course.plateaus), before_it(course)[0]
    while left:
        goals = {m: course.resting((*learned, m))[m] for m in left}
        trial = replace(course, plateaus=plateaus | goals)
        found = {m: _half(trial, m, t, packed) for m in left}
        first = min(left, key=lambda m: found[m])
        plateaus[first], clock[first] = goals[first], found[first]
        learned = (*learned, first)
        left.remove(first)
    order = (*learned, *(m for m in course.order if m in course.never))
    return replace(course, order=order, plateaus=plateaus), clock


def _half(course: Course, m: str, t: np.ndarray, packed: np.ndarray) -> float:
    if m not in course.along:
        return math.inf
    share = np.sum(packed[:, :, course.data.span(m)] * course.along[m], axis=(1, 2))
    return first_time(t, share, 0.5)


def statuses(course: Course, clock: dict[str, float]) -> dict[str, Status]:
    """Of every modality, by what its clock shows."""
    return before_it(course)[1] | {m: Status.REACHED for m, at in clock.items() if math.isfinite(at)}
