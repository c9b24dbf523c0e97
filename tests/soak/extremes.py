"""Short lags after long waits, stiff plateaus, a thousand layers."""

from __future__ import annotations

import math
import time

import numpy as np

from derivations import Correlations, FusionNetwork
from dynamics import aligned_weights, integrate, integrate_reduced, predict
from tests.soak.law_times import reference
from tests.soak.row import Outcome
from tests.taylor import half_times

SECONDS = 10.0


def scalar(rng: np.random.Generator) -> Correlations:
    """A clearly first, B clearly second, no sign flip."""
    return Correlations.scalar(float(rng.uniform(1.5, 2.5)), 1, float(rng.uniform(0.1, 0.5)))


def measure_plateau(count: int, seed: int) -> Outcome:
    """ratio - 1 of 1e-4 at (4, 2) against 30 digits; t_B times A's rate of 1e15 at (4, 4) against (9)."""
    slowest, worst, misses, stretches = 0.0, [0.0, 0.0], [], []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        data = scalar(rng)
        u0 = float(10 ** rng.uniform(-2.95, -2.8))
        begin = time.process_time()
        run = integrate_reduced(FusionNetwork.fused_at(4, 2), data, u0=u0, rtol=1e-10)
        seconds = [time.process_time() - begin]
        plateaus = [data.sigma_yx[0] / data.sigma[0, 0], float(np.linalg.solve(data.sigma, data.sigma_yx)[1])]
        t_a, t_b = half_times(data.sigma, data.sigma_yx, u0, plateaus, 2, 2)
        excess = float((t_b - t_a) / t_a)
        errors = [abs(run.lag / run.times["A"] / excess - 1)]
        tiny = float(10 ** rng.uniform(-7.2, -7.0))
        begin = time.process_time()
        late = integrate_reduced(FusionNetwork.fused_at(4, 4), data, u0=tiny)
        seconds.append(time.process_time() - begin)
        rate = 4 * data.sigma[0, 0] * plateaus[0] ** 1.5  # of A's relaxation: w' = L w^(2 - 2/L) e
        stretches.append((excess, late.times["B"] * rate))
        errors.append(abs(late.ratio / (1 + math.exp(reference_excess(data))) - 1))
        slowest = max(slowest, *seconds)
        worst = [max(a, b) for a, b in zip(worst, errors, strict=True)]
        if not (errors[0] <= 1e-7 and errors[1] <= 1e-6):
            misses.append(f"case {i}: u0 = {u0!r} and {tiny!r}: errors {errors[0]:.1e} and {errors[1]:.1e}")
        if slowest > SECONDS:
            misses.append(f"case {i}: {slowest:.1f} s")
    figure = (
        f"{count} problems: ratio - 1 of {min(s[0] for s in stretches):.1e} to {max(s[0] for s in stretches):.1e} "
        f"within {worst[0]:.1e}; t_B times rate of {min(s[1] for s in stretches):.1e} to "
        f"{max(s[1] for s in stretches):.1e}, ratio within {worst[1]:.1e} of (9); slowest {slowest:.2f} s of CPU"
    )
    return Outcome(figure, tuple(misses))


def reference_excess(data: Correlations) -> float:
    """ln(t_B/t_A - 1) of deep late fusion, (9)."""
    return reference(FusionNetwork.fused_at(4, 4), data, ("A", "B"), 1e-3)[1]


def measure_depth(count: int, seed: int) -> Outcome:
    """The law at 1000 layers against 30 digits; every weight of 16 to 64 layers against the reduced flow."""
    misses, worst, off = [], 0.0, 0.0
    depths = (16, 32, 64)[: max(1, count // 10)]
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        data = scalar(rng)
        fused, u0 = int(rng.integers(2, 1001)), float(10 ** rng.uniform(-300, -1))
        net = FusionNetwork.fused_at(1000, fused)
        law = predict(net, data, u0=u0).leading
        exact = reference(net, data, ("A", "B"), u0)
        errors = [abs(a - b) / max(1, abs(b)) for a, b in zip((law.log_times["A"], law.log_excess), exact, strict=True)]
        worst = max(worst, *errors)
        if not max(errors) <= 1e-12:
            misses.append(f"case {i}: L = 1000, L_f = {fused}, u0 = {u0!r}: {errors}")
    for depth in depths:
        data = scalar(np.random.default_rng([seed, depth]))
        net = FusionNetwork.fused_at(depth, depth // 2)
        reduced = integrate_reduced(net, data, u0=0.6)
        full = integrate(net, data, weights=aligned_weights(net, data, 0.6, width=1), rtol=1e-5)
        error = max(abs(full.times[m] / reduced.times[m] - 1) for m in "AB")
        off = max(off, error)
        if not error <= 1e-3:  # rtol 1e-5 over a growth of e^20
            misses.append(f"{depth} layers: off by {error:.1e}")
    figure = (
        f"{count} laws of 1000 layers within {worst:.1e}; runs of {', '.join(map(str, depths))} layers within {off:.1e}"
    )
    return Outcome(figure, tuple(misses))
