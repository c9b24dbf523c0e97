"""Solvable cases: the sigmoid (21) of two layers with white, uncorrelated inputs."""

from __future__ import annotations

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, renamed
from derivations.algebra.matrices import S_A, S_AB, S_B, S_BA, Y_A, Y_B, matrix
from derivations.algebra.notation import a, b, named, t, tau, u_A
from derivations.algebra.ordered_products import Direction, T, apart, coefficient_of, layer, normal
from derivations.algebra.positive_powers import equal
from derivations.errors import SolveError
from derivations.flow.ansatz import EQ_24
from derivations.flow.symbolic_flow import EQ_18B, EQ_18D

variance = named("sigma^2", r"\sigma^2", positive=True)
start = named("|W(0)|", r"\|\mathbf{W}^{\mathrm{tot}}(0)\|", positive=True)
strength = named("|Sigma_yx|", r"\|\Sigma_{yx}\|", positive=True)
SIZE_A = named("|W_A^tot(t)|", r"\|\mathbf{W}_A^{\mathrm{tot}}(t)\|", positive=True)
HALF = named("t_half", "t_{1/2}", positive=True)

#: (21), the norm of W_m^tot(t) for Sigma_m = sigma^2 I, Sigma_AB = 0, an aligned balanced start, tau = 1.
#: The bracket holds |W_m^tot(0)|; printed is u_A(0), which at t = 0 gives another number.
TOTAL = strength / variance / (1 + (strength / (variance * start) - 1) * sp.exp(-2 * strength * t))

#: Half-time of (21): |W(t)| = strength / (2 variance).
HALF_TIME = sp.log(strength / (variance * start) - 1) / (2 * strength)


def _shapes(ansatz: sp.Tuple, branch: str) -> dict[sp.Expr, sp.Expr]:
    """(24), printed for A, for a branch; its row Sigma_yx/|Sigma_yx| as a unit row d."""
    lines = [line.subs({Y_A: strength * matrix("d"), a: strength}) for line in ansatz]
    return {layer(branch, n): line.rhs for n, line in enumerate(lines, start=1)}


def total_speed(law: sp.Eq, ansatz: sp.Tuple, branch: str) -> tuple[sp.Symbol, sp.Expr]:
    """dw/dt of the norm w of the total weights, from the second layer of (18) with Sigma = sigma^2 I, Sigma_AB = 0.

    W^2 = u r^T and W^1 = u r d (the ansatz (24)): w = u^2.
    """
    w = sp.Symbol("w", positive=True)
    d, column, target, norm = matrix("d"), Direction("r_A", 1), {"W_A": Y_A, "W_B": Y_B}[branch], u_A
    put = {S_A: variance, S_B: variance, S_AB: 0, S_BA: 0, target: strength * d} | _shapes(ansatz, branch)
    speed = coefficient_of(normal(apart(law.rhs).subs(put), {(d, T(d)): sp.Integer(1)}), T(column))  # du/dt
    return w, sp.expand((2 * norm * speed).subs(norm, sp.sqrt(w)) / tau)


def sigmoid(speed: sp.Expr, w: sp.Symbol, begin: sp.Expr) -> sp.Expr:
    """w(t) from `begin` where dw/dt = `speed`: the flow of 1/w is linear, solved and put back."""
    z = sp.Symbol("z", positive=True)
    flow_of_z = sp.expand(-(z**2) * speed.subs(w, 1 / z))
    decay, pull = -flow_of_z.coeff(z, 1), flow_of_z.coeff(z, 0)
    if sp.expand(flow_of_z - (pull - decay * z)) != 0:
        raise SolveError("the flow of 1/w is not linear")
    found = 1 / (pull / decay + (1 / begin - pull / decay) * sp.exp(-decay * t))
    if sp.simplify(sp.diff(found, t) - speed.subs(w, found)) != 0 or not equal(found.subs(t, 0), begin):
        raise SolveError(f"{found} does not solve the flow")
    return found


def solution(law: sp.Eq, ansatz: sp.Tuple, branch: str) -> sp.Expr:
    """|W^tot(t)|, dz/dt = -2 strength z + 2 variance for its inverse z."""
    w, speed = total_speed(law, ansatz, branch)
    return sigmoid(speed, w, start)


def _sigmoid(part: str, branch: str, drive: sp.Symbol, target: sp.Symbol, flow: Entry) -> Entry:
    """(21) for the share u(t) = |W(t)| sigma^2/|Sigma_yx| of the plateau, with its own start u(0)."""
    u, u0 = (sp.Symbol(f"u_{branch}({at})", positive=True) for at in ("t", 0))
    v = named(f"sigma_{branch}^2", rf"\sigma_{branch}^2", positive=True)
    total = matrix(f"W_{branch}_tot(t)", rf"\mathbf{{W}}_{branch}^{{\mathrm{{tot}}}}(t)")
    label, printed = f"W_{branch}", 1 / ((drive / (v * u0) - 1) * sp.exp(-2 * drive * t / tau) + 1)

    def direction(law: sp.Eq, ansatz: sp.Tuple) -> sp.Eq:
        """W^2 W^1 on the ansatz is w d, and w = u(t) |Sigma_yx|/sigma^2."""
        shapes = _shapes(ansatz, label)
        scale = coefficient_of(normal(shapes[layer(label, 2)] * shapes[layer(label, 1)]), matrix("d"))
        return equation(total, scale.subs(u_A, sp.sqrt(u * drive / v)) * target / drive)

    def share(law: sp.Eq, ansatz: sp.Tuple) -> sp.Eq:
        found = solution(law, ansatz, label) * variance / strength
        begun = found.subs(start, u0 * strength / variance)
        return equation(u, begun.subs({strength: drive, variance: v}))

    return Entry(
        21,
        part,
        f"white, uncorrelated inputs: {branch}",
        (
            Statement(equation(total, u * v**-1 * target), direction),
            Statement(equation(u, printed), share, defect=renamed({u0: u0 * v / drive})),
        ),
        (flow, EQ_24),
        condition="two layers, Sigma_m = sigma_m^2 I, Sigma_AB = 0, aligned balanced start",
        proof="(18) with the ansatz (24) is dw/dt = 2 w (|Sigma_yx| - sigma^2 w) for w = |W^tot|; the flow of 1/w is "
        "linear.",
        note="Printed is u(0) in the bracket where |W^tot(0)| = u(0) |Sigma_yx|/sigma^2 belongs: at t = 0 it gives "
        "another number than u(0).",
    )


def _half_time(law: sp.Eq, ansatz: sp.Tuple) -> sp.Expr:
    found = solution(law, ansatz, "W_A")
    (half,) = sp.solve(found - strength / variance / 2, t)
    return half


EQ_21A = _sigmoid("a", "A", a, Y_A, EQ_18B)
EQ_21B = _sigmoid("b", "B", b, Y_B, EQ_18D)
EXT_109 = Entry(
    109,
    "",
    "sigmoid of the total weights",
    (
        Statement(equation(SIZE_A, TOTAL.subs(t, t / tau)), lambda law, ansatz: solution(law, ansatz, "W_A")),
        Statement(equation(HALF, tau * HALF_TIME), _half_time),
    ),
    (EQ_18B, EQ_24),
    condition=EQ_21A.condition,
    proof="As (21), with |W^tot(0)| in the bracket; the half-time solves |W^tot(t)| = |Sigma_yx|/(2 sigma^2).",
)
