"""The command `fusion-dynamics`: results on standard output, progress on standard error.

Exit status 0; 1 a computation failed; 2 usage or bad input; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from derivations.errors import DataError, DomainError, SolveError, StoreError
from dynamics.interface.commands import mnist as mnist_commands
from dynamics.interface.commands import problem as actions
from dynamics.interface.commands.arguments import integer, real

DATA = """DATA is a CSV with a header, a .npy or a .parquet (name columns with --target and --modality), or a .npz
with sigma, sigma_yx, sizes, or with one array per modality and the target. Columns and target are centred.
Times are in units of tau = 1/learning rate, for a loss of half the mean squared error."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    options.words = list(sys.argv[1:] if arguments is None else arguments)  # for a report, which says how it was made
    try:
        status = int(options.run(options))
        if sys.stdout is not None:  # closed by the shell, as in >&-
            sys.stdout.flush()
        return status
    except (DataError, DomainError) as error:
        print(f"fusion-dynamics: {error}", file=sys.stderr)
        return 2
    except (SolveError, StoreError) as error:
        print(f"fusion-dynamics: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print("fusion-dynamics: not enough memory: fewer seeds, points or hidden units", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fusion-dynamics: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has left, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # the results could not be printed: a full disk behind a redirection
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"fusion-dynamics: output not written: {error.strerror}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fusion-dynamics",
        description="Which modality a multimodal linear network learns first, and when the second.",
    )
    parser.add_argument("--version", action="version", version=f"fusion-dynamics {_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    predict = _command(
        commands, "predict", actions.predict_command, "half-times by the law and the reduced flow (milliseconds)"
    )
    predict.add_argument("--learning-rate", type=real, help="print steps of gradient descent beside the times")
    _init_options(predict, "u0 from a named initialisation and --width, instead of --u0")
    predict.add_argument("--width", type=integer, help="hidden units: the law of random starts of this width")
    predict.add_argument("--seed", type=integer, help="with --width: from the weights of this random start")
    predict.add_argument("--seeds", type=integer, metavar="N", help="with --width: simulate N random starts beside it")
    predict.add_argument("--bootstrap", type=integer, metavar="DRAWS", help="how sure the order is (e.g. 2000)")
    prescribe = _command(
        commands, "prescribe", actions.prescribe_command, "what to change: rescaling, fusion depth, u0, width"
    )
    prescribe.add_argument("--ratio", type=real, default=1.0, help="half-time of the last over the first (default 1)")
    prescribe.add_argument("--width", type=integer, help="hidden units of random starts (default: aligned)")
    prescribe.add_argument("--block", metavar="NAME", help="modality to rescale (default: the last one)")
    prescribe.add_argument("--outputs", action="store_true", help="compare half-outputs, not half-times of weights")
    prescribe.add_argument("--plot", metavar="FILE", help="save the figure (.png, .pdf, .svg)")
    simulate = _command(
        commands,
        "simulate",
        actions.simulate_command,
        "one run, or many starts: gradient flow, reduced flow or gradient descent",
    )
    simulate.add_argument("--method", choices=("flow", "reduced", "descent"), default="flow", help="default: flow")
    _start_options(simulate)
    _init_options(simulate, "weights drawn from a named initialisation, instead of --u0")
    simulate.add_argument("--seed", type=integer, help="of the random start (default 0)")
    simulate.add_argument("--seeds", type=integer, metavar="N", help="an ensemble of N random starts")
    simulate.add_argument("--plot", metavar="FILE", help="with --seeds: save the figure (.png, .pdf, .svg)")
    simulate.add_argument("--t-end", type=real, help="in units of tau (default: until all is learned)")
    simulate.add_argument("-o", "--output", metavar="FILE.npz", help="save the trajectory")
    compare = _command(
        commands, "compare", actions.compare_command, "all roads side by side, several seeds (seconds to minutes)"
    )
    _start_options(compare)
    compare.add_argument("--seeds", type=integer, default=5, help="number of random starts (default 5)")
    compare.add_argument("--plot", metavar="FILE", help="save the figure (.png, .pdf, .svg)")
    report = _command(
        commands, "report", actions.report_command, "one page of HTML with all of this, for a browser (half a minute)"
    )
    _start_options(report)
    report.add_argument("--seeds", type=integer, default=5, help="number of random starts to simulate (default 5)")
    report.add_argument("--bootstrap", type=integer, default=1000, metavar="DRAWS", help="default 1000; 0 for none")
    report.add_argument("-o", "--output", metavar="FILE.html", default="report.html", help="default report.html")
    fixed = _command(
        commands,
        "fixed-points",
        actions.fixed_points_command,
        "fixed points and saddles: dimension, signature, loss, ways out",
    )
    fixed.add_argument("--width", type=integer, help="hidden units (default: counts are expressions in h)")
    fixed.add_argument("--equations", action="store_true", help="print the equations of every stratum")
    fixed.add_argument("--plot", metavar="FILE", help="save the phase portrait of the first two modalities")
    figure = commands.add_parser(
        "figure",
        help="a figure of the paper from this code, with the numbers behind it (seconds to minutes)",
        description="Figures of the paper: simulations, laws, and checks of one against the other. The picture and the "
        "numbers drawn (JSON) are saved; the checks are printed. Status 1 if a check fails.",
    )
    figure.set_defaults(run=actions.figure_command)
    figure.add_argument("number", metavar="NUMBER", help="1-14, or all (13 needs --images)")
    figure.add_argument("-o", "--output", metavar="FILE", help="default figure-N.png; with all: a folder (default .)")
    figure.add_argument("--data", metavar="FILE.json", help="the numbers drawn (default: beside the picture)")
    figure.add_argument("--seeds", type=integer, metavar="N", help="seeds 0 to N-1 (default: 5, figure 12: 20)")
    figure.add_argument("--json", action="store_true", help="print the checks as JSON")
    mnist_commands.add_figure_options(figure)
    mnist_commands.add_table_parser(commands)
    sweep = commands.add_parser(
        "sweep",
        help="half-times over a grid of networks, data and starts; resumable",
        description="Runs the sweep that a TOML file describes: sections [network], [data], [start], [run]; a list of "
        "values makes an axis. Finished batches are kept in STORE, and a run that was killed goes on from there. The "
        "result is written to STORE.nc (netCDF).",
    )
    sweep.set_defaults(run=actions.sweep_command)
    sweep.add_argument("spec", metavar="SPEC.toml")
    sweep.add_argument("-o", "--output", metavar="STORE", required=True, help="folder of finished batches")
    sweep.add_argument("--jobs", type=integer, default=1, metavar="N", help="processes on this machine (default 1)")
    sweep.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, whose workers run the batches")
    sweep.add_argument("--plot", metavar="FILE", help="draw the ratio along the first axes (.png, .pdf, .svg)")
    sweep.add_argument("--heatmap", action="store_true", help="with --plot: a heatmap instead of lines")
    sweep.add_argument("--json", action="store_true", help="print JSON")
    derive = commands.add_parser(
        "derive",
        help="the ledger: every numbered equation, derived and checked; or one with its derivation",
        description="Every numbered equation of the paper (1-62) and ours (from 101): what is printed, what follows "
        "from (1), (2) and the loss, and the status that comparing the two gives. With NUMBER the derivation of one "
        "equation, from the definitions to itself. Status 1 if a check fails.",
    )
    derive.set_defaults(run=actions.derive_command)
    derive.add_argument("number", nargs="?", metavar="NUMBER", help="44, or one part: 44a")
    form = derive.add_mutually_exclusive_group()
    form.add_argument("--latex", action="store_true", help="print LaTeX")
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--html", metavar="FILE", help="write one self-contained page with typeset mathematics")
    return parser


