"""Table: rows of text that print in a terminal and in a notebook."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape


def number(value: float, digits: int = 4) -> str:
    """A number as a reader wants it; inf and nan by name."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}" if abs(value) < 10 ** (digits - 1) else f"{value:.0f}"


def from_log(log_value: float, digits: int = 4) -> str:
    """A number given by its logarithm, as a power of ten where floats end."""
    beyond = 709.0 < abs(log_value) < math.inf
    return f"10^{log_value / math.log(10):.{digits + 2}g}" if beyond else number(math.exp(log_value), digits)


def percent(share: float) -> str:
    """A relative error in per cent."""
    if math.isnan(share):
        return "-"
    return "< 0.001 %" if share < 1e-5 else f"{number(100 * share, 2)} %" if share < 10 else "unbounded"


@dataclass(frozen=True, repr=False)
class Table:
    """A title, a head, rows of strings and notes below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.head))]
        body = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([self.title, *body, *self.notes])

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.html()

    def html(self) -> str:
        head = "".join(f"<th>{escape(c)}</th>" for c in self.head)
        rows = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in self.rows)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<p><b>{escape(self.title)}</b></p><table><tr>{head}</tr>{rows}</table>{notes}"
