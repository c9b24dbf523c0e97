"""Adam, AdamW and RMSprop: every weight by steps, and reduced to networks of equal entries (`equal_entries`).

A random start is such a network after some tens of steps, for Adam's first steps have the length of the learning rate,
whatever the gradient: these are taken by all weights, from a few starts, before every layer becomes one number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from derivations.critical.saddles import Course
from derivations.flow import gradient_flow
from dynamics.checks import checked_integer, checked_positive
from dynamics.problem import Problem
from dynamics.recipe import Recipe
from dynamics.runs.half_times import HalfTimes, Status
from dynamics.runs.own_order import in_own_order, statuses
from dynamics.runs.trajectory import Trajectory, losses, weight_times
from dynamics.simulation.equal_entries import Manifold, is_last
from dynamics.simulation.optimizers import Arrays, Stepper
from dynamics.simulation.sampling import Sampled
from dynamics.starts.start import random_start
from dynamics.starts.weights import Weights, random_weights

MOST_STEPS = 200_000
FIRST_LOOK, LOOKS = 64, 1.2  # steps to the first look whether all is learned, and how much later the next one is
BEYOND = 1.6  # of the last half-time, after which nothing is waited for
SETTLED = 1e-3  # of the excess loss: steps of a fixed length never come closer than that length
STORED = 4000  # points kept of a run
EARLY, STARTS, WIDEST = 60, 3, 256  # steps that all weights take, of so many starts, of at most so many units
MOST_ROWS = 2000  # from which the variance of gradients is taken
AFFORDED = 2e7  # weights times steps, up to which all weights are stepped where equal entries are not enough
TURNS = "{} turns round through zero, which random starts leave sooner than equal entries do: see descend"
BESIDE = "half of {0} is of what it adds to {1}; of what {0} alone would explain, half comes later or never"
DIPS = 0.5  # of its largest size: a layer that shrinks below it on the way is nearly back at zero

#: Packed total weights (D,) -> -gradient by them, and of single rows (P, D), over the root of the size of a batch.
Errors = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


class Everything:
    """Every weight, layer by layer. `narrower`: total weights as if there were that many times as many units."""

    def __init__(self, network: FusionNetwork, data: Correlations, weights: Weights, more: float = 1.0) -> None:
        self.network, self.data = network, data
        self.shape = {name: len(layers) for name, layers in weights.items()}
        self.more = np.concatenate([np.full(data.sizes[m], more ** (network.path_depths[m] - 1)) for m in data.sizes])

    def weights(self, state: Arrays) -> Weights:
        flat = iter(state)
        return {name: [next(flat) for _ in range(count)] for name, count in self.shape.items()}

    def factors(self, rates: Mapping[str, float]) -> list[float]:
        """Of the learning rate of every layer, where branches have their own."""
        return [rates.get(name, 1.0) for name, count in self.shape.items() for _ in range(count)]

    def total(self, state: Arrays) -> np.ndarray:
        totals = gradient_flow.total_weights(self.network, self.weights(state))
        return np.asarray(self.more * np.hstack([totals[m][0] for m in self.data.modalities]))

    def downhill(self, state: Arrays, error: np.ndarray) -> Arrays:
        errors = {m: error[None, self.data.span(m)] for m in self.data.modalities}
        found = gradient_flow.flow(self.network, self.weights(state), errors)
        return [g for name in self.shape for g in found[name]]


def walk(
    form: Manifold | Everything, state: Arrays, errors: Errors, move: Stepper, decay: float, steps: int,
    done: Callable[[list[np.ndarray]], bool] | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray], Arrays]:  # fmt: skip
    """Total weights before each step and after the last, the states (of a manifold), and the last one.

    decay : L2, in the gradient
    done : asked now and then

    Raises
    ------
    SolveError
        Where weights diverge.
    """
    path, states, look = [form.total(state)], [], FIRST_LOOK
    keeps = isinstance(form, Manifold)
    for count in range(1, steps + 1):
        error, each = errors(path[-1])
        downhill = form.downhill(state, error)
        if decay:
            downhill = [g - decay * w for g, w in zip(downhill, state, strict=True)]
        spread = form.spread(state, each) if each is not None and isinstance(form, Manifold) else None
        state = move(state, downhill, spread)
        path.append(form.total(state))
        if keeps:
            states.append(state[0])
        if not np.all(np.isfinite(path[-1])):
            raise SolveError(f"weights diverge at step {count}: learning_rate {move.rate:g} is too large")
        if done is not None and count == look:
            look = math.ceil(LOOKS * look)
            if done(path):
                break
    return path, states, state


def over_rows(problem: Problem, rows: tuple[np.ndarray, np.ndarray] | None, batch: int | None) -> Errors:
    """Mean errors, from the correlations, and those of rows, of which a batch draws so many, one by one."""
    target, sigma = np.ravel(problem.data.sigma_yx), np.asarray(problem.data.sigma)
    if rows is None or batch is None:
        return lambda packed: (target - packed @ sigma, None)
    some = np.random.default_rng(0).permutation(len(rows[1]))[:MOST_ROWS]
    x, y = rows[0][some], rows[1][some]
    return lambda packed: (target - packed @ sigma, (y - x @ packed)[:, None] * x / math.sqrt(batch))


def of_batches(problem: Problem, rows: tuple[np.ndarray, np.ndarray] | None, batch: int | None) -> Errors:
    """Errors of such batches themselves."""
    if rows is None or batch is None:
        return over_rows(problem, None, None)
    (x, y), rng = rows, np.random.default_rng(0)

    def found(packed: np.ndarray) -> tuple[np.ndarray, None]:
        some = rng.integers(0, len(y), batch)
        return (y[some] - x[some] @ packed) @ x[some] / batch, None

    return found


def all_learned(plan: Course, is_noisy: bool) -> Callable[[list[np.ndarray]], bool]:
    """Whether a path is past the last half-time by BEYOND, or as near to the least loss as steps come."""
    data = plan.data
    begin = max(float(losses(data, np.zeros((1, 1, len(data.sigma))))[0]) - plan.lowest_loss, 0.0)

    def asked(path: list[np.ndarray]) -> bool:
        packed = np.array(path)[:, None, :]
        own, clock = in_own_order(plan, np.arange(len(path)), packed)
        last = max((at for m, at in clock.items() if m not in own.never), default=0.0)
        near = not is_noisy and losses(data, packed[-1:])[0] - plan.lowest_loss <= SETTLED * begin
        return len(path) >= BEYOND * last or bool(near)

    return asked


def require_coordinatewise(problem: Problem, recipe: Recipe) -> float:
    """The learning rate of such an optimizer.

    Raises
    ------
    DomainError
        Without one; with several outputs, for which units of differing signs have no common manifold.
    """
    if recipe.learning_rate is None:
        raise DomainError(f"optimizer {recipe.optimizer} needs a learning_rate: its steps do not shrink with it")
    if problem.data.outputs > 1:
        raise DomainError(
            "the reduced form of such optimizers is for one output: units of differing signs share no single number"
        )
    return checked_positive(recipe.learning_rate, "learning_rate")


def coordinatewise(
    problem: Problem, u0: float | Mapping[str, float], width: int, recipe: Recipe, *,
    rows: tuple[np.ndarray, np.ndarray] | None = None, max_steps: int = MOST_STEPS, state: Arrays | None = None,
    stops_early: bool = True,
) -> Trajectory:  # fmt: skip
    """A run of an optimizer that treats each entry by itself, from random starts of this size, or from a state.

    Parameters
    ----------
    rows : all inputs (P, D) and the target (P,), in the units of the problem, where the recipe has batches
    state : of `Manifold`, instead of a random start
    stops_early : where all is learned; only with a state, else always

    Raises
    ------
    DomainError, SolveError
    """
    network, data, rate = problem.network, problem.data, require_coordinatewise(problem, recipe)
    width, max_steps = checked_integer(width, "width", 1), checked_integer(max_steps, "max_steps", 1)
    begin = random_start(problem, u0, width)
    plan, form, batch = begin.course, Manifold(network, data, width), recipe.batch_size
    errors, drawn = over_rows(problem, rows, batch), of_batches(problem, rows, batch)
    decay = max((held for _, held in problem.terms.decay), default=0.0)
    done, decayed = all_learned(plan, batch is not None), (recipe, rate, decay)
    if state is not None:
        move = Stepper(recipe, rate, form.factors(recipe.rates))
        path, states, _ = walk(form, state, errors, move, decay, max_steps, done if stops_early else None)
        paths, turned = [np.array(path)], set(_turned(form, states))
    else:
        paths, turned, steps = list[np.ndarray](), set[str](), max_steps
        for seed in range(STARTS):
            early, begun, move = settled(form, begin.norms, drawn, *decayed, seed)
            more, states, _ = walk(
                form, begun, errors, move, decay, steps - EARLY, None if paths else _after(early, done)
            )
            paths.append(np.array([*early[:-1], *more]))
            steps = len(paths[0]) - 1
            turned |= set(_turned(form, states))
        if turned and begin.entries * steps <= AFFORDED:
            paths = [
                np.array(settled(form, begin.norms, drawn, *decayed, seed, math.ceil(BEYOND * steps))[0])
                for seed in range(STARTS)
            ]
            turned = set()
    notes = (*data.warnings, *([TURNS.format(", ".join(sorted(turned)))] if turned else []))
    run = timed(plan, np.mean(paths, axis=0), rate, {
        "producer": f"reduced {recipe.optimizer}", "start": "random" if state is None else "on the manifold",
        "network": str(network), "u0": dict(begin.norms), "width": width, "learning_rate": rate,
    }, notes)  # fmt: skip
    return replace(run, monitors={**run.monitors, "turned": float(len(turned)), **_scatter(plan, paths)})


def _after(early: list[np.ndarray], done: Callable[[list[np.ndarray]], bool]) -> Callable[[list[np.ndarray]], bool]:
    return lambda path: done([*early[:-1], *path])


def _scatter(plan: Course, paths: list[np.ndarray]) -> dict[str, float]:
    """How many orders there are among the starts, and by how much the half-times of each modality differ."""
    found = [in_own_order(plan, np.arange(len(path)), path[:, None, :])[1] for path in paths]
    orders = {tuple(sorted(clock, key=lambda m: clock[m])) for clock in found}
    spans = {}
    for m in plan.data.modalities:
        times = np.array([clock[m] for clock in found])
        spans[f"scatter {m}"] = (
            float(np.ptp(times) / np.mean(times)) if np.all(np.isfinite(times)) and np.any(times) else math.inf
        )
    return {"orders": float(len(orders)), **spans}


def settled(
    form: Manifold, norms: Mapping[str, float], errors: Errors, recipe: Recipe, rate: float, decay: float, seed: int,
    steps: int = EARLY,
) -> tuple[list[np.ndarray], Arrays, Stepper]:  # fmt: skip
    """What a random start comes to in a few steps of all weights: the path, the state of equal entries, the memory."""
    network, data, width = form.network, form.data, min(form.width, WIDEST)
    more = form.width / width
    weights = _as_wide(random_weights(network, data, dict(norms), width, seed), network, more)
    every = Everything(network, data, weights, more)
    move = Stepper(recipe, rate, every.factors(recipe.rates))
    early, _, last = walk(every, [w for own in weights.values() for w in own], errors, move, decay, steps)
    state, mean, root = form.read_off(every.weights(last), move)
    now = form.total([state])
    for m in data.modalities:  # the total weights that all entries have, those of the wrong sign among them
        s = data.span(m)
        size = float(now[s] @ now[s])
        if size > 0:
            state[s] *= max(float(now[s] @ early[-1][s]) / size, 0.5)
    move = Stepper(recipe, rate, form.factors(recipe.rates))
    move.count, move.mean, move.square = steps, [mean], [root**2]
    return early, [state], move


def _as_wide(weights: Weights, network: FusionNetwork, more: float) -> Weights:
    """Entries as small as those of a network with `more` times as many units."""

    def smaller(name: str, i: int) -> float:
        one = is_last(network, name, i) or (i == 0 and not network.chains[name].children)
        return more**-0.5 if one else 1 / more

    return {name: [smaller(name, i) * w for i, w in enumerate(own)] for name, own in weights.items()}


def _turned(form: Manifold, states: list[np.ndarray]) -> list[str]:
    """Chains of which every number nearly comes back to zero on the way: a weight that turns round through zero."""
    numbers = np.abs(np.array(states)) if states else np.ones((1, len(form.owner) + len(form.layers)))
    inner = numbers[:, len(form.owner) :]
    least = np.min(inner / np.maximum.accumulate(np.maximum(inner, 1e-300), axis=0), axis=0)
    return [m for i, m in enumerate(form.data.modalities) if np.any(form.on[i]) and np.all(least[form.on[i]] < DIPS)]


def every_weight(
    problem: Problem, plan: Course, weights: Weights, recipe: Recipe, rate: float, sampled: Sampled | None,
    steps: int, stops_early: bool, provenance: Mapping[str, Any],
) -> Trajectory:  # fmt: skip
    """A run of every weight from a start, on the correlations or on the samples."""
    data, form = problem.data, Everything(problem.network, problem.data, weights)
    errors = over_rows(problem, None, None)
    if sampled is not None:

        def errors(packed: np.ndarray) -> tuple[np.ndarray, None]:
            found = sampled.step({m: packed[None, data.span(m)] for m in data.modalities})[0]
            return np.hstack([found[m][0] for m in data.modalities]), None

    decay = max((held for _, held in problem.terms.decay), default=0.0)
    done = all_learned(plan, sampled is not None and sampled.is_noisy) if stops_early else None
    state = [w for own in weights.values() for w in own]
    path = walk(form, state, errors, Stepper(recipe, rate, form.factors(recipe.rates)), decay, steps, done)[0]
    return timed(plan, np.array(path), rate, provenance, data.warnings)


def _measured_beside(plan: Course, clock: Mapping[str, float]) -> list[tuple[str, str]]:
    """Who comes before one that its plateau counts as learned, and the first such one."""
    learned = [m for m in plan.order if math.isfinite(clock[m])]
    found = [(m, next((n for n in learned[:i] if clock[n] > clock[m]), "")) for i, m in enumerate(learned)]
    return [(m, other) for m, other in found if other]


def timed(
    plan: Course, path: np.ndarray, rate: float, provenance: Mapping[str, Any], warnings: tuple[str, ...]
) -> Trajectory:
    """A Trajectory of total weights (T, D) step by step, half-times in the run's own order."""
    t, packed = np.arange(len(path)) * rate, path[:, None, :]
    plan, clock = in_own_order(plan, t, packed)
    status = statuses(plan, clock)
    late = [m for m, s in status.items() if s is Status.NOT_REACHED]
    notes = [f"{', '.join(late)} not reached in {len(path) - 1} steps"] if late else []
    order = tuple(sorted(plan.order, key=lambda m: clock[m]))
    notes += [BESIDE.format(m, other) for m, other in _measured_beside(plan, clock)]
    ahead = weight_times(plan, t, packed)
    kept = slice(None, None, max(1, math.ceil(len(path) / STORED)))
    return Trajectory.of(
        plan, t[kept], packed[kept], HalfTimes.from_clock(order, clock, status), weight_times=ahead,
        monitors={"steps": float(len(path) - 1)}, warnings=[*warnings, *notes], provenance=provenance,
    )  # fmt: skip
