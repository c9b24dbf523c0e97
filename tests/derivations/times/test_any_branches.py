"""Branches of any depths and starts, (113)-(116), (59), (60): against ODEs that share no code with the laws."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from derivations import Correlations, DomainError, FusionNetwork
from derivations.algebra.notation import L_A, L_B, K, L_c, P, c, start_A, start_B, starts, x, y
from derivations.times import any_branches as branch_times
from derivations.times import random_starts
from derivations.times.any_branches import LOG_A, LOG_B, REST
from dynamics import predict
from dynamics.prediction.estimates import Estimate, leading_estimate
from dynamics.prediction.laws.leading import TwoBranches, alone
from dynamics.problem import Problem
from dynamics.runs.half_times import Status
from dynamics.starts.start import random_start
from tests.cases import SOAK

SHAPES = [s for s in itertools.product((2, 3, 5), (2, 3, 4), (0, 2)) if s[0] != s[1]][:: 1 if SOAK else 2]


@pytest.mark.parametrize("kind", branch_times.KINDS, ids=lambda kind: f"{kind.first}-{kind.second}")
def test_forms_for_numbers_are_the_ledgers(kind: branch_times.Branches) -> None:
    """ln of integrand and size as `dynamics` evaluates them, against (114), (115), at random points in 30 digits."""
    rng = np.random.default_rng(0)
    for _ in range(3):
        values = {s: sp.Float(rng.uniform(0.1, 0.9), 30) for s in (K, start_A, start_B)}
        values |= {L_A: sp.Integer(4), L_B: sp.Integer(5), L_c: sp.Integer(3), y: sp.Float(rng.uniform(0, 0.05), 30)}
        values |= {starts: values[start_B] / values[start_A], x: sp.exp(values[y]), c: sp.Integer(1)}
        values |= {REST: 1 - values[K], LOG_A: sp.log(values[start_A]), LOG_B: sp.log(values[start_B])}
        pairs = [(sp.log(kind.size), kind.log_size), (sp.log(kind.integrand) + y, kind.log_integrand)]  # dx = x dy
        for one, other in pairs:
            assert abs(sp.N((one.subs(P, kind.progress) - other).subs(values), 30)) < 1e-25


def _passed(
    depths: tuple[int, int], shared: int, drives: tuple[float, float], starts: tuple[float, float], log_u: float
):
    """Who of A, B passes e^log_u first, and when: the flow near zero, du_m/dt = drive_m u_m^(n-1) u^shared.

    In logarithms, by the leader's own clock, so that nothing is stiff.
    """

    def velocity(_: float, state: np.ndarray) -> list[float]:
        trunk = 0.5 * np.logaddexp(2 * state[0], 2 * state[1])
        powers = [min((n - 2) * w + shared * trunk, 700.0) for n, w in zip(depths, state, strict=False)]  # trial steps
        speeds = [d * math.exp(power) for d, power in zip(drives, powers, strict=True)]
        return [speeds[0] / max(speeds), speeds[1] / max(speeds), 1 / max(speeds)]

    ends = [lambda s, w, i=i: w[i] - log_u for i in (0, 1)]
    for end in ends:
        end.terminal = True
    begin = [math.log(starts[0]), math.log(starts[1]), 0.0]
    run = solve_ivp(velocity, (0, 1e4), begin, method="DOP853", rtol=1e-12, atol=1e-13, events=ends)
    return (0 if len(run.t_events[0]) else 1), run.y[2, -1]


@pytest.mark.parametrize(("first", "second", "shared"), SHAPES)
def test_escape_and_winner_agree_with_the_flow_near_zero(first: int, second: int, shared: int) -> None:
    """(113) names the winner and (115) its time, over K from 0.3 to 3 on both sides of the domain of (59)."""
    u0 = (0.03, 0.05)
    ways = [math.log(1 / u) if n == 2 else u ** (2 - n) / (n - 2) for n, u in zip((first, second), u0, strict=True)]
    net = FusionNetwork.branches({"A": first, "B": second}, trunk=shared)
    for lead in (0.3, 0.8, 1.25, 3.0):
        b = lead * ways[1] / ways[0]
        data = Correlations(np.diag([1.0, b]), [1.0, b], {"A": 1, "B": 1})
        norms = {"A": u0[0], "B": u0[1], "trunk": math.hypot(*u0)}
        prediction = predict(net, data, u0=norms if shared else {"A": u0[0], "B": u0[1]})
        winner, _ = _passed((first, second), shared, (1.0, b), u0, 0.0)
        assert prediction.order[0] == "AB"[winner] == ("A" if lead < 1 else "B")
        if (first, second)[winner] > 2:  # two layers do not escape to infinity by themselves
            _, time = _passed((first, second), shared, (1.0, b), u0, 40.0)
            log_time = TwoBranches.of(net, data, prediction.order, norms).log_first()
            assert log_time == pytest.approx(math.log(time), abs=1e-9)


SHAPES_OF_BOUNDS = [s for s in itertools.product((2, 3, 4), (2, 3, 5), (0, 2)) if s[0] != s[1]]


def test_laws_of_unequal_branches_keep_their_bounds() -> None:
    """Predicted against the reduced flow with saturation: the winner, and each half-time within the stated bound."""
    checked, shapes = 0, SHAPES_OF_BOUNDS if SOAK else SHAPES_OF_BOUNDS[1::3]
    for first, second, shared in shapes:
        net = FusionNetwork.branches({"A": first, "B": second}, trunk=shared)
        for u0, w in ((1e-2, (1, 1)), (1e-2, (0.02, 1)), (1e-3, (1, 0.1)))[: None if SOAK else 2]:
            p = predict(net, Correlations.scalar(2, 1, 0.3, w), u0=u0)
            assert p.order[0] == min("AB", key=lambda m: p.reduced.times[m])
            for m in "AB":
                if p.reduced.status[m] is Status.REACHED:
                    gap = abs(math.expm1(p.leading.log_times[m] - p.reduced.log_times[m]))
                    assert gap <= p.leading.bound[m] + p.reduced.bound[m], (first, second, shared, u0, w, m)
                    checked += 1
    assert checked > 3.5 * len(shapes)


def test_close_to_a_tie_nothing_is_claimed() -> None:
    """K = 1.01: B leaves zero first and A passes it on the way. Said; the bound of the later one is unbounded."""
    u0 = 1e-2
    b = 1.01 * u0**-2 / 2 / math.log(1 / u0)
    net = FusionNetwork.branches({"A": 2, "B": 4}, trunk=1)
    p = predict(net, Correlations(np.diag([1.0, b]), [1.0, b], {"A": 1, "B": 1}), u0=u0)
    assert (p.race, p.order) == (("B", "A"), ("A", "B"))
    assert math.isinf(p.leading.bound["A"])
    assert "B leaves zero before A, which overtakes it" in str(p.details)
    gap = abs(math.expm1(p.leading.log_times["B"] - p.reduced.log_times["B"]))
    assert gap <= p.leading.bound["B"]


def test_a_near_tie_that_the_law_would_decide_otherwise_is_unbounded() -> None:
    """K = 1.01, yet A is first by the finite way to its plateau: what lag the law gives there means nothing."""
    u0 = 0.01
    b = 1.01 * u0**-3 / 3 / (u0**-1)
    net = FusionNetwork.branches({"A": 3, "B": 5}, trunk=2)
    p = predict(net, Correlations(np.diag([1.0, b]), [1.0, b], {"A": 1, "B": 1}), u0=u0)
    assert p.order == ("A", "B")
    assert p.leading.bound == {"A": math.inf, "B": math.inf}


def test_outside_the_domain_of_59_the_other_modality_wins_and_it_is_said() -> None:
    """A is stronger but deeper: printed (59) with A first would be a smooth number; the law is B's."""
    net, data = FusionNetwork.branches({"A": 5, "B": 3}, trunk=1), Correlations.scalar(2, 1, 0.0)
    p = predict(net, data, u0=1e-2)
    assert p.order == ("B", "A")
    assert any("A has the larger |Sigma_yx| but B leaves zero first" in w for w in p.remarks)
    assert any("(59), (60) with A first are outside their domain" in w for w in p.remarks)
    assert p.leading.equations == "(59), (60)"
    assert p.leading.times["B"] == pytest.approx(p.reduced.times["B"], rel=0.02)


