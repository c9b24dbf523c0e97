"""Ensembles: the same network trained from many random starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from dynamics.checks import checked_call, checked_flag, checked_integer, checked_positive, checked_rtol, required
from dynamics.problem import Problem
from dynamics.provenance import origin_of
from dynamics.recipe import MODULATED, Recipe
from dynamics.runs.half_times import EARLY, ENDS_BELOW, LATE, Status
from dynamics.simulation.batch.members import STILL, Runs
from dynamics.simulation.flow import RERUN
from dynamics.simulation.jobs import PILOTS, Job, moved, run_jobs
from dynamics.simulation.narrowed import narrowed
from dynamics.starts.recipes import trained
from dynamics.starts.start import Start, random_start
from dynamics.starts.weights import WIDEST
from dynamics.strict_json import told
from dynamics.tables import Drawn, Shown, Table, number

if TYPE_CHECKING:
    import xarray

MOST_SEEDS = 10**6  # drawn at once


@dataclass(frozen=True)
class Quantile:
    """One quantile over the members: half-times by modality, ratio and lag; an unreached time is inf."""

    times: Mapping[str, float]
    ratio: float
    lag: float


@dataclass(frozen=True, eq=False, repr=False)
class Ensemble(Shown, Drawn):
    """Half-times from many random starts.

    order : by the medians of the half-times: one for all
    race : of leaving zero, to leading order
    seeds : of the members
    times : modality -> (n,), in units of tau; inf where not reached
    status : modality -> (n,) of Status
    ratio, lag : (n,), last over and less first in `order`, nan unless both are reached; below 1 and 0 in a member
        that learns them the other way round
    monitors : (n,) each: balance (drift of the conserved matrices), energy (loss lost against the integral of
        |velocity|^2), steps, grown (factor by which the largest total weight has grown)
    compression : estimate of the relative error of the half-times from the narrow width, over PILOTS members;
        0 where it is exact
    """

    figure: ClassVar[str] = "figures.ensembles"

    order: tuple[str, ...]
    race: tuple[str, ...]
    seeds: tuple[int, ...]
    times: Mapping[str, np.ndarray]
    status: Mapping[str, np.ndarray]
    ratio: np.ndarray
    lag: np.ndarray
    monitors: Mapping[str, np.ndarray]
    compression: float
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for array in (*self.times.values(), *self.status.values(), self.ratio, self.lag, *self.monitors.values()):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.seeds)

    def quantile(self, q: float) -> Quantile:
        """Half-times, ratio and lag at a quantile, 0 <= q <= 1, over all members for times, over the others for nan.

        Times are ranked whole, an unreached one last, so that half of the members unreached has the median inf.
        """
        if isinstance(q, bool) or not isinstance(q, Real) or not 0 <= q <= 1:
            raise DomainError(f"q must lie between 0 and 1, got {q!r}")
        return Quantile(
            {m: _quantile(t, q) for m, t in self.times.items()}, _quantile(self.ratio, q), _quantile(self.lag, q)
        )

    @cached_property
    def order_probability(self) -> dict[str, float]:
        """Modality -> share of the members in which it is the first to be learned."""
        return shares_of_first(self.times)

    @cached_property
    def mean_ratio(self) -> tuple[float, float]:
        """Mean of the ratio over the members that have one, and its standard error."""
        known = self.ratio[np.isfinite(self.ratio)]
        error = float(np.std(known, ddof=1) / math.sqrt(len(known))) if len(known) > 1 else math.nan
        return (float(np.mean(known)) if len(known) else math.nan), error

    @property
    def table(self) -> Table:
        rows, known = [], np.isfinite(self.ratio)
        shown = [(f"half-time {m} [tau]", self.status[m] == Status.REACHED, self.times[m]) for m in self.order]
        for what, reached, values in (*shown, ("ratio", known, self.ratio)):
            cells = [number(_quantile(values, q)) for q in (0.05, 0.5, 0.95)]
            rows.append((what, f"{np.sum(reached)} of {len(self)}", *cells))
        mean, error = self.mean_ratio
        notes = [f"mean ratio {number(mean)} +- {number(error)} (standard error)"] if np.sum(known) > 1 else []
        if len(self.order) > 1:
            first = ", ".join(f"{m} in {number(100 * share, 3)} %" for m, share in self.order_probability.items())
            notes.append(f"first to be learned: {first} of the starts")
        rounds, rate = self.provenance["rounds"], self.provenance["learning_rate"]
        if rounds is None:
            notes.append("every weight at full width")
        elif self.compression == 0:
            notes.append("narrow networks, exact for two layers")
        else:
            notes.append(f"narrow networks: half-times to {number(self.compression)} (relative, estimated on pilots)")
        what = self.provenance["producer"] + ("" if rate is None else f" at rate {number(rate)}")
        title = f"{what}, {len(self)} random starts, width {self.provenance['width']}, u0 = {self.provenance['u0']}"
        return Table(title, ("", "reached", "5 %", "median", "95 %"), tuple(rows), (*notes, *self.warnings))

    def to_dict(self) -> dict[str, Any]:
        """What `simulate --seeds --json` prints: an infinite time is "inf", an undefined ratio null."""
        names = "order race seeds times status ratio lag mean_ratio order_probability monitors compression"
        return told(self, f"{names} warnings provenance")

    def to_xarray(self) -> xarray.Dataset:
        """An xarray.Dataset with the dimensions seed and modality; needs the package xarray.

        Seeds are numbers, or text where one needs more than 31 bits (netCDF 3 has no wider integers).
        """
        dataset = required("xarray", "to_xarray", "sweep").Dataset
        seeds: list[Any] = list(self.seeds)
        coordinates = {"seed": seeds if max(seeds) < 2**31 else list(map(str, seeds)), "modality": list(self.order)}
        pair = ("modality", "seed")
        time_units = {"units": "tau"}
        found = {
            "half_time": (pair, np.stack([self.times[m] for m in self.order]), time_units),
            "status": (pair, np.stack([self.status[m].astype(str) for m in self.order])),
            "ratio": ("seed", self.ratio),
            "lag": ("seed", self.lag, time_units),
            **{name: ("seed", values) for name, values in self.monitors.items()},
        }
        attributes = {key: str(value) for key, value in self.provenance.items()}
        made: xarray.Dataset = dataset(found, coordinates, {**attributes, "compression": self.compression})
        return made


def shares_of_first(times: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Modality -> share of (n,) half-times in which it is the first; equal ones share it, an unreached one has none."""
    every = np.stack(list(times.values()))
    first = (every == np.min(every, axis=0)) & np.isfinite(every)
    each = first / np.maximum(np.sum(first, axis=0), 1)
    return dict(zip(times, np.mean(each, axis=1).tolist(), strict=True))


