"""Two layers where the printed laws say nothing or something else: 121-124.

    121  collinear modalities: B never gets its share
    122  ties: which of two equally strong modalities is first
    123  unlearning: A's weight has one sign at M_A and the other at the end
    124  gradient descent at a finite learning rate

121-123 are for scalar inputs, their signs chosen so that Sigma_yx_A and Sigma_yx_B are positive (121, 122).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, first_order, small, small_weights
from derivations.algebra.examples import rho, scalar_example, sd_A, sd_B
from derivations.algebra.matrices import S_A, S_AB, S_B, S_BA, Y_A, Y_B, S, W_A_tot, W_tot, Y, matrix, residual_B
from derivations.algebra.notation import L, L_f, R, a, b, c, eta, g, k, l, named, r, rate, tau, u_0, u_A, u_B
from derivations.algebra.ordered_products import Direction, Layers, T, apart, coefficient_of, evaluate, layer, normal
from derivations.algebra.positive_powers import equal, separated
from derivations.critical.printed_sets import EQ_7A, EQ_7B, EQ_19B
from derivations.errors import SolveError
from derivations.flow.ansatz import EQ_24, speed_of
from derivations.flow.symbolic_flow import EQ_2, EQ_14A, EQ_14B, EQ_18A, EQ_18B, EQ_18C, EQ_18D, EQ_31, TWO, totals
from derivations.times.closed_forms import SIZE_A, variance
from derivations.times.conditions import DEEP, LOG_ORDER
from derivations.times.deep import EQ_45, EQ_53, exact_lag
from derivations.times.names import LAG_NAME, RATIO, X_B, X
from derivations.times.second_layer import EQ_55, lag_at_two
from derivations.times.two_layers import EQ_26, EQ_30, EQ_32, MODE, ratio_of_two_layers

__all__ = ["ratio_of_descent"]

_COLUMNS = {"W_A": Direction("r_A", 1), "W_B": Direction("r_B", 1)}
_FLOWS = (EQ_18A, EQ_18B, EQ_18C, EQ_18D)


def _shapes(eq24: sp.Tuple) -> dict[str, dict[sp.Expr, sp.Expr]]:
    """(24) for both branches; it is printed for A."""
    to_b = {Y_A: Y_B, a: b, u_A: u_B, _COLUMNS["W_A"]: _COLUMNS["W_B"]}
    shape_b = [line.rhs.subs(to_b, simultaneous=True) for line in eq24]
    return {
        "W_A": {layer("W_A", n): line.rhs for n, line in enumerate(eq24, start=1)},
        "W_B": {layer("W_B", n): shape for n, shape in enumerate(shape_b, start=1)},
    }


def scalar_speeds(
    data: Mapping[sp.Expr, Any], eq18a: sp.Eq, eq18b: sp.Eq, eq18c: sp.Eq, eq18d: sp.Eq, eq24: sp.Tuple
) -> dict[sp.Symbol, sp.Expr]:
    """tau du_A/dt and tau du_B/dt by (18), saturation included, on the ansatz (24); `data` are the correlations."""
    shapes = _shapes(eq24)
    every = shapes["W_A"] | shapes["W_B"]
    speeds = {}
    for branch, norm, pair in (("W_A", u_A, (eq18a, eq18b)), ("W_B", u_B, (eq18c, eq18d))):
        moves = [
            (normal(apart(law.rhs).subs(every).subs(data)), normal(shape.subs(data)))
            for law, shape in zip(pair, shapes[branch].values(), strict=True)
        ]
        speeds[norm] = sp.factor(speed_of(moves, norm))  # the same from both layers
    return speeds


# ---- 121: x_B = k x_A.

COLLINEAR = {Y_A: a, Y_B: k * a, b: k * a, S_A: variance, S_AB: k * variance, S_BA: k * variance, S_B: k**2 * variance}
SIZE_B = named("|W_B^tot(t)|", r"\|\mathbf{W}_B^{\mathrm{tot}}(t)\|", positive=True)


def _norm_of_total(eq24: sp.Tuple, branch: str) -> sp.Expr:
    """|W^2 W^1| on the ansatz."""
    shape = _shapes(eq24)[branch]
    return coefficient_of(normal(shape[layer(branch, 2)] * shape[layer(branch, 1)]).subs(COLLINEAR))


def _law_of_totals(eq18a: sp.Eq, eq18b: sp.Eq, eq18c: sp.Eq, eq18d: sp.Eq, eq24: sp.Tuple) -> sp.Eq:
    """du_B/du_A = k u_B/u_A: the common factor of the two errors, and with it saturation and time, drop out."""
    speeds = scalar_speeds(COLLINEAR, eq18a, eq18b, eq18c, eq18d, eq24)
    slope = sp.cancel(speeds[u_B] / speeds[u_A] * u_A / u_B)  # d ln u_B/d ln u_A
    if slope.free_symbols - {k}:
        raise SolveError(f"{slope} is no constant")
    left = separated(u_B, u_B, u_0, u_B)
    right = slope * separated(u_A, u_A, u_0, u_A)
    found = u_0 * (u_A / u_0) ** slope
    if not equal(left.subs(u_B, found), right):
        raise SolveError(f"{found} does not solve the race")
    sizes = {norm: _norm_of_total(eq24, branch) for branch, norm in (("W_A", u_A), ("W_B", u_B))}
    (first,) = sp.solve(sizes[u_A] - SIZE_A, u_A)
    return equation(SIZE_B, sizes[u_B].subs(u_B, found.subs(u_A, first)))


EXT_121 = Entry(
    121, "", "collinear modalities, two layers",
    (
        *(
            Statement(
                equation(rate(norm), drive * norm * (a - variance * (u_A**2 + k * u_B**2))),
                lambda *laws, _norm=norm: scalar_speeds(COLLINEAR, *laws[:5])[_norm],
            )
            for norm, drive in ((u_A, 1), (u_B, k))
        ),
        Statement(equation(SIZE_B, u_0 ** (2 * (1 - k)) * SIZE_A**k), _law_of_totals),
        # the residual, which drives B from t_A on, for x_B = k x_A
        Statement(equation(residual_B, 0), lambda eq31: sp.expand(eq31[2].rhs.subs(COLLINEAR))),
    ),
    (*_FLOWS, EQ_24, EQ_31),
    condition="two layers, scalar x_B = k x_A (of a negative k the size, after a change of sign of x_B), sigma^2 = "
    "Sigma_A, aligned balanced start at u_0 for both",
    proof="Then e_B = k e_A at all times, so d ln u_B/d ln u_A = k by (18) on (24), whatever the error is; |W_m^tot| = "
    "u_m^2.",
    note="For k < 1 the weights of B stay of order u_0^(2(1-k)) for ever and the residual that would drive them on is "
    "zero: t_B and the ratio (9) are infinite.",
)  # fmt: skip

# ---- 122: a = b.

_cross = sp.Symbol("Sigma_AB", real=True)
SCALAR = {Y_A: a, Y_B: b, S_A: sd_A**2, S_B: sd_B**2, S_AB: _cross, S_BA: _cross}
RACE = named("tau*d ln(u_B/u_A)/dt", r"\tau\frac{d}{dt}\ln\frac{u_B}{u_A}", real=True)


def _race(eq18a: sp.Eq, eq18b: sp.Eq, eq18c: sp.Eq, eq18d: sp.Eq, eq24: sp.Tuple) -> sp.Eq:
    """How ln(u_B/u_A) changes on the ansatz, saturation included."""
    speeds = scalar_speeds(SCALAR, eq18a, eq18b, eq18c, eq18d, eq24)
    return equation(RACE, sp.expand(speeds[u_B] / u_B - speeds[u_A] / u_A))


EXT_122 = Entry(
    122, "", "ties, a = b",
    (
        Statement(
            equation(RACE, (sd_A**2 - _cross) * u_A**2 - (sd_B**2 - _cross) * u_B**2),
            _race,
            given={b: a}, counterexample={a: 3, b: 2, u_A: 1, u_B: 2, sd_A: 2, sd_B: 1, _cross: sp.Rational(1, 2)}
            | {RACE: sp.Rational(1, 2)},  # 2 - 3 + 3.5 - 2
        ),
        Statement(
            equation(RATIO, 1 + (1 - c) * a / r),
            lambda eq26, eq32, eq30: ratio_of_two_layers(eq26, eq32, eq30).rhs.subs(b, a),
            lead=small(u_0), neglected=LOG_ORDER,
        ),
        Statement(
            equation(LAG_NAME, tau * (1 - c) / (r * g ** (1 - 2 / L)) * sp.log(1 / u_0)),
            lambda eq53, eq55: lag_at_two(c, eq53[0], eq55).subs(k, 1),
            lead=small(u_0), neglected=LOG_ORDER,
        ),
        Statement(
            equation(LAG_NAME, tau * (1 - c) * R * u_0 ** (2 - L_f) / ((L_f - 2) * g ** (1 - L_f / L) * r)),
            lambda eq53, eq45: exact_lag(c, R, eq53, eq45).subs(k, 1),
            lead=small(u_0, DEEP), neglected=u_0 ** (L_f - 2),
        ),
    ),
    (*_FLOWS, EQ_24, EQ_26, EQ_32, EQ_30, EQ_53, EQ_55, EQ_45),
    condition="a = b, both branches start at u_0; the race (first line): scalar inputs, aligned balanced start",
    proof="(18) on (24) gives tau d ln(u_B/u_A)/dt; the drives cancel at a = b. Then (9) and the lags (102), (103) at "
    "k = 1, each with its sign c.",
    note="While the weights are near zero u_B = u_A, so neither is first; who gets ahead is decided by saturation: the "
    "smaller variance. If both variances are equal u_B = u_A is kept for ever and t_A = t_B. For c = 1 the excess and "
    "the lags are 0 to leading order; for c = -1, possible from a random start only, they are not: there the mode that "
    "the residual drives has decayed.",
)  # fmt: skip

# ---- 123: y = w_A x_A + w_B x_B, and noise.

w_A, w_B = sp.symbols("w_A w_B", real=True)
sign_A = named("sign(Sigma_yxA)", r"\mathrm{sign}(\Sigma_{yx_A})", real=True)
_size = sp.Symbol("|w_A|", positive=True)
_grown = sp.Symbol("sign(w_A)", real=True)
ALONE_A = named("w_A(M_A)", r"w_A(\mathcal{M}_A)", real=True)
GLOBAL_A = named("w_A(M_*)", r"w_A(\mathcal{M}_*)", real=True)
MODE_OF_A = matrix("W_A^1 + c*W_A^2T", r"\mathbf{W}_A^1 + c\,{\mathbf{W}_A^2}^\top")
LEAVING = named("rate of leaving M_B", r"\mathrm{rate}(\mathcal{M}_B)")


def _example() -> dict[sp.Expr, sp.Matrix]:
    """The correlations of y = w_A x_A + w_B x_B + noise, as matrices."""
    sigma, target = scalar_example(w_A, w_B)
    return {
        S: sigma, S_A: sigma[:1, :1], S_B: sigma[1:, 1:], S_AB: sigma[:1, 1:], S_BA: sigma[1:, :1],
        Y: target, Y_A: target[:, :1], Y_B: target[:, 1:],
    }  # fmt: skip


def _weight(saddle: sp.Eq, total: sp.Symbol) -> sp.Expr:
    """A's weight, the first entry of the total weights that a saddle is given by."""
    if saddle.lhs != total:
        raise SolveError(f"{saddle} does not say what {total} is")
    return sp.factor(evaluate(saddle.rhs, _example())[0, 0])


