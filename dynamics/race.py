r"""The race of growing modes: who escapes from each saddle, and every half-time, for any number of scalar modalities.

Branches that are fused once meet in two places: in the errors e_m = Sigma_yx_m - sum of W_n Sigma_nm, and in the norm u
of the trunk. With the clock theta, d theta = u^q dt for q layers after the fusion, a small branch is alone with its own
error: it knows of the time only s = int e_m d theta, and escapes when s has gone its way Psi, one for either sign,
whatever its depth and start: (113) if aligned, 127-129 if random. At a saddle e_m and u are constant.

    leading order   transitions take no time
    next order      a transition is an orbit of the reduced flow from saddle to saddle, free of u_0, integrated once: it
                    gives the half-time, and what those who wait gain meanwhile (117-119 are its closed forms)

Left out are the weights of those who wait, W_n of order u_n^n, on the errors, and u_n^2 on the trunk: both are
estimated at every transition and carried along as the error of what comes later.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.integrate import quad, solve_ivp

from derivations import branch_times as law
from derivations import notation as sym
from derivations.correlations import Correlations
from derivations.errors import DomainError, SolveError
from derivations.network import FusionNetwork
from derivations.saddles import drive, saddle_name
from dynamics.lambdified import function

BEGIN = 1e-9  # an orbit begins with this share of its weight: what the others have answered by then is left out
EARLIEST = 1e-3  # and at least this share of its norm
RTOL = 1e-9  # of an orbit
SOLVED = 1e-6  # what solvers leave of a half-time
SIZES = 10.0  # a neglected term is estimated by its size, its factor is not known: the bound is that many times it
RELAXED = 40.0  # an orbit ends when all but e^-40 has relaxed
MOST_CALLS = 20_000  # of the flow along an orbit


def way(layers: int, size: float) -> float:
    """Psi of (113): scaled time of a small branch from a norm to infinity; to one at two layers."""
    if layers == 2:
        return float(function(law.way(2, sym.start_A), sym.start_A)(size))
    return float(function(law.way(sym.L_A, sym.start_A), sym.L_A, sym.start_A)(layers, size))


def size_left(layers: int, left: float) -> float:
    """The norm of a branch that has `left` of its way to go; the inverse of `way`; inf if it is through."""
    if math.isinf(left):
        return 0.0
    if layers == 2:
        return float(function(law.size_left(2, sym.P), sym.P)(left)) if left > -700 else math.inf
    return float(function(law.size_left(sym.L_A, sym.P), sym.L_A, sym.P)(layers, left)) if left > 0 else math.inf


@dataclass(frozen=True)
class Ways:
    """Scaled time that a scalar input has to go until it escapes with a weight of either sign; inf if it never does."""

    up: float
    down: float

    def left(self, gone: float) -> float:
        """Of the mode that is nearer to its escape."""
        return min(self.up - gone, self.down + gone)


def aligned_field(network: FusionNetwork, data: Correlations, norms: Mapping[str, float]) -> Field:
    """From the aligned balanced start with these norms of layers before the fusion.

    Raises
    ------
    DomainError
        Where the race has no law: several outputs or fusions, vector inputs, branches of one layer.
    """
    require_raceable(network, data)
    dead = [m for m in data.modalities if norms[m] == 0]
    if dead:
        raise DomainError(f"the next order needs a positive u0, got 0 for {dead[0]}")
    silent = [m for m in data.modalities if not data.has_signal(m)]
    if silent:
        raise DomainError(f"an aligned start is undefined: Sigma_yx of {silent[0]} is zero")
    depths = network.depths
    ways = {m: aligned_ways(depths[m], norms[m], math.copysign(1.0, data.target_block(m)[0, 0])) for m in depths}
    return Field(data, depths, network.trunk.depth, ways, norms, dict.fromkeys(depths, 0.0))


def require_raceable(network: FusionNetwork, data: Correlations) -> None:
    """Scalar inputs and one output; branches of two layers or more, fused once."""
    vectors = [m for m in data.modalities if data.sizes[m] > 1]
    if vectors or data.outputs != 1:
        raise DomainError(f"the next order is for scalar inputs and one output, got {dict(data.sizes)}, {data.outputs}")
    nested = [name for name in network.parents if network.chains[name].children]
    if nested or min(network.depths.values()) < 2:
        raise DomainError(f"the next order needs one fusion of branches of at least two layers, got {network}")


def aligned_ways(layers: int, norm: float, sign: float) -> Ways:
    """A balanced start keeps the sign of its weight."""
    psi = way(layers, norm)
    return Ways(psi, math.inf) if sign > 0 else Ways(math.inf, psi)


@dataclass(frozen=True)
class Passage:
    """One transition: who is learned, with a weight of which sign, at what half-time.

    lag : half-time less that of the passage before; 0 at the first. Known better than the difference
    error : of the half-time, in units of tau, by sizes; of the lag, too
    """

    modality: str
    sign: float
    half_time: float
    lag: float
    error: float


@dataclass(frozen=True)
class Field:
    """What the race is run on: scalar inputs, one output, branches of at least two layers fused once.

    ways : modality -> scaled time to its escape; with a trunk only of an aligned start
    norms : modality -> largest norm of a layer of its own at t = 0
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


