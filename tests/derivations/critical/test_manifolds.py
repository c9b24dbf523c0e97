"""Critical manifolds: names, equations, proofs, counts, ways out; the printed sets beside them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy as sp

from derivations import Chain, Correlations, DomainError, FusionNetwork, SolveError, fixed_points, ledger
from derivations.algebra.matrices import Y_A, Y_B
from derivations.algebra.ordered_products import T, layer, same
from derivations.critical.escape import EscapeLaw, Kind
from derivations.critical.manifolds import count_weights
from derivations.critical.printed_sets import printed_sets
from derivations.critical.signature import signature
from derivations.critical.strata import Case, Dead
from derivations.critical.stratum_points import flat
from derivations.critical.stratum_words import vanishing
from derivations.flow import gradient_flow as law
from derivations.network import layer_shapes
from tests.cases import SOAK, random_correlations, random_tree
from tests.critical_points import counts, hessian, random_layers_of_order_one

DATA = Correlations.scalar(2, 1, 0.5)
TREE = FusionNetwork.tree(1, Chain(3, "A"), Chain(2, (Chain(1, "B"), Chain(2, "C"))))


def named(*arguments, **options) -> dict:
    return {manifold.name: manifold for manifold in fixed_points(*arguments, **options)}


def test_the_flow_vanishes_and_the_loss_is_constant_on_every_stratum_of_random_trees() -> None:
    rng = np.random.default_rng(0)
    for _ in range(25 if SOAK else 10):
        network = random_tree(rng, int(rng.integers(1, 4)), 3)
        data = random_correlations(rng, {m: int(rng.integers(1, 4)) for m in network.modalities})
        for manifold in fixed_points(network, data, int(rng.integers(1, 5))):
            for stratum in manifold.strata[:6]:
                point = stratum.point(rng)
                total = law.total_weights(network, point)
                velocity = flat(law.flow(network, point, law.errors(data, total)))
                size = max(1.0, float(np.max(np.abs(flat(point))))) ** 7
                assert np.max(np.abs(velocity)) < 1e-11 * size
                assert law.loss(data, total) == pytest.approx(manifold.loss, rel=1e-9, abs=1e-9)
                assert stratum.dimension == stratum.tangent_space(point).shape[1]
                assert len(stratum.proof) == sum(len(layers) for layers in point.values())


@pytest.mark.parametrize(("network", "modalities"), [
    (FusionNetwork.fused_at(2, 2), "AB"), (FusionNetwork.fused_at(4, 2), "AB"), (TREE, "ABC"),
    (FusionNetwork.fused_at(3, 3, ("A", "B", "C")), "ABC"),
])  # fmt: skip
def test_expressions_in_the_width_are_the_numbers(network: FusionNetwork, modalities: str) -> None:
    data = random_correlations(np.random.default_rng(1), {m: i + 1 for i, m in enumerate(modalities)})
    h = sp.Symbol("h", integer=True, positive=True)
    general = fixed_points(network, data)
    for width in (1, 2, 5) if SOAK else (1, 5):
        for any_width, one in zip(general, fixed_points(network, data, width), strict=True):
            assert any_width.name == one.name
            for count in ("dimension", "negative", "zero", "positive"):
                assert sp.sympify(getattr(any_width, count)).subs(h, width) == getattr(one, count)
            assert one.negative + one.zero + one.positive == _weights(network, data, width)
        assert count_weights(network, data.sizes, h).subs(h, width) == _weights(network, data, width)


def _weights(network: FusionNetwork, data: Correlations, width: int) -> int:
    shapes = layer_shapes(network, data.sizes, 1, width)
    return sum(out * into for layers in shapes.values() for out, into in layers)


def test_dimensions_of_two_layer_networks_are_those_of_the_theory() -> None:
    """Late: sum_S (h(d + 1) - d) + sum_(not S) h(d - 1). Early: M_0 h(D - 1), M_* h(D + 1) - D."""
    h, sizes = sp.Symbol("h", integer=True, positive=True), {"A": 2, "B": 3, "C": 1}
    data = random_correlations(np.random.default_rng(2), sizes)
    found = fixed_points(FusionNetwork.fused_at(2, 2, ("A", "B", "C")), data)
    assert len(found) == 8
    for manifold in found:
        expected = sum(h * (d + 1) - d if m in manifold.learned else h * (d - 1) for m, d in sizes.items())
        assert sp.expand(manifold.dimension - expected) == 0
        assert manifold.name == {0: "M_0", 3: "M_*"}.get(len(manifold.learned), "M_" + "".join(manifold.learned))
    early = named(FusionNetwork.fused_at(2, 1, ("A", "B", "C")), data)
    assert list(early) == ["M_0", "M_*"]
    assert sp.expand(early["M_0"].dimension - 5 * h) == 0
    assert sp.expand(early["M_*"].dimension - (7 * h - 6)) == 0


def test_equations_are_those_that_the_ledger_derives_for_the_printed_sets() -> None:
    """(6), (7), (17), (19): found by search here, from the flow (16), (18) there; compared word by word."""
    book = ledger()
    late, early = named(FusionNetwork.fused_at(2, 2)), named(FusionNetwork.fused_at(2, 1))
    for manifold, number in (
        (late["M_0"], "19a"), (late["M_A"], "7a"), (late["M_B"], "7b"), (late["M_*"], "6b"), (early["M_*"], "17b")
    ):  # fmt: skip
        derived = book[number].general[-1]
        gaps = [line.lhs - line.rhs for line in derived]
        for line in manifold.equations:
            assert any(same(line.lhs - line.rhs, gap) for gap in gaps), (number, line)
        assert len(derived) == len(manifold.equations)
    first, second = early["M_0"].equations  # early fusion reads [x_A; x_B]: W^1 Sigma_yx^T is the sum of its blocks
    assert same(first.lhs, layer("W", 2))
    assert same(second.lhs, layer("W_A", 1) * T(Y_A) + layer("W_B", 1) * T(Y_B))
    assert [str(line.lhs) for line in book["17a"].general[0]] == ["W[2]", "W[1]*transpose(Sigma_yx)"]


@pytest.mark.parametrize(("number", "misses", "wrong"), [
    ("6a", True, False), ("7a", False, True), ("7b", False, True), ("17a", True, False), ("19a", True, False),
    ("20a", True, True), ("20b", True, True), ("6b", False, False), ("17b", False, False), ("19b", False, False),
])  # fmt: skip
def test_what_each_printed_set_misses_and_wrongly_contains(number: str, misses: bool, wrong: bool) -> None:
    """Points of the right set that are not in the printed one, and points of the printed one that are not critical."""
    found = [row for row in printed_sets() if row.number == number]
    assert found
    assert any(row.misses for row in found) is misses
    assert any(row.wrong for row in found) is wrong


def test_a_case_that_is_not_critical_has_no_proof() -> None:
    """A planted fault: only A is declared dead, B neither dead nor learned; and a silence in the wrong place."""
    network = FusionNetwork.fused_at(2, 2)
    with pytest.raises(SolveError, match="does not vanish on the stratum"):
        vanishing(network, Case((), (Dead(("A", 2), (("A", 1),), ("A",)),)))
    deep = FusionNetwork.fused_at(3, 3)
    good = Dead(("B", 3), (("B", 1),), ("B",))
    assert vanishing(deep, Case(("A",), (good,)))
    with pytest.raises(SolveError, match="does not vanish"):
        vanishing(deep, Case(("A",), (Dead(("B", 3), (), ("B",)),)))


@pytest.mark.parametrize(("depth", "fusion_depth"), [(2, 1), (2, 2), (3, 2), (4, 2)])
def test_rates_are_eigenvalues_of_the_hessian_where_training_comes_from(depth: int, fusion_depth: int) -> None:
    """Vector inputs: at balanced M_S with the other weights zero, the distinct negative eigenvalues, times -1."""
    from derivations.critical.escape import balanced_norms

    network = FusionNetwork.fused_at(depth, fusion_depth, ("A", "B", "C"))
    data = random_correlations(np.random.default_rng(7), {"A": 2, "B": 1, "C": 3})
    for manifold in fixed_points(network, data, 2):
        sizes = {m: float(np.linalg.norm(w)) for m, w in manifold.total.items()}
        norms = balanced_norms(network, sizes)
        unit = np.array([0.6, 0.8])
        point: dict[str, list[np.ndarray]] = {}
        for name, layers in layer_shapes(network, data.sizes, 1, 2).items():
            point[name] = []
            for i, (out, into) in enumerate(layers):
                left = unit if out == 2 else np.ones(1)
                right = unit if i > 0 or name == "trunk" else manifold.total[name][0] / (sizes[name] or 1.0)
                point[name].append(norms[name] * np.outer(left, right[:into]))
        total = law.total_weights(network, point)
        for m in "ABC":
            np.testing.assert_allclose(total[m], manifold.total[m], atol=1e-12)
        found, rounding = hessian(network, data, point)
        values = np.linalg.eigvalsh(found)
        zero = max(100 * rounding, 1e-7)
        distinct = [g[0] for g in _grouped(-values[values < -zero])]
        if depth > 2 and not manifold.learned:
            assert manifold.degenerate
            assert not distinct
        np.testing.assert_allclose(distinct, manifold.rates, rtol=1e-4)
        assert manifold.kind is (Kind.SADDLE if len(manifold.learned) < 3 else Kind.MINIMUM)


def _grouped(values: np.ndarray) -> list[list[float]]:
    groups: list[list[float]] = []
    for value in np.sort(values)[::-1].tolist():
        if groups and value > groups[-1][0] * (1 - 1e-4):
            groups[-1].append(value)
        else:
            groups.append([value])
    return groups


def test_deep_late_fusion_is_degenerate_and_leaves_algebraically() -> None:
    found = named(FusionNetwork.fused_at(4, 3), DATA, 3)
    (way,) = found["M_A"].escapes
    assert (way.law, way.layers, way.modalities) == (EscapeLaw.ALGEBRAIC, 3, ("B",))
    assert way.speed == pytest.approx(0.75 * 1.25**0.25, rel=1e-12)  # r U^q
    assert found["M_A"].rates == ()
    assert found["M_A"].degenerate
    assert not found["M_*"].degenerate


def test_symbols_and_numbers_agree() -> None:
    """Rates, losses and weights of symbolic Sigma, with numbers put in."""
    for network in (FusionNetwork.fused_at(2, 2), FusionNetwork.fused_at(4, 2), FusionNetwork.fused_at(3, 1)):
        symbols = Correlations.symbolic({"A": 1, "B": 1})
        values = dict(zip(symbols.sigma, DATA.sigma.ravel(), strict=True))
        values |= dict(zip(symbols.sigma_yx, DATA.sigma_yx, strict=True)) | {symbols.sigma_yy: float(DATA.sigma_yy)}
        for general, one in zip(fixed_points(network), fixed_points(network, DATA), strict=True):
            assert float(general.loss.subs(values)) == pytest.approx(one.loss, rel=1e-12)
            assert sorted(float(r.subs(values)) for r in general.rates) == pytest.approx(sorted(one.rates), rel=1e-12)
            for m in "AB":
                assert float(general.total[m][0, 0].subs(values) if general.learned else 0) == pytest.approx(
                    float(one.total[m][0, 0]), rel=1e-12
                )


def test_three_learned_at_once_share_a_trunk() -> None:
    """The closed form of the trunk's norm for equal depths against the numbers."""
    network = FusionNetwork.fused_at(4, 2, ("A", "B", "C"))
    symbols = Correlations.symbolic({"A": 1, "B": 1, "C": 1})
    data = random_correlations(np.random.default_rng(3), {"A": 1, "B": 1, "C": 1})
    values = dict(zip(symbols.sigma, data.sigma.ravel(), strict=True)) | dict(
        zip(symbols.sigma_yx, data.sigma_yx, strict=True)
    )
    general, one = named(network)["M_AB"], named(network, data)["M_AB"]
    assert float(general.rates[0].subs(values)) == pytest.approx(one.rates[0], rel=1e-10)


