"""Does a wide two-layer ReLU network keep the half-times that `predict_relu` says? Trained by a loop of its own.

    python -m benchmarks.relu --measure FILE [--minutes N]   add rows (JSON lines) that FILE lacks, for N minutes
    python -m benchmarks.relu --report FILE [--save]         the report, --save into RELU.md

Nine real tables: all that scikit-learn and statsmodels bring with a target, five inputs and 100 rows; of more than 600
rows 600, drawn once a table. z-scored, their columns split into A and B at random: split k of a table is drawn from k
alone, late fusion for even k, early for odd ones, and rows are measured in the order k = 0, 1, ...; none is left out.

Width 100, u0 = 1e-3, three seeds side by side, the gradient flow in PyTorch (float32) by Heun's method; for k below 2
also plain gradient descent of seed 0 with two rates, where that takes at most 20 000 steps. Half-times are of what the
network has at the time at which the narrow network ended, and, for k below 3, also at its "own end": once the last
third of the run takes off no more than 1 % of what was, at the latest at twice that time, for networks go on to fit
their rows. Beside it the linear law with doubled times, (126), from a start 1/sqrt(2) as large, since half of the units
serve each half of the inputs; its half-times are of what it has itself by half of the narrow network's end, so that it
is measured as the others are. Errors are of the median over the seeds. Splits with k = 0, 1 modulo 4 calibrate the
bound, the others test it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.parts import command, rows_in
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

OWN = ("star98", "diabetes", "breast_cancer", "wine", "digits")  # the first five: their splits are drawn as ever
TABLES = (*OWN, "anes96", "fair", "randhie", "modechoice")
U0, WIDTH, SEEDS, SPLITS = 1e-3, 100, 3, 12
ROWS = 600  # of a larger table
TOLERANCE, SPACING, LATEST = 0.003, 0.015, 2
MOST_STEPS = 60_000
STAYS = 0.3  # Parts.flank from which a row's error is laid to it
LONGER = 3  # k below which runs go on to their own end
MOST_PLAIN = 20_000  # steps
PLAIN, RATES = 2, (1.0, 0.25)  # k below which seed 0 descends with one rate too, as shares of min(0.05, 0.2/sharpness)
LATE, EARLY = FusionNetwork.fused_at(2, 2), FusionNetwork.fused_at(2, 1)
FILE = Path(__file__).with_name("RELU.md")
Array = np.ndarray
Layers = list[torch.Tensor]
LOOKED_AT = {  # what the courses of the parts show, by hand; the report has the ten worst of them
    ("modechoice", 8): "wide networks do not learn A, the narrow one does at 427, shortly before its end at 520",
    ("modechoice", 4): "as 8, A and B changed: wide networks do not learn B, what is measured is a trace",
    ("modechoice", 2): "B is not learned, the run ends late, at 1474: wide networks fit the noise of A by then",
    ("fair", 4): "the run ends late, at 1496: wide networks have fitted half of all there is by then, noise",
    ("randhie", 8): "a step at 45, then a slow rise: it ends at 0.54 of the narrow end, at 0.4 to 0.45 of wide ones",
    ("fair", 1): "two steps; one seed stands at 0.45 after the first, two pass half in it, the narrow network has 0.35",
    (
        "randhie",
        2,
    ): "two steps: at 0.3 to 0.7 of the end after the first; the second comes at 200, the narrow one's at 290",
    ("fair", 6): "a step at 90 to 0.44 of the narrow end, to 0.35 of wide ones, then a slow rise: later features",
    ("fair", 3): "a step at 80 to 0.42 of the narrow end and of one seed's, to 0.3 of two, then a slow rise",
    ("fair", 11): "B comes in two steps in the narrow network, the first at 80; in wide ones only the second, at 160",
}


@cache
def table_of(name: str) -> tuple[Array, Array]:
    if name == "star98":
        rows = load_example(name).samples
        assert rows is not None
        x, y = np.hstack(list(rows.inputs.values())), rows.targets[:, 0]
    elif name in OWN:
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{name}")()
        x, y = bunch.data, bunch.target.astype(float)
    else:
        from statsmodels import datasets

        frames = getattr(datasets, name).load_pandas()
        x, y = frames.exog.to_numpy(float), frames.endog.to_numpy(float)
    if len(x) > ROWS:
        drawn = np.random.default_rng([TABLES.index(name), 10**6]).permutation(len(x))[:ROWS]
        x, y = x[drawn], y[drawn]
    x = x[:, x.std(0) > 0]
    return (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()


def split_of(name: str, k: int) -> tuple[dict[str, Array], Array]:
    x, y = table_of(name)
    rng = np.random.default_rng([TABLES.index(name), k])
    order, first = rng.permutation(x.shape[1]), int(rng.integers(1, x.shape[1]))
    return {"A": x[:, order[:first]], "B": x[:, order[first:]]}, y


def correlations_of(inputs: Mapping[str, Array], y: Array) -> Correlations:
    x = np.hstack(list(inputs.values()))
    return Correlations(
        x.T @ x / len(x), y @ x / len(x), {m: v.shape[1] for m, v in inputs.items()}, float(y @ y) / len(y)
    )


@dataclass
class Run:
    """Looks at a run: t, the loss of each seed, the parts (2, seeds, P); steps, and seconds of one core until told."""

    t: list[float]
    losses: list[Array]
    parts: list[Array]
    steps: int = 0
    seconds: float = 0.0

    def look(self, t: float, loss: Array, parts: Array) -> None:
        self.t.append(t)
        self.losses.append(loss)
        self.parts.append(parts)

    def settled(self) -> bool:
        now, first = self.losses[-1], self.losses[0]
        then = self.losses[int(np.searchsorted(self.t, self.t[-1] * 2 / 3))]
        return bool(np.all(then - now <= 0.01 * (first - now)))

    def at(self, t: float) -> int:
        """The last look at or before t."""
        return int(np.searchsorted(self.t, t, side="right")) - 1

    def times(self, seed: int, last: int) -> list[float | None]:
        return [half(self.t[: last + 1], [p[i, seed] for p in self.parts[: last + 1]]) for i in (0, 1)]

    def powers(self, seed: int, last: int) -> list[float]:
        return [float(np.mean(self.parts[last][i, seed] ** 2)) for i in (0, 1)]

    def row(self, seed: int, t_told: float) -> dict[str, Any]:
        ends = {"told": self.at(t_told), "own": len(self.t) - 1}
        return {
            "times": {end: self.times(seed, n) for end, n in ends.items()},
            "power": {end: self.powers(seed, n) for end, n in ends.items()},
            "loss": {end: float(self.losses[n][seed]) for end, n in ends.items()},
        }


def half(t: list[float], parts: list[Array]) -> float | None:
    """When half of the last part is there, on a straight line between looks."""
    along = np.array([float(p @ parts[-1]) for p in parts])
    wanted = along[-1] / 2
    if wanted == 0:
        return None
    i = int(np.argmax(along >= wanted))
    return float(t[i - 1] + (t[i] - t[i - 1]) * (wanted - along[i - 1]) / (along[i] - along[i - 1])) if i else t[0]


class Wide:
    """Hidden layers of several seeds side by side: late fusion has one a modality, early fusion one of all inputs.

    w : layers (seeds * WIDTH, d); c : layers (seeds * WIDTH,)
    """

    def __init__(self, network: FusionNetwork, inputs: Mapping[str, Array], y: Array, seeds: int) -> None:
        early = network.trunk.depth == 1
        data = correlations_of(inputs, y)
        drawn = [random_weights(network, data, U0, WIDTH, seed) for seed in range(seeds)]
        hidden = [[(np.hstack([d["A"][0], d["B"][0]]), d["trunk"][0])] if early else [
            (d[m][0], d[m][1]) for m in inputs
        ] for d in drawn]  # fmt: skip
        blocks = [np.hstack(list(inputs.values()))] if early else list(inputs.values())
        self.seeds, self.early = seeds, early
        self.x = [torch.tensor(b, dtype=torch.float32) for b in blocks]
        self.y = torch.tensor(y, dtype=torch.float32)
        self.start: Layers = []
        for i in range(len(blocks)):
            self.start += [torch.tensor(np.vstack([h[i][0] for h in hidden]), dtype=torch.float32)]
            self.start += [torch.tensor(np.concatenate([h[i][1][0] for h in hidden]), dtype=torch.float32)]
        self.columns = [slice(0, data.sizes["A"]), slice(data.sizes["A"], None)]
        self.sharpness = float(np.linalg.eigvalsh(data.sigma)[-1])

    def outputs(self, x: torch.Tensor, w: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What units do, (seeds, WIDTH, P), and what a seed's layer puts out, (seeds, P); samples last is fastest."""
        a = (w @ x.T).clamp_(min=0).view(self.seeds, WIDTH, -1)
        return a, torch.bmm(c.view(self.seeds, 1, WIDTH), a)[:, 0]

    def velocity(self, layers: Layers) -> tuple[Layers, Array]:
        """-tau times the gradient, and each seed's loss. Of c it is w.(that of w)/c, since relu(z) = z relu'(z)."""
        done = [self.outputs(x, w, c) for x, w, c in zip(self.x, layers[::2], layers[1::2], strict=True)]
        error = self.y - torch.stack([out for _, out in done]).sum(0)
        share = error[:, None] / len(self.y)
        moved = []
        for x, (a, _), w, c in zip(self.x, done, layers[::2], layers[1::2], strict=True):
            back = a.sign_().mul_(share).view(len(w), -1) @ x
            moved += [c[:, None] * back, (w * back).sum(1)]
        return moved, (error**2).sum(1).double().numpy() / (2 * len(self.y))

    def parts(self, layers: Layers) -> Array:
        """What A and B put out, the other at its mean, centred: (2, seeds, P)."""
        if not self.early:
            found = [self.outputs(x, w, c)[1] for x, w, c in zip(self.x, layers[::2], layers[1::2], strict=True)]
        else:
            x, means = self.x[0], self.x[0].mean(0)
            found = []
            for own in self.columns:
                alone = means.expand_as(x).clone()
                alone[:, own] = x[:, own]
                found.append(self.outputs(alone, *layers)[1])
        return torch.stack([f - f.mean(1, keepdim=True) for f in found]).numpy()

    def moved(self, layers: Layers, v: Layers, step: float) -> Layers:
        return [p + step * q for p, q in zip(layers, v, strict=True)]

    def off(self, layers: Layers, v: Layers, later: Layers, step: float) -> float:
        """What Heun takes off a step of Euler, beside the size of each unit: root mean square, worst seed."""
        worst = 0.0
        for i in range(0, len(layers), 2):
            (w, c), (dw, dc) = layers[i : i + 2], (b - a for a, b in zip(v[i : i + 2], later[i : i + 2], strict=True))
            share = ((dw**2).sum(1) + dc**2) / ((w**2).sum(1) + c**2)
            worst = max(worst, float(share.view(self.seeds, WIDTH).mean(1).max()))
        return step / 2 * math.sqrt(worst)

    def run(self, t_told: float, latest: float) -> Run:
        """Heun's method, steps by what it takes off Euler's, to `latest` times `t_told` or until all have settled."""
        layers, t, step, begin = self.start, 0.0, 0.01 / self.sharpness, time.process_time()
        v, loss = self.velocity(layers)
        seen = Run([0.0], [loss], [self.parts(layers)])
        while t < latest * t_told and seen.steps < MOST_STEPS and not (t >= t_told and seen.settled()):
            h = min(step, t_told - t) if t < t_told else step
            later, _ = self.velocity(self.moved(layers, v, h))
            error = self.off(layers, v, later, h) / TOLERANCE
            if error <= 1:
                layers = [p + h / 2 * (a + b) for p, a, b in zip(layers, v, later, strict=True)]
                t = t_told if h == t_told - t else t + h
                v, loss = self.velocity(layers)
                if t >= (1 + SPACING) * seen.t[-1] or t == t_told:
                    seen.look(t, loss, self.parts(layers))
                if t <= t_told:
                    seen.seconds = time.process_time() - begin
            step = max(step if error <= 1 else 0.0, h) * min(2.0, max(0.3, 0.9 / math.sqrt(error + 1e-9)))
            seen.steps += 1
        return seen

    def plain(self, t_told: float, rate: float) -> Run:
        """Gradient descent with one rate to `t_told`."""
        layers, begin = self.start, time.process_time()
        seen = Run([], [], [])
        for n in range(math.ceil(t_told / rate) + 1):
            v, loss = self.velocity(layers)
            if not n or n * rate >= (1 + SPACING) * seen.t[-1]:
                seen.look(n * rate, loss, self.parts(layers))
            layers = self.moved(layers, v, rate)
        seen.steps, seen.seconds = n, time.process_time() - begin
        return seen


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
    row["flank"] = [seen.parts.flank(m) if row["predicted"][i] else None for i, m in enumerate(inputs)]
    told = float(seen.parts.t[-1])
    row |= {"t_end": told, "power": [seen.parts.power[m] for m in inputs], "loss": float(seen.parts.loss[-1])}
    row["linear"] = linear_times(network, inputs, y, told)
    wide = Wide(network, inputs, y, SEEDS)
    run = wide.run(told, LATEST if k < LONGER else 1)
    row |= {"wide": [run.row(seed, told) for seed in range(SEEDS)], "settled": run.settled()}
    row["reached"] = run.t[-1] >= told
    row |= {"steps": run.steps, "training": run.seconds / SEEDS, "plain": []}
    for part in RATES if k < PLAIN else ():
        rate = part * min(0.05, 0.2 / wide.sharpness)
        if told / rate > MOST_PLAIN:
            continue
        alone = Wide(network, inputs, y, 1).plain(told, rate)
        row["plain"].append(alone.row(0, told) | {"share": part, "steps": alone.steps, "training": alone.seconds})
    return row


