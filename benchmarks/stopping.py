"""Is the predicted stopping time a good one? Networks trained by a loop of their own, on rows that they did not see.

    python -m benchmarks.stopping --measure FILE [--minutes N]   add rows (JSON lines) that FILE lacks, for N minutes
    python -m benchmarks.stopping --report FILE [--save]         the report, --save into STOPPING.md

Six real tables, z-scored, their columns in two blocks; split k draws the rows to train on from k alone: 50 of them (14
of linnerud's 20), so that networks can overfit; the others, up to 400, are the test. Two layers from u0 = 0.01; of the
four tables with 13 columns or fewer k = 8 and 9 have three, from u0 = 0.1. Width 50, no biases, columns less their
means over the rows trained on. No split is left out. Training is full-batch gradient descent in PyTorch on the rows
(float64), 12,000 steps; what is compared is the test error at some stopping time with the lowest test error of the run
on all rows to train on.

"Known test rows": `predict(..., holdout=the test rows, width=50)`, which judges the predicted curve alone; with more
than 13 columns, where the errors that `predict` adds take long, the run that `report` takes for a split. "A fifth of
the rows": one split as in `report`, of the rows to train on, and the network is trained on all of them until that time;
"training loss": until the training loss that the run is predicted to have then. "Five splits": the time of the lowest
mean error over five such fifths. Beside them what a good user does: a network trained on the other four fifths, with
the weights of its lowest error on the fifth, either with a patience of 1000 steps or over the whole run; and stopping
at the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.parts import command, rows_in
from dynamics import Correlations, DomainError, FusionNetwork, SolveError, load_example, predict, random_weights
from dynamics.data.held_out import HeldOut, held_out
from dynamics.prediction.stopping import Stopping
from dynamics.prediction.stopping_runs import stopping_over, typical_run
from dynamics.recipe import PLAIN

TABLES = ("diabetes", "star98", "linnerud", "breast_cancer", "wine", "digits")
SPLITS, WIDTH, STEPS, LOOK = 10, 50, 12_000, 10
PATIENCE = 1000  # steps
ROWS, MOST_TESTED = 50, 400
DEEP, DEEP_SPLITS, U0 = 3, (8, 9), {2: 0.01, 3: 0.1}
FEW, MOST_COLUMNS = ("diabetes", "star98", "linnerud", "wine"), 13
FILE = Path(__file__).with_name("STOPPING.md")
Array = np.ndarray
WAYS = {
    "known": "known test rows: at the predicted time",
    "known_loss": "known test rows: at the predicted training loss",
    "fifth": "a fifth of the rows: at the predicted time",
    "fifth_loss": "a fifth of the rows: at the predicted training loss",
    "five": "five splits: at the predicted time",
    "five_loss": "five splits: at the predicted training loss",
    "patience": "patience of 1000 steps on the fifth",
    "whole": "lowest error on the fifth over the whole run",
    "retrained": "the same step, trained again on all rows",
    "end": "at the end of 12,000 steps",
}


@cache
def table_of(name: str) -> tuple[dict[str, Array], Array]:
    """Two blocks and a target, z-scored."""
    if name in ("diabetes", "star98", "linnerud"):
        rows = load_example(name).samples
        assert rows is not None
        return dict(rows.inputs), rows.targets[:, 0]
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    x, y = bunch.data, bunch.target.astype(float)
    left = np.arange(64).reshape(8, 8)[:, :4].ravel()  # half of the picture
    first = {"breast_cancer": np.arange(10), "wine": np.arange(6), "digits": left}[name]
    second = np.setdiff1d(np.arange(x.shape[1]), first)
    blocks = {m: x[:, c][:, x[:, c].std(0) > 0] for m, c in (("A", first), ("B", second))}
    return {m: (v - v.mean(0)) / v.std(0) for m, v in blocks.items()}, (y - y.mean()) / y.std()


def split_of(name: str, k: int) -> tuple[Correlations, Array]:
    """All rows that take part, and the numbers of those to test on."""
    inputs, y = table_of(name)
    rng = np.random.default_rng([TABLES.index(name), k, 0])
    order = rng.permutation(len(y))
    count = 14 if name == "linnerud" else ROWS
    order = order[: count + MOST_TESTED]
    data = Correlations.from_samples({m: x[order] for m, x in inputs.items()}, y[order])
    return data, np.arange(count, len(order))


@dataclass(frozen=True, eq=False)
class Task:
    """Rows to train on, about their means, and others on which errors are told: name -> (inputs, target)."""

    data: Correlations
    told: Mapping[str, tuple[Array, Array]]
    seed: int


@dataclass(frozen=True, eq=False)
class Run:
    """One network along its descent: times, training loss, and errors by name, (looks,) each."""

    t: Array
    loss: Array
    errors: Mapping[str, Array]

    def at_time(self, t: float, name: str = "test") -> float:
        """Error at the look nearest to t, at the last one beyond it."""
        return float(self.errors[name][int(np.argmin(np.abs(self.t - t)))])

    def at_loss(self, loss: float, name: str = "test") -> float:
        """Error once the training loss has come down to this; at the end where it does not."""
        past = np.flatnonzero(self.loss <= loss)
        return float(self.errors[name][past[0] if len(past) else -1])


def trained(network: FusionNetwork, u0: float, tasks: list[Task]) -> list[Run]:
    """Full-batch gradient descent of all tasks side by side, each on its own rows at its own rate."""
    names, count = tasks[0].data.modalities, len(tasks)
    drawn = [random_weights(network, task.data, u0, WIDTH, task.seed) for task in tasks]
    layers = [
        [torch.tensor(np.stack([one[m][i] for one in drawn])) for i in range(int(network.depths[m]))] for m in names
    ]
    rows = [task.data.samples for task in tasks]
    x = [_padded([one.inputs[m] for one in rows if one is not None]) for m in names]
    y = _padded([one.targets for one in rows if one is not None])[:, :, 0]
    each = torch.tensor([float(one.count) for one in rows if one is not None])
    rates = torch.tensor([min(0.1, 0.3 / float(np.linalg.eigvalsh(task.data.sigma)[-1])) for task in tasks])
    rates, each = rates.double(), each.double()
    looks, losses, totals = [], [], []
    for step in range(STEPS + 1):
        above = [_above(weights) for weights in layers]
        error = y - sum(_times(one, products[0]) for one, products in zip(x, above, strict=True))
        if step % LOOK == 0:
            looks.append(step)
            losses.append((error**2).sum(1) / each / 2)
            totals.append(torch.cat([products[0] for products in above], dim=1))
        for one, products, weights in zip(x, above, layers, strict=True):
            below = torch.bmm(error[:, None], one)[:, 0] * (rates / each)[:, None]
            for w, after in zip(weights, products[1:], strict=True):
                change, below = below, _times(w, below)  # what comes in, before this layer moves
                w.baddbmm_(after[:, :, None], change[:, None])
    total, loss = torch.stack(totals, dim=1).numpy(), torch.stack(losses, dim=1).numpy()
    found = []
    for b in range(count):
        errors = {
            name: np.mean((target - total[b] @ inputs.T) ** 2, axis=1) / 2
            for name, (inputs, target) in tasks[b].told.items()
        }
        found.append(Run(np.array(looks) * float(rates[b]), loss[b], errors))
    return found


def _times(w: Any, v: Any) -> Any:
    """Matrices (B, n, d) times vectors (B, d)."""
    return torch.bmm(w, v[:, :, None])[:, :, 0]


def _above(weights: list[Any]) -> list[Any]:
    """Products of the layers from each one upwards, rows (B, d); the first is the total weight, the last is one."""
    found = [torch.ones(len(weights[0]), 1, dtype=torch.float64)]
    for w in reversed(weights):
        found.append(torch.bmm(found[-1][:, None], w)[:, 0])
    return found[::-1]


def _padded(blocks: list[Array]) -> Any:
    """(B, most rows, columns), with rows of zeros, which change no gradient."""
    most = max(map(len, blocks))
    return torch.tensor(np.stack([np.pad(block, ((0, most - len(block)), (0, 0))) for block in blocks]))


def rows_of(name: str, depth: int) -> Iterator[dict[str, Any]]:
    """All splits of a table with so many layers: predicted one by one, trained side by side."""
    u0 = U0[depth]
    asked, tasks = [], []
    for k in range(SPLITS):
        if (DEEP if k in DEEP_SPLITS and name in FEW else 2) != depth:
            continue
        data, test = split_of(name, k)
        network = FusionNetwork.fused_at(depth, depth, data.modalities)
        outer = held_out(data, test)
        left = outer.left
        inner = held_out(left, 0.2, 0)
        row: dict[str, Any] = {"table": name, "k": k, "depth": depth, "mean": outer.spread}
        begin = time.process_time()
        try:
            known: Stopping | None = None
            if len(data.sigma) <= MOST_COLUMNS:
                known = predict(network, data, u0=u0, width=WIDTH, holdout=test).stopping
            else:
                known = Stopping.of(typical_run(network, left, u0, WIDTH, PLAIN), outer)
            row["seconds"] = time.process_time() - begin
            five = stopping_over(network, left, u0=u0, width=WIDTH, recipe=PLAIN, splits=5)
            fifth = five.each[0]
        except (DomainError, SolveError) as error:
            yield row | {"refused": str(error)}
            continue
        assert known is not None
        row |= {
            "predicted": known.t_best, "error": known.error_best, "helps": known.helps, "left": known.left,
            "cut_off": list(known.cut_off), "alone": dict(known.alone), "notes": list(known.notes),
            "times": {m: t if np.isfinite(t) else None for m, t in known.times.items()},
            "known_loss": known.loss_best, "fifth": fifth.t_best, "fifth_loss": fifth.loss_best, "five": five.t_best,
            "five_loss": five.loss_best,
        }  # fmt: skip
        asked.append(row)
        tasks.append(Task(left, {"test": _joined(outer.inputs, outer.targets)}, k))
        tasks.append(
            Task(inner.left, {"val": _joined(inner.inputs, inner.targets), "test": _about(outer, left, inner)}, k)
        )
    if tasks:
        network = FusionNetwork.fused_at(depth, depth, tasks[0].data.modalities)
        runs = trained(network, u0, tasks)
        for row, full, part in zip(asked, runs[::2], runs[1::2], strict=True):
            yield row | _found(row, full, part)


def _found(row: Mapping[str, Any], full: Run, part: Run) -> dict[str, Any]:
    """Test errors where each way stops; `part` has learned from four fifths of the rows."""
    whole, test = int(np.argmin(part.errors["val"])), full.errors["test"]
    at = {
        "known": full.at_time(row["predicted"]), "known_loss": full.at_loss(row["known_loss"]),
        "fifth": full.at_time(row["fifth"]), "fifth_loss": full.at_loss(row["fifth_loss"]),
        "five": full.at_time(row["five"]), "five_loss": full.at_loss(row["five_loss"]),
        "patience": float(part.errors["test"][_patient(part.errors["val"], PATIENCE // LOOK)]),
        "whole": float(part.errors["test"][whole]), "retrained": full.at_time(float(part.t[whole])),
        "end": float(test[-1]),
    }  # fmt: skip
    return {"best": float(test.min()), "t_best": float(full.t[np.argmin(test)]), "t_end": float(full.t[-1]), "at": at}


def _joined(inputs: Mapping[str, Array], targets: Array) -> tuple[Array, Array]:
    return np.hstack(list(inputs.values())), targets[:, 0]


def _about(outer: HeldOut, left: Correlations, inner: HeldOut) -> tuple[Array, Array]:
    """The test rows less the means of the four fifths, which `held_out` drew with seed 0."""
    rows = left.samples
    assert rows is not None
    out = np.sort(np.random.default_rng(0).permutation(rows.count)[: inner.count])
    some = np.setdiff1d(np.arange(rows.count), out)
    assert np.allclose(rows.targets[out] - rows.targets[some].mean(axis=0), inner.targets)
    inputs = {m: outer.inputs[m] - rows.inputs[m][some].mean(axis=0) for m in left.modalities}
    return _joined(inputs, outer.targets - rows.targets[some].mean(axis=0))


def _patient(errors: Array, looks: int) -> int:
    """The lowest one before `looks` of them bring nothing better."""
    best = 0
    for i, value in enumerate(errors):
        if value < errors[best]:
            best = i
        elif i - best >= looks:
            break
    return best


def over(row: Mapping[str, Any], way: str) -> float:
    """Test error there, above the lowest along the run."""
    return float(row["at"][way] / row["best"] - 1)


def shown(values: list[float]) -> str:
    return f"{100 * np.median(values):.2g} %, {100 * max(values):.3g} %" if values else "none"


def table(rows: list[dict[str, Any]]) -> str:
    names = [name for name in TABLES if any(r["table"] == name for r in rows)]
    text = f"\n| median, worst of the splits | all | {' | '.join(names)} |\n|{'---|' * (len(names) + 2)}\n"
    for way, told in WAYS.items():
        each = [shown([over(r, way) for r in rows if r["table"] == name]) for name in names]
        text += f"| {told} | {shown([over(r, way) for r in rows])} | {' | '.join(each)} |\n"
    count = [f"{sum(r['table'] == name for r in rows)}" for name in names]
    cut = [f"{sum(bool(r['cut_off']) for r in rows if r['table'] == name)}" for name in names]
    text += f"| splits | {len(rows)} | {' | '.join(count)} |\n"
    text += f"| early stopping cuts a modality off in | {sum(bool(r['cut_off']) for r in rows)} | {' | '.join(cut)} |\n"
    return text


def report(path: Path) -> str:
    rows = [r for r in rows_in(path) if "at" in r]
    refused = len(rows_in(path)) - len(rows)
    text = f"# When to stop\n\n{(__doc__ or '').split(chr(10) * 2, 2)[2].strip()}\n\n"
    seconds = np.median([r["seconds"] for r in rows])
    text += f"{len(rows)} splits, {refused} refused. A prediction takes {seconds:.2g} s of one core in the median. "
    text += "Each entry: by which share the test error is above the lowest of the run, median and worst over splits.\n"
    text += table(rows)
    deep = [r for r in rows if r["depth"] == 3]
    text += "\n## By depth\n\n| median, worst | two layers | three layers |\n|---|---|---|\n"
    for way, told in WAYS.items():
        text += f"| {told} | {shown([over(r, way) for r in rows if r['depth'] == 2])} | "
        text += f"{shown([over(r, way) for r in deep])} |\n"
    worst = max(rows, key=lambda r: over(r, "known"))
    text += f"\nThe worst with known test rows: {worst['table']}, k = {worst['k']}, {worst['depth']} layers"
    text += f": {worst['at']['known']:.3g} at the predicted "
    text += f"{worst['predicted']:.3g} tau, {worst['best']:.3g} at {worst['t_best']:.3g} tau.\n"
    return text


if __name__ == "__main__":
    asked = [(name, depth) for depth in (2, DEEP) for name in (TABLES if depth == 2 else FEW)]
    command(__doc__, {one: partial(rows_of, *one) for one in asked}, ("table", "depth"), report, FILE, minutes=15.0)
