"""Fixed points and saddles of two-layer networks: (6), (7), (17), (19), (20).

The output is a scalar, so each gradient is a column times a row: W^2T e = 0 means W^2 = 0 or e = 0. A branch
that has learned has e = 0; one that has not is dead, W^2 = 0 and W^1 e^T = 0. That is the right set. The
printed ones put W^1 = 0 or W^2 W^1 = 0 in the place of the second: they are the right ones among *balanced*
weights, W^1 W^1T = W^2T W^2, and only there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation
from derivations.algebra.examples import rho, scalar_example, sd_A, sd_B
from derivations.algebra.matrices import S_A, S_AB, S_B, S_BA, Y_A, Y_B, S, W_A_tot, W_B_tot, W_tot, Y, matrix
from derivations.algebra.notation import named
from derivations.algebra.ordered_products import Layers, T, apart, layer, normal, same, words
from derivations.correlations import Correlations
from derivations.critical.preference import misattribution
from derivations.critical.witnesses import ALONE, POINTS, TOTALS, ZEROS_EARLY, ZEROS_LATE, belongs, is_critical, witness
from derivations.errors import SolveError
from derivations.flow.symbolic_flow import EQ_2, EQ_5A, EQ_5B, EQ_16, EQ_18A, EQ_18B, EQ_18C, EQ_18D, totals

DEAD = sp.Integer(0)


def error_of(first: sp.Eq, second: sp.Eq, branch: str) -> sp.Expr:
    """e in the flows W^2T e and e W^1T of a branch of two layers; raises if they are not of that form."""
    up, down = T(layer(branch, 2)), T(layer(branch, 1))
    found = []
    for law, place, outer in ((first.rhs, 0, up), (second.rhs, -1, down)):
        terms = []
        for coefficient, word in words(apart(law)):
            if word[place] != outer:
                raise SolveError(f"{law} is not an outer product with {outer}")
            terms.append(coefficient * sp.Mul(*(word[1:] if place == 0 else word[:-1])))
        found.append(sp.Add(*terms))
    if not same(*found):
        raise SolveError(f"the two layers of {branch} see different errors")
    return normal(found[0])


def learned(e: sp.Expr, branch: str, sigma: sp.Symbol) -> sp.Eq:
    """e = 0 solved for the total weights of a branch: W^tot Sigma = the rest."""
    product = layer(branch, 2) * layer(branch, 1)
    rest = normal(apart(e) + product * sigma)
    if any(f in (layer(branch, 1), layer(branch, 2)) for _, word in words(apart(rest)) for f in word):
        raise SolveError(f"{e} cannot be solved for the weights of {branch}")
    return equation(TOTALS[branch], sp.expand(rest * sigma**-1))


def dead(e: sp.Expr, branch: str, other: sp.Expr = DEAD) -> tuple[sp.Eq, sp.Eq]:
    """W^2 = 0 and W^1 e^T = 0, with e at W^2 = 0 and the other branch's total weights as given."""
    seen = normal(apart(e).subs(layer(branch, 2), 0))
    seen = normal(seen.subs(dict.fromkeys(seen.atoms(Layers), other)))
    return equation(layer(branch, 2), DEAD), equation(normal(layer(branch, 1) * T(seen)), DEAD)


def balanced(equations: sp.Tuple) -> sp.Tuple:
    """The same set among balanced weights, W^1 W^1T = W^2T W^2, in one order.

    W^2 W^1 = 0 gives |W^2|^4 = W^2 (W^2T W^2) W^2T = W^2 W^1 W^1T W^2T = 0, and W^2 = 0 gives |W^1|^2 = 0: a
    branch with zero total weights, or with W^2 = 0, vanishes.
    """
    found: set[sp.Eq] = set()
    lines = list(equations)
    for branch, total in TOTALS.items():
        first, second = layer(branch, 1), layer(branch, 2)
        zero = [line for line in lines if line.rhs == 0 and line.lhs in (total, second, apart(second * first))]
        if not zero:
            continue
        _check_that_a_dead_branch_vanishes()
        across = [x for x in lines if x.rhs == 0 and all(word[:1] == (first,) for _, word in words(x.lhs))]  # W^1 v = 0
        lines = [line for line in lines if line not in zero and line not in across]
        found |= {equation(first, DEAD), equation(second, DEAD)}
    return sp.Tuple(*sorted({*found, *lines}, key=str))


