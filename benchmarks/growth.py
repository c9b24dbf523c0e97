"""How the cost of each call grows with the size of a problem, and where it ends: GROWTH.md and growth.png.

    OMP_NUM_THREADS=1 python -m benchmarks.growth [--seconds 10] [--save]

Sizes go up until one call takes longer than `--seconds` (or the next one by far), or is refused; then one size far
beyond is asked for, to see what is said. The exponent is the slope of a line through the logarithms of the last four
costs.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullFormatter

from benchmarks.sizes import two_blocks
from benchmarks.timing import shown
from derivations.errors import DataError, DomainError, SolveError
from dynamics import Correlations, FusionNetwork, ensemble, integrate, predict, sweep

HERE = Path(__file__).parent
COLOURS, MARKERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), "os^D"


HEAD = """# How cost grows, and where it ends

`OMP_NUM_THREADS=1 python -m benchmarks.growth --seconds {seconds} --save`, one thread, {made}. Each curve
ends with the first call above that time or the first that is refused; the last column is what was said on the way, at
the end, and of a size far beyond. The exponent is that of the last four sizes (for u0, in powers of u0).

![Seconds of a call by inputs, outputs, modalities, layers, width, seeds, start, condition, points](growth.png)

| along | call | smallest | largest | exponent | what is said |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Curve:
    """One call along one size."""

    axis: str  # of the picture
    call: str
    work: Callable[[Any], Callable[[], Any]]  # from a size to what is timed
    sizes: Callable[[], Iterator[Any]]
    beyond: Any = None  # a size that is far too large


def _data() -> Correlations:
    """Made anew for each call: data keep what was found out about them."""
    return Correlations.scalar(2, 1, 0.5)


def _late(depth: int) -> FusionNetwork:
    return FusionNetwork.fused_at(depth, depth)


