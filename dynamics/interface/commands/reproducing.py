"""The paper again: its figures, and table 1 on noisy digits."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from derivations import DataError, DomainError
from dynamics.interface.commands.options import add_plain, given, real, whole
from dynamics.interface.outputs import answer, as_json, at_work, check_figure, check_target, save_figure, say

if TYPE_CHECKING:
    from dynamics.nonlinear.mnist.families import Family
    from dynamics.nonlinear.mnist.setting import Setting
    from dynamics.paper.reproduction import Reproduction

CHANGES = ("width", "learning_rate", "train_images", "shrink", "every", "b_corrupted", "a_corrupted")


def add_figure(commands: Any) -> None:
    figure = add_plain(
        commands, "figure", _figure,
        "a figure of the paper from this code, with the numbers behind it (seconds to minutes)",
        usage="NUMBER [options]", example="3 -o figure-3.png",
        description="Figures of the paper: simulations, laws, and checks of one against the other. The picture and the "
        "numbers drawn (JSON) are saved; the checks are printed. Status 1 if a check fails.",
    )  # fmt: skip
    figure.add_argument("number", metavar="NUMBER", help="1-14, or all (13 needs --images)")
    figure.add_argument("-o", "--output", metavar="FILE", help="default figure-N.png; with all: a folder (default .)")
    figure.add_argument("--data", metavar="FILE.json", help="the numbers drawn (default: beside the picture)")
    figure.add_argument("--seeds", type=whole, metavar="N", help="seeds 0 to N-1 (default: 5, figure 12: 20)")
    figure.add_argument("--json", action="store_true", help="print the checks as JSON")
    figure.add_argument("--store", metavar="FOLDER", help="figures 7, 14: runs of `table 1`, instead of the package's")
    figure.add_argument("--images", metavar="FOLDER", help="figure 13: the IDX files of MNIST")


def _figure(options: argparse.Namespace) -> int:
    """One figure, or all of them: each is saved as soon as it is done."""
    import matplotlib

    from dynamics.paper.experiments import EXPERIMENTS
    from dynamics.paper.gallery import PICTURED, TRAINED, reproduce

    matplotlib.use("Agg")
    every = options.number == "all"
    if not every and not (options.number.isascii() and options.number.isdigit()):
        raise DomainError(f"figure must be one of {', '.join(map(str, EXPERIMENTS))} or all, got {options.number!r}")
    if every and options.data is not None:
        raise DomainError("--data names the file of one figure; with all the numbers lie beside the pictures")
    targets = {}
    left_out = PICTURED if every and options.images is None else ()  # MNIST's images are not ours to ship
    for n in [n for n in EXPERIMENTS if n not in left_out] if every else (int(options.number),):
        folder = options.output or "."
        picture = os.path.join(folder, f"figure-{n}.png") if every else options.output or f"figure-{n}.png"
        numbers = options.data or f"{os.path.splitext(picture)[0]}.json"
        targets[n] = picture, numbers
        check_figure(picture, "-o")
        if not numbers.lower().endswith(".json"):
            raise DomainError(f"--data, where the figure's numbers are written, must end in .json, got {numbers!r}")
        check_target(numbers, "--data")
    found = []
    for n, (picture, numbers) in targets.items():
        result = reproduce(
            n, seeds=options.seeds, progress=at_work(f"figure {n}: "),
            store=options.store if n in TRAINED or not every else None,
            images=options.images if n in PICTURED or not every else None,
        )  # fmt: skip
        found.append(result)
        save = partial(_save, result, picture, numbers)
        if options.json:
            save()
        else:
            answer(result, save, end="\n\n" if every else "\n")
    if options.json:
        checks = [{"figure": r.number, "holds": r.holds, "checks": [c.to_dict() for c in r.checks]} for r in found]
        print(as_json(checks if every else checks[0]))
    return 0 if all(r.holds for r in found) else 1


def _save(result: Reproduction, picture: str, numbers: str) -> None:
    save_figure(result.plot(), picture)
    result.save(numbers)
    say(f"{picture}, {numbers}")


def add_table(commands: Any) -> None:
    table = add_plain(
        commands, "table", _table, "a table of the paper: 1, time ratios on noisy MNIST",
        usage="NUMBER [options]", example="1",
        description="Table 1 of the paper: how much later the second modality is learned, for each fusion depth. "
        "Without options it prints the runs that come with the package. With --images (a folder with the four IDX "
        "files of MNIST) it trains what --store does not hold yet (PyTorch; minutes a run); each epoch is kept, and a "
        "killed command goes on from there. Two such commands can share a store.",
    )  # fmt: skip
    table.add_argument("number", metavar="NUMBER", help="1")
    table.add_argument("--images", metavar="FOLDER", help="the IDX files of MNIST, plain or .gz: train")
    table.add_argument("--store", metavar="FOLDER", help="trained runs; alone: the table of these")
    table.add_argument("--network", choices=("mlp", "cnn"), help="with --images: default mlp; else: both")
    table.add_argument("--seeds", type=whole, metavar="N", help="seeds 0 to N-1 (default 5)")
    table.add_argument("--max-epochs", type=whole, metavar="N", help="where to give a run up (default 200)")
    table.add_argument("--threads", type=whole, metavar="N", help="of PyTorch (default 1)")
    table.add_argument("--width", type=whole, help="hidden units, or channels (default 500, or 32)")
    table.add_argument("--learning-rate", type=real, help="at the start (default 0.04, or 0.002)")
    table.add_argument("--train-images", type=whole, metavar="N", help="the first N of the file (default 60000)")
    table.add_argument("--shrink", type=whole, metavar="K", help="images as means over K x K pixels (default 1)")
    table.add_argument("--every", type=whole, metavar="STEPS", help="between measurements (default 20, or 60)")
    table.add_argument("--b-corrupted", type=real, metavar="P", help="probability (default 0.6)")
    table.add_argument("--a-corrupted", type=real, metavar="P", help="probability (default 0.2)")
    table.add_argument("--json", action="store_true", help="print JSON")


def _table(options: argparse.Namespace) -> int:
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
        unused = given(options, *CHANGES, "seeds", "max_epochs", "threads")
        if unused:
            raise DomainError(f"{unused[0]} is for training: give --images, too")
        runs = shipped() if options.store is None else stored(Path(options.store))
        found = families(runs, shipped_theory())
        if not found:
            raise DomainError(f"--store {options.store!r} holds no trained networks")
        if options.network is not None:
            found = [f for f in found if f.setting.network is Network(options.network)]
    if options.json:
        print(as_json([family.to_dict() for family in found]))
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
    seeds, epochs, threads = (
        checked_integer(default if getattr(options, name) is None else getattr(options, name), name, 1)
        for name, default in (("seeds", 5), ("max_epochs", 200), ("threads", 1))
    )
    setting = _setting(options)
    require_torch()
    digits = read_images(options.images)
    data = prepared(digits, setting.images, setting.shrink)
    runs = train_missing(
        setting, data, Path(options.store), seeds=range(seeds), max_epochs=epochs, threads=threads, progress=say
    )
    if not runs:
        raise DomainError("every run is in the hands of another process: nothing to show yet")
    (family,) = families(runs)
    say("the linear law of these images ...")
    count = setting.images
    known = linear_theory(digits.train_images[:count], digits.train_labels[:count], family.setting)
    return families(runs, [known])[0]


def _setting(options: argparse.Namespace) -> Setting:
    from dynamics.nonlinear.mnist.setting import PAPER, Network

    changed = {name: getattr(options, name) for name in CHANGES if getattr(options, name) is not None}
    if "train_images" in changed:
        changed["images"] = changed.pop("train_images")
    return replace(PAPER[Network(options.network or "mlp")], **changed)
