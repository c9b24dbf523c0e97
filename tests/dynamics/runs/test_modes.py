"""Several outputs: the aligned start by modes, its flow, and when each mode is learned."""

import math

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from derivations import Correlations, DomainError, FusionNetwork
from derivations.flow.balance import differences
from dynamics import aligned_weights, integrate, integrate_reduced, load_trajectory, predict
from dynamics.runs.half_times import Status
from tests.cases import flat_flow, random_tree

F = FusionNetwork


def drawn(seed: int, sizes: dict[str, int], outputs: int, rank: int) -> Correlations:
    """Samples of a target of this rank in all modalities."""
    rng = np.random.default_rng(seed)
    count = sum(sizes.values())
    x = rng.normal(size=(60, count)) @ (np.eye(count) + 0.4 * rng.normal(size=(count, count)))
    y = x @ rng.normal(size=(count, rank)) @ rng.normal(size=(rank, outputs))
    ends = np.cumsum(list(sizes.values()))[:-1]
    return Correlations.from_samples(dict(zip(sizes, np.split(x, ends, axis=1), strict=True)), y / y.std())


@pytest.mark.parametrize(
    ("network", "sizes", "outputs", "rank"),
    [
        (F.fused_at(2, 2), {"A": 4, "B": 3}, 3, 3),
        (F.fused_at(3, 3), {"A": 4, "B": 5}, 4, 2),
        (F.fused_at(4, 2), {"A": 3, "B": 2}, 2, 2),
        (F.fused_at(5, 5), {"A": 2, "B": 2}, 3, 1),
        (random_tree(np.random.default_rng(5), 3), {"A": 3, "B": 3, "C": 2}, 2, 2),
    ],
    ids=["late two", "late three", "trunk", "late five", "tree"],
)
def test_the_narrow_network_of_the_modes_is_the_flow_of_a_wide_one(
    network: FusionNetwork, sizes: dict[str, int], outputs: int, rank: int
) -> None:
    """At width 6 with random hidden directions, every weight by another integrator: the same total weights."""
    data = drawn(0, sizes, outputs, rank)
    wide = aligned_weights(network, data, 0.3, width=6, seed=3)
    for gap in differences(network, wide).values():
        np.testing.assert_allclose(gap, 0, atol=1e-15)
    run = integrate_reduced(network, data, u0=0.3, t_end=8, t_eval=np.linspace(0, 8, 17))
    start, total, velocity = flat_flow(network, data, wide)
    exact = solve_ivp(velocity, (0, 8), start, "DOP853", run.t, rtol=1e-11, atol=1e-13)
    for m in data.modalities:
        full = np.array([total(y)[m] for y in exact.y.T])
        np.testing.assert_allclose(run.total[m].reshape(full.shape), full, rtol=0, atol=1e-6 * np.max(np.abs(full)))


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_five_uncorrelated_modes_are_learned_as_the_closed_form_says(depth: int) -> None:
    """Saxe, McClelland and Ganguli: each mode is a scalar of its own, L a^(2-2/L) (s - a), from (u0/sqrt 5)^L."""
    sizes, u0 = np.array([2.0, 1.6, 1.1, 0.7, 0.4]), 0.3
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    data = Correlations(np.eye(5), turn @ np.diag(sizes), {"A": 5})
    run = integrate_reduced(F.branches({"A": depth}, trunk=0), data, u0=u0, rtol=1e-11)
    begin = (u0 / math.sqrt(5)) ** depth
    assert [(row.modality, row.number, row.status) for row in run.modes] == [
        ("A", i, Status.REACHED) for i in range(1, 6)
    ]
    for row, s in zip(run.modes, sizes, strict=True):
        assert row.size == pytest.approx(s, rel=1e-12)
        exact = quad(lambda a, s=s: 1 / (depth * a ** (2 - 2 / depth) * (s - a)), begin, s / 2, epsrel=1e-13)[0]
        if depth == 2:
            assert exact == pytest.approx(math.log(s / begin - 1) / (2 * s), rel=1e-11)
        assert row.time == pytest.approx(exact, rel=1e-9)


def test_modes_of_a_random_start_are_predicted_and_kept(tmp_path) -> None:
    """Within 12 % of one random start, five of the 2.4 % by which half-times scatter (MODES.md); kept whole."""
    data, network = drawn(2, {"A": 3, "B": 2}, 2, 2), F.fused_at(2, 2)
    asked = predict(network, data, u0=1e-2, width=100)
    found = asked.modes
    run = integrate(network, data, u0=1e-2, width=100, seed=0)
    assert len(found) == len(run.modes) == 4
    sure = [key for key, t in found.times.items() if math.isfinite(t)][:4]
    for key in sure:
        assert run.modes.times[key] == pytest.approx(found.times[key], rel=0.12)
    run.save(tmp_path / "run.npz")
    assert load_trajectory(tmp_path / "run.npz").modes.rows == run.modes.rows
    assert [row["status"] for row in found.to_list()] == [row.status.value for row in found]
    assert "Modes" in str(asked)


def test_a_mode_that_ends_with_nothing_is_never_learned_and_one_output_has_none() -> None:
    """B repeats A's second output at double size: whatever A takes of it first is B's in the end."""
    sigma = np.array([[1.0, 0, 0], [0, 1, 2], [0, 2, 4.01]])
    weights = np.array([[1.0, 0, 0], [0, 0, 0.5]])
    data = Correlations(sigma, weights @ sigma, {"A": 2, "B": 1})
    run = integrate_reduced(F.fused_at(2, 2), data, u0=1e-2)
    status = {(row.modality, row.number): row.status for row in run.modes}
    assert sorted(status.values()) == [Status.NEVER, Status.REACHED, Status.REACHED]
    assert len(integrate_reduced(F.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)).modes) == 0


def test_a_width_below_the_modes_is_refused() -> None:
    data = drawn(0, {"A": 4, "B": 3}, 3, 3)
    with pytest.raises(DomainError, match="width must be at least the modes that meet in a layer, 3, got 2"):
        aligned_weights(F.fused_at(3, 2), data, 0.1, width=2)
