"""The ledger: all 62 equations, statuses that are computed, checks that fail when a form is altered."""

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad

from derivations import ledger
from derivations.entry import Entry, Kind, Statement, Status
from derivations.errors import DomainError
from derivations.notation import L_f, k, matrix, u_0
from derivations.ordered_products import normal
from derivations.two_layer_times import X
from tests.mutants import mutants

ENTRIES = tuple(ledger())
NAMES = [entry.name for entry in ENTRIES]
#: u_0 and the other small numbers, so small that even 1/ln is below the tolerance.
TINY = sp.Float("1e-3000000", 30)


def test_all_62_equations_and_all_their_parts_are_there() -> None:
    paper = [e for e in ENTRIES if e.kind is Kind.PAPER]
    assert {e.number for e in paper} == set(range(1, 63))
    parts = {1: "ab", 3: "ab", 5: "ab", 6: "ab", 7: "ab", 8: "ab", 10: "ab", 14: "ab", 17: "ab", 18: "abcd", 19: "ab"}
    parts |= {20: "ab", 21: "ab", 22: "ab", 38: "abc", 40: "abc", 42: "abc", 43: "abcde", 44: "abc", 56: "ab", 62: "ab"}
    for number in range(1, 63):
        assert "".join(e.part for e in paper if e.number == number) == parts.get(number, "")
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_the_check_succeeds_and_is_documented(entry: Entry) -> None:
    assert Status.FAILS not in entry.status
    assert entry.status == entry.check()
    assert entry.title
    for _, found in entry.claim_statuses():
        assert Status.FAILS not in found
    if Status.DEFINITION not in entry.status:
        assert entry.proof
    if Status.MISPRINT in entry.status:
        assert entry.note
    if Status.CONDITIONAL in entry.status:
        assert entry.condition


def test_statuses_are_those_that_the_derivations_give() -> None:
    """The misprints of the notes this project started from, and those found on the way."""
    misprints = {e.name for e in ENTRIES if Status.MISPRINT in e.status}
    noted = {"11", "14b", "21a", "21b", "38a", "38b", "38c", "39", "46", "47", "49", "51", "57"}
    assert noted <= misprints
    assert misprints - noted == {"15", "43e", "62a", "62b"}
    assert {e.name for e in ENTRIES if Status.ANSATZ in e.status} == {"24", "43a", "43b", "43c", "43d", "43e"}
    assert {e.name for e in ENTRIES if Status.DEFINITION in e.status} == {"1a", "1b", "2", "61"}


def test_51_is_printed_without_one_k() -> None:
    """Its defect is stated as the quotient of both forms; here: u_B^(2-L_f) lacks (k - 1) X^(2-L_f)."""
    entry = ledger()["51"]
    printed, right = entry.printed[0].rhs, entry.corrected[0].rhs
    at = {L_f: sp.Integer(5), k: sp.Rational(1, 3), u_0: sp.Rational(1, 10), X: sp.Rational(7, 10)}
    lacking = sp.N((right ** (2 - L_f) - printed ** (2 - L_f)).subs(at), 30)
    assert abs(lacking - sp.N((sp.Rational(1, 3) - 1) * sp.Rational(7, 10) ** -3, 30)) < 1e-25


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.derived is not None], ids=lambda e: e.name)
def test_deleting_a_derivation_changes_the_status(entry: Entry) -> None:
    bare = replace(entry, statements=tuple(replace(s, derive=None) for s in entry.statements))
    assert bare.check() == [Status.DEFINITION] != entry.status


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if {Status.MISPRINT, Status.CONDITIONAL} & set(e.status)], ids=lambda e: e.name
)
def test_a_misprint_needs_its_defect_and_a_condition_its_counterexample(entry: Entry) -> None:
    for statement in entry.statements:
        derived = entry._derive(statement)
        if statement.defect is not None:
            assert replace(statement, defect=None).status(derived) == [Status.FAILS]
        if statement.given is not None:
            assert replace(statement, counterexample=None).status(derived) == [Status.FAILS]
            assert replace(statement, given=None, counterexample=None).status(derived) == [Status.FAILS]


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
                at |= {s: TINY for s in symbols if s.name in {"u_0", "u_B(t_A)", "epsilon", "u_B", "y_hat"}}
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


