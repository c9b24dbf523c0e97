"""The batched integrator and batched descent, judged by SciPy on the same networks and by descent written out."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from derivations import Correlations, FusionNetwork
from derivations.critical.saddles import Course
from derivations.errors import SolveError
from derivations.flow import gradient_flow as law
from dynamics import random_weights
from dynamics.problem import Problem
from dynamics.runs.half_times import Status
from dynamics.simulation.batch import descent, flow
from dynamics.simulation.batch.kernel import Kernel
from dynamics.simulation.batch.members import Member
from dynamics.starts.compression import compressed
from dynamics.starts.start import random_start
from tests.cases import flat_flow

DATA = Correlations.scalar(2, 1, 0.5)


def starts(net: FusionNetwork, data: Correlations, u0: float, seeds, width: int = 40, rounds: int = 1) -> list[Member]:
    plan = random_start(Problem.of(net, data), u0).course
    return [Member(compressed(net, random_weights(net, data, u0, width=width, seed=s), rounds), plan) for s in seeds]


def share(member: Member, m: str, total) -> float:
    """The share of the plateau's output, written out."""
    goal, metric = member.course.plateaus[m], member.data.input_block(m, m)
    return float(np.trace(total[m] @ metric @ goal.T) / np.trace(goal @ metric @ goal.T))


def half_times_by_scipy(net: FusionNetwork, member: Member, t_end: float) -> dict[str, float]:
    """DOP853 at rtol 1e-11 on the laws as they stand in `derivations`; events by SciPy."""
    y0, total, velocity = flat_flow(net, member.data, member.weights)
    names = member.data.modalities
    events = [lambda _, y, m=m: share(member, m, total(y)) - 0.5 for m in names]
    run = solve_ivp(velocity, (0, t_end), y0, method="DOP853", rtol=1e-11, atol=1e-15, events=events)
    return {m: float(found[0]) for m, found in zip(names, run.t_events, strict=True)}


CASES = [(2, 2, 1e-3, 1), (3, 3, 0.1, 1), (4, 2, 0.1, 1), (4, 3, 0.2, 1), (3, 1, 0.1, 1), (2, 2, 1e-2, 3)]


@pytest.mark.parametrize(("depth", "fused", "u0", "inputs"), CASES)
def test_half_times_are_scipys(depth: int, fused: int, u0: float, inputs: int) -> None:
    """Two members each; the batch at rtol 1e-9 within 1e-7, and lag and ratio follow.

    With several inputs the share is of the output, where the weights wait for the slow directions.
    """
    net, data = FusionNetwork.fused_at(depth, fused), DATA
    if inputs > 1:
        sigma = np.diag([4.0, 1.0, 0.25, 1.0]) + 0.2
        data = Correlations(sigma, sigma @ [1.0, -1.0, 2.0, 0.5], {"A": inputs, "B": 1})
    members = starts(net, data, u0, range(2))
    runs = flow.run(members, rtol=1e-9)
    assert np.all(runs.status == Status.REACHED)
    for n, member in enumerate(members):
        judge = half_times_by_scipy(net, member, 1.1 * float(np.max(runs.times[:, n])))
        for i, m in enumerate(DATA.modalities):
            assert runs.times[i, n] == pytest.approx(judge[m], rel=1e-7)
        assert runs.lags[0, 1, n] == -runs.lags[1, 0, n] == pytest.approx(judge["B"] - judge["A"], rel=1e-6)


def test_errors_are_in_proportion_to_the_tolerance_where_it_is_stiff() -> None:
    """Six decades: miss, energy identity and drift stay below 100 rtol though the method changes."""
    net = FusionNetwork.fused_at(4, 4)
    members = starts(net, DATA, 0.3, range(2))
    exact = flow.run(members, rtol=1e-11)
    for rtol in (1e-4, 1e-6, 1e-8, 1e-10):
        runs = flow.run(members, rtol=rtol)
        assert np.max(np.abs(runs.times / exact.times - 1)) < 100 * rtol
        assert np.max(runs.energy) < 100 * rtol
        assert np.max(runs.balance) < 100 * rtol
    assert flow.run(members, rtol=1e-4).steps.max() < exact.steps.min()


