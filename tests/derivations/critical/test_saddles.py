"""The course of saddles: order, plateaus, what a start can reach."""

import itertools

import numpy as np
import pytest
from scipy.optimize import nnls

from derivations import Correlations, FusionNetwork
from derivations.critical.saddles import _alive, aligned_signs, course
from derivations.flow.gradient_flow import loss
from dynamics import integrate, integrate_reduced
from tests.cases import SOAK, random_correlations

LATE = FusionNetwork.fused_at(2, 2)
NORMS = {"A": 1e-3, "B": 1e-3}


def test_first_is_the_larger_strength_and_plateaus_are_the_regressions() -> None:
    data = Correlations.scalar(1, 2, 0.3)
    plan = course(LATE, data, NORMS, {})
    assert plan.order == ("B", "A")
    np.testing.assert_allclose(plan.plateaus["B"][0], data.unimodal("B"))
    np.testing.assert_allclose(plan.plateaus["A"][0, 0], data.optimum[0])
    assert [s.name for s in plan.saddles] == ["M_0", "M_B", "M_*"]


def test_unequal_depths_race_by_their_scaled_times() -> None:
    """Psi/|Sigma_yx|: at u0 = 1e-3 a chain of two beats a stronger chain of three, ln(1000)/2 < 1000/5."""
    data = Correlations.scalar(2, 1, 0.5)
    assert course(FusionNetwork.branches({"A": 3, "B": 2}, trunk=1), data, NORMS, {}).order == ("B", "A")
    assert course(FusionNetwork.branches({"A": 2, "B": 3}, trunk=1), data, NORMS, {}).order == ("A", "B")
    run = integrate_reduced(FusionNetwork.branches({"A": 3, "B": 2}, trunk=1), data, u0=1e-2)
    assert run.times["B"] < run.times["A"]


def test_kept_signs_bound_the_loss_like_non_negative_least_squares() -> None:
    """Scalar inputs, three modalities: the end of an aligned start is the NNLS solution in its own signs.

    Skipped problems would be those with a modality that leaves zero only to die later; the course keeps it.
    """
    rng = np.random.default_rng(0)
    net = FusionNetwork.fused_at(2, 2, ("A", "B", "C"))
    checked = 0
    for _ in range(60):
        data = random_correlations(rng, {"A": 1, "B": 1, "C": 1})
        signs = aligned_signs(net, data)
        plan = course(net, data, dict.fromkeys("ABC", 1e-3), signs)
        diagonal = np.diag([signs[m] for m in "ABC"])
        root = np.linalg.cholesky(data.sigma).T @ diagonal
        goal = np.linalg.solve(np.linalg.cholesky(data.sigma), data.sigma_yx)
        _, misfit = nnls(root, goal)
        best = (float(data.sigma_yy) - goal @ goal + misfit**2) / 2
        assert plan.lowest_loss == pytest.approx(best, rel=1e-9, abs=1e-12)
        checked += bool(plan.never)
    assert checked >= 5


def test_a_residual_that_flips_has_its_way_and_what_it_decayed_to_go() -> None:
    """From a random start B grows with Sigma_yx_B while A waits, the other mode decays: (1 + b/a)/r after t_A.

    That is 2.8, later than C at (1 - c/a)/c = 2.4, though 1/r = 2 alone is earlier. A trained network is the judge.
    """
    sigma = np.array([[1, 0.9, 0], [0.9, 1.5, 0], [0, 0, 1.0]])
    data = Correlations(sigma, [1.0, 0.4, 1 / 3.4], dict.fromkeys("ABC", 1))
    net, u0 = FusionNetwork.fused_at(2, 2, ("A", "B", "C")), 1e-8
    plan = course(net, data, dict.fromkeys("ABC", u0), {})
    run = integrate(net, data, u0=u0, width=20, seed=0)
    assert plan.order == ("A", "C", "B") == tuple(sorted("ABC", key=lambda m: run.times[m]))
    assert plan.rivals[1] == ("C", "B", pytest.approx(1.4 - 2.4 * 0.5))


def test_a_tie_is_flagged_and_a_collinear_modality_is_never_learned() -> None:
    assert course(LATE, Correlations.scalar(1, 1, 0.2), NORMS, {}).tie
    assert not course(LATE, Correlations.scalar(2, 1, 0.2), NORMS, {}).tie
    collinear = Correlations([[4, 2], [2, 1]], [6, 3], {"A": 1, "B": 1})
    plan = course(LATE, collinear, NORMS, {})
    assert list(plan.never) == ["B"]
    assert "its residual is zero" in plan.never["B"]