def _quantile(values: np.ndarray, q: float) -> float:
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return math.nan
    place = q * (len(known) - 1)
    low, high = known[math.floor(place)], known[math.ceil(place)]
    return float(low if low == high else low + (place % 1) * (high - low))


def checked_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """n stands for 0..n-1, a list for itself; no seed twice."""
    if isinstance(seeds, np.ndarray) and seeds.ndim == 1:
        seeds = list(seeds)
    if isinstance(seeds, str) or not isinstance(seeds, Sequence):
        return tuple(range(checked_integer(seeds, "seeds", 1, MOST_SEEDS)))
    chosen = tuple(checked_integer(s, "a seed", 0) for s in seeds)
    if not chosen:
        raise DomainError("seeds must name at least one seed")
    twice = [s for i, s in enumerate(chosen) if s in chosen[:i]]
    if twice:
        raise DomainError(f"seeds must differ, got {twice[0]} twice")
    return chosen


def ensemble(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    width: int = 100,
    seeds: int | Sequence[int] = 100,
    learning_rate: float | None = None,
    rtol: float = 1e-5,
    t_end: float | None = None,
    max_steps: int | None = None,
    verify: bool = False,
    progress: Callable[[int, int], None] | None = None,
    recipe: Recipe | None = None,
) -> Ensemble:
    """Gradient flow, or gradient descent, from many random starts at once.

    Member k is `integrate(seed=k)`, or `descend(seed=k)`, to the error stated: each start is drawn, made narrow
    (`dynamics.starts.compression`) and integrated in one batch (`dynamics.simulation.batch`). How narrow is decided on
    PILOTS members, by what their runs miss or by runs at two widths. Beyond a width of 2000 the narrow network is drawn
    from its own law (`dynamics.starts.narrow_law`).

    Parameters
    ----------
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm
    width : hidden units of every layer
    seeds : n for 0..n-1, or the seeds themselves
    learning_rate : None for gradient flow; else of gradient descent, whose step n is time n * learning_rate
    rtol : relative tolerance of the integrator: half-times are right to about ten times as much. A larger one also
        allows a narrower network, which deep networks with a large start are slow without
    t_end : in units of tau; None runs until all is learned that can be
    max_steps : budget of each member
    verify : run again at a tenth of rtol; `monitors["rerun"]` is how far half-times move, warned of beyond 100 rtol
    progress : called with the number of members that have finished, and the number of all
    recipe : how all of them are trained

    Raises
    ------
    DomainError
    SolveError
        When a learning rate that is too large makes weights diverge.

    Examples
    --------
    >>> net, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)
    >>> e = ensemble(net, data, u0=1e-3, width=100, seeds=20)
    >>> e.times["A"].shape, round(e.quantile(0.5).ratio, 1)
    ((20,), 4.9)
    """
    asked = trained(network, data, u0, recipe, MODULATED, "an ensemble")
    rate = asked.recipe.rate(learning_rate)
    found = members(
        asked.problem, asked.u0, width=width, seeds=seeds, learning_rate=rate, rtol=rtol, t_end=t_end,
        max_steps=max_steps, verify=verify, progress=progress,
    )  # fmt: skip
    if not asked.recipe.ingredients:
        return found
    warnings = tuple(dict.fromkeys((*found.warnings, *asked.notes)))
    provenance = {**found.provenance, **origin_of(data), "recipe": asked.recipe.to_dict()}
    return replace(found, warnings=warnings, provenance=provenance)


