"""Faults planted on purpose: a broken solver, a misprint, a loosened tolerance. The project's own checks find each."""

from dataclasses import replace

import pytest
import sympy as sp

from derivations import ledger
from derivations.algebra.entry import Status
from dynamics import Correlations, FusionNetwork, integrate
from dynamics.simulation import flow

NET, DATA = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)


def test_a_broken_solver_is_caught_by_the_monitors(monkeypatch: pytest.MonkeyPatch) -> None:
    """B's layers 1 % too fast: no gradient of any loss, and the energy identity no longer holds."""
    fine = integrate(NET, DATA, u0=0.1, width=5, rtol=1e-8)
    right = flow.full_system

    def broken(*arguments, **options):
        system, unpack = right(*arguments, **options)
        velocity = system.velocity

        def faster(state):
            moved, *rest = velocity(state)
            moved = moved.copy()
            moved[: len(moved) // 2] *= 1.01
            return (moved, *rest)

        return replace(system, velocity=faster), unpack

    monkeypatch.setattr(flow, "full_system", broken)
    wrong = integrate(NET, DATA, u0=0.1, width=5, rtol=1e-8)
    assert max(fine.monitors["energy"], fine.monitors["balance"]) < 100 * 1e-8
    assert max(wrong.monitors["energy"], wrong.monitors["balance"]) > 1e-4


def test_a_loosened_tolerance_is_caught_by_the_second_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that works at ten thousand times the tolerance that it was given."""
    assert not [w for w in integrate(NET, DATA, u0=0.01, width=5, rtol=1e-9, verify=True).warnings if "rtol" in w]
    right = flow.march

    def loose(*arguments, rtol, **options):
        return right(*arguments, rtol=1e4 * rtol, **options)

    monkeypatch.setattr(flow, "march", loose)
    run = integrate(NET, DATA, u0=0.01, width=5, rtol=1e-9, verify=True)
    assert run.monitors["rerun"] > 100 * 1e-9
    assert [w for w in run.warnings if "rtol" in w or "tolerance" in w]


@pytest.mark.parametrize("name", ["8a", "33", "48", "113"])
def test_a_planted_misprint_changes_the_status(name: str) -> None:
    """A factor of two in what is printed: the ledger compares it with what it derives."""
    entry = ledger()[name]
    assert Status.MISPRINT not in entry.status
    assert Status.FAILS not in entry.status
    statements = entry.statements
    first = statements[0]
    wrong = first.printed.func(first.printed.lhs, 2 * first.printed.rhs)
    assert isinstance(wrong, sp.Eq)
    planted = replace(first, printed=wrong)
    assert replace(entry, statements=(planted, *statements[1:])).status != entry.status