def linear_times(network: FusionNetwork, inputs: Mapping[str, Array], y: Array, t_told: float) -> list[float | None]:
    """Twice the half-times of a linear network, (126), of what it has itself by half of `t_told`: as all others here.

    The typical network of a random start 1/sqrt(2) as large, since half of the units serve each half of the inputs.
    """
    try:
        estimate = predict(network, correlations_of(inputs, y), u0=U0 / math.sqrt(2), width=WIDTH).estimate
    except (DomainError, SolveError):
        return [None, None]
    assert estimate.run is not None
    t, found = [float(v) for v in estimate.run.t], []
    last = int(np.searchsorted(t, t_told / 2, side="right"))
    for m, block in inputs.items():
        time_of = half(t[:last], list(estimate.run.total[m][:last] @ block.T))
        found.append(None if time_of is None else 2 * time_of)
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


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


def is_tie(row: Mapping[str, Any], end: str = "told") -> bool:
    """Whether the seeds do not agree which modality is first."""
    pairs = [w["times"][end] for w in row["wide"]]
    return any(None in p for p in pairs) or len({p[0] < p[1] for p in pairs}) > 1


def quantiles(values: list[float]) -> str:
    if not values:
        return "none | | |"
    return " | ".join(f"{100 * v:.1f} %" for v in (np.median(values), np.quantile(values, 0.9), max(values)))


