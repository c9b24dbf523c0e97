"""Plateaus and what is never learned, as a run has them: where it disagrees with the course, the run wins.

The course says what a start from small weights learns in the limit. Where fewer rows than columns, a block that spans
another, or nearly collinear columns leave directions that training does not follow to the end, a regression is not what
a run comes to; and a modality that a later one turns round may never see half of its plateau.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from derivations import Correlations
from derivations.critical.saddles import Course
from dynamics.runs.half_times import WORTHLESS, Status

if TYPE_CHECKING:
    from dynamics.runs.trajectory import Trajectory


NEAR = 1 / 3  # of a plateau, in the output: closer than that it is visited
DECAYED = "weight decay takes it back to zero"
NEGLIGIBLE = "what it adds to the output in the end is below 1 % of what it would add alone"


def size_of_output(data: Correlations, m: str, weights: np.ndarray) -> np.ndarray:
    """Root mean square of the outputs W x_m, (n,), of weights (n, outputs, d)."""
    block = data.input_block(m, m)
    large, wide = float(np.max(np.abs(weights), initial=0.0)) or 1.0, float(np.max(np.abs(block))) or 1.0
    scaled = weights / large  # squares of weights in very small or large units leave the range
    power = np.sum((scaled @ (block / wide)) * scaled, axis=(1, 2))
    return np.asarray(large * math.sqrt(wide) * np.sqrt(np.maximum(power, 0.0)))


def part(data: Correlations, m: str, packed: np.ndarray) -> float:
    """What m adds to the output at total weights (outputs, D), as a share of what it would add alone."""
    alone = size_of_output(data, m, data.regression((m,))[m][None])[0]
    here = size_of_output(data, m, packed[None, :, data.span(m)])[0]
    return float(here / alone) if alone > 0 else (math.inf if here > 0 else 0.0)


def as_run(course: Course, t: np.ndarray, packed: np.ndarray, status: Mapping[str, Status]) -> Course:
    """The course as a run that has come to its end has it; the same object where they agree.

    Parameters
    ----------
    t, packed : (T,) and (T, outputs, D), the run's own steps; its end alone will do
    status : by the course

    A modality that adds less than WORTHLESS in the end is never learned. A plateau that the run does not come near is
    replaced by its own: where it is slowest before the next modality is half there, else where it ends.
    """
    data = course.data
    missed = [m for m in data.modalities if m not in course.never and status[m] is not Status.REACHED]
    open_end = data.is_collinear or bool(course.terms.decay)  # the end says what is learned
    if not missed and not open_end:
        return course
    end, names = packed[-1], data.modalities
    worth = {m: part(data, m, end) for m in names}
    unsure = missed if not open_end else names if data.is_collinear else [*missed, *course.never]
    nothing = DECAYED if course.terms.decay else NEGLIGIBLE
    never = {m: course.never.get(m, nothing) for m in unsure if worth[m] < WORTHLESS}
    never |= {m: why for m, why in course.never.items() if m not in unsure}
    asked = names if data.is_singular else [*missed, *(m for m in course.never if m in unsure)]
    own = [m for m in asked if m not in never and not _visited(course, m, packed)]
    if not own and set(never) == set(course.never):
        return course
    plateaus = {m: np.zeros_like(goal) if m in never else goal for m, goal in course.plateaus.items()}
    learned = [m for m in course.order if m not in never]
    if course.terms.decay and set(never) != set(course.never):  # who is never learned is in nobody's plateau
        plateaus |= {m: w for m, w in stations(course, learned).items() if np.sum(w * plateaus[m]) >= 0}
    last = course.saddles[-1]
    known = not open_end and not data.is_singular  # then it has settled beside the last saddle, and is on its way there
    plateaus |= {m: np.atleast_2d(last.total[m]) if known else end[:, data.span(m)] for m in own}
    if data.is_singular:
        last = replace(last, total={m: end[:, data.span(m)] for m in names})
    found = replace(
        course,
        order=(*learned, *(m for m in course.order if m in never)),
        plateaus=plateaus,
        never=never,
        saddles=(*course.saddles[:-1], last),
    )
    stalls = _stalls(found, t, packed)
    return replace(found, plateaus=plateaus | {m: stalls[m] for m in own if m in stalls})


def stations(course: Course, learned: Sequence[str]) -> dict[str, np.ndarray]:
    """Modality -> its weights where training rests once it and those before it are learned."""
    return {m: course.resting(learned[: i + 1])[m] for i, m in enumerate(learned)}


def as_told(course: Course, plateaus: Mapping[str, np.ndarray], never: Mapping[str, str]) -> Course:
    """The course with the plateaus and reasons that a Trajectory has."""
    goals = {m: np.atleast_2d(goal) for m, goal in plateaus.items()}
    if set(never) == set(course.never) and all(np.array_equal(goals[m], course.plateaus[m]) for m in goals):
        return course
    order = (*(m for m in course.order if m not in never), *(m for m in course.order if m in never))
    return replace(course, order=order, plateaus=goals, never=dict(never))


def follows(course: Course, run: Trajectory) -> bool:
    """Whether a run's plateaus, and what it never learns, are those of the course."""
    return as_told(course, run.plateaus, run.reasons) is course


