"""Changes of the problem whose effect on the answer is known exactly, on random problems."""

import math

import mpmath as mp
import numpy as np
import pytest

from derivations import Correlations, DomainError, FusionNetwork
from dynamics import integrate_reduced, predict
from tests.cases import random_correlations

SHAPES = [(2, 2), (3, 2), (3, 3), (4, 3)]


def problems(count: int, seed: int):
    """Random networks, vector data and starts that a prediction exists for."""
    rng = np.random.default_rng(seed)
    while count:
        depth, fused = SHAPES[rng.integers(len(SHAPES))]
        data = random_correlations(rng, {"A": int(rng.integers(1, 4)), "B": int(rng.integers(1, 4))}, correlation=0.7)
        u0 = float(10 ** rng.uniform(-3, -1.3))
        try:
            predict(FusionNetwork.fused_at(depth, fused), data, u0=u0)
        except DomainError:
            continue
        count -= 1
        yield depth, fused, data, u0, rng


def assert_same(one, two, factor: float = 1.0) -> None:
    """Two estimates, their times `factor` apart. 1e-6: the bound of the reduced flow that each one claims."""
    for name in ("leading", "reduced"):
        a, b = getattr(one, name), getattr(two, name)
        assert {m: s.value for m, s in a.status.items()} == {m: s.value for m, s in b.status.items()}
        rel = 1e-10 if name == "leading" else 1e-6
        for m in a.status:
            if math.isfinite(a.times[m]):
                assert b.times[m] == pytest.approx(a.times[m] * factor, rel=rel)


def test_swapping_the_modalities_swaps_the_answer() -> None:
    for depth, fused, data, u0, _ in problems(15, 1):
        order = np.r_[np.arange(data.sizes["A"], len(data.sigma)), np.arange(data.sizes["A"])]
        swapped = Correlations(
            data.sigma[np.ix_(order, order)], data.sigma_yx[order], {m: data.sizes[m] for m in "BA"}, data.sigma_yy
        )
        two = predict(FusionNetwork.fused_at(depth, fused, ("B", "A")), swapped, u0=u0)
        assert_same(predict(FusionNetwork.fused_at(depth, fused), data, u0=u0), two)


def test_rotating_inside_a_modality_changes_nothing() -> None:
    for depth, fused, data, u0, rng in problems(15, 2):
        turn = np.eye(len(data.sigma))
        for m in "AB":
            span = data.span(m)
            if data.sizes[m] > 1:
                turn[span, span] = np.linalg.qr(rng.normal(size=(data.sizes[m],) * 2))[0]
        sigma = turn.T @ data.sigma @ turn
        turned = Correlations((sigma + sigma.T) / 2, data.sigma_yx @ turn, data.sizes, data.sigma_yy)
        net = FusionNetwork.fused_at(depth, fused)
        assert_same(predict(net, data, u0=u0), predict(net, turned, u0=u0))


def test_more_signal_is_less_time() -> None:
    """Sigma and Sigma_yx times c: the same path, c times as fast."""
    for depth, fused, data, u0, _ in problems(15, 3):
        net = FusionNetwork.fused_at(depth, fused)
        louder = Correlations(data.sigma * 7, data.sigma_yx * 7, data.sizes, data.sigma_yy * 7)
        assert_same(predict(net, data, u0=u0), predict(net, louder, u0=u0), 1 / 7)


def test_units_of_the_inputs_rescale_start_and_time_of_the_flow() -> None:
    """x -> c x: weights of a layer are lambda = c^(-1/L) of themselves, times lambda^(2-L)/c."""
    for depth, fused, data, u0, _ in problems(15, 4):
        net, c = FusionNetwork.fused_at(depth, fused), 30.0
        shrink = c ** (-1 / depth)
        one = integrate_reduced(net, data, u0=u0)
        two = integrate_reduced(net, data.rescaled({"A": c, "B": c}), u0=u0 * shrink)
        for m in "AB":
            if math.isfinite(one.times[m]):
                assert two.times[m] == pytest.approx(one.times[m] * shrink ** (2 - depth) / c, rel=1e-6)


def test_a_column_of_zeros_changes_nothing() -> None:
    for depth, fused, data, u0, _ in problems(10, 5):
        padded = np.pad(data.sigma, (0, 1))
        more = Correlations(
            padded, np.append(data.sigma_yx, 0.0), {**data.sizes, "B": data.sizes["B"] + 1}, data.sigma_yy
        )
        if data.sizes["B"] == 1:  # a second column would let the row turn: another network
            continue
        net = FusionNetwork.fused_at(depth, fused)
        assert_same(predict(net, data, u0=u0), predict(net, more, u0=u0))


@pytest.mark.parametrize(("depth", "fused", "u0"), [(3, 2, "0.3"), (3, 3, "0.4"), (4, 3, "0.4")])
def test_deep_half_times_agree_with_taylor_integration(depth: int, fused: int, u0: str) -> None:
    """mpmath's odefun at 25 digits on the two logarithms of the norms; the flow at rtol 1e-11."""
    run = integrate_reduced(
        FusionNetwork.fused_at(depth, fused), Correlations.scalar(2, 1, 0.5), u0=float(u0), rtol=1e-11
    )
    with mp.workdps(25):

        def norms(x):
            u_a, u_b = mp.exp(x[0]), mp.exp(x[1])
            return u_a, u_b, mp.sqrt(u_a**2 + u_b**2) ** (depth - fused)

        def rhs(_, x):
            u_a, u_b, trunk = norms(x)
            w_a, w_b = u_a**fused * trunk, u_b**fused * trunk
            return [u_a ** (fused - 2) * trunk * (5 - 4 * w_a - w_b), u_b ** (fused - 2) * trunk * (2 - w_a - w_b)]

        solution = mp.odefun(rhs, 0, [mp.log(mp.mpf(u0))] * 2, tol=mp.mpf(10) ** -20)
        for i, (m, half) in enumerate((("A", mp.mpf(5) / 8), ("B", mp.mpf(1) / 2))):
            weight = lambda t, i=i: norms(solution(t))[i] ** fused * norms(solution(t))[2]
            near = mp.mpf(run.times[m])
            low, high = near * (1 - mp.mpf(10) ** -6), near * (1 + mp.mpf(10) ** -6)
            slope = (weight(high) - weight(low)) / (high - low)
            exact = near - (weight(near) - half) / slope  # one Newton step: its error is the square of 1e-9
            assert run.times[m] == pytest.approx(float(exact), rel=1e-9)
