"""The command `fusion-dynamics`: results on standard output, progress on standard error.

Exit status 0; 1 a computation failed; 2 usage or bad input; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from derivations.errors import DataError, DomainError, SolveError, StoreError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from derivations.correlations import Correlations
    from derivations.network import FusionNetwork

FIGURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".eps", ".tif", ".tiff", ".webp")
DATA = """DATA is a CSV with a header, a .npy or a .parquet (name columns with --target and --modality), or a .npz
with sigma, sigma_yx, sizes, or with one array per modality and the target. Columns and target are centred.
Times are in units of tau = 1/learning rate, for a loss of half the mean squared error."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except (DataError, DomainError) as error:
        print(f"fusion-dynamics: {error}", file=sys.stderr)
        return 2
    except (SolveError, StoreError) as error:
        print(f"fusion-dynamics: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fusion-dynamics: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has left, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fusion-dynamics",
        description="Which modality a multimodal linear network learns first, and when the second.",
    )
    parser.add_argument("--version", action="version", version=f"fusion-dynamics {_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    predict = _command(commands, "predict", _predict, "half-times by the law and the reduced flow (milliseconds)")
    predict.add_argument("--learning-rate", type=float, help="print steps of gradient descent beside the times")
    _init_options(predict, "u0 from a named initialisation and --width, instead of --u0")
    predict.add_argument("--width", type=int, help="hidden units, with --init (default 100)")
    simulate = _command(
        commands, "simulate", _simulate, "one run, or many starts: gradient flow, reduced flow or gradient descent"
    )
    simulate.add_argument("--method", choices=("flow", "reduced", "descent"), default="flow", help="default: flow")
    _start_options(simulate)
    _init_options(simulate, "weights drawn from a named initialisation, instead of --u0")
    simulate.add_argument("--seed", type=int, help="of the random start (default 0)")
    simulate.add_argument("--seeds", type=int, metavar="N", help="an ensemble of N random starts instead of one run")
    simulate.add_argument("--plot", metavar="FILE", help="with --seeds: save the figure (.png, .pdf, .svg)")
    simulate.add_argument("--t-end", type=float, help="in units of tau (default: until all is learned)")
    simulate.add_argument("-o", "--output", metavar="FILE.npz", help="save the trajectory")
    compare = _command(commands, "compare", _compare, "all roads side by side, several seeds (seconds to minutes)")
    _start_options(compare)
    compare.add_argument("--seeds", type=int, default=5, help="number of random starts (default 5)")
    compare.add_argument("--plot", metavar="FILE", help="save the figure (.png, .pdf, .svg)")
    fixed = _command(
        commands, "fixed-points", _fixed_points, "fixed points and saddles: dimension, signature, loss, ways out"
    )
    fixed.add_argument("--width", type=int, help="hidden units (default: counts are expressions in h)")
    fixed.add_argument("--equations", action="store_true", help="print the equations of every stratum")
    fixed.add_argument("--plot", metavar="FILE", help="save the phase portrait of the first two modalities")
    derive = commands.add_parser(
        "derive",
        help="the ledger: every numbered equation, derived and checked; or one with its derivation",
        description="Every numbered equation of the paper (1-62) and ours (from 101): what is printed, what follows "
        "from (1), (2) and the loss, and the status that comparing the two gives. With NUMBER the derivation of one "
        "equation, from the definitions to itself. Status 1 if a check fails.",
    )
    derive.set_defaults(run=_derive)
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
    command.add_argument("--depth", type=int, help="total depth L (default 2)")
    command.add_argument("--fusion-depth", type=int, help="layer of fusion L_f (default 2)")
    command.add_argument(
        "--branch",
        action="append",
        default=[],
        metavar="NAME=LAYERS",
        help="layers of one modality's branch, once for each, instead of --depth and --fusion-depth",
    )
    command.add_argument("--trunk", type=int, help="layers after the fusion, with --branch (default 0: late fusion)")
    command.add_argument("--u0", type=float, help="norm of every pre-fusion layer at t = 0 (default 1e-3)")
    command.add_argument("--json", action="store_true", help="print JSON")
    return command


def _init_options(command: argparse.ArgumentParser, text: str) -> None:
    names = ("pytorch", "kaiming", "xavier", "lecun")
    command.add_argument("--init", choices=names, help=f"{text} (pytorch: nn.Linear's own)")


def _start_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--width", type=int, default=100, help="hidden units (default 100)")
    command.add_argument(
        "--learning-rate",
        type=float,
        help="of gradient descent (default: scales with the data); simulate needs --method descent",
    )


def _problem(options: argparse.Namespace) -> tuple[FusionNetwork, Correlations]:
    """Network and data of a command line."""
    from dynamics.data import read_table
    from dynamics.examples import load_example

    if (options.data is None) == (options.example is None):
        raise DataError("give a DATA file or --example NAME, one of the two")
    if options.example is not None:
        given = [
            flag
            for flag, used in (
                ("--modality", options.modality),
                ("--standardize", options.standardize),
                ("--target", options.target),
            )
            if used
        ]
        if given:
            raise DataError(f"{given[0]} goes with a DATA file; an example has its own blocks and is z-scored")
        data = load_example(options.example)
    else:
        modalities = _modalities(options.modality)
        if modalities is None and not options.data.lower().endswith(".npz"):
            raise DataError("name the columns of each modality: --modality NAME=column1,column2, once for each")
        data = read_table(options.data, _targets(options.target or "y"), modalities, options.standardize)
    return _network(options, data.modalities), data


def _network(options: argparse.Namespace, modalities: tuple[str, ...]) -> FusionNetwork:
    """Equal branches by --depth and --fusion-depth, or any by --branch and --trunk."""
    from derivations.network import FusionNetwork

    equal = [f for f, v in (("--depth", options.depth), ("--fusion-depth", options.fusion_depth)) if v is not None]
    if not options.branch:
        if options.trunk is not None:
            raise DomainError("--trunk goes with --branch; without it the trunk is --depth minus --fusion-depth")
        depth = 2 if options.depth is None else options.depth
        return FusionNetwork.fused_at(depth, 2 if options.fusion_depth is None else options.fusion_depth, modalities)
    if equal:
        raise DomainError(f"{equal[0]} and --branch say the same: give one of the two")
    depths: dict[str, int] = {}
    for flag in options.branch:
        name, _, layers = flag.rpartition("=")
        if not layers.isascii() or not layers.isdigit():
            raise DomainError(f"--branch must look like NAME=LAYERS, got {flag!r}")
        if name not in modalities or name in depths:
            raise DomainError(f"--branch must name each of {', '.join(modalities)} once, got {name!r}")
        depths[name] = int(layers)
    missing = [m for m in modalities if m not in depths]
    if missing:
        raise DomainError(f"--branch must name each of {', '.join(modalities)} once, {missing[0]!r} is missing")
    return FusionNetwork.branches({m: depths[m] for m in modalities}, trunk=options.trunk or 0)


def _u0(options: argparse.Namespace) -> float:
    if options.u0 is not None and getattr(options, "init", None) is not None:
        raise DomainError("--u0 and --init say the same: give one of the two")
    return 1e-3 if options.u0 is None else float(options.u0)


def _check_figure(path: str) -> None:
    """Before the work: whether a figure can be saved there."""
    folder, name = os.path.split(path)
    if not name.lower().endswith(FIGURES):
        raise DataError(f"--plot must end in {', '.join(FIGURES)}, got {path!r}")
    if not os.path.isdir(folder or "."):
        raise DataError(f"--plot: no folder {folder!r}")


def _targets(flag: str) -> str | list[str]:
    names = [name.strip() for name in flag.split(",")]
    if not all(names):
        raise DataError(f"--target must look like COLUMN or C1,C2, got {flag!r}")
    return names[0] if len(names) == 1 else names


def _modalities(flags: list[str]) -> dict[str, list[str]] | None:
    found: dict[str, list[str]] = {}
    for flag in flags:
        name, equals, columns = flag.partition("=")
        members = [column.strip() for column in columns.split(",")]
        if not equals or not name or not all(members):
            raise DataError(f"--modality must look like NAME=column1,column2, got {flag!r}")
        if name in found:
            raise DataError(f"--modality {name!r} is given twice")
        found[name] = members
    return found or None


def _predict(options: argparse.Namespace) -> int:
    from dynamics.half_times import finite
    from dynamics.prediction import predict
    from dynamics.scalings import both_scalings

    network, data = _problem(options)
    start: Any = None
    u0: Any = _u0(options)
    if options.width is not None and options.init is None:
        raise DomainError("--width goes with --init: a prediction from --u0 holds for any width")
    if options.init is not None:
        from dynamics.starts import default_start

        start = default_start(network, data, options.init, 100 if options.width is None else options.width)
        u0 = start.u0
        try:
            prediction = predict(network, data, u0=u0)
        except DomainError as error:
            norms = ", ".join(f"{name} {norm:.3g}" for name, norm in start.u0.items())
            raise DomainError(
                f"{error} (u0 of {options.init}: {norms}); simulate --init {options.init} runs the flow from there"
            ) from None
    else:
        prediction = predict(network, data, u0=u0)
    rate = options.learning_rate
    table = prediction.table if rate is None else prediction.in_steps(rate)
    document = prediction.to_dict()
    if rate is not None:
        document["steps"] = {m: finite(t / rate) for m, t in prediction.times.items()}
    raw = options.example is None and not options.standardize
    scaled = both_scalings(network, data, u0) if raw else None
    if scaled is not None:
        document["scalings"] = scaled.to_dict()
    parts = [data, *([start] if start else []), table.text(), *([scaled] if scaled else [])]
    print(json.dumps(document, indent=2, allow_nan=False) if options.json else "\n\n".join(map(str, parts)))
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from dynamics.comparison import run_dict
    from dynamics.descent import descend
    from dynamics.flow import integrate
    from dynamics.reduced import integrate_reduced

    network, data = _problem(options)
    if options.learning_rate is not None and options.method != "descent":
        raise DomainError(f"--learning-rate goes with --method descent, got --method {options.method}")
    start: dict[str, Any] = {"u0": _u0(options), "t_end": options.t_end}
    if options.seeds is not None:
        return _simulate_many(options, network, data, start)
    if options.plot is not None:
        raise DomainError("--plot draws an ensemble: give --seeds")
    seed = 0 if options.seed is None else options.seed
    random: dict[str, Any] = {"width": options.width, "seed": seed}
    if options.init is not None:
        from dynamics.starts import default_weights

        if options.method == "reduced":
            raise DomainError("--init draws random weights; --method reduced starts aligned")
        random = {"weights": default_weights(network, data, options.init, options.width, seed)}
    if options.method == "reduced":
        run = integrate_reduced(network, data, **start)
    elif options.method == "flow":
        run = integrate(network, data, **random, **start)
    else:
        run = descend(network, data, learning_rate=options.learning_rate, **random, **start)
    if options.output:
        run.save(options.output)
    print(json.dumps(run_dict(run), indent=2, allow_nan=False) if options.json else run)
    return 0


def _simulate_many(
    options: argparse.Namespace, network: FusionNetwork, data: Correlations, start: dict[str, Any]
) -> int:
    """An ensemble of random starts."""
    from dynamics.descent import start_learning_rate
    from dynamics.ensembles import ensemble

    one_run = (("--seed", options.seed), ("--init", options.init), ("--output", options.output))
    given = [flag for flag, value in one_run if value is not None]
    if given or options.method == "reduced":
        raise DomainError(f"--seeds draws many random starts; it does not go with {(given or ['--method reduced'])[0]}")
    rate = options.learning_rate
    if options.method == "descent" and rate is None:
        rate = start_learning_rate(network, data, start["u0"])
    if options.plot is not None:
        _draw_to_files(options.plot)
    print(f"  drawing {options.seeds} starts ...", file=sys.stderr, flush=True)
    runs = ensemble(
        network,
        data,
        **start,
        width=options.width,
        seeds=options.seeds,
        learning_rate=rate,
        progress=_finished_counter(),
    )
    print(json.dumps(runs.to_dict(), indent=2, allow_nan=False) if options.json else runs)
    if options.plot is not None:
        _save_figure(runs.plot(), options.plot)
    return 0


def _finished_counter() -> Callable[[int, int], None]:
    """Members that have finished, on standard error, once for each tenth."""
    told = [0]

    def tell(finished: int, total: int) -> None:
        if finished == total or finished >= told[0] + total / 10:
            told[0] = finished
            end = "\n" if finished == total or not sys.stderr.isatty() else "\r"
            print(f"  {finished} of {total} members", end=end, file=sys.stderr, flush=True)

    return tell


def _draw_to_files(path: str) -> None:
    """Before the work: no window, and whether the figure can be saved."""
    import matplotlib

    matplotlib.use("Agg")
    _check_figure(path)


def _save_figure(figure: Figure, path: str) -> None:
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise StoreError(f"figure not saved to {path!r}: {error}") from None


def _compare(options: argparse.Namespace) -> int:
    from dynamics.comparison import compare

    if options.plot:
        _draw_to_files(options.plot)
    network, data = _problem(options)
    result = compare(
        network,
        data,
        u0=_u0(options),
        width=options.width,
        seeds=options.seeds,
        learning_rate=options.learning_rate,
        progress=lambda line: print(f"  {line} ...", file=sys.stderr, flush=True),
    )
    if options.plot:
        _save_figure(result.plot(), options.plot)
    print(json.dumps(result.to_dict(), indent=2, allow_nan=False) if options.json else f"{data}\n\n{result}")
    return 0


def _fixed_points(options: argparse.Namespace) -> int:
    from derivations.manifolds import fixed_points
    from dynamics.critical_table import critical_table, to_dict

    given = options.data is not None or options.example is not None
    if options.plot and not given:
        raise DataError("--plot needs numbers: give a DATA file or --example NAME")
    if options.u0 is not None and not options.plot:
        raise DomainError("--u0 goes with --plot, whose run starts from it; critical points depend on no start")
    if options.plot:
        _draw_to_files(options.plot)
    if given:
        network, data = _problem(options)
    else:
        unused = [flag for flag, value in (("--modality", options.modality), ("--target", options.target)) if value]
        if unused or options.standardize:
            raise DataError(f"{(unused or ['--standardize'])[0]} goes with a DATA file")
        names = tuple(dict.fromkeys(flag.rpartition("=")[0] for flag in options.branch)) or ("A", "B")
        network, data = _network(options, names), None
    manifolds = fixed_points(network, data, options.width)
    if options.plot and data is not None:
        from dynamics.flow import integrate
        from dynamics.portraits import portrait

        run = integrate(network, data, u0=_u0(options), width=options.width or 100)
        _save_figure(portrait(network, data, runs=[run]).plot(), options.plot)
    if options.json:
        print(json.dumps([to_dict(m) for m in manifolds], indent=2, allow_nan=False))
        return 0
    print(critical_table(manifolds))
    if options.equations:
        print("\n".join(["", *(str(stratum) for m in manifolds for stratum in m.strata)]))
    return 0


def _derive(options: argparse.Namespace) -> int:
    from derivations.entry import Status
    from derivations.equations import Ledger, latex_document, ledger, to_dict
    from dynamics.ledger_text import derivation_text, ledger_table

    book = ledger()
    chosen = book.entries if options.number is None else book.derivation(options.number)
    if options.html:
        from dynamics.ledger_page import page

        _check_target(options.html)
        _write(options.html, page(Ledger(chosen), progress=_counter(len(chosen))))
    elif options.json:
        shown = chosen if options.number is None else book.numbered(options.number)
        print(json.dumps([to_dict(entry) for entry in shown], indent=2, allow_nan=False))
    elif options.latex:
        print(latex_document(chosen))
    elif options.number is None:
        print(ledger_table(book).text())
    else:
        print(derivation_text(book, options.number))
    return 1 if any(Status.FAILS in entry.status for entry in chosen) else 0


def _counter(total: int) -> Callable[[str], None]:
    seen = []

    def count(name: str) -> None:
        seen.append(name)
        end = "\n" if len(seen) == total else "\r"
        print(f"  {len(seen)} of {total}: ({name})    ", end=end, file=sys.stderr, flush=True)

    return count


def _check_target(path: str) -> None:
    """Before the work: whether a file can be written there; nothing but a plain file is replaced."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise StoreError(f"not written to {path!r}: no folder {folder!r}")
    if os.path.exists(path) and not os.path.isfile(path):
        raise StoreError(f"not written to {path!r}: it is no plain file")


def _write(path: str, text: str) -> None:
    """A file is written whole or not at all."""
    partial = f"{path}.part"
    try:
        with open(partial, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(partial, path)
    except OSError as error:
        raise StoreError(f"not written to {path!r}: {error}") from None
