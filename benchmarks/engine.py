"""The engine: sweeps, single flows, widths and ensembles, each as a ratio in one run with its error beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
from scipy.integrate import solve_ivp

from benchmarks.baseline import (
    PSEUDO,
    RATE,
    SAMPLES,
    WIDTH,
    seconds_a_batched_step,
    seconds_a_step,
    seconds_of_the_authors,
)
from benchmarks.timing import Row, medians, shown
from derivations.flow import gradient_flow as law
from dynamics import Correlations, FusionNetwork, ensemble, integrate, law_grid, predict, random_weights
from dynamics.problem import Problem
from dynamics.simulation.batch import flow
from dynamics.simulation.batch.members import Member, Runs
from dynamics.simulation.sweeps.runner import sweep as through_store
from dynamics.starts.compression import compressed
from dynamics.starts.start import random_start

RHOS = [-0.8, -0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8]
SEEDS = range(5)
RTOL = 1e-5
EXACT: dict[tuple[object, ...], np.ndarray] = {}
Sweep = tuple[FusionNetwork, list[tuple[Correlations, int]]]  # a network, and (data, seed) of its runs


def figure_6b() -> list[Sweep]:
    """180 runs: L = 4, L_f = 1..4, sigma = (2, 1), nine rho, five seeds; u0 = 0.1."""
    data = [Correlations.scalar(2, 1, rho) for rho in RHOS]
    return [(FusionNetwork.fused_at(4, fused), [(d, s) for d in data for s in SEEDS]) for fused in (1, 2, 3, 4)]


def figure_3c() -> list[Sweep]:
    """180 runs: two layers, late, four ratios of sigma, nine rho, five seeds; entries of size 1e-9, u0 = 1e-8."""
    data = [Correlations.scalar(ratio, 1, rho) for ratio in (1.2, 1.5, 2, 3) for rho in RHOS]
    return [(FusionNetwork.fused_at(2, 2), [(d, s) for d in data for s in SEEDS])]


def sweep(problems: Sequence[Sweep], u0: float, rounds: int) -> list[Runs]:
    """Draw, compress, integrate, the data sets of a network in one batch."""
    found = []
    for network, runs in problems:
        starts = {
            seed: compressed(network, random_weights(network, runs[0][0], u0, width=WIDTH, seed=seed), rounds)
            for seed in SEEDS
        }
        plans = {id(data): random_start(Problem.of(network, data), u0).course for data, _ in runs}
        members = [Member(starts[seed], plans[id(data)]) for data, seed in runs]
        found.append(flow.run(members, rtol=RTOL))
    return found


def full_width(network: FusionNetwork, data: Correlations, u0: float, seed: int, t_end: float) -> np.ndarray:
    """Half-times by SciPy's DOP853, rtol 1e-10, every weight at width 100; kept, as it takes seconds."""
    key = str(network), data.sigma.tobytes(), data.sigma_yx.tobytes(), u0, seed
    if key not in EXACT:
        EXACT[key] = _full_width(network, data, u0, seed, t_end)
    return EXACT[key]


def _full_width(network: FusionNetwork, data: Correlations, u0: float, seed: int, t_end: float) -> np.ndarray:
    weights = random_weights(network, data, u0, width=WIDTH, seed=seed)
    layout = [(name, w.shape) for name, layers in weights.items() for w in layers]
    ends = list(pairwise(np.cumsum([0, *(a * b for _, (a, b) in layout)])))
    plateaus = random_start(Problem.of(network, data), u0).course.plateaus

    def unpack(y: np.ndarray) -> dict[str, list[np.ndarray]]:
        found: dict[str, list[np.ndarray]] = {name: [] for name in weights}
        for (name, shape), (begin, end) in zip(layout, ends, strict=True):
            found[name].append(y[begin:end].reshape(shape))
        return found

    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        now = unpack(y)
        products = law.above(network, now)
        moved = law.flow(network, now, law.errors(data, law.total_weights(network, now, products)), products)
        return np.concatenate([v.ravel() for name in weights for v in moved[name]])

    def half(m: str):
        return lambda _, y: float(law.total_weights(network, unpack(y))[m][0, 0] / plateaus[m][0, 0]) - 0.5

    y0 = np.concatenate([w.ravel() for layers in weights.values() for w in layers])
    atol = 1e-13 * min(float(np.sqrt(np.mean(w**2))) for layers in weights.values() for w in layers)
    events = [half(m) for m in data.modalities]
    run = solve_ivp(velocity, (0, t_end), y0, method="DOP853", rtol=1e-10, atol=atol, events=events)
    return np.array([t[0] for t in run.t_events])


