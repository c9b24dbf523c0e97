"""Next order in u_0 for scalar inputs: what saturation adds to t_A, to B meanwhile, and to the lag. 117-120.

    117  t_A at the half of A's plateau
    118  what B gains while A saturates
    119  the lag: what is left of B's way after it, and B's own transition
    120  late fusion from any start: A's transition acts on B as one step of its drive

n = L_f layers in a branch, q = L - L_f after the fusion, U = g^(1/L) the norm of every layer on A's plateau,
x = u_A/U, and the half at x = 2^(-1/L). While A saturates u_B is small beside u_A and is left out of the trunk. Near
zero and saturation meet at a size X between u_0 and U, which drops out: what is left of it vanishes with X.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation, small
from derivations.algebra.matrices import S_A, Y_A, Y_B, W_A_tot, W_B_tot
from derivations.algebra.notation import I, L, L_f, R, a, b, c, g, k, named, r, t_A, t_B, tau, u, u_0, u_A, u_B, x
from derivations.algebra.ordered_products import coefficient_of, normal
from derivations.algebra.positive_powers import canonical, equal, leading, separated
from derivations.errors import SolveError
from derivations.flow.ansatz import EQ_44A, EQ_44B
from derivations.flow.conservation import EQ_41, trunk_norm
from derivations.flow.symbolic_flow import EQ_5A, EQ_5B, EQ_52
from derivations.times.conditions import DEEP, LOG_ORDER
from derivations.times.deep import EQ_13, EQ_48, EQ_53, by_name
from derivations.times.formulas import HALF, LAG, LAG_AT_2, SATURATION
from derivations.times.names import LAG_NAME, RATIO, X, integral
from derivations.times.signed import EXT_106
from derivations.times.two_layers import EQ_26

ONE, TWO = sp.Integer(1), sp.Integer(2)
_FAR = sp.Symbol("far", positive=True)
C_L, C_G, C_B = sp.symbols("C_L C_G C_B", real=True)
GAIN = named("gain of B", r"\mathrm{gain}_B", real=True)
T_A, T_B = sp.symbols("T_A T_B", positive=True)
STEP = named("t_step", r"t_{\mathrm{step}}", positive=True)

# The forms that are printed below.
_ENDS = (
    integral(x ** (1 + L - L_f) / (1 - x**L), 0, HALF),
    integral((x ** (1 - L_f) - x ** (1 - L)) / (1 - x**L), HALF, 1),
)
CLOCK = -(HALF ** (2 - L_f)) / (L_f - 2) + _ENDS[0] + _ENDS[1]
CLOCK_AT_2 = sp.log(HALF) + _ENDS[0].subs(L_f, 2) + _ENDS[1].subs(L_f, 2)


@dataclass(frozen=True)
class _Plateau:
    """A on its way to the plateau with u_B left out, at u_A = x U; times in units of tau."""

    depth: Any  # L, or 2 (a SymPy number)
    fused: Any  # L_f, or 2
    share: sp.Expr  # e_A/|Sigma_yx_A|
    speed: sp.Expr  # du_A/dt before saturation
    clock: sp.Expr  # du_A/d theta, d theta = u^q dt: whatever the trunk is

    @classmethod
    def of(cls, sources: tuple[Any, ...], depth: Any = L, fused: Any = L_f) -> _Plateau:
        """From the first three sources: the growth near zero, the trunk, the error as A sees it."""
        eq44a, eq41, eq5a = sources[:3]
        depths = {L: depth, L_f: fused}
        trunk = trunk_norm(eq41.subs(u_B, 0))
        clock = canonical(eq44a.rhs / u ** (L - L_f)).subs(depths)
        if clock.has(u):
            raise SolveError(f"the trunk stays in {clock}")
        total = canonical((u_A**L_f * trunk ** (L - L_f) / g).subs(depths).subs(u_A, g ** (1 / depth) * x))
        left = normal(eq5a.rhs.subs({W_A_tot: total * Y_A * S_A**-1, W_B_tot: 0}))
        speed = canonical(eq44a.rhs.subs(u, trunk).subs(depths))
        return cls(depth, fused, coefficient_of(left, Y_A), speed, clock)

    @property
    def norm(self) -> sp.Expr:
        """U."""
        return g ** (1 / self.depth)

    @property
    def half(self) -> sp.Expr:
        found = HALF.subs(L, self.depth)
        if not equal(self.share.subs(x, found), sp.Rational(1, 2)):
            raise SolveError(f"{found} is not the half of the plateau")
        return found

    def per_x(self, speed: sp.Expr) -> sp.Expr:
        """dt/dx, or d theta/dx, before saturation."""
        return canonical((self.norm / speed).subs(u_A, self.norm * x))

    def to_half(self, speed: sp.Expr, drive: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        """int from X to the half of drive dt/share: the part that diverges as X -> 0, and the rest at X = 0.

        drive/share = drive(0) + (drive - drive(0) share)/share, and the second term begins with x^L.
        """
        at_zero, power = drive.subs(x, 0), self.per_x(speed)
        rest = sp.expand(drive - at_zero * self.share)
        if rest.subs(x, 0) != 0:
            raise SolveError(f"{rest} does not vanish at zero")
        grown = integral(canonical(rest) * power / self.share, 0, self.half)
        return at_zero * separated(1 / power, x, X / self.norm, self.half), grown

    def time(self, near: sp.Expr) -> sp.Expr:
        """Until the half; `near` is the time to X."""
        diverging, rest = self.to_half(self.speed, ONE)
        return _met(near, diverging) + rest

    def gain(self, seen: sp.Expr, near: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        """int seen d theta - seen(1) U^q (t - t_A), from the start to t = infinity: elementary part, integrals.

        `near` is theta at X. The two integrals after the half run together: each alone diverges.
        """
        diverging, grown = self.to_half(self.clock, seen)
        at_end = seen.subs(x, 1)
        excess = sp.cancel(sp.expand(seen - at_end) / self.share)
        if x in excess.free_symbols:
            raise SolveError(f"{seen} is not linear in the weight of A")
        clock, time = self.per_x(self.clock), self.norm ** (self.depth - self.fused) * self.per_x(self.speed)
        beside = integral(canonical(clock - time) / self.share, self.half, 1)
        after = excess * separated(1 / clock, x, self.half, 1)
        return _met(seen.subs(x, 0) * near, diverging) + after, grown + at_end * beside


def _met(near: sp.Expr, far: sp.Expr) -> sp.Expr:
    """Two regimes that meet at X, which must drop out."""
    found = _tidy(sp.expand_log(near + far, force=True))
    if X in found.free_symbols:
        raise SolveError(f"the size at which the two meet stays in {found}")
    return found


def _tidy(e: sp.Expr, factor: sp.Expr = ONE) -> sp.Expr:
    """Multiplied out, each term in its one form."""
    return sp.Add(*(canonical(factor * part) for part in sp.Add.make_args(sp.expand_mul(e))))


def _way(speed: sp.Expr, norm: sp.Symbol, start: Any, depth: Any) -> sp.Expr:
    """Scaled time to infinity (to one at two layers) of a branch, its speed without the drive."""
    if depth == 2:
        return separated(speed, norm, start, 1)
    return separated(speed, norm, start, _FAR).subs(_FAR ** (2 - depth), 0)


# ---- 117.


def _constant(depth: Any, *sources: Any) -> sp.Expr:
    """What A's saturation adds to the way from X to infinity, in units of tau/a, times U^(L-2)."""
    flow = _Plateau.of(sources, depth=depth, fused=depth)
    beyond = _way(flow.speed / a, u_A, X, depth)
    return _tidy(flow.time(-beyond / a), a * flow.norm ** (depth - 2))


