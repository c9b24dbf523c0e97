"""Critical weight decay: beyond it a modality is never learned, a permanent unimodal bias."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from derivations import Correlations, DomainError, FusionNetwork
from derivations.critical.decayed import require_one_output, resting_weights
from derivations.critical.saddles import drive
from derivations.terms import Terms
from dynamics.problem import Problem
from dynamics.runs.half_times import Status
from dynamics.simulation.reduced import reduced_flow
from dynamics.starts.weights import start_norms

SMALLEST = 1e-6  # share of the largest |Sigma_yx| down to which is looked
SCANNED = 48  # decays between it and zero, and as many in logarithms: a modality may leave and come back
CLOSE = 1e-12  # of a root
BRACKET = 1e-3  # relative width of a bracket between runs that learn a modality and runs that do not
RTOL = 1e-7  # of these runs
KEPT = 0.1  # share of its plateau that is left in the end of what is learned, and not taken back
DOUBLINGS = 60


def critical_weight_decay(
    network: FusionNetwork, data: Correlations, u0: float | Mapping[str, float] = 1e-3
) -> dict[str, float]:
    """Modality -> the weight decay beyond which it is never learned, in units of 1/tau.

    Two layers: exact and for any start, (136), (137). Training ends at the group lasso by modality, and m has a weight
    there iff |Sigma_yx_m - sum of p_n Sigma_nm| > lambda, p the weights that the others have without it. More layers:
    from the aligned start of norm u0 (a branch must be large enough for its decay, (140)), by runs of the reduced flow
    to a bracket of 1e-3. Along lambda a modality may leave and come back: the largest one that learns it counts.

    Beyond the threshold of a start every branch shrinks; only the flow decides which one comes back.

    Returns
    -------
    dict
        `inf` where no decay is too large (one layer to the output is ridge regression), 0 where it is never learned.

    Raises
    ------
    DomainError
        For several outputs.

    Examples
    --------
    >>> net = FusionNetwork.fused_at(2, 2)
    >>> {m: round(rate, 4) for m, rate in critical_weight_decay(net, Correlations.scalar(2, 1, 0.5)).items()}
    {'A': 5.0, 'B': 1.0}
    """
    problem = Problem.of(network, data)
    require_one_output(data)
    start_norms(network, u0)
    depths = set(network.path_depths.values())
    if network.is_early_fusion and depths == {2}:  # one group: all or nothing
        joint = float(np.hypot.reduce([data.strength(m) for m in data.modalities]))
        return dict.fromkeys(data.modalities, joint)
    if depths <= {1, 2} and not network.trunk.depth and not network.is_early_fusion:
        return {m: _exact(problem, m) for m in data.modalities}
    if depths == {1}:
        return {m: math.inf if drive(data, m, _nothing(data))[1] else 0.0 for m in data.modalities}
    known: dict[float, Mapping[str, bool]] = {}
    return {m: _by_runs(problem, u0, m, known) for m in data.modalities}


def _nothing(data: Correlations) -> dict[str, np.ndarray]:
    return {m: np.zeros_like(data.target_block(m)) for m in data.modalities}


def _exact(problem: Problem, m: str) -> float:
    network, data = problem.network, problem.data
    if network.depths[m] == 1:
        return math.inf
    others = [n for n in data.modalities if n != m]

    def beyond(rate: float) -> float:
        """|residual of m| at the solution of the others, less lambda."""
        total = resting_weights(network, data, Terms.of(network, rate, {}), others, {})
        return drive(data, m, total)[1] - rate

    top = max(data.strength(n) for n in data.modalities)
    if not top > 0:
        return 0.0
    if data.strength(m) == top and 1 not in network.depths.values():
        return float(top)
    while beyond(top) > 0:  # what one layer of another modality leaves may drive it further
        top *= 2
    linear, logarithmic = np.linspace(top, 0.0, SCANNED + 1)[:-1], top * np.geomspace(1.0, SMALLEST, SCANNED)
    scan = np.unique(np.concatenate([linear, logarithmic]))[::-1]
    values: list[float] = []
    for i, rate in enumerate(scan):
        values.append(beyond(rate))
        inside = _hump(beyond, scan[i - 2 : i + 1], values[-3:]) if i > 1 else None
        below = inside if inside is not None else rate if values[-1] > 0 else None
        if below is not None:
            above = min(r for r, value in zip(scan, values, strict=False) if r > below and value <= 0)
            return float(brentq(beyond, below, above, xtol=CLOSE * top, rtol=1e-13))
    return 0.0


def _hump(beyond: Callable[[float], float], scan: np.ndarray, values: list[float]) -> float | None:
    """Where three points below zero, the middle one the highest, hide one above it."""
    if not values[0] <= values[1] >= values[2] or values[1] > 0:
        return None
    found = minimize_scalar(lambda rate: -beyond(rate), bounds=(scan[2], scan[0]), method="bounded")
    return float(found.x) if found.fun < 0 else None


def _by_runs(
    problem: Problem, u0: float | Mapping[str, float], m: str, known: dict[float, Mapping[str, bool]]
) -> float:
    """`known` : what runs at other decays have learned, in the end."""
    network, data = problem.network, problem.data

    def learned(rate: float) -> bool:
        if rate not in known:
            run = reduced_flow(Problem.of(network, data, Terms.of(network, rate, {})), u0, rtol=RTOL)
            known[rate] = {
                n: s is Status.REACHED and data.norm(run.total[n][-1]) > KEPT * data.norm(run.plateaus[n])
                for n, s in run.status.items()
            }
        return known[rate][m]

    if not learned(0.0):
        return 0.0
    rate = _expected(problem, u0, m)
    low, high = (rate, math.inf) if learned(rate) else (0.0, rate)
    for _ in range(DOUBLINGS):  # a bracket, from where the race expects it
        if low and high < math.inf:
            break
        rate = 1.05 * rate if high == math.inf else rate / 1.05
        low, high = (rate, high) if learned(rate) else (low, rate)
    if not (low and high < math.inf):
        raise DomainError(f"no critical weight decay of {m} is found near {rate:.3g}")
    while high > (1 + BRACKET) * low:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if learned(middle) else (low, middle)
    return math.sqrt(low * high)


def _expected(problem: Problem, u0: float | Mapping[str, float], m: str) -> float:
    """Where the race of growing modes, (140), puts it."""
    from dynamics.starts.start import aligned_start

    network, data = problem.network, problem.data

    def never(rate: float) -> bool:
        return m in aligned_start(Problem.of(network, data, Terms.of(network, rate, {})), u0).course.never

    return _boundary(never, float(max(data.strength(n) for n in data.modalities)))


def _boundary(never: Callable[[float], bool], top: float) -> float:
    """The largest rate below `top` that is not never, by halving."""
    low = top
    while never(low) and low > 1e-12 * top:
        low /= 2
    high = 2 * low
    for _ in range(20):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if never(middle) else (middle, high)
    return low