def sweep_row(name: str, problems: Sequence[Sweep], u0: float, rounds: int, goal: str, judged: Sequence[int]) -> Row:
    """A sweep against PyTorch's milliseconds a step times its steps; the error over some runs of each network."""
    (cost,) = medians([lambda: sweep(problems, u0, rounds)], 3)
    found = sweep(problems, u0, rounds)
    plain, authors, clever, batched, misses, count = 0.0, 0.0, 0.0, 0.0, [], 0
    for (network, runs), result in zip(problems, found, strict=True):
        own = network.depths["A"]
        shape = (own + network.trunk.depth, own)
        last = np.max(result.times, axis=0)
        plain += float(np.sum(last)) / RATE * seconds_a_step(*shape)
        authors += float(np.sum(last)) / RATE * seconds_of_the_authors(*shape)
        clever += float(np.sum(last)) / RATE * seconds_a_step(*shape, samples=PSEUDO)
        # all of them go on until the slowest one is through
        batched += float(np.max(last)) / RATE * seconds_a_batched_step(*shape, len(runs))
        for i in judged:
            data, seed = runs[i]
            exact = full_width(network, data, u0, seed, 1.02 * float(np.max(result.times[:, i])))
            misses.append(float(np.max(np.abs(result.times[:, i] / exact - 1))))
            count += 1
    error = f"{max(misses):.0e} (worst of {count} runs against DOP853 at full width)"
    ratio = (
        f"PyTorch on 8192 samples: {plain / cost:,.0f} times ({plain / 60:,.0f} min), written as the authors' code: "
        f"{authors / cost:,.0f}; on two pseudo-samples: {clever / cost:,.0f} ({clever / 60:,.1f} min); these batched: "
        f"{batched / cost:,.0f} ({batched / 60:,.1f} min)"
    )
    return Row(name, shown(cost), goal, ratio, error)


def public_row(name: str, problems: Sequence[Sweep], u0: float, learning_rate: float | None) -> Row:
    """The same sweep by `ensemble`, which draws anew and finds out the rounds for each data set."""

    def work() -> None:
        for network, runs in problems:
            for data in {id(data): data for data, _ in runs}.values():
                ensemble(network, data, u0=u0, width=WIDTH, seeds=SEEDS, learning_rate=learning_rate)

    (cost,) = medians([work], 1)
    road = "gradient flow" if learning_rate is None else f"gradient descent at {learning_rate}"
    return Row(f"{name}, {road} by `ensemble`, one data set after the other", shown(cost))


def single_flow_rows() -> list[Row]:
    """(4, 4), h = 100: `integrate` as a user calls it, and its narrow run alone."""
    network, data, u0 = FusionNetwork.fused_at(4, 4), Correlations.scalar(2, 1, 0.0), 0.1
    weights = random_weights(network, data, u0, width=WIDTH, seed=0)
    narrow = compressed(network, weights, 1)
    run = integrate(network, data, u0=u0, width=WIDTH, seed=0)
    whole, alone = medians(
        [
            lambda: integrate(network, data, u0=u0, width=WIDTH, seed=0),
            lambda: integrate(network, data, weights=narrow, exact=True),
        ],
        7,
    )
    single = integrate(network, data, weights=narrow, exact=True)
    exact = full_width(network, data, u0, 0, 1.02 * max(run.times.values()))
    baseline, clever = (seconds_a_step(4, 4, n) * float(run.t[-1]) / RATE for n in (SAMPLES, PSEUDO))
    rows = []
    for what, cost, found in (
        ("narrow run alone, until the loss has settled", alone, single),
        ("drawn, and run as narrow as its own run allows", whole, run),
    ):
        miss = max(abs(found.times[m] / t - 1) for m, t in zip(data.modalities, exact, strict=True))
        ratio = (
            f"PyTorch on 8192 samples: {baseline / cost:,.0f} times ({baseline:,.0f} s); on two pseudo-samples: "
            f"{clever / cost:,.0f} ({clever:,.1f} s)"
        )
        rows.append(Row(f"one flow, (4, 4), h = 100: {what}", shown(cost), "100 ms; 2,000 times", ratio, f"{miss:.0e}"))
    return rows


def width_rows() -> list[Row]:
    """Cost from h = 100 to 1000, initialisation apart; an ensemble at a million against one at a hundred."""
    network, data, u0 = FusionNetwork.fused_at(4, 3), Correlations.scalar(2, 1, 0.5), 0.1
    plan = random_start(Problem.of(network, data), u0).course
    batches = [
        [Member(compressed(network, random_weights(network, data, u0, width=h, seed=s), 1), plan) for s in range(20)]
        for h in (100, 1000)
    ]
    small, large = medians([partial(flow.run, batch, rtol=RTOL) for batch in batches], 9)
    rows = [
        Row(
            "20 flows, (4, 3): h = 1000 against h = 100, initialisation apart",
            shown(large),
            "1.05",
            f"{large / small:.2f}",
        )
    ]
    seeds = range(50)
    few, many = medians([partial(ensemble, network, data, u0=u0, width=h, seeds=seeds) for h in (100, 10**6)], 5)
    rows.append(
        Row(
            "ensemble of 50, (4, 3): h = 1e6 from the narrow law against h = 100",
            shown(many),
            "1.5",
            f"{many / few:.2f}",
        )
    )
    return rows