def leading(net: FusionNetwork, data: Correlations, u0: float | dict[str, float]) -> Estimate:
    found = leading_estimate(random_start(Problem.of(net, data), u0))
    assert isinstance(found, Estimate)
    return found


def test_a_law_has_the_numbers_of_its_case() -> None:
    """(8), (9) are for L = 2; (56), (57) for L_f = 2 < L; (12) for L_f > 2; (59), (60) for L_A, L_B > 2 and one u0."""
    data, own = Correlations.scalar(2, 1, 0.3), {"A": 1e-2, "B": 2e-2}
    cases = (
        ((2, 2, 0), 1e-2, "(8), (9)"), ((2, 2, 1), 1e-2, "(56), (57)"), ((3, 3, 0), 1e-2, "(48), (54), (12)"),
        ((3, 3, 1), 1e-2, "(48), (54), (12)"), ((3, 4, 1), 1e-2, "(59), (60)"), ((4, 3, 0), 1e-2, "(59), (60)"),
        ((2, 3, 1), 1e-2, "(115), (116)"), ((3, 2, 0), 1e-2, "(115), (116)"), ((2, 2, 0), own, "(115), (116)"),
        ((3, 3, 0), own, "(115), (116)"), ((3, 4, 0), own, "(115), (116)"),
    )  # fmt: skip
    for (first, second, shared), u0, numbers in cases:
        net = FusionNetwork.branches({"A": first, "B": second}, trunk=shared)
        assert leading(net, data, u0).equations == numbers, (first, second, shared, u0)