def _check_that_a_dead_branch_vanishes() -> None:
    first, second = matrix("W1"), matrix("W2")
    norm = second * T(second) * second * T(second)
    through = second * first * T(first) * T(second)
    if not same(norm, through, {(T(second), second): first * T(first)}):
        raise SolveError("balance does not connect the two layers")
    if not same(through, 0, {(second, first): DEAD}):
        raise SolveError("a branch with zero total weights does not vanish")


@dataclass(frozen=True)
class PrintedSet:
    """A printed set beside the critical points: kinds of points that it misses, and that it wrongly contains."""

    number: str
    relation: int
    misses: tuple[str, ...]
    wrong: tuple[str, ...]


def printed_sets() -> tuple[PrintedSet, ...]:
    """(6), (7), (17), (19), (20) judged at the stored witnesses by the flow itself, one row a printed relation.

    Inputs of dimension two and width two: what needs d > 1 (across the error) is there. For scalar inputs a W^1
    across the error is zero, and nothing is missed.

    Examples
    --------
    >>> [(row.number, row.misses, row.wrong) for row in printed_sets() if row.number == "6a"]
    [('6a', ('W^2 = 0 and W^1, not zero, across the error',), ())]
    """
    found = []
    for entry in (EQ_6A, EQ_6B, EQ_7A, EQ_7B, EQ_17A, EQ_17B, EQ_19A, EQ_19B, EQ_20A, EQ_20B):
        for i, statement in enumerate(entry.statements, start=1):
            judged = [
                (text, belongs(statement.printed, layers), is_critical(layers))
                for text, layers in POINTS[entry.name].items()
            ]
            misses = tuple(text for text, inside, critical in judged if critical and not inside)
            wrong = tuple(text for text, inside, critical in judged if inside and not critical)
            found.append(PrintedSet(entry.name, i, misses, wrong))
    return tuple(found)


_NOT_ZERO_EARLY, _NOT_ZERO_LATE = (witness(*points.values()) for points in (ZEROS_EARLY, ZEROS_LATE))
_ALONE_A, _ALONE_B = (witness(*ALONE[m].values()) for m in "AB")

# ---- Entries.


def _early_error(eq16: sp.Tuple) -> sp.Expr:
    return error_of(eq16[0], eq16[1], "W")


def _late_errors(*laws: sp.Eq) -> tuple[sp.Expr, sp.Expr]:
    return error_of(laws[0], laws[1], "W_A"), error_of(laws[2], laws[3], "W_B")


def _late_zero(*laws: sp.Eq) -> sp.Tuple:
    seen_a, seen_b = _late_errors(*laws)
    return sp.Tuple(*dead(seen_a, "W_A"), *dead(seen_b, "W_B"))


def _partial(alive: str, system: bool) -> Callable[..., sp.Tuple]:
    """M_A or M_B: one branch has learned, the other is dead."""
    other = {"W_A": "W_B", "W_B": "W_A"}[alive]
    sigma = {"W_A": S_A, "W_B": S_B}[alive]

    def derive(*laws: sp.Eq) -> sp.Tuple:
        seen = dict(zip(("W_A", "W_B"), _late_errors(*laws), strict=True))
        alone = normal(apart(seen[alive]).subs(layer(other, 2), 0))
        solution = learned(alone, alive, sigma)
        left = dead(seen[other], other, solution.rhs)
        return sp.Tuple(equation(apart(alone), DEAD) if system else solution, *left)

    return derive


def _late_system(eq18a: sp.Eq, eq18b: sp.Eq, eq18c: sp.Eq, eq18d: sp.Eq) -> sp.Tuple:
    return sp.Tuple(*(equation(apart(seen), DEAD) for seen in _late_errors(eq18a, eq18b, eq18c, eq18d)))


