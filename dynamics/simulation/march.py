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
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from derivations.critical.saddles import Course
from dynamics.runs.half_times import EARLY, HalfTimes, Status, before_it, end_notes, excess_left
from dynamics.runs.modes import Modes, marks, timed
from dynamics.runs.plateaus import as_run, doubted, taken_back
from dynamics.runs.trajectory import Trajectory, losses
from dynamics.simulation.phases import Phase
from dynamics.simulation.system import End, Path, Record, System, failed, seconds_for

AT_REST = 1e8  # on the way to a t_end, weights that have settled this many relaxation times ago are held as they are

ROUNDED = 1e-13  # share of a total weight's start below which rounding has as much to say
FAINT = (
    "{} falls to {:.0e} of its start before it is learned, which balanced layers do not hold apart from rounding: its "
    "half-time, and what it acts on, are not to be relied on; the reduced flow has them"
)
AT_LAST = 1e4  # half-times of the last modality, after which a run of modulated encoders ends: they may never settle
AFTER_ALL = "stopped at t = {:.6g}, where the integrator gives up; all was learned before"
STUCK = (
    "stopped at t = {:.6g}: what is left lies along directions of nearly collinear inputs that double precision "
    "cannot follow"
)


def march(
    system: System,
    course: Course,
    *,
    rtol: float,
    t_end: float | None = None,
    t_eval: np.ndarray | None = None,
    max_steps: int,
    provenance: Mapping[str, Any],
    warnings: tuple[str, ...] = (),
    final: bool = False,
    excess: float | None = None,
    path: Path | None = None,
    kept: Iterable[str] = (),
) -> tuple[Trajectory, np.ndarray]:
    """Integrate until everything that can be learned is learned and the loss has settled, or to t_end.

    Returns the trajectory and the last state. A learned modality follows its saddle within 1/STIFFEST of
    the pace of the next one; where it would relax faster still (`owned` parts only) it is slowed to that,
    an error below every tolerance, because double precision could not resolve its rate. Where the run disagrees with
    the course (`runs.plateaus`), it is run again along its own, which is `final`.

    excess : share of the excess loss at which it has settled; None for `excess_left`
    path : takes states on the way, the first and the last among them
    kept : modalities whose total weight keeps its sign because layers are balanced; with layers of their own a state
        holds that to rounding only: `monitors["faint"]` is there, with a warning, where that was too little

    Raises
    ------
    SolveError
        When the integrator fails, with the time reached.
    """
    data = course.data
    state = system.start.copy()
    begin = system.total(state)
    found = [*warnings, *course.remarks]
    clock, status = before_it(course)
    for m in (m for m in course.order if m not in course.never):
        if course.past_half(m, begin) >= 0:
            clock[m], status[m] = 0.0, Status.REACHED
            found.append(EARLY.format(m))
    waiting = tuple(m for m in course.order if status[m] is Status.NOT_REACHED)
    stop = math.inf if t_end is None else t_end
    seconds = seconds_for(max_steps)
    record = Record([0.0], [begin], None if t_eval is None else [float(t) for t in t_eval])
    record.until = time.monotonic() + seconds
    if path is not None:
        path.restart(state)
        record.path = path
    record.marks |= {m: partial(course.past_half_of_weights, m) for m in course.along} | marks(course)
    record.mark_times |= {key: 0.0 if mark(begin) >= 0 else math.inf for key, mark in record.marks.items()}
    events: list[tuple[str, float]] = []  # modality, clock since the event before
    offset, settled, stuck = 0.0, False, False
    moving = bool(np.any(system.velocity(state)[0] != 0))
    while moving:
        patient = course.is_open or (any(m not in course.overtaken for m in waiting) and not data.is_singular)
        ends = _settled(course, system, begin, AT_REST if not waiting and t_end is not None else 0.0, patient, excess)
        outcome = Phase(system, state, waiting, course, ends, rtol, record, offset, stop - offset, max_steps).run()
        state, offset = outcome.state, offset + outcome.elapsed
        if outcome.end is End.LEARNED and outcome.modality is not None:
            reached = system.total(state)
            ties = [m for m in waiting if m != outcome.modality and course.past_half(m, reached) >= 0]
            for m, elapsed in ((outcome.modality, outcome.elapsed), *((tie, 0.0) for tie in ties)):
                events.append((m, elapsed))
                clock[m], status[m] = offset, Status.REACHED
            waiting = tuple(m for m in waiting if status[m] is not Status.REACHED)
            if not waiting and t_end is None and course.terms.modulation:
                stop = AT_LAST * offset
            continue
        settled = settled or outcome.end is End.SETTLED
        if outcome.end is End.SETTLED and t_end is not None and math.isfinite(stop):
            if waiting:
                waiting = ()  # nothing more can be learned: plain time from here
                continue
            record.hold(stop, system.total(state))
        if outcome.end is End.STOPPED:
            record.close(stop, system.total(state))
            settled = settled or t_end is None  # as far as it ever will
        if outcome.end is End.STUCK:
            stuck = True
            if not data.warnings and waiting:  # nothing in the data explains it
                raise failed(offset, "its corrector does not converge")
            found.append((STUCK if data.warnings else AFTER_ALL).format(offset))
        if outcome.end is End.BUDGET:
            spent = f"{record.steps} steps and {record.evaluations} evaluations"
            budget = f"{max_steps} steps" if time.monotonic() <= record.until else f"{seconds:.0f} s"
            found.append(f"stopped by the budget of {budget} at t = {offset:.6g}, after {spent}: max_steps sets it")
        break
    if not moving:
        found.append("the start is exactly stationary: nothing more is ever learned")
        status = {m: s if s is Status.REACHED else Status.NEVER for m, s in status.items()}
        record.hold(stop if math.isfinite(stop) else 1.0, begin)
    own_t, own = np.array(record.t), np.array(record.total)
    if (settled or (stuck and data.is_singular)) and not final:
        by_run = as_run(course, own_t, own, status)
        if by_run is not course:
            return march(
                system, by_run, rtol=rtol, t_end=t_end, t_eval=t_eval, max_steps=max_steps, provenance=provenance,
                warnings=warnings, final=True, excess=excess, path=path, kept=kept,
            )  # fmt: skip
    status = doubted(course, own[-1], status, settled)
    faint = _faint(course, own_t, own, clock, kept)
    found += [FAINT.format(m, share) for m, share in faint.items()]
    found += end_notes(course, status, settled, f"t = {offset:.6g}") + taken_back(course, own[-1], status)
    half_times = HalfTimes.from_clock(course.order, clock, status, events)
    t, packed = (own_t, own) if t_eval is None else (np.array(record.asked_t), np.array(record.asked_total))
    trajectory = Trajectory.of(
        course, t, packed, half_times, own=(own_t, own), warnings=found,
        weight_times={m: record.mark_times.get(m, math.inf) for m in data.modalities},
        modes=timed(course, record.mark_times) if data.outputs > 1 else Modes(),
        monitors={"steps": record.steps, "evaluations": record.evaluations}
        | ({"faint": min(faint.values())} if faint else {}),
        provenance={**provenance, "t_end": t_end, "max_steps": max_steps},
    )  # fmt: skip
    if path is not None:
        path.states.append(state)
    return trajectory, state


