"""Taylor polynomials against mpmath's numerical ones."""

import mpmath as mp
import pytest
import sympy as sp

from derivations.algebra.power_series import is_zero, taylor
from derivations.errors import SolveError

x, a, b, r = sp.symbols("x a b r", positive=True)
AT = {a: sp.Rational(7, 5), b: sp.Rational(3, 4), r: sp.Rational(5, 8)}


@pytest.mark.parametrize(
    "e",
    [
        1 + (sp.log(1 + a * x) - sp.log(1 - b * x)) / sp.log(1 + r * x),
        (sp.exp(a * x) - 1 - a * x) / x**2,
        sp.sqrt(1 + a * x + x**3) * (b + x) ** -r,
        (a + x) ** (b * x) / (1 - sp.exp(-r * x)) * sp.log(1 + x),
        (1 / x - 1 / (x + x**2)) * (2 + x) ** 4,
        a + b * x**6,
    ],
    ids=str,
)
def test_coefficients_are_those_of_a_numerical_taylor_series(e: sp.Expr) -> None:
    with mp.workdps(60):
        value = sp.lambdify(x, e.subs(AT), "mpmath")
        # on a circle about zero, where e may be 0/0: Cauchy's integral by an even rule, exact to radius^64
        places = [mp.mpf("0.1") * mp.expjpi(mp.mpf(2 * i) / 64) for i in range(64)]
        values = [value(place) for place in places]
        for n, coefficient in enumerate(taylor(e, x, 4)):
            wanted = mp.fsum(v * place**-n for v, place in zip(values, places, strict=True)) / 64
            assert abs(mp.mpf(sp.N(coefficient.subs(AT), 40)) - wanted) < mp.mpf(10) ** -25


@pytest.mark.parametrize(
    "e", [1 / x, sp.log(x), sp.sqrt(x), sp.exp(1 / x), sp.sin(x), 1 / (sp.sqrt(a * x) - x)], ids=str
)
def test_what_has_none_is_refused(e: sp.Expr) -> None:
    with pytest.raises(SolveError):
        taylor(e, x, 2)


def test_a_hidden_zero_is_seen() -> None:
    assert is_zero((a + b) ** 2 - a**2 - 2 * a * b - b**2)
    assert not is_zero(sp.Rational(1, 10**9) * a)
    assert taylor(((a + b) ** 2 - a**2 - 2 * a * b - b**2) / x + a, x, 2) == [a, 0]
