"""One batch of a sweep, from points to arrays. It depends on its points alone, not on who runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from derivations import Correlations, DataError, DomainError, FusionNetwork, SolveError
from dynamics.data.examples import load_example
from dynamics.recipe import MODULATED, PLAIN, Recipe
from dynamics.runs.half_times import Status
from dynamics.simulation.batch.members import STILL, Runs
from dynamics.simulation.jobs import PILOTS, Job, run_jobs
from dynamics.simulation.sweeps.spec import PARAMETERS, SCALARS, Point
from dynamics.starts.recipes import Trained, trained
from dynamics.starts.start import Start, random_start

STATUSES = (Status.REACHED, Status.NEVER, Status.NOT_REACHED)  # a code is a place in this
SWEPT = [name for name, parameter in PARAMETERS.items() if parameter.section == "recipe"]
Result = dict[str, np.ndarray]


def run_batch(points: Sequence[Point], data: Correlations | None, recipe: Recipe = PLAIN) -> tuple[Result, list[str]]:
    """Arrays with one entry a point, modalities first, and what a user should know.

    half_time (M, n), status (M, n) as a place in STATUSES, ratio, lag, balance, steps (n,), compression (n,)
    """
    head = points[0]
    sets: dict[tuple[Any, ...], Correlations] = {}
    networks: dict[tuple[str, ...], FusionNetwork] = {}
    problems: dict[tuple[Any, ...], Trained] = {}
    drawn: dict[tuple[Any, ...], Start] = {}
    starts: dict[tuple[Any, ...], Start] = {}
    jobs, warnings = [], list[str]()
    for point in points:
        which = tuple(point.get(name) for name in (*SCALARS, "example", "factor"))
        if which not in sets:
            sets[which] = _data(point, data)
            warnings += sets[which].warnings
        here = sets[which]
        if here.modalities not in networks:
            networks[here.modalities] = FusionNetwork.fused_at(head["depth"], head["fusion_depth"], here.modalities)
        u0, width, seed = float(point["u0"]), int(point["width"]), int(point["seed"])
        how = which, u0, *(point.get(name) for name in SWEPT)
        if how not in problems:
            own = recipe_of(point, recipe, here.modalities[-1])
            problems[how] = trained(networks[here.modalities], here, u0, own, MODULATED, "a sweep")
            warnings += problems[how].notes
        asked = problems[how]
        scaled = asked.u0 if isinstance(asked.u0, float) else tuple(asked.u0.items())
        begin = scaled, seed, tuple(here.sizes.items())
        if begin not in drawn:  # the same weights meet all the data of their shape
            drawn[begin] = random_start(asked.problem, asked.u0, width, seed).simulated()
        key = which, scaled, seed, id(asked.problem)
        if key not in starts:
            starts[key] = replace(drawn[begin], problem=asked.problem)
            warnings += starts[key].course.notes
        rate = float(point["learning_rate"]) or asked.recipe.learning_rate
        jobs.append(Job(starts[key], _label(point), rate))
    pilots = sorted({round(i) for i in np.linspace(0, len(jobs) - 1, PILOTS)})
    done = run_jobs(jobs, pilots, rtol=float(head["rtol"]))
    runs = done.runs
    lag, ratio = _compared(runs)
    codes = np.vectorize({s.value: i for i, s in enumerate(STATUSES)}.get)(runs.status.astype(str))
    result = {
        "half_time": runs.times,
        "status": codes.astype(np.int8),
        "ratio": ratio,
        "lag": lag,
        "balance": runs.balance,
        "steps": runs.steps.astype(np.int32),
        "compression": np.full(len(jobs), done.error),
    }
    warnings += _notes(jobs, runs)
    return result, list(dict.fromkeys([*warnings, *done.warnings]))


def recipe_of(point: Mapping[str, Any], recipe: Recipe, last: str) -> Recipe:
    """The recipe of a point: what it sweeps instead of what all have."""
    given = {name: point[name] for name in ("weight_decay", "unimodal_loss", "ogm") if name in point}
    given |= {"rates": {**recipe.rates, last: point["rate"]}} if "rate" in point else {}
    given |= {"dropout": {**recipe.dropout, last: point["dropout"]}} if "dropout" in point else {}
    return replace(recipe, **given) if given else recipe


def _compared(runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """Lag and ratio, (n,), of the last half-time and the first of each point; nan unless all are reached."""
    latest = np.max(runs.lags, axis=(0, 1))  # of all pairs: nan where one of them is not reached
    with np.errstate(divide="ignore", invalid="ignore"):
        return latest, 1 + latest / np.min(runs.times, axis=0)


def _notes(jobs: Sequence[Job], runs: Runs) -> list[str]:
    """What single runs would warn of, with the number of points that it holds for."""
    late, count = np.any(runs.status == Status.NOT_REACHED, axis=0), len(jobs)
    still = np.all(runs.status == Status.NEVER, axis=0) & (runs.t == 0)
    open_end, tied = late & ~runs.settled, np.array([job.plan.tie for job in jobs])
    found = (
        (still, STILL),
        (open_end, f"a modality was not reached by {runs.until(open_end)}, within the steps allowed"),
        (late & runs.settled, "a modality ends below half of what it contributes at its plateau"),
        (np.any(runs.times == 0, axis=0), "a modality starts past half of what it contributes"),
        (tied, "two modalities are equally fast: their order is undefined"),
    )
    return [f"{int(np.sum(chosen))} of {count} points of a batch: {text}" for chosen, text in found if np.any(chosen)]


def attempted(points: Sequence[Point], data: Correlations | None, recipe: Recipe = PLAIN) -> tuple[Result, list[str]]:
    """The same; where a batch fails its points are run one by one, and those that fail are nan, with a warning."""
    try:
        return run_batch(points, data, recipe)
    except (DataError, DomainError, SolveError) as error:
        if len(points) == 1:
            label = _label(points[0])
            return _failed(points[0], data), [f"failed: {label}: {str(error).replace(f', {label}', '')}"]
    parts = [attempted([point], data, recipe) for point in points]
    names = parts[0][0].keys()
    joined = {name: np.concatenate([part[name] for part, _ in parts], axis=-1) for name in names}
    return joined, list(dict.fromkeys(w for _, warnings in parts for w in warnings))


def _failed(point: Point, data: Correlations | None) -> Result:
    count = len(modalities_of(point, data))
    nan = np.full(1, np.nan)
    return {
        "half_time": np.full((count, 1), np.nan), "status": np.full((count, 1), -1, dtype=np.int8), "ratio": nan,
        "lag": nan, "balance": nan, "steps": np.zeros(1, dtype=np.int32), "compression": nan,
    }  # fmt: skip


def modalities_of(point: Mapping[str, Any], data: Correlations | None) -> tuple[str, ...]:
    """Without the point's own data, which may be what failed."""
    if data is not None:
        return data.modalities
    return load_example(str(point["example"])).modalities if "example" in point else ("A", "B")


def _data(point: Mapping[str, Any], data: Correlations | None) -> Correlations:
    if data is not None:
        found = data
    elif "example" in point:
        found = load_example(point["example"])
    else:
        a, b, rho, w_a, w_b = (point[name] for name in SCALARS)
        found = Correlations.scalar(a, b, rho, (w_a, w_b))
    return found if point["factor"] == 1 else found.rescaled({found.modalities[-1]: point["factor"]})


def _label(point: Point) -> str:
    shown = ("sigma_a", "sigma_b", "rho", "example", "factor", "u0", "seed", "learning_rate", *SWEPT)
    return ", ".join(f"{name} = {point[name]}" for name in shown if name in point)
