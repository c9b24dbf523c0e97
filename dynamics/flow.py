"""The full gradient flow at any width: every weight integrated, equations (3)-(5)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from derivations import gradient_flow
from derivations.balance import differences
from derivations.correlations import Correlations, require_problem
from derivations.errors import DomainError, SolveError
from derivations.network import FusionNetwork
from derivations.saddles import Course, course, kept_signs
from dynamics.batch.kernel import Kernel
from dynamics.integration import checked_rtol, checked_times, march
from dynamics.phases import System
from dynamics.trajectory import Trajectory, losses
from dynamics.weights import Weights, checked_integer, checked_weights, require_products, require_range, start_norms
from dynamics.widths import COMPRESSED, InitialWeights, apart, count, given_start, random_start, widened

SMALLEST_SIMULATED = 1e-100  # squares and errors of smaller weights underflow inside the integrator
LARGEST_KERNEL = 600  # weights up to which a dense Jacobian, made in one call, pays
FLIP = "a sign flip, or layers far larger than what is learned, cancel digits: times are good to about {:.1g}"
RERUN = "half-times move by {:.2g} at a tenth of rtol = {:g}: they are not to be relied on"
CANCELLATION = 1e-13  # the tightest tolerance that double precision supports


def started(
    network: FusionNetwork,
    data: Correlations,
    u0: float | Mapping[str, float],
    width: int,
    seed: int,
    weights: Mapping[str, Any] | None,
) -> tuple[InitialWeights, Course, dict[str, Any]]:
    """Weights at t = 0 (given or drawn), the saddles that they will visit to leading order, their provenance.

    The race is run with the nominal norms of a draw, so that all members of an ensemble have one order.
    """
    require_problem(network, data)
    if data.is_symbolic:
        raise DomainError("a simulation needs numbers in sigma and sigma_yx, got symbols")
    if weights is None:
        plan = random_course(network, data, u0)
        return (
            random_start(network, data, u0, width, seed),
            plan,
            {
                "start": "random",
                "u0": {m: float(v) for m, v in u0.items()} if isinstance(u0, Mapping) else float(u0),
                "width": int(width),
                "seed": int(seed),
            },
        )
    first = checked_weights(network, data, weights)
    norms = {m: float(np.sqrt(np.mean([np.sum(w * w) for w in first[m]]))) for m in data.modalities}
    digest = hashlib.sha256(b"".join(w.tobytes() for layers in first.values() for w in layers)).hexdigest()
    signs = kept_signs(network, data, first, gradient_flow.total_weights(network, first))
    origin = {"start": "given", "weights": digest[:16]}
    return given_start(network, first), course(network, data, norms, signs), origin


def random_course(network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float]) -> Course:
    """The saddles that a random start visits to leading order; its layers are not balanced and keep no sign."""
    norms = start_norms(network, u0)
    if all(norms.values()):  # from exactly zero the flow is stationary, and a run says so
        require_range(network, norms)
    if any(0 < norm < SMALLEST_SIMULATED for norm in norms.values()):
        raise DomainError(f"u0 must be 0 or at least {SMALLEST_SIMULATED} to simulate every weight, got {u0!r}")
    return course(network, data, norms, {})


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
    verify: bool = False,
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
    verify : run again at a tenth of rtol. `monitors["rerun"]` is how far half-times move, with a warning beyond
        100 rtol: what an integrator stuck at zero cannot hide, though nothing drifts there

    Returns
    -------
    Trajectory
        `monitors["balance"]` is the drift of the conserved matrices (38), (39), relative to the largest |W^l|^2 at
        the end; `monitors["energy"]` by how much the loss that was lost differs from the integral of |velocity|^2,
        as a share of it, left out where the loss changes by less than 1000 roundings; `monitors["compression"]` an
        estimate of what the narrow network misses of the half-times, 0 where the width is exact.

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
    start, plan, origin = started(network, data, u0, width, seed, weights)
    max_steps = checked_integer(max_steps, "max_steps", 1)
    first = start.narrow(0)
    share = cancelled(network, data, plan, first) * digits_left(network, data, plan, first)
    tolerance, notes = _tightened(share, rtol)

    @np.errstate(over="ignore", invalid="ignore")  # what leaves the range of floats is found by the march
    def run(layers: Weights) -> Trajectory:
        try:
            return attempt(layers, wide=False)
        except SolveError:  # on a plateau beyond the corrector of LSODA; the linearly implicit method has none
            return attempt(layers, wide=True)

    def attempt(layers: Weights, wide: bool) -> Trajectory:
        system, unpack = full_system(network, data, plan, layers, tolerance, wide)
        if not np.any(system.velocity(system.start)[0]):
            require_products(network, layers)
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
        found = {"balance": _balance_drift(network, layers, unpack(last)), "compression": 0.0}
        (lost, rounding), worked = _lost(data, plan, system, last), float(last[-1])
        if worked > max(1e3 * rounding, 0.0):
            found["energy"] = abs(lost - worked) / worked
        return replace(trajectory, monitors={**trajectory.monitors, **found})

    found = run(start.full()) if exact else widened(network, start, run, lambda _: max(COMPRESSED, 10 * rtol))
    if not verify:
        return found
    again = integrate(
        network,
        data,
        u0=u0,
        width=width,
        seed=seed,
        weights=weights,
        t_end=t_end,
        t_eval=t_eval,
        rtol=max(rtol / 10, 1e-13),
        max_steps=4 * max_steps,
        exact=exact,
    )
    change = apart(found, again)
    more = (RERUN.format(change, rtol),) if change > 100 * rtol else ()
    return replace(found, monitors={**found.monitors, "rerun": change}, warnings=(*found.warnings, *more))


def cancelled(network: FusionNetwork, data: Correlations, plan: Course, weights: Weights) -> float:
    """Share of a weight's size that is left where a scalar residual flips its sign after a chain of two layers.

    The mode of the old sign has grown to u0^(1-k), the one that wins has shrunk to u0^(1+k); the weights hold their
    difference, so all but u0^(2k) of it cancels. 1 without a flip.
    """
    share = 1.0
    for before, after in pairwise(plan.saddles):
        for m in set(after.learned) - set(before.learned):
            residual = data.residual_block(m, before.learned) if before.learned else data.target_block(m)
            scalar = data.sizes[m] == 1 and data.outputs == 1
            flips = scalar and np.sign(residual).item() * np.sign(data.target_block(m)).item() < 0
            if flips and network.depths[m] == 2:
                norm = min(float(np.linalg.norm(w)) for w in weights[m])
                k = data.strength(m) / data.strength(plan.order[0])
                share = min(share, min(norm, 1.0) ** (2 * k))
    return share


def digits_left(network: FusionNetwork, data: Correlations, plan: Course, weights: Weights) -> float:
    """Share of a weight's size that is left where layers far larger than what is learned multiply to it; 1 if small."""
    share = 1.0
    for m, goal in plan.plateaus.items():
        size = math.prod(float(np.linalg.norm(w)) for name in network.path(m) for w in weights[name])
        if size > 0 and data.norm(goal) > 0:
            share = min(share, data.norm(goal) / size)
    return share


