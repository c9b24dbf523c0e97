"""HalfTimes: when each modality is learned. The one meaning of times, status, order, ratio and lag."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any

import numpy as np

from derivations import Correlations
from derivations.critical.saddles import Course
from dynamics.strict_json import finite, told

EXCESS = 1e-6  # the run ends at this share of the initial excess loss
WORTHLESS = 0.01  # part of the output alone, below which a modality counts as never learned
HALF = 0.5 - 1e-9  # a run may end at a half-time, a rounding below one half
COLLINEAR_EXCESS = 1e-9  # the same where directions that can be learned hardly show in the loss
EARLY = "{} starts past half of what it contributes: its half-time is 0"
LATE = "{} not reached by {}: extend with a later t_end or more steps"
ENDS_BELOW = "{} ends below half of what it contributes at its plateau"


class Status(StrEnum):
    """Read off a run; in the order in which modalities are named."""

    REACHED = "reached"
    NOT_REACHED = "not reached"
    NEVER = "never"


def _exp(log_value: float) -> float:
    return math.exp(log_value) if log_value < 709.78 else math.inf


@dataclass(frozen=True)
class HalfTimes:
    """Half-times in units of tau, kept as logarithms so that u0^(2-L) may leave the range of floats.

    A half-time is the first time at which half of what a modality contributes to the output is there, measured along
    its plateau (`Course.share`). With scalar inputs that is half of its weight.

    order : modalities by their half-times; those not reached, and then those never learned, come last
    race : modalities in the order of leaving zero, to leading order in u0; it decides the plateaus
    log_times : modality -> ln of the half-time; +inf when it is never learned or was not reached
    status : modality -> Status
    lag : t_last - t_first in `order`, computed on its own; nan unless both are reached
    log_excess : ln(ratio - 1); nan where lag is not positive
    """

    order: tuple[str, ...]
    race: tuple[str, ...]
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
        return {"order": list(self.order), "times": times, **told(self, "log_times status ratio lag log_excess race")}

    @classmethod
    def by_time(
        cls, race: tuple[str, ...], log_times: Mapping[str, float], status: Mapping[str, Status], lag: float = math.nan,
        log_excess: float = math.nan, met: Sequence[str] = (),
    ) -> HalfTimes:  # fmt: skip
        """In the order of the times; equal ones as they were `met`, or as they race."""
        ranks = list(Status)
        places = {m: i for i, m in enumerate((*met, *(m for m in race if m not in met)))}
        order = tuple(sorted(race, key=lambda m: (ranks.index(status[m]), log_times[m], places[m])))
        return cls(order, race, log_times, dict(status), lag, log_excess)

    @classmethod
    def from_clock(
        cls, race: tuple[str, ...], clock: Mapping[str, float], status: Mapping[str, Status],
        events: Sequence[tuple[str, float]] | None = None,
    ) -> HalfTimes:  # fmt: skip
        """From the times of a run.

        events : modality, clock since the event before, in the order in which half-times were met: the lag is their
            sum, where the difference of two rounded times may be nothing
        """
        log_times = {m: math.log(t) if t > 0 else -math.inf for m, t in clock.items()}
        begun = [m for m in race if clock[m] == 0]
        found = cls.by_time(race, log_times, status, met=[*begun, *(m for m, _ in events or ())])
        first, last = found.order[0], found.order[-1]
        if len(race) < 2 or any(status[m] is not Status.REACHED for m in (first, last)):
            return found
        lag = clock[last] - clock[first]
        if events is not None:  # one that starts past half has no event: its time is 0, before every clock
            met = [m for m, _ in events]
            after = met.index(first) + 1 if first in met else 0
            lag = sum((seconds for _, seconds in events[after : met.index(last) + 1]), 0.0) if last in met else 0.0
        return found.lasting(lag)

    def lasting(self, lag: float) -> HalfTimes:
        """With a lag that is known better than as the difference of the times."""
        log_first = self.log_times[self.order[0]]
        excess = math.log(lag) - log_first if lag > 0 and math.isfinite(log_first) else math.nan
        return replace(self, lag=lag, log_excess=excess)


def _theirs(name: str) -> Any:
    return property(attrgetter(f"half_times.{name}"))


class Timed:
    """Mixin of what has `half_times`: their names on it."""

    order: tuple[str, ...] = _theirs("order")
    race: tuple[str, ...] = _theirs("race")
    times: dict[str, float] = _theirs("times")
    log_times: Mapping[str, float] = _theirs("log_times")
    status: Mapping[str, Status] = _theirs("status")
    ratio: float = _theirs("ratio")
    lag: float = _theirs("lag")
    log_excess: float = _theirs("log_excess")


def excess_left(data: Correlations) -> float:
    """Share of the initial excess loss at which a flow has come to its end."""
    return COLLINEAR_EXCESS if data.is_collinear and not data.is_singular else EXCESS


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


def end_notes(course: Course, status: Mapping[str, Status], settled: bool, at: str) -> list[str]:
    """What a run says of its end; `at` is where that was, unless it has settled."""
    late = [m for m in course.order if status[m] is Status.NOT_REACHED]
    return [ENDS_BELOW.format(m) for m in late] if settled else [LATE.format(", ".join(late), at)] if late else []


def never_notes(reasons: Mapping[str, str]) -> list[str]:
    """Who is never learned, and why."""
    return [f"{m} is never learned: {why}" for m, why in reasons.items()]


def race_notes(found: Timed) -> list[str]:
    """One line where the first to leave zero is not the first to be learned."""
    learned = {m for m, status in found.status.items() if status is Status.REACHED}
    race, order = ([m for m in names if m in learned] for names in (found.race, found.order))
    if race == order:
        return []
    late = next(one for one, other in zip(race, order, strict=True) if one != other)
    passed = [m for m in order[: order.index(late)] if race.index(m) > race.index(late)]
    over = ", ".join(passed)
    return [f"{late} leaves zero before {over}, which overtakes it: each is measured beside what left zero before it"]
