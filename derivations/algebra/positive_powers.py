"""Equality and leading terms of expressions in positive symbols with symbolic exponents.

`simplify` fails on the laws (46)-(60) whole, so each is brought to one form: a product of powers whose
bases are symbols, numbers or sums, where every sum has one of its terms pulled out as a factor, the one
that leaves the least remainder in a fixed order. The form does not depend on common factors: that is all
that the laws need. Bases of fractional powers are taken to be positive.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key, lru_cache, partial
from typing import Any

import sympy as sp

Powers = dict[sp.Basic, sp.Expr]
ONE = sp.Integer(1)


@lru_cache(maxsize=4096)
def _tidy(exponent: sp.Expr) -> sp.Expr:
    return exponent if exponent.is_Number else sp.cancel(exponent)


@lru_cache(maxsize=65536)
def _name(e: sp.Basic) -> str:
    """A fixed order of terms; printing is what takes the time."""
    return str(e)


def _merge(one: Powers, other: Mapping[sp.Basic, sp.Expr], times: sp.Expr = ONE) -> Powers:
    found = dict(one)
    for base, exponent in other.items():
        total = _tidy(found.get(base, sp.Integer(0)) + times * exponent)
        if total == 0:
            found.pop(base, None)
        else:
            found[base] = total
    return found


def _folded(coefficient: sp.Expr, powers: Powers) -> tuple[sp.Expr, Powers]:
    """Numbers to whole powers belong to the coefficient."""
    for base in [base for base, exponent in powers.items() if base.is_Integer and exponent.is_Integer]:
        coefficient *= base ** powers.pop(base)
    return coefficient, powers


def _parts(e: sp.Expr) -> tuple[sp.Expr, Powers]:
    """What is cached stays as it is: the powers are a copy."""
    coefficient, powers = _find(e)
    return coefficient, dict(powers)


@lru_cache(maxsize=16384)
def _find(e: sp.Expr) -> tuple[sp.Expr, Powers]:
    if e.is_Rational:
        return e, {}
    if e.is_Mul:
        return _product([_parts(factor) for factor in e.args])
    if e.is_Pow:
        return _power(e.base, _tidy(e.exp))
    if e.is_Add:
        return _sum([_parts(term) for term in e.args])
    if isinstance(e, sp.exp):
        return ONE, {sp.E: canonical(e.args[0])}
    if isinstance(e, sp.log):
        coefficient, powers = _parts(e.args[0])
        unsure = [n for base, n in powers.items() if not base.is_positive]
        if coefficient.is_positive and (not unsure or unsure == [1]):  # else a factor may be negative
            factors = (_primes(coefficient) | powers).items()
            return _sum([_product([_parts(exponent), (ONE, {sp.log(base): ONE})]) for base, exponent in factors])
    if isinstance(e, sp.Integral) and len(e.limits) == 1 and len(e.limits[0]) == 3:
        variable, low, high = e.limits[0]
        coefficient, powers = _parts(e.function)
        outside = {base: x for base, x in powers.items() if variable not in (base.free_symbols | x.free_symbols)}
        inside = _rebuild(ONE, {base: x for base, x in powers.items() if base not in outside})
        return coefficient, _merge(outside, {sp.Integral(inside, (variable, canonical(low), canonical(high))): ONE})
    if e.is_Atom or not e.args or isinstance(e, sp.Integral):
        return ONE, {e: ONE}
    return ONE, {e.func(*(canonical(argument) for argument in e.args)): ONE}


def _primes(number: sp.Expr) -> Powers:
    return {sp.Integer(p): sp.Integer(n) for p, n in sp.factorrat(number).items()} if number != 1 else {}


def _power(base: sp.Expr, exponent: sp.Expr) -> tuple[sp.Expr, Powers]:
    coefficient, powers = _parts(base)
    if coefficient == 0:
        if exponent.is_positive:
            return sp.Integer(0), {}
        raise ZeroDivisionError(f"{base} to the power {exponent} is not a number")
    if exponent.is_Integer:
        return coefficient**exponent, _merge({}, powers, exponent)
    coefficient, powers = _positive(base)
    if coefficient.is_positive and all(known.is_positive or known.is_Add for known in powers):
        return _folded(sp.Integer(1), _merge(_merge({}, _primes(coefficient), exponent), powers, exponent))
    return sp.Integer(1), {_rebuild(coefficient, powers): exponent}


def _positive(e: sp.Expr) -> tuple[sp.Expr, Powers]:
    """As `_parts`, with a positive coefficient where a term of a sum has one: for fractional powers."""
    if e.is_Add:
        return _sum([_parts(term) for term in e.args], positive=True)
    if e.is_Mul:
        return _product([_positive(factor) for factor in e.args])
    return _parts(e)


def _product(factors: list[tuple[sp.Expr, Powers]]) -> tuple[sp.Expr, Powers]:
    coefficient: sp.Expr = ONE
    powers: Powers = {}
    for c, p in factors:
        coefficient, powers = coefficient * c, _merge(powers, p)
    return _folded(coefficient, powers) if coefficient != 0 else (coefficient, {})


def _sum(terms: list[tuple[sp.Expr, Powers]], positive: bool = False) -> tuple[sp.Expr, Powers]:
    collected: dict[frozenset[tuple[sp.Basic, sp.Expr]], sp.Expr] = {}
    for coefficient, powers in _flat(terms):
        key = frozenset(powers.items())
        collected[key] = collected.get(key, sp.Integer(0)) + coefficient
    kept = [(c, dict(key)) for key, c in collected.items() if c != 0]
    if not kept:
        return sp.Integer(0), {}
    if len(kept) == 1:
        return kept[0]
    best = None
    for c, powers in ([term for term in kept if term[0].is_positive] if positive else []) or kept:
        scaled = [(cc / c, _merge(p, powers, sp.Integer(-1))) for cc, p in kept]
        rest = sorted((_rebuild(*_folded(cc, p)) for cc, p in scaled), key=_name)
        name = ", ".join(map(_name, rest))
        if best is None or name < best[0]:
            best = (name, rest, c, powers)
    assert best is not None
    _, rest, c, powers = best
    return c, _merge(powers, {sp.Add(*rest): sp.Integer(1)})


def _flat(terms: list[tuple[sp.Expr, Powers]]) -> list[tuple[sp.Expr, Powers]]:
    """Sums inside the terms of a sum are multiplied out."""
    waiting, flat = list(terms), []
    while waiting:
        coefficient, powers = waiting.pop()
        inner = next((base for base, n in powers.items() if base.is_Add and n in (1, 2, 3)), None)
        if inner is None:
            flat.append((coefficient, powers))
            continue
        rest = _merge(powers, {inner: sp.Integer(-1)})
        for term in inner.args:
            c, p = _parts(term)
            waiting.append(_folded(coefficient * c, _merge(rest, p)))
    return flat


def _rebuild(coefficient: sp.Expr, powers: Powers) -> sp.Expr:
    return sp.Mul(coefficient, *(base**exponent for base, exponent in powers.items()))


def canonical(e: Any) -> sp.Expr:
    """The expression as a product of powers in its one form.

    Examples
    --------
    >>> n, k, u = sp.symbols("n k u", positive=True)
    >>> canonical((k * u**n + u**n) ** (2 / n)) == canonical(u**2 * (1 + k) ** (2 / n))
    True
    """
    e = sp.sympify(e)
    return e if e.is_Atom else _rebuild(*_parts(e))


def as_power(e: Any, variable: sp.Symbol) -> tuple[sp.Expr, sp.Expr]:
    """c and n in e = c * variable^n; raises ValueError if it is not of that form."""
    coefficient, powers = _parts(sp.sympify(e))
    exponent = powers.pop(variable, sp.Integer(0))
    rest = _rebuild(coefficient, powers)
    if variable in rest.free_symbols or variable in exponent.free_symbols:
        raise ValueError(f"{e} is no power of {variable}")
    return rest, exponent


def separated(speed: Any, variable: sp.Symbol, low: Any, high: Any) -> sp.Expr:
    """int_low^high dx/speed(x) for a speed that is a power of x; the antiderivative is checked."""
    scale, n = as_power(speed, variable)
    antiderivative, size = (sp.log(variable), ONE) if n == 1 else (variable ** (1 - n), 1 - n)
    if not equal(sp.diff(antiderivative, variable) / size, variable**-n):
        raise ValueError(f"{antiderivative}/{size} is no antiderivative")
    return (antiderivative.subs(variable, high) - antiderivative.subs(variable, low)) / (size * scale)


def equal(one: Any, other: Any) -> bool:
    """Whether two expressions are proved equal; False says only that no proof was found."""
    one, other = sp.sympify(one), sp.sympify(other)
    if one == other:
        return True
    if one in (sp.oo, sp.nan, sp.zoo) or other in (sp.oo, sp.nan, sp.zoo):
        return False
    if refuted(one, other):
        return False
    try:
        return _proved(one, other)
    except ZeroDivisionError:
        return False


def _proved(one: sp.Expr, other: sp.Expr) -> bool:
    (c, p), (d, q) = _parts(one), _parts(other)
    if c == d and p == q:
        return True
    if one.has(sp.Integral) or other.has(sp.Integral):
        return bool(_parts(one - other)[0] == 0)
    return any(_parts(form)[0] == 0 for form in _forms(one - other))


def _forms(gap: sp.Expr) -> Iterator[sp.Expr]:
    """The same number multiplied out in different ways, up to a factor."""
    yield gap
    yield sp.expand(gap)
    yield sp.expand(sp.together(gap).as_numer_denom()[0])
    yield sp.expand(sp.together(canonical(gap)).as_numer_denom()[0])


def refuted(one: sp.Expr, other: sp.Expr) -> bool:
    """Whether the two differ at one point, so that no proof need be looked for.

    Integrals are compared by their integrands and limits, as everywhere here.
    """
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    point = {s: float(sp.Rational(sp.prime(30 + 5 * i), sp.prime(33 + 3 * i))) for i, s in enumerate(symbols)}
    try:
        first, second = _value(one, point), _value(other, point)
    except (ArithmeticError, TypeError, ValueError):
        return False  # not a real number there
    return abs(first - second) > 1e-6 * (1e-3 + max(abs(first), abs(second)))


def _value(e: sp.Expr, point: Mapping[sp.Symbol, float]) -> float:
    """In floating point; `evalf` takes a hundred times as long."""
    if e.is_Symbol:
        return point[e]
    if e.is_Add:
        return math.fsum(_value(term, point) for term in e.args)
    if e.is_Mul:
        return math.prod(_value(term, point) for term in e.args)
    if e.is_Pow:
        return math.pow(_value(e.base, point), _value(e.exp, point))
    if isinstance(e, sp.log | sp.exp):
        return (math.log if isinstance(e, sp.log) else math.exp)(_value(e.args[0], point))
    if isinstance(e, sp.Integral):
        ((variable, *limits),) = e.limits
        low, high = (7.0 if end == sp.oo else _value(end, point) for end in limits)
        return _value(e.function, {**point, variable: 0.7312}) * (1 + 0.3 * low + 0.1 * high)
    return float(e)


@dataclass(frozen=True)
class Leading:
    """`term` is what is left as small -> 0+; `order` bounds the size of what is left out, as a share of it.

    It is that size unless terms that are left out cancel each other. `order` is None if nothing is left out.
    """

    term: sp.Expr
    order: sp.Expr | None


@dataclass(frozen=True)
class _Term:
    """factor * small^power * ln(1/small)^logs * (1 + order of `rest` (power, logs))."""

    factor: sp.Expr
    power: sp.Expr
    logs: sp.Expr
    rest: tuple[sp.Expr, sp.Expr] | None


def leading(e: sp.Expr, small: sp.Symbol, regime: Mapping[sp.Symbol, sp.Expr] | None = None) -> Leading:
    """Leading term of a positive expression as small -> 0+, by its sums and powers.

    `regime` rewrites depths by positive symbols, so that the sign of every exponent is known (L_f = 2 + n).

    Examples
    --------
    >>> s, n, k = sp.symbols("s n k", positive=True)
    >>> leading((k + s**-n) ** (-1 / n), s)
    Leading(term=s, order=s**n)
    """
    return _cached_leading(sp.sympify(e), small, tuple((regime or {}).items()))


@lru_cache(maxsize=256)
def _cached_leading(e: sp.Expr, small: sp.Symbol, regime: tuple[tuple[sp.Symbol, sp.Expr], ...]) -> Leading:
    found = _leading(e, small, dict(regime))
    logs = sp.log(1 / small)
    term = found.factor * small**found.power * logs**found.logs
    order = None if found.rest is None else small ** found.rest[0] * logs ** found.rest[1]
    return Leading(term, order)


def _sign(exponent: sp.Expr, regime: Mapping[sp.Symbol, sp.Expr]) -> int:
    value = _tidy(sp.sympify(exponent).subs(regime))
    for sign, known in ((0, value.is_zero), (1, value.is_positive), (-1, value.is_negative)):
        if known:
            return sign
    factored = sp.factor(value)
    if factored.is_positive or factored.is_negative:
        return 1 if factored.is_positive else -1
    raise ValueError(f"the sign of the exponent {exponent} is not known")


def _dominates(one: tuple[sp.Expr, sp.Expr], other: tuple[sp.Expr, sp.Expr], regime: Mapping[Any, Any]) -> int:
    """1 if small^power ln^logs is larger for the first, 0 if equal, -1 if smaller."""
    return -_sign(one[0] - other[0], regime) or _sign(one[1] - other[1], regime)


def _largest(orders: Sequence[tuple[sp.Expr, sp.Expr] | None], regime: Mapping[Any, Any]) -> Any:
    """None if nothing is left out anywhere."""
    known = [order for order in orders if order is not None]
    return max(known, key=cmp_to_key(partial(_dominates, regime=regime)), default=None)


def _leading(e: sp.Expr, s: sp.Symbol, regime: Mapping[sp.Symbol, sp.Expr]) -> _Term:
    zero, one = sp.Integer(0), sp.Integer(1)
    if s not in e.free_symbols:
        return _Term(e, zero, zero, None)
    if e == s:
        return _Term(one, one, zero, None)
    if e.is_Mul:
        parts = [_leading(factor, s, regime) for factor in e.args]
        return _Term(
            sp.Mul(*(p.factor for p in parts)),
            sp.Add(*(p.power for p in parts)),
            sp.Add(*(p.logs for p in parts)),
            _largest([p.rest for p in parts], regime),
        )
    if e.is_Pow:
        if s in e.exp.free_symbols:
            raise ValueError(f"the exponent of {e} is not fixed")
        p = _leading(e.base, s, regime)
        return _Term(p.factor**e.exp, p.power * e.exp, p.logs * e.exp, p.rest)
    if isinstance(e, sp.log):
        p = _leading(e.args[0], s, regime)
        if p.logs != 0 or _sign(p.power, regime) == 0:
            raise ValueError(f"no leading term of {e}")
        below = None if p.rest is None else (p.rest[0], p.rest[1] - 1)
        rest = below if p.factor == 1 else (zero, -one)
        return _Term(-p.power, zero, one, rest)
    if isinstance(e, sp.Integral):
        return _leading_integral(e, s, regime)
    if e.is_Add:
        return _leading_sum([_leading(term, s, regime) for term in e.args], regime)
    raise ValueError(f"no leading term of {e}")


def _leading_sum(parts: list[_Term], regime: Mapping[sp.Symbol, sp.Expr]) -> _Term:
    power, logs = _largest([(p.power, p.logs) for p in parts], regime)
    top = [p for p in parts if _dominates((p.power, p.logs), (power, logs), regime) == 0]
    factor = sp.Add(*(p.factor for p in top))
    if equal(factor, 0):
        raise ValueError("the leading terms cancel")
    below = [(p.power - power, p.logs - logs) for p in parts if p not in top]
    return _Term(factor, power, logs, _largest([*(p.rest for p in top), *below], regime))


def _leading_integral(e: sp.Integral, s: sp.Symbol, regime: Mapping[sp.Symbol, sp.Expr]) -> _Term:
    """int_low^(X/s) f dx -> int_low^oo f dx; the tail is known from f's own leading term at x -> oo."""
    e = canonical(e)
    if not isinstance(e, sp.Integral):
        return _leading(e, s, regime)
    ((variable, low, high),) = e.limits
    zero = sp.Integer(0)
    far = _leading(high, s, regime)
    if (
        s in (e.function.free_symbols | low.free_symbols)
        or far.logs != 0
        or _sign(far.power, regime) >= 0
        or not far.factor.is_positive
    ):
        raise ValueError(f"no leading term of {e}")
    z = sp.Dummy("z", positive=True)
    tail = _leading(e.function.subs(variable, 1 / z), z, regime)  # f ~ x^-power
    if tail.logs != 0 or _sign(tail.power - 1, regime) <= 0:
        raise ValueError(f"{e} does not converge at infinity")
    return _Term(
        sp.Integral(e.function, (variable, low, sp.oo)), zero, zero, (_tidy(-far.power * (tail.power - 1)), zero)
    )
