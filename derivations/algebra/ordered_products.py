"""Algebra of matrices without sizes and of layer products of symbolic length: the proofs for any depth.

A sum of *words*, products of non-commutative symbols, is expanded and each word is shortened by identities
that hold for every size:

    W^h ... W^(m+1) W^m ... W^l = W^h ... W^l        (and transposed)        associativity, by induction
    (XY)^T = Y^T X^T,   Sigma^T = Sigma,   r^T r = 1 for unit columns,   and the rules handed in.

`descent` differentiates the loss by W -> W + D: the part of the loss linear in D is a trace, and a trace
does not change when its words are rotated until D^T stands last. What stands before it is the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from operator import matmul
from typing import Any

import numpy as np
import sympy as sp

from derivations.algebra.matrices import S_A, S_AB, S_B, S_BA, S, matrix, target, x_A, x_all, x_B
from derivations.errors import SolveError

Word = tuple[sp.Expr, ...]
Rules = Mapping[Word, Any]

#: What a transpose does to the symbols of the data; the target is a scalar.
TRANSPOSES = {S: S, S_A: S_A, S_B: S_B, S_AB: S_BA, S_BA: S_AB, target: target}
D = matrix("D")  # a small change of one layer


class Layers(sp.Expr):  # type: ignore[misc]
    """W^high ... W^low of a chain, input side on the right, equation (2); 1 where high = low - 1."""

    is_commutative = False

    def __new__(cls, label: str | sp.Symbol, high: Any, low: Any) -> Any:
        high, low = sp.sympify(high), sp.sympify(low)
        count = sp.expand(high - low) + 1
        if count == 0:
            return sp.Integer(1)
        if count.is_negative:
            raise ValueError(f"no product of layers from {low} to {high}")
        return sp.Expr.__new__(cls, label if isinstance(label, sp.Basic) else sp.Symbol(label), high, low)

    @property
    def count(self) -> sp.Expr:
        return sp.expand(self.args[1] - self.args[2] + 1)

    def _sympystr(self, printer: Any) -> str:
        label, high, low = (printer.doprint(argument) for argument in self.args)
        return f"{label}[{high}]" if high == low else f"{label}[{high}..{low}]"

    def _latex(self, printer: Any, exp: Any = None) -> str:
        label, high, low = self.args
        head, _, branch = label.name.partition("_")
        sub = f"_{{{branch}}}" if branch else ""
        if high == low:
            return rf"{{\mathbf{{{head}}}{sub}^{{{printer._print(high)}}}}}"
        text = rf"\prod_{{i={printer._print(low)}}}^{{{printer._print(high)}}} \mathbf{{{head}}}{sub}^{{i}}"
        return rf"\left({text}\right)"


class Direction(sp.Expr):  # type: ignore[misc]
    """A fixed unit column r^i of the hidden layer i, equation (43)."""

    is_commutative = False

    def __new__(cls, label: str | sp.Symbol, index: Any) -> Any:
        return sp.Expr.__new__(
            cls, label if isinstance(label, sp.Basic) else sp.Symbol(label), sp.expand(sp.sympify(index))
        )

    def _sympystr(self, printer: Any) -> str:
        return "{}[{}]".format(*(printer.doprint(argument) for argument in self.args))

    def _latex(self, printer: Any, exp: Any = None) -> str:
        label, index = self.args
        head, _, branch = label.name.partition("_")
        return rf"{{\mathbf{{{head}}}" + (f"_{{{branch}}}" if branch else "") + f"^{{{printer._print(index)}}}}}"


class Average(sp.Expr):  # type: ignore[misc]
    """Mean over the samples of a product, equation (1)."""

    is_commutative = False

    def _sympystr(self, printer: Any) -> str:
        return f"<{printer.doprint(self.args[0])}>"

    def _latex(self, printer: Any, exp: Any = None) -> str:
        return rf"\left\langle {printer._print(self.args[0])} \right\rangle"


def T(e: Any) -> sp.Expr:
    """Transpose."""
    return sp.transpose(e)


def layer(label: str, index: Any) -> sp.Expr:
    """One layer of a chain."""
    return Layers(label, index, index)


def words(e: Any) -> Iterator[tuple[sp.Expr, Word]]:
    """Coefficient and factors of each term, whole powers written out."""
    for term in sp.Add.make_args(sp.expand(sp.sympify(e))):
        scalars, factors = term.args_cnc()
        flat: list[sp.Expr] = []
        for factor in factors:
            if isinstance(factor, sp.Pow) and factor.exp.is_Integer and factor.exp > 1:
                flat += [factor.base] * int(factor.exp)
            else:
                flat.append(factor)
        yield sp.Mul(*scalars), tuple(flat)


def coefficient_of(e: Any, *word: sp.Expr) -> sp.Expr:
    """The number before a word, the only one in a sum; without a word the sum must be a number."""
    terms = list(words(e))
    if any(found != word for _, found in terms):
        raise SolveError(f"{e} is not along {sp.Mul(*word)}")
    return sp.Add(*(coefficient for coefficient, _ in terms))


def _joined(left: sp.Expr, right: sp.Expr) -> sp.Expr | None:
    """The product of two neighbours where it is shorter."""
    if isinstance(left, Layers) and isinstance(right, Layers) and left.args[0] == right.args[0]:
        if sp.expand(left.args[2] - right.args[1]) == 1:
            return Layers(left.args[0], left.args[1], right.args[2])
    elif isinstance(left, sp.transpose) and isinstance(right, sp.transpose):
        product = _joined(right.args[0], left.args[0])
        return None if product is None else T(product)
    elif isinstance(left, sp.transpose) and isinstance(right, Direction) and left.args[0] == right:
        return sp.Integer(1)
    return None


def _symmetric(factor: sp.Expr) -> sp.Expr:
    if isinstance(factor, sp.transpose):
        return TRANSPOSES.get(factor.args[0], factor)
    if isinstance(factor, sp.Pow) and isinstance(factor.base, sp.transpose):  # of an inverse
        return _symmetric(factor.base) ** factor.exp
    return factor


def _shortened(word: Word, rules: Rules) -> sp.Expr | None:
    """The word after the first identity that applies; None if none does."""
    for i, factor in enumerate(word):
        if (other := _symmetric(factor)) != factor:
            return sp.Mul(*word[:i], other, *word[i + 1 :])
    for i in range(len(word) - 1):
        product = _joined(word[i], word[i + 1])
        if product is not None:
            return sp.Mul(*word[:i], product, *word[i + 2 :])
    for pattern, value in rules.items():
        n = len(pattern)
        for i in range(len(word) - n + 1):
            if word[i : i + n] == pattern:
                return sp.Mul(*word[:i], value, *word[i + n :])
    return None


def normal(e: Any, rules: Rules | None = None) -> sp.Expr:
    """The sum of words after all identities, `rules` included (word -> what it is)."""
    rules = rules or {}
    total: list[sp.Expr] = []
    waiting = [sp.sympify(e)]
    while waiting:
        for coefficient, word in words(waiting.pop()):
            shorter = _shortened(word, rules)
            if shorter is None:
                total.append(coefficient * sp.Mul(*word))
            else:
                waiting.append(coefficient * shorter)
    return sp.expand(sp.Add(*total))


def same(one: Any, other: Any, rules: Rules | None = None) -> bool:
    """Whether two sums of words are equal by the identities, coefficients by `positive_powers`."""
    from derivations.algebra.positive_powers import equal

    coefficients: dict[Word, sp.Expr] = {}
    for coefficient, word in words(normal(sp.sympify(one) - sp.sympify(other), rules)):
        coefficients[word] = coefficients.get(word, sp.Integer(0)) + coefficient
    return all(equal(value, 0) for value in coefficients.values())


def split(e: Any, single: Layers) -> sp.Expr:
    """The same expression with a layer written apart from the product that holds it.

    Which layers come before and after is fixed by the label; the split is checked by joining again.
    """
    label, index, _ = single.args

    def apart(product: Layers) -> sp.Expr:
        high, low = product.args[1:]
        if (high - index).is_negative or (index - low).is_negative:
            raise SolveError(f"{single} is no layer of {product}")
        return Layers(label, high, index + 1) * single * Layers(label, index - 1, low)

    found = sp.sympify(e)
    products = [p for p in found.atoms(Layers) if p.args[0] == label and p != single]
    found = found.xreplace({p: apart(p) for p in products})
    if not same(found, e):
        raise SolveError(f"{single} could not be split off")
    return found


def apart(e: Any) -> sp.Expr:
    """The products of two layers written as two factors, also in a transposed product."""
    products = {p for p in sp.sympify(e).atoms(Layers) if p.count == 2}
    return sp.expand(
        sp.sympify(e).subs({p: layer(p.args[0].name, p.args[1]) * layer(p.args[0].name, p.args[2]) for p in products})
    )


def linear_in(e: Any, atom: sp.Expr) -> sp.Expr:
    """The terms in which `atom` or its transpose occurs exactly once."""
    terms = [
        coefficient * sp.Mul(*word)
        for coefficient, word in words(e)
        if sum(factor in (atom, T(atom)) for factor in word) == 1
    ]
    return sp.Add(*terms)


def means(*definitions: sp.Basic) -> Rules:
    """The correlations that (1) defines, as rules word -> symbol.

    What a transpose does to them is checked against the definitions: Sigma^T = Sigma, Sigma_AB^T = Sigma_BA.
    """
    found: dict[tuple[sp.Expr, ...], sp.Expr] = {}
    for definition in definitions:
        for line in definition.args if isinstance(definition, sp.Tuple) else (definition,):
            ((scale, word),) = words(line.rhs)
            (mean,) = word
            ((inner, pair),) = words(mean.args[0])
            if pair in found or not isinstance(mean, Average):
                raise SolveError(f"{sp.Mul(*pair)} has two names")
            found[pair] = line.lhs / (scale * inner)
    for pair, symbol in found.items():
        turned = tuple(TRANSPOSES.get(T(f), T(f)) for f in reversed(pair))
        if symbol in TRANSPOSES and found.get(turned) != TRANSPOSES[symbol]:
            raise SolveError(f"the transpose of {symbol} is not {TRANSPOSES[symbol]}")
    return found


def averaged(e: Any, means: Rules) -> sp.Expr:
    """Mean over the samples: what is random stands side by side in each word and is replaced by its mean."""
    random = {x_A, x_B, x_all, target} | {a for word in means for f in word for a in (f, *f.args)}
    total = []
    for coefficient, word in words(normal(e)):
        places = [i for i, f in enumerate(word) if f in random or (f.args and f.args[0] in random)]
        if len(places) != 2 or places[1] != places[0] + 1:
            raise SolveError(f"the mean of {sp.Mul(*word)} is not a correlation")
        i, j = places[0], places[1] + 1
        pair = word[i:j]
        flipped = tuple(_symmetric(T(f)) for f in reversed(pair))
        if pair in means:
            mean = means[pair]
        elif flipped in means:
            mean = T(means[flipped])
        else:
            raise SolveError(f"no correlation is defined for {sp.Mul(*pair)}")
        total.append(coefficient * sp.Mul(*word[:i], mean, *word[j:]))
    return normal(sp.Add(*total))


def descent(prediction: Any, single: Layers, means: Rules, error: sp.Symbol) -> sp.Expr:
    """-dLoss/dW of one layer for the loss <error error^T>/2, error = target - prediction.

    `means` says what <error x^T> is for each input x.
    """
    moved = split(prediction, single).xreplace({single: single + D})
    change = linear_in(moved, D)  # of the prediction, to first order in D
    gradient = []
    for coefficient, word in words(T(change)):  # -dLoss = <error change^T>
        place = word.index(T(D))
        left, right = word[:place], word[place + 1 :]
        gradient.append(coefficient * sp.Mul(*right, error, *left))
    return averaged(sp.Add(*gradient), means)


def degree(word: Word, chains: Sequence[str] = ()) -> sp.Expr:
    """Number of layers in a word, of the named chains only if any are named."""
    found = sp.Integer(0)
    for factor in word:
        inner = factor.args[0] if isinstance(factor, sp.transpose) else factor
        if isinstance(inner, Layers) and (not chains or inner.args[0].name in chains):
            found += inner.count
    return sp.expand(found)


def lowest_degree(e: Any, chains: Sequence[str] = ()) -> tuple[sp.Expr, sp.Expr | None]:
    """Terms with the fewest layers, which lead for small weights, and how many layers more the next have."""
    terms = [(degree(word, chains), coefficient * sp.Mul(*word)) for coefficient, word in words(normal(e))]
    least = terms[0][0]
    for n, _ in terms:
        if sp.expand(least - n).is_positive:
            least = n
    gaps = sorted({sp.expand(n - least) for n, _ in terms} - {sp.Integer(0)}, key=str)
    if len(gaps) > 1 or not all(gap.is_positive for gap in gaps):
        raise SolveError(f"the degrees {gaps} cannot be compared")
    lead = sp.Add(*(term for n, term in terms if sp.expand(n - least) == 0))
    return lead, gaps[0] if gaps else None


@lru_cache(maxsize=64)
def rank_one_product(label: str, factor: sp.Expr, index: sp.Symbol, high: sp.Expr, low: sp.Expr) -> sp.Expr:
    """W^high ... W^low if W^i = `factor` (in `index`), a number times r^i r^(i-1)T: by induction on high.

    The claim P(h) = s^(h-low+1) r^h r^(low-1)T is checked at h = low and from h to h + 1.
    """
    (scalar, (column, row)), *more = list(words(factor))
    if more:
        raise SolveError(f"{factor} is not of rank one")
    h = sp.Dummy("h", integer=True, positive=True)

    def claim(top: Any) -> sp.Expr:
        return scalar ** (top - low + 1) * column.subs(index, top) * row.subs(index, low)

    step = normal(factor.subs(index, h + 1) * claim(h))
    if not same(claim(low), factor.subs(index, low)) or not same(step, claim(h + 1)):
        raise SolveError(f"the layers of {label} do not telescope: {step}")
    return claim(high)


def evaluate(e: Any, values: Mapping[sp.Basic, Any], layers: Mapping[str, Sequence[Any]] | None = None) -> Any:
    """A sum of words on explicit matrices, NumPy's or SymPy's; `layers` maps a label to [W^1, W^2, ...].

    A word that is a pure number counts as that number.
    """
    total: Any = None
    for coefficient, word in words(e):
        term = coefficient.subs({s: v for s, v in values.items() if s.is_commutative})
        factors = [value for factor in word if (value := _value(factor, values, layers or {})) is not None]
        if factors:
            product = reduce(matmul, factors)
            term = (term if isinstance(product, sp.MatrixBase) else float(term)) * product
        total = term if total is None else total + term
    return total


def _value(factor: sp.Expr, values: Mapping[sp.Basic, Any], layers: Mapping[str, Sequence[Any]]) -> Any:
    if factor in values:
        return values[factor]
    if isinstance(factor, sp.transpose):
        inner = _value(factor.args[0], values, layers)
        return None if inner is None else inner.T
    if isinstance(factor, Layers):
        label, high, low = factor.args
        indices = {s: v for s, v in values.items() if s.is_commutative}
        chosen = layers[label.name][int(low.subs(indices)) - 1 : int(high.subs(indices))]
        return reduce(matmul, reversed(chosen)) if chosen else None  # None: the identity of whatever size fits
    if isinstance(factor, sp.Pow) and factor.exp == -1:
        inner = _value(factor.base, values, layers)
        return inner.inv() if isinstance(inner, sp.MatrixBase) else np.linalg.inv(inner)
    raise SolveError(f"no value for {factor}")
