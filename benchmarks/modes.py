"""Several outputs: modes of random starts against the typical network, the reduced flow against every weight, classes.

`python -m benchmarks.modes --out FILE` adds a JSON line a case and goes on where it stopped; `--save` makes the page.
Random starts are run by PyTorch, all seeds at once, by Runge and Kutta's fourth order in the layers: no code of ours.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from dynamics import Correlations, FusionNetwork, Recipe, aligned_weights, integrate_reduced, predict, random_weights
from dynamics.simulation.classes import classes_of, half_times

WIDTH, LEADING = 100, 8
U0 = {2: 1e-3, 3: 0.05, 4: 0.2}
REPORT = Path(__file__).with_name("MODES.md")


def digits(split: str) -> Correlations:
    """Scikit-learn's digits, left and right or top and bottom half, pixels that vary; ten classes."""
    x, y = load_digits(return_X_y=True)
    images = x.reshape(-1, 8, 8)
    halves = (images[:, :, :4], images[:, :, 4:]) if split == "sides" else (images[:, :4], images[:, 4:])
    blocks = [half.reshape(len(x), -1) for half in halves]
    blocks = [block[:, block.std(axis=0) > 0.3] for block in blocks]
    return Correlations.from_samples(dict(zip("AB", blocks, strict=True)), y.astype(str), standardize=True)


