"""Closed-form times against 30-digit arithmetic from the integrals themselves, sharing no code with the laws."""

from __future__ import annotations

import mpmath as mp
import numpy as np

from derivations import Correlations, FusionNetwork
from dynamics.prediction.laws.leading import TwoBranches
from dynamics.starts.weights import start_norms
from tests.soak.row import Outcome

CLOSE = 1e-12
MARKS = (0, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 100)


def measure(count: int, seed: int) -> Outcome:
    """ln t_A and ln(t_B/t_A - 1), relative to the logarithm where that is beyond 1."""
    worst, misses = [0.0, 0.0], []
    for i in range(count):
        net, data, order, u0 = problem(np.random.default_rng([seed, i]))
        law = TwoBranches.of(net, data, order, start_norms(net, u0))
        exact = reference(net, data, order, u0)
        errors = [
            abs(found - want) / max(1.0, abs(want))
            for found, want in zip((law.log_first(), law.log_excess()), exact, strict=True)
        ]
        worst = [max(a, b) for a, b in zip(worst, errors, strict=True)]
        if not max(errors) <= CLOSE:
            misses.append(f"case {i}: {net.depths}, trunk {net.trunk.depth}, u0 = {u0!r}, errors {errors}")
    return Outcome(
        f"{count} problems, worst {worst[0]:.1e} in ln t_A and {worst[1]:.1e} in ln(ratio - 1)", tuple(misses)
    )


def problem(rng: np.random.Generator) -> tuple[FusionNetwork, Correlations, tuple[str, str], float]:
    """2 to 100 layers, every fusion from 2, a third with unequal branches, a third with two inputs in each modality."""
    u0 = float(10 ** rng.uniform(-12, 0))
    depth = int(2 + 98 * rng.random() ** 2)
    fused = int(rng.integers(2, depth + 1))
    net = FusionNetwork.fused_at(depth, fused)
    if rng.random() < 1 / 3:
        net = FusionNetwork.branches({m: int(rng.integers(2, fused + 1)) for m in "AB"}, trunk=depth - fused)
    size = 2 if rng.random() < 1 / 3 else 1
    mixing = rng.normal(size=(2 * size, 6 * size))
    sigma = mixing @ mixing.T
    data = Correlations(sigma, rng.normal(size=2 * size) @ sigma, {"A": size, "B": size})
    waits = {m: wait(net.depths[m], mp.mpf(u0)) / data.strength(m) for m in "AB"}
    return net, data, ("A", "B") if waits["A"] <= waits["B"] else ("B", "A"), u0


def wait(depth: int, u0: mp.mpf) -> mp.mpf:
    """Psi of theory.md: what a branch of this depth waits from u0, at strength one."""
    return -mp.log(u0) if depth == 2 else u0 ** (2 - depth) / (depth - 2)


def reference(net: FusionNetwork, data: Correlations, order: tuple[str, str], u0: float) -> tuple[float, float]:
    """ln t_A and ln(t_B/t_A - 1) at 30 digits."""
    with mp.workdps(30):
        start = mp.mpf(u0)
        depth_a, depth_b, shared = (*(net.depths[m] for m in order), net.trunk.depth)
        places = {m: range(data.span(m).start, data.span(m).stop) for m in order}
        block = {m: mp.matrix([float(data.sigma_yx[i]) for i in places[m]]) for m in order}
        within = mp.matrix([[float(data.sigma[i, j]) for j in places[order[0]]] for i in places[order[0]]])
        across = mp.matrix([[float(data.sigma[i, j]) for j in places[order[0]]] for i in places[order[1]]])
        plateau = mp.lu_solve(within, block[order[0]])
        residual = block[order[1]] - across * plateau
        a, b, g, r = (mp.norm(v) for v in (*(block[m] for m in order), plateau, residual))
        cosine = (residual.T * block[order[1]])[0] / (r * b)
        k = b / a
        turned = mp.mpf(1)
        if len(residual) == 1:
            k_signed = k * mp.sign(cosine)
        else:
            k_signed, turned = k, rotation(cosine, depth_b)
        first = mp.log(time_integral(depth_a, depth_b, shared, k, start) / a)
        first += (2 - depth_a - shared) * mp.log(start) if depth_a + shared > 2 else 0
        lag = turned * (wait(depth_b, start) - k_signed * wait(depth_a, start)) / r
        lag /= g ** (mp.mpf(shared) / (depth_a + shared))
        return float(first), float(mp.log(lag) - first)


def time_integral(depth_a: int, depth_b: int, shared: int, k: mp.mpf, u0: mp.mpf) -> mp.mpf:
    """int_1 x^(1-L_A) [x^2 + B(x)^2]^(-L_c/2) dx in y = ln x; ln(1/u0) for two layers."""
    decay = depth_a + shared - 2
    if decay == 0:
        return -mp.log(u0)

    def other(y: mp.mpf) -> mp.mpf:
        """ln B(x), the growth of B while A has grown by e^y."""
        own = y if depth_a == 2 else -mp.expm1((2 - depth_a) * y) / (depth_a - 2)
        way = k * u0 ** (depth_b - depth_a) * own
        return way if depth_b == 2 else mp.log1p((2 - depth_b) * way) / (2 - depth_b)

    end = -mp.log(u0) if depth_a == 2 < depth_b else mp.inf
    marks = [m for m in (mp.mpf(i) / decay for i in MARKS) if m < end]
    if end < mp.mpf(MARKS[-1]) / decay:
        marks.append(end)
    height = lambda y: mp.exp((2 - depth_a) * y) * (mp.exp(2 * y) + mp.exp(2 * other(y))) ** (-mp.mpf(shared) / 2)
    return mp.quadgl(height, marks)


def rotation(cosine: mp.mpf, depth: int) -> mp.mpf:
    """(L_f - 2) int_cos^inf (y^2 + 1 - cos^2)^(-(L_f - 1)/2) dy; 1 at two layers."""
    if depth == 2:
        return mp.mpf(1)
    height = lambda y: (y * y + 1 - cosine * cosine) ** (-mp.mpf(depth - 1) / 2)
    marks = sorted({cosine, *(m for m in (mp.mpf(i) / 8 for i in range(-8, 9)) if m > cosine), mp.mpf(2), mp.mpf(8)})
    return (depth - 2) * mp.quadgl(height, [*marks, mp.inf])
