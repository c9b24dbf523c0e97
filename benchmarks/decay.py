"""Weight decay judged: critical decays, the flow near them, half-times. The judges share no code with the project.

    python -m benchmarks.decay --problems 300 --save

Late fusion, one output, every weight gets -decay times itself. What is judged, and by what:

    critical    two layers: the largest decay at which m is in the group lasso (`group_lasso`: exact blocks, then
                Newton, duality gap of 1e-12), the first root of |residual of m| - decay at the solution of all others.
                Three and four layers: bisection on where the reduced flow ends from its own start (`decay_flows`)
    dynamics    the judge itself: the last modality (the smallest of these decays) is learned at 0.99 of it and not at
                1.01, by the flow of width 20 from three random starts, and by the aligned one, whose scalar inputs keep
                their sign, against the lasso that keeps it, too
    half-times  first time with half of the output along the plateau with decay, the lasso restricted to what is learned
                up to then (deeper: where the flow so restricted ends); LSODA at 1e-12. Claims of `predict` from an
                aligned start: |ln(claim/judge)| <= bound

Where a claim has another race, it is judged along the plateaus of its own. The judge's numbers are kept in TRUTH and
not made again: remove it when a judge changes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decay_flows import U0, deep_critical, half_times, learned, race, random_learns, reduced
from benchmarks.group_lasso import Problem, critical, draw, lasso

TRUTH = Path(tempfile.gettempdir()) / "fusion_dynamics_decay.json"
EXAMPLES = ("star98", "diabetes")
FRACTIONS = (0.1, 0.5, 0.9, 0.97)
SHALLOW, DEEP = 1e-6, 1e-2  # critical decays may differ by this share
OWN = 1e-8  # error of the judge's half-times: 1e-10 moves them by 7e-9 (two layers) and 7e-8 (deeper)
DEEPER = 5000  # first seed of problems of three and four layers
STARTS = 3  # random ones
Claim = tuple[list[str], dict[str, tuple[float, float, str]]]  # who is learned, in its race; ln time, bound, status


def example(name: str) -> Problem:
    from dynamics import load_example

    data = load_example(name)
    return Problem(np.asarray(data.sigma), np.ravel(data.sigma_yx), float(data.sigma_yy), dict(data.sizes))


def deeper(seed: int) -> tuple[Problem, int, float]:
    """Three or four layers, u0 = 0.05 to 0.3, half of them with scalar inputs."""
    u0 = float(0.05 * 6 ** np.random.default_rng([3, seed]).uniform())
    return draw(seed, scalar=seed % 4 < 2), 3 + seed % 2, u0


def sizes_of(counted: int) -> tuple[range, range, range, range]:
    """Seeds of critical decays, of the flow near them, of half-times, of deeper networks."""
    few = max(counted * 40 // 300, 1)
    return range(counted), range(counted // 5), range(counted * 160 // 300), range(DEEPER, DEEPER + few)


# The judge's own numbers


def true_critical(seed: int) -> dict[str, Any]:
    p = draw(seed)
    free, back = critical(p)
    kept = critical(p, p.signs)[0] if p.signs else free
    return {"critical": free, "aligned": kept, "back": back}


def true_deep(seed: int) -> dict[str, Any]:
    p, depth, u0 = deeper(seed)
    return {"critical": deep_critical(p, depth, u0), "depth": depth, "u0": u0}


def true_dynamics(seed: int, known: Mapping[str, Any]) -> dict[str, Any]:
    """Learned or not, just below and just above; the aligned start at its own critical decay, if it has one."""
    p = draw(seed)
    last = min(known["critical"], key=known["critical"].get)
    at, kept = known["critical"][last], known["aligned"][last]
    size = float(np.linalg.norm(lasso(p, 0.9 * at, list(p.sizes))[p.span[last]])) or 1.0
    found: dict[str, Any] = {"last": last, "aligned has none": kept == 0}
    for side, factor in (("below", 0.99), ("above", 1.01)):
        found[side] = [random_learns(p, last, factor * at, size, 100 * seed + k) for k in range(STARTS)]
        found[f"{side}, aligned"] = last in learned(p, reduced(p, 2, factor * (kept or at), U0).end)
    return found


def true_times(p: Problem, depth: int, u0: float, decays: Mapping[str, float]) -> list[dict[str, Any]]:
    smallest = min((d for d in decays.values() if d > 0), default=0.0)
    found = []
    for fraction in FRACTIONS if smallest else ():
        entry: dict[str, Any] = {"fraction": fraction, "decay": fraction * smallest, "depth": depth, "u0": u0}
        try:
            entry["race"] = race(p, depth, entry["decay"], u0)
            entry["times"] = half_times(p, depth, entry["decay"], u0, entry["race"])
        except RuntimeError as error:
            entry["unjudged"] = str(error).split(" by ", maxsplit=1)[0]
        found.append(entry)
    return found


def truth(count: int, path: Path) -> dict[str, Any]:
    """What is kept, with what is missing made."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    shallow, near, timed, deep = sizes_of(count)

    def fill(name: str, seeds: Sequence[Any], make: Callable[[Any], Any]) -> None:
        part = kept.setdefault(name, {})
        begin = time.process_time()
        for seed in seeds:
            if str(seed) not in part:
                part[str(seed)] = make(seed)
        print(f"{name}: {time.process_time() - begin:.0f} s", file=sys.stderr, flush=True)
        path.write_text(json.dumps(kept))

    fill("examples", EXAMPLES, lambda name: critical(example(name))[0])
    fill("critical", shallow, true_critical)
    fill("deep", deep, true_deep)
    fill("dynamics", near, lambda s: true_dynamics(s, kept["critical"][str(s)]))
    fill("times", timed, lambda s: true_times(draw(s), 2, U0, kept["critical"][str(s)]["aligned"]))
    fill("deep times", deep, lambda s: true_times(*deeper(s), kept["deep"][str(s)]["critical"]))
    return kept


