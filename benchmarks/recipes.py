"""Does training as it is done keep the times that `predict(..., recipe=...)` says? Trained by loops of its own.

    python -m benchmarks.recipes --train FILE       train what FILE (JSON) lacks
    python -m benchmarks.recipes --compare FILE     the report, --save into RECIPES.md

Linear networks in NumPy, all seeds at once, nothing of the project's simulations; time is the sum of the learning
rates, the loss half the mean squared error. Starts are random, N(0, u0^2/entries) for each layer, sqrt(modalities) u0
after a fusion. Half of a modality is there when <w, p> / <p, p> reaches 1/2 in the metric of its inputs, p its weights
at its plateau: a regression on it and all learned before, whose order is the run's own. Rates of learning are chosen so
that half of them changes no median ratio by more than 1 % (`--halve` measures it).

Out of reach, decided by `predict` before anything is trained: a problem of which it says without a recipe "together"
or never, or a ratio beyond 6; with the recipe the same, case by case (such are trained, and marked). Gradient
modulation and weight decay are of two modalities.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from dynamics import Correlations, DomainError, FusionNetwork, SolveError, load_example, predict

SEEDS, WIDTH, DRAWN = 20, 50, 20
START = {2: 1e-3, 3: 0.1, 4: 0.2}  # u0 by depth
RATE = {2: 0.005, 3: 0.01, 4: 0.03}  # learning rate by depth
FIRST_LOOK, MOST_STEPS, PATIENCE = 400, 40_000, 12.0  # steps, and half-times without a recipe
FINE = 2.0  # per cent of a ratio that may be missed without a line of its own
FAR = 6.0  # ratio beyond which a problem is out of reach
RECIPE = "Recipe"  # of the project's, which may not have it yet
FILE = Path(__file__).with_name("RECIPES.md")


@dataclass(frozen=True)
class Table:
    """Rows, target, and who is first and last without a recipe."""

    name: str
    inputs: Mapping[str, np.ndarray]
    target: np.ndarray

    @property
    def data(self) -> Correlations:
        return Correlations.from_samples(dict(self.inputs), self.target)


@dataclass(frozen=True)
class Case:
    """One way to train; `recipe` are the keywords of `Recipe`."""

    kind: str
    name: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    depth: int = 2
    fused: int = 2
    aligned: bool = False  # from aligned layers of these norms, turned at random

    @property
    def learning_rate(self) -> float:
        """Smaller where the recipe makes everything faster."""
        faster = max(1 + self.recipe.get("unimodal_loss", 0.0), *self.recipe.get("rates", {}).values(), 1.0)
        return RATE[self.depth] / float(faster) * (2 if self.recipe.get("loss") == "logistic" else 1)

    def network(self, modalities: tuple[str, ...]) -> FusionNetwork:
        return FusionNetwork.fused_at(self.depth, self.fused, modalities)


def drawn(seed: int) -> Table:
    """Two or three modalities of 1 to 4 inputs, spreads of 0.6 to 1.6, correlations up to 0.6, 400 rows."""
    rng = np.random.default_rng([20, seed])
    sizes = rng.integers(1, 5, size=rng.integers(2, 4))
    total = int(sizes.sum())
    upper = np.triu(rng.uniform(-0.6, 0.6, (total, total)), 1)
    least = float(np.linalg.eigvalsh(upper + upper.T)[0])
    mixing = np.eye(total) + min(1.0, 0.8 / max(-least, 1e-9)) * (upper + upper.T)  # eigenvalues from 0.2 on
    scales = np.repeat(rng.uniform(0.6, 1.6, len(sizes)), sizes)
    x = rng.normal(size=(400, total)) @ np.linalg.cholesky(mixing).T * scales
    y = x @ (rng.normal(size=total) / scales) + 0.5 * math.sqrt(total) * rng.normal(size=400)
    x, y = x - x.mean(0), (y - y.mean()) / y.std()
    parts = np.split(x, np.cumsum(sizes)[:-1], axis=1)
    return Table(f"drawn {seed}", dict(zip("ABC", parts, strict=False)), y)


def real(name: str) -> Table:
    samples = load_example(name).samples
    assert samples is not None
    return Table(name, samples.inputs, samples.targets[:, 0])


def binary(table: Table) -> Table:
    """Above or below the median."""
    return Table(table.name, table.inputs, np.where(table.target > np.median(table.target), 1.0, -1.0))


def tables() -> list[Table]:
    return [real("star98"), real("diabetes"), *map(drawn, range(DRAWN))]


@dataclass(frozen=True)
class Halves:
    """Half-times and places (seeds, modalities) in each run's own order; crossings at every other plateau by name."""

    times: np.ndarray
    places: np.ndarray
    crossings: Mapping[str, list[float]]