def drawn(seed: int) -> Correlations:
    """Two blocks of 8 and 6 correlated columns, five outputs of falling strength."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 14)) @ (np.eye(14) + 0.3 * rng.normal(size=(14, 14)))
    y = x @ rng.normal(size=(14, 5)) @ np.diag([1.0, 0.8, 0.6, 0.45, 0.3]) @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    y += 0.3 * y.std() * rng.normal(size=y.shape)
    return Correlations.from_samples({"A": x[:, :8], "B": x[:, 8:]}, y / y.std())


def wine() -> Correlations:
    x, y = load_wine(return_X_y=True)
    return Correlations.from_samples({"A": x[:, :6], "B": x[:, 6:]}, y.astype(str), standardize=True)


def cancer() -> Correlations:
    x, y = load_breast_cancer(return_X_y=True)
    return Correlations.from_samples({"A": x[:, :10], "B": x[:, 10:20]}, y.astype(str), standardize=True)


PROBLEMS = {"digits": lambda: digits("sides"), "wine": wine, "drawn 1": lambda: drawn(1), "drawn 2": lambda: drawn(2)}


def trained_modes(
    data: Correlations, depth: int, u0: float, seeds: int, end: float
) -> dict[tuple[str, int], np.ndarray]:
    """(modality, mode) -> (seeds,) half-times of late fusion from random starts, by RK4 in PyTorch."""
    network = FusionNetwork.fused_at(depth, depth)
    starts = [random_weights(network, data, u0, WIDTH, seed) for seed in range(seeds)]
    layers = {m: [torch.tensor(np.stack([s[m][i] for s in starts])) for i in range(depth)] for m in "AB"}
    sigma, target = torch.tensor(np.array(data.sigma)), torch.tensor(np.atleast_2d(data.sigma_yx))
    spans = {m: data.span(m) for m in "AB"}

    def totals(now: Mapping[str, list[torch.Tensor]]) -> torch.Tensor:
        found = []
        for m in "AB":
            product = now[m][-1]
            for layer in now[m][-2::-1]:
                product = product @ layer
            found.append(product)
        return torch.cat(found, dim=2)

    def flow(now: Mapping[str, list[torch.Tensor]]) -> dict[str, list[torch.Tensor]]:
        error = target - totals(now) @ sigma
        moved = {}
        for m in "AB":
            own, above = now[m], [error[:, :, spans[m]]]
            for layer in own[:0:-1]:
                above.append(layer.transpose(1, 2) @ above[-1])  # pulled back to each layer's output
            moved[m], forward = [], None
            for i, layer in enumerate(own):
                back = above[depth - 1 - i]
                moved[m].append(back if forward is None else back @ forward.transpose(1, 2))
                forward = layer if forward is None else layer @ forward
        return moved

    def after(now: Any, change: Any, step: float) -> Any:
        return {m: [w + step * v for w, v in zip(now[m], change[m], strict=True)] for m in "AB"}

    goal = np.atleast_2d(data.optimum)
    modes, goals = {}, {}
    for m in "AB":
        left, _, right = np.linalg.svd(data.target_block(m), full_matrices=False)
        modes[m] = torch.tensor(left), torch.tensor(right)
        goals[m] = np.einsum("oi,od,id->i", left, goal[:, spans[m]], right)
    gain = depth * max(np.linalg.norm(goal[:, spans[m]], 2) for m in "AB") ** (2 - 2 / depth)
    step = min(1.5 / (np.linalg.eigvalsh(data.sigma)[-1] * gain), end / 200)  # it is stable up to 2.8
    t, path = [], []
    now = layers
    last = math.ceil(end / step)
    for n in range(last):
        if n % 500 == 0:
            print(f"  step {n} of {last}", flush=True)
        if n % 2 == 0:
            whole = totals(now)
            t.append(n * step)
            path.append(
                {
                    m: torch.einsum("oi,sod,id->si", modes[m][0], whole[:, :, spans[m]], modes[m][1]).numpy()
                    for m in "AB"
                }
            )
        a = flow(now)
        b = flow(after(now, a, step / 2))
        c = flow(after(now, b, step / 2))
        d = flow(after(now, c, step))
        now = {
            m: [
                w + step / 6 * (p + 2 * q + 2 * r + s)
                for w, p, q, r, s in zip(now[m], a[m], b[m], c[m], d[m], strict=True)
            ]
            for m in "AB"
        }
    found = {}
    for m in "AB":
        shares = np.array([one[m] for one in path]) / goals[m]
        for i in range(shares.shape[2]):
            if goals[m][i] <= 0:
                continue
            times = []
            for share in shares[:, :, i].T:
                k = int(np.argmax(share >= 0.5))
                times.append(
                    np.interp(0.5, share[k - 1 : k + 1], t[k - 1 : k + 1]) if share[k] >= 0.5 and k else math.inf
                )
            found[m, i + 1] = np.array(times)
    return found


def random_cases(seeds: int) -> Iterator[tuple[str, Any]]:
    for name, make in PROBLEMS.items():
        for depth in (2, 3, 4):
            yield f"modes {name} L={depth}", lambda make=make, depth=depth: compared(make(), depth, seeds)


def compared(data: Correlations, depth: int, seeds: int) -> dict[str, Any]:
    network, u0 = FusionNetwork.fused_at(depth, depth), U0[depth]
    begin = time.process_time()
    found = predict(network, data, u0=u0, width=WIDTH).modes
    cost = time.process_time() - begin
    known = [key for key, t in found.times.items() if math.isfinite(t)]
    leading = known[:LEADING]
    last = {2: 2.0, 3: 4.0, 4: 2.0}[depth]  # of the eighth mode: long enough to rank more, where it can be paid for
    runs = trained_modes(data, depth, u0, seeds, last * found.times[leading[-1]])
    medians = {key: float(np.median(runs[key])) for key in leading if key in runs}
    off = [found.times[key] / medians[key] - 1 for key in leading]
    sizes = {(row.modality, row.number): row.size for row in found}
    everywhere = [key for key in known if key in runs and np.all(np.isfinite(runs[key]))]
    rank = [spearmanr([found.times[k] for k in everywhere], [runs[k][s] for k in everywhere])[0] for s in range(seeds)]
    naive = [spearmanr([-sizes[k] for k in everywhere], [runs[k][s] for k in everywhere])[0] for s in range(seeds)]
    return {
        "modes": [f"{m} {i}" for m, i in leading], "predicted": [found.times[k] for k in leading],
        "median": list(medians.values()), "off": off, "scatter": [float(np.std(np.log(runs[k]))) for k in leading],
        "rank": float(np.median(rank)), "worst rank": float(np.min(rank)), "by size": float(np.median(naive)),
        "ranked": len(everywhere), "seeds": seeds, "u0": u0, "cost": cost,
    }  # fmt: skip


def exact_cases() -> Iterator[tuple[str, Any]]:
    for split in ("sides", "halves"):
        for depth in (2, 3, 4, 5):
            for kind, fused in (("late", depth), ("trunk", depth - 1)):
                case = f"exact digits {split} L={depth} {kind}"
                yield case, lambda s=split, d=depth, f=fused: exact(digits(s), d, f)


def exact(data: Correlations, depth: int, fused: int) -> dict[str, Any]:
    """Largest difference of the reduced flow from every weight at width 12, as a share of the largest total weight."""
    from scipy.integrate import solve_ivp

    from tests.cases import flat_flow

    network, u0 = FusionNetwork.fused_at(depth, fused), {2: 0.3, 3: 0.6, 4: 1.0, 5: 1.3}[depth]
    run = integrate_reduced(network, data, u0=u0, t_end=40, t_eval=np.linspace(0, 40, 21), rtol=1e-9)
    start, total, velocity = flat_flow(network, data, aligned_weights(network, data, u0, width=12, seed=1))
    full = solve_ivp(velocity, (0, 40), start, "DOP853", run.t, rtol=1e-10, atol=1e-12)
    gap = [np.max(np.abs(run.total[m][i] - total(y)[m])) for i, y in enumerate(full.y.T) for m in "AB"]
    largest = max(np.max(np.abs(w)) for w in run.total.values())
    return {"gap": float(max(gap) / largest), "u0": u0, "fallen": float(1 - run.loss[-1] / run.loss[0])}


def class_cases(seeds: int) -> Iterator[tuple[str, Any]]:
    for name, make in {"cancer, two": cancer, "wine, three": wine, "digits, ten": lambda: digits("sides")}.items():
        for fused in (2, 1):
            yield f"classes {name} L_f={fused}", lambda make=make, fused=fused: classified(make(), fused, seeds)


def classified(data: Correlations, fused: int, seeds: int) -> dict[str, Any]:
    """Half by the loss of descent in PyTorch, against the closed flow."""
    network, u0, rate = FusionNetwork.fused_at(2, fused), 1e-2, 0.05
    begin = time.process_time()
    found = predict(network, data, u0=u0, width=WIDTH, recipe=Recipe(loss="cross_entropy"))
    cost, begin = time.process_time() - begin, time.process_time()
    classes = classes_of(data.samples)
    assert found.reduced is not None
    end = min(float(found.reduced.run.t[-1]), 40 * max(found.times.values()))
    inputs, codes, labels = (
        {m: torch.tensor(x) for m, x in classes.inputs.items()},
        torch.tensor(classes.codes),
        torch.tensor(classes.labels),
    )
    times = []
    for seed in range(seeds):
        drawn_weights = random_weights(network, data, u0, WIDTH, seed)
        now = {name: [torch.tensor(w, requires_grad=True) for w in own] for name, own in drawn_weights.items()}
        flat = [w for own in now.values() for w in own]
        path, steps = [], math.ceil(end / rate)
        stride = max(steps // 1500, 1)
        for n in range(steps):
            if fused == 2:
                whole = {m: now[m][1] @ now[m][0] for m in "AB"}
            else:
                whole = {m: now["trunk"][0] @ now[m][0] for m in "AB"}
            if n % stride == 0:
                path.append({m: w.detach().numpy().copy() for m, w in whole.items()})
            loss = torch.nn.functional.cross_entropy(sum(inputs[m] @ w.T for m, w in whole.items()) @ codes, labels)
            slopes = torch.autograd.grad(loss, flat)
            with torch.no_grad():
                for w, slope in zip(flat, slopes, strict=True):
                    w.sub_(rate * slope)
        t = np.arange(len(path)) * stride * rate
        times.append(half_times(classes, t, {m: np.array([one[m] for one in path]) for m in "AB"}).times)
    first, last = found.order[0], found.order[-1]
    ratios = [one[last] / one[first] for one in times]
    return {
        "predicted": found.times, "median": {m: float(np.median([one[m] for one in times])) for m in "AB"},
        "ratio": found.ratio, "trained ratio": float(np.median(ratios)), "spread": float(np.std(ratios)),
        "seeds": seeds,
        "cost": cost, "training": (time.process_time() - begin) / seeds,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="modes.jsonl")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default="")
    parser.add_argument("--save", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    file = Path(asked.out)
    done = {one["case"]: one for one in map(json.loads, file.read_text().splitlines())} if file.exists() else {}
    for case, work in (*exact_cases(), *class_cases(asked.seeds // 2), *random_cases(asked.seeds)):
        if case in done or not case.startswith(asked.only):
            continue
        begin = time.monotonic()
        found = {"case": case, **work(), "seconds": time.monotonic() - begin}
        print(
            case,
            {k: v for k, v in found.items() if k in ("gap", "off", "rank", "ratio", "trained ratio", "seconds")},
            flush=True,
        )
        with file.open("a") as stream:
            stream.write(json.dumps(found) + "\n")
        done[case] = found
    if asked.save:
        REPORT.write_text(page(done))


def page(done: Mapping[str, Any]) -> str:
    """MODES.md."""
    exact_rows, class_rows, mode_rows, listed = [], [], [], []
    for case, one in done.items():
        kind, _, name = case.partition(" ")
        if kind == "exact":
            exact_rows.append(row(name, f"{one['u0']:g}", f"{100 * one['fallen']:.0f} %", f"{one['gap']:.1e}"))
        elif kind == "classes":
            times = ", ".join(f"{m} {t:.4g} / {one['median'][m]:.4g}" for m, t in one["predicted"].items())
            off = f"{100 * (one['ratio'] / one['trained ratio'] - 1):+.1f} %"
            ratio, trained = f"{one['ratio']:.4f}", f"{one['trained ratio']:.4f}"
            cost = f"{one['cost']:.2g} / {one['training']:.2g}"
            class_rows.append(row(name, times, ratio, trained, f"{one['spread']:.3f}", off, str(one["seeds"]), cost))
        else:
            off = [100 * x for x in one["off"]]
            median, worst = f"{np.median(np.abs(off)):.2g}", f"{max(off, key=abs):+.2g}"
            rank = f"{one['rank']:.3f} ({one['worst rank']:.3f}) of {one['ranked']}"
            rest = f"{one['by size']:.3f}", str(one["seeds"]), f"{one['cost']:.2g}"
            mode_rows.append(row(name, f"{one['u0']:g}", str(len(off)), median, worst, rank, *rest))
            modes = zip(one["modes"], one["predicted"], one["median"], one["scatter"], strict=True)
            each = (f"{m}: {p:.4g} / {t:.4g} ({scattered(v)})" for m, p, t, v in modes)
            listed.append(f"- {name}: " + ", ".join(each))
    parts = {"exact": exact_rows, "classes": class_rows, "modes": mode_rows, "listed": listed}
    made = f"{time.strftime('%Y-%m-%d')}, two shared cores, NumPy {np.__version__}, PyTorch {torch.__version__}"
    return PAGE.format(made=made, **{name: "\n".join(rows) for name, rows in parts.items()})


def scattered(share: float) -> str:
    return f"{100 * share:.2g} %" if math.isfinite(share) else "some seeds not by the end"


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


PAGE = """# Several outputs: modes, flows, classes

