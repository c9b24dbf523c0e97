"""What size costs: times as multiples of one `numpy.linalg.eigh` of order 1000 in the same run, with the error beside.

    OMP_NUM_THREADS=1 python -m benchmarks.sizes

The error is that of the half-times against the reduced flow of all inputs; of the wide table against that of the scores
of its rows (a singular value decomposition by NumPy), which has the same flow; of many modalities the bound is shown.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dynamics import Correlations, FusionNetwork, integrate_reduced, predict, read_table, report
from dynamics.simulation.widening import times_apart

NETWORK = FusionNetwork.fused_at(2, 2)


def seconds(work: Callable[[], Any], times: int = 1) -> tuple[float, Any]:
    """The least of a few runs, and what the last one gave."""
    found, result = math.inf, None
    for _ in range(times):
        begin = time.perf_counter()
        result = work()
        found = min(found, time.perf_counter() - begin)
    return found, result


def unit() -> float:
    square = np.random.default_rng(0).normal(size=(1000, 1000))
    return seconds(lambda: np.linalg.eigh(square @ square.T), 3)[0]


def two_blocks(rows: int, first: int, second: int, decay: float = 0.0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Two blocks that share twenty topics; `decay` of what each column has for itself."""
    rng = np.random.default_rng(0)
    topics, x = rng.normal(size=(rows, 20)), {}
    for m, size in (("A", first), ("B", second)):
        own = rng.normal(size=(rows, size)) * np.arange(1, size + 1) ** -decay
        x[m] = 0.4 * topics @ rng.normal(size=(20, size)) + own
    y = sum(block @ rng.normal(size=block.shape[1]) / math.sqrt(block.shape[1]) for block in x.values())
    return x, y + 0.5 * rng.normal(size=rows)


def whole(data: Correlations) -> Correlations:
    """Held from being run along few directions."""
    return data.projected({m: np.eye(d) for m, d in data.sizes.items()})


def _page(data: Correlations) -> str:
    return report(NETWORK, data).html()


def row(name: str, took: float, of: float, said: str) -> None:
    print(f"| {name} | {took:.2f} s | {took / of:.1f} | {said} |", flush=True)


def predicted(x: dict[str, np.ndarray], y: np.ndarray) -> tuple[float, Correlations, Any]:
    took, (data, found) = seconds(
        lambda: (d := Correlations.from_samples(x, y, standardize=True), predict(NETWORK, d)), 2
    )
    return took, data, found


def main() -> None:
    of = unit()
    print(f"one eigh of order 1000: {of:.3f} s\n\n| | time | eigh | error of half-times |\n|---|---|---|---|")
    predict(NETWORK, Correlations.scalar(2, 1, 0.5))
    costs = {}
    for size in (500, 1000, 2000):
        took, data, found = predicted(*two_blocks(3 * size, 3 * size // 5, 2 * size // 5))
        costs[size] = took
        said = f"stated {max(found.estimate.bound.values()):.1e}"
        if size <= 1000:
            judge = integrate_reduced(NETWORK, whole(data), rtol=1e-7)
            said += f", seen {times_apart(found.reduced.run, judge):.1e}"
        row(f"predict, {size} inputs, {3 * size} rows, from samples", took, of, said)
    print(f"| growth from 500 to 2000 inputs | | D^{math.log(costs[2000] / costs[500], 4):.2f} | |")
    x, y = two_blocks(100, 900, 600)
    took, data, found = predicted(x, y)
    scores, samples = {}, data.samples
    assert samples is not None
    for m, block in samples.inputs.items():
        left, sizes, _ = np.linalg.svd(block, full_matrices=False)
        scores[m] = (left * sizes)[:, :99]
    judge = integrate_reduced(NETWORK, Correlations.from_samples(scores, samples.targets), rtol=1e-9)
    said = f"stated {max(found.estimate.bound.values()):.1e}, seen {times_apart(found.reduced.run, judge):.1e}"
    row("predict, 1500 columns, 100 rows", took, of, said)
    for modalities in (20, 50):
        rng = np.random.default_rng(1)
        topics = rng.normal(size=(2000, 5))
        several = {f"m{i}": topics @ rng.normal(size=5) * 0.4 + rng.normal(size=2000) for i in range(modalities)}
        target = sum(column * rng.uniform(0.2, 1) for column in several.values()) + rng.normal(size=2000)
        data = Correlations.from_samples(several, target, standardize=True)
        net = FusionNetwork.fused_at(2, 2, data.modalities)
        took, found = seconds(partial(predict, net, data))
        row(f"predict, {modalities} modalities", took, of, f"stated {max(found.estimate.bound.values()):.1e}")
    for decay in (0.0, 0.5):
        x, y = two_blocks(5000, 128, 64, decay)
        with tempfile.TemporaryDirectory() as folder:
            file, names = Path(folder) / "embeddings.csv", [f"{m}_{i}" for m in x for i in range(x[m].shape[1])]
            np.savetxt(
                file, np.column_stack([*x.values(), y]), "%.9g", ",", header=",".join([*names, "y"]), comments=""
            )
            took, data = seconds(partial(read_table, file, "y", {"A": "A_*", "B": "B_*"}, True))
        row(f"reading 5000 x 192 embeddings, decay {decay:g}", took, of, "none")
        took, found = seconds(partial(predict, NETWORK, data, width=100))
        row("its predict, width 100", took, of, f"stated {max(found.estimate.bound.values()):.1e} over starts")
        took, page = seconds(partial(_page, data))
        judge = integrate_reduced(NETWORK, whole(data), rtol=1e-8)
        few = integrate_reduced(NETWORK, data)
        said = f"stated {few.monitors.get('inputs', 0):.1e}, seen {times_apart(few, judge):.1e}"
        row(f"its report, whole ({len(page) // 1000} kB)", took, of, said)


if __name__ == "__main__":
    main()