class Moments:
    """Second moments by modality, as they act in training, and the plateaus that follow from them."""

    def __init__(self, table: Table, recipe: Mapping[str, Any]) -> None:
        self.names = tuple(table.inputs)
        self.x = np.hstack([table.inputs[m] for m in self.names])
        self.y = table.target
        ends = np.cumsum([table.inputs[m].shape[1] for m in self.names]).tolist()
        self.span = {m: slice(a, b) for m, a, b in zip(self.names, [0, *ends], ends, strict=False)}
        self.sigma, self.sigma_yx = self.x.T @ self.x / len(self.y), self.y @ self.x / len(self.y)
        self.decay: float = recipe.get("weight_decay", 0.0)
        self.logistic = recipe.get("loss") == "logistic"
        kept = {m: 1 - recipe.get("dropout", {}).get(m, 0.0) for m in self.names}
        self.kept = np.concatenate([np.full(s.stop - s.start, kept[m]) for m, s in self.span.items()])
        self.acting = self.sigma * np.outer(self.kept, self.kept)
        self.acting_yx = self.sigma_yx * self.kept
        for m, s in self.span.items():
            factor = (1 + recipe.get("unimodal_loss", 0.0)) * kept[m]
            self.acting[s, s] = factor * self.sigma[s, s]
            self.acting_yx[s] = factor * self.sigma_yx[s]

    def plateau(self, learned: tuple[str, ...]) -> np.ndarray:
        """Weights with `learned` alone; zero elsewhere."""
        at = np.concatenate([np.arange(self.span[m].start, self.span[m].stop) for m in learned])
        p = np.zeros(len(self.sigma))
        if self.logistic:
            x, w = self.x[:, at], np.zeros(len(at))
            for _ in range(50):
                wrong = 1 / (1 + np.exp(self.y * (x @ w)))
                hessian = (x * (wrong * (1 - wrong))[:, None]).T @ x
                w = w + np.linalg.solve(hessian, x.T @ (self.y * wrong))
            p[at] = w
            return p
        p[at] = np.linalg.lstsq(self.acting[np.ix_(at, at)], self.acting_yx[at], rcond=None)[0]
        if not self.decay:
            return p
        for _ in range(20_000):  # group lasso by modality: each block a ridge of decay/|p|
            size = np.concatenate(
                [np.full(s.stop - s.start, np.linalg.norm(p[s]) + 1e-300) for s in self.span.values()]
            )
            ridge = np.diag(self.decay / size[at])
            new = np.linalg.solve(self.acting[np.ix_(at, at)] + ridge, self.acting_yx[at])
            done = np.max(np.abs(new - p[at])) < 1e-12
            p[at] = new
            if done:
                break
        return p

    def half_times(self, clock: np.ndarray, weights: np.ndarray) -> Halves:
        """When half is there, from total weights (steps, seeds, inputs)."""
        count = len(self.names)
        crossed: dict[tuple[str, frozenset[str]], np.ndarray] = {}  # by modality and what its plateau holds

        def when(m: str, learned: frozenset[str]) -> np.ndarray:
            if (m, learned) not in crossed:
                s = self.span[m]
                p = self.plateau(tuple(n for n in self.names if n in learned))[s]
                metric = self.acting[s, s] @ p
                crossed[m, learned] = first_half(clock, weights[:, :, s] @ metric / (p @ metric or math.nan))
            return crossed[m, learned]

        times, places = np.full((weights.shape[1], count), math.inf), np.zeros((weights.shape[1], count), dtype=int)
        for k in range(weights.shape[1]):
            learned: frozenset[str] = frozenset()
            for place in range(count):
                found = {m: when(m, learned | {m})[k] for m in self.names if m not in learned}
                best = min(found, key=lambda m: found[m])
                times[k, self.names.index(best)], places[k, self.names.index(best)] = found[best], place
                learned |= {best}
        for m in self.names:
            for others in product(*[(frozenset[str](), frozenset({n})) for n in self.names if n != m]):
                when(m, frozenset({m}).union(*others))
        told = {f"{m} of {' + '.join(sorted(learned))}": found.tolist() for (m, learned), found in crossed.items()}
        return Halves(times, places, told)


