"""What several families of commands share: their common options, and network and data from them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from derivations import DataError, DomainError

if TYPE_CHECKING:
    from derivations.correlations import Correlations
    from derivations.network import FusionNetwork

DATA = """DATA is a CSV with a header, a .npy or a .parquet (name columns with --target and --modality), or a .npz
with sigma, sigma_yx, sizes, or with one array per modality and the target. Columns and target are centred.
Times are in units of tau = 1/learning rate, for a loss of half the mean squared error."""
Action = Callable[[argparse.Namespace], int]


def whole(text: str) -> int:
    """A whole number in plain digits: Python would take 1_0 and digits of other scripts."""
    if not re.fullmatch(r"[+-]?[0-9]{1,400}", text):
        raise argparse.ArgumentTypeError(f"not a whole number: {text[:80]!r}")
    return int(text)


def real(text: str) -> float:
    if not re.fullmatch(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|inf|nan)", text):
        raise argparse.ArgumentTypeError(f"not a number: {text[:80]!r}")
    return float(text)


def add_command(commands: Any, name: str, run: Action, text: str) -> argparse.ArgumentParser:
    """A command that asks about a network and data."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text}. {DATA}")
    command.set_defaults(run=run)
    command.add_argument("data", nargs="?", metavar="DATA", help="CSV or .npz file")
    command.add_argument("--example", metavar="NAME", help="diabetes, star98 or linnerud instead of a file (z-scored)")
    command.add_argument("--target", metavar="C1,C2", help="column or array of the target, or of several (default y)")
    command.add_argument(
        "--modality", action="append", default=[], metavar="NAME=C1,C2", help="columns of a modality; once for each"
    )
    command.add_argument("--standardize", action="store_true", help="z-score the columns of a file")
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


def add_init(command: argparse.ArgumentParser, text: str) -> None:
    names = ("pytorch", "kaiming", "xavier", "lecun")
    command.add_argument("--init", choices=names, help=f"{text} (pytorch: nn.Linear's own)")


def add_start(command: argparse.ArgumentParser) -> None:
    command.add_argument("--width", type=whole, default=100, help="hidden units (default 100)")
    command.add_argument(
        "--learning-rate",
        type=real,
        help="of gradient descent (default: scales with the data; report: no descent); simulate needs --method descent",
    )


def given(options: argparse.Namespace, *names: str) -> list[str]:
    """The flags among these that the command line has."""
    return [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) is not None]


def problem_of(options: argparse.Namespace) -> tuple[FusionNetwork, Correlations]:
    """Network and data of a command line."""
    from dynamics.data.examples import load_example
    from dynamics.data.reading import read_table

    if (options.data is None) == (options.example is None):
        raise DataError("give a DATA file or --example NAME, one of the two")
    if options.example is not None:
        unused = [f"--{name}" for name in ("modality", "standardize", "target") if getattr(options, name)]
        if unused:
            raise DataError(f"{unused[0]} goes with a DATA file; an example has its own blocks and is z-scored")
        data = load_example(options.example)
    else:
        modalities = _modalities(options.modality)
        if modalities is None and not options.data.lower().endswith(".npz"):
            raise DataError("name the columns of each modality: --modality NAME=column1,column2, once for each")
        data = read_table(options.data, _targets(options.target or "y"), modalities, options.standardize)
    return network_of(options, data.modalities), data


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
