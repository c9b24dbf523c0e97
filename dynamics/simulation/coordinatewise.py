"""Adam, AdamW and RMSprop: every weight by steps, and reduced to one number a layer and input, (146).

An optimizer that treats each entry by itself keeps networks on the manifold

    W_1 = s a^T,   W_l = c_l s s'^T,   W_L = b s'^T,       s, s' of signs +-1, h units

with a trunk too, where branches end on the signs that it begins with: all entries of a layer (of a column of the first)
then have one gradient up to their signs, and the same memory. A random start is on it after some tens of steps: these
are taken by all weights, from a few starts, before every layer becomes one number.
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
from derivations.network import TRUNK
from dynamics.checks import checked_integer, checked_positive
from dynamics.problem import Problem
from dynamics.recipe import Recipe
from dynamics.runs.half_times import HalfTimes, Status
from dynamics.runs.own_order import in_own_order, statuses
from dynamics.runs.trajectory import Trajectory, losses, weight_times
from dynamics.simulation.optimizers import Arrays, Stepper
from dynamics.simulation.sampling import Sampled
from dynamics.starts.start import random_start
from dynamics.starts.weights import Weights, random_weights

MOST_STEPS = 200_000
FIRST_LOOK, LOOKS = 64, 1.2  # steps to the first look whether all is learned, and how much later the next one is
BEYOND = 1.6  # of the last half-time, after which nothing is waited for
SETTLED = 1e-3  # of the excess loss: steps of a fixed length never come closer than that length
STORED = 4000  # points kept of a run
TYPICAL = math.sqrt(2 / math.pi)  # mean size of a normal entry, in deviations
EARLY, STARTS, WIDEST = 60, 3, 256  # steps that all weights take, of so many starts, of at most so many units
AFFORDED = 2e7  # weights times steps, up to which all weights are stepped where equal entries are not enough
TURNS = "{} turns round through zero, which random starts leave sooner than equal entries do: see descend"
BESIDE = "{0} comes before {1} and is measured by what it adds to it, for its own half alone comes later or never"
DIPS = 0.5  # of its largest size: a layer that shrinks below it on the way is nearly back at zero

#: Packed total weights (D,) -> -gradient by them, and its covariance over the rows of a batch if there is one.
Errors = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


class Manifold:
    """Networks of equal entries: a state holds the rows a of all modalities (D,), then a number for each other layer.

    Total weights are h^(L - 1) a times the product of a branch's numbers, h^(L-1) b prod c_l a^T.
    """

    def __init__(self, network: FusionNetwork, data: Correlations, width: int) -> None:
        names = data.modalities
        self.network, self.data, self.width = network, data, width
        self.layers = [(n, i) for n, c in network.chains.items() for i in range(int(c.depth)) if c.children or i]
        sizes = [data.sizes[m] for m in names]
        self.begins, self.owner = np.cumsum([0, *sizes[:-1]]), np.repeat(np.arange(len(names)), sizes)
        depths = np.array([network.path_depths[m] for m in names])
        self.scale = float(width) ** (depths - 1)
        self.first = np.where(depths > 1, float(width), 1.0)[self.owner]  # entries of a column of the first layer
        self.entries = np.array([float(width if is_last(network, *layer) else width**2) for layer in self.layers])
        self.on = np.array([[name in network.path(m) for name, _ in self.layers] for m in names])
        self.others = self.on[:, None, :] & self.on[:, :, None] & ~np.eye(len(self.layers), dtype=bool)

    def factors(self, rates: Mapping[str, float]) -> list[np.ndarray]:
        """Of the learning rate of every number, where branches have their own."""
        row = np.array([rates.get(m, 1.0) for m in self.data.modalities])[self.owner]
        return [np.concatenate([row, [rates.get(name, 1.0) for name, _ in self.layers]])]

    def start(self, norms: Mapping[str, float]) -> Arrays:
        """Entries of the mean size of a random start, rows along the signs of Sigma_yx."""
        sizes = np.array([norms[m] / math.sqrt(self.data.drawn_sizes[m]) for m in self.data.modalities])
        row = np.sign(np.ravel(self.data.sigma_yx)) * sizes[self.owner] / np.sqrt(self.first)
        inner = [norms[name] / math.sqrt(count) for (name, _), count in zip(self.layers, self.entries, strict=True)]
        return [TYPICAL * np.concatenate([row, inner])]

    def total(self, state: Arrays) -> np.ndarray:
        row, numbers = np.split(state[0], [len(self.owner)])
        return np.asarray(self._whole(numbers) * row)

    def downhill(self, state: Arrays, error: np.ndarray) -> Arrays:
        """Of each entry, -dloss/dW: the chain rule, over the entries that share a number."""
        row, numbers = np.split(state[0], [len(self.owner)])
        pull = np.add.reduceat(row * error, self.begins)
        inner = pull @ self._without(numbers) / self.entries
        return [np.concatenate([self._whole(numbers) / self.first * error, inner])]

    def _whole(self, numbers: np.ndarray) -> np.ndarray:
        """Total weights over rows, (D,)."""
        return np.asarray(self.scale * np.prod(np.where(self.on, numbers, 1.0), axis=1))[self.owner]

    def _without(self, numbers: np.ndarray) -> np.ndarray:
        """The product of a branch's other numbers, (modalities, layers)."""
        rest = np.prod(np.where(self.others, numbers, 1.0), axis=2)
        return np.where(self.on, self.scale[:, None] * rest, 0.0)

    def spread(self, state: Arrays, covariance: np.ndarray) -> Arrays:
        """Variance of `downhill` where errors have this covariance."""
        row, numbers = np.split(state[0], [len(self.owner)])
        slopes = (row[:, None] * self._without(numbers)[self.owner]).T / self.entries[:, None]
        inner = np.sum((slopes @ covariance) * slopes, axis=1)
        return [np.concatenate([(self._whole(numbers) / self.first) ** 2 * np.diag(covariance), inner])]

    def weights(self, state: Arrays, rng: np.random.Generator) -> Weights:
        """Every weight of such a network, with random signs."""
        row, numbers = np.split(state[0], [len(self.owner)])
        of = dict(zip(self.layers, numbers.tolist(), strict=True))
        found: Weights = {name: [] for name in self.network.chains}
        nodes: dict[str, np.ndarray] = {}
        for name in reversed(list(self.network.chains)) if TRUNK in self.network.chains else self.network.chains:
            nodes[name] = rng.choice([-1.0, 1.0], self.width)  # of what a chain begins with
        for name, chain in self.network.chains.items():
            below = nodes[name]
            for i in range(int(chain.depth)):
                whole = is_last(self.network, name, i)
                ends = i == chain.depth - 1
                above = np.ones(1) if whole else nodes[self.network.parents[name]] if ends else _signs(rng, self.width)
                if (name, i) in of:
                    found[name].append(of[name, i] * np.outer(above, below))
                else:
                    found[name].append(np.outer(above, row[self.data.span(name)]))
                below = above
        return found

    def read_off(self, weights: Weights, move: Stepper) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """State, mean and root square of the gradient of the network of equal entries that is nearest to these weights.

        The square is such that the mean step stays what it is.
        """
        places = [(name, i) for name in weights for i in range(len(weights[name]))]
        memory = {place: (m, np.sqrt(v)) for place, m, v in zip(places, move.mean, move.square, strict=True)}
        found: dict[tuple[str, int], np.ndarray] = {}
        nodes: dict[str, np.ndarray] = {}

        def down(name: str, above: np.ndarray) -> None:
            for i in reversed(range(len(weights[name]))):
                layer = weights[name][i]
                mean, root = memory[name, i]
                leaf = (name, i) not in self.layers
                below = np.eye(layer.shape[1]) if leaf else _sign(above @ layer)[:, None] / layer.shape[1]
                with np.errstate(divide="ignore", invalid="ignore"):
                    pace = np.where(root > 0, mean / root, 0.0)
                now, moved, step = (above @ a @ below / len(above) for a in (layer, mean, pace))
                plain = np.ones(len(above)) @ root @ np.abs(below) / len(above)
                clear = np.abs(step) > 0.1
                found[name, i] = np.array([now, moved, np.where(clear, moved / np.where(clear, step, 1.0), plain)])
                above = above if leaf else np.ravel(below) * layer.shape[1]
            nodes[name] = above

        for name in reversed(self.network.chains):
            parent = self.network.parents.get(name)
            ends = parent is None or (parent == TRUNK and not self.network.trunk.depth)
            down(name, np.ones(1) if ends else nodes[str(parent)])
        rows = [found[m, 0] for m in self.data.modalities]
        packed = np.concatenate([*rows, *(found[layer].reshape(3, 1) for layer in self.layers)], axis=1)
        return packed[0], packed[1], packed[2]