def first_half(clock: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The first time at which each column of `share` reaches 1/2; inf where it does not."""
    above = share >= 0.5
    at = np.maximum(np.argmax(above, axis=0), 1)
    columns = np.arange(share.shape[1])
    low, high = share[at - 1, columns], share[at, columns]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = clock[at - 1] + (0.5 - low) / (high - low) * (clock[at] - clock[at - 1])
    return np.where(above.any(axis=0), found, math.inf)


Layers = list[np.ndarray]  # (seeds, out, in), input side first


def start(network: FusionNetwork, sizes: Mapping[str, int], u0: float, width: int, seeds: int) -> dict[str, Layers]:
    found: dict[str, list[Layers]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng([77, seed])
        for name, chain in network.chains.items():
            into = sizes.get(name, width)
            ends = name == "trunk" or network.trunk.depth == 0
            outs = [width] * (chain.depth - 1) + [1 if ends else width] if chain.depth else []
            norm = u0 * math.sqrt(len(chain.modalities))
            layers = []
            for out in outs:
                layers.append(rng.normal(0, norm / math.sqrt(out * into), (out, into)))
                into = out
            found.setdefault(name, []).append(layers)
    return {name: [np.stack(w) for w in zip(*of_seeds, strict=True)] for name, of_seeds in found.items()}


def aligned(network: FusionNetwork, moments: Moments, u0: float, width: int, seeds: int) -> dict[str, Layers]:
    """Layers of rank one along Sigma_yx, hidden directions at random."""
    found: dict[str, list[Layers]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng([78, seed])

        def direction(size: int, rng: np.random.Generator = rng) -> np.ndarray:
            v = rng.normal(size=size)
            return np.asarray(v / np.linalg.norm(v))

        fused = direction(width)
        for name, chain in network.chains.items():
            ends = name == "trunk" or network.trunk.depth == 0
            s = moments.span.get(name)
            into = fused if s is None else moments.sigma_yx[s] / np.linalg.norm(moments.sigma_yx[s])
            norm = u0 * math.sqrt(len(chain.modalities))
            layers = []
            for i in range(chain.depth):
                last = i == chain.depth - 1
                out = (np.ones(1) if ends else fused) if last else direction(width)
                layers.append(norm * np.outer(out, into))
                into = out
            found.setdefault(name, []).append(layers)
    return {name: [np.stack(w) for w in zip(*of_seeds, strict=True)] for name, of_seeds in found.items()}


class Loop:
    """Stochastic gradient descent of one network from `seeds` starts."""

    def __init__(self, table: Table, case: Case, learning_rate: float, seeds: int = SEEDS, width: int = WIDTH) -> None:
        self.case, self.recipe, self.rate = case, case.recipe, learning_rate
        self.network = case.network(tuple(table.inputs))
        self.moments = Moments(table, case.recipe)
        sizes = {m: x.shape[1] for m, x in table.inputs.items()}
        if case.aligned:
            self.weights = aligned(self.network, self.moments, START[case.depth], width, seeds)
        else:
            self.weights = start(self.network, sizes, START[case.depth], width, seeds)
        self.rng, self.seeds = np.random.default_rng([99, case.depth]), seeds
        self.target = table.target

    def products(self) -> tuple[np.ndarray, Callable[[np.ndarray, Mapping[str, np.ndarray]], None]]:
        """Total weights (seeds, inputs), and a step along minus the gradient by them."""
        span = self.moments.span
        below: dict[str, Layers] = {}  # from the inputs up: maps[i] is what layers up to i make of them
        above: dict[tuple[str, int], np.ndarray] = {}
        top = np.ones((self.seeds, 1))  # from the output down
        for i in reversed(range(len(self.weights["trunk"]))):
            above["trunk", i] = top
            top = np.matmul(top[:, None], self.weights["trunk"][i])[:, 0]
        p = np.empty((self.seeds, len(self.moments.sigma)))
        for m in span:
            below[m] = [self.weights[m][0]]
            for layer in self.weights[m][1:]:
                below[m].append(np.matmul(layer, below[m][-1]))
            head = top
            for i in reversed(range(len(self.weights[m]))):
                above[m, i] = head
                head = np.matmul(head[:, None], self.weights[m][i])[:, 0]
            p[:, span[m]] = head

        def step(slope: np.ndarray, factors: Mapping[str, np.ndarray]) -> None:
            decay, moves = self.moments.decay, []
            fused = np.zeros((self.seeds, 1))
            for m, s in span.items():
                rate = self.rate * self.recipe.get("rates", {}).get(m, 1.0)
                for i, layer in enumerate(self.weights[m]):
                    into = np.einsum("sij,sj->si", below[m][i - 1], slope[:, s]) if i else slope[:, s]
                    encoder = i < len(self.weights[m]) - 1 or self.network.trunk.depth > 0
                    k = rate * factors[m][:, None] if m in factors and encoder else rate
                    moves.append((layer, k * above[m, i], into, rate))
                fused = fused + np.einsum("sij,sj->si", below[m][-1], slope[:, s])
            for i, layer in enumerate(self.weights["trunk"]):
                moves.append((layer, self.rate * above["trunk", i], fused, self.rate))
                fused = np.einsum("sij,sj->si", layer, fused)
            for layer, head, into, rate in moves:
                if decay:
                    np.multiply(layer, 1 - rate * decay, out=layer)
                np.add(layer, head[:, :, None] * into[:, None, :], out=layer)

        return p, step

    def slope(self, p: np.ndarray) -> np.ndarray:
        """Minus the gradient by the total weights, of this step's rows and masks."""
        known, recipe = self.moments, self.recipe
        batch, dropout = recipe.get("batch_size"), recipe.get("dropout", {})
        if not (batch or dropout or known.logistic):
            found: np.ndarray = known.sigma_yx - p @ known.sigma
            if c := recipe.get("unimodal_loss", 0.0):
                for s in known.span.values():
                    found[:, s] += c * (known.sigma_yx[s] - p[:, s] @ known.sigma[s, s])
            return found
        if batch:
            rows = self.rng.integers(0, len(known.y), (self.seeds, batch))
            x, y = known.x[rows], known.y[rows]
            error = y - np.einsum("sbd,sd->sb", x, p)
            return np.asarray(np.einsum("sb,sbd->sd", error, x) / batch)
        shape = self.seeds, len(known.y)
        masks = {m: self.rng.random(shape, dtype=np.float32) >= q for m, q in dropout.items() if q}
        parts = {m: p[:, s] @ known.x[:, s].T for m, s in known.span.items()}
        output = sum(part * masks[m] if m in masks else part for m, part in parts.items())
        error = known.y / (1 + np.exp(known.y * output)) if known.logistic else known.y - output
        found = np.empty_like(p)
        for m, s in known.span.items():
            found[:, s] = (error * masks[m] if m in masks else error) @ known.x[:, s] / len(known.y)
        return found

    def modulation(self, p: np.ndarray) -> dict[str, np.ndarray]:
        """Factor on the gradient of each encoder."""
        alpha, known = self.recipe.get("ogm"), self.moments
        if alpha is None:
            return {}
        score = {}
        for m, s in known.span.items():
            if known.logistic:
                score[m] = np.mean(1 / (1 + np.exp(-known.y * (p[:, s] @ known.x[:, s].T))), axis=1)
            else:
                fitted = np.einsum("si,ij,sj->s", p[:, s], known.sigma[s, s], p[:, s])
                score[m] = 1 / (np.mean(known.y**2) - 2 * p[:, s] @ known.sigma_yx[s] + fitted)
        a, b = known.names
        quotient = score[a] / score[b]
        return {
            a: np.where(quotient > 1, 1 - np.tanh(alpha * quotient), 1.0),
            b: np.where(quotient < 1, 1 - np.tanh(alpha / quotient), 1.0),
        }

    def run(self, until: float) -> Halves:
        """Half-times and order of every seed, once all are there or `until` is over."""
        history, look = [], FIRST_LOOK
        most = min(MOST_STEPS, math.ceil(until / self.rate))
        while True:
            p, step = self.products()
            history.append(p)
            if len(history) >= look or len(history) > most:
                look = math.ceil(1.15 * look)
                clock = self.rate * np.arange(len(history))
                found = self.moments.half_times(clock, np.stack(history))
                if (
                    1.5 * np.max(found.times) < clock[-1] or len(history) > most
                ):  # later crossings at other plateaus too
                    return found
            step(self.slope(p), self.modulation(p))


def critical_decay(table: Table, order: tuple[str, ...]) -> float:
    """The weight decay from which on the last of two is never learned (two layers)."""
    low, high = 0.0, float(np.linalg.norm(table.data.target_block(order[0])))
    while high - low > 1e-10:
        decay = (low + high) / 2
        known = Moments(table, {"weight_decay": decay})
        p, s = known.plateau(order[:1]), known.span[order[1]]
        left = float(np.linalg.norm(known.sigma_yx[s] - p @ known.sigma[:, s]))
        low, high = (decay, high) if left > decay else (low, decay)
    return low


def cases(table: Table, order: tuple[str, ...], deep: bool) -> Iterator[tuple[Table, Case]]:
    """All cases of one table, whose modalities are learned in this order without a recipe."""
    first, last = order[0], order[-1]
    yield table, Case("plain", "plain")
    sides = {"first": (first,), "last": (last,), "all": order}
    for kept in (0.5, 0.7, 0.9):
        for side, names in sides.items():
            recipe = {"dropout": dict.fromkeys(names, round(1 - kept, 3))}
            yield table, Case("dropout", f"keep {kept} of {side}", recipe)
    for side in ("last", "all") if deep else ():
        recipe = {"dropout": dict.fromkeys(sides[side], 0.3)}
        yield table, Case("dropout (3, 2)", f"keep 0.7 of {side}", recipe, 3, 2)
    for c in (0.25, 0.5, 1.0, 2.0, 4.0):
        yield table, Case("unimodal loss", f"c = {c}", {"unimodal_loss": c})
    for depth, fused in ((2, 2), (3, 3), (3, 2), (4, 4), (4, 3)) if deep else ((2, 2),):
        if depth > 2:
            yield table, Case(f"plain ({depth}, {fused})", "plain", {}, depth, fused)
        for rate in (0.3, 0.5, 2.0, 3.0):
            recipe = {"rates": {last if depth == 2 else first: rate}}
            yield (
                table,
                Case(
                    f"rates ({depth}, {fused})", f"{'last' if depth == 2 else 'first'} x {rate}", recipe, depth, fused
                ),
            )
            if depth > 2:
                yield (
                    table,
                    Case(f"rates ({depth}, {fused}), aligned", f"first x {rate}", recipe, depth, fused, aligned=True),
                )
    for size in (8, 32, 128):
        yield table, Case("mini-batches", f"batch {size}", {"batch_size": size})
    if len(order) > 2:
        return
    most = critical_decay(table, order)
    for share in (0.1, 0.5, 0.9):
        yield table, Case("weight decay", f"{share} critical", {"weight_decay": share * most})
    for kind, trained in (("ogm", table), ("ogm logistic", binary(table))):
        a, b = (float(np.linalg.norm(trained.data.target_block(m))) for m in order)
        if b >= a:
            continue
        alone = math.atanh(1 - (b / a) ** 2)
        loss = {"loss": "logistic"} if trained is not table else {}
        for share in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5):
            yield trained, Case(kind, f"{share} alpha*", {"ogm": share * alone, **loss})


