"""Many random starts in one batch, each with data of its own, as narrow as the half-times allow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from derivations.critical.saddles import Course
from dynamics.simulation.batch import descent as batch_descent
from dynamics.simulation.batch import flow as batch_flow
from dynamics.simulation.batch.kernel import Kernel
from dynamics.simulation.batch.members import Member, Runs, along_own_courses
from dynamics.simulation.cancellation import FLIP, cancelled, digits_left
from dynamics.simulation.descent import WITHIN_STEP, unstable
from dynamics.simulation.system import Path
from dynamics.simulation.widening import COMPRESSED, LARGEST_NARROW, MISS, PAYS, SHALLOW, UNFINISHED, remainder
from dynamics.starts.compression import is_exact, missed, neighbours
from dynamics.starts.start import Start
from dynamics.starts.weights import Weights, count

PILOTS = 8  # members that show how wide all of them must be
FEW = 64  # members that cost hardly more than the pilots alone
LAPS = 20  # states of a pilot's path that are looked at
FLOW_STEPS = 20_000  # default budgets of a member
DESCENT_STEPS = 200_000
OSCILLATING_STEPS = 20_000  # where the learning rate is beyond stable


@dataclass(frozen=True, eq=False)
class Job:
    """One member to be: its start, and what errors call it.

    rate : learning rate of gradient descent; None for gradient flow. One batch holds one kind
    """

    start: Start
    label: str
    rate: float | None = None

    @property
    def plan(self) -> Course:
        return self.start.course


@dataclass(frozen=True, eq=False)
class Done:
    """What a batch of jobs leaves behind; `error` is that of the narrow width, estimated on the pilots."""

    runs: Runs
    rounds: int | None
    error: float
    warnings: tuple[str, ...]
    again: Callable[[], Runs]  # at a tenth of the tolerance


@np.errstate(under="ignore")  # whatever the caller has set
def run_jobs(
    jobs: Sequence[Job],
    pilots: Sequence[int],
    *,
    rtol: float,
    t_end: float = math.inf,
    max_steps: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Done:
    """Run all jobs in one batch. How narrow is decided on `pilots`, by what they miss, or by runs at two widths."""
    descends = jobs[0].rate is not None
    budget = (DESCENT_STEPS if descends else FLOW_STEPS) if max_steps is None else max_steps
    problems = {(id(job.plan), job.rate): job for job in reversed(jobs)}  # one for each data set, start and rate
    shares, warnings, risky = [], list[str](), set[tuple[int, float | None]]()
    for key, job in problems.items():
        narrow = job.start.narrow(0)
        share = digits_left(job.plan, narrow)
        # Runge-Kutta steps of two layers commute with the change to growing and shrinking modes: in a flip only
        # rounding cancels, where layers are far too large the integrator's error does, too
        lost = np.finfo(float).eps / (share * cancelled(job.plan, narrow))
        risks = [] if job.rate is None else unstable(job.plan, job.rate)
        warnings += [*([FLIP.format(lost)] if lost > 10 * rtol else []), *risks]
        risky |= {key} if risks else set()
        shares.append(share)
    narrowed: dict[tuple[Any, int | None], Weights] = {}

    def member(job: Job, rounds: int | None) -> Member:
        """Weights that several jobs share are made narrow once."""
        key = job.start.narrow, rounds
        if key not in narrowed:
            narrowed[key] = job.start.full() if rounds is None else job.start.narrow(rounds)
        return Member(narrowed[key], job.plan, job.label)

    ways: dict[int, list[Weights]] = {}  # of pilots, narrow

    def run(
        some: Sequence[Job], rounds: int | None, watched: bool = False, tighter: float = 1.0, kept: Sequence[int] = ()
    ) -> Runs:
        narrowed.clear()
        members = [member(job, rounds) for job in some]
        tell = progress if watched else None

        def attempt(ids: Sequence[int], members: Sequence[Member]) -> Runs:
            paths = {place: Path(LAPS) for place, i in enumerate(ids) if i in kept}
            found = integrated(ids, members, paths)
            if paths:
                kernel = Kernel(members[0].course.network, [members[0].data], [m.weights for m in members])
            for place, path in paths.items():
                states = path.chosen(LAPS)
                ways[ids[place]] = kernel.unpack(np.stack(states, axis=1), [place] * len(states))
            return found

        def integrated(ids: Sequence[int], members: Sequence[Member], paths: Mapping[int, Path]) -> Runs:
            if descends:
                rates = np.array([some[i].rate for i in ids], dtype=float)
                settle = np.array([(id(some[i].plan), some[i].rate) in risky for i in ids])
                # a rate beyond stable goes on until it settles, to see whether it diverges; it may oscillate for ever
                most = np.where(settle & (max_steps is None), OSCILLATING_STEPS, budget)
                return batch_descent.run(
                    members, rates, t_end=t_end, max_steps=most, settle=settle, progress=tell, paths=paths
                )
            used, steps = max(rtol * min(shares) / tighter, 1e-13), budget if tighter == 1 else 4 * budget
            return batch_flow.run(members, rtol=used, t_end=t_end, max_steps=steps, progress=tell, paths=paths)

        return along_own_courses(members, attempt)

    def target(runs: Runs) -> float:
        latest = float(np.max(runs.times, initial=0.0, where=np.isfinite(runs.times)))
        slowest = min((job.rate for job in jobs if job.rate is not None), default=math.inf)
        within = WITHIN_STEP * slowest / latest if descends and latest > 0 else math.inf
        return min(max(COMPRESSED, 10 * rtol), within)

    chosen = [jobs[i] for i in pilots]
    first, shallow = chosen[0].start, max(jobs[0].plan.network.path_depths.values()) <= SHALLOW
    if is_exact(jobs[0].plan.network):
        tried = Tried(0, 0.0)
    elif shallow and len(jobs) <= FEW and first.is_drawn and count(first.narrow(1)) <= PAYS * first.entries:
        everyone = run(jobs, 1, watched=True, kept=pilots)
        error = max(_missing(jobs[i].start, ways[i]) for i in pilots)
        fine = error <= target(everyone)
        tried = Tried(1, error) if fine else _rounds(chosen, run, target, everyone.at(pilots))
        tried = tried._replace(runs=everyone) if tried.rounds == 1 else tried
    else:
        tried = _rounds(chosen, run, target, run(chosen, 1))
    runs = tried.runs
    if runs is None or len(runs.t) < len(jobs):
        runs = run(jobs, tried.rounds, watched=True)
    notes = tuple(dict.fromkeys([*warnings, *tried.notes]))
    return Done(runs, tried.rounds, tried.error, notes, lambda: run(jobs, tried.rounds, tighter=10.0))


def _missing(start: Start, way: Sequence[Weights]) -> float:
    """The error of half-times at one round, estimated by what a run along `way` missed."""
    network, full = start.problem.network, start.full()
    return MISS * missed(network, full, neighbours(network, full, 1), way) ** 2


class Tried(NamedTuple):
    """How narrow a batch may be, what that misses, runs at it, of the pilots or of all, and what to warn of."""

    rounds: int | None
    error: float
    runs: Runs | None = None
    notes: tuple[str, ...] = ()


def _rounds(
    pilots: Sequence[Job], run: Callable[[Sequence[Job], int], Runs], target: Callable[[Runs], float], before: Runs
) -> Tried:
    """The least number of rounds that misses half-times by less than `target`.

    before : the pilots at one round

    The miss is the gap to one more round, and what a geometric series of gaps adds to it. None for the full width,
    where a narrow network would not be much smaller; a warning where the next narrow one would be too large.
    """
    rounds, error, last = 1, math.inf, math.inf
    first = pilots[0].start
    while True:
        wider = first.narrow(rounds + 1)
        if count(wider) > PAYS * first.entries:
            return Tried(None, 0.0)
        if rounds > 1 and count(wider) > LARGEST_NARROW:
            error = remainder(last, error)  # of the wider of the two that were compared
            return Tried(rounds, error, before, (UNFINISHED.format(error, count(wider)),))
        after = run(pilots, rounds + 1)
        last, error = error, float(np.max(moved(before, after)))
        error /= 1 - min(error / last, 0.5) if last > 0 else 1.0
        if error <= target(after):
            return Tried(rounds, error, before)
        rounds, before = rounds + 1, after


def moved(one: Runs, other: Runs) -> np.ndarray:
    """Largest relative difference of half-times of each member, (n,); inf where not the same are reached."""
    both = np.isfinite(one.times) & np.isfinite(other.times) & (other.times > 0)
    gaps = np.where(both, np.abs(one.times / np.where(both, other.times, 1.0) - 1), 0.0)
    return np.asarray(np.where(np.any(one.status != other.status, axis=0), math.inf, np.max(gaps, axis=0)))
