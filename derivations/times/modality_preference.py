"""Which modality is first and which contributes most: (10), (11), (61), (62). `preference` has the functions."""

from __future__ import annotations

from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, factor
from derivations.algebra.examples import VARIANCE_A, sd_A, sd_B
from derivations.algebra.matrices import S_A, S_B, Y_A, Y_B, W_A_tot, W_B_tot, target, x_A, x_B
from derivations.algebra.notation import a, b, named
from derivations.algebra.ordered_products import Average, T, averaged, means, normal, words
from derivations.critical.printed_sets import EQ_7A, EQ_7B, POWER
from derivations.errors import SolveError
from derivations.flow.symbolic_flow import EQ_1A, EQ_1B
from derivations.times.two_layers import EQ_28

LOSS_A = named("Loss(M_A)", r"\mathcal{L}(\mathcal{M}_A)", positive=True)
LOSS_B = named("Loss(M_B)", r"\mathcal{L}(\mathcal{M}_B)", positive=True)
#: What each modality contributes, Sigma_yx Sigma^-1 Sigma_yx^T, and <y^2>.
WORTH_A = named("Sigma_yxA*Sigma_A^-1*Sigma_yxA^T", r"\Sigma_{yx_A}\Sigma_A^{-1}\Sigma_{yx_A}^\top", positive=True)
WORTH_B = named("Sigma_yxB*Sigma_B^-1*Sigma_yxB^T", r"\Sigma_{yx_B}\Sigma_B^{-1}\Sigma_{yx_B}^\top", positive=True)
MEAN_SQUARE = Average(target**2)


def _error(saddle: sp.Tuple, total: sp.Symbol, x: sp.Symbol) -> sp.Expr:
    """y - y_hat on the saddle (7)."""
    (weights,) = (line.rhs for line in saddle if line.lhs == total)
    return target - weights * x


def _atoms(x: sp.Symbol) -> dict[Any, Any]:
    """Means by their own names, before (1) renames them."""
    pairs = ((target, target), (target, T(x)), (x, T(x)))
    return {pair: Average(sp.Mul(*pair)) for pair in pairs}


def loss(saddle: sp.Tuple, total: sp.Symbol, x: sp.Symbol, rules: dict[Any, Any]) -> sp.Expr:
    """Half the mean squared error on a saddle, its square multiplied out and averaged."""
    error = _error(saddle, total, x)
    return _row_first(averaged(error * T(error), rules)) / 2


def _row_first(e: sp.Expr) -> sp.Expr:
    """Each word is a number, hence equal to its transpose: written with the row Sigma_yx in front."""
    terms = []
    for coefficient, word in words(e):
        turned = len(word) > 1 and isinstance(word[0], Average)
        terms.append(coefficient * (normal(T(sp.Mul(*word))) if turned else sp.Mul(*word)))
    return sp.Add(*terms)


def _losses(part: str, name: sp.Symbol, total: sp.Symbol, x: sp.Symbol, row: sp.Symbol, saddle: Entry) -> Entry:
    """(62): the mean square as it stands, multiplied out, and short."""
    sigma = {x_A: S_A, x_B: S_B}[x]
    worth = row * sigma**-1
    printed = (
        Average((target - worth * x) ** 2),
        MEAN_SQUARE - 2 * worth * T(Average(target * T(x))) + worth * Average(x * T(x)) * sigma**-1 * T(row),
        MEAN_SQUARE - worth * T(row),
    )

    def short(saddle: sp.Tuple, *definitions: sp.Tuple) -> sp.Expr:
        return loss(saddle, total, x, {**means(*definitions), (target, target): MEAN_SQUARE})

    derived = (
        lambda saddle, *_: Average(_error(saddle, total, x) ** 2) / 2,
        lambda saddle, *_: loss(saddle, total, x, _atoms(x)),
        short,
    )
    return Entry(
        62,
        part,
        f"loss on M_{part.upper()}",
        tuple(
            Statement(equation(name, value), derive, defect=factor(2))
            for value, derive in zip(printed, derived, strict=True)
        ),
        (saddle, EQ_1A, EQ_1B),
        condition="Sigma_m of full rank",
        proof="The loss of section 2.3 at W_m^tot = Sigma_yx_m Sigma_m^-1, multiplied out and averaged by (1).",
        note="Printed without the factor 1/2 that the loss has in section 2.3; the comparison (61) is not touched.",
    )


EQ_61 = Entry(
    61, "", "A contributes less", (Statement(sp.Gt(LOSS_A, LOSS_B)),),
    condition="imposed", note="What superficial preference means, together with A being first.",
)  # fmt: skip
EQ_62A = _losses("a", LOSS_A, W_A_tot, x_A, Y_A, EQ_7A)
EQ_62B = _losses("b", LOSS_B, W_B_tot, x_B, Y_B, EQ_7B)