def predicted(table: Table, case: Case, width: int | None = WIDTH) -> dict[str, Any]:
    """What the project says of a case; by hand, where it does not know recipes yet."""
    u0: Any = START[case.depth]
    network, data = case.network(tuple(table.inputs)), table.data
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given, u0 = by_hand(table, case, u0) if HAND else (data, u0)
            extra = {} if HAND or not case.recipe else {"recipe": _recipe(case.recipe)}
            found = predict(network, given, u0=u0, width=None if case.aligned else width, **extra)
    except (DomainError, SolveError) as error:
        return {"refused": str(error)[:120]}
    return {
        "times": {m: float(t) for m, t in found.times.items()},
        "together": bool(found.together),
        "source": str(found.source),
    }


def _recipe(keywords: Mapping[str, Any]) -> Any:
    import dynamics

    return getattr(dynamics, RECIPE)(**keywords)


def _knows_recipes() -> bool:
    import dynamics

    return hasattr(dynamics, RECIPE)


HAND = not _knows_recipes()


def by_hand(table: Table, case: Case, u0: float) -> tuple[Correlations, Any]:
    """Correlations and start that stand for what a recipe does, where it only changes the data."""
    known, recipe = Moments(table, case.recipe), case.recipe
    sizes = {m: x.shape[1] for m, x in table.inputs.items()}
    if case.kind in {"weight decay", "ogm", "ogm logistic"} or (recipe.get("rates") and case.fused < case.depth):
        raise DomainError("no data stands for this recipe")
    if not recipe.get("rates"):
        return Correlations(known.acting, known.acting_yx, sizes), u0
    rates = {m: recipe["rates"].get(m, 1.0) for m in known.names}
    scale = np.concatenate([np.full(sizes[m], rates[m] ** (case.depth / 2)) for m in known.names])
    data = Correlations(known.sigma * np.outer(scale, scale), known.sigma_yx * scale, sizes)
    return data, {m: u0 * rates[m] ** -0.5 for m in known.names}


