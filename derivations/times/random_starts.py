"""Random starts: the way T of a branch alone, from its own weights, in late fusion. 127-131.

A chain of L layers with a scalar input and a drive of the sign sigma is learned at tau T/|Sigma_yx_A|, and what
saturation adds, (120). T follows from the flow near zero, (42a) at L_f = L:

    127  two layers: exact
    128  three layers, wide: the middle layer grows between two ends that keep their directions
    129  four layers, wide: the two middle layers have a mode of their own between the ends
    130  typical values of 127-129
    131  five layers and more: how T scales

A random layer of h x h entries acts on a fixed vector with its norm over sqrt(h). Its rest M, beside the part that
grows, turns the ends by h^(-1/2): that is left out in 128 and 129, and u_0^2/h beside u_0^2. T feels it in order 1/h.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from derivations.algebra.entry import WEIGHT, Entry, Statement, equation, small
from derivations.algebra.matrices import Y_A, matrix
from derivations.algebra.notation import L, L_f, a, b, c, cos, l, named, u_0, x, y
from derivations.algebra.ordered_products import Direction, Layers, T, coefficient_of, layer, normal, same, words
from derivations.algebra.positive_powers import canonical, equal, separated
from derivations.errors import SolveError
from derivations.flow.ansatz import speed_of
from derivations.flow.conservation import WIDTH
from derivations.flow.symbolic_flow import EQ_42A
from derivations.times.names import integral
from derivations.times.two_layers import EXT_101

__all__ = ["FOUR", "THREE", "TWO", "TYPICAL_FOUR", "TYPICAL_THREE", "TYPICAL_TWO"]

u_1, u_2, u_3, u_4, g_0 = sp.symbols("u_1 u_2 u_3 u_4 g_0", positive=True)
#: The sign of the drive.
sigma = sp.Symbol("sigma", real=True)
inputs = sp.Symbol("d", positive=True)
WAY = sp.Symbol("T", positive=True)
#: Component of the middle layer between the ends, of either sign.
z, x_0 = sp.symbols("x x_0", real=True)

# The forms that are printed below.
TWO = -sp.log(sp.sqrt(u_1**2 + u_2**2 + 2 * sigma * u_1 * u_2 * cos) / 2)
THREE = sp.Integral(1 / sp.sqrt((z**2 + u_1**2) * (z**2 + u_3**2)), (z, x_0, sp.oo))
_ENDS = sp.sqrt((g_0**2 + u_1**2) * (g_0**2 + u_4**2))
_LARGE = 2 * u_1**2 * u_4**2 + (u_1**2 + u_4**2) * g_0**2 + 2 * u_1 * u_4 * _ENDS
FOUR = sp.log(_LARGE / (g_0**2 * (u_1 + u_4) ** 2)) / (2 * u_1 * u_4)
TYPICAL_TWO = -sp.log(u_0 / 2 * sp.sqrt(1 + 1 / inputs))
TYPICAL_THREE = sp.pi / (2 * u_0)
TYPICAL_FOUR = sp.log(1 + 2 * WIDTH) / (2 * u_0**2)

Shapes = Mapping[int, sp.Expr]
Rules = dict[tuple[sp.Expr, ...], Any]


def _signless(e: sp.Expr) -> sp.Expr:
    return sp.expand(e).subs(sigma**2, 1)


def _squared(column: sp.Expr, rules: Rules) -> sp.Expr:
    """|column|^2 as a number."""
    return _signless(coefficient_of(normal(T(column) * column, rules)))


# ---- 127.


def _half_the_mode(first: sp.Expr, second: sp.Expr) -> sp.Expr:
    """The second layer once the mode of the other sign, first - second, has decayed."""
    grown, decayed = matrix("grown"), matrix("decayed")
    modes, layer_two = {grown: first + second, decayed: first - second}, (grown - decayed) / 2
    if not same(layer_two.subs(modes), second):
        raise SolveError(f"{layer_two} is not the second layer")
    return sp.expand(layer_two.subs(decayed, 0).subs(modes))


def _two(eq101: sp.Eq) -> sp.Expr:
    """ln of how much the mode that is driven has to grow until the norm of a layer is one.

    A scalar drive has the sign sigma, so W^1 d^T = sigma w_1; the second layer is a row w_2.
    """
    up, down = (eq101.rhs.subs(c, sign) / b for sign in (1, -1))
    if not (up.is_positive and down.is_negative):
        raise SolveError("no mode grows alone")
    w_1, w_2 = matrix("w_1"), matrix("w_2")
    both = u_1 * u_2 * cos
    rules = {(T(w_1), w_1): u_1**2, (w_2, T(w_2)): u_2**2, (T(w_1), T(w_2)): both, (w_2, w_1): both}
    return separated(up * y, y, sp.sqrt(_squared(_half_the_mode(sigma * w_1, T(w_2)), rules)), 1)


EXT_127 = Entry(
    127, "", "way of two layers, any start",
    (Statement(equation(WAY, TWO), _two),), (EXT_101,),
    condition="two layers, scalar input, weights near zero; u_1, u_2 the norms of the layers at t = 0, cos the cosine "
    "between W^1 and W^2T, sigma the sign of the drive",
    proof="By (101) (W^1 + sigma W^2T)/2 grows at the rate of the drive and the other mode decays, so the norm of each "
    "layer becomes that of this mode; T is the logarithm of what it lacks to one.",
    note="Exact for any width. Vector inputs: with W^1 d^T for W^1, d the unit row along Sigma_yx, and sigma = 1.",
)  # fmt: skip

# ---- 128, 129: wide layers.


def _moved(eq42a: sp.Eq, shapes: Shapes, rules: Rules) -> dict[int, sp.Expr]:
    """Velocity of every layer of a chain of len(shapes) layers, the drive sigma a."""
    depth, found = len(shapes), {}
    for n in shapes:
        law = eq42a.rhs.subs({L: depth, L_f: depth}).subs(l, n)
        put = {}
        for product in law.atoms(Layers):
            _, high, low = product.args
            put[product] = sp.Mul(*(shapes[i] for i in range(int(high), int(low) - 1, -1)))
        found[n] = _signless(normal(normal(law.subs(put).subs(Y_A, sigma * a)), rules))
    return found


def _without(rest: sp.Expr, *columns: sp.Expr) -> Rules:
    """Words in which a rest of a layer meets one of these columns are left out."""
    return {
        word: sp.Integer(0)
        for column in columns
        for word in ((rest, column), (T(column), T(rest)), (T(rest), column), (T(column), rest))
    }


def _grown(speed: sp.Expr, norm: sp.Symbol, drive: sp.Expr, driven: sp.Symbol, start: sp.Symbol) -> sp.Expr:
    """norm(driven) where norm^2 - driven^2 is constant; driven(0)^2, of order u_0^2/h, is left out of it."""
    if not equal(norm * speed, driven * drive):
        raise SolveError(f"{norm}^2 - {driven}^2 is not constant")
    return sp.sqrt(driven**2 + start**2)


def _three(eq42a: sp.Eq) -> sp.Eq:
    """The middle layer is sigma x r s^T, between the ends p s and p r^T, and a rest M."""
    p_1, p_3 = sp.symbols("p_1 p_3", positive=True)
    low, high, rest = Direction("r_A", 1), Direction("r_A", 2), matrix("M")
    middle = sigma * z * high * T(low)
    shapes = {1: p_1 * low, 2: middle + rest, 3: p_3 * T(high)}
    moved = _moved(eq42a, shapes, _without(rest, low, high))
    speeds = {
        s: _signless(speed_of([(moved[n], shape)], s))
        for n, s, shape in ((1, p_1, shapes[1]), (2, z, middle), (3, p_3, shapes[3]))
    }
    ends = {p: _grown(speeds[p], p, speeds[z], z, start) for p, start in ((p_1, u_1), (p_3, u_3))}
    return equation(WAY, sp.Integral((a / speeds[z]).subs(ends), (z, x_0, sp.oo)))


_WIDE = "late fusion, scalar input, weights near zero, width h large: relative order 1/h of T is left out; "
EXT_128 = Entry(
    128, "", "way of three layers, wide",
    (Statement(equation(WAY, THREE), _three),), (EQ_42A,),
    condition=_WIDE + "u_1, u_3 the norms of the ends at t = 0, x_0 = sigma w_3^ W_2 w_1^ with unit vectors along them",
    proof="(42a) moves W^2 along w_3^T w_1^T alone: dx/dT = p_1 p_3 for its component x, and dp_1/dT = x p_3, so "
    "p_1^2 - x^2 is constant, likewise p_3; x_0^2, of order u_0^2/h, is left out of it.",
    note="x_0 is of order u_0/sqrt(h) and of either sign: a share h^(-1/2) of T.",
)  # fmt: skip


def _four(eq42a: sp.Eq) -> sp.Integral:
    """Middle layers (v + w) s^T + M and sigma r (v - w)^T + N between p s and p r^T; v = p n grows, w decays."""
    p, p_1, p_4, other = sp.symbols("p p_1 p_4 |w|", positive=True)
    low, mid, high = (Direction("r_A", n) for n in (1, 2, 3))
    w, lower, upper = matrix("w"), matrix("M"), matrix("N")
    mode = p * mid
    shapes = {
        1: p_1 * low,
        2: (mode + w) * T(low) + lower,
        3: sigma * high * T(mode - w) + upper,
        4: p_4 * T(high),
    }
    across = sp.Symbol("n.w", real=True)
    rules = _without(lower, low, mid, w) | _without(upper, high, mid, w)
    rules |= {(T(w), w): other**2, (T(mid), w): across, (T(w), mid): across}
    moved = _moved(eq42a, shapes, rules)
    forward, backward = normal(moved[2] * low), normal(sigma * T(moved[3]) * high)
    growing, decaying = (_signless(normal((forward + sign * backward) / 2)) for sign in (1, -1))
    speed = speed_of([(growing, mode)], p)
    if not same(decaying, -speed / p * w):
        raise SolveError(f"the other mode does not decay: {decaying}")
    ends = {}
    for n, norm, start in ((1, p_1, u_1), (4, p_4, u_4)):
        drive = speed_of([(moved[n], shapes[n])], norm).subs(other, 0)  # |w|^2 is at most of order u_0^2/h
        ends[norm] = _grown(drive, norm, speed, p, start)
    return integral((a / speed).subs(ends).subs(p, x), g_0, sp.oo)


def _closed(way: sp.Integral) -> sp.Expr:
    """1/(x sqrt(Q)) with Q = (x^2 + u_1^2)(x^2 + u_4^2): an antiderivative, checked, between the limits."""
    ((variable, low, high),) = way.limits
    root, ends = sp.Symbol("root", positive=True), sp.expand((variable**2 + u_1**2) * (variable**2 + u_4**2))
    if high != sp.oo or not equal(way.function, 1 / (variable * sp.sqrt(sp.factor(ends)))):
        raise SolveError(f"{way} has another form")
    both = u_1 * u_4
    inside = 2 * both**2 + (u_1**2 + u_4**2) * variable**2 + 2 * both * root
    slope = sp.diff(inside, variable) + sp.diff(inside, root) * sp.diff(ends, variable) / (2 * root)
    gap = sp.expand((slope - 2 * inside / variable + 2 * both * inside / (variable * root)) * variable * root)
    if sp.expand(gap.subs(root**2, ends)) != 0:  # of ln(inside/x^2)/(-2 u_1 u_4)
        raise SolveError("no antiderivative")
    far = sp.limit((inside / variable**2).subs(root, sp.sqrt(ends)), variable, sp.oo)
    near = (inside / variable**2).subs(root, sp.sqrt(sp.factor(ends))).subs(variable, low)
    return sp.log(near / sp.factor(far)) / (2 * both)


_THEORY = 4 * u_1**2 * u_4**2 / (g_0**2 * (u_1 + u_4) ** 2)
_ARGUMENT = named("exp(2*u_1*u_4*T)", "e^{2 u_1 u_4 T}", positive=True)
_NINTH = sp.log((13 + 4 * sp.sqrt(10)) / 9) / 4  # by hand at u_1 = 1, u_4 = 2, g_0 = 1
EXT_129 = Entry(
    129, "", "way of four layers, wide",
    (
        Statement(
            equation(WAY, integral(1 / (x * sp.sqrt((x**2 + u_1**2) * (x**2 + u_4**2))), g_0, sp.oo)),
            _four,
        ),
        Statement(equation(WAY, FOUR), lambda law: _closed(_four(law))),
    ),
    (EQ_42A,),
    condition=_WIDE + "u_1, u_4 the norms of the ends at t = 0, g_0 = |W_2 w_1^ + sigma W_3^T w_4^T^|/2 with unit "
    "vectors along them",
    proof="(42a) moves W_2 w_1^ along sigma W_3^T w_4^T^ and the reverse, at the rate p_1 p_4: half their sum, p, "
    "grows, half their difference decays. dp_1/dT = p_4 p^2, so p_1^2 - p^2 is constant, likewise p_4; p(0)^2, of "
    "order u_0^2/h, is left out of it.",
    note="ln[1 + 4 u_1^2 u_4^2/(g_0^2 (u_1 + u_4)^2)]/(2 u_1 u_4) is this at u_1 = u_4, else only to leading order in "
    "g_0, with a relative order g_0^2 of the argument of the logarithm left out.",
    claims=(
        Statement(
            equation(WAY, sp.log(1 + _THEORY) / (2 * u_1 * u_4)), lambda law: _closed(_four(law)),
            given={u_4: u_1}, counterexample={u_1: 1, u_4: 2, g_0: 1, WAY: _NINTH},
            claim="ln[1 + 4 u_1^2 u_4^2/(g_0^2 (u_1 + u_4)^2)]/(2 u_1 u_4), at u_1 = u_4",
        ),
        Statement(
            equation(_ARGUMENT, _THEORY.subs(g_0, WEIGHT * u_1)),
            lambda law: sp.exp(2 * u_1 * u_4 * _closed(_four(law))).subs(g_0, WEIGHT * u_1),
            lead=small(WEIGHT), neglected=WEIGHT**2,
            claim="the argument of the logarithm to leading order in epsilon = g_0/u_1",
        ),
    ),
)  # fmt: skip

# ---- 130.


def _typical_two(eq127: sp.Eq) -> sp.Expr:
    """W^1 d^T of h x d entries has the norm u_0/sqrt(d)."""
    return eq127.rhs.subs(cos, 0).subs({u_1: u_0 / sp.sqrt(inputs), u_2: u_0})


def _typical_three(eq128: sp.Eq) -> sp.Eq:
    way = eq128.rhs.subs({x_0: 0, u_1: u_0, u_3: u_0})
    ((variable, low, high),) = way.limits
    root = sp.atan(variable / u_0) / u_0
    if sp.simplify(sp.diff(root, variable) - way.function) != 0:
        raise SolveError(f"{root} is no antiderivative of {way.function}")
    return equation(WAY, sp.limit(root, variable, high) - root.subs(variable, low))


def _typical_four(eq129: sp.Tuple) -> sp.Expr:
    """g_0 is half the norm of the sum of two orthogonal columns."""
    one, two = matrix("m_1"), matrix("m_2")
    rules = dict.fromkeys([(T(one), one), (T(two), two)], u_0**2 / WIDTH) | _without(one, two)
    start = sp.sqrt(_squared(_half_the_mode(one, two), rules))
    return sp.logcombine(eq129[1].rhs.subs({u_1: u_0, u_4: u_0, g_0: start}))


EXT_130 = Entry(
    130, "", "typical ways of random starts",
    (
        Statement(equation(WAY, TYPICAL_TWO), _typical_two),
        Statement(equation(WAY, TYPICAL_THREE), _typical_three),
        Statement(equation(WAY, TYPICAL_FOUR), _typical_four),
    ),
    (EXT_127, EXT_128, EXT_129),
    condition="two layers (first, d inputs), three (second), four (third); entries of independent signs, every layer "
    "of norm u_0 at width h; random vectors are orthogonal up to h^(-1/2)",
    proof="(127) at u_1 = u_0/sqrt(d), u_2 = u_0, cos = 0; (128) at x_0 = 0, u_1 = u_3 = u_0; (129) at u_1 = u_4 = u_0 "
    "and g_0^2 = u_0^2/(2 h), half the sum of two orthogonal vectors of norm u_0/sqrt(h).",
    note="Four layers: the share of T that differs from seed to seed is of order h^(-1/2) whatever u_0, so single runs "
    "never tend to (9).",
)  # fmt: skip

# ---- 131.

RELATIVE = named(
    "tau*|d(W_A^l*v)/dt|/|W_A^l*v|",
    r"\frac{\tau\|\dot{\mathbf{W}}_A^l\mathbf{v}\|}{\|\mathbf{W}_A^l\mathbf{v}\|}",
    positive=True,
)
WIDER = named("T(4*h)/T(h)", r"\frac{T(4h)}{T(h)}", positive=True)
SMALLER = named("T(u_0/2)/T(u_0)", r"\frac{T(u_0/2)}{T(u_0)}", positive=True)


def _relative(eq42a: sp.Eq) -> sp.Expr:
    """Speed of what an inner layer does to the unit vector v below it, over its size at the start.

    The first and the last layer act with u_0, every inner one with u_0/sqrt(h).
    """
    inner = u_0 / sp.sqrt(WIDTH)
    ((size, word),) = words(eq42a.rhs.subs(L_f, L))
    for factor in word:
        if factor == Y_A:
            size *= a
            continue
        _, high, low = factor.args[0].args
        ends = (high == L) + (low == 1)
        size *= u_0**ends * inner ** (factor.args[0].count - ends)
    if not isinstance(size, sp.Expr) or layer("W_A", l) in word:
        raise SolveError(f"{word} is no flow of an inner layer")
    return canonical(size / inner)


def _times(eq42a: sp.Eq, change: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """T is a number over the relative speed."""
    speed = _relative(eq42a)
    return canonical(speed / speed.subs(change))


EXT_131 = Entry(
    131, "", "how the way of a wide deep branch scales",
    (
        Statement(equation(RELATIVE, a * u_0 ** (L - 2) * WIDTH ** ((4 - L) / 2)), _relative),
        Statement(equation(WIDER, 2 ** (L - 4)), lambda law: _times(law, {WIDTH: 4 * WIDTH})),
        Statement(equation(SMALLER, 2 ** (L - 2)), lambda law: _times(law, {u_0: u_0 / 2})),
    ),
    (EQ_42A,),
    condition="late fusion, scalar input, weights near zero, L >= 5 layers of norm u_0, h large; typical values (the "
    "last line is exact for one start made smaller)",
    proof="In (42a) for an inner layer the last and the first layer act with u_0 each, the L - 3 other inner ones with "
    "u_0/sqrt(h), and so does the layer itself. As long as the inner actions are small beside u_0 the ends stay, and "
    "for L >= 5 that is nearly all of the way: T is a number over this relative speed.",
    note="The number depends on the draw. At L = 4 the speed is free of h and (129) adds the logarithm.",
)  # fmt: skip
