"""Does training with Adam and its kin keep the times that `predict(..., recipe=...)` says? Trained by loops of its own.

    python -m benchmarks.adaptive --check           the optimizers beside torch.optim
    python -m benchmarks.adaptive --train FILE      train what FILE (JSON) lacks
    python -m benchmarks.adaptive --compare FILE    the report, --save into ADAPTIVE.md

Linear networks in NumPy, all seeds at once, nothing of the project's simulations; half-times are in steps, the loss is
half the mean squared error. Starts are random, N(0, u0^2/entries) for each layer, sqrt(modalities) u0 after a fusion.
Half of a modality is there when <w, p> / <p, p> reaches 1/2 in the metric of its inputs, p its weights in a regression
on it and all learned before it, whose order is the run's own. Plateaus do not know of weight decay, but that under
Adam with weight decay in the gradient both are compared.

Said wrong is an order if two modalities' median half-times differ by more than the sum of their interquartile ranges
over the seeds and the prediction has them the other way round.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np

from dynamics import Correlations, DataError, DomainError, FusionNetwork, Recipe, SolveError, load_example, predict

MOST_STEPS, FIRST_LOOK, LOOK = 60_000, 100, 3.0
DRAWN, SEEDS = 120, 5
START = {2: (3e-4, 3e-3), 3: (0.02, 0.1), 4: (0.05, 0.2)}  # u0 by depth
FILE = Path(__file__).with_name("ADAPTIVE.md")

Array = np.ndarray


@dataclass(frozen=True)
class Table:
    """Rows and target, centred, and what full batches know of them."""

    inputs: Mapping[str, Array]
    target: Array

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.inputs)

    @property
    def x(self) -> Array:
        return np.hstack(list(self.inputs.values()))

    @property
    def span(self) -> dict[str, slice]:
        ends = np.cumsum([0, *(x.shape[1] for x in self.inputs.values())]).tolist()
        return {m: slice(a, b) for m, a, b in zip(self.inputs, ends, ends[1:], strict=False)}

    @property
    def moments(self) -> tuple[Array, Array]:
        x = self.x
        return x.T @ x / len(x), self.target @ x / len(x)


@dataclass(frozen=True)
class Case:
    """One network and one way to train it; `recipe` are the keywords of `Recipe`."""

    kind: str
    table: str
    name: str
    depth: int
    fused: int
    width: int
    u0: float
    recipe: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = SEEDS

    @property
    def key(self) -> str:
        return f"{self.kind}; {self.table}; {self.name}"


@cache
def table_of(name: str) -> Table:
    if not name.startswith("drawn"):
        samples = load_example(name).samples
        assert samples is not None
        return Table(samples.inputs, samples.targets[:, 0])
    number = int(name.split()[1])
    rng = np.random.default_rng([31, number])
    sizes = rng.integers(1, 5, size=3 if number % 5 == 4 else 2)
    total = int(sizes.sum())
    upper = np.triu(rng.uniform(-0.8, 0.8, (total, total)), 1)
    least = float(np.linalg.eigvalsh(upper + upper.T)[0])
    mixing = np.eye(total) + min(1.0, 0.9 / max(-least, 1e-9)) * (upper + upper.T)  # eigenvalues from 0.1 on
    scales = rng.uniform(0.6, 1.6, total)
    x = rng.normal(size=(400, total)) @ np.linalg.cholesky(mixing).T * scales
    signal = x @ (rng.normal(size=total) / scales)
    y = signal + signal.std() * rng.normal(size=400)
    x, y = x - x.mean(0), (y - y.mean()) / y.std()
    return Table(dict(zip("ABC", np.split(x, np.cumsum(sizes)[:-1], axis=1), strict=False)), y)


def drawn_case(number: int, kind: str = "adam", name: str = "adam", **changed: Any) -> Case:
    """Width, u0 and learning rate of a drawn problem; `changed` are fields of the case, the recipe's updated."""
    rng, depth = np.random.default_rng([31, number, 1]), 2 + number % 3

    def between(low: float, high: float) -> float:
        return float(math.exp(rng.uniform(math.log(low), math.log(high))))

    width, rate, u0 = round(between(20, 200)), between(1e-4, 1e-3), between(*START[depth])
    recipe: dict[str, Any] = {"optimizer": "adam", "learning_rate": rate} | changed.pop("recipe", {})
    known: dict[str, Any] = {"fused": depth, **changed}
    return Case(kind, f"drawn {number}", name, depth, width=width, u0=u0, recipe=recipe, **known)


