"""Two layers from named initialisations of any size: drawn starts, the typical run, the lazy limit."""

import math

import numpy as np
import pytest

from derivations import Correlations, DomainError, FusionNetwork
from dynamics import default_weights, integrate, load_example, predict
from dynamics.prediction.any_start import drawn_starts, lazy_times
from dynamics.problem import Problem
from dynamics.recipe import Recipe
from dynamics.starts.initializations import Initialization

LATE = FusionNetwork.fused_at(2, 2)
DATA = Correlations.scalar(2, 1, 0.5)


def test_members_are_the_runs_of_the_weights_that_are_drawn() -> None:
    """Each at full width by the other integrator, along the course that all members share."""
    found = predict(LATE, DATA, init="pytorch", scale=0.2, width=30, seeds=3).ensemble.runs
    for i in range(3):
        weights = default_weights(LATE, DATA, "pytorch", 30, i)
        scaled = {name: [0.2 * w for w in layers] for name, layers in weights.items()}
        run = integrate(LATE, DATA, weights=scaled, exact=True, rtol=1e-8)
        for m in "AB":
            assert found.times[m][i] == pytest.approx(run.times[m], rel=2e-4)


@pytest.mark.parametrize(("scale", "share"), [(0.01, 0.02), (0.1, 0.04)])
def test_the_typical_run_is_the_median_of_draws_of_a_small_scale(scale: float, share: float) -> None:
    data = load_example("star98")
    p = predict(FusionNetwork.fused_at(2, 2, data.modalities), data, init="pytorch", scale=scale, seeds=100)
    first, last = data.modalities
    median = float(np.median(p.ensemble.runs.times[last] / p.ensemble.runs.times[first]))
    assert p.refined.times[last] / p.refined.times[first] == pytest.approx(median, rel=share)
    assert "90 % of 100 starts" in str(p)


def test_large_weights_come_to_the_lazy_limit() -> None:
    """Typical squares of a huge scale hardly move: plain regression by gradient descent at the pace h (v_1 + v_2)."""
    p = predict(LATE, DATA, init="pytorch", scale=1000.0, width=50, seeds=1)
    variance = 1000.0**2 * (Initialization.PYTORCH.variance(50, 1) + Initialization.PYTORCH.variance(1, 50))
    plan = drawn_starts(Problem.of(LATE, DATA), Initialization.PYTORCH, 1000.0, 50, (0,))[0].course
    lazy = lazy_times(DATA, plan, dict.fromkeys("AB", 50 * variance))
    for m in "AB":
        assert p.refined.times[m] == pytest.approx(lazy[m], rel=1e-4)
    assert math.isfinite(lazy["A"])


def test_what_does_not_go_with_an_initialisation_is_refused() -> None:
    for given, told in (
        ({"init": "pytorch", "u0": 0.1}, "u0 does not go with it"),
        ({"init": "pytorch", "seed": 1}, "seed does not go with it"),
        ({"init": "pytorch", "recipe": Recipe(weight_decay=0.1)}, "recipe does not go with it"),
        ({"init": "torch"}, "init must be one of pytorch"),
        ({"init": "pytorch", "scale": 0.0}, "scale must be positive, got 0.0"),
        ({"scale": 0.1}, "scale goes with init, got 0.1"),
    ):
        with pytest.raises(DomainError, match=told):
            predict(LATE, DATA, **given)
    with pytest.raises(DomainError, match="closes for two layers only, got 3, 3"):
        predict(FusionNetwork.fused_at(3, 3), DATA, init="pytorch")


def test_a_large_second_layer_is_plain_regression() -> None:
    """One output: its square is a number that hardly moves, the pace of all inputs. Its own change leaves 2 %."""
    data = load_example("star98")
    network = FusionNetwork.fused_at(2, 2, data.modalities)
    drawn = default_weights(network, data, "pytorch", 100, 0)
    weights = {m: [0.003 * drawn[m][0], 3.3 * drawn[m][1]] for m in data.modalities}
    run = integrate(network, data, weights=weights)
    plan = drawn_starts(Problem.of(network, data), Initialization.PYTORCH, 0.1, 100, (0,))[0].course
    lazy = lazy_times(data, plan, {m: float(np.sum(weights[m][1] ** 2)) for m in data.modalities})
    for m in data.modalities:
        assert run.times[m] == pytest.approx(lazy[m], rel=0.02)
