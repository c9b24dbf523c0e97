import pickle

import pytest
import sympy as sp

from derivations import Chain, DomainError, FusionNetwork


def test_fused_at_is_the_papers_network() -> None:
    net = FusionNetwork.fused_at(depth=4, fusion_depth=3)
    assert net.depths == {"A": 3, "B": 3}
    assert net.trunk.depth == 1
    assert list(net.chains) == ["A", "B", "trunk"]
    assert net.path("B") == ("B", "trunk")
    assert not net.is_early_fusion
    assert FusionNetwork.fused_at(4, 1).is_early_fusion
    assert FusionNetwork.fused_at(2, 2).trunk.depth == 0


def test_tree_names_inner_chains_after_their_modalities() -> None:
    net = FusionNetwork.tree(1, Chain(3, "A"), Chain(2, (Chain(1, "B"), Chain(2, "C"))))
    assert list(net.chains) == ["A", "B", "C", "B+C", "trunk"]
    assert net.path("C") == ("C", "B+C", "trunk")
    assert net.parents == {"A": "trunk", "B": "B+C", "C": "B+C", "B+C": "trunk"}


def test_depths_may_be_symbols() -> None:
    L, L_f = sp.symbols("L L_f", positive=True)
    net = FusionNetwork.fused_at(L, L_f)
    assert net.is_symbolic
    assert net.trunk.depth == L - L_f
    assert FusionNetwork.fused_at(sp.Integer(4), 2) == FusionNetwork.fused_at(4, 2)


def test_networks_are_values() -> None:
    net = FusionNetwork.branches({"A": 3, "B": 5}, trunk=2)
    assert pickle.loads(pickle.dumps(net)) == net
    assert hash(net) == hash(FusionNetwork.branches({"A": 3, "B": 5}, trunk=2))
    assert "<table>" in net._repr_html_()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: FusionNetwork.fused_at(2, 3), "fusion_depth must not exceed depth 2, got 3"),
        (lambda: FusionNetwork.fused_at(2, 0), "fusion_depth must be at least 1, got 0"),
        (lambda: FusionNetwork.fused_at(0, 1), "depth must be at least 1, got 0"),
        (lambda: FusionNetwork.fused_at(2.0, 2), "depth must be an integer, got 2.0"),
        (lambda: FusionNetwork.fused_at(2, True), "fusion_depth must be an integer, got True"),
        (lambda: FusionNetwork.fused_at(2, 2, ("A", "A")), "'A' is read by more than one chain"),
        (lambda: FusionNetwork.fused_at(2, 2, ("A", "trunk")), "must not be 'trunk'"),
        (lambda: FusionNetwork.fused_at(2, 2, ("A", "B+C")), "nor hold '\\+'"),
        (lambda: FusionNetwork.fused_at(2, 2, ("A", "B\n")), "printable"),
        (lambda: FusionNetwork.branches({"A": 0, "B": 1}), r"depths\['A'\] must be at least 1, got 0"),
        (lambda: FusionNetwork.tree(1, Chain(1, (Chain(1, "A"),)), Chain(1, "B")), "fuses a single chain"),
        (lambda: FusionNetwork.tree(1, Chain(1, "A"), Chain(2, "A")), "'A' is read by more than one chain"),
        (lambda: FusionNetwork(Chain(1, "A")), "trunk must be a chain that joins"),
    ],
)
def test_impossible_networks_do_not_exist(make, says: str) -> None:
    with pytest.raises(DomainError, match=says) as error:
        make()
    assert "\n" not in str(error.value)