def members(
    problem: Problem,
    u0: float | Mapping[str, float],
    *,
    width: int = 100,
    seeds: int | Sequence[int] = 100,
    learning_rate: float | None = None,
    rtol: float = 1e-5,
    t_end: float | None = None,
    max_steps: int | None = None,
    verify: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Ensemble:
    """The same of a problem."""
    chosen, rtol, verify = checked_seeds(seeds), checked_rtol(rtol), checked_flag(verify, "verify")
    progress = checked_call(progress)
    end = math.inf if t_end is None else checked_positive(t_end, "t_end")
    rate = None if learning_rate is None else checked_positive(learning_rate, "learning_rate")
    if max_steps is not None:
        max_steps = checked_integer(max_steps, "max_steps", 1)
    data, narrow = problem.data, narrowed(problem, u0)
    narrow = narrow and (narrow.rough or narrow)
    if narrow is not None:
        few = members(
            problem.on(narrow.data), u0, width=width, seeds=seeds, learning_rate=learning_rate, rtol=rtol, t_end=t_end,
            max_steps=max_steps, verify=verify, progress=progress,
        )  # fmt: skip
        error, origin = max(few.compression, narrow.error), {**few.provenance, **origin_of(data)}
        return replace(few, compression=error, provenance=origin)
    width = checked_integer(width, "width", 1, WIDEST)
    random_start(problem, u0).simulated()
    starts = [random_start(problem, u0, width, seed, kept=i < PILOTS) for i, seed in enumerate(chosen)]
    return from_starts(
        starts, chosen, rate=rate, rtol=rtol, t_end=end, max_steps=max_steps, verify=verify, progress=progress
    )


def from_starts(
    starts: Sequence[Start],
    seeds: tuple[int, ...],
    *,
    rate: float | None = None,
    rtol: float = 1e-5,
    t_end: float = math.inf,
    max_steps: int | None = None,
    verify: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Ensemble:
    """The same from starts of one course, a seed each."""
    problem, plan = starts[0].problem, starts[0].course
    data = problem.data
    jobs = [Job(start, f"seed {seed}", rate) for start, seed in zip(starts, seeds, strict=True)]
    pilots = range(min(PILOTS, len(jobs)))
    done = run_jobs(jobs, pilots, rtol=rtol, t_end=t_end, max_steps=max_steps, progress=progress)
    runs, rounds, error = done.runs, done.rounds, done.error
    warnings = [*data.warnings, *plan.remarks, *done.warnings, *_notes(data.modalities, runs)]
    monitors = {"balance": runs.balance, "energy": runs.energy, "steps": runs.steps, "grown": runs.grown}
    if verify and rate is None:
        rerun = moved(runs, done.again())
        monitors["rerun"] = rerun
        if np.max(rerun) > 100 * rtol:
            warnings.append(RERUN.format(float(np.max(rerun)), rtol))
    names = data.modalities
    middle = {m: _quantile(t, 0.5) for m, t in zip(names, runs.times, strict=True)}
    never = [m for m, status in zip(names, runs.status, strict=True) if np.all(status == Status.NEVER)]
    order = tuple(sorted(plan.order, key=lambda m: (m in never, middle[m])))
    first, last = names.index(order[0]), names.index(order[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 1 + runs.lags[first, last] / runs.times[first]
    return Ensemble(
        order,
        plan.order,
        seeds,
        dict(zip(data.modalities, runs.times, strict=True)),
        dict(zip(data.modalities, runs.status, strict=True)),
        ratio,
        runs.lags[first, last] if len(names) > 1 else np.full(len(seeds), math.nan),
        monitors,
        error,
        tuple(warnings),
        {
            "producer": "gradient flow" if rate is None else "gradient descent",
            "network": str(problem.network),
            **{name: value for name, value in jobs[0].start.origin.items() if name != "seed"},
            "learning_rate": rate,
            "rtol": rtol,
            "t_end": t_end if math.isfinite(t_end) else None,
            "rounds": rounds,
            **origin_of(data),
        },
    )


def _notes(names: tuple[str, ...], runs: Runs) -> list[str]:
    """What `integrate` would warn of, with the number of members that it holds for."""
    still = np.all(runs.status == Status.NEVER, axis=0) & (runs.t == 0)
    found = [(still, STILL)]
    for m, late, times in zip(names, runs.status == Status.NOT_REACHED, runs.times, strict=True):
        open_end = late & ~runs.settled
        found += [(times == 0, EARLY.format(m)), (late & runs.settled, ENDS_BELOW.format(m))]
        found.append((open_end, LATE.format(m, runs.until(open_end))))
    return [f"{np.sum(chosen)} of {len(chosen)} members: {text}" for chosen, text in found if np.any(chosen)]
