"""Gradient descent, equations (14), (15): on the correlations, or as a check on the samples themselves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from derivations.critical.saddles import Course
from derivations.flow import gradient_flow
from dynamics.checks import checked_flag, checked_integer, checked_positive
from dynamics.problem import Problem
from dynamics.recipe import HEAVY, LABELLED, MODULATED, Ingredient, Recipe, checked_recipe
from dynamics.runs.half_times import EARLY, EXCESS, HalfTimes, Status, before_it, end_notes
from dynamics.runs.plateaus import as_run, doubted
from dynamics.runs.trajectory import Trajectory, losses, weight_times
from dynamics.simulation.asked import as_asked
from dynamics.simulation.batch.members import DIVERGED
from dynamics.simulation.coordinatewise import BEYOND, every_weight, require_coordinatewise
from dynamics.simulation.full_system import pack
from dynamics.simulation.logistic import labelled, mean_loss, of_labels
from dynamics.simulation.modulation import encoders, kept, shares
from dynamics.simulation.narrowed import narrowed
from dynamics.simulation.optimizers import Stepper
from dynamics.simulation.rest import Rest
from dynamics.simulation.sampling import Sampled
from dynamics.simulation.system import seconds_for
from dynamics.simulation.widening import COMPRESSED, widened
from dynamics.starts.recipes import Trained, trained
from dynamics.starts.start import aligned_start, random_start, start_from
from dynamics.starts.typical import typical_weights
from dynamics.starts.weights import Weights, require_products

STORED = 4000  # points kept of a run; every second one is dropped when they are full
WITHIN_STEP = 0.05  # share of a step to which a narrow descent knows its half-times
ROUNDED = 1e-15  # of a loss
LOOKED = 50  # steps between two looks whether a run with weight decay rests
FLATTER = 4.0  # times the squared loss's learning rate: the slope of a sigmoid is at most 1/4
SAFE_CURVATURE = 0.1  # default learning rate times the largest curvature met (2 is unstable): times 2-3 % off the flow


def curvature(plan: Course) -> float:
    """Largest eigenvalue of Sigma times the largest factor L |W|^(2-2/L) at a plateau: that of the Hessian, or more."""
    data, depths = plan.data, plan.network.path_depths
    sizes = [(depths[m], data.norm(goal)) for m, goal in plan.plateaus.items()]
    factors = [depth * size ** (2 - 2 / depth) if depth > 1 and size > 0 else 1.0 for depth, size in sizes]
    return float(data.norm(data.sigma) * max(factors))


def default_learning_rate(plan: Course) -> float:
    """SAFE_CURVATURE over the curvature at the plateaus."""
    steepest = curvature(plan)
    if not 0 < steepest < math.inf:
        raise DomainError("no learning rate follows from data without any correlation: give one")
    return SAFE_CURVATURE / steepest


def unstable(plan: Course, rate: float) -> list[str]:
    """A warning where steps overshoot at a plateau: beyond 2/curvature."""
    steepest = curvature(plan)
    most = 2 / steepest if steepest else math.inf
    if rate <= most:
        return []
    return [f"learning_rate {rate:g} is beyond {most:.3g}, up to which descent is stable: half-times may be accidents"]


def doubts_of_rate(problem: Problem, u0: float | Mapping[str, float], rate: float) -> list[str]:
    """What to say of steps of a learning rate counted from the times of a flow."""
    return unstable(random_start(problem, u0).course, rate)


def start_learning_rate(problem: Problem, u0: float | Mapping[str, float]) -> float:
    """The default learning rate of a random start."""
    return default_learning_rate(random_start(problem, u0).simulated().course)


def descend(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    width: int = 100,
    seed: int = 0,
    weights: Mapping[str, Any] | None = None,
    learning_rate: float | None = None,
    on_samples: bool = False,
    t_end: float | None = None,
    max_steps: int = 200_000,
    exact: bool = False,
    recipe: Recipe | None = None,
) -> Trajectory:
    """Gradient descent. Step n is time n * learning_rate in units of tau.

    Parameters
    ----------
    u0, width, seed, weights : the start, as for `integrate`
    learning_rate : None scales it with Sigma's largest eigenvalue and the curvature at the plateaus; see
        `provenance["learning_rate"]`; or that of the recipe
    on_samples : take e_m = <(y - y_hat) x_m^T> from the samples at each step, not from Sigma: with a recipe's masks,
        batches (epochs shuffled by `seed`) and scores. Without it dropout is its mean, and batches are refused
    t_end : None runs until all is learned and the loss has settled
    max_steps : budget; a run that it ends has modalities `not reached` and a warning
    exact : keep the full width. Without it the network is descended narrow, as in `integrate`: two layers take the
        same steps, deeper ones are widened until half-times are known to WITHIN_STEP of a step
    recipe : how it is trained

    Raises
    ------
    DomainError
        On a learning rate that is not positive, or `on_samples` without samples.
    SolveError
        When a learning rate that is too large makes the weights diverge.

    Examples
    --------
    >>> net = FusionNetwork.fused_at(depth=2, fusion_depth=2)
    >>> run = descend(net, Correlations.scalar(2, 1, 0.5), width=10, learning_rate=0.01)
    >>> run.order, run.status["B"].value
    (('A', 'B'), 'reached')
    """
    recipe = checked_recipe(recipe)
    on_samples, exact = checked_flag(on_samples, "on_samples"), checked_flag(exact, "exact")
    known = MODULATED if on_samples else MODULATED - {Ingredient.BATCH_SIZE}
    if recipe.is_coordinatewise:  # entries do not turn with the units: every weight is stepped
        noise = {Ingredient.BATCH_SIZE, Ingredient.DROPOUT} if on_samples else set()  # its mean is another descent
        known, exact = (recipe.known - {Ingredient.BATCH_SIZE}) | noise, True
    elif recipe.momentum:
        known = HEAVY if on_samples else HEAVY - {Ingredient.BATCH_SIZE}
    if recipe.has_labels:
        known = LABELLED | {Ingredient.BATCH_SIZE, Ingredient.MOMENTUM, Ingredient.NESTEROV} if on_samples else known
    road = "gradient descent" if on_samples else "gradient descent on correlations (on_samples=True takes real batches)"
    asked = trained(network, data, u0 if weights is None else None, recipe, known, road)
    learning_rate = recipe.rate(learning_rate)
    if on_samples and data.samples is None:
        raise DomainError("on_samples needs Correlations made by from_samples, these have no samples")
    given = asked.weights(weights)
    run = _descent(asked, asked.problem, width, seed, given, learning_rate, on_samples, t_end, max_steps, exact)
    return as_asked(asked, run, drawn=on_samples)


def _descent(
    asked: Trained, problem: Problem, width: int, seed: int, weights: Mapping[str, Any] | None,
    learning_rate: float | None, on_samples: bool, t_end: float | None, max_steps: int, exact: bool,
) -> Trajectory:  # fmt: skip
    network, u0, samples = problem.network, asked.u0, problem.data.samples
    all_inputs = exact or asked.recipe.has_labels or (on_samples and samples is None)
    narrow = None if all_inputs else narrowed(problem, u0)
    if narrow is not None:
        if learning_rate is None:  # that of all inputs
            learning_rate = default_learning_rate(start_from(problem, u0, width, seed, weights).course)
        few, along = problem.on(narrow.data), narrow.along(network, weights)
        return narrow.widened(
            _descent(asked, few, width, seed, along, learning_rate, on_samples, t_end, max_steps, exact)
        )
    start = start_from(problem, u0, width, seed, weights)
    plan, loss = start.course, None
    if asked.recipe.has_labels:
        plan, loss = _of_labels(asked, plan)
    max_steps = checked_integer(max_steps, "max_steps", 1)
    stop = math.inf if t_end is None else checked_positive(t_end, "t_end")
    if learning_rate is None and asked.recipe.is_coordinatewise:
        learning_rate = require_coordinatewise(problem, asked.recipe)
    if learning_rate is None:
        learning_rate = _default_rate(asked.recipe, plan)
    rate = checked_positive(learning_rate, "learning_rate")
    last_step = max_steps if stop / rate >= max_steps else math.floor(stop / rate + 1e-9)
    origin = {
        "producer": "gradient descent", "network": str(network), **start.origin, "learning_rate": rate,
        "on_samples": on_samples, "t_end": t_end, "max_steps": max_steps,
    }  # fmt: skip

    def run(layers: Weights) -> Trajectory:
        sampled = Sampled(samples or asked.scaled_samples, asked.recipe, seed) if on_samples else None
        if asked.recipe.is_coordinatewise:
            return every_weight(problem, plan, layers, asked.recipe, rate, sampled, last_step, t_end is None, origin)
        move = partial(Stepper, asked.recipe, rate) if asked.recipe.momentum else None
        return _descended(plan, layers, rate, sampled, last_step, t_end is None, origin, move=move, loss=loss)

    def target(trajectory: Trajectory) -> float:
        latest = max((t for t in trajectory.times.values() if math.isfinite(t)), default=0.0)
        return min(COMPRESSED, WITHIN_STEP * rate / latest) if latest > 0 else COMPRESSED

    return run(start.full()) if exact else widened(start, run, target)


def _descended(
    plan: Course,
    start: Weights,
    rate: float,
    sampled: Sampled | None,
    last_step: int,
    stops_early: bool,
    origin: Mapping[str, Any],
    final: bool = False,
    move: Callable[[], Stepper] | None = None,
    loss: Callable[[np.ndarray], np.ndarray] | None = None,
    excess: float = EXCESS,
) -> Trajectory:
    """Descend from the weights `start`; `stops_early` where all is learned and the loss within `excess` of its start's.

    Where the run disagrees with the course (`runs.plateaus`), once more along its own, which is `final`.
    """
    network, data, current, terms = plan.network, plan.data, dict(start), plan.terms
    taken = None if move is None else move()
    noisy = sampled is not None and sampled.is_noisy
    kept_of, modulated = shares([data]), encoders(network)
    places = [(name, i) for name, own in start.items() for i in range(len(own))]
    rest = Rest([plan], places) if terms.decay and not noisy else None
    goals = [m for m in plan.order if m not in plan.never]
    clock, status = before_it(plan)
    warnings = [*data.warnings, *plan.remarks, *unstable(plan, rate)]
    stored: list[tuple[int, np.ndarray]] = []
    resting, seconds = False, seconds_for(last_step)
    until = time.monotonic() + seconds
    stride, step, before = 1, 0, dict.fromkeys(goals, -math.inf)
    products = gradient_flow.above(network, current)
    totals = gradient_flow.total_weights(network, current, products)
    floor, loss_of = plan.lowest_loss, partial(losses, data) if loss is None else loss
    begin = float(loss_of(pack(data, totals)[None])[0]) - floor
    if not any(np.any(w) for w in totals.values()):
        require_products(network, current)
    most = DIVERGED * max(1.0, float(np.max(np.abs(data.optimum))))
    settled = floor + max(excess * begin, ROUNDED * floor)  # an excess below the rounding of the loss never settles
    while True:
        packed = pack(data, totals)
        if not np.max(np.abs(packed)) < most:  # catches nan too
            raise SolveError(f"gradient descent diverged at step {step}: learning_rate {rate:.3g} is too large")
        if step % stride == 0:
            stored.append((step, packed))
            if len(stored) == STORED:
                del stored[1::2]
                stride *= 2
        for m in goals:
            now = plan.share(m, totals[m]) - 0.5
            if status[m] is Status.NOT_REACHED and now >= 0:
                share = -before[m] / (now - before[m]) if step else 0.0  # linear within the step
                clock[m], status[m] = (step - 1 + share) * rate if step else 0.0, Status.REACHED
                if not step:
                    warnings.append(EARLY.format(m))
            before[m] = now
        done = stops_early and (
            data.is_singular or all(s is not Status.NOT_REACHED or m in plan.overtaken for m, s in status.items())
        )
        if done and math.isinf(excess):  # half-times alone are asked for: some way past the last one
            done = step * rate >= BEYOND * max((t for t in clock.values() if math.isfinite(t)), default=0.0)
        low = done and (noisy or (rest is None and bool(loss_of(packed[None])[0] <= settled)))
        if step % LOOKED == 0 and time.monotonic() > until:
            warnings.append(f"stopped by the budget of {seconds:.0f} s at step {step}: max_steps sets it")
            last_step = step
        if step >= last_step or (low and not plan.is_open):
            break
        if sampled is None:
            error = gradient_flow.errors(data, totals)
            kept_now = kept_of(packed[..., None], terms.modulation) if terms.modulation else None
        else:
            error, misses = sampled.step(totals)
            kept_now = kept(misses, terms.modulation) if terms.modulation else None
        with np.errstate(over="ignore", invalid="ignore"):
            velocity = gradient_flow.flow(network, current, error, products)
            if kept_now is not None:
                for (name, i), m in modulated.items():
                    velocity[name][i] = velocity[name][i] * kept_now[data.modalities.index(m), 0]
            for name, held in terms.decay:
                velocity[name] = [change - held * w for w, change in zip(current[name], velocity[name], strict=True)]
            if rest is not None and stops_early and step % LOOKED == 0:
                norms, speeds = (_layer_norms(w, places) for w in (current, velocity))
                resting = bool(rest.settled(norms, speeds, packed[..., None])[0])
                if resting:
                    break
            if taken is None:
                for name, layers in velocity.items():
                    current[name] = [w + rate * change for w, change in zip(current[name], layers, strict=True)]
            else:
                current = moved(current, velocity, taken)
            products = gradient_flow.above(network, current)
            totals = gradient_flow.total_weights(network, current, products)
        step += 1
    if stored[-1][0] != step:
        stored.append((step, packed))
    steps, path = zip(*stored, strict=True)
    settled_in_time = (done or resting) and step < last_step
    t, packed_path = np.array(steps) * rate, np.array(path)
    by_run = as_run(plan, t, packed_path, status) if settled_in_time and not final and not noisy else plan
    if by_run is not plan:
        return _descended(
            by_run,
            start,
            rate,
            sampled,
            last_step,
            stops_early,
            origin,
            final=True,
            move=move,
            loss=loss,
            excess=excess,
        )
    status = doubted(plan, packed, status, settled_in_time)
    if stops_early and step >= last_step and all(s is not Status.NOT_REACHED for s in status.values()):
        warnings.append(f"{step} steps ended the run before its loss had settled: max_steps sets them")
    warnings += end_notes(plan, status, settled_in_time, f"step {step} (t = {step * rate:.6g})")
    return Trajectory.of(
        plan, t, packed_path, HalfTimes.from_clock(plan.order, clock, status),
        weight_times=weight_times(plan, t, packed_path), loss=loss,
        monitors={"steps": step, "compression": 0.0}, warnings=warnings, provenance=origin,
    )  # fmt: skip


def _of_labels(asked: Trained, plan: Course) -> tuple[Course, Callable[[np.ndarray], np.ndarray]]:
    """The course of the logistic loss, and the loss."""
    if asked.data.samples is None:
        raise DomainError("loss = logistic needs Correlations made by from_samples, these have no samples")
    samples = labelled(asked.scaled_samples)
    return of_labels(plan, samples), mean_loss(samples)


def typical_descent(asked: Trained, width: int | None, max_steps: int = 200_000) -> Trajectory:
    """Descent of the typical network of a random start, or without a width of an aligned one.

    As many steps as training, each of a few units; of the logistic loss on samples, else on the correlations.
    """
    problem, u0 = asked.problem, asked.u0
    if width is None:
        start = aligned_start(problem, u0)
        layers = start.full()
    else:
        start = random_start(problem, u0, width)
        layers = typical_weights(problem.network, problem.data, start.norms, width)
    recipe, plan, loss, sampled = asked.recipe, start.course, None, None
    if recipe.has_labels:
        plan, loss = _of_labels(asked, plan)
        sampled = Sampled(asked.scaled_samples, recipe, 0)
    rate = recipe.learning_rate or _default_rate(recipe, plan)
    origin = {"producer": "descent", "network": str(problem.network), **start.origin, "learning_rate": rate}
    move = partial(Stepper, recipe, rate) if recipe.momentum else None
    run = _descended(plan, layers, rate, sampled, max_steps, True, origin, move=move, loss=loss, excess=math.inf)
    return as_asked(asked, run)


def _default_rate(recipe: Recipe, plan: Course) -> float:
    """That of plain descent; steps that are remembered add up to 1/(1 - momentum) of them."""
    return default_learning_rate(plan) * (FLATTER if recipe.has_labels else 1.0) * (1 - recipe.momentum)


def moved(weights: Weights, velocity: Mapping[str, list[np.ndarray]], move: Stepper) -> Weights:
    """A step of an optimizer with a memory."""
    flat = iter(move([w for own in weights.values() for w in own], [g for name in weights for g in velocity[name]]))
    return {name: [next(flat) for _ in own] for name, own in weights.items()}


def _layer_norms(weights: Mapping[str, list[np.ndarray]], layers: list[tuple[str, int]]) -> np.ndarray:
    return np.array([[float(np.linalg.norm(weights[name][i]))] for name, i in layers])
