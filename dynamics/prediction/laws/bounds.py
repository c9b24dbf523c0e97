"""What the leading-order laws leave out, by sizes: the bounds that an estimate states."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from derivations import Correlations
from dynamics.prediction.laws.leading import TwoBranches, of_branches


def neglected(p: TwoBranches, data: Correlations) -> dict[str, float]:
    """Bound on the relative error of each half-time from what the leading order leaves out.

    Sizes only, signs are not used. Left out of t_A: the end of its transition (from the escape at infinity
    back to the plateau, psi, and the saturation up to half of it, `half_relaxation`, slow where inputs of one
    modality are collinear). Left out of the lag: A's transition as B sees it, until all of A has relaxed;
    the end of B's; the turn of B's first layer at L_B = 2; the growth of the trunk by B itself; and
    everything, once B is no longer small when A is learned. A share e of the law's time is an error of up
    to e/(1-e) of the true one.
    """
    depth, fused, shared = p.depth, p.second_depth, p.shared
    scale = p.g ** (1 / depth)  # U, the norm of a layer on the plateau of A
    plateau = data.regression((p.first,))[p.first]
    own = data.input_block(p.first, p.first)
    first_end = _end(scale, depth, p.a, own, plateau)
    log_first, log_lag = p.log_first(), p.log_lag()
    shares = {p.first: first_end / math.exp(min(log_first, 700.0)), p.second: math.inf}
    if p.log_lead > 1e-12:  # the race calls A first though K > 1: a near tie that the law cannot decide
        return dict.fromkeys(shares, math.inf)
    if math.isinf(log_lag) or p.r == 0:
        return {m: of_true(share) for m, share in shares.items()}
    goal = data.regression(data.modalities)[p.second]
    cross = data.input_block(p.first, p.second)
    inverse = np.linalg.pinv(own)
    schur = data.input_block(p.second, p.second) - cross.T @ inverse @ cross
    growth = p.r * scale**shared
    size = (data.norm(goal) / scale**shared) ** (1 / fused)
    early = _second_size(p, scale)
    progress = (early / size) ** fused  # share of B's plateau that is there when A is learned; learned at 1/2
    turn = abs(math.log((1 + p.cosine) / 2)) if fused == 2 and not p.scalar and p.cosine > -1 else 0.0
    cosine = 1.0 if p.scalar else p.cosine
    trunk = shared / (2 * scale**2) * _turned_integral(min(early, size), size, 3 - fused, cosine) if shared else 0.0
    slow = data.norm(plateau @ inverse @ cross) / scale ** (2 * depth - 2)  # int |e_B - residual| dt
    lag = (
        ((p.k * p.a + p.r) * first_end + slow) / p.r
        + (scaled_time(size, fused) + turn + trunk) / growth
        + half_relaxation(schur, goal, depth, data.input_block(p.second, p.second))
        / (size ** (2 * fused - 2) * scale ** (2 * shared))
    )
    if progress < 0.5:
        lag += math.exp(min(log_lag, 700.0)) * progress / (0.5 - progress)
    else:  # close to a tie: A's own end is B's too
        shares[p.first] += (math.exp(min(log_lag, 700.0)) + lag) / math.exp(min(log_first, 700.0))
        lag = math.inf
    total = np.logaddexp(log_first, log_lag)
    shares[p.second] = (first_end + lag) / math.exp(min(float(total), 700.0))
    return {m: of_true(share) for m, share in shares.items()}


def neglected_alone(data: Correlations, depth: int, log_time: float) -> float:
    """The same for a single modality: the end of its transition."""
    (m,) = data.modalities
    plateau = data.regression((m,))[m]
    end = _end(data.norm(plateau) ** (1 / depth), depth, data.strength(m), data.sigma, plateau)
    return of_true(end / math.exp(min(log_time, 700.0)))


def _end(scale: float, depth: int, strength: float, own: np.ndarray, plateau: np.ndarray) -> float:
    """Time of a transition's end: back from infinity to the plateau, and the saturation up to half of it."""
    return scaled_time(scale, depth) / strength + half_relaxation(own, plateau, depth, own) / scale ** (2 * depth - 2)


def of_true(share: float) -> float:
    """An error of `share` of the law's time as a share of the true one, which it may exceed."""
    return share / (1 - share) if share < 1 else math.inf


