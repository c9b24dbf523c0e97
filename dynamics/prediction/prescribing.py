"""Prescribe: the rescaling, depth, start, width or training recipe at which a wanted ratio is met."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import brentq

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from dynamics.checks import checked_call, checked_flag, checked_integer, checked_positive
from dynamics.prediction.cautions import refuse_large_start
from dynamics.prediction.critical import critical_weight_decay
from dynamics.prediction.estimates import Estimate, Road, reduced_estimate
from dynamics.prediction.laws.modulated import critical_modulation
from dynamics.prediction.predicting import predict
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.prescription import Option, Prescription
from dynamics.prediction.refined import flow_times, refined_typical, typical_times
from dynamics.problem import Problem
from dynamics.recipe import FLOW, MODULATED, Ingredient, Loss, Optimizer, Recipe
from dynamics.runs.half_times import Status
from dynamics.simulation.narrowed import few_inputs
from dynamics.starts.compression import is_exact
from dynamics.starts.recipes import trained
from dynamics.starts.start import Start, aligned_start, random_start
from dynamics.starts.weights import require_range, start_norms
from dynamics.tables import number, percent

SEARCHED = 1e-5  # relative tolerance of the runs of a search: far below MET
COARSE = 1e-3  # of an ingredient's value: its ratio is met to MET
NOTHING = "Gradient modulation, and a factor before the whole loss, do nothing under {} while they are constant, (150)."
MET = 0.01  # a ratio this close to the wanted one counts as met
WIDEST = 10**6  # widths are looked for up to it
SMALLEST_U0, LARGEST_U0 = 1e-9, 1.0
DOUBTFUL = 0.2  # an estimated error that is said beside an option
BISECTIONS = 8  # of a factor next to a jump
LARGEST_OFF = 700.0  # a logarithm whose power floats hold
FAR = 100.0  # a factor is looked for up to this many times the leading-order one


def prescribe(
    network: FusionNetwork,
    data: Correlations,
    *,
    ratio: float = 1.0,
    u0: float | Mapping[str, float] = 1e-3,
    width: int | None = None,
    block: str | None = None,
    seconds: float | None = None,
    progress: Callable[[str], None] | None = None,
    recipe: Recipe | None = None,
    ingredients: bool = True,
) -> Prescription:
    """Which change makes the modality that is last now be learned `ratio` times as late as the first.

    Every number comes from the source of `predict`: the reduced flow (aligned start), or with a width the typical
    network of a random start. The rescaling acts on inputs, so that a weight of the rescaled block divides by the
    factor.

    Parameters
    ----------
    ratio : wanted half-time of the last over that of the first; 1 for together
    block : modality whose columns are rescaled; None for the last one
    seconds : give up after this time with a SolveError; None never does
    progress : called with a line before each piece of work
    recipe : how it is trained now
    ingredients : look for a learning rate, dropout, unimodal losses and modulation, too, which takes half of the time

    Half of the output is counted of what a modality contributes once *it* is learned: the first one alone, later ones
    with the others there. Where the order turns these change places, and the ratio may jump past 1.

    Raises
    ------
    SolveError
        When `seconds` are over.
    DomainError
        When `predict` does.

    Examples
    --------
    >>> p = prescribe(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0), u0=1e-6)
    >>> p.order, p.leading_factor, p.rescale.met or round(p.rescale.ratio, 2)
    (('A', 'B'), 4.0, True)
    """
    wanted = checked_positive(ratio, "ratio")
    width = None if width is None else checked_integer(width, "width", 1)
    require_range(network, start_norms(network, u0))
    say, ingredients = checked_call(progress), checked_flag(ingredients, "ingredients")
    say("as it is")
    base = predict(network, data, u0=u0, width=width, recipe=recipe)
    if len(base.order) < 2:
        raise DomainError(f"a ratio needs two modalities, got {', '.join(base.order)}")
    first, last = base.order[0], base.order[-1]
    if base.recipe.has_classes:
        base.recipe.require(MODULATED, "prescribe")
    block = last if block is None else block
    if block not in data.modalities:
        raise DomainError(f"block must be one of {', '.join(data.modalities)}, got {block!r}")
    until = math.inf if seconds is None else time.monotonic() + checked_positive(seconds, "seconds")
    few = data if base.recipe.is_run_alone else few_inputs(Problem.of(network, data), u0).data
    asked = _Question(network, few, u0, width, base.recipe, first, last, wanted, base.source, until)
    factor = leading_factor(data, first, last, block)
    say(f"rescaling of {block}")
    rescale, sweep = asked.rescaled(block, factor)
    say("fusion depths")
    depths = asked.fusion_depths()
    say("u0")
    start = asked.other_start()
    widths = None
    if width is not None:
        say("width")
        widths = asked.other_width()
    recipes = []
    for name, work in asked.ingredients().items() if ingredients else ():
        say(name)
        recipes.append(work())
    now = asked.option("as it is", math.nan, asked.at(), recipe=base.recipe)
    return Prescription(
        wanted, base.order, block, base.source.value, base.estimate.assumes, now, rescale,
        math.nan if base.recipe.is_coordinatewise else factor, depths, start,
        widths, sweep, base.holds_for, base.warnings, tuple(recipes), _too_large(base, few) if ingredients else {},
        (NOTHING.format(base.recipe.optimizer),) if ingredients and base.recipe.is_coordinatewise else (),
    )  # fmt: skip


def _too_large(base: Prediction, data: Correlations) -> Mapping[str, float]:
    """Critical weight decays, where they are known at once: two layers."""
    decoupled = base.recipe.optimizer is Optimizer.ADAMW
    if (
        max(base.network.path_depths.values()) > 2
        or data.outputs > 1
        or base.recipe.loss is not Loss.SQUARED
        or decoupled
    ):
        return {}
    plain = replace(base.recipe.as_flow, weight_decay=0.0, ogm=None)
    seen = trained(base.network, data, base.u0, plain, FLOW, "prescribe")
    return critical_weight_decay(base.network, seen.problem.data)


def together_by(base: Prediction, data: Correlations, width: int | None = None, seconds: float = math.inf) -> Option:
    """The rescaling of the last modality at which it is learned together with the first, for a prediction's screen."""
    first, last = base.order[0], base.order[-1]
    until = time.monotonic() + seconds
    asked = _Question(base.network, data, base.u0, width, base.recipe, first, last, 1.0, base.source, until)
    return asked.rescaled(last, leading_factor(data, first, last, last), all_ways=False)[0]


