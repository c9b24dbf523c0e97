"""The saddles that a run visits, found from the run itself."""

import math

import numpy as np
import pytest

from derivations.critical.saddles import course
from dynamics import Correlations, FusionNetwork, descend, integrate, integrate_reduced, load_trajectory, recorded
from dynamics.runs.itinerary import NEAR, visits
from dynamics.runs.trajectory import losses
from tests.cases import random_correlations

LATE, EARLY = FusionNetwork.fused_at(2, 2), FusionNetwork.fused_at(2, 1)
FIGURE_2 = Correlations.scalar(2, 1, 0)
UNLEARNING = Correlations.scalar(2, 1, 0.9, w=(-0.1, 1))


def names(run) -> list[str]:
    return [visit.name for visit in run.itinerary]


def test_figure_2e_and_2b() -> None:
    """Entries of standard deviation 1e-9 at width 100 are u0 = 1e-8."""
    late = integrate(LATE, FIGURE_2, u0=1e-8)
    assert names(late) == ["M_0", "M_A", "M_*"]
    for visit, before in zip(late.itinerary[1:], late.itinerary, strict=False):
        assert visit.enter == before.leave
    assert late.itinerary[1].enter == pytest.approx(late.times["A"], rel=1e-3)
    assert late.itinerary[2].enter == pytest.approx(late.times["B"], rel=1e-3)
    assert late.itinerary[-1].leave == math.inf
    assert names(integrate(EARLY, FIGURE_2, u0=1e-8)) == ["M_0", "M_*"]


