"""Logistic loss: (34)-(37), and where its time ratio leaves (9)."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from derivations.entry import Entry, Statement, first_order
from derivations.errors import SolveError
from derivations.notation import a, b, r, rate
from derivations.symbolic_flow import equation

y_hat = sp.Symbol("y_hat", real=True)
label = sp.Symbol("y", real=True)
SLOPE = sp.Symbol("dy_hat/dW", real=True)
SQUARE, LOGISTIC = (y_hat - label) ** 2 / 2, sp.log(1 + sp.exp(-label * y_hat))
_SQUARE_NAME, _LOGISTIC_NAME = sp.symbols("l_MSE l_LG", real=True)


def velocity(loss: sp.Eq, name: sp.Symbol) -> sp.Eq:
    """tau dW/dt = -dl/dy_hat dy_hat/dW for one sample."""
    if loss.lhs != name:
        raise SolveError(f"{loss} does not define {name}")
    return equation(rate("W"), -sp.diff(loss.rhs, y_hat) * SLOPE)


#: <y x_B sigmoid(-y w_A x_A)>, w_A the minimiser of the logistic loss of A alone.
LATE_DRIVE = sp.Symbol("s_B", positive=True)


def ratio() -> sp.Eq:
    """t_B/t_A of two layers under logistic loss, to leading order in u_0.

    Until t_A the drives are half of (9)'s, |Sigma_yx|/2 by (37); then B is driven by s_B.
    """
    u_0 = sp.Symbol("u_0", positive=True)
    half = -sp.diff(LOGISTIC, y_hat).subs(y_hat, 0) / label  # the share of <y x> that drives near zero
    first = sp.log(1 / u_0) / (half * a)
    lag = (1 - b / a) * sp.log(1 / u_0) / LATE_DRIVE
    return equation(sp.Symbol("t_B/t_A"), 1 + sp.simplify(lag / first))


def three_to_one() -> dict[sp.Symbol, sp.Expr]:
    """A data set where s_B is a quarter of the residual, in exact numbers.

    z = y x_A is 3 with probability 2/3 and -1 with 1/3 (x_A = +-1, y = +-3 or +-1), v = y x_B is h_3 and h_1.
    The unimodal minimiser is w_A = ln 2.
    """
    outcomes = ((sp.Rational(2, 3), 3, sp.Rational(3, 2), 9), (sp.Rational(1, 3), -1, sp.Rational(1, 2), 1))
    w = sp.log(2)

    def mean(function: Callable[[int, sp.Expr, int], sp.Expr]) -> sp.Expr:
        return sp.simplify(sum(p * function(z, v, square) for p, z, v, square in outcomes))

    def sigmoid(z: int) -> sp.Expr:
        return 1 / (1 + sp.exp(z * w))

    if mean(lambda z, v, square: z * sigmoid(z)) != 0:
        raise SolveError("ln 2 does not minimise the logistic loss of A")
    drive_a, drive_b = mean(lambda z, v, square: z), mean(lambda z, v, square: v)
    cross, own = (
        mean(lambda z, v, square: sp.Rational(z, square) * v),
        mean(lambda z, v, square: sp.Rational(z**2, square)),
    )
    return {
        a: drive_a,
        b: drive_b,
        r: sp.Abs(drive_b - drive_a * cross / own),
        LATE_DRIVE: mean(lambda z, v, square: v * sigmoid(z)),
        sp.Symbol("t_B/t_A"): 1 + 2 * (drive_a - drive_b) / (drive_b - drive_a * cross / own),  # the excess doubled
    }


EQ_34 = Entry(
    34, "", "square loss near zero",
    (
        Statement(equation(_SQUARE_NAME, SQUARE)),
        Statement(
            equation(_SQUARE_NAME, label**2 / 2 - label * y_hat),
            lambda: equation(_SQUARE_NAME, SQUARE), lead=first_order(y_hat, 1), neglected=y_hat**2,
        ),
    ),
    condition="y_hat near zero; the term left out is printed as O(y_hat^2)", proof="Taylor expansion at y_hat = 0.",
)  # fmt: skip
EQ_35 = Entry(
    35, "", "logistic loss near zero",
    (
        Statement(equation(_LOGISTIC_NAME, LOGISTIC)),
        Statement(
            equation(_LOGISTIC_NAME, sp.log(2) - label * y_hat / 2),
            lambda: equation(_LOGISTIC_NAME, LOGISTIC), lead=first_order(y_hat, 1), neglected=y_hat**2,
        ),
    ),
    condition="y_hat near zero; the term left out is printed as O(y_hat^2)", proof="Taylor expansion at y_hat = 0.",
)  # fmt: skip
EQ_36 = Entry(
    36, "", "flow of the square loss near zero",
    (
        Statement(
            equation(rate("W"), label * SLOPE), lambda *s: velocity(s[0][0], _SQUARE_NAME),
            lead=first_order(y_hat, 0), neglected=y_hat,
        ),
    ),
    (EQ_34,), condition="y_hat near zero", proof="-dl/dy_hat = y - y_hat.",
)  # fmt: skip
EQ_37 = Entry(
    37, "", "flow of the logistic loss near zero",
    (
        Statement(
            equation(rate("W"), label * SLOPE / 2), lambda *s: velocity(s[0][0], _LOGISTIC_NAME),
            lead=first_order(y_hat, 0), neglected=y_hat,
        ),
    ),
    (EQ_35,), condition="y_hat near zero", proof="-dl/dy_hat = y/(1 + exp(y y_hat)).",
    claims=(
        Statement(
            equation(sp.Symbol("t_B/t_A"), 1 + (a - b) / r), lambda *s: ratio(),
            given={LATE_DRIVE: r / 2}, counterexample=three_to_one(),
            claim="appendix D.4: the time ratio is the same for logistic loss; it is where <y x_B sigmoid(-y w_A x_A)> "
            "is half the residual (labels +-1, linear E[x_B | x_A]); a data set is stored where the excess doubles",
        ),
    ),
)  # fmt: skip

ENTRIES = (EQ_34, EQ_35, EQ_36, EQ_37)
