"""What the data and the network will do: predict, prescribe, compare, report."""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from derivations import DataError, DomainError
from dynamics.interface.commands.options import (
    add_command,
    add_init,
    add_recipe,
    add_start,
    given,
    problem_of,
    real,
    recipe_of,
    u0_of,
    whole,
)
from dynamics.interface.outputs import (
    answer,
    as_json,
    at_work,
    check_target,
    draw_to_files,
    finished_counter,
    save_figure,
    say,
)
from dynamics.messages import one_line

if TYPE_CHECKING:
    from derivations import Correlations, FusionNetwork
    from dynamics.recipe import Recipe

MORE = "1 tau = 1/learning rate. More: --details (all estimates and their errors), --explain (every word)"
BLOCK = 1 << 20  # bytes of a file read at a time


def add_predict(commands: Any) -> None:
    predict = add_command(
        commands, "predict", _predict, "half-times by the law and the reduced flow (milliseconds)", "--example diabetes"
    )
    predict.add_argument("--learning-rate", type=real, help="print steps of gradient descent beside the times")
    add_init(predict, "a named initialisation and --width, instead of --u0")
    predict.add_argument("--scale", type=real, default=1.0, help="factor on the weights of --init (default 1)")
    add_recipe(predict)
    predict.add_argument("--width", type=whole, help="hidden units: the law of random starts of this width")
    predict.add_argument("--seed", type=whole, help="with --width: from the weights of this random start")
    predict.add_argument("--seeds", type=whole, metavar="N", help="with --width: simulate N random starts beside it")
    predict.add_argument(
        "--bootstrap", type=whole, metavar="DRAWS", help="resampled tables behind 'How sure' (default 200; 0 for none)"
    )
    predict.add_argument(
        "--activation", choices=("linear", "relu"), default="linear",
        help="between two layers: relu needs the rows of the data, takes seconds and is heuristic (default linear)",
    )  # fmt: skip
    predict.add_argument(
        "--holdout", type=real, metavar="SHARE", help="of the rows, held out to say when to stop, as 0.2"
    )
    predict.add_argument("--holdout-seed", type=whole, metavar="SEED", help="of the rows held out (default 0)")
    predict.add_argument("--details", action="store_true", help="every road with its error, misattribution, units")
    predict.add_argument("--explain", action="store_true", help="every word of the tables in one sentence")


