"""Weight decay: the loss with (lambda/2) sum |W|^2 beside it, lambda in units of the loss. 135-140.

    135  the flow, and balance that is restored
    136  where it ends: the group lasso by modality at two layers, its power 2/L at L
    137  two layers: the decay from which on B is never learned
    138  two layers: one modality alone, exact
    139  two layers: the time ratio
    140  three layers and more: thresholds of the start, and times

Decoupled decay of an adaptive optimiser is another flow.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from derivations.algebra.entry import (
    WEIGHT,
    Entry,
    Statement,
    equation,
    expect_zero,
    first_order,
    small,
    small_weights,
)
from derivations.algebra.matrices import S_A, S_AB, S_BA, Y_A, Y_B, W_A_tot, W_B_tot, e_A, e_B, matrix
from derivations.algebra.notation import L, L_f, a, b, c, decay, l, named, r, rate, t, t_A, tau, u, u_0, u_A, u_B
from derivations.algebra.ordered_products import (
    D,
    Direction,
    Layers,
    T,
    coefficient_of,
    layer,
    linear_in,
    normal,
    rank_one_product,
    words,
)
from derivations.algebra.positive_powers import canonical, equal
from derivations.errors import SolveError
from derivations.flow.ansatz import EQ_24, branch_moves, shapes, speed_of
from derivations.flow.conservation import C_TRACE, C, norms
from derivations.flow.symbolic_flow import (
    EQ_2,
    EQ_3A,
    EQ_3B,
    EQ_4,
    EQ_5A,
    EQ_5B,
    EQ_18B,
    EQ_31,
    TRUNK,
    TWO,
    totals,
)
from derivations.times.closed_forms import HALF, solution, start, strength, total_speed, variance
from derivations.times.conditions import LOG_ORDER
from derivations.times.names import LAG_NAME, RATIO, X_B, X
from derivations.times.two_layers import MODE

__all__ = [
    "CRITICAL_DECAY_SCALAR",
    "DEEP_WITH_DECAY",
    "FIRST_WITH_DECAY",
    "HALF_TIME_WITH_DECAY",
    "LAG_WITH_DECAY_DEEP",
    "PENALTY",
    "PLATEAU_WITH_DECAY",
    "RATIO_WITH_DECAY",
    "RATIO_WITH_DECAY_SCALAR",
    "SECOND_POWER_WITH_DECAY",
    "SECOND_THRESHOLD",
    "THRESHOLD",
]

#: |W_A^tot|; the residual of B at the plateau of A with decay, and its size.
size = named("|W_A_tot|", r"\|\mathbf{W}_A^{\mathrm{tot}}\|", positive=True)
residual_decayed = matrix("Sigma_tilde_yxB(lambda)", r"\tilde\Sigma_{yx_B}(\lambda)")
r_lambda = named("r_lambda", r"\|\tilde\Sigma_{yx_B}(\lambda)\|", positive=True)
#: lambda/|W_A^tot|.
ridge = sp.Symbol("mu", positive=True)
critical = named("lambda_*", r"\lambda_*", positive=True)

# The forms that are printed below.
PENALTY = L * decay * size ** (2 / L) / 2
PLATEAU_WITH_DECAY = (a - decay) / variance
#: Scalar inputs; c r is the residual of B without decay.
CRITICAL_DECAY_SCALAR = a * r / (a - c * b + r)
HALF_TIME_WITH_DECAY = sp.log((strength - decay) / (variance * start) - 1) / (2 * (strength - decay))
FIRST_WITH_DECAY = sp.log(1 / u_0) / (a - decay)
RATIO_WITH_DECAY = 1 + (a - c * b) / (r_lambda - decay)
RATIO_WITH_DECAY_SCALAR = 1 + (a - c * b) / (r * (1 - decay / critical))
#: L > 2, late fusion: the largest decay at which A is learned, and B after it; the time of A, the lag of B.
THRESHOLD = a * u_0 ** (L - 2)
SECOND_THRESHOLD = CRITICAL_DECAY_SCALAR * u_0 ** (L - 2)
DEEP_WITH_DECAY = sp.log(a / (a - decay * u_0 ** (2 - L))) / ((L - 2) * decay)
SECOND_POWER_WITH_DECAY = u_0 ** (2 - L) * (a - c * b) / (a - decay * u_0 ** (2 - L))
LAG_WITH_DECAY_DEEP = sp.log(r / (r - decay * SECOND_POWER_WITH_DECAY)) / ((L - 2) * decay)

# ---- 135.

_GAP = matrix("C(t)")
_FADED = sp.exp(-2 * decay * t / tau)


def shrinkage(single: sp.Expr) -> sp.Expr:
    """The gradient of (lambda/2) |W|^2 for one layer, from what is linear in D of (lambda/2) tr (W + D)(W + D)^T."""
    moved = sp.expand(decay / 2 * (single + D) * T(single + D))
    gradient = []
    for coefficient, word in words(linear_in(moved, D)):
        turned = word if word[-1] == T(D) else tuple(T(f) for f in reversed(word))  # the trace is the same
        if turned[-1] != T(D):
            raise SolveError(f"{sp.Mul(*word)} is not linear in D")
        gradient.append(coefficient * sp.Mul(*turned[:-1]))
    return sp.Add(*gradient)


def with_decay(label: str, flow: sp.Eq) -> sp.Eq:
    """The flow of layer l of a chain, the penalty added to the loss."""
    return equation(flow.lhs, flow.rhs - shrinkage(layer(label, l)))


def _changed(before: sp.Expr, law: sp.Expr) -> sp.Expr:
    """tau d(W W^T)/dt of a layer that moves by `law`; with both transposed that of W^T W."""
    return law * T(before) + before * T(law)


def _faded(gap: sp.Expr, change: sp.Expr) -> sp.Expr:
    """What a gap is multiplied by until t, if its change is a multiple of it."""
    known = {word: coefficient for coefficient, word in words(normal(gap))}
    coefficient, word = next(words(normal(change)))
    speed = coefficient / known[word]
    expect_zero(change - speed * gap, "the gap does not move by itself")
    found = sp.exp(speed * t / tau)
    if not equal(tau * sp.diff(found, t), speed * found) or found.subs(t, 0) != 1:
        raise SolveError(f"{found} does not solve the flow of the gap")
    return found


def _fading(label: str, flow: sp.Eq) -> sp.Eq:
    """W^(l+1)T W^(l+1) - W^l W^lT along a chain."""
    law = with_decay(label, flow).rhs
    lower, upper = layer(label, l), layer(label, l + 1)
    change = _changed(T(upper), T(law.subs(l, l + 1))) - _changed(lower, law)
    return equation(_GAP, _faded(T(upper) * upper - lower * T(lower), change) * C)


def _fading_at_fusion(eq3a: sp.Eq, eq3b: sp.Eq, eq4: sp.Eq) -> tuple[sp.Expr, sp.Expr]:
    """W^T W - W_A W_A^T - W_B W_B^T at the fusion, and what it is multiplied by until t."""
    out, into = layer("W", L_f + 1), {"W_A": layer("W_A", L_f), "W_B": layer("W_B", L_f)}
    gap = T(out) * out - sum(w * T(w) for w in into.values())
    change = _changed(T(out), T(with_decay("W", eq4).rhs.subs(l, L_f + 1)))
    for (label, w), flow in zip(into.items(), (eq3a, eq3b), strict=True):
        change -= _changed(w, with_decay(label, flow).rhs.subs(l, L_f))
    return gap, _faded(gap, change)


def _norms_at_fusion(*flows: sp.Eq) -> sp.Eq:
    gap, share = _fading_at_fusion(*flows)
    return norms(equation(gap, share * C), {layer("W_A", L_f): u_A, layer("W_B", L_f): u_B, layer("W", L_f + 1): u})


def _below(branch: str, seen: sp.Expr) -> sp.Expr:
    return T(TRUNK * Layers(branch, L_f, l + 1)) * seen * T(Layers(branch, l - 1, 1))


_FLOW_OF_TRUNK = T(Layers("W", L, l + 1)) * sum(
    seen * T(Layers("W", l - 1, L_f + 1) * Layers(branch, L_f, 1)) for branch, seen in (("W_A", e_A), ("W_B", e_B))
)
EXT_135 = Entry(
    135, "", "weight decay: the flow, and balance",
    (
        Statement(
            equation(rate("W_A^l"), _below("W_A", e_A) - decay * layer("W_A", l)),
            lambda eq3a: with_decay("W_A", eq3a),
        ),
        Statement(
            equation(rate("W_B^l"), _below("W_B", e_B) - decay * layer("W_B", l)),
            lambda eq3b: with_decay("W_B", eq3b),
        ),
        Statement(
            equation(rate("W^l"), sp.expand(_FLOW_OF_TRUNK) - decay * layer("W", l)),
            lambda eq4: with_decay("W", eq4),
        ),
        Statement(equation(_GAP, _FADED * C), lambda eq3a: _fading("W_A", eq3a)),
        Statement(equation(_GAP, _FADED * C), lambda eq3b: _fading("W_B", eq3b)),
        Statement(equation(_GAP, _FADED * C), lambda eq4: _fading("W", eq4)),
        Statement(
            equation(_GAP, _FADED * C),
            lambda eq3a, eq3b, eq4: equation(_GAP, _fading_at_fusion(eq3a, eq3b, eq4)[1] * C),
        ),
        Statement(equation(u**2 - u_A**2 - u_B**2, _FADED * C_TRACE), _norms_at_fusion),
    ),
    (EQ_3A, EQ_3B, EQ_4),
    condition="loss half the mean squared error and (lambda/2) sum |W^l|^2 over all layers; learning rate to 0; C(t) "
    "is W^(l+1)T W^(l+1) - W^l W^lT along a chain, W^T W minus the sum over the branches of W W^T at the fusion, C "
    "the same at t = 0",
    proof="The gradient of (lambda/2) tr W W^T is lambda W. In the change of C(t) the words of (3), (4) cancel as "
    "for (38), (39); what is left is -2 lambda C(t).",
    note="Unbalanced starts are forgotten at the rate 2 lambda. It is the decay of plain gradient descent; decoupled "
    "from an adaptive step, or with another lambda for a layer, it is another flow.",
)  # fmt: skip

# ---- 136.


def _stationary(eq135: sp.Tuple, eq2: sp.Tuple) -> sp.Expr:
    """e_A where the first layer of A rests, late fusion.

    0 = P^T e_A - lambda W^1 times P = W^L ... W^2; balanced layers make P = u^(L-1) r^1T, so P P^T is a number.
    """
    at_rest = eq135[0].rhs.subs(L_f, L).subs(l, 1)
    above = Layers("W_A", L, 2)
    pulled, shrunk = (-normal(above * term) for term in sp.Add.make_args(normal(at_rest)))
    if shrunk.has(e_A):
        pulled, shrunk = shrunk, pulled
    total = totals(eq2)[W_A_tot].subs(L_f, L)
    i = sp.Symbol("i", integer=True, positive=True)
    inner = rank_one_product("W_A", u_A * Direction("r_A", i) * T(Direction("r_A", i - 1)), i, L - 1, sp.Integer(2))
    shape = normal(u_A * T(Direction("r_A", L - 1)) * inner)  # the last layer is a row
    square = coefficient_of(normal(-pulled.subs(above, shape)), e_A)
    ((factor, word),) = words(shrunk.subs(above * layer("W_A", 1), total))
    if normal(sp.Mul(*word) - total) != 0:
        raise SolveError(f"{shrunk} is not along the total weights")
    return canonical((factor / square).subs(u_A, size ** (1 / L))) * W_A_tot


def _lasso(eq135: sp.Tuple, eq2: sp.Tuple, eq5a: sp.Eq) -> sp.Eq:
    return equation(eq5a.rhs, _stationary(eq135, eq2).subs(L, 2))


def _ridge(eq135: sp.Tuple, eq2: sp.Tuple, eq5a: sp.Eq) -> sp.Eq:
    """A alone, sorted by Sigma_yx_A; mu is lambda over the size of its total weights."""
    law = _lasso(eq135, eq2, eq5a)
    shrunk = normal(law.rhs).subs(decay, ridge * size)
    return equation(Y_A, sp.expand(Y_A - normal(law.lhs.subs(W_B_tot, 0)) + shrunk))


def _least_squares() -> sp.Expr:
    """The least sum of squared norms of L layers whose product has the norm |p|, by induction on L.

    |p| is at most the product of the norms. One layer: p^2. With a layer of norm x on top of n that are at their least
    n (p/x)^(2/n): in ln x a sum of two exponentials with positive factors, so it has one minimum.
    """
    p, x, n = sp.symbols("p x n", positive=True)

    def claim(layers: Any, product: sp.Expr) -> sp.Expr:
        return layers * product ** (2 / layers)

    whole = claim(n, p / x) + x**2
    best = p ** (1 / (n + 1))
    slope = sp.expand(x * sp.diff(whole, x))
    if not equal(sp.Add(*(canonical(part.subs(x, best)) for part in sp.Add.make_args(slope))), 0):
        raise SolveError("the norms of the layers at the minimum are not equal")
    if claim(sp.Integer(1), p) != p**2 or not equal(whole.subs(x, best), claim(n + 1, p)):
        raise SolveError("the induction does not close")
    return claim(L, size)


_BALANCED_PENALTY = named("penalty of A", r"\frac{\lambda}{2}\textstyle\sum_l\|\mathbf{W}_A^l\|^2", positive=True)
_LEAST_PENALTY = named(
    "least penalty of A", r"\min\frac{\lambda}{2}\textstyle\sum_l\|\mathbf{W}_A^l\|^2", positive=True
)


def _penalty() -> sp.Expr:
    """(lambda/2) sum |W^l|^2 for L layers of one norm whose product has the norm |W_A^tot|."""
    (found,) = sp.solve(u_A**L - size, u_A)
    return decay / 2 * L * found**2


EXT_136 = Entry(
    136, "", "weight decay: where it ends, late fusion",
    (
        Statement(equation(e_A, decay * size ** (2 / L - 2) * W_A_tot), _stationary),
        Statement(
            equation(Y_A - W_A_tot * S_A - W_B_tot * S_BA, decay * size**-1 * W_A_tot), _lasso,
        ),
        Statement(equation(Y_A, W_A_tot * S_A + ridge * W_A_tot), _ridge),
        Statement(equation(_BALANCED_PENALTY, PENALTY), _penalty),
        Statement(equation(_LEAST_PENALTY, PENALTY), lambda: decay / 2 * _least_squares()),
    ),
    (EXT_135, EQ_2, EQ_5A),
    condition="L_f = L, one output, balanced layers (by (135) they become so), W_A^tot not 0; lines two and three L "
    "= 2, the third A alone, mu = lambda/|W_A^tot|",
    proof="P times the resting first layer is P P^T e_A = lambda W_A^tot, P = W^L ... W^2 of norm |W_A^tot|^(1-1/L). "
    "The least penalty of one product is that of equal norms, by induction.",
    note="At two layers the end is the group lasso by modality: the loss and lambda sum_m |W_m^tot|, convex in the "
    "total weights; for A alone a ridge whose mu solves mu |Sigma_yx_A (Sigma_A + mu)^-1| = lambda, the left side "
    "growing from 0 to a. Beyond two layers the power 2/L < 1 is not convex: W_m^tot = 0 is always a minimum, and "
    "the start decides.",
)  # fmt: skip

# ---- 137.


def mode_rate(
    flow: sp.Eq, eq5: sp.Eq, eq2: sp.Tuple, branch: str, drive: sp.Expr, length: sp.Symbol, seen: dict[Any, Any]
) -> sp.Expr:
    """Growth rate of W^1 d^T + c W^2T for small weights, two layers, d the unit row along the drive.

    `seen` says where the other branch stands, so that `drive` is what is left of the error.
    """
    lead = small_weights(*((branch,) if seen else ()))
    written = flow.rhs.subs(eq5.lhs, normal(eq5.rhs.subs(seen))).subs(totals(eq2)).subs(TWO)
    moved = [lead(normal(written.subs(l, n))) for n in (1, 2)]
    if any(found.order != WEIGHT**2 for found in moved):
        raise SolveError("what is left out is not of second order in the weights")
    d, squares = drive / length, {(drive, T(drive)): length**2}
    first, second = layer(branch, 1), layer(branch, 2)
    now = normal(first * T(d) + c * T(second))
    change = normal(moved[0].term * T(d) + c * T(moved[1].term), squares)
    speed = sp.expand(c * change.coeff(T(second)))
    if normal(sp.expand(normal(change - sp.expand(speed * now)))).subs({c**3: c, c**2: 1}) != 0:
        raise SolveError(f"the mode does not grow by itself: {change}")
    return speed.subs({c**2: 1})


def _decayed_residual(eq5b: sp.Eq) -> sp.Expr:
    return normal(eq5b.rhs.subs(W_B_tot, 0))


def _late_rate(eq135: sp.Tuple, eq5b: sp.Eq, eq2: sp.Tuple) -> sp.Expr:
    """Of B at the plateau of A, whose total weights stay a symbol."""
    plateau = matrix("P_A")
    solved = residual_decayed - (_decayed_residual(eq5b) - Y_B).subs(W_A_tot, plateau)
    return mode_rate(eq135[1], eq5b, eq2, "W_B", residual_decayed, r_lambda, {W_A_tot: plateau, Y_B: solved})


_cross = sp.Symbol("Sigma_AB", real=True)
_alone = named("w_A", r"w_A", positive=True)


def _plateau(eq136: sp.Tuple) -> sp.Expr:
    """A scalar A alone at rest, Sigma_yx_A and w_A positive: from the group lasso."""
    law = eq136[1].subs({W_B_tot: 0, Y_A: a, S_A: variance, W_A_tot: _alone, size: _alone})
    (found,) = sp.solve(law.lhs - law.rhs, _alone)
    return found


def _scalar_residual(eq136: sp.Tuple, eq5b: sp.Eq, eq31: sp.Tuple) -> sp.Expr:
    """c times the residual of a scalar B with decay; Sigma_AB by c r, the residual without."""
    numbers = {Y_A: a, Y_B: b, S_A: variance, S_AB: _cross}
    (cross,) = sp.solve(eq31[2].rhs.subs(numbers) - c * r, _cross)
    decayed = _decayed_residual(eq5b).subs(W_A_tot, _plateau(eq136)).subs(numbers).subs(_cross, cross)
    return sp.expand(sp.expand(c * decayed)).subs(c**2, 1)


def _critical(eq136: sp.Tuple, eq5b: sp.Eq, eq31: sp.Tuple) -> sp.Expr:
    (found,) = sp.solve(_scalar_residual(eq136, eq5b, eq31) - decay, decay)
    return found


def _distance(eq136: sp.Tuple, eq5b: sp.Eq, eq31: sp.Tuple) -> sp.Expr:
    """r_lambda - lambda by lambda_*."""
    gap, root = _scalar_residual(eq136, eq5b, eq31) - decay, _critical(eq136, eq5b, eq31)
    if not equal(sp.expand(gap.subs(decay, 0)), r) or sp.simplify(sp.diff(gap, decay, 2)) != 0:
        raise SolveError("the residual is not linear in the decay")
    found = r * (1 - decay / critical)
    if sp.simplify(found.subs(critical, root) - gap) != 0:
        raise SolveError(f"{found} is not r_lambda - lambda")
    return found


EXT_137 = Entry(
    137, "", "critical weight decay, two layers",
    (
        Statement(
            equation(residual_decayed, Y_B - W_A_tot * S_AB),
            lambda eq5b: equation(residual_decayed, _decayed_residual(eq5b)),
        ),
        Statement(equation(MODE, c * r_lambda - decay), _late_rate),
        Statement(
            sp.Le(r_lambda, decay), lambda eq135, eq5b, eq2: sp.Le(_late_rate(eq135, eq5b, eq2).subs(c, 1), 0),
        ),
        Statement(equation(_alone, PLATEAU_WITH_DECAY), _plateau),
        Statement(equation(critical, CRITICAL_DECAY_SCALAR), _critical),
        Statement(equation(r_lambda - decay, r * (1 - decay / critical)), _distance),
    ),
    (EXT_135, EXT_136, EQ_5B, EQ_2, EQ_31),
    condition="L = L_f = 2, one output, W_A^tot the plateau of A alone with decay; second line: c = 1 for the mode "
    "along the residual, -1 for the other, (101); from the fourth line on scalar inputs, Sigma_yx_A and Sigma_yx_B "
    "positive after a change of signs, a > b, lambda < a, c r the residual without decay",
    proof="Near W_B = 0 the mode that the residual drives grows at r_lambda - lambda. Where that is not positive, "
    "W_B = 0 meets the condition of the group lasso, |e_B| <= lambda: it is the minimum of a convex function, and B "
    "is never learned. Scalars: r_lambda is linear in lambda and meets it at lambda_*.",
    note="lambda_* = a/(t_B/t_A) with the ratio (9) and its sign c: the more biased, the less decay it takes. For "
    "a > b it lies between 0 and a for either sign; for c = -1 below it too B is learned from a random start only. A "
    "start of B that is not small falls back to zero, which takes long near lambda_*.",
    claims=(
        Statement(
            equation(critical, a / (1 + (a - c * b) / r)), lambda: CRITICAL_DECAY_SCALAR,
            claim="lambda_* is a over the time ratio without decay",
        ),
    ),
)  # fmt: skip

# ---- 138.


def _half_time(eq18b: sp.Eq, eq24: sp.Tuple) -> sp.Expr:
    """The sigmoid (109) of a layer that is shrunk too."""
    law = equation(eq18b.lhs, eq18b.rhs - shrinkage(layer("W_A", 2)))
    w, speed = total_speed(law, eq24, "W_A")
    (end,) = sp.solve(sp.cancel(speed / w), w)
    excess, growth = sp.symbols("excess growth", positive=True)  # |Sigma_yx| - lambda; exp(2 excess t/tau)
    grown = sp.expand(solution(law, eq24, "W_A").subs(strength, decay + excess)).subs(
        sp.exp(-2 * excess * t / tau), 1 / growth
    )
    (half,) = sp.solve(grown - end.subs(strength, decay + excess) / 2, growth)
    return (tau * sp.log(sp.expand(half)) / (2 * excess)).subs(excess, strength - decay)


EXT_138 = Entry(
    138, "", "half-time of one modality with weight decay, two layers",
    (Statement(equation(HALF, tau * HALF_TIME_WITH_DECAY), _half_time),), (EQ_18B, EQ_24),
    condition="two layers, Sigma_m = sigma^2 I, the other modality absent or uncorrelated, aligned balanced start "
    "below the half, lambda < |Sigma_yx|",
    proof="dw/dt = 2 w (|Sigma_yx| - lambda - sigma^2 w): (109) with |Sigma_yx| - lambda for |Sigma_yx|. The half is "
    "that of the plateau (|Sigma_yx| - lambda)/sigma^2.",
    note="From lambda = |Sigma_yx| on the modality is never learned.",
)  # fmt: skip

# ---- 139.


def _times(eq135: sp.Tuple, eq5a: sp.Eq, eq5b: sp.Eq, eq2: sp.Tuple) -> tuple[sp.Expr, sp.Expr]:
    """t_A, and the lag of B from where its mode c is at t_A, to sizes of order one."""
    grow_a = mode_rate(eq135[0], eq5a, eq2, "W_A", Y_A, a, {}).subs(c, 1)
    grow_b = mode_rate(eq135[1], eq5b, eq2, "W_B", Y_B, b, {})
    grow_last = _late_rate(eq135, eq5b, eq2).subs(c, 1)
    first = tau * (sp.log(X) - sp.log(u_0)) / grow_a
    begun = sp.log(u_0) + first / tau * grow_b  # ln u_B at t_A
    return first, tau * (sp.log(X_B) - begun) / grow_last


def _ratio(eq135: sp.Tuple, eq5a: sp.Eq, eq5b: sp.Eq, eq2: sp.Tuple) -> sp.Expr:
    first, lag = _times(eq135, eq5a, eq5b, eq2)
    return 1 + lag / first


EXT_139 = Entry(
    139, "", "time ratio with weight decay, two layers",
    (
        Statement(
            equation(t_A, tau * FIRST_WITH_DECAY), lambda eq135, eq5a, eq5b, eq2: _times(eq135, eq5a, eq5b, eq2)[0],
            lead=small(u_0), neglected=LOG_ORDER,
        ),
        Statement(equation(RATIO, RATIO_WITH_DECAY), _ratio, lead=small(u_0), neglected=LOG_ORDER),
        Statement(
            equation(RATIO, RATIO_WITH_DECAY_SCALAR),
            lambda eq135, eq5a, eq5b, eq2, eq137: _ratio(eq135, eq5a, eq5b, eq2).subs(r_lambda, decay + eq137[5].rhs),
            lead=small(u_0), neglected=LOG_ORDER,
        ),
    ),
    (EXT_135, EQ_5A, EQ_5B, EQ_2, EXT_137),
    condition="L = L_f = 2; u_0 -> 0 at a fixed lambda below a and below r_lambda; r_lambda as in (137), c the sign "
    "with which it points along Sigma_yx_B; the last line scalar inputs",
    proof="Modes grow at a - lambda, c b - lambda until t_A and r_lambda - lambda after it; the lag is ln 1/u_B(t_A) "
    "over the last.",
    note="Near lambda_* it fails at any start that is not extremely small: what is left out, of order one in "
    "(r_lambda - lambda) t, is B's small plateau and its gain before A has settled.",
    claims=(
        Statement(
            equation(RATIO, 1 + (a - c * b) / r), lambda: RATIO_WITH_DECAY.subs(decay, 0).subs(r_lambda, r),
            claim="without decay it is (9) with its sign c",
        ),
    ),
)  # fmt: skip

# ---- 140.

_z, _end = sp.symbols("z epsilon", positive=True)
_late_start = sp.Symbol("z_0", positive=True)
POWER = named("u_A^(2-L)(t)", r"u_A^{2-L}(t)", positive=True)
SECOND = named("u_B^(2-L)(t_A)", r"u_B^{2-L}(t_A)", positive=True)
FLOW_OF_POWER = named("tau*du_A^(2-L)/dt", r"\tau\frac{d}{dt}u_A^{2-L}", real=True)


def _slow(eq135: sp.Tuple) -> sp.Expr:
    """tau du_A/dt of late fusion near zero: the words of (42a) on the ansatz (43), every layer shrunk too."""
    pulled = equation(eq135[0].lhs, normal(eq135[0].rhs + decay * layer("W_A", l)).subs(e_A, Y_A))
    moves = [(moved - decay * shape, shape) for moved, shape in branch_moves("W_A", pulled, shapes())]
    return sp.expand(speed_of(moves, u_A).subs(L_f, L))


def _flow_of_power(eq135: sp.Tuple) -> sp.Expr:
    speed = sp.diff(u_A ** (2 - L), u_A) * _slow(eq135)
    terms = [canonical(part.subs(u_A, _z ** (1 / (2 - L)))) for part in sp.Add.make_args(sp.expand(speed))]
    found = sp.Add(*(sp.powsimp(part) for part in terms))
    if sp.simplify(sp.diff(found, _z, 2)) != 0:
        raise SolveError(f"{found} is not linear")
    return found


_growth = sp.Symbol("growth", positive=True)  # exp((L-2) lambda t/tau)


def _power_at(eq135: sp.Tuple, since: sp.Expr = u_0 ** (2 - L)) -> sp.Expr:
    """u_A^(2-L) at t: the linear flow solved, and put back into it."""
    flow = _flow_of_power(eq135)
    gain = sp.diff(flow, _z)
    rest = -flow.subs(_z, 0) / gain
    found = rest + (since - rest) * sp.exp(gain * t / tau)
    if not equal(sp.expand(tau * sp.diff(found, t) - gain * (found - rest)), 0) or found.subs(t, 0) != since:
        raise SolveError(f"{found} does not solve the flow")
    return found


def _grown(eq135: sp.Tuple, since: sp.Expr = u_0 ** (2 - L)) -> tuple[sp.Expr, sp.Expr]:
    """The same with the growth by its name, and the rate of the growth."""
    gain = sp.diff(_flow_of_power(eq135), _z)
    return _power_at(eq135, since).subs(sp.exp(gain * t / tau), _growth), gain


def _growth_until(eq135: sp.Tuple, since: sp.Expr, end: Any) -> sp.Expr:
    """The growth by which u_A^(2-L) has come from `since` down to `end`."""
    (found,) = sp.solve(_grown(eq135, since)[0] - end, _growth)
    return found


def _time_until(eq135: sp.Tuple, since: sp.Expr, end: Any = _end) -> sp.Expr:
    return tau / _grown(eq135)[1] * sp.log(_growth_until(eq135, since, end))


def _threshold(eq135: sp.Tuple) -> sp.Basic:
    """The norm grows at the start."""
    return sp.Gt(canonical(_slow(eq135).subs(u_A, u_0) / u_0 + decay), decay)


def _second_power(eq135: sp.Tuple) -> sp.Expr:
    """u_B^(2-L) at t_A, driven by c b from the same start."""
    start_at = u_0 ** (2 - L)
    at_end = _grown(eq135)[0].subs(a, c * b)
    return sp.factor(at_end.subs(_growth, _growth_until(eq135, start_at, 0)))


def _lag(eq135: sp.Tuple) -> sp.Expr:
    """From there, driven by the residual."""
    return _time_until(eq135, _late_start).subs(a, r).subs(_late_start, _second_power(eq135))


def _second_threshold(eq135: sp.Tuple) -> sp.Basic:
    """B's norm grows at t_A: lambda u_B^(2-L) < r, solved for lambda."""
    share = sp.Symbol("share", positive=True)  # lambda u_0^(2-L)
    power = (_second_power(eq135) / u_0 ** (2 - L)).subs(decay, share * u_0 ** (L - 2))
    (found,) = sp.solve(sp.simplify(share * power) - r, share)
    return sp.Lt(decay, found * u_0 ** (L - 2))


