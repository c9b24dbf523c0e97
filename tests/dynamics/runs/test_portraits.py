"""Phase portraits: the field against the full flow, the points against the manifolds, and what the figure shows."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from derivations import Chain, Correlations, DomainError, FusionNetwork
from derivations.critical.escape import balanced_norms
from derivations.flow import gradient_flow as law
from dynamics import Recipe, integrate, integrate_reduced, load_example, portrait
from dynamics.figures.portraits import draw_portrait, legend
from dynamics.runs.planes import MODES, PREDICTORS
from dynamics.runs.portraits import PointKind, velocity_of_totals
from tests.cases import random_correlations, random_tree

LATE, EARLY = FusionNetwork.fused_at(2, 2), FusionNetwork.fused_at(2, 1)
DATA = Correlations.scalar(2, 1, 0.4)


def test_the_field_is_the_full_flow_of_balanced_weights_of_any_signs() -> None:
    """dw/dt by the chain rule through every layer of a width-1 network; any tree, any signs."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        network = random_tree(rng, int(rng.integers(1, 4)))
        data = random_correlations(rng, dict.fromkeys(network.modalities, 1))
        total = {m: rng.normal() for m in network.modalities}
        norms = balanced_norms(network, {m: abs(w) for m, w in total.items()})
        weights = {
            name: [np.full((1, 1), float(norms[name])) for _ in range(chain.depth)]
            for name, chain in network.chains.items()
        }
        for m, w in total.items():
            weights[m][0] = weights[m][0] * np.sign(w)
        moved = law.flow(network, weights, law.errors(data, {m: np.full((1, 1), w) for m, w in total.items()}))
        shifted = {
            name: [w + 1e-30j * v for w, v in zip(layers, moved[name], strict=True)] for name, layers in weights.items()
        }
        expected = law.total_weights(network, shifted)
        field = velocity_of_totals(network, data, {m: np.array([w]) for m, w in total.items()})
        for m in network.modalities:
            assert field[m][0] == pytest.approx(expected[m].imag.item() / 1e-30, rel=1e-8)


@pytest.mark.parametrize("network", [LATE, EARLY, FusionNetwork.fused_at(4, 2)])
def test_a_reduced_run_follows_the_field(network: FusionNetwork) -> None:
    t = np.linspace(0, 1, 8001) * 1.2 * max(integrate_reduced(network, DATA, u0=0.05).times.values())
    run = integrate_reduced(network, DATA, u0=0.05, t_eval=t)
    field = velocity_of_totals(network, DATA, {m: w[:, 0] for m, w in run.total.items()})
    for m in "AB":
        slope = np.gradient(run.total[m][:, 0], t, edge_order=2)
        np.testing.assert_allclose(field[m], slope, atol=2e-3 * np.max(np.abs(slope)))  # second differences of t


def test_points_are_the_critical_manifolds_and_the_field_vanishes_there() -> None:
    plane = portrait(LATE, DATA, points=7)
    assert {p.name: p.kind for p in plane.points} == {
        "M_0": PointKind.SOURCE, "M_A": PointKind.SADDLE, "M_B": PointKind.SADDLE, "M_*": PointKind.SINK,
    }  # fmt: skip
    for point in plane.points:
        total = dict(zip("AB", (np.array([x]) for x in point.position), strict=True))
        for moved in velocity_of_totals(LATE, DATA, total).values():
            assert abs(moved[0]) < 1e-12
    assert [p.name for p in portrait(EARLY, DATA, points=7).points] == ["M_0", "M_*"]
    assert plane.barriers == ("A", "B")
    assert portrait(EARLY, DATA, points=7).barriers == ()


def test_points_that_are_none_are_not_drawn() -> None:
    """One layer beside two: A is always learned. Silent and collinear modalities: one point a place, minima as such."""
    one = FusionNetwork.branches({"A": 1, "B": 2})
    assert [p.name for p in portrait(one, DATA, points=7).points] == ["M_A", "M_*"]
    silent = Correlations([[2, 0], [0, 1]], [2, 0], {"A": 1, "B": 1})
    kinds = {p.name: p.kind.name for p in portrait(LATE, silent, points=7).points}
    assert kinds == {"M_0": "SOURCE", "M_*": "SINK"}
    collinear = Correlations([[4, 2], [2, 1]], [6, 3], {"A": 1, "B": 1})
    kinds = {p.name: p.kind.name for p in portrait(LATE, collinear, points=7).points}
    assert kinds == {"M_0": "SOURCE", "M_A": "SINK", "M_B": "SINK", "M_*": "SINK"}