def _first(eq44a: sp.Eq, eq41: sp.Eq, eq5a: sp.Eq, eq48: sp.Tuple, eq13: sp.Eq) -> sp.Eq:
    """(48), a time to infinity, and what saturation adds: far from the start (13) is integrated at A's own speed."""
    flow = _Plateau.of((eq44a, eq41, eq5a))
    far = leading(eq13.rhs.function.subs(x, 1 / _FAR), _FAR, DEEP).term.subs(_FAR, 1 / x)
    if not equal(far, (a / flow.speed).subs(u_A, x)):
        raise SolveError(f"{far} is not where saturation begins")
    return equation(t_A, by_name(eq48, eq13).rhs + tau / a * flow.norm ** (2 - L) * C_L)


def _first_at_two(eq44a: sp.Eq, eq41: sp.Eq, eq5a: sp.Eq, eq26: sp.Eq) -> sp.Eq:
    """(26) up to X and from there on an elementary integral."""
    flow = _Plateau.of((eq44a, eq41, eq5a), depth=TWO, fused=TWO)
    whole = flow.time((eq26.rhs / tau).subs(u_A, X)).doit()
    return equation(t_A, tau * sp.expand(sp.expand_log(whole, force=True)))


EXT_117 = Entry(
    117, "", "next order of t_A",
    (
        Statement(equation(C_L, SATURATION), lambda *s: _constant(L, *s)),
        Statement(equation(t_A, tau / a * (u_0 ** (2 - L) * I + g ** ((2 - L) / L) * C_L)), _first),
        Statement(equation(t_A, tau / a * (sp.log(1 / u_0) + sp.log(g) / 2)), _first_at_two),
    ),
    (EQ_44A, EQ_41, EQ_5A, EQ_48, EQ_13, EQ_26),
    condition="scalar inputs, aligned balanced start; t_A at the half of A's plateau; L > 2 (first and second), L = 2 "
    "(third, where nothing is added); leaves out what vanishes with u_0: u_B beside u_A",
    proof="With A alone e_A = |Sigma_yx_A| (1 - x^L), x = u_A/|Sigma_yx_A Sigma_A^-1|^(1/L), and all layers have the "
    "norm u_A. x^(1-L)/(1 - x^L) = x^(1-L) + x/(1 - x^L): the first term continues (48), the second can begin at 0.",
    note="Where B starts with the sign of a residual that is not that of Sigma_yx_B, I has c k = -k for k, as (115).",
)  # fmt: skip

