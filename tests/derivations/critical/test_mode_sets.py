"""Several outputs: critical points from random weights, each on a listed manifold, its signature that of a Hessian.

Points are solved and Hessians differenced by code that shares nothing with the laws (tests/critical_points.py).
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy as sp

from derivations import Chain, Correlations, DomainError, FusionNetwork, fixed_points
from derivations.critical.escape import Kind
from derivations.critical.mode_paths import paths_of, weights_of
from derivations.critical.mode_ranks import rank_families, ranks_at
from derivations.critical.mode_sets import ModeManifold
from derivations.critical.signature import signature
from derivations.flow import gradient_flow as law
from derivations.network import layer_shapes
from tests.cases import SOAK, random_correlations
from tests.critical_points import counts, critical_by_least_squares, hessian

LATE, EARLY = FusionNetwork.fused_at(2, 2), FusionNetwork.fused_at(2, 1)
#: Modes 3, 1 of A and 4, 2 of B.
PLAIN = Correlations(np.diag([1.0, 1, 2, 2]), [[3, 0, 0, 2.0], [0, 1, 4, 0]], {"A": 2, "B": 2})


def signs(network: FusionNetwork, data: Correlations, weights) -> tuple[int, int, int]:
    found, rounding = hessian(network, data, weights)
    return counts(np.linalg.eigvalsh(found), rounding)


def nearest(manifolds, data: Correlations, network: FusionNetwork, weights) -> tuple[ModeManifold, float]:
    """The manifold with the nearest outputs, and how far it is as a share of the best output."""
    total = law.total_weights(network, weights)
    gaps = [np.hstack([m.total[x] - total[x] for x in data.modalities]) @ data.root for m in manifolds]
    sizes = [float(np.linalg.norm(gap)) for gap in gaps]
    i = int(np.argmin(sizes))
    return manifolds[i], sizes[i] / float(np.linalg.norm(data.optimum @ data.root))


def problem(rng: np.random.Generator) -> tuple[FusionNetwork, Correlations, int]:
    """One to three modalities, late or early, two or three outputs, correlated or not, width 1 to 4."""
    early, modalities, outputs = rng.random() < 0.3, int(rng.choice([1, 2, 2, 3])), int(rng.integers(2, 4))
    largest = 3 if modalities < 3 and outputs < 3 else 2
    sizes = {m: int(rng.integers(1, largest + 1)) for m in "ABC"[:modalities]}
    network = FusionNetwork.fused_at(2, 1 if early else 2, tuple(sizes))
    return network, random_correlations(rng, sizes, outputs, float(rng.random() < 0.6)), int(rng.integers(1, 5))


PROBLEMS = [
    (LATE, random_correlations(np.random.default_rng(0), {"A": 2, "B": 2}, 2), 2),
    (EARLY, random_correlations(np.random.default_rng(1), {"A": 1, "B": 2}, 2), 2),
    (FusionNetwork.fused_at(2, 2, tuple("ABC")), random_correlations(
        np.random.default_rng(2), {"A": 1, "B": 2, "C": 1}, 3, 0.0), 1),
]  # fmt: skip


def test_every_critical_point_lies_on_a_listed_manifold_and_has_its_signature() -> None:
    """30 points of three problems; 300 problems in `make long`.

    What is listed in closed form lacks nothing. Of points with two correlated modalities each learned in part, searched
    in numbers, a few may be missing: their ranks are those of a family all the same.
    """
    cases = (
        ((*problem(rng), rng) for rng in (np.random.default_rng([7, k]) for k in range(300)))
        if SOAK
        else ((*PROBLEMS[k % 3], np.random.default_rng([8, k])) for k in range(30))
    )
    listed, seen, searched, missing = {}, 0, 0, 0
    for network, data, width, rng in cases:
        weights = critical_by_least_squares(rng, network, data, width)
        if weights is None:
            continue
        found = signature(network, data, weights)
        assert signs(network, data, weights) == (found.negative, found.zero, found.positive)
        ranks = ranks_at(network, data, weights)
        if id(data) not in listed:
            listed[id(data)] = fixed_points(network, data, width), rank_families(network, data, width), data
        manifolds, families, _ = listed[id(data)]
        assert any(family.ranks == ranks for family in families)
        manifold, gap = nearest(manifolds, data, network, weights)
        seen, searched = seen + 1, searched + (gap > 1e-6 or not manifold.exact)
        if gap > 1e-6:
            most = [min(data.outputs, len(path.columns(data))) for path in paths_of(network)]
            assert sum(0 < k < m for k, m in zip(ranks.values(), most, strict=True)) > 1
            assert not all(m.exact for m in manifolds)
            missing += 1
            continue
        assert manifold.ranks == ranks
        assert found.zero >= manifold.zero
    assert seen > (290 if SOAK else 28)
    assert searched > (5 if SOAK else 0)
    assert missing <= 0.2 * searched


@pytest.mark.parametrize(("network", "data", "width"), PROBLEMS)
def test_points_of_every_stratum_are_critical_and_counted_right(network, data, width: int) -> None:
    for manifold in fixed_points(network, data, width):
        for stratum in manifold.strata:
            point = stratum.point(3)
            total = law.total_weights(network, point)
            velocity = law.flow(network, point, law.errors(data, total))
            assert max(np.max(np.abs(v)) for layers in velocity.values() for v in layers) < 1e-10
            assert law.loss(data, total) == pytest.approx(manifold.loss, rel=1e-9, abs=1e-12)
            assert signs(network, data, point) == (stratum.negative, stratum.zero, stratum.positive)
            assert stratum.zero == stratum.dimension  # nothing is degenerate
            assert len(stratum.proof) >= len(paths_of(network))
        assert manifold.dimension == max(s.dimension for s in manifold.strata)
        assert (manifold.kind is Kind.MINIMUM) is (manifold.negative == 0)


def test_narrow_layers_have_a_stratum_for_each_pair_of_ranks() -> None:
    """K = d = 3, nothing of four dimensions learned: r + s = h. Dimensions against the null space at each."""
    data = Correlations(np.eye(6), np.hstack([np.diag([3.0, 0, 0]), np.diag([0, 2.0, 0])]), {"A": 3, "B": 3})
    nothing = fixed_points(LATE, data, 3)[0]
    assert [s.ranks for s in nothing.strata] == list(itertools.product([(1, 2), (2, 1)], repeat=2))
    for stratum in nothing.strata:
        assert signs(LATE, data, stratum.point(1)) == (stratum.negative, stratum.dimension, stratum.positive)


def test_modes_of_uncorrelated_modalities_are_those_of_baldi_and_hornik() -> None:
    """All subsets, W = P Sigma_yx Sigma^-1; negative: p (h - k), and one for each stronger mode that is not learned."""
    found = {m.name: m for m in fixed_points(LATE, PLAIN, 3)}
    assert len(found) == 16
    assert {"M_0", "M_A", "M_B", "M_A1", "M_A2,B1", "M_A,B2", "M_B,A1", "M_*"} <= set(found)
    assert next(iter(found)) == "M_0"
    assert list(found)[-1] == "M_*"
    assert all(m.exact for m in found.values())
    np.testing.assert_allclose(found["M_A1,B1"].total["A"], [[3, 0], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(found["M_A1,B1"].total["B"], [[0, 0], [2, 0]], atol=1e-12)
    for name, negative in {"M_0": 12, "M_A1": 8, "M_A2": 9, "M_A1,B1": 8 - 4, "M_A2,B2": 4 + 2, "M_A": 6}.items():
        assert found[name].negative == negative, name
    assert found["M_A1"].rates == pytest.approx((4, 2, 1))
    turning = found["M_A2"].rates  # 3 takes the place of 1: the pair (s_i, s_j) of 162, balanced layers of norm 1
    assert turning == pytest.approx((4, 3, 2))
    assert [str(way) for way in found["M_A2"].escapes].count("modes of A turn at the rate 2") == 1


def test_rates_are_the_negative_eigenvalues_where_training_comes_from() -> None:
    """Balanced, free hidden units zero: correlated, two modalities."""
    network, data, _ = PROBLEMS[0]
    for manifold in fixed_points(network, data, 3):
        layers = {}
        for part in manifold.parts:
            u, sizes, v = np.linalg.svd(manifold.total[part.path.name])
            sizes = np.where(np.arange(len(sizes)) < part.rank, sizes, 0.0)
            top, bottom = np.zeros((2, 3)), np.zeros((3, 2))
            top[:, :2], bottom[:2] = u * np.sqrt(sizes), np.sqrt(sizes)[:, None] * v
            layers[part.path.name] = [bottom, top]
        values = np.linalg.eigvalsh(hessian(network, data, weights_of(network, data, layers))[0])
        distinct: list[float] = []
        for value in -values[values < -1e-6]:
            distinct += [value] if not distinct or value < distinct[-1] * (1 - 1e-5) else []
        np.testing.assert_allclose(distinct, manifold.rates, rtol=1e-5)


def test_counts_in_h_are_the_numbers_for_wide_layers() -> None:
    network, data, _ = PROBLEMS[0]
    width = sp.Symbol("h", integer=True, positive=True)
    for general, one in zip(fixed_points(network, data), fixed_points(network, data, 4), strict=True):
        assert general.name == one.name
        for count in ("dimension", "negative", "zero", "positive"):
            assert sp.sympify(getattr(general, count)).subs(width, 4) == getattr(one, count)
        total = sum(a * b for layers in layer_shapes(network, data.sizes, 2, 4).values() for a, b in layers)
        assert one.negative + one.zero + one.positive == total


def test_units_of_the_inputs_change_no_count() -> None:
    network, data, width = PROBLEMS[0]
    other = data.rescaled({"A": 1e4, "B": 1e-3})
    for one, two in zip(fixed_points(network, data, width), fixed_points(network, other, width), strict=True):
        assert (one.name, one.dimension, one.ranks) == (two.name, two.dimension, two.ranks)
        assert one.loss == pytest.approx(two.loss, rel=1e-8, abs=1e-9)
        found = signature(network, other, two.strata[0].point(0))
        assert (one.negative, one.zero, one.positive) == (found.negative, found.zero, found.positive)


def test_paths_of_one_layer_and_nested_early_fusion_are_listed() -> None:
    nested = FusionNetwork.tree(0, Chain(1, (Chain(1, "A"), Chain(1, "B"))), Chain(2, "C"))
    for network, count in ((FusionNetwork.branches({"A": 1, "B": 2}), 4), (nested, 16)):
        data = random_correlations(np.random.default_rng(3), dict.fromkeys(network.modalities, 2), 2, 0.0)
        found = fixed_points(network, data, 3)
        assert len(found) == count
        assert all(m.exact for m in found)
        for manifold in found[1::4]:
            for stratum in manifold.strata:
                point = stratum.point(1)
                assert signs(network, data, point) == (stratum.negative, stratum.zero, stratum.positive)
                assert stratum.dimension == stratum.zero


def test_names_are_unique_and_read_well() -> None:
    """Letters, words and a name that ends with a number."""
    for names in (("A", "B"), ("cam", "mic"), ("A1", "B")):
        data = Correlations(PLAIN.sigma, PLAIN.sigma_yx, dict.fromkeys(names, 2))
        found = [m.name for m in fixed_points(FusionNetwork.fused_at(2, 2, names), data)]
        assert len(set(found)) == 16
    assert "M_A1,B:2" in found
    assert "M_A1:1,B:2" in found
    assert [m.name for m in fixed_points(EARLY, PLAIN)] == ["M_0", "M_1", "M_2", "M_*"]


def test_a_width_below_the_outputs_leaves_the_lowest_as_the_last() -> None:
    found = fixed_points(EARLY, PLAIN, 1)
    assert [(m.name, m.negative) for m in found] == [("M_0", 2), ("M_2", 1), ("M_*", 0)]
    assert found[-1].rates == ()
    assert found[-1].kind is Kind.MINIMUM


@pytest.mark.parametrize("depths", [{"A": 3, "B": 3}, {"A": 2, "B": 3}, {"A": 4, "B": 1}])
def test_deeper_paths_at_quiet_points(depths: dict[str, int]) -> None:
    """Layers of which the last and the first carry nothing of the error; inner ones of any rank, on two seeds.

    At the balanced saddles (no surplus) nothing that is not learned has a negative direction from three layers on.
    """
    network = FusionNetwork.branches(depths)
    data = random_correlations(np.random.default_rng(5), {"A": 2, "B": 2}, 2, 0.7)
    shallow = FusionNetwork.branches({m: min(n, 2) for m, n in depths.items()})
    manifolds = fixed_points(shallow, data, 3)
    for manifold, surplus in itertools.product(manifolds if SOAK else manifolds[2::5], (False, True)):
        layers = {}
        for part in manifold.parts:
            layers[part.path.name] = deepened(manifold, part, depths[part.path.name], surplus)
        point = weights_of(network, data, layers)
        found = signature(network, data, point)
        assert signs(network, data, point) == (found.negative, found.zero, found.positive)
        if min(depths.values()) > 2 and not surplus:
            assert found.negative == manifold.strata[0]._rest.negative


def deepened(manifold: ModeManifold, part, depth: int, surplus: bool) -> list[np.ndarray]:
    """Balanced layers of width 3 with the same product; with surplus, a unit that only the inner layers use."""
    if depth == 1:
        return [manifold.total[part.path.name]]
    u, sizes, v = np.linalg.svd(manifold.total[part.path.name])
    root = np.diag([*(sizes[: part.rank] ** (1 / depth)), *[0.0] * (3 - part.rank)])
    inner = root + np.diag([0, 0, 1.0]) * surplus
    return [(root[:, :2] @ v), *[inner] * (depth - 2), u @ root[:2]]


TREE = FusionNetwork.tree(1, Chain(2, "A"), Chain(1, (Chain(2, "B"), Chain(1, "C"))))


@pytest.mark.parametrize("network", [FusionNetwork.fused_at(3, 2), FusionNetwork.fused_at(4, 2), TREE])
def test_shared_layers_at_saddles_with_free_units(network: FusionNetwork) -> None:
    """A alone learned in part or whole, balanced through the trunk; two of four units free, all weights of others zero.

    The trunk passes what A has learned on to the error of the others: they have negative directions where late fusion
    of as many layers has none.
    """
    data = random_correlations(np.random.default_rng(4), dict.fromkeys(network.modalities, 2), 3)
    names = [c for c in ("A", "trunk") if network.chains[c].depth]
    depth = sum(network.chains[c].depth for c in names)
    for rank in (0, 1, 2):
        target, sigma = data.target_block("A"), data.input_block("A", "A")
        root = np.linalg.cholesky(sigma)
        u, sizes, v = np.linalg.svd(np.linalg.solve(root, target.T).T, full_matrices=False)
        left, norms, right = np.linalg.svd((u[:, :rank] * sizes[:rank]) @ np.linalg.solve(root.T, v[:rank].T).T)
        scale = np.zeros((4, 4))
        scale[range(rank), range(rank)] = norms[:rank] ** (1 / depth)
        layers = [scale[:, :2] @ right, *[scale] * (depth - 2), left @ scale[:3]]
        shapes = layer_shapes(network, data.sizes, 3, 4)
        point = {c: [np.zeros(shape) for shape in own] for c, own in shapes.items()}
        for name in names:
            point[name], layers = layers[: len(point[name])], layers[len(point[name]) :]
        found = signature(network, data, point)
        assert signs(network, data, point) == (found.negative, found.zero, found.positive)
        assert (found.negative > 0) is (rank > 0)


def test_refusals_are_one_line_each() -> None:
    two = random_correlations(np.random.default_rng(0), {"A": 1, "B": 1}, outputs=2)
    with pytest.raises(DomainError, match="are listed for two layers, A has 3: only the signature is known there"):
        fixed_points(FusionNetwork.fused_at(3, 3), two)
    with pytest.raises(DomainError, match="listed for early and late fusion: A has layers of its own before the trunk"):
        fixed_points(FusionNetwork.fused_at(3, 2), two)
    tree = FusionNetwork.tree(0, Chain(1, (Chain(1, "A"), Chain(1, "B"))))
    assert [path.name for path in paths_of(tree)] == ["A+B"]
    alike = Correlations(np.eye(2), np.eye(2), {"A": 2})
    with pytest.raises(DomainError, match="modes 1 and 2 of A are equally strong: their mixtures are critical as well"):
        fixed_points(FusionNetwork.fused_at(2, 2, ("A",)), alike)
    many = random_correlations(np.random.default_rng(0), {"A": 12, "B": 12}, outputs=12)
    with pytest.raises(DomainError, match="16777216 subsets of modes are more than 2000 that can be listed: rank_fam"):
        fixed_points(LATE, many)
    assert len(rank_families(LATE, many)) == 13 * 13
    flat = Correlations(np.ones((2, 2)), np.ones((2, 2)), {"A": 1, "B": 1})
    with pytest.raises(DomainError, match="need an invertible sigma"):
        fixed_points(LATE, flat)
    wrong = {m: [np.ones((2, 1)), np.ones((2, 2))] for m in "AB"} | {"trunk": []}
    with pytest.raises(DomainError, match=r"not critical: the gradient of weights\['A'\]\[0\] is not zero"):
        signature(LATE, two, wrong)
    shared = FusionNetwork.fused_at(3, 2)
    wide = {m: [np.zeros((30, 1)), np.zeros((30, 30))] for m in "AB"} | {"trunk": [np.zeros((2, 30))]}
    assert signature(shared, two, wide).zero == sum(w.size for layers in wide.values() for w in layers)
    wide["A"][1], wide["B"][1] = (np.random.default_rng(i).normal(size=(30, 30)) for i in range(2))
    with pytest.raises(DomainError, match="1920 weights are left, more than 800: too many for a signature of shared"):
        signature(shared, two, wide)
