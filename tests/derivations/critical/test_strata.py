"""The search for the critical set, against elimination with Groebner bases and against root finding."""

import numpy as np
import pytest
import sympy as sp
from scipy.optimize import least_squares

from derivations import Chain, Correlations, DomainError, FusionNetwork
from derivations.critical.strata import cases, components, largest, learned_sets
from derivations.critical.stratum_points import conditions, flat, moved_onto, tangent_space, unflat
from derivations.flow import gradient_flow as law
from tests.cases import SOAK, random_correlations, random_tree
from tests.critical_points import random_layers_of_order_one
from tests.varieties import critical_components, symbolic_weights

COUNTS = {(2, 2): 4, (2, 1): 2, (3, 1): 4, (3, 2): 5, (3, 3): 16, (4, 2): 7, (4, 3): 17, (4, 4): 49}
SYMBOLS = Correlations.symbolic({"A": 1, "B": 1})


@pytest.mark.parametrize(("depth", "fusion_depth"), COUNTS)
def test_the_search_counts_what_theory_says(depth: int, fusion_depth: int) -> None:
    assert len(components(FusionNetwork.fused_at(depth, fusion_depth))) == COUNTS[depth, fusion_depth]


SMALL = [(2, 2, 1), (2, 2, 2), (2, 1, 1), (3, 1, 1), (3, 2, 1), (3, 3, 1)]
LONGER = [(2, 1, 2), (4, 2, 1), (4, 3, 1), (4, 4, 1)] if SOAK else []


@pytest.mark.parametrize(("depth", "fusion_depth", "width"), SMALL + LONGER)
def test_elimination_finds_the_same_sets(depth: int, fusion_depth: int, width: int) -> None:
    """For symbolic Sigma: points of each stratum are zeros of one basis, each basis has one stratum, dimensions agree.

    The two share the law of the gradient only: one branches on labels, the other on polynomials.
    """
    network = FusionNetwork.fused_at(depth, fusion_depth)
    bases = critical_components(network, width=width)
    found = components(network)
    assert len(bases) == len(found)
    data = Correlations([[2.3, 0.7], [0.7, 1.9]], [1.1, 0.4], {"A": 1, "B": 1})
    values = dict(zip(SYMBOLS.sigma, data.sigma.ravel(), strict=True)) | dict(
        zip(SYMBOLS.sigma_yx, data.sigma_yx, strict=True)
    )
    entries = [e for layers in symbolic_weights(network, SYMBOLS, width).values() for w in layers for e in w]
    functions = [[sp.lambdify(entries, e.subs(values)) for e in basis] for basis in bases]
    taken = []
    for i, case in enumerate(found):
        homes = set()
        for seed in range(3):
            rng = np.random.default_rng([i, seed])
            point = moved_onto(network, data, case, random_layers_of_order_one(rng, network, data.sizes, width))
            inside = [k for k, basis in enumerate(functions) if all(abs(f(*flat(point))) < 1e-9 for f in basis)]
            homes.add(tuple(inside))
            assert tangent_space(network, data, case, point).shape[1] == _dimension(bases[inside[0]], entries, point)
        assert len(homes) == 1
        (home,) = homes
        assert len(home) == 1
        taken += home
    assert sorted(taken) == list(range(len(bases)))


def _dimension(basis: tuple, entries: list, point: dict) -> int:
    """Weights less the rank of the derivative of the basis at a point of it."""
    values = {"Sigma_A": 2.3, "Sigma_AB": 0.7, "Sigma_B": 1.9, "Sigma_yA": 1.1, "Sigma_yB": 0.4}
    numbers = dict(zip(entries, flat(point), strict=True)) | {
        s: values[s.name] for e in basis for s in e.free_symbols if s.name in values
    }
    jacobian = np.array([[float(sp.diff(e, x).subs(numbers)) for x in entries] for e in basis])
    return len(entries) - int(np.linalg.matrix_rank(jacobian, tol=1e-8))