def line(rows: list[dict[str, Any]], by: str, told: str, end: str = "told") -> str:
    pairs = [(r[by], measured(r, end)) for r in rows if not is_tie(r, end) and None not in r[by]]
    right = sum((said[0] < said[1]) == (true[0] < true[1]) for said, true in pairs)  # type: ignore[operator]
    ratios = [abs(said[1] / said[0] * true[0] / true[1] - 1) for said, true in pairs]  # type: ignore[operator]
    ratio = f"{100 * float(np.median(ratios)):.1f} %" if ratios else ""
    return f"| {told} | {right} of {len(pairs)} | {quantiles(list(errors(rows, by, end)))} | {ratio} |"


def within(rows: list[dict[str, Any]], bound: Callable[[Mapping[str, Any], int], float]) -> tuple[int, int]:
    """Half-times of single seeds within the bound, and how many there are."""
    good = total = 0
    for row in rows:
        for i, said in enumerate(row["predicted"]):
            for wide in row["wide"]:
                true = wide["times"]["told"][i]
                if said is not None and true:
                    total += 1
                    good += abs(true / said - 1) <= bound(row, i)
    return good, total


def share_of(row: Mapping[str, Any], i: int) -> float:
    """The power of a part beside the larger of both, in the median over the seeds."""
    return float(np.median([w["power"]["told"][i] / max(w["power"]["told"]) for w in row["wide"]]))


