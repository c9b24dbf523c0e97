"""HalfTimes: when each modality is learned. The one meaning of times, status, order, ratio and lag."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from operator import attrgetter
from typing import Any

import numpy as np

from derivations.critical.saddles import Course
from dynamics.strict_json import finite, told

EXCESS = 1e-6  # the run ends at this share of the initial excess loss
OVERTAKEN = (
    "{} is overtaken: a later modality turned its weights to the global ones before half of its plateau was reached"
)
EARLY = "{} starts past half of its plateau: its half-time is 0"
INVERTED = "{1} reaches half of its plateau before {0}, which leaves zero first"
LATE = "{} not reached by {}: extend with a later t_end or more steps"
ENDS_BELOW = "{} ends below half of its plateau: sigma is singular, so where the loss is lowest depends on the start"


class Status(StrEnum):
    REACHED = "reached"
    NEVER = "never"
    NOT_REACHED = "not reached"


def _exp(log_value: float) -> float:
    return math.exp(log_value) if log_value < 709.78 else math.inf


@dataclass(frozen=True)
class HalfTimes:
    """Half-times in units of tau, kept as logarithms so that u0^(2-L) may leave the range of floats.

    order : modalities in the order of leaving zero
    log_times : modality -> ln of the half-time; +inf when it is never learned or was not reached
    status : modality -> Status
    lag : t_last - t_first in that order, computed on its own; nan unless both are reached
    log_excess : ln(ratio - 1); nan where lag is not positive
    """

    order: tuple[str, ...]
    log_times: Mapping[str, float]
    status: Mapping[str, Status]
    lag: float = math.nan
    log_excess: float = math.nan

    @property
    def times(self) -> dict[str, float]:
        return {m: _exp(value) for m, value in self.log_times.items()}

    @property
    def ratio(self) -> float:
        """t_last / t_first in `order`; nan unless both are reached."""
        first, last = self.order[0], self.order[-1]
        if self.status[first] is not Status.REACHED or self.status[last] is not Status.REACHED:
            return math.nan
        if not math.isnan(self.log_excess):
            return 1 + _exp(self.log_excess)
        difference = self.log_times[last] - self.log_times[first]
        return math.nan if math.isnan(difference) else _exp(difference)

    def to_dict(self) -> dict[str, Any]:
        """For strict JSON: infinite times as "inf", unreached ones as "not reached", nan as None."""
        late = Status.NOT_REACHED
        times = {m: late.value if self.status[m] is late else finite(t) for m, t in self.times.items()}
        return {"times": times, **told(self, "log_times status ratio lag log_excess")}

    @classmethod
    def from_clock(
        cls, order: tuple[str, ...], clock: Mapping[str, float], status: Mapping[str, Status], lag: float | None = None
    ) -> HalfTimes:
        """From the times of a run; `lag` from a clock restarted along it, None for the difference of the two times."""
        log_times = {m: math.log(t) if t > 0 else -math.inf for m, t in clock.items()}
        both = all(status[m] is Status.REACHED for m in (order[0], order[-1]))
        if not both:
            return cls(order, log_times, dict(status))
        first = clock[order[0]]
        if lag is None:
            lag = clock[order[-1]] - first if len(order) > 1 else math.nan
        excess = math.log(lag) - math.log(first) if lag > 0 and first > 0 else math.nan
        return cls(order, log_times, dict(status), lag, excess)


def _theirs(name: str) -> Any:
    return property(attrgetter(f"half_times.{name}"))


class Timed:
    """Mixin of what has `half_times`: their names on it."""

    order: tuple[str, ...] = _theirs("order")
    times: dict[str, float] = _theirs("times")
    log_times: Mapping[str, float] = _theirs("log_times")
    status: Mapping[str, Status] = _theirs("status")
    ratio: float = _theirs("ratio")
    lag: float = _theirs("lag")
    log_excess: float = _theirs("log_excess")


def before_it(course: Course) -> tuple[dict[str, float], dict[str, Status]]:
    """Clock and status of every modality before a run."""
    order = course.data.modalities
    status = {m: Status.NEVER if m in course.never else Status.NOT_REACHED for m in order}
    return dict.fromkeys(order, math.inf), status


def first_time(t: np.ndarray, share: np.ndarray, level: float) -> float:
    """When a share first reaches a level, interpolated between points; inf if it does not."""
    past = np.flatnonzero(share >= level)
    if not len(past):
        return math.inf
    i = int(past[0])
    return float(t[0]) if i == 0 else float(np.interp(level, share[i - 1 : i + 1], t[i - 1 : i + 1]))


def low_end(course: Course, m: str) -> str:
    """Why a modality that can be learned ends below half of its plateau."""
    return (OVERTAKEN if m in course.overtaken else ENDS_BELOW).format(m)


def inversions(course: Course, clock: Mapping[str, float]) -> list[str]:
    """Warnings: modalities that reach half of their plateau before one that leaves zero earlier."""
    pairs = [] if course.tie else pairwise(course.order)
    return [INVERTED.format(one, other) for one, other in pairs if clock[other] < clock[one]]


def end_notes(
    course: Course, clock: Mapping[str, float], status: Mapping[str, Status], settled: bool, at: str
) -> list[str]:
    """What a run says of its end; `at` is where that was, unless it has settled."""
    late = [m for m in course.order if status[m] is Status.NOT_REACHED]
    notes = [low_end(course, m) for m in late] if settled else [LATE.format(", ".join(late), at)] if late else []
    return [*notes, *inversions(course, clock)]