# ---- 118.


def _seen_by_b(flow: _Plateau, eq5b: sp.Eq, eq52: sp.Tuple) -> sp.Expr:
    """e_B along the sign of its residual while A grows: c b at the start, r on the plateau."""
    grown = 1 - flow.share  # W_A^tot over its plateau
    seen = normal(eq5b.rhs.subs({W_A_tot: grown * Y_A * S_A**-1, W_B_tot: 0}))
    return coefficient_of(normal(seen - grown * eq52[1].rhs), Y_B) * c * b + grown * r


def _clock(fused: Any, *sources: Any) -> tuple[sp.Expr, sp.Expr]:
    """C_G, by what a drive of one gains: the way from u_0, and U^(2-n) C_G, in units of tau/a; that way."""
    flow = _Plateau.of(sources, fused=fused)
    start = separated(flow.clock, u_A, u_0, X)
    elementary, integrals = flow.gain(ONE, start)
    whole = _way(flow.clock, u_A, u_0, fused)
    if fused == 2:
        whole += sp.log(flow.norm) / a  # C_G counts from U
    return _tidy(elementary - whole + integrals, a * flow.norm ** (fused - 2)), whole


def _gain(fused: Any, *sources: Any) -> sp.Eq:
    """With C_G by its name: all integrals are r times those of a drive of one."""
    flow = _Plateau.of(sources, fused=fused)
    start = separated(flow.clock, u_A, u_0, X)
    elementary, integrals = flow.gain(_seen_by_b(flow, *sources[3:]), start)
    unit = flow.gain(ONE, start)
    if not equal(integrals, r * unit[1]):
        raise SolveError(f"{integrals} is no multiple of the integrals of C_G")
    _, whole = _clock(fused, *sources)
    rest = _tidy(elementary - r * (unit[0] - whole))
    return equation(GAIN, rest + r / a * flow.norm ** (2 - fused) * C_G)


_SMALL = g ** ((2 - L_f) / L)
EXT_118 = Entry(
    118, "", "what B gains while A saturates",
    (
        Statement(equation(C_G, CLOCK), lambda *s: _clock(L_f, *s)[0]),
        Statement(
            equation(
                GAIN, c * b * u_0 ** (2 - L_f) / ((L_f - 2) * a) + _SMALL / a * (r * C_G + (r - c * b) / (L_f - 2))
            ),
            partial(_gain, L_f),
        ),
        Statement(equation(C_G, CLOCK_AT_2), lambda *s: _clock(TWO, *s)[0]),
        Statement(
            equation(GAIN, c * b / a * (sp.log(1 / u_0) + sp.log(g) / L) + r / a * C_G), partial(_gain, TWO)
        ),
    ),
    (EQ_44A, EQ_41, EQ_5A, EQ_5B, EQ_52),
    condition="as (117); L_f > 2 (first two), L_f = 2 (the others). The gain is the limit of s_B - r U^q (t - t_A)/tau "
    "as t grows, s_B = int e_B d theta/tau along the sign of the residual, d theta = u^q dt, q = L - L_f, U^q = "
    "|Sigma_yx_A Sigma_A^-1|^(1 - L_f/L)",
    proof="e_B is linear in W_A^tot: c |Sigma_yx_B| at the start, |residual| on the plateau, in between by x^L. Up to "
    "the half s_B is its integral over theta; after it e_B u^q - r U^q is integrated over t, with e_B less than r by a "
    "multiple of 1 - x^L, which cancels the denominator.",
    note="C_G is what saturation adds to the clock theta: a drive of one gains the way of A from u_0 and C_G U^(2-n), "
    "in units of tau/|Sigma_yx_A|.",
)  # fmt: skip