def race(field: Field) -> tuple[Passage, ...]:
    """Every transition in order, to next order.

    Raises
    ------
    DomainError
        Where a learned weight would have to cross zero (unlearning): no orbit of positive norms leads there.
    SolveError
        Where an orbit turns back, or the next one would begin before the last has.

    Examples
    --------
    >>> field = aligned_field(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5), {"A": 1e-3, "B": 1e-3})
    >>> [round(p.half_time, 3) for p in race(field)]
    [1.404, 6.893]
    """
    names, data, depths, q = field.data.modalities, field.data, field.depths, field.shared
    now, gone = 0.0, dict.fromkeys(names, 0.0)  # of the clock t, and s of each
    learned: tuple[str, ...] = ()
    signs: dict[str, float] = {}
    total = {m: np.zeros((1, 1)) for m in names}
    errors, trunk = field.errors(total), 1.0
    small = {m: size_left(depths[m], field.ways[m].left(0.0)) for m in names}  # norms at the last half-time
    unsure = {m: _own(field, m, field.norms[m], errors[m]) + field.known[m] / SIZES for m in names}  # of what is gone
    found: list[Passage] = []
    since = 0.0  # from the last half-time to now
    while True:
        left = {}
        for m in names:
            if m not in learned and errors[m] != 0:
                ahead = field.ways[m].up - gone[m] if errors[m] > 0 else field.ways[m].down + gone[m]
                if math.isfinite(ahead):
                    left[m] = ahead
        if not left:
            return tuple(found)
        new = min(left, key=lambda n: left[n] / abs(errors[n]))
        speed, sign = abs(errors[new]), math.copysign(1.0, errors[new])
        before = learned
        learned, signs = (*learned, new), {**signs, new: sign}
        after = data.regression(learned)
        turned = [n for n in learned if signs[n] * after[n][0, 0] <= 0]
        if turned:
            raise DomainError(
                f"{turned[0]} is unlearned: its weight changes its sign on the way to {saddle_name(names, learned)}"
            )
        orbit = _orbit(field, signs, before, total, after, new, small[new])
        begin = (left[new] - orbit.left) / speed  # of the clock theta, since now
        if q and not before:
            half = lag = _first_half_time(field, new, errors, orbit)
        else:
            lag = since + begin / trunk**q + orbit.half
            half = now - since + lag
        next_errors = field.errors(after)
        _, next_trunk = field.layer_norms(after, learned)
        blur = unsure[new] / speed
        if before:  # the last orbit did not know of it in the trunk
            blur += q / 2 * (small[new] / trunk) ** 2 * since
        for n in (n for n in names if n not in learned):
            at_half = gone[n] + errors[n] * (begin + max(orbit.half_clock, 0.0))
            size = small[n] = size_left(depths[n], field.ways[n].left(at_half))
            pull = abs(field.cross(n, new)) * size**2 / 2
            blur += sum(pull / abs(e) for e in (errors[n], next_errors[n]) if e != 0) / speed
            blur += q / 2 * (size / next_trunk) ** 2 * (lag if before else orbit.end - orbit.half)
            unsure[n] += sum(_own(field, n, size, e) for e in (errors[n], next_errors[n]))
        for n in names:
            pulls = [orbit.deficit[j] * field.cross(j, n) for j in learned]
            gone[n] += errors[n] * begin + next_errors[n] * orbit.clock - sum(pulls)
            unsure[n] += abs(errors[n] - next_errors[n]) * blur
        blur += SOLVED * half
        if found and half <= found[-1].half_time:
            raise SolveError(f"{new} follows {found[-1].modality} before it is learned: they are learned together")
        found.append(
            Passage(
                new, sign, float(half), float(lag) if before else 0.0, SIZES * (blur - SOLVED * half) + SOLVED * half
            )
        )
        since = orbit.end - orbit.half
        now = half + since
        total, errors, trunk = after, next_errors, next_trunk