def _inputs(size: int) -> Callable[[], Any]:
    x, y = two_blocks(3 * size, size // 2, size // 2)
    return lambda: predict(_late(2), Correlations.from_samples(x, y, standardize=True))


def _outputs(size: int) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    x = {m: rng.normal(size=(2000, size)) for m in "AB"}
    y = sum(block @ rng.normal(size=(size, size)) / size**0.5 for block in x.values()) + rng.normal(size=(2000, size))
    return lambda: predict(_late(2), Correlations.from_samples(x, y, standardize=True))


def _modalities(size: int) -> Callable[[], Any]:
    rng = np.random.default_rng(1)
    topics = rng.normal(size=(2000, 5))
    x = {f"m{i}": topics @ rng.normal(size=5) * 0.4 + rng.normal(size=2000) for i in range(size)}
    y = sum(column * rng.uniform(0.2, 1) for column in x.values()) + rng.normal(size=2000)
    network = FusionNetwork.fused_at(2, 2, tuple(x))
    return lambda: predict(network, Correlations.from_samples(x, y, standardize=True))


def _condition(size: float) -> Callable[[], Any]:
    rng = np.random.default_rng(2)
    turn = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    sigma = (turn * np.geomspace(1, 1 / size, 20)) @ turn.T
    target = (rng.normal(size=20) @ sigma)[None]
    return lambda: predict(_late(2), Correlations((sigma + sigma.T) / 2, target, sizes={"A": 10, "B": 10}))


def _points(size: int) -> Callable[[], Any]:
    rhos = np.linspace(-0.5, 0.5, size // 10).tolist()
    spec = {"depth": 2, "fusion_depth": 2, "sigma_a": 2.0, "u0": 1e-3, "rho": rhos, "seed": list(range(10))}
    return partial(sweep, spec)


def powers(base: int, first: int) -> Callable[[], Iterator[int]]:
    return lambda: (base**n for n in count(first))


def _shrinking() -> Iterator[float]:
    return (10.0**-n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 310))


def _layers(depth: int) -> Callable[[], Any]:
    return lambda: predict(_late(depth), _data(), u0=0.1)


def _deep_run(depth: int) -> Callable[[], Any]:
    return lambda: integrate(FusionNetwork.fused_at(depth, 2), _data(), u0=0.3)


def _width(h: int, exact: bool = False) -> Callable[[], Any]:
    return lambda: integrate(FusionNetwork.fused_at(3, 2), _data(), u0=0.1, width=h, exact=exact)


def _seeds(depth: int, n: int) -> Callable[[], Any]:
    network, u0 = (FusionNetwork.fused_at(2, 2), 1e-3) if depth == 2 else (FusionNetwork.fused_at(4, 3), 0.1)
    return lambda: ensemble(network, _data(), u0=u0, width=100, seeds=n)


def _start(call: Callable[..., Any], u0: float, depth: int = 3, fused: int = 2) -> Callable[[], Any]:
    return lambda: call(FusionNetwork.fused_at(depth, fused), _data(), u0=u0)


CURVES = (
    Curve("inputs", "predict, late, two layers, rows 3 x inputs", _inputs, powers(2, 5)),
    Curve("outputs", "predict, as many inputs in each of two blocks", _outputs, powers(2, 0)),
    Curve("modalities", "predict, one input each", _modalities, powers(2, 1)),
    Curve("layers", "predict, late, u0 = 0.1", _layers, powers(2, 1), 10**6),
    Curve("layers", "integrate, fused at 2, width 100, u0 = 0.3", _deep_run, powers(2, 1), 10**6),
    Curve("width", "integrate, (3, 2), u0 = 0.1", _width, powers(10, 1), 10**30),
    Curve("width", "the same, every weight", partial(_width, exact=True), powers(2, 3), 10**6),
    Curve("seeds", "ensemble, (2, 2), u0 = 1e-3, width 100", partial(_seeds, 2), powers(4, 1), 10**9),
    Curve("seeds", "ensemble, (4, 3), u0 = 0.1, width 100", partial(_seeds, 4), powers(4, 1), 10**9),
    Curve("1/u0", "predict, (3, 2)", partial(_start, predict), _shrinking),
    Curve("1/u0", "integrate, (3, 2), width 100", partial(_start, integrate), _shrinking),
    Curve("1/u0", "integrate, (4, 3), width 100", partial(_start, integrate, depth=4, fused=3), _shrinking),
    Curve("condition of Sigma", "predict, 20 inputs", _condition, lambda: (100.0**n for n in range(11))),
    Curve("points", "sweep, (2, 2), ten seeds a point", _points, lambda: (10 * 4**n for n in count(1)), 10**8),
)


def measured(curve: Curve, limit: float) -> tuple[list[Any], list[float], str]:
    """Sizes, seconds (the best of two below a second), and what was said on the way and at the end."""
    sizes: list[Any] = []
    costs: list[float] = []
    said: dict[str, str] = {}
    for size in curve.sizes():
        try:
            work = curve.work(size)
            times: list[float] = []
            while len(times) < (2 if not times or times[0] < 1 else 1):
                begin = time.perf_counter()
                result = work()
                times.append(time.perf_counter() - begin)
        except (DomainError, DataError, SolveError, MemoryError) as error:
            said["end"] = f"{_told(size)}: {error}"
            break
        for text in map(str, getattr(result, "warnings", ())):
            said.setdefault(re.sub(r"[-+.0-9e]+", "", text), f"from {_told(size)}: {text}" if sizes else "")
        sizes.append(size)
        costs.append(min(times))
        grown = costs[-1] / costs[-2] if len(costs) > 1 else 1.0
        if costs[-1] > limit or costs[-1] * grown > 4 * limit:
            said["end"] = f"goes on beyond {_told(size)}"
            break
    if curve.beyond is not None:
        try:
            curve.work(curve.beyond)()
        except (DomainError, DataError) as error:
            said["beyond"] = f"{_told(curve.beyond)}: {error}"
    return sizes, costs, "; ".join(text for text in said.values() if text)


def _told(size: float) -> str:
    return f"{size:,}" if isinstance(size, int) and size < 10**7 else f"{size:.0e}"


def exponent(sizes: list[Any], costs: list[float]) -> float:
    """Of the last four costs."""
    return float(np.polyfit(np.log([float(s) for s in sizes[-4:]]), np.log(costs[-4:]), 1)[0])


def draw(found: list[tuple[Curve, list[Any], list[float], str]], path: Path) -> None:
    axes_of = list(dict.fromkeys(curve.axis for curve, *_ in found))
    figure, axes = plt.subplots(2, (len(axes_of) + 1) // 2, figsize=(14, 6.6), layout="constrained", sharey=True)
    for ax, axis in zip(axes.flat, axes_of, strict=False):
        lines = [(c, s, t) for c, s, t, _ in found if c.axis == axis]
        for (curve, sizes, costs), colour, marker in zip(lines, COLOURS, MARKERS, strict=False):
            drawn = [-math.log10(s) for s in sizes] if axis == "1/u0" else [float(s) for s in sizes]
            ax.plot(drawn, costs, color=colour, marker=marker, label=curve.call)
        ax.set_xscale("linear" if axis == "1/u0" else "log")
        ax.set_yscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel("decades of 1/u0" if axis == "1/u0" else axis)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize="x-small", frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    for ax in axes[:, 0]:
        ax.set_ylabel("seconds of one call")
    for ax in list(axes.flat)[len(axes_of) :]:
        ax.set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="a curve ends with the first call that takes longer")
    parser.add_argument("--save", action="store_true", help="write GROWTH.md and growth.png")
    options = parser.parse_args()
    predict(_late(2), _data())  # what a process pays once
    _points(40)()
    found, lines = [], []
    for curve in CURVES:
        sizes, costs, ended = measured(curve, options.seconds)
        found.append((curve, sizes, costs, ended))
        grown = f"{exponent(sizes, costs):.2f}" if len(sizes) > 3 else ""
        last = f"{shown(costs[-1])} at {_told(sizes[-1])}"
        lines.append(
            f"| {curve.axis} | {curve.call} | {shown(costs[0])} at {_told(sizes[0])} | {last} | {grown} | {ended} |"
        )
        print(lines[-1], flush=True)
    if options.save:
        draw(found, HERE / "growth.png")
        (HERE / "GROWTH.md").write_text(
            HEAD.format(seconds=f"{options.seconds:g}", made=f"{time.strftime('%Y-%m-%d')}, two shared cores")
            + "\n".join(lines)
            + "\n"
        )


if __name__ == "__main__":
    main()