def _signs_differ(eq7a: sp.Tuple, eq19b: sp.Tuple) -> sp.Basic:
    return sp.Lt(_weight(eq7a[0], W_A_tot) * _weight(eq19b[1][0], W_tot), 0, evaluate=False)


def _mode_at_balance(eq24: sp.Tuple) -> sp.Eq:
    """W_A^1 + c W_A^2T on the ansatz; a scalar Sigma_yx_A is its sign times its size."""
    first, second = (line.rhs.subs(Y_A, sign_A * a) for line in eq24)
    return equation(MODE_OF_A, normal(first + c * T(second)))


def _error_at_b(eq18a: sp.Eq, eq18b: sp.Eq, eq7b: sp.Tuple) -> sp.Expr:
    """e_A at M_B in numbers of the example, from the flow of A's two layers near W_A = 0.

    Each layer is moved by e_A times the other one, so W_A^1 + c W_A^2T grows at the rate c e_A.
    """
    put = {Layers("W_B", 2, 1): eq7b[0].rhs}
    numbers = {name: value[0, 0] for name, value in _example().items() if name not in (S, Y)}
    lead = small_weights("W_A")
    moved = [lead(normal(law.rhs).subs(put)).term.subs(numbers) for law in (eq18a, eq18b)]
    first, second = layer("W_A", 1), layer("W_A", 2)
    size = coefficient_of(moved[0], T(second))
    gap = moved[0] + c * T(moved[1]) - c * size * (first + c * T(second))
    if normal(normal(gap).subs(c**2, 1)) != 0:
        raise SolveError(f"the mode does not grow by itself: {gap}")
    return sp.factor(size)