def batch_rows() -> list[Row]:
    """1000 trajectories against one, L_f <= 3."""
    rows = []
    for depth, fused, u0, rounds in ((2, 2, 1e-3, 0), (4, 2, 0.1, 1), (4, 3, 0.1, 1)):
        network, data = FusionNetwork.fused_at(depth, fused), Correlations.scalar(2, 1, 0.5)
        plan = random_start(Problem.of(network, data), u0).course
        members = [
            Member(compressed(network, random_weights(network, data, u0, width=WIDTH, seed=s), rounds), plan)
            for s in range(1000)
        ]
        one, thousand = medians([partial(flow.run, members[:n], rtol=RTOL) for n in (1, 1000)], 3)
        what = f"1000 trajectories against one, ({depth}, {fused})"
        rows.append(Row(what, shown(thousand), "15", f"{thousand / one:.1f}"))
    return rows


def grid_rows() -> list[Row]:
    """Leading laws on a grid of a million points, the error against the law of single points."""
    rows = []
    ratios, rhos = np.linspace(1.1, 4, 1000)[:, None], np.linspace(-0.9, 0.9, 1000)
    for depth, fused in ((2, 2), (4, 3), (4, 4)):
        network = FusionNetwork.fused_at(depth, fused)
        (cost,) = medians([partial(law_grid, network, ratios, 1.0, rhos, u0=1e-3)], 3)
        grid = law_grid(network, ratios, 1.0, rhos, u0=1e-3)
        misses = []
        for i in np.random.default_rng(0).integers(0, 1000, (20, 2)):
            data = Correlations.scalar(float(ratios[i[0], 0]), 1, float(rhos[i[1]]))
            single = predict(network, data, u0=1e-3).leading
            assert single is not None
            misses += [abs(grid.times[m][tuple(i)] / single.times[m] - 1) for m in "AB"]
        what = f"laws on arrays, ({depth}, {fused}): a million predictions"
        rows.append(Row(what, shown(cost), "1 s", f"{1 / cost:.1f} million a second", f"{max(misses):.0e}"))
    return rows


def stored_rows(judged: Sequence[int]) -> list[Row]:
    """Figure 6b through `sweep`, into a store, beside the engine at one round, which does not know its own error."""
    spec = {"depth": 4, "fusion_depth": [1, 2, 3, 4], "sigma_a": 2.0, "rho": RHOS, "u0": 0.1, "seed": list(SEEDS)}
    found, tolerances = [], (RTOL, 5 * RTOL)

    def stored(rtol: float) -> object:
        with tempfile.TemporaryDirectory() as folder:
            return through_store({**spec, "rtol": rtol}, folder).load()

    *costs, fixed = medians([*(partial(stored, rtol) for rtol in tolerances), lambda: sweep(figure_6b(), 0.1, 1)], 5)
    for rtol, cost in zip(tolerances, costs, strict=True):
        result, misses = stored(rtol), []
        for network, runs in figure_6b():
            for i in judged:
                data, seed = runs[i]
                at = {"fusion_depth": network.depths["A"], "rho": RHOS[i // len(SEEDS)], "seed": seed}
                times = result["half_time"].sel(at).values
                misses.append(
                    float(np.max(np.abs(times / full_width(network, data, 0.1, seed, 1.02 * max(times)) - 1)))
                )
        ratio = f"{cost / fixed:.2f} times the engine at one round in this run ({shown(fixed)})"
        error = f"{max(misses):.0e}; told {float(result['compression'].max()):.0e} of compression"
        found.append(Row(f"figure 6b through `sweep`, stored, rtol {rtol:g}", shown(cost), "1.09 times", ratio, error))
    return found


def rows() -> list[Row]:
    """Every row of the engine."""
    judged = [4, 22, 43]  # rho = -0.8, 0, 0.8
    return [
        sweep_row("figure 6b, 180 runs", figure_6b(), 0.1, 1, "2 s; 10,000 times", judged),
        *stored_rows(judged),
        public_row("figure 6b", figure_6b(), 0.1, None),
        public_row("figure 6b", figure_6b(), 0.1, RATE),
        sweep_row("figure 3c, linear, 180 runs", figure_3c(), 1e-8, 0, "0.35 s; 3,000 times", [*judged, 150]),
        *single_flow_rows(),
        *width_rows(),
        *batch_rows(),
        *grid_rows(),
    ]
