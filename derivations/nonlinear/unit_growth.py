"""One hidden ReLU unit near zero: 164.

A unit (w, c) adds c relu(w x) to the output: on the samples with w x > 0 it is the two layers of a linear branch of
width one, elsewhere it is nothing. So (3) and (5) hold for it, with every mean over these samples alone.
"""

from __future__ import annotations

import sympy as sp

from derivations.algebra.entry import WEIGHT, Entry, Statement, equation, first_words, small
from derivations.algebra.matrices import Y_A, W_A_tot, W_B_tot, e_A, matrix, target, x_A
from derivations.algebra.notation import l, named, rate, t, tau, u_0
from derivations.algebra.ordered_products import T, averaged, layer
from derivations.errors import SolveError
from derivations.flow.symbolic_flow import EQ_3A, EQ_5A, TWO
from derivations.times.conditions import LOG_ORDER

#: G = <y x^T 1(w x > 0)>, a row for each output; fixed while no sample turns.
SEEN = matrix("G", r"\mathbf{G}")
RECTIFIED = matrix("<y*relu(w*x)>", r"\langle y\,\mathrm{relu}(\mathbf{w}\mathbf{x}) \rangle")
FIRST, SECOND = layer("W_A", 1), layer("W_A", 2)
#: One output: second layer c; w = m (cos phi, sin phi) in the plane of w and G, G = (G_1, G_2) there.
c, phi, G_1, G_2 = sp.symbols("c phi G_1 G_2", real=True)
m = sp.Symbol("m", positive=True)
gamma = named("gamma", r"\gamma", positive=True)
grown = named("s", "s", positive=True)  # c m once the unit is learned
BALANCE = named("tau*d(c^2 - m^2)/dt", r"\tau\,d(c^2 - m^2)/dt")
PRODUCT = named("tau*d(c*m)/dt", r"\tau\,d(c\,m)/dt")


def _near_zero(index: int, eq3a: sp.Eq, eq5a: sp.Eq) -> sp.Expr:
    """(3) of one layer of two, its error by (5) over the active samples; words with total weights in it are marked."""
    seen = eq5a.rhs.subs({W_A_tot: WEIGHT * W_A_tot, W_B_tot: WEIGHT * W_B_tot}).subs(Y_A, SEEN)
    return sp.expand(eq3a.rhs.subs(TWO).subs(l, index).subs(e_A, seen))


def _rectified() -> sp.Expr:
    """<y relu(w x)>: relu(w x) = w x on the active samples, nothing elsewhere."""
    return averaged(target * T(FIRST * x_A), {(target, T(x_A)): SEEN})


def _in_the_plane(eq3a: sp.Eq, eq5a: sp.Eq) -> dict[sp.Symbol, sp.Expr]:
    """tau d/dt of c, m and phi, from the two layers near zero in components: w = (w_1, w_2), one output."""
    w = m * sp.Matrix([[sp.cos(phi), sp.sin(phi)]])
    pair = sp.Matrix([[G_1, G_2]])

    def written(e: sp.Expr) -> sp.Matrix:
        """The leading words of a layer's flow, with matrices for its symbols."""
        known = {SEEN: pair, SECOND: sp.Matrix([[c]]), FIRST: w, T(FIRST): w.T, T(SECOND): sp.Matrix([[c]])}
        total: sp.Matrix | None = None
        for term in sp.Add.make_args(first_words(e).term):
            scale, factors = term.args_cnc()
            product = sp.Mul(*scale) * sp.Matrix.multiply(known[factors[0]], known[factors[1]])
            total = product if total is None else total + product
        return total

    to_w, (to_c,) = (written(_near_zero(n, eq3a, eq5a)) for n in (1, 2))
    along, across = sp.Matrix([sp.cos(phi), sp.sin(phi)]), sp.Matrix([-sp.sin(phi), sp.cos(phi)])
    found = {c: to_c, m: (to_w * along)[0], phi: (to_w * across)[0] / m}
    return {name: sp.simplify(value) for name, value in found.items()}