def _growing(e: sp.Expr) -> sp.Expr:
    """c e for the mode that grows, whose sign is that of w_A."""
    return sp.expand(_grown * e.subs(w_A, _grown * _size)).subs(_grown**2, 1)


EXT_123 = Entry(
    123, "", "unlearning, two layers",
    (
        Statement(equation(ALONE_A, w_A + rho * w_B * sd_B / sd_A), lambda eq7a: _weight(eq7a[0], W_A_tot)),
        Statement(equation(GLOBAL_A, w_A), lambda eq19b: _weight(eq19b[1][0], W_tot)),
        Statement(sp.Lt(w_A * (w_A + rho * w_B * sd_B / sd_A), 0, evaluate=False), _signs_differ),
        Statement(equation(MODE_OF_A, (sign_A + c) * u_A * _COLUMNS["W_A"]), _mode_at_balance),
        Statement(
            equation(MODE, c * sd_A**2 * w_A * (1 - rho**2)),
            lambda eq18a, eq18b, eq7b: c * _error_at_b(eq18a, eq18b, eq7b),
        ),
        Statement(
            equation(LEAVING, sd_A**2 * _size * (1 - rho**2)),
            lambda eq18a, eq18b, eq7b: _growing(_error_at_b(eq18a, eq18b, eq7b)),
        ),
    ),
    (EQ_7A, EQ_19B, EQ_24, EQ_18A, EQ_18B, EQ_7B),
    condition="two layers, scalar inputs of standard deviations sigma_A, sigma_B and correlation rho, y = w_A x_A + "
    "w_B x_B and noise; c = 1 or -1; A is learned first",
    proof="The weights of A at M_A, (7), and at M_*, (19b), in numbers of the example. At M_B (18a), (18b) give "
    "W_A^1 + c W_A^2T the rate c e_A, e_A = Sigma_yx_A - Sigma_yx_B Sigma_B^-1 Sigma_BA = sigma_A^2 w_A (1 - rho^2). A "
    "balanced start (24) has the mode of the sign of Sigma_yx_A alone.",
    note="Where the two weights of A have opposite signs the mode that A has grown in decays at M_B and the other one "
    "grows: a run that is not quite balanced goes M_A, M_B, M_*, three transitions; a balanced one ends at M_B.",
)  # fmt: skip

