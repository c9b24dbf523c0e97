"""Optimizers that people train with: momentum, and those that treat each entry by itself. 146-151.

146  networks of equal entries stay so under any step that is odd and taken entry by entry (Adam, AdamW, RMSprop)
147  how these entries grow under Adam, and the steps to half
148  what the means of gradients and of their squares add to it
149  mini-batches under Adam
150  gradient modulation under Adam
151  momentum and Nesterov's
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, first_order, small
from derivations.algebra.matrices import e_A, e_B, matrix
from derivations.algebra.notation import L, L_f, a, b, batch, c, eta, kappa, l, named, r, u_0
from derivations.algebra.ordered_products import Direction, T, normal
from derivations.algebra.positive_powers import Leading
from derivations.algebra.power_series import is_zero, taylor
from derivations.errors import SolveError
from derivations.flow.ansatz import FUSED, Shapes, branch_moves, trunk_moves
from derivations.flow.symbolic_flow import EQ_3A, EQ_3B, EQ_4
from derivations.times.conditions import LOG_ORDER
from derivations.times.names import RATIO, X_B, X
from derivations.times.two_layer_cases import EXT_124
from derivations.training.noise import EXT_144, spread

__all__ = [
    "BATCH_FACTOR", "FORGETTING", "GROWTH_OF_MOMENTUM", "GROWTH_OF_NESTEROV", "LAG", "RATIO_OF_MOMENTUM", "SATURATING",
    "STEPS_TO_HALF", "beta", "first_beta", "second_beta", "units", "weight",
]  # fmt: skip

beta = named("beta", r"\beta", positive=True)
first_beta, second_beta = named("beta_1", r"\beta_1", positive=True), named("beta_2", r"\beta_2", positive=True)
units, weight = sp.symbols("h w", positive=True)
n = named("steps", "n", positive=True)
z = sp.Symbol("z", positive=True)
N_HALF = named("n_half", "n_{1/2}", positive=True)
ENTRY = named("z(n)", "z(n)", positive=True)
BY_SIGN = named("z(n), sign descent", r"z(n)\ \mathrm{(sign)}", positive=True)
w_A, w_B = sp.symbols("w_A w_B", positive=True)

# ---- 146: gradients on networks of equal entries, s = sqrt(h) r of signs, for any depth and fusion.

_row = {m: matrix(f"a_{m}", rf"\mathbf{{a}}_{m}") for m in "AB"}
_inner, _last = ({m: sp.Symbol(f"{name}_{m}", positive=True) for m in "AB"} for name in ("y", "p"))
_trunk, _output = sp.symbols("q s", positive=True)
_pull = {m: sp.Symbol(f"g_{m}", real=True) for m in "AB"}
_rows = {"A": e_A, "B": e_B}
_i = sp.Symbol("i", integer=True, positive=True)
_j = sp.Symbol("j", integer=True, positive=True)


def _equal_entries() -> Shapes:
    """A number of its own for the first, the inner and the last layers of each branch, the trunk and its end."""

    def of(m: str, at: Any) -> sp.Expr:
        return Direction(f"r_{m}", at)

    return Shapes(
        {f"W_{m}": of(m, 1) * _row[m] for m in "AB"},
        {f"W_{m}": _inner[m] * of(m, _i) * T(of(m, _i - 1)) for m in "AB"},
        {f"W_{m}": _last[m] * FUSED * T(of(m, L_f - 1)) for m in "AB"},
        _trunk * Direction("r", _j) * T(Direction("r", _j - 1)),
        _output * T(Direction("r", L - 1)),
    )


_PULLS = {(_rows[m], T(_row[m])): _pull[m] for m in "AB"} | {(_row[m], T(_rows[m])): _pull[m] for m in "AB"}


def _moved(m: str, place: int, flow: sp.Eq) -> sp.Expr:
    """-dloss/dW of an inner (0), the first (1) or the last layer (2) of a branch."""
    moved, _ = branch_moves(f"W_{m}", flow, _equal_entries())[place]
    return normal(moved, _PULLS)


def _of_branch(m: str, place: int) -> Callable[[sp.Eq], sp.Expr]:
    if m == "A":
        return lambda eq3a: _moved("A", place, eq3a)
    return lambda eq3b: _moved("B", place, eq3b)


def _moved_trunk(place: int, flow: sp.Eq) -> sp.Expr:
    return normal(trunk_moves(flow, _equal_entries())[place][0], _PULLS)


def _printed(m: str) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    inner, last, whole = _inner[m], _last[m], _trunk ** (L - L_f - 1) * _output
    d = partial(Direction, f"r_{m}")
    return (
        whole * last * inner ** (L_f - 3) * _pull[m] * d(l) * T(d(l - 1)),
        whole * last * inner ** (L_f - 2) * d(1) * _rows[m],
        whole * inner ** (L_f - 2) * _pull[m] * FUSED * T(d(L_f - 1)),
    )


_SUM = sum(_last[m] * _inner[m] ** (L_f - 2) * _pull[m] for m in "AB")
_PLACES = (l, 1, L_f)


def _downhill(label: str, at: Any) -> sp.Symbol:
    return sp.Symbol(f"-dloss/d{label}^{at}")


def adam_steps(gradients: tuple[sp.Expr, ...], scale: Any = 1) -> sp.Expr:
    """What Adam adds to an entry after these gradients -g, eps = 0: eta times the mean over the root mean square.

    scale : divided out of both
    """
    mean = square = moved = sp.Integer(0)
    for count, gradient in enumerate(gradients, start=1):
        mean = sp.expand(first_beta * mean + (1 - first_beta) * gradient)
        square = sp.expand(second_beta * square + (1 - second_beta) * gradient**2)
        above, below = sp.expand(mean / scale), sp.expand(square / scale**2)
        moved += eta * above / (1 - first_beta**count) / sp.sqrt(below / (1 - second_beta**count))
    return moved


_g = sp.symbols("g_1 g_2 g_3", positive=True)
STEPS = adam_steps(_g)
STEP = named("sum of Delta z", r"\sum \Delta z")
_MANIFOLD_PROOF = (
    "Numbers times r^l r^(l-1)T multiply to a number times r^h r^(l-1)T (r^T r = 1), so the gradient of every layer "
    "but the first is a number times its own r^l r^(l-1)T, at a fusion too, where branches share r^L_f; that of the "
    "first is r^1 times a row. With r = signs/sqrt(h) the entries of a layer, or of a column of the first one, have "
    "gradients that differ in sign alone; a step that is odd keeps them equal; the last line is three steps of Adam."
)


def _in_trunk(inside: sp.Expr, ends: sp.Expr, column: sp.Expr) -> sp.Expr:
    return sp.Add(*(inside * ends * _last[m] * _inner[m] ** (L_f - 2) * _pull[m] * column for m in "AB"))


EXT_146 = Entry(
    146, "", "networks of equal entries",
    (
        *(
            Statement(equation(_downhill(f"W_{m}", _PLACES[place]), _printed(m)[place]), _of_branch(m, place))
            for place in range(3) for m in "AB"
        ),
        Statement(
            equation(
                _downhill("W", l),
                _in_trunk(_trunk ** (L - L_f - 2), _output, Direction("r", l) * T(Direction("r", l - 1))),
            ),
            lambda eq4: _moved_trunk(0, eq4),
        ),
        Statement(
            equation(_downhill("W", L), _in_trunk(_trunk ** (L - L_f - 1), sp.Integer(1), T(Direction("r", L - 1)))),
            lambda eq4: _moved_trunk(1, eq4),
        ),
        Statement(equation(STEP, -STEPS), lambda: adam_steps(tuple(-g for g in _g))),
    ),
    (EQ_3A, EQ_3B, EQ_4),
    condition="one output; W^1 = r^1 a, W^l = y r^l r^(l-1)T, last layers of branches p, trunk q, end s; columns r of "
    "signs over sqrt(h), g = a e^T; optimizers that step each entry by its own gradients, oddly",
    proof=_MANIFOLD_PROOF,
    note="Inner layers may have numbers of their own: they come out of the product. Several outputs have no such "
    "manifold: units differ in the signs of their last weights. Coordinates matter: turned inputs or units are another "
    "problem. A random start comes near within tens of steps: Adam's first steps are eta times a sign.",
)  # fmt: skip

# ---- 147: growth while squares of gradients are not forgotten, and none of it has saturated.

_drive, _size, _power, _time = sp.symbols("D K p x", positive=True)
#: Of an entry on the way to its plateau, in units of both: the error falls with the total weight, z^L.
SATURATING = z ** (L - 1) * (1 - z**L)
GRADIENT = named("g(z)", "g(z)", positive=True)
STEPS_TO_HALF = (weight / 2) ** (1 / L) * units ** (-(L - 1) / L) / (sp.sqrt(2 * L - 1) * eta)


def _gradient(eq146: sp.Tuple) -> sp.Expr:
    """Of an entry, in z, the size of all: the inner layers of (146) without a trunk, the row z times a drive."""
    number = sp.Mul(*eq146[0].rhs.args_cnc()[0])
    found = number.subs({_inner["A"]: z, _last["A"]: z, _pull["A"]: z * _drive, _trunk: 1, _output: 1, L_f: L})
    return sp.powsimp(found)


def _speed(power: Any, eq146: sp.Tuple) -> sp.Expr:
    """eta g over the root of the mean of g^2 where z = K x^power."""
    gradient = _gradient(eq146).subs(z, _size * _time**power)
    square = sp.powsimp(sp.expand_power_base(gradient**2), force=True)
    scale = square / _time ** (2 * power * (L - 1))
    mean = scale * n ** (2 * power * (L - 1) + 1) / (2 * power * (L - 1) + 1) / n
    if sp.simplify(sp.diff(mean * n, n) - square.subs(_time, n)) != 0:
        raise SolveError("the mean of squares is not integrated")
    return sp.simplify(eta * gradient.subs(_time, n) / sp.sqrt(mean))


def _growth(eq146: sp.Tuple) -> sp.Expr:
    """z = K n^p: the speed does not depend on n, so that p = 1."""
    speed = _speed(_power, eq146)
    if speed.has(n, _size, _drive):
        raise SolveError(f"the speed {speed} is not constant")
    return speed.subs(_power, 1) * n


def _growth_by_sign(eq146: sp.Tuple) -> sp.Expr:
    """Steps eta times the sign of the gradient, of all entries alike."""
    return eta * sp.sign(_gradient(eq146).subs(L, 3)) * n


def _steps_to_half(eq146: sp.Tuple) -> sp.Expr:
    """h^(L-1) z^L = w/2."""
    pace = _growth(eq146) / n
    needed = (weight / 2 / units ** (L - 1)) ** (1 / L)
    return sp.powsimp(sp.expand_power_base(needed, force=True)) / pace


EXT_147 = Entry(
    147, "", "Adam: growth of the entries, steps to half",
    (
        Statement(equation(ENTRY, sp.sqrt(2 * L - 1) * eta * n), _growth),
        Statement(equation(BY_SIGN, eta * n), _growth_by_sign),
        Statement(equation(GRADIENT, SATURATING), lambda eq146: _gradient(eq146).subs(_drive, 1 - z**L)),
        Statement(equation(N_HALF, STEPS_TO_HALF), _steps_to_half),
        Statement(
            equation(RATIO, (w_B / w_A) ** (1 / L)),
            lambda eq146: sp.powsimp(
                _steps_to_half(eq146).subs(weight, w_B) / _steps_to_half(eq146).subs(weight, w_A)
            ),
        ),
    ),
    (EXT_146,),
    condition="late fusion, scalar inputs, w the weight at the plateau (> 0); small start, eps = 0; steps to half many "
    "beside 1/(1 - beta_1), few beside 1/(1 - beta_2); the fall of the error on the way to half left out",
    proof="With equal entries z the gradient of each is D z^(L-1). Adam divides it by the root of the mean of its "
    "squares, whatever D is: z = K n^p gives a constant speed eta sqrt(2p(L-1) + 1), so p = 1. Total weights are "
    "h^(L-1) z^L. Sign descent walks at eta. On the way to the plateau D is 1 - z^L.",
    note="The smaller weight is first, however strongly the other one is correlated. That the error has fallen to a "
    "half by then adds 11, 8, 7 % at L = 2, 3, 4, the same share for all: it leaves the ratio. Inputs of a vector "
    "saturate one by one: n goes by the level at which half of the output is there. Linear networks alone.",
)  # fmt: skip

# ---- 148: the next orders.

LAG = 2 * (L - 1) * first_beta / (1 - first_beta)
FORGETTING = (L - 1) * (1 - second_beta) / (2 * (3 * L + 1))
_off = sp.Symbol("delta", real=True)


def _mean_lag() -> sp.Expr:
    """The mean age of gradients with weights (1 - beta_1) beta_1^j, from the derivative of the geometric series."""
    return sp.simplify((1 - first_beta) * first_beta * sp.diff(1 / (1 - first_beta), first_beta))


def _average(of: sp.Expr, small_one: sp.Symbol) -> sp.Expr:
    """The mean over s from 0 to n of a sum of powers of s, to first order in a small number."""
    first = sp.series(of, small_one, 0, 2).removeO()
    found = sp.Integer(0)
    for part in sp.Add.make_args(sp.expand(first)):
        power = sp.simplify(_time * sp.diff(part, _time) / part)
        found += sp.simplify((part * _time / (power + 1)).subs(_time, n)) / n
    return found


def _shifted(eq147: sp.Tuple) -> sp.Expr:
    """n - K^-1 z where gradients are averaged: z = K (n + delta), delta constant, to first order in 1/n."""
    mark = sp.Symbol("mark", positive=True)  # of first order
    gradient = _time ** (L - 1) * (1 + (L - 1) * _off * mark / _time)
    mean = gradient - mark * _mean_lag() * sp.diff(_time ** (L - 1), _time)
    square = _average(sp.expand(gradient**2), mark)
    speed = eta * mean.subs(_time, n) / sp.sqrt(square) * n / eq147[0].rhs
    first = sp.simplify(sp.diff(speed, mark).subs(mark, 0))
    (found,) = sp.solve(first, _off)
    return sp.simplify(-found)


def _slowed(eq147: sp.Tuple) -> sp.Expr:
    """1 - z/(K n) where squares are forgotten: z = K n (1 + delta n), weights 1 - (1 - beta_2) (n - s), normalised."""
    mark, now = sp.symbols("mark now", positive=True)
    gradient = _time ** (L - 1) * (1 + (L - 1) * _off * mark * _time)
    aged = 1 + mark * (1 - second_beta) * (now / 2 - (now - _time))
    square = _average(sp.expand(gradient**2 * aged), mark).subs(now, n)
    speed = eta * gradient.subs(_time, n) / sp.sqrt(square) * n / eq147[0].rhs
    first = sp.simplify(sp.diff(speed, mark).subs(mark, 0)) - 2 * _off * n
    (found,) = sp.solve(sp.simplify(first / n), _off)
    return sp.factor(sp.simplify(-found * n))


LATER = named("n - z/(sqrt(2L - 1)*eta)", r"n - \frac{z}{\sqrt{2L - 1}\,\eta}")
SLOWER = named("1 - z/(sqrt(2L - 1)*eta*n)", r"1 - \frac{z}{\sqrt{2L - 1}\,\eta n}")
EXT_148 = Entry(
    148, "", "Adam: what its memory adds",
    (
        Statement(equation(LATER, LAG), _shifted),
        Statement(equation(SLOWER, FORGETTING * n), _slowed),
    ),
    (EXT_147,),
    condition="as (147); each line alone, to first order in 1/((1 - beta_1) n) and in (1 - beta_2) n",
    proof="A mean of gradients is that of beta_1/(1 - beta_1) steps ago; a weight of squares falls with its age. Put "
    "into the flow of z, the constant shift, and the slow-down in proportion to n, are the ones that solve it.",
    note="At beta_1 = 0.9 half-times are 18 (L - 1) steps later: it is added to all, so that the ratio falls. Where "
    "(1 - beta_2) n passes 1 no law is claimed.",
)  # fmt: skip

# ---- 149, 150.

mean_gradient = sp.Symbol("g", positive=True)
MEAN_SPEED = named("mean of dz/dn", r"\langle dz/dn \rangle", positive=True)
BATCH_FACTOR = mean_gradient / sp.sqrt(mean_gradient**2 + spread / batch)
EXT_149 = Entry(
    149, "", "Adam: mini-batches",
    (
        Statement(
            equation(MEAN_SPEED, eta * BATCH_FACTOR),
            lambda eq144: eta * mean_gradient / sp.sqrt(mean_gradient**2 + eq144[1].rhs),
        ),
    ),
    (EXT_144,),
    condition="entry whose gradient has the mean g and, over samples, the variance v, both held fixed; batches of n "
    "drawn independently; squares averaged over many steps",
    proof="The mean of squares is g^2 + v/n, by (144), and the mean of gradients g.",
    note="Noise takes more from the modality with the smaller signal: the ratio goes by c_A/c_B. Networks of equal "
    "entries stay so: a batch is one for all entries.",
)  # fmt: skip


EXT_150 = Entry(
    150, "", "Adam: gradient modulation",
    (Statement(equation(STEP, STEPS), lambda: adam_steps(tuple(kappa * g for g in _g), scale=kappa)),),
    condition="gradients times a constant factor kappa > 0, eps = 0; three steps",
    proof="kappa stands before the mean and before the root of the mean of squares.",
    note="On-the-fly gradient modulation, a weight of a loss, a learning rate that is put before the gradient: nothing "
    "of them is left under Adam while they are constant. A learning rate of a parameter group is another thing.",
)  # fmt: skip

# ---- 151: momentum.


def growth_of(rate: sp.Expr, nesterov: bool) -> sp.Expr:
    """The larger root of a step of (w, v): v <- beta v + rate w, w <- w + eta v, or w + eta (rate w + beta v)."""
    ahead = beta if nesterov else sp.Integer(1)
    looked = eta * rate if nesterov else sp.Integer(0)
    step = sp.Matrix([[1 + looked + eta * ahead * rate, eta * ahead * beta], [rate, beta]])
    return _root(sp.expand(step.trace()), sp.expand(step.det()))


def _root(sum_of_roots: sp.Expr, product: sp.Expr) -> sp.Expr:
    return (sum_of_roots + sp.sqrt(sum_of_roots**2 - 4 * product)) / 2


GROWTH_OF_MOMENTUM = _root(1 + beta + eta * a, beta)
GROWTH_OF_NESTEROV = _root(1 + beta + eta * a + eta * a * beta, beta + eta * a * beta)
RATIO_OF_MOMENTUM = 1 + (sp.log(GROWTH_OF_MOMENTUM) - sp.log(GROWTH_OF_MOMENTUM.subs(a, b))) / sp.log(
    GROWTH_OF_MOMENTUM.subs(a, r)
)
FACTOR = named("w(n + 1)/w(n)", r"\frac{w(n + 1)}{w(n)}", positive=True)
LOG_FACTOR = named("ln w(n + 1)/w(n)", r"\ln\frac{w(n + 1)}{w(n)}", positive=True)
NESTEROV = named("w(n + 1)/w(n), Nesterov", r"\frac{w(n + 1)}{w(n)}\ \mathrm{(Nesterov)}", positive=True)


def _while_damped(e: sp.Expr) -> Leading:
    """To first order in eta, beta below 1."""
    below = sp.Symbol("damping", positive=True)
    found = first_order(eta, 1)(sp.simplify(e.subs(beta, 1 - below)))
    return Leading(sp.simplify(sp.expand(found.term)).subs(below, 1 - beta), found.order)


def _by_roots(e: sp.Expr) -> Leading:
    """The first term in powers of sqrt(eta), and the relative order of the next."""
    root = sp.Symbol("root", positive=True)
    found = taylor(sp.simplify(e.subs(eta, root**2)), root, 5)
    one, next_one = [k for k in range(5) if not is_zero(found[k])][:2]
    return Leading(found[one] * eta ** sp.Rational(one, 2), eta ** sp.Rational(next_one - one, 2))


def _rate_of(eq124: sp.Tuple, drive: sp.Symbol) -> sp.Expr:
    """Growth of a mode in one small step, over eta."""
    return sp.expand((eq124[0].rhs - 1) / eta).subs({c: 1, b: drive})


def _log_growth(eq124: sp.Tuple) -> sp.Expr:
    return sp.log(growth_of(_rate_of(eq124, a), nesterov=False))


def _ratio_of_momentum(eq124: sp.Tuple) -> sp.Expr:
    """A at its root, B at its own until then, after that at that of its residual."""
    of = {s: sp.log(growth_of(_rate_of(eq124, s), nesterov=False)) for s in (a, b, r)}
    first = (sp.log(X) - sp.log(u_0)) / of[a]
    return 1 + (sp.log(X_B) - sp.log(u_0) - first * of[b]) / of[r] / first


EXT_151 = Entry(
    151, "", "momentum, two layers",
    (
        Statement(equation(FACTOR, GROWTH_OF_MOMENTUM), lambda eq124: growth_of(_rate_of(eq124, a), nesterov=False)),
        Statement(equation(NESTEROV, GROWTH_OF_NESTEROV), lambda eq124: growth_of(_rate_of(eq124, a), nesterov=True)),
        Statement(
            equation(LOG_FACTOR, eta * a / (1 - beta)), _log_growth,
            lead=_while_damped, neglected=eta**2,
        ),
        Statement(
            equation(LOG_FACTOR, sp.sqrt(eta * a)), lambda eq124: _log_growth(eq124).subs(beta, 1),
            lead=_by_roots, neglected=eta,
        ),
        Statement(equation(RATIO, RATIO_OF_MOMENTUM), _ratio_of_momentum, lead=small(u_0), neglected=LOG_ORDER),
    ),
    (EXT_124,),
    condition="v <- beta v - gradient, w <- w + eta v, as PyTorch has it, v = 0 at first; growth near zero at a, b, "
    "then r, by (124) at one step; residual of B with its own sign; fourth line beta = 1",
    proof="A step of (w, v) is a matrix; its larger eigenvalue is the growth per step.",
    note="While eta a is small beside (1 - beta)^2 momentum divides every time by 1/(1 - beta) and leaves the ratio; "
    "beyond it growth goes as sqrt(eta a), and what is slow gains: the excess of the ratio falls.",
)  # fmt: skip
