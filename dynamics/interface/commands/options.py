"""What several families of commands share: their common options, and network and data from them."""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from derivations import DataError, DomainError
from dynamics.interface.outputs import say

if TYPE_CHECKING:
    from derivations.correlations import Correlations
    from derivations.network import FusionNetwork
    from dynamics.recipe import Recipe

DATA = """DATA is a table: text with a header (.csv, .tsv, ..., also .gz), .xlsx, .parquet or .npy (name columns with
--target and --modality), or a .npz with sigma, sigma_yx, sizes, or with one array per modality and the target. Columns
and target are centred.
Times are in units of tau = 1/learning rate, for a loss of half the mean squared error."""
LAYOUT = (
    ("missing", "WAY", "what to do about gaps: error (default), drop (their rows), mean (fill inputs)"),
    ("id", "COLUMN", "column that joins the rows of several files"),
    ("sep", "CHARACTER", "separator (default: the one that the header has most of)"),
    ("decimal", "CHARACTER", ". (default) or ,"),
    ("encoding", "NAME", "of a text (default: by its byte order mark, else UTF-8)"),
    ("comment", "CHARACTER", "from which on a line is left out"),
    ("sheet", "NAME", "of a workbook (default: the first)"),
)
Action = Callable[[argparse.Namespace], int]
MANY_INPUTS = 1000  # from which on a prediction takes seconds


def whole(text: str) -> int:
    """A whole number in plain digits: Python would take 1_0 and digits of other scripts."""
    if not re.fullmatch(r"[+-]?[0-9]{1,400}", text):
        raise argparse.ArgumentTypeError(f"not a whole number: {text[:80]!r}")
    return int(text)


def real(text: str) -> float:
    if not re.fullmatch(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|inf|nan)", text):
        raise argparse.ArgumentTypeError(f"not a number: {text[:80]!r}")
    return float(text)


class Paragraphs(argparse.HelpFormatter):
    """Descriptions keep their paragraphs: the first is an example."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(super(Paragraphs, self)._fill_text(part, width, indent) for part in text.split("\n\n"))


def add_plain(
    commands: Any, name: str, run: Action, text: str, *, example: str, description: str, usage: str
) -> argparse.ArgumentParser:
    """A command whose `--help` starts with an example.

    Parameters
    ----------
    text : what `fusion-dynamics --help` says of it
    example : what to type after the name of the command
    usage : its arguments in few words; all options are listed below
    """
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, usage=f"%(prog)s {usage}", formatter_class=Paragraphs,
        description=f"Example: fusion-dynamics {name} {example}\n\n{description}",
    )  # fmt: skip
    command.set_defaults(run=run)
    return command


def add_command(commands: Any, name: str, run: Action, text: str, example: str) -> argparse.ArgumentParser:
    """A command that asks about a network and data."""
    command = add_plain(
        commands, name, run, text, example=example, description=f"{text}.\n\n{DATA}",
        usage="(DATA --modality NAME=C1,C2 ... | --example NAME) [options]",
    )  # fmt: skip
    command.add_argument("data", nargs="?", metavar="DATA", help="a table or an .npz")
    command.add_argument("--example", metavar="NAME", help="diabetes, star98 or linnerud instead of a file (z-scored)")
    command.add_argument("--target", metavar="C1,C2", help="column or array of the target, or of several (default y)")
    command.add_argument(
        "--modality",
        action="append",
        default=[],
        metavar="NAME=C1,C2",
        help="columns of a modality, by name, pattern (img_*), range (img_0:img_9), or a file of them; once for each",
    )
    command.add_argument("--standardize", action="store_true", help="z-score the columns of a file")
    for flag, kind, told in LAYOUT:
        command.add_argument(f"--{flag}", metavar=kind, help=told)
    command.add_argument("--na", action="append", metavar="CODE", help="a code for a missing value, such as -9999")
    command.add_argument("--classes", action="store_true", help="the target's numbers are classes (text always is)")
    command.add_argument("--depth", type=whole, help="total depth L (default 2)")
    command.add_argument("--fusion-depth", type=whole, help="layer of fusion L_f (default 2)")
    command.add_argument(
        "--branch",
        action="append",
        default=[],
        metavar="NAME=LAYERS",
        help="layers of one modality's branch, once for each, instead of --depth and --fusion-depth",
    )
    command.add_argument("--trunk", type=whole, help="layers after the fusion, with --branch (default 0)")
    command.add_argument("--u0", type=real, help="norm of every pre-fusion layer at t = 0 (default 1e-3)")
    command.add_argument("--json", action="store_true", help="print JSON")
    return command


def add_recipe(command: argparse.ArgumentParser) -> None:
    """How the network is trained."""
    group = command.add_argument_group("recipe", "how it is trained, beside plain gradient descent")
    group.add_argument("--optimizer", metavar="NAME", help="sgd (default), adam, adamw, rmsprop, sign")
    group.add_argument("--momentum", type=real, help="of the optimizer")
    group.add_argument("--nesterov", action="store_true", default=None, help="momentum that looks ahead")
    group.add_argument("--weight-decay", type=real, metavar="LAMBDA", help="of every layer, in the loss or SGD's own")
    group.add_argument("--batch-size", type=whole, metavar="ROWS", help="rows of a step (default: all)")
    group.add_argument(
        "--loss", metavar="NAME", help="squared (default), logistic of two classes, cross_entropy of any"
    )
    each = "append"
    group.add_argument(
        "--rate",
        action=each,
        metavar="NAME=FACTOR",
        help="on the learning rate of a branch, in late fusion with its part of the head",
    )
    group.add_argument("--dropout", action=each, metavar="NAME=P", help="probability that a modality is masked")
    group.add_argument("--unimodal-loss", type=real, metavar="WEIGHT", help="of the loss of each modality alone")
    group.add_argument("--ogm", type=real, metavar="ALPHA", help="of on-the-fly gradient modulation")


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe of a command line."""
    from dynamics.recipe import Recipe

    names = ("optimizer", "momentum", "nesterov", "weight_decay", "batch_size", "loss", "unimodal_loss", "ogm")
    asked: dict[str, Any] = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    for flag, name in (("rate", "rates"), ("dropout", "dropout")):
        pairs = [_named_number(text, flag) for text in getattr(options, flag) or ()]
        twice = [m for i, (m, _) in enumerate(pairs) if m in dict(pairs[:i])]
        if twice:
            raise DomainError(f"--{flag} names {twice[0]} twice")
        asked |= {name: dict(pairs)} if pairs else {}
    rate = getattr(options, "learning_rate", None)
    other = getattr(options, "init", None) is not None or getattr(options, "activation", "linear") != "linear"
    if rate is not None and not other:  # there it is a unit of steps alone
        asked["learning_rate"] = rate
    return Recipe(**asked)