def test_collinear_balanced_flow_ends_where_its_invariant_says() -> None:
    """W_B = u0^(2(1-k)) W_A^k for ever, and 4 W_A + 2 W_B = 6 at the end (oracle)."""
    collinear = Correlations([[4, 2], [2, 1]], [6, 3], {"A": 1, "B": 1})
    for u0, final in ((1e-2, 1.49388876288529626706), (1e-4, 1.49993876400641766278)):
        run = integrate_reduced(LATE, collinear, u0=u0, t_end=60.0)
        assert run.status == {"A": "reached", "B": "never"}
        assert run.total["A"][-1, 0] == pytest.approx(final, rel=1e-7)
        assert run.total["B"][-1, 0] == pytest.approx(u0 * final**0.5, rel=1e-6)


def test_unlearning_ends_at_the_other_saddle_when_balanced() -> None:
    """Unimodal and global weight of A of opposite sign: an aligned start ends at M_B, a random one at M_*."""
    data = Correlations.scalar(2, 1, 0.9, w=(-0.1, 1))
    assert data.unimodal("A")[0] * data.optimum[0] < 0
    plan = course(LATE, data, NORMS, aligned_signs(LATE, data))
    first, last = plan.order
    assert plan.saddles[-1].name == f"M_{last}"
    run = integrate_reduced(LATE, data, u0=1e-3)
    assert run.status == dict.fromkeys("AB", "reached")
    assert abs(run.total[first][-1, 0]) < 2e-3
    trained = integrate(LATE, data, u0=1e-3, width=20)
    assert trained.total["A"][-1, 0] == pytest.approx(-0.1, abs=2e-3)


def test_a_modality_with_no_strength_of_its_own_can_be_learned_second() -> None:
    data = Correlations([[1, 0.5], [0.5, 1]], [1, 0], {"A": 1, "B": 1})
    plan = course(LATE, data, NORMS, {})
    assert plan.order == ("A", "B")
    assert plan.never == {}
    run = integrate(LATE, data, u0=1e-3, width=20)
    assert run.status == dict.fromkeys("AB", "reached")


def test_early_fusion_visits_no_unimodal_saddle() -> None:
    data = Correlations.scalar(2, 1, 0.5)
    plan = course(FusionNetwork.fused_at(2, 1), data, NORMS, {})
    assert [s.name for s in plan.saddles] == ["M_0", "M_*"]
    np.testing.assert_allclose(plan.plateaus["A"], [[1.0]])
    assert (plan.order, plan.tie) == (("A", "B"), False)
    assert course(FusionNetwork.fused_at(2, 1), Correlations.scalar(1, 1, 0.5), NORMS, {}).tie


def test_the_race_is_right_for_random_problems() -> None:
    """Order of the half-times of three modalities against the exact aligned flow, clear races only."""
    rng = np.random.default_rng(11)
    net = FusionNetwork.fused_at(2, 2, ("A", "B", "C"))
    checked, count = 0, 20 if SOAK else 12
    for _ in range(count):
        data = random_correlations(rng, {"A": 2, "B": 2, "C": 2}, correlation=0.5)
        run = integrate_reduced(net, data, u0=1e-8)
        times = sorted(run.times.values())
        if min(b / a for a, b in itertools.pairwise(times)) > 1.3:
            assert sorted("ABC", key=lambda m: run.times[m]) == list(run.race)
            checked += 1
    assert checked >= 0.4 * count


def test_rounding_of_norms_does_not_decide_a_race() -> None:
    """Norms measured on weights are equal to a rounding; equal branches are compared by their speeds all the same."""
    network = FusionNetwork.fused_at(4, 2, tuple("ABCD"))
    data = random_correlations(np.random.default_rng(2), dict.fromkeys("ABCD", 2))
    exact = course(network, data, dict.fromkeys("ABCD", 0.0148), {})
    for seed in range(20):
        noise = np.random.default_rng(seed).uniform(-4e-16, 4e-16, 4)
        rounded = {m: 0.0148 * (1 + e) for m, e in zip("ABCD", noise, strict=True)}
        assert course(network, data, rounded, {}).rivals == exact.rivals


def test_the_end_of_kept_signs_is_the_best_of_all_subsets() -> None:
    """Two to six scalars with signs of their own, every second time a column twice: no subset has less loss."""
    rng = np.random.default_rng(1)
    for case in range(60):
        names = "ABCDEF"[: rng.integers(2, 7)]
        x = rng.normal(size=(30, len(names))) + rng.normal(size=(30, 1))
        x[:, 0] = x[:, 1] if case % 2 else x[:, 0]
        data = Correlations.from_samples(dict(zip(names, x.T, strict=True)), x @ rng.normal(size=len(names)))
        signs = {m: float(rng.choice([-1, 1])) for m in names}
        feasible = []
        for size in range(len(names) + 1):
            for alive in itertools.combinations(names, size):
                total = data.regression(alive)
                if all(signs[m] * total[m][0, 0] >= 0 for m in alive):
                    feasible.append(float(loss(data, total)))
        found = data.regression(_alive(data, tuple(names), signs))
        assert all(signs[m] * found[m][0, 0] >= 0 for m in names)
        assert float(loss(data, found)) == pytest.approx(min(feasible), rel=1e-9, abs=1e-10 * float(data.sigma_yy))
