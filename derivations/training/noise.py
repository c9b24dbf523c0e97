"""Mini-batches and schedules of the learning rate: to first order in it the flow stays. 144, 145."""

from __future__ import annotations

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, first_order
from derivations.algebra.matrices import S_A, S_BA, Y_A, W_A_tot, W_B_tot
from derivations.algebra.notation import L_f, a, b, batch, c, eta, l, named, rate, t, tau
from derivations.algebra.ordered_products import Layers, T, normal, words
from derivations.algebra.positive_powers import equal
from derivations.errors import SolveError
from derivations.flow.symbolic_flow import EQ_14A, TRUNK
from derivations.times.two_layer_cases import EXT_124

__all__ = ["VARIANCE_OF_WEIGHTS"]

#: One weight w that moves at f(w): f' and f'' there, and the variance of the gradient of one sample.
flow, slope, curvature = (named(name, latex, real=True) for name, latex in (("f", "f"), ("f'", "f'"), ("f''", "f''")))
spread = sp.Symbol("v", positive=True)
MEAN_STEP = sp.Symbol("mean of Delta W_A^l")
OF_BATCH = named("variance of the mean of a batch", r"\mathrm{var}_n", positive=True)
OF_WEIGHTS = named("variance of w(t)", r"\mathrm{var}\,w(t)", positive=True)
ERROR = named(
    "limit of (w(t + eta) - w(t) - eta*f)/eta^2",
    r"\lim_{\eta\to 0}\frac{w(t + \eta) - w(t) - \eta f}{\eta^2}",
    real=True,
)
BEGIN, END = sp.symbols("f_begin f_end", positive=True)
LATENESS = named(
    "limit of (t(steps) - t(flow))/eta",
    r"\lim_{\eta\to 0}\frac{t_{\mathrm{steps}} - t_{\mathrm{flow}}}{\eta}",
    real=True,
)
#: What single samples add to a weight whose flow has the slope f' until t, in units of tau.
VARIANCE_OF_WEIGHTS = eta * spread * (sp.exp(2 * slope * t) - 1) / (2 * slope * batch)

# ---- 144.


def _mean_step(eq14a: sp.Eq) -> sp.Expr:
    """(14a) with the correlations of a batch, the mean of n drawn samples, whose mean is that of the data.

    Each word holds one correlation, so the mean of the step is the step of the mean.
    """
    j = sp.Symbol("j", integer=True, positive=True)
    found = []
    for coefficient, word in words(normal(eq14a.rhs)):
        if sum(factor in (Y_A, S_A, S_BA) for factor in word) != 1:
            raise SolveError(f"{sp.Mul(*word)} is not linear in the correlations")
        found.append(coefficient * sp.Sum(1 / batch, (j, 1, batch)).doit() * sp.Mul(*word))
    return sp.Add(*found)


def _variance() -> sp.Expr:
    """Of the mean of n values, drawn independently: n pairs of the same draw, n (n - 1) of two."""
    square, mean = sp.symbols("square mean", real=True)
    second = (batch * square + batch * (batch - 1) * mean**2) / batch**2
    return sp.expand(sp.expand(second - mean**2).subs(square, spread + mean**2))


def _accumulated() -> sp.Expr:
    """Deviations d -> (1 + eta f') d + eta (noise), from none, for t/eta steps; the sum is checked step by step."""
    steps = sp.Symbol("steps", positive=True)
    kept, added = (1 + eta * slope) ** 2, eta**2 * _variance()

    def claim(number: sp.Expr) -> sp.Expr:
        return added * (sp.exp(number * sp.log(kept)) - 1) / (kept - 1)

    gap = sp.expand(sp.expand_power_exp(claim(steps + 1)) - kept * claim(steps) - added)
    if claim(sp.Integer(0)) != 0 or sp.simplify(gap) != 0:
        raise SolveError("the variance is not summed")
    return claim(t / eta)


def _drift() -> sp.Expr:
    """The mean of f(w + d) to second order in d, whose mean is zero."""
    d = sp.Symbol("d", real=True)
    taylor = flow + slope * d + curvature * d**2 / 2
    return sp.expand(taylor).subs(d**2, _accumulated()).subs(d, 0)


