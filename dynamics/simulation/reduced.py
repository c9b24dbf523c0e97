"""The reduced flow with saturation, integrated from an aligned balanced start: exact for that start."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from derivations.correlations import Correlations, require_problem
from derivations.critical.saddles import Course, aligned_signs, course, drive
from derivations.errors import DomainError, SolveError
from derivations.network import FusionNetwork
from dynamics.checks import checked_integer, checked_rtol, checked_times
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.full_system import full_system
from dynamics.simulation.march import march
from dynamics.simulation.system import System
from dynamics.starts.weights import aligned_directions, aligned_weights, start_norms

SMALLEST_ATOL = 1e-305  # below it LSODA meets denormal numbers
TIGHTEST = 1e-12  # relative tolerance of a logarithm, whose absolute error is what counts


def integrate_reduced(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    t_end: float | None = None,
    t_eval: Any = None,
    rtol: float = 1e-9,
    max_steps: int = 100_000,
) -> Trajectory:
    """Integrate the reduced flow, equation (44) with saturation, from an aligned balanced start.

    State: the first-layer row v_m of each modality, |v_m| = u_m; the norms after a fusion follow from the
    conserved u_c^2 - sum of the children's u^2, (41). dv_m/dt = gain_m e_m, gain_m = |w_m|/u_m
    (`derivations.flow.reduction.gains`, lambdified). Exact for any width and for vector inputs. Several outputs (two
    layers): every weight of a network as wide as its outputs, which is exact for any width from this start.

    Parameters
    ----------
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm
    t_end : in units of tau; None runs until all is learned and the loss has settled
    t_eval : times to store instead of the integrator's own steps
    rtol : relative tolerance of the integrator

    Raises
    ------
    DomainError
        Where the aligned start is undefined (Sigma_yx_m = 0; for several outputs, one that lacks a mode, or more
        than two layers), or weights leave the range of floats.
    SolveError
        If the integrator fails.

    Examples
    --------
    >>> net = FusionNetwork.fused_at(depth=2, fusion_depth=2)
    >>> run = integrate_reduced(net, Correlations.scalar(2, 1, 0.5), u0=1e-9)
    >>> {m: round(t, 4) for m, t in run.times.items()}
    {'A': 4.167, 'B': 20.7087}
    """
    require_problem(network, data)
    if data.is_symbolic:
        raise DomainError("a simulation needs numbers in sigma and sigma_yx, got symbols")
    rtol = checked_rtol(rtol)
    t_end, times = checked_times(t_end, t_eval)
    max_steps = checked_integer(max_steps, "max_steps", 1)
    norms = start_norms(network, u0)
    signs = aligned_signs(network, data)
    plan = course(network, data, {m: norms[m] for m in data.modalities}, signs)
    provenance = {"producer": "reduced flow", "start": "aligned", "network": str(network), "u0": norms, "rtol": rtol}
    rows = aligned_directions(data)
    try:
        if data.outputs > 1:  # modes mix: the narrowest network that starts so is its own reduction
            first = aligned_weights(network, data, u0, width=data.outputs)
            system, _ = full_system(network, data, plan, first, rtol)
        else:
            system = _system(network, data, norms, rows, plan, signs, rtol)
        rates = system.velocity(system.start)[1]
        dead = [name for name, chain in network.chains.items() if chain.depth and norms[name] == 0]
        if not dead and any(rates[m] == 0 for m in data.modalities):
            raise OverflowError  # a gain has underflown to zero

        def attempt(flow: System) -> Trajectory:
            return march(
                flow,
                data,
                plan,
                rtol=rtol,
                t_end=t_end,
                t_eval=times,
                max_steps=max_steps,
                provenance=provenance,
                warnings=data.warnings,
            )[0]

        try:
            return attempt(system)
        except SolveError:  # beyond the corrector of LSODA; at width 1 the full flow is the reduced one
            if data.outputs > 1:
                raise
            narrowest = aligned_weights(network, data, u0, width=1)
            return attempt(full_system(network, data, plan, narrowest, rtol, wide=True)[0])
    except (OverflowError, ZeroDivisionError):
        depth = max(network.path_depths.values())
        raise DomainError(
            f"u0^(L-2) leaves the range of floats at u0 = {u0!r} and depth {depth}: use the law in logarithms"
        ) from None


def _dips(data: Correlations, plan: Course, signs: Mapping[str, float], m: str) -> bool:
    """Whether a kept sign is driven down at a saddle on the way and up again at a later one."""
    if m not in signs or m in plan.never:
        return False
    before = [saddle for saddle in plan.saddles if m not in saddle.learned]
    return any(speed > 0 and sign != signs[m] for sign, speed in (drive(data, m, saddle.total) for saddle in before))


def _system(
    network: FusionNetwork,
    data: Correlations,
    norms: Mapping[str, float],
    rows: Mapping[str, np.ndarray],
    plan: Course,
    signs: Mapping[str, float],
    rtol: float,
) -> System:
    """State: the row v_m of a modality, or ln u_m where the course lets its weight fall far before it comes back."""
    from derivations.flow.reduction import chain_norms, gains
    from dynamics.lambdified import function

    symbols = chain_norms(network)
    names, modalities = tuple(symbols), data.modalities
    gain_of = function(tuple(gains(network).values()), *symbols.values())
    chains, parents = network.chains, network.parents
    joints = [  # chains after a fusion, children first: their norm follows from the conserved difference
        (
            name,
            [child.name for child in chains[name].children],
            norms[name] ** 2 - sum(norms[child.name] ** 2 for child in chains[name].children),
        )
        for name in chains
        if chains[name].children and name in symbols
    ]
    spans = [data.span(m) for m in modalities]
    begins = [span.start for span in spans]
    owner = np.repeat(np.arange(len(modalities)), [data.sizes[m] for m in modalities])
    sigma, target = data.sigma, data.sigma_yx
    deep = [network.depths[m] >= 2 for m in modalities]
    drives = [plan.drives[m] for m in modalities]
    logged = [i for i, m in enumerate(modalities) if norms[m] > 0 and _dips(data, plan, signs, m)]
    signed = [(i, begins[i], signs[m]) for i, m in enumerate(modalities) if m in signs and i not in logged]
    places = np.array([begins[i] for i in logged], dtype=int)
    kept = np.array([signs[modalities[i]] for i in logged])
    # a trial step in logarithms may shoot far: u^L and u^(L-2) stay floats
    depth = max(network.path_depths.values())
    ceiling, floor = 690.0 / depth, -700.0 / max(depth - 2, 1)

    def rows_of(state: np.ndarray) -> np.ndarray:
        if not logged:
            return state
        unpacked = state.copy()
        unpacked[places] = kept * np.exp(np.clip(state[places], floor, ceiling))
        return unpacked

    def current(v: np.ndarray) -> tuple[dict[str, float], tuple[float, ...]]:
        """Norm of each chain and gain of each modality."""
        sizes = np.sqrt(np.add.reduceat(v * v, begins))
        sizes[logged] = np.abs(v[places])  # its square may underflow
        for i, begin, sign in signed:
            # a kept sign cannot be lost: a step that overshoots zero stays there, it does not come out beyond
            sizes[i] = max(sign * float(v[begin]), 0.0)
        u = dict(zip(modalities, sizes.tolist(), strict=True))
        for name, children, constant in joints:
            u[name] = math.sqrt(max(sum(u[c] ** 2 for c in children) + constant, 0.0))
        return u, gain_of(*[u[name] for name in names])

    def velocity(state: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        v = rows_of(state)
        u, gain = current(v)
        factor = np.array(gain)[owner]
        rates = {}
        for m, g, pull, is_deep in zip(modalities, gain, drives, deep, strict=True):
            base = u[m] if is_deep else u.get(parents[m], 1.0)
            rates[m] = g / base * pull if base else 0.0
        moved = factor * (target - (factor * v) @ sigma)
        if logged:
            moved[places] /= v[places]
        return moved, rates

    def total(state: np.ndarray) -> np.ndarray:
        v = rows_of(state)
        packed: np.ndarray = np.array(current(v)[1])[owner] * v
        return packed[None, :]

    start = np.concatenate([norms[m] * rows[m][0] for m in modalities])
    atol = np.concatenate([np.full(data.sizes[m], max(1e-3 * rtol * norms[m], SMALLEST_ATOL)) for m in modalities])
    relative = np.full(len(start), rtol)
    if logged and np.min(np.log(np.abs(start[places]))) < floor:
        raise OverflowError
    start[places], atol[places], relative[places] = np.log(np.abs(start[places])), rtol, TIGHTEST
    owned = dict(zip(modalities, spans, strict=True))
    return System(velocity, total, start, atol, owned, relative if logged else None)
