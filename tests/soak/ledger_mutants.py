"""Every form of the ledger, altered: the check of the entry must notice, whatever node is changed."""

from __future__ import annotations

import functools
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
import sympy as sp
from scipy.integrate import quad

from derivations import ledger
from derivations.algebra.entry import Entry, Statement, Status
from derivations.algebra.matrices import matrix
from derivations.algebra.ordered_products import normal
from tests.soak.mutants import mutants
from tests.soak.row import Outcome

ENTRIES = tuple(ledger())
#: u_0 and the other small numbers, so small that even 1/ln is below the tolerance.
TINY = sp.Float("1e-3000000", 30)
LONGEST = 5.0  # s of CPU of one comparison in symbols; an altered root of a square makes it hours
PRIMES = [sp.prime(n) / sp.Integer(97) for n in range(4, 60)]


def measure(count: int, seed: int) -> Outcome:
    """At most `count` changes of every form, evenly spread over its nodes; nothing here is random."""
    misses, shown = [], time.monotonic()
    for i, e in enumerate(ENTRIES):
        misses += [f"({e.name}) {line}" for line in (*survivors(e, count), *unused_sources(e))]
        if time.monotonic() > shown + 60:
            shown = time.monotonic()
            print(
                f"  ledger: {i + 1} of {len(ENTRIES)} entries, {len(misses)} not noticed", file=sys.stderr, flush=True
            )
    forms = sum(len(mutants(form, count)) for e in ENTRIES for form in forms_of(e))
    return Outcome(f"{forms} altered forms of {len(ENTRIES)} entries, {len(misses)} not noticed", tuple(misses))


def survivors(entry: Entry, at_most: int) -> Iterator[str]:
    """Altered forms that leave the status of the entry, or of what rests on it, as it was."""
    for statement in (*entry.statements, *entry.claims):
        if statement.derive is not None:
            yield from unnoticed(entry, statement, at_most)
    for place, statement in enumerate(entry.statements):
        if statement.derive is None:
            yield from unnoticed_definition(entry, place, at_most)


def forms_of(entry: Entry) -> list[sp.Basic]:
    """What is altered: the printed form of every statement, and the derived one where there is one."""
    statements = (*entry.statements, *(s for s in entry.claims if s.derive is not None))
    derived = [entry._derive(s) for s in statements if s.derive is not None]
    return [*(s.printed for s in statements), *derived]


@functools.cache
def derived_from(entry: Entry, statement: Statement) -> tuple[sp.Basic | None, list[Status]]:
    """The unaltered form and its status."""
    derived = entry._derive(statement)
    return derived, statement.status(derived)


@functools.cache
def statuses(entry: Entry) -> list[list[Status]]:
    """Of the entry and of each of its claims, unaltered."""
    return [entry.status, *(found for _, found in entry.claim_statuses)]


def unnoticed(entry: Entry, statement: Statement, at_most: int) -> Iterator[str]:
    """Mutants of the printed or the derived form that leave the status as it was."""
    derived, status = derived_from(entry, statement)

    def survives(changed: Statement, form: sp.Basic) -> bool:
        try:
            with suppress(TooLong), limited(LONGEST):
                return changed.status(form) == status
            with limited(20 * LONGEST):
                return (in_numbers(changed, form) if numbers_tell() else changed.status(form)) == status
        except TooLong:  # nobody knows
            return True
        except Exception:  # a formula that cannot be compared is noticed
            return False

    def numbers_tell() -> bool:
        """Whether what is right keeps its status in numbers; else everything would be noticed there."""
        with suppress(Exception):
            return in_numbers(statement, derived) == status
        return False

    for form in mutants(statement.printed, at_most):
        if survives(replace(statement, printed=form), derived) and not same_number(form, statement.printed, statement):
            yield f"printed {form}"
    for form in mutants(derived, at_most):
        if survives(statement, form) and not same_number(form, derived, statement):
            yield f"derived {form}"


