"""Many inputs seen along few directions: is every half-time within the stated error? Random problems, each road judged.

    python -m benchmarks.inputs --problems 100 --seed 1000

D is 50 to 400 inputs in two blocks, the condition of Sigma 1 to 1e6, rows 0.3 to 5 times D. Judged are

    reduced   the reduced flow along few directions against the same with all inputs, at a tighter tolerance
    flow      the gradient flow from a random start of width 50 against the same with every weight (`exact`), up to
              FLOWS inputs: the judge takes minutes beyond; so a member of an ensemble, and gradient descent

Problems of which no few directions are found are run whole, which is counted.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time

import numpy as np

from dynamics import (
    Correlations,
    DomainError,
    FusionNetwork,
    SolveError,
    descend,
    ensemble,
    integrate,
    integrate_reduced,
)
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation import narrowed
from dynamics.simulation.widening import times_apart

NETWORKS = ((2, 2), (3, 2), (4, 3), (3, 3))
FLOWS = 90
MOST_STEPS = 20_000  # of gradient descent
ROOM = 20.0  # tolerances that two integrations may differ by on their own
SETTLED = 1e-3  # what training comes to is known so well where it is no regression


def problem(seed: int) -> tuple[FusionNetwork, Correlations, float, str]:
    """Network, data, u0, and what describes them."""
    rng = np.random.default_rng(seed)
    size = int(50 * 8 ** rng.uniform())
    first = int(size * rng.uniform(0.3, 0.7))
    condition, rows = 10 ** rng.uniform(0, 6), max(int(size * 10 ** rng.uniform(-0.5, 0.7)), 30)
    turned, _ = np.linalg.qr(rng.normal(size=(size, size)))
    x = rng.normal(size=(rows, size)) * condition ** -np.linspace(0, 0.5, size) @ turned.T
    y = x @ rng.normal(size=size)
    y += 0.3 * np.std(y) * rng.normal(size=rows)
    x /= np.sqrt(np.mean(x**2))
    data = Correlations.from_samples({"A": x[:, :first], "B": x[:, first:]}, y / np.std(y))
    depth = NETWORKS[seed % len(NETWORKS)]
    u0 = (1e-3, 1e-2, 1e-1)[seed % 3]
    told = f"seed {seed}: {size} inputs, {rows} rows, condition {condition:.0e}, {depth}, u0 {u0:g}"
    return FusionNetwork.fused_at(*depth), data, u0, told


def within(few: Trajectory, all_inputs: Trajectory, stated: float) -> tuple[float, bool]:
    """How far half-times are apart, and whether that is within what was stated."""
    apart = times_apart(few, all_inputs)
    return apart, apart <= stated


def whole(data: Correlations) -> Correlations:
    """The same data, held from being narrowed."""
    return data.projected({m: np.eye(d) for m, d in data.sizes.items()})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--flows", type=int, default=FLOWS, help="inputs up to which random starts are judged")
    options = parser.parse_args()
    narrowed.MANY = 50
    begin, counts = time.monotonic(), {"narrow": 0, "rank": 0, "whole": 0, "unjudged": 0}
    apart: dict[str, list[tuple[float, float]]] = {
        "reduced": [],
        "rough": [],
        "flow": [],
        "ensemble": [],
        "descent": [],
    }
    misses = []
    for seed in range(options.seed, options.seed + options.problems):
        network, data, u0, told = problem(seed)
        found = narrowed.narrowed(network, data, u0)
        counts["whole" if found is None else "rank" if data.is_singular else "narrow"] += 1
        if found is None:
            continue
        floor = ROOM * 1e-7 + (SETTLED if data.is_collinear else 0.0)
        try:
            judge = integrate_reduced(network, whole(data), u0=u0, rtol=1e-8)
            for road, one in (("reduced", found), ("rough", found.rough)):
                if one is not None:
                    run = integrate_reduced(network, one.data, u0=u0, rtol=1e-8)
                    gap, fine = within(run, judge, one.error + floor)
                    apart[road].append((gap, one.error + floor))
                    misses += [] if fine else [f"{road} {told}: {gap:.2g}, stated {one.error:.2g}"]
            if len(data.sigma) <= options.flows:
                judge = integrate(network, data, u0=u0, width=50, seed=seed, exact=True)
                few = integrate(network, data, u0=u0, width=50, seed=seed)
                steps, every = (
                    descend(network, data, u0=u0, width=50, seed=seed, max_steps=MOST_STEPS, exact=whole_too)
                    for whole_too in (False, True)
                )
                several = ensemble(network, data, u0=u0, width=50, seeds=[seed])
                own = found.error + floor + 1e-4
                member = max(
                    abs(several.times[m][0] / judge.times[m] - 1)
                    for m in data.modalities
                    if math.isfinite(judge.times[m])
                )
                for road, gap, stated in (
                    ("flow", times_apart(few, judge), own + few.monitors["compression"]),
                    ("ensemble", member, several.compression + floor + 1e-3),
                    ("descent", times_apart(steps, every), own + steps.monitors["compression"]),
                ):
                    apart[road].append((gap, stated))
                    misses += [] if gap <= stated else [f"{road} {told}: {gap:.2g}, stated {stated:.2g}"]
        except (DomainError, SolveError) as error:
            counts["unjudged"] += 1
            print(f"{told}: {error}")
        print(f"{told}: {len(found.data.sigma)} directions", flush=True)
    print(f"{options.problems} problems in {time.monotonic() - begin:.0f} s:", counts)
    for road, pairs in apart.items():
        if pairs:
            worst = max(gap / stated for gap, stated in pairs)
            middle = statistics.median(stated for _, stated in pairs)
            print(f"{road}: {len(pairs)} judged, median stated {middle:.1e}, worst share of it {worst:.2g}")
    print("misses:", *(misses or ["none"]), sep="\n  ")


if __name__ == "__main__":
    main()
