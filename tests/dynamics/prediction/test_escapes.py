"""Random starts, seed by seed: ways from actual weights, and the half-times that they give."""

import math

import numpy as np
import pytest

from derivations import Correlations, DomainError, FusionNetwork
from derivations.times import random_starts as law
from dynamics import ensemble, random_weights
from dynamics.prediction.escapes import escape_ways, random_field, typical_way
from dynamics.prediction.laws.race import race
from tests.cases import SOAK

DATA = Correlations.scalar(2, 1, 0.5)
SEEDS = 50 if SOAK else 3


@pytest.mark.parametrize(("depth", "u0"), [(2, 1e-4), (3, 1e-2), (4, 5e-2)])
def test_half_times_of_each_seed(depth: int, u0: float) -> None:
    """h = 100. The batched flow of every weight is the judge (its half-times to 1e-5); (9) scatters by 8-18 %."""
    network = FusionNetwork.fused_at(depth, depth)
    runs = ensemble(network, DATA, u0=u0, width=100, seeds=SEEDS, rtol=1e-6)
    for i in range(SEEDS):
        first, second = race(random_field(network, DATA, random_weights(network, DATA, u0, width=100, seed=i)))
        assert first.half_time == pytest.approx(runs.times["A"][i], rel=1e-4)
        assert second.half_time / first.half_time == pytest.approx(runs.ratio[i], rel=1e-4)
        assert abs(first.half_time - runs.times["A"][i]) <= first.error + 1e-5 * first.half_time
        assert abs(second.half_time - runs.times["B"][i]) <= second.error + 1e-5 * second.half_time
        assert first.error / first.half_time + second.error / second.half_time < 1e-3


def _norm(v: np.ndarray) -> float:
    return float(np.linalg.norm(v))


@pytest.mark.parametrize("width", [100, 1000] if SOAK else [100, 500])
def test_ways_of_three_and_four_layers_are_those_of_wide_networks(width: int) -> None:
    """(128), (129) leave out the order 1/h: at most 3/h, over both signs and every seed."""
    import sympy as sp

    for seed in range(5 if SOAK else 2):
        rng = np.random.default_rng(seed)
        w1, *inner, last = [rng.normal(size=s) / math.sqrt(s[0] * s[1]) for s in
                            ((width, 1), (width, width), (width, width), (1, width))]  # fmt: skip
        start, end = w1[:, 0], last[0]
        for layers in ([w1, inner[0], last], [w1, *inner, last]):
            ways, error = escape_ways(layers)
            for sigma, way in ((1, ways.up), (-1, ways.down)):
                if len(layers) == 3:
                    overlap = float(end @ inner[0] @ start) / _norm(end) / _norm(start)
                    integral = law.THREE.subs({law.x_0: sigma * overlap, law.u_1: _norm(start), law.u_3: _norm(end)})
                    want = float(sp.Integral(*integral.args).evalf(12))
                else:
                    mean = inner[0] @ start / _norm(start) + sigma * inner[1].T @ end / _norm(end)
                    want = float(law.FOUR.subs({law.g_0: _norm(mean) / 2, law.u_1: _norm(start), law.u_4: _norm(end)}))
                assert way == pytest.approx(want, rel=3 / width + error / way)


@pytest.mark.parametrize(("depth", "closed"), [(2, law.TYPICAL_TWO), (3, law.TYPICAL_THREE), (4, law.TYPICAL_FOUR)])
def test_typical_ways_are_130(depth: int, closed) -> None:
    """Lengths are medians here, not means: 1/(3 h) for each layer that meets a vector."""
    for width in (100, 10**6):
        at = {s: {"u_0": 1, "d": 1, "h": width}[s.name] for s in closed.free_symbols}
        assert typical_way(depth, width)[0] == pytest.approx(float(closed.subs(at)), rel=depth / width)


def test_typical_ways_scale_with_the_width_as_131() -> None:
    """T of L layers goes like h^((L-4)/2), deviations like h^(-1/2) of it."""
    for depth in (5, 6, 7):
        (small, some), (large, others) = (typical_way(depth, h) for h in (10**4, 10**6))
        assert large / small == pytest.approx(100 ** ((depth - 4) / 2), rel=0.03)
        assert (others / large) / (some / small) == pytest.approx(0.1, rel=0.1)


def test_a_balanced_start_escapes_with_one_sign_only() -> None:
    ways, _ = escape_ways([np.array([[1e-3], [0.0]]), np.array([[1e-3, 0.0]])])
    assert ways.up == pytest.approx(-math.log(1e-3))
    assert ways.down == math.inf


def test_a_trunk_has_no_ways_of_its_own() -> None:
    network = FusionNetwork.fused_at(3, 2)
    with pytest.raises(DomainError, match="with a trunk the branches start together"):
        random_field(network, DATA, random_weights(network, DATA, 0.01, width=5))
