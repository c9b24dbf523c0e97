"""Comparison: the law, the reduced flow, the full gradient flow and gradient descent in one table and one figure."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from derivations import Correlations, DomainError, FusionNetwork, SolveError
from dynamics.checks import checked_call, checked_flag, checked_integer, checked_seconds
from dynamics.prediction.estimates import Estimate
from dynamics.prediction.predicting import predict
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.refined import refined_typical
from dynamics.prediction.words import named
from dynamics.problem import Problem
from dynamics.recipe import MODULATED, Ingredient, Recipe, checked_recipe
from dynamics.runs.half_times import Status
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.asked import as_asked
from dynamics.simulation.descent import descend, start_learning_rate
from dynamics.simulation.ensembles import checked_seeds
from dynamics.simulation.flow import flow
from dynamics.simulation.narrowed import few_inputs, narrowed
from dynamics.simulation.reduced import integrate_reduced
from dynamics.starts.recipes import Trained, trained
from dynamics.starts.start import random_start
from dynamics.starts.weights import fitting_width
from dynamics.strict_json import finite, told
from dynamics.tables import Drawn, Shown, Table, number

FLOW, REDUCED, ALIGNED = "gradient flow", "reduced {}", "aligned start"
MOST_STEPS = 200_000  # of gradient descent in a comparison: minutes a run


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Shown, Drawn):
    """All roads for one network and data set.

    prediction : the laws and what they say of the data
    reduced : reduced flow from the aligned start; None where that start is undefined
    flows, descents : full gradient flow and gradient descent, one run a seed, from the same random weights; where steps
        have a memory, or the loss is of labels, there is no flow
    typical : the law of random starts of this width; None where there is none
    skipped : why seeds have no gradient descent: too many steps
    fusion_depths : L_f -> reduced flow of the same depth L fused at L_f (two modalities of equal depth)
    seconds : road -> wall time, median over its runs
    """

    figure: ClassVar[str] = "figures.comparison"

    prediction: Prediction
    reduced: Trajectory | None
    flows: tuple[Trajectory, ...]
    descents: tuple[Trajectory, ...]
    fusion_depths: Mapping[int, Trajectory]
    seconds: Mapping[str, float]
    typical: Estimate | None = None
    skipped: str = ""

    @property
    def shown(self) -> Trajectory:
        """The run of all weights that a figure draws solid."""
        return (self.flows or self.descents)[0]

    @property
    def steps(self) -> str:
        """What its steps are called."""
        return _steps_named(self.prediction.recipe)

    @property
    def reduced_road(self) -> str:
        """What the reduced run is called."""
        return REDUCED.format(self.steps) if not self.flows else "reduced flow"

    @property
    def run_warnings(self) -> tuple[str, ...]:
        """Of the simulations alone."""
        runs = [w for run in (*self.flows, *self.descents) for w in run.warnings]
        return tuple(dict.fromkeys([*runs, *([self.skipped] if self.skipped else [])]))

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.prediction.warnings, *self.run_warnings]))

    @property
    def table(self) -> Table:
        """Half-times and ratio by each road, in tau; cost is the wall time of one run."""
        order = self.prediction.order
        rows: list[tuple[str, ...]] = []
        if self.prediction.leading is not None:
            e = self.prediction.leading
            rows.append(("law " + e.equations, *_half_times([e], order), e.assumes, ""))
        named_runs = ((FLOW, self.flows), (self.steps, self.descents))
        runs = {name: members for name, members in named_runs if members}
        if self.reduced is not None:
            runs = {self.reduced_road: (self.reduced,), **runs}
        for name, members in runs.items():
            if name == FLOW and self.typical is not None:
                e = self.typical
                rows.append(("typical network", *_half_times([e], order), e.assumes, self._cost("typical")))
            rate = f", rate {members[0].provenance['learning_rate']:.3g}" if members is self.descents else ""
            seeds = f"random, {len(members)} seed{'s' if len(members) > 1 else ''}"
            if name == self.reduced_road:
                start = ALIGNED if self.flows else self.prediction.estimate.assumes
            else:
                start = seeds
            rows.append((name + rate, *_half_times(members, order), start, self._cost(name)))
        head = ("road", *(f"half of {m} [tau]" for m in order), "ratio", "start", "cost")
        simulated = "gradient flow and descent" if self.flows else self.steps
        seeds = f"{simulated}: median (least - most) over {len(self.flows or self.descents)} random starts"
        holds = f"Holds for: {self.prediction.holds_for}; the roads differ in the start"
        notes = [f"{named(self.prediction)}; {seeds}", *self._strip_notes(), holds]
        return Table(self.prediction.answer, head, tuple(rows), (*notes, *(f"Warning: {w}" for w in self.warnings)))

    def _cost(self, road: str) -> str:
        seconds = self.seconds[road]
        return f"{1e3 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"

    def _strip_notes(self) -> list[str]:
        if len(self.fusion_depths) < 2:
            return []
        first, last = self.prediction.order[0], self.prediction.order[-1]
        parts = [
            f"{depth}: {number(run.times[first])} to {number(run.times[last])}"
            for depth, run in self.fusion_depths.items()
        ]
        what = f"Half of the output of {first} and of {last} by fusion depth [tau, reduced flow, aligned start]"
        return [f"{what}: {'; '.join(parts)}"]

    def to_dict(self) -> dict[str, Any]:
        """What `compare --json` prints."""
        roads: dict[str, Any] = {"reduced": self.reduced and run_dict(self.reduced)}
        roads |= {"flow": [run_dict(r) for r in self.flows], "descent": [run_dict(r) for r in self.descents]}
        strip = {str(depth): run_dict(run) for depth, run in self.fusion_depths.items()}
        return {**told(self, "prediction typical"), **roads, "fusion_depths": strip, "warnings": list(self.warnings)}


def run_dict(run: Trajectory) -> dict[str, Any]:
    """The numbers of a run without its points."""
    itinerary = [[v.name, v.enter, finite(v.leave), v.distance] for v in run.itinerary]
    times = {**run.half_times.to_dict(), **told(run, "weight_times reasons")}
    return {**times, "itinerary": itinerary, **told(run, "monitors warnings provenance")}


def _half_times(runs: Sequence[Any], order: tuple[str, ...]) -> list[str]:
    """A cell a modality, and the ratio."""
    cells = []
    for m in order:
        late = {run.status[m] for run in runs} - {Status.REACHED}
        cells.append(min(late).value if late else _spread([run.times[m] for run in runs]))
    return [*cells, _spread([run.ratio for run in runs])]


def _spread(values: list[float]) -> str:
    if any(math.isnan(v) for v in values):
        return "-"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))} - {number(max(values))})"


def compare(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    width: int | None = None,
    seeds: int | Sequence[int] = 5,
    learning_rate: float | None = None,
    descent: bool = True,
    most_steps: int = MOST_STEPS,
    seconds: float = math.inf,
    progress: Callable[[str], None] | None = None,
    recipe: Recipe | None = None,
) -> Comparison:
    """Take all roads to the same question.

    Parameters
    ----------
    u0, width : start and hidden units of the random networks; None for a width that fits the inputs, 100 or more
    seeds : n for 0..n-1, or the seeds themselves
    learning_rate : of gradient descent; None scales with the data (see `descend`)
    descent : run gradient descent too, which takes longest
    most_steps : runs of gradient descent that would take more are left out, which a warning says
    seconds : after which no further seed is simulated, which a warning says
    progress : called with a line before each piece of work
    recipe : how it is trained; gradient descent takes real masks and batches where the data have rows

    Examples
    --------
    >>> c = compare(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5), width=10, seeds=2)
    >>> [row[0] for row in c.table.rows]
    ['law (8), (9)', 'reduced flow', 'typical network', 'gradient flow', 'gradient descent, rate 0.0093']
    """
    recipe, say, seconds = checked_recipe(recipe), checked_call(progress), checked_seconds(seconds)
    most_steps = checked_integer(most_steps, "most_steps", 1)
    learning_rate = recipe.rate(learning_rate)
    if not checked_flag(descent, "descent") and learning_rate is not None and not recipe.learning_rate:
        raise DomainError(f"learning_rate = {learning_rate:g} is of gradient descent, which descent=False leaves out")
    width = fitting_width(data) if width is None else width
    if recipe.is_run_alone:
        return _by_runs(network, data, u0, width, checked_seeds(seeds), learning_rate, seconds, say, recipe)
    asked, chosen = trained(network, data, u0, recipe, MODULATED, "compare"), checked_seeds(seeds)
    norms, problem = asked.u0, few_inputs(asked.problem, asked.u0)
    took: dict[str, list[float]] = {}

    def timed(road: str, work: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        result = work()
        took.setdefault(road, []).append(time.perf_counter() - begin)
        return result

    say("law and reduced flow")
    prediction = predict(network, data, u0=u0, recipe=recipe)
    reduced = None
    if prediction.reduced is not None:
        reduced = timed("reduced flow", lambda: integrate_reduced(network, data, u0=u0, recipe=recipe))
    say("law of random starts")
    typical = timed("typical", lambda: _typical(problem, norms, width))
    flows: list[Trajectory] = []
    descents: list[Trajectory] = []
    skipped = ""
    until = time.monotonic() + seconds
    for i, seed in enumerate(chosen):
        if flows and time.monotonic() > until:
            skipped = f"{len(flows)} of {len(chosen)} random starts were simulated within {seconds:g} seconds"
            break
        start: dict[str, Any] = {"width": width, "seed": seed}
        say(f"gradient flow, seed {seed} ({i + 1} of {len(chosen)})")
        flows.append(timed("gradient flow", partial(_flow, asked, **start)))
        if not descent:
            continue
        horizon = _horizon(flows[-1])
        steps = horizon / (learning_rate or start_learning_rate(asked.problem, norms))
        if steps > most_steps:
            skipped = f"gradient descent is left out: it would take {steps:.1g} steps a run, more than {most_steps:.0e}"
            continue
        if steps < 1:
            skipped = f"gradient descent is left out: one step of {horizon / steps:g} is longer than the whole run"
            continue
        say(f"gradient descent, seed {seed} ({i + 1} of {len(chosen)})")
        start |= {"u0": u0, "learning_rate": learning_rate, "t_end": horizon, **_steps_of(asked)}
        descents.append(timed("gradient descent", partial(descend, network, data, **start)))
    say("other fusion depths")
    return Comparison(
        prediction,
        reduced,
        tuple(flows),
        tuple(descents),
        _fusion_depths(asked, u0, reduced),
        {road: statistics.median(values) for road, values in took.items()},
        typical,
        skipped,
    )


def _by_runs(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float], width: int, seeds: Sequence[int],
    learning_rate: float | None, seconds: float, say: Callable[[str], Any], recipe: Recipe,
) -> Comparison:  # fmt: skip
    """Where no flow stands for the steps: the reduced run beside training every weight."""
    recipe = replace(recipe, learning_rate=learning_rate)
    took, began = dict[str, list[float]](), time.perf_counter()
    say("reduced run")
    prediction = predict(network, data, u0=u0, width=width, recipe=recipe)
    reduced = prediction.estimate.run
    took[REDUCED.format(_steps_named(recipe))] = [time.perf_counter() - began]
    descents: list[Trajectory] = []
    skipped, until = "", time.monotonic() + seconds
    last = max((t for t in prediction.times.values() if math.isfinite(t)), default=math.nan)
    noisy = bool({Ingredient.DROPOUT, Ingredient.BATCH_SIZE} & set(recipe.ingredients)) or recipe.has_labels
    for i, seed in enumerate(seeds):
        if descents and time.monotonic() > until:
            skipped = f"{len(descents)} of {len(seeds)} random starts were trained within {seconds:g} seconds"
            break
        say(f"{_steps_named(recipe)}, seed {seed} ({i + 1} of {len(seeds)})")
        began = time.perf_counter()
        descents.append(
            descend(
                network, data, u0=u0, width=width, seed=seed, recipe=recipe, on_samples=noisy,
                t_end=1.6 * last if last > 0 else None,
            )
        )  # fmt: skip
        took.setdefault(_steps_named(recipe), []).append(time.perf_counter() - began)
    costs = {road: statistics.median(values) for road, values in took.items()}
    return Comparison(prediction, reduced, (), tuple(descents), {}, costs, None, skipped)


def _steps_named(recipe: Recipe) -> str:
    return str(recipe.optimizer) if recipe.is_coordinatewise else "gradient descent"


def _flow(asked: Trained, width: int, seed: int) -> Trajectory:
    """Of many inputs along the fewest directions that will do beside the scatter of random starts."""
    narrow = narrowed(asked.problem, asked.u0)
    if narrow is None or narrow.rough is None:
        return as_asked(asked, flow(asked.problem, asked.u0, width=width, seed=seed))
    few = asked.problem.on(narrow.rough.data)
    return as_asked(asked, narrow.rough.widened(flow(few, asked.u0, width=width, seed=seed)))


def _steps_of(asked: Trained) -> dict[str, Any]:
    """How gradient descent takes the recipe: with masks and batches where there are rows, else their mean."""
    noisy = {Ingredient.DROPOUT, Ingredient.BATCH_SIZE} & set(asked.recipe.ingredients)
    if noisy and asked.data.samples is not None:
        return {"recipe": asked.recipe, "on_samples": True}
    return {"recipe": replace(asked.recipe, batch_size=None)}


def _typical(problem: Problem, u0: float | Mapping[str, float], width: int) -> Estimate | None:
    try:
        return refined_typical(random_start(problem, u0, width).simulated())
    except (DomainError, SolveError):
        return None


def _horizon(flow: Trajectory) -> float:
    """Where gradient descent may stop: well past the last half-time of the flow from the same weights."""
    latest = max((t for t in flow.times.values() if math.isfinite(t)), default=0.0)
    settled = latest > 0 and all(status is not Status.NOT_REACHED for status in flow.status.values())
    return 1.6 * latest if settled else float(flow.t[-1])


def _fusion_depths(
    asked: Trained, u0: float | Mapping[str, float], reduced: Trajectory | None
) -> dict[int, Trajectory]:
    """The same total depth, fused at each layer; empty unless all branches are equally deep and fused once."""
    if reduced is None or isinstance(u0, Mapping):
        return {}
    own, recipe = asked.network, asked.recipe
    data = few_inputs(asked.problem, asked.u0).data if not recipe.ingredients else asked.data
    others = own.other_fusions().items()
    return {d: reduced if n == own else integrate_reduced(n, data, u0=u0, recipe=recipe) for d, n in others}
