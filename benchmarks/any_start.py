"""Two layers from PyTorch's initialisation: intervals of drawn starts against 200 others, typical against median.

`python -m benchmarks.any_start` writes ANY_START.md. Training by PyTorch, one seed, stands beside for its cost.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.modes import drawn, wine
from dynamics import Correlations, FusionNetwork, default_weights, load_example, predict
from dynamics.prediction.any_start import drawn_starts
from dynamics.problem import Problem
from dynamics.starts.initializations import Initialization

PROBLEMS = {
    "star98": lambda: load_example("star98"), "diabetes": lambda: load_example("diabetes"), "wine": wine,
    "drawn 1": lambda: drawn(1),
}  # fmt: skip
OTHERS = range(1000, 1200)
ABOUT = "Ratio of half-times by the mean squares (156), the median over seeds, and the difference, by scale."
RATE, LOOKS, BEYOND = 1e-3, 200, 1.2  # of training; it goes on to 1.2 times the later half-time
COSTS = f"""`predict(init="pytorch")` runs 200 starts and the typical one; PyTorch trains seed 0 alone: SGD at
{RATE:g}, full batch, double precision, to {BEYOND:g} times its later half-time; its cost goes as 1/rate. Wall and
processor time, one thread, in one run on one machine; predict is the median of three. Off: half-times of seed 0 by
`predict` against training, the larger difference."""
HEAD = "| problem | scale | predict, 200 starts | steps | PyTorch, one seed | PyTorch/predict | off |"
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


def apart(steps: int) -> int:
    return max(1, steps // LOOKS)


def trained(data: Correlations, scale: float, steps: int) -> list[np.ndarray]:
    """PyTorch's own training loop from seed 0, full batch: total weights at `LOOKS` steps of it, or at all."""
    network = FusionNetwork.fused_at(2, 2, data.modalities)
    weights = default_weights(network, data, "pytorch", 100, 0)
    layers = {m: [torch.tensor(scale * w, requires_grad=True) for w in own] for m, own in weights.items() if own}
    assert data.samples is not None
    inputs = {m: torch.tensor(np.array(x)) for m, x in data.samples.inputs.items()}
    target, flat = torch.tensor(np.array(data.samples.targets)), [w for own in layers.values() for w in own]
    optimizer, path = torch.optim.SGD(flat, lr=RATE), []
    for step in range(steps + 1):
        if step % apart(steps) == 0:
            with torch.no_grad():
                path.append(np.hstack([(pair[1] @ pair[0]).numpy() for pair in layers.values()]))
        optimizer.zero_grad()
        put_out = sum(x @ layers[m][0].T @ layers[m][1].T for m, x in inputs.items())
        (((put_out - target) ** 2).sum(dim=1).mean() / 2).backward()
        optimizer.step()
    return path


def half_times(data: Correlations, scale: float, times: np.ndarray, path: list[np.ndarray]) -> dict[str, float]:
    """Along the course by which `predict` takes them."""
    network = FusionNetwork.fused_at(2, 2, data.modalities)
    plan = drawn_starts(Problem.of(network, data), Initialization.PYTORCH, scale, 100, [0])[0].course
    found = {}
    for m in data.modalities:
        past = np.array([plan.past_half(m, total) for total in path])
        i = int(np.argmax(past >= 0))
        found[m] = float(np.interp(0.0, past[i - 1 : i + 1], times[i - 1 : i + 1])) if i else 0.0
    return found


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds of the wall and of the processor, and what came out."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - processor, found


def cost(name: str, data: Correlations, scale: float) -> str:
    """A row: 200 starts by `predict` against one seed by PyTorch, one after the other, each alone."""
    network = FusionNetwork.fused_at(2, 2, data.modalities)
    asked = [timed(lambda: predict(network, data, init="pytorch", scale=scale, width=100)) for _ in range(3)]
    wall, processor, found = sorted(asked, key=lambda one: one[0])[1]
    assert found.ensemble is not None
    assert found.ensemble.runs is not None
    member = {m: float(found.ensemble.runs.times[m][0]) for m in data.modalities}
    last = max(t for t in member.values() if math.isfinite(t))
    steps = math.ceil(BEYOND * last / RATE)
    trained(data, scale, 50)  # the first steps of a process are slow
    trained_wall, trained_processor, path = timed(lambda: trained(data, scale, steps))
    seen = half_times(data, scale, RATE * apart(steps) * np.arange(len(path)), path)
    off = max(abs(seen[m] / t - 1) for m, t in member.items() if 0 < t < math.inf)
    return (
        f"| {name} | {scale:g} | {wall:.2f} / {processor:.2f} s | {steps} | "
        f"{trained_wall:.2f} / {trained_processor:.2f} s | {trained_wall / wall:.2g} | {100 * off:.2g} % |"
    )


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
    lines += ["", "## Cost", "", COSTS, "", HEAD, "|---|---|---|---|---|---|---|"]
    for scale in (1.0, 0.1):
        for name, data in made.items():
            lines.append(cost(name, data, scale))
            print(lines[-1], flush=True)
    lines.append("")
    Path(__file__).with_name("ANY_START.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
