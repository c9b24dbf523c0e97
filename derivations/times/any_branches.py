"""Two branches of any depths and with starts of their own: the formulas of 113-116, which `dynamics` evaluates.

`ways` derives them. Each branch has a scaled way Psi to go: u(0)^(2-n)/(n-2) to infinity for n > 2 layers, ln(1/u(0))
to one for two. K = k Psi_A/Psi_B is the share of its way that B has gone when A is through: A is first where K < 1,
which is the domain of (59), (60). P is the share of A's own way at u_A = x u_A(0).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import sympy as sp

from derivations.algebra.notation import L_A, L_B, K, L, L_c, P, R, c, g, k, named, r, starts, u_0, x, y
from derivations.algebra.notation import start_A as alpha
from derivations.algebra.notation import start_B as beta
from derivations.times.formulas import FIRST, FIRST_AT_DEPTH_2

#: With the laws of t_A, which `dynamics` finds here.
__all__ = ["FIRST", "FIRST_AT_DEPTH_2", "KINDS", "LOG_A", "LOG_B", "REST", "SIZE", "Branches", "branches", "excess"]

SIZE = named("u_B/u_B(0)", r"\frac{u_B}{u_B(0)}", positive=True)
REST = sp.Symbol("1 - c K", positive=True)
LOG_A, LOG_B = sp.symbols("ln_u_A(0) ln_u_B(0)", real=True)


def way(layers: Any, start: sp.Symbol) -> sp.Expr:
    """Psi: the scaled time of a branch alone, from its start to infinity (to one, at two layers)."""
    return sp.log(1 / start) if layers == 2 else start ** (2 - layers) / (layers - 2)


def size_left(layers: Any, left: sp.Symbol) -> sp.Expr:
    """The norm of a branch that has `left` of its way to go: the inverse of `way`, E_n of the theory."""
    return sp.exp(-left) if layers == 2 else ((layers - 2) * left) ** (1 / (2 - layers))


@dataclass(frozen=True)
class Branches:
    """Two branches, each of two layers or of more; `first` and `second` are their depths: 2 or a symbol.

    The fields that are formulas are the right sides of 113-116 and P.
    """

    first: Any
    second: Any

    @property
    def lead(self) -> sp.Expr:
        """K."""
        return k * way(self.first, alpha) / way(self.second, beta)

    @property
    def progress(self) -> sp.Expr:
        """P at x."""
        return sp.log(x) / sp.log(1 / alpha) if self.first == 2 else 1 - x ** (2 - self.first)

    @property
    def size(self) -> sp.Expr:
        """u_B/u_B(0) at P, for a mode of sign c."""
        return sp.exp(c * K * P * sp.log(1 / beta)) if self.second == 2 else (1 - c * K * P) ** (1 / (2 - self.second))

    @property
    def integrand(self) -> sp.Expr:
        """Over x from 1, for t_A in units of tau u_A(0)^(2 - L_A - L_c)/a; B grows by its own sign."""
        size = self.size.subs(c, 1)
        return x ** (1 - self.first) * (x**2 + starts**2 * size**2) ** (-L_c / 2)

    @property
    def turn(self) -> sp.Expr:
        """R; at two layers B's turn is of order one, and it is 1."""
        return sp.Integer(1) if self.second == 2 else R

    @property
    def plateau(self) -> sp.Expr:
        """The norm of all layers of A and of the trunk once A is learned."""
        return g ** (1 / (self.first + L_c))

    @property
    def lag(self) -> sp.Expr:
        """t_B - t_A at tau = 1."""
        return self.turn * way(self.second, beta) * (1 - c * K) / (self.plateau**L_c * r)

    @property
    def left(self) -> sp.Expr:
        """1 - c K P, from the share `REST` = 1 - c K that is left at P = 1: no digits cancel near a tie."""
        return REST + c * K * (1 - self.progress)

    @property
    def log_size(self) -> sp.Expr:
        """ln(u_B/u_B(0)) at x, without powers that overflow."""
        if self.second == 2:
            return c * K * self.progress * sp.log(1 / beta)
        return sp.log(self.left) / (2 - self.second)

    @property
    def log_integrand(self) -> sp.Expr:
        """ln of (115) times dx/dy at x = e^y, as a function of y."""
        size = self.log_size.subs({c: 1, x: sp.exp(y)}).subs({sp.log(1 / alpha): -LOG_A, sp.log(1 / beta): -LOG_B})
        bracket = 2 * y + sp.log(1 + sp.exp(2 * (LOG_B - LOG_A + size - y)))
        return (2 - self.first) * y - L_c / 2 * bracket


KINDS = tuple(Branches(first, second) for first, second in product((L_A, 2), (L_B, 2)))


def branches(first_depth: float, second_depth: float) -> Branches:
    """The laws for these depths, at least 2."""
    return Branches(2 if first_depth == 2 else L_A, 2 if second_depth == 2 else L_B)


def excess(first_depth: float, second_depth: float, alike: bool) -> sp.Expr:
    """t_B/t_A - 1 at tau = 1, L_A + L_c > 2: the lag over t_A; `alike` branches start at one norm."""
    whole = branches(first_depth, second_depth).lag / FIRST.subs({L: branches(first_depth, 2).first + L_c, u_0: alpha})
    return sp.powsimp(whole.subs(beta, alpha)) if alike else whole
