"""The ledger: every numbered equation of the paper, and ours (from 101 on), with its check.

Each entry lives beside its law; this module only collects them, every `Entry` that a home has.

    flow.symbolic_flow        (1)-(5), (14)-(16), (18), (22), (31), (42), (52)
    critical.printed_sets     (6), (7), (17), (19), (20)
    times.two_layers          (8), (9), (26)-(30), (32), (33), 101
    times.deep                (12), (13), (45)-(51), (53), (54)
    times.second_layer        (55)-(58)
    times.unequal             (59), (60)
    times.signed              102-104, 106-108, 111, 112
    times.ways                113-116: any depths and starts
    times.modality_preference (10), (11), (61), (62)
    times.closed_forms        (21), 109
    flow.conservation         (23), (38)-(41), 105
    flow.ansatz               (24), (25), (43), (44), 110
    nonlinear.logistic        (34)-(37), 125
    times.two_layer_cases     121-124: collinear, tied, unlearned modalities, gradient descent
    nonlinear.relu            126
    times.next_order          117-120: what saturation adds for scalar inputs
    times.random_starts       127-131: the way of a branch from its own weights
    training.effective        132-134: dropout of modalities, unimodal losses, a rate for each branch
    training.decay            135-140: weight decay
    training.modulation       141-143: gradient modulation
    training.noise            144, 145: mini-batches, schedules
    training.optimizers       146-151: Adam, momentum
    critical.mode_laws        160-163: several outputs
    times.modes               152-155: several outputs, modes
    flow.two_layer_squares    156: two layers from any start
    nonlinear.cross_entropy   157
    nonlinear.unit_growth     164: a ReLU unit near zero
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from html import escape
from importlib import import_module
from typing import Any

from derivations.algebra.entry import FIRST_OF_YOURS, Entry, Kind, Statement
from derivations.algebra.typesetting import latex_lines, latex_of, text, text_lines
from derivations.errors import DomainError

#: Where entries live; the numbers of each are above.
HOMES = (
    "flow.symbolic_flow",
    "critical.printed_sets",
    "times.two_layers",
    "times.deep",
    "times.second_layer",
    "times.unequal",
    "times.signed",
    "times.ways",
    "times.modality_preference",
    "times.closed_forms",
    "flow.conservation",
    "flow.ansatz",
    "nonlinear.logistic",
    "times.two_layer_cases",
    "nonlinear.relu",
    "times.next_order",
    "times.random_starts",
    "training.effective",
    "training.decay",
    "training.modulation",
    "training.noise",
    "training.optimizers",
    "critical.mode_laws",
    "times.modes",
    "flow.two_layer_squares",
    "nonlinear.cross_entropy",
    "nonlinear.unit_growth",
)
#: What `register` was given in this process, by name.
REGISTERED: dict[str, Entry] = {}


@dataclass(frozen=True, eq=False)
class Ledger:
    """All entries by number. `ledger()["44a"]` is one entry, `.derivation("44")` what leads to it.

    Examples
    --------
    >>> book = ledger()
    >>> book["28"].title, len(book.derivation("28")) > 1
    ('which modality is first', True)
    """

    entries: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, key: int | str) -> Entry:
        """By position, or by name: "44a"."""
        return self.entries[key] if isinstance(key, int) else self._by_name(key)

    @cached_property
    def names(self) -> dict[str, Entry]:
        return {entry.name: entry for entry in self.entries}

    def _by_name(self, name: str) -> Entry:
        if name not in self.names:
            ours = [e.number for e in self.entries if e.kind is Kind.EXTENSION]
            numbers = f"1 to 62 and {min(ours)} to {max(ours)}"
            own = [e.name for e in self.entries if e.kind is Kind.OWN]
            numbers += f", and of your own {', '.join(own)}" if own else ""
            raise DomainError(f"no equation {name!r}; there are {numbers}, some with a part: 44a")
        return self.names[name]

    def numbered(self, name: str) -> tuple[Entry, ...]:
        """The parts of a number ("44"), or one part ("44a")."""
        parts = tuple(entry for entry in self.entries if str(entry.number) == name)
        return parts or (self._by_name(name),)

    def derivation(self, name: str) -> tuple[Entry, ...]:
        """Everything that a number rests on, in order, from the definitions (1), (2) to itself."""
        found: list[Entry] = []

        def visit(entry: Entry) -> None:
            for source in entry.sources:
                visit(source)
            if entry not in found:
                found.append(entry)

        for entry in self.numbered(name):
            visit(entry)
        return tuple(found)

    def __str__(self) -> str:
        return "\n".join(f"{e.name:>5}  {', '.join(e.status):<36} {e.title}" for e in self.entries)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>({e.name})</td><td>{escape(e.title)}</td><td>{escape(', '.join(e.status))}</td>"
            f"<td>${escape(latex_of(e.printed))}$</td></tr>"
            for e in self.entries
        )
        return f"<table><tr><th></th><th></th><th>status</th><th>printed</th></tr>{rows}</table>"


def ledger() -> Ledger:
    """The numbered equations (1)-(62), ours, and what was registered; see `Entry` and `Ledger`.

    Examples
    --------
    >>> entry = ledger()["46"]
    >>> [str(s) for s in entry.status]
    ['misprint']
    >>> entry.note
    'Printed is the power (L_f - L)/2, that of the reciprocal in (47).'
    """
    return _collected(tuple(REGISTERED.values()))


@lru_cache(maxsize=4)  # one without registered entries, and the latest with some
def _collected(own: tuple[Entry, ...]) -> Ledger:
    homes = [import_module(f"derivations.{home}") for home in HOMES]
    entries = {entry for home in homes for entry in vars(home).values() if isinstance(entry, Entry)}
    return Ledger(tuple(sorted({*entries, *own}, key=lambda e: (e.number, e.part))))


def register(*entries: Entry, replace: bool = False) -> None:
    """Add entries of your own to the ledger of this process: `ledger()`, derivations, checks and the command see them.

    Parameters
    ----------
    entries : numbered from 1001 on; their `sources` may be any entries, registered or not
    replace : take the place of what was registered under the same number before, as a notebook's cell run twice does

    To see them on the command line, register them in a module of yours, say `laws.py`, and have it imported first:
    `python -c "import laws, runpy; runpy.run_module('dynamics', run_name='__main__')" derive 1001`.

    Raises
    ------
    DomainError
        On what is no Entry, a number below 1001, or one that is taken; then none of them is added.

    Examples
    --------
    A start ten times as large: how much earlier is A learned, by (8a)?

    >>> import sympy as sp
    >>> from derivations import Entry, Statement, ledger, register
    >>> first = ledger()["8a"]
    >>> named = {str(symbol): symbol for symbol in first.right.free_symbols}
    >>> a, tau, u_0 = named["a"], named["tau"], named["u_0"]
    >>> statement = Statement(
    ...     sp.Eq(sp.Symbol("saved"), tau / a * sp.log(10)),
    ...     lambda eq8a: eq8a.rhs - eq8a.rhs.subs(u_0, 10 * u_0),
    ... )
    >>> register(Entry(1001, "", "what a start ten times as large saves", (statement,), sources=(first,)))
    >>> [str(status) for status in ledger()["1001"].check()]
    ['holds']
    >>> [entry.name for entry in ledger().derivation("1001")][-2:]
    ['8a', '1001']
    """
    found = dict(REGISTERED)
    added: set[str] = set()
    for entry in entries:
        _check(entry)
        if entry.name in added or (entry.name in found and not replace):
            other = (
                "given twice" if entry.name in added else f"taken by {found[entry.name]!r}: replace=True replaces it"
            )
            raise DomainError(f"entry number {entry.name} is {other}")
        added.add(entry.name)
        found[entry.name] = entry
    REGISTERED.update(found)


def _check(entry: Any) -> None:
    """A DomainError where the ledger could not work with an entry."""
    if not isinstance(entry, Entry):
        raise DomainError(f"entry must be an Entry, got {type(entry).__name__}")
    if isinstance(entry.number, bool) or not isinstance(entry.number, int) or entry.number < FIRST_OF_YOURS:
        raise DomainError(
            f"number of an entry of your own must be an integer from {FIRST_OF_YOURS}, got {entry.number!r}"
        )
    for field, kind in (("statements", Statement), ("sources", Entry), ("claims", Statement)):
        held = getattr(entry, field)
        if not isinstance(held, tuple) or not all(isinstance(each, kind) for each in held):
            raise DomainError(f"{field} of entry {entry.name} must be a tuple of {kind.__name__}, got {held!r}"[:200])
    if not entry.statements:
        raise DomainError(f"statements of entry {entry.name} must hold at least one Statement")


def defects_of(statements: tuple[Statement, ...]) -> list[str]:
    return [f"{s.defect.kind}: {text(s.defect.value)}" for s in statements if s.defect is not None]


def to_dict(entry: Entry) -> dict[str, Any]:
    """An entry for JSON: everything in text, formulas in LaTeX too."""
    return {
        "number": entry.number,
        "part": entry.part,
        "kind": str(entry.kind),
        "title": entry.title,
        "status": [str(status) for status in entry.status],
        "printed": text_lines(entry.printed),
        "derived": text_lines(entry.derived) or None,
        "right": text_lines(entry.corrected) or None,
        "printed_latex": latex_lines(entry.printed),
        "derived_latex": latex_lines(entry.derived),
        "right_latex": latex_lines(entry.corrected),
        "defect": defects_of(entry.statements),
        "condition": entry.condition,
        "proof": entry.proof,
        "note": entry.note,
        "sources": [source.name for source in entry.sources],
        "claims": [
            {"claim": claim, "status": [str(status) for status in found]} for claim, found in entry.claim_statuses
        ],
    }


def latex_document(entries: tuple[Entry, ...]) -> str:
    """A LaTeX document with what is printed and what follows, entry by entry."""
    blocks = []
    for entry in entries:
        forms = [("printed", entry.printed), ("derived", entry.derived)]
        texts = [("because", entry.proof), ("if", entry.condition), ("note", entry.note)]
        blocks.append(
            f"\\subsection*{{({entry.name}) {_plain(entry.title)}: {', '.join(entry.status)}}}\n"
            + "\n".join(f"{label}: \\[{latex_of(e)}\\]" for label, e in forms if e is not None)
            + "".join(f"\n{label}: {_plain(text)}\\par" for label, text in texts if text)
        )
    head = "\\documentclass{article}\n\\usepackage{amsmath}\n\\begin{document}\n"
    return head + "\n\n".join(blocks) + "\n\\end{document}"


def _plain(text: str) -> str:
    """Plain text for LaTeX."""
    special = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    special |= {mark: "\\" + mark for mark in "_&%$#{}"} | {mark: f"${mark}$" for mark in "<>|"}
    return "".join(special.get(mark, mark) for mark in text)
