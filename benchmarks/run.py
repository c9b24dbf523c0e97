"""What the main job costs: medians of single-thread wall times with the error beside them; --save writes RESULTS.md.

Run it alone on the machine: OMP_NUM_THREADS=1 python benchmarks/run.py [--save]
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from dynamics import Correlations, FusionNetwork, integrate, integrate_reduced, load_example, predict

DATA = Correlations.scalar(2, 1, 0.5)


def median_ms(work: Callable[[], object], runs: int = 11) -> float:
    """Median wall time of `runs` calls after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def process_ms(code: str, runs: int = 7) -> float:
    """Median wall time of a Python process that runs `code`, less that of an empty one, measured in turn."""
    extra = []
    for _ in range(runs):
        times = []
        for source in ("pass", code):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", source], check=True)
            times.append(time.perf_counter() - begin)
        extra.append(times[1] - times[0])
    return 1e3 * statistics.median(extra)


def rows() -> list[tuple[str, str, str, str]]:
    """(what, median, goal, error): error against the same road at a hundredfold tighter tolerance."""
    found = []
    lazy = "from dynamics import Correlations, FusionNetwork"
    first = f"{lazy}, predict; predict(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, .5))"
    found.append(("import dynamics", f"{process_ms('import dynamics'):.0f} ms", "1 s", ""))
    found.append(("import and build network and data", f"{process_ms(lazy):.0f} ms", "1 s", ""))
    found.append(("first predict of a process, imports included", f"{process_ms(first):.0f} ms", "1.5 s", ""))
    cases = [("(2, 2), u0 = 1e-3", FusionNetwork.fused_at(2, 2), DATA, 1e-3)]
    cases += [("(4, 3), u0 = 1e-2", FusionNetwork.fused_at(4, 3), DATA, 1e-2)]
    cases += [("(4, 4), u0 = 1e-2", FusionNetwork.fused_at(4, 4), DATA, 1e-2)]
    for name in ("diabetes", "star98", "linnerud"):
        data = load_example(name)
        cases.append((f"{name} (2, 2), u0 = 1e-3", FusionNetwork.fused_at(2, 2, data.modalities), data, 1e-3))
    for label, net, data, u0 in cases:
        cost = median_ms(lambda net=net, data=data, u0=u0: predict(net, data, u0=u0))
        run, tight = (integrate_reduced(net, data, u0=u0, rtol=r) for r in (1e-8, 1e-11))
        error = max(abs(run.times[m] / tight.times[m] - 1) for m in run.order)
        found.append((f"predict, {label}", f"{cost:.0f} ms", "50 ms", f"{error:.0e}"))
    for label, net, u0, t_end in [("(2, 2), u0 = 1e-3", FusionNetwork.fused_at(2, 2), 1e-3, None)]:
        cost = median_ms(lambda net=net, u0=u0, t_end=t_end: integrate(net, DATA, u0=u0, t_end=t_end), 5)
        run, tight = (integrate(net, DATA, u0=u0, rtol=r) for r in (1e-6, 1e-9))
        error = max(abs(run.times[m] / tight.times[m] - 1) for m in run.order)
        found.append((f"integrate, {label}, width 100", f"{cost:.0f} ms", "", f"{error:.0e}"))
    return found


def main() -> None:
    head = ("what", "median", "goal", "error of half-times")
    table = rows()
    lines = ["| " + " | ".join(row) + " |" for row in (head, ("---",) * 4, *table)]
    packages = ", ".join(f"{p} {version(p)}" for p in ("numpy", "scipy", "sympy"))
    machine = f"{platform.machine()}, one thread, shared machine"
    note = f"Python {platform.python_version()}, {packages}, fusion-dynamics {version('fusion-dynamics')}; {machine}."
    text = "# Results\n\n" + "\n".join(lines) + f"\n\n{note} Made by `benchmarks/run.py --save`.\n"
    print(text)
    if "--save" in sys.argv:
        (Path(__file__).parent / "RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()
