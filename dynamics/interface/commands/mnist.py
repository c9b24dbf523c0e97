"""The commands on noisy digits: table 1, and what figures 7, 13, 14 need. `cli` registers them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from derivations.errors import DataError, DomainError
from dynamics.interface.commands.arguments import integer, real

if TYPE_CHECKING:
    from dynamics.nonlinear.mnist.families import Family
    from dynamics.nonlinear.mnist.setting import Setting

CHANGES = ("width", "learning_rate", "train_images", "shrink", "every", "b_corrupted", "a_corrupted")
ABOUT = """Table 1 of the paper: how much later the second modality is learned, for each fusion depth. Without options
it prints the runs that come with the package. With --images (a folder with the four IDX files of MNIST) it trains what
--store does not hold yet (PyTorch; minutes a run); each epoch is kept, and a killed command goes on from there. Two
such commands can share a store."""


def add_table_parser(commands: Any) -> None:
    table = commands.add_parser("table", help="a table of the paper: 1, time ratios on noisy MNIST", description=ABOUT)
    table.set_defaults(run=table_command)
    table.add_argument("number", metavar="NUMBER", help="1")
    table.add_argument("--images", metavar="FOLDER", help="the IDX files of MNIST, plain or .gz: train")
    table.add_argument("--store", metavar="FOLDER", help="trained runs; alone: the table of these")
    table.add_argument("--network", choices=("mlp", "cnn"), help="with --images: default mlp; else: both")
    table.add_argument("--seeds", type=integer, metavar="N", help="seeds 0 to N-1 (default 5)")
    table.add_argument("--max-epochs", type=integer, metavar="N", help="where to give a run up (default 200)")
    table.add_argument("--threads", type=integer, metavar="N", help="of PyTorch (default 1)")
    table.add_argument("--width", type=integer, help="hidden units, or channels (default 500, or 32)")
    table.add_argument("--learning-rate", type=real, help="at the start (default 0.04, or 0.002)")
    table.add_argument("--train-images", type=integer, metavar="N", help="the first N of the file (default 60000)")
    table.add_argument("--shrink", type=integer, metavar="K", help="images as means over K x K pixels (default 1)")
    table.add_argument("--every", type=integer, metavar="STEPS", help="between measurements (default 20, or 60)")
    table.add_argument("--b-corrupted", type=real, metavar="P", help="probability (default 0.6)")
    table.add_argument("--a-corrupted", type=real, metavar="P", help="probability (default 0.2)")
    table.add_argument("--json", action="store_true", help="print JSON")


def add_figure_options(figure: argparse.ArgumentParser) -> None:
    figure.add_argument("--store", metavar="FOLDER", help="figures 7, 14: runs of `table 1`, instead of the package's")
    figure.add_argument("--images", metavar="FOLDER", help="figure 13: the IDX files of MNIST")


def table_command(options: argparse.Namespace) -> int:
    """Train what is missing, where images are given; print what there is."""
    from dynamics.nonlinear.mnist.campaign import shipped, stored
    from dynamics.nonlinear.mnist.families import families
    from dynamics.nonlinear.mnist.linear_theory import shipped_theory
    from dynamics.nonlinear.mnist.setting import CHOSEN, Network

    if options.number != "1":
        raise DomainError(f"table must be 1, the only one of the paper, got {options.number!r}")
    if options.images is not None:
        found = [_trained(options)]
    else:
        for name in (*CHANGES, "seeds", "max_epochs", "threads"):
            if getattr(options, name) is not None:
                raise DomainError(f"--{name.replace('_', '-')} is for training: give --images, too")
        runs = shipped() if options.store is None else stored(Path(options.store))
        found = families(runs, shipped_theory())
        if options.network is not None:
            found = [f for f in found if f.setting.network is Network(options.network)]
    if options.json:
        print(json.dumps([family.to_dict() for family in found], indent=2, allow_nan=False))
    else:
        print("\n\n".join([*(str(family) for family in found), f"{CHOSEN[0].upper()}{CHOSEN[1:]}."]))
    return 0


def _trained(options: argparse.Namespace) -> Family:
    from dynamics.checks import checked_integer
    from dynamics.nonlinear.mnist.campaign import train_missing
    from dynamics.nonlinear.mnist.families import families
    from dynamics.nonlinear.mnist.idx import read_images
    from dynamics.nonlinear.mnist.linear_theory import linear_theory
    from dynamics.nonlinear.mnist.setting import require_torch
    from dynamics.nonlinear.mnist.training import prepared

    if options.store is None:
        raise DataError("--images needs --store FOLDER, where trained runs are kept")
    seeds = checked_integer(5 if options.seeds is None else options.seeds, "seeds", 1)
    epochs = checked_integer(200 if options.max_epochs is None else options.max_epochs, "max_epochs", 1)
    threads = checked_integer(1 if options.threads is None else options.threads, "threads", 1)
    setting = _setting(options)
    require_torch()
    digits = read_images(options.images)
    data = prepared(digits, setting.images, setting.shrink)
    runs = train_missing(
        setting, data, Path(options.store), seeds=range(seeds), max_epochs=epochs, threads=threads,
        progress=lambda line: print(f"  {line}", file=sys.stderr, flush=True),
    )  # fmt: skip
    (family,) = families(runs) if runs else [None]
    if family is None:
        raise DomainError("every run is in the hands of another process: nothing to show yet")
    print("  the linear law of these images ...", file=sys.stderr, flush=True)
    count = setting.images
    known = linear_theory(digits.train_images[:count], digits.train_labels[:count], family.setting)
    return families(runs, [known])[0]


def _setting(options: argparse.Namespace) -> Setting:
    from dataclasses import replace

    from dynamics.nonlinear.mnist.setting import PAPER, Network

    given = {name: getattr(options, name) for name in CHANGES if getattr(options, name) is not None}
    if "train_images" in given:
        given["images"] = given.pop("train_images")
    return replace(PAPER[Network(options.network or "mlp")], **given)