def _predict(options: argparse.Namespace) -> int:
    from dynamics.data.held_out import held_out
    from dynamics.prediction.predicting import predict
    from dynamics.prediction.resampling import LEAST_DRAWS, bootstrap
    from dynamics.prediction.scalings import both_scalings
    from dynamics.prediction.screens import screen
    from dynamics.prediction.words import WORDS, explained
    from dynamics.strict_json import finite

    if options.explain:
        print(as_json(dict(WORDS)) if options.json else explained())
        return 0
    if options.bootstrap and options.bootstrap < LEAST_DRAWS:
        raise DomainError(f"--bootstrap must be 0 (none) or at least {LEAST_DRAWS}, got {options.bootstrap}")
    network, data = problem_of(options, told=False)
    start: Any = None
    recipe = recipe_of(options)
    if options.scale != 1 and options.init is None:
        raise DomainError("--scale goes with --init")
    if options.activation == "relu":
        return _predict_relu(options, network, data, recipe)
    out: dict[str, Any] = {"holdout": options.holdout, "holdout_seed": options.holdout_seed}
    u0: float | Mapping[str, float] = u0_of(options)
    if recipe.is_run_alone and not recipe.has_classes:  # seconds, or a minute where learning is slow
        say("as many steps as training ...")
    if options.init is not None and set(network.path_depths.values()) == {2}:
        if options.seed is not None or options.bootstrap or recipe.ingredients:
            raise DomainError("--init goes with --width and --seeds alone, as a start of any size by gradient flow")
        prediction = predict(
            network, data, init=options.init, scale=options.scale, width=options.width, seeds=options.seeds, **out
        )
        u0 = prediction.u0
    elif options.init is None:
        prediction = predict(
            network, data, u0=u0, width=options.width, seed=options.seed, seeds=options.seeds, recipe=recipe, **out
        )
    else:
        from dynamics.starts.initializations import default_start

        if options.seeds is not None or options.seed is not None:
            raise DomainError("--init goes with no --seed and no --seeds: see simulate --init")
        start = default_start(network, data, options.init, 100 if options.width is None else options.width)
        u0 = {name: options.scale * norm for name, norm in start.u0.items()}
        try:
            prediction = predict(network, data, u0=u0, recipe=recipe, **out)
        except DomainError as error:
            norms = ", ".join(f"{name} {norm:.3g}" for name, norm in u0.items())
            way = f"a smaller --scale may do, simulate --init {options.init} runs the flow from there"
            raise DomainError(f"{error} (u0 of {options.init}: {norms}); {way}") from None
    if options.holdout is not None:  # what stands beside the prediction is of the same rows
        data = held_out(data, options.holdout, options.holdout_seed).left
    rate = options.learning_rate
    sure = None
    if options.bootstrap:
        sure = bootstrap(
            network, data, u0=u0, draws=options.bootstrap, progress=finished_counter("draws"), recipe=recipe
        )
    if options.json:
        document = prediction.to_dict()
        if rate is not None:
            document["steps"] = {m: finite(t / rate) for m, t in prediction.times.items()}
        if _in_own_units(options):
            document["scalings"] = both_scalings(network, data, u0, recipe).to_dict()
        if sure is not None:
            document["bootstrap"] = sure.to_dict()
        print(as_json(document))
        return 0
    found = screen(
        prediction, data, options.width, rate, sure, resample=options.bootstrap is None and options.init is None
    )
    units = _in_own_units(options) and not recipe.is_run_alone
    scaled = both_scalings(network, data, u0, recipe) if units else None
    other = [] if scaled is None else scaled.disagreement
    table = replace(found, notes=(*found.notes, *(f"Warning: {w}" for w in other)))
    if options.details:
        beside = [part for part in (prediction.stopping, scaled, sure) if part is not None]
        more = [prediction.details, data, *([start] if start else []), *beside]
        print("\n\n".join(map(str, [table.text(), *more])))
    else:
        print(f"{table.text()}\n\n{MORE}")
    return 0


def _predict_relu(options: argparse.Namespace, network: FusionNetwork, data: Correlations, recipe: Recipe) -> int:
    """The narrow network in place of the wide one; nothing of a recipe, and no other start, is known to it."""
    from dynamics.nonlinear.relu_prediction import predict_relu
    from dynamics.recipe import PLAIN
    from dynamics.strict_json import finite

    unknown = given(options, "init", "seeds", "bootstrap", "holdout", "holdout_seed")
    if unknown or recipe != PLAIN:
        what = unknown[0] if unknown else f"recipe {recipe}"
        raise DomainError(f"--activation relu does not know {what}: plain gradient descent from small random starts")
    if data.samples is None:
        raise DataError("--activation relu needs rows of inputs and target, got only their moments")
    rows = data.samples
    width = 100 if options.width is None else options.width
    found = predict_relu(network, rows.inputs, rows.targets, u0_of(options), width=width, seed=options.seed or 0)
    found = replace(found, columns={m: data.column_names(m) for m in data.modalities})
    rate = options.learning_rate
    if options.json:
        steps = {} if rate is None else {"steps": {m: finite(t / rate) for m, t in found.times.items()}}
        print(as_json(found.to_dict() | steps))
        return 0
    table = found.table if rate is None else found.in_steps(rate)
    table = replace(table, notes=(*table.notes, *(f"Data: {note}" for note in data.notes)))
    print("\n\n".join(map(str, [table.text(), *([found.details, data] if options.details else [MORE])])))
    return 0


def _in_own_units(options: argparse.Namespace) -> bool:
    """Columns of a file as they are: z-scored ones are another problem."""
    return options.example is None and not options.standardize


