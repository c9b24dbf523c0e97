"""Table: rows of text that print in a terminal, in a notebook and in a paper."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

import numpy as np

WARNING = "Warning: "  # how a note of a table that is a warning begins


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

    def _repr_latex_(self) -> str:
        return self.latex()

    def html(self) -> str:
        return f"<p><b>{escape(self.title)}</b></p>{self.html_rows()}{self.html_notes()}"

    def html_rows(self) -> str:
        """Head and rows alone."""
        head = "".join(f'<th scope="col">{escape(c)}</th>' for c in self.head)
        rows = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in self.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def html_notes(self) -> str:
        return "".join(
            f'<p class="warning">{escape(note)}</p>' if note.startswith(WARNING) else f"<p>{escape(note)}</p>"
            for note in self.notes
        )

    def latex(self) -> str:
        """A tabular environment with the title above and the notes below, for a paper."""
        lines = [" & ".join(map(_latex, line)) + r" \\" for line in (self.head, *self.rows)]
        body = "\n".join([lines[0], r"\hline", *lines[1:]])
        notes = "".join(f"\n\n{_latex(note)}" for note in self.notes)
        return f"{_latex(self.title)}\n\n\\begin{{tabular}}{{{'l' * len(self.head)}}}\n{body}\n\\end{{tabular}}{notes}"


def _latex(text: str) -> str:
    """Text with the signs that LaTeX reads as commands spelled out."""
    named = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
             ">": r"\textgreater{}", "|": r"\textbar{}"}  # fmt: skip
    return re.sub(r"[\\~^<>|&%$#_{}]", lambda sign: named.get(sign[0], "\\" + sign[0]), text)


class Shown:
    """Mixin of what has a `table`: it prints as it, in a terminal, in a notebook and in LaTeX."""

    if TYPE_CHECKING:

        @property
        def table(self) -> Table: ...

    def __str__(self) -> str:
        return self.table.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table.html()

    def _repr_latex_(self) -> str:
        return self.table.latex()


class Drawn:
    """Mixin of what has a picture.

    figure : the module of `dynamics` whose `draw` makes it; found by name, for pictures stand above results
    """

    figure: ClassVar[str]

    def plot(self) -> np.ndarray:
        """The picture; its axes, (n,), without colour bars."""
        drawn = import_module(f"dynamics.{self.figure}").draw(self)
        return np.array([ax for ax in drawn.axes if ax.get_label() != "<colorbar>"])
