"""The leading-order laws follow from the reduced flow (44): each step by SymPy, for symbolic depths.

Equalities of powers are proved by expanding logarithms of positive symbols, and where simplification
could hang by exact rational points and 40 digits.
"""

import random

import pytest
import sympy as sp

from derivations import FusionNetwork, reduce
from derivations.algebra import notation as sym
from derivations.times import formulas as law

u_a, u_b, u, b = sp.symbols("u_A u_B u b", positive=True)
L, L_f, u_0, a, k, g, r, x = sym.L, sym.L_f, sym.u_0, sym.a, sym.k, sym.g, sym.r, sym.x


def velocities(depth, fusion_depth) -> dict[sp.Symbol, sp.Expr]:
    """(44) as `reduce` derives it, with a = Sigma_yA and b = Sigma_yB."""
    system = reduce(FusionNetwork.fused_at(depth, fusion_depth), saturation=False)
    names = {s: {"Sigma_yA": a, "Sigma_yB": b}[s.name] for f in system.rhs for s in f.free_symbols if "Sigma" in s.name}
    return {s: f.subs(names) for s, f in zip(system.state, system.rhs, strict=True)}


def vanishes(expression: sp.Expr, draws: int = 5) -> bool:
    """Zero to 40 digits at random rational points: a nonzero combination of powers is not."""
    rng = random.Random(0)
    for _ in range(draws):
        point = {s: sp.Rational(rng.randint(201, 999), 100) for s in expression.free_symbols}
        for s, low, high in ((k, 1, 99), (u_0, 1, 99)):
            if s in point:
                point[s] = sp.Rational(rng.randint(low, high), 100)
        if abs(expression.evalf(60, subs=point)) > sp.Float(10) ** -40:
            return False
    return True


def test_45_is_conserved_by_44() -> None:
    """u_B^(2-L_f) - k u_A^(2-L_f) does not change, so with equal starts it is (1-k) u_0^(2-L_f)."""
    v = velocities(L, L_f)
    invariant = u_b ** (2 - L_f) - b / a * u_a ** (2 - L_f)
    change = sp.diff(invariant, u_a) * v[u_a] + sp.diff(invariant, u_b) * v[u_b]
    assert sp.simplify(sp.powsimp(sp.expand(change))) == 0


def test_55_is_conserved_by_44_at_two() -> None:
    v = velocities(L, 2)
    change = v[u_b] / u_b - b / a * v[u_a] / u_a
    assert sp.simplify(change) == 0


def test_13_is_the_time_that_44_takes() -> None:
    """dt = du_A / (du_A/dt) with u_B from (45) and u from (41), in x = u_A/u_0: u_0^(2-L)/a times (13)."""
    slope = velocities(L, L_f)[u_a]
    second = (k * u_a ** (2 - L_f) + (1 - k) * u_0 ** (2 - L_f)) ** (1 / (2 - L_f))
    trunk = sp.sqrt(u_a**2 + second**2)
    dt_dx = (u_0 / slope).subs(u, trunk).subs(u_a, u_0 * x)
    assert vanishes(dt_dx - u_0 ** (2 - L) / a * law.INTEGRAND)
    assert not vanishes(dt_dx - u_0 ** (2 - L_f) / a * law.INTEGRAND)  # (49) prints this power


def test_46_and_47_as_printed_have_the_wrong_exponent() -> None:
    """Printed (L_f - L)/2 in (46); (L - L_f)/2 holds. (47) has no prefactor; tau/|Sigma_yx_A| belongs there."""
    slope = velocities(L, L_f)[u_a]
    second = (k * u_a ** (2 - L_f) + (1 - k) * u_0 ** (2 - L_f)) ** (2 / (2 - L_f))
    right = slope.subs(u, sp.sqrt(u_a**2 + second))
    form = lambda power: a * u_a ** (L_f - 1) * (u_a**2 + second) ** power
    assert vanishes(right - form((L - L_f) / 2))
    assert not vanishes(right - form((L_f - L) / 2))


def test_58_is_the_time_at_two() -> None:
    slope = velocities(L, 2)[u_a]
    second = u_0 * (u_a / u_0) ** k
    dt_dx = (u_0 / slope).subs(u, sp.sqrt(u_a**2 + second**2)).subs(u_a, u_0 * x)
    assert vanishes(dt_dx - u_0 ** (2 - L) / a * law.INTEGRAND_AT_2)


def test_8a_is_the_time_of_two_layers() -> None:
    """(26): t = ln(u_A/u_0)/a, and (27) at u_A of order one."""
    slope = velocities(2, 2)[u_a]
    time = sp.integrate(1 / slope, (u_a, u_0, x))
    assert sp.simplify(time - sp.log(x / u_0) / a) == 0
    assert sp.simplify(time.subs(x, 1) - law.FIRST_AT_DEPTH_2) == 0