# ---- 119.


def _lag(fused: Any, eq118: sp.Tuple, eq44b: sp.Eq, eq53: sp.Tuple) -> sp.Eq:
    """What is left of B's way, at the speed of (53)."""
    gain = eq118[3 if fused == 2 else 1].rhs
    alone = canonical(eq44b.rhs / (b * u ** (L - L_f))).subs(L_f, fused)
    speed = canonical((eq53[0].rhs / u_B ** (L_f - 1)).subs(L_f, fused))  # r U^q
    left = _way(alone, u_B, u_0, fused) - gain.subs(b, k * a) + C_B
    return equation(LAG_NAME, tau / speed * sp.expand_mul(left))


_RATE = r * g ** (1 - L_f / L)
_LEFT = ((1 - c * k) * u_0 ** (2 - L_f) + (c * k - r / a) * _SMALL) / (L_f - 2) - r / a * C_G * _SMALL + C_B
_LEFT_AT_2 = (1 - c * k) * sp.log(1 / u_0) - c * k * sp.log(g) / L - r / a * C_G + C_B
EXT_119 = Entry(
    119, "", "next order of the lag",
    (
        Statement(equation(LAG_NAME, tau * _LEFT / _RATE), partial(_lag, L_f)),
        Statement(equation(LAG_NAME, tau * _LEFT_AT_2 / _RATE.subs(L_f, 2)), partial(_lag, TWO)),
    ),
    (EXT_118, EQ_44B, EQ_53),
    condition="as (117), both branches start at u_0; L_f > 2 (first), L_f = 2 (second); c k < 1. t_B at the half of "
    "B's end. C_B is B's own transition: the limit of r U^q (t_half - t)/tau - u_B^(2-L_f)/(L_f - 2) (+ ln u_B for "
    "L_f = 2) as t -> -infinity on the orbit that leaves M_A, where e_A = 0 and u^2 = u_A^2 + u_B^2; it exists for "
    "L_f <= 3 and for L_f = L. Leaves out u_0^2, or u_0^(2(1 - c k)) (L_f = 2), u_0 (L_f = 3 < L)",
    proof="B's way (113) is u_0^(2-L_f)/(L_f - 2) (ln(1/u_0) at two layers); (118) is gone, the rest goes at r U^q, "
    "and the end is C_B.",
    note="For 4 <= L_f < L the trunk grows with u_B^2, (112), and C_B does not exist: integrate the orbit that leaves "
    "M_A itself, from the u_B whose way left is the bracket without C_B.",
    claims=(
        Statement(
            equation(LAG_NAME, tau * LAG.subs(R, 1)), partial(_lag, L_f), lead=small(u_0, DEEP),
            neglected=u_0 ** (L_f - 2), claim="its leading term is (103) at R = 1",
        ),
        Statement(
            equation(LAG_NAME, tau * LAG_AT_2), partial(_lag, TWO), lead=small(u_0), neglected=LOG_ORDER,
            claim="its leading term is (102)",
        ),
    ),
)  # fmt: skip

# ---- 120: late fusion, T_A and T_B for the ways.

_UNIT = g ** ((2 - L) / L)


@dataclass(frozen=True)
class _Late:
    """Late fusion, L = L_f: an aligned start in the place of the one that has the same way T_A."""

    first: sp.Expr  # t_A
    gain: sp.Expr
    rate: sp.Expr  # r

    @classmethod
    def of(cls, depth: Any, eq117: sp.Tuple, eq106: sp.Eq, eq118: sp.Tuple, eq53: sp.Tuple) -> _Late:
        depths = {L: depth, L_f: depth}
        clock = eq118[2 if depth == 2 else 0].rhs.subs(depths)
        clock = clock.subs({i: 0 for i in clock.atoms(sp.Integral) if i.function == 0})  # integrals of zero
        rate = canonical(eq53[0].rhs.subs(depths) / u_B ** (depth - 1))
        if not rate.has(r):
            raise SolveError(f"the residual does not drive B: {rate}")
        if depth == 2:
            size = {sp.log(u_0): -T_A, sp.log(1 / u_0): T_A}
            constant = sp.expand_log(clock.doit(), force=True)
            return cls(eq117[2].rhs.subs(size), eq118[3].rhs.subs(depths).subs(C_G, constant).subs(size), rate)
        if not equal(clock, eq117[0].rhs):
            raise SolveError(f"C_G is not C_L but {clock}")
        start = {u_0 ** (2 - L): (L - 2) * T_A}
        first, gain = eq117[1].rhs.subs(I, eq106.rhs), eq118[1].rhs.subs(depths).subs(C_G, C_L)
        return cls(_short(first.subs(start)), _short(gain.subs(start)), rate)

    @property
    def step(self) -> sp.Expr:
        """When a drive that jumps from c b to r would gain as much: c b t + r (t' - t) = gain + r (t' - t_A)."""
        return _short(tau * (self.gain - self.rate * self.first / tau) / (c * b - self.rate))

    @property
    def second(self) -> sp.Expr:
        """t_B: what the gain leaves of B's way, at the rate r, and its own transition."""
        return self.first + tau / self.rate * (T_B - self.gain + C_B)