def test_the_bound_of_a_random_start_covers_any_number_of_inputs() -> None:
    """(130): growth starts at (u0/2) sqrt(1 + 1/d), for many inputs at u0/2. What is added is that share of t_A."""
    u0 = {"A": 1e-5, "B": 1e-7}
    keeps, flips = (
        Correlations([[2.25, cross], [cross, 1.0]], [0.9, b], {"A": 1, "B": 1})
        for cross, b in ((0, 0.35), (-1.35, -0.35))
    )
    (aligned, random) = (leading(FusionNetwork.fused_at(2, 2), data, u0) for data in (keeps, flips))
    assert (aligned.assumes, random.assumes) == ("aligned start", "random start")
    many = sp.limit(random_starts.TYPICAL_TWO, random_starts.inputs, sp.oo).subs(random_starts.u_0, u0["A"])
    share = float(many) / math.log(1 / u0["A"]) - 1
    assert random.bound["A"] - aligned.bound["A"] == pytest.approx(share, rel=1e-9)


def _psi(v: mp.mpf, n: int) -> mp.mpf:
    return (v ** (2 - n) - 1) / (2 - n)


def _inverse(v: mp.mpf, n: int) -> mp.mpf:
    return (1 + (2 - n) * v) ** (mp.mpf(1) / (2 - n))


