"""Half-times of two-layer ReLU networks from samples, without training the wide network: heuristic, (164)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations import Correlations, DataError, DomainError, FusionNetwork
from derivations.critical import preference
from derivations.network import TRUNK
from dynamics.checks import checked_integer, checked_positive
from dynamics.nonlinear.growth import drives, growing
from dynamics.nonlinear.narrow import Grown, Narrow, Parts, grown, merged
from dynamics.nonlinear.relu import is_early
from dynamics.nonlinear.samples import Samples, checked_samples
from dynamics.prediction.estimates import Estimate, Kind, Road
from dynamics.prediction.prediction import Activation, Prediction
from dynamics.runs.half_times import WORTHLESS, HalfTimes, Status
from dynamics.starts.start import StartKind
from dynamics.starts.weights import WIDEST, Weights, plain_norms, random_weights, require_range, start_norms

RESTARTS = 500  # random units that are followed, each a start of the search
BEFORE = 2.0  # e-foldings before the first layer is learned at which units that are alike are merged
LEAST_SPAN = 1.5  # e-foldings that units need near zero to get to their sites
PERIODS = 4  # the run is as long as this many times what the slowest modality takes to leave zero
ALLOWED, DEVIATIONS = 0.03, 2.0  # the bound: a share of the time, deviations over starts, Parts.flank; RELU.md
DEAD = 0.1  # share of dead units from which it is said
BASIN = 0.01  # share of random directions that a basin has whose chance to be missed is told
PROBES, SHUFFLES, CLEARLY = 200, 5, 3.0  # what drives so many directions so much more than rows in another order do
LINEAR_FITS = "contribution and misattribution are those of linear regressions"


@dataclass(frozen=True, eq=False)
class _Layer:
    """A hidden layer: its inputs (P, d), the units that are followed, the size of a layer of width 1 at the start."""

    x: np.ndarray
    w: np.ndarray
    c: np.ndarray
    norm: float


def predict_relu(
    network: FusionNetwork,
    inputs: Mapping[str, Any],
    targets: Any,
    u0: float | Mapping[str, float] = 1e-3,
    *,
    width: int = 100,
    seed: int = 0,
    restarts: int = RESTARTS,
    t_end: float | None = None,
) -> Prediction:
    """Predict when a wide two-layer ReLU network learns each modality: a narrow network in its place. Heuristic.

    Near zero every hidden unit turns to a direction of locally fastest growth, (164), and sees no other. They are
    followed one by one until shortly before the first layer is learned; those that point alike by then are merged, and
    what remains, 20 a layer at most, is integrated on the samples; half-times are read off it. A half-time is the
    first time at which half of what a modality's part of the output has in the end, at `t_end`, is there: <part(t),
    part(end)> = <part(end), part(end)>/2 over the samples, the part with the other modalities at their mean, less its
    own mean.

    Assumes that units alike at that time stay alike; finer features that only appear later are left out. On data
    symmetric under (x, y) -> (-x, -y) the times are twice the linear ones, (126).

    Parameters
    ----------
    network : two layers, `FusionNetwork.fused_at(2, 1)` (early) or `fused_at(2, 2)` (late), any number of modalities
    inputs : modality -> (P,) or (P, d); targets : (P,) or (P, outputs). Taken as they are, as `train_relu` does
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm
    width : hidden units of each branch of the network that is predicted
    restarts, seed : random units that are followed near zero, and their draw
    t_end : of the narrow run, in units of tau; None for 4 times what the slowest modality takes to leave zero. It goes
        on to twice, ... 16 times that while a modality that is still small grows

    Returns
    -------
    Prediction
        Its one estimate is `refined`, of kind heuristic; `bound` is calibrated (benchmarks/RELU.md): a share of the
        time, two spreads, and how long the part stays at half of its end; `spread` is one standard deviation over
        random starts of this width. Contributions are those of linear regressions.

    Raises
    ------
    DataError, DomainError
        On a network that has not two layers, on inputs that do not fit, on a start that is not small.
    SolveError
        When the narrow network cannot be integrated.

    Examples
    --------
    >>> from dynamics.nonlinear.samples import gaussian_samples
    >>> drawn = gaussian_samples([[4, 0], [0, 1]], [1, 1], count=500)
    >>> p = predict_relu(FusionNetwork.fused_at(2, 2), drawn.inputs, drawn.targets)
    >>> p.order, str(p.estimate.kind), round(p.times["A"])  # a linear network takes half as long
    (('A', 'B'), 'heuristic', 4)
    """
    return prediction_of(followed(network, inputs, targets, u0, width=width, seed=seed, restarts=restarts, t_end=t_end))


@dataclass(frozen=True, eq=False)
class Followed:
    """A wide network's narrow one and its run, and what it was asked for.

    layers : hidden layer -> where its units go; "" in early fusion, else by modality
    leaving : hidden layer -> when the first of them has left zero, in units of tau
    units : hidden layer -> how many the narrow network has
    parts : what modalities put out along the run
    y : targets (P, outputs)
    inputs : modality -> (P, d)
    """

    network: FusionNetwork
    data: Correlations
    u0: float | Mapping[str, float]
    width: int
    restarts: int
    layers: Mapping[str, Grown]
    leaving: Mapping[str, float]
    units: Mapping[str, int]
    parts: Parts
    y: np.ndarray
    inputs: Mapping[str, np.ndarray]

    @property
    def is_early(self) -> bool:
        return "" in self.layers

    def of(self, m: str) -> str:
        """The hidden layer that reads a modality."""
        return "" if self.is_early else m


def followed(
    network: FusionNetwork, inputs: Mapping[str, Any], targets: Any, u0: float | Mapping[str, float] = 1e-3, *,
    width: int = 100, seed: int = 0, restarts: int = RESTARTS, t_end: float | None = None,
) -> Followed:  # fmt: skip
    """What `predict_relu` speaks of."""
    samples = checked_samples(inputs, targets, several=True)
    if not np.any(np.ptp(samples.targets, axis=0)):
        raise DataError("targets are constant: there is nothing to learn")
    data = samples.correlations
    early = is_early(network, data, "predict_relu")
    norms, u0 = start_norms(network, u0), plain_norms(network, u0)
    require_range(network, norms)
    width = checked_integer(width, "width", 1, WIDEST)
    restarts = checked_integer(restarts, "restarts", 10, 100_000)
    drawn = random_weights(network, data, norms, restarts, seed)
    layers = _layers(samples, data, early, drawn, norms)
    y = samples.targets.reshape(samples.count, -1)
    spans = {name: _span(name, layer, y) for name, layer in layers.items()}
    found = {name: grown(layer.x, y, layer.w, layer.c, spans[name]) for name, layer in layers.items()}
    leaving = {}
    for name, layer in found.items():
        size = layer.typical(width)
        kept = size > 0
        leaving[name] = float(np.min(-np.log(size[kept]) / layer.sites.rates[kept], initial=math.inf))
    slowest = max((t for t in leaving.values() if math.isfinite(t)), default=1.0)
    end = PERIODS * slowest if t_end is None else checked_positive(t_end, "t_end")
    first = [(spans[name] - BEFORE) / layer.sites.rates[0] for name, layer in found.items() if len(layer.sites)]
    t_start = max(0.0, min([*first, end / 2]))
    units = {name: _early_units(layer, y, spans[name], t_start, width) for name, layer in layers.items()}
    blocks = {name: layer.x for name, layer in layers.items()}
    narrow = Narrow(blocks, {m: data.span(m) for m in data.modalities} if early else {}, y, units, t_start)
    counts = {name: len(w) for name, (w, _) in units.items()}
    run = narrow.run(end)
    return Followed(network, data, u0, width, restarts, found, leaving, counts, run, y, samples.inputs)


def _early_units(
    layer: _Layer, y: np.ndarray, log_span: float, t: float, width: int
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """What units near zero are at t, those alike merged, those that no sample makes active left out."""
    w, c, log_size, _ = growing(layer.x, y, layer.w, layer.c, log_span, t)
    active = np.any(layer.x @ w.T > 0, axis=0)
    return merged(w[active], c[active], log_size[active], width)


def _layers(
    samples: Samples, data: Correlations, early: bool, drawn: Weights, norms: Mapping[str, float]
) -> dict[str, _Layer]:
    if early:
        first, second = np.hstack([drawn[m][0] for m in data.modalities]), drawn[TRUNK][0].T
        own = math.hypot(*(norms[m] for m in data.modalities))
        norm = math.sqrt(own * norms[TRUNK])
        return {"": _Layer(np.hstack(list(samples.inputs.values())), first, second, norm)}
    return {m: _Layer(x, drawn[m][0], drawn[m][1].T, norms[m]) for m, x in samples.inputs.items()}


def _span(name: str, layer: _Layer, y: np.ndarray) -> float:
    """E-foldings near zero: until a unit as large as the whole layer explains what it can, gamma/<relu(n.x)^2>."""
    force = drives(layer.x, y, layer.w)[0]
    rate = np.linalg.norm(force, axis=1) / np.linalg.norm(layer.w, axis=1)
    n = layer.w[np.argmax(rate)] / np.linalg.norm(layer.w[np.argmax(rate)])
    seen = float(np.mean(np.maximum(layer.x @ n, 0.0) ** 2))
    fastest = float(np.max(rate))
    if fastest == 0 or seen == 0:
        return 0.0
    span = math.log(fastest / seen) / 2 - math.log(layer.norm)
    if span < LEAST_SPAN:
        largest = layer.norm * math.exp(span - LEAST_SPAN)
        where = f" of {name}" if name else ""
        raise DomainError(f"u0{where} must be small, at most {largest:.2g} on these samples, got {layer.norm:.3g}")
    return span


def prediction_of(seen: Followed) -> Prediction:
    """The answer."""
    network, data, parts, found = seen.network, seen.data, seen.parts, seen.layers
    names = data.modalities
    largest = max(names, key=lambda m: parts.power[m])
    reasons = {m: _never(m, largest, parts) for m in names}
    none = {m for m, why in reasons.items() if why}
    clock = {m: math.inf if m in none else parts.half_time(m) for m in names}
    driven = {m: rate for m, x in seen.inputs.items() if (rate := _driven(x, parts))}
    later = [m for m in names if m in none and m in driven]
    reasons = {m: why for m, why in reasons.items() if why and m not in later}
    status = {m: Status.NEVER if m in reasons else Status.NOT_REACHED if m in later else Status.REACHED for m in names}
    race = tuple(sorted(names, key=lambda m: clock[m] if seen.is_early else seen.leaving[m]))
    half_times = HalfTimes.from_clock(race, clock, status)
    spread = {m: _scatter(found[seen.of(m)], seen.width, clock[m]) for m in names}
    bound = {m: math.nan if m in none else ALLOWED + DEVIATIONS * spread[m] + parts.flank(m) for m in names}
    warnings = (*_warnings(found, parts, seen.y, data), *_left_out(driven, later, parts))
    estimate = Estimate(
        "(164), narrow network", Kind.HEURISTIC, StartKind.RANDOM, f"random start, width {seen.width}", half_times,
        bound, reasons, ("164",), spread=spread, notes=warnings,
    )  # fmt: skip
    reached = [m for m in half_times.order if m not in none]
    together = len(reached) > 1 and _overlap(clock, bound, *reached[:2])
    worth = preference.contribution(data)
    power = float(np.trace(np.atleast_2d(data.sigma_yy)))
    units = ", ".join(f"{m} {count}".strip() for m, count in seen.units.items())
    missed = (1 - BASIN) ** seen.restarts
    remarks = [f"units of the narrow network: {units}; it ends at t = {parts.t[-1]:.4g}, loss {parts.loss[-1]:.3g}"]
    if any(g.sites.directions.shape[1] > 2 for g in found.values()):
        remarks.append(
            f"{seen.restarts} random units were followed: a maximum to which {BASIN:.0%} of directions flow is "
            f"missed with a probability of {missed:.2g}"
        )
    return Prediction(
        network, seen.u0, Road.REFINED, together, preference.misattribution(data),
        {m: data.column_names(m) for m in names}, worth,
        {m: value / power if power > 0 else math.nan for m, value in worth.items()},
        None if seen.is_early or len(names) == 1 else preference.superficial(half_times.order, worth, together),
        warnings, (*remarks, LINEAR_FITS), None, estimate, None, activation=Activation.RELU,
    )  # fmt: skip


def _never(m: str, largest: str, parts: Parts) -> str:
    if parts.power[m] == 0:
        return "none of its units grows"
    if parts.power[m] < WORTHLESS * parts.power[largest]:
        return f"in the end it puts out less than {WORTHLESS:.0%} of what {largest} does"
    return ""


def _driven(x: np.ndarray, parts: Parts) -> float:
    """The rate at which what is left of the target drives a small unit of these inputs.

    0 where that may be chance, or where it grows by less than e in as long as the run was.
    """
    rng, left = np.random.default_rng(0), parts.left
    n = rng.normal(size=(PROBES, x.shape[1]))
    n /= np.linalg.norm(n, axis=1)[:, None]
    rates = [
        float(np.max(np.linalg.norm(drives(x, rows, n)[0], axis=1)))
        for rows in (left, *(rng.permutation(left) for _ in range(SHUFFLES)))
    ]
    return rates[0] if rates[0] > CLEARLY * max(rates[1:]) and rates[0] * parts.t[-1] > 1 else 0.0


def _left_out(driven: Mapping[str, float], later: list[str], parts: Parts) -> list[str]:
    """What a wide network goes on to learn, which has more units than the narrow one: (164) is of the first ones."""
    said = [
        f"{m} is not reached by t = {parts.t[-1]:.4g}, but what is left of the target drives units that read it, at a "
        f"rate of {driven[m]:.2g}: a wide network may learn it later, which is not followed here"
        for m in later
    ]
    if more := [f"{m} (rate {rate:.2g})" for m, rate in driven.items() if m not in later]:
        said.append(
            f"what is left of the target still drives units that read {', '.join(more)}: a wide network may learn more "
            "of it, and half of that later"
        )
    return said


def _scatter(layer: Grown, width: int, time: float) -> float:
    """One standard deviation of a half-time over starts, as a share: d t = d ln(size^2)/(2 gamma), first site."""
    if not len(layer.sites) or not 0 < time < math.inf:
        return math.nan
    first = int(
        np.argmin(np.where(layer.size > 0, -np.log(np.maximum(layer.size, 1e-300)), np.inf) / layer.sites.rates)
    )
    return math.sqrt(math.log1p(float(layer.scatter[first]) / width)) / (2 * float(layer.sites.rates[first]) * time)


def _overlap(clock: Mapping[str, float], bound: Mapping[str, float], one: str, other: str) -> bool:
    return clock[other] - clock[one] < bound[one] * clock[one] + bound[other] * clock[other]


def _warnings(found: Mapping[str, Grown], parts: Parts, y: np.ndarray, data: Correlations) -> tuple[str, ...]:
    said = []
    for name, layer in found.items():
        if layer.dead > DEAD:
            whose = f" of {name}" if name else ""
            said.append(f"{layer.dead:.0%} of the units{whose} are dead: no sample makes them active")
    if not parts.settled:
        said.append(f"the narrow network still learns at t = {parts.t[-1]:.4g}: half is of what it has by then (t_end)")
    linear = float(np.mean(np.sum(y**2, 1)) - np.sum(data.sigma_yx * data.optimum)) / 2
    if parts.loss[-1] > max(linear, 0.0) + 0.01 * parts.loss[0]:
        said.append(
            f"the narrow network ends at a loss of {parts.loss[-1]:.3g}, a linear one at {linear:.3g}: a wide one "
            "learns more, in more directions, and late half-times are those of a part of it"
        )
    return tuple(said)
