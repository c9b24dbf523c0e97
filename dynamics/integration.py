"""The march: one SciPy integrator driven from half-time to half-time, shared by full and reduced flow.

Half-times range over 24 decades and the lag may be 1e-22 of them, so

- while modalities are still to be learned the independent variable is a scaled time s,
  dt = ds / (sum of the growth rates of those modalities), in which a blow-up like u0^(2-L) takes some
  tens of units; t is one more component of the state, under its own error control;
- the clock starts again at each half-time, so that the lag is a sum of short clocks and not a
  difference of rounded times.

Once all is learned, t itself is the variable, and the run ends on the excess loss.
"""

from __future__ import annotations

import math
import warnings as python_warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.integrate import DOP853, LSODA
from scipy.optimize import brentq

from derivations.correlations import Correlations
from derivations.errors import DomainError, SolveError
from derivations.saddles import Course
from dynamics.half_times import HalfTimes, Status
from dynamics.trajectory import Trajectory, fit_times, losses, visits
from dynamics.weights import checked_number, checked_positive

EXCESS = 1e-6  # the run ends at this share of the initial excess loss
STIFFEST = 1e10  # a learned modality relaxes at most this much faster than the next one grows (see `march`)
OVERTAKEN = (
    "{} is overtaken: a later modality turned its weights to the global ones before half of its plateau was reached"
)
SMALL_STATE = 64  # up to here LSODA (implicit where stiff, dense Jacobian); beyond, explicit DOP853


@dataclass(frozen=True)
class System:
    """A flow as the march needs it.

    velocity(state) -> (d state/dt, rates): rates maps modality -> growth rate of its first layer.
    total(state) -> packed total weights (outputs, D).
    owned : modality -> slice of the state that belongs to it alone (empty: nothing may be slowed).
    """

    velocity: Callable[[np.ndarray], tuple[np.ndarray, Mapping[str, float]]]
    total: Callable[[np.ndarray], np.ndarray]
    start: np.ndarray
    atol: np.ndarray
    owned: Mapping[str, slice] = field(default_factory=dict)


@dataclass
class _Record:
    """What a run leaves behind while it goes on."""

    t: list[float]
    total: list[np.ndarray]
    steps: int = 0
    evaluations: int = 0


def march(
    system: System,
    data: Correlations,
    course: Course,
    *,
    rtol: float,
    t_end: float | None = None,
    t_eval: np.ndarray | None = None,
    max_steps: int,
    provenance: Mapping[str, Any],
    warnings: tuple[str, ...] = (),
) -> tuple[Trajectory, np.ndarray]:
    """Integrate until everything that can be learned is learned and the loss has settled, or to t_end.

    Returns the trajectory and the last state. A learned modality follows its saddle within 1/STIFFEST of
    the pace of the next one; where it would relax faster still (`owned` parts only) it is slowed to that,
    an error below every tolerance, because double precision could not resolve its rate.

    Raises
    ------
    SolveError
        When the integrator fails, with the time reached.
    """
    checks = {m: _progress(data, course, m) for m in course.order if m not in course.never}
    state = system.start.copy()
    first_total = system.total(state)
    found: list[str] = list(warnings)
    clock = dict.fromkeys(course.order, math.inf)
    status = {m: Status.NEVER if m in course.never else Status.NOT_REACHED for m in course.order}
    for m, check in checks.items():
        if check(first_total) >= 0:
            clock[m], status[m] = 0.0, Status.REACHED
            found.append(f"{m} starts past half of its plateau: its half-time is 0")
    waiting = tuple(m for m in checks if status[m] is not Status.REACHED)
    record = _Record([0.0], [first_total])
    events: list[tuple[str, float]] = []  # modality, clock since the event before
    offset, stop, notes = 0.0, math.inf if t_end is None else t_end, []
    queue = None if t_eval is None else [float(t) for t in t_eval]
    if queue is not None:
        record.t.clear()
        record.total.clear()
    if np.any(system.velocity(state)[0] != 0):
        floor = course.lowest_loss
        excess = float(losses(data, first_total[None])[0]) - floor
        while True:
            patient = any(m not in course.overtaken for m in waiting)
            phase = _Phase(system, data, waiting, patient, rtol, record, queue, offset, stop, max_steps)
            hit, state, elapsed = phase.run(state, checks, floor + EXCESS * max(excess, 0.0))
            offset += elapsed
            if hit is None:
                break
            events.append((hit, elapsed))
            clock[hit], status[hit] = offset, Status.REACHED
            waiting = tuple(m for m in waiting if m != hit)
        notes = phase.notes
        found += notes
    else:
        found.append("the start is exactly stationary (the origin is a saddle): nothing is ever learned")
        status = dict.fromkeys(course.order, Status.NEVER)
        record.t, record.total = [0.0, stop if math.isfinite(stop) else 1.0], [first_total, first_total]
    late = [m for m in course.order if status[m] is Status.NOT_REACHED]
    turned = [m for m in late if m in course.overtaken and math.isinf(stop) and not notes]
    found += [OVERTAKEN.format(m) for m in turned]
    if set(late) - set(turned):
        names = ", ".join(m for m in late if m not in turned)
        found.append(f"{names} not reached by t = {offset:.6g}: extend with a larger t_end or max_steps")
    lag = _lag(course.order, events, clock)
    if lag < 0:
        found.append(
            f"{course.order[-1]} reaches half of its plateau before {course.order[0]}, which leaves zero first"
        )
    half_times = HalfTimes.from_clock(course.order, clock, status, lag)
    t, packed = np.array(record.t), np.array(record.total)
    total = {
        m: packed[:, 0, data.span(m)] if data.outputs == 1 else packed[:, :, data.span(m)] for m in data.modalities
    }
    trajectory = Trajectory(
        t,
        {m: np.ascontiguousarray(w) for m, w in total.items()},
        losses(data, packed),
        half_times,
        visits(data, course, t, packed, clock),
        fit_times(data, course, t, packed),
        {"steps": record.steps, "evaluations": record.evaluations},
        tuple(found),
        dict(provenance),
    )
    return trajectory, state