def _own(field: Field, m: str, size: float, error: float) -> float:
    """int |W Sigma| dt of a small branch on its own error, left out: int |W| dt = int u du/|e|."""
    return field.cross(m, m) * size**2 / (2 * abs(error)) if error != 0 else 0.0


def _first_half_time(field: Field, new: str, errors: Mapping[str, float], orbit: _Orbit) -> float:
    """The time integral (115) of the first one up to half of its plateau, where it saturates (117).

    The trunk is as small as the branches, so that all of them count: u^2 = sum of u_m^2.
    """
    n, q, speed = field.depths[new], field.shared, abs(errors[new])
    whole = field.ways[new].left(0.0)
    start = math.log(size_left(n, whole))
    rest = [m for m in errors if m != new]

    def height(y: float) -> float:
        clock = (whole - way(n, math.exp(y))) / speed
        sizes = [size_left(field.depths[m], field.ways[m].left(errors[m] * clock)) for m in rest]
        bracket = math.log1p(sum(math.exp(2 * (math.log(s) - y)) for s in sizes if s > 0))
        return (2 - n - q) * y - q / 2 * bracket - math.log1p(-math.exp((n + q) * (y - orbit.goal)))

    top, stop, decay = height(start), orbit.goal - math.log(2) / (n + q) - start, n + q - 2
    marks = [mark / decay for mark in (0.3, 1.0, 3.0, 10.0, 30.0) if mark / decay < stop]
    value, _ = quad(
        lambda z: math.exp(height(start + z) - top), 0.0, stop, points=marks, epsabs=0.0, epsrel=1e-10, limit=400
    )
    return float(value) * math.exp(top) / speed


@dataclass(frozen=True)
class _Orbit:
    """From saddle to saddle; its clocks start where the new branch is still small.

    left : way that the new branch has to go from there
    goal : ln of the norm on its plateau
    half, end : times; half_clock, clock : theta there
    deficit : of each learned modality, int (W - W at the end) d theta
    """

    left: float
    goal: float
    half: float
    half_clock: float
    end: float
    clock: float
    deficit: Mapping[str, float]


def _orbit(
    field: Field,
    signs: Mapping[str, float],
    before: tuple[str, ...],
    start: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    new: str,
    size: float,
) -> _Orbit:
    """The reduced flow du/dt = s e u^(n-1) u^q of the learned ones and the new one, from saddle to saddle.

    With a trunk, which the new one makes grow from the beginning (112), it starts at its present `size`.
    """
    names, depths, q = list(signs), field.depths, field.shared
    n, s = np.array([depths[m] for m in names], dtype=float), np.array([signs[m] for m in names])
    sigma = np.array([[field.cross(i, j) for j in names] for i in names])
    target = np.array([float(field.data.target_block(m)[0, 0]) for m in names])
    end, begin = (np.array([float(w[m][0, 0]) for m in names]) for w in (after, start))
    goals, last_trunk = field.layer_norms(after, tuple(names))
    norms, _ = field.layer_norms(start, before)
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
    return _Orbit(
        left, math.log(goal[last]), float(half[-1]), float(half[-2]), float(y[-1]),
        float(y[-2]), dict(zip(names, y[count : 2 * count], strict=True)),
    )  # fmt: skip


def _run(
    flow: Callable[[float, np.ndarray], np.ndarray], low: float, high: float, y: np.ndarray, atol: np.ndarray
) -> np.ndarray:
    """The end of a flow; nan where the solver gives up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # LSODA says in its own words that it gives up
        done = solve_ivp(flow, (low, high), y, "LSODA", rtol=RTOL, atol=atol)
    return np.asarray(done.y[:, -1] if done.success else np.full(len(y), math.nan))
