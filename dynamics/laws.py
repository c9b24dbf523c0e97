"""Numbers from the leading-order laws of `derivations.timescales`, in logarithms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from derivations import notation as sym
from derivations import timescales as law
from derivations.correlations import Correlations
from derivations.errors import DomainError
from derivations.network import FusionNetwork
from derivations.saddles import drive
from dynamics.lambdified import function


@lru_cache(maxsize=4096)
def log_integral(depth: float, fusion_depth: float, k: float) -> float:
    """ln I(L, L_f), equation (13), or (58) at L_f = 2; L > 2, L_f >= 2, 0 <= k <= 1. Error below 1e-11.

    With x = e^y the integrand falls off like e^(-(L-2) y); it is scaled by its value at y = 0, since
    2^(-(L-L_f)/2) alone underflows for deep networks.

    Examples
    --------
    >>> round(math.exp(log_integral(4, 2, 0.5)), 12) == round(1 - math.log(2), 12)
    True
    """
    if not (depth > 2 and 2 <= fusion_depth <= depth and 0 <= k <= 1):
        raise DomainError(f"I(L, L_f) needs L > 2, 2 <= L_f <= L and 0 <= k <= 1, got {depth}, {fusion_depth}, {k}")
    two = fusion_depth == 2
    symbols = (sym.y, sym.L, sym.k) if two else (sym.y, sym.L, sym.k, sym.L_f)
    log_height = function(law.log_integrand(two), *symbols)
    rest = (depth, k) if two else (depth, k, fusion_depth)
    top = log_height(0.0, *rest)
    scale = depth - 2
    value, error = quad(
        lambda z: math.exp(log_height(z / scale, *rest) - top),
        0.0,
        60.0,
        epsabs=0.0,
        epsrel=1e-13,
        limit=400,
        points=(1.0, 5.0, 20.0),
    )  # beyond z = 60 less than e^-60 of the integral is left
    if error > 1e-11 * value:
        raise DomainError(f"I({depth}, {fusion_depth}) at k = {k} is known to {error / value:.1e} only")
    return float(top + math.log(value / scale))


@lru_cache(maxsize=4096)
def log_rotation(cosine: float, fusion_depth: float) -> float:
    """ln R(cos, L_f) for vector inputs, L_f > 2: the time that B's first layer needs to turn; 0 at cos = 1."""
    if cosine >= 1 - 1e-15:
        return 0.0
    if cosine <= -1:
        return math.inf
    import sympy as sp

    s, alpha = sp.symbols("s alpha", positive=True)
    integrand = function(law.rotation_angle_integrand(), s, alpha, sym.L_f)
    angle = math.acos(cosine)
    value, _ = quad(integrand, 0.0, 1.0, args=(angle, fusion_depth), epsabs=0.0, epsrel=1e-13, limit=200)
    return math.log(value)


