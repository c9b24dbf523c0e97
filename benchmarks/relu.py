"""Does a wide two-layer ReLU network keep the half-times that `predict_relu` says? Trained by a loop of its own.

    python -m benchmarks.relu --measure FILE [--minutes N]   add rows (JSON lines) that FILE lacks, for N minutes
    python -m benchmarks.relu --report FILE [--save]         the report, --save into RELU.md

Five real tables, z-scored, their columns split into A and B at random: split k of a table is drawn from k alone, late
fusion for even k, early for odd ones, and rows are measured in the order k = 0, 1, ...; none is left out. Width 100,
u0 = 1e-3, three seeds, gradient descent in PyTorch (float32), small steps. Half-times are of what the network has at
the time at which the narrow network ended ("told"), and at its own end ("own"): once the last third of the run takes
off no more than 1 % of what was, at the latest at twice that time, for networks go on to fit their rows. Beside it the
linear law with doubled times, (126), from a start 1/sqrt(2) as large, since half of the units serve each half of the
inputs; its half-times are of what it has itself by half of "told", so that it is measured as the others are. Errors
are of the median over the seeds. Splits with k = 0, 1 modulo 4 calibrate the bound, the others test it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dynamics import (
    Correlations,
    DomainError,
    FusionNetwork,
    SolveError,
    load_example,
    predict,
    random_weights,
)
from dynamics.nonlinear.relu_prediction import followed, prediction_of

TABLES = ("star98", "diabetes", "breast_cancer", "wine", "digits")
U0, WIDTH, SEEDS, SPLITS = 1e-3, 100, 3, 40
MOST_STEPS, LOOKS, LATEST = 24_000, 500, 2
LATE, EARLY = FusionNetwork.fused_at(2, 2), FusionNetwork.fused_at(2, 1)
FILE = Path(__file__).with_name("RELU.md")
Array = np.ndarray


@cache
def table_of(name: str) -> tuple[Array, Array]:
    if name == "star98":
        rows = load_example(name).samples
        assert rows is not None
        x, y = np.hstack(list(rows.inputs.values())), rows.targets[:, 0]
    else:
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{name}")()
        x, y = bunch.data, bunch.target.astype(float)
    x = x[:, x.std(0) > 0]
    return (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()


def split_of(name: str, k: int) -> tuple[dict[str, Array], Array]:
    x, y = table_of(name)
    rng = np.random.default_rng([TABLES.index(name), k])
    order, first = rng.permutation(x.shape[1]), int(rng.integers(1, x.shape[1]))
    return {"A": x[:, order[:first]], "B": x[:, order[first:]]}, y


class Wide:
    """Hidden layers and their descent: late fusion has one a modality, early fusion one of all inputs."""

    def __init__(self, network: FusionNetwork, inputs: Mapping[str, Array], y: Array, seed: int) -> None:
        early = network.trunk.depth == 1
        x = np.hstack(list(inputs.values()))
        sizes = {m: v.shape[1] for m, v in inputs.items()}
        data = Correlations(x.T @ x / len(x), y @ x / len(x), sizes, float(y @ y) / len(y))
        drawn = random_weights(network, data, U0, WIDTH, seed)
        hidden = [(np.hstack([drawn["A"][0], drawn["B"][0]]), drawn["trunk"][0])] if early else [
            (drawn[m][0], drawn[m][1]) for m in inputs
        ]  # fmt: skip
        self.x = [torch.tensor(b, dtype=torch.float32) for b in ([x] if early else inputs.values())]
        self.y = torch.tensor(y, dtype=torch.float32)
        self.w = [torch.tensor(w, dtype=torch.float32) for w, _ in hidden]
        self.c = [torch.tensor(c[0], dtype=torch.float32) for _, c in hidden]
        first = sizes["A"]
        self.columns = [slice(0, first), slice(first, None)] if early else None
        self.rate = min(0.05, 0.2 / float(np.linalg.eigvalsh(data.sigma)[-1]))

    def step(self) -> float:
        z = [x @ w.T for x, w in zip(self.x, self.w, strict=True)]
        a = [v.clamp(min=0) for v in z]
        error = self.y - sum(v @ c for v, c in zip(a, self.c, strict=True))
        scale = self.rate / len(self.y)
        for i, x in enumerate(self.x):
            to_first = ((z[i] > 0) * error[:, None]).T @ x * self.c[i][:, None]
            to_second = a[i].T @ error
            self.w[i] += scale * to_first
            self.c[i] += scale * to_second
        return float(error @ error) / (2 * len(self.y))

    def parts(self) -> list[Array]:
        """What A and B put out, the other at its mean, centred."""
        if self.columns is None:
            found = [(x @ w.T).clamp(min=0) @ c for x, w, c in zip(self.x, self.w, self.c, strict=True)]
        else:
            x, means = self.x[0], self.x[0].mean(0)
            found = []
            for own in self.columns:
                alone = means.expand_as(x).clone()
                alone[:, own] = x[:, own]
                found.append((alone @ self.w[0].T).clamp(min=0) @ self.c[0])
        return [(f - f.mean()).numpy() for f in found]

    def run(self, t_told: float) -> dict[str, Any]:
        """Half-times of what there is at `t_told`, and at its own end, at the latest at LATEST times that."""
        steps = min(MOST_STEPS, math.ceil(LATEST * t_told / self.rate))
        look = max(1, steps // LOOKS)
        t, losses, seen = [], [], []
        for n in range(steps + 1):
            if n % look == 0:
                seen.append(self.parts())
                t.append(n * self.rate)
            loss = self.step()
            if n % look == 0:
                losses.append(loss)
                then = losses[len(losses) * 2 // 3]
                if n * self.rate >= t_told and then - loss <= 0.01 * (losses[0] - loss):
                    break
        at = {"own": len(t) - 1, "told": int(np.searchsorted(t, t_told, side="right")) - 1}
        return {
            "times": {e: [self.half(t[: n + 1], [p[i] for p in seen[: n + 1]]) for i in (0, 1)] for e, n in at.items()},
            "power": {end: [float(p @ p) / len(p) for p in seen[n]] for end, n in at.items()},
            "end": t[-1], "loss": losses[-1], "settled": n < steps,
        }  # fmt: skip

    @staticmethod
    def half(t: list[float], parts: list[Array]) -> float | None:
        end = parts[-1]
        return half(t, [float(p @ end) for p in parts], float(end @ end))


def half(t: list[float], along: list[float], power: float) -> float | None:
    past = [i for i, v in enumerate(along) if v >= 0.5 * power]
    if power == 0 or not past:
        return None
    i = past[0]
    if i == 0:
        return t[0]
    return t[i - 1] + (t[i] - t[i - 1]) * (0.5 * power - along[i - 1]) / (along[i] - along[i - 1])


def row_of(name: str, k: int) -> dict[str, Any]:
    inputs, y = split_of(name, k)
    network = EARLY if k % 2 else LATE
    row: dict[str, Any] = {"table": name, "k": k, "early": bool(k % 2), "sizes": [v.shape[1] for v in inputs.values()]}
    begin = time.process_time()
    try:
        seen = followed(network, inputs, y, U0, width=WIDTH)
        p = prediction_of(seen)
    except (DomainError, SolveError) as error:
        return row | {"refused": str(error)}
    row |= {"seconds": time.process_time() - begin, "warnings": list(p.warnings), "together": p.together}
    for what, values in (("predicted", p.times), ("spread", p.estimate.spread), ("bound", p.estimate.bound)):
        row[what] = [_finite(values[m]) for m in inputs]
    row["t_end"] = float(seen.parts.t[-1])
    row["linear"] = linear_times(network, inputs, y, row["t_end"])
    row["wide"] = [Wide(network, inputs, y, seed).run(row["t_end"]) for seed in range(SEEDS)]
    return row


def linear_times(network: FusionNetwork, inputs: Mapping[str, Array], y: Array, t_told: float) -> list[float | None]:
    """Twice the half-times of a linear network, (126), of what it has itself by half of `t_told`: as all others here.

    The typical network of a random start 1/sqrt(2) as large, since half of the units serve each half of the inputs.
    """
    x, sizes = np.hstack(list(inputs.values())), {m: v.shape[1] for m, v in inputs.items()}
    data = Correlations(x.T @ x / len(x), y @ x / len(x), sizes, float(y @ y) / len(y))
    try:
        estimate = predict(network, data, u0=U0 / math.sqrt(2), width=WIDTH).estimate
    except (DomainError, SolveError):
        return [None, None]
    assert estimate.run is not None
    t, found = estimate.run.t, []
    last = int(np.searchsorted(t, t_told / 2, side="right"))
    for m, block in inputs.items():
        parts = list(estimate.run.total[m][:last] @ block.T)
        time_of = Wide.half([float(v) for v in t[:last]], parts)
        found.append(None if time_of is None else 2 * time_of)
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def measure(path: Path, minutes: float) -> None:
    done = {(r["table"], r["k"]) for r in rows_in(path)}
    stop = time.monotonic() + 60 * minutes
    for k in range(SPLITS):
        for name in TABLES:
            if time.monotonic() > stop:
                return
            if (name, k) not in done:
                with path.open("a") as out:
                    out.write(json.dumps(row_of(name, k)) + "\n")


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measured(row: Mapping[str, Any], end: str) -> list[float | None]:
    """Median over the seeds of A and of B; None where a seed has none."""
    found: list[float | None] = []
    for i in (0, 1):
        times = [w["times"][end][i] for w in row["wide"]]
        found.append(None if None in times else float(np.median(times)))
    return found


def errors(rows: list[dict[str, Any]], by: str, end: str) -> Iterator[float]:
    for row in rows:
        for said, true in zip(row[by], measured(row, end), strict=True):
            if said is not None and true:
                yield abs(said / true - 1)


def quantiles(values: list[float]) -> str:
    if not values:
        return "none | | |"
    return " | ".join(f"{100 * v:.1f} %" for v in (np.median(values), np.quantile(values, 0.9), max(values)))


def line(rows: list[dict[str, Any]], by: str, told: str, end: str = "told") -> str:
    ordered, right, ratios = 0, 0, []
    for row in rows:
        said, true = row[by], measured(row, end)
        if None in true or None in said:
            continue
        ordered += 1
        right += (said[0] < said[1]) == (true[0] < true[1])
        ratios.append(abs(said[1] / said[0] * true[0] / true[1] - 1))
    ratio = f"{100 * float(np.median(ratios)):.1f} %" if ratios else ""
    return f"| {told} | {right} of {ordered} | {quantiles(list(errors(rows, by, end)))} | {ratio} |"


def within(rows: list[dict[str, Any]], share: float, deviations: float) -> tuple[int, int]:
    """Half-times of single seeds within share + deviations * spread of what is said, and how many there are."""
    good = total = 0
    for row in rows:
        for i, said in enumerate(row["predicted"]):
            for wide in row["wide"]:
                true = wide["times"]["told"][i]
                if said is not None and true:
                    total += 1
                    good += abs(true / said - 1) <= share + deviations * (row["spread"][i] or 0.0)
    return good, total


def share_of(row: Mapping[str, Any], i: int) -> float:
    """The power of a part beside the larger of both, in the median over the seeds."""
    return float(np.median([w["power"]["told"][i] / max(w["power"]["told"]) for w in row["wide"]]))


def calibrates(row: Mapping[str, Any]) -> bool:
    return row["k"] % 4 < 2


def report(path: Path) -> str:
    from dynamics.nonlinear.relu_prediction import ALLOWED, DEVIATIONS

    rows = [r for r in rows_in(path) if "wide" in r]
    refused = len(rows_in(path)) - len(rows)
    groups = {"late fusion": [r for r in rows if not r["early"]], "early fusion": [r for r in rows if r["early"]]}
    warned = [r for r in rows if r["warnings"]]
    both = [r for r in rows if None not in r["predicted"] + r["linear"]]
    text = f"# ReLU networks\n\n{(__doc__ or '').split(chr(10) * 2, 2)[2].strip()}\n\n"
    counts = ", ".join(f"{name} {sum(r['table'] == name for r in rows)}" for name in TABLES)
    text += f"{len(rows)} splits ({counts}), "
    text += (
        f"{refused} refused; {sum(w['settled'] for r in rows for w in r['wide'])} of {SEEDS * len(rows)} wide runs had "
    )
    text += (
        f"settled. A prediction takes {np.median([r['seconds'] for r in rows]):.2g} s of one core in the median.\n\n"
    )
    head = "| | order right | half-times: median | 90 % | worst | ratio: median |\n|---|---|---|---|---|---|\n"
    text += head
    for told, some in groups.items():
        for end in ("told", "own"):
            text += line(some, "predicted", f"{told}, {end} end: narrow network", end) + "\n"
        text += line(some, "linear", f"{told}, told end: linear") + "\n"
    text += line(both, "predicted", "where both have two half-times: narrow network") + "\n"
    text += line(both, "linear", "the same: linear") + "\n"
    for told, some in (("a warning", warned), ("no warning", [r for r in rows if not r["warnings"]])):
        text += line(some, "predicted", f"with {told}, narrow network") + "\n"
    for name in TABLES:
        some = [r for r in rows if r["table"] == name]
        text += (
            line(some, "predicted", f"{name}, narrow network") + "\n" + line(some, "linear", f"{name}, linear") + "\n"
        )
    old, new = ([r for r in rows if calibrates(r) is which] for which in (True, False))
    (a, b), (c, d) = within(old, ALLOWED, DEVIATIONS), within(new, ALLOWED, DEVIATIONS)
    text += (
        f"\nThe bound, {ALLOWED:g} + {DEVIATIONS:g} spreads, holds for {a} of {b} half-times of single seeds on the "
    )
    text += f"{len(old)} splits that it was calibrated on and for {c} of {d} on the {len(new)} others.\n"
    never = [(r, i) for r in rows for i in (0, 1) if r["predicted"][i] is None]
    small = sum(share_of(r, i) < 0.01 for r, i in never)
    missed = sum(share_of(r, i) < 0.01 for r in rows for i in (0, 1)) - small
    text += "\nNever learned, that is less than 1 % of the larger part in the end: said of "
    text += (
        f"{len(never)} modalities, of which {small} are below that in the wide networks (median); {missed} more are "
    )
    text += "below it that were given a half-time.\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        measure(options.measure, options.minutes)
    elif options.report:
        text = report(options.report)
        print(text)
        if options.save:
            FILE.write_text(text)
    else:
        sys.exit("give --measure FILE or --report FILE")


if __name__ == "__main__":
    main()