def cases() -> Iterator[Case]:
    two = range(0, DRAWN, 3)  # numbers of the problems with two layers
    for k in range(DRAWN):
        yield drawn_case(k)
    ways: dict[str, dict[str, Any]] = {
        "gradient descent": {"learning_rate": 5e-3},
        "momentum": {"momentum": 0.9, "learning_rate": 5e-4},
        "adam": {"optimizer": "adam", "learning_rate": 1e-4},
        "adamw": {"optimizer": "adamw", "learning_rate": 1e-4, "weight_decay": 0.01},
        "rmsprop": {"optimizer": "rmsprop", "learning_rate": 1e-4},
    }
    for table in ("star98", "diabetes", "linnerud"):
        for depth, u0 in ((2, 1e-3), (3, 0.03)):
            for name, recipe in ways.items():
                yield Case("real", table, f"{name}, depth {depth}", depth, depth, 100, u0, recipe)
    for k in two[:6]:
        for by in (1, 2):  # the next problems have three and four layers
            yield drawn_case(k + by, "trunk", f"({2 + by}, {1 + by})", fused=1 + by)
    for k in two[:10]:
        for size in (2, 8, 32, 256):
            changed: dict[str, Any] = {"learning_rate": 1e-4, "batch_size": size}
            yield drawn_case(k, "batches", f"batch {size}", recipe=changed, seeds=10)
    for k in two[:8]:
        yield drawn_case(k, "decay", "adam", recipe={"weight_decay": 0.01})
        yield drawn_case(k, "decay", "adamw", recipe={"optimizer": "adamw", "weight_decay": 0.1})
    for k in two[:6]:
        table_k = table_of(f"drawn {k}")
        most = max(float(np.linalg.norm(table_k.moments[1][s])) for s in table_k.span.values())
        for level in (5, 0.5, 0.02):
            for beta in (0.5, 0.9, 0.99):
                for nesterov in (False, True):
                    changed = {"optimizer": "sgd", "learning_rate": level * (1 - beta) ** 2 / most, "momentum": beta}
                    name = f"{beta:g}, level {level:g}" + (", nesterov" if nesterov else "")
                    yield drawn_case(k, "momentum", name, recipe=changed | ({"nesterov": True} if nesterov else {}))


class Network:
    """Branches and trunk, layers (seeds, out, in) from the input side; W = trunk (branch_1 | branch_2 | ...)."""

    def __init__(self, table: Table, case: Case) -> None:
        self.span = list(table.span.values())
        number = zlib.crc32(case.table.encode())
        rngs = [np.random.default_rng([32, number, seed]) for seed in range(case.seeds)]

        def layers(size: int, count: int, norm: float, ends: bool) -> list[Array]:
            shapes = [(case.width, size if i == 0 else case.width) for i in range(count)]
            shapes[-1:] = [(1, shapes[-1][1])] if ends else shapes[-1:]
            scales = [norm / math.sqrt(a * b) for a, b in shapes]
            return [np.stack([r.normal(0, s, shape) for r in rngs]) for s, shape in zip(scales, shapes, strict=True)]

        late = case.fused == case.depth
        self.branches = [layers(s.stop - s.start, case.fused, case.u0, late) for s in self.span]
        norm = case.u0 * math.sqrt(len(self.span))
        self.trunk = [] if late else layers(case.width, case.depth - case.fused, norm, True)
        self.ones = np.ones((case.seeds, 1))

    @property
    def layers(self) -> list[Array]:
        return [layer for chain in (*self.branches, self.trunk) for layer in chain]

    def total(self) -> Array:
        """Total weights (seeds, inputs); keeps the products that gradients need."""
        self.maps = [[branch[0]] for branch in self.branches]
        for branch, maps in zip(self.branches, self.maps, strict=True):
            for layer in branch[1:]:
                maps.append(layer @ maps[-1])
        self.fused = [np.concatenate([maps[-1] for maps in self.maps], axis=2)]
        for layer in self.trunk:
            self.fused.append(layer @ self.fused[-1])
        return self.fused[-1][:, 0]

    def gradients(self, by_total: Array) -> list[Array]:
        """In the order of `layers`, from the gradient by total weights."""

        def along(layers: list[Array], below: list[Array], last: Array, right: Array) -> tuple[list[Array], Array]:
            found = []
            for i in reversed(range(len(layers))):
                into = right if i == 0 else below[i - 1] @ last
                found.append(above[0][:, :, None] * into.swapaxes(1, 2))
                above[0] = (above[0][:, None] @ layers[i])[:, 0]
            return found[::-1], above[0]

        above = [self.ones]
        error = by_total[:, :, None]
        trunk, top = along(self.trunk, self.fused[1:], error, self.fused[0] @ error if self.trunk else error)
        found = []
        for branch, maps, s in zip(self.branches, self.maps, self.span, strict=True):
            above = [top]
            found += along(branch, maps, error[:, s], error[:, s])[0]
        return found + trunk


