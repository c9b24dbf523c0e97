"""The full gradient flow at any width: every weight integrated, equations (3)-(5)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from derivations import gradient_flow
from derivations.balance import differences
from derivations.correlations import Correlations
from derivations.errors import DomainError
from derivations.network import FusionNetwork
from derivations.saddles import Course, course, kept_signs
from dynamics.compression import compressed
from dynamics.half_times import Status
from dynamics.integration import checked_rtol, checked_times, march
from dynamics.phases import System
from dynamics.trajectory import Trajectory
from dynamics.weights import Weights, checked_integer, checked_weights, random_weights, require_rank, start_norms

SMALLEST_SIMULATED = 1e-100  # squares and errors of smaller weights underflow inside the integrator
COMPRESSED = 1e-4  # two widths whose runs agree to this are narrow enough; the wider one is nearer by far
PAYS = 0.3  # share of the weights above which a narrow run saves too little
CANCELLATION = 1e-13  # the tightest tolerance that double precision supports


def initial_weights(
    network: FusionNetwork,
    data: Correlations,
    u0: float | Mapping[str, float],
    width: int,
    seed: int,
    weights: Mapping[str, Any] | None,
) -> tuple[Weights, Course, dict[str, Any]]:
    """Weights at t = 0 (given or drawn), the saddles that they will visit to leading order, their provenance.

    The race is run with the nominal norms of a draw, so that all members of an ensemble have one order.
    """
    network.require_modalities(data.modalities)
    if data.is_symbolic:
        raise DomainError("a simulation needs numbers in sigma and sigma_yx, got symbols")
    if weights is not None:
        first = checked_weights(network, data, weights)
        norms = {m: float(np.sqrt(np.mean([np.sum(w * w) for w in first[m]]))) for m in data.modalities}
        digest = hashlib.sha256(b"".join(w.tobytes() for layers in first.values() for w in layers)).hexdigest()
        origin: dict[str, Any] = {"start": "given", "weights": digest[:16]}
    else:
        norms = start_norms(network, u0)
        if any(0 < norm < SMALLEST_SIMULATED for norm in norms.values()):
            raise DomainError(f"u0 must be 0 or at least {SMALLEST_SIMULATED} to simulate every weight, got {u0!r}")
        first = random_weights(network, data, u0, width, seed)
        require_rank(network, data, first)
        given = {m: float(v) for m, v in u0.items()} if isinstance(u0, Mapping) else float(u0)
        origin = {"start": "random", "u0": given, "width": int(width), "seed": int(seed)}
    signs = kept_signs(network, data, first, gradient_flow.total_weights(network, first))
    return first, course(network, data, norms, signs), origin


def narrowed(network: FusionNetwork, weights: Weights) -> Weights:
    """The same network at the width that its start spans, where that is exact: two layers."""
    return compressed(network, weights, rounds=0) if max(network.path_depths.values()) <= 2 else weights


def _widened(
    network: FusionNetwork, weights: Weights, run: Callable[[Weights], Trajectory], target: float
) -> Trajectory:
    """Runs at more and more rounds of compression until two agree; at full width where that pays no more."""
    before: Trajectory | None = None
    rounds = 1
    while True:
        narrow = compressed(network, weights, rounds)
        if _count(narrow) > PAYS * _count(weights):
            return run(weights)
        current = run(narrow)
        gap = math.inf if before is None else _apart(before, current)
        if gap <= target:
            return replace(current, monitors={**current.monitors, "compression": gap})
        before, rounds = current, rounds + 1


def _count(weights: Weights) -> int:
    return sum(w.size for layers in weights.values() for w in layers)


def _share(gap: np.ndarray, of: np.ndarray) -> float:
    return float(np.max(np.abs(gap)) / (np.max(np.abs(of)) or 1.0))


def _apart(one: Trajectory, other: Trajectory) -> float:
    """Largest relative difference of half-times, and of the weights wherever both runs have the same time."""
    if one.status != other.status:
        return math.inf
    gaps = [0.0]
    for m, status in one.status.items():
        if status is Status.REACHED and one.times[m] != other.times[m]:
            gaps.append(abs(one.times[m] - other.times[m]) / max(one.times[m], other.times[m]))
        if np.array_equal(one.t, other.t):
            gaps.append(_share(one.total[m] - other.total[m], other.total[m]))
        elif one.t[-1] == other.t[-1]:
            gaps.append(_share(one.total[m][-1] - other.total[m][-1], other.total[m][-1]))
    return max(gaps)


def pack(data: Correlations, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Modality -> (outputs, d) as one (outputs, D)."""
    return np.hstack([blocks[m] for m in data.modalities])


