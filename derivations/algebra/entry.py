"""What an entry of the ledger is, and how its status is computed.

An entry has statements: what is `printed` (typed from the paper) beside what is `derived` by a callable
from the entries it rests on. Comparing the two gives the status; nothing of it is typed.

    definition       nothing to derive from
    holds            printed = derived
    leading order    printed = the leading term of derived, and the order left out is as stated
    conditional      printed = derived under `given`; a stored counterexample shows that it is needed
    misprint         printed is not derived, and the exact defect between the two is as stated
    ansatz           the shape is invariant (zero residual on it, none off it)
    fails            none of these: the check did not succeed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from html import escape
from inspect import signature
from typing import Any

import sympy as sp

from derivations.algebra.ordered_products import lowest_degree, normal, same
from derivations.algebra.positive_powers import Leading, canonical, equal, leading
from derivations.algebra.power_series import is_zero, taylor
from derivations.algebra.typesetting import latex_of, text_lines
from derivations.errors import SolveError


def equation(left: Any, right: Any) -> sp.Eq:
    """left = right, as it is written: nothing is evaluated."""
    return sp.Eq(left, right, evaluate=False)


class Status(StrEnum):
    DEFINITION = "definition"
    HOLDS = "holds"
    LEADING_ORDER = "leading order"
    CONDITIONAL = "conditional"
    MISPRINT = "misprint"
    ANSATZ = "ansatz"
    FAILS = "fails"


FIRST_OF_OURS = 101
FIRST_OF_YOURS = 1001  # of entries that `register` takes


class Kind(StrEnum):
    PAPER = "paper"
    EXTENSION = "extension"
    OWN = "own"


class DefectKind(StrEnum):
    FACTOR = "printed = factor * right"
    TERM = "printed = right + term"
    RENAMED = "printed = right with other symbols"


@dataclass(frozen=True)
class Defect:
    """The exact difference between the printed and the right form."""

    kind: DefectKind
    value: sp.Basic

    def apply(self, right: sp.Basic) -> sp.Basic:
        """The printed form, made from the right one."""
        if self.kind is DefectKind.RENAMED:
            return right.subs(dict(self.value), simultaneous=True)
        if not isinstance(right, sp.Eq):
            raise SolveError(f"a factor or term needs an equation, got {right}")
        changed = right.rhs * self.value if self.kind is DefectKind.FACTOR else right.rhs + self.value
        return sp.Eq(right.lhs, changed, evaluate=False)


def factor(value: Any) -> Defect:
    return Defect(DefectKind.FACTOR, sp.sympify(value))


def term(value: Any) -> Defect:
    return Defect(DefectKind.TERM, sp.sympify(value))


def renamed(symbols: Mapping[sp.Basic, Any]) -> Defect:
    return Defect(DefectKind.RENAMED, sp.Dict(symbols))


Condition = Mapping[sp.Basic, Any] | Callable[[Any], Any]
Witness = Mapping[sp.Basic, Any] | Callable[[Any, Any], bool]


@dataclass(frozen=True, eq=False)
class Statement:
    """One printed relation and what decides on it.

    Parameters
    ----------
    printed : equation, condition (a tuple of inequalities), set (a tuple of equations)
    derive : callable of the `right` forms of the sources, returns the right form, or what the left side of the printed
        one is equal to; None for a definition. If all of its parameters are called by their numbers (`eq53`) it is
        handed these, else every source in order
    given : substitution, or callable on both forms, under which the printed form follows
    counterexample : numbers for every symbol at which the right form holds and the printed one does not, or a
        callable(printed, right) that says so
    defect : what a misprint changes
    lead, neglected : for leading order; finds the leading term, and the relative order left out, as stated
    residual : for an ansatz; returns what is left of the flow on it and off it
    claim : words about the formula that the printed form stands for, if it is not the formula itself

    Examples
    --------
    >>> x, y = sp.symbols("x y")
    >>> Statement(sp.Eq(y, 2 * x), lambda: x + x).derive()
    2*x
    """

    printed: sp.Basic
    derive: Callable[..., sp.Basic] | None = None
    given: Condition | None = None
    counterexample: Witness | None = None
    defect: Defect | None = None
    lead: Callable[[sp.Expr], Leading] | None = None
    neglected: Any = None
    residual: Callable[[], tuple[Any, Any]] | None = None
    claim: str = ""

    def status(self, derived: sp.Basic | None) -> list[Status]:
        """The same pair is compared once: proofs take what time a check takes."""
        if derived is None:
            return [Status.DEFINITION]
        return list(_status(self, derived) if isinstance(derived, sp.Basic) else self._compared(derived))

    def _compared(self, derived: sp.Basic) -> list[Status]:
        found: list[Status] = []
        right = derived
        if self.lead is not None:
            lead = self.lead(right.rhs)
            if lead.order is None or not equal(lead.order, sp.sympify(self.neglected)):
                return [Status.FAILS]
            right = sp.Eq(right.lhs, lead.term, evaluate=False)
            found.append(Status.LEADING_ORDER)
        printed = self.printed
        if self.given is not None:
            if agree(printed, right) or not self._broken(printed, right):
                return [Status.FAILS]
            printed, right = _under(self.given, printed), _under(self.given, right)
            found.append(Status.CONDITIONAL)
        if self.defect is not None:
            changed = self.defect.apply(right)
            if agree(changed, right) or not agree(printed, changed):
                return [Status.FAILS]
            found.append(Status.MISPRINT)
        elif not agree(printed, right):
            return [Status.FAILS]
        if self.residual is not None:
            on, off = self.residual()
            if on != 0 or off == 0:
                return [Status.FAILS]
            found.append(Status.ANSATZ)
        return found or [Status.HOLDS]

    def _broken(self, printed: Any, right: Any) -> bool:
        """Whether the counterexample satisfies the right form and not the printed one."""
        if self.counterexample is None:
            return False
        if callable(self.counterexample):
            return self.counterexample(printed, right)
        gaps = [(e.lhs - e.rhs).subs(self.counterexample).evalf(30) for e in (printed, right)]
        return bool(gaps[0].is_number and abs(gaps[0]) > 1e-9) and bool(gaps[1].is_number and abs(gaps[1]) < 1e-20)


@lru_cache(maxsize=1024)
def _status(statement: Statement, derived: sp.Basic) -> tuple[Status, ...]:
    return (*statement._compared(derived),)


#: Size of the weights: words with more layers are of a higher power of it.
WEIGHT = sp.Symbol("epsilon", positive=True)


def small(symbol: sp.Symbol, regime: Mapping[sp.Symbol, sp.Expr] | None = None) -> Callable[[sp.Expr], Leading]:
    """Leading term as `symbol` -> 0; `regime` writes depths by positive symbols (L_f = 2 + n)."""
    return lambda e: leading(e, symbol, regime)


def small_beside_one(symbol: sp.Symbol, regime: Mapping[sp.Symbol, sp.Expr]) -> Callable[[sp.Expr], Leading]:
    """Leading term of what is added to 1, as in t_B/t_A = 1 + ..."""

    def lead(e: sp.Expr) -> Leading:
        found = leading(e - 1, symbol, regime)
        return Leading(1 + found.term, found.order)

    return lead


def first_order(symbol: sp.Symbol, power: int) -> Callable[[sp.Expr], Leading]:
    """Taylor polynomial up to `power`, and the first power left out."""

    def lead(e: sp.Expr) -> Leading:
        found = taylor(e, symbol, power + 3)  # also where e itself is 0/0 at zero
        left = [n for n in range(power + 1, power + 3) if not is_zero(found[n])]
        polynomial = sp.Add(*(c * symbol**n for n, c in enumerate(found[: power + 1])))
        return Leading(polynomial, symbol ** left[0] if left else None)

    return lead


def small_weights(*chains: str) -> Callable[[sp.Expr], Leading]:
    """Leading term in the weights of these chains (all of them if none is named)."""

    def lead(e: sp.Expr) -> Leading:
        words, gap = lowest_degree(e, chains)
        return Leading(words, None if gap is None else WEIGHT**gap)

    return lead


def first_words(e: sp.Expr) -> Leading:
    """Words that are left as the size that marks the others, `WEIGHT`, goes to zero, and the order of the next."""
    e = sp.expand(e)
    powers = [n for n in range(4) if normal(e.coeff(WEIGHT, n)) != 0]
    if not powers or powers[0] != 0:
        raise SolveError(f"every word of {e} vanishes with {WEIGHT}")
    return Leading(e.coeff(WEIGHT, 0), WEIGHT ** powers[1] if powers[1:] else None)


def _under(condition: Condition, e: sp.Basic) -> sp.Basic:
    return condition(e) if callable(condition) else e.subs(condition)


def agree(one: Any, other: Any) -> bool:
    """Whether two relations are proved to say the same.

    Equations side by side; inequalities up to a positive factor; tuples element by element (of equations
    that describe a set: in any order).
    """
    if isinstance(one, sp.Tuple) and isinstance(other, sp.Tuple):
        return len(one) == len(other) and all(agree(p, q) for p, q in zip(one, other, strict=True))
    if isinstance(one, sp.Eq) and isinstance(other, sp.Eq):
        return _equal(one.lhs, other.lhs) and _equal(one.rhs, other.rhs)
    if isinstance(one, sp.core.relational.Relational) and isinstance(other, sp.core.relational.Relational):
        return _same_side(one, other)
    return bool(one == other)


def _equal(one: sp.Expr, other: sp.Expr) -> bool:
    if one == other:
        return True
    if isinstance(one, sp.MatrixBase) or isinstance(other, sp.MatrixBase):
        return False
    if one.is_commutative is False or other.is_commutative is False:
        return same(one, other)
    return equal(one, other)


def _same_side(one: Any, other: Any) -> bool:
    """p < q and r < s (or turned round): (q - p)/(s - r) is positive, and both are strict or neither."""
    strict = (sp.StrictLessThan, sp.StrictGreaterThan)
    if isinstance(one, strict) != isinstance(other, strict):
        return False
    return canonical((one.gts - one.lts) / (other.gts - other.lts)).is_positive is True


@dataclass(frozen=True, eq=False, repr=False)
class Entry:
    """A numbered equation: what is printed, what follows, and a check that runs.

    Parameters
    ----------
    number, part, title : 44, "a", what it is about; ours are numbered from 101, your own (`register`) from 1001 on
    statements : the relations printed under this number
    sources : the entries whose `right` forms the derivations are handed
    condition, proof, note : when it holds, how it follows, what to know; plain text
    claims : statements of the text, a caption or an appendix beside the equation; their status is their own

    `printed`, `derived` and `right` are SymPy relations (a Tuple if there are several); tau is written out.
    A check that cannot be carried through gives the status `fails`; it does not raise. `derived` does, and says why.

    Examples
    --------
    >>> from derivations import ledger
    >>> entry = ledger()["49"]
    >>> print(entry.printed[0], [str(s) for s in entry.check()])
    Eq(t_A, I*tau*u_0**(2 - L_f)/a) ['misprint']
    >>> print(entry.right[0])
    Eq(t_A, I*tau*u_0**(2 - L)/a)
    """

    number: int
    part: str
    title: str
    statements: tuple[Statement, ...]
    sources: tuple[Entry, ...] = ()
    condition: str = ""
    proof: str = ""
    note: str = ""
    claims: tuple[Statement, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.number}{self.part}"

    @property
    def kind(self) -> Kind:
        if self.number < FIRST_OF_OURS:
            return Kind.PAPER
        return Kind.EXTENSION if self.number < FIRST_OF_YOURS else Kind.OWN

    @property
    def printed(self) -> sp.Basic:
        """As typed from the paper; a tuple if there is more than one relation."""
        return _one([s.printed for s in self.statements])

    @cached_property
    def general(self) -> tuple[sp.Basic | None, ...]:
        """What the derivations return, without the condition; None for a definition."""
        return tuple(self._derive(s) for s in self.statements)

    @cached_property
    def derived(self) -> sp.Basic | None:
        """What follows from (1), (2) and the loss, in general; None for a definition."""
        return None if None in self.general else _one([d for d in self.general if d is not None])

    @cached_property
    def right(self) -> sp.Basic:
        """What later entries build on: derived, or printed for a definition; under the condition if there is one."""
        found = []
        for statement, derived in zip(self.statements, self.general, strict=True):
            value = statement.printed if derived is None else derived
            if derived is not None and statement.lead is not None:
                value = sp.Eq(value.lhs, statement.lead(value.rhs).term, evaluate=False)
            if derived is not None and isinstance(statement.given, Mapping):
                value = value.subs(statement.given)
            found.append(value)
        return _one(found)

    def _forms(self) -> list[tuple[str, sp.Basic]]:
        forms = (("printed", self.printed), ("derived", self.derived), ("right", self.corrected))
        return [(label, form) for label, form in forms if form is not None]

    def __repr__(self) -> str:
        return f"<Entry ({self.name}) {self.title}>"

    def __str__(self) -> str:
        lines = [f"({self.name}) {self.title}: {', '.join(self.status)}"]
        for label, form in self._forms():
            lines += [f"  {label}  {line}" for line in text_lines(form)]
        return "\n".join([*lines, *(f"  {label}: {words}" for label, words in self._texts())])

    def _texts(self) -> list[tuple[str, str]]:
        texts = (("if", self.condition), ("because", self.proof), ("note", self.note))
        return [(label, words) for label, words in texts if words]

    def _repr_html_(self) -> str:
        rows = [(label, f"$\\displaystyle {escape(latex_of(form))}$") for label, form in self._forms()]
        rows += [(label, escape(words)) for label, words in self._texts()]
        cells = "".join(
            f'<tr><td style="text-align:left">{label}</td><td style="text-align:left">{value}</td></tr>'
            for label, value in rows
        )
        head = f"({self.name}) {escape(self.title)}: <i>{escape(', '.join(self.status))}</i>"
        return f"<p><b>{head}</b></p><table>{cells}</table>"

    def _repr_latex_(self) -> str:
        return "\n".join(f"$$\\text{{({self.name}) {label}}}\\quad {latex_of(form)}$$" for label, form in self._forms())

    @property
    def corrected(self) -> sp.Basic | None:
        """For a misprint, what should be printed: to leading order and under the condition, if there are such."""
        return self.right if Status.MISPRINT in self.status else None

    @cached_property
    def _worked_out(self) -> dict[Statement, sp.Basic]:
        return {}

    def _derive(self, statement: Statement) -> sp.Basic | None:
        """Worked out once: an entry and what it rests on do not change."""
        if statement.derive is None:
            return None
        if statement not in self._worked_out:
            self._worked_out[statement] = self._derived_now(statement.derive, statement.printed)
        return self._worked_out[statement]

    def _derived_now(self, derive: Callable[..., sp.Basic], printed: sp.Basic) -> sp.Basic:
        known = {f"eq{source.name}": source for source in self.sources}
        wanted = signature(derive).parameters
        found = derive(*(known[name].right for name in (wanted if wanted.keys() <= known.keys() else known)))
        return equation(printed.lhs, found) if isinstance(found, sp.Expr) else found

    def check(self) -> list[Status]:
        """The status, computed now: the union over the statements."""
        found: list[Status] = []
        for statement in self.statements:
            try:
                found += statement.status(self._derive(statement))
            except (SolveError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                found.append(Status.FAILS)  # a form that cannot even be compared
            if Status.FAILS in found:
                return [Status.FAILS]
        marks = [s for s in Status if s in found]
        return marks if len(marks) == 1 else [s for s in marks if s not in (Status.HOLDS, Status.DEFINITION)] or marks

    @cached_property
    def status(self) -> list[Status]:
        return self.check()

    @cached_property
    def claim_statuses(self) -> list[tuple[str, list[Status]]]:
        """What the text says beside the equation, each with its own status."""
        return [(claim.claim, replace(self, statements=(claim,), claims=()).check()) for claim in self.claims]


def _one(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else sp.Tuple(*items)


def expect_zero(e: Any, what: str) -> None:
    """A step of a derivation: raises SolveError if the expression is not proved zero."""
    rest = normal(e)
    if rest != 0 and not equal(rest, 0):
        raise SolveError(f"{what}: {rest} is left")