def law(table: Table, case: Case, order: tuple[str, ...]) -> float:
    """Leading order of the ratio under weight decay and modulation, two layers, late fusion."""
    known, recipe = Moments(table, case.recipe), case.recipe
    a, b = (float(np.linalg.norm(known.acting_yx[known.span[m]])) for m in order)
    p, s = known.plateau(order[:1]), known.span[order[1]]
    if known.logistic:
        left = known.y / (1 + np.exp(known.y * (known.x @ p)))
        r = float(np.linalg.norm(left @ known.x[:, s] / len(left)))
        a, b = a / 2, b / 2
    else:
        r = float(np.linalg.norm(known.acting_yx[s] - p @ known.acting[:, s]))
    if "ogm" in recipe:
        return 1 + max(math.sqrt(1 - math.tanh(recipe["ogm"])) * a - b, 0.0) / r
    return 1 + (a - b) / (r - known.decay)


def reach(found: Mapping[str, Any]) -> str | None:
    """Why a prediction is out of reach of a comparison."""
    if "refused" in found:
        return str(found["refused"])
    times = found["times"].values()
    if not all(map(math.isfinite, times)):
        return "never"
    if found["together"]:
        return "together"
    return f"ratio beyond {FAR:g}" if max(times) > FAR * min(times) else None


