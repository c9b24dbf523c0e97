"""Taylor polynomials by the arithmetic of power series, coefficient by coefficient.

A series is its first power and the coefficients from there on; the first of them is not zero. SymPy's `series` tidies
every partial sum and takes a hundred times as long.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from derivations.algebra.positive_powers import refuted
from derivations.errors import SolveError

ZERO, ONE = sp.Integer(0), sp.Integer(1)
LOST = 3  # leading terms that may cancel before there are too few


def is_zero(e: sp.Expr) -> bool:
    """Whether a coefficient is zero: no, where it differs from zero at a point; else SymPy simplifies it."""
    return e == 0 or (not refuted(e, ZERO) and sp.simplify(e) == 0)


def taylor(e: sp.Expr, symbol: sp.Symbol, count: int) -> list[sp.Expr]:
    """Coefficients of symbol^0 to symbol^(count - 1).

    Raises
    ------
    SolveError
        Where there is no such polynomial.

    Examples
    --------
    >>> x, k = sp.symbols("x k")
    >>> taylor(sp.log(1 + k * x) / x, x, 3)
    [k, -k**2/2, k**3/3]
    """
    found = _Series.of(sp.sympify(e), symbol, count + LOST)
    if found.power < 0 or found.power + len(found.terms) < count:
        raise SolveError(f"{e} has no Taylor polynomial in {symbol}")
    return [sp.expand(found.at(n)) for n in range(count)]


@dataclass(frozen=True)
class _Series:
    """terms[i] symbol^(power + i), known that far; no terms: zero as far as it is known, from `power` on nothing is."""

    power: int
    terms: tuple[sp.Expr, ...]

    def at(self, n: int) -> sp.Expr:
        return self.terms[n - self.power] if 0 <= n - self.power < len(self.terms) else ZERO

    @classmethod
    def from_terms(cls, power: int, terms: list[sp.Expr]) -> _Series:
        """The first coefficients that are zero are left out."""
        for i, term in enumerate(terms):
            if not is_zero(term):
                return cls(power + i, (*terms[i:],))
        return cls(power + len(terms), ())

    @classmethod
    def constant(cls, e: sp.Expr, count: int) -> _Series:
        return cls.from_terms(0, [e, *[ZERO] * (count - 1)])

    @classmethod
    def of(cls, e: sp.Expr, symbol: sp.Symbol, count: int) -> _Series:
        if symbol not in e.free_symbols:
            return cls.constant(e, count)
        if e == symbol:
            return cls(1, (ONE, *[ZERO] * (count - 1)))
        if e.is_Add:
            found = cls.constant(ZERO, count)
            for part in e.args:
                found = found.plus(cls.of(part, symbol, count))
            return found
        if e.is_Mul:
            found = cls.constant(ONE, count)
            for part in e.args:
                found = found.times(cls.of(part, symbol, count))
            return found
        if e.is_Pow and symbol not in e.exp.free_symbols:
            return cls.of(e.base, symbol, count).to_the(e.exp)
        if isinstance(e, sp.log):
            return cls.of(e.args[0], symbol, count).log()
        if isinstance(e, sp.exp) or e.is_Pow:
            exponent = e.args[0] if isinstance(e, sp.exp) else e.exp * sp.log(e.base)
            return cls.of(exponent, symbol, count).exp()
        raise SolveError(f"{e} has no power series here in {symbol}")

    def plus(self, other: _Series) -> _Series:
        low = min(self.power, other.power)
        high = min(self.power + len(self.terms), other.power + len(other.terms))
        return _Series.from_terms(low, [self.at(n) + other.at(n) for n in range(low, high)])

    def times(self, other: _Series) -> _Series:
        count = min(len(self.terms), len(other.terms))
        terms = [sp.Add(*(self.terms[i] * other.terms[n - i] for i in range(n + 1))) for n in range(count)]
        return _Series(self.power + other.power, (*map(sp.expand, terms),))

    def _relative(self) -> list[sp.Expr]:
        """h in first * symbol^power * (1 + h), from its first power on; h begins with a power of one."""
        if not self.terms:
            raise SolveError("the leading terms cancel")
        return [ZERO, *(term / self.terms[0] for term in self.terms[1:])]

    def to_the(self, exponent: sp.Expr) -> _Series:
        """By n c_n = sum over i of (i (p + 1) - n) h_i c_(n-i)."""
        h, power = self._relative(), self.power * exponent
        if not power.is_Integer:
            raise SolveError(f"power {power} is no integer")
        found = [ONE]
        for n in range(1, len(h)):
            found.append(
                sp.expand(sp.Add(*((i * (exponent + 1) - n) * h[i] * found[n - i] for i in range(1, n + 1))) / n)
            )
        return _Series(int(power), (*(self.terms[0] ** exponent * term for term in found),))

    def log(self) -> _Series:
        """By n l_n = n h_n - sum over 0 < i < n of i l_i h_(n-i)."""
        h = self._relative()
        if self.power:
            raise SolveError("the logarithm of zero has no power series")
        found = [sp.log(self.terms[0])]
        for n in range(1, len(h)):
            found.append(sp.expand(h[n] - sp.Add(*(i * found[i] * h[n - i] for i in range(1, n))) / n))
        return _Series.from_terms(0, found)

    def exp(self) -> _Series:
        """By n e_n = sum over i of i a_i e_(n-i)."""
        if self.power < 0:
            raise SolveError("the exponential of infinity has no power series")
        count = self.power + len(self.terms)
        found = [sp.exp(self.at(0))]
        for n in range(1, count):
            found.append(sp.expand(sp.Add(*(i * self.at(i) * found[n - i] for i in range(1, n + 1))) / n))
        return _Series(0, (*found,))