def _worth(eq62: sp.Tuple, row: sp.Symbol, sigma: sp.Symbol, worth: sp.Symbol) -> sp.Expr:
    """(62) with its one word by name."""
    found = normal(eq62[2].rhs, {(row, sigma**-1, T(row)): worth, (MEAN_SQUARE,): POWER})
    if not found.is_commutative:
        raise SolveError(f"{found} is not a number")
    return found


def contributes_less(eq61: sp.Basic, eq62a: sp.Tuple, eq62b: sp.Tuple) -> sp.Tuple:
    """(61) with the losses of (62)."""
    losses = {LOSS_A: _worth(eq62a, Y_A, S_A, WORTH_A), LOSS_B: _worth(eq62b, Y_B, S_B, WORTH_B)}
    return sp.Tuple(type(eq61)(*(side.subs(losses) for side in eq61.args), evaluate=False))


EQ_10A = Entry(
    10, "a", "A is learned first",
    (Statement(sp.Tuple(sp.Gt(a, b)), lambda eq28: sp.Tuple(eq28[1])),), (EQ_28,),
    condition="equal starts and depths, leading order in u_0", proof="(28): t_A < t_B.",
)  # fmt: skip
EQ_10B = Entry(
    10, "b", "B contributes more",
    (Statement(sp.Tuple(sp.Lt(WORTH_A, WORTH_B)), contributes_less),), (EQ_61, EQ_62A, EQ_62B),
    proof="(61) with (62): <y^2> cancels.",
)  # fmt: skip

# ---- (11): scalars without correlation.

w_ratio = named("w_A/w_B", r"\frac{w_A}{w_B}", real=True)
AS_FAST, AS_MUCH = sd_B**2 / sd_A**2, sd_B / sd_A  #: |w_A/w_B| where both are as fast, and contribute as much
sign = named("sign(w_A/w_B)", r"\mathrm{sign}(w_A/w_B)", real=True)


def scalar_conditions(eq10a: sp.Tuple, eq10b: sp.Tuple) -> sp.Tuple:
    """(10) for scalars with Sigma_AB = 0: |Sigma_yx_m| = sigma_m^2 |w_m|, the worth sigma_m^2 w_m^2.

    Both divided by positive factors; |w_A/w_B| = sign * w_A/w_B.
    """
    size_a, size_b = sp.symbols("|w_A| |w_B|", positive=True)
    first = eq10a[0].subs({a: sd_A**2 * size_a, b: sd_B**2 * size_b}, simultaneous=True)
    more = eq10b[0].subs({WORTH_A: sd_A**2 * size_a**2, WORTH_B: sd_B**2 * size_b**2}, simultaneous=True)
    ratio = sp.Symbol("|w_A/w_B|", positive=True)
    low = sp.solve((first.gts - first.lts).subs(size_a, ratio * size_b), ratio)[-1]
    high = sp.solve((more.gts - more.lts).subs(size_a, ratio * size_b), ratio)[-1]
    return sp.Tuple(sp.Lt(sp.simplify(low), sign * w_ratio), sp.Lt(sign * w_ratio, sp.simplify(high)))


def _negative_weights(printed: sp.Tuple, right: sp.Tuple) -> bool:
    """w_A/w_B = -1/4, sigma_A = 3, sigma_B = 1: B contributes more although A is first; printed denies it."""
    at = {sign: -1, sd_A: 3, sd_B: 1}
    inside, outside = at | {w_ratio: sp.Rational(-1, 4)}, at | {w_ratio: sp.Rational(-1, 2)}

    def holds(lines: sp.Tuple, point: dict[sp.Symbol, Any]) -> list[bool]:
        return [line.subs(point) == sp.true for line in lines]

    return (
        holds(right, inside) == [True, True]
        and holds(right, outside) == [True, False]
        and not all(holds(printed, inside))
    )


def variance_of_sigma(conditions: sp.Tuple) -> sp.Eq:
    """What sigma_A in (11) must be: the upper bound is the root of the quotient of the second moments."""
    bound = conditions[1].rhs.subs(sd_A, sp.sqrt(VARIANCE_A))  # as derived, in second moments
    (found,) = sp.solve(bound - sd_B / sd_A, VARIANCE_A)
    return equation(VARIANCE_A, found)


EQ_11 = Entry(
    11, "", "superficial preference of scalars",
    (
        Statement(
            sp.Tuple(sp.Lt(AS_FAST, w_ratio), sp.Lt(w_ratio, AS_MUCH)),
            scalar_conditions, given={sign: 1}, counterexample=_negative_weights,
        ),
        Statement(
            equation(VARIANCE_A, sd_A),
            lambda *s: variance_of_sigma(scalar_conditions(*s)), defect=factor(1 / sd_A),
        ),
    ),
    (EQ_10A, EQ_10B), condition="scalars, Sigma_AB = 0, w_A/w_B > 0 (else its absolute value)",
    proof="(10) with |Sigma_yx_m| = sigma_m^2 |w_m|, solved for |w_A/w_B|.",
    note="The line below (11) calls sigma_A, sigma_B the variances; the formula is right for standard deviations.",
)  # fmt: skip
