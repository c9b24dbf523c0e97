"""Estimate: half-times by one road, with the start that it assumes and the error that it leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations import DomainError
from derivations.critical.saddles import Course
from dynamics.runs.half_times import EXCESS, HalfTimes, Status, Timed
from dynamics.runs.plateaus import follows, stations
from dynamics.starts.start import Start, StartKind
from dynamics.strict_json import told
from dynamics.tables import number

if TYPE_CHECKING:
    from dynamics.prediction.laws.leading import TwoBranches
    from dynamics.runs.trajectory import Trajectory
    from dynamics.simulation.ensembles import Ensemble

RTOL = 1e-8  # of the reduced flow behind a prediction
WIDTH_LACKS = (
    "in deep networks a random start is slower by a factor that grows with the width: the leading law lacks it"
)
ROUNDED = 1e-10  # what quadrature and logarithms of several thousand leave of a law's time
MODE_RTOL, MODE_EXCESS, MODE_STEPS = 1e-7, 0.03, 2500  # several outputs: the last modes are late and worth little
SOLVED = 1e-6  # its bound: a hundred times RTOL, checked against 30 digits
ROUNDING = 100 * float(np.finfo(float).eps)  # times the condition number: what rounding does to the weakest pace


class Kind(StrEnum):
    EXACT = "exact"
    ASYMPTOTIC = "asymptotic"
    HEURISTIC = "heuristic"
    SIMULATED = "simulated"


class Road(StrEnum):
    """A way to the half-times; the name of an estimate in a Prediction."""

    LEADING = "leading"
    REFINED = "refined"
    REDUCED = "reduced"
    ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Missing:
    """Why a road leads nowhere."""

    road: Road
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class Estimate(Timed):
    """Half-times by one road: the equations used, the start assumed, the error left.

    equations : what the road is called
    start : kind of start that it holds for; `assumes` says it in words
    bound : modality -> relative error of its time: an estimate of the neglected terms, or of the solver
    rests_on : numbers of the equations behind it
    weight_times : modality -> when half of its weights is there (runs only; see Trajectory)
    printed_ratio : what (9), (12) or (57) print, in norms; nan where none applies
    spread : modality -> relative standard deviation of its time over seeds; empty for a start that has none
    odds : modality -> probability that it is the first to be learned, over random starts; empty where there is none
    run : the trajectory behind an estimate that is one
    runs : the Ensemble behind an estimate that is one
    notes : what it warns of
    """

    equations: str
    kind: Kind
    start: StartKind
    assumes: str
    half_times: HalfTimes
    bound: Mapping[str, float]
    reasons: Mapping[str, str]
    rests_on: tuple[str, ...]
    weight_times: Mapping[str, float] = field(default_factory=dict)
    printed_ratio: float = math.nan
    spread: Mapping[str, float] = field(default_factory=dict)
    odds: Mapping[str, float] = field(default_factory=dict)
    run: Trajectory | None = None
    runs: Ensemble | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        times = ", ".join(f"{m}: {self.status[m].value}, {number(t)}" for m, t in self.times.items())
        return f"Estimate({self.equations}, {self.assumes}: {times}; ratio {number(self.ratio)})"

    def to_dict(self) -> dict[str, Any]:
        names = "bound assumes kind equations reasons weight_times printed_ratio spread"
        return {**self.half_times.to_dict(), **told(self, names)}


def reduced_estimate(start: Start, rtol: float = RTOL) -> Estimate | Missing:
    from dynamics.simulation.reduced import reduced_flow

    data = start.problem.data
    assert start.u0 is not None
    try:
        several = data.outputs > 1
        run = reduced_flow(
            start.problem, start.u0, rtol=max(rtol, MODE_RTOL) if several else rtol,
            excess=MODE_EXCESS if several else None, max_steps=MODE_STEPS if several else 100_000,
        )  # fmt: skip
    except DomainError as error:
        return Missing(Road.REDUCED, f"no reduced flow: {error}")
    bound = SOLVED * (MODE_RTOL if data.outputs > 1 else rtol) / RTOL + ROUNDING * data.condition
    if not follows(start.course, run):  # its own plateau is known as well as the run has settled
        bound += math.sqrt(EXCESS)
    bounds = {m: bound if run.status[m] is Status.REACHED else math.nan for m in data.modalities}
    if start.problem.terms.decay and not follows(start.course, run):  # along plateaus of its own no time is promised
        rests = stations(start.course, [m for m in run.race if m not in run.reasons])
        strays = [m for m, w in rests.items() if not np.allclose(w, run.plateaus[m], rtol=1e-6)]
        bounds |= {m: math.inf for m in strays if run.status[m] is Status.REACHED}
    return Estimate(
        "(44) with saturation",
        Kind.EXACT,
        start.kind,
        "aligned start",
        run.half_times,
        bounds,
        run.reasons,
        ("44",),
        run.weight_times,
        run=run,
        notes=run.warnings,
    )


def leading_estimate(start: Start) -> Estimate | Missing:
    """The paper's law, from the norms and the course of a start."""
    from dynamics.prediction.laws.bounds import neglected
    from dynamics.prediction.laws.leading import TwoBranches

    data, plan, terms = start.problem.data, start.course, start.problem.terms
    try:
        if terms.modulation:
            return _modulated(start)
        if terms.decay:
            return _decayed(start)
        if len(data.modalities) == 1:
            return _alone(start)
        law = TwoBranches.of(start.problem.network, data, plan.order, start.norms)
        log_first, log_lag, log_excess = law.log_first(), law.log_lag(), law.log_excess()
    except DomainError as error:
        return Missing(Road.LEADING, f"no leading law: {error}")
    printed = 1 + math.exp(min(law.log_excess(printed=True), 709.0)) if law.r > 0 else math.inf
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            bound = neglected(law, data)
    except (OverflowError, ZeroDivisionError, np.linalg.LinAlgError):
        # units in which a power of a layer's norm leaves the range of floats
        bound = dict.fromkeys(data.modalities, math.inf)
    notes: tuple[str, ...] = ()
    if law.random and law.second_depth + law.shared > 2:  # the width enters a deep random start: this law lacks it
        bound = dict.fromkeys(bound, math.inf)
        notes = (WIDTH_LACKS,)
    elif law.random:  # growth starts from (u0/2) sqrt(1 + 1/d), theory behind the random start
        half = math.log(2) / -max(law.log_starts)
        bound = {m: value + half for m, value in bound.items()}
    first, second = plan.order
    never = second in plan.never
    log_second = math.inf if never else float(np.logaddexp(log_first, log_lag))
    log_times = {m: log_first if m == first else log_second for m in data.modalities}
    status = {m: Status.NEVER if m == second and never else Status.REACHED for m in data.modalities}
    lag = math.exp(log_lag) if log_lag < 709 else math.inf
    if never:
        bound[second] = lag = log_excess = math.nan
    half_times = HalfTimes.by_time(plan.order, log_times, status, lag, log_excess)
    kind = StartKind.RANDOM if law.random else StartKind.ALIGNED
    numbers, bound = _numbers(law), {m: bound[m] + ROUNDED for m in data.modalities}
    return Estimate(
        _named(numbers), Kind.ASYMPTOTIC, kind, f"{kind} start", half_times, bound, plan.never, numbers,
        printed_ratio=printed, notes=notes,
    )  # fmt: skip