def _faint(
    course: Course, t: np.ndarray, own: np.ndarray, clock: Mapping[str, float], kept: Iterable[str]
) -> dict[str, float]:
    """Those of `kept` that fall below a share of their start that layers hold apart from rounding, and are learned.

    Balanced layers of two shrink and grow with their sum; what rounding makes of their difference grows as the sum
    shrinks, and has as much to say once the product is down to rounding of its start.
    """
    found = {}
    for m in kept:
        sizes = np.linalg.norm(own[:, :, course.data.span(m)], axis=(1, 2))
        least = int(np.argmin(sizes))
        if sizes[least] < ROUNDED * sizes[0] and t[least] < clock[m] < math.inf:
            found[m] = float(sizes[least] / sizes[0])
    return found


def _settled(
    course: Course, system: System, begin: np.ndarray, least: float, patient: bool, share: float | None
) -> Callable[[np.ndarray, np.ndarray, float], bool] | None:
    """Whether the loss is within a `share` of the lowest one, and the phase's clock has passed `least`.

    With weight decay: as near to where training rests, or at rest anywhere. A patient phase waits for a modality,
    and ends only where nothing can be learned any more.
    """
    data, rests = course.data, system.rests
    share = excess_left(data) if share is None else share
    if rests is None:
        if patient:
            return None
        lowest = course.lowest_loss
        excess = max(float(losses(data, begin[None])[0]) - lowest, 0.0)
        goal = lowest + share * excess
        return lambda _, packed, clock: clock >= least and bool(losses(data, packed[None])[0] <= goal)
    end = np.hstack([course.saddles[-1].total[m] for m in data.modalities])

    def far(packed: np.ndarray) -> float:
        return float(np.sum(((packed - end) @ data.sigma) * (packed - end)))

    near = share * far(begin)

    def ended(state: np.ndarray, packed: np.ndarray, clock: float) -> bool:
        return clock >= least and ((not patient and far(packed) <= near) or rests(state))

    return ended