def _short(e: sp.Expr) -> sp.Expr:
    """Without common factors, term by term; the power of g is one symbol meanwhile."""
    unit = sp.Dummy("unit", positive=True)
    named = sp.expand_mul(e).replace(lambda p: p.is_Pow and p.base == g and equal(p, _UNIT), lambda _: unit)
    return sp.Add(*(sp.factor(part) for part in sp.Add.make_args(sp.expand(sp.cancel(named))))).subs(unit, _UNIT)


def _by_step(depth: Any, *sources: Any) -> sp.Eq:
    """t_B by the time of the step."""
    late = _Late.of(depth, *sources)
    (way,) = sp.solve(late.step - STEP, T_A)
    return equation(t_B, _short(late.second.subs(T_A, way)))


def _late_ratio(*sources: Any) -> sp.Eq:
    """Both times without terms of order one."""
    late = _Late.of(L, *sources)
    order_one = {C_L: 0, C_B: 0, _UNIT: 0}
    return equation(RATIO, _short(late.second.subs(order_one) / late.first.subs(order_one)))


def _lag_from_ways(*sources: Any) -> sp.Eq:
    late = _Late.of(L, *sources)
    whole = u_0 ** (2 - L) / (L - 2)
    return equation(LAG_NAME, sp.expand((late.second - late.first).subs({T_A: whole, T_B: whole}).subs(b, k * a)))


def _times(depth: Any, first: sp.Expr, step: sp.Expr) -> tuple[Statement, ...]:
    """t_A, the time of the step, and t_B by it; the first two printed in units of tau/|Sigma_yx_A|."""
    return (
        Statement(equation(t_A, tau / a * first), lambda *s: _Late.of(depth, *s).first),
        Statement(equation(STEP, tau / a * step), lambda *s: _Late.of(depth, *s).step),
        Statement(equation(t_B, STEP + tau / r * (T_B - c * b * STEP / tau + C_B)), partial(_by_step, depth)),
    )


EXT_120 = Entry(
    120, "", "late fusion from any start",
    (
        *_times(L, T_A + _UNIT * C_L, T_A - _UNIT / (L - 2)),
        Statement(equation(RATIO, 1 + (a * T_B / T_A - c * b) / r), _late_ratio),
        *_times(TWO, T_A + sp.log(g) / 2, T_A + sp.log(g) / 2),
    ),
    (EXT_117, EXT_106, EXT_118, EQ_53),
    condition="late fusion, scalar inputs, any start; T_A is A's scaled time alone to infinity (to one, L = 2) for the "
    "sign of Sigma_yx_A, T_B that of B for the sign of its residual: (113) if aligned, 127-129 if random. L > 2 (first "
    "three), L = 2 (last three); the ratio (fourth): to leading order for large T_A, T_B, any L. C_B as in (119)",
    proof="Near the end of its way a branch is on the aligned orbit that has as much left, so T_A takes the place of "
    "u_0^(2-L)/(L-2) in (117), (118). Without a trunk C_G = C_L, and it drops out: A's transition acts on B as a step "
    "of its drive from c |Sigma_yx_B| to |residual| at t_step = t_A - tau U^(2-L) (C_L + 1/(L-2))/|Sigma_yx_A|, which "
    "at L = 2 is t_A itself.",
    claims=(
        Statement(
            equation(LAG_NAME, tau * LAG.subs({R: 1, L_f: L})), _lag_from_ways, lead=small(u_0, DEEP),
            neglected=u_0 ** (L - 2), claim="with T_A = T_B = u_0^(2-L)/(L-2) it begins with (103) for late fusion",
        ),
    ),
)  # fmt: skip
