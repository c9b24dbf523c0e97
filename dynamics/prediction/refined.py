"""Refined estimates: the next order of an aligned start, and the laws of random starts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from derivations import DomainError, SolveError
from derivations.critical.saddles import Course
from derivations.network import TRUNK
from dynamics.prediction.cautions import is_large
from dynamics.prediction.escapes import random_field, typical_way
from dynamics.prediction.estimates import SOLVED, Estimate, Kind
from dynamics.prediction.laws.orbits import Field, Ways, way
from dynamics.prediction.laws.race import SIZES, Passage, aligned_field, race, require_raceable
from dynamics.prediction.other_orders import DEVIATIONS, races_of, shifts
from dynamics.prediction.typical_runs import gaps_of, is_small, typical_course, typical_runs
from dynamics.runs.half_times import HalfTimes, Status
from dynamics.runs.plateaus import as_told
from dynamics.simulation.ensembles import Ensemble
from dynamics.simulation.flow import flow
from dynamics.simulation.jobs import Job, run_jobs
from dynamics.starts.compression import is_exact
from dynamics.starts.start import Start, StartKind, given_start
from dynamics.starts.typical import STEP, typical_weights
from dynamics.starts.weights import Weights, require_range

TOO_LARGE = "the start is too large for the laws of small ones"
RANDOM_TWO_LAYERS = 5 / math.sqrt(2e6)  # five deviations of ln |w_1 + w_2^T| at the width that "wide" stands for


def require_plain(start: Start) -> None:
    """The race of the next order knows no decay and no modulation: a run does."""
    if start.problem.terms:
        raise DomainError("the next order is for plain gradient flow, without weight decay or modulation")


def refined_aligned(start: Start) -> Estimate:
    """Next order in u0 (117-119), for any number of scalar modalities and branches fused once."""
    require_plain(start)
    if not start.trunk_by_rule():
        given = start.norms[TRUNK]
        raise DomainError(f"the next order needs a trunk at {start.rule:.6g}, by (41), got u0['trunk'] = {given:.6g}")
    problem = start.problem
    try:
        field = aligned_field(problem.network, problem.data, start.norms)
    except OverflowError:
        raise DomainError("powers of u0 leave the range of floats: the leading law is in logarithms") from None
    return _raced(field, start, "next order, (117)-(119)", ("117", "118", "119"), "aligned start")


def refined_wide(start: Start) -> Estimate:
    """Two layers from a random start as the width grows: both modes of a scalar start at u0/sqrt(2), (127)."""
    require_plain(start)
    network, data, norms = start.problem.network, start.problem.data, start.norms
    require_raceable(network, data)
    if set(network.path_depths.values()) != {2}:
        raise DomainError(
            "in deep networks a random start is slower by a factor that grows with the width: give a width"
        )
    ways = {m: Ways(*(way(2, norms[m] / math.sqrt(2)),) * 2) for m in data.modalities}
    known = dict.fromkeys(data.modalities, RANDOM_TWO_LAYERS)
    field = Field(data, network.depths, 0, ways, norms, known)
    return _raced(field, start, "(120), (127), next order", ("120", "127"), "random start, wide")


def refined_from(start: Start, weights: Weights, assumes: str) -> Estimate:
    """From actual weights: late fusion, scalar inputs."""
    require_plain(start)
    field = random_field(start.problem.network, start.problem.data, weights)
    return _raced(field, start, "(120), ways from the weights", ("120",), assumes)


def refined_typical(start: Start, spread: bool = True, rtol: float = 1e-6) -> Estimate:
    """The typical network of a width, and its spread over seeds (left out, with the bound, if not `spread`).

    Late fusion of scalar inputs one after the other needs no run: ways depend on depth and width alone, (120) does the
    rest. A modality that a later one turns round below half of its plateau has no bound unless the order is clear: a
    seed that learns them in another order may never reach that half.
    """
    problem, plan, width = start.problem, start.course, start.width
    network, data = problem.network, problem.data
    assert width is not None
    require_range(network, start.norms)
    large = is_large(start)
    if not network.trunk.depth and not large:
        try:
            raced = _raced_typical(start, width, spread)
            return replace(raced, bound=_promised(raced.bound, plan, raced.spread))
        except DomainError:  # vector inputs, or two that are learned together
            pass
    exact, run = is_exact(network), None
    if data.outputs > 1:
        run = typical_course(start, width)
        half_times, plan = run.half_times, as_told(plan, run.plateaus, run.reasons)
        start, spread = replace(start, own_course=plan), spread and is_small(start, width)
    elif exact:  # two layers: one more run is cheap, and knows its own plateaus and weights
        run = flow(problem, weights=typical_weights(network, data, start.norms, width), rtol=rtol)
        half_times, plan = run.half_times, as_told(plan, run.plateaus, run.reasons)
        start = replace(start, own_course=plan)
    unknown = math.nan if data.outputs > 1 else 0.0
    found: Mapping[str, float] = dict.fromkeys(data.modalities, unknown)
    shift, share = found, 0.0
    if spread or run is None:
        typical = typical_runs(start, width, spread)
        found, shift, share = typical.spread, typical.shift, typical.share
        half_times = typical.half_times if run is None else half_times
    reached = [m for m, s in half_times.status.items() if s is Status.REACHED]
    bound = {m: _covered(shift[m]) + SIZES * share if m in reached else math.nan for m in data.modalities}
    bound = _promised(bound, plan, found) if not large else dict.fromkeys(bound, math.inf)
    return Estimate(
        "typical network", Kind.HEURISTIC, StartKind.RANDOM, f"random start, width {width}", half_times, bound,
        plan.never, ("130",), {} if run is None else run.weight_times, spread=found, run=run,
    )  # fmt: skip


def typical_times(starts: Sequence[Start], rtol: float) -> list[Mapping[str, float]]:
    """Half-times alone of `refined_typical` without spread, for two layers; what needs a run is run in one batch.

    Each inf where it is not reached.
    """
    found: dict[int, Mapping[str, float]] = {}
    runs: dict[int, Start] = {}
    for i, start in enumerate(starts):
        problem, width = start.problem, start.width
        assert width is not None
        try:
            if problem.network.trunk.depth or is_large(start):
                raise DomainError("a race is of late fusion from a small start")
            found[i] = _raced_typical(start, width, spread=False).times
        except DomainError:
            weights = typical_weights(problem.network, problem.data, start.norms, width)
            runs[i] = given_start(problem, weights)
    found |= dict(zip(runs, flow_times(list(runs.values()), rtol), strict=True))
    return [found[i] for i in range(len(starts))]


def flow_times(starts: Sequence[Start], rtol: float) -> list[Mapping[str, float]]:
    """Half-times of gradient flow from starts of one architecture, in one batch; each inf where it is not reached."""
    if not starts:
        return []
    jobs = [Job(start, f"number {i + 1}") for i, start in enumerate(starts)]
    runs = run_jobs(jobs, range(len(jobs)), rtol=rtol).runs
    return [dict(zip(starts[0].problem.data.modalities, times.tolist(), strict=True)) for times in runs.times.T]


def _promised(bound: Mapping[str, float], plan: Course, spread: Mapping[str, float]) -> dict[str, float]:
    """No bound for what is overtaken, unless the races up to it are too clear for any seed to turn.

    Clear is a runner-up with more of its way left than DEVIATIONS of the difference of two half-times.
    """
    found = dict(bound)
    known = [s for s in spread.values() if math.isfinite(s)]
    unsure = DEVIATIONS * math.sqrt(2) * max(known, default=math.inf)
    for m in plan.overtaken:
        before = next((i for i, (winner, _, _) in enumerate(plan.rivals) if winner == m), len(plan.rivals))
        clear = all(left > unsure for _, _, left in plan.rivals[: before + 1])
        if math.isfinite(found[m]) and not clear:
            found[m] = math.inf
    return found


def _raced_typical(start: Start, width: int, spread: bool) -> Estimate:
    """(120) with typical ways (130); a race with each way one deviation longer gives the spread."""
    require_plain(start)
    network, data, norms = start.problem.network, start.problem.data, start.norms
    require_raceable(network, data)
    names, depths = data.modalities, network.depths
    ways, deviations = {}, {}
    for m in names:
        whole, deviation = typical_way(depths[m], width)
        unit = (depths[m] - 2) * way(depths[m], norms[m]) if depths[m] > 2 else 1.0  # u0^(2-n)
        ways[m] = whole * unit + (way(2, norms[m]) if depths[m] == 2 else 0.0)
        deviations[m] = deviation * unit
    exact = dict.fromkeys(names, 0.0)

    def field(place: Sequence[float]) -> Field:
        longer = {m: ways[m] * math.exp(deviations[m] / ways[m] * far) for m, far in zip(names, place, strict=True)}
        return Field(data, depths, 0, {m: Ways(w, w) for m, w in longer.items()}, norms, exact)

    def logs_at(places: np.ndarray) -> np.ndarray:
        passed = [{p.modality: p.half_time for p in _passages(field(place))} for place in places.tolist()]
        times = np.array([[clock.get(m, math.inf) for clock in passed] for m in names])
        if np.any(times <= 0):
            raise DomainError(TOO_LARGE)
        return np.asarray(np.log(times))

    assumes = f"random start, width {width}"
    centre = _raced(field([0.0] * len(names)), start, "(120), (130), typical network", ("120", "130"), assumes)
    if not spread:
        return replace(centre, kind=Kind.HEURISTIC)
    steps = [_raced(field(place), start, "", (), assumes).log_times for place in (STEP * np.eye(len(names))).tolist()]
    logs = np.array([[log[m] for log in (centre.log_times, *steps)] for m in names])
    gaps = gaps_of(logs)
    moved = shifts(logs[:, 0], gaps, races_of(start.course.rivals, names), logs_at)
    reached = {m: i for i, m in enumerate(names) if centre.status[m] is Status.REACHED}
    found = {m: float(np.linalg.norm(gaps[reached[m]])) if m in reached else math.nan for m in names}
    bound = {m: _covered(float(moved[reached[m]])) + centre.bound[m] if m in reached else math.nan for m in names}
    return replace(centre, kind=Kind.HEURISTIC, bound=bound, spread=found)


def ensemble_estimate(start: Start, seeds: int | Sequence[int]) -> Estimate:
    """Medians over simulated random starts; the bound holds for each of them."""
    from dynamics.simulation.ensembles import members

    width = start.width
    assert width is not None
    assert start.u0 is not None
    runs = members(start.problem, start.u0, width=width, seeds=seeds)
    return medians(runs, f"random start, width {width}", start.course)


def medians(runs: Ensemble, assumes: str, plan: Course) -> Estimate:
    """The estimate of an ensemble; its bound holds for each of them."""
    data, middle = plan.data, runs.quantile(0.5)
    status, bound, deviation = {}, {}, {}
    for m in data.modalities:
        reached = bool(np.all(runs.status[m] == Status.REACHED))
        status[m] = Status.REACHED if math.isfinite(middle.times[m]) else Status(str(min(runs.status[m])))
        started = bool(np.any(runs.times[m] == 0))  # past half already: no ratio of times
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = np.log(runs.times[m] / middle.times[m])
        bound[m] = float(np.expm1(np.max(np.abs(apart)))) + 1e-4 if reached and not started else math.nan
        deviation[m] = float(np.std(apart, ddof=1)) if reached and not started and len(runs) > 1 else math.nan
    logs = {m: math.log(t) if t > 0 else -math.inf for m, t in middle.times.items()}
    excess = math.log(middle.ratio - 1) if middle.ratio > 1 else math.nan
    half_times = HalfTimes(runs.order, runs.race, logs, status, middle.lag, excess)
    odds = runs.order_probability if len(runs) > 1 else {}
    return Estimate(
        f"{len(runs)} gradient flows, median", Kind.SIMULATED, StartKind.RANDOM, assumes, half_times, bound,
        plan.never, (), spread=deviation, odds=odds, runs=runs,
    )  # fmt: skip


def _covered(shift: float) -> float:
    return math.expm1(shift) + SOLVED if shift < DEVIATIONS else math.inf


def _raced(field: Field, start: Start, equations: str, rests_on: tuple[str, ...], assumes: str) -> Estimate:
    plan, passages = start.course, _passages(field)
    learned = tuple(m for m in plan.order if m not in plan.never)
    if tuple(p.modality for p in passages) != learned:
        found = ", ".join(p.modality for p in passages)
        raise DomainError(f"the next order has another course: {found or 'nothing'} is learned")
    half_times = _half_times(passages, plan)
    bound = dict.fromkeys(field.data.modalities, math.nan)
    aligned = start.kind is StartKind.ALIGNED  # it has one order, that of the course: the size of the error stays
    bound |= {p.modality: p.error / p.half_time if aligned or p.error < p.half_time else math.inf for p in passages}
    if not aligned and any(later.error + first.error > later.lag for first, later in pairwise(passages)):
        bound = {m: math.nan if math.isnan(b) else math.inf for m, b in bound.items()}  # their order is not sure
    return Estimate(equations, Kind.ASYMPTOTIC, start.kind, assumes, half_times, bound, plan.never, rests_on)


def _passages(field: Field) -> tuple[Passage, ...]:
    try:
        return race(field)
    except SolveError as error:
        raise DomainError(str(error)) from None
    except (OverflowError, ZeroDivisionError, FloatingPointError):
        raise DomainError("powers of u0 leave the range of floats: the leading law is in logarithms") from None


def _half_times(passages: Sequence[Passage], plan: Course) -> HalfTimes:
    times = {p.modality: p.half_time for p in passages}
    if any(not t > 0 for t in times.values()):
        raise DomainError(TOO_LARGE)
    clock = {m: times.get(m, math.inf) for m in plan.plateaus}
    status = {m: Status.REACHED if m in times else Status.NEVER for m in clock}
    met = [(p.modality, p.half_time if i == 0 else p.lag) for i, p in enumerate(passages)]
    return HalfTimes.from_clock(plan.order, clock, status, met)