def _late_all(eq2: sp.Tuple, eq5a: sp.Eq, eq5b: sp.Eq) -> sp.Tuple:
    """e_A = e_B = 0 is [e_A e_B] = Sigma_yx - W^tot Sigma = 0: block columns of a row times a matrix."""
    blocks = {W_A_tot: (S_A, S_AB), W_B_tot: (S_BA, S_B)}
    for i, (eq5, target) in enumerate(((eq5a, Y_A), (eq5b, Y_B))):
        row_times_column = target - sum(total * blocks[total][i] for total in totals(eq2))
        if not same(eq5.rhs, row_times_column):
            raise SolveError(f"{eq5} is not a block of Sigma_yx - W^tot Sigma")
    return sp.Tuple(equation(W_tot, Y * S**-1))


_LATE = (EQ_18A, EQ_18B, EQ_18C, EQ_18D)
_W1, _W2 = layer("W", 1), layer("W", 2)
_A1, _A2, _B1, _B2 = layer("W_A", 1), layer("W_A", 2), layer("W_B", 1), layer("W_B", 2)
_ZERO_EARLY = sp.Tuple(equation(_W2, DEAD), equation(_W1, DEAD))
_ZERO_LATE = sp.Tuple(*(equation(w, DEAD) for w in (_A2, _A1, _B2, _B1)))
_GLOBAL = sp.Tuple(equation(W_tot, Y * S**-1))
_M_A = sp.Tuple(equation(W_A_tot, Y_A * S_A**-1), equation(W_B_tot, DEAD))
_M_B = sp.Tuple(equation(W_A_tot, DEAD), equation(W_B_tot, Y_B * S_B**-1))
_BALANCE = "balanced weights, W^1 W^1T = W^2T W^2"
_ZERO_NOTE = (
    "Printed is one point. The right set is {W^2 = 0, W^1 Sigma_yx^T = 0}; at a stored witness with W^1 not zero the "
    "gradient is zero."
)
_SADDLE_NOTE = (
    "Printed W_B^tot = 0 is not enough: with W_B^2 and W_B^1 not zero but W_B^2 W_B^1 = 0 the gradient is not zero "
    "(a witness is stored). The right set has W_B^2 = 0 and W_B^1 across the residual of B."
)
_DEAD_PROOF = "A column times a row is zero only if one of them is: W^2 = 0, then the other gradient is e W^1T."


def _set(printed: sp.Tuple, derive: Any, counterexample: Any = None) -> Statement:
    given = None if counterexample is None else balanced
    return Statement(printed, derive, given=given, counterexample=counterexample)


EQ_6A = Entry(
    6, "a", "early fusion: zero",
    (_set(_ZERO_EARLY, lambda eq16: sp.Tuple(*dead(_early_error(eq16), "W")), _NOT_ZERO_EARLY),), (EQ_16,),
    condition=_BALANCE, proof=_DEAD_PROOF, note=_ZERO_NOTE,
)  # fmt: skip
EQ_6B = Entry(
    6, "b", "early fusion: the global solution",
    (_set(_GLOBAL, lambda eq16: sp.Tuple(learned(_early_error(eq16), "W", S))),), (EQ_16,),
    condition="Sigma of full rank", proof="e = Sigma_yx - W^tot Sigma = 0 and back.",
)  # fmt: skip
POWER = named("<y^2>", r"\langle y^2\rangle", positive=True)
_size_B, _sign_B = sp.Symbol("|w_B|", positive=True), named("sign(w_B)", r"\mathrm{sign}(w_B)", real=True)
_TOO_MUCH = named("misattribution of A", r"\mathrm{misattribution}_A")


def _misattribution(w_b: Any) -> sp.Eq:
    """The weights of A on M_A minus those on M_*, for y = x_A + w_B x_B."""
    sigma, target = scalar_example(1, w_b)
    data = Correlations(sigma, target, {"A": 1, "B": 1}, POWER)
    return equation(_TOO_MUCH, sp.simplify(misattribution(data)["A"][0, 0]))


