"""More than two modalities, unequal depths, nested fusion: reduced against full flow, invariants, the order."""

import itertools

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from derivations import Chain, Correlations, DomainError, FusionNetwork
from derivations.critical.runners import runners
from derivations.critical.saddles import course
from derivations.flow import gradient_flow as law
from derivations.flow.balance import differences
from dynamics import aligned_weights, compare, descend, integrate, integrate_reduced, predict, random_weights
from tests.cases import SOAK, random_correlations, random_tree

FOUR = FusionNetwork.tree(1, Chain(3, "A"), Chain(2, (Chain(2, "B"), Chain(1, (Chain(2, "C"), Chain(3, "D"))))))
SIZES = {"A": 2, "B": 1, "C": 3, "D": 2}


def full_flow(net: FusionNetwork, data: Correlations, weights, times: np.ndarray) -> dict[str, np.ndarray]:
    """DOP853 on every weight: none of the project's integrators."""
    shapes = [(name, layer.shape) for name, layers in weights.items() for layer in layers]
    ends = np.cumsum([0, *(a * b for _, (a, b) in shapes)])

    def unpack(state: np.ndarray):
        found = {name: [] for name in weights}
        for (name, shape), begin, end in zip(shapes, ends, ends[1:], strict=False):
            found[name].append(state[begin:end].reshape(shape))
        return found

    def rhs(_: float, state: np.ndarray) -> np.ndarray:
        now = unpack(state)
        moved = law.flow(net, now, law.errors(data, law.total_weights(net, now)))
        return np.concatenate([v.ravel() for name in weights for v in moved[name]])

    start = np.concatenate([w.ravel() for layers in weights.values() for w in layers])
    solved = solve_ivp(rhs, (0, times[-1]), start, "DOP853", times, rtol=1e-11, atol=1e-14)
    return {m: np.array([law.total_weights(net, unpack(y))[m][0] for y in solved.y.T]) for m in data.modalities}


def test_four_modalities_of_unequal_depth_reduced_is_full_flow() -> None:
    """Nested fusion, vector inputs, aligned start: within 1e-6 of the largest total weight over the whole run."""
    data = random_correlations(np.random.default_rng(5), SIZES, correlation=0.4)
    end = integrate_reduced(FOUR, data, u0=0.3)
    assert set(end.status.values()) == {"reached"}
    times = np.linspace(0, end.t[-1], 120)
    reduced = integrate_reduced(FOUR, data, u0=0.3, t_eval=times)
    full = full_flow(FOUR, data, aligned_weights(FOUR, data, 0.3, width=3, seed=2), times)
    largest = max(np.max(np.abs(w)) for w in full.values())
    for m in data.modalities:
        np.testing.assert_allclose(reduced.total[m], full[m], rtol=0, atol=1e-6 * largest)


def test_four_modalities_keep_their_conserved_quantities() -> None:
    """To 100 rtol, from a random start, by the monitor and by the matrices (38), (39) at the end."""
    data = random_correlations(np.random.default_rng(5), SIZES, correlation=0.4)
    rtol = 1e-7
    run = integrate(FOUR, data, u0=0.4, width=6, seed=1, rtol=rtol)
    assert set(run.status.values()) == {"reached"}
    assert 0 < run.monitors["balance"] <= 100 * rtol
    weights = random_weights(FOUR, data, 0.4, width=6, seed=1)
    assert len(differences(FOUR, weights)) == sum(c.depth for c in FOUR.chains.values()) - 4  # one below each layer


def test_the_monitor_sees_a_flow_that_does_not_conserve() -> None:
    """Gradient descent with a large step does not keep (38), (39): the same matrices tell."""
    data = random_correlations(np.random.default_rng(5), SIZES, correlation=0.4)
    before = random_weights(FOUR, data, 0.8, width=6, seed=1)
    error = law.errors(data, law.total_weights(FOUR, before))
    moved = law.flow(FOUR, before, error)
    after = {n: [w + 0.5 * v for w, v in zip(before[n], moved[n], strict=True)] for n in before}
    one, two = differences(FOUR, before), differences(FOUR, after)
    assert max(float(np.linalg.norm(two[k] - one[k])) for k in one) > 1e-4


def test_all_roads_are_open_to_a_tree() -> None:
    data = random_correlations(np.random.default_rng(5), SIZES, correlation=0.4)
    result = compare(FOUR, data, u0=0.4, width=6, seeds=1)
    assert [row[0].split(",")[0] for row in result.table.rows] == [
        "reduced flow",
        "gradient flow",
        "gradient descent",
    ]
    assert any("not 4 and 1" in w for w in result.prediction.remarks)
    assert any("heuristic: the fusion is nested" in w for w in result.warnings)
    flow, descent = result.flows[0], result.descents[0]
    for m in data.modalities:
        assert descent.times[m] == pytest.approx(flow.times[m], rel=0.05)  # first order in the learning rate