def test_the_implicit_method_pays_on_a_stiff_plateau(monkeypatch: pytest.MonkeyPatch) -> None:
    """(4, 4): less than a fifth of the evaluations, and the same half-times to 1e-4."""
    net = FusionNetwork.fused_at(4, 4)
    members = starts(net, DATA, 0.1, range(4))
    runs = flow.run(members, rtol=1e-5)
    monkeypatch.setattr(flow, "STIFF_STEPS", 10**9)
    explicit = flow.run(members, rtol=1e-5)
    assert runs.evaluations < explicit.evaluations / 5
    np.testing.assert_allclose(runs.times, explicit.times, rtol=1e-4)


def test_members_do_not_touch_each_other() -> None:
    """Alone or in company of other data, starts and tolerances: the same half-times to the tolerance."""
    net = FusionNetwork.fused_at(3, 2)
    other = Correlations.scalar(1, 3, -0.2)
    members = starts(net, DATA, 0.1, [0, 1]) + starts(net, other, 0.3, [2]) + starts(net, DATA, 0.05, [3], width=8)
    together = flow.run(members, rtol=np.array([1e-9, 1e-9, 1e-9, 1e-8]))
    for n, member in enumerate(members):
        alone = flow.run([member], rtol=1e-9)
        np.testing.assert_allclose(together.times[:, n], alone.times[:, 0], rtol=1e-7)


def test_lag_is_not_a_difference_of_rounded_times() -> None:
    """(4, 2) at u0 = 1e-10: t_A near 1e21, the lag of order one. Against a clock that starts in A's last e-fold."""
    net, data = FusionNetwork.fused_at(4, 2), Correlations.scalar(2, 1, 0.2)
    (member,) = starts(net, data, 1e-10, [0], width=10)
    runs = flow.run([member], rtol=1e-8)
    assert runs.times[0, 0] > 1e18
    late = flow.run([member], rtol=1e-8, t_end=float(runs.times[0, 0]) * (1 - 1e-3))
    assert late.status[0, 0] == Status.NOT_REACHED
    again = flow.run([member], rtol=1e-10)
    assert 0.01 < runs.lags[0, 1, 0] < 1e4
    assert runs.lags[0, 1, 0] == pytest.approx(again.lags[0, 1, 0], rel=1e-5)


def test_budget_horizon_and_a_start_that_cannot_move() -> None:
    net = FusionNetwork.fused_at(3, 3)
    members = starts(net, DATA, 0.1, [0])
    short = flow.run(members, max_steps=5)
    assert np.all(short.status == Status.NOT_REACHED)
    assert short.steps[0] == 5
    early = flow.run(members, t_end=0.5)
    assert early.t[0] == 0.5
    assert early.grown[0] > 1  # it waits, it is not stuck
    dead = Member({n: [0 * w for w in layers] for n, layers in members[0].weights.items()}, members[0].course)
    still = flow.run([dead, *members])
    assert list(still.status[:, 0]) == [Status.NEVER, Status.NEVER]
    assert np.all(still.status[:, 1] == Status.REACHED)


def test_settle_goes_on_until_the_loss_has_settled() -> None:
    net = FusionNetwork.fused_at(2, 2)
    members = starts(net, DATA, 1e-3, [0, 1])
    runs = flow.run(members, settle=True)
    begin = [float(law.loss(DATA, law.total_weights(net, m.weights))) for m in members]
    least = members[0].course.lowest_loss
    assert np.all(runs.loss - least <= 1e-6 * (np.array(begin) - least))
    assert np.all(runs.t > flow.run(members).t)