def optimizer(recipe: Mapping[str, Any], layers: list[Array]) -> Callable[[list[Array]], None]:
    """Steps in place as those of torch.optim, betas (0.9, 0.999), RMSprop's alpha 0.999; may use up the gradients."""
    kind, rate, decay = recipe.get("optimizer", "sgd"), recipe["learning_rate"], recipe.get("weight_decay", 0.0)
    momentum, nesterov = recipe.get("momentum", 0.0), recipe.get("nesterov", False)
    first, second = [np.zeros_like(w) for w in layers], [np.zeros_like(w) for w in layers]
    one, two, eps = 0.0 if kind == "rmsprop" else 0.9, 0.999, 1e-8
    steps = 0

    def step(gradients: list[Array]) -> None:
        nonlocal steps
        steps += 1
        for i, w in enumerate(layers):
            g, m, v = gradients[i], first[i], second[i]
            if kind == "adamw":
                np.multiply(w, 1 - rate * decay, out=w)
            elif decay:
                g += decay * w
            m *= momentum if kind == "sgd" else one
            m += g if kind == "sgd" else (1 - one) * g
            if kind == "sgd":
                np.subtract(w, rate * (g + momentum * m if nesterov else m), out=w)
                continue
            g *= g
            g *= 1 - two
            v *= two
            v += g
            np.sqrt(v, out=g)
            if kind != "rmsprop":
                g /= math.sqrt(1 - two**steps)
            g += eps
            np.divide(m, g, out=g)
            g *= rate if kind == "rmsprop" else rate / (1 - one**steps)
            np.subtract(w, g, out=w)

    return step


class Run:
    """Training of one case from all its starts; `history` are total weights (steps, seeds, inputs)."""

    def __init__(self, case: Case) -> None:
        self.case, self.table = case, table_of(case.table)
        self.network = Network(self.table, case)
        self.sigma, self.sigma_yx = self.table.moments
        self.x, self.step = self.table.x, optimizer(case.recipe, self.network.layers)
        self.rng = np.random.default_rng(33)
        self.history = [self.network.total()]

    def on(self, steps: int) -> bool:
        """Further to that many steps; False if it diverges."""
        size = self.case.recipe.get("batch_size")
        while len(self.history) <= steps:
            w = self.history[-1]
            if size:
                rows = self.rng.integers(0, len(self.x), (len(w), size))
                x, y = self.x[rows], self.table.target[rows]
                by_total = (((x @ w[:, :, None])[:, :, 0] - y)[:, None] @ x)[:, 0] / size
            else:
                by_total = w @ self.sigma - self.sigma_yx
            self.step(self.network.gradients(by_total))
            self.history.append(self.network.total())
            if not np.abs(self.history[-1]).max() < 1e3:
                return False
        return True

    def found(self) -> dict[str, Any]:
        """What is stored: steps to half at each plateau by modality and seed, None where there is none."""
        looked = FIRST_LOOK
        while True:
            diverged = not self.on(looked)
            crossings = all_crossings(self.table, np.array(self.history))
            last = LOOK * max(max(greedy(self.table.names, crossings, k).values()) for k in range(self.case.seeds))
            if diverged or looked >= min(last, MOST_STEPS):
                break
            looked = min(MOST_STEPS, math.ceil(max(LOOK * looked, last if math.isfinite(last) else 0)))
        known = {"crossings": crossings}
        if self.case.kind == "decay" and self.case.recipe["optimizer"] == "adam":
            known["decayed"] = all_crossings(self.table, np.array(self.history), self.case.recipe["weight_decay"])
        stored = {
            name: {n: [t if math.isfinite(t) else None for t in ts] for n, ts in each.items()}
            for name, each in known.items()
        }
        return {**asdict(self.case), **stored, "steps": len(self.history) - 1, "diverged": diverged}