def test_two_of_three_modalities_and_vector_inputs() -> None:
    network = FusionNetwork.fused_at(3, 3, ("A", "B", "C"))
    data = random_correlations(np.random.default_rng(1), {"A": 1, "B": 2, "C": 3})
    plane = portrait(network, data, ("C", "B"), points=9)
    assert [p.name for p in plane.points] == ["M_0", "M_B", "M_C", "M_BC"]
    assert plane.points[-1].kind is PointKind.SADDLE  # A is still to be learned
    assert plane.points[2].position == pytest.approx((1, 0))  # in units of the unimodal weights
    assert plane.note == PREDICTORS
    run = integrate(network, data, u0=0.2, width=4)
    drawn = portrait(network, data, ("A", "B"), runs=[run], points=9)
    assert drawn.paths[0].shape == (len(run.t), 2)


@pytest.mark.parametrize(("pair", "modes"), [(("A", "B"), (1, 2)), (("B", "A"), (2, 1)), (("A", "A"), (3, 1))])
def test_the_field_of_two_modes_is_the_full_flow_of_balanced_layers(pair: Any, modes: Any) -> None:
    """u^T dW v by the chain rule through every layer, other modes zero; two to four layers a branch."""
    rng = np.random.default_rng(3)
    data = random_correlations(rng, {"A": 4, "B": 3}, outputs=3)
    network = FusionNetwork.branches({"A": 3, "B": 4 if pair[0] == "A" else 2})
    plane = portrait(network, data, pair, modes=modes, points=6)
    assert plane.modalities == (f"{pair[0]} {modes[0]}", f"{pair[1]} {modes[1]}")
    assert plane.note == MODES
    parts = []
    for m, number in zip(pair, modes, strict=True):
        left, _, right = np.linalg.svd(data.target_block(m))
        parts.append((m, left[:, number - 1], right[number - 1]))
    for row, column in ((1, 2), (4, 5), (5, 0)):
        place = plane.axes[0][column], plane.axes[1][row]
        weights, total = {}, {}
        for m in "AB":
            depth = network.depths[m]
            own = [(w, u, v) for w, (n, u, v) in zip(place, parts, strict=True) if n == m]
            sizes = np.diag([abs(w) ** (1 / depth) for w, _, _ in own])
            first = sizes @ np.array([v for _, _, v in own]).reshape(-1, data.sizes[m])
            last = np.array([np.sign(w) * u for w, u, _ in own]).reshape(-1, 3).T @ sizes
            weights[m] = [first, *[sizes] * (depth - 2), last]
            total[m] = sum((w * np.outer(u, v) for w, u, v in own), np.zeros((3, data.sizes[m])))
        weights["trunk"] = []
        moved = law.flow(network, weights, law.errors(data, total))
        shifted = {
            name: [w + 1e-30j * v for w, v in zip(layers, moved[name], strict=True)] for name, layers in weights.items()
        }
        change = law.total_weights(network, shifted)
        for axis, (m, u, v) in enumerate(parts):
            expected = float(u @ change[m].imag @ v) / 1e-30
            assert plane.velocity[axis, row, column] == pytest.approx(expected, rel=1e-9)


def test_a_run_of_uncorrelated_modes_follows_their_plane() -> None:
    """Whitened data of two modes: nothing leads out of the plane, and training ends where the plane does."""
    data = Correlations(np.eye(4), [[2, 0, 0.5, 0], [0, 1, 0, 1.5]], {"A": 2, "B": 2})
    run = integrate_reduced(LATE, data, u0=1e-3)
    plane = portrait(LATE, data, modes=(1, 1), runs=[run], points=9)
    assert [p.name for p in plane.points] == ["M_0", "M_A 1", "M_B 1", "M_A 1+B 1"]
    assert [p.kind.name for p in plane.points] == ["SOURCE", "SADDLE", "SADDLE", "REST"]
    assert plane.paths[0][-1] == pytest.approx(plane.points[-1].position, rel=2e-3)  # a run ends where the loss does
    moves = np.diff(plane.paths[0], axis=0)
    assert np.all(moves > -1e-9)  # and there is no turning
    (panel,) = plane.plot()
    assert panel.get_xlabel() == f"total weight of A 1\n({MODES})"
    assert "rest of these modes" in [text.get_text() for text in panel.get_legend().get_texts()]