#: All mutants in `make soak`, else about six of each form.
AT_MOST = None if os.environ.get("SOAK") else 3


def survivors(entry: Entry, statement: Statement) -> list[str]:
    """Mutants of the printed or the derived form that leave the status as it was."""
    derived = entry._derive(statement)
    status, found = statement.status(derived), []

    def survives(changed: Statement, form: sp.Basic) -> bool:
        try:
            return changed.status(form) == status
        except Exception:  # a formula that cannot be compared is noticed
            return False

    for form in mutants(statement.printed, AT_MOST):
        if survives(replace(statement, printed=form), derived) and not same_number(form, statement.printed, statement):
            found.append(f"printed {form}")
    for form in mutants(derived, AT_MOST):
        if survives(statement, form) and not same_number(form, derived, statement):
            found.append(f"derived {form}")
    return found


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.derived is not None], ids=lambda e: e.name)
def test_no_mutant_of_a_printed_or_derived_form_survives(entry: Entry) -> None:
    for statement in (*entry.statements, *entry.claims):
        if statement.derive is not None:
            assert survivors(entry, statement) == []


DEFINITIONS = [(e, i) for e in ENTRIES for i, s in enumerate(e.statements) if s.derive is None]


@pytest.mark.parametrize(("entry", "place"), DEFINITIONS, ids=[f"{e.name}-{i}" for e, i in DEFINITIONS])
def test_no_mutant_of_a_definition_survives_in_what_rests_on_it(entry: Entry, place: int) -> None:
    """A definition has nothing to be compared with; altered, it breaks an entry that is derived from it."""
    dependents = [e for e in ENTRIES if entry in e.sources]
    statement = entry.statements[place]
    for form in mutants(statement.printed, AT_MOST):
        statements = tuple(replace(s, printed=form) if i == place else s for i, s in enumerate(entry.statements))
        changed = replace(entry, statements=statements)
        found = [
            replace(e, sources=tuple(changed if s is entry else s for s in e.sources)).check() != e.status
            for e in dependents
        ]
        assert any(found), form


def nonsense(form: sp.Basic) -> sp.Basic:
    """A relation of the same shape that says something else."""
    if isinstance(form, sp.Tuple):
        return sp.Tuple(*(nonsense(line) for line in form))
    junk = sp.Symbol("junk", positive=True, commutative=True) if form.args[1].is_commutative else matrix("junk")
    return type(form)(form.args[0], junk, evaluate=False)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.sources], ids=lambda e: e.name)
def test_every_source_is_used(entry: Entry) -> None:
    """With any one of its sources replaced by nonsense an entry (or one of its claims) has another status."""
    before = [entry.check(), *(found for _, found in entry.claim_statuses())]
    for source in entry.sources:
        wrong = Entry(source.number, source.part, "nonsense", (Statement(nonsense(source.right)),))
        changed = replace(entry, sources=tuple(wrong if s is source else s for s in entry.sources))
        assert [changed.check(), *(found for _, found in changed.claim_statuses())] != before, source.name


def test_derivations_lead_from_the_definitions_to_the_equation() -> None:
    for name in ("9", "12", "44", "57", "59"):
        path = [e.name for e in ledger().derivation(name)]
        assert path[0] in {"1a", "2"}
        assert path[-1] in {name, f"{name}c"}
        for entry in ledger().derivation(name):
            assert all(path.index(s.name) < path.index(entry.name) for s in entry.sources)
    assert {"22a", "25", "26", "30", "31", "32"} <= {e.name for e in ledger().derivation("9")}
    assert {"3a", "42a", "44a", "45", "46", "48", "50", "52", "53"} <= {e.name for e in ledger().derivation("12")}


def test_a_number_that_is_not_there_is_named() -> None:
    with pytest.raises(DomainError, match="no equation '63'"):
        ledger().numbered("63")


def test_the_run_takes_less_than_a_minute_in_a_fresh_process() -> None:
    code = "from derivations import ledger; assert all(e.check() for e in ledger())"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_numbers_are_in_order() -> None:
    assert all((a.number, a.part) < (b.number, b.part) for a, b in pairwise(ENTRIES))