def doubted(course: Course, end: np.ndarray, status: Mapping[str, Status], settled: bool) -> dict[str, Status]:
    """`never` as `not reached` where a run that has not come to its end shows more of it than the course allows."""
    unsure = course.data.is_collinear and not settled
    return {
        m: Status.NOT_REACHED if s is Status.NEVER and unsure and part(course.data, m, end) >= WORTHLESS else s
        for m, s in status.items()
    }


def taken_back(course: Course, end: np.ndarray, status: Mapping[str, Status]) -> list[str]:
    """Who is half there on the way and ends at nothing, which weight decay may do close to a critical one."""
    if not course.terms.decay:
        return []
    lost = [m for m, s in status.items() if s is Status.REACHED and not _is_kept(course, m, end)]
    return [f"{m} is learned and taken back to zero by weight decay" for m in lost]


def _is_kept(course: Course, m: str, end: np.ndarray) -> bool:
    size, goal = (size_of_output(course.data, m, w[None])[0] for w in (end[:, course.data.span(m)], course.plateaus[m]))
    return bool(size > WORTHLESS * goal)


def _visited(course: Course, m: str, packed: np.ndarray) -> bool:
    """Whether the run comes near the plateau of m, in the output of m."""
    goal = course.plateaus[m]
    if not np.any(goal):
        return False
    gaps = size_of_output(course.data, m, packed[:, :, course.data.span(m)] - goal)
    return bool(np.min(gaps) <= NEAR * size_of_output(course.data, m, goal[None])[0])


def _stalls(course: Course, t: np.ndarray, packed: np.ndarray) -> dict[str, np.ndarray]:
    """Modality -> its weights where the whole run is slowest between its half and the next one's; only true minima."""
    data, found = course.data, dict[str, np.ndarray]()
    if len(t) < 4:
        return found
    halves = {m: _half(course, m, packed) for m in course.order if m not in course.never}
    ordered = sorted(halves, key=lambda m: halves[m])
    steps = np.diff(packed @ data.root, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        speed = np.sqrt(np.sum(steps**2, axis=(1, 2))) / np.diff(t)
    for m, following in pairwise(ordered):
        between = speed[halves[m] : halves[following]]
        slowest = int(np.argmin(between)) if len(between) else 0
        if 0 < slowest < len(between) - 1:
            found[m] = packed[halves[m] + slowest + 1][:, data.span(m)]
    return found


def _half(course: Course, m: str, packed: np.ndarray) -> int:
    """The first step at which half is there; the last one where none is."""
    past = np.sum(packed[:, :, course.data.span(m)] * course.along[m], axis=(1, 2)) >= 0.5
    return int(np.argmax(past)) if np.any(past) else len(packed) - 1