def calibrates(row: Mapping[str, Any]) -> bool:
    return row["k"] % 4 < 2


def cause(row: Mapping[str, Any], i: int) -> str:
    """What a row says of an error: the seeds, the part and the loss in the end beside those of the narrow network."""
    times, error = [w["times"]["told"][i] for w in row["wide"]], errors_of(row)[i]
    power = float(np.median([w["power"]["told"][i] for w in row["wide"]])) / row["power"][i]
    loss = float(np.median([w["loss"]["told"] for w in row["wide"]]))
    found = []
    if row["flank"][i] > STAYS:
        found.append(f"it stays near half: from 0.4 to 0.6 of the end takes {row['flank'][i]:.2g} half-times")
    if max(times) - min(times) > error * float(np.median(times)):
        found.append("seeds differ by more than the error")
    if share_of(row, i) < 0.1:
        found.append(f"a small part, {share_of(row, i):.1%} of the larger")
    if abs(math.log(power)) > 0.1:
        found.append(f"in the end the wide part has {power:.2g} times the power")
    if loss < 0.9 * row["loss"]:
        found.append(f"wide networks end at a loss of {loss:.2g}, the narrow one at {row['loss']:.2g}: more features")
    return "; ".join(found) or "same end, another course"


def errors_of(row: Mapping[str, Any]) -> list[float]:
    pairs = zip(row["predicted"], measured(row, "told"), strict=True)
    return [0.0 if said is None or not true else abs(said / true - 1) for said, true in pairs]