def planned(deep_drawn: int) -> Iterator[tuple[Table, Case, tuple[str, ...], float]]:
    """Tables in reach with their cases, who comes when, and the last half-time without a recipe."""
    for i, table in enumerate(tables()):
        found = predicted(table, Case("plain", "plain"))
        why = reach(found)
        if why:
            print(f"{table.name}: out of reach, {why}", file=sys.stderr)
            continue
        order = tuple(sorted(found["times"], key=lambda m: found["times"][m]))
        for trained, case in cases(table, order, deep=i < 2 + deep_drawn):
            yield trained, case, order, max(found["times"].values())


def train(path: Path, minutes: float, deep_drawn: int, halve: bool, only: str | None) -> None:
    """Fill the JSON file, cheapest kinds first; again from where it was stopped."""
    stored: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    begin = time.process_time()
    work = sorted(planned(deep_drawn), key=lambda w: (w[0].name.startswith("drawn"), w[1].depth))
    for table, case, order, usual in work:
        rate = case.learning_rate / (2 if halve else 1)
        key = f"{table.name}; {case.kind}; {case.name}" + ("; halved" if halve else "")
        if key in stored or (only and only not in key):
            continue
        if time.process_time() - begin > 60 * minutes:
            print(f"stopped before {key}", file=sys.stderr)
            break
        last = usual
        if case.depth > 2:
            plain = predicted(table, Case("plain", "plain", {}, case.depth, case.fused))
            last = max(plain.get("times", {"": 100.0}).values())
            if not math.isfinite(last) or last > MOST_STEPS * rate / 2:
                stored[key] = {"skipped": f"half-time without a recipe {last:.3g} beyond reach"}
                continue
        clock = time.process_time()
        found = Loop(table, case, rate, 2 if case.aligned else SEEDS).run(PATIENCE * last)
        stored[key] = {
            "times": {m: found.times[:, i].tolist() for i, m in enumerate(table.inputs)},
            "places": {m: found.places[:, i].tolist() for i, m in enumerate(table.inputs)},
            "crossings": found.crossings,
            "recipe": dict(case.recipe),
            "order": order,
            "learning_rate": rate,
            "seconds": time.process_time() - clock,
        }
        path.write_text(json.dumps(stored))
        print(
            f"{time.process_time() - begin:6.0f} s  {key}  {stored[key]['seconds']:.1f} s", file=sys.stderr, flush=True
        )


def median_and_error(values: np.ndarray) -> tuple[float, float]:
    """The median, and the deviation of medians of resampled seeds."""
    draws = np.random.default_rng(0).integers(0, len(values), (400, len(values)))
    if not np.isfinite(values).all():
        return float(np.median(values)), math.nan
    return float(np.median(values)), float(np.std(np.median(values[draws], axis=1)))


