"""Odds of an order from the typical network's spread, judged by ensembles of random starts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dynamics import Correlations, DomainError, FusionNetwork, ensemble, predict
from dynamics.prediction import predicting
from dynamics.prediction.order_odds import order_probability
from dynamics.prediction.typical_runs import gaps_of, log_times_at, single_steps, typical_runs
from dynamics.problem import Problem
from dynamics.starts.start import random_start

NEXT_ORDER = 0.03  # what the idealisation, which is of order h^(-1/2) deviations, may miss of a probability


def _odds(network: FusionNetwork, data: Correlations, u0: float, width: int | None) -> dict[str, float]:
    return order_probability(random_start(Problem.of(network, data), u0, width))


def _frequencies(network: FusionNetwork, data: Correlations, u0: float, width: int, seeds: int) -> dict[str, float]:
    runs = ensemble(network, data, u0=u0, width=width, seeds=seeds)
    first = np.argmin([runs.times[m] for m in data.modalities], axis=0)
    return {m: float(np.mean(first == i)) for i, m in enumerate(data.modalities)}


def _judge(network: FusionNetwork, data: Correlations, u0: float, width: int, seeds: int = 200) -> dict[str, float]:
    """Three binomial deviations of the frequency, and the next order."""
    odds, found = _odds(network, data, u0, width), _frequencies(network, data, u0, width, seeds)
    for m, p in odds.items():
        assert found[m] == pytest.approx(p, abs=3 * math.sqrt(p * (1 - p) / seeds) + NEXT_ORDER)
    return odds


VECTORS = np.array([[1.0, 0.2, 0.1, 0.0], [0.2, 0.8, 0.0, 0.1], [0.1, 0.0, 1.2, -0.3], [0.0, 0.1, -0.3, 0.9]])


@pytest.mark.parametrize(
    ("data", "u0", "width", "about"),
    [
        (Correlations([[1, 0.1], [0.1, 1]], [1, 1], {"A": 1, "B": 1}), 0.02, 40, (0.45, 0.55)),
        (Correlations([[1, 0.1], [0.1, 1]], [1.04, 1], {"A": 1, "B": 1}), 0.02, 100, (0.6, 0.8)),
        (Correlations(VECTORS, [1, 0.3, 1.07, 0.2], {"A": 2, "B": 2}), 0.03, 60, (0.55, 0.95)),
    ],
)
def test_two_layers_near_a_tie(data: Correlations, u0: float, width: int, about: tuple[float, float]) -> None:
    """Alike ones are even; the others neither sure nor even, so that a wrong lag or a wrong spread shows."""
    assert about[0] < _judge(FusionNetwork.fused_at(2, 2), data, u0, width)["A"] < about[1]


@pytest.mark.parametrize("fused", [2, 3])
def test_three_modalities_with_the_correlation_of_their_times(fused: int) -> None:
    data = Correlations(0.8 * np.eye(3) + 0.2, [1.1, 1.0, 1.02], dict.fromkeys("ABC", 1))
    odds = _judge(FusionNetwork.fused_at(3, fused, ("A", "B", "C")), data, 0.03, 60)
    assert sum(odds.values()) == pytest.approx(1)


@pytest.mark.parametrize(("target", "about"), [(1.15, 0.15), (1.05, 0.36)])
def test_the_noted_case(target: float, about: float) -> None:
    """(3, 3) at width 40: of 200 seeds B is first by `times` in 30 and 72."""
    data = Correlations([[1, 0.3], [0.3, 1]], [target, 1], {"A": 1, "B": 1})
    assert _judge(FusionNetwork.fused_at(3, 3), data, 0.05, 40)["B"] == pytest.approx(about, abs=0.05)


def test_a_lag_that_turns_back_at_the_tie() -> None:
    """Whoever escapes first through the trunk, A has half of its plateau first: no linear form of a lag knows that."""
    data = Correlations([[1.49, 0.95], [0.95, 1.0]], [-1, 0.98], {"A": 1, "B": 1})
    network, width = FusionNetwork.fused_at(4, 3), 126
    start = random_start(Problem.of(network, data), 0.038, width)
    logs = log_times_at(start, width, single_steps(start, width))
    gaps = gaps_of(logs)
    assert abs(logs[1, 0] - logs[0, 0]) < np.linalg.norm(gaps[1] - gaps[0])  # linear: B is first in every fourth
    assert order_probability(start)["A"] > 0.99
    assert _frequencies(network, data, 0.038, width, 30)["A"] == 1


def test_what_is_never_learned_is_never_first() -> None:
    network, names = FusionNetwork.fused_at(2, 2, ("A", "B", "C")), dict.fromkeys("ABC", 1)
    sigma = [[1, 0.2, 0], [0.2, 1, 0], [0, 0, 1]]
    odds = _odds(network, Correlations(sigma, [1, 1, 0], names), 0.01, 50)
    assert odds["C"] == 0
    assert odds["A"] + odds["B"] == pytest.approx(1)
    assert _odds(network, Correlations(sigma, [0, 0, 1], names), 0.01, 50) == {"A": 0, "B": 0, "C": 1}
    assert set(_odds(network, Correlations(sigma, [0, 0, 0], names), 0.01, 50).values()) == {0}


def test_a_small_start_keeps_its_odds() -> None:
    """From u0 = 1e-20 the lag is less than the last digit of the half-times; the race is the same as from 1e-12."""
    data = Correlations([[1, 0.3], [0.3, 1]], [1.05, 1], {"A": 1, "B": 1})
    small, smaller = (_odds(FusionNetwork.fused_at(4, 3), data, u0, 100)["A"] for u0 in (1e-12, 1e-20))
    assert 0.55 < small < 0.9
    assert smaller == pytest.approx(small, abs=0.02)


def test_gaps_are_the_spread() -> None:
    data = Correlations([[1, 0.3], [0.3, 1]], [1.05, 1], {"A": 1, "B": 1})
    start = random_start(Problem.of(FusionNetwork.fused_at(2, 2), data), 0.01, 50)
    spread = typical_runs(start, 50).spread
    gaps = gaps_of(log_times_at(start, 50, single_steps(start, 50)))
    assert np.linalg.norm(gaps, axis=1) == pytest.approx(list(spread.values()))


def test_no_odds_without_a_width() -> None:
    data = Correlations([[1, 0.3], [0.3, 1]], [1.05, 1], {"A": 1, "B": 1})
    with pytest.raises(DomainError, match="give a width"):
        _odds(FusionNetwork.fused_at(2, 2), data, 0.01, None)


def test_odds_of_more_weights_than_seconds_allow_are_left_to_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two correlated outputs, three layers: weighed, or, with the same times, a remark in their place."""
    rng = np.random.default_rng(4)
    mix = rng.normal(size=(6, 6))
    data = Correlations(mix @ mix.T, rng.normal(size=(2, 6)), {"A": 3, "B": 3})
    network = FusionNetwork.fused_at(3, 3)
    weighed = predict(network, data, u0=0.1, width=50)
    assert weighed.order_probability is not None
    monkeypatch.setattr(predicting, "MOST_WEIGHED", 0)
    left = predict(network, data, u0=0.1, width=50)
    assert left.order_probability is None
    assert left.times == weighed.times
    assert predicting.UNWEIGHED in str(left)