DEGENERATE = {
    "Sigma_yA = 0": Correlations([[2, 0], [0, 1]], [0, 1], {"A": 1, "B": 1}),
    "Sigma_yA = 0, correlated": Correlations([[2, 0.5], [0.5, 1]], [0, 1], {"A": 1, "B": 1}, 3.0),
    "collinear": Correlations([[4, 2], [2, 1]], [6, 3], {"A": 1, "B": 1}),
    "best weight of A zero": Correlations([[1, 0.3], [0.3, 1]], [0.51, 1.7], {"A": 1, "B": 1}),
    "more silent inputs than units": Correlations(np.eye(4), [1, 0, 0, 0], {"A": 1, "B": 3}),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_data_have_their_own_strata(name: str) -> None:
    """A modality whose error is zero may be alive or dead: points, signatures by ranks and by differences agree."""
    data = DEGENERATE[name]
    for (depth, fusion_depth), width in itertools.product(((2, 2), (3, 2), (2, 1), (3, 3)), (1, 2, 4)):
        network = FusionNetwork.fused_at(depth, fusion_depth)
        found = fixed_points(network, data, width)
        assert len({m.name for m in found}) == len(found)
        assert fusion_depth == 1 or any("residual" in note for m in found for note in m.notes)
        for manifold in found:
            assert 0 not in manifold.rates
            for stratum in manifold.strata:
                start = random_layers_of_order_one(np.random.default_rng(width), network, data.sizes, width)
                point = stratum.point(weights=start)
                velocity = law.flow(network, point, law.errors(data, law.total_weights(network, point)))
                assert np.max(np.abs(flat(velocity))) < 1e-11
                differences, rounding = hessian(network, data, point)
                expected = counts(np.linalg.eigvalsh(differences), rounding)
                assert (stratum.negative, stratum.zero, stratum.positive) == expected
                by_ranks = signature(network, data, point)
                assert (by_ranks.negative, by_ranks.zero, by_ranks.positive) == expected
                assert len(stratum.proof) == sum(len(layers) for layers in point.values())


def test_degenerate_data_are_named() -> None:
    collinear = named(FusionNetwork.fused_at(2, 2), DEGENERATE["collinear"], 2)
    assert list(collinear) == ["M_0", "M_*"]
    assert collinear["M_*"].dimension == 7  # one equation for both: rank one
    assert "W_tot*Sigma" in str(collinear["M_*"].equations)  # there is no inverse
    assert "sigma is singular" in " ".join(collinear["M_*"].notes)
    silent = named(FusionNetwork.fused_at(3, 2), DEGENERATE["Sigma_yA = 0"], 2)
    assert list(silent) == ["M_0", "M_*"]
    assert silent["M_*"].learned == ("B",)
    (way,) = silent["M_0"].escapes  # A's weights are zero: B has three layers to grow, not one
    assert (way.modalities, way.layers, way.speed) == (("B",), 3, 1.0)
    assert silent["M_0"].dimension == 10  # W^3 = 0 and B silenced: A may do what it likes
    with pytest.raises(DomainError, match="the residual of A is zero at M_0, where the strata depend on the width"):
        fixed_points(FusionNetwork.fused_at(3, 2), DEGENERATE["Sigma_yA = 0"])


def test_points_take_weights_and_move_them_least() -> None:
    (_, a_alone, *_) = fixed_points(FusionNetwork.fused_at(2, 2), DATA, 3)
    point = a_alone.strata[0].point(4)
    again = a_alone.strata[0].point(weights=point)
    for name in point:
        for one, other in itertools.zip_longest(point[name], again[name]):
            np.testing.assert_allclose(one, other, atol=1e-14)


def test_every_manifold_prints_and_refusals_name_the_value() -> None:
    for manifold in fixed_points(TREE):
        assert manifold.name in str(manifold)
        assert manifold._repr_html_().startswith("<pre>")
        for stratum in manifold.strata:
            assert "dimension" in str(stratum)
            assert stratum._repr_latex_().startswith("$$")
    with pytest.raises(DomainError, match="width must be a positive integer, got 0"):
        fixed_points(FusionNetwork.fused_at(2, 2), DATA, 0)
    with pytest.raises(DomainError, match="for early and late fusion"):
        fixed_points(FusionNetwork.fused_at(3, 2), random_correlations(np.random.default_rng(0), {"A": 1, "B": 1}, 2))
    with pytest.raises(DomainError, match="modalities of network and data differ"):
        fixed_points(FusionNetwork.fused_at(2, 2, ("X", "Y")), DATA)
    with pytest.raises(DomainError, match="a point needs a width"):
        fixed_points(FusionNetwork.fused_at(2, 2), DATA)[0].strata[0].point()
