"""Deep single flows, sweeps and predictions, in multiples of `numpy.linalg.eigh` of order 1000 in the same run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.timing import Row, medians, process_seconds, shown
from dynamics import Correlations, FusionNetwork, integrate, predict, sweep

DATA = Correlations.scalar(2, 1, 0.5)
FLOWS = {(4, 4, 0.1): 1, (6, 6, 0.3): 6, (8, 8, 0.3): 12, (4, 3, 1e-9): 8}  # L, L_f, u0 -> goal in multiples
POINTS = {"depth": 2, "fusion_depth": 2, "sigma_a": np.linspace(1.2, 3, 20).tolist(), "u0": 1e-3,
          "rho": np.linspace(-0.5, 0.5, 20).tolist(), "seed": list(range(10))}  # fmt: skip
COLD = "from dynamics.interface.cli import main; main(['predict', '--example', 'diabetes'])"


def yardstick() -> Callable[[], object]:
    drawn = np.random.default_rng(0).normal(size=(1000, 1000))
    return partial(np.linalg.eigh, drawn @ drawn.T)


def rows() -> list[Row]:
    """Errors: half-times against every weight at width 100, rtol 1e-8 (same integrators, no compression)."""
    begun = iter(range(10**6))

    def scalar() -> object:  # data of its own each time, so that nothing is kept
        return predict(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.4 + 1e-4 * next(begun)))

    flows = [partial(integrate, FusionNetwork.fused_at(L, f), DATA, u0=u0) for L, f, u0 in FLOWS]
    unit, *costs = medians([yardstick(), *flows, partial(sweep, POINTS), scalar], 5)
    cold = process_seconds(f"import os, sys; sys.stdout = open(os.devnull, 'w'); {COLD}")
    found = [Row("eigh of order 1000, for comparison", shown(unit))]
    for ((depth, fused, u0), goal), flow, cost in zip(FLOWS.items(), flows, costs, strict=False):
        run, whole = flow(), flow(exact=True, rtol=1e-8)
        miss = max(abs(run.times[m] / whole.times[m] - 1) for m in "AB")
        said = f"{miss:.0e} (estimated {run.monitors['compression']:.0e} of compression)"
        found.append(_row(f"integrate, ({depth}, {fused}), u0 = {u0:g}, width 100", cost, unit, goal, said))
    found.append(_row("sweep of 4000 points, (2, 2)", costs[len(flows)], unit, 12))
    found.append(_row("predict, (2, 2), from the second call on", costs[-1], unit, 0.3))
    found.append(_row("`predict --example diabetes`, a process of its own", cold, unit, 6))
    return [*found, *two_processes(unit)]


def _row(what: str, cost: float, unit: float, goal: float, error: str = "") -> Row:
    return Row(what, shown(cost), f"{goal:g} eigh", f"{cost / unit:.2g} eigh", error)


def two_processes(unit: float) -> list[Row]:
    """1e5 points from one process and from two: seconds, memory, whether the bytes are the same."""
    seconds, peaks, kept = [], [], []
    for jobs in (1, 2):
        code = (
            "import hashlib, resource, sys, time; import numpy as np; from benchmarks.deep import POINTS\n"
            "from dynamics import sweep\n"
            "a, rho = (np.linspace(*ends, 100).tolist() for ends in ((1.2, 3), (-.5, .5)))\n"
            "grid = {**POINTS, 'sigma_a': a, 'rho': rho}\n"
            f"begun = time.perf_counter(); found = sweep(grid, jobs={jobs}); took = time.perf_counter() - begun\n"
            "data = b''.join(found[name].values.tobytes() for name in sorted(found.data_vars))\n"
            "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
            "print(took, peak, hashlib.sha256(data).hexdigest())"
        )
        said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
        seconds.append(float(said[0]))
        peaks.append(float(said[1]))
        kept.append(said[2])
    same = "same bytes" if kept[0] == kept[1] else "OTHER BYTES"
    one, two = (f"{peak:.0f} MB" for peak in peaks)
    return [
        Row("sweep of 100,000 points, one process", shown(seconds[0]), "60 s", f"{seconds[0] / unit:.3g} eigh; {one}"),
        Row("the same from two processes", shown(seconds[1]), "", f"{seconds[0] / seconds[1]:.2f} times as fast; {two} "
            f"in the first; {same}"),
    ]  # fmt: skip
