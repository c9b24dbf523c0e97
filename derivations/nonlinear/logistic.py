"""Logistic loss: (34)-(37), and where its time ratio leaves (9), 125."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, first_order, small
from derivations.algebra.matrices import S_A, S_AB, Y_A, Y_B, matrix, residual_B
from derivations.algebra.notation import a, b, c, named, r, rate, u_0, u_A, u_B
from derivations.algebra.ordered_products import normal
from derivations.errors import SolveError
from derivations.flow.symbolic_flow import EQ_31
from derivations.times.conditions import LOG_ORDER
from derivations.times.names import RATIO, X_B, X, u_B_at
from derivations.times.two_layers import EQ_26, EQ_30, EQ_32

y_hat = sp.Symbol("y_hat", real=True)
label = sp.Symbol("y", real=True)
SLOPE = named("dy_hat/dW", r"\frac{d\hat y}{d\mathbf{W}}", real=True)
_RATIO = named("t_B/t_A", r"\frac{t_B}{t_A}")
SQUARE, LOGISTIC = (y_hat - label) ** 2 / 2, sp.log(1 + sp.exp(-label * y_hat))
_SQUARE_NAME = named("l_MSE", r"\ell_{\mathrm{MSE}}", real=True)
_LOGISTIC_NAME = named("l_LG", r"\ell_{\mathrm{LG}}", real=True)


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
    half = -sp.diff(LOGISTIC, y_hat).subs(y_hat, 0) / label  # the share of <y x> that drives near zero
    first = sp.log(1 / u_0) / (half * a)
    lag = (1 - b / a) * sp.log(1 / u_0) / LATE_DRIVE
    return equation(_RATIO, 1 + sp.simplify(lag / first))


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
        _RATIO: 1 + 2 * (drive_a - drive_b) / (drive_b - drive_a * cross / own),  # the excess doubled
    }


def _near_zero(number: int, title: str, name: sp.Symbol, loss: sp.Expr, printed: sp.Expr) -> Entry:
    return Entry(
        number, "", title,
        (
            Statement(equation(name, loss)),
            Statement(equation(name, printed), lambda: loss, lead=first_order(y_hat, 1), neglected=y_hat**2),
        ),
        condition="y_hat near zero; the term left out is printed as O(y_hat^2)",
        proof="Taylor expansion at y_hat = 0.",
    )  # fmt: skip


EQ_34 = _near_zero(34, "square loss near zero", _SQUARE_NAME, SQUARE, label**2 / 2 - label * y_hat)
EQ_35 = _near_zero(35, "logistic loss near zero", _LOGISTIC_NAME, LOGISTIC, sp.log(2) - label * y_hat / 2)
ONE_SAMPLE = "As printed it is of one sample; over a data set the average <.> on the right is missing."
EQ_36 = Entry(
    36, "", "flow of the square loss near zero",
    (
        Statement(
            equation(rate("W"), label * SLOPE), lambda eq34: velocity(eq34[0], _SQUARE_NAME),
            lead=first_order(y_hat, 0), neglected=y_hat,
        ),
    ),
    (EQ_34,), condition="y_hat near zero", proof="-dl/dy_hat = y - y_hat.", note=ONE_SAMPLE,
)  # fmt: skip
EQ_37 = Entry(
    37, "", "flow of the logistic loss near zero",
    (
        Statement(
            equation(rate("W"), label * SLOPE / 2), lambda eq35: velocity(eq35[0], _LOGISTIC_NAME),
            lead=first_order(y_hat, 0), neglected=y_hat,
        ),
    ),
    (EQ_35,), condition="y_hat near zero", proof="-dl/dy_hat = y/(1 + exp(y y_hat)).", note=ONE_SAMPLE,
    claims=(
        Statement(
            equation(_RATIO, 1 + (a - b) / r), ratio,
            given={LATE_DRIVE: r / 2}, counterexample=three_to_one(),
            claim="appendix D.4: the time ratio is the same for logistic loss; it is where <y x_B sigmoid(-y w_A x_A)> "
            "is half the residual (labels +-1, linear E[x_B | x_A]); a data set is stored where the excess doubles",
        ),
    ),
)  # fmt: skip

# ---- Extension: the ratio for any targets.

w_A = sp.Symbol("w_A", real=True)
_x_A, _x_B = sp.symbols("x_A x_B", real=True)
LATE = matrix("<y*x_B*sigmoid(-y*w_A*x_A)>", r"\langle y\,x_B\,\mathrm{sigmoid}(-y w_A x_A)\rangle")
LOGISTIC_RATIO = 1 + (a - c * b) / (2 * LATE_DRIVE)


def _late_drive(eq35: sp.Tuple) -> sp.Expr:
    """What one sample drives B with while y_hat = w_A x_A: -dl/dy_hat x_B."""
    return velocity(eq35[0], _LOGISTIC_NAME).rhs.subs({y_hat: w_A * _x_A, SLOPE: _x_B})


def _for_signs(eq35: sp.Tuple, eq31: sp.Tuple) -> sp.Expr:
    """The mean of it for labels +-1, a linear E[x_B | x_A] and w_A that minimises the loss of A alone.

    For y = +-1, y sigmoid(-y z) = (y - tanh(z/2))/2. The minimiser makes <tanh x_A> = <y x_A>; as tanh depends on
    x_A alone, <tanh x_B> = <tanh x_A> Sigma_A^-1 Sigma_AB.
    """
    z = w_A * _x_A
    bent = _late_drive(eq35) - (label - sp.tanh(z / 2)) * _x_B / 2
    if any(sp.simplify(bent.subs(label, sign).rewrite(sp.exp)) != 0 for sign in (1, -1)):
        raise SolveError("the drive of a label is not (y - tanh)/2")
    tanh_A = Y_A  # <tanh x_A>, by (<y x_A> - <tanh x_A>)/2 = 0 at the minimum
    tanh_B = tanh_A * S_A**-1 * S_AB
    solved = residual_B - (eq31[2].rhs - Y_B)  # Sigma_yx_B by the residual
    return normal(((Y_B - tanh_B) / 2).subs(Y_B, solved))


def _ratio_of_logistic(eq37: sp.Eq, eq26: sp.Eq, eq32: sp.Tuple, eq30: sp.Eq) -> sp.Expr:
    """(9) with the drives of the logistic loss: a and b times the share in (37), then s_B in place of r."""
    share = eq37.rhs / (label * SLOPE)
    if share.free_symbols:
        raise SolveError(f"{eq37} is no share of y dy_hat/dW")
    drives = {a: share * a, b: share * c * b}
    first = eq26.rhs.subs(drives, simultaneous=True).subs(u_A, X)
    start = eq30.rhs.subs(drives, simultaneous=True)
    lag = eq32[1].rhs.subs({r: LATE_DRIVE, u_B: X_B}).subs(sp.log(u_B_at), start)
    return 1 + lag / first


EXT_125 = Entry(
    125, "", "time ratio, logistic loss",
    (
        Statement(equation(rate("W_B"), label * _x_B / (1 + sp.exp(label * w_A * _x_A))), _late_drive),
        Statement(equation(RATIO, LOGISTIC_RATIO), _ratio_of_logistic, lead=small(u_0), neglected=LOG_ORDER),
        Statement(equation(LATE, residual_B / 2), _for_signs),
    ),
    (EQ_35, EQ_37, EQ_26, EQ_32, EQ_30, EQ_31),
    condition="two layers, s_B = |<y x_B sigmoid(-y w_A x_A)>|, w_A the minimiser of the logistic loss of A alone (it "
    "must be finite); c as in (102), the sign of s_B for that of r; last line: labels +-1 and linear E[x_B | x_A]",
    proof="Near zero the drives are those of the square loss times 1/2, (37). With A at its minimum a sample drives B "
    "with y x_B sigmoid(-y w_A x_A); s_B takes the place of r in (32).",
    note="For labels +-1 and a linear E[x_B | x_A] s_B = r/2, and the ratio is (9); for other targets it is not.",
)  # fmt: skip