Crossings = Mapping[str, list[float]]  # "A" alone and "A after B + C", by seed


def after(m: str, learned: Iterable[str]) -> str:
    return " after ".join(filter(None, (m, " + ".join(sorted(learned)))))


def plateau(table: Table, learned: Sequence[str], decay: float) -> Array:
    """Weights in a regression on `learned`; with L2 decay of two layers, their norms by modality cost decay each."""
    sigma, sigma_yx = table.moments
    spans = [table.span[m] for m in learned]
    at = np.concatenate([np.arange(s.start, s.stop) for s in spans])
    p = np.zeros(len(sigma))
    p[at] = np.linalg.solve(sigma[np.ix_(at, at)], sigma_yx[at])
    step = 1 / float(np.linalg.eigvalsh(sigma)[-1])
    for _ in range(20_000 if decay else 0):  # proximal gradient descent
        q, p = p, np.zeros(len(p))
        p[at] = (q - step * (sigma @ q - sigma_yx))[at]
        for s in spans:
            p[s] *= max(0.0, 1 - step * decay / float(np.linalg.norm(p[s])))
        if np.abs(q - p).max() < 1e-13:
            break
    return p


def all_crossings(table: Table, history: Array, decay: float = 0.0) -> Crossings:
    """Steps, interpolated, at which half of a modality's weights is there, at every plateau; inf where it never is."""
    sigma, span, found = table.moments[0], table.span, {}
    for m, s in span.items():
        others = [n for n in span if n != m]
        for learned in chain.from_iterable(combinations(others, r) for r in range(len(span))):
            p = plateau(table, (m, *learned), decay)
            metric = sigma[s, s] @ p[s]
            with np.errstate(all="ignore"):
                share = history[:, :, s] @ metric / (p[s] @ metric)
                above = share >= 0.5
                i, columns = np.maximum(np.argmax(above, axis=0), 1), np.arange(share.shape[1])
                low, high = share[i - 1, columns], share[i, columns]
                found[after(m, learned)] = np.where(above.any(0), i - 1 + (0.5 - low) / (high - low), math.inf).tolist()
    return found


def greedy(names: Sequence[str], crossings: Crossings, seed: int) -> dict[str, float]:
    """Half-times of one run in its own order: of those left, the first to be half there after those before it."""
    found: dict[str, float] = {}
    while len(found) < len(names):
        times = {m: crossings[after(m, found)][seed] for m in names if m not in found}
        m = min(times, key=lambda n: times[n])
        found[m] = times[m]
    return found


def train(path: Path, minutes: float, only: str) -> None:
    stored: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    begin = time.monotonic()
    for case in cases():
        if case.key in stored or only not in case.key:
            continue
        if time.monotonic() - begin > 60 * minutes:
            print(f"stopped before {case.key}", file=sys.stderr)
            break
        clock = time.monotonic()
        with np.errstate(all="ignore"):
            stored[case.key] = Run(case).found()
        seconds = stored[case.key]["seconds"] = time.monotonic() - clock
        written = path.with_suffix(".part")
        written.write_text(json.dumps(stored))
        written.replace(path)
        steps = stored[case.key]["steps"]
        print(f"{clock - begin:6.0f} s  {case.key}  {steps} steps, {seconds:.1f} s", file=sys.stderr, flush=True)


