"""Comparison: one table and one figure; the drawn data are read back."""

import numpy as np
import pytest

from derivations import Correlations, DomainError, FusionNetwork
from dynamics import compare
from dynamics.figures.comparison import phase

DATA = Correlations.scalar(2, 1, 0.5)


@pytest.fixture(scope="module")
def comparison():
    return compare(FusionNetwork.fused_at(3, 2), DATA, u0=0.05, width=20, seeds=3)


def test_the_roads_agree_as_far_as_their_starts_allow(comparison) -> None:
    """Law and reduced flow share a start; flow and descent share weights."""
    assert comparison.prediction.leading.ratio == pytest.approx(comparison.reduced.ratio, rel=0.15)
    for flow, descent in zip(comparison.flows, comparison.descents, strict=True):
        assert flow.provenance["seed"] == descent.provenance["seed"]
        assert descent.times["A"] == pytest.approx(flow.times["A"], rel=0.03)


def test_the_table_has_a_row_a_road(comparison) -> None:
    table = comparison.table
    assert [row[0].split(",")[0].split(" (")[0] for row in table.rows] == [
        "law",
        "reduced flow",
        "typical network",
        "gradient flow",
        "gradient descent",
    ]
    starts = [row[-2] for row in table.rows]
    assert starts[:2] + starts[3:] == ["aligned start"] * 2 + ["random, 3 seeds"] * 2
    assert starts[2].startswith("random start, width")
    assert "is alone for" in str(comparison)
    assert "<table>" in comparison._repr_html_()


def test_other_fusion_depths_are_more_unimodal_the_deeper(comparison) -> None:
    lags = [run.lag for run in comparison.fusion_depths.values()]
    assert list(comparison.fusion_depths) == [1, 2, 3]
    assert lags == sorted(lags)


def test_the_figure_draws_the_runs(comparison) -> None:
    loss, weights, strip = comparison.plot()
    drawn = [line.get_ydata() for line in loss.lines]
    assert len(drawn) == 5  # three of gradient descent, the flow, the reduced flow
    np.testing.assert_array_equal(drawn[3][: len(comparison.flows[0].loss)], comparison.flows[0].loss)
    assert len([line for line in weights.lines if len(line.get_xdata()) > 2]) == 10
    begin, end = phase(comparison)
    assert (begin, end) == (comparison.flows[0].times["A"], comparison.flows[0].times["B"])
    shaded = loss.patches[0].get_extents().transformed(loss.transData.inverted())
    assert (shaded.x0, shaded.x1) == pytest.approx((begin, end))
    assert [bar.get_width() for bar in strip.patches] == pytest.approx(  # early fusion has no such phase, and no bar
        [run.times["B"] - run.times["A"] for depth, run in comparison.fusion_depths.items() if depth > 1]
    )
    assert all(ax.get_xlabel() or ax is loss for ax in (loss, weights, strip))
    assert "tau" in weights.get_xlabel()
    assert "phase" in " ".join(text.get_text() for text in loss.texts)


def test_figures_exist_where_roads_do_not() -> None:
    """Sign flip (no aligned B), early fusion (no law), unequal depths (no strip)."""
    for net, data in (
        (FusionNetwork.fused_at(2, 2), Correlations.scalar(1.5, 1, -0.9)),
        (FusionNetwork.fused_at(2, 1), DATA),
        (FusionNetwork.branches({"A": 2, "B": 3}), DATA),
    ):
        result = compare(net, data, u0=0.05, width=5, seeds=[1])
        assert len(result.plot()) == (3 if result.fusion_depths else 2)
        assert str(result)


def test_bad_seeds() -> None:
    with pytest.raises(DomainError, match="seeds must be an integer >= 1, got 0"):
        compare(FusionNetwork.fused_at(2, 2), DATA, seeds=0)
    with pytest.raises(DomainError, match="seeds must name at least one seed"):
        compare(FusionNetwork.fused_at(2, 2), DATA, seeds=[])


def test_gradient_descent_of_a_hundred_million_steps_is_left_out_and_said() -> None:
    result = compare(FusionNetwork.fused_at(4, 2), DATA, u0=1e-3, width=10, seeds=1)
    assert result.descents == ()
    assert any("gradient descent is left out: it would take" in w for w in result.warnings)
    assert [row[0].split(" (")[0] for row in result.table.rows] == [
        "law",
        "reduced flow",
        "typical network",
        "gradient flow",
    ]
    assert len(result.plot()) == 3
