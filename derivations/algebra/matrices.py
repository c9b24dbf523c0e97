"""Matrices of the paper: non-commutative symbols without a size, which `ordered_products` multiplies."""

from __future__ import annotations

import sympy as sp

from derivations.algebra.notation import named


def matrix(name: str, latex: str = "") -> sp.Symbol:
    """A matrix without a size: a non-commutative symbol, and how it is typeset if not as SymPy does."""
    return named(name, latex, commutative=False) if latex else sp.Symbol(name, commutative=False)


# Data.
x_A, x_B = matrix("x_A", r"\mathbf{x}_A"), matrix("x_B", r"\mathbf{x}_B")
x_all, target = matrix("x"), matrix("y")
S, S_A, S_B = matrix("Sigma"), matrix("Sigma_A"), matrix("Sigma_B")
S_AB, S_BA = matrix("Sigma_AB", r"\Sigma_{AB}"), matrix("Sigma_BA", r"\Sigma_{BA}")
Y = matrix("Sigma_yx", r"\Sigma_{yx}")
Y_A = matrix("Sigma_yxA", r"\Sigma_{yx_A}")
Y_B = matrix("Sigma_yxB", r"\Sigma_{yx_B}")
#: e_A, e_B of (5), and the residual of B once A is learned.
e_A, e_B = matrix("e_A", r"\mathbf{e}_A"), matrix("e_B", r"\mathbf{e}_B")
residual_B = matrix("Sigma_tilde_yxB", r"\tilde\Sigma_{yx_B}")
W_A_tot, W_B_tot = matrix("W_A_tot", r"\mathbf{W}_A^{\mathrm{tot}}"), matrix("W_B_tot", r"\mathbf{W}_B^{\mathrm{tot}}")
W_tot = matrix("W_tot", r"\mathbf{W}^{\mathrm{tot}}")