def _second_size(p: TwoBranches, scale: float) -> float:
    """u_B at t_A, where u_A = U, by (114)."""
    log_size = of_branches("log_size", p.first_depth, p.second_depth)
    c, (log_a, log_b) = -1.0 if p.flips else 1.0, p.log_starts
    x = math.exp(min(math.log(scale) - log_a, 700.0))
    lead = min(p.lead, 1 - 1e-12)
    starts = (math.exp(log_a), math.exp(log_b))
    return math.exp(log_b + log_size(x, c, lead, 1 - c * lead, p.first_depth, p.second_depth, *starts))


def _power_integral(low: float, high: float, power: int) -> float:
    """int_low^high u^power du."""
    log_ratio = math.log(high / low)
    if power == -1:
        return log_ratio
    top, n = math.log(low if power < -1 else high), power + 1  # the end that dominates, in logarithms
    return math.exp(min(n * top, 700.0)) * -math.expm1(-abs(n) * log_ratio) / abs(n)


def _turned_integral(low: float, high: float, power: int, cosine: float) -> float:
    """int u^power / cos(theta) du, theta the angle to what drives it, whose cosine is given at `low`.

    Layers that turn keep u sin(theta): dw/dt = |w|^(2-2/L) (r + (L-1) <r, w/|w|> w/|w|) has d ln u = -d ln sin(theta).
    """
    begin = math.acos(min(max(cosine, -1.0), 1.0))
    kept = low * math.sin(begin)
    if kept < 1e-6 * low:  # it has next to nothing to turn
        return _power_integral(low, high, power)
    end = math.asin(min(kept / high, 1.0))
    found, _ = quad(lambda x: math.exp(x) * math.sin(math.exp(x)) ** (-power - 2), math.log(end), math.log(begin))
    return math.exp(min((power + 1) * math.log(kept) + math.log(found), 700.0)) if found > 0 else 0.0


def scaled_time(size: float, depth: int) -> float:
    """Scaled time from norm `size` to infinity (from 1, at depth 2)."""
    return abs(math.log(size)) if depth == 2 else size ** (2 - depth) / (depth - 2)


def half_relaxation(matrix: np.ndarray, goal: np.ndarray, depth: int, metric: np.ndarray) -> float:
    """Time until w(s) = goal (1 - exp(-matrix s)) has half of the goal's output, ds = |w/goal|^(2-2/L) dt.

    The output is measured along the goal, in the metric of its inputs. The pace is taken where w is at most at half of
    its plateau, and at least what the fastest direction has once it has relaxed; before that w grows as the law says.
    2^(2-2/L) ln 2 / sigma^2 for a scalar.
    """
    values, vectors = np.linalg.eigh(matrix)
    fastest = float(values[-1])
    values = values / fastest  # in units of the fastest: products of very large or small units leave the range
    along = goal / np.max(np.abs(goal)) @ vectors
    seen = along @ (vectors.T @ (metric / np.max(np.abs(metric))) @ vectors)
    output, length = (np.sum(along * part, axis=0) for part in (seen, along))
    output, length = output / np.sum(output), length / np.sum(length)
    kept = (values > 1e-14) & (length > 0)
    values, output, length = values[kept], output[kept], length[kept]
    if np.sum(output) <= 0.5:
        return math.inf

    def left(s: float) -> float:
        return float(np.sum(output * -np.expm1(-values * s))) - 0.5

    grid = np.geomspace(1e-3 / float(values[-1]), 60.0 / float(values[0]), 400)
    short = np.flatnonzero([left(s) < 0 for s in grid])  # directions may pull against each other: the last crossing
    last = int(short[-1]) if len(short) else 0
    found = float(brentq(left, grid[last] if len(short) else 0.0, grid[min(last + 1, 399)]))
    begin = min(1 / float(values[-1]), found)  # until then the fastest direction relaxes
    times = np.concatenate([[0.0], np.geomspace(begin, max(found, begin), 400)])
    sizes = np.sqrt(np.sum(length * np.expm1(-values * times[:, None]) ** 2, axis=1))
    sizes[0] = sizes[1]
    slower = np.minimum(sizes, 0.5) ** (2 / depth - 2)
    return float(np.sum(slower[:-1] * np.diff(times))) / fastest  # |w| grows: each step at the pace of its start
