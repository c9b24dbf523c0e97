"""Waits that no integrator gets through: run a network from a larger start, and know the smaller one's half-times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from derivations.critical.saddles import Course
from dynamics.runs.half_times import HalfTimes
from dynamics.starts.start import Start

SCALE_FREE = 1e-4  # share of a wait that what happens before it may be
LONGEST = 10.0  # by how much a time may be longer than its order of size says


@dataclass(frozen=True)
class Shortening:
    """A larger start, with waits that are shorter by known factors.

    norms : of the chains at the larger start
    logs : modality -> ln of the factor of its wait, the others' waits up to it apart
    first : ln of the factor of the wait for whatever is learned first; the branches' own without a trunk
    """

    norms: Mapping[str, float]
    logs: Mapping[str, float]
    first: float = 0.0

    @property
    def changes(self) -> bool:
        return any(self.logs.values())


def shortened(start: Start, width: int) -> Shortening:
    """The largest start whose half-times tell those of a smaller one, up to SCALE_FREE.

    Small branches do not feel each other, and u -> F^(1/(L-2)) u, t -> t/F leaves dW_l/dt = (the others)^T e (the
    others)^T of a branch of L > 2 layers as it is. It waits for a time of order u^(2-L)/|e|. Late fusion: waits in the
    order of their lengths, after everything that does not scale (`_unscaled`). A gap of more than 1/SCALE_FREE between
    one and the next is closed to that much: what is left of the shorter ones is then a share of SCALE_FREE of the
    longer ones, and waits of one size keep their ratio. The gap runs from the longest that the shorter may be, by the
    smallest drive that it meets, to the shortest that the longer may be.

    With a trunk that starts by (41), all branches of L_f > 2 layers: everything grows by one factor s. The first wait
    is s^(L-2) shorter, the others, behind a trunk that has its size, s^(L_f-2).
    """
    network, data, norms, plan = start.problem.network, start.problem.data, start.norms, start.course
    own, after = set(network.depths.values()), network.trunk.depth
    logs = dict.fromkeys(network.modalities, 0.0)
    unchanged = Shortening(dict(norms), logs)
    if network.is_early_fusion or len(network.chains) != len(network.modalities) + 1:
        return unchanged
    drives = {m: _drives(plan, m) for m in plan.order if m not in plan.never and norms[m] > 0}
    drives = {m: ends for m, ends in drives.items() if ends[0] > 0}
    least, most = {}, {}
    for m, (weakest, strongest) in drives.items():
        layers = network.depths[m]
        if layers > 2:
            way = (2 - layers) * math.log(norms[m])
            least[m] = way - math.log((layers - 2) * strongest)
            most[m] = way - math.log(weakest) + math.log(LONGEST) + max(0.0, (layers - 4) / 2) * math.log(width)
    if not least:
        return unchanged
    below = _unscaled(start, drives)
    if after:
        if len(own) > 1 or min(own) <= 2 or not start.trunk_by_rule(1e-6):
            return unchanged
        largest = max(data.norm(goal) for goal in plan.plateaus.values())
        behind = after * max(0.0, math.log(largest)) / (min(own) + after)  # a large trunk shortens the waits
        cut = max(0.0, min(least.values()) - behind - below + math.log(SCALE_FREE))
        scale = cut / (min(own) - 2)
        larger = {name: math.exp(math.log(norm) + scale) if norm else 0.0 for name, norm in norms.items()}
        return Shortening(larger, dict.fromkeys(logs, cut), scale * (min(own) + after - 2))
    cut = 0.0
    for m in sorted(least, key=lambda m: least[m]):
        cut += max(0.0, least[m] - below + math.log(SCALE_FREE))
        logs[m], below = cut, max(below, most[m])
    larger = {
        name: math.exp(math.log(norm) + logs[name] / (network.depths[name] - 2)) if logs.get(name) else norm
        for name, norm in norms.items()
    }
    return Shortening(larger, logs)


def _drives(plan: Course, m: str) -> tuple[float, float]:
    """The smallest and the largest |e_m| at the saddles that are visited before m is learned; zeros left out."""
    data, totals = plan.data, [saddle.total for saddle in plan.saddles if m not in saddle.learned]
    pulls = [sum(total[n] @ data.input_block(n, m) for n in data.modalities) for total in totals]
    sizes = [data.norm(data.target_block(m) - pull) for pull in pulls]
    known = [size for size in sizes if size > 1e-12 * max(sizes)]
    return (min(known), max(known)) if known else (0.0, 0.0)


def _unscaled(start: Start, drives: Mapping[str, tuple[float, float]]) -> float:
    """ln of what does not scale with the start: how long the slowest direction takes to settle, logarithmic waits."""
    network, data, norms, plan = start.problem.network, start.problem.data, start.norms, start.course
    eigenvalues = np.linalg.eigvalsh(np.asarray(data.sigma, dtype=float))
    slowest = float(np.min(eigenvalues[eigenvalues > 1e-12 * eigenvalues[-1]]))
    goals = {m: data.norm(plan.plateaus[m]) for m in drives}
    paces = [slowest * goal ** (2 - 2 / network.path_depths[m]) if goal > 0 else slowest for m, goal in goals.items()]
    logarithms = [abs(math.log(norms[m])) / weakest for m, (weakest, _) in drives.items() if network.depths[m] == 2]
    return math.log(max([LONGEST / pace for pace in paces] + logarithms))


def lengthened(times: Mapping[str, float], shorter: Shortening) -> tuple[dict[str, float], float]:
    """ln of half-times with the waits as long as they are, from those of the larger start; the relative error of that.

    Without a trunk a modality is as late as the longest wait up to it says; with one, as late as the first one and
    then its own wait. What is not reached stays so.
    """
    learned = sorted((m for m, t in times.items() if math.isfinite(t)), key=lambda m: times[m])
    found, share, longest = dict.fromkeys(times, math.inf), 0.0, 0.0
    for i, m in enumerate(learned):
        if shorter.first:
            begin = times[learned[0]]
            own = math.log(times[m] - begin) + shorter.logs[m] if times[m] > begin else -math.inf
            found[m] = float(np.logaddexp(math.log(begin) + shorter.first, own))
            continue
        if shorter.logs[m] > longest and i:
            share = max(share, times[learned[i - 1]] / times[m])
        longest = max(longest, shorter.logs[m])
        found[m] = math.log(times[m]) + longest if times[m] > 0 else -math.inf
    return found, SCALE_FREE + share if shorter.changes else 0.0


def waited(found: HalfTimes, later: Mapping[str, float], shorter: Shortening) -> HalfTimes:
    """Half-times with other times, and a lag that is known better than as their difference where one factor does."""
    first, last = found.order[0], found.order[-1]
    if not found.lag > 0:
        return replace(found, log_times=later)
    moved = later[first] - found.log_times[first]
    if shorter.first:
        log_lag = math.log(found.lag) + shorter.logs[last]
    elif math.isclose(later[last] - found.log_times[last], moved, abs_tol=1e-9):
        log_lag = math.log(found.lag) + moved
    else:
        log_lag = later[last] + math.log1p(-math.exp(later[first] - later[last]))
    lag = math.exp(log_lag) if log_lag < 709 else math.inf
    return replace(found, log_times=later, lag=lag, log_excess=log_lag - later[first])
