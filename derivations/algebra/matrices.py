"""Matrices of the paper: non-commutative symbols without a size, which `ordered_products` multiplies."""

from __future__ import annotations

import sympy as sp


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
