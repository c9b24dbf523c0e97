"""The law of Adam's half-times, (147), (148), and what it leaves out, by sizes."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from derivations import Correlations, DomainError
from derivations.algebra import notation as sym
from derivations.training import optimizers as law
from dynamics.lambdified import function
from dynamics.recipe import Optimizer, Recipe
from dynamics.starts.start import Start

EARLY = 1e-3  # of the level: where the growth of the entries still is that of a straight line
UNSETTLED = 8.0  # steps in which random starts come to equal entries
TAKEN = 0.5  # of the sum of all sizes; 300 problems that are shown nowhere took 0.3 of it at most
SEEN = 100.0  # times eps: smaller gradients do not move an entry by the learning rate
MIXED = 3.0  # times the share of a drive that other inputs take: beyond a third of it no law is claimed


@lru_cache(maxsize=32)
def saturation(depth: int) -> float:
    """Steps to half over those of (147): the error falls to a half on the way. Of L layers alone.

    z' = g/sqrt(mean of g^2), g = z^(L-1) (1 - z^L), from the straight line of (147) to z^L = 1/2.

    Examples
    --------
    >>> [round(saturation(L), 3) for L in (2, 3, 4)]
    [1.114, 1.084, 1.067]
    """
    pace, gradient_of = math.sqrt(2 * depth - 1), function(law.SATURATING, law.z, sym.L)

    def flow(t: float, y: np.ndarray) -> list[float]:
        z, log_square = y
        gradient = float(gradient_of(z, depth))
        root = math.exp(log_square / 2)
        return [gradient * math.sqrt(t) / root, (gradient / root) ** 2]

    def half(_: float, y: np.ndarray) -> float:
        return float(y[0] ** depth - 0.5)

    half.terminal = True  # type: ignore[attr-defined]
    begin = [pace * EARLY, (2 * depth - 2) * math.log(pace * EARLY) + math.log(EARLY / (2 * depth - 1))]
    run = solve_ivp(flow, (EARLY, 3.0), begin, events=half, rtol=1e-10, atol=1e-14)
    return float(run.t_events[0][0] * pace * 2 ** (1 / depth))


def level(data: Correlations, m: str, plateau: np.ndarray) -> float:
    """Where the weights of all inputs stand when half of m's output is there: each at most its own at the plateau.

    Of one input half of its weight.
    """
    row = plateau[0]
    metric = np.atleast_2d(data.input_block(m, m)) @ row

    def past_half(height: float) -> float:
        return float(np.sign(row) * np.minimum(np.abs(row), height) @ metric) / float(row @ metric) - 0.5

    return float(brentq(past_half, 0.0, float(np.max(np.abs(row))), rtol=1e-12))


def with_adam(
    begin: Start, order: tuple[str, ...], recipe: Recipe, width: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Half-times in units of tau, modalities in this order, and what each leaves out as a share of it.

    Raises
    ------
    DomainError
        Where there is no such law.
    """
    network, data, rate = begin.problem.network, begin.problem.data, float(recipe.learning_rate or 0.0)
    if recipe.optimizer in (Optimizer.RMSPROP, Optimizer.SIGN) or recipe.batch_size or recipe.weight_decay:
        raise DomainError("the law of entries is for Adam on all rows without weight decay")
    if network.trunk.depth or min(network.depths.values()) < 2:
        raise DomainError("the law of entries is for late fusion of two layers or more")
    times, shares = {}, {}
    target = np.ravel(data.sigma_yx)
    goals = {m: begin.course.resting(order[: i + 1])[m] for i, m in enumerate(order)}
    everyone = np.concatenate([np.abs(goals[m][0]) if m in goals else np.zeros(data.sizes[m]) for m in data.modalities])
    for m in order:
        depth, goal = network.depths[m], goals[m]
        reach = level(data, m, goal)
        numbers = {sym.L: depth, sym.eta: rate, law.units: width, law.first_beta: recipe.betas[0],
                   law.second_beta: recipe.betas[1]}  # fmt: skip
        straight = saturation(depth) * _number(law.STEPS_TO_HALF, numbers | {law.weight: 2 * reach})
        lag, forgotten = _number(law.LAG, numbers), _number(law.FORGETTING, numbers) * straight
        steps = straight * (1 + forgotten) + lag
        times[m] = rate * steps
        size = (reach * width ** (1 - depth)) ** (1 / depth)  # of an entry then
        entries = begin.norms[m] / min(math.sqrt(width * data.sizes[m]), width)
        s, drive = data.span(m), np.abs(target[data.span(m)])
        mixed = np.abs(data.sigma[s] - np.diag(np.diag(data.sigma))[s]) @ everyone
        with np.errstate(divide="ignore"):
            others = float(np.max(mixed / drive)) if np.all(drive > 0) else math.inf
        if others >= 1 / MIXED:
            raise DomainError(f"no law of entries: other inputs take {others:.2g} of the drive of one of {m}")
        faint = float(np.min(drive)) * width ** (depth - 2) * max(rate, entries) ** (depth - 1) < SEEN * recipe.eps
        off = UNSETTLED / steps + (lag / straight) ** 2 + forgotten + entries / size + MIXED * others
        weights = np.abs(goal[0])
        off += float(np.ptp(weights) / np.max(weights))  # inputs that saturate first slow the rest
        valid = (1 - recipe.betas[1]) * steps < 1 and not faint
        shares[m] = TAKEN * off if valid and TAKEN * off < 1 else math.inf
    return times, shares


def _number(expression: object, numbers: dict[object, float]) -> float:
    names = sorted(getattr(expression, "free_symbols", ()), key=str)
    return float(function(expression, *names)(*(numbers[name] for name in names)))