# The project's claims


def claimed_critical(p: Problem, depth: int, u0: float) -> dict[str, float]:
    from dynamics import Correlations, FusionNetwork, critical_weight_decay

    data = Correlations(p.sigma, p.target, p.sizes, p.power)
    found = critical_weight_decay(FusionNetwork.fused_at(depth, depth, tuple(p.sizes)), data, u0=u0)
    return {m: float(found[m]) for m in p.sizes}


def claimed_times(p: Problem, depth: int, u0: float, decay: float) -> dict[str, Claim]:
    from dynamics import Correlations, FusionNetwork, Recipe, predict

    data = Correlations(p.sigma, p.target, p.sizes, p.power)
    network = FusionNetwork.fused_at(depth, depth, tuple(p.sizes))
    claims = {}
    recipe: Any = {"recipe": Recipe(weight_decay=decay)}
    prediction: Any = predict(network, data, u0=u0, **recipe)
    for road, e in prediction.estimates.items():
        if e is not None and e.assumes == "aligned start":
            each = {m: (float(e.log_times[m]), float(e.bound[m]), str(e.status[m])) for m in p.sizes}
            claims[str(road)] = ([m for m in e.half_times.race if each[m][2] != "never"], each)
    return claims


@dataclass
class Tally:
    """What has been seen."""

    counts: Counter[str] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    missing: set[str] = field(default_factory=set)
    worst: dict[str, float] = field(default_factory=dict)

    def ask(self, call: Callable[..., Any], *args: Any) -> Any:
        """None where the project has no such function yet, or refuses."""
        from dynamics import DomainError, SolveError

        try:
            return call(*args)
        except ImportError as error:
            self.missing.add(str(error).split(" (", maxsplit=1)[0])
        except (DomainError, SolveError) as error:
            self.refused[str(error).split(",", maxsplit=1)[0][:90]] += 1
        return None

    def compare(self, what: str, true: Mapping[str, float], said: Mapping[str, float] | None, tolerance: float) -> None:
        for m, value in true.items() if said is not None else ():
            off = abs(said[m] - value) / value if value > 0 and said is not None else abs((said or {})[m])
            key = what.split(",", maxsplit=1)[0]
            self.worst[key] = max(self.worst.get(key, 0.0), off)
            self.counts[f"{key}: compared"] += 1
            if not off <= tolerance:
                self.misses.append(f"{what}: {m} {(said or {})[m]:.9g}, judge {value:.9g}")

    def check_times(self, seed: str, p: Problem, entry: Mapping[str, Any]) -> None:
        depth, u0, decay = entry["depth"], entry["u0"], entry["decay"]
        if "unjudged" in entry:
            self.refused[f"the judge: {entry['unjudged']}"] += 1
            return
        for road, (order, each) in (self.ask(claimed_times, p, depth, u0, decay) or {}).items():
            times = entry["times"]
            if order != entry["race"]:
                self.counts["half-times: another race than the judge's"] += 1
                try:
                    times = half_times(p, depth, decay, u0, order)
                except RuntimeError:
                    self.refused["the judge, in the race of the claim"] += 1
                    continue
            for m, (log_time, bound, status) in each.items():
                if status == "reached" and not math.isfinite(bound):
                    self.counts[f"half-times, {road}: no bound"] += 1
                    continue
                true = times.get(m)
                if (status == "reached") != (true is not None):
                    off = math.inf
                elif not true:  # neither learns it, or it starts past half
                    off = 0.0 if true is None or log_time == -math.inf else math.inf
                else:
                    off = abs(log_time - math.log(true))
                if off <= bound + OWN or off == 0:
                    self.counts[f"half-times, {road}: within"] += 1
                else:
                    said = f"{status} {math.exp(min(log_time, 700)):.9g} (bound {bound:.2g}), judge {true}"
                    where = f"seed {seed}, L = {depth}, decay {decay:.6g} ({entry['fraction']} of the last's)"
                    self.misses.append(f"half-times, {road}, {m}: {said}; {where}")