Made by `python -m benchmarks.modes --save`, {made}. Late fusion of two blocks; digits are left (A) and
right (B) half (in "halves" top and bottom), wine the first six columns and the rest; the drawn ones have five outputs.

## Modes of random starts

Times of the leading modes by the typical network (`predict(..., width=100).modes`), against medians of random starts of
width 100 run by Runge and Kutta's fourth order in PyTorch. Off: predicted over median less one, in per cent. Rank:
Spearman's, of all modes that every seed reaches, median (least) over seeds; by size: that of the singular values alone.

| problem | u0 | modes | median off | worst off | rank | by size | seeds | cost [s] |
|---|---|---|---|---|---|---|---|---|
{modes}

Predicted / median (standard deviation of ln t over seeds):

{listed}

## The reduced flow against every weight

`integrate_reduced` against all layers at width 12 from `aligned_weights`, SciPy's DOP853 at 1e-10, to t = 40: largest
difference of total weights as a share of the largest, and by how much the loss has fallen by then.

| problem | u0 | loss fallen by | gap |
|---|---|---|---|
{exact}

## Cross-entropy

Two layers, u0 = 0.01, width 100: `predict(..., recipe=Recipe(loss="cross_entropy"))` against descent by PyTorch at a
learning rate of 0.05; half by the loss. Times: predicted / median over seeds. Spread: standard deviation of the ratio.
Cost: of the prediction / of training one seed, in seconds.

| problem | times | ratio | trained | spread | off | seeds | cost [s] |
|---|---|---|---|---|---|---|---|
{classes}
"""


if __name__ == "__main__":
    main()