# ---- 124: gradient descent, one step after the other.

FACTOR = named("factor of the mode c in a step", r"\mathrm{factor}_c")
STEPS_TIME = sp.Symbol("t_A", positive=True)


def _factor(eq14: sp.Eq, eq2: sp.Tuple, branch: str, drive: sp.Symbol, size: sp.Symbol, seen: Mapping[Any, Any]) -> Any:
    """What W^1 d^T + c W^2T is multiplied by in one step of (14), d the unit row along the drive.

    `seen` says where the other branch stands, so that `drive` is what is left of the error for small weights.
    """
    chains = () if not seen else (branch,)
    lead = small_weights(*chains)
    written = eq14.rhs.subs(seen).subs(totals(eq2)).subs(TWO)
    steps = [lead(normal(written.subs(l, n))).term for n in (1, 2)]
    d, squares = drive / size, {(drive, T(drive)): size**2}
    first, second = layer(branch, 1), layer(branch, 2)
    now = normal(first * T(d) + c * T(second))
    change = normal(steps[0] * T(d) + c * T(steps[1]), squares)
    gain = c * change.coeff(T(second))
    if normal(change - sp.expand(gain * now)).subs(c**2, 1) != 0:
        raise SolveError(f"the mode is not multiplied by a number: {change}")
    return 1 + gain


