"""Is every claimed half-time within its stated bound? Random problems, each estimate judged from its own start.

    python -m benchmarks.honesty --problems 1000 --seed 0

A claim is one half-time of one estimate. Its judge is a tight integration from the start that the estimate assumes:

    aligned   the reduced flow at JUDGE; for the reduced flow itself the full flow (every weight) of width 2, where
              rounding lets it, else the reduced flow at a tolerance ten times tighter. Rounding does not where
              u0^(L-2) < FULL, or where a modality is never learned because its weight keeps its sign: in the full
              flow the other mode grows out of the last digit during a long wait
    random    the full flow from the random weights of that width and seed

Claims without a finite bound are refused, and so are problems that `predict` raises on; every reason is counted.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from dynamics import (
    Correlations,
    DomainError,
    FusionNetwork,
    SolveError,
    aligned_weights,
    ensemble,
    integrate,
    integrate_reduced,
    predict,
)
from dynamics.prediction.estimates import Estimate
from dynamics.prediction.prediction import Prediction
from dynamics.runs.half_times import Status

JUDGE = 1e-9  # relative tolerance of the reduced flow
FULL = 1e-9
CLOSE, ROUGH = 1e-6, 1e-3  # of full flows: for a claim about one seed, and for one about all of a width
LEFT = 10.0  # tolerances that a full flow leaves of a half-time
LEFT_REDUCED = 100.0  # and the reduced flow, over long waits
WIDE = 10**8  # the width that "wide" is judged at
MOST_STEPS = 4000  # of a judge from a random start
UNFIT = "extend", "misses half-times", "cancel digits"  # said of seeds that were not integrated to their half-times


@dataclass(frozen=True)
class Problem:
    """One random problem; `width` is None for an aligned start."""

    seed: int
    network: FusionNetwork
    data: Correlations
    u0: float
    width: int | None

    def __str__(self) -> str:
        start = "aligned" if self.width is None else f"random, width {self.width}"
        sizes = ", ".join(f"{m} {d}" for m, d in self.data.sizes.items())
        return f"seed {self.seed}: {self.network}, inputs {sizes}, u0 = {self.u0:.3g}, {start}"


@dataclass
class Tally:
    """What has been seen."""

    within: int = 0
    bounds: list[float] = field(default_factory=list)
    by_road: dict[str, list[float]] = field(default_factory=dict)
    unbounded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unjudged: Counter[str] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)


def problem(seed: int, smallest: float = 1e-12) -> Problem:
    """2-4 modalities of 1-5 inputs, 2-6 layers, every fusion, unequal branches, u0 up to 0.2, either start."""
    rng = np.random.default_rng(seed)
    names = "ABCD"[: rng.integers(2, 5)]
    scalar = rng.random() < 0.4
    sizes = {m: 1 if scalar else int(rng.integers(1, 6)) for m in names}
    total = sum(sizes.values())
    mixing = rng.normal(size=(total, 3 * total))
    sigma, weights = mixing @ mixing.T / (3 * total), rng.normal(size=total)
    data = Correlations(sigma, weights @ sigma, sizes, 1.1 * weights @ sigma @ weights)
    depth = int(rng.integers(2, 7))
    fused = int(rng.integers(1, depth + 1))
    network = FusionNetwork.fused_at(depth, fused, tuple(names))
    if fused > 1 and rng.random() < 0.3:
        depths = {m: int(rng.integers(2, fused + 1)) for m in names}
        network = FusionNetwork.branches(depths, trunk=depth - fused)
    u0 = float(10 ** rng.uniform(math.log10(smallest), math.log10(0.2)))
    width = None if rng.random() < 0.5 else int(10 ** rng.uniform(1.5, 2.5))
    return Problem(seed, network, data, u0, width)


@dataclass(frozen=True)
class Verdict:
    """What a judge found, and how well it knows it."""

    status: Mapping[str, Status]
    times: Mapping[str, float]
    error: float


def judge(p: Problem, road: str, estimate: Estimate) -> Verdict:
    """The flow from the start that the estimate assumes."""
    if estimate.assumes == "aligned start":
        deepest = max(p.network.path_depths.values())
        kept = Status.NEVER not in estimate.status.values()
        if road == "reduced" and kept and p.u0 ** (deepest - 2) > FULL:
            weights = aligned_weights(p.network, p.data, p.u0, width=2)
            run = integrate(p.network, p.data, weights=weights, rtol=JUDGE)
            if Status.NOT_REACHED not in run.status.values() and "faint" not in run.monitors:
                return Verdict(run.status, run.times, LEFT_REDUCED * JUDGE)
        run = integrate_reduced(p.network, p.data, u0=p.u0, rtol=JUDGE)
        return Verdict(run.status, run.times, LEFT_REDUCED * JUDGE)
    width = WIDE if "wide" in estimate.assumes or p.width is None else p.width
    rtol = ROUGH if road == "typical network" else CLOSE
    runs = ensemble(p.network, p.data, u0=p.u0, width=width, seeds=[p.seed], rtol=rtol, max_steps=MOST_STEPS)
    unfit = [w for w in runs.warnings if any(said in w for said in UNFIT)]
    if unfit:
        raise SolveError(unfit[0].split(":")[-1].strip())
    status = {m: Status(str(runs.status[m][0])) for m in p.data.modalities}
    return Verdict(status, {m: float(runs.times[m][0]) for m in p.data.modalities}, LEFT * rtol)


def estimates(p: Problem) -> tuple[Prediction, dict[str, Estimate]]:
    """All that is claimed about a problem: by `predict`, and for a random start by its seed, too."""
    prediction = predict(p.network, p.data, u0=p.u0, width=p.width)
    found = {name: getattr(prediction, name) for name in ("leading", "refined", "reduced")}
    if p.width is None:
        return prediction, {name: e for name, e in found.items() if e is not None}
    typical = found.pop("refined")
    named = {"typical network": typical} if typical is not None else {}
    if p.network.trunk.depth == 0 and not p.network.is_early_fusion and set(p.data.sizes.values()) == {1}:
        own = predict(p.network, p.data, u0=p.u0, width=p.width, seed=p.seed).refined
        if own is not None and "seed" in own.assumes:
            named["refined, its seed"] = own
    return prediction, named


def check(p: Problem, tally: Tally) -> None:
    """Compare every claim with its judge."""
    try:
        prediction, claims = estimates(p)
    except DomainError as error:
        tally.refused[_reason(str(error))] += 1
        return
    if not claims or (p.width is not None and "typical network" not in claims):
        tally.refused["no law of this start"] += 1
        return
    source = prediction.estimate
    open_ended = [m for m, s in source.status.items() if s is Status.REACHED and not math.isfinite(source.bound[m])]
    if open_ended:
        tally.refused[f"{prediction.source}: no bound"] += 1
    judges: dict[tuple[str, bool], Verdict] = {}
    for road, claim in claims.items():
        try:
            key = claim.assumes, road == "reduced"
            if key not in judges:
                judges[key] = judge(p, road, claim)
        except (DomainError, SolveError) as error:
            tally.unjudged[_reason(str(error))] += 1
            continue
        true = judges[key]
        for m in p.data.modalities:
            bound = claim.bound[m]
            if claim.status[m] is Status.REACHED and not math.isfinite(bound):
                tally.unbounded[road] += 1
                continue
            error = _error(claim, true, m)
            if error <= (bound if math.isfinite(bound) else 0.0) + true.error:
                tally.within += 1
                if math.isfinite(bound):
                    tally.bounds.append(bound)
                    tally.by_road.setdefault(road, []).append(bound)
            else:
                said = f"{claim.status[m]} {claim.times[m]:.8g} (bound {bound:.2g})"
                tally.misses.append(f"{road}, {m}: {said}, flow {true.status[m]} {true.times[m]:.8g}; {p}")


def _error(claim: Estimate, true: Verdict, m: str) -> float:
    if claim.status[m] is not true.status[m]:
        return math.inf
    if claim.status[m] is not Status.REACHED:
        return 0.0
    return abs(math.expm1(claim.log_times[m] - math.log(true.times[m])))


def _reason(text: str) -> str:
    """Without the numbers of one problem."""
    return text.split(",", maxsplit=1)[0].split(": the initial", maxsplit=1)[0][:70]


def report(tally: Tally, count: int, seconds: float) -> str:
    lines = [f"{count} problems in {seconds:.0f} s; {tally.within} half-times within their bound"]
    lines.append(f"misses: {len(tally.misses)}")
    lines += [f"  {line}" for line in tally.misses]
    share = sum(tally.refused.values()) / count
    lines.append(f"refused: {sum(tally.refused.values())} problems ({100 * share:.1f} %)")
    lines += [f"  {number} x {reason}" for reason, number in tally.refused.most_common()]
    lines.append(f"median bound: {100 * statistics.median(tally.bounds):.2g} % of all claims")
    for road, bounds in sorted(tally.by_road.items()):
        without = tally.unbounded[road]
        lines.append(
            f"  {road}: {len(bounds)} claims, median {100 * statistics.median(bounds):.2g} %, {without} without one"
        )
    if tally.unjudged:
        lines.append("not judged, because the flow could not be run:")
        lines += [f"  {number} x {reason}" for reason, number in tally.unjudged.most_common()]
    return "\n".join(lines)


def one(seed: int, smallest: float = 1e-12) -> Tally:
    """One problem, for a worker."""
    tally = Tally()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of solvers that give up: what follows is counted
        check(problem(seed, smallest), tally)
    return tally


def merged(tallies: Iterable[Tally], count: int, progress: bool) -> Tally:
    whole = Tally()
    for i, t in enumerate(tallies, start=1):
        whole.within += t.within
        whole.bounds += t.bounds
        whole.misses += t.misses
        for road, bounds in t.by_road.items():
            whole.by_road.setdefault(road, []).extend(bounds)
        for into, counted in ((whole.unbounded, t.unbounded), (whole.refused, t.refused), (whole.unjudged, t.unjudged)):
            into.update(counted)
        if progress and i % 20 == 0:
            print(f"{i} of {count}, {len(whole.misses)} misses", file=sys.stderr, flush=True)
    return whole


def run(count: int, seed: int, jobs: int = 1, progress: bool = True, smallest: float = 1e-12) -> Tally:
    """Problems seed, ..., seed + count - 1."""
    seeds = range(seed, seed + count)
    if jobs == 1:
        return merged((one(s, smallest) for s in seeds), count, progress)
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        return merged(pool.imap_unordered(one, seeds), count, progress)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first problem; they are numbered from there")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    options = parser.parse_args()
    begin = time.perf_counter()
    tally = run(options.problems, options.seed, options.jobs)
    print(report(tally, options.problems, time.perf_counter() - begin))
    return 1 if tally.misses else 0


if __name__ == "__main__":
    sys.exit(main())