def test_nested_layers_count_until_somebody_has_learned_them() -> None:
    """B reads through 2 + 2 layers of its own before anything else has: A with 3 is first, though B is stronger."""
    net = FusionNetwork.tree(0, Chain(3, "A"), Chain(2, (Chain(2, "B"), Chain(2, "C"))))
    data = Correlations(np.diag([1.0, 2.0, 1.9]), [1.0, 2.0, 1.9], dict.fromkeys("ABC", 1))
    plan = course(net, data, dict.fromkeys("ABC", 1e-2), {})
    assert plan.order == ("A", "B", "C")
    run = integrate_reduced(net, data, u0=1e-2)
    assert sorted("ABC", key=lambda m: run.times[m]) == list(plan.order)


def test_siblings_of_one_layer_are_learned_together() -> None:
    """C, D meet after one layer each: no saddle with one of them; their plateaus are those of the pair."""
    net = FusionNetwork.branches({"A": 3, "C": 1, "D": 1}, trunk=1)
    data = random_correlations(np.random.default_rng(2), {"A": 1, "C": 2, "D": 1}, correlation=0.5)
    assert runners(net) == (("A",), ("C", "D"))
    plan = course(net, data, dict.fromkeys("ACD", 1e-2), {})
    assert [set(s.learned) for s in plan.saddles] == [set(), {"C", "D"}, {"A", "C", "D"}]
    pair = data.regression(("C", "D"))
    np.testing.assert_allclose(plan.plateaus["C"], pair["C"])
    run = integrate_reduced(net, data, u0=1e-3)
    waiting = (run.t > 10 * max(run.times["C"], run.times["D"])) & (run.t < run.times["A"] / 3)
    for m in "CD":
        np.testing.assert_allclose(run.total[m][waiting], np.tile(pair[m][0], (waiting.sum(), 1)), atol=2e-3)


def test_the_order_of_random_trees_is_that_of_the_flow() -> None:
    """First of the race against first by half-time in the aligned flow; early fusion has no first."""
    rng = np.random.default_rng(1)
    checked, count = 0, 25 if SOAK else 10
    for _ in range(count):
        net = random_tree(rng, int(rng.integers(2, 5)))
        data = random_correlations(rng, {m: int(rng.integers(1, 3)) for m in net.modalities}, correlation=0.3)
        plan = course(net, data, dict.fromkeys(net.modalities, 1e-3), {})
        if len(runners(net)) == 1 or len(plan.saddles[1].learned) > 1:
            continue
        run = integrate_reduced(net, data, u0=1e-3, rtol=1e-7)
        assert min(run.times, key=lambda m: run.times[m]) == plan.order[0] == run.order[0]
        checked += 1
    assert checked >= 12 / 25 * count


def test_a_stiff_plateau_that_stops_lsoda_is_passed() -> None:
    """A, B are done 1e11 times sooner than C, D: LSODA's corrector gives up there; rtol 1e-8 against 1e-12."""
    net = FusionNetwork.tree(0, Chain(1, "A"), Chain(1, "B"), Chain(3, (Chain(3, "C"), Chain(3, "D"))))
    rng = np.random.default_rng(1)
    data = random_correlations(rng, {"A": 2, "B": 1, "C": 1, "D": 1}, correlation=0.3)
    coarse, fine = (integrate_reduced(net, data, u0=1e-3, rtol=rtol) for rtol in (1e-8, 1e-12))
    for m in "ABCD":
        assert coarse.times[m] == pytest.approx(fine.times[m], rel=1e-6)


def test_descent_follows_the_flow_of_a_tree() -> None:
    data = random_correlations(np.random.default_rng(9), SIZES, correlation=0.4)
    weights = random_weights(FOUR, data, 0.5, width=5, seed=3)
    flow = integrate(FOUR, data, weights=weights, rtol=1e-9)
    gaps = []
    for rate in (0.02, 0.01):
        run = descend(FOUR, data, weights=weights, learning_rate=rate)
        gaps.append(max(abs(run.times[m] / flow.times[m] - 1) for m in "ABCD"))
    assert gaps[1] == pytest.approx(gaps[0] / 2, rel=0.1)  # first order


def two_layer_matrix_flow(data: Correlations, m_start, times: np.ndarray) -> dict[str, np.ndarray]:
    """Late fusion, two layers: dM/dt = K M + M K, M = Q Q^T, Q = [W1^T; W2], K = [[0, E^T], [E, 0]]."""
    names, o = list(data.modalities), data.outputs
    shapes = {m: data.sizes[m] + o for m in names}
    ends = np.cumsum([0, *(n * n for n in shapes.values())])

    def blocks(state: np.ndarray):
        parts = [state[a:b].reshape(n, n) for a, b, n in zip(ends, ends[1:], shapes.values(), strict=False)]
        return dict(zip(names, parts, strict=True))

    def rhs(_: float, state: np.ndarray) -> np.ndarray:
        found = blocks(state)
        total = {m: found[m][data.sizes[m] :, : data.sizes[m]] for m in names}
        moved = []
        for m in names:
            error = data.target_block(m) - sum(total[n] @ data.input_block(n, m) for n in names)
            d = data.sizes[m]
            k = np.block([[np.zeros((d, d)), error.T], [error, np.zeros((o, o))]])
            moved.append((k @ found[m] + found[m] @ k).ravel())
        return np.concatenate(moved)

    start = np.concatenate([m_start[m].ravel() for m in names])
    run = solve_ivp(rhs, (0, times[-1]), start, "DOP853", times, rtol=1e-11, atol=1e-16)
    return {m: np.array([blocks(y)[m][data.sizes[m] :, : data.sizes[m]] for y in run.y.T]) for m in names}


