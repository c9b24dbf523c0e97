"""The full gradient flow: random starts, invariances, monitors."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from derivations import Correlations, DomainError, FusionNetwork
from derivations.terms import Terms
from dynamics import aligned_weights, descend, integrate, integrate_reduced, random_weights
from dynamics.problem import Problem
from dynamics.simulation.full_system import full_system
from dynamics.simulation.phases import Phase
from dynamics.simulation.system import End, Record, System
from dynamics.starts.start import random_start
from dynamics.starts.weights import start_norms
from tests.cases import SOAK, random_correlations

LATE = FusionNetwork.fused_at(2, 2)
DATA = Correlations.scalar(2, 1, 0.5)
FLIPPED = Correlations.scalar(1.5, 1, -0.9)


FLIPS = [(1e-3, 8.03, 10), (1e-9, 7.73, 5), (1e-12, 7.69, 5)]


@pytest.mark.parametrize(("u0", "ratio", "seeds"), FLIPS[: None if SOAK else 1])
def test_a_random_start_learns_what_an_aligned_one_never_does(u0: float, ratio: float, seeds: int) -> None:
    """Mean over seeds at width 100 within three standard errors of the value measured elsewhere (two decimals)."""
    runs = [integrate(LATE, FLIPPED, u0=u0, width=100, seed=seed) for seed in range(seeds)]
    assert all(run.status["B"] == "reached" for run in runs)
    spread = np.std([run.ratio for run in runs], ddof=1)
    assert spread < 0.5 / math.log(1 / u0)  # the start enters as h^(-1/2)/ln(1/u0) of the ratio
    assert np.mean([run.ratio for run in runs]) == pytest.approx(ratio, abs=3 * spread / math.sqrt(seeds) + 0.005)


def test_tolerance_is_tightened_where_a_sign_flip_cancels_digits() -> None:
    """A loose tolerance would learn B from integration errors, far too early; the tight one agrees with it here."""
    loose = integrate(LATE, FLIPPED, u0=1e-9, width=10, seed=3, rtol=1e-4)
    tight = integrate(LATE, FLIPPED, u0=1e-9, width=10, seed=3, rtol=1e-12)
    assert loose.times["B"] == pytest.approx(tight.times["B"], rel=1e-3)


def test_an_aligned_full_start_keeps_its_sign_and_says_so() -> None:
    run = integrate(LATE, FLIPPED, weights=aligned_weights(LATE, FLIPPED, 1e-3, width=5))
    assert run.status == {"A": "reached", "B": "never"}
    assert run.loss[-1] == pytest.approx(0.095, rel=1e-4)


def test_permuted_hidden_units_give_the_same_run() -> None:
    weights = random_weights(LATE, DATA, 1e-2, width=8, seed=0)
    order = np.random.default_rng(0).permutation(8)
    permuted = {**weights, "A": [weights["A"][0][order], weights["A"][1][:, order]]}
    times = [integrate(LATE, DATA, weights=w, rtol=1e-10).times for w in (weights, permuted)]
    assert times[0] == pytest.approx(times[1], rel=1e-8)


def test_swapped_modalities_give_the_same_run() -> None:
    swapped = Correlations(DATA.sigma[::-1, ::-1], DATA.sigma_yx[::-1], {"B": 1, "A": 1}, DATA.sigma_yy)
    net = FusionNetwork.fused_at(2, 2, ("B", "A"))
    weights = random_weights(LATE, DATA, 1e-2, width=4, seed=1)
    one = integrate(LATE, DATA, weights=weights, rtol=1e-10)
    two = integrate(net, swapped, weights=weights, rtol=1e-10)
    assert one.order == two.order == ("A", "B")
    assert one.times == pytest.approx(two.times, rel=1e-8)


def test_the_norm_differences_are_conserved() -> None:
    """(40), (41): the drift stays at the integrator's tolerance. A solver that makes errors is seen by it."""
    net = FusionNetwork.fused_at(3, 2)
    assert integrate(net, DATA, u0=0.1, width=10, rtol=1e-9).monitors["balance"] < 1e-7
    assert integrate(net, DATA, u0=0.1, width=10, rtol=1e-3).monitors["balance"] > 1e-7


