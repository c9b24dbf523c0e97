"""The leading-order law of modulated encoders, (142), (143), and what it leaves out, by sizes."""

from __future__ import annotations

import math

from derivations import Correlations, DomainError, FusionNetwork
from dynamics.prediction.laws.bounds import neglected, of_true
from dynamics.prediction.laws.leading import TwoBranches
from dynamics.problem import Problem
from dynamics.starts.start import Start


def critical_modulation(network: FusionNetwork, data: Correlations) -> float:
    """alpha*, from which on both modalities are learned together, (143); two layers, late fusion, any small start.

    Examples
    --------
    >>> round(critical_modulation(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0)), 3)
    1.717
    """
    from derivations.algebra import notation as sym
    from derivations.training import modulation as law  # with its entries: not for every prediction
    from dynamics.lambdified import function

    Problem.of(network, data)
    if set(network.path_depths.values()) != {2} or network.trunk.depth or len(data.modalities) != 2:
        raise DomainError("the critical modulation is known for two layers, two modalities, late fusion")
    weak, strong = sorted(data.strength(m) for m in data.modalities)
    if not weak > 0:
        return math.inf
    return float(function(law.CRITICAL_MODULATION, sym.a, sym.b)(strong, weak))


def slides(problem: Problem) -> bool:
    """Whether modulation keeps both scores equal, so that nobody is first."""
    alpha = problem.terms.modulation
    try:
        return alpha > 0 and alpha >= critical_modulation(problem.network, problem.data)
    except DomainError:
        return False


def with_modulation(begin: Start) -> tuple[tuple[str, ...], dict[str, float], float, dict[str, float]]:
    """Numbers of the law, times, lag, and what each leaves out as a share of its time; two layers, late fusion.

    Raises
    ------
    DomainError
        Where there is no such law.
    """
    from derivations.algebra import notation as sym
    from derivations.training import modulation as law
    from dynamics.lambdified import function

    network, data, plan = begin.problem.network, begin.problem.data, begin.course
    if begin.problem.terms.decay:
        raise DomainError("no law has both modulation and weight decay")
    if set(network.path_depths.values()) != {2} or network.trunk.depth:
        raise DomainError("the law of modulated encoders is for two layers, late fusion")
    plain = TwoBranches.of(network, data, plan.order, begin.norms)
    if not plain.alike or plain.random or plain.k == 0:
        raise DomainError("the law of modulated encoders is for one u0 and no change of sign")
    first, second = plan.order
    alpha, wait = begin.problem.terms.modulation, -plain.log_starts[0]
    kept, critical = (float(function(form, *names)(*values)) for form, names, values in (
        (law.STRENGTH, (sym.alpha,), (alpha,)),
        (law.CRITICAL_MODULATION, (sym.a, sym.b), (plain.a, plain.k * plain.a)),
    ))  # fmt: skip
    numbers = {sym.a: plain.a, sym.b: plain.k * plain.a, sym.c: 1.0, sym.r: plain.r, sym.kappa: kept}
    left = neglected(plain, data)  # of the plain law: shares of its times
    times = {first: math.exp(plain.log_first()), second: math.exp(plain.log_first()) + math.exp(plain.log_lag())}
    missed = {m: times[m] * left[m] / (1 + left[m]) if math.isfinite(left[m]) else math.inf for m in times}
    if alpha < critical:
        growth = _number(law.MODULATED_GROWTH, numbers)
        found = {first: wait / growth}
        found[second] = found[first] * _number(law.MODULATED_RATIO, numbers)
    else:
        found = dict.fromkeys((first, second), wait / _number(law.SLIDING_GROWTH, numbers))
    slower = max(1.0, found[first] / times[first]) ** 2  # everything takes longer, what is left out, too
    shares = {m: of_true(slower * missed[m] / found[m]) for m in found}
    return ("142",) if alpha < critical else ("143",), found, found[second] - found[first], shares


def _number(expression: object, numbers: dict[object, float]) -> float:
    from dynamics.lambdified import function

    names = sorted(getattr(expression, "free_symbols", ()), key=str)
    return float(function(expression, *names)(*(numbers[name] for name in names)))
