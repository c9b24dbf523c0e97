"""The full gradient flow at any width: every weight integrated, equations (3)-(5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from derivations import Correlations, FusionNetwork, SolveError, differences
from derivations.critical.saddles import Course
from dynamics.checks import checked_flag, checked_integer, checked_rtol, checked_times
from dynamics.problem import Problem
from dynamics.recipe import MODULATED, Recipe
from dynamics.runs.trajectory import Trajectory, losses
from dynamics.simulation.asked import as_asked
from dynamics.simulation.cancellation import cancelled, digits_left, tightened
from dynamics.simulation.full_system import full_system
from dynamics.simulation.march import march
from dynamics.simulation.narrowed import narrowed
from dynamics.simulation.system import Path, System
from dynamics.simulation.widening import COMPRESSED, followed, times_apart, weights_apart
from dynamics.starts.compression import is_exact
from dynamics.starts.recipes import trained
from dynamics.starts.start import start_from
from dynamics.starts.weights import Weights, count, require_products

OFF = "total weights move by {:.2g} of the largest at a tenth of rtol = {:g}: they are not to be relied on"
ROUGH, ROUGHEST = 100.0, 1e-4  # times rtol, and at most: a run that only shows what the next network needs
RERUN = "half-times move by {:.2g} at a tenth of rtol = {:g}: they are not to be relied on"


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
    recipe: Recipe | None = None,
) -> Trajectory:
    """Integrate the full gradient flow of every weight, from a random start or from given weights.

    Parameters
    ----------
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm
    width : hidden units of every layer
    seed : of the random start, entries N(0, s^2) with s = norm / sqrt(number of entries)
    weights : chain name -> list of arrays (out, in), input side first; replaces u0, width and seed
        Of balanced ones a modality may shrink below rounding and come back, which layers do not hold: then there is
        `monitors["faint"]`, how far it shrank, and a warning
    t_end : in units of tau; None runs until all is learned and the loss has settled
    t_eval : times to store instead of the integrator's own steps
    rtol : relative tolerance of the integrator; made tighter where a sign flip cancels digits. Total weights are
        within 10 rtol of the largest over the whole run, beside what `monitors["compression"]` says of a narrow one
    max_steps : budget; a run that it ends has modalities `not reached` and a warning
    exact : keep the full width. Without it the network is run narrow (`dynamics.starts.compression`): two layers at the
        width that the start spans, which is the same flow; deeper ones on what their own run passes through, again and
        again until little of it is missed (COMPRESSED or 10 rtol in the half-times, an estimate), or at full width
        where that pays no more
    verify : run again at a tenth of rtol. `monitors["rerun"]` is how far half-times move, `monitors["rerun_weights"]`
        how far total weights do anywhere along the run, as a share of the largest; with a warning beyond 100 rtol:
        what an integrator stuck at zero cannot hide, though nothing drifts there
    recipe : how it is trained; compression to a narrow network holds for weight decay and modulated encoders, too

    Returns
    -------
    Trajectory
        `monitors["balance"]` is the drift of the conserved matrices (38), (39), relative to the largest |W^l|^2 at
        the end; `monitors["energy"]` by how much the loss that was lost differs from the integral of |velocity|^2,
        as a share of it, left out where the loss changes by less than 1000 roundings; `monitors["compression"]` an
        estimate of what the narrow network misses of the half-times, 0 where the width is exact; `monitors["inputs"]`
        what few directions of many inputs miss (`dynamics.simulation.narrowed`; `exact` keeps all).

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
    asked = trained(network, data, u0 if weights is None else None, recipe, MODULATED, "the full flow")
    run = flow(
        asked.problem, asked.u0, width=width, seed=seed, weights=asked.weights(weights), t_end=t_end, t_eval=t_eval,
        rtol=rtol, max_steps=max_steps, exact=exact, verify=verify,
    )  # fmt: skip
    return as_asked(asked, run)