def add_prescribe(commands: Any) -> None:
    prescribe = add_command(
        commands,
        "prescribe",
        _prescribe,
        "what to change: rescaling, fusion depth, u0, width",
        "--example diabetes --ratio 1.2",
    )
    add_recipe(prescribe)
    prescribe.add_argument("--learning-rate", type=real, help="of an optimizer whose times depend on it, as Adam's do")
    prescribe.add_argument("--ratio", type=real, default=1.0, help="half-time of the last over the first (default 1)")
    prescribe.add_argument("--width", type=whole, help="hidden units of random starts (default: aligned)")
    prescribe.add_argument("--block", metavar="NAME", help="modality to rescale (default: the last one)")
    prescribe.add_argument("--plot", metavar="FILE", help="save the figure (.png, .pdf, .svg)")


def _prescribe(options: argparse.Namespace) -> int:
    from dynamics.prediction.prescribing import prescribe

    asked = {"ratio": options.ratio, "width": options.width, "block": options.block}
    return _answered(options, prescribe, asked)


def _answered(options: argparse.Namespace, work: Callable[..., Any], asked: Mapping[str, Any]) -> int:
    """What `work` finds for network, data and start: drawn, where that is asked for, and printed."""
    if options.plot:
        draw_to_files(options.plot, options.data)
    network, data = problem_of(options)
    found = work(network, data, u0=u0_of(options), recipe=recipe_of(options), progress=at_work(), **asked)
    text = as_json(found.to_dict()) if options.json else str(found)
    answer(text, (lambda: save_figure(found.plot(), options.plot)) if options.plot else None)
    return 0


def add_compare(commands: Any) -> None:
    compare = add_command(
        commands,
        "compare",
        _compare,
        "all roads side by side, several seeds (seconds to minutes)",
        "--example diabetes --seeds 3",
    )
    add_start(compare)
    add_recipe(compare)
    compare.add_argument("--seeds", type=whole, default=5, help="number of random starts (default 5)")
    compare.add_argument("--plot", metavar="FILE", help="save the figure (.png, .pdf, .svg)")


def _compare(options: argparse.Namespace) -> int:
    from dynamics.prediction.comparison import compare

    asked = {"width": options.width, "seeds": options.seeds, "learning_rate": options.learning_rate}
    return _answered(options, compare, asked)


def add_report(commands: Any) -> None:
    report = add_command(
        commands,
        "report",
        _report,
        "one page of HTML with all of this, for a browser (half a minute)",
        "--example diabetes -o report.html",
    )
    add_start(report)
    add_recipe(report)
    report.add_argument("--seeds", type=whole, default=5, help="number of random starts to simulate (default 5)")
    report.add_argument("--bootstrap", type=whole, default=1000, metavar="DRAWS", help="default 1000; 0 for none")
    report.add_argument(
        "--splits", type=whole, default=10, help="of the rows, to say when to stop (default 10; 0: none)"
    )
    report.add_argument("-o", "--output", metavar="FILE.html", default="report.html", help="default report.html")


def _report(options: argparse.Namespace) -> int:
    import matplotlib

    from dynamics.interface.pages.reports import report

    matplotlib.use("Agg")
    check_target(options.output, source=options.data)
    network, data = problem_of(options)
    found = report(
        network, data, u0=u0_of(options), width=options.width, seeds=options.seeds, draws=options.bootstrap,
        splits=options.splits, learning_rate=options.learning_rate, units=_in_own_units(options),
        source=_source(options), progress=at_work("report: "), recipe=recipe_of(options),
    )  # fmt: skip
    answer(found.to_json() if options.json else found, lambda: found.save(options.output))
    if not options.json:
        print(f"report: {one_line(options.output)}")
    return 0


def _source(options: argparse.Namespace) -> dict[str, Any]:
    """So that a report can be made again: the command line, and name, size and SHA-256 of a file or the example."""
    command = {"command": shlex.join(["fusion-dynamics", *options.words])}
    if options.data is None:
        return {**command, "data": f"example {options.example}"}
    digest, size = hashlib.sha256(), 0
    try:
        with open(options.data, "rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise DataError(f"{options.data!r} cannot be read: {error}") from None
    return {**command, "data": os.path.basename(options.data), "bytes": size, "sha256": digest.hexdigest()}