def worst_of(rows: list[dict[str, Any]]) -> str:
    text = "| split | inputs A, B | | said | seeds | error | bound | from the row | looked at |\n" + "|---" * 9 + "|\n"
    for row in sorted(rows, key=lambda r: -max(errors_of(r)))[:10]:
        i = int(np.argmax(errors_of(row)))
        seeds = ", ".join(f"{w['times']['told'][i]:.4g}" for w in row["wide"])
        said, true = row["predicted"][i], measured(row, "told")[i]
        assert true is not None
        name = f"{row['table']} {row['k']}, {'early' if row['early'] else 'late'}"
        shown = (name, f"{row['sizes'][0]}, {row['sizes'][1]}", "AB"[i], f"{said:.4g}", seeds,
                 f"{100 * (said / true - 1):+.0f} %", f"{100 * row['bound'][i]:.0f} %", cause(row, i),
                 LOOKED_AT.get((row["table"], row["k"]), ""))  # fmt: skip
        text += f"| {' | '.join(shown)} |\n"
    return text


def cost_of(rows: list[dict[str, Any]]) -> str:
    """What a prediction takes beside training one seed, all in seconds of one core."""
    said = float(np.median([r["seconds"] for r in rows]))
    own = float(np.median([r["training"] / r["seconds"] for r in rows]))
    text = (
        f"A prediction takes {said:.2g} s of one core in the median. One seed of the integration by Heun's method "
        f"takes {own:.2g} times as long in the median "
        f"({min(r['training'] / r['seconds'] for r in rows):.2g} to "
        f"{max(r['training'] / r['seconds'] for r in rows):.2g}).\n\n"
        "| plain gradient descent of seed 0, k below 2 | splits | steps | times as long as a prediction "
        "| later than by Heun: median | largest |\n" + "|---" * 6 + "|\n"
    )
    for part in RATES:
        found = [(r, plain) for r in rows for plain in r["plain"] if plain["share"] == part]
        late = []
        for row, plain in found:
            both = zip(plain["times"]["told"], row["wide"][0]["times"]["told"], strict=True)
            late += [one / other - 1 for one, other in both if one and other]
        if found:
            steps = np.median([plain["steps"] for _, plain in found])
            ratio = np.median([plain["training"] / r["seconds"] for r, plain in found])
            text += (
                f"| rate {part:g} min(0.05, 0.2/sharpness) | {len(found)} | {steps:.0f} | {ratio:.1f} times | "
                f"{100 * np.median(late):+.2f} % | {100 * max(late, key=abs):+.2f} % |\n"
            )
    return text