def _factors(eq14a: sp.Eq, eq14b: sp.Eq, eq2: sp.Tuple, eq31: sp.Tuple) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """Of A's growing mode, of B's mode c until t_A, of the mode that the residual drives (its own c = 1)."""
    solved = residual_B - (eq31[2].rhs - Y_B)  # Sigma_yx_B by the residual
    plateau = {W_A_tot: Y_A * S_A**-1, Y_B: solved}
    first = _factor(eq14a, eq2, "W_A", Y_A, a, {})
    second = _factor(eq14b, eq2, "W_B", Y_B, b, {})
    last = _factor(eq14b, eq2, "W_B", residual_B, r, plateau)
    return first.subs(c, 1), second, last.subs(c, 1)


def ratio_of_descent(*sources: sp.Basic) -> tuple[sp.Expr, sp.Expr]:
    """Steps until A is learned, and the ratio of times, before u_0 -> 0."""
    grow_a, grow_b, grow_last = _factors(*sources)
    first = (sp.log(X) - sp.log(u_0)) / sp.log(grow_a)
    start = sp.log(u_0) + first * sp.log(grow_b)  # ln u_B at t_A
    lag = (sp.log(X_B) - start) / sp.log(grow_last)
    return first, 1 + lag / first


def _leading_ratio(*sources: sp.Basic) -> sp.Expr:
    return small(u_0)(ratio_of_descent(*sources)[1]).term


DESCENT = 1 + (sp.log(1 + eta * a) - sp.log(1 + c * eta * b)) / sp.log(1 + eta * r)
EXT_124 = Entry(
    124, "", "gradient descent, time ratio, two layers",
    (
        Statement(equation(FACTOR, 1 + c * eta * b), lambda *s: _factors(*s)[1]),
        Statement(
            equation(STEPS_TIME, eta * tau * sp.log(1 / u_0) / sp.log(1 + eta * a)),
            lambda *s: eta * tau * ratio_of_descent(*s)[0], lead=small(u_0), neglected=LOG_ORDER,
        ),
        Statement(
            equation(RATIO, DESCENT), lambda *s: ratio_of_descent(*s)[1], lead=small(u_0), neglected=LOG_ORDER,
        ),
        Statement(
            equation(RATIO, 1 + (a - c * b) / r),
            _leading_ratio, lead=first_order(eta, 0), neglected=eta,
        ),
        Statement(
            equation(RATIO, 1 + (a - b) / r * (1 - eta * (a + b - r) / 2)),
            lambda *s: _leading_ratio(*s).subs(c, 1), lead=first_order(eta, 1), neglected=eta**2,
        ),
    ),
    (EQ_14A, EQ_14B, EQ_2, EQ_31),
    condition="learning rate eta, eta b < 1; c = 1 or -1 as in (101), (102); u_0 -> 0",
    proof="One step of (14) near zero multiplies W^1 d^T + c W^2T by 1 + c eta |Sigma_yx_B|; n steps take the time "
    "n eta tau. The last lines: eta -> 0 gives (9) with its sign, and the first power of eta for c = 1.",
    note="A growing mode takes ln(1 + eta a) a step and not eta a, a decaying one -ln(1 - eta b) and not eta b: for "
    "c = 1 and a + b > r the ratio is below (9).",
)  # fmt: skip
