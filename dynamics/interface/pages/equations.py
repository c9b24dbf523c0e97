"""The laws behind a report: entries of the ledger, typeset in MathML."""

from __future__ import annotations

from html import escape

from derivations import Entry, ledger
from derivations.algebra.entry import Status
from derivations.algebra.typesetting import latex_lines
from dynamics.prediction.estimates import Estimate
from dynamics.prediction.prediction import Prediction

#: Said beside the numbers that an estimate names.
FLOW = ("44a", "44b", "44c")
SIGNED = ("102", "103", "104")
PREFERENCE = ("10a", "10b")


def entries_behind(prediction: Prediction) -> tuple[Entry, ...]:
    """Every entry that some number of a prediction rests on, in the order of the ledger."""
    found = {"5a", "5b"}
    for estimate in (prediction.leading, prediction.refined, prediction.reduced):
        found |= _named(estimate)
    if prediction.leading is not None and len(prediction.order) > 1:
        deep = min(prediction.network.depths.values()) > 2
        found |= set(SIGNED[1:] if deep else SIGNED[:1])
    if prediction.superficial is not None:
        found |= set(PREFERENCE)
    if prediction.network.trunk.depth == 0:
        found.discard("44c")
    return tuple(e for e in ledger() if e.name in found or str(e.number) in found)


def _named(estimate: Estimate | None) -> set[str]:
    """Numbers of equations, (44) by its parts; the typical network rests on the ways of random starts."""
    if estimate is None:
        return set()
    named = set(estimate.rests_on)
    return (named - {"44"}) | (set(FLOW) if "44" in named else set())


def equation_html(entry: Entry) -> str:
    """Number, title, status, the right form (what is printed, unless that is a misprint) and its condition."""
    from latex2mathml.converter import convert

    form = entry.corrected if entry.corrected is not None else entry.printed
    lines = "".join(f"<div>{convert(line)}</div>" for line in latex_lines(form))
    wrong = " The paper prints another form." if Status.MISPRINT in entry.status else ""
    under = f'<p class="note">If: {escape(entry.condition)}.</p>' if entry.condition else ""
    status = escape(", ".join(map(str, entry.status)))
    return (
        f'<div class="law"><h3>({entry.name}) {escape(entry.title)}</h3><p class="note">{status}.{wrong}</p>'
        f'<div class="math">{lines}</div>{under}</div>'
    )
