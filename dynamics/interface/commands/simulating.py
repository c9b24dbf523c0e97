"""Runs: simulate one or an ensemble, sweep over a grid."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from derivations import DomainError
from dynamics.interface.commands.options import (
    add_command,
    add_init,
    add_plain,
    add_recipe,
    add_start,
    given,
    problem_of,
    real,
    recipe_of,
    u0_of,
    whole,
)
from dynamics.interface.outputs import answer, as_json, check_target, draw_to_files, finished_counter, save_figure, say
from dynamics.messages import listed, one_line

if TYPE_CHECKING:
    from derivations.correlations import Correlations
    from derivations.network import FusionNetwork


def add_simulate(commands: Any) -> None:
    simulate = add_command(
        commands,
        "simulate",
        _simulate,
        "one run, or many starts: gradient flow, reduced flow or gradient descent",
        "--example diabetes --seeds 20",
    )
    simulate.add_argument("--method", choices=("flow", "reduced", "descent"), default="flow", help="default: flow")
    add_start(simulate)
    add_recipe(simulate)
    simulate.add_argument("--on-samples", action="store_true", help="descent with real masks and batches of the rows")
    add_init(simulate, "weights drawn from a named initialisation, instead of --u0")
    simulate.add_argument("--seed", type=whole, help="of the random start (default 0)")
    simulate.add_argument("--seeds", type=whole, metavar="N", help="an ensemble of N random starts")
    simulate.add_argument("--plot", metavar="FILE", help="with --seeds: save the figure (.png, .pdf, .svg)")
    simulate.add_argument("--t-end", type=real, help="in units of tau (default: until all is learned)")
    simulate.add_argument("-o", "--output", metavar="FILE.npz", help="save the trajectory")


def _simulate(options: argparse.Namespace) -> int:
    from dynamics.prediction.comparison import run_dict
    from dynamics.simulation.descent import descend
    from dynamics.simulation.flow import integrate
    from dynamics.simulation.reduced import integrate_reduced

    if options.output is not None:
        check_target(options.output, source=options.data)
    network, data = problem_of(options)
    if options.learning_rate is not None and options.method != "descent":
        raise DomainError(f"--learning-rate goes with --method descent, got --method {options.method}")
    start: dict[str, Any] = {"u0": u0_of(options), "t_end": options.t_end, "recipe": recipe_of(options)}
    if options.on_samples and (options.method != "descent" or options.seeds is not None):
        raise DomainError("--on-samples goes with --method descent, one run")
    if options.seeds is not None:
        return _simulate_many(options, network, data, start)
    if options.plot is not None:
        raise DomainError("--plot draws an ensemble: give --seeds")
    from dynamics.starts.weights import fitting_width

    drawn = given(options, "init", "width", "seed")
    if drawn and options.method == "reduced":
        raise DomainError(f"{drawn[0]} is of a random start; --method reduced starts aligned")
    seed = 0 if options.seed is None else options.seed
    width = fitting_width(data) if options.width is None else options.width
    random: dict[str, Any] = {"width": width, "seed": seed}
    if options.init is not None:
        from dynamics.starts.initializations import default_weights

        random = {"weights": default_weights(network, data, options.init, width, seed)}
    if options.method == "reduced":
        run = integrate_reduced(network, data, **start)
    elif options.method == "flow":
        run = integrate(network, data, **random, **start)
    else:
        run = descend(
            network, data, learning_rate=options.learning_rate, on_samples=options.on_samples, **random, **start
        )
    text = as_json(run_dict(run)) if options.json else run
    answer(text, (lambda: run.save(options.output)) if options.output else None)
    return 0


def _simulate_many(
    options: argparse.Namespace, network: FusionNetwork, data: Correlations, start: dict[str, Any]
) -> int:
    """An ensemble of random starts."""
    from dynamics.recipe import MODULATED
    from dynamics.simulation.descent import start_learning_rate
    from dynamics.simulation.ensembles import ensemble
    from dynamics.starts.recipes import trained
    from dynamics.starts.weights import fitting_width

    one_run = given(options, "seed", "init", "output")
    if one_run or options.method == "reduced":
        raise DomainError(
            f"--seeds draws many random starts; it does not go with {(one_run or ['--method reduced'])[0]}"
        )
    rate = options.learning_rate
    if options.method == "descent" and rate is None:
        asked = trained(network, data, start["u0"], start["recipe"], MODULATED, "an ensemble")
        rate = start_learning_rate(asked.problem, asked.u0)
    if options.plot is not None:
        draw_to_files(options.plot, options.data)
    say(f"drawing {options.seeds} starts ...")
    width = fitting_width(data) if options.width is None else options.width
    runs = ensemble(
        network, data, **start, width=width, seeds=options.seeds, learning_rate=rate, progress=finished_counter(),
    )  # fmt: skip
    text = as_json(runs.to_dict()) if options.json else runs
    answer(text, None if options.plot is None else lambda: save_figure(runs.plot(), options.plot))
    return 0


def add_sweep(commands: Any) -> None:
    sweep = add_plain(
        commands, "sweep", _sweep, "half-times over a grid of networks, data and starts; resumable",
        usage="SPEC.toml -o STORE [options]", example="sweep.toml -o ratios --plot ratios.png",
        description="sweep.toml, for instance: data = {sigma_a = 2.0, rho = [0.0, 0.3, 0.6]}\n\n"
        "Runs the sweep that a TOML file describes: sections [network], [data], [start], [recipe], [run]; "
        "a list of values makes an axis. Finished batches are kept in STORE, and a run that was killed goes on from "
        "there. The result is written to STORE.nc (netCDF).",
    )  # fmt: skip
    sweep.add_argument("spec", metavar="SPEC.toml")
    sweep.add_argument("-o", "--output", metavar="STORE", required=True, help="folder of finished batches")
    sweep.add_argument("--jobs", type=whole, default=1, metavar="N", help="processes on this machine (default 1)")
    sweep.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, whose workers run the batches")
    sweep.add_argument("--plot", metavar="FILE", help="draw the ratio along the first axes (.png, .pdf, .svg)")
    sweep.add_argument("--heatmap", action="store_true", help="with --plot: a heatmap instead of lines")
    sweep.add_argument("--json", action="store_true", help="print JSON")


def _sweep(options: argparse.Namespace) -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is there: batches are small, and bytes stay the same
    from dynamics.simulation.sweeps.dataset import save_dataset, summary
    from dynamics.simulation.sweeps.runner import shown, sweep
    from dynamics.simulation.sweeps.spec import Layout, read_spec

    if options.heatmap and not options.plot:
        raise DomainError("--heatmap goes with --plot")
    if options.plot:
        draw_to_files(options.plot)
    target = f"{options.output.rstrip('/')}.nc"
    check_target(target, source=options.spec)
    spec = read_spec(options.spec)
    drawn, needed = [axis for axis in spec.axes if axis != "seed"], 2 if options.heatmap else 1
    if options.plot and (spec.layout is Layout.LIST or len(drawn) < needed):
        have = listed(drawn) or "none"
        raise DomainError(
            f"--plot draws along {needed} of the axes of a grid, seed left out: {options.spec} has {have}"
        )
    found = sweep(spec, options.output, jobs=options.jobs, scheduler=options.scheduler, progress=shown)
    save_dataset(found, target)
    if options.plot:
        from dynamics.figures.sweeps import Picture, plot_sweep

        save_figure(plot_sweep(found, kind=Picture.HEATMAP if options.heatmap else Picture.LINES), options.plot)
    table = summary(found)
    document = {"result": target, "points": spec.count, "axes": list(spec.axes), "warnings": list(table.notes)}
    document["rows"] = [dict(zip(table.head, row, strict=True)) for row in table.rows]
    print(as_json(document) if options.json else f"{table}\nresult: {one_line(target)}")
    return 1 if bool((found["status"] == "failed").all()) else 0