def _version() -> str:
    from importlib.metadata import version

    return version("fusion-dynamics")


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text}. {DATA}")
    command.set_defaults(run=run)
    command.add_argument("data", nargs="?", metavar="DATA", help="CSV or .npz file")
    command.add_argument("--example", metavar="NAME", help="diabetes, star98 or linnerud instead of a file (z-scored)")
    command.add_argument("--target", metavar="C1,C2", help="column or array of the target, or of several (default y)")
    command.add_argument(
        "--modality", action="append", default=[], metavar="NAME=C1,C2", help="columns of a modality; once for each"
    )
    command.add_argument("--standardize", action="store_true", help="z-score the columns of a file")
    command.add_argument("--depth", type=integer, help="total depth L (default 2)")
    command.add_argument("--fusion-depth", type=integer, help="layer of fusion L_f (default 2)")
    command.add_argument(
        "--branch",
        action="append",
        default=[],
        metavar="NAME=LAYERS",
        help="layers of one modality's branch, once for each, instead of --depth and --fusion-depth",
    )
    command.add_argument("--trunk", type=integer, help="layers after the fusion, with --branch (default 0)")
    command.add_argument("--u0", type=real, help="norm of every pre-fusion layer at t = 0 (default 1e-3)")
    command.add_argument("--json", action="store_true", help="print JSON")
    return command


def _init_options(command: argparse.ArgumentParser, text: str) -> None:
    names = ("pytorch", "kaiming", "xavier", "lecun")
    command.add_argument("--init", choices=names, help=f"{text} (pytorch: nn.Linear's own)")


def _start_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--width", type=integer, default=100, help="hidden units (default 100)")
    command.add_argument(
        "--learning-rate",
        type=real,
        help="of gradient descent (default: scales with the data; report: no descent); simulate needs --method descent",
    )