def flow(
    problem: Problem,
    u0: float | Mapping[str, float] | None = None,
    *,
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
    """The same of a problem; u0 is None where weights are given."""
    rtol, exact, verify = checked_rtol(rtol), checked_flag(exact, "exact"), checked_flag(verify, "verify")
    t_end, times = checked_times(t_end, t_eval)
    network, data = problem.network, problem.data
    narrow = None if exact else narrowed(problem, u0)
    if narrow is not None:
        few = flow(
            problem.on(narrow.data), u0, width=width, seed=seed, weights=narrow.along(network, weights), t_end=t_end,
            t_eval=t_eval, rtol=rtol, max_steps=max_steps, verify=verify,
        )  # fmt: skip
        return narrow.widened(few)
    start = start_from(problem, u0, width, seed, weights)
    plan = start.course
    max_steps = checked_integer(max_steps, "max_steps", 1)
    first = start.narrow(0)
    tolerance, notes = tightened(cancelled(plan, first) * digits_left(plan, first), rtol)
    provenance = {"producer": "gradient flow", "network": str(network), "rtol": rtol, **start.origin}
    follows = not (exact or is_exact(network))
    way = Path()  # of the last narrow run
    unpack: Callable[[np.ndarray], Weights] | None = None

    def path(most: int) -> list[Weights]:
        assert unpack is not None
        return [unpack(state) for state in way.chosen(most)]

    @np.errstate(
        over="ignore", under="ignore", invalid="ignore"
    )  # what leaves the range of floats is found by the march
    def run(layers: Weights, is_rough: bool = False) -> Trajectory:
        used = max(tolerance, min(ROUGH * tolerance, ROUGHEST)) if is_rough else tolerance
        try:
            return attempt(layers, used, wide=False)
        except SolveError:  # on a plateau beyond the corrector of LSODA; the linearly implicit method has none
            return attempt(layers, used, wide=True)

    def attempt(layers: Weights, used: float, wide: bool) -> Trajectory:
        nonlocal unpack
        system, unpack = full_system(plan, layers, used, wide)
        if not np.any(system.velocity(system.start)[0]):
            require_products(network, layers)
        trajectory, last = march(
            system, plan, rtol=used, t_end=t_end, t_eval=times, max_steps=max_steps, provenance=provenance,
            warnings=(*data.warnings, *notes), path=way if follows and count(layers) < start.entries else None,
            kept=start.signs,
        )  # fmt: skip
        found, terms = {"compression": 0.0}, plan.terms
        if terms.is_uniform and not terms.modulation:
            left = math.exp(-2 * max((rate for _, rate in terms.decay), default=0.0) * float(trajectory.t[-1]))
            found["balance"] = _balance_drift(network, layers, unpack(last), left)
        (lost, rounding), worked = _lost(plan, system, layers, unpack, last), float(last[-1])
        if worked > max(1e3 * rounding, 0.0) and not terms.modulation:
            found["energy"] = abs(lost - worked) / worked
        return replace(trajectory, monitors={**trajectory.monitors, **found})

    found = run(start.full()) if exact else followed(start, run, path, max(COMPRESSED, 10 * rtol))
    if not verify:
        return found
    end = t_end or float(found.t[-1]) or None  # the same stretch, stored at the same times
    again = flow(
        problem, u0, width=width, seed=seed, weights=weights, t_end=end, t_eval=found.t,
        rtol=max(rtol / 10, 1e-13), max_steps=4 * max_steps, exact=exact,
    )  # fmt: skip
    change, off = times_apart(found, again), weights_apart(found, again)
    more = [RERUN.format(change, rtol)] if change > 100 * rtol else []
    more += [OFF.format(off, rtol)] if off > 100 * rtol + found.monitors["compression"] else []
    monitors = {**found.monitors, "rerun": change, "rerun_weights": off}
    return replace(found, monitors=monitors, warnings=(*found.warnings, *more))


def _lost(
    plan: Course, system: System, layers: Weights, unpack: Callable[[np.ndarray], Weights], last: np.ndarray
) -> tuple[float, float]:
    """Loss at the start less loss at the end, and the rounding of it, in units of the excess at the start.

    With the energy of weight decay, lambda |W|^2 / 2.
    """
    begin, end = losses(plan.data, np.stack([system.total(system.start), system.total(last)]))
    excess = begin - plan.lowest_loss
    excess = excess if excess > 0 else 1.0  # as in `full_system`
    for name, rate in plan.terms.decay:
        begin += rate / 2 * sum(float(np.sum(w * w)) for w in layers[name])
        end += rate / 2 * sum(float(np.sum(w * w)) for w in unpack(last)[name])
    return float((begin - end) / excess), float(np.finfo(float).eps * begin / excess)


def _balance_drift(network: FusionNetwork, first: Weights, last: Weights, left: float) -> float:
    """Largest change of a conserved matrix (38), (39), in norm, as a share of the largest |W^l|^2 at the end.

    left : share of it that weight decay leaves, (135)
    """
    before, after = differences(network, first), differences(network, last)
    largest = max(1e-300, *(float(np.sum(w * w)) for layers in last.values() for w in layers))
    return max((float(np.linalg.norm((after[k] - left * before[k]) / largest)) for k in before), default=0.0)
