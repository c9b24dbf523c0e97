"""How late are steps of a learning rate, beside what a prediction's errors hold for them? Descent beside the flow.

    python -m benchmarks.steps --problems 60

Random problems of 2-3 modalities of 1-2 inputs, two to four layers: late, earlier and nested fusion, and branches of
unequal depths; random starts, rates up to what is stable. Both runs begin at the same weights.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter

import numpy as np

from dynamics import Chain, Correlations, DomainError, FusionNetwork, SolveError, descend, integrate, random_weights
from dynamics.prediction.cautions import lags_of_steps
from dynamics.prediction.refined import refined_typical
from dynamics.problem import Problem
from dynamics.runs.half_times import Status
from dynamics.simulation.descent import doubts_of_rate, start_learning_rate
from dynamics.starts.start import random_start

WIDTH = 40
MOST_STEPS = 50_000  # of a descent; one that takes more is left out
KINDS = "late or earlier", "unequal", "nested"


def network_of(rng: np.random.Generator, kind: str, names: str) -> FusionNetwork:
    if kind == "unequal":
        return FusionNetwork.branches({m: int(rng.integers(2, 5)) for m in names}, trunk=int(rng.integers(2)))
    if kind == "nested" and len(names) == 3:
        both = Chain(int(rng.integers(1, 3)), (Chain(1, names[0]), Chain(1, names[1])))
        return FusionNetwork.tree(int(rng.integers(2)), both, Chain(int(rng.integers(2, 4)), names[2]))
    depth = int(rng.integers(2, 5))
    return FusionNetwork.fused_at(depth, int(rng.integers(2, depth + 1)), tuple(names))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the first problem; they are numbered from there")
    options = parser.parse_args()
    shares, left_out = dict[str, list[float]](), Counter[str]()
    for number in range(options.seed, options.seed + options.problems):
        rng = np.random.default_rng(number)
        kind, names = KINDS[number % len(KINDS)], "ABC"[: 3 if number % len(KINDS) == 2 else rng.integers(2, 4)]
        sizes = {m: int(rng.integers(1, 3)) for m in names}
        total = sum(sizes.values())
        mixing = rng.normal(size=(total, 3 * total))
        data = Correlations(mixing @ mixing.T / (3 * total), rng.normal(size=total), sizes)
        network, u0 = network_of(rng, kind, names), float(10 ** rng.uniform(-1.7, -0.7))
        weights = random_weights(network, data, u0, width=WIDTH, seed=number)
        problem = Problem.of(network, data)
        try:
            rate = start_learning_rate(problem, u0) * float(10 ** rng.uniform(-0.5, 1.5))
            if doubts_of_rate(problem, u0, rate):
                left_out["the rate is beyond stable"] += 1
                continue
            lags = lags_of_steps(random_start(problem, u0), refined_typical(random_start(problem, u0, WIDTH)), rate)
            flow = integrate(network, data, weights=weights)
            steps = descend(network, data, weights=weights, learning_rate=rate, max_steps=MOST_STEPS)
        except (DomainError, SolveError) as error:
            left_out[str(error)[:70]] += 1
            continue
        for m, lag in lags.items():
            if flow.status[m] is Status.REACHED and steps.status[m] is Status.REACHED and not math.isnan(lag):
                share = abs(steps.times[m] / flow.times[m] - 1) / lag
                shares.setdefault(kind, []).append(share)
                if share > 1:
                    print(
                        f"{m}: {share:.3g} of it, rate {rate:.3g}, u0 {u0:.3g}, problem {number}: {network}", flush=True
                    )
    for kind, found in shares.items():
        worst, middle = max(found), float(np.median(found))
        print(f"{kind}: {len(found)} half-times, worst {worst:.2f} of what the errors hold, median {middle:.2f}")
    for reason, count in left_out.most_common():
        print(f"left out: {count} x {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