def judge(kept: Mapping[str, Any], count: int) -> Tally:
    tally = Tally()
    shallow, near, timed, deep = sizes_of(count)
    for name in EXAMPLES:
        said = tally.ask(claimed_critical, example(name), 2, U0)
        tally.compare(f"critical, {name}", kept["examples"][name], said, SHALLOW)
    for s in shallow:
        said = tally.ask(claimed_critical, draw(s), 2, U0)
        tally.compare(f"critical, seed {s}", kept["critical"][str(s)]["critical"], said, SHALLOW)
    for s in deep:
        known, (p, depth, u0) = kept["deep"][str(s)], deeper(s)
        said = tally.ask(claimed_critical, p, depth, u0)
        tally.compare(f"critical (deep), seed {s}, L = {depth}, u0 = {u0:.3g}", known["critical"], said, DEEP)
    for s in near:
        seen = kept["dynamics"][str(s)]
        own = [(f"below, random {k}", v, True) for k, v in enumerate(seen["below"])]
        own += [(f"above, random {k}", v, False) for k, v in enumerate(seen["above"])]
        own += [("below, aligned", seen["below, aligned"], not seen["aligned has none"])]
        own += [("above, aligned", seen["above, aligned"], False)]
        for what, got, expected in own:
            self_agrees = "as the lasso says" if got == expected else "otherwise"
            tally.counts[f"dynamics, {'aligned' if 'aligned' in what else 'random'}: {self_agrees}"] += 1
            if got != expected:
                tally.misses.append(f"dynamics, seed {s}, {what}: {seen['last']} learned: {got}")
    for name, seeds, made in (("times", timed, draw), ("deep times", deep, lambda s: deeper(s)[0])):
        for s in seeds:
            for entry in kept[name][str(s)]:
                tally.check_times(str(s), made(s), entry)
    return tally


def report(kept: Mapping[str, Any], count: int, tally: Tally, seconds: float) -> str:
    every = [kept["critical"][str(s)] for s in sizes_of(count)[0]]
    back = sum(n > 0 for known in every for n in known["back"].values())
    lines = [f"{count} problems, {seconds:.0f} s of CPU", f"misses: {len(tally.misses)}"]
    lines += [f"  {line}" for line in tally.misses]
    lines += [f"  not there: {line}" for line in sorted(tally.missing)]
    for name in EXAMPLES:
        lines.append(f"{name}: " + ", ".join(f"{m} {value:.10f}" for m, value in kept["examples"][name].items()))
    lines += [f"{what}: {number}" for what, number in sorted(tally.counts.items())]
    lines += [f"{what}: worst {value:.2g}" for what, value in tally.worst.items()]
    lines.append(f"leave and come back as the decay falls: {back} of {sum(len(k['back']) for k in every)} modalities")
    lines += [f"refused: {number} x {reason}" for reason, number in tally.refused.most_common()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--truth", type=Path, default=TRUTH, help=f"the judge's own numbers (default {TRUTH})")
    parser.add_argument("--save", action="store_true", help="write DECAY.md beside this file")
    options = parser.parse_args()
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = truth(options.problems, options.truth)
        tally = judge(kept, options.problems)
    text = report(kept, options.problems, tally, time.process_time() - begin)
    print(text)
    if options.save:
        made = f"`python -m benchmarks.decay --problems {options.problems}`, {datetime.now(UTC):%Y-%m-%d}."
        body = f"# Weight decay judged\n\n{made}\n\n```text\n{text}\n```\n"
        Path(__file__).with_name("DECAY.md").write_text(body)
    return 1 if tally.misses or tally.missing else 0


if __name__ == "__main__":
    sys.exit(main())