def named_plain(case: Case) -> str:
    return "plain" if case.depth == 2 else f"plain ({case.depth}, {case.fused})"


def compare(path: Path, deep_drawn: int) -> str:
    """One line a case, and what is missed by kind.

    "paired": the ratio over that of plain training from the same starts, which share most of what 20 seeds leave open.
    """
    stored = json.loads(path.read_text())
    rows: list[str] = []
    missed: dict[str, list[list[float]]] = {}
    outside: dict[str, int] = {}
    bases: dict[str, Mapping[str, float] | None] = {}  # predictions without a recipe
    for table, case, order, _ in planned(deep_drawn):
        run = stored.get(f"{table.name}; {case.kind}; {case.name}")
        if run is None or "times" not in run:
            continue
        times = {m: np.array(t) for m, t in run["times"].items()}
        found = predicted(table, case)
        why = reach(found)
        seen = found.get("times", {})
        first, last = order[0], order[-1]
        if seen:
            first, last = min(seen, key=lambda m: seen[m]), max(seen, key=lambda m: seen[m])
        with np.errstate(invalid="ignore"):
            ratio, error = median_and_error(times[last] / times[first])
        halves = [float(np.median(times[m])) for m in (first, last)]
        if seen:
            said, of = seen[last] / seen[first], [seen[first], seen[last]]
        elif case.kind in {"weight decay", "ogm", "ogm logistic"}:
            said, of = law(table, case, order), [math.nan, math.nan]
        else:
            continue
        beside = stored.get(f"{table.name}; {named_plain(case)}; plain", {}).get("times")
        key = f"{table.name}; {named_plain(case)}"
        if key not in bases:
            bases[key] = predicted(table, Case("plain", "plain", {}, case.depth, case.fused)).get("times")
        basis = bases[key]
        paired = math.nan
        if beside and basis and seen and not case.aligned and case.kind != "ogm logistic":
            own = np.array(times[last]) / times[first] / (np.array(beside[last]) / beside[first])
            paired = 100 * (said / (basis[last] / basis[first]) / median_and_error(own)[0] - 1)
        with np.errstate(invalid="ignore"):
            misses = [100 * (b / a - 1) for a, b in ((ratio, said), (halves[0], of[0]), (halves[1], of[1]))]
            misses.insert(1, paired)
        inside = why is None or not seen
        if math.isfinite(misses[0]) and inside:
            missed.setdefault(case.kind, []).append(misses)
        else:
            outside[case.kind] = outside.get(case.kind, 0) + 1
        text = f"{ratio:.4g} ± {error:.2g} | {said:.4g} | {' | '.join(f'{miss:+.2f}' for miss in misses)}"
        note = "" if why is None else f"({why})" if seen else "(law)"
        expected = sorted(seen, key=lambda m: seen[m])
        strays = [np.array(run["places"][m]) != k for k, m in enumerate(expected)]
        if expected and np.mean(np.any(strays, axis=0)) > 0.5:
            note += " other order in most seeds"
            at = {m: f"{m} of {' + '.join(sorted(expected[: k + 1]))}" for k, m in enumerate(expected)}
            if at[last] in run.get("crossings", {}):
                with np.errstate(invalid="ignore"):
                    whole = np.array(run["crossings"][at[last]]) / np.array(run["crossings"][at[first]])
                middle = median_and_error(whole)[0]
                note += f"; at the predicted plateaus {100 * (said / middle - 1):+.2f} %" if middle else ""
        if note or not abs(misses[0]) <= FINE:
            rows.append(f"| {case.kind}, {case.name} | {table.name} | {text} | {note} |")
    lines = [
        "| kind | cases | ratio: median miss [%] | at 90 % | worst | paired | first half-time | last | out of reach |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for kind, all_of in missed.items():
        ratio, pair, one, two = np.abs(np.array(all_of)).T
        marks = f"{np.median(ratio):.2f} | {np.quantile(ratio, 0.9):.2f} | {ratio.max():.2f}"
        rest = f"{np.median(pair):.2f} | {np.median(one):.2f} | {np.median(two):.2f} | {outside.get(kind, 0)}"
        lines.append(f"| {kind} | {len(all_of)} | {marks} | {rest} |")
    rows.insert(0, f"Cases that miss by more than {FINE:g} %, are out of reach or have something to say:\n")
    head = "| case | problem | trained ratio | predicted | miss [%] | paired [%] | first half-time [%] | last [%] | |"
    return "\n".join([*lines, modulations(), "", rows[0], head, "|---|---|---|---|---|---|---|---|---|", *rows[1:]])


def evened_out(table: Table, start: float = 1e-5, width: int = 50, rate: float = 0.01) -> float:
    """The alpha at which both grow alike near zero, by bisection on full-batch training with the hard switch.

    Growth is that of ln|w| over the second half of the way of the slower one, while nothing has saturated.
    """
    data = table.data
    spans = [data.span(m) for m in data.modalities]
    target, power = np.ravel(data.sigma_yx), float(data.sigma_yy)
    strengths = [float(np.linalg.norm(target[span])) for span in spans]
    steps = round(1.4 * math.log(1 / start) / max(strengths) / rate)

    def faster(alpha: float) -> float:
        """Growth of the stronger one over that of the other, less one; beyond alpha* they stay equal."""
        rng = np.random.default_rng(0)
        one = [
            rng.normal(size=(width, s.stop - s.start)) * start / math.sqrt(width * (s.stop - s.start)) for s in spans
        ]
        two = [rng.normal(size=(1, width)) * start / math.sqrt(width) for _ in spans]
        sizes = []
        for _ in range(steps):
            total = [b @ a for a, b in zip(one, two, strict=True)]
            error = target - np.hstack(total)[0] @ data.sigma
            gain = [float(w[0] @ (2 * target[s] - data.sigma[s, s] @ w[0])) for w, s in zip(total, spans, strict=True)]
            left = [power - g for g in gain]
            lead = int(gain[1] > gain[0])
            kept = [1.0, 1.0]
            kept[lead] = 1 - math.tanh(alpha * left[1 - lead] / left[lead])
            for m, s in enumerate(spans):
                moved = two[m].T @ error[None, s]
                two[m] = two[m] + rate * error[None, s] @ one[m].T
                one[m] = one[m] + rate * kept[m] * moved
            sizes.append([math.log(np.linalg.norm(w)) for w in total])
            if max(abs(g) for g in gain) > 1e-4 * power:  # still linear
                break
        half = len(sizes) // 2
        growth = np.array(sizes[-1]) - np.array(sizes[half])
        strong = int(strengths[1] > strengths[0])
        return float(growth[strong] / growth[1 - strong] - 1)

    low, high = 0.0, 6.0
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if faster(middle) > 0.005 else (low, middle)
    return (low + high) / 2


def modulations() -> str:
    """alpha* by training, and as it is predicted, of the problems with two modalities."""
    from dynamics import critical_modulation

    rows = ["", "| problem | alpha* by training | predicted |", "|---|---|---|"]
    for table in [t for t in tables() if len(t.inputs) == 2][:12]:
        said = critical_modulation(FusionNetwork.fused_at(2, 2, tuple(table.inputs)), table.data)
        rows.append(f"| {table.name} | {evened_out(table):.3f} | {said:.3f} |")
    return "\n".join(rows)


def halved(path: Path) -> str:
    """By how much half the learning rate changes the median ratio."""
    stored, lines = json.loads(path.read_text()), []
    for key, fine in stored.items():
        rough = stored.get(key.removesuffix("; halved"))
        if key.endswith("; halved") and "times" in fine and rough:
            first, last = fine["order"][0], fine["order"][-1]
            both = [median_and_error(np.divide(r["times"][last], r["times"][first])) for r in (rough, fine)]
            change = 100 * (both[1][0] / both[0][0] - 1)
            lines.append(f"{key}: {both[0][0]:.4f} ± {both[0][1]:.2g} -> {both[1][0]:.4f}, {change:+.2f} %")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, metavar="FILE", help="train what FILE lacks")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="the report of what is trained")
    parser.add_argument("--save", action="store_true", help=f"the report into {FILE.name}")
    parser.add_argument("--halve", action="store_true", help="train at half the learning rates, or report what it does")
    parser.add_argument("--only", help="cases whose name has this")
    parser.add_argument("--deep", type=int, default=6, help="drawn problems with three and four layers")
    parser.add_argument("--minutes", type=float, default=25.0, help="of computing, at most")
    options = parser.parse_args()
    if options.train:
        train(options.train, options.minutes, options.deep, options.halve, options.only)
    if options.compare:
        text = halved(options.compare) if options.halve else compare(options.compare, options.deep)
        print(text)
        if options.save and not options.halve:
            FILE.write_text("# Recipes: trained and predicted\n\n" + text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
