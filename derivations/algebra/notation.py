"""Symbols of the paper for norms, depths and times, each once; `matrices` has those without a size.

Norms, depths and times are positive. tau is the time constant, the inverse of the learning rate; everywhere else in
this project time is in units of tau.
"""

from __future__ import annotations

import sympy as sp

#: LaTeX of symbols by their names, where SymPy's own is not the paper's.
LATEX: dict[str, str] = {}


def named(name: str, latex: str, **assumptions: bool) -> sp.Symbol:
    """A symbol and how it is typeset."""
    LATEX[name] = latex
    return sp.Symbol(name, **assumptions)


# Depths and layers.
L, L_f, L_A, L_B, L_c = sp.symbols("L L_f L_A L_B L_c", positive=True)
l = sp.Symbol("l", integer=True, positive=True)  # noqa: E741  (the paper's name of a layer)

# Time, start, norms of layers.
t, tau, eta, u_0, u_A, u_B, u = sp.symbols("t tau eta u_0 u_A u_B u", positive=True)
t_A, t_B = sp.symbols("t_A t_B", positive=True)

#: a = |Sigma_yx_A|, b = |Sigma_yx_B|, k = b/a, g = |Sigma_yx_A Sigma_A^-1|, r = |residual of B|.
a, b = named("a", r"\|\Sigma_{yx_A}\|", positive=True), named("b", r"\|\Sigma_{yx_B}\|", positive=True)
g = named("g", r"\|\Sigma_{yx_A}\Sigma_A^{-1}\|", positive=True)
r = named("r", r"\|\tilde\Sigma_{yx_B}\|", positive=True)
k = sp.Symbol("k", positive=True)
#: -1 where a scalar residual has flipped its sign (then from a random start), else +1.
c = sp.Symbol("c", real=True)
#: The integral (13), (58) or (60), and the rotation of B's first layer (1 for scalar inputs).
I, R = sp.symbols("I R", positive=True)  # noqa: E741  (the paper's name)
#: Cosine between Sigma_yx_B, or a row of B's first layer, and the residual of B.
cos = named("cos", r"\cos\theta", real=True)
x, y = sp.symbols("x y", positive=True)  # variables of integration
#: Branches with starts of their own: norms at t = 0 and their ratio; B's share of its way, A's share of its own (113).
start_A, start_B, starts = sp.symbols("u_A(0) u_B(0) s", positive=True)
K, P = sp.symbols("K P", positive=True)

#: Training: weight decay, keep probabilities, weights of unimodal losses, learning rates of the branches and of the
#: trunk, modulation and the factor it puts before a gradient, size of a mini-batch.
decay = named("lambda", r"\lambda", positive=True)
q_A, q_B, c_A, c_B = sp.symbols("q_A q_B c_A c_B", positive=True)
eta_A, eta_B, eta_0 = sp.symbols("eta_A eta_B eta_0", positive=True)
alpha, kappa, batch = sp.symbols("alpha kappa n", positive=True)


def rate(symbol: sp.Symbol | str) -> sp.Symbol:
    """The name of tau d(symbol)/dt, the left side of a flow."""
    return sp.Symbol(f"tau*d{symbol}/dt")
