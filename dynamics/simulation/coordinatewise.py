"""Adam, AdamW and RMSprop reduced: one number a layer and modality, a row for the inputs, as many steps as training.

An optimizer that treats each entry by itself keeps networks of late fusion on the manifold

    W_1 = s a^T,   W_l = c_l s s'^T,   W_L = b s'^T,       s, s' of signs +-1, h units

since all entries of a layer then have one gradient up to their signs, (a by input), and the same memory. Total weights
are h^(L-1) b prod c_l a^T. The first steps of Adam are of the size of the learning rate whatever the gradient, so a
random start much smaller than that is on the manifold after a few of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from derivations import DomainError, SolveError
from dynamics.checks import checked_integer, checked_positive
from dynamics.problem import Problem
from dynamics.recipe import Recipe
from dynamics.runs.half_times import HalfTimes, Status, before_it, first_time
from dynamics.runs.trajectory import Trajectory, losses, weight_times
from dynamics.simulation.optimizers import stepper
from dynamics.starts.start import random_start

MOST_STEPS = 200_000
SETTLED = 1e-3  # of the excess loss: steps of a fixed length never come closer than that length
BEYOND = 1.3  # of the last half-time, after which nothing is waited for
TYPICAL = math.sqrt(2 / math.pi)  # mean size of a normal entry, in deviations


def coordinatewise(
    problem: Problem, u0: float | Mapping[str, float], width: int, recipe: Recipe, max_steps: int = MOST_STEPS
) -> Trajectory:
    """A run of an optimizer that treats each entry by itself, from the typical size of a random start.

    Raises
    ------
    DomainError
        Without a learning rate, with a trunk, several outputs, or branches of one layer.
    SolveError
        Where weights diverge.
    """
    network, data = problem.network, problem.data
    rate = checked_positive(recipe.learning_rate, "learning_rate") if recipe.learning_rate is not None else None
    if rate is None:
        raise DomainError(f"optimizer {recipe.optimizer} needs a learning_rate: its steps do not shrink with it")
    if network.trunk.depth or min(network.depths.values()) < 2 or data.outputs > 1:
        raise DomainError("the reduced form of such optimizers is for late fusion of two layers or more, one output")
    width, max_steps = checked_integer(width, "width", 1), checked_integer(max_steps, "max_steps", 1)
    start = random_start(problem, u0, width)
    names, depths = data.modalities, network.depths
    state: list[np.ndarray] = []
    for m in names:
        d, depth, norm = data.sizes[m], depths[m], start.norms[m]
        signs = np.sign(np.atleast_2d(data.target_block(m))[0])
        state.append(signs * TYPICAL * norm / math.sqrt(width * d))
        state.append(np.append(np.full(depth - 2, TYPICAL * norm / width), TYPICAL * norm / math.sqrt(width)))
    step, path = stepper(recipe, rate), []
    lowest = start.course.lowest_loss
    begin = max(float(losses(data, np.zeros((1, 1, len(data.sigma))))[0]) - lowest, 0.0)
    target, sigma = np.ravel(data.sigma_yx), np.asarray(data.sigma)
    done = math.inf
    for count in range(max_steps + 1):
        total, below = [], []
        for i, m in enumerate(names):
            row, layers = state[2 * i], state[2 * i + 1]
            below.append(float(np.prod(layers)))
            total.append(float(width) ** (depths[m] - 1) * below[-1] * row)
        packed = np.concatenate(total)
        path.append(packed)
        if not np.all(np.isfinite(packed)):
            raise SolveError(f"weights diverge at step {count}: learning_rate {rate:g} is too large")
        error = target - packed @ sigma
        excess = max(-float(packed @ (target + error)) + float(target @ np.ravel(data.optimum)), 0.0) / 2
        if done == math.inf and excess <= SETTLED * begin:
            done = BEYOND * count
        if count >= done:
            break
        downhill = []
        for i, m in enumerate(names):
            row, layers, e = state[2 * i], state[2 * i + 1], error[data.span(m)]
            inner = float(width) ** (depths[m] - 2)
            pull = inner * float(row @ e)
            others = [float(np.prod(np.delete(layers, k))) for k in range(len(layers))]
            # a middle layer stands between two sums over units, the last one beside one
            each = np.array([pull / width] * (len(layers) - 1) + [pull]) * others
            downhill += [inner * below[i] * e, each]
        state = step(state, downhill)
    return _timed(problem, start.norms, np.array(path), rate, width, recipe, done < math.inf)


def _timed(
    problem: Problem,
    norms: Mapping[str, float],
    path: np.ndarray,
    rate: float,
    width: int,
    recipe: Recipe,
    settled: bool,
) -> Trajectory:
    """Half-times along the plateaus that every other producer measures at, those of the race of gradient descent."""
    network, data = problem.network, problem.data
    plan = problem.course(norms, {})
    t, packed = np.arange(len(path)) * rate, path[:, None, :]
    clock, status = before_it(plan)
    for m in plan.along:
        clock[m] = first_time(t, np.array([plan.past_half(m, w) for w in packed]), 0.0)
        status[m] = Status.REACHED if math.isfinite(clock[m]) else Status.NOT_REACHED
    order = tuple(sorted(plan.order, key=lambda m: clock[m]))
    warnings = [*data.warnings] + ([] if settled else [f"stopped after {len(path) - 1} steps"])
    return Trajectory.of(
        plan, t, packed, HalfTimes.from_clock(order, clock, status), weight_times=weight_times(plan, t, packed),
        monitors={"steps": float(len(path) - 1)}, warnings=warnings,
        provenance={
            "producer": f"reduced {recipe.optimizer}", "start": "on the manifold", "network": str(network),
            "u0": dict(norms), "width": width, "learning_rate": rate,
        },
    )  # fmt: skip
