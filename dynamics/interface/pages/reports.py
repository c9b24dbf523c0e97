"""Report: all that is known of a network on a data set, gathered for one page."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from derivations import Correlations, DataError, DomainError, FusionNetwork, SolveError
from dynamics.checks import checked_call, checked_flag, checked_integer, told
from dynamics.interface.pages.findings import Report
from dynamics.interface.pages.report_page import page
from dynamics.prediction.comparison import compare
from dynamics.prediction.optimizers import by_optimizer
from dynamics.prediction.predicting import predict
from dynamics.prediction.prediction import Prediction
from dynamics.prediction.prescribing import prescribe
from dynamics.prediction.resampling import bootstrap
from dynamics.prediction.scalings import both_scalings
from dynamics.prediction.stopping_runs import stopping_over
from dynamics.recipe import Recipe, checked_recipe
from dynamics.runs.portraits import portrait
from dynamics.starts.weights import fitting_width

BUDGET = 15.0  # seconds for the random starts, and for the bootstrap: what is not reached is said
HELD_OUT = 0.2  # share of the rows that a split behind "When to stop" holds out
PATIENCE = 30.0  # for the prescription: some sixty predictions, which stiff data make slow
MOST_STEPS = 20_000  # of gradient descent, a run
PACKAGES = ("fusion-dynamics", "numpy", "scipy", "sympy", "matplotlib")


def report(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    width: int | None = None,
    seeds: int = 5,
    draws: int = 1000,
    splits: int = 10,
    learning_rate: float | None = None,
    units: bool = False,
    source: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
    recipe: Recipe | None = None,
) -> Report:
    """All that is known of a network on a data set, as one page: `report(...).save("report.html")`.

    Parameters
    ----------
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm
    width : hidden units of the random starts; None for one that fits the inputs, 100 or more
    seeds : 0 to seeds - 1 are simulated
    draws : of the bootstrap; 0 for none. A prescription that takes longer than a minute is left out
    splits : of the rows, a fifth held out each, behind "When to stop"; 0 for none
    learning_rate : gradient descent is run too, and times are given in steps
    units : predict for z-scored columns too
    source : where the data come from, to be shown
    progress : called with a line before each piece of work
    recipe : how it is trained

    Raises
    ------
    DomainError
        When `predict` does.

    Examples
    --------
    >>> found = report(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5), width=20, seeds=1)
    >>> found.prediction.order, found.missing["bootstrap"]
    (('A', 'B'), 'a bootstrap needs the rows of the data, got correlations alone')
    """
    seeds, draws = checked_integer(seeds, "seeds", 1), checked_integer(draws, "draws", 0)
    splits = checked_integer(splits, "splits", 0)
    recipe, say, units = checked_recipe(recipe), checked_call(progress), checked_flag(units, "units")
    rate = None if learning_rate is None else recipe.rate(learning_rate)
    if not isinstance(source, Mapping | None) or not all(isinstance(text, str) for text in source or ()):
        raise DomainError(f"source must map names to what is shown of the data, got {told(source)}")
    missing: dict[str, str] = {}

    def part(name: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (DataError, DomainError, SolveError) as error:
            missing[name] = str(error)
            return None

    width = fitting_width(data) if width is None else width
    asked: dict[str, Any] = {"u0": u0, "recipe": recipe}
    say("1 of 6: prediction")
    prediction = predict(network, data, u0=u0, width=width, recipe=recipe)
    comparison = compare(
        network, data, u0=u0, width=width, seeds=seeds, learning_rate=rate, descent=rate is not None,
        most_steps=MOST_STEPS, seconds=BUDGET, progress=lambda line: say(f"2 of 6: {line}"), recipe=recipe,
    )  # fmt: skip
    confidence = None
    if data.samples is None:
        missing["bootstrap"] = "a bootstrap needs the rows of the data, got correlations alone"
    elif draws == 0:
        missing["bootstrap"] = "not asked for"
    else:
        say("3 of 6: bootstrap")
        confidence = part("bootstrap", lambda: bootstrap(network, data, draws=draws, seconds=BUDGET, **asked))
    stops = None
    if data.samples is None:
        missing["stopping"] = "held-out rows need the rows of the data, got correlations alone"
    elif splits == 0:
        missing["stopping"] = "not asked for"
    else:
        stops = part(
            "stopping",
            lambda: stopping_over(
                network, data, width=width, share=HELD_OUT, splits=splits, seconds=BUDGET,
                progress=lambda line: say(f"4 of 6: when to stop, {line}"), **asked,
            ),
        )  # fmt: skip
    say("5 of 6: what to change")
    change = part("prescription", lambda: prescribe(network, data, width=width, seconds=PATIENCE, **asked))
    plain = replace(recipe.as_descent, learning_rate=None)
    if plain == Recipe():
        others = part("optimizers", lambda: by_optimizer(network, data, u0=u0, width=width))
    else:
        others, missing["optimizers"] = None, f"shown for a recipe without other ingredients, not for {plain}"
    say("6 of 6: phase portrait")
    pair: Any = prediction.order[:2]
    if len(pair) < 2:
        plane, missing["portrait"] = None, f"a plane needs two modalities, got {pair[0]}"
    else:
        plane = part("portrait", lambda: portrait(network, data, pair, runs=comparison.flows[:1], recipe=recipe))
    return Report(
        data,
        prediction,
        comparison,
        confidence,
        change,
        plane,
        both_scalings(network, data, u0, recipe) if units else None,
        missing,
        rate,
        page,
        _provenance(prediction, data, width, seeds, draws, source or {}),
        others,
        stops,
    )


def _provenance(
    prediction: Prediction, data: Correlations, width: int, seeds: int, draws: int, source: Mapping[str, Any]
) -> dict[str, Any]:
    u0, chains = prediction.u0, prediction.network.chains
    inputs = {m: list(data.column_names(m)) for m in data.modalities}
    return {
        **source,
        "rows": None if data.samples is None else data.samples.count,
        "columns": inputs,
        "outputs": data.outputs,
        "layers": {name: int(chain.depth) for name, chain in chains.items()},
        "recipe": prediction.recipe.to_dict(),
        "u0": dict(u0) if isinstance(u0, Mapping) else u0,
        "width": width,
        "seeds": f"0 to {seeds - 1}",
        "bootstrap": f"{draws} draws, seed 0",
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }
