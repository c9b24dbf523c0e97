"""Several outputs, late fusion: from balanced layers to the times of modes, 152-155.

    152  the total weights of a balanced modality move by themselves, at any depth
    153  one mode of uncorrelated modes, two layers: a sigmoid and its half-time
    154  the same at any depth
    155  a mode near a saddle where others are learned: it grows along a singular vector of what is left of the error

A mode is a pair of singular vectors, u of the outputs and v of the inputs; w_i is what is learned along it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import sympy as sp

from derivations.algebra.entry import WEIGHT, Entry, Statement, equation, expect_zero, first_words, small
from derivations.algebra.matrices import S_A, S_BA, Y_A, W_A_tot, e_A, matrix
from derivations.algebra.notation import L, L_f, l, named, rate, t, tau, u_0, x
from derivations.algebra.ordered_products import (
    Direction,
    Layers,
    T,
    coefficient_of,
    layer,
    normal,
    rank_one_product,
    split,
    words,
)
from derivations.algebra.positive_powers import Leading, equal, leading, separated
from derivations.errors import SolveError
from derivations.flow.conservation import EQ_38A
from derivations.flow.symbolic_flow import EQ_2, EQ_3A, EQ_5A, TWO, totals
from derivations.times.closed_forms import HALF, sigmoid
from derivations.times.conditions import LOG_ORDER
from derivations.times.formulas import HALF as HALF_SIZE
from derivations.times.formulas import SATURATION
from derivations.times.names import X, integral

# ---- 152: balanced layers, any depth.

LATE = {L_f: L}
_last, _first = matrix("Q"), matrix("H")  # the squares W^L W^LT and W^1T W^1
_outer, _inner = W_A_tot * T(W_A_tot), T(W_A_tot) * W_A_tot
SQUARE_ABOVE = matrix("P_l*P_l^T", r"\mathbf{P}_l\mathbf{P}_l^\top")
SQUARE_BELOW = matrix("G_(l-1)^T*G_(l-1)", r"\mathbf{G}_{l-1}^\top\mathbf{G}_{l-1}")
FLOW_OF_TOTAL = named("tau*dW_A_tot/dt", r"\tau\dot{\mathbf{W}}_A^{\mathrm{tot}}")
ABOVE = _outer ** ((L - l) / L)
BELOW = _inner ** ((l - 1) / L)


def _above(n: Any) -> sp.Expr:
    """P_n = W^L ... W^(n+1)."""
    return Layers("W_A", L, n + 1)


def _below(n: Any) -> sp.Expr:
    """G_n = W^n ... W^1."""
    return Layers("W_A", n, 1)


def _exponent(e: sp.Expr, base: sp.Symbol) -> sp.Expr:
    """n in base^n, powers of one matrix side by side added up."""
    pairs = [factor.as_base_exp() for factor in sp.Mul.make_args(e)]
    if any(found != base for found, _ in pairs):
        raise SolveError(f"{e} is no power of {base}")
    return sp.expand(sp.Add(*(n for _, n in pairs)))


def squares_above(balance: sp.Eq) -> sp.Expr:
    """P_l P_l^T = Q^(L-l) with Q = W^L W^LT, by induction from l = L downwards.

    First P_l W^l W^lT = Q P_l: at l = L it is what Q means, and by balance the step is one of associativity. Then
    P_(l-1) P_(l-1)^T = P_l W^l W^lT P_l^T = Q P_l P_l^T.
    """
    upper = layer("W_A", l + 1)
    before = {(_above(l), T(upper)): _last * _above(l + 1)}  # the claim at l + 1, P_(l+1) W^(l+1) in one
    expect_zero(normal(_above(l) * balance.rhs, before) - _last * _above(l), "the square does not pass through")
    step = _above(l) * balance.lhs * T(_above(l))
    expect_zero(_above(l - 1) * T(_above(l - 1)) - step, "the square above is no square")

    def claim(n: Any) -> sp.Expr:
        return _last ** (L - n)

    if claim(L) != 1 or _exponent(_last * claim(l), _last) != _exponent(claim(l - 1), _last):
        raise SolveError("powers of the last square do not add up")
    return claim(l)


def squares_below(balance: sp.Eq) -> sp.Expr:
    """G_(l-1)^T G_(l-1) = H^(l-1) with H = W^1T W^1, by induction from l = 1 upwards, as `squares_above`."""
    upper, own = layer("W_A", l + 1), layer("W_A", l)
    before = {(T(_below(l)), own, T(own)): _first * T(_below(l))}
    passed = normal(T(_below(l)) * balance.lhs, before)
    expect_zero(normal(passed * T(upper)) - _first * T(_below(l + 1)), "the square does not pass through")
    expect_zero(
        T(_below(l + 1)) * _below(l + 1) - T(_below(l)) * balance.rhs * _below(l), "the square below is no square"
    )

    def claim(n: Any) -> sp.Expr:
        return _first**n

    if claim(0) != 1 or _exponent(_first * claim(l), _first) != _exponent(claim(l + 1), _first):
        raise SolveError("powers of the first square do not add up")
    return claim(l - 1)


def _rooted(claim: sp.Expr, square: sp.Symbol, whole: sp.Expr, of_whole: sp.Expr) -> sp.Expr:
    """`claim`, a power of a square, by the square of the total weight that all layers together make.

    whole : the claim for all of them, square^L
    """
    return of_whole ** sp.together(_exponent(claim, square) / _exponent(whole, square))


def _power_above(eq38a: sp.Eq) -> sp.Expr:
    """P_l P_l^T by W = P_0: Q^L = W W^T, and a positive square has one positive root."""
    claim = squares_above(eq38a)
    return _rooted(claim, _last, claim.subs(l, 0), _outer)


def _power_below(eq38a: sp.Eq) -> sp.Expr:
    """G_(l-1)^T G_(l-1) by W = G_L."""
    claim = squares_below(eq38a)
    return _rooted(claim, _first, claim.subs(l, L + 1), _inner)


def flow_of_total(eq2: sp.Tuple, eq3a: sp.Eq, eq38a: sp.Eq) -> sp.Expr:
    """tau dW/dt by Leibniz: the total weight with each layer in turn replaced by its flow, summed over the layers."""
    single = layer("W_A", l)
    moved = split(totals(eq2)[W_A_tot].subs(LATE), single).xreplace({single: eq3a.rhs.subs(LATE)})
    above, below = matrix("above"), matrix("below")
    pairs = {(_above(l), T(_above(l))): above, (T(_below(l - 1)), _below(l - 1)): below}
    word = normal(moved, pairs)
    return sp.Sum(word.xreplace({above: _power_above(eq38a), below: _power_below(eq38a)}), (l, 1, L))


EXT_152 = Entry(
    152, "", "several outputs: the total weights of a balanced modality",
    (
        Statement(equation(SQUARE_ABOVE, ABOVE), _power_above),
        Statement(equation(SQUARE_BELOW, BELOW), _power_below),
        Statement(equation(FLOW_OF_TOTAL, sp.Sum(ABOVE * e_A * BELOW, (l, 1, L))), flow_of_total),
        Statement(
            equation(FLOW_OF_TOTAL, sp.sqrt(_outer) * e_A + e_A * sp.sqrt(_inner)),
            lambda *laws: flow_of_total(*laws).subs(L, 2).doit(),
        ),
    ),
    (EQ_2, EQ_3A, EQ_38A),
    condition="late fusion, L layers, any outputs, inputs and widths; balanced start, W^(l+1)T W^(l+1) = W^l W^lT, "
    "which gradient flow keeps; P_l = W^L ... W^(l+1), G_(l-1) = W^(l-1) ... W^1; last line L = 2",
    proof="P_l and G_(l-1) are the layers above and below layer l, so that dW/dt is the sum of P_l P_l^T e G_(l-1)^T "
    "G_(l-1). Balance gives P_l W^l W^lT = Q P_l with Q = W^L W^LT, by induction from the output down: P_(l-1) "
    "P_(l-1)^T = Q P_l P_l^T, so P_l P_l^T = Q^(L-l). In the same way G_l^T G_l = H^l, H = W^1T W^1. All layers give "
    "Q^L = W W^T, H^L = W^T W: Q and H are their roots, the only positive ones. Proved for a symbol L.",
    note="The layers are gone: a start is its total weights. Powers are those of positive matrices, with 0^0 = 1. A "
    "modality has no more modes than its narrowest layer is wide, and never gets one that it lacks. After a fusion "
    "the trunk moves too and this does not hold for one modality alone.",
)  # fmt: skip

DEEP_CHAIN = {L: 2 + sp.Symbol("n", positive=True)}

# ---- 153, 154: modes that are common to Sigma_yx and Sigma.

#: What is learned of a mode, its singular value of Sigma_yx, the variance of the inputs along it, and its start.
size, drive, variance = sp.symbols("w_i s_i lambda_i", positive=True)
begin, SIZE_AT = named("w_i(0)", "w_i(0)", positive=True), named("w_i(t)", "w_i(t)", positive=True)
_other = dict(zip((size, drive, variance), sp.symbols("w_j s_j lambda_j", positive=True), strict=True))
rank = named("rank", r"\mathrm{rank}", positive=True)  # how many modes the start has
_modes = sp.symbols("i j", integer=True, positive=True)  # two different ones
_u, _v = [Direction("u", n) for n in _modes], [Direction("v", n) for n in _modes]
_APART = {(T(p), q): sp.Integer(0) for pair in (_u, _v) for p in pair for q in pair if p != q}
_SIZES = (size, _other[size])

#: tau = 1: dw/dt, from where a mode starts to half of its plateau s/lambda, and the start of an aligned network.
MODE_PACE = L * size ** (2 - 2 / L) * (drive - variance * size)
MODE_PACE_AT_2 = 2 * size * (drive - variance * size)
MODE_HALF_TIME_AT_2 = sp.log(drive / (variance * begin) - 1) / (2 * drive)
MODE_START = (u_0 / sp.sqrt(rank)) ** L
#: L > 2, u_0 small: what leads, and what is added to it.
MODE_HALF_TIME = rank ** ((L - 2) / 2) * u_0 ** (2 - L) / ((L - 2) * drive)
MODE_ADDED = (drive / variance) ** ((2 - L) / L) * SATURATION / drive


def _spread(left: list[sp.Expr], right: list[sp.Expr], values: Any) -> sp.Expr:
    """Sum of value left right^T over two modes; products of any others vanish like those of these two."""
    return sp.Add(*(value * p * T(q) for value, p, q in zip(values, left, right, strict=True)))


def _power(square: sp.Expr, columns: list[sp.Expr], exponent: Any) -> sp.Expr:
    """(sum of w^2 u u^T)^exponent = sum of w^(2 exponent) u u^T, on the span of the columns.

    Positive matrices f(n) with f(m) f(n) = f(m + n) and f(1) = the square are its powers.
    """

    def f(n: Any) -> sp.Expr:
        return _spread(columns, columns, [w ** (2 * n) for w in _SIZES])

    m, n = sp.symbols("m n", positive=True)
    expect_zero(normal(f(m) * f(n), _APART) - f(m + n), "exponents do not add up")
    expect_zero(normal(square, _APART) - f(1), "the first power is another square")
    return f(exponent)


def _along_modes(flow: sp.Sum, total: sp.Expr, error: sp.Expr, rules: dict[Any, Any]) -> list[sp.Expr]:
    """Velocities of the modes in (152): one number before each u v^T, the same for all layers, and nothing beside."""
    found = []
    for factor in flow.function.args:
        base, exponent = factor.as_base_exp()
        if base == _outer:
            found.append(_power(total * T(total), _u, exponent))
        elif base == _inner:
            found.append(_power(T(total) * total, _v, exponent))
        else:
            found.append(factor.subs(e_A, error))
    sums: dict[Any, sp.Expr] = {}
    for number, word in words(normal(sp.Mul(*found), _APART | rules)):
        sums[word] = sums.get(word, sp.Integer(0)) + sp.powsimp(sp.expand_power_base(number))
    pairs = [(p, T(q)) for p, q in zip(_u, _v, strict=True)]
    ((index, low, high),) = flow.limits
    paces = [sp.powsimp(sp.simplify(sums.pop(pair, sp.Integer(0)))) for pair in pairs]
    if any(not equal(rest, 0) for rest in sums.values()) or any(index in pace.free_symbols for pace in paces):
        raise SolveError(f"modes do not stay apart: {sums}, {paces}")
    return [sp.Sum(pace, (index, low, high)).doit() for pace in paces]


def pace_of_mode(depth: Any, eq152: sp.Tuple, eq5a: sp.Eq) -> sp.Expr:
    """tau dw_i/dt: (152) for W, Sigma_yx and Sigma with the same singular vectors, A and B uncorrelated."""
    seen = {(T(v), S_A): value * T(v) for v, value in zip(_v, (variance, _other[variance]), strict=True)}
    total = _spread(_u, _v, _SIZES)
    target = _spread(_u, _v, (drive, _other[drive]))
    error = normal(eq5a.rhs.subs({S_BA: 0, Y_A: target, W_A_tot: total}), seen)
    first, second = _along_modes(eq152[2].rhs, total, error, {})
    if not equal(first.subs(_other | {size: _other[size]}, simultaneous=True), second):
        raise SolveError("modes move by different laws")
    return first.subs(L, depth)


def start_of_mode(depth: Any) -> sp.Expr:
    """w_i(0) where the squares of a layer, alike for all modes, add up to u_0^2."""
    own = sp.Symbol("own", positive=True)
    (each,) = sp.solve(rank * own**2 - u_0**2, own)
    i = sp.Symbol("i", integer=True, positive=True)
    product = rank_one_product("W_A", each * Direction("q", i) * T(Direction("q", i - 1)), i, L, sp.Integer(1))
    return coefficient_of(product, Direction("q", L), T(Direction("q", 0))).subs(L, depth)


def _half(pace: sp.Expr) -> sp.Expr:
    """Half of the plateau, where the mode stops."""
    plateau = drive / variance
    if not equal(pace.subs(size, plateau), 0):
        raise SolveError(f"{plateau} is no plateau of {pace}")
    return plateau / 2


def _grown(*sources: sp.Basic) -> sp.Expr:
    return sigmoid(pace_of_mode(2, *sources) / tau, size, begin)


def _half_time_of_two(*sources: sp.Basic) -> sp.Expr:
    (found,) = sp.solve(_grown(*sources) - _half(pace_of_mode(2, *sources)), t)
    return found


def _from_start(*sources: sp.Basic) -> sp.Expr:
    """The half-time of two layers from an aligned start."""
    return _half_time_of_two(*sources).subs(begin, start_of_mode(2))


EXT_153 = Entry(
    153, "", "one mode, two layers",
    (
        Statement(equation(rate(size.name), MODE_PACE_AT_2), partial(pace_of_mode, 2)),
        Statement(
            equation(SIZE_AT, drive / variance / (1 + (drive / (variance * begin) - 1) * sp.exp(-2 * drive * t / tau))),
            _grown,
        ),
        Statement(equation(HALF, tau * MODE_HALF_TIME_AT_2), _half_time_of_two),
        Statement(equation(begin, u_0**2 / rank), lambda: start_of_mode(2)),
        Statement(equation(HALF, tau / drive * sp.log(1 / u_0)), _from_start, lead=small(u_0), neglected=LOG_ORDER),
    ),
    (EXT_152, EQ_5A),
    condition="two layers, late fusion, balanced; Sigma_yx_A = sum of s_i u_i v_i^T, W = sum of w_i u_i v_i^T, "
    "Sigma_A v_i = lambda_i v_i, Sigma_AB = 0; w_i(0): each layer has the norm u_0, the same in each of its modes, of "
    "which there are `rank`",
    proof="(152) at L = 2 for two modes, which stand for any number: words with two different modes vanish, and each "
    "mode has a number before its u v^T. The flow of 1/w is linear; the half-time is where w = s/(2 lambda).",
    note="Saxe, McClelland and Ganguli (2014). To leading order modes are learned in the order of their singular "
    "values, whichever modality they belong to: each at its own time, that of (8a) for one output.",
)  # fmt: skip


def _time_to_half(*sources: sp.Basic) -> sp.Integral:
    pace = pace_of_mode(L, *sources)
    return tau * sp.Integral(1 / pace, (size, begin, _half(pace)))


def _time_at_two(*sources: sp.Basic) -> sp.Expr:
    """The integral at L = 2: its integrand has a logarithm of a quotient."""
    pace = pace_of_mode(2, *sources)
    inside = size / (drive - variance * size)
    scale = sp.cancel(1 / pace / sp.diff(sp.log(inside), size))
    if size in scale.free_symbols:
        raise SolveError("ln(w/(s - lambda w)) is no antiderivative")
    return tau * scale * sp.log(sp.cancel(inside.subs(size, _half(pace)) / inside.subs(size, begin)))


def _time_split(*sources: sp.Basic) -> sp.Expr:
    """The integral over x, w = s/lambda x^L: x^(1-L)/(1 - x^L) is x^(1-L) and x/(1 - x^L) together."""
    pace, plateau = pace_of_mode(L, *sources), drive / variance
    once = sp.diff(plateau * x**L, x) / pace.subs(size, plateau * x**L)  # dt/dx
    scale = sp.powsimp(sp.expand_power_base(plateau ** ((2 - L) / L) / drive, force=True))
    if not equal(once, scale * x ** (1 - L) / (1 - x**L)) or not equal(x ** (1 - L) + x / (1 - x**L), once / scale):
        raise SolveError("the integrand does not split")
    low, high = (start_of_mode(L) / plateau) ** (1 / L), HALF_SIZE
    if not equal(plateau * high**L, _half(pace)):
        raise SolveError(f"{high} is not half of the plateau")
    grown = (low ** (2 - L) - high ** (2 - L)) / (L - 2)
    return tau * scale * (grown + integral(x / (1 - x**L), low, high))


def _began_at_zero(e: sp.Expr) -> Leading:
    """The integral from 0, where its integrand goes as a power of x, and what that adds, beside the rest of e."""
    (whole,) = e.atoms(sp.Integral)
    ((variable, low, high),) = whole.limits
    near = leading(whole.function, variable).term
    power = sp.simplify(variable * sp.diff(near, variable) / near) + 1
    left_out = leading(low, u_0).term.as_independent(u_0)[1] ** power
    from_zero = e.xreplace({whole: sp.Integral(whole.function, (variable, 0, high))})
    lead = leading(from_zero, u_0, DEEP_CHAIN)
    return Leading(from_zero, sp.powsimp(left_out / lead.term.as_independent(u_0)[1]))


EXT_154 = Entry(
    154, "", "one mode, any depth",
    (
        Statement(equation(rate(size.name), MODE_PACE), partial(pace_of_mode, L)),
        Statement(
            equation(HALF, tau * sp.Integral(1 / MODE_PACE, (size, begin, drive / variance / 2))), _time_to_half
        ),
        Statement(equation(begin, MODE_START), lambda: start_of_mode(L)),
        Statement(equation(HALF, tau * MODE_HALF_TIME_AT_2), _time_at_two),
        Statement(
            equation(HALF, tau * (MODE_HALF_TIME + MODE_ADDED)), _time_split,
            lead=_began_at_zero, neglected=u_0**L,
        ),
        Statement(
            equation(HALF, tau * MODE_HALF_TIME), lambda *sources: _began_at_zero(_time_split(*sources)).term,
            lead=small(u_0, DEEP_CHAIN), neglected=u_0 ** (L - 2),
        ),
    ),
    (EXT_152, EQ_5A),
    condition="as (153) with L layers; fourth line L = 2; the last two L > 2 and u_0 -> 0",
    proof="Powers of (152) act on each mode by itself, so that every layer adds the same term. The half-time is the "
    "integral of dw over the pace. With w = s/lambda x^L it is x^(1-L) + x/(1 - x^L), of which the second is finite at "
    "0: C_L of (117).",
    note="The larger the rank, the later: each mode starts at its share u_0/sqrt(rank) of a layer. Between modes of "
    "one modality that drops out, and times go as 1/s; between modalities of unequal ranks it can turn the order, for "
    "L > 2.",
)  # fmt: skip

# ---- 155: a mode that waits at a saddle where others are learned.

residual_drive, new = named("s_i'", "s_i'", positive=True), sp.Symbol("z", positive=True)
waiting = named("w_i(1)", "w_i(1)", positive=True)  # the size of the mode when the others have been learned
LAG = named("t_half - t(1)", r"t_{1/2} - t(1)", positive=True)
#: tau = 1: pace near the saddle, and what is left to wait, two layers and more.
WAITING_PACE = L * size ** (2 - 2 / L) * residual_drive
MODE_LAG_AT_2 = sp.log(1 / waiting) / (2 * residual_drive)
MODE_LAG = waiting ** ((2 - L) / L) / ((L - 2) * residual_drive)
_f, _g, _change = matrix("f_q"), matrix("g_q"), matrix("change")
_learned, _fresh = Direction("h", 1), Direction("q", 1)  # hidden directions
_u_i, _u_j, _v_i, _v_j = *_u, *_v
_STAYS = {(T(_learned), _fresh): sp.Integer(0), (T(_fresh), _learned): sp.Integer(0)}
#: u_i, v_i are singular vectors of e; the learned mode is none any more.
_LEFT = {
    (T(_u_i), e_A): residual_drive * T(_v_i), (e_A, _v_i): residual_drive * _u_i,
    (T(_u_j), e_A): sp.Integer(0), (e_A, _v_j): sp.Integer(0),
}  # fmt: skip


def _near_saddle(eq3a: sp.Eq) -> tuple[sp.Expr, sp.Expr]:
    """Velocities of two layers: the learned mode on h, a small row f and a small column g on q, which h is across."""
    own = sp.sqrt(_other[size])
    layers = (own * _learned * T(_v_j) + WEIGHT * _fresh * _f, own * _u_j * T(_learned) + WEIGHT * _g * T(_fresh))
    put = dict(zip((layer("W_A", 1), layer("W_A", 2)), layers, strict=True)) | {e_A: e_A + WEIGHT * _change}
    first, second = (normal(eq3a.rhs.subs(TWO).subs(l, n).subs(put)) for n in (1, 2))
    return first, second


def _at_rest(place: int, eq3a: sp.Eq) -> sp.Eq:
    """What has to vanish for the learned mode to stay: the velocity along h without f and g."""
    still = _near_saddle(eq3a)[place].subs(WEIGHT, 0)
    along = T(_learned) * still if place == 0 else still * _learned
    return equation(normal(along) / sp.sqrt(_other[size]), 0)


def _leaving(place: int, eq3a: sp.Eq) -> sp.Expr:
    """d/dt of f = q^T W^1 or g = W^2 q, over the size of both."""
    velocity = _near_saddle(eq3a)[place]
    return sp.expand(normal(T(_fresh) * velocity if place == 0 else velocity * _fresh, _STAYS) / WEIGHT)


def _rate_of_leaving(eq3a: sp.Eq) -> sp.Expr:
    """f and g along a pair of singular vectors of e grow by one number."""
    put = {_f: new * T(_v_i), _g: new * _u_i}
    moved = [normal(first_words(_leaving(n, eq3a)).term.subs(put), _LEFT) for n in (0, 1)]
    first, second = coefficient_of(moved[0], T(_v_i)), coefficient_of(moved[1], _u_i)
    if not equal(first, second):
        raise SolveError(f"the layers grow at {first} and {second}")
    return first


def _waiting_pace(eq152: sp.Tuple) -> sp.Expr:
    """(152) with the error of the saddle, for a learned mode and one that is small: the learned one stays."""
    first, second = _along_modes(eq152[2].rhs, _spread(_u, _v, _SIZES), e_A, _LEFT)
    expect_zero(second, "the learned mode moves")
    return first


def _lag(depth: Any, eq152: sp.Tuple) -> sp.Expr:
    """From w_i(1) to a size X of order one."""
    return tau * separated(_waiting_pace(eq152).subs(L, depth), size, waiting, X)


EXT_155 = Entry(
    155, "", "a mode at a saddle where others are learned",
    (
        Statement(equation(T(_u_j) * e_A, 0), partial(_at_rest, 0)),
        Statement(equation(e_A * _v_j, 0), partial(_at_rest, 1)),
        Statement(equation(rate("f_q"), T(_g) * e_A), partial(_leaving, 0), lead=first_words, neglected=WEIGHT),
        Statement(equation(rate("g_q"), e_A * T(_f)), partial(_leaving, 1), lead=first_words, neglected=WEIGHT),
        Statement(equation(rate("z"), residual_drive * new), _rate_of_leaving),
        Statement(equation(rate(size.name), WAITING_PACE), _waiting_pace),
        Statement(
            equation(LAG, tau * MODE_LAG_AT_2), partial(_lag, 2),
            lead=small(waiting), neglected=1 / sp.log(1 / waiting),
        ),
        Statement(
            equation(LAG, tau * MODE_LAG), partial(_lag, L),
            lead=small(waiting, DEEP_CHAIN), neglected=waiting ** ((L - 2) / L),
        ),
    ),
    (EQ_3A, EXT_152),
    condition="late fusion. First five lines: two layers; W^1 = sqrt(w_j) h v_j^T + q f_q, W^2 = sqrt(w_j) u_j h^T + "
    "g_q q^T with h^T q = 0, a saddle where f_q = g_q = 0; e_A is its error, of which s_i', u_i, v_i are a singular "
    "value and its vectors; f_q = z v_i^T, g_q = z u_i. Then any depth, balanced, W = w_j u_j v_j^T + w_i u_i v_i^T, "
    "e_A that of the saddle; seventh line L = 2, eighth L > 2; w_i(1), the size when w_j has been learned, is small",
    proof="At rest the velocities along h vanish: e_A is across the learned u_j and v_j, it is what a projection off "
    "both leaves. q^T dW^1 and dW^2 q begin with words in one of f_q, g_q; left out are those with the change of e_A. "
    "In (152) every layer adds w_i^(2-2/L) s_i'. The last lines integrate dw over that up to a size of order one.",
    note="One learned mode stands for any number; what B has learned is in e_A. A drawn start has a part along each "
    "pair of singular vectors of e_A, and each grows at its own singular value. Left out: how the singular vectors "
    "turn while the mode waits, what w_i(1) is, and factors of order one in it: two layers have them in the "
    "logarithm, more layers before everything. To hold e_A leaves out what is small with w_i, in A itself and through "
    "the correlation of A and B; by Weyl that moves singular values by as much.",
)  # fmt: skip