@dataclass(frozen=True)
class TwoModalities:
    """What the laws of two modalities need to know of network and data; A is learned first.

    flips : the scalar residual of B has the sign opposite to Sigma_yx_B.
    """

    first: str
    second: str
    depth: int
    fusion_depth: int
    a: float
    k: float
    g: float
    r: float
    cosine: float
    scalar: bool

    @property
    def flips(self) -> bool:
        return self.scalar and self.cosine < 0

    @classmethod
    def of(cls, network: FusionNetwork, data: Correlations, order: tuple[str, ...]) -> TwoModalities:
        """Raises DomainError where no law of the paper holds, saying why."""
        depths = set(network.depths.values())
        if len(network.modalities) != 2 or data.outputs != 1:
            count, outputs = len(network.modalities), data.outputs
            raise DomainError(f"the laws are for two modalities and one output, not {count} and {outputs}")
        if len(depths) != 1:
            raise DomainError(f"the laws (8)-(58) are for branches of equal depth, got {network.depths}")
        fusion_depth = depths.pop()
        if data.strength(order[0]) == 0:
            raise DomainError("Sigma_yx is zero: there is nothing to learn")
        if fusion_depth == 1:
            raise DomainError("early fusion has no t_A, t_B law: it learns both modalities in one transition")
        first, second = order
        residual = data.residual_block(second, (first,))
        target = data.target_block(second)
        a, b = data.strength(first), data.strength(second)
        _, r = drive(data, second, data.regression((first,)))  # 0 where it is only rounding
        cosine = float((residual @ target.T).item() / b / r) if b > 0 and r > 0 else 1.0
        return cls(
            first,
            second,
            fusion_depth + network.trunk.depth,
            fusion_depth,
            a,
            b / a if a else math.nan,
            data.norm(data.regression((first,))[first]),
            r,
            max(-1.0, min(1.0, cosine)),
            data.sizes[second] == 1,
        )

    def log_first(self, u0: float) -> float:
        """ln t_A: (8a), (48), (56a)."""
        if self.depth == 2:
            return math.log(function(law.FIRST_AT_DEPTH_2, sym.u_0, sym.a)(u0, self.a))
        log_i = log_integral(self.depth, self.fusion_depth, self.k)
        return _in_logs(law.FIRST, {sym.u_0: math.log(u0), sym.a: math.log(self.a), sym.I: log_i}, {sym.L: self.depth})

    def log_lag(self, u0: float, printed: bool = False) -> float:
        """ln (t_B - t_A): (8b), (54), (56b) with sign and rotation; `printed` leaves both out. inf if r = 0."""
        if self.r == 0:
            return math.inf
        c = -1.0 if self.flips and not printed else 1.0
        share = 1 - c * self.k
        if share <= 0:
            return -math.inf
        if self.fusion_depth == 2:
            logs = {sym.g: math.log(self.g), sym.r: math.log(self.r)}
            return _in_logs(law.LAG_AT_2, logs, {sym.u_0: u0, sym.L: self.depth, sym.k: self.k, sym.c: c})
        log_r = 0.0 if printed or self.scalar else log_rotation(self.cosine, self.fusion_depth)
        logs = {sym.u_0: math.log(u0), sym.g: math.log(self.g), sym.r: math.log(self.r), sym.R: log_r}
        return _in_logs(law.LAG, logs, {sym.L: self.depth, sym.L_f: self.fusion_depth, sym.k: self.k, sym.c: c})


def _in_logs(expression: Any, logs: dict[Any, float], plain: dict[Any, float]) -> float:
    """ln of a law, some symbols given by their logarithms so that no power overflows."""
    return float(_log_function(expression, tuple(logs), tuple(plain))(*logs.values(), *plain.values()))


@lru_cache(maxsize=64)
def _log_function(expression: Any, log_symbols: tuple[Any, ...], plain: tuple[Any, ...]) -> Any:
    import sympy as sp

    names = [sp.Symbol(f"log_{s.name}", real=True) for s in log_symbols]
    in_logs = law.logarithm(expression).subs({sp.log(s): name for s, name in zip(log_symbols, names, strict=True)})
    left = in_logs.free_symbols & set(log_symbols)
    if left:
        raise AssertionError(f"{expression} is no product of powers of {left}")
    return function(in_logs, *names, *plain)


