"""Orbits of the reduced flow from saddle to saddle, free of u_0: what a transition of the race takes, and gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from derivations import Correlations, DomainError, SolveError
from derivations.critical.saddles import drive
from dynamics.prediction.laws import written
from dynamics.simulation.silence import silenced

BEGIN = 1e-9  # an orbit begins with this share of its weight: what the others have answered by then is left out
EARLIEST = 1e-3  # and at least this share of its norm
RTOL = 1e-9  # of an orbit
RELAXED = 40.0  # an orbit ends when all but e^-40 has relaxed
MOST_CALLS = 20_000  # of the flow along an orbit


def way(layers: int, size: float) -> float:
    """Psi of (113): scaled time of a small branch from a norm to infinity; to one at two layers."""
    if layers == 2:
        return float(written.way_2(size))
    return float(written.way_n(layers, size))


def size_left(layers: int, left: float) -> float:
    """The norm of a branch that has `left` of its way to go; the inverse of `way`; inf if it is through."""
    if math.isinf(left):
        return 0.0
    if layers == 2:
        return float(written.size_left_2(left)) if left > -700 else math.inf
    return float(written.size_left_n(layers, left)) if left > 0 else math.inf


@dataclass(frozen=True)
class Ways:
    """Scaled time that a scalar input has to go until it escapes with a weight of either sign; inf if it never does."""

    up: float
    down: float

    def left(self, gone: float) -> float:
        """Of the mode that is nearer to its escape."""
        return min(self.up - gone, self.down + gone)


@dataclass(frozen=True)
class Field:
    """What the race is run on: scalar inputs, one output, branches of at least two layers fused once.

    ways : modality -> scaled time to its escape; with a trunk only of an aligned start
    norms : modality -> largest norm of a layer of its own at t = 0; other chains do not count
    known : modality -> absolute error of its way
    """

    data: Correlations
    depths: Mapping[str, int]
    shared: int
    ways: Mapping[str, Ways]
    norms: Mapping[str, float]
    known: Mapping[str, float]

    def errors(self, total: Mapping[str, np.ndarray]) -> dict[str, float]:
        """e_m at a saddle, 0 where it is only rounding."""
        drives = {m: drive(self.data, m, total) for m in self.data.modalities}
        return {m: sign * speed for m, (sign, speed) in drives.items()}

    def cross(self, m: str, n: str) -> float:
        return float(self.data.input_block(m, n)[0, 0])

    def layer_norms(self, total: Mapping[str, np.ndarray], learned: tuple[str, ...]) -> tuple[dict[str, float], float]:
        """Of the layers of each learned branch at a saddle, and of the trunk: |W_m| = u_m^n u^q, u^2 = sum of u_m^2."""
        weights = {m: abs(float(total[m][0, 0])) for m in learned}
        if not self.shared or not learned:
            return {m: math.exp(math.log(w) / self.depths[m]) for m, w in weights.items()}, 1.0
        low, high = math.log(1e-300), math.log(1e100)
        for _ in range(200):  # sum of u_m(u)^2 / u^2 falls with u
            trunk = (low + high) / 2
            parts = {m: (math.log(w) - self.shared * trunk) / self.depths[m] for m, w in weights.items()}
            most = max(parts.values())
            if 2 * most + math.log(sum(math.exp(2 * (p - most)) for p in parts.values())) > 2 * trunk:
                low = trunk
            else:
                high = trunk
        return {m: math.exp(p) for m, p in parts.items()}, math.exp(trunk)


@dataclass(frozen=True)
class Orbit:
    """From saddle to saddle; its clocks start where the new branch is still small.

    left : way that the new branch has to go from there
    goal : ln of the norm on its plateau
    half, end : times; half_clock, clock : theta there
    deficit : of each learned modality, int (W - W at the end) d theta
    settling : the part of it after the half-time, its size
    slowest : rate at which that goes, by theta
    """

    left: float
    goal: float
    half: float
    half_clock: float
    end: float
    clock: float
    deficit: Mapping[str, float]
    settling: Mapping[str, float]
    slowest: float


def transition(
    field: Field,
    signs: Mapping[str, float],
    start: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    size: float,
) -> Orbit:
    """The reduced flow du/dt = s e u^(n-1) u^q of the learned ones and the new, last one, from saddle to saddle.

    With a trunk, which the new one makes grow from the beginning (112), it starts at its present `size`.
    """
    names, depths, q = list(signs), field.depths, field.shared
    *before, new = names
    n, s = np.array([depths[m] for m in names], dtype=float), np.array([signs[m] for m in names])
    sigma = np.array([[field.cross(i, j) for j in names] for i in names])
    target = np.array([float(field.data.target_block(m)[0, 0]) for m in names])
    end, begin = (np.array([float(w[m][0, 0]) for m in names]) for w in (after, start))
    goals, last_trunk = field.layer_norms(after, tuple(names))
    norms, _ = field.layer_norms(start, tuple(before))
    goal, last, count = np.array([goals[m] for m in names]), names.index(new), len(names)
    first = float((target - begin @ sigma)[last] * s[last])
    share = max(EARLIEST, BEGIN ** (1 / n[last]))
    if q and before:
        share = size / goal[last]
    if share ** n[last] > 0.4:
        raise SolveError(f"{new} follows {names[-2]} before it is learned: they are learned together")
    u = np.array([norms.get(m, share * goal[last]) for m in names])
    pull = n * goal ** (2 * n - 2) * last_trunk ** (2 * q)
    slowest = float(np.linalg.eigvalsh(np.sqrt(pull)[:, None] * sigma * np.sqrt(pull))[0])
    if slowest <= 1e-14 * float(np.max(pull * np.diag(sigma))):
        raise DomainError("the modalities are collinear: the next order needs a regular Sigma")
    calls = 0

    def velocity(y: np.ndarray) -> np.ndarray:
        """Of norms, deficits, theta and t, by theta."""
        nonlocal calls
        calls += 1
        if calls > MOST_CALLS:
            raise SolveError(f"the transition to {new} takes more than {MOST_CALLS} evaluations")
        u = y[:count]
        pace = float(np.sum(u**2)) ** (q / 2)
        w = s * u**n * pace
        return np.concatenate([s * (target - w @ sigma) * u ** (n - 1), w - end, [1.0, 1 / pace]])

    def by_log(log_size: float, y: np.ndarray) -> np.ndarray:
        y = np.where(np.arange(len(y)) == last, math.exp(log_size), y)
        slope = velocity(y)
        return np.asarray(slope / (slope[last] / y[last]))

    def grown(y: np.ndarray, low: float, high: float) -> np.ndarray:
        """From one ln of the new branch's norm to another."""
        y = _run(by_log, low, high, y, atol)
        if not (np.all(np.isfinite(y)) and y[-1] > 0):
            raise SolveError(f"the transition to {new} turns back before half of its plateau")
        return np.where(np.arange(len(y)) == last, math.exp(high), y)

    # as long as the new branch grows, its norm is the clock, so that no wait is too long
    clock = (way(depths[new], u[last]) if n[last] > 2 else 1.0) / first
    scale = np.concatenate([goal, np.abs(end) * clock, [clock, clock / last_trunk**q]])
    atol = RTOL * 1e-3 * scale
    y, low = np.concatenate([u, np.zeros(count + 2)]), math.log(u[last])
    high = math.log(goal[last]) - math.log(2) / n[last]
    for _ in range(12):  # Newton steps to half of its weight, which the trunk has a part in; never back: that is stiff
        half = grown(y, low, high)
        squares = half[:count] ** 2
        lacks = math.log(abs(end[last]) / 2) - n[last] * high - q / 2 * math.log(np.sum(squares))
        if abs(lacks) < 1e-10:
            break
        if lacks > 0:
            y, low = half, high
        high += lacks / (n[last] + q * squares[last] / np.sum(squares))
    y = half
    y = _run(lambda _, y: velocity(y), 0.0, RELAXED / slowest * last_trunk**q, y, atol)
    if not np.all(np.isfinite(y)):
        raise SolveError(f"the transition to {new} did not end")
    # alone or with the others slaved e = first (1 - W/plateau): what saturation has cost up to here, (117)
    unit = (depths[new] - 2) * way(depths[new], goal[last]) if depths[new] > 2 else 1.0
    power = 2 if before else 2 + q
    left = way(depths[new], u[last]) - unit * share**power / power
    deficits, met = y[count : 2 * count], half[count : 2 * count]
    return Orbit(
        left, math.log(goal[last]), float(half[-1]), float(half[-2]), float(y[-1]), float(y[-2]),
        dict(zip(names, deficits, strict=True)), dict(zip(names, np.abs(deficits - met), strict=True)),
        slowest / last_trunk**q,
    )  # fmt: skip


def _run(
    flow: Callable[[float, np.ndarray], np.ndarray], low: float, high: float, y: np.ndarray, atol: np.ndarray
) -> np.ndarray:
    """The end of a flow; nan where the solver gives up."""
    with silenced():  # LSODA says in its own words that it gives up
        done = solve_ivp(flow, (low, high), y, "LSODA", rtol=RTOL, atol=atol)
    return np.asarray(done.y[:, -1] if done.success else np.full(len(y), math.nan))