@pytest.mark.parametrize(
    "net",
    [
        FusionNetwork.fused_at(2, 1),
        FusionNetwork.fused_at(1, 1),
        FusionNetwork.fused_at(3, 1),
        FusionNetwork.branches({"A": 1, "B": 3}, trunk=1),
    ],
    ids=["early 2", "one layer", "early 3", "unequal"],
)
def test_every_network_ends_at_the_optimum(net: FusionNetwork) -> None:
    run = integrate(net, DATA, u0=0.05, width=10)
    assert set(run.status.values()) == {"reached"}
    assert run.loss[-1] <= 1.01e-6 * run.loss[0]
    np.testing.assert_allclose([run.total["A"][-1, 0], run.total["B"][-1, 0]], [1, 1], atol=5e-3)


def test_several_outputs_end_at_the_optimum() -> None:
    data = random_correlations(np.random.default_rng(2), {"A": 2, "B": 2}, outputs=2)
    run = integrate(LATE, data, u0=1e-2, width=10)
    assert run.total["A"].shape == (len(run.t), 2, 2)
    final = np.concatenate([run.total["A"][-1], run.total["B"][-1]], axis=1)
    np.testing.assert_allclose(final, data.optimum, atol=0.05 * np.max(np.abs(data.optimum)))


def test_random_weights_have_the_promised_norms() -> None:
    """Entries N(0, norm^2/entries), drawn as they are: the norm scatters by 1/sqrt(2 entries)."""
    net = FusionNetwork.fused_at(4, 2)
    weights = random_weights(net, DATA, 0.3, width=200, seed=5)
    assert [w.shape for w in weights["trunk"]] == [(200, 200), (1, 200)]
    for name, layers in weights.items():
        goal = 0.3 * (math.sqrt(2) if name == "trunk" else 1)
        for w in layers:
            assert np.linalg.norm(w) == pytest.approx(goal, rel=5 / math.sqrt(2 * w.size))
    assert start_norms(net, {"A": 3, "B": 4}) == {"A": 3, "B": 4, "trunk": 5}
    same = random_weights(net, DATA, 0.3, width=200, seed=5)
    np.testing.assert_array_equal(same["A"][1], weights["A"][1])


def test_a_zero_layer_is_no_stop_where_the_flow_moves_on() -> None:
    weights = {"A": [np.full((3, 1), 0.1), np.zeros((1, 3))], "B": [np.full((3, 1), 0.1), np.zeros((1, 3))]}
    assert integrate(LATE, DATA, weights=weights).status == dict.fromkeys("AB", "reached")
    stuck = integrate(LATE, DATA, u0=0.0, width=3)
    assert set(stuck.status.values()) == {"never"}


def test_a_step_budget_ends_a_run_with_a_warning() -> None:
    run = integrate(LATE, DATA, u0=1e-3, width=10, max_steps=5)
    assert run.status == dict.fromkeys("AB", "not reached")
    assert any("budget of 5 steps" in w for w in run.warnings)


def test_the_slope_is_the_derivative_of_the_flow() -> None:
    """By complex steps against central differences, with what training adds: decay, encoders of OGM."""
    plain = Problem.of(FusionNetwork.fused_at(4, 3), DATA)
    start = random_start(plain, 0.5, 20)
    terms = Terms(decay=(("A", 0.01), ("trunk", 0.02)), modulation=0.3)
    system, _ = full_system(replace(start.course, terms=terms), start.narrow(1), 1e-6)
    found, rates = system.slope(system.start)
    for i, h in enumerate(1e-6 * np.eye(len(system.start))):
        ends = [system.velocity(system.start + sign * h) for sign in (1, -1)]
        np.testing.assert_allclose(found[:, i], (ends[0][0] - ends[1][0]) / 2e-6, rtol=1e-5, atol=1e-9)
        for m in "AB":
            assert rates[m][i] == pytest.approx((ends[0][1][m] - ends[1][1][m]) / 2e-6, rel=1e-5, abs=1e-9)


def test_a_phase_at_rest_has_settled_and_does_not_step_beyond_the_end_of_floats() -> None:
    """What waits is never learned there: steps grow without bound, and the solver comes to its own end."""
    course = random_start(Problem.of(LATE, DATA), 0.1).course
    begin = np.array([0.1, 0.1])
    still = System(
        lambda state: (np.zeros_like(state), {"A": 1.0, "B": 1.0}),
        lambda state: state.reshape(1, 2),
        begin,
        np.full(2, 1e-12),
        slope=lambda state: (np.zeros((2, 2)), {"A": np.zeros(2), "B": np.zeros(2)}),
    )
    record = Record([0.0], [begin[None]], None)
    found = Phase(still, begin, ("A", "B"), course, None, 1e-8, record, 0.0, math.inf, 10_000).run()
    assert found.end is End.SETTLED
    assert found.modality is None


