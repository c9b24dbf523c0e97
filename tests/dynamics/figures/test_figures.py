"""What `.plot()` and the rich display of every type hand back."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes

from derivations import ledger
from dynamics import (
    Correlations,
    FusionNetwork,
    bootstrap,
    compare,
    ensemble,
    integrate,
    integrate_reduced,
    load_example,
    locate,
    portrait,
    predict,
    prescribe,
    random_weights,
    reproduce,
    start_of,
)
from dynamics.figures.predictions import MOST_BARS, draw_misattribution, labelled
from dynamics.tables import Table

NET, DATA = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)


NAMES = ("prediction", "trajectory", "ensemble", "comparison", "prescription", "portrait", "figure")


@pytest.fixture(scope="module")
def results() -> dict[str, object]:
    return {
        "prediction": predict(NET, DATA, width=30, seeds=3),
        "trajectory": integrate(NET, DATA, width=5),
        "ensemble": ensemble(NET, DATA, width=5, seeds=3),
        "comparison": compare(NET, DATA, width=5, seeds=1),
        "prescription": prescribe(NET, DATA, u0=0.05),
        "portrait": portrait(NET, DATA, points=9),
        "figure": reproduce(8, seeds=1),
    }


@pytest.mark.parametrize("name", NAMES)
def test_plot_returns_axes_that_a_caller_can_go_on_with(results, name: str) -> None:
    axes = results[name].plot()
    assert all(isinstance(ax, Axes) for ax in np.ravel(axes))
    figure = np.ravel(axes)[0].figure
    assert plt.fignum_exists(figure.number)  # a notebook shows what is open at the end of a cell
    assert all("<colorbar>" not in ax.get_label() for ax in np.ravel(axes))


def test_results_networks_and_equations_display_in_html_and_latex(results) -> None:
    shown = {**results, "whereabouts": locate(NET, DATA, random_weights(NET, DATA, 0.1, 5, 0))}
    shown |= {
        "start": start_of(NET, DATA, random_weights(NET, DATA, 0.1, 5, 0)),
        "network": NET,
        "entry": ledger()["9"],
    }
    star98 = load_example("star98")
    shown["bootstrap"] = bootstrap(FusionNetwork.fused_at(2, 2, star98.modalities), star98, draws=100)
    del shown["portrait"]  # a picture, not a table
    for name, thing in shown.items():
        assert "<t" in thing._repr_html_() or "<p" in thing._repr_html_(), name
        assert "$" in thing._repr_latex_() or r"\begin{tabular}" in thing._repr_latex_(), name


def test_latex_of_a_table_escapes_what_latex_reads() -> None:
    table = Table("50 % & more", ("a_b", "|x|"), (("1e-3 #", "{y} ~ ^ \\"),), ("Warning: <z> $",))
    text = table.latex()
    assert r"50 \% \& more" in text
    assert r"a\_b & \textbar{}x\textbar{} \\" in text
    assert r"1e-3 \# & \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{} \\" in text
    assert not re.search(r"(?<!\\)[$#%_]", text)


def test_a_network_in_latex_is_equation_2() -> None:
    assert FusionNetwork.fused_at(3, 2).to_latex() == (
        r"\hat{y} = W^{1} \left( W_{\text{A}}^{2} W_{\text{A}}^{1} x_{\text{A}}"
        r" + W_{\text{B}}^{2} W_{\text{B}}^{1} x_{\text{B}} \right)"
    )
    assert r"W_{\text{a\_b}}^{5} \cdots W_{\text{a\_b}}^{1}" in FusionNetwork.branches({"a_b": 5, "c": 1}).to_latex()


def test_warnings_of_a_table_are_marked() -> None:
    html = Table("t", ("a",), (("1",),), ("Warning: <b>", "a note")).html()
    assert '<p class="warning">Warning: &lt;b&gt;</p><p>a note</p>' in html


def test_roads_are_drawn_where_the_prediction_has_them() -> None:
    data = load_example("diabetes")
    found = predict(FusionNetwork.fused_at(2, 2, data.modalities), data)
    (ax,) = found.plot()
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    places = {(round(float(line.get_xdata()[0]), 3), round(float(line.get_ydata()[0]))) for line in dots}
    rows = [e for e in (found.leading, found.refined, found.reduced) if e is not None]
    assert places == {(round(e.times[m], 3), y) for y, e in enumerate(rows) for m in found.order}
    assert len({float(line.get_ydata()[0]) for line in dots}) == len(dots)  # of equal times none hides another
    assert "half of its output" in ax.get_xlabel()


def test_a_modality_that_is_never_learned_is_said_in_the_figure() -> None:
    (ax,) = predict(NET, Correlations.scalar(1.5, 1, -0.9), u0=1e-3).plot()
    assert "B never" in [text.get_text() for text in ax.texts]


def test_misattribution_shows_what_changes_most() -> None:
    rng = np.random.default_rng(0)
    many = {"A": rng.normal(size=(300, 30)), "B": rng.normal(size=(300, 2))}
    many["A"][:, :2] += many["B"]
    data = Correlations.from_samples(many, 3 * many["A"][:, 0] + many["A"].sum(axis=1) + many["B"].sum(axis=1))
    found = predict(NET, data)
    assert found.order[0] == "A"
    _, ax = plt.subplots()
    final = data.regression(data.modalities)["A"]
    draw_misattribution(ax, found, data.unimodal("A"), final)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) == MOST_BARS
    change = np.abs(found.misattribution["A"])
    assert {"A1", "A2"} <= set(names)
    assert set(names) == {f"A{i + 1}" for i in np.argsort(-change)[:MOST_BARS]}
    assert labelled(("a", "b"), np.arange(4.0).reshape(2, 2))[0] == [
        "a on output 0", "b on output 0", "a on output 1", "b on output 1",
    ]  # fmt: skip


def test_a_trajectory_names_its_saddles() -> None:
    run = integrate_reduced(NET, Correlations.scalar(2, 1, 0), u0=1e-6)
    loss, weights = run.plot()
    assert {"M_0", "M_A", "M_*"} == {text.get_text() for text in loss.texts}
    np.testing.assert_array_equal(weights.lines[0].get_ydata(), run.norms["A"])
    shades = [patch.get_extents().transformed(loss.transData.inverted()).x0 for patch in loss.patches]
    assert shades == [pytest.approx(run.times["A"])]