def test_several_outputs_of_two_layers_against_the_matrix_flow() -> None:
    """The aligned start of three outputs: polar factors, all modes alike; the width drops out."""
    data = random_correlations(np.random.default_rng(4), {"A": 3, "B": 2, "C": 4}, outputs=3, correlation=0.5)
    net, u0 = FusionNetwork.fused_at(2, 2, ("A", "B", "C")), 1e-2
    start = {}
    for m in data.modalities:
        left, _, right = np.linalg.svd(data.target_block(m), full_matrices=False)
        first, second = left @ right, left @ left.T
        q = np.vstack([first.T, second]) * u0 / np.sqrt(min(first.shape))
        start[m] = q @ q.T
    times = np.linspace(0, 12, 60)
    exact = two_layer_matrix_flow(data, start, times)
    reduced = integrate_reduced(net, data, u0=u0, t_eval=times)
    wide = integrate(net, data, weights=aligned_weights(net, data, u0, width=9, seed=1), t_eval=times, rtol=1e-9)
    for m in data.modalities:
        scale = np.max(np.abs(exact[m]))
        np.testing.assert_allclose(reduced.total[m], exact[m], rtol=0, atol=1e-6 * scale)
        np.testing.assert_allclose(wide.total[m], exact[m], rtol=0, atol=1e-6 * scale)
    prediction = predict(net, data, u0=u0)
    assert prediction.source == "reduced"
    assert prediction.order[0] == max(data.modalities, key=data.strength)
    assert any("mode by mode" in w for w in prediction.warnings)


def test_several_outputs_start_balanced_in_early_fusion_too() -> None:
    data = random_correlations(np.random.default_rng(4), {"A": 3, "B": 2}, outputs=2, correlation=0.5)
    for net in (FusionNetwork.fused_at(2, 1), FusionNetwork.fused_at(2, 2)):
        weights = aligned_weights(net, data, 0.1, width=5)
        for gap in differences(net, weights).values():
            np.testing.assert_allclose(gap, 0, atol=1e-15)
        for m in "AB":
            assert np.linalg.norm(weights[m][0]) == pytest.approx(0.1)
    assert predict(FusionNetwork.fused_at(2, 1), data, u0=1e-2).reduced is not None


@pytest.mark.parametrize("pair", list(itertools.combinations("ABC", 2)))
def test_ties_among_three_are_flagged(pair: tuple[str, str]) -> None:
    strength = {m: 2.0 if m in pair else 1.0 for m in "ABC"}
    data = Correlations(np.diag(list(strength.values())), list(strength.values()), dict.fromkeys("ABC", 1))
    assert predict(FusionNetwork.fused_at(3, 3, ("A", "B", "C")), data, u0=1e-2).together


def test_leaves_of_one_layer_in_two_fusions_are_not_early_fusion() -> None:
    net = FusionNetwork.tree(0, Chain(2, (Chain(1, "A"), Chain(1, "B"))), Chain(1, "C"))
    assert not net.is_early_fusion
    p = predict(net, Correlations(np.eye(3), [1, 0.5, 0.7], dict.fromkeys("ABC", 1)), u0=1e-2)
    assert p.order[0] == "C"
    assert "Early fusion" not in str(p)
    assert p.times["A"] > 50 * p.times["C"]


def test_the_order_is_by_the_times_and_another_race_is_said() -> None:
    """Both weights grow nearly alike; A's plateau, alone, is 1.02, that of B, beside A, 0.76: B is half there first."""
    close = Correlations([[1, 0.3], [0.3, 1]], [1.02, 1], {"A": 1, "B": 1})
    run = integrate_reduced(FusionNetwork.fused_at(2, 2), close, u0=0.05)
    assert (run.race, run.order) == (("A", "B"), ("B", "A"))
    assert run.times["B"] < run.times["A"] == pytest.approx(run.times["B"] + run.lag)
    assert "A leaves zero before B, which overtakes it" in str(run)
    data = random_correlations(np.random.default_rng(5), SIZES, correlation=0.9)
    run = integrate_reduced(FOUR, data, u0=0.3)
    assert list(run.order) == sorted(run.order, key=lambda m: run.times[m])
    assert ("which overtakes it" in str(run)) is (run.race != run.order)


def test_why_no_estimate_exists_is_said_by_each_road() -> None:
    sigma = [[1, 0, 0.5], [0, 1, 0], [0.5, 0, 1]]
    data = Correlations(sigma, [[1.0, 0, 0], [0, 1, 0.2]], {"A": 1, "B": 2})
    lack = r"Sigma_yx of B has rank 1, its weights in the end have 2; use a random start; no leading law"
    with pytest.raises(DomainError, match=lack):
        predict(FusionNetwork.fused_at(2, 2), data)