class TooLong(BaseException):
    """Not an error of the formula: no clause of SymPy's catches it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """TooLong after so much CPU of this process, in its main thread."""

    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def in_numbers(statement: Statement, derived: sp.Basic) -> list[Status]:
    """The status with numbers for all symbols but those of the order left out: what differs there, differs."""
    kept = sp.sympify(statement.neglected or 0).free_symbols
    kept |= {side for side in statement.printed.args[:1] if side.is_Symbol}  # what is said to be equal stays a name
    symbols = sorted((statement.printed.free_symbols | derived.free_symbols) - kept, key=str)
    at = dict(zip((s for s in symbols if s.is_commutative), PRIMES, strict=False))
    return replace(statement, printed=statement.printed.subs(at)).status(derived.subs(at))


def unnoticed_definition(entry: Entry, place: int, at_most: int) -> Iterator[str]:
    """A definition has nothing to be compared with; altered, it breaks an entry that is derived from it."""
    dependents = [e for e in ENTRIES if entry in e.sources]
    for form in mutants(entry.statements[place].printed, at_most):
        statements = tuple(replace(s, printed=form) if i == place else s for i, s in enumerate(entry.statements))
        changed = replace(entry, statements=statements)
        found = (
            replace(e, sources=tuple(changed if s is entry else s for s in e.sources)).check() != e.status
            for e in dependents
        )
        if not any(found):
            yield f"definition {form}"


def nonsense(form: sp.Basic) -> sp.Basic:
    """A relation of the same shape that says something else."""
    if isinstance(form, sp.Tuple):
        return sp.Tuple(*(nonsense(line) for line in form))
    junk = sp.Symbol("junk", positive=True, commutative=True) if form.args[1].is_commutative else matrix("junk")
    return type(form)(form.args[0], junk, evaluate=False)


def unused_sources(entry: Entry) -> Iterator[str]:
    """Sources that can be replaced by nonsense without another status of the entry or of one of its claims."""
    before = statuses(entry)
    for source in entry.sources:
        wrong = Entry(source.number, source.part, "nonsense", (Statement(nonsense(source.right)),))
        changed = replace(entry, sources=tuple(wrong if s is source else s for s in entry.sources))
        if changed.check() == before[0] and [found for _, found in changed.claim_statuses] == before[1:]:
            yield f"source {source.name}"


def numbers(e: sp.Expr, at: dict) -> sp.Expr | None:
    value = e.subs(at)
    value = value.xreplace({i: quadrature(i) for i in value.atoms(sp.Integral)}).evalf(30)
    return value if value.is_number and value.is_finite else None


def quadrature(e: sp.Integral) -> sp.Float:
    """By SciPy; an upper limit that is astronomically far counts as infinity."""
    variable, low, high = e.limits[0]
    end = np.inf if high > 1e9 else float(high)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value, _ = quad(sp.lambdify(variable, e.function, "math"), float(low), end)
    return sp.Float(value)


def same_truth(one: sp.Basic, other: sp.Basic) -> bool:
    """Whether two inequalities are true at the same points."""
    rng = np.random.default_rng(1)
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    points = ({s: sp.Rational(int(rng.integers(20, 400)), 100) for s in symbols} for _ in range(40))
    return all(one.subs(at) == other.subs(at) for at in points)


def same_number(one: sp.Basic, other: sp.Basic, statement: Statement) -> bool:
    """Whether two relations agree at random points: a mutant that is equal need not be noticed.

    For a leading order the numbers left out are at 1e-3000000, so that what counts is what leads.
    """
    pairs = list(zip(one, other, strict=True)) if isinstance(one, sp.Tuple) else [(one, other)]
    rng = np.random.default_rng(0)
    for p, q in pairs:
        if p == q:
            continue
        if isinstance(p, sp.StrictLessThan | sp.StrictGreaterThan):
            if same_truth(p, q):
                continue
            return False
        if type(p) is not type(q):
            return False
        if not all(side.is_commutative for side in (*p.args, *q.args)):
            if same_words(p, q, statement):
                continue
            return False
        if statement.lead is not None and p.has(sp.Integral) and q.has(sp.Integral):
            if p.lhs == q.lhs and statement.lead(p.rhs) == statement.lead(q.rhs):  # the limit X/u_0 does not matter
                continue
            return False
        for _ in range(3):
            symbols = sorted(p.free_symbols | q.free_symbols, key=str)
            at = {s: sp.Rational(int(rng.integers(30, 70)), 100) for s in symbols}
            at |= {s: sp.Rational(int(rng.integers(310, 420)), 100) for s in symbols if s.name in {"L_f", "L_A", "L_B"}}
            at |= {s: sp.Rational(int(rng.integers(550, 700)), 100) for s in symbols if s.name == "L"}
            if statement.lead is not None:
                at |= {
                    s: TINY
                    for s in symbols
                    if s.name in {"u_0", "u_B(t_A)", "epsilon", "u_B", "y_hat", "w_i(1)", "exp(-m)"}
                }
            for side in ("lhs", "rhs"):
                try:
                    values = [numbers(getattr(e, side), at) for e in (p, q)]
                except (ArithmeticError, TypeError, ValueError):
                    return False
                if None in values or abs(values[0] - values[1]) > 1e-4 * abs(values[0]):
                    return False
    return True


def same_words(one: sp.Eq, other: sp.Eq, statement: Statement) -> bool:
    """Matrices: equal in what leads, with the same order left out; or x = 0 beside a multiple of it."""
    if statement.lead is not None and one.lhs == other.lhs:
        return statement.lead(one.rhs) == statement.lead(other.rhs)
    return one.rhs == other.rhs == 0 and any(normal(one.lhs - q * other.lhs) == 0 for q in (2, -1, sp.Rational(1, 2)))
