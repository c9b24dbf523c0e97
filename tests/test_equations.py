"""The ledger: all 62 equations, statuses that are computed, checks that fail when a form is altered."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
import sympy as sp

from derivations import ledger
from derivations.algebra.entry import Entry, Kind, Status
from derivations.algebra.notation import L_f, k, u_0
from derivations.errors import DomainError
from derivations.times.names import X
from tests.cases import SOAK
from tests.soak.ledger_mutants import survivors, unused_sources

ENTRIES = tuple(ledger())
NAMES = [entry.name for entry in ENTRIES]


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
    assert entry.title
    for _, found in entry.claim_statuses:
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
    assert {e.name for e in ENTRIES if Status.ANSATZ in e.status} == {"24", "43a", "43b", "43c", "43d", "43e", "164"}
    assert {e.name for e in ENTRIES if Status.DEFINITION in e.status} == {"1a", "1b", "2", "61"}


def test_51_is_printed_without_one_k() -> None:
    """Its defect is stated as the quotient of both forms; here: u_B^(2-L_f) lacks (k - 1) X^(2-L_f)."""
    entry = ledger()["51"]
    printed, right = entry.printed[0].rhs, entry.corrected[0].rhs
    at = {L_f: sp.Integer(5), k: sp.Rational(1, 3), u_0: sp.Rational(1, 10), X: sp.Rational(7, 10)}
    lacking = sp.N((right ** (2 - L_f) - printed ** (2 - L_f)).subs(at), 30)
    assert abs(lacking - sp.N((sp.Rational(1, 3) - 1) * sp.Rational(7, 10) ** -3, 30)) < 1e-25


@pytest.mark.parametrize("entry", [e for e in ENTRIES if all(s.derive for s in e.statements)], ids=lambda e: e.name)
def test_deleting_a_derivation_changes_the_status(entry: Entry) -> None:
    bare = replace(entry, statements=tuple(replace(s, derive=None) for s in entry.statements))
    assert bare.check() == [Status.DEFINITION] != entry.status


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if any(s.defect or s.given for s in e.statements)], ids=lambda e: e.name
)
def test_a_misprint_needs_its_defect_and_a_condition_its_counterexample(entry: Entry) -> None:
    for statement in entry.statements:
        derived = entry._derive(statement)
        if statement.defect is not None:
            assert replace(statement, defect=None).status(derived) == [Status.FAILS]
        if statement.given is not None:
            assert replace(statement, counterexample=None).status(derived) == [Status.FAILS]
            assert replace(statement, given=None, counterexample=None).status(derived) == [Status.FAILS]


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_no_mutant_of_a_form_survives(entry: Entry) -> None:
    """One of each printed or derived form, three in `make long`, all of them in `make soak`."""
    assert list(survivors(entry, 3 if SOAK else 1)) == []


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.sources], ids=lambda e: e.name)
def test_every_source_is_used(entry: Entry) -> None:
    assert list(unused_sources(entry)) == []


def test_derive_lists_all_equations(capsys: pytest.CaptureFixture[str]) -> None:
    """Here, where all of them have been derived."""
    from dynamics.interface.cli import main

    assert main(["derive"]) == 0
    out = capsys.readouterr().out
    assert all(f"({n}" in out for n in range(1, 63))
    assert "fails" not in out
    assert "figure 6c: sigma_A/sigma_B = sqrt(k) at rho = 0: false" in out


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


def test_checks_run_in_a_fresh_process_in_less_than_a_minute() -> None:
    """All of them under SOAK=1, else those that lead to (12)."""
    which = "ledger()" if SOAK else "ledger().derivation('12')"
    code = f"from derivations import ledger; assert all(e.check() for e in {which})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_numbers_are_in_order() -> None:
    assert all((a.number, a.part) < (b.number, b.part) for a, b in pairwise(ENTRIES))