def report(path: Path) -> str:
    from dynamics.nonlinear.relu_prediction import ALLOWED, DEVIATIONS

    rows = [r for r in rows_in(path) if "wide" in r]
    refused = len(rows_in(path)) - len(rows)
    ties = [r for r in rows if is_tie(r)]
    counts = ", ".join(f"{name} {sum(r['table'] == name for r in rows)}" for name in TABLES)
    text = f"# ReLU networks\n\n{(__doc__ or '').split(chr(10) * 2, 2)[2].strip()}\n\n"
    text += f"{len(rows)} splits ({counts}), {refused} refused. {len(ties)} are ties: the seeds do not agree which is "
    text += f"first, or one is never learned; {sum(r['together'] for r in ties)} of them, and "
    text += f"{sum(r['together'] for r in rows) - sum(r['together'] for r in ties)} others, were said to be learned "
    text += f"together. On {sum(r['settled'] for r in rows)} splits all wide runs had settled by their end; "
    text += f"{sum(not r['reached'] for r in rows)} stopped before, after {MOST_STEPS} steps.\n\n"
    text += "| | order right, no tie | half-times: median | 90 % | worst | ratio: median |\n" + "|---" * 6 + "|\n"
    groups = {
        "all": rows,
        "late fusion": [r for r in rows if not r["early"]],
        "early fusion": [r for r in rows if r["early"]],
        "where both have two half-times": [r for r in rows if None not in r["predicted"] + r["linear"]],
        "with a warning": [r for r in rows if r["warnings"]],
        "with none": [r for r in rows if not r["warnings"]],
        **{name: [r for r in rows if r["table"] == name] for name in TABLES},
    }
    for told, some in groups.items():
        text += line(some, "predicted", f"{told}: narrow network") + "\n"
        text += line(some, "linear", f"{told}: linear") + "\n"
    far = [r for r in rows if r["k"] < LONGER]
    text += line(far, "predicted", f"k below {LONGER}: narrow network") + "\n"
    text += line(far, "predicted", f"k below {LONGER}, own end: narrow network", "own") + "\n"
    ranges = [
        (max(times) - min(times)) / float(np.median(times))
        for r in rows
        for times in ([w["times"]["told"][i] for w in r["wide"]] for i in (0, 1))
        if None not in times
    ]
    text += f"\nThe three seeds lie {100 * np.median(ranges):.1f} % apart in the median and at most "
    text += f"{100 * np.quantile(ranges, 0.9):.0f} % in 90 % of all half-times.\n"
    old, new = ([r for r in rows if calibrates(r) is which] for which in (True, False))
    (a, b), (c, d) = (within(some, lambda r, i: r["bound"][i]) for some in (old, new))
    widths = [b for r in rows for b in r["bound"] if b is not None]
    text += f"\nThe bound, {ALLOWED:g} + {DEVIATIONS:g} spreads + what the half-time shifts if the end is 20 % off, "
    text += f"holds for {a} of {b} half-times of single seeds ({a / max(b, 1):.0%}) on the {len(old)} splits it was "
    text += f"calibrated on and for {c} of {d} ({c / max(d, 1):.0%}) on the {len(new)} others. Its median is "
    text += f"{100 * np.median(widths):.0f} %, 90 % of them are below {100 * np.quantile(widths, 0.9):.0f} %. "
    fixed = [within(some, lambda r, i: 0.1 + 2 * r["spread"][i]) for some in (old, new)]
    text += "Without that shift, and with 0.1, it held for "
    text += " and ".join(f"{good} of {count} ({good / max(count, 1):.0%})" for good, count in fixed) + ".\n"
    never = [(r, i) for r in rows for i in (0, 1) if r["predicted"][i] is None]
    small = sum(share_of(r, i) < 0.01 for r, i in never)
    missed = sum(share_of(r, i) < 0.01 for r in rows for i in (0, 1)) - small
    text += (
        f"\nNever learned, that is less than 1 % of the larger part in the end: said of {len(never)} modalities, of "
    )
    text += f"which {small} are below that in the wide networks (median); {missed} more are below it that were given a "
    text += "half-time.\n"
    return f"{text}\n## The ten worst\n\n{worst_of(rows)}\n## What it costs\n\n{cost_of(rows)}"


if __name__ == "__main__":
    parts = {(name, k): lambda name=name, k=k: [row_of(name, k)] for k in range(SPLITS) for name in TABLES}
    command(__doc__, parts, ("table", "k"), report, FILE, minutes=15.0)