def test_54_is_the_time_from_51_to_infinity() -> None:
    """On M_A, u = U = g^(1/L) and Sigma_yx_B is replaced by the residual r, (52), (53); R = 1 for scalar inputs."""
    n = sp.Symbol("n", positive=True)  # L_f - 2
    slope = velocities(L, L_f)[u_b].subs({b: r, u: g ** (1 / L)}).subs(L_f, n + 2)
    start = (1 - k) ** (-1 / n) * u_0  # (51) with k u_A^(2-L_f) left out, as it prints it in the end
    antiderivative = -(u_b ** (-n)) / n  # of u_B^(1-L_f)
    assert sp.simplify(sp.diff(antiderivative, u_b) - u_b ** (-n - 1)) == 0
    speed = sp.powsimp(slope / u_b ** (n + 1))
    assert u_b not in speed.free_symbols
    lag = -antiderivative.subs(u_b, start) / speed
    printed = law.LAG.subs({sym.c: 1, sym.R: 1}).subs(L_f, n + 2)
    assert vanishes(lag - printed)


def test_8b_and_56b_are_the_time_from_30_to_one() -> None:
    """ln u_B(t_A) = (1-k) ln u_0 by (30) and (55); then du_B/dt = r U^(L-2) u_B."""
    slope = velocities(L, 2)[u_b].subs({b: r, u: g ** (1 / L)})
    start = u_0 ** (1 - k)
    speed = sp.simplify(slope / u_b)
    lag = sp.log(1 / start) / speed
    assert vanishes(lag - law.LAG_AT_2.subs(sym.c, 1))


def test_a_flipped_sign_turns_one_minus_k_into_one_plus_k() -> None:
    """The mode of the other sign decays to u_0^(1+k) while A is learned: c = -1."""
    speed = r * g ** (1 - 2 / L)
    assert vanishes(sp.log(u_0 ** (-1 - k)) / speed - law.LAG_AT_2.subs(sym.c, -1))


def test_9_is_8b_over_8a_and_12_is_54_over_48() -> None:
    ratio9 = 1 + (a - b) / r
    got = 1 + law.LAG_AT_2 / law.FIRST_AT_DEPTH_2
    assert sp.simplify(got.subs({sym.c: 1, L: 2, k: b / a}) - ratio9) == 0
    excess = (a - b) / r * u_0 ** (L - L_f) / ((L_f - 2) * g ** (1 - L_f / L) * sym.I)
    assert vanishes((law.LAG / law.FIRST).subs({sym.c: 1, sym.R: 1, k: b / a}) - excess)


def test_depth_drops_out_of_late_fusion() -> None:
    """(12) at L_f = L with I(L, L) = 1/(L-2) is (9)."""
    late = (law.LAG / law.FIRST).subs({sym.c: 1, sym.R: 1}).subs(L_f, L).subs(sym.I, 1 / (L - 2))
    assert sp.simplify(late.subs(k, b / a) - (a - b) / r) == 0


def test_57_as_printed_divides_by_zero() -> None:
    """Its factor (L_f - 2) is zero at L_f = 2; without it, and with the exponent 1 - 2/L, it is (56b) over (56a)."""
    right = law.LAG_AT_2 / law.FIRST
    held = (a - b) * u_0 ** (L - 2) * sp.log(1 / u_0) / (r * g ** (1 - 2 / L) * sym.I)
    assert vanishes(right.subs(sym.c, 1) - held.subs(b, k * a))
    printed = held * g ** (1 - 2 / L) / g ** (1 - L / 2)
    assert not vanishes(right.subs(sym.c, 1) - printed.subs(b, k * a))


def test_rotation_solves_the_turn_of_a_row() -> None:
    """dv/dt = |v|^(n-1) e: the part of v across e stays, so t = int dy/|v|^(n-1) along e."""
    y, cos, n = sym.y, sym.cos, L_f
    across = 1 - cos**2  # of a unit vector at angle arccos(cos)
    travel = (y**2 + across) ** (-(n - 1) / 2)
    assert sp.simplify(law.ROTATION_INTEGRAND / travel - (n - 2)) == 0
    straight = sp.integrate(y ** (1 - sp.Symbol("m", integer=True, positive=True) - 2), (y, 1, sp.oo), conds="none")
    m = next(iter(straight.free_symbols))
    assert sp.simplify(straight * m) == 1  # cos = 1: R = 1


@pytest.mark.parametrize("name", ["FIRST", "LAG"])
def test_logarithm_is_the_logarithm(name: str) -> None:
    expression = getattr(law, name).subs(sym.c, 1)
    assert vanishes(law.logarithm(expression) - sp.log(expression))