def test_a_start_past_half_has_half_time_zero() -> None:
    weights = {"A": [[[1.0]], [[1.0]]], "B": [[[0.01]], [[0.01]]]}
    run = integrate(LATE, DATA, weights=weights)
    assert run.times["A"] == 0
    assert any("A starts past half of what it contributes" in w for w in run.warnings)
    assert run.lag == pytest.approx(run.times["B"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"width": 0}, "width must be an integer >= 1, got 0"),
        ({"seed": -1}, "seed must be an integer >= 0, got -1"),
        ({"seed": 0.5}, "seed must be an integer >= 0, got 0.5"),
        ({"weights": {"A": [[[1.0]], [[1.0]]]}}, "weights must name the chains A, B, trunk, got A"),
        ({"weights": {"A": [[[1.0]]], "B": [[[1.0]], [[1.0]]]}}, r"weights\['A'\] must have 2 layers, got 1"),
        (
            {"weights": {"A": [[[1.0, 2.0]], [[1.0]]], "B": [[[1.0]], [[1.0]]]}},
            r"weights\['A'\]\[0\] must have 1 columns",
        ),
        (
            {"weights": {"A": [[[np.nan]], [[1.0]]], "B": [[[1.0]], [[1.0]]]}},
            r"weights\['A'\]\[0\] has nan at index",
        ),
        ({"weights": {"A": [[[1.0]], [[1.0], [2.0]]], "B": [[[1.0]], [[1.0]]]}}, "put out different numbers of units"),
    ],
)
def test_bad_starts_get_one_line(arguments, says: str) -> None:
    with pytest.raises(DomainError, match=says) as error:
        integrate(LATE, DATA, **arguments)
    assert "\n" not in str(error.value)


def test_all_members_of_an_ensemble_have_one_race() -> None:
    """It is run with the nominal start, not with the norms that a draw happens to have; the order is each member's."""
    close = Correlations.scalar(1.05, 1, 0.1)  # k = 0.915
    runs = [integrate(FusionNetwork.fused_at(3, 3), close, u0=0.01, width=10, seed=seed) for seed in range(6)]
    assert {run.race for run in runs} == {("A", "B")}
    assert all(run.times[run.order[0]] <= run.times[run.order[1]] for run in runs)
    large_units = Correlations.scalar(2e-3, 1e-3, 0.5, w=(1e4, 1e4))  # layers end near 100: u0 = 1 is small
    runs = [integrate(LATE, large_units, u0=1.0, width=20, seed=seed) for seed in range(4)]
    assert {run.order for run in runs} == {("A", "B")}
    assert all(run.status["B"] == "reached" for run in runs)


@pytest.mark.parametrize("t_end", [1e3, 1e40])
def test_half_of_the_output_is_reached_where_half_of_the_weights_never_is(t_end: float) -> None:
    """A's global weights point away from its unimodal ones, before half of them is there; of their output it is there.

    Read off the record, in the metric of the inputs.
    """
    sigma = np.array([[1, 0.9, -0.8], [0.9, 1, -0.6], [-0.8, -0.6, 1.0]])
    data = Correlations(sigma, sigma @ [0.3, 1.1, 1.4], {"A": 2, "B": 1})
    block, alone = sigma[:2, :2], np.linalg.solve(sigma[:2, :2], (sigma @ [0.3, 1.1, 1.4])[:2])
    along = block @ alone / (alone @ block @ alone)
    for run in (
        integrate_reduced(LATE, data, u0=0.05),
        integrate_reduced(LATE, data, u0=0.05, t_end=t_end),
        integrate(LATE, data, u0=0.05, width=4),
        descend(LATE, data, u0=0.05, width=4),
    ):
        assert run.status == {"A": "reached", "B": "reached"}
        assert run.loss[-1] < 1e-5 * run.loss[0]
        share = run.total["A"] @ along
        first = int(np.argmax(share >= 0.5 - 1e-9))
        assert run.t[first - 1] <= run.times["A"] <= run.t[first] * (1 + 1e-9)
        assert max(run.total["A"] @ alone) < 0.5 * alone @ alone
        assert run.weight_times["A"] == math.inf