def _tightened(share: float, rtol: float) -> tuple[float, tuple[str, ...]]:
    """A tolerance that leaves rtol after cancellation to `share`, and what is lost where there is none."""
    lost = CANCELLATION / max(share, 1e-300)
    notes = (FLIP.format(lost),) if lost > 10 * rtol else ()
    return max(rtol * share, min(CANCELLATION, rtol)), notes


class _Form(NamedTuple):
    """The weights as a vector, and the flow of it; norms(vector) are those of `layers`."""

    start: np.ndarray
    velocity: Callable[[np.ndarray], np.ndarray]
    total: Callable[[np.ndarray], np.ndarray]
    unpack: Callable[[np.ndarray], Weights]
    layers: list[tuple[str, int]]
    norms: Callable[[np.ndarray], np.ndarray]
    spread: Callable[[np.ndarray], np.ndarray] | None = None
    sensitivity: Callable[[np.ndarray], np.ndarray] | None = None


def _wide(network: FusionNetwork, data: Correlations, weights: Weights) -> _Form:
    """By matrix products, one state at a time."""
    layout = [(name, i, layer.shape) for name, layers in weights.items() for i, layer in enumerate(layers)]
    ends = np.cumsum([0, *(out * into for _, _, (out, into) in layout)])
    spans = list(pairwise(ends))

    def unpack(state: np.ndarray) -> Weights:
        found: Weights = {name: [] for name in weights}
        for (name, _, shape), (begin, end) in zip(layout, spans, strict=True):
            found[name].append(state[begin:end].reshape(shape))
        return found

    def velocity(state: np.ndarray) -> np.ndarray:
        current = unpack(state)
        products = gradient_flow.above(network, current)
        totals = gradient_flow.total_weights(network, current, products)
        moved = gradient_flow.flow(network, current, gradient_flow.errors(data, totals), products)
        return np.concatenate([v.ravel() for name in weights for v in moved[name]])

    def sensitivity(state: np.ndarray) -> np.ndarray:
        """d W^tot / d weights, a column for each entry: the flow for an error of one there."""
        current = unpack(state)
        products = gradient_flow.above(network, current)
        columns = []
        for unit in np.eye(data.outputs * len(data.sigma)):
            row = unit.reshape(data.outputs, -1)
            moved = gradient_flow.flow(network, current, {m: row[:, data.span(m)] for m in data.modalities}, products)
            columns.append(np.concatenate([v.ravel() for name in weights for v in moved[name]]))
        return np.stack(columns, axis=1)

    return _Form(
        np.concatenate([layer.ravel() for layers in weights.values() for layer in layers]),
        velocity,
        lambda state: pack(data, gradient_flow.total_weights(network, unpack(state))),
        unpack,
        [(name, i) for name, i, _ in layout],
        lambda state: np.array([np.linalg.norm(state[begin:end]) for begin, end in spans]),
        sensitivity=sensitivity,
    )


