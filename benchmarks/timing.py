"""How the benchmarks measure: medians of wall times on one thread, things compared taken in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A line of RESULTS.md: what, cost, goal, ratio to what a user would otherwise run, and the error beside it."""

    what: str
    cost: str
    goal: str = ""
    ratio: str = ""
    error: str = ""


def medians(works: Sequence[Callable[[], object]], runs: int) -> list[float]:
    """Median seconds of each, taken in turn, after one round that is not counted."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(runs + 1):
        for i, work in enumerate(works):
            begin = time.perf_counter()
            work()
            if turn:
                times[i].append(time.perf_counter() - begin)
    return [statistics.median(t) for t in times]


def process_seconds(code: str, runs: int = 7) -> float:
    """Median wall time of a Python process that runs `code`, less that of an empty one, measured in turn."""
    with_code, empty = (
        lambda source=source: subprocess.run([sys.executable, "-c", source], check=True) for source in (code, "pass")
    )
    first, second = medians([with_code, empty], runs)
    return first - second


def shown(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.0f} ms"
