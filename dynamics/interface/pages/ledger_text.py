"""The ledger and one derivation for a terminal."""

from __future__ import annotations

import textwrap

from derivations.algebra.entry import Entry
from derivations.algebra.typesetting import text_lines
from derivations.equations import Ledger, defects_of
from dynamics.interface.pages.ledger_html import LEGEND, verdict
from dynamics.tables import Table

LETTERS = "a, b = |Sigma_yxA|, |Sigma_yxB|; g = |Sigma_yxA Sigma_A^-1|; r = |residual of B|; W[j..i] = W^j ... W^i; "


def ledger_table(book: Ledger) -> Table:
    """Number, status and title of every entry; claims of the text that are not simply true below."""
    rows = tuple((f"({entry.name})", ", ".join(entry.status), entry.title) for entry in book)
    notes = ["", "Said beside the equations:"]
    for entry in book:
        notes += [f"  ({entry.name}) {claim}: {verdict([*found])}" for claim, found in entry.claim_statuses()]
    counts: dict[str, int] = {}
    for entry in book:
        for status in entry.status:
            counts[status] = counts.get(status, 0) + 1
    total = ", ".join(f"{count} {status}" for status, count in counts.items())
    notes += ["", f"{len(book)} entries: {total}. One with its derivation: fusion-dynamics derive NUMBER"]
    return Table(
        "Equations (1)-(62) of the paper and ours from 101 on", ("number", "status", "what"), rows, tuple(notes)
    )


def derivation_text(book: Ledger, number: str) -> str:
    """One equation from the definitions on, step by step."""
    wanted = book.numbered(number)
    blocks = [f"Derivation of ({number})", "\n".join(textwrap.wrap(LETTERS + LEGEND, 118))]
    blocks += [_step(entry, entry in wanted) for entry in book.derivation(number)]
    return "\n\n".join(blocks)


def _step(entry: Entry, wanted: bool) -> str:
    lines = [f"({entry.name}) {entry.title} [{', '.join(entry.status)}]"]
    printed, derived = text_lines(entry.printed), text_lines(entry.derived)
    lines += _labelled("printed" if derived else "defined", printed)
    if derived and (wanted or printed != derived):
        lines += _labelled("derived", derived)
    if wanted:
        lines += _labelled("right", text_lines(entry.corrected))
    for label, text in (("because", entry.proof), ("if", entry.condition), ("note", entry.note if wanted else "")):
        lines += _wrapped(label, text) if text else []
    lines += [line for defect in defects_of(entry.statements) for line in _wrapped("defect", defect)]
    if entry.sources:
        lines += _wrapped("from", ", ".join(f"({source.name})" for source in entry.sources))
    if wanted:
        for claim, found in entry.claim_statuses():
            lines += _wrapped("claim", f"{claim}: {verdict([*found])}")
    return "\n".join(lines)


def _labelled(label: str, texts: list[str]) -> list[str]:
    return [f"  {label if i == 0 else '':<8} {text}" for i, text in enumerate(texts)]


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, 118, initial_indent=f"  {label:<8} ", subsequent_indent=" " * 11)
