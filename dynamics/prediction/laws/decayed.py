"""Leading-order laws with weight decay, (138)-(140), and what they leave out, by sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from derivations import DomainError
from derivations.algebra import notation as sym
from derivations.training import decay as law
from dynamics.lambdified import function
from dynamics.prediction.laws.bounds import half_relaxation, of_true, scaled_time
from dynamics.starts.start import Start


def with_decay(begin: Start) -> tuple[tuple[str, ...], dict[str, float], float, dict[str, float]]:
    """Numbers of the law, times (inf: never), lag, and what each leaves out as a share of its time; late fusion.

    Raises
    ------
    DomainError
        Where there is no such law.
    """
    problem, plan, norms = begin.problem, begin.course, begin.norms
    network, data, terms = problem.network, problem.data, problem.terms
    depths, names = set(network.depths.values()), data.modalities
    starts, rates = {norms[m] for m in names}, {terms.decay_of(m) for m in names}
    if terms.modulation or network.trunk.depth or len(depths) > 1 or min(depths) < 2 or data.outputs > 1:
        raise DomainError("the laws with weight decay are for late fusion of branches alike, and one output")
    if len(names) > 2 or len(starts) > 1 or len(rates) > 1 or not 0 < max(starts) < 1:
        raise DomainError("the laws with weight decay are for two modalities of one u0 below 1 and one learning rate")
    depth, u0, decay = depths.pop(), starts.pop(), rates.pop()
    if depth > 2 and any(data.sizes[m] > 1 for m in names):
        raise DomainError("the laws with weight decay of more than two layers are for scalar inputs")
    first, *others = plan.order
    a = data.strength(first)
    if first in plan.never:
        raise DomainError(f"nothing is learned: {plan.never[first]}")
    numbers = {sym.u_0: u0, sym.a: a, sym.decay: decay, sym.L: depth}
    time = _number(law.FIRST_WITH_DECAY if depth == 2 else law.DEEP_WITH_DECAY, numbers)
    alone = next(saddle.total for saddle in plan.saddles if first in saddle.learned)
    end = _end(data.norm(alone[first]) ** (1 / depth), depth, a, decay, data.input_block(first, first), alone[first])
    times, shares = {first: time}, {first: end / time}
    used = ("139",) if depth == 2 else ("140",)
    if not others or others[0] in plan.never:
        times |= dict.fromkeys(others, math.inf)
        return used, times, math.inf, {first: of_true(shares[first])} | dict.fromkeys(others, math.nan)
    (second,) = others
    b = data.strength(second)
    residual = data.target_block(second) - alone[first] @ data.input_block(first, second)
    r, along = data.norm(residual), float(np.sum(residual * data.target_block(second)))
    if data.sizes[second] == 1 and along < 0:
        raise DomainError(f"the residual of {second} changes its sign: no law with weight decay has such a start")
    numbers |= {sym.b: b, sym.c: 1.0, sym.r: r, law.r_lambda: r}
    lag = time * (_number(law.RATIO_WITH_DECAY, numbers) - 1) if depth == 2 else _number(
        law.LAG_WITH_DECAY_DEEP, numbers
    )  # fmt: skip
    if not 0 < lag < math.inf:
        raise DomainError("the laws with weight decay call another modality first: a near tie")
    times[second] = time + lag
    shares[second] = (end + _left_of_lag(begin, numbers, lag, end, alone)) / (time + lag)
    return used, times, lag, {m: of_true(share) for m, share in shares.items()}


def _number(expression: object, numbers: Mapping[object, float]) -> float:
    names = sorted(getattr(expression, "free_symbols", ()), key=str)
    with np.errstate(all="ignore"):
        return float(function(expression, *names)(*(numbers[name] for name in names)))


def _end(scale: float, depth: int, a: float, decay: float, own: np.ndarray, plateau: np.ndarray) -> float:
    """Time of the first transition's end: the law goes to one, or to infinity, and the plateau saturates."""
    growth = a - decay * scale ** (2 - depth)
    if growth <= 0:
        return math.inf
    return scaled_time(scale, depth) / growth + half_relaxation(own, plateau, depth, own) / scale ** (2 * depth - 2)


def _left_of_lag(
    begin: Start, numbers: Mapping[object, float], lag: float, end: float, alone: Mapping[str, np.ndarray]
) -> float:
    """What the lag leaves out: the first transition as the second sees it, its own end, its turn; inf once it is large.

    Close to the critical decay the plateau of the second is small, it is there before the first has settled, and no
    law of waits holds.
    """
    plan, data = begin.course, begin.problem.data
    first, second = plan.order[:2]
    depth, u0 = int(numbers[sym.L]), numbers[sym.u_0]
    a, b, r, decay = (numbers[s] for s in (sym.a, sym.b, sym.r, sym.decay))
    own, cross = data.input_block(first, first), data.input_block(first, second)
    inverse, goal = np.linalg.pinv(own), plan.plateaus[second]
    scale, size = (data.norm(w) ** (1 / depth) for w in (alone[first], goal))
    schur = data.input_block(second, second) - cross.T @ inverse @ cross
    if depth == 2:
        early, pace = u0 * (scale / u0) ** ((b - decay) / (a - decay)), r - decay
        change = (b + r) * end
    else:
        power = _number(law.SECOND_POWER_WITH_DECAY, numbers)
        early, pace = power ** (1 / (2 - depth)), r - decay * power
        change = (b + r + decay * power) * end
    progress = (early / size) ** depth
    if progress >= 0.5 or pace <= 0:
        return math.inf
    slow = data.norm(alone[first] @ inverse @ cross) / scale ** (2 * depth - 2)
    residual = data.target_block(second) - alone[first] @ cross
    cosine = float(np.sum(residual * data.target_block(second))) / (data.norm(residual) * b)
    turn = abs(math.log((1 + cosine) / 2)) if depth == 2 and cosine > -1 else 0.0
    relaxed = half_relaxation(schur, goal, depth, data.input_block(second, second)) / size ** (2 * depth - 2)
    waits = (change + slow + scaled_time(size, depth) + turn) / pace
    return float(waits + relaxed + lag * progress / (0.5 - progress))