def _signs(rng: np.random.Generator, width: int) -> np.ndarray:
    return rng.choice([-1.0, 1.0], width)


def _sign(values: np.ndarray) -> np.ndarray:
    return np.where(values < 0, -1.0, 1.0)


def is_last(network: FusionNetwork, name: str, i: int) -> bool:
    """Whether this layer puts out what the network does."""
    whole = name == TRUNK or (network.parents[name] == TRUNK and network.trunk.depth == 0)
    return bool(whole and i == network.chains[name].depth - 1)


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
        error, covariance = errors(path[-1])
        downhill = form.downhill(state, error)
        if decay:
            downhill = [g - decay * w for g, w in zip(downhill, state, strict=True)]
        spread = form.spread(state, covariance) if covariance is not None and isinstance(form, Manifold) else None
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
    """Mean errors, from the correlations, with their covariance over batches of that many rows drawn one by one."""
    target, sigma = np.ravel(problem.data.sigma_yx), np.asarray(problem.data.sigma)
    if rows is None or batch is None:
        return lambda packed: (target - packed @ sigma, None)
    x, y = rows

    def found(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        each = (y - x @ packed)[:, None] * x
        error = target - packed @ sigma
        return error, (each.T @ each / len(y) - np.outer(error, error)) / batch

    return found


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
        spans[f"scatter {m}"] = float(np.ptp(times) / np.mean(times)) if np.all(np.isfinite(times)) else math.inf
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
