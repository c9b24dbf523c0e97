"""What is prescribed, trained for real: gradient descent from random starts."""

import json
import math
from functools import partial

import numpy as np
import pytest

from derivations import Correlations, FusionNetwork
from dynamics import DomainError, SolveError, ensemble, load_example, predict
from dynamics import prescribe as prescribe_all
from dynamics.prediction.prescription import Prescription
from dynamics.prediction.refined import flow_times, refined_typical, typical_times
from dynamics.problem import Problem
from dynamics.simulation.reduced import reduced_flow
from dynamics.starts.start import aligned_start, random_start
from tests.cases import SOAK

prescribe = partial(prescribe_all, ingredients=False)  # these are in tests of recipes, and trained in notebook 10

LATE = FusionNetwork.fused_at(2, 2)


@pytest.fixture(scope="module")
def deep() -> Prescription:
    return prescribe(FusionNetwork.fused_at(3, 2), Correlations.scalar(2, 1, 0.3), u0=0.05, width=50, ratio=1.2)


@pytest.mark.parametrize(("wanted", "u0"), [(2.0, 1e-3)] + [(1.0, 1e-3)] * SOAK)
def test_a_prescribed_rescaling_trained_by_gradient_descent(wanted: float, u0: float) -> None:
    """Width 400, 20 seeds (8 here), learning rate 0.005: medians of the half-times within 5 % of the wanted ratio.

    The spread over seeds of the ratio is 1/(2 sqrt(h) ln(1/u0)), 1 % here; descent is 1 % off the flow.
    """
    data = Correlations.scalar(2, 1, 0.5)
    found = prescribe(LATE, data, u0=u0, width=400, ratio=wanted)
    assert abs(found.rescale.ratio / wanted - 1) < 0.03
    runs = ensemble(
        LATE, data.rescaled({"B": found.rescale.value}), u0=u0, width=400, seeds=20 if SOAK else 8, learning_rate=0.005
    )
    assert float(np.median(runs.times["B"] / runs.times["A"])) == pytest.approx(wanted, rel=0.05)


def test_the_leading_factor_is_where_both_are_equally_strong() -> None:
    data = Correlations.scalar(2, 1, 0.3)
    found = prescribe(LATE, data, u0=1e-9)
    assert found.leading_factor == pytest.approx(4.6 / 1.6, rel=1e-12)
    equal = data.rescaled({"B": found.leading_factor})
    assert equal.strength("A") == pytest.approx(equal.strength("B"), rel=1e-12)
    assert found.rescale.value == pytest.approx(found.leading_factor, rel=0.1)  # of relative order 1/ln(1/u0)
    assert found.rescale.met


def test_depths_starts_and_widths(deep: Prescription) -> None:
    """Deeper fusion, later second: the paper's claim, in the table; every depth, u0 and width can be the change."""
    found = deep
    assert [o.value for o in found.fusion_depths] == [1, 2, 3]
    ratios = [o.ratio for o in found.fusion_depths]
    assert ratios == sorted(ratios)
    assert found.now.ratio == pytest.approx(ratios[1], rel=1e-9)
    assert found.start.met
    assert found.start.value < 0.05  # the ratio of L_f < L tends to one with u0
    assert found.width is not None
    assert found.assumes == "random start, width 50"
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["rescale"]["met"] is True
    assert "fusion depth 3" in str(found)
    assert "<table>" in found._repr_html_()


def test_the_clock_of_a_prescription_is_that_of_the_prediction() -> None:
    """diabetes: body times 1.18 brings both together, where half of the weights would ask for a fifth of it."""
    data = load_example("diabetes")
    net = FusionNetwork.fused_at(2, 2, data.modalities)
    found = prescribe(net, data)
    assert found.now.ratio == pytest.approx(predict(net, data).ratio, rel=1e-5)  # runs of a search: rtol 1e-5
    assert found.rescale.met
    assert found.rescale.value > 1
    rescaled = predict(net, data.rescaled({"body": found.rescale.value}))
    assert rescaled.times["body"] == pytest.approx(rescaled.times["serum"], rel=0.01)
    assert found.rescale.value == pytest.approx(found.leading_factor, rel=0.1)
    with pytest.raises(TypeError, match="outputs"):
        prescribe(net, data, outputs=True)


def test_a_batch_of_networks_is_them_one_by_one() -> None:
    """The second, equal inputs, is a tie; the third has a plateau at which the other is learned below half."""
    net, rtol = FusionNetwork.fused_at(2, 1), 1e-8
    sets = [Correlations.scalar(2, 1, 0.5), Correlations.scalar(1, 1, 0), Correlations.scalar(2, 1, 0.9, (1, -0.3))]
    starts = [random_start(Problem.of(net, data), 0.01, width=50) for data in sets]
    for start, times in zip(starts, typical_times(starts, rtol), strict=True):
        one = refined_typical(start, spread=False, rtol=rtol)
        assert times == pytest.approx(dict(one.times), rel=100 * rtol)
    starts = [aligned_start(start.problem, 0.01) for start in starts]
    for start, times in zip(starts, flow_times(starts, rtol), strict=True):
        assert times == pytest.approx(dict(reduced_flow(start.problem, 0.01, rtol=rtol).times), rel=100 * rtol)


def test_a_figure_with_both_panels(deep: Prescription) -> None:
    assert [ax.get_xlabel() for ax in deep.plot()] == ["fusion depth", "factor of the columns of B"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"ratio": 0}, "ratio must be positive, got 0"),
        ({"ratio": math.nan}, "ratio must be a finite number"),
        ({"block": "C"}, "block must be one of A, B, got 'C'"),
        ({"width": 0}, "width must be an integer >= 1, got 0"),
    ],
)
def test_bad_questions(changed: dict, says: str) -> None:
    with pytest.raises(DomainError, match=says):
        prescribe(LATE, Correlations.scalar(2, 1, 0.5), **changed)


def test_another_start_is_looked_for_up_to_where_predictions_are_refused() -> None:
    """star98: u0 = 0.16 makes both be learned together, between two points of the coarse grid."""
    data = load_example("star98")
    net = FusionNetwork.fused_at(2, 2, data.modalities)
    found = prescribe(net, data)
    assert found.start.met
    assert predict(net, data, u0=found.start.value).ratio == pytest.approx(1, abs=0.011)


def test_a_large_start_says_how_good_its_estimate_is() -> None:
    data = load_example("star98") if SOAK else Correlations.scalar(2, 1, 0.5)
    net = FusionNetwork.fused_at(2, 2, data.modalities)
    found = prescribe(net, data, width=30)
    there = predict(net, data, u0=found.start.value, width=30).refined
    assert max(there.bound.values()) > 0.2
    assert "est. error of its half-times" in found.start.note


def test_a_time_limit_is_kept() -> None:
    with pytest.raises(SolveError, match="takes too long"):
        prescribe(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5), seconds=1e-6)
