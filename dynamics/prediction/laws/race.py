r"""The race of growing modes: who escapes from each saddle, and every half-time, for any number of scalar modalities.

Branches that are fused once meet in two places: in the errors e_m = Sigma_yx_m - sum of W_n Sigma_nm, and in the norm u
of the trunk. With the clock theta, d theta = u^q dt for q layers after the fusion, a small branch is alone with its own
error: it knows of the time only s = int e_m d theta, and escapes when s has gone its way Psi, one for either sign,
whatever its depth and start: (113) if aligned, 127-129 if random. At a saddle e_m and u are constant.

    leading order   transitions take no time
    next order      a transition is an orbit of the reduced flow from saddle to saddle, free of u_0, integrated once: it
                    gives the half-time, and what those who wait gain meanwhile (117-119 are its closed forms)

Left out are the weights of those who wait, W_n of order u_n^n, on the errors, and u_n^2 on the trunk: both are
estimated at every transition and carried along as the error of what comes later. With layers after the fusion theta is
not the time: what is late makes all that follows as late, besides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.integrate import quad

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from derivations.critical.saddles import saddle_name
from dynamics.prediction.laws.orbits import Field, Orbit, Ways, size_left, transition, way

SOLVED = 1e-6  # what solvers leave of a half-time
SIZES = 10.0  # a neglected term is estimated by its size, its factor is not known: the bound is that many times it


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
    psi = {m: way(depths[m], norms[m]) for m in depths}
    up = {m: data.target_block(m)[0, 0] > 0 for m in depths}  # a balanced start keeps the sign of its weight
    ways = {m: Ways(psi[m], math.inf) if up[m] else Ways(math.inf, psi[m]) for m in depths}
    return Field(data, depths, network.trunk.depth, ways, norms, dict.fromkeys(depths, 0.0))


def require_raceable(network: FusionNetwork, data: Correlations) -> None:
    """Scalar inputs and one output; branches of two layers or more, fused once."""
    vectors = [m for m in data.modalities if data.sizes[m] > 1]
    if vectors or data.outputs != 1:
        raise DomainError(f"the next order is for scalar inputs and one output, got {dict(data.sizes)}, {data.outputs}")
    nested = [name for name in network.parents if network.chains[name].children]
    if nested or min(network.depths.values()) < 2:
        raise DomainError(f"the next order needs one fusion of branches of at least two layers, got {network}")


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
    names, depths, q = field.data.modalities, field.depths, field.shared
    since = now = 0.0  # from the last half-time, and from the start, to where the last orbit has relaxed
    gone = dict.fromkeys(names, 0.0)  # s of each by then
    signs: dict[str, float] = {}  # of those learned
    total = {m: np.zeros((1, 1)) for m in names}
    errors, trunk = field.errors(total), 1.0
    small = {m: size_left(depths[m], field.ways[m].left(0.0)) for m in names}  # norms at the last half-time
    unsure = {m: _own(field, m, field.norms[m], errors[m]) + field.known[m] / SIZES for m in names}  # of what is gone
    found: list[Passage] = []
    late = 0.0  # of all that follows, by what has been left out of t itself
    last: Orbit | None = None
    while True:
        left = _ahead(field, errors, gone, tuple(signs))
        if not left:
            return tuple(found)
        new = min(left, key=lambda m: left[m] / abs(errors[m]))
        before, speed = tuple(signs), abs(errors[new])
        signs = {**signs, new: math.copysign(1.0, errors[new])}
        after = _next_saddle(field, signs)
        orbit = transition(field, signs, total, after, small[new])
        begin = (left[new] - orbit.left) / speed  # of the orbit, by the clock theta from now
        if q and not before:
            half = lag = _first_half_time(field, new, errors, orbit)
        else:
            lag = since + begin / trunk**q + orbit.half
            half = now - since + lag
        if found and half <= found[-1].half_time:
            raise SolveError(f"{new} follows {found[-1].modality} before it is learned: they are learned together")
        next_errors, (_, next_trunk) = field.errors(after), field.layer_norms(after, tuple(signs))
        blur = unsure[new] / speed
        if last:  # what has not settled by then is counted as if it had
            waited = last.clock - last.half_clock + begin + max(orbit.half_clock, 0.0)
            unsettled = sum(size * abs(field.cross(n, new)) for n, size in last.settling.items())
            blur += unsettled * math.exp(-last.slowest * max(waited, 0.0)) / speed
        if before:  # the last orbit did not know of it in the trunk
            blur += q / 2 * (small[new] / trunk) ** 2 * since
        for m in (m for m in names if m not in signs):  # those who wait, and are left out
            s = gone[m] + errors[m] * (begin + max(orbit.half_clock, 0.0))
            small[m] = size_left(depths[m], field.ways[m].left(s))
            blur += _pull(field, m, new, small[m], (errors[m], next_errors[m])) / speed
            blur += q / 2 * (small[m] / next_trunk) ** 2 * (lag if before else orbit.end - orbit.half)
            unsure[m] += sum(_own(field, m, small[m], e) for e in (errors[m], next_errors[m]))
        for m in names:
            pulls = [orbit.deficit[n] * field.cross(n, m) for n in signs]
            gone[m] += errors[m] * begin + next_errors[m] * orbit.clock - sum(pulls)
            unsure[m] += abs(errors[m] - next_errors[m]) * blur
        error = SIZES * (late + blur) + SOLVED * half
        late += blur if q else 0.0
        found.append(Passage(new, signs[new], float(half), float(lag) if before else 0.0, float(error)))
        since = orbit.end - orbit.half
        now = half + since
        total, errors, trunk, last = after, next_errors, next_trunk, orbit


def _ahead(
    field: Field, errors: Mapping[str, float], gone: Mapping[str, float], learned: tuple[str, ...]
) -> dict[str, float]:
    """What each that can still be learned has to go, by the sign of its error."""
    left = {m: field.ways[m].up - gone[m] if e > 0 else field.ways[m].down + gone[m] for m, e in errors.items() if e}
    return {m: value for m, value in left.items() if m not in learned and math.isfinite(value)}


def _next_saddle(field: Field, signs: Mapping[str, float]) -> dict[str, np.ndarray]:
    """The regression on those learned, if all keep their signs."""
    after = field.data.regression(tuple(signs))
    turned = [m for m in signs if signs[m] * after[m][0, 0] <= 0]
    if turned:
        goal = saddle_name(field.data.modalities, tuple(signs))
        raise DomainError(f"{turned[0]} is unlearned: its weight changes its sign on the way to {goal}")
    return after


def _pull(field: Field, m: str, new: str, size: float, errors: tuple[float, float]) -> float:
    """int |W_m Sigma| dt on the error of the new one, before and after it is learned; see `_own`."""
    pull = abs(field.cross(m, new)) * size**2 / 2
    return sum(pull / abs(e) for e in errors if e != 0)


def _own(field: Field, m: str, size: float, error: float) -> float:
    """int |W Sigma| dt of a small branch on its own error, left out: int |W| dt = int u du/|e|."""
    return field.cross(m, m) * size**2 / (2 * abs(error)) if error != 0 else 0.0


def _first_half_time(field: Field, new: str, errors: Mapping[str, float], orbit: Orbit) -> float:
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