def test_a_modality_that_never_sees_half_of_its_plateau_is_measured_along_its_end() -> None:
    """Three alike: each ends at 0.455 of what the first would be alone. Logarithms of the norms by DOP853."""
    sigma, target = np.full((3, 3), 0.6) + 0.4 * np.eye(3), np.array([1.002, 1.001, 1.0])
    data, net = Correlations(sigma, target, dict.fromkeys("ABC", 1)), FusionNetwork.fused_at(2, 2, ("A", "B", "C"))
    optimum = np.linalg.solve(sigma, target)
    goals = np.array([optimum[0], np.linalg.solve(sigma[:2, :2], target[:2])[1], optimum[2]])
    assert optimum[0] < 0.5 * target[0]
    events = [lambda _, logs, i=i: np.exp(2 * logs[i]) - goals[i] / 2 for i in range(3)]
    velocity = lambda _, logs: target - sigma @ np.exp(2 * logs)
    exact = solve_ivp(velocity, (0, 20), [math.log(1e-3)] * 3, "DOP853", rtol=1e-12, atol=1e-13, events=events)
    run = integrate_reduced(net, data, u0=1e-3)
    assert run.status == dict.fromkeys("ABC", "reached")
    assert (run.race, run.order) == (("A", "B", "C"), ("A", "C", "B"))
    assert "B leaves zero before C, which overtakes it" in str(run)
    for m, goal, times in zip("ABC", goals, exact.t_events, strict=True):
        assert run.plateaus[m] == pytest.approx(goal, rel=2e-3)  # the run has settled that far
        assert run.times[m] == pytest.approx(times[0], rel=1e-3 if m == "A" else 1e-7)
    for other in (integrate(net, data, u0=1e-3, width=10), descend(net, data, u0=1e-3, width=10)):
        assert set(other.status.values()) == {"reached"}


def test_tiny_starts_are_not_taken_for_balanced_ones() -> None:
    run = integrate(LATE, DATA, u0=1e-90, width=3)
    assert run.status == dict.fromkeys("AB", "reached")
    assert run.ratio == pytest.approx(5, rel=0.01)
    with pytest.raises(DomainError, match="multiply to 10^-400, below the range of floats".replace("^", r"\^")):
        integrate(LATE, DATA, u0=1e-200)
    assert integrate_reduced(LATE, DATA, u0=1e-300).ratio == pytest.approx(5, rel=1e-3)


def test_layers_too_narrow_for_the_outputs_are_refused() -> None:
    data = random_correlations(np.random.default_rng(1), {"A": 2, "B": 2}, outputs=3)
    with pytest.raises(DomainError, match="chain 'A' is 1 wide, 3 outputs need a width of 2"):
        integrate(LATE, data, width=1)


def test_a_chain_that_starts_at_zero_stays_there() -> None:
    for run in (
        integrate(LATE, DATA, u0={"A": 0, "B": 1e-3}, width=5),
        integrate_reduced(LATE, DATA, u0={"A": 0, "B": 1e-3}),
    ):
        assert run.status == {"B": "reached", "A": "never"}
    assert run.loss[-1] == pytest.approx(3.5 - 2, rel=1e-5)


def test_a_start_at_the_optimum_is_learned_already() -> None:
    run = integrate_reduced(LATE, DATA, u0=1)
    assert run.times == {"A": 0.0, "B": 0.0}


@pytest.mark.parametrize("scale", [1e-140, 1e140])
def test_units_at_the_end_of_floats_are_simulated(scale: float) -> None:
    data = Correlations.scalar(2, 1, 0.5).rescaled({"A": scale, "B": scale})
    plain = integrate_reduced(LATE, DATA, u0=1e-6)
    scaled = integrate_reduced(LATE, data, u0=1e-6 / scale**0.5)
    assert scaled.ratio == pytest.approx(plain.ratio, rel=1e-7)
    assert scaled.times["A"] * scale == pytest.approx(plain.times["A"], rel=1e-7)


def test_stiff_plateaus_of_wide_networks_fall_back_to_an_implicit_method() -> None:
    """(4, 4) at u0 = 0.01 from an aligned start, width 6 (168 weights): explicit steps alone would not end."""
    net = FusionNetwork.fused_at(4, 4)
    run = integrate(net, DATA, weights=aligned_weights(net, DATA, 0.01, width=6), rtol=1e-8)
    assert run.ratio == pytest.approx(integrate_reduced(net, DATA, u0=0.01).ratio, rel=1e-5)
