"""A phase of the march: one SciPy integrator stepped until a half-time, the settled loss, t_end or a budget."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.integrate import BDF, DOP853, LSODA
from scipy.optimize import brentq

from derivations import DomainError, SolveError
from derivations.critical.saddles import Course
from dynamics.simulation.batch.members import OUT_OF_RANGE
from dynamics.simulation.silence import silenced
from dynamics.simulation.stiff_solver import StiffSolver
from dynamics.simulation.system import SMALL_STATE, End, Outcome, Record, System, failed

STIFFEST = 1e10  # a learned modality relaxes at most this much faster than the next one grows (see `march`)
LONGEST_CROSSING = 1.0  # a step of LSODA in scaled time inside which its interpolation is trusted, if weights move
MOVED = 1e-6  # share of the largest weight by which a step has to move for its inside to matter
STIFF_AFTER = 300  # explicit steps in one phase after which it is taken for stiff, and an implicit method goes on
STIFF_STEPS = 15  # where their stiffness is seen, as many at the edge of stability
RESTARTS = 5  # of LSODA from the last step that it accepted, where its corrector gives up on a very stiff plateau
HELD = 300.0  # on a plateau explicit steps hold stiff directions at their tolerance, and weights multiply to more
STIFF_STEP = 3.0  # |lambda| h from which their own interpolation is unstable; they end at 6.1
EVALUATIONS = 100  # of the flow, for each step of the budget: ten times what hard problems take
EXPLICIT_COST = 12  # evaluations of a step of DOP853
LARGE_STATE = 300  # beyond it LSODA's own factorization of a dense Jacobian is slower than BDF with LAPACK's
LOOSE = 1e-9  # relative tolerance below which BDF misses by more than ten times it, 100 times at 1e-12
TIGHTER = 0.1  # of a tolerance below LOOSE that LSODA is given: on nested plateaus it misses by 1500 times 1e-12
LARGEST_JACOBIAN = 1500  # beyond this many weights a dense Jacobian costs more than explicit steps


@dataclass(frozen=True, eq=False)
class Phase:
    """One stretch of a run.

    waiting : modalities that end the phase when they pass half of their plateau
    begin : the state at its start
    settled : says from state, total weights and clock whether the loss is as low as it gets; None where the phase
        must go on however low it is: what is still to be learned may be worth next to nothing
    remaining : time left to t_end, inf without one
    """

    system: System
    begin: np.ndarray
    waiting: tuple[str, ...]
    course: Course
    settled: Callable[[np.ndarray, np.ndarray, float], bool] | None
    rtol: float
    record: Record
    offset: float
    remaining: float
    max_steps: int

    @cached_property
    def unit(self) -> float:
        """Of the clock, so that it is of order one whatever the units of the data."""
        velocity, rates = self.system.velocity(self.begin)
        unit = float(1.0 / (sum(rates[m] for m in self.waiting) or _fastest(velocity, self.begin) or 1.0))
        if not (np.all(np.isfinite(velocity)) and 0 < unit < math.inf):
            raise DomainError(OUT_OF_RANGE)
        return unit

    def rhs(self, _: float, augmented: np.ndarray) -> np.ndarray:
        """d (state, clock)/ds, clock = t/unit; s is a scaled time while something is waited for, else the clock."""
        velocity, rates = self.system.velocity(augmented[:-1])
        out = np.empty_like(augmented)
        pace: Any = 1.0 / sum(rates[m] for m in self.waiting) if self.waiting else self.unit
        np.multiply(velocity, pace, out=out[:-1])
        out[-1] = pace / self.unit
        if self.waiting:
            for m, part in self.system.owned.items():
                if m not in self.waiting and rates[m] * pace > STIFFEST:
                    out[:-1][part] *= STIFFEST / (rates[m] * pace)
        return out

    def slope(self, _: float, augmented: np.ndarray) -> np.ndarray:
        """d rhs / d (state, clock) from the system's own slope."""
        assert self.system.slope is not None
        state, count = augmented[:-1], len(augmented) - 1
        velocity, rates = self.system.velocity(state)
        inner, slopes = self.system.slope(state)
        found = np.zeros((count + 1, count + 1))
        pace = 1.0 / sum(rates[m] for m in self.waiting) if self.waiting else self.unit
        found[:-1, :-1] = pace * inner
        if self.waiting:
            bend = -pace * (pace * sum(slopes[m] for m in self.waiting))
            found[:-1, :-1] += np.outer(velocity, bend)
            found[-1, :-1] = bend / self.unit
            for m, part in self.system.owned.items():
                if m not in self.waiting and rates[m] * pace > STIFFEST:
                    found[:-1][part] *= STIFFEST / (rates[m] * pace)
        return found

    def stiff_part(self, augmented: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """G and metric of d rhs / d (state, clock) where rhs is `slope`; the pace's own slope is not stiff."""
        system = self.system
        assert system.sensitivity is not None
        assert system.metric is not None
        pace, factor = float(slope[-1]) * self.unit, system.sensitivity(augmented[:-1])
        return math.sqrt(pace) * np.vstack([factor, np.zeros((1, factor.shape[1]))]), system.metric

    def _solver(self, augmented: np.ndarray, implicit: bool, longest: float = math.inf) -> Any:
        slope = self.rhs(0.0, augmented)
        atol = np.append(self.system.atol, 1e-3 * self.rtol)
        if not implicit:
            rtol = max(self.rtol / HELD, 1e-13)
            return DOP853(self.rhs, 0.0, augmented, np.inf, rtol=rtol, atol=atol / HELD)
        relative = self.rtol if self.system.relative is None else np.append(self.system.relative, self.rtol)
        step = min(1e-3 / (_fastest(slope[:-1], augmented[:-1]) or 1.0), 1e290, longest)
        share = TIGHTER if self.rtol < LOOSE else 1.0
        tolerance = {"rtol": np.maximum(share * relative, 1e-13), "atol": share * atol}
        if self.system.slope is not None and len(augmented) > LARGE_STATE and self.rtol >= LOOSE:
            return BDF(self.rhs, 0.0, augmented, 1e300, first_step=step, max_step=longest, jac=self.slope, **tolerance)
        jacobian = None if self.system.slope is None else self.slope
        return LSODA(self.rhs, 0.0, augmented, 1e300, first_step=step, max_step=longest, jac=jacobian, **tolerance)

    def run(self) -> Outcome:
        """March to the end of the phase."""
        # LSODA's warnings come back as status and message; a trial step may overflow, an accepted one is checked
        with silenced(), np.errstate(all="ignore"):
            return self._run()

    def _run(self) -> Outcome:
        state, remaining, record, total = self.begin, self.remaining / self.unit, self.record, self.system.total
        small = self.system.slope is not None or (len(state) < SMALL_STATE and self.system.sensitivity is None)
        solver = self._solver(np.append(state, 0.0), implicit=small)
        here = total(state)  # of the solver's state
        before = {m: self.course.past_half(m, here) for m in self.waiting}
        begun, restarts, edge, patience = record.steps, RESTARTS, 0, STIFF_STEPS
        seen = self.system.sensitivity is not None
        lengths: deque[float] = deque(maxlen=50)  # of the last steps
        explicit_length = 0.0
        while True:
            if solver.y[-1] >= remaining:
                return self._outcome(End.STOPPED, solver.y)
            if solver.status == "finished":  # at rest it strides to the end of floats
                return self._outcome(End.SETTLED, solver.y)
            if self.settled is not None and self.settled(solver.y[:-1], here, float(solver.y[-1])):
                return self._outcome(End.SETTLED, solver.y)
            asked = record.evaluations + solver.nfev
            late = time.monotonic() > record.until
            if late or record.steps >= self.max_steps or asked >= EVALUATIONS * self.max_steps:
                return self._outcome(End.BUDGET, solver.y)
            if isinstance(solver, DOP853) and (edge >= patience if seen else record.steps - begun >= STIFF_AFTER):
                if seen:
                    explicit_length = sum(lengths) / len(lengths)
                    first, atol = solver.t - solver.t_old, np.append(self.system.atol, 1e-3 * self.rtol)
                    at = solver.t, solver.y.copy()
                    solver = StiffSolver(self.rhs, self.stiff_part, at, first, self.rtol, atol)
                    lengths.clear()
                elif len(state) <= LARGEST_JACOBIAN:
                    solver = self._solver(solver.y, implicit=True)
                    continue
            elif isinstance(solver, StiffSolver) and _does_not_pay(solver, lengths, explicit_length):
                solver, edge, patience = self._solver(solver.y, implicit=False), 0, 4 * patience
                lengths.clear()
            accepted = solver.y.copy()
            try:
                self._step(solver)
            except SolveError:
                if not isinstance(solver, LSODA | BDF):
                    raise
                if restarts == 0:
                    return self._outcome(End.STUCK, accepted)
                solver, restarts = self._solver(accepted, implicit=True), restarts - 1
                continue
            reached = total(solver.y[:-1])
            after = {m: self.course.past_half(m, reached) for m in self.waiting}
            crossed = [m for m in self.waiting if before[m] < 0 <= after[m]]
            marked = [key for key, mark in record.marks.items() if self._is_new(key) and mark(reached) >= 0]
            length = solver.t - solver.t_old
            lengths.append(length)
            if seen and isinstance(solver, DOP853):
                edge = edge + 1 if _stiffness(solver) > STIFF_STEP else 0
            asked = record.queue is not None and any(t <= self._time(solver.y) for t in record.queue[:1])
            wanted, explicit = bool(crossed) or asked, isinstance(solver, DOP853)
            moved = float(np.max(np.abs(reached - here))) > MOVED * float(np.max(np.abs(reached)))
            if wanted and moved and self.waiting and length > LONGEST_CROSSING and isinstance(solver, LSODA | BDF):
                solver = self._solver(accepted, implicit=True, longest=max(length / 64, LONGEST_CROSSING / 2))
                continue
            if not (crossed or marked or explicit or record.queue is not None or solver.y[-1] > remaining):
                record.t.append(self._time(solver.y))
                record.total.append(reached)
            else:
                dense = _inside(solver)
                hit, end, last = self._first_event(dense, solver, crossed, remaining)
                self._mark(dense, solver.t_old, end, marked)
                self._store(dense, solver.t_old, end, last, explicit)
                if hit is not None:
                    return self._outcome(End.LEARNED, last, hit)
                if last[-1] >= remaining:
                    return self._outcome(End.STOPPED, last)
            before, here = after, reached

    def _is_new(self, key: Any) -> bool:
        return self.record.mark_times[key] == math.inf

    def _mark(self, dense: Any, begin: float, end: float, marked: list[Any]) -> None:
        """When marks are passed, inside a step up to its event; what comes later is found again."""
        total = self.system.total
        for key in marked:
            mark = self.record.marks[key]
            if mark(total(dense(end)[:-1])) >= 0:
                root = _root(lambda s, mark=mark: mark(total(dense(s)[:-1])), begin, end)  # type: ignore[misc]
                self.record.mark_times[key] = self._time(dense(root))

    def _step(self, solver: Any) -> None:
        message = solver.step()
        self.record.steps += 1
        self.record.evaluations += solver.nfev
        solver.nfev = 0
        if solver.status == "failed" or not np.all(np.isfinite(solver.y)):
            raise failed(self._time(solver.y), message)
        if self.record.path is not None:
            self.record.path.pass_by(solver.y[:-1])

    def _time(self, augmented: np.ndarray) -> float:
        return self.offset + float(augmented[-1]) * self.unit

    def _outcome(self, end: End, augmented: np.ndarray, modality: str | None = None) -> Outcome:
        return Outcome(end, augmented[:-1].copy(), float(augmented[-1]) * self.unit, modality)

    def _first_event(
        self, dense: Any, solver: Any, crossed: list[str], remaining: float
    ) -> tuple[str | None, float, np.ndarray]:
        """The first half-time inside a step, or t_end if it comes before: (modality, s, state with clock)."""
        total, begin, end, last, hit = self.system.total, solver.t_old, solver.t, solver.y, None
        for m in crossed:  # several may fall into one step; the next phase finds the later ones again
            root = _root(lambda s, m=m: self.course.past_half(m, total(dense(s)[:-1])), begin, end)  # type: ignore[misc]
            if hit is None or root < end:
                hit, end = m, root
        last = last if hit is None else dense(end)
        if last[-1] > remaining:
            end = _root(lambda s: dense(s)[-1] - remaining, begin, end)
            hit, last = None, dense(end).copy()
            last[-1] = remaining
        return hit, end, last

    def _store(self, dense: Any, begin: float, end: float, last: np.ndarray, explicit: bool) -> None:
        """Keep the step's end (an explicit step is long: three points inside too), and the times asked for."""
        record, total = self.record, self.system.total
        inside = np.linspace(begin, end, 5)[1:-1] if explicit else ()
        for augmented in (*(dense(s) for s in inside), last):
            record.t.append(self._time(augmented))
            record.total.append(total(augmented[:-1]))
        while record.queue and record.queue[0] <= self._time(last):
            asked = record.queue.pop(0)
            wanted = (asked - self.offset) / self.unit
            if wanted <= dense(begin)[-1]:
                augmented = dense(begin)
            elif wanted >= last[-1]:
                augmented = last
            else:
                augmented = dense(_root(lambda s: dense(s)[-1] - wanted, begin, end))  # noqa: B023
            record.asked_t.append(asked)
            record.asked_total.append(total(augmented[:-1]))


def _inside(solver: Any) -> Callable[[float], np.ndarray]:
    """The state inside the last step. Where an explicit step was stiff, by a cubic through its ends."""
    if isinstance(solver, DOP853) and _stiffness(solver) > STIFF_STEP:
        ends, slopes = np.array([solver.y_old, solver.y]), np.array([solver.K[0], solver.K[-1]])
        from scipy.interpolate import CubicHermiteSpline  # whose import takes as long as a whole run

        return CubicHermiteSpline([solver.t_old, solver.t], ends, slopes)  # type: ignore[no-any-return]
    return solver.dense_output()  # type: ignore[no-any-return]


def _stiffness(solver: DOP853) -> float:
    """|lambda| h of the last step, from its last two slopes and where they were taken."""
    h, stages = solver.t - solver.t_old, solver.K[:-2]
    near = solver.y_old + h * (stages.T @ solver.A[-1, : len(stages)])  # where its last stage was
    apart, pulled = np.linalg.norm(solver.y - near), np.linalg.norm(solver.K[-1] - solver.K[-2])
    return float(h * pulled / apart) if apart > 0 else 0.0


def _does_not_pay(solver: StiffSolver, lengths: deque[float], explicit_length: float) -> bool:
    """Whether its last steps, for their cost, are shorter than the explicit ones were."""
    full = len(lengths) == lengths.maxlen
    return full and sum(lengths) / len(lengths) / solver.cost < explicit_length / EXPLICIT_COST


def _fastest(slope: np.ndarray, state: np.ndarray) -> float:
    """Largest relative rate of change of an entry that moves; 0 if none does."""
    moving = (state != 0) & (slope != 0)
    return float(np.max(np.abs(slope[moving] / state[moving]), initial=0.0))


def _root(function: Callable[[float], float], begin: float, end: float) -> float:
    """A root between two ends of different sign; an end itself where rounding has taken the sign away."""
    if function(begin) >= 0:
        return begin
    if function(end) <= 0:
        return end
    narrow = max(1e-15 * max(abs(begin), abs(end)), 1e-300)
    return float(brentq(function, begin, end, xtol=narrow, rtol=1e-14, maxiter=500))
