"""How symbols and formulas are printed: LaTeX with the paper's names, and text for a terminal."""

from __future__ import annotations

import re
from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter

from derivations.algebra.notation import LATEX, t, t_A, t_B

_AS_IT_IS = re.compile(r"u_[AB]\(.+\)|\|w_[AB]\|")
_LAYER = re.compile(r"(W)(?:_([AB]))?\^(.+)")


def _layer_latex(name: str) -> str | None:
    """W_A^l as a bold matrix."""
    found = _LAYER.fullmatch(name)
    if found is None:
        return None
    head, branch, index = found.groups()
    return rf"\mathbf{{{head}}}" + (f"_{branch}" if branch else "") + f"^{{{index}}}"


def symbol_latex(name: str) -> str | None:
    """LaTeX of a symbol by its name; None if SymPy's own is right."""
    if name in LATEX:
        return LATEX[name]
    if _AS_IT_IS.fullmatch(name):
        return name
    if name.startswith("tau*d") and name.endswith("/dt"):
        inner = name.removeprefix("tau*d").removesuffix("/dt")
        head, _, rest = inner.partition("_")
        matrix_of = _LAYER.fullmatch(inner)
        if matrix_of is None:
            return rf"\tau\dot{{{head}}}" + (f"_{{{rest}}}" if rest else "")
        bold, branch, index = matrix_of.groups()
        return rf"\tau\dot{{\mathbf{{{bold}}}}}" + (f"_{branch}" if branch else "") + f"^{{{index}}}"
    if name.startswith("Delta "):
        return rf"\Delta{_layer_latex(name.removeprefix('Delta '))}"
    if name.startswith("|") and name.endswith("|"):
        return rf"\|{_layer_latex(name.strip('|'))}\|_F"
    return _layer_latex(name)


_IN_ORDER = {t_B - t_A: "t_B - t_A", t - t_A: "t - t_A"}


class _Differences:
    """Differences of times are printed in their order."""

    def _print_Add(self, e: sp.Expr, order: Any = None) -> str:
        return _IN_ORDER.get(e) or str(super()._print_Add(e, order))  # type: ignore[misc]


class _Printer(_Differences, LatexPrinter):  # type: ignore[misc]
    """SymPy's printer with the paper's transposes."""

    def _print_transpose(self, e: sp.Expr, exp: Any = None) -> str:
        inner = e.args[0]
        text = self._print(inner)
        return (
            rf"{{{text}}}^\top"
            if inner.is_Symbol or text.startswith((r"{", r"\left"))
            else rf"\left({text}\right)^\top"
        )


class _Text(_Differences, StrPrinter):  # type: ignore[misc]
    """SymPy's text with W^T for a transpose."""

    def _print_transpose(self, e: sp.Expr) -> str:
        inner = self._print(e.args[0])
        return f"({inner})^T" if e.args[0].is_Add or e.args[0].is_Mul else f"{inner}^T"


def text(expression: sp.Basic) -> str:
    """One line for a terminal."""
    return str(_Text().doprint(expression))


def typeset(expression: sp.Basic) -> str:
    """LaTeX with the paper's names."""
    names = {symbol: symbol_latex(symbol.name) for symbol in expression.free_symbols}
    known = {symbol: text for symbol, text in names.items() if text is not None}
    return str(_Printer({"symbol_names": known, "ln_notation": True}).doprint(expression))


def relations(e: sp.Basic | None) -> tuple[sp.Basic, ...]:
    """One relation or several, as a flat tuple."""
    if isinstance(e, sp.Tuple):
        return tuple(line for inner in e for line in relations(inner))
    return () if e is None else (e,)


def latex_lines(e: sp.Basic | None) -> list[str]:
    """LaTeX of each relation."""
    return [typeset(line) for line in relations(e)]


def latex_of(e: sp.Basic | None) -> str:
    """LaTeX of one relation, or of several on lines of their own."""
    lines = [typeset(e).replace("=", "&=", 1) if isinstance(e, sp.Eq) else f"&{typeset(e)}" for e in relations(e)]
    return r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}" if lines else ""


def text_lines(e: sp.Basic | None) -> list[str]:
    """One line a relation, as SymPy prints it."""
    return [f"{text(line.lhs)} = {text(line.rhs)}" if isinstance(line, sp.Eq) else text(line) for line in relations(e)]
