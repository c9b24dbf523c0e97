"""Laws of one's own: the ledger, a derivation and the command see them, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sympy as sp

from derivations import DomainError, Entry, Statement, ledger, register
from derivations.algebra.notation import a, b, tau, u_0
from derivations.times.two_layers import EQ_8A
from dynamics.interface.cli import main

SAVED = sp.Symbol("saved")
LAW = Statement(sp.Eq(SAVED, tau / a * sp.log(10)), lambda eq8a: eq8a.rhs - eq8a.rhs.subs(u_0, 10 * u_0))
MINE = Entry(1001, "", "what a start ten times as large saves", (LAW,), sources=(EQ_8A,), proof="From (8a).")


def test_the_ledger_a_derivation_and_the_command_see_it(capsys: pytest.CaptureFixture[str]) -> None:
    plain = ledger()
    register(MINE)
    assert (len(ledger()), ledger()[-1], ledger()["1001"].status) == (len(plain) + 1, MINE, ["holds"])
    assert [entry.name for entry in ledger().derivation("1001")][-2:] == ["8a", "1001"]
    assert main(["derive", "1001"]) == 0
    assert "(1001) what a start ten times as large saves [holds]" in capsys.readouterr().out
    assert "1001" not in plain.names  # a ledger that somebody holds does not change
    with pytest.raises(DomainError, match="1 to 62 and 101 to 164, and of your own 1001, some"):
        ledger()["1002"]


def test_a_wrong_law_fails_and_says_why() -> None:
    wrong = replace(LAW, printed=sp.Eq(SAVED, tau / b * sp.log(10)))
    register(replace(MINE, statements=(wrong,)))
    assert ledger()["1001"].check() == ["fails"]


def test_a_cell_that_runs_twice_replaces_what_it_registered() -> None:
    register(MINE)
    again = replace(MINE, title="better")
    with pytest.raises(DomainError, match=r"entry number 1001 is taken by <Entry \(1001\) what .*: replace=True"):
        register(again)
    register(again, replace=True)
    assert ledger()["1001"].title == "better"


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (("law",), "entry must be an Entry, got str"),
        ((replace(MINE, number=152),), "must be an integer from 1001, got 152"),
        ((replace(MINE, number="1001"),), "must be an integer from 1001, got '1001'"),
        ((MINE, MINE), "entry number 1001 is given twice"),
        ((replace(MINE, statements=LAW),), "statements of entry 1001 must be a tuple of Statement, got Statement"),
        ((replace(MINE, statements=()),), "statements of entry 1001 must hold at least one Statement"),
        ((MINE, replace(MINE, number=1002, sources=("8a",))), r"sources of entry 1002 must be .* Entry, got \('8a',\)"),
    ],
)
def test_what_is_no_entry_is_refused_and_nothing_is_added(entries: tuple[Any, ...], says: str) -> None:
    with pytest.raises(DomainError, match=says) as caught:
        register(*entries)
    assert "\n" not in str(caught.value)
    assert "1001" not in ledger().names
