"""Do bounds of typical networks hold over seeds, where two modalities race closely? 32 seeds of each problem.

    python -m benchmarks.close_races --problems 100

2-3 correlated modalities of 1-2 inputs, of which two differ by up to a quarter in |Sigma_yx|; 2-5 layers, late and
earlier fusion, width 20-160. `benchmarks.honesty` judges one seed of wider problems, where such races are rare.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import warnings
from collections import Counter

import numpy as np

from benchmarks.honesty import MOST_STEPS, ROUGH, UNFIT, Problem
from dynamics import Correlations, DomainError, FusionNetwork, SolveError, ensemble, predict
from dynamics.runs.half_times import Status

SEEDS = 32


def problem(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    names = "ABC"[: rng.integers(2, 4)]
    sizes = {m: int(rng.integers(1, 3)) for m in names}
    total = sum(sizes.values())
    mixing = rng.normal(size=(total, 2 * total)) + rng.uniform(0, 1.5) * rng.normal(size=(1, 2 * total))
    row, ends = rng.normal(size=total), np.cumsum(list(sizes.values()))
    parts = np.split(row, ends[:-1])  # views of the row
    one, other = rng.permutation(len(names))[:2]
    near = 1 + rng.uniform(-0.25, 0.25)
    parts[other] *= near * np.linalg.norm(parts[one]) / np.linalg.norm(parts[other])
    depth = int(rng.integers(2, 6))
    network = FusionNetwork.fused_at(depth, int(rng.integers(2, depth + 1)), tuple(names))
    low, high = {2: (-6, -1), 3: (-3, -1)}.get(depth, (-1.7, -1))
    u0, width = float(10 ** rng.uniform(low, high)), int(10 ** rng.uniform(1.3, 2.2))
    return Problem(seed, network, Correlations(mixing @ mixing.T / (2 * total), row, sizes), u0, width)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first problem; they are numbered from there")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    bounds, seen, beyond, left_out = [], 0, 0, Counter[str]()
    for number in range(options.seed, options.seed + options.problems):
        p = problem(number)
        try:
            claim = predict(p.network, p.data, u0=p.u0, width=p.width).refined
            runs = ensemble(p.network, p.data, u0=p.u0, width=p.width, seeds=SEEDS, rtol=ROUGH, max_steps=MOST_STEPS)
        except (DomainError, SolveError) as error:
            left_out[str(error)[:70]] += 1
            continue
        if claim is None or any(said in w for w in runs.warnings for said in UNFIT):
            left_out["no law, or seeds that were not integrated"] += 1
            continue
        for m in p.data.modalities:
            if claim.status[m] is not Status.REACHED:
                continue
            if not np.isfinite(claim.bound[m]):
                left_out["half-times without a bound"] += 1
                continue
            error = np.abs(np.expm1(claim.log_times[m] - np.log(runs.times[m])))  # 1 where one is not reached
            missed = (error > claim.bound[m] + 10 * ROUGH) | (runs.status[m] != Status.REACHED)
            bounds.append(claim.bound[m])
            seen, beyond = seen + len(missed), beyond + int(np.sum(missed))
            if np.any(missed):
                said = f"{claim.times[m]:.4g}, bound {claim.bound[m]:.2g}, seeds to {np.max(error):.3g}"
                print(f"{m}: {np.sum(missed)} of {SEEDS} beyond: {said}; {p}", flush=True)
    print(f"{seen} half-times, {beyond} beyond their bounds; median bound {100 * statistics.median(bounds):.2g} %")
    for reason, count in left_out.most_common():
        print(f"left out: {count} x {reason}")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
