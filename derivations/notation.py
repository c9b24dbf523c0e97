"""Symbols of the paper, each once, and how they are typeset.

Matrices are non-commutative symbols without a size (`ordered_products` multiplies them); norms, depths and
times are positive. tau is the time constant, the inverse of the learning rate; everywhere else in this
project time is in units of tau.
"""

from __future__ import annotations

import sympy as sp

# Depths and layers.
L, L_f, L_A, L_B, L_c = sp.symbols("L L_f L_A L_B L_c", positive=True)
l = sp.Symbol("l", integer=True, positive=True)  # noqa: E741  (the paper's name of a layer)

# Time, start, norms of layers.
t, tau, eta, u_0, u_A, u_B, u = sp.symbols("t tau eta u_0 u_A u_B u", positive=True)
t_A, t_B = sp.symbols("t_A t_B", positive=True)

#: a = |Sigma_yx_A|, b = |Sigma_yx_B|, k = b/a, g = |Sigma_yx_A Sigma_A^-1|, r = |residual of B|.
a, b, k, g, r = sp.symbols("a b k g r", positive=True)
#: -1 where a scalar residual has flipped its sign (then from a random start), else +1.
c = sp.Symbol("c", real=True)
#: The integral (13), (58) or (60), and the rotation of B's first layer (1 for scalar inputs).
I, R = sp.symbols("I R", positive=True)  # noqa: E741  (the paper's name)
#: Cosine between Sigma_yx_B, or a row of B's first layer, and the residual of B.
cos = sp.Symbol("cos", real=True)
x, y = sp.symbols("x y", positive=True)  # variables of integration


def matrix(name: str) -> sp.Symbol:
    """A matrix without a size: a non-commutative symbol."""
    return sp.Symbol(name, commutative=False)


# Data.
x_A, x_B, x_all, target = matrix("x_A"), matrix("x_B"), matrix("x"), matrix("y")
S, S_A, S_B, S_AB, S_BA = (matrix(n) for n in ("Sigma", "Sigma_A", "Sigma_B", "Sigma_AB", "Sigma_BA"))
Y, Y_A, Y_B = matrix("Sigma_yx"), matrix("Sigma_yxA"), matrix("Sigma_yxB")
#: e_A, e_B of (5), and the residual of B once A is learned.
e_A, e_B, residual_B = matrix("e_A"), matrix("e_B"), matrix("Sigma_tilde_yxB")
W_A_tot, W_B_tot, W_tot = matrix("W_A_tot"), matrix("W_B_tot"), matrix("W_tot")

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
    "y_hat": r"\hat y",
}


def rate(symbol: sp.Symbol | str) -> sp.Symbol:
    """The name of tau d(symbol)/dt, the left side of a flow."""
    name = str(symbol)
    return sp.Symbol(f"tau*d{name}/dt")


def typeset(expression: sp.Basic) -> str:
    """LaTeX with the paper's names."""
    names = {}
    for symbol in expression.free_symbols:
        if symbol.name in LATEX:
            names[symbol] = LATEX[symbol.name]
        elif symbol.name.startswith("tau*d") and symbol.name.endswith("/dt"):
            inner = symbol.name.removeprefix("tau*d").removesuffix("/dt")
            head, _, rest = inner.partition("_")
            names[symbol] = rf"\tau\,\dot{{{head}}}" + (f"_{{{rest}}}" if rest else "")
    return str(sp.latex(expression, symbol_names=names, mul_symbol=None))