def check(steps: int = 200) -> str:
    """The largest difference of any weight from training by torch.optim."""
    import torch

    ways: list[dict[str, Any]] = [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"optimizer": "adam"},
        {"optimizer": "adam", "weight_decay": 0.1},
        {"optimizer": "adam", "batch_size": 8},
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"optimizer": "rmsprop"},
    ]
    makers: dict[str, Callable[..., Any]] = {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": lambda *a, **k: torch.optim.RMSprop(*a, alpha=0.999, **k),
    }
    lines = []
    for depth, fused in ((2, 2), (3, 3), (4, 2)):
        for way in ways:
            recipe = {"optimizer": "sgd", "learning_rate": 0.01} | way
            case = Case("check", "drawn 4", "", depth, fused, 12, 0.5, recipe, seeds=2)
            run = Run(case)
            copies = [[torch.tensor(w[k], requires_grad=True) for w in run.network.layers] for k in range(2)]
            rng, worst = np.random.default_rng(33), 0.0
            batches = [rng.integers(0, 400, (2, way.get("batch_size", 1))) for _ in range(steps)]
            run.on(steps)
            for k, weights in enumerate(copies):
                keywords = {n: v for n, v in recipe.items() if n not in {"optimizer", "learning_rate", "batch_size"}}
                descent = makers[str(recipe["optimizer"])](weights, lr=0.01, **keywords)
                for batch in batches:
                    at = batch[k] if "batch_size" in way else np.arange(400)
                    hidden: Any = 0
                    for i, x in enumerate(run.table.inputs.values()):
                        branch = torch.tensor(x[at])
                        for w in weights[i * fused : (i + 1) * fused]:
                            branch = branch @ w.T
                        hidden = hidden + branch
                    for w in weights[len(run.table.inputs) * fused :]:
                        hidden = hidden @ w.T
                    descent.zero_grad()
                    (0.5 * (hidden[:, 0] - torch.tensor(run.table.target[at])).square().mean()).backward()
                    descent.step()
                for w, layer in zip(weights, run.network.layers, strict=True):
                    worst = max(worst, float(np.abs(w.detach().numpy() - layer[k]).max()))
            lines.append(f"({depth}, {fused}) {way}: {worst:.1e}")
    return "\n".join(lines)