def _decayed(start: Start) -> Estimate:
    """(139) or (140): weight decay, late fusion."""
    from dynamics.prediction.laws.decayed import with_decay

    plan = start.course
    numbers, times, lag, bound = with_decay(start)
    return _timed(numbers, plan, times, lag, bound)


def _modulated(start: Start) -> Estimate:
    """(142): modulated encoders, two layers."""
    from dynamics.prediction.laws.modulated import with_modulation

    numbers, times, lag, bound = with_modulation(start)
    return _timed(numbers, start.course, times, lag, bound)


def _timed(
    numbers: tuple[str, ...], plan: Course, times: Mapping[str, float], lag: float, bound: Mapping[str, float]
) -> Estimate:
    """A leading law by its times."""
    status = {m: Status.REACHED if math.isfinite(t) else Status.NEVER for m, t in times.items()}
    first, last = plan.order[0], plan.order[-1]
    known = last != first and status[last] is Status.REACHED
    excess = math.log(lag / times[first]) if known and lag > 0 else math.nan
    logs = {m: math.log(t) for m, t in times.items()}
    half_times = HalfTimes.by_time(plan.order, logs, status, lag if known else math.nan, excess)
    kind = StartKind.ALIGNED
    return Estimate(
        _named(numbers), Kind.ASYMPTOTIC, kind, "aligned start", half_times, bound, plan.never, numbers
    )  # fmt: skip


def _named(numbers: tuple[str, ...]) -> str:
    return ", ".join(f"({number})" for number in numbers)


def _numbers(law: TwoBranches) -> tuple[str, ...]:
    """The leading law's in the paper, or in the ledger where it goes beyond it."""
    if not law.alike:
        deep = min(law.first_depth, law.second_depth) > 2 and law.log_starts[0] == law.log_starts[1]
        return ("59", "60") if deep else ("115", "116")
    if law.second_depth > 2:
        return "48", "54", "12"
    return ("8", "9") if law.depth == 2 else ("56", "57")


def _alone(start: Start) -> Estimate:
    """One modality and no other: (8a), (48), (106)."""
    from dynamics.prediction.laws.bounds import neglected_alone
    from dynamics.prediction.laws.leading import alone

    data, plan = start.problem.data, start.course
    numbers, log_time = alone(start)
    bound = neglected_alone(data, max(start.problem.network.path_depths.values()), log_time)
    (m,) = data.modalities
    half_times = HalfTimes.by_time(plan.order, {m: log_time}, {m: Status.REACHED})
    kind = StartKind.ALIGNED
    return Estimate(
        _named(numbers), Kind.ASYMPTOTIC, kind, "aligned start", half_times, {m: bound}, plan.never, numbers
    )