_SEEN = Y_A - W_A_tot * S_A - W_B_tot * S_BA
_STEP = T(TRUNK * Layers("W_A", L_f, l + 1)) * _SEEN * T(Layers("W_A", l - 1, 1))
EXT_144 = Entry(
    144, "", "mini-batches",
    (
        Statement(equation(MEAN_STEP, eta * _STEP), _mean_step),
        Statement(equation(OF_BATCH, spread / batch), _variance),
        Statement(
            equation(OF_WEIGHTS, VARIANCE_OF_WEIGHTS), _accumulated, lead=first_order(eta, 1), neglected=eta**2,
        ),
        Statement(
            equation(rate("<w>"), flow + curvature * VARIANCE_OF_WEIGHTS / 2), _drift,
            lead=first_order(eta, 1), neglected=eta**2,
        ),
    ),
    (EQ_14A,),
    condition="batches of n samples drawn with replacement, independently at each step; last two lines: one weight, "
    "f' and the variance v of the gradient of a sample held fixed, times in units of tau",
    proof="The step (14) is linear in the correlations. Variances of independent steps add up to order eta/n at a "
    "given t; the mean of f(w + d) differs from f by f''/2 of it.",
    note="Left out is the covariance of the gradient, eta/n at a time: it spreads the times over seeds, shifts their "
    "mean in the same order, and near a saddle, where f' > 0, it grows like the weights themselves: where it exceeds "
    "the start, it and not u_0 sets the clock. Drawn without replacement the mean is the same, the variance smaller.",
)  # fmt: skip

# ---- 145.


def _local_error() -> sp.Expr:
    """The flow for a time eta minus one step, term by term in eta: d/dt is f d/dw. The first that is left."""
    w = sp.Symbol("w", real=True)
    f = sp.Function("f")(w)
    terms, found = w, []
    for order in range(3):
        step = {0: w, 1: f}.get(order, sp.Integer(0))
        found.append(sp.expand(terms / sp.factorial(order) - step))
        terms = f * sp.diff(terms, w)
    if found[:2] != [0, 0]:
        raise SolveError(f"a step already misses {found[:2]}")
    return found[2].subs(sp.diff(f, w), slope).subs(f, flow)


def _lateness() -> sp.Expr:
    """Steps follow f less eta times the local error: how much longer a way takes, per eta, dw = df/f'."""
    longer = sp.diff(tau / (flow - eta * _local_error()), eta).subs(eta, 0)
    held = sp.Symbol("f", positive=True)
    return sp.integrate(sp.cancel(longer / slope).subs(flow, held), (held, BEGIN, END))


_first, _second = sp.symbols("h_1 h_2", positive=True)


def _time_of_two_steps(eq124: sp.Tuple) -> sp.Expr:
    """tau times what a mode of growth rate a has gained in two steps of different rates, over a."""
    gained = [sp.log(eq124[0].rhs.subs({c: 1, b: a}).subs(eta, eta * step)) for step in (_first, _second)]
    if not all(equal(gain.subs(eta, 0), 0) for gain in gained):
        raise SolveError("a step of no size moves")
    return tau * sum(gained) / a


EXT_145 = Entry(
    145, "", "schedules of the learning rate",
    (
        Statement(equation(ERROR, slope * flow / 2), _local_error),
        Statement(
            equation(t, tau * eta * (_first + _second)), _time_of_two_steps, lead=first_order(eta, 1), neglected=eta**2,
        ),
        Statement(equation(LATENESS, tau * sp.log(END / BEGIN) / 2), _lateness),
    ),
    (EXT_124,),
    condition="rates eta h_1, eta h_2, ... of the steps, none of them large: eta is of the order of the largest; "
    "gradient descent without momentum; last line: one weight on its way from where it moves at f_begin to f_end of "
    "the same sign, steps of one size",
    proof="One step misses eta^2/2 d^2w/dt^2 of the flow. A mode near zero gains ln(1 + eta h a) in a step, (124): "
    "the time of the flow is the sum of the rates, step after step. Steps of one size follow f - eta f' f/2, so that "
    "dt is longer by eta/2 f'/f dw, which is the differential of eta/2 ln f.",
    note="Warm-up, decay and cosine only change the clock. To the next order a step of the rate eta counts as eta - "
    "eta^2 a/2 for a mode that grows at a: large steps early, where A grows, count for less.",
)  # fmt: skip