def _progress(data: Correlations, course: Course, m: str) -> Callable[[np.ndarray], float]:
    """Projection of W_m on its plateau as a share of the plateau, less one half."""
    span = data.span(m)
    return lambda packed: course.share(m, packed[:, span]) - 0.5


def _lag(order: tuple[str, ...], events: list[tuple[str, float]], clock: Mapping[str, float]) -> float:
    """Clock between the first's and the last's half-time, negative if they come in the other order."""
    ends = {order[0], order[-1]}
    if len(ends) < 2 or not all(math.isfinite(clock[m]) for m in ends):
        return math.nan
    # A modality that starts past half has no event: its time is 0, before every clock.
    missing = [m for m in ends if m not in dict(events)]
    elapsed, running, sign = 0.0, bool(missing), 1.0 if order[0] in missing else -1.0
    for m, seconds in events:
        elapsed += seconds if running else 0.0
        if m in ends:
            if running:
                return sign * elapsed
            running, sign = True, 1.0 if m == order[0] else -1.0
    return 0.0


class _Phase:
    """One stretch between half-times; `waiting` are the modalities whose half-time ends it.

    A `patient` one goes on however low the loss is: what is still to be learned may be worth next to nothing.
    """

    def __init__(
        self,
        system: System,
        data: Correlations,
        waiting: tuple[str, ...],
        patient: bool,
        rtol: float,
        record: _Record,
        queue: list[float] | None,
        offset: float,
        stop: float,
        max_steps: int,
    ) -> None:
        self.system, self.data, self.waiting, self.patient, self.rtol = system, data, waiting, patient, rtol
        self.record, self.queue, self.offset, self.stop, self.max_steps = record, queue, offset, stop, max_steps
        self.notes: list[str] = []

    def rhs(self, _: float, augmented: np.ndarray) -> np.ndarray:
        """d (state, t)/ds."""
        velocity, rates = self.system.velocity(augmented[:-1])
        out = np.empty_like(augmented)
        if not self.waiting:
            out[:-1], out[-1] = velocity, 1.0
            return out
        pace = 1.0 / sum(rates[m] for m in self.waiting)
        np.multiply(velocity, pace, out=out[:-1])
        out[-1] = pace
        for m, part in self.system.owned.items():
            if m not in self.waiting and rates[m] * pace > STIFFEST:
                out[:-1][part] *= STIFFEST / (rates[m] * pace)
        return out

    def _solver(self, state: np.ndarray) -> Any:
        augmented = np.append(state, 0.0)
        slope = self.rhs(0.0, augmented)
        if not np.all(np.isfinite(slope)):
            raise DomainError(
                "weights or units leave the range of floats: rescale the data, or use the law in logarithms"
            )
        atol = np.append(self.system.atol, 1e-3 * self.rtol * slope[-1])
        if len(augmented) > SMALL_STATE:
            return DOP853(self.rhs, 0.0, augmented, np.inf, rtol=self.rtol, atol=atol)
        moving = (augmented[:-1] != 0) & (slope[:-1] != 0)
        fastest = float(np.max(np.abs(slope[:-1][moving] / augmented[:-1][moving]), initial=0.0)) or 1.0
        return LSODA(self.rhs, 0.0, augmented, 1e300, rtol=self.rtol, atol=atol, first_step=min(1e-3 / fastest, 1e290))

    def run(
        self, state: np.ndarray, checks: Mapping[str, Callable[[np.ndarray], float]], goal: float
    ) -> tuple[str | None, np.ndarray, float]:
        """March to the next half-time: (modality, state, elapsed); None at the end of the run."""
        solver = self._solver(state)
        explicit = isinstance(solver, DOP853)
        total = self.system.total
        before = {m: checks[m](total(state)) for m in self.waiting}
        while True:
            if self.stop - self.offset <= solver.y[-1]:
                return self._finish(None, solver.y)
            if not self.patient and math.isinf(self.stop) and self._settled(solver.y, goal):
                return self._finish(None, solver.y)
            if self.record.steps >= self.max_steps:
                self.notes.append(
                    f"stopped by the budget of {self.max_steps} steps at t = {self.offset + solver.y[-1]:.6g}"
                )
                return self._finish(None, solver.y)
            with python_warnings.catch_warnings():
                python_warnings.simplefilter("ignore")  # LSODA's warnings come back as status and message
                message = solver.step()
            self.record.steps += 1
            if solver.status == "failed" or not np.all(np.isfinite(solver.y)):
                raise SolveError(f"the integrator failed at t = {self.offset + solver.y[-1]:.6g}: {message}")
            reached = total(solver.y[:-1])
            after = {m: checks[m](reached) for m in self.waiting}
            crossed = [m for m in self.waiting if before[m] < 0 <= after[m]]
            remaining = self.stop - self.offset
            hit = None
            if crossed or explicit or self.queue is not None or solver.y[-1] > remaining:
                dense = solver.dense_output()
                hit, end, last = self._first_event(dense, solver, crossed, checks, remaining)
                self._store(dense, solver.t_old, end, last, explicit)
                stopped = last[-1] >= remaining
            else:
                last, stopped = solver.y, False
                self.record.t.append(self.offset + float(last[-1]))
                self.record.total.append(reached)
            self.record.evaluations += solver.nfev
            solver.nfev = 0
            if hit is not None or stopped:
                return self._finish(hit, last)
            before = after

    def _first_event(
        self,
        dense: Any,
        solver: Any,
        crossed: list[str],
        checks: Mapping[str, Callable[[np.ndarray], float]],
        remaining: float,
    ) -> tuple[str | None, float, np.ndarray]:
        """The first half-time inside a step, or t_end if it comes before: (modality, s, state with clock)."""
        total, begin, end, last, hit = self.system.total, solver.t_old, solver.t, solver.y, None
        for m in crossed:  # several may fall into one step; the next phase finds the later ones again
            root = _root(lambda s, m=m: checks[m](total(dense(s)[:-1])), begin, end)  # type: ignore[misc]
            if hit is None or root < end:
                hit, end = m, root
        last = last if hit is None else dense(end)
        if last[-1] > remaining:
            end = _root(lambda s: dense(s)[-1] - remaining, begin, end)
            hit, last = None, dense(end).copy()
            last[-1] = remaining
        return hit, end, last

    def _finish(self, hit: str | None, augmented: np.ndarray) -> tuple[str | None, np.ndarray, float]:
        return hit, augmented[:-1].copy(), float(augmented[-1])

    def _settled(self, augmented: np.ndarray, goal: float) -> bool:
        return bool(losses(self.data, self.system.total(augmented[:-1])[None])[0] <= goal)

    def _store(self, dense: Any, begin: float, end: float, last: np.ndarray, explicit: bool) -> None:
        """Keep the step's end (an explicit step is long: three points inside too), or the times asked for."""
        record, total = self.record, self.system.total
        if self.queue is None:
            inside = np.linspace(begin, end, 5)[1:-1] if explicit else ()
            for augmented in (*(dense(s) for s in inside), last):
                record.t.append(self.offset + float(augmented[-1]))
                record.total.append(total(augmented[:-1]))
            return
        while self.queue and self.queue[0] - self.offset <= last[-1]:
            asked = self.queue.pop(0)
            wanted = asked - self.offset
            if wanted <= dense(begin)[-1]:
                augmented = dense(begin)
            elif wanted >= last[-1]:
                augmented = last
            else:
                augmented = dense(_root(lambda s: dense(s)[-1] - wanted, begin, end))  # noqa: B023
            record.t.append(asked)
            record.total.append(total(augmented[:-1]))


def _root(function: Callable[[float], float], begin: float, end: float) -> float:
    """A root between two ends of different sign; an end itself where rounding has taken the sign away."""
    if function(begin) >= 0:
        return begin
    return end if function(end) <= 0 else float(brentq(function, begin, end, xtol=1e-300, rtol=1e-14))


def checked_rtol(rtol: Any) -> float:
    if not 1e-13 <= checked_number(rtol, "rtol") <= 1e-3:
        raise DomainError(f"rtol must lie between 1e-13 and 1e-3, got {rtol!r}")
    return float(rtol)


def checked_times(t_end: Any, t_eval: Any) -> tuple[float | None, np.ndarray | None]:
    """t_end and t_eval as numbers; t_end is the last of t_eval where it is not given."""
    end = None if t_end is None else checked_positive(t_end, "t_end")
    if t_eval is None:
        return end, None
    times = np.asarray(t_eval, dtype=float)
    increasing = times.ndim == 1 and len(times) > 0 and bool(np.all(np.isfinite(times)) and np.all(np.diff(times) > 0))
    if not increasing or times[0] < 0:
        raise DomainError("t_eval must be increasing, finite and not negative")
    return (float(times[-1]) if end is None else end), times
