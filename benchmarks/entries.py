"""Networks of equal entries: step for step against PyTorch, the law within its bound, and what a prediction costs.

    python -m benchmarks.entries [--save]     benchmarks/ENTRIES.md, two minutes; needs PyTorch

Steps: every weight of a network of width 50 that starts on the manifold, 2000 steps of `torch.optim` by autograd,
beside the reduced run. Law: (147), (148) of 500 problems, none of those that its bound was calibrated on, beside
reduced runs, which `benchmarks.adaptive` judges. Costs: `predict`, a reduced run alone, and PyTorch's loop of every
weight as one would write it, in turn, median of seven.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from derivations.network import Chain
from dynamics import Correlations, DomainError, FusionNetwork, Recipe, load_example, predict, random_weights
from dynamics.prediction.laws.adaptive import with_adam
from dynamics.problem import Problem
from dynamics.simulation.coordinatewise import coordinatewise
from dynamics.simulation.equal_entries import Manifold
from dynamics.starts.start import random_start

FILE = Path(__file__).with_name("ENTRIES.md")
SAME = 1e-9
WIDTH, STEPS, PROBLEMS, TURNS = 50, 2000, 500, 7
OPTIMIZERS = {
    "adam": Recipe(optimizer="adam", learning_rate=1e-3),
    "adamw": Recipe(optimizer="adamw", learning_rate=1e-3, weight_decay=0.1),
    "rmsprop": Recipe(optimizer="rmsprop", learning_rate=1e-4),
}
Weights = dict[str, list[np.ndarray]]


def drawn(sizes: dict[str, int], seed: int, most: float = 0.5) -> Correlations:
    """Spreads of 0.6 to 1.6, correlations up to `most`, half of the target explained."""
    rng, count = np.random.default_rng([77, seed]), sum(sizes.values())
    upper = np.triu(rng.uniform(-most, most, (count, count)), 1)
    least = float(np.linalg.eigvalsh(upper + upper.T)[0])
    mixing = np.eye(count) + min(1.0, 0.9 / max(-least, 1e-9)) * (upper + upper.T)
    scales = np.repeat(rng.uniform(0.6, 1.6, len(sizes)), list(sizes.values()))
    sigma, weights = mixing * np.outer(scales, scales), rng.normal(size=count) / scales
    target = sigma @ weights
    return Correlations(sigma, target / math.sqrt(2 * float(weights @ target)), sizes, 1.0)


def by_pytorch(
    network: FusionNetwork, data: Correlations, weights: Weights, recipe: Recipe, steps: int, keep: bool = True
) -> np.ndarray:
    """Total weights before every step, by autograd and `torch.optim`."""
    of = {name: [torch.tensor(w, requires_grad=True) for w in own] for name, own in weights.items()}
    flat, rate, decay = [w for own in of.values() for w in own], float(recipe.learning_rate or 0), recipe.weight_decay
    made: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "adam": lambda: torch.optim.Adam(flat, rate, recipe.betas, recipe.eps, decay),
        "adamw": lambda: torch.optim.AdamW(flat, rate, recipe.betas, recipe.eps, decay),
        "rmsprop": lambda: torch.optim.RMSprop(flat, rate, recipe.betas[1], recipe.eps, decay),
    }
    optimizer = made[str(recipe.optimizer)]()
    sigma, target = torch.tensor(data.sigma), torch.tensor(np.ravel(data.sigma_yx))
    path = []
    for _ in range(steps):
        totals = [reduce(lambda x, w: w @ x, [w for c in network.path(m) for w in of[c]]) for m in data.modalities]
        total = torch.hstack(totals)[0]
        if keep:
            path.append(total.detach().numpy().copy())
        optimizer.zero_grad()
        (total @ sigma @ total / 2 - total @ target).backward()
        optimizer.step()
    return np.array(path)


def steps() -> list[str]:
    """Largest difference of any total weight over all steps."""
    scalars, vectors = {"A": 1, "B": 1}, {"A": 2, "B": 3}
    three = {"A": 1, "B": 3, "C": 2}
    nested = FusionNetwork.tree(1, Chain(2, "A"), Chain(1, (Chain(1, "B"), Chain(2, "C"))))
    cases = [(FusionNetwork.fused_at(d, d, tuple(s)), s) for d in (2, 3, 4) for s in (scalars, vectors, three)]
    cases += [(FusionNetwork.fused_at(4, 2), vectors), (nested, three)]
    rows = ["| network | inputs | " + " | ".join(OPTIMIZERS) + " |", "|---" * (2 + len(OPTIMIZERS)) + "|"]
    for network, sizes in cases:
        data, found = drawn(sizes, 1), []
        for recipe in OPTIMIZERS.values():
            form = Manifold(network, data, WIDTH)
            state = form.start(dict.fromkeys(network.chains, 0.3))
            problem = Problem.of(network, data, recipe.terms(network))
            every = by_pytorch(network, data, form.weights(state, np.random.default_rng(2)), recipe, STEPS + 1)
            run = coordinatewise(problem, 0.3, WIDTH, recipe, state=state, max_steps=STEPS, stops_early=False)
            reduced = np.hstack([run.total[m].reshape(len(run.t), -1) for m in data.modalities])
            off = np.max(np.abs(reduced - every), axis=1)
            text = f"{np.max(off):.0e}"
            if np.max(off) > SAME:  # at rest, squares forgotten, what is left of a gradient is rounding over rounding
                last = max(run.times.values()) / float(recipe.learning_rate or 1)
                text += f" ({SAME:.0e} passed at step {int(np.argmax(off > SAME))}, last half-time {last:.0f})"
            found.append(text)
        depth = "(" + ", ".join(str(network.depths[m]) for m in network.modalities) + f") + {network.trunk.depth}"
        rows.append(f"| {depth} | {', '.join(map(str, sizes.values()))} | {' | '.join(found)} |")
    return ["Largest difference of total weights from PyTorch's, 2000 steps, width 50; layers of branches + trunk:", "",
            *rows]  # fmt: skip


def laws() -> list[str]:
    """Shares with a law, with a bound, and misses."""
    claims: list[tuple[float, float, int]] = []
    asked = reached = 0
    for k in range(PROBLEMS):
        rng = np.random.default_rng([5, k])
        count = 3 if k % 4 == 0 else 2
        sizes = dict(
            zip("ABC", (rng.integers(1, 4, count) if k % 2 else np.ones(count, dtype=int)).tolist(), strict=False)
        )
        data = drawn(sizes, 1000 + k, (0.0, 0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)[k % 8])
        depth, width, rate = 2 + (k // 3) % 3, round(20 * 10 ** rng.uniform(0, 1)), 10 ** rng.uniform(-4.5, -3)
        low, high = {2: (3e-4, 3e-3), 3: (0.01, 0.1), 4: (0.05, 0.2)}[depth]
        u0 = low * (high / low) ** rng.uniform()
        problem = Problem.of(FusionNetwork.fused_at(depth, depth, tuple(sizes)), data)
        recipe = Recipe(optimizer="adam", learning_rate=rate)
        run = coordinatewise(problem, u0, width, recipe)
        order = tuple(m for m in run.order if math.isfinite(run.times[m]))
        asked += 1
        try:
            times, bound = with_adam(random_start(problem, u0, width), order, recipe, width)
        except DomainError:
            continue
        reached += 1
        claims += [(abs(times[m] / run.times[m] - 1), bound[m], depth) for m in order]
    bounded = [(miss, bound, depth) for miss, bound, depth in claims if math.isfinite(bound)]
    beyond = sum(miss > bound for miss, bound, _ in bounded)
    share = f"{len(bounded)} of {len(claims)} half-times have a bound, {beyond} beyond it."
    rows = [
        f"A law for {reached} of {asked} problems (else other inputs take a third of the drive of one); {share}",
        "",
    ]
    rows += [
        "| layers | half-times | median miss [%] | 90 % | with a bound | median bound [%] | beyond |",
        "|---" * 7 + "|",
    ]
    for depth in (2, 3, 4):
        missed = [miss for miss, _, d in claims if d == depth]
        own = [(miss, bound) for miss, bound, d in bounded if d == depth]
        numbers = f"{100 * np.median(missed):.1f} | {100 * np.quantile(missed, 0.9):.0f} | {len(own)}"
        middle = 100 * statistics.median(bound for _, bound in own)
        rows.append(f"| {depth} | {len(missed)} | {numbers} | {middle:.0f} | {sum(m > b for m, b in own)} |")
    return rows


def costs() -> list[str]:
    """In turn, each the median of TURNS."""
    torch.set_num_threads(1)
    head = "| problem | steps | predict | one reduced run | PyTorch, one seed | PyTorch over predict | over the run | "
    rows = [head + "last half-time [steps], predicted | PyTorch |", "|---" * 9 + "|"]
    return [
        *rows,
        *(
            cost(load_example(name), name, depth, width, u0)
            for name, depth, width, u0 in (
                ("star98", 2, 100, 1e-3), ("star98", 3, 100, 0.03), ("diabetes", 2, 400, 1e-3),
                ("diabetes", 4, 200, 0.1),
            )
        ),
    ]  # fmt: skip


def cost(data: Correlations, name: str, depth: int, width: int, u0: float) -> str:
    rate = 1e-4
    network = FusionNetwork.fused_at(depth, depth, data.modalities)
    recipe = Recipe(optimizer="adam", learning_rate=rate)
    said = predict(network, data, u0=u0, width=width, recipe=recipe)
    run, last = said.estimate.run, said.order[-1]
    assert run is not None
    count = math.ceil(1.3 * said.times[last] / rate)
    weights = random_weights(network, data, u0, width, seed=11)
    path = by_pytorch(network, data, weights, recipe, count)
    goal = run.plateaus[last]
    metric = np.atleast_2d(data.input_block(last, last)) @ goal
    share = path[:, data.span(last)] @ metric / float(goal @ metric)
    at = next(i - 1 + (0.5 - a) / (b - a) for i, (a, b) in enumerate(pairwise(share), start=1) if b >= 0.5)
    problem, form = Problem.of(network, data), Manifold(network, data, width)
    state = form.start(dict.fromkeys(network.chains, u0))
    works: tuple[Callable[[], object], ...] = (
        lambda: predict(network, data, u0=u0, width=width, recipe=recipe),
        lambda: coordinatewise(problem, u0, width, recipe, state=state),
        lambda: by_pytorch(network, data, weights, recipe, count, keep=False),
    )
    took: list[list[float]] = [[], [], []]
    for _ in range(TURNS):
        for mine, work in zip(took, works, strict=True):
            began = time.perf_counter()
            work()
            mine.append(time.perf_counter() - began)
    one, reduced, every = (1e3 * statistics.median(mine) for mine in took)
    times = f"{one:.0f} ms | {reduced:.0f} ms | {every:.0f} ms | {every / one:.1f} | {every / reduced:.1f}"
    return f"| {name}, {depth} layers, width {width} | {count} | {times} | {said.times[last] / rate:.1f} | {at:.1f} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help=f"into {FILE.name}")
    options = parser.parse_args()
    parts = {"Step for step": steps, "The law": laws, "Costs": costs}
    text = "# Networks of equal entries\n"
    for title, work in parts.items():
        print(f"{title} ...", file=sys.stderr)
        text += f"\n## {title}\n\n" + "\n".join(work()) + "\n"
    print(text)
    if options.save:
        FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
