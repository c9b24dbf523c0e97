"""The laws on arrays are the laws point by point."""

import math

import numpy as np
import pytest

from dynamics import Correlations, DomainError, FusionNetwork, integrate_reduced, law_grid
from dynamics.prediction.estimates import Estimate, leading_estimate
from dynamics.prediction.laws.grids import log_integral_on_arrays
from dynamics.prediction.laws.leading import log_integral
from dynamics.problem import Problem
from dynamics.starts.start import random_start

SHAPES = [(2, 2), (3, 2), (3, 3), (4, 2), (4, 3), (4, 4), (6, 5), (9, 4)]


@pytest.mark.parametrize(("depth", "fused"), SHAPES)
def test_a_grid_is_the_law_of_each_point(depth: int, fused: int) -> None:
    """Order, both half-times and ln(ratio - 1) of 25 random problems, signs and flips included: 1e-11."""
    rng = np.random.default_rng(depth)
    sigma_a, sigma_b = rng.uniform(0.5, 2, (2, 5, 5))
    rho, w_a, w_b = rng.uniform(-0.9, 0.9, (5, 5)), rng.normal(size=(5, 5)), rng.normal(size=(5, 5))
    net = FusionNetwork.fused_at(depth, fused)
    grid = law_grid(net, sigma_a, sigma_b, rho, (w_a, w_b), u0=1e-6)
    assert grid.ratio.shape == (5, 5)
    for i in np.ndindex(5, 5):
        data = Correlations.scalar(sigma_a[i], sigma_b[i], rho[i], (w_a[i], w_b[i]))
        leading = leading_estimate(random_start(Problem.of(net, data), 1e-6))
        assert isinstance(leading, Estimate)
        assert leading.half_times.order[0] == ("A" if grid.a_is_first[i] else "B")
        for m in "AB":
            assert grid.times[m][i] == pytest.approx(leading.times[m], rel=1e-11)
        assert grid.log_excess[i] == pytest.approx(leading.half_times.log_excess, abs=1e-10)


@pytest.mark.parametrize(("depth", "fused"), [s for s in SHAPES if s[0] > 2])
def test_the_polynomial_is_the_integral(depth: int, fused: int) -> None:
    """ln I for k from 0 to within 1e-12 of 1: 1e-12."""
    k = np.concatenate([np.linspace(0, 0.99, 34), 1 - np.logspace(-12, -2, 11)])
    exact = [log_integral(fused, fused, depth - fused, float(x)) for x in k]
    np.testing.assert_allclose(log_integral_on_arrays(depth, fused, k), exact, atol=1e-12)


def test_far_starts_stay_in_logarithms() -> None:
    grid = law_grid(FusionNetwork.fused_at(40, 30), [2.0, 3.0], 1.0, 0.2, u0=1e-12)
    assert np.all(np.isfinite(grid.log_first))
    assert np.all(grid.log_first > 700)
    assert np.all(np.isinf(grid.times["A"]))
    assert np.all(np.isfinite(grid.log_excess))


def test_collinear_and_tied_points() -> None:
    """rho = 1: nothing is left for B, ever. A tie: ratio one."""
    net = FusionNetwork.fused_at(3, 3)
    grid = law_grid(net, [2.0, 1.0], 1.0, [1.0, 0.0], u0=1e-3)
    assert math.isinf(grid.times["B"][0])
    assert math.isinf(grid.ratio[0])
    assert grid.ratio[1] == 1.0


def test_flips_are_marked() -> None:
    grid = law_grid(FusionNetwork.fused_at(2, 2), 2.0, 1.0, [-0.8, 0.3], u0=1e-6)
    assert grid.flips.tolist() == [True, False]


def test_a_grid_tends_to_the_reduced_flow() -> None:
    """rho = 0.2, sigma ratio 2, (4, 2): the miss falls with u0, as leading order must."""
    net, data = FusionNetwork.fused_at(4, 2), Correlations.scalar(2, 1, 0.2)
    misses = [
        abs(law_grid(net, 2.0, 1.0, 0.2, u0=u0).times["A"].item() / integrate_reduced(net, data, u0=u0).times["A"] - 1)
        for u0 in (1e-2, 1e-3)
    ]
    assert misses[1] < misses[0] / 50  # order u0^2


@pytest.mark.parametrize(
    ("net", "values", "message"),
    [
        (FusionNetwork.fused_at(3, 1), {}, "two equal branches of at least two layers, got {'A': 1, 'B': 1}"),
        (FusionNetwork.branches({"A": 2, "B": 3}), {}, "two equal branches"),
        (FusionNetwork.fused_at(2, 2), {"sigma_a": -1.0}, "sigma_a must be positive, got -1"),
        (FusionNetwork.fused_at(2, 2), {"rho": 1.2}, "rho must be between -1 and 1, got 1.2"),
        (FusionNetwork.fused_at(2, 2), {"rho": float("nan")}, "rho must be finite, got nan"),
        (FusionNetwork.fused_at(2, 2), {"u0": 2.0}, "u0 between 0 and 1, got 2.0"),
    ],
)
def test_bad_grids_are_named(net: FusionNetwork, values: dict, message: str) -> None:
    given = {"sigma_a": 2.0, "sigma_b": 1.0, "rho": 0.1, "u0": 1e-3} | values
    with pytest.raises(DomainError, match=message):
        law_grid(net, **given)