def test_a_broken_flow_is_caught_by_the_monitors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rows of the velocity 1 % too fast: no gradient any more, and both monitors say so."""
    net = FusionNetwork.fused_at(3, 3)
    members = starts(net, DATA, 0.1, range(2))
    fine = flow.run(members, rtol=1e-6)
    right = Kernel._velocity

    def wrong(self, state, **given):
        moved, total = right(self, state, **given)
        moved[:3] *= 1.01
        return moved, total

    monkeypatch.setattr(Kernel, "_velocity", wrong)
    broken = flow.run(members, rtol=1e-6)
    for name in ("energy", "balance"):
        assert np.max(getattr(fine, name)) < 100 * 1e-6 < np.min(getattr(broken, name))


@pytest.mark.parametrize(("depth", "fused", "u0"), [(2, 2, 0.05), (3, 2, 0.2), (4, 4, 0.3)])
def test_descent_of_a_batch_is_descent_written_out(depth: int, fused: int, u0: float) -> None:
    """Half-levels in the same step, and where in the step to 1e-9."""
    net, rate = FusionNetwork.fused_at(depth, fused), 0.02
    members = starts(net, DATA, u0, range(3), width=12)
    runs = descent.run(members, rate)
    for n, member in enumerate(members):
        now = {name: list(layers) for name, layers in member.weights.items()}
        before, found, step = {}, {}, 0
        while len(found) < 2:
            total = law.total_weights(net, now)
            for m in DATA.modalities:
                here = share(member, m, total) - 0.5
                if here >= 0 and m not in found:
                    found[m] = (step - 1 - before[m] / (here - before[m])) * rate
                before[m] = here
            moved = law.flow(net, now, law.errors(DATA, total))
            now = {k: [w + rate * v for w, v in zip(now[k], moved[k], strict=True)] for k in now}
            step += 1
        for i, m in enumerate(DATA.modalities):
            assert runs.times[i, n] == pytest.approx(found[m], rel=1e-9)


def test_descent_converges_to_the_flow_at_first_order() -> None:
    net = FusionNetwork.fused_at(3, 3)
    members = starts(net, DATA, 0.2, range(3))
    exact = flow.run(members, rtol=1e-10).times
    errors = [np.abs(descent.run(members, rate).times / exact - 1) for rate in (0.008, 0.004, 0.002)]
    np.testing.assert_allclose(errors[0] / errors[1], 2, rtol=0.1)
    np.testing.assert_allclose(errors[1] / errors[2], 2, rtol=0.05)


def test_descent_that_diverges_says_so() -> None:
    net = FusionNetwork.fused_at(4, 4)
    with pytest.raises(SolveError, match=r"diverged at step \d+, a member: learning_rate 2 is too large"):
        descent.run(starts(net, DATA, 0.2, [0]), 2.0)


def test_an_overtaken_modality_is_not_waited_for_for_ever() -> None:
    """Sigma_yx and correlations such that B turns A round: the run ends with the loss settled."""
    data = Correlations([[1.0, 0.9], [0.9, 1.0]], [1.0, 0.999], {"A": 1, "B": 1})
    net = FusionNetwork.fused_at(2, 2)
    members = starts(net, data, 1e-3, [0])
    course: Course = members[0].course
    runs = flow.run(members)
    assert math.isfinite(runs.t[0])
    assert course.order[0] == "A"


@pytest.mark.parametrize("rho", [-0.8, -0.5, 0.3])
def test_two_layers_against_their_exact_solution(rho: float) -> None:
    """sigma = (3, 1), u0 = 1e-8, with and without a sign flip: W = 2 kappa sinh(s), ds/dt = 2 e, in logarithms.

    Steps of a Runge-Kutta method commute with the change to growing and shrinking modes, so a flip, which leaves
    a small difference of large weights, costs no accuracy: rtol 1e-5 gives 1e-5.
    """
    net, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(3, 1, rho)
    members = starts(net, data, 1e-8, range(2), width=100, rounds=0)
    runs = flow.run(members, rtol=1e-5)
    for n, member in enumerate(members):
        sums, differences = (
            np.array([np.linalg.norm(w1[:, 0] + sign * w2[0]) for w1, w2 in (member.weights[m] for m in "AB")])
            for sign in (1, -1)
        )
        kappa = sums * differences / 4

        def velocity(_, s, kappa=kappa):
            return 2 * (data.sigma_yx - data.sigma @ (2 * kappa * np.sinh(np.clip(s, -60, 60))))  # trial steps

        goals = [member.course.plateaus[m][0, 0] for m in "AB"]
        events = [
            lambda _, s, i=i, k=2 * kappa[i] / goals[i]: k * np.sinh(np.clip(s[i], -60, 60)) - 0.5 for i in (0, 1)
        ]
        exact = solve_ivp(
            velocity, (0, 1.5 * runs.t[n]), np.log(sums / differences), "LSODA", events=events, rtol=1e-11, atol=1e-11
        )
        np.testing.assert_allclose(runs.times[:, n], [float(t[0]) for t in exact.t_events], rtol=1e-5)