def _named_number(text: str, flag: str) -> tuple[str, float]:
    name, sign, value = text.rpartition("=")
    try:
        return (name, real(value)) if sign and name else _refused(text, flag)
    except argparse.ArgumentTypeError:
        return _refused(text, flag)


def _refused(text: str, flag: str) -> tuple[str, float]:
    raise DomainError(f"--{flag} must be NAME=NUMBER, such as --{flag} A=0.5, got {text!r}")


def add_init(command: argparse.ArgumentParser, text: str) -> None:
    names = ("pytorch", "kaiming", "xavier", "lecun")
    command.add_argument("--init", choices=names, help=f"{text} (pytorch: nn.Linear's own)")


def add_start(command: argparse.ArgumentParser) -> None:
    command.add_argument("--width", type=whole, help="hidden units (default 100, or more where there are more inputs)")
    command.add_argument(
        "--learning-rate",
        type=real,
        help="of gradient descent (default: scales with the data; report: no descent); simulate needs --method descent",
    )


def given(options: argparse.Namespace, *names: str) -> list[str]:
    """The flags among these that the command line has."""
    return [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) is not None]


def problem_of(options: argparse.Namespace, told: bool = True) -> tuple[FusionNetwork, Correlations]:
    """Network and data of a command line; what a reader did to the table is told at once, but by answers that do."""
    if (options.data is None) == (options.example is None):
        raise DataError("give a DATA file or --example NAME, one of the two")
    if options.example is not None:
        from dynamics.data.examples import load_example

        refuse_file_flags(options, "goes with a DATA file; an example has its own blocks and is z-scored")
        data = load_example(options.example)
    else:
        from dynamics.data.reading import read_table

        modalities = _modalities(options.modality)
        if modalities is None and not options.data.lower().endswith(".npz"):
            raise DataError("name the columns of each modality: --modality NAME=column1,column2, once for each")
        layout = {name: value for name, _, _ in LAYOUT if (value := getattr(options, name)) is not None}
        target = _columns("y" if options.target is None else options.target, "--target")
        data = read_table(
            options.data,
            target,
            modalities,
            options.standardize,
            classes=options.classes,
            na=options.na or (),
            **layout,
        )
    if len(data.sigma) > MANY_INPUTS:
        say(f"{len(data.sigma)} inputs: some {2 * (len(data.sigma) / 1000) ** 3:.0f} s of linear algebra ...")
    for note in data.notes if told else ():
        say(f"data: {note}")
    return network_of(options, data.modalities), data


def refuse_file_flags(options: argparse.Namespace, why: str) -> None:
    """Where no file is read: refuse the first flag that says how to."""
    flags = ("modality", "standardize", "target", "na", "classes", *(name for name, _, _ in LAYOUT))
    unused = [f"--{name}" for name in flags if getattr(options, name) not in (None, False, [])]
    if unused:
        raise DataError(f"{unused[0]} {why}")


def network_of(options: argparse.Namespace, modalities: tuple[str, ...]) -> FusionNetwork:
    """Equal branches by --depth and --fusion-depth, or any by --branch and --trunk."""
    from derivations.network import FusionNetwork

    if not options.branch:
        if options.trunk is not None:
            raise DomainError("--trunk goes with --branch; without it the trunk is --depth minus --fusion-depth")
        depth = 2 if options.depth is None else options.depth
        return FusionNetwork.fused_at(depth, 2 if options.fusion_depth is None else options.fusion_depth, modalities)
    equal = given(options, "depth", "fusion_depth")
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


def u0_of(options: argparse.Namespace) -> float:
    if options.u0 is not None and getattr(options, "init", None) is not None:
        raise DomainError("--u0 and --init say the same: give one of the two")
    return 1e-3 if options.u0 is None else float(options.u0)


def _columns(text: str, flag: str) -> list[str]:
    """Names separated by commas; one that holds a comma stands in quotation marks, as in a CSV."""
    try:
        names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True, strict=True), [])]
    except csv.Error:
        names = []
    if not names or not all(names):
        raise DataError(f"{flag} must look like C1,C2 (a name with a comma in quotation marks), got {text!r}")
    return names


def _modalities(flags: list[str]) -> dict[str, list[str]] | None:
    found: dict[str, list[str]] = {}
    for flag in flags:
        name, equals, columns = flag.partition("=")
        if not equals or not name or not columns:
            raise DataError(f"--modality must look like NAME=column1,column2, got {flag!r}")
        if name in found:
            raise DataError(f"--modality {name!r} is given twice")
        found[name] = _columns(columns, "--modality NAME=")
    return found or None