def test_time_integral_in_30_digits_deep_and_with_starts_of_their_own() -> None:
    """ln t_A and ln(t_B - t_A), L up to 100, from the formulas of theory in mpmath: psi_n and E_n, not the ledger's."""
    rng = np.random.default_rng(1)
    for _ in range(12 if SOAK else 5):
        n_a, n_b = (int(n) for n in rng.integers(3, 60, 2))
        shared = int(rng.integers(1, 40))
        alpha = float(10 ** rng.uniform(-6, -0.5))
        beta = alpha * float(rng.uniform(0.3, 3))
        lead = float(rng.uniform(0.05, 0.95))
        a, g, r = (float(v) for v in rng.uniform(0.2, 5, 3))
        with mp.workdps(30):
            k = lead * (mp.mpf(beta) ** (2 - n_b) / (n_b - 2)) / (mp.mpf(alpha) ** (2 - n_a) / (n_a - 2))
            scale = k * mp.mpf(beta) ** (n_b - 2) * mp.mpf(alpha) ** (2 - n_a)
            b_of = lambda v, n_a=n_a, n_b=n_b, scale=scale: _inverse(scale * _psi(v, n_a), n_b)
            height = lambda v, n_a=n_a, shared=shared, alpha=alpha, beta=beta, b_of=b_of: (
                mp.exp((2 - n_a) * v)
                * (mp.exp(2 * v) + (mp.mpf(beta) / alpha * b_of(mp.exp(v))) ** 2) ** (-mp.mpf(shared) / 2)
            )
            unit = mp.mpf(1) / (n_a + shared - 2)
            integral = mp.quad(height, [unit * i for i in (0, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 100)])
            first = mp.log(integral) + (2 - n_a - shared) * mp.log(alpha) - mp.log(a)
            rest = mp.mpf(beta) ** (2 - n_b) / (n_b - 2) - k * mp.mpf(alpha) ** (2 - n_a) / (n_a - 2)
            lag = mp.log(rest) - mp.log(r) - mp.mpf(shared) / (n_a + shared) * mp.log(g)
        log_starts = (math.log(alpha), math.log(beta))
        law = TwoBranches("A", "B", n_a, n_b, shared, log_starts, a, float(k), g, r, 1.0, True)
        assert law.log_first() == pytest.approx(float(first), abs=1e-11)
        assert law.log_lag() == pytest.approx(float(lag), abs=1e-11)


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (FusionNetwork.fused_at(3, 1), "early fusion has no t_A, t_B law"),
        (FusionNetwork.branches({"A": 1, "B": 3}, trunk=1), "at least two layers before the fusion"),
        (FusionNetwork.branches({"A": 2, "B": 2, "C": 2}), "for two modalities and one output, not 3 and 1"),
    ],
)
def test_where_no_law_exists_it_is_said(net: FusionNetwork, says: str) -> None:
    sizes = dict.fromkeys(net.modalities, 1)
    data = Correlations(np.diag([4.0, 2.0, 1.0][: len(sizes)]), [4.0, 2.0, 1.0][: len(sizes)], sizes)
    p = predict(net, data, u0=1e-2)
    assert p.leading is None
    assert p.source == "reduced"
    assert any(says in w for w in p.remarks)


def test_a_trunk_off_the_rule_has_no_law() -> None:
    net, data = FusionNetwork.fused_at(4, 3), Correlations.scalar(2, 1, 0.5)
    with pytest.raises(DomainError, match="the laws need a trunk at"):
        TwoBranches.of(net, data, ("A", "B"), {"A": 0.01, "B": 0.01, "trunk": 0.1})


@pytest.mark.parametrize("norms", [{"A": 0.01, "trunk": 0.1}, {"A": 1.0, "trunk": 1.0}, {"A": 0.0, "trunk": 0.0}])
def test_one_modality_alone_needs_one_small_start(norms: dict[str, float]) -> None:
    data = Correlations([[2.0, 0.3], [0.3, 1.0]], [1.0, 0.4], {"A": 2})
    with pytest.raises(DomainError, match="the laws need one u0 between 0 and 1"):
        alone(random_start(Problem.of(FusionNetwork.branches({"A": 2}, trunk=1), data), norms))


def test_one_modality_alone_has_its_time() -> None:
    """(8a) and (48) with I = 1/(L-2), against the reduced flow; no superficial preference, no ratio of two."""
    data = Correlations([[2.0, 0.3], [0.3, 1.0]], [1.0, 0.4], {"A": 2})
    for depth, name in ((2, "(8a)"), (4, "(48)")):
        p = predict(FusionNetwork.branches({"A": depth - 1}, trunk=1), data, u0=1e-3)
        assert p.leading.equations == name
        gap = abs(math.expm1(p.leading.log_times["A"] - p.reduced.log_times["A"]))
        assert gap <= p.leading.bound["A"] < 0.5
        assert p.superficial is None
