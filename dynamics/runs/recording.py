"""A training of one's own, measured as everything here is: recorded total weights become a Trajectory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from derivations import Correlations, DataError, DomainError, FusionNetwork
from derivations.critical.saddles import Course
from dynamics.checks import real_numbers
from dynamics.problem import Problem
from dynamics.runs.half_times import HalfTimes, Status, before_it, first_time
from dynamics.runs.plateaus import as_run, doubted
from dynamics.runs.trajectory import Trajectory, losses, weight_times
from dynamics.starts.start import random_start

SETTLED = 1e-3  # of the initial excess loss: at it a record has come to its end; trainings stop before flows do


def recorded(
    network: FusionNetwork,
    data: Correlations,
    t: Any,
    total: Mapping[str, Any],
    *,
    u0: float | Mapping[str, float] = 1e-3,
) -> Trajectory:
    """Half-times of a training that was run elsewhere, such as in PyTorch.

    Parameters
    ----------
    t : (T,), increasing, in units of tau: step times learning rate, for a loss of *half* the mean squared error
    total : modality -> (T, d), or (T, outputs, d): W_m^tot, the product of the layers from a modality to the output
    u0 : norms at the start: with unequal depths they decide which order, and which plateaus, are expected

    Plateaus are those that the theory expects, or the record's own where it does not come to them.
    Half-times are interpolated between the recorded points; the error is below their distance.

    Examples
    --------
    >>> net, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.0)
    >>> t = np.linspace(0, 10, 101)
    >>> run = recorded(net, data, t, {"A": 1 / (1 + np.exp(4 * (2 - t))), "B": 1 / (1 + np.exp(4 * (5 - t)))})
    >>> run.order, {m: round(time, 6) for m, time in run.times.items()}
    (('A', 'B'), {'A': 2.0, 'B': 5.0})
    """
    problem = Problem.of(network, data)
    times = _times(t)
    strangers = [name for name in total if name not in data.sizes] if isinstance(total, Mapping) else []
    if strangers:
        raise DataError(f"total must name modalities among {', '.join(data.modalities)}, got {strangers[0]!r}")
    packed = np.concatenate([_block(total, data, m, len(times)) for m in data.modalities], axis=2)
    plan = random_start(problem, u0).course
    clock, status = _timed(plan, times, packed)
    excess, left = (float(losses(data, w[None])[0]) - plan.lowest_loss for w in (packed[0], packed[-1]))
    settled = left <= SETTLED * excess
    by_run = as_run(plan, times, packed, status) if settled else plan
    if by_run is not plan:
        plan, (clock, status) = by_run, _timed(by_run, times, packed)
    notes = [*data.warnings, *plan.notes]
    notes += [
        f"{m} is past half of what it contributes when the record begins" for m, t in clock.items() if t == times[0]
    ]
    status = doubted(plan, packed[-1], status, settled)
    late = [m for m in plan.order if status[m] is Status.NOT_REACHED]
    turned = [m for m in late if m in plan.along and min(plan.share(m, w[:, data.span(m)]) for w in packed) < -0.5]
    if turned:
        notes.append(f"{', '.join(turned)} goes the other way: has your target another sign, or another column first?")
    elif late:
        notes.append(f"{', '.join(late)} not reached by t = {times[-1]:.6g}: record for longer")
    half_times = HalfTimes.from_clock(plan.order, clock, status)
    provenance = {"producer": "recorded training", "network": str(network), "start": "recorded"}
    return Trajectory.of(
        plan, times, packed, half_times, weight_times=weight_times(plan, times, packed),
        monitors={"points": len(times)}, warnings=notes, provenance=provenance,
    )  # fmt: skip


def _timed(plan: Course, times: np.ndarray, packed: np.ndarray) -> tuple[dict[str, float], dict[str, Status]]:
    """Half-times along a course, interpolated between the points."""
    clock, status = before_it(plan)
    for m in plan.along:
        clock[m] = first_time(times, np.array([plan.past_half(m, w) for w in packed]) + 0.5, 0.5)
        if math.isfinite(clock[m]):
            status[m] = Status.REACHED
    return clock, status


def _times(t: Any) -> np.ndarray:
    try:
        times = np.array(t, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"t must hold numbers, got {t!r}"[:200]) from None
    several = times.ndim == 1 and len(times) > 1 and bool(np.all(np.isfinite(times)))
    if not several or times[0] < 0 or np.any(np.diff(times) <= 0):
        raise DataError(f"t must be two or more increasing, finite times from 0 on, got shape {times.shape}")
    return times


def _block(total: Mapping[str, Any], data: Correlations, m: str, count: int) -> np.ndarray:
    """(T, outputs, d) of one modality."""
    if not isinstance(total, Mapping) or m not in total:
        raise DataError(f"total must map each of {', '.join(data.modalities)} to its weights along the run")
    shape = (count, data.outputs, data.sizes[m])
    try:
        given, field = total[m], f"total[{m!r}]"
        whole = hasattr(given, "ndim")  # an array or tensor; else a list of one for each time
        if whole:
            block = real_numbers(given, field)
        else:
            block = np.array([real_numbers(w, f"{field}[{i}]") for i, w in enumerate(given)])
    except DomainError as error:
        raise DataError(str(error)) from None
    except (TypeError, ValueError):
        raise DataError(f"total[{m!r}] must hold numbers of shape {shape}") from None
    fine: set[tuple[int, ...]] = {shape} | ({(count, data.sizes[m])} if data.outputs == 1 else set())
    if data.outputs == data.sizes[m] == 1:
        fine.add((count,))
    if block.shape not in fine:
        raise DataError(f"total[{m!r}] must have shape {min(fine, key=len)}, got {block.shape}")
    return block.reshape(shape)
