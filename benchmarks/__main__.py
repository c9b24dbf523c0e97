"""`OMP_NUM_THREADS=1 python -m benchmarks [--save]`, alone on the machine; needs torch and diffrax as baselines."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks import deep, engine, rivals, usual
from benchmarks.timing import Row

HERE = Path(__file__).parent


def table(rows: list[Row]) -> str:
    head = ("what", "cost (median)", "goal", "ratio", "error of half-times")
    cells = [head, ("---",) * 5, *((r.what, r.cost, r.goal, r.ratio, r.error) for r in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def main() -> None:
    if os.environ.get("OMP_NUM_THREADS") != "1":
        sys.exit("set OMP_NUM_THREADS=1: costs are of one thread")
    parts = {
        "In multiples of eigh": deep.rows,
        "The engine": engine.rows,
        "General solvers": rivals.rows,
        "Predictions and single runs": usual.rows,
    }
    used = ("numpy", "scipy", "sympy", "torch", "jax", "diffrax", "fusion-dynamics")
    packages = ", ".join(f"{p} {version(p)}" for p in used)
    text = "# Results\n\n"
    text += f"Python {platform.python_version()}, {packages}; {platform.machine()}, {os.cpu_count()} shared cores, "
    text += "one thread. Made by `python -m benchmarks --save`. Medians; what is compared was run in turn.\n"
    print(text)
    for title, measured in parts.items():
        part = f"\n## {title}\n\n{table(measured())}\n"
        print(part, flush=True)
        text += part
    text += "\n" + (HERE / "NOTES.md").read_text()
    if "--save" in sys.argv:
        (HERE / "RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()
