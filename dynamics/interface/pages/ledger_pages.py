"""The ledger for a terminal, and as one HTML page: typeset mathematics in MathML, no network, no script."""

from __future__ import annotations

import textwrap
from collections import Counter
from html import escape
from typing import Any

from derivations import Entry, Ledger
from derivations.algebra.entry import FIRST_OF_YOURS, Kind
from derivations.algebra.typesetting import text_lines
from derivations.equations import defects_of, to_dict
from dynamics.tables import Table

_STYLE = """
body { font: 16px/1.5 Georgia, serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1a1a1a; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; border-top: 1px solid #ccc; padding-top: 1rem; }
.status { font: 13px sans-serif; padding: .1rem .5rem; border-radius: .6rem; border: 1px solid #555; margin-left: .4rem}
.holds, .definition { background: #d9ecf7; } .leading { background: #e8f3e0; }
.conditional, .ansatz { background: #fff2cc; }
.misprint, .fails { background: #f9d9c6; }
.form { display: flex; align-items: baseline; margin: .4rem 0; } .form > div { overflow: auto hidden; }
.form > div { padding-top: .35rem; } .form > div > div { margin-bottom: .35rem; }
.label { font: 13px sans-serif; color: #555; display: inline-block; width: 5rem; flex: none; }
math { font-size: 1.1rem; math-style: normal; } p { margin: .3rem 0; }
.index a { margin-right: .5rem; white-space: nowrap; }
table { border-collapse: collapse; } td { padding: .1rem .8rem .1rem 0; }
"""
#: What the derivations add to the paper's symbols.
LEGEND = (
    "k = b/a; X, X_B = sizes of order one at which a modality counts as learned; c = 1, or -1 where the residual of a "
    "scalar B has flipped its sign; R = 1, or the rotation (104) of vector inputs; C = a conserved difference, zero "
    "for a balanced start; r^i = unit columns; u_A, u_B, u = norms of a layer of A, of B, after the fusion"
)
#: What the text output adds to them.
LETTERS = "a, b = |Sigma_yxA|, |Sigma_yxB|; g = |Sigma_yxA Sigma_A^-1|; r = |residual of B|; W[j..i] = W^j ... W^i; "
_VERDICTS = {"holds": "true", "misprint": "false", "conditional": "true only under a condition"}


def verdict(status: list[str]) -> str:
    """What the status of a claim says about it."""
    return "; ".join(_VERDICTS.get(word, word) for word in status)


def _counts(book: Ledger) -> Counter[str]:
    """Entries of each status; one can have several."""
    return Counter(str(status) for entry in book for status in entry.status)


def ledger_table(book: Ledger) -> Table:
    """Number, status and title of every entry; claims of the text that are not simply true below."""
    rows = tuple((f"({entry.name})", ", ".join(entry.status), entry.title) for entry in book)
    notes = ["", "Said beside the equations:"]
    for entry in book:
        notes += [f"  ({entry.name}) {claim}: {verdict([*found])}" for claim, found in entry.claim_statuses]
    total = ", ".join(f"{count} {status}" for status, count in _counts(book).items())
    notes += ["", f"{len(book)} entries: {total}. One with its derivation: fusion-dynamics derive NUMBER"]
    yours = f", and yours from {FIRST_OF_YOURS} on" if any(entry.kind is Kind.OWN for entry in book) else ""
    return Table(
        f"Equations (1)-(62) of the paper and ours from 101 on{yours}", ("number", "status", "what"), rows, tuple(notes)
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
        for claim, found in entry.claim_statuses:
            lines += _wrapped("claim", f"{claim}: {verdict([*found])}")
    return "\n".join(lines)


def _labelled(label: str, texts: list[str]) -> list[str]:
    return [f"  {label if i == 0 else '':<8} {text}" for i, text in enumerate(texts)]


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, 118, initial_indent=f"  {label:<8} ", subsequent_indent=" " * 11)


def page(ledger: Ledger, progress: Any = None) -> str:
    """A self-contained document with every entry; `progress` is called with each entry's name."""
    from latex2mathml.converter import convert

    sections = []
    for entry in ledger:
        if progress:
            progress(entry.name)
        sections.append(_section(entry.name, to_dict(entry), convert))
    index = " ".join(f'<a href="#eq{entry.name}">({entry.name})</a>' for entry in ledger)
    table = "".join(f"<tr><td>{_badge(status)}</td><td>{count}</td></tr>" for status, count in _counts(ledger).items())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Ledger of equations</title>'
        f"<style>{_STYLE}</style></head><body><h1>Ledger of equations</h1>"
        "<p>Zhang, Latham and Saxe, <i>Understanding Unimodal Bias in Multimodal Deep Linear Networks</i>, ICML 2024: "
        "what is printed, what follows from (1), (2) and the loss, and the status that the comparison gives. "
        "Numbers from 101 on are ours. An equation can have more than one status.</p>"
        f"<p>Beside the paper's symbols: {escape(LEGEND)}.</p>"
        f'<table>{table}</table><p class="index">{index}</p>{"".join(sections)}</body></html>\n'
    )


def _badge(status: str) -> str:
    return f'<span class="status {status.split(maxsplit=1)[0]}">{escape(status)}</span>'


def _section(name: str, fields: dict[str, Any], convert: Any) -> str:
    badges = "".join(_badge(status) for status in fields["status"])
    parts = [f'<h2 id="eq{name}">({name}) {escape(fields["title"])} {badges}</h2>']
    for label in ("printed", "derived", "right"):
        lines = [convert(line) for line in fields[f"{label}_latex"]]
        if lines:
            body = "".join(f"<div>{line}</div>" for line in lines)
            parts.append(f'<div class="form"><span class="label">{label}</span><div>{body}</div></div>')
    for label in ("condition", "proof", "note"):
        if fields[label]:
            parts.append(f'<p><span class="label">{label}</span>{escape(fields[label])}</p>')
    parts += [f'<p><span class="label">defect</span><code>{escape(defect)}</code></p>' for defect in fields["defect"]]
    if fields["sources"]:
        links = ", ".join(f'<a href="#eq{source}">({source})</a>' for source in fields["sources"])
        parts.append(f'<p><span class="label">rests on</span>{links}</p>')
    parts += [
        f'<p><span class="label">claim</span>{escape(claim["claim"])}: <b>{escape(verdict(claim["status"]))}</b></p>'
        for claim in fields["claims"]
    ]
    return "".join(parts)
