"""The command `fusion-dynamics`: results on standard output, progress on standard error.

Exit status 0; 1 a computation failed; 2 usage or bad input; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from derivations import DataError, DomainError, SolveError, StoreError
from dynamics.interface.commands import completing, deriving, exploring, predicting, reproducing, simulating
from dynamics.interface.commands.options import Paragraphs
from dynamics.messages import aside, one_line

COMMANDS = (  # as `--help` lists them
    predicting.add_predict,
    predicting.add_prescribe,
    simulating.add_simulate,
    predicting.add_compare,
    predicting.add_report,
    deriving.add_fixed_points,
    reproducing.add_figure,
    reproducing.add_table,
    simulating.add_sweep,
    exploring.add_explore,
    deriving.add_derive,
    completing.add_completion,
)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, whatever characters an argument has."""

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message, 2000))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    if sys.stderr is None:  # closed by the shell, as in 2>&-: `print` would take standard output in its place
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    options = _parser().parse_args(arguments)
    options.words = list(sys.argv[1:] if arguments is None else arguments)  # for a report, which says how it was made
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a sign shows its code
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = int(options.run(options))
        if sys.stdout is not None:  # closed by the shell, as in >&-
            sys.stdout.flush()
        return status
    except (DataError, DomainError) as error:
        return _failed(error, 2)
    except (SolveError, StoreError) as error:
        return _failed(error, 1)
    except MemoryError:
        return _failed("not enough memory: fewer seeds, points or hidden units", 1)
    except KeyboardInterrupt:
        return _failed("interrupted", 130)
    except BrokenPipeError:  # the reader of our output has left, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # the results could not be printed: a full disk behind a redirection
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _failed(f"output not written: {error.strerror}", 1)


def _failed(why: object, status: int) -> int:
    aside(f"fusion-dynamics: {why}")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fusion-dynamics",
        formatter_class=Paragraphs,
        description="Example: fusion-dynamics predict --example diabetes\n\n"
        "Which modality a multimodal linear network learns first, and when the second. "
        "COMMAND --help begins with an example, too.",
    )
    parser.add_argument("--version", action="version", version=f"fusion-dynamics {version('fusion-dynamics')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return parser
