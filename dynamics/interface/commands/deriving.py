"""What is known without data: fixed points and saddles, and the ledger of equations."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from derivations import DataError, DomainError
from dynamics.files import write_whole
from dynamics.interface.commands.options import (
    add_command,
    add_plain,
    network_of,
    problem_of,
    refuse_file_flags,
    u0_of,
    whole,
)
from dynamics.interface.outputs import answer, as_json, check_target, draw_to_files, save_figure
from dynamics.messages import aside

if TYPE_CHECKING:
    from derivations import Correlations


def add_fixed_points(commands: Any) -> None:
    fixed = add_command(
        commands,
        "fixed-points",
        _fixed_points,
        "fixed points and saddles: dimension, signature, loss, ways out",
        "--depth 3 --fusion-depth 2",
    )
    fixed.add_argument("--width", type=whole, help="hidden units (default: counts are expressions in h)")
    fixed.add_argument("--equations", action="store_true", help="print the equations of every stratum")
    fixed.add_argument("--plot", metavar="FILE", help="save the phase portrait of the first two modalities")


def _fixed_points(options: argparse.Namespace) -> int:
    from derivations.critical.manifolds import fixed_points
    from dynamics.interface.pages.critical_table import critical_table, to_dict

    known = options.data is not None or options.example is not None
    if options.plot and not known:
        raise DataError("--plot needs numbers: give a DATA file or --example NAME")
    if options.u0 is not None and not options.plot:
        raise DomainError("--u0 goes with --plot, whose run starts from it; critical points depend on no start")
    if options.plot:
        draw_to_files(options.plot, options.data)
    if known:
        network, data = problem_of(options)
    else:
        refuse_file_flags(options, "goes with a DATA file")
        names = tuple(dict.fromkeys(flag.rpartition("=")[0] for flag in options.branch)) or ("A", "B")
        network, data = network_of(options, names), None
    if options.plot and data is not None:
        from dynamics.runs.planes import plane_of

        plane_of(network, data, None, None)  # what has none is refused before the work
    manifolds = fixed_points(network, data, options.width)
    if options.json:
        text = as_json([to_dict(m) for m in manifolds])
    else:
        equations = [str(stratum) for m in manifolds for stratum in m.strata] if options.equations else []
        text = "\n".join([str(critical_table(manifolds)), *([""] if equations else []), *equations])

    def draw(data: Correlations) -> None:
        from dynamics.runs.portraits import portrait
        from dynamics.simulation.flow import integrate

        run = integrate(network, data, u0=u0_of(options), width=options.width or 100)
        save_figure(portrait(network, data, runs=[run]).plot(), options.plot)

    answer(text, None if not options.plot or data is None else partial(draw, data))
    return 0


def add_derive(commands: Any) -> None:
    derive = add_plain(
        commands, "derive", _derive,
        "the ledger: every numbered equation, derived and checked; or one with its derivation",
        usage="[NUMBER] [--latex | --json | --html FILE]", example="44a",
        description="Every numbered equation of the paper (1-62) and ours (from 101): what is printed, what follows "
        "from (1), (2) and the loss, and the status that comparing the two gives. With NUMBER the derivation of one "
        "equation, from the definitions to itself. Status 1 if a check fails.",
    )  # fmt: skip
    derive.add_argument("number", nargs="?", metavar="NUMBER", help="44, or one part: 44a")
    form = derive.add_mutually_exclusive_group()
    form.add_argument("--latex", action="store_true", help="print LaTeX")
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--html", metavar="FILE", help="write one self-contained page with typeset mathematics")


def _derive(options: argparse.Namespace) -> int:
    from derivations.algebra.entry import Status
    from derivations.equations import Ledger, latex_document, ledger, to_dict
    from dynamics.interface.pages.ledger_pages import derivation_text, ledger_table, page

    book = ledger()
    chosen = book.entries if options.number is None else book.derivation(options.number)
    if options.html:
        check_target(options.html, "--html")
        write_whole(options.html, page(Ledger(chosen), progress=_counter(len(chosen))).encode(), "page")
    elif options.json:
        shown = chosen if options.number is None else book.numbered(options.number)
        print(as_json([to_dict(entry) for entry in shown]))
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
        aside(f"  {len(seen)} of {total}: ({name})    ", end)

    return count