def test_at_a_border_the_outputs_are_half_way_between_two_saddles() -> None:
    """Distances written out anew, weights interpolated; vector inputs. The curve between two steps bends: 2 %."""
    data = random_correlations(np.random.default_rng(8), {"A": 2, "B": 3}, correlation=0.4)
    run = integrate(LATE, data, u0=1e-6, width=10)
    goals = {"M_0": (), "M_A": ("A",), "M_B": ("B",), "M_*": ("A", "B")}
    assert len(run.itinerary) == 3
    for before, after in zip(run.itinerary, run.itinerary[1:], strict=False):
        here = np.hstack([[np.interp(after.enter, run.t, w) for w in run.total[m].T] for m in "AB"])
        gaps = []
        for visit in (before, after):
            gap = here - np.hstack([data.regression(goals[visit.name])[m][0] for m in "AB"])
            gaps.append(float(np.sqrt(gap @ data.sigma @ gap)))
        assert gaps[0] == pytest.approx(gaps[1], rel=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_an_unlearning_path_from_a_random_start(seed: int) -> None:
    """A is learned, gives way to B, and comes back with the other sign."""
    run = integrate(LATE, UNLEARNING, u0=1e-3, seed=seed)
    assert names(run) == ["M_0", "M_A", "M_B", "M_*"]
    assert all(visit.distance < 0.01 for visit in run.itinerary)
    assert run.itinerary[2].leave > 100


def test_a_balanced_start_stays_at_m_b() -> None:
    run = integrate_reduced(LATE, UNLEARNING, u0=1e-3)
    assert names(run) == ["M_0", "M_A", "M_B"]
    assert run.itinerary[-1].leave == math.inf  # the sign of a balanced scalar weight is kept for ever


def test_a_slow_passage_is_no_attractor() -> None:
    """A record that ends on a plateau leaves the saddle at its end, not never."""
    for t_end in (12.0, 100.0):
        run = integrate(LATE, UNLEARNING, u0=1e-3, t_end=t_end)
        assert names(run)[-1] == ("M_A" if t_end < 20 else "M_B")
        assert run.itinerary[-1].leave == t_end


def test_a_weak_second_modality_is_not_forgotten() -> None:
    """B is worth a millionth of the loss: at M_A the loss has nearly settled, but the run does not stay there."""
    data = Correlations(np.eye(2), [1, 2e-3], {"A": 1, "B": 1})
    for producer in (integrate, integrate_reduced):
        short = producer(LATE, data, u0=1e-3, t_end=100.0)
        assert short.itinerary[-1].name == "M_A"
        assert short.itinerary[-1].leave == 100.0
        whole = producer(LATE, data, u0=1e-3)
        assert names(whole) == ["M_0", "M_A", "M_*"]
        assert whole.itinerary[1].leave == pytest.approx(whole.times["B"], rel=1e-3)
    still = recorded(LATE, FIGURE_2, [0.0, 1.0, 2.0], {"A": [0.3] * 3, "B": [0.01] * 3})
    assert still.itinerary[-1].leave == 2.0


def test_a_record_that_ends_under_way_has_left_the_saddle_behind() -> None:
    whole = integrate(LATE, FIGURE_2, u0=1e-8)
    run = integrate(LATE, FIGURE_2, u0=1e-8, t_end=whole.times["A"] + 0.12)
    assert names(run) == ["M_0"]
    assert run.itinerary[0].leave == pytest.approx(whole.times["A"], rel=1e-3)


def test_only_saddles_that_exist_are_visited() -> None:
    """A has one layer: it cannot stay behind. `fixed_points` has no M_B here."""
    network = FusionNetwork.branches({"A": 1, "B": 2}, trunk=1)
    data = Correlations([[1, 0.2], [0.2, 3]], [0.05, 3], {"A": 1, "B": 1})
    run = integrate(network, data, u0={"A": 1e-4, "B": 0.3}, width=4)
    assert "M_B" not in names(run)


def test_every_producer_and_every_form_sees_the_same(tmp_path) -> None:
    flow = integrate(LATE, UNLEARNING, u0=1e-2, width=10)
    down = descend(LATE, UNLEARNING, u0=1e-2, width=10)
    assert names(down) == names(flow)
    for one, other in zip(flow.itinerary[1:], down.itinerary[1:], strict=True):
        assert other.enter == pytest.approx(one.enter, rel=0.03)  # a finite learning rate
    by_hand = recorded(LATE, UNLEARNING, flow.t[np.diff(flow.t, prepend=-1) > 0], {
        m: w[np.diff(flow.t, prepend=-1) > 0] for m, w in flow.total.items()
    })  # fmt: skip
    assert names(by_hand) == names(flow)
    flow.save(tmp_path / "run.npz")
    assert load_trajectory(tmp_path / "run.npz").itinerary == flow.itinerary


@pytest.mark.parametrize("seed", range(8))
def test_three_modalities_are_visited_in_the_order_of_the_half_times(seed: int) -> None:
    """Each saddle has the name of what is learned by then; none is left out unless two half-times nearly coincide."""
    rng = np.random.default_rng(seed)
    data = random_correlations(rng, {"A": 1, "B": 1, "C": 1}, correlation=0.2)
    data = Correlations(data.sigma, data.sigma @ rng.permutation([3.0, 1.5, 0.7]), data.sizes)
    run = integrate(FusionNetwork.fused_at(2, 2, ("A", "B", "C")), data, u0=1e-8, width=20)
    first, second, third = sorted("ABC", key=lambda m: run.times[m])
    expected = ["M_0", f"M_{first}", "M_" + "".join(sorted(first + second)), "M_*"]
    assert [name for name in expected if name in names(run)] == names(run)
    for saddle, one, other in ((expected[1], first, second), (expected[2], second, third)):
        assert saddle in names(run) or run.times[other] < 1.15 * run.times[one]


def test_growing_at_one_pace_visits_nothing_on_the_way() -> None:
    """The straight way from zero to the optimum passes every saddle beyond 0.7 of its distance to the next."""
    rng = np.random.default_rng(2)
    network = FusionNetwork.fused_at(2, 2)
    for _ in range(50):
        data = random_correlations(rng, {"A": 2, "B": 2}, correlation=float(rng.uniform(0, 1)))
        plan = course(network, data, {"A": 1e-3, "B": 1e-3}, {})
        t = np.linspace(0, 1, 400)
        packed = t[:, None, None] * data.optimum[None, None]
        assert [v.name for v in visits(plan, t, packed, losses(data, packed))] == ["M_0", "M_*"]
    assert math.sqrt(0.5) > NEAR


@pytest.mark.parametrize("depth", [2, 3])
def test_several_outputs_are_learned_mode_by_mode(depth: int) -> None:
    """Modes of strengths 4, 3, 2, 1 without correlations, two layers or three: a saddle after each of them."""
    data = Correlations(np.diag([1.0, 1, 2, 2]), [[3, 0, 0, 2.0], [0, 1, 4, 0]], {"A": 2, "B": 2})
    run = integrate(FusionNetwork.fused_at(depth, depth), data, u0=1e-4 if depth == 2 else 0.02, width=6)
    assert [visit.name for visit in run.itinerary] == ["M_0", "M_B1", "M_A1,B1", "M_B,A1", "M_*"]
