"""Half-times of the flows against Taylor integration at 30 digits."""

from __future__ import annotations

import numpy as np

from derivations import Correlations, FusionNetwork
from dynamics import aligned_weights, integrate, integrate_reduced
from dynamics.runs.half_times import Status
from tests.soak.row import Outcome
from tests.taylor import half_times

CLOSE = 1e-9
LONGEST = 100.0  # u0^(2 - L_f): a plateau of thousands of relaxation times takes a Taylor method as many steps


def measure(count: int, seed: int) -> Outcome:
    """The reduced flow at rtol 1e-12, and the full one (every weight, width 2) at 1e-11."""
    worst, misses = [0.0, 0.0], []
    for i in range(count):
        net, data, u0 = problem(np.random.default_rng([seed, i]))
        reduced = integrate_reduced(net, data, u0=u0, rtol=1e-12)
        full = integrate(net, data, weights=aligned_weights(net, data, u0, width=2), rtol=1e-11)
        before = {m: reduced.race[: reduced.race.index(m) + 1] for m in net.modalities}
        if net.is_early_fusion:  # one transition: all of them have learned when any has
            before = dict.fromkeys(net.modalities, reduced.race)
        plateaus = [plateau(data, m, before[m]) for m in net.modalities]
        depths = net.depths["A"] + net.trunk.depth, net.depths["A"]
        exact = half_times(data.sigma, data.sigma_yx, u0, plateaus, net.depths["A"], net.trunk.depth)
        for j, run in enumerate((reduced, full)):
            error = max(abs(run.times[m] / float(t) - 1) for m, t in zip(net.modalities, exact, strict=True))
            worst[j] = max(worst[j], error)
            if not error <= CLOSE:
                misses.append(
                    f"case {i}: L, L_f = {depths}, u0 = {u0!r}, {('reduced', 'full')[j]} flow off by {error:.1e}"
                )
    return Outcome(f"{count} problems, worst {worst[0]:.1e} (reduced flow), {worst[1]:.1e} (full flow)", tuple(misses))


def plateau(data: Correlations, modality: str, learned: tuple[str, ...]) -> float:
    """Weight of a modality in the regression on those that have been learned."""
    places = [data.modalities.index(m) for m in learned]
    weights = np.linalg.solve(data.sigma[np.ix_(places, places)], data.sigma_yx[places])
    return float(weights[learned.index(modality)])


def problem(rng: np.random.Generator) -> tuple[FusionNetwork, Correlations, float]:
    """Two or three scalar modalities, two to five layers, every fusion; all learned from an aligned start.

    None whose weight would have to change its sign on the way: it decays instead, and others have other plateaus.
    """
    while True:
        names = "ABC"[: rng.integers(2, 4)]
        depth = int(rng.integers(2, 6))
        net = FusionNetwork.fused_at(depth, int(rng.integers(1, depth + 1)), tuple(names))
        mixing = rng.normal(size=(len(names), 3 * len(names)))
        sigma = mixing @ mixing.T / (3 * len(names))
        data = Correlations(sigma, rng.normal(size=len(names)) @ sigma, dict.fromkeys(names, 1))
        fused = net.depths["A"]
        smallest = 1e-6 if depth == 2 else 1e-2 if fused <= 2 else max(1e-2, LONGEST ** (-1 / (fused - 2)))
        u0 = float(np.exp(rng.uniform(np.log(smallest), np.log(0.3))))
        run = integrate_reduced(net, data, u0=u0, rtol=1e-6)
        learned = [run.race[: n + 1] for n in range(len(names))]
        signs = dict(zip(names, np.sign(data.sigma_yx), strict=True))
        turned = any(plateau(data, m, some) * signs[m] < 0 for some in learned for m in some)
        if not turned and all(s is Status.REACHED and run.times[m] > 0 for m, s in run.status.items()):
            return net, data, u0
