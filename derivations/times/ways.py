"""The ways of two branches of any depths and starts, derived: 113-116. `any_branches` has the formulas.

(45), (48), (54)-(60) are cases of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import sympy as sp

from derivations.algebra.entry import Entry, Statement, equation
from derivations.algebra.notation import L_A, L_B, I, K, L, L_c, L_f, P, a, b, c, k, r, starts, tau, u, u_0, u_A, u_B, x
from derivations.algebra.notation import start_A as alpha
from derivations.algebra.notation import start_B as beta
from derivations.algebra.positive_powers import canonical, equal, separated
from derivations.errors import SolveError
from derivations.flow.ansatz import EQ_44A, EQ_44B
from derivations.flow.conservation import EQ_41, trunk_norm
from derivations.times.any_branches import KINDS, SIZE, Branches, branches
from derivations.times.deep import ALONE
from derivations.times.formulas import FIRST, INTEGRAND, INTEGRAND_AT_2, LAG, LAG_AT_2, SECOND_SIZE, SECOND_SIZE_AT_2
from derivations.times.names import LAG_NAME, RATIO, X, integral
from derivations.times.unequal import EXCESS_59, INTEGRAND_UNEQUAL, flow_like_44

_p, _q = sp.symbols("p q", positive=True)  # L_A - 2 and L_B - 2


@dataclass(frozen=True)
class _Flow:
    """The flow near zero of one kind, its depths p + 2 and q + 2 (monomials keep every step short)."""

    kind: Branches
    law: dict[sp.Symbol, sp.Expr]

    @classmethod
    def of(cls, kind: Branches, eq44a: sp.Eq, eq44b: sp.Eq) -> _Flow:
        return cls(kind, {s: cls.short(kind, f) for s, f in flow_like_44(eq44a, eq44b).items()})

    @staticmethod
    def short(kind: Branches, e: sp.Basic) -> sp.Basic:
        return e.subs({L_A: 2 if kind.first == 2 else _p + 2, L_B: 2 if kind.second == 2 else _q + 2})

    def alone(self, norm: sp.Symbol, low: Any, high: Any) -> sp.Expr:
        """Scaled time between two norms: the branch without its drive and without the trunk."""
        drive = a if norm == u_A else b
        return separated(self.law[norm] / (drive * u**L_c), norm, low, high)

    def way(self, norm: sp.Symbol, start: sp.Symbol) -> sp.Expr:
        two = (self.kind.first if norm == u_A else self.kind.second) == 2
        return self.alone(norm, start, 1) if two else self.alone(norm, start, X).subs({X**-_p: 0, X**-_q: 0})


def _long(e: sp.Basic) -> sp.Basic:
    return e.subs({_p: L_A - 2, _q: L_B - 2})


def _lead(kind: Branches, *laws: sp.Eq) -> sp.Eq:
    """B has gone c k Psi_A when A is through: as a share of its own way."""
    flow = _Flow.of(kind, *laws)
    return equation(K, _long(canonical(k * flow.way(u_A, alpha) / flow.way(u_B, beta))))


def _size(kind: Branches, eq113: sp.Tuple, *laws: sp.Eq) -> sp.Eq:
    """Both flows separated: B's scaled way is c k times A's; solved for u_B and put back."""
    flow = _Flow.of(kind, *laws)
    gone = flow.alone(u_A, alpha, alpha * x)
    drives = K * k / _Flow.short(kind, eq113[KINDS.index(kind)].rhs)  # b/a by K
    target = canonical(c * drives * gone)
    if kind.second == 2:
        found = sp.exp(sp.expand(target))
    else:
        found = sp.expand(1 - canonical(_q * target * beta**_q)) ** (-1 / _q)
    if not equal(flow.alone(u_B, beta, beta * found), target):
        raise SolveError("the separated equation of B is not solved")
    return equation(SIZE, _long(found))


def _first(kind: Branches, eq114: sp.Tuple, eq44a: sp.Eq, eq44b: sp.Eq, eq41: sp.Eq) -> sp.Eq:
    """dt = du_A/(a u_A^(L_A - 1) u^L_c) with u by (41) and u_B by (114)."""
    second = starts * alpha * eq114[KINDS.index(kind)].rhs.subs(c, 1)
    speed = (
        _long(_Flow.of(kind, eq44a, eq44b).law[u_A]).subs(u, trunk_norm(eq41)).subs(u_A, alpha * x).subs(u_B, second)
    )
    inside = alpha / speed * a * alpha ** (kind.first + L_c - 2)
    return equation(I, integral(inside, 1, sp.oo))


def _lag(kind: Branches, eq113: sp.Tuple, *laws: sp.Eq) -> sp.Eq:
    """B's flow with the residual as its drive and the trunk on A's plateau: the way left, 1 - c K of the whole."""
    flow = _Flow.of(kind, *laws)
    drives = K * k / _Flow.short(kind, eq113[KINDS.index(kind)].rhs)  # b/a by K
    left = kind.turn * (flow.way(u_B, beta) - c * drives * flow.way(u_A, alpha))
    speed = _long(flow.law[u_B] / flow.law[u_B].subs({u: 1, b: 1})).subs({b: r, u: kind.plateau})
    return equation(LAG_NAME, tau * canonical(_long(left)) / speed)


def _statements(name: Any, form: Callable[[Branches], sp.Expr], derive: Callable[..., sp.Eq]) -> tuple[Statement, ...]:
    return tuple(Statement(equation(name, form(kind)), partial(derive, kind)) for kind in KINDS)


#: Branches of one depth that start alike, and the printed integral (60), which starts both at u_0.
_ALIKE = {L_A: L_f, L_B: L_f, L_c: L - L_f, alpha: u_0, beta: u_0, starts: 1}
_ALIKE_AT_2 = {**_ALIKE, L_c: L - 2}
_DEEP, _TWO = branches(3, 3), branches(2, 2)


def _claim(words: str, printed: sp.Expr, of: Callable[..., sp.Expr], name: Any = I) -> Statement:
    """A formula printed elsewhere that an entry contains."""
    return Statement(equation(name, printed), of, claim=words)


def _at_start(kind: Branches, e: sp.Expr, same: dict[Any, Any]) -> sp.Expr:
    """K by (113), and then as in the special case; `same` says what it takes for equal."""
    found = e.subs(P, kind.progress).subs(K, kind.lead).subs(same)
    if kind.first != 2:
        return found
    return found.replace(sp.exp, lambda power: x ** (power / sp.log(x)))  # SymPy leaves exp(k ln x) as it is


def _excess_59() -> sp.Expr:
    """The lag over t_A, both branches starting at u_0, scalar inputs."""
    lag = _at_start(_DEEP, _DEEP.lag, {alpha: u_0, beta: u_0, **ALONE})
    return (lag / (FIRST.subs(L, L_A + L_c))).subs(k, b / a)


EXT_113 = Entry(
    113, "", "how far B is when A is through",
    _statements(K, lambda kind: kind.lead, _lead), (EQ_44A, EQ_44B),
    condition="L_A, L_B > 2; L_B = 2; L_A = 2; both; weights near zero, any starts",
    proof="Each flow of (44), for branches of any depth, divided by its drive and the trunk is a power of its own "
    "norm: its integral from the start to infinity (to one, at two layers) is the way Psi of that branch.",
    note="A is learned first where K < 1, to leading order: the domain of (59), (60).",
)  # fmt: skip
EXT_114 = Entry(
    114, "", "B while A grows, any depths and starts",
    _statements(SIZE, lambda kind: kind.size.subs(P, kind.progress), _size), (EXT_113, EQ_44A, EQ_44B),
    condition=EXT_113.condition + "; x = u_A/u_A(0); c = -1 for the mode of the other sign, by (101)",
    proof="Both flows separated and integrated from their starts: the way of B is c k times that of A.",
    claims=(
        _claim("(111), L_f > 2: equal depths and starts", SECOND_SIZE,
               lambda: _at_start(_DEEP, _DEEP.size, _ALIKE), SIZE),
        _claim("(111), L_f = 2", SECOND_SIZE_AT_2, lambda: _at_start(_TWO, _TWO.size, _ALIKE_AT_2), SIZE),
    ),
)  # fmt: skip
EXT_115 = Entry(
    115, "", "the integral for any depths and starts",
    _statements(I, lambda kind: integral(kind.integrand.subs(P, kind.progress), 1, sp.oo), _first),
    (EXT_114, EQ_44A, EQ_44B, EQ_41),
    condition="K < 1; s = u_B(0)/u_A(0); t_A = tau u_A(0)^(2-L_A-L_c) I/|Sigma_yx_A|, u_A(0) -> 0; "
    "L_A = 2 < L_B: up to 1/u_A(0) (P = 1) instead of infinity",
    proof="As (48), with u_B by (114) and u^2 = u_A^2 + u_B^2.",
    claims=(
        _claim("(13)", integral(INTEGRAND, 1, sp.oo),
               lambda: integral(_at_start(_DEEP, _DEEP.integrand, _ALIKE), 1, sp.oo)),
        _claim("(58)", integral(INTEGRAND_AT_2, 1, sp.oo),
               lambda: integral(_at_start(_TWO, _TWO.integrand, _ALIKE_AT_2), 1, sp.oo)),
        _claim("(60)", integral(INTEGRAND_UNEQUAL, 1, sp.oo), lambda: integral(
            _at_start(_DEEP, _DEEP.integrand, {alpha: u_0, beta: u_0, starts: 1}).subs(k, b / a), 1, sp.oo)),
    ),
)  # fmt: skip
EXT_116 = Entry(
    116, "", "lag for any depths and starts, with sign and rotation",
    _statements(LAG_NAME, lambda kind: tau * kind.lag, _lag), (EXT_113, EQ_44A, EQ_44B),
    condition="K < 1, u(0) -> 0; leaves out terms of order one beside Psi_B; R by (104) with L_B for L_f, "
    "c as in (102)",
    proof="B's own flow with the residual as its drive and the trunk on A's plateau, "
    "u = |Sigma_yx_A Sigma_A^-1|^(1/(L_A + L_c)): the part 1 - c K of its way is left. "
    "Its end, of order one, is left out.",
    claims=(
        _claim("(103): equal depths and starts", LAG, lambda: _at_start(_DEEP, _DEEP.lag, _ALIKE), LAG_NAME),
        _claim("(102)", LAG_AT_2, lambda: _at_start(_TWO, _TWO.lag, _ALIKE_AT_2), LAG_NAME),
        _claim("(59), the excess over 1", EXCESS_59, _excess_59, RATIO),
    ),
)  # fmt: skip