def neglected(law_of: TwoModalities, data: Correlations, u0: float) -> dict[str, float]:
    """Bound on the relative error of each half-time from what the leading order leaves out.

    Sizes only, signs are not used. Left out of t_A: the end of its transition (from the escape at infinity
    back to the plateau, psi, and the saturation up to half of it, `_half_relaxation`, slow where inputs of one
    modality are collinear). Left out of the lag: A's transition as B sees it, until all of A has relaxed;
    the end of B's; the turn of B's first layer at L_f = 2; the growth of the trunk by B itself; and
    everything, once B is no longer small when A is learned. A share e of the law's time is an error of up
    to e/(1-e) of the true one.
    """
    p, depth, fused = law_of, law_of.depth, law_of.fusion_depth
    shared = depth - fused
    scale = p.g ** (1 / depth)  # U, the norm of a layer on the plateau of A
    plateau = data.regression((p.first,))[p.first]
    own = data.input_block(p.first, p.first)
    slower = 2 ** (2 - 2 / depth)  # a relaxation to half is paced by |W|^(2-2/L), and |W| is at half of its plateau
    first_end = _psi(scale, depth) / p.a + slower * _half_relaxation(own, plateau) / scale ** (2 * depth - 2)
    log_first, log_lag = p.log_first(u0), p.log_lag(u0)
    shares = {p.first: first_end / math.exp(min(log_first, 700.0)), p.second: math.inf}
    if math.isinf(log_lag) or p.r == 0:
        return {m: _of_true(share) for m, share in shares.items()}
    goal = data.regression(data.modalities)[p.second]
    cross = data.input_block(p.first, p.second)
    inverse = np.linalg.pinv(own)
    schur = data.input_block(p.second, p.second) - cross.T @ inverse @ cross
    growth = p.r * scale**shared
    size = (data.norm(goal) / scale**shared) ** (1 / fused)
    early = _second_size(p, u0, scale)
    progress = (early / size) ** fused  # share of B's plateau that is there when A is learned; learned at 1/2
    turn = abs(math.log((1 + p.cosine) / 2)) if fused == 2 and not p.scalar and p.cosine > -1 else 0.0
    trunk = shared / (2 * scale**2) * _power_integral(min(early, size), size, 3 - fused) if shared else 0.0
    slow = data.norm(plateau @ inverse @ cross) / scale ** (2 * depth - 2)  # int |e_B - residual| dt
    lag = (
        ((p.k * p.a + p.r) * first_end + slow) / p.r
        + (_psi(size, fused) + turn + trunk) / growth
        + slower * _half_relaxation(schur, goal) / (size ** (2 * fused - 2) * scale ** (2 * shared))
    )
    if progress < 0.5:
        lag += math.exp(min(log_lag, 700.0)) * progress / (0.5 - progress)
    else:
        lag = math.inf
    total = np.logaddexp(log_first, log_lag)
    shares[p.second] = (first_end + lag) / math.exp(min(float(total), 700.0))
    return {m: _of_true(share) for m, share in shares.items()}


def _of_true(share: float) -> float:
    """An error of `share` of the law's time as a share of the true one, which it may exceed."""
    return share / (1 - share) if share < 1 else math.inf


def _second_size(p: TwoModalities, u0: float, scale: float) -> float:
    """u_B at t_A, from (45) and (55): u_B^(2-L_f) = k u_A^(2-L_f) + (1-k) u0^(2-L_f)."""
    c, x = -1.0 if p.flips else 1.0, scale / u0
    if p.fusion_depth == 2:
        return float(u0 * function(law.SECOND_SIZE_AT_2, sym.x, sym.k, sym.c)(x, p.k, c))
    return float(
        u0 * function(law.SECOND_SIZE, sym.x, sym.k, sym.c, sym.L_f)(x, min(p.k, 1 - 1e-12), c, p.fusion_depth)
    )


def _power_integral(low: float, high: float, power: int) -> float:
    """int_low^high u^power du."""
    log_ratio = math.log(high / low)
    if power == -1:
        return log_ratio
    top, n = math.log(low if power < -1 else high), power + 1  # the end that dominates, in logarithms
    return math.exp(min(n * top, 700.0)) * -math.expm1(-abs(n) * log_ratio) / abs(n)


def _psi(size: float, depth: int) -> float:
    """Scaled time from norm `size` to infinity (from 1, at depth 2)."""
    return abs(math.log(size)) if depth == 2 else size ** (2 - depth) / (depth - 2)


def _half_relaxation(matrix: np.ndarray, goal: np.ndarray) -> float:
    """s at which w(s) = goal (1 - exp(-matrix s)) is half the goal in projection; ln 2 / sigma^2 for a scalar."""
    values, vectors = np.linalg.eigh(matrix)
    share = np.sum((goal @ vectors) ** 2, axis=0)
    share = share / np.sum(share)
    kept = (values > 1e-14 * values[-1]) & (share > 0)
    values, share = values[kept], share[kept]
    if np.sum(share) <= 0.5:
        return math.inf
    upper = 2.0 / values[0]
    while np.sum(share * -np.expm1(-values * upper)) < 0.5:
        upper *= 2
    return float(brentq(lambda s: float(np.sum(share * -np.expm1(-values * s))) - 0.5, 0.0, upper))
