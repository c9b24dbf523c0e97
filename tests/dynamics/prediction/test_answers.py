"""One clock, read off the run: small cases with their right values, and whole kinds against flows of our own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from dynamics import (
    Correlations,
    FusionNetwork,
    ensemble,
    integrate,
    integrate_reduced,
    load_example,
    predict,
    prescribe,
)
from dynamics.runs.half_times import Status
from tests.cases import SOAK

LATE = FusionNetwork.fused_at(2, 2)
WORTHLESS = 0.01  # of the output alone: what adds less in the end is never learned


class OwnFlow:
    """The aligned balanced flow of two modalities, from the equations of the width-one chain, with SciPy alone.

    State: ln u_m of each and the rows v_m/u_m. W_m = c^k u_m^n r_m for n layers before the fusion and k after it.
    """

    def __init__(self, sigma: np.ndarray, target: np.ndarray, sizes: tuple[int, int], before: int, after: int) -> None:
        self.sigma, self.target, self.before, self.after = sigma, target, before, after
        self.spans = slice(0, sizes[0]), slice(sizes[0], sum(sizes))

    def start(self, u0: float) -> np.ndarray:
        rows = [self.target[span] / np.linalg.norm(self.target[span]) for span in self.spans]
        return np.concatenate([[math.log(u0)] * 2, *rows])

    def weights(self, state: np.ndarray) -> np.ndarray:
        """(D,)."""
        sizes, rows = np.exp(state[:2]), state[2:]
        trunk = math.hypot(*sizes) ** self.after
        each = [trunk * sizes[i] ** self.before * rows[s] / np.linalg.norm(rows[s]) for i, s in enumerate(self.spans)]
        return np.concatenate(each)

    def velocity(self, _: float, state: np.ndarray) -> np.ndarray:
        sizes, rows, moved = np.exp(state[:2]), state[2:], np.empty_like(state)
        error, trunk = self.target - self.weights(state) @ self.sigma, math.hypot(*sizes) ** self.after
        for i, span in enumerate(self.spans):
            row = rows[span] / np.linalg.norm(rows[span])
            gain, along = trunk * sizes[i] ** (self.before - 2), float(row @ error[span])
            moved[i], moved[2:][span] = gain * along, gain * (error[span] - along * row)
        return moved

    def half(self, u0: float, i: int, goal: np.ndarray, until: float) -> float:
        """When half of the output of the goal is there."""
        span = self.spans[i]
        along = goal @ self.sigma[span, span] / (goal @ self.sigma[span, span] @ goal)

        def past(_: float, state: np.ndarray) -> float:
            return float(self.weights(state)[span] @ along) - 0.5

        past.terminal = True  # type: ignore[attr-defined]
        run = solve_ivp(self.velocity, (0, until), self.start(u0), "DOP853", events=past, rtol=3e-13, atol=1e-13)
        return float(run.t_events[0][0])

    def end(self, u0: float) -> np.ndarray:
        """Weights when the loss does not fall any more: an implicit method to a time that no scale here outlasts."""
        run = solve_ivp(self.velocity, (0, 1e7), self.start(u0), "LSODA", rtol=1e-10, atol=1e-12)
        return self.weights(run.y[:, -1])


@pytest.mark.parametrize("seed", range(200 if SOAK else 6))
def test_half_outputs_are_those_of_a_flow_of_our_own(seed: int) -> None:
    """1 to 4 inputs, scales over two decades, every fusion: the reduced flow is within its bound."""
    rng = np.random.default_rng([24, seed])
    sizes = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    total = sum(sizes)
    scales = 10 ** rng.uniform(-1, 1, total)
    table = rng.normal(size=(5 * total, total)) @ rng.normal(size=(total, total)) * scales
    sigma = table.T @ table / len(table)
    target = (rng.normal(size=total) / scales) @ sigma
    depth, fused = [(2, 2), (2, 2), (3, 3), (3, 2)][seed % 4]
    u0 = float(10 ** rng.uniform(-4 if depth == 2 else -2, math.log10(0.3)))
    data = Correlations(sigma, target, {"A": sizes[0], "B": sizes[1]})
    network = FusionNetwork.fused_at(depth, fused)
    run = integrate_reduced(network, data, u0=u0, rtol=1e-8)
    ours = OwnFlow(sigma, target, sizes, fused, depth - fused)
    strong = int(np.linalg.norm(target[ours.spans[1]]) > np.linalg.norm(target[ours.spans[0]]))
    alone = np.linalg.solve(sigma[ours.spans[strong], ours.spans[strong]], target[ours.spans[strong]])
    goals = {strong: alone, 1 - strong: np.linalg.solve(sigma, target)[ours.spans[1 - strong]]}
    bound = 1e-6 + 100 * np.finfo(float).eps * np.linalg.cond(sigma)
    for i, m in enumerate("AB"):
        if run.status[m] is not Status.REACHED or run.times[m] == 0 or not np.allclose(run.plateaus[m], goals[i]):
            assert sizes[i] == 1 or run.times[m] == 0 or strong == i  # a sign that is kept, an early start, overtaken
            continue
        assert run.times[m] == pytest.approx(ours.half(u0, i, goals[i], 2 * run.times[m]), rel=bound)


def _table(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Fewer rows than columns, or one block collinear with the other."""
    rng = np.random.default_rng([7, seed])
    if seed % 2:
        rows = int(rng.integers(4, 9))
        first, second = (rng.normal(size=(rows, int(rng.integers(rows // 2, 6)))) for _ in range(2))
    else:
        rows = int(rng.integers(8, 20))
        first = rng.normal(size=(rows, int(rng.integers(1, 4)))) * 10 ** rng.uniform(-0.5, 0.5)
        second = first @ rng.normal(size=(first.shape[1], int(rng.integers(1, 4))))
    y = first @ rng.normal(size=first.shape[1]) + second @ rng.normal(size=second.shape[1])
    y = y + rng.normal(size=rows) * (seed % 3 > 0)
    return first - first.mean(0), second - second.mean(0), y - y.mean(), float(10 ** rng.uniform(-3, -1.5))


@pytest.mark.parametrize("seed", range(200 if SOAK else 6))
def test_never_is_what_a_flow_of_our_own_ends_without(seed: int) -> None:
    first, second, y, u0 = _table(seed)
    data = Correlations.from_samples({"A": first, "B": second}, y)
    prediction = predict(LATE, data, u0=u0)
    ours = OwnFlow(data.sigma, data.sigma_yx, (first.shape[1], second.shape[1]), 2, 0)
    end = ours.end(u0)
    for m, span in zip("AB", ours.spans, strict=True):
        block = data.sigma[span, span]
        alone = data.sigma_yx[span] @ np.linalg.pinv(block)
        part = math.sqrt((end[span] @ block @ end[span]) / (alone @ block @ alone))
        if abs(part / WORTHLESS - 1) > 0.05:  # closer than that two integrators may differ
            assert prediction.status[m] is (Status.NEVER if part < WORTHLESS else Status.REACHED), (m, part)


def test_what_a_block_can_learn_but_the_first_learned_already_is_not_never() -> None:
    first = np.array([[1, 0.05], [-1, 0.05], [0, -0.1]])
    second = np.array([[1.0], [1], [-2]]) / math.sqrt(3)
    y = 1.5 * first[:, 0] + second[:, 0]
    data = Correlations.from_samples({"A": first, "B": second}, y)
    run = integrate_reduced(LATE, data, u0=0.01)
    assert run.status == {"A": Status.REACHED, "B": Status.REACHED}
    assert run.times["B"] < 8
    assert run.total["B"][-1] == pytest.approx([0.9785], abs=2e-3)
    assert predict(LATE, data, u0=0.01).status["B"] is Status.REACHED
    runs = ensemble(LATE, data, u0=0.01, width=50, seeds=3)
    assert all(np.all(runs.status[m] == Status.REACHED) for m in "AB")


def test_two_identical_scalars_are_learned_together_to_half_of_the_optimum_each() -> None:
    data = Correlations([[1, 1], [1, 1]], [1.0, 1.0], {"P": 1, "Q": 1})
    prediction = predict(FusionNetwork.fused_at(2, 2, ("P", "Q")), data, u0=0.01)
    assert prediction.together
    assert prediction.times["P"] == pytest.approx(prediction.times["Q"], rel=1e-9)
    run = prediction.reduced.run
    # both are u^2 with du/dt = u (1 - 2 u^2): half of the end, 1/4, from u0^2; the run ends 1e-3 before it
    gap = run.times["P"] / (0.5 * math.log(0.5 / 1e-4 - 1)) - 1
    assert abs(gap) < prediction.reduced.bound["P"] < 2e-3
    assert [run.total[m][-1, 0] for m in "PQ"] == pytest.approx([0.5, 0.5], abs=1e-3)


def test_misattribution_of_a_spanned_block_is_what_the_run_ends_with() -> None:
    first = np.array([[1, 0], [0, 1], [-1, 1], [0, -2.0]])
    second = first.sum(axis=1, keepdims=True) / 2
    data = Correlations.from_samples({"A": first, "B": second}, 2 * first[:, 0] + first[:, 1])
    prediction = predict(LATE, data, u0=0.01)
    assert prediction.misattribution["A"] == pytest.approx([0.053, 0.051], abs=1e-3)
    assert prediction.reduced.run.total["A"][-1] == pytest.approx([1.947, 0.949], abs=1e-3)


def test_a_half_output_is_an_event_of_the_integrator() -> None:
    data = Correlations(np.diag([400.0, 1, 1]), [20.0, 1, 0.5], {"A": 2, "B": 1})
    assert predict(LATE, data, u0=0.1).times["A"] == pytest.approx(0.14834891, abs=1e-8)


def test_diabetes_has_one_clock() -> None:
    data = load_example("diabetes")
    network = FusionNetwork.fused_at(2, 2, data.modalities)
    prediction = predict(network, data)
    assert prediction.order == ("serum", "body")
    assert [prediction.times[m] for m in prediction.order] == pytest.approx([7.046, 10.30], rel=1e-3)
    assert prediction.ratio == pytest.approx(1.46, rel=3e-3)
    assert len(prediction.warnings) <= 1
    assert "1.46 times as late; they overlap" in str(prediction)
    assert prediction.weight_times["serum"] == pytest.approx(210.7, rel=1e-3)
    change = prescribe(network, data, ingredients=False).rescale
    assert change.met
    assert change.value == pytest.approx(1.18, rel=5e-3)
    # by the flow itself: as many times as late, up to what counts as met
    again = integrate_reduced(network, data.rescaled({"body": change.value}))
    assert again.times["body"] / again.times["serum"] == pytest.approx(1, abs=0.01)


def test_a_seed_without_a_law_is_simulated_and_it_is_said() -> None:
    network, data = FusionNetwork.fused_at(3, 2), Correlations.scalar(2, 1, 0.3)
    found = [predict(network, data, u0=0.01, width=50, seed=seed) for seed in (1, 2)]
    assert [list(p.times.values()) for p in found] == [
        pytest.approx([31.21, 34.77], rel=1e-3), pytest.approx([25.94, 29.19], rel=1e-3)
    ]  # fmt: skip
    run = integrate(network, data, u0=0.01, width=50, seed=1)
    assert found[0].times == pytest.approx(run.times, rel=1e-3)
    assert any("no law of a single seed" in w and "simulated" in w for w in found[0].warnings)


@pytest.mark.parametrize("rho", [0.0, 0.3, -0.3])
def test_near_a_tie_an_aligned_start_keeps_a_finite_bound(rho: float) -> None:
    data = Correlations([[1, rho], [rho, 1]], [1.1, 1.0], {"A": 1, "B": 1})
    prediction = predict(LATE, data, u0=0.09)
    for m in "AB":
        gap = abs(prediction.refined.times[m] / prediction.reduced.times[m] - 1)
        assert gap < prediction.refined.bound[m] < math.inf


def test_units_are_not_collinearity() -> None:
    rng = np.random.default_rng(0)
    heart, warmth = rng.normal(70, 12, 300), rng.normal(37, 0.4, 300)
    y = heart / 12 + warmth / 0.4 + rng.normal(size=300)
    data = Correlations.from_samples({"heart": heart[:, None], "temperature": 0.1 * warmth[:, None]}, y)
    (warning,) = data.warnings
    assert "units" in warning
    assert "standardize" in warning
    assert "collinear" not in warning


def test_the_first_screen_says_what_it_holds_for() -> None:
    network, data = FusionNetwork.fused_at(4, 3), Correlations.scalar(2, 1, 0.5)
    aligned, random = predict(network, data, u0=0.01), predict(network, data, u0=0.01, width=100)
    for prediction, start in ((aligned, "aligned start"), (random, "random start, width 100")):
        assert start in prediction.holds_for
        assert prediction.holds_for in str(prediction)
    assert str(random).splitlines()[0].startswith("A is learned first, B follows")
    assert random.to_dict()["order_probability"]["A"] > 0.9
    assert aligned.to_dict()["order_probability"] is None
    assert "tau" in aligned.details.text()


def test_ten_columns_of_a_misattribution_are_listed() -> None:
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(30, 90))
    sigma = mixing @ mixing.T / 90
    data = Correlations(sigma, rng.normal(size=30) @ sigma, {"A": 25, "B": 5})
    (line,) = [n for n in predict(LATE, data).details.notes if n.startswith("Misattribution")]
    assert "10 largest of" in line
    assert line.count(",") == 10