def _narrow(network: FusionNetwork, data: Correlations, weights: Weights) -> _Form:
    """By the kernel, which takes many states (n, K) at once."""
    kernel = Kernel(network, [data], [weights])
    belongs = kernel.belongs()
    entries = np.sum(belongs, axis=1)
    layer = np.argmax(belongs, axis=0)

    def norms(state: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(belongs @ (state * state)))

    def velocity(state: np.ndarray) -> np.ndarray:
        return kernel.velocity(state.reshape(kernel.size, -1))[0].reshape(state.shape)

    return _Form(
        kernel.pack([weights])[:, 0],
        velocity,
        lambda state: kernel.total(state[:, None])[..., 0],
        lambda state: kernel.unpack(state[:, None])[0],
        kernel.layers,
        norms,
        lambda state: np.asarray((norms(state) / np.sqrt(entries))[layer]),
    )


def full_system(
    network: FusionNetwork, data: Correlations, plan: Course, weights: Weights, rtol: float, wide: bool = False
) -> tuple[System, Callable[[np.ndarray], Weights]]:
    """The flow of every weight as the march needs it, and what unpacks its state.

    The last component is the integral of |velocity|^2, in units of the excess loss at the start: what must be lost.
    `wide` asks for matrix products, and with them the linearly implicit method, at any size.
    """
    form = (_wide if wide or count(weights) > LARGEST_KERNEL else _narrow)(network, data, weights)
    places = {layer: i for i, layer in enumerate(form.layers)}
    paths = {m: [places[c, i] for c in network.path(m) for i in range(len(weights[c]))] for m in data.modalities}

    def velocity(state: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        moved, sizes = form.velocity(state[:-1]), form.norms(state[:-1])
        # the two smallest layers left out: d ln|W|/dt of a balanced path, never 0 before it stops
        rates = {m: plan.drives[m] * np.prod(np.sort(sizes[path], axis=0)[2:], axis=0) for m, path in paths.items()}
        return np.concatenate([moved, np.sum((moved / unit) ** 2, axis=0, keepdims=True)]), rates

    def sizes(state: np.ndarray) -> np.ndarray:
        assert form.spread is not None
        return np.append(np.maximum(np.maximum(np.abs(state[:-1]), form.spread(state[:-1])), 1e-200), 1.0)

    def sensitivity(state: np.ndarray) -> np.ndarray:
        assert form.sensitivity is not None
        found = form.sensitivity(state[:-1])
        return np.vstack([found, np.zeros((1, found.shape[1]))])  # the work is not stiff

    def total(state: np.ndarray) -> np.ndarray:
        return form.total(state[:-1])

    scale = [np.sqrt(np.mean(layer**2)) for layers in weights.values() for layer in layers]
    smallest = min((s for s in scale if s > 0), default=1.0)
    start = np.append(form.start, 0.0)
    excess = float(losses(data, form.total(form.start)[None])[0]) - plan.lowest_loss
    unit = math.sqrt(excess) if excess > 0 else 1.0
    atol = np.append(np.full(len(form.start), 1e-3 * rtol * smallest), rtol)
    system = System(
        velocity,
        total,
        start,
        atol,
        sizes=None if form.spread is None else sizes,
        sensitivity=None if form.sensitivity is None else sensitivity,
        metric=np.kron(np.eye(data.outputs), data.sigma),
    )
    return system, lambda state: form.unpack(state[:-1])


def _lost(data: Correlations, plan: Course, system: System, last: np.ndarray) -> tuple[float, float]:
    """Loss at the start less loss at the end, and the rounding of it, in units of the excess at the start."""
    begin, end = losses(data, np.stack([system.total(system.start), system.total(last)]))
    excess = (begin - plan.lowest_loss) or 1.0
    return float((begin - end) / excess), float(np.finfo(float).eps * begin / excess)


def _balance_drift(network: FusionNetwork, first: Weights, last: Weights) -> float:
    """Largest change of a conserved matrix (38), (39), in norm, as a share of the largest |W^l|^2 at the end."""
    before, after = differences(network, first), differences(network, last)
    largest = max(1e-300, *(float(np.sum(w * w)) for layers in last.values() for w in layers))
    return max((float(np.linalg.norm((after[k] - before[k]) / largest)) for k in before), default=0.0)
