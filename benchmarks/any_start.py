"""Two layers from PyTorch's initialisation: intervals of drawn starts against 200 others, typical against median.

`python -m benchmarks.any_start` writes ANY_START.md. Training by PyTorch, one seed, stands beside for its cost.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.modes import drawn, wine
from dynamics import Correlations, FusionNetwork, default_weights, load_example, predict

PROBLEMS = {
    "star98": lambda: load_example("star98"), "diabetes": lambda: load_example("diabetes"), "wine": wine,
    "drawn 1": lambda: drawn(1),
}  # fmt: skip
OTHERS = range(1000, 1200)
ABOUT = "Ratio of half-times by the mean squares (156), the median over seeds, and the difference, by scale."
SCALES = (0.01, 0.03, 0.05, 0.1, 0.2, 0.3)


def covered(data: Correlations) -> dict[str, float]:
    """Share of other seeds inside the 90 % interval, for each half-time."""
    network = FusionNetwork.fused_at(2, 2, data.modalities)
    asked = predict(network, data, init="pytorch", width=100)
    others = predict(network, data, init="pytorch", width=100, seeds=list(OTHERS))
    assert asked.ensemble is not None
    assert others.ensemble is not None
    runs, seen = asked.ensemble.runs, others.ensemble.runs
    assert runs is not None
    assert seen is not None
    low, high = runs.quantile(0.05), runs.quantile(0.95)
    inside = {
        m: float(np.mean((seen.times[m] >= low.times[m]) & (seen.times[m] <= high.times[m]))) for m in data.modalities
    }
    known = ~np.isnan(seen.ratio)
    ratio = (seen.ratio[known] >= low.ratio) & (seen.ratio[known] <= high.ratio)
    return {**inside, "ratio": float(np.mean(ratio)) if np.any(known) else math.nan}


def typical(data: Correlations) -> list[str]:
    """For each scale the ratio of the typical run, the median of 200, and how far apart."""
    network, rows = FusionNetwork.fused_at(2, 2, data.modalities), []
    for scale in SCALES:
        found = predict(network, data, init="pytorch", scale=scale, width=100, seeds=list(OTHERS))
        assert found.ensemble is not None
        assert found.refined is not None
        runs = found.ensemble.runs
        assert runs is not None
        first, last = runs.order[0], runs.order[-1]
        ratio = found.refined.times[last] / found.refined.times[first]
        with np.errstate(divide="ignore", invalid="ignore"):
            median = float(np.nanmedian(runs.times[last] / runs.times[first]))
        rows.append(f"{scale:g}: {ratio:.3f} / {median:.3f} ({100 * (ratio / median - 1):+.1f} %)")
    return rows


def trained_seconds(data: Correlations, steps: int) -> float:
    """PyTorch's own training step, one seed, full batch: seconds of so many steps."""
    network = FusionNetwork.fused_at(2, 2, data.modalities)
    weights = default_weights(network, data, "pytorch", 100, 0)
    layers = {m: [torch.tensor(w, requires_grad=True) for w in own] for m, own in weights.items() if own}
    assert data.samples is not None
    inputs = {m: torch.tensor(np.array(x)) for m, x in data.samples.inputs.items()}
    target, flat = torch.tensor(np.array(data.samples.targets)), [w for own in layers.values() for w in own]
    optimizer = torch.optim.SGD(flat, lr=1e-3)
    begin = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        put_out = sum(x @ layers[m][0].T @ layers[m][1].T for m, x in inputs.items())
        (((put_out - target) ** 2).sum(dim=1).mean() / 2).backward()
        optimizer.step()
    return time.perf_counter() - begin


def main() -> None:
    torch.set_num_threads(1)
    lines = [
        "# Two layers from PyTorch's own start", "",
        f"Made by `python -m benchmarks.any_start`, {time.strftime('%Y-%m-%d')}, two cores. Late fusion, width 100.",
        "", "## The 90 % interval of 200 drawn starts, at PyTorch's own size",
        "", "Share of 200 other seeds inside it.", "", "| problem | each half-time | ratio |", "|---|---|---|",
    ]  # fmt: skip
    made = {name: make() for name, make in PROBLEMS.items()}
    for name, data in made.items():
        found = covered(data)
        each = ", ".join(f"{m} {100 * share:.1f} %" for m, share in found.items() if m != "ratio")
        lines.append(f"| {name} | {each} | {100 * found['ratio']:.1f} % |")
        print(lines[-1], flush=True)
    lines += ["", "## Typical run against the median of 200 seeds", "", ABOUT, ""]
    for name, data in made.items():
        lines.append(f"- {name}: {'; '.join(typical(data))}")
        print(lines[-1], flush=True)
    data, steps = made["star98"], 5000
    begin = time.perf_counter()
    predict(FusionNetwork.fused_at(2, 2, data.modalities), data, init="pytorch", scale=0.1, width=100)
    cost, training = time.perf_counter() - begin, trained_seconds(data, steps)
    told = f"star98 at scale 0.1: 200 starts and the typical run {cost:.2g} s"
    lines += ["", "## Cost", "", f"{told}; PyTorch, one seed, {steps} steps {training:.2g} s.", ""]
    Path(__file__).with_name("ANY_START.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
