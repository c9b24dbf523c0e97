"""How far the laws reach: networks as people train them, on real tables of two blocks, beside what is predicted.

    python -m benchmarks.reach --measure FILE [--minutes N]   add rows (JSON lines) that FILE lacks, for N minutes
    python -m benchmarks.reach --report FILE [--save]         the report, --save into REACH.md
    make reach                                                both; an interrupt loses no row, the same command goes on

Eight tables with blocks that their columns name (digits: left and right half of 4 x 4 pixels), at most 150 rows, evenly
spaced; z-scored. Squared loss is of the target, of classes one-hot (turned to one column less); cross-entropy is of the
classes, or of thirds of a target of numbers. Networks have 32 hidden units a layer, and biases where they are not
linear: linear, two layers; ReLU with two layers, with three (fused at the second), with five (fused at the third); tanh
with three; a transformer block (a token a modality, two heads, post-norm as PyTorch has it, the mean of both tokens is
read). The start is PyTorch's own, or a small one: every layer times 0.1 (two layers), 0.3 (three), 0.75 (five), 0.3
(transformer, norms left alone). Full-batch gradient descent, mini-batches of 32, momentum 0.9 at a fifth of the rate,
Adam and AdamW (decay 0.01) at 0.001. Three seeds, 0 to 2, the same for all optimisers; 2400 steps, 1600 for momentum,
Adam and AdamW. The rate is 0.05, or 0.2 over the largest eigenvalue of Sigma where that is less.

What is measured: `watch`, as in the README, and `against`. What is predicted: `predict` with the recipe, of a *linear*
network of the same layers, from the size that the weights have (two layers without a memory: `init="pytorch"`, exact
for such a start); of the transformer two layers in late fusion. Where `predict` refuses cross-entropy, the law of
squared loss stands for it, which the road says. Two layers of ReLU have `predict_relu` beside it. An order is a tie
where training has the two half-times within a tenth of each other. Ties, and predictions that say that the order is
open, are counted apart; all else is counted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.parts import command, rows_in
from dynamics import (
    Correlations,
    DataError,
    DomainError,
    FusionNetwork,
    Recipe,
    SolveError,
    default_weights,
    load_example,
    predict,
    predict_relu,
    start_of,
    watch,
)

WIDTH, ROWS, SEEDS, BATCH, HEADS = 32, 150, 3, 32, 2
LOOKS = 60
TIE = math.log(1.1)  # of the ratio of half-times
FILE = Path(__file__).with_name("REACH.md")
Array = np.ndarray
Tensor = torch.Tensor


@dataclass(frozen=True)
class Shape:
    """A network: its layers before and after the fusion, and what stands between them."""

    name: str
    depth: int
    fusion: int
    act: Callable[[Tensor], Tensor] | None  # None: a transformer block
    small: float
    bias: bool = True

    @property
    def linear(self) -> FusionNetwork:
        """The linear network of the same layers."""
        return FusionNetwork.fused_at(self.depth, self.fusion)


SHAPES = [
    Shape("linear, 2 layers", 2, 2, lambda z: z, 0.1, bias=False),
    Shape("ReLU, 2 layers", 2, 2, torch.relu, 0.1),
    Shape("ReLU, 3 layers", 3, 2, torch.relu, 0.3),
    Shape("ReLU, 5 layers", 5, 3, torch.relu, 0.75),
    Shape("tanh, 3 layers", 3, 2, torch.tanh, 0.3),
    Shape("transformer", 2, 2, None, 0.3),
]
STARTS = ("small", "PyTorch's")
OPTIMIZERS = {"gradient descent": 2400, "mini-batches": 2400, "momentum": 1600, "Adam": 1600, "AdamW": 1600}
LOSSES = ("squared", "cross_entropy")
TABLES = ("star98", "diabetes", "iris", "wine", "breast_cancer", "digits", "anes96", "modechoice")


def frame_of(name: str) -> tuple[dict[str, Array], Array, bool]:
    """Blocks A and B, target, and whether that is a class."""
    if name in ("star98", "diabetes"):
        rows = load_example(name).samples
        assert rows is not None
        return dict(zip("AB", rows.inputs.values(), strict=True)), rows.targets[:, 0], False
    if name in ("iris", "wine", "breast_cancer", "digits"):
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{name}")()
        x, y = bunch.data, bunch.target
        if name == "digits":  # 4 x 4 pixels, each the mean of four
            x = x.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
        first = {"iris": np.arange(4) < 2, "wine": np.arange(13) < 5, "breast_cancer": np.arange(30) < 10,
                 "digits": np.arange(16) % 4 < 2}[name]  # fmt: skip
        return {"A": x[:, first], "B": x[:, ~first]}, y, True
    import statsmodels.api as sm

    data = getattr(sm.datasets, name).load_pandas().data
    blocks = {
        "anes96": (["age", "educ", "income", "popul", "TVnews"], ["selfLR", "PID", "ClinLR", "DoleLR"], "vote"),
        "modechoice": (["ttme", "invc", "invt", "gc"], ["hinc", "psize"], "choice"),
    }[name]
    return (
        {"A": data[blocks[0]].to_numpy(float), "B": data[blocks[1]].to_numpy(float)},
        data[blocks[2]].to_numpy(),
        True,
    )


@cache
def data_of(name: str, loss: str) -> tuple[Correlations, Array]:
    """The rows as everything here takes them, and the place of each row's class (cross-entropy)."""
    blocks, y, is_class = frame_of(name)
    chosen = np.linspace(0, len(y) - 1, min(ROWS, len(y))).round().astype(int)
    blocks, y = {m: x[chosen] for m, x in blocks.items()}, y[chosen]
    blocks = {m: x[:, x.std(axis=0) > 0] for m, x in blocks.items()}
    if loss == "cross_entropy" and not is_class:
        y, is_class = np.searchsorted(np.quantile(y, [1 / 3, 2 / 3]), y), True
    places = np.unique(y, return_inverse=True)[1]
    targets = [f"class {k:02d}" for k in places] if is_class else y
    return Correlations.from_samples(blocks, targets, standardize=True), places