def predicted(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Half-times in steps and their bounds, or why there are none, whatever the project makes of the case."""
    table = table_of(entry["table"])
    try:
        recipe = Recipe(**entry["recipe"])
        net = FusionNetwork.fused_at(entry["depth"], entry["fused"], table.names)
        data = Correlations.from_samples(dict(table.inputs), table.target)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = predict(net, data, u0=entry["u0"], width=entry["width"], recipe=recipe)
        rate = entry["recipe"]["learning_rate"]
        bound = {m: said.estimate.bound.get(m) for m in table.names}
        return {
            "steps": {m: said.times[m] / rate for m in table.names},
            "together": bool(said.together),
            "bound": {m: math.inf if b is None else float(b) for m, b in bound.items()},
        }
    except (DataError, DomainError, SolveError) as error:
        return {"refused": f"refused: {type(error).__name__}: {str(error).splitlines()[0][:150]}"}


class Row:
    """What is seen and said of one case; misses are relative, by modality in the order trained."""

    def __init__(self, entry: Mapping[str, Any], said: Mapping[str, Any], plateaus: str = "crossings") -> None:
        self.entry, self.said = entry, said["steps"]
        self.bound, self.together = said["bound"], " together" if said["together"] else ""
        names = table_of(entry["table"]).names
        crossings = {n: [math.inf if t is None else t for t in ts] for n, ts in entry[plateaus].items()}
        runs = [greedy(names, crossings, k) for k in range(entry["seeds"])]
        quartiles = {m: np.quantile([run[m] for run in runs], (0.25, 0.5, 0.75), method="nearest") for m in names}
        late = [m for m in sorted(names, key=lambda m: quartiles[m][1]) if math.isfinite(quartiles[m][1])]
        self.seen = {m: float(np.median([run[m] for run in runs])) for m in late}
        self.spread = {m: float(quartiles[m][2] - quartiles[m][0]) for m in late}
        self.runs = "/".join(sorted({"".join(m[0] for m in run) for run in runs}))
        self.miss = {m: self.said[m] / t - 1 for m, t in self.seen.items()}
        self.ratio = (1 + self.miss[late[-1]]) / (1 + self.miss[late[0]]) - 1 if len(late) > 1 else math.nan
        pairs = [(m, n) for i, m in enumerate(late) for n in late[i + 1 :]]
        apart = [(m, n) for m, n in pairs if self.seen[n] - self.seen[m] > self.spread[m] + self.spread[n]]
        self.orders = len(apart), sum(self.said[m] >= self.said[n] for m, n in apart)

    @property
    def text(self) -> str:
        entry, table = self.entry, table_of(self.entry["table"])
        sigma, sigma_yx = table.moments
        across = np.abs(sigma / np.sqrt(np.outer(np.diag(sigma), np.diag(sigma))))
        for s in table.span.values():
            across[s, s] = 0
        each = [
            f"{m} ({s.stop - s.start} in, norm {np.linalg.norm(sigma_yx[s]):.3g}): {self.seen[m]:.0f} steps, spread "
            f"{self.spread[m] / self.seen[m]:.1%}, said {self.said[m]:.0f} ({100 * self.miss[m]:+.1f} %, bound "
            f"{100 * self.bound[m]:.1f})"
            for m, s in sorted(table.span.items(), key=lambda ms: self.seen.get(ms[0], math.inf))
            if m in self.seen
        ]
        return (
            f"{entry['kind']}; {entry['table']}; {entry['name']} | depth {entry['depth']}, h {entry['width']}, "
            f"eta {entry['recipe']['learning_rate']:.3g}, u0 {entry['u0']:.3g} | {'; '.join(each)} | "
            f"{100 * self.ratio:+.1f} | {across.max():.2f} | {self.runs}{self.together}"
        )


def percent(values: Iterable[float]) -> str:
    """Count, median, 90 %, worst."""
    sizes = np.abs([v for v in values if not math.isnan(v)])
    with np.errstate(invalid="ignore"):
        marks = np.quantile(sizes, (0.5, 0.9, 1), method="nearest") if len(sizes) else [math.nan] * 3
    return " | ".join([str(len(sizes)), *(f"{100 * mark:.2f}" for mark in marks)])


def bounds(rows: list[Row]) -> str:
    """How many half-times have a finite bound, its median, and how many of them miss by more."""
    told = [(row.bound[m], abs(miss)) for row in rows for m, miss in row.miss.items() if math.isfinite(row.bound[m])]
    middle = f"{100 * np.median([bound for bound, _ in told]):.2f}" if told else ""
    return f"{len(told)} | {middle} | {sum(miss > bound for bound, miss in told)}"


def compare(path: Path, only: str) -> str:
    rows: dict[str, list[Row]] = {}
    left: dict[str, list[str]] = {}
    for key, entry in json.loads(path.read_text()).items():
        if only not in key:
            continue
        kind = entry["kind"]
        variant = {"real": entry["name"].split(",")[0], "adam": "", "trunk": ""}.get(kind, entry["name"])
        group = ", ".join(filter(None, (kind, variant, f"({entry['depth']}, {entry['fused']})")))
        said = {"refused": "diverged"} if entry["diverged"] else predicted(entry)
        row = None if "refused" in said else Row(entry, said)
        if row and row.seen:
            rows.setdefault(group, []).append(row)
            if "decayed" in entry:
                rows.setdefault(f"{group}, plateaus with decay", []).append(Row(entry, said, "decayed"))
        else:
            left.setdefault(group, []).append(said.get("refused", "nothing learned"))
    lines = ["Misses in per cent, of medians over the seeds: of half-times, and of last over first.\n"]
    lines.append(
        "| | half-times | median | 90 % | worst | ratios | median | 90 % | worst | with a bound | median | beyond |"
    )
    lines[-1] += " pairs apart | wrong way |"
    lines.append("|---" * (lines[-1].count("|") - 1) + "|")
    for group, found in rows.items():
        times = [miss for row in found for miss in row.miss.values()]
        apart, wrong = np.sum([row.orders for row in found], axis=0)
        marks = [percent(times), percent(row.ratio for row in found), bounds(found), str(apart), str(wrong)]
        lines.append(" | ".join([f"| {group}", *marks]) + " |")
    lines += ["", "Not compared:\n"]
    lines += [f"- {group}: {whys.count(why)} times {why}" for group, whys in left.items() for why in sorted(set(whys))]
    for kind in dict.fromkeys(group.split(",")[0] for group in rows):
        of_kind = [row for found in rows.values() for row in found if row.entry["kind"] == kind]
        lines += ["", f"The worst of {kind}:\n", "| case | network | half-times | ratio [%] | correlation | orders |"]
        lines.append("|---|---|---|---|---|---|")
        lines += [f"| {r.text} |" for r in sorted(of_kind, key=lambda r: -max(map(abs, r.miss.values())))[:10]]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="the optimizers beside torch.optim")
    parser.add_argument("--train", type=Path, metavar="FILE", help="train what FILE lacks")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="the report of what is trained")
    parser.add_argument("--save", action="store_true", help=f"the report into {FILE.name}")
    parser.add_argument("--only", default="", help="cases whose key has this")
    parser.add_argument("--minutes", type=float, default=25.0, help="of training, at most")
    options = parser.parse_args()
    if options.check:
        print(check())
    if options.train:
        train(options.train, options.minutes, options.only)
    if options.compare:
        text = compare(options.compare, options.only)
        print(text)
        if options.save:
            FILE.write_text("# Adaptive optimizers: trained and predicted\n\n" + text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
