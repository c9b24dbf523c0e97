"""Cross-entropy of the softmax of K classes: what it is near zero, and how a margin grows in the end, 157."""

from __future__ import annotations

import sympy as sp

from derivations.algebra.entry import WEIGHT, Entry, Statement, equation, first_order, first_words, small
from derivations.algebra.matrices import S, W_tot, Y, e_A, matrix, target, x_all
from derivations.algebra.notation import K, named, t, tau
from derivations.algebra.ordered_products import T, averaged, coefficient_of, means, normal, same
from derivations.algebra.positive_powers import equal
from derivations.errors import SolveError
from derivations.flow.symbolic_flow import EQ_1A, EQ_1B
from derivations.flow.two_layer_squares import EXT_156, INNER, OUTER, RATES, TOTAL

#: Logits are epsilon z_i; sums of powers of all z, the first is Z.
z_i, Z = sp.symbols("z_i Z", real=True)
SOFTMAX = named("softmax_i", r"\mathrm{softmax}_i", positive=True)
_sums = (K, Z, *sp.symbols("Z_2 Z_3", real=True))  # what a Taylor polynomial to first order is checked by
#: C = 1 - 11^T/K takes the mean over the classes away; rows of weights and of Sigma_yx are classes.
CENTRED, DRIVE = matrix("C", r"\mathbf{C}"), matrix("e", r"\mathbf{e}")
_column, _row, _even = matrix("1"), matrix("1^T"), matrix("1/K")  # of ones, and the output of a softmax of zeros
_ONES = {(_column, _row): K * (1 - CENTRED)}
#: The margin m of the right class over all others, and what a sample drives it with.
LEFT = named("exp(-m)", "e^{-m}", positive=True)
WRONG = named("1 - softmax", r"1 - \mathrm{softmax}", positive=True)
pull = named("c_m", "c_m", positive=True)
MARGIN_TIME = tau / ((K - 1) * pull * LEFT)


def softmax() -> sp.Expr:
    """exp(epsilon z_i) over the sum of its like over K classes, that one in powers of epsilon by sums of powers."""
    whole = sp.Add(*(total * WEIGHT**n / sp.factorial(n) for n, total in enumerate(_sums)))
    return sp.exp(WEIGHT * z_i) / whole


def drive(eq1a: sp.Tuple, eq1b: sp.Tuple) -> sp.Expr:
    """e = <(one-hot - softmax) x^T>, the softmax to first order, z = W x; inputs are centred, <x> = 0."""
    first = first_order(WEIGHT, 1)(softmax()).term
    own, whole = (sp.expand(first).coeff(WEIGHT, 1).coeff(symbol, 1) for symbol in (z_i, Z))
    if not equal(first, 1 / K + WEIGHT * (own * z_i + whole * Z)):
        raise SolveError(f"{first} is not even and linear in the logits")
    chance = _even + (own + whole * _column * _row) * W_tot * x_all
    seen = averaged(sp.expand((target - chance) * T(x_all)), {**means(eq1a, eq1b), (_even, T(x_all)): sp.Integer(0)})
    return normal(seen, _ONES)


def _rest(eq1a: sp.Tuple, eq1b: sp.Tuple) -> sp.Expr:
    """W where the drive of `drive` vanishes: one-hot rows add up to 1, so that C Sigma_yx = Sigma_yx."""
    found = drive(eq1a, eq1b)
    slope = coefficient_of(found - Y, CENTRED, W_tot, S)
    total = -Y * S**-1 / slope
    if not same(found.subs(W_tot, total), 0, {(S**-1, S): sp.Integer(1), (CENTRED, Y): Y}):
        raise SolveError(f"{total} is no rest of {found}")
    return total


def _near_zero(eq1a: sp.Tuple, eq1b: sp.Tuple, eq156: sp.Tuple) -> sp.Expr:
    """(156) with that drive; words with the total weights in it are marked."""
    return sp.expand(eq156[0].rhs.subs(e_A, drive(eq1a, eq1b).subs(W_tot, WEIGHT * TOTAL)))


def _wrong() -> sp.Expr:
    """1 - softmax of the right class where all K - 1 others lie a margin m below it."""
    return sp.cancel(1 - 1 / (1 + (K - 1) * LEFT))


def _time_of_margin() -> sp.Expr:
    """t since m = 0 for tau dm/dt = c_m (1 - softmax); dm = -dy/y for y = exp(-m)."""
    slope = -tau / (pull * _wrong() * LEFT)  # dt/dy
    found = tau / pull * (1 / ((K - 1) * LEFT) - sp.log(LEFT) - 1 / (K - 1))
    if not equal(sp.diff(found, LEFT), slope) or found.subs(LEFT, 1) != 0:
        raise SolveError(f"{found} does not integrate {slope}")
    return found


EXT_157 = Entry(
    157, "", "cross-entropy: near zero, and margins in the end",
    (
        Statement(
            equation(SOFTMAX, 1 / K + WEIGHT * (z_i - Z / K) / K), softmax,
            lead=first_order(WEIGHT, 1), neglected=WEIGHT**2,
        ),
        Statement(equation(DRIVE, Y - CENTRED * W_tot * S / K), drive),
        Statement(equation(RATES[0], OUTER * Y + Y * INNER), _near_zero, lead=first_words, neglected=WEIGHT),
        Statement(equation(W_tot, K * Y * S**-1), _rest),
        Statement(equation(WRONG, (K - 1) * LEFT), _wrong, lead=small(LEFT), neglected=LEFT),
        Statement(
            equation(t, MARGIN_TIME), _time_of_margin, lead=small(LEFT), neglected=LEFT * sp.log(1 / LEFT),
        ),
    ),
    (EQ_1A, EQ_1B, EXT_156),
    condition="K classes, one-hot targets y, K outputs, centred inputs, no offset; logits epsilon z_i, Z the sum of "
    "all; C = 1 - 11^T/K; lines 2 and 4: the softmax to first order. Last lines: the right class a margin m above all "
    "others, tau dm/dt = c_m (1 - softmax) from m = 0, c_m held fixed",
    proof="Sums of exp(epsilon z_j) are K + epsilon Z + ..., for any K. e is minus the gradient by the total weights; "
    "the even part 1/K has no mean with centred inputs, what is linear is C z/K. Then (156). y = exp(-m) separates.",
    note="To first order it is the squared loss with Sigma/K for Sigma: near zero it grows along the same singular "
    "vectors of Sigma_yx at the same rates (one-hot or centred one-hot targets have the same Sigma_yx), and its first "
    "plateaus would be K times as large, where z is of order one and the first order no longer holds. Classes of "
    "unequal size have an offset at rest, which is left out. Where classes separate, margins grow as ln((K - 1) c_m "
    "t/tau) for one layer; more layers change c_m as they grow: still a logarithm to leading order.",
)  # fmt: skip