class Members:
    """Networks of one shape, stacked: parameters (K, P)."""

    def __init__(self, shape: Shape, data: Correlations, outputs: int) -> None:
        self.shape, self.names = shape, data.modalities
        w, self.spans, at = WIDTH, dict[str, tuple[slice, tuple[int, ...]]](), 0
        if shape.act is None:
            layers = {f"in {m}": (w, d) for m, d in data.sizes.items()} | {"qkv": (3 * w, w), "mix": (w, w)}
            layers |= {"up": (2 * w, w), "down": (w, 2 * w), "out": (outputs, w)}
        else:
            layers = {}
            for m, d in data.sizes.items():
                last = outputs if shape.fusion == shape.depth else w
                widths = [d, *[w] * (shape.fusion - 1), last]
                layers |= {f"{m} {i}": (widths[i + 1], widths[i]) for i in range(shape.fusion)}
            trunk = shape.depth - shape.fusion
            layers |= {f"trunk {i}": (outputs if i == trunk - 1 else w, w) for i in range(trunk)}
        for name, size in layers.items():
            for part, dims in (("", size), *((" bias", size[:1]),) * shape.bias):
                self.spans[name + part] = slice(at, at + math.prod(dims)), dims
                at += math.prod(dims)
        self.count = at

    def start(self, data: Correlations, seed: int, scale: float) -> Tensor:
        """PyTorch's own weights (those of `default_weights` where layers are ours) times a scale."""
        rng, flat = np.random.default_rng([7, seed]), np.zeros(self.count)
        drawn = {} if self.shape.act is None else default_weights(self.shape.linear, data, "pytorch", WIDTH, seed)
        for name, (span, dims) in self.spans.items():
            chain, _, place = name.removesuffix(" bias").rpartition(" ")
            fan_in = self.spans[name.removesuffix(" bias")][1][1]
            if chain in drawn and len(dims) == 2 and drawn[chain][int(place)].shape == dims:
                flat[span] = drawn[chain][int(place)].ravel()
            elif name == "qkv":  # Xavier, as in nn.MultiheadAttention
                flat[span] = rng.uniform(-1, 1, math.prod(dims)) * math.sqrt(6 / sum(dims))
            elif name not in ("qkv bias", "mix bias"):
                flat[span] = rng.uniform(-1, 1, math.prod(dims)) / math.sqrt(fan_in)
        return torch.tensor(scale * flat, dtype=torch.float32)

    def forward(self, flat: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """(K, rows, outputs)."""

        def layer(name: str, x: Tensor) -> Tensor:
            span, dims = self.spans[name]
            z = x @ flat[:, span].reshape(-1, *dims).mT
            return z + flat[:, None, self.spans[name + " bias"][0]] if name + " bias" in self.spans else z

        shape, act = self.shape, self.shape.act
        if act is None:
            return self._attending(layer, inputs)
        fused = None
        for m in self.names:
            h = inputs[m]
            for i in range(shape.fusion):
                h = layer(f"{m} {i}", h if i == 0 else act(h))
            fused = h if fused is None else fused + h
        for i in range(shape.depth - shape.fusion):
            fused = layer(f"trunk {i}", act(fused))
        return fused

    def _attending(self, layer: Callable[[str, Tensor], Tensor], inputs: Mapping[str, Tensor]) -> Tensor:
        """One block of nn.TransformerEncoderLayer (post-norm, ReLU, no dropout) on a token a modality."""
        tokens = torch.stack([layer(f"in {m}", inputs[m]) for m in self.names], dim=2)  # (K, rows, tokens, width)
        k, rows, count, w = tokens.shape
        flat = tokens.reshape(k, rows * count, w)
        q, key, v = layer("qkv", flat).reshape(k, rows, count, 3, HEADS, w // HEADS).permute(3, 0, 1, 4, 2, 5)
        seen = torch.softmax(q @ key.mT / math.sqrt(w // HEADS), dim=-1) @ v
        mixed = layer("mix", seen.transpose(2, 3).reshape(k, rows * count, w))
        normed = torch.nn.functional.layer_norm(flat + mixed, (w,))
        fed = layer("down", torch.relu(layer("up", normed)))
        normed = torch.nn.functional.layer_norm(normed + fed, (w,))
        return layer("out", normed.reshape(k, rows, count, w).mean(dim=2))


class Steps:
    """The update rule of each member, as PyTorch's optimisers have it."""

    def __init__(self, names: list[str], rate: float, flat: Tensor) -> None:
        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32)[:, None]

        self.rates = [rate_of(name, rate) for name in names]
        self.rate = column(self.rates)
        self.momentum = column([0.9 if n == "momentum" else 0.0 for n in names])
        self.decay = column([0.01 if n == "AdamW" else 0.0 for n in names])
        self.adam = torch.tensor([n.startswith("Adam") for n in names])[:, None]
        self.first, self.second, self.n = torch.zeros_like(flat), torch.zeros_like(flat), 0

    def shortened(self, count: int) -> Steps:
        """The first of them go on."""
        for name in ("rate", "momentum", "decay", "adam", "first", "second"):
            setattr(self, name, getattr(self, name)[:count])
        return self

    def take(self, flat: Tensor, grad: Tensor) -> Tensor:
        self.n += 1
        kept = torch.where(self.adam, 0.9, self.momentum)
        self.first = kept * self.first + torch.where(self.adam, 0.1, 1.0) * grad
        self.second = 0.999 * self.second + 0.001 * grad**2
        size = (self.second / (1 - 0.999**self.n)).sqrt() + 1e-8
        move = torch.where(self.adam, self.first / (1 - 0.9**self.n) / size, self.first)
        return flat * (1 - self.rate * self.decay) - self.rate * move


def rate_of(optimizer: str, rate: float) -> float:
    return {"momentum": rate / 5, "Adam": 1e-3, "AdamW": 1e-3}.get(optimizer, rate)


def plain_rate(data: Correlations) -> float:
    return min(0.05, 0.2 / float(np.linalg.eigvalsh(data.sigma)[-1]))


def trainings(shape: Shape, table: str, loss: str) -> Iterator[tuple[str, str, int, Any, float]]:
    """(start, optimizer, seed, watched training or why there is none, seconds) of every member."""
    data, places = data_of(table, loss)
    rows = data.samples
    assert rows is not None
    outputs = len(np.unique(places)) if loss == "cross_entropy" else data.outputs
    members, rate = Members(shape, data, outputs), plain_rate(data)
    x = {m: torch.tensor(v, dtype=torch.float32) for m, v in rows.inputs.items()}
    y = torch.tensor(rows.targets, dtype=torch.float32) if loss == "squared" else torch.tensor(places)
    for together in (["gradient descent", "momentum", "Adam", "AdamW"], ["mini-batches"]):
        who = [(s, o, seed) for o in together for s in STARTS for seed in range(SEEDS)]
        began = time.process_time()
        flat = torch.stack([members.start(data, seed, shape.small if s == "small" else 1.0) for s, _, seed in who])
        rule = Steps([o for _, o, _ in who], rate, flat)
        out: dict[str, Array] = {}
        watched = [watch(data, _told(out, k), loss=loss) for k in range(len(who))]
        last = max(OPTIMIZERS[o] for o in together)
        looks = set(
            np.unique(np.concatenate([np.geomspace(1, last, LOOKS).round(), np.linspace(0, last, LOOKS).round()]))
        )
        broken: dict[int, str] = {}
        rng = np.random.default_rng(11)
        for n in range(last + 1):
            going = [k for k, (_, o, _) in enumerate(who) if n <= OPTIMIZERS[o]]
            if len(going) < len(flat):  # those that are through come last: gradient descent is the longest
                flat = flat[: len(going)]
                rule = rule.shortened(len(going))
            if n in looks:
                with torch.no_grad():
                    out.update({"": members.forward(flat, x).double().numpy()})
                    for m in x:
                        alone = {k: v if k == m else torch.zeros_like(v) for k, v in x.items()}
                        out[m] = members.forward(flat, alone).double().numpy()
                for k in range(len(flat)):
                    try:
                        if k not in broken:
                            watched[k].record(n * rule.rates[k])
                    except DataError as error:
                        broken[k] = str(error)
            some, aim = x, y
            if together == ["mini-batches"]:
                at = torch.tensor(rng.integers(len(y), size=min(BATCH, len(y))))
                some, aim = {m: v[at] for m, v in x.items()}, y[at]
            leaf = flat.clone().requires_grad_()
            put_out = members.forward(leaf, some)
            if loss == "squared":
                value = ((aim - put_out) ** 2).sum(dim=(0, 2)).mean() / 2
            else:
                value = torch.nn.functional.cross_entropy(
                    put_out.permute(1, 2, 0), aim[:, None].expand(-1, len(flat)), reduction="sum"
                ) / len(aim)
            (grad,) = torch.autograd.grad(value, leaf)
            flat = rule.take(flat, grad)
        each = (time.process_time() - began) / len(who)
        for k, (s, o, seed) in enumerate(who):
            yield s, o, seed, broken.get(k) or watched[k].training, each


def _told(out: Mapping[str, Array], k: int) -> Callable[[dict[str, Array]], Array]:
    """What member k puts out; all members have been asked at once, with the same inputs as `watch` asks for."""

    def forward(inputs: dict[str, Array]) -> Array:
        there = [m for m, x in inputs.items() if np.any(x)]
        return out["" if len(there) > 1 else there[0]][k]

    return forward


@cache
def predicted(depth: int, fusion: int, small: float, table: str, loss: str, optimizer: str) -> tuple[Any, str, float]:
    """A prediction, or why there is none; the road; seconds."""
    network, (data, _) = FusionNetwork.fused_at(depth, fusion), data_of(table, loss)
    rate = rate_of(optimizer, plain_rate(data))
    recipe = {
        "gradient descent": {}, "mini-batches": {"batch_size": BATCH, "learning_rate": rate},
        "momentum": {"momentum": 0.9, "learning_rate": rate}, "Adam": {"optimizer": "adam", "learning_rate": rate},
        "AdamW": {"optimizer": "adamw", "learning_rate": rate, "weight_decay": 0.01},
    }[optimizer]  # fmt: skip
    weights = {n: [small * w for w in ws] for n, ws in default_weights(network, data, "pytorch", WIDTH, 0).items()}
    began = time.process_time()
    found: Any = None
    road = "recipe" if recipe else "law"
    for asked in (recipe | {"loss": loss}, recipe) if loss != "squared" else (recipe,):
        try:
            if depth == 2 and (not asked or (loss == "squared" and optimizer == "mini-batches")):
                found, road = predict(network, data, init="pytorch", scale=small, width=WIDTH, seeds=50), "any start"
            else:
                u0 = start_of(network, data, weights).u0
                found = predict(network, data, u0=u0, width=WIDTH, recipe=Recipe(**asked))
            road += "" if loss == "squared" or "loss" in asked else ", squared loss"
            break
        except (DomainError, SolveError, DataError) as error:
            found = str(error)
    return found, road, time.process_time() - began


def relu_too(small: float, table: str) -> tuple[Any, str, float]:
    network, (data, _) = FusionNetwork.fused_at(2, 2), data_of(table, "squared")
    weights = {n: [small * w for w in ws] for n, ws in default_weights(network, data, "pytorch", WIDTH, 0).items()}
    assert data.samples is not None
    began = time.process_time()
    found: Any
    try:
        u0 = start_of(network, data, weights).u0
        found = predict_relu(network, data.samples.inputs, data.samples.targets, u0, width=WIDTH)
    except (DomainError, SolveError, DataError) as error:
        found = str(error)
    return found, "predict_relu", time.process_time() - began


def rows_of(shape: Shape, table: str, loss: str) -> Iterator[dict[str, Any]]:
    """A row for each start and optimiser: what the seeds did, and each road beside it."""
    seen: dict[tuple[str, str], list[Any]] = {}
    cost: dict[tuple[str, str], float] = {}
    for start, optimizer, _, training, seconds in trainings(shape, table, loss):
        seen.setdefault((start, optimizer), []).append(training)
        cost[start, optimizer] = seconds
    for (start, optimizer), runs in seen.items():
        small = shape.small if start == "small" else 1.0
        roads = [predicted(shape.depth, shape.fusion, small, table, loss, optimizer)]
        if shape.name == "ReLU, 2 layers" and loss == "squared" and optimizer in ("gradient descent", "mini-batches"):
            roads.append(relu_too(small, table))
        yield {
            "network": shape.name, "start": start, "optimizer": optimizer, "loss": loss, "table": table,
            "date": datetime.now(UTC).date().isoformat(), "seconds": cost[start, optimizer],
            "seeds": [run_row(run) for run in runs],
            "roads": {road: road_row(found, took, runs) for found, road, took in roads},
        }  # fmt: skip


def run_row(run: Any) -> dict[str, Any]:
    if isinstance(run, str):
        return {"broken": run}
    return {
        "times": {m: _finite(t) for m, t in run.times.items()}, "loss": [run.loss[0], run.loss[-1]],
        "settled": not any("still learns" in w for w in run.warnings), "yardstick": run.yardstick.value,
        "end": float(run.t[-1]), "nonlinear": dict(run.nonlinear),
        "accuracy": {m: float(a[-1]) for m, a in run.accuracy.items()},
    }  # fmt: skip


def road_row(found: Any, took: float, runs: list[Any]) -> dict[str, Any]:
    if isinstance(found, str):
        return {"refused": found, "seconds": took}
    rows = []
    for run in runs:
        if isinstance(run, str):
            continue
        beside = run.against(found)
        rows.append({
            "predicted": {m: _finite(t) for m, t in beside.predicted.items()}, "agrees": beside.order_agrees,
            "errors": {m: _finite(e) for m, e in beside.errors.items()}, "ratio": _finite(beside.ratio_error),
        })  # fmt: skip
    return {"seconds": took, "beside": rows, "kind": found.estimate.kind.value, "together": found.together}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def judged(row: Mapping[str, Any], road: str) -> Iterator[tuple[bool | None, float | None, list[float]]]:
    """Of each seed: whether the order is right (None on a tie), error of the ratio, errors of the half-times."""
    for beside in row["roads"][road].get("beside", ()):
        errors = [abs(e) for e in beside["errors"].values() if e is not None]
        trained = [p / (1 + e) for p, e in zip(beside["predicted"].values(), beside["errors"].values(), strict=True)
                   if p is not None and e is not None and p > 0]  # fmt: skip
        tie = len(trained) == 2 and abs(math.log(trained[0] / trained[1])) < TIE
        yield None if tie else beside["agrees"], beside["ratio"], errors


def is_open(row: Mapping[str, Any], road: str) -> bool:
    """Whether the prediction says that either may be first."""
    return bool(row["roads"][road].get("together"))


def main_road(row: Mapping[str, Any]) -> str:
    return str(next(iter(row["roads"])))


def _named(road: str, _: Mapping[str, Any]) -> str:
    return road


def summed(rows: list[dict[str, Any]], road_of: Callable[[Mapping[str, Any]], str] = main_road) -> str:
    """Order right of how many seeds, medians of the errors, and how many tables are refused."""
    said = [(seed, is_open(row, road_of(row))) for row in rows for seed in judged(row, road_of(row))]
    clear, left = ([right for (right, _, _), o in said if right is not None and o is which] for which in (False, True))
    ratios = [abs(ratio) for (_, ratio, _), _ in said if ratio is not None]
    halves = [e for (_, _, errors), _ in said for e in errors]
    refused = sum("refused" in row["roads"][road_of(row)] for row in rows)
    text = f"{sum(clear)}/{len(clear)}" if clear else "-"
    text += f" (open {sum(left)}/{len(left)})" if left else ""
    text += f"; {100 * np.median(ratios):.0f} %" if ratios else ""
    text += f"; {100 * np.median(halves):.0f} %" if halves else ""
    return text + (f"; {refused} refused" if refused else "")


def report(path: Path) -> str:
    rows = rows_in(path)
    made = sorted({r["date"] for r in rows})
    runs = [seed for r in rows for seed in r["seeds"]]
    hours = sum(r["seconds"] * SEEDS for r in rows) / 3600
    parts = len({(r["network"], r["loss"], r["table"]) for r in rows})
    text = f"# How far it reaches\n\n{(__doc__ or '').split(chr(10) * 2, 2)[2].strip()}\n\n"
    text += (
        f"Measured {' to '.join(dict.fromkeys((made[0], made[-1])))}: {len(runs)} trainings, {parts} of "
        f"{len(TABLES) * len(LOSSES) * len(SHAPES)} parts (network, table, loss), {hours:.2g} hours of one core; "
        f"{sum('broken' in seed for seed in runs)} diverged, "
        f"{sum(not seed.get('settled', True) for seed in runs)} still learned at the end.\n\n"
    )
    text += "A cell: seeds whose order is right, of those that are no tie and of which an order is predicted (open: of "
    text += "those of which it says that either may be first); median error of the ratio; of the half-times.\n\n"
    head = "| network | start | " + " | ".join(OPTIMIZERS) + " |\n|---|---|" + "---|" * len(OPTIMIZERS) + "\n"
    for loss in LOSSES:
        text += f"## {loss.replace('_', '-').capitalize()}\n\n{head}"
        for shape, start in product(SHAPES, STARTS):
            cells = []
            for optimizer in OPTIMIZERS:
                asked = (shape.name, start, optimizer, loss)
                some = [r for r in rows if (r["network"], r["start"], r["optimizer"], r["loss"]) == asked]
                cells.append(summed(some) if some else "not run")
            text += f"| {shape.name} | {start} | " + " | ".join(cells) + " |\n"
        text += "\n"
    text += "## By the road that answered\n\n"
    text += (
        "| road | start | networks | right; ratio; half-times | predict | train a seed |\n|---|---|---|---|---|---|\n"
    )
    roads = sorted({road for r in rows for road in r["roads"]})
    for road, start, linear in product(roads, STARTS, (True, False)):
        some = [r for r in rows if road in r["roads"] and r["start"] == start]
        some = [r for r in some if r["network"].startswith("linear") is linear]
        answered = [r for r in some if "beside" in r["roads"][road]]
        if answered:
            costs = np.median([[r["roads"][road]["seconds"], r["seconds"]] for r in answered], axis=0)
            told = summed(some, partial(_named, road))
            text += f"| {road} | {start} | {'linear' if linear else 'others'} | {told} | "
            text += f"{costs[0]:.2g} s | {costs[1]:.2g} s |\n"
    text += "\n## Where the order was wrong\n\n"
    text += "Cells of which less than half of the clear seeds are right, by what was seen there:\n\n"
    causes: dict[str, list[str]] = {}
    for r in rows:
        clear = [right for right, _, _ in judged(r, main_road(r)) if right is not None and not is_open(r, main_road(r))]
        if clear and sum(clear) < len(clear) / 2:
            where = f"{r['network']} {r['table']} {r['optimizer']} ({r['start']}, {r['loss']})"
            causes.setdefault(cause(r), []).append(where)
    for why, where in sorted(causes.items(), key=lambda item: -len(item[1])):
        shown = "; ".join(where[:6]) + (f"; and {len(where) - 6} more" if len(where) > 6 else "")
        text += f"- **{why}**: {len(where)} cells. {shown}\n"
    text += "\n## What is refused\n\n"
    refusals: dict[str, int] = {}
    for r in rows:
        for road in r["roads"].values():
            if "refused" in road:
                kind = "".join("#" if c.isdigit() else c for c in road["refused"].split(":")[0].split(",")[0])
                refusals[kind] = refusals.get(kind, 0) + 1
    text += "".join(f"- {count} cells: {kind}\n" for kind, count in sorted(refusals.items(), key=lambda item: -item[1]))
    notes = FILE.with_name("REACH_NOTES.md")
    return text + ("\n" + notes.read_text() if notes.exists() else "")


def cause(row: Mapping[str, Any]) -> str:
    """What was seen of a cell whose order is wrong; the first that applies."""
    orders = {tuple(sorted(s["times"], key=lambda m: s["times"][m] or math.inf)) for s in row["seeds"] if "times" in s}
    if any(None in s.get("times", {}).values() for s in row["seeds"]):
        return "a modality is never learned, or predicted never to be"
    if len(orders) > 1:
        return "seeds of training disagree"
    if not all(s.get("settled", True) for s in row["seeds"]):
        return "training had not come to its end"
    if row["start"] != "small":
        return "the start is not small"
    if row["loss"] != "squared" and "squared loss" in main_road(row):
        return "the law of squared loss stood for cross-entropy"
    if max(max(s["nonlinear"].values()) for s in row["seeds"] if "nonlinear" in s) > 0.3:
        return "a third or more of a part is not linear in its inputs"
    return "not known"


if __name__ == "__main__":
    asked = [(shape, table, loss) for loss, table, shape in product(LOSSES, TABLES, SHAPES)]
    parts = {(shape.name, loss, table): partial(rows_of, shape, table, loss) for shape, table, loss in asked}
    command(__doc__, parts, ("network", "loss", "table"), report, FILE, minutes=60.0)
