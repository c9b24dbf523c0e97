"""Long measurements, part by part: each one's rows are kept in a file, and the same command goes on with the rest."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Parts = Mapping[tuple[Any, ...], Callable[[], Iterable[Row]]]


def rows_in(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measure(path: Path, minutes: float, parts: Parts, key: tuple[str, ...]) -> None:
    """Add to the file the rows of the parts that it lacks, in their order; no part is begun after these minutes.

    key : entries of a row that tell its part
    """
    done = {tuple(row[name] for name in key) for row in rows_in(path)}
    left = [part for part in parts if part not in done]
    stop = time.monotonic() + 60 * minutes
    for i, part in enumerate(left):
        if time.monotonic() > stop:
            print(f"{len(left) - i} of {len(parts)} parts left: the same command goes on", file=sys.stderr)
            return
        began = time.monotonic()
        rows = list(parts[part]())
        with path.open("a") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)
        told = f"{len(parts) - len(left) + i + 1} of {len(parts)}: {', '.join(map(str, part))}"
        print(f"{told}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def command(
    about: str | None, parts: Parts, key: tuple[str, ...], report: Callable[[Path], str], file: Path, minutes: float
) -> None:
    """`--measure FILE`, then `--report FILE`, which `--save` writes into `file`; PyTorch takes one thread."""
    import torch

    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=Path, metavar="FILE", help="add to FILE what it lacks")
    parser.add_argument("--minutes", type=float, default=minutes, help="after which no part is begun")
    parser.add_argument("--report", type=Path, metavar="FILE", help="what FILE says")
    parser.add_argument("--save", action="store_true", help=f"the report into {file.name}")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        measure(options.measure, options.minutes, parts, key)
    if options.report:
        text = report(options.report)
        print(text)
        if options.save:
            file.write_text(text)
    if not (options.measure or options.report):
        parser.error("give --measure FILE or --report FILE")