def test_the_figure_shows_what_it_must() -> None:
    run = integrate(LATE, DATA, u0=1e-6, width=5)
    (panel,) = portrait(LATE, DATA, runs=[run]).plot()
    assert panel.get_xlabel() == "total weight of A"
    assert panel.get_ylabel() == "total weight of B"
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert labels == [
        "global minimum",
        "saddle",
        "nothing learned",
        "A stands still",
        "B stands still",
        "run, random start",
    ]
    marks = [text.get_text() for text in panel.texts]
    assert sum("mathcal" in mark for mark in marks) == 4
    _, ax = plt.subplots()
    plane = portrait(EARLY, DATA, points=9)
    draw_portrait(ax, plane)
    assert [line.get_label() for line in legend(plane) if line.get_label() != " "] == [
        "global minimum", "nothing learned", "A stands still", "B stands still",
    ]  # fmt: skip
    before = len(ax.lines)
    plane.draw_on(ax)
    assert len(ax.lines) > before
    plt.close(ax.figure)
    named = load_example("star98")
    assert portrait(FusionNetwork.fused_at(2, 2, named.modalities), named, points=9).plot()[0].lines


def test_runs_of_one_label_share_a_style_and_the_legend_shows_each() -> None:
    runs = [integrate(LATE, DATA, width=5, seed=seed) for seed in (0, 1)] + [integrate_reduced(LATE, DATA)]
    plane = portrait(LATE, DATA, runs=runs, points=9)
    colours = [line.get_color() for line in plane.plot()[0].lines if len(line.get_xdata()) > 10]
    assert len(colours) == 3
    shown = {line.get_label(): line.get_color() for line in legend(plane)}
    assert colours == [shown["run, random start"]] * 2 + [shown["run, aligned start"]]


@pytest.mark.parametrize("names", [("a_b", "c d"), ("x$y", "50%"), ("a{", "b\\c"), ("é", "ß")])
def test_any_name_of_a_modality_can_be_drawn(names: tuple[str, str], tmp_path) -> None:
    data = Correlations([[4, 1], [1, 1]], [5, 2], dict.fromkeys(names, 1))
    portrait(FusionNetwork.fused_at(2, 2, names), data, points=9).plot()[0].figure.savefig(tmp_path / "named.png")


def test_refusals() -> None:
    with pytest.raises(DomainError, match=r"modalities must be two of A, B, got \('A', 'X'\)"):
        portrait(LATE, DATA, ("A", "X"))
    together = FusionNetwork.branches({"A": 1, "B": 1, "C": 2}, trunk=1)
    data = random_correlations(np.random.default_rng(0), {"A": 1, "B": 1, "C": 1})
    with pytest.raises(DomainError, match="B has one layer before a fusion: its weight moves"):
        portrait(together, data, ("A", "C"))
    with pytest.raises(DomainError, match="modalities must be two of A, B, got 5"):
        portrait(LATE, DATA, 5)
    with pytest.raises(DomainError, match="runs must be a list of trajectories, got int"):
        portrait(LATE, DATA, runs=3)
    several = random_correlations(np.random.default_rng(0), {"A": 3, "B": 2}, outputs=2)
    with pytest.raises(DomainError, match="a portrait is of late fusion: layers after a fusion mix the modes"):
        portrait(EARLY, several)
    with pytest.raises(DomainError, match="modes must be an integer <= 2, got 3"):
        portrait(LATE, several, modes=(1, 3))
    with pytest.raises(DomainError, match=r"modes must be two of A, got \(1, 1\)"):
        portrait(LATE, several, ("A", "A"), modes=(1, 1))
    with pytest.raises(DomainError, match="modes must be two numbers, got 1"):
        portrait(LATE, several, modes=1)
    with pytest.raises(DomainError, match="A has one layer before a fusion: all of its modes move"):
        portrait(FusionNetwork.branches({"A": 1, "B": 2}), several)
    with pytest.raises(DomainError, match="B has no mode to draw: its Sigma_yx is zero"):
        portrait(LATE, Correlations(np.eye(2), [[1, 0], [2, 0]], {"A": 1, "B": 1}))
    with pytest.raises(DomainError, match="modes are of several outputs, got one"):
        portrait(LATE, DATA, modes=(1, 1))
    with pytest.raises(DomainError, match="knows no weight_decay"):
        portrait(LATE, several, recipe=Recipe(weight_decay=0.1))
    with pytest.raises(DomainError, match="numbers for sigma and sigma_yx"):
        portrait(LATE, Correlations.symbolic({"A": 1, "B": 1}))
    with pytest.raises(DomainError, match="points must be an integer >= 5, got 2"):
        portrait(LATE, DATA, points=2)
    silent = Correlations(np.diag([1.0, 1.0, 1.0]), [0, 0, 1.0], {"A": 2, "B": 1})
    with pytest.raises(DomainError, match="A has no unimodal solution to draw along"):
        portrait(LATE, silent)
    nested = FusionNetwork.tree(0, Chain(2, "A"), Chain(2, "B"))
    with pytest.raises(DomainError, match="runs must have modalities A, B"):
        portrait(nested, DATA, runs=[integrate(FusionNetwork.fused_at(2, 2, ("A", "B", "C")), data, u0=0.1, width=2)])
