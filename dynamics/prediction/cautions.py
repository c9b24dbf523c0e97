"""What a prediction warns of, and what it refuses: close calls, surprises in the order, estimates that disagree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from derivations import DomainError
from dynamics.prediction.escapes import typical_way
from dynamics.prediction.estimates import Estimate, Road
from dynamics.runs.half_times import Status
from dynamics.simulation.descent import doubts_of_rate
from dynamics.starts.start import Start, StartKind
from dynamics.tables import number, percent

NOISE = 1e-3  # a law that misses by less is not worth a warning
CLOSE = 0.1  # share of its plateau that a runner-up has, at least, in a close call
NAMES = {
    Road.LEADING: "leading law",
    Road.REFINED: "refined law",
    Road.REDUCED: "reduced flow",
    Road.ENSEMBLE: "ensemble",
}


def in_steps(
    start: Start, estimates: Mapping[Road, Estimate], source: Road, noise: Sequence[str], rate: float
) -> tuple[dict[Road, Estimate], list[str]]:
    """Times of the flow with what steps of a learning rate may do to them in their bounds, and what to say of it.

    noise : of batches and masks, whose size is not worked out: no bound then, and none where steps overshoot
    """
    endless = bool(noise) or bool(doubts_of_rate(start.problem, start.norms, rate))
    lags = lags_of_steps(start, estimates[source], rate)
    bounds = {m: math.inf if endless and not math.isnan(lag) else lag for m, lag in lags.items()}
    told = {
        road: replace(e, bound={m: bound + bounds[m] for m, bound in e.bound.items()}) for road, e in estimates.items()
    }
    most = max((lag for lag in lags.values() if not math.isnan(lag)), default=0.0)
    if endless or most < NOISE:
        return told, list(noise)
    return told, [
        f"the times are of the flow; steps of {rate:g} differ by up to {percent(most)}, which is in the errors"
    ]


def lags_of_steps(start: Start, estimate: Estimate, rate: float) -> dict[str, float]:
    """Modality -> share of its time by which steps of a learning rate may differ from the flow; heuristic, first order.

    A step of dx/dt = f follows f - (rate/2) f' f, so that a way in one direction takes (rate/2) ln(f(end)/f(begin))
    longer, (145). Twice that is taken, of the total weight from its start to half of its plateau; what comes later
    differs by the largest share of what came before it. nan where a modality is not learned.
    """
    network, data, plan, largest = start.problem.network, start.problem.data, start.course, 0.0
    found = dict.fromkeys(data.modalities, math.nan)
    learned = [m for m in found if estimate.status[m] is Status.REACHED and m in plan.plateaus]
    for m in sorted(learned, key=estimate.times.__getitem__):
        layers, size = network.path_depths[m], data.norm(plan.plateaus[m]) / 2
        begin = sum(network.chains[c].depth * math.log(start.norms[c]) for c in network.path(m))
        grown = max(math.log(size) - begin, 0.0) if size else 0.0
        ways = (layers - 1) / layers * grown + math.log(2)
        largest = max(largest, rate * ways / estimate.times[m] if estimate.times[m] > 0 else math.inf)
        found[m] = largest
    return found


def close_calls(start: Start) -> list[str]:
    """Where the runner-up of a race has most of its weight in sight when the winner escapes."""
    network, data, norms, plan = start.problem.network, start.problem.data, start.norms, start.course
    if network.is_early_fusion or data.outputs > 1:
        return []
    found = []
    for winner, other, left in plan.rivals:
        layers, goal = network.depths[other], data.norm(plan.plateaus[other])
        if {winner, other} & set(plan.never) or norms[other] == 0 or goal == 0 or layers < 2:
            continue
        if left <= 0:
            log_size = math.inf
        else:  # the norm with that share of its way left, (113), in logarithms
            begin = math.log(norms[other])
            log_size = left * begin if layers == 2 else begin - math.log(left) / (layers - 2)
        trunk = math.log(data.norm(plan.plateaus[winner])) / network.path_depths[winner]
        if layers * log_size + network.trunk.depth * trunk > math.log(CLOSE * goal):
            found.append(
                f"{other} follows {winner} closely: it has some of its weight when {winner} is learned, so that their "
                "half-times depend on each other"
            )
    return found


def upset(start: Start) -> list[str]:
    """Say where depth or start, not |Sigma_yx|, decides who is first."""
    network, data, norms, plan = start.problem.network, start.problem.data, start.norms, start.course
    strongest = max(data.modalities, key=data.strength)
    first = plan.order[0]
    if plan.tie or network.is_early_fusion or data.strength(strongest) <= data.strength(first) * (1 + 1e-9):
        return []
    facts = " and ".join(
        f"{m} {network.depths[m]} layers of its own from u0 {norms[m]:.3g}" for m in (strongest, first)
    )
    domain = f"; (59), (60) with {strongest} first are outside their domain" if len(network.modalities) == 2 else ""
    return [f"{strongest} has the larger |Sigma_yx| but {first} leaves zero first: {facts}{domain}"]


def first_by_inputs(start: Start) -> list[str]:
    """Say where the numbers of inputs decide who is first: a random first layer acts on a vector with u0/sqrt(d).

    To leading order in u0 this matters in deep networks only; the order is by |Sigma_yx| all the same.
    """
    network, data, norms, plan = start.problem.network, start.problem.data, start.norms, start.course
    depths, width = network.depths, start.width
    assert width is not None
    raced = [m for m in plan.order if m not in plan.never]
    if network.trunk.depth or plan.tie or min(depths.values()) < 3 or len(raced) < 2 or data.outputs > 1:
        return []
    whole = {m: math.log(typical_way(depths[m], width, data.drawn_sizes[m])[0]) for m in raced}
    arrivals = {m: whole[m] + (2 - depths[m]) * math.log(norms[m]) - math.log(data.strength(m)) for m in raced}
    earliest = min(raced, key=lambda m: arrivals[m])
    if earliest == plan.order[0]:
        return []
    first, inputs = plan.order[0], ", ".join(f"{m} {data.drawn_sizes[m]}" for m in (plan.order[0], earliest))
    cause = f"a first layer acts on a vector with u0/sqrt(inputs) ({inputs})"
    return [f"{first} is first by |Sigma_yx|, but a typical random start learns {earliest} first: {cause}"]


def refuse_large_start(start: Start, of_a_draw: bool = False) -> None:
    """Refuse a start whose total weights may be half of a plateau; or, `of_a_draw`, those of a random one are."""
    data = start.problem.data
    for m, (largest, drawn) in _first_weights(start).items():
        plateau, size = data.norm(start.course.plateaus[m]), drawn if of_a_draw else largest
        if size >= plateau / 2:
            units = "; the columns are in very different units: z-score them (--standardize)"
            raise DomainError(
                f"u0 is too large to predict from: the initial weight of {m} can be {size:.3g}, "
                f"half of its plateau is {plateau / 2:.3g}{units if data.has_mixed_units else ''}"
            )


def is_large(start: Start) -> bool:
    """Whether norms are no small ones, although the output of a draw is small: wide layers that hardly act together.

    PyTorch's own weights of three layers and more are such a start. The typical network can be run from it; laws in
    powers of u0, and the aligned start of these norms, say nothing.
    """
    data, plateaus = start.problem.data, start.course.plateaus
    return any(size >= data.norm(plateaus[m]) / 2 for m, (size, _) in _first_weights(start).items())


def _first_weights(start: Start) -> dict[str, tuple[float, float]]:
    """Modality -> |W_tot| at t = 0 if all layers act along one direction, and in the mean square over random draws.

    Of n layers with inner widths h the second is the first over h^((n-1)/2); without a width both are the first.
    """
    network, norms, plan = start.problem.network, start.norms, start.course
    found = {}
    for m in plan.order:
        if m in plan.never or norms[m] == 0:
            continue
        layers = sum(network.chains[c].depth for c in network.path(m))
        log_size = sum(network.chains[c].depth * math.log(norms[c]) for c in network.path(m) if norms[c] > 0)
        inner = (layers - 1) / 2 * math.log(start.width) if start.kind is StartKind.RANDOM and start.width else 0.0
        found[m] = math.exp(min(log_size, 700.0)), math.exp(min(log_size - inner, 700.0))
    return found


def refuse_silent(*starts: Start) -> None:
    """Refuse weight decay that holds every modality at zero, from either start."""
    decay = starts[0].problem.terms.decay
    if not decay or any(set(s.course.never) != set(s.problem.data.modalities) for s in starts):
        return
    reasons = "; ".join(f"{m}: {why}" for m, why in starts[-1].course.never.items())
    raise DomainError(f"weight_decay = {max(rate for _, rate in decay):g} is beyond every modality: {reasons}")


def disagreements(estimates: Mapping[Road, Estimate]) -> list[str]:
    """Say, with the cause, where two estimates of a half-time differ by half or by more than both leave out.

    The medians of an ensemble are of the very start that the refined estimate is of: only that pair is compared.
    """
    found = []
    for (name, one), (other_name, other) in combinations(estimates.items(), 2):
        is_random = StartKind.RANDOM in (one.start, other.start)
        if is_random and (name is Road.LEADING or other.runs is not None):
            continue
        far = {}
        for m in other.order:
            if one.status[m] is Status.REACHED and other.status[m] is Status.REACHED:
                gap = abs(math.expm1(one.log_times[m] - other.log_times[m]))
                known = one.bound[m] + other.bound[m]
                if gap > 0.5 or (gap > known and gap >= NOISE):
                    far[m] = (gap, known)
        if one.start is not other.start:  # refined and reduced
            if far:
                factors = ", ".join(f"{number(math.exp(one.log_times[m] - other.log_times[m]), 3)} ({m})" for m in far)
                found.append(f"half-times from the {one.assumes} are {factors} times those from the {other.assumes}")
            continue
        for m, (gap, known) in far.items():
            found.append(
                f"the {NAMES[name]} misses the half-time of {m} by {number(100 * gap, 2)} % ({NAMES[other_name]}): "
                f"what is left out is estimated at {percent(known)} here"
            )
    return found