EXT_140 = Entry(
    140, "", "weight decay at three layers and more, late fusion",
    (
        Statement(equation(rate(u_A), a * u_A ** (L - 1) - decay * u_A), _slow),
        Statement(equation(FLOW_OF_POWER, (2 - L) * (a - decay * _z)), _flow_of_power),
        Statement(
            equation(POWER, a / decay + (u_0 ** (2 - L) - a / decay) * sp.exp((L - 2) * decay * t / tau)),
            _power_at,
        ),
        Statement(sp.Gt(THRESHOLD, decay), _threshold),
        Statement(
            equation(t_A, tau * DEEP_WITH_DECAY), lambda eq135: _time_until(eq135, u_0 ** (2 - L)),
            lead=first_order(_end, 0), neglected=_end,
        ),
        Statement(
            equation(t_A, tau * u_0 ** (2 - L) / ((L - 2) * a)),
            lambda eq135: _time_until(eq135, u_0 ** (2 - L), 0),
            lead=first_order(decay, 0), neglected=decay,
        ),
        Statement(equation(SECOND, SECOND_POWER_WITH_DECAY), _second_power),
        Statement(
            equation(LAG_NAME, tau * LAG_WITH_DECAY_DEEP), _lag, lead=first_order(_end, 0), neglected=_end,
        ),
        Statement(sp.Lt(decay, SECOND_THRESHOLD), _second_threshold),
    ),
    (EXT_135,),
    condition="L_f = L > 2, weights near zero, aligned balanced start at u_0 for both, scalar inputs for B; lambda "
    "of the order u_0^(L-2), below the threshold of its modality; z = u_A^(2-L), epsilon its value, or that of B, "
    "where it counts as learned; c as in (102)",
    proof="(3a) near zero on (43), every layer shrunk at lambda; the flow of z is linear. z reaches zero iff it "
    "falls at the start. B from u_0 with c b for a until t_A, then with r from where it is.",
    note="A modality whose drive is below lambda u_0^(2-L) is never learned: here the start decides, not the "
    "minimum. To leading order the threshold of B is that of (137), times u_0^(L-2). Left out: saturation, and what "
    "the decay, small as u_0^(L-2), does to the plateau of A and so to r.",
)  # fmt: skip