EQ_7A = Entry(
    7, "a", "late fusion: A alone", (_set(_M_A, _partial("W_A", False), _ALONE_A),), _LATE,
    condition=_BALANCE, proof="e_A = 0 with W_B^2 = 0 gives W_A^tot; " + _DEAD_PROOF, note=_SADDLE_NOTE,
    claims=(
        Statement(
            equation(_TOO_MUCH, rho * sd_B / sd_A), lambda: _misattribution(1),
            claim="appendix J.3: for y = x_A + x_B the misattribution is rho sigma_B/sigma_A",
        ),
        Statement(
            equation(_TOO_MUCH, _size_B * rho * sd_B / sd_A),
            lambda: _misattribution(_sign_B * _size_B),
            given={_sign_B: 1},
            counterexample={_sign_B: -1, _size_B: 3, rho: sp.Rational(1, 2), sd_A: 2, sd_B: 1}
            | {_TOO_MUCH: sp.Rational(-3, 4)},
            claim="section 3.3 and appendix F.2: A overshoots where the correlation is positive; with a negative w_B "
            "it undershoots",
        ),
    ),
)  # fmt: skip
EQ_7B = Entry(
    7, "b", "late fusion: B alone", (_set(_M_B, _partial("W_B", False), _ALONE_B),), _LATE,
    condition=_BALANCE, proof="e_B = 0 with W_A^2 = 0 gives W_B^tot; " + _DEAD_PROOF, note=_SADDLE_NOTE,
)  # fmt: skip
EQ_17A = replace(EQ_6A, number=17)
EQ_17B = Entry(
    17, "b", "early fusion: the global solution",
    (
        _set(
            sp.Tuple(equation(Y - _W2 * _W1 * S, DEAD)),
            lambda eq16: sp.Tuple(equation(apart(_early_error(eq16)), DEAD)),
        ),
        *EQ_6B.statements,
    ),
    (EQ_16,),
    condition=EQ_6B.condition, proof=EQ_6B.proof,
)  # fmt: skip
EQ_19A = Entry(
    19, "a", "late fusion: zero", (_set(_ZERO_LATE, _late_zero, _NOT_ZERO_LATE),), _LATE,
    condition=_BALANCE, proof=_DEAD_PROOF, note=_ZERO_NOTE,
)  # fmt: skip
EQ_19B = Entry(
    19, "b", "late fusion: the global solution",
    (
        _set(
            sp.Tuple(
                equation(Y_A - _A2 * _A1 * S_A - _B2 * _B1 * S_BA, DEAD),
                equation(Y_B - _A2 * _A1 * S_AB - _B2 * _B1 * S_B, DEAD),
            ),
            _late_system,
        ),
        _set(_GLOBAL, _late_all),
    ),
    (*_LATE, EQ_2, EQ_5A, EQ_5B),
    condition="Sigma of full rank", proof="The two errors are the blocks of Sigma_yx - W^tot Sigma.",
)  # fmt: skip
EQ_20A = Entry(
    20, "a", "late fusion: A alone",
    (
        _set(
            sp.Tuple(equation(Y_A - _A2 * _A1 * S_A, DEAD), equation(_B2, DEAD), equation(_B1, DEAD)),
            _partial("W_A", True),
            _ALONE_A,
        ),
        *EQ_7A.statements,
    ),
    _LATE, condition=_BALANCE, proof="e_A = 0 with W_B^2 = 0; " + _DEAD_PROOF,
    note="The system on the left misses W_B^2 = 0 with W_B^1 across the residual (a witness is stored); the set on the "
    "right holds points that are not critical.",
)  # fmt: skip
EQ_20B = Entry(
    20, "b", "late fusion: B alone",
    (
        _set(
            sp.Tuple(equation(_A2, DEAD), equation(_A1, DEAD), equation(Y_B - _B2 * _B1 * S_B, DEAD)),
            _partial("W_B", True),
            _ALONE_B,
        ),
        *EQ_7B.statements,
    ),
    _LATE, condition=_BALANCE, proof="e_B = 0 with W_A^2 = 0; " + _DEAD_PROOF, note=EQ_20A.note,
)  # fmt: skip