def _balance(eq3a: sp.Eq, eq5a: sp.Eq) -> sp.Expr:
    moved = _in_the_plane(eq3a, eq5a)
    return sp.simplify(2 * c * moved[c] - 2 * m * moved[m])


def _at_rest(eq3a: sp.Eq, eq5a: sp.Eq) -> dict[sp.Symbol, sp.Expr]:
    """The same where the direction stays: G along w, G_1 = gamma cos phi and G_2 = gamma sin phi."""
    moved = _in_the_plane(eq3a, eq5a)
    return {k: sp.simplify(v.subs({G_1: gamma * sp.cos(phi), G_2: gamma * sp.sin(phi)})) for k, v in moved.items()}


def _product(eq3a: sp.Eq, eq5a: sp.Eq) -> sp.Expr:
    moved = _at_rest(eq3a, eq5a)
    return sp.simplify(moved[c] * m + c * moved[m])


def _time(eq3a: sp.Eq, eq5a: sp.Eq) -> sp.Expr:
    """Until a balanced unit, c = m, has grown from c m = u_0^2 to s: the integral of tau/(d(c m)/dt)."""
    p = sp.Symbol("p", positive=True)
    pace = sp.simplify(_product(eq3a, eq5a).subs(c, m).subs(m, sp.sqrt(p)))
    return sp.integrate(tau / pace, (p, u_0**2, grown))


def _residual() -> tuple[sp.Expr, sp.Expr]:
    """How fast a unit turns, at a direction along G and off it: the first is where units stay."""
    flows = EQ_3A.right, EQ_5A.right
    off = _in_the_plane(*flows)[phi]
    if sp.simplify(sp.diff(off, phi) + c / m * (G_1 * sp.cos(phi) + G_2 * sp.sin(phi))) != 0:
        raise SolveError(f"{off} does not turn back by gamma(n)")
    return _at_rest(*flows)[phi], off


EXT_164 = Entry(
    164, "", "a ReLU unit near zero",
    (
        Statement(
            equation(rate("W_A^1"), T(SECOND) * SEEN), lambda eq3a, eq5a: _near_zero(1, eq3a, eq5a),
            lead=first_words, neglected=WEIGHT,
        ),
        Statement(
            equation(rate("W_A^2"), SEEN * T(FIRST)), lambda eq3a, eq5a: _near_zero(2, eq3a, eq5a),
            lead=first_words, neglected=WEIGHT,
        ),
        Statement(equation(RECTIFIED, SEEN * T(FIRST)), _rectified),
        Statement(equation(BALANCE, 0), _balance),
        Statement(
            equation(rate("phi"), c / m * (G_2 * sp.cos(phi) - G_1 * sp.sin(phi))),
            lambda eq3a, eq5a: _in_the_plane(eq3a, eq5a)[phi],
        ),
        Statement(
            equation(rate("m"), gamma * c), lambda eq3a, eq5a: _at_rest(eq3a, eq5a)[m], residual=_residual,
        ),
        Statement(equation(PRODUCT, gamma * (c**2 + m**2)), _product),
        Statement(
            equation(t, tau / gamma * sp.log(1 / u_0)), _time, lead=small(u_0), neglected=LOG_ORDER,
        ),
    ),
    (EQ_3A, EQ_5A),
    condition="two layers, no biases, y_hat = sum over units of c relu(w x); W_A^1 and W_A^2 of one unit, G = <y x^T "
    "1(w x > 0)>; all other units count as total weights, which are small; no sample turns. Lines 4 to 8: one output, "
    "c m = u_0^2 at the start; the ansatz (line 6): n along G",
    proof="(3), (5) with means over the active samples. A plane through w and G shows all that moves. gamma(n) = "
    "<y relu(n x)> has the slope G across n: for c > 0 units climb gamma on the sphere, for c < 0 they descend.",
    note="Units end at local maxima of |gamma|, those with c > 0 where it is positive. Several outputs: of the length "
    "of the vector <y relu(n x)>, along which c turns. That units stay there once the error has changed is an ansatz: "
    "it gives the narrow network of predict_relu. With symmetric data G is Sigma_yx/2 for every w: (126).",
)  # fmt: skip
