"""The narrow network drawn from its own law: the same in distribution as drawing all weights and compressing."""

import itertools

import numpy as np
import pytest
from scipy.stats import ks_2samp

from dynamics import Correlations, DomainError, FusionNetwork, ensemble, integrate, random_weights
from dynamics.starts import start as start_module
from dynamics.starts.compression import compressed
from dynamics.starts.narrow_law import NarrowDraw
from tests.cases import SOAK, random_correlations, random_tree

DATA = Correlations.scalar(2, 1, 0.5)
SAMPLES = 150


@pytest.mark.parametrize("seed", range(8))
def test_shapes_are_those_of_compression(seed: int) -> None:
    """Random trees, vector inputs, narrow and wide: every layer of the narrow network, at each number of rounds."""
    rng = np.random.default_rng(seed)
    net = random_tree(rng, int(rng.integers(1, 5)))
    data = random_correlations(rng, {m: int(rng.integers(1, 4)) for m in net.modalities})
    width = int(rng.integers(2, 60))
    draw, wide = NarrowDraw(net, data, 0.3, width, 0), random_weights(net, data, 0.3, width=width, seed=0)
    for rounds in (1, 0, 2):  # fewer rounds after more are the same draw
        narrow = compressed(net, wide, rounds)
        assert {n: [w.shape for w in layers] for n, layers in draw.rounds(rounds).items()} == {
            n: [w.shape for w in layers] for n, layers in narrow.items()
        }


def test_more_rounds_extend_the_same_start() -> None:
    """Compressing the wider draw gives back the narrower one: total weights and all products agree."""
    net = FusionNetwork.fused_at(4, 3)
    draw = NarrowDraw(net, DATA, 0.3, 10**5, 1)
    wide, narrow = draw.rounds(2), draw.rounds(1)
    again = compressed(net, wide, 1)
    for name in narrow:
        for found, expected in zip(again[name], narrow[name], strict=True):
            assert found.shape == expected.shape
            np.testing.assert_allclose(
                np.linalg.svd(found, compute_uv=False), np.linalg.svd(expected, compute_uv=False), rtol=1e-9
            )


@pytest.mark.parametrize(("depth", "fused", "width"), [(2, 2, 30), (3, 1, 12), (4, 2, 40)] + [(4, 4, 30)] * SOAK)
def test_half_times_agree_in_distribution(depth: int, fused: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kolmogorov and Smirnov's test of t_A and of the ratio: 150 drawn in full, 150 from the law, other seeds.

    p > 1e-4 for each: eight tests with fixed seeds.
    """
    net, u0 = FusionNetwork.fused_at(depth, fused), 1e-3 if depth == 2 else 0.3
    wide = ensemble(net, DATA, u0=u0, width=width, seeds=range(SAMPLES))
    monkeypatch.setattr(start_module, "LARGEST_DRAWN", 1)
    narrow = ensemble(net, DATA, u0=u0, width=width, seeds=range(SAMPLES, 2 * SAMPLES))
    for one, other in ((wide.times["A"], narrow.times["A"]), (wide.ratio, narrow.ratio)):
        assert ks_2samp(one, other).pvalue > 1e-4
        assert np.std(other) == pytest.approx(np.std(one), rel=0.25)


def statistics(weights) -> list[float]:
    """Sizes that rotations of the hidden units leave alone: of every layer, of neighbours' products."""
    found = []
    for layers in weights.values():
        found += [float(np.linalg.norm(w)) for w in layers]
        found += [float(np.linalg.norm(high @ low)) for low, high in itertools.pairwise(layers)]
        found += [float(np.linalg.norm(low.T @ high.T @ high @ low)) for low, high in itertools.pairwise(layers)]
    return found


@pytest.mark.parametrize(("depth", "fused", "width"), [(4, 2, 7), (3, 1, 5)] + [(4, 4, 20)] * SOAK)
def test_layers_agree_in_distribution(depth: int, fused: int, width: int) -> None:
    """Two-sample tests of every layer and product after one round; p > 1e-5, though some thirty are made.

    Entries of one layer at 0.6 of their size are seen: p < 1e-9 for its norm.
    """
    net = FusionNetwork.fused_at(depth, fused)
    wide = np.array(
        [statistics(compressed(net, random_weights(net, DATA, 0.3, width=width, seed=s), 1)) for s in range(300)]
    )
    narrow = np.array([statistics(NarrowDraw(net, DATA, 0.3, width, s).rounds(1)) for s in range(300, 600)])
    for one, other in zip(wide.T, narrow.T, strict=True):
        assert ks_2samp(one, other).pvalue > 1e-5
    assert ks_2samp(wide[:, 1], 0.6 * narrow[:, 1]).pvalue < 1e-9


def test_the_first_layers_wishart_matrix() -> None:
    """Two layers, d = 3: W^T W of 1000 units, mean s^2 h and standard deviations of a Wishart matrix, 400 draws."""
    net = FusionNetwork.branches({"A": 2})
    data = Correlations(np.eye(3), [1.0, 2.0, 3.0], {"A": 3})
    draws = [NarrowDraw(net, data, 1.0, 1000, seed).rounds(0)["A"] for seed in range(400)]
    grams = np.array([first.T @ first for first, _ in draws]) * 3  # s^2 h = 1/3
    np.testing.assert_allclose(grams.mean(axis=0), np.eye(3), atol=4 * np.sqrt(2 / 1000 / 400))
    np.testing.assert_allclose(grams.std(axis=0), np.sqrt((1 + np.eye(3)) / 1000), rtol=0.2)
    totals = np.array([(second @ first)[0] for first, second in draws])
    np.testing.assert_allclose(totals.std(axis=0), np.sqrt(1 / 3000), rtol=0.15)


def test_a_million_units() -> None:
    """u0 = 0.1, (4, 4): t_A scales like ln(1 + 2h)/(2 u0^2), theory of random starts; one road, two runs agree."""
    net = FusionNetwork.fused_at(4, 4)
    medians = {
        h: ensemble(net, DATA, u0=0.1, width=h, seeds=30 if SOAK else 10).quantile(0.5).times["A"] for h in (100, 10**6)
    }
    assert medians[10**6] / medians[100] == pytest.approx(np.log1p(2e6) / np.log1p(200), rel=0.1)
    runs = ensemble(net, DATA, u0=0.1, width=10**6, seeds=[5])
    one = integrate(net, DATA, u0=0.1, width=10**6, seed=5)
    assert runs.times["A"][0] == pytest.approx(one.times["A"], rel=2e-4)
    with pytest.raises(DomainError, match="width must be at most 2000 to run in full, got 3000"):
        integrate(net, DATA, width=3000, exact=True)
