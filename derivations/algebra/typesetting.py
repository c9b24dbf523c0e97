"""How symbols and formulas are printed: LaTeX with the paper's names, and text for a terminal."""

from __future__ import annotations

import re
from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter

from derivations.algebra.notation import t, t_A, t_B

LATEX = {
    "a": r"\|\Sigma_{yx_A}\|",
    "b": r"\|\Sigma_{yx_B}\|",
    "g": r"\|\Sigma_{yx_A}\Sigma_A^{-1}\|",
    "r": r"\|\tilde\Sigma_{yx_B}\|",
    "cos": r"\cos\theta",
    "x_A": r"\mathbf{x}_A",
    "x_B": r"\mathbf{x}_B",
    "Sigma_yx": r"\Sigma_{yx}",
    "Sigma_yxA": r"\Sigma_{yx_A}",
    "Sigma_yxB": r"\Sigma_{yx_B}",
    "Sigma_AB": r"\Sigma_{AB}",
    "Sigma_BA": r"\Sigma_{BA}",
    "Sigma_tilde_yxB": r"\tilde\Sigma_{yx_B}",
    "e_A": r"\mathbf{e}_A",
    "e_B": r"\mathbf{e}_B",
    "W_A_tot": r"\mathbf{W}_A^{\mathrm{tot}}",
    "W_B_tot": r"\mathbf{W}_B^{\mathrm{tot}}",
    "W_tot": r"\mathbf{W}^{\mathrm{tot}}",
    "W_A_tot(t)": r"\mathbf{W}_A^{\mathrm{tot}}(t)",
    "W_B_tot(t)": r"\mathbf{W}_B^{\mathrm{tot}}(t)",
    "|W_A^tot(t)|": r"\|\mathbf{W}_A^{\mathrm{tot}}(t)\|",
    "|W_B^tot(t)|": r"\|\mathbf{W}_B^{\mathrm{tot}}(t)\|",
    "|W(0)|": r"\|\mathbf{W}^{\mathrm{tot}}(0)\|",
    "|Sigma_yx|": r"\|\Sigma_{yx}\|",
    "y_hat": r"\hat y",
    "u_B(t_A)": "u_B(t_A)",
    "u_B(t_B)": "u_B(t_B)",
    "u_A(t)": "u_A(t)",
    "u_B(t)": "u_B(t)",
    "u_A(0)": "u_A(0)",
    "u_B(0)": "u_B(0)",
    "sigma^2": r"\sigma^2",
    "sigma_A^2": r"\sigma_A^2",
    "sigma_B^2": r"\sigma_B^2",
    "sigma_A/sigma_B": r"\frac{\sigma_A}{\sigma_B}",
    "w_A/w_B": r"\frac{w_A}{w_B}",
    "sign(w_A/w_B)": r"\mathrm{sign}(w_A/w_B)",
    "sign(Sigma_yxB)": r"\mathrm{sign}(\Sigma_{yx_B})",
    "sign of the change of t_B/t_A": r"\mathrm{sign}\,\Delta(t_B/t_A)",
    "Loss(M_A)": r"\mathcal{L}(\mathcal{M}_A)",
    "Loss(M_B)": r"\mathcal{L}(\mathcal{M}_B)",
    "<y^2>": r"\langle y^2\rangle",
    "Sigma_yxA*Sigma_A^-1*Sigma_yxA^T": r"\Sigma_{yx_A}\Sigma_A^{-1}\Sigma_{yx_A}^\top",
    "Sigma_yxB*Sigma_B^-1*Sigma_yxB^T": r"\Sigma_{yx_B}\Sigma_B^{-1}\Sigma_{yx_B}^\top",
    "tr C": r"\mathrm{tr}\,C",
    "max rank W_A^l": r"\max\,\mathrm{rank}\,\mathbf{W}_A^l",
    "rate of the mode c": r"\mathrm{rate}_c",
    "du_B/du_A": r"\frac{du_B}{du_A}",
    "du_A/du_B": r"\frac{du_A}{du_B}",
    "t_B/t_A": r"\frac{t_B}{t_A}",
    "l_MSE": r"\ell_{\mathrm{MSE}}",
    "l_LG": r"\ell_{\mathrm{LG}}",
    "dy_hat/dW": r"\frac{d\hat y}{d\mathbf{W}}",
    "u_B/u_0": r"\frac{u_B}{u_0}",
    "u_B/u_B(0)": r"\frac{u_B}{u_B(0)}",
    "change of the lag": r"\frac{\delta(t_B - t_A)}{t_B - t_A}",
    "dw_A/dt": r"\frac{dw_A}{dt}",
    "d|W_A^l|^2/dt": r"\frac{d}{dt}\|\mathbf{W}_A^l\|^2",
    "<e_A, W_A^tot>": r"\langle\mathbf{e}_A,\mathbf{W}_A^{\mathrm{tot}}\rangle",
    "t_half": r"t_{1/2}",
    "Var x_A": r"\mathrm{Var}(\mathbf{x}_A)",
    "time ratio": r"\mathrm{time\ ratio}",
    "|w_A|": "|w_A|",
    "|w_B|": "|w_B|",
    "sign(w_B)": r"\mathrm{sign}(w_B)",
    "sign(Sigma_yxA)": r"\mathrm{sign}(\Sigma_{yx_A})",
    "w_A(M_A)": r"w_A(\mathcal{M}_A)",
    "w_A(M_*)": r"w_A(\mathcal{M}_*)",
    "rate of leaving M_B": r"\mathrm{rate}(\mathcal{M}_B)",
    "W_A^1 + c*W_A^2T": r"\mathbf{W}_A^1 + c\,{\mathbf{W}_A^2}^\top",
    "tau*d ln(u_B/u_A)/dt": r"\tau\frac{d}{dt}\ln\frac{u_B}{u_A}",
    "factor of the mode c in a step": r"\mathrm{factor}_c",
    "<y*x_B*sigmoid(-y*w_A*x_A)>": r"\langle y\,x_B\,\mathrm{sigmoid}(-y w_A x_A)\rangle",
    "<y*x_A^T*1(w*x_A > 0)>": r"\langle y\,\mathbf{x}_A^\top 1(\mathbf{w}\mathbf{x}_A > 0)\rangle",
    "<(y - y_hat)*x_B^T*1(w*x_B > 0)>": r"\langle (y - \hat y)\,\mathbf{x}_B^\top 1(\mathbf{w}\mathbf{x}_B > 0)\rangle",
    "sum of W_A^2*W_A^1 over units": r"\textstyle\sum_{\mathrm{units}}\mathbf{W}_A^2\mathbf{W}_A^1",
    "gain of B": r"\mathrm{gain}_B",
    "t_step": r"t_{\mathrm{step}}",
    "exp(2*u_1*u_4*T)": r"e^{2 u_1 u_4 T}",
    "tau*|d(W_A^l*v)/dt|/|W_A^l*v|": r"\frac{\tau\|\dot{\mathbf{W}}_A^l\mathbf{v}\|}{\|\mathbf{W}_A^l\mathbf{v}\|}",
    "T(4*h)/T(h)": r"\frac{T(4h)}{T(h)}",
    "T(u_0/2)/T(u_0)": r"\frac{T(u_0/2)}{T(u_0)}",
    "misattribution of A": r"\mathrm{misattribution}_A",
}
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


class _Printer(LatexPrinter):  # type: ignore[misc]
    """SymPy's printer with the paper's transposes, and differences of times in their order."""

    def _print_transpose(self, e: sp.Expr, exp: Any = None) -> str:
        inner = e.args[0]
        text = self._print(inner)
        return (
            rf"{{{text}}}^\top"
            if inner.is_Symbol or text.startswith((r"{", r"\left"))
            else rf"\left({text}\right)^\top"
        )

    def _print_Add(self, e: sp.Expr, order: Any = None) -> str:
        return {t_B - t_A: "t_B - t_A", t - t_A: "t - t_A"}.get(e) or str(super()._print_Add(e, order))


class _Text(StrPrinter):  # type: ignore[misc]
    """SymPy's text with W^T for a transpose, and differences of times in their order."""

    def _print_Add(self, e: sp.Expr, order: Any = None) -> str:
        return {t_B - t_A: "t_B - t_A", t - t_A: "t - t_A"}.get(e) or str(super()._print_Add(e, order))

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