def test_every_critical_point_that_root_finding_reaches_lies_on_a_stratum() -> None:
    """No case is lost: zeros of the gradient from random starts, any tree; the search is not told where to look."""
    rng = np.random.default_rng(5)
    reached: dict[int, int] = {}
    count = 90 if SOAK else 8
    for _ in range(count):
        network = random_tree(rng, int(rng.integers(2, 4)), 2)
        data = random_correlations(rng, {m: int(rng.integers(1, 3)) for m in network.modalities})
        like = random_layers_of_order_one(rng, network, data.sizes, int(rng.integers(1, 4)))

        def gradient(vector: np.ndarray, network=network, data=data, like=like) -> np.ndarray:
            weights = unflat(vector, like)
            return flat(law.flow(network, weights, law.errors(data, law.total_weights(network, weights))))

        start = flat(like) * rng.uniform(0.0, 1.5)
        root = least_squares(gradient, start, method="trf", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=400)
        if np.max(np.abs(root.fun)) > 1e-9:
            continue
        weights = unflat(root.x, like)
        # where the gradient vanishes to second order a point is known to the square root only
        gaps = [
            max(float(np.max(np.abs(c))) for c in conditions(network, data, case, weights)) for case in cases(network)
        ]
        assert min(gaps) < 1e-3, str(network)
        learned = cases(network)[int(np.argmin(gaps))].learned
        reached[len(learned)] = reached.get(len(learned), 0) + 1
    assert sum(reached.values()) >= count / 2
    assert len(reached) >= 2  # saddles among them


def test_cases_that_are_no_components_lie_in_the_closure_of_one() -> None:
    """A point of such a case satisfies the equations of a component of larger dimension, with the same learned."""
    network = FusionNetwork.tree(1, Chain(2, "A"), Chain(1, (Chain(1, "B"), Chain(2, "C"))))
    rng = np.random.default_rng(1)
    data = random_correlations(rng, {"A": 2, "B": 2, "C": 1})
    left = [case for case in cases(network) if case not in components(network)]
    assert len(left) > 3
    for case in left:
        point = moved_onto(network, data, case, random_layers_of_order_one(rng, network, data.sizes, 3))
        own = tangent_space(network, data, case, point).shape[1]
        larger = [
            other
            for other in components(network)
            if other.learned == case.learned
            and max(float(np.max(np.abs(c))) for c in conditions(network, data, other, point)) < 1e-9
        ]
        assert larger
        moved = [
            moved_onto(network, data, other, random_layers_of_order_one(rng, network, data.sizes, 3))
            for other in larger
        ]
        assert max(tangent_space(network, data, o, p).shape[1] for o, p in zip(larger, moved, strict=True)) > own


@pytest.mark.parametrize("width", [1, 2, 7])
def test_one_silence_a_cut_is_what_counting_equations_says(width: int) -> None:
    """The short rule for generic data against the general one, on random trees."""
    rng = np.random.default_rng(3)
    for _ in range(30):
        network = random_tree(rng, int(rng.integers(1, 4)), 3)
        groups: dict = {}
        for case in cases(network):
            groups.setdefault(case.learned, []).append(case)
        chosen = [
            case
            for learned, group in groups.items()
            for case in largest(network, tuple(group), lambda c: len(c.learned) + width * c.conditions)
        ]
        assert set(chosen) == set(components(network))
        assert set(learned_sets(network)) == set(groups)


def test_many_modalities_of_one_layer_are_no_burden() -> None:
    assert len(components(FusionNetwork.fused_at(2, 1, tuple("ABCDEFGHIJKLMNOPQRSTU")))) == 2


def test_refusals() -> None:
    depth = sp.Symbol("L", positive=True)
    with pytest.raises(DomainError, match="need numbers for depth and fusion_depth"):
        cases(FusionNetwork.fused_at(depth, 2))
    with pytest.raises(DomainError, match="more than 20000 ways to be critical"):
        cases(FusionNetwork.fused_at(6, 6, tuple("ABCDEFGH")))
    with pytest.raises(DomainError, match="width 4 gives 16 weights, 12 at most"):
        critical_components(FusionNetwork.fused_at(2, 2), width=4)
    with pytest.raises(DomainError, match="needs symbols in sigma"):
        critical_components(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5))