def leading_factor(data: Correlations, first: str, last: str, block: str) -> float:
    """What brings |Sigma_yx| of both together, by rescaling `block`; nan where it has no signal."""
    other = last if block == first else first
    return float(data.strength(other) / data.strength(block)) if data.has_signal(block) else math.nan


def _key(given: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*(str(value) if isinstance(value, Mapping) else value for value in given.values()),)


@dataclass(frozen=True, eq=False)
class _Question:
    """One question, asked at other networks, data, starts, widths and recipes."""

    network: FusionNetwork
    data: Correlations
    u0: float | Mapping[str, float]
    width: int | None
    recipe: Recipe
    first: str
    last: str
    wanted: float
    source: Road
    until: float
    known: dict[tuple[Any, ...], tuple[float, float]] = field(default_factory=dict)  # answers, by what was asked

    def at(self, **changed: Any) -> tuple[float, float]:
        """Half-times of the two; nan where there is no prediction. Searches meet where they have been."""
        given: dict[str, Any] = self._as_is | changed
        key = _key(given)
        if key not in self.known:
            self.known[key] = self.answered(given)
        return self.known[key]

    def ahead(self, changes: Sequence[Mapping[str, Any]]) -> None:
        """Answers that `at` will be asked for, from one batch of runs where they need runs of two layers."""
        typical = self.source is Road.REFINED and self.width is not None
        # of three a balanced one may shrink beyond rounding and come back, which the reduced flow alone follows
        aligned = self.source is Road.REDUCED and len(self.data.modalities) == 2
        if not (typical or aligned) or self.data.outputs > 1 or not is_exact(self.network):
            return
        starts: dict[tuple[Any, ...], Start] = {}
        for given in ({**self._as_is, **changed} for changed in changes):
            if not given["recipe"].is_run_alone and _key(given) not in self.known:
                with suppress(DomainError, SolveError):
                    start = self.start(**given)
                    begin = start if typical else self.aligned(start)
                    if begin is not None:
                        starts[_key(given)] = begin
        with suppress(DomainError, SolveError):
            found = (typical_times if typical else flow_times)(list(starts.values()), SEARCHED)
            self.known.update(
                (key, (times[self.first], times[self.last])) for key, times in zip(starts, found, strict=True)
            )

    @property
    def _as_is(self) -> dict[str, Any]:
        names = ("network", "data", "u0", "width", "recipe")
        return {name: getattr(self, name) for name in names}

    def answered(self, given: Mapping[str, Any]) -> tuple[float, float]:
        if time.monotonic() > self.until:
            raise SolveError("it takes too long for seconds=: many predictions, each slow; z-scored columns help")
        found = None
        with suppress(DomainError, SolveError):
            found = self.estimate(**given)
        if found is None:
            return math.nan, math.nan
        pair = [found.times[m] if found.status[m] is Status.REACHED else math.inf for m in (self.first, self.last)]
        return pair[0], pair[1]

    def estimate(
        self, network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None,
        recipe: Recipe,
    ) -> Estimate | None:  # fmt: skip
        """By the source, and by none with another start. The spread over seeds is not asked for: it takes longest."""
        if recipe.is_run_alone:
            from dynamics.prediction.by_run import predicted_by_run

            return predicted_by_run(network, data, u0, width, recipe).estimate
        start = self.start(network, data, u0, width, recipe)
        if self.source is Road.REFINED and width is not None:
            return refined_typical(start, spread=False, rtol=SEARCHED)
        aligned = self.aligned(start)
        if self.source is Road.REDUCED and aligned is not None:
            found = reduced_estimate(aligned, SEARCHED)  # what `predict` would speak of, without the other roads
            return found if isinstance(found, Estimate) else None
        other = predict(network, data, u0=u0, width=width, recipe=recipe)
        return other.estimate if other.source is self.source else None

    def start(
        self, network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int | None,
        recipe: Recipe,
    ) -> Start:  # fmt: skip
        asked = trained(network, data, u0, recipe, MODULATED, "prescribe")
        start = random_start(asked.problem, asked.u0, width)
        refuse_large_start(start)
        return start

    def aligned(self, start: Start) -> Start | None:
        """The aligned one in its place, where it learns as much."""
        assert start.u0 is not None
        aligned = aligned_start(start.problem, start.u0)
        return aligned if set(aligned.course.never) <= set(start.course.never) else None

    def kept(self, recipe: Recipe) -> float:
        """Share of what the best fit explains that is left where training with a recipe ends."""
        if recipe.has_labels:
            return math.nan
        asked = trained(self.network, self.data, self.u0, recipe.as_flow, MODULATED, "prescribe")
        plan = random_start(asked.problem, asked.u0).course
        end = asked.back(plan.saddles[-1].total)
        packed, target = np.hstack([end[m] for m in self.data.modalities]), np.atleast_2d(self.data.sigma_yx)
        best = float(np.sum(np.atleast_2d(self.data.optimum) * target))
        explained = float(np.sum(packed * (2 * target - packed @ self.data.sigma)))
        return explained / best if best > 0 else math.nan

    def option(
        self, what: str, value: float, times: tuple[float, float], note: str = "", recipe: Recipe | None = None
    ) -> Option:
        ratio = times[1] / times[0] if math.isfinite(times[0]) and times[0] > 0 else math.nan
        kept = self.kept(self.recipe if recipe is None else recipe)
        return Option(what, value, *times, ratio, self.gap(times) <= MET, note, kept)

    def gap(self, times: tuple[float, float]) -> float:
        """Distance from what is wanted, as a share."""
        off = self.off(times)
        return abs(math.expm1(min(off, LARGEST_OFF))) if math.isfinite(off) else math.inf

    def off(self, times: tuple[float, float]) -> float:
        """ln of ratio over the wanted one."""
        if not all(math.isfinite(t) and t > 0 for t in times):
            return math.inf if times[1] > times[0] else math.nan
        return math.log(times[1] / times[0]) - math.log(self.wanted)

    def search(
        self,
        change: Callable[[float], dict[str, Any]],
        logs: np.ndarray,
        near: float,
        close: float = 1e-5,
        all_ways: bool = True,
    ) -> tuple[float, tuple[float, float], str, dict[float, tuple[float, float]]]:
        """The value at which the ratio is as wanted, the one next to e^near; else the one that comes closest.

        change : what has another value
        all_ways : ask at all of e^logs; else from `near` outwards, no farther than the value that is found
        """

        def ask(y: float) -> tuple[float, float]:
            return self.at(**change(math.exp(y)))

        if all_ways:
            self.ahead([change(math.exp(y)) for y in logs])
        known = {y: ask(y) for y in logs} if all_ways else {}

        def off(y: float) -> float:
            if y not in known:
                known[y] = ask(y)
            return self.off(known[y])

        def away(ends: tuple[float, float]) -> float:
            return max(ends[0] - near, near - ends[1], 0.0)

        jumps = False
        for low, high in sorted(pairwise(logs), key=away):
            if not all_ways and any(abs(y - near) <= away((low, high)) for y in known if self.gap(known[y]) <= MET):
                break  # what is farther cannot be nearer
            ends = [off(y) for y in (low, high)]
            if any(map(math.isnan, ends)) or (ends[0] > 0) is (ends[1] > 0):
                continue
            if all(map(math.isfinite, ends)):
                with suppress(ValueError):  # no prediction inside: what has been met stands
                    brentq(off, low, high, xtol=close)
            else:  # on one side the last one is not learned at all, with the plateau that it would have as the first
                left, right = low, high
                for _ in range(BISECTIONS):
                    middle = (left + right) / 2
                    left, right = (middle, right) if (off(middle) > 0) is (ends[0] > 0) else (left, middle)
            jumps = True
        met = [y for y in known if self.gap(known[y]) <= MET]
        best = min(met, key=lambda y: abs(y - near)) if met else min(known, key=lambda y: self.gap(known[y]))
        note = "" if met else ("nearest to it: the half-times jump past it" if jumps else "nearest to it")
        return math.exp(best), known[best], note, known

    def rescaled(
        self, block: str, factor: float, all_ways: bool = True
    ) -> tuple[Option, tuple[tuple[float, float], ...]]:
        if not math.isfinite(factor) or factor <= 0:
            note = f"{block} has no correlation with the target"
            return self.option(f"{block} x ?", math.nan, (math.nan, math.nan), note), ()

        known_data: dict[float, Correlations] = {}  # the same object is the same question

        def change(factor: float) -> dict[str, Any]:
            if factor not in known_data:
                known_data[factor] = self.data.rescaled({block: factor})
            return {"data": known_data[factor]}

        reach = math.log(FAR)
        steps = np.concatenate([[0.0], np.geomspace(0.03, reach, 6)])
        logs = math.log(factor) + np.sort(np.concatenate([-steps[1:], steps]))
        value, times, note, known = self.search(change, logs, 0.0, all_ways=all_ways)
        tried = tuple((math.exp(y), self.option("", math.nan, known[y]).ratio) for y in sorted(known))
        return self.option(f"{block} x {number(value)}", value, times, note), tried

    def fusion_depths(self) -> tuple[Option, ...]:
        """Empty unless the branches are alike and fused once."""
        if isinstance(self.u0, Mapping):
            return ()
        others = self.network.other_fusions().items()
        times = {depth: self.at(network=network) for depth, network in others}
        notes = {1: "no modality is alone"}
        return tuple(self.option(f"fusion depth {d}", d, found, notes.get(d, "")) for d, found in times.items())

    def other_start(self) -> Option:
        if isinstance(self.u0, Mapping):
            return self.option("u0", math.nan, (math.nan, math.nan), "give u0 as one number")
        logs = np.log(np.geomspace(SMALLEST_U0, LARGEST_U0, 9))
        own = math.log(self.u0)
        self.ahead([{"u0": math.exp(y)} for y in (*logs, own)])
        low = max((y for y in (*logs, own) if not math.isnan(self.off(self.at(u0=math.exp(y))))), default=own)
        high = math.log(LARGEST_U0)
        for _ in range(BISECTIONS):  # up to where predictions are refused
            middle = (low + high) / 2
            refused = math.isnan(self.off(self.at(u0=math.exp(middle))))
            low, high = (low, middle) if refused else (middle, high)
        fine = np.linspace(own, low, 6)
        logs = np.unique(np.concatenate([logs[logs <= low], fine, [low]]))
        value, times, note, _ = self.search(lambda u0: {"u0": u0}, logs, math.log(self.u0))
        return self.option(f"u0 {number(value)}", value, times, self.doubt(note, u0=value))

    def doubt(self, note: str, **changed: Any) -> str:
        """What the estimate says of its own error, where that is large: a close ratio means little then."""
        try:
            found = predict(**(self._as_is | changed)).estimate
        except (DomainError, SolveError):
            return note
        worst = max(found.bound.get(m, math.inf) for m in (self.first, self.last))
        if not worst > DOUBTFUL:
            return note
        return "; ".join(filter(None, [note, f"est. error of its half-times {percent(worst)}"]))

    def other_width(self) -> Option:
        least = sum(self.data.sizes.values()) + self.data.outputs
        logs = np.log(np.geomspace(max(least, 10), WIDEST, 6))
        near = math.log(self.width or least)
        value, times, note, _ = self.search(lambda h: {"width": round(h)}, logs, near)
        return self.option(f"width {round(value)}", round(value), times, note)

    def ingredients(self) -> dict[str, Callable[[], Option]]:
        """What of the recipe may be changed here, by name."""
        found: dict[str, tuple[Ingredient, Callable[[], Option]]] = {
            "learning rates": (Ingredient.RATES, self.other_rate), "dropout": (Ingredient.DROPOUT, self.dropout),
            "unimodal losses": (Ingredient.UNIMODAL_LOSS, self.unimodal_losses),
            "gradient modulation": (Ingredient.OGM, self.modulation),
        }  # fmt: skip
        if len(self.data.modalities) != 2 or self.network.is_early_fusion:
            del found["gradient modulation"]
        known = self.recipe.known
        return {name: work for name, (ingredient, work) in found.items() if ingredient in known}

    def trained_with(
        self, what: str, values: np.ndarray, near: float, change: Callable[[float], dict[str, Any]], note: str = ""
    ) -> Option:
        """The value of an ingredient at which the ratio is as wanted, or comes closest."""

        def recipe(value: float) -> dict[str, Any]:
            return {"recipe": replace(self.recipe, **change(value))}

        value, times, missed, _ = self.search(recipe, np.log(values), math.log(near), COARSE)
        notes = "; ".join(filter(None, [missed, note]))
        return self.option(f"{what} {number(value)}", value, times, notes, replace(self.recipe, **change(value)))

    def other_rate(self) -> Option:
        """Of the branch of the last one, (134)."""
        now, last = self.recipe.rates, self.last
        values = np.geomspace(1 / FAR, FAR, 7)
        return self.trained_with(f"rate {last} x", values, 1.0, lambda v: {"rates": {**now, last: v}})

    def dropout(self) -> Option:
        """Of the first one, which slows it; keep probabilities are searched in logarithms."""
        now, first = self.recipe.dropout, self.first
        left = np.geomspace(0.05, 1.0, 6)
        found = self.trained_with(
            "keep", left, 1.0, lambda keep: {"dropout": {**now, first: max(0.0, 1 - keep)}}, "mean over masks"
        )
        masked = 1 - found.value
        return replace(found, what=f"dropout {first} {number(masked, 3)}", value=masked)

    def unimodal_losses(self) -> Option:
        values = np.geomspace(0.05, 20.0, 5)
        return self.trained_with("unimodal loss", values, 0.05, lambda v: {"unimodal_loss": v})

    def modulation(self) -> Option:
        """Up to twice the alpha at which both grow alike, (143)."""
        critical = 1.0
        with suppress(DomainError):
            critical = critical_modulation(self.network, self.data)
        values = min(critical, 2.0) * np.array([0.1, 0.4, 0.7, 1.0, 1.5])
        return self.trained_with("OGM alpha", values, critical, lambda v: {"ogm": v})