def integrate(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    width: int = 100,
    seed: int = 0,
    weights: Mapping[str, Any] | None = None,
    t_end: float | None = None,
    t_eval: Any = None,
    rtol: float = 1e-6,
    max_steps: int = 20_000,
    exact: bool = False,
) -> Trajectory:
    """Integrate the full gradient flow of every weight, from a random start or from given weights.

    Parameters
    ----------
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm
    width : hidden units of every layer
    seed : of the random start, entries N(0, s^2) with s = norm / sqrt(number of entries)
    weights : chain name -> list of arrays (out, in), input side first; replaces u0, width and seed
    t_end : in units of tau; None runs until all is learned and the loss has settled
    t_eval : times to store instead of the integrator's own steps
    rtol : relative tolerance of the integrator; made tighter where a sign flip cancels digits
    max_steps : budget; a run that it ends has modalities `not reached` and a warning
    exact : keep the full width. Without it the network is run narrow (`dynamics.compression`): two layers at the
        width that the start spans, which is the same flow; deeper ones wider and wider until two runs agree to
        COMPRESSED or 10 rtol, or at full width where that pays no more

    Returns
    -------
    Trajectory
        `monitors["balance"]` is the drift of the conserved matrices (38), (39), relative to the largest |W^l|^2 at
        the end; `monitors["compression"]` how far the two last widths are apart in half-times, 0 where the width is
        exact: an upper estimate of what the narrow network misses.

    Raises
    ------
    DomainError, SolveError

    Examples
    --------
    >>> net = FusionNetwork.fused_at(depth=2, fusion_depth=2)
    >>> run = integrate(net, Correlations.scalar(2, 1, 0.5), u0=1e-3, width=10, seed=0)
    >>> run.order, run.status["B"].value
    (('A', 'B'), 'reached')
    """
    rtol = checked_rtol(rtol)
    t_end, times = checked_times(t_end, t_eval)
    first, plan, origin = initial_weights(network, data, u0, width, seed, weights)
    max_steps = checked_integer(max_steps, "max_steps", 1)
    tolerance, notes = _tolerance(network, data, plan, first, rtol)

    def run(layers: Weights) -> Trajectory:
        system, unpack = full_system(network, data, plan, layers, tolerance)
        trajectory, last = march(
            system,
            data,
            plan,
            rtol=tolerance,
            t_end=t_end,
            t_eval=times,
            max_steps=max_steps,
            provenance={"producer": "gradient flow", "network": str(network), "rtol": rtol, **origin},
            warnings=(*data.warnings, *notes),
        )
        drift = _balance_drift(network, layers, unpack(last))
        return replace(trajectory, monitors={**trajectory.monitors, "balance": drift, "compression": 0.0})

    if exact:
        return run(first)
    if max(network.path_depths.values()) <= 2:
        return run(narrowed(network, first))
    return _widened(network, first, run, max(COMPRESSED, 10 * rtol))


def _tolerance(
    network: FusionNetwork, data: Correlations, plan: Course, weights: Weights, rtol: float
) -> tuple[float, tuple[str, ...]]:
    """Tighter than rtol where a scalar residual flips its sign after a chain of two layers.

    The mode of the old sign has grown to u0^(1-k), the one that wins has shrunk to u0^(1+k); the weights
    hold their difference, so u0^(2k) of the digits cancel.
    """
    needed = rtol
    for before, after in zip(plan.saddles, plan.saddles[1:], strict=False):
        for m in set(after.learned) - set(before.learned):
            residual = data.residual_block(m, before.learned) if before.learned else data.target_block(m)
            scalar = data.sizes[m] == 1 and data.outputs == 1
            flips = scalar and np.sign(residual).item() * np.sign(data.target_block(m)).item() < 0
            if flips and network.depths[m] == 2:
                norm = min(float(np.linalg.norm(w)) for w in weights[m])
                k = data.strength(m) / data.strength(plan.order[0])
                needed = min(needed, rtol * min(norm, 1.0) ** (2 * k))
    if needed >= CANCELLATION:
        return needed, ()
    lost = rtol * CANCELLATION / needed
    note = (
        f"a sign flip cancels digits: the times of the last modality are good to about {lost:.1g}"
        if lost > 10 * rtol
        else ""
    )
    return CANCELLATION, (note,) if note else ()


def full_system(
    network: FusionNetwork, data: Correlations, plan: Course, weights: Weights, rtol: float
) -> tuple[System, Any]:
    """The flow of every weight as the march needs it, and what unpacks its state."""
    layout = [(name, i, layer.shape) for name, layers in weights.items() for i, layer in enumerate(layers)]
    ends = np.cumsum([0, *(out * into for _, _, (out, into) in layout)])
    strengths = plan.drives

    def unpack(state: np.ndarray) -> Weights:
        found: Weights = {name: [] for name in weights}
        for (name, _, shape), begin, end in zip(layout, ends, ends[1:], strict=False):
            found[name].append(state[begin:end].reshape(shape))
        return found

    def velocity(state: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        current = unpack(state)
        products = gradient_flow.above(network, current)
        totals = gradient_flow.total_weights(network, current, products)
        moved = gradient_flow.flow(network, current, gradient_flow.errors(data, totals), products)
        norms = {name: [float(np.linalg.norm(layer)) for layer in layers] for name, layers in current.items()}
        rates = {}
        for m in (
            data.modalities
        ):  # the two smallest layers left out: d ln|W|/dt of a balanced path, never 0 before it stops
            path = sorted(norm for name in network.path(m) for norm in norms[name])
            rates[m] = strengths[m] * math.prod(path[2:])
        return np.concatenate([v.ravel() for name in weights for v in moved[name]]), rates

    def total(state: np.ndarray) -> np.ndarray:
        return pack(data, gradient_flow.total_weights(network, unpack(state)))

    start = np.concatenate([layer.ravel() for layers in weights.values() for layer in layers])
    scale = [np.sqrt(np.mean(layer**2)) for layers in weights.values() for layer in layers]
    smallest = min((s for s in scale if s > 0), default=1.0)
    return System(velocity, total, start, np.full(len(start), 1e-3 * rtol * smallest)), unpack


def _balance_drift(network: FusionNetwork, first: Weights, last: Weights) -> float:
    """Largest change of a conserved matrix (38), (39), in norm, as a share of the largest |W^l|^2 at the end."""
    before, after = differences(network, first), differences(network, last)
    largest = max(1e-300, *(float(np.sum(w * w)) for layers in last.values() for w in layers))
    return max((float(np.linalg.norm((after[k] - before[k]) / largest)) for k in before), default=0.0)
