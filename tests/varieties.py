"""The critical set by elimination: an independent road to the strata, for explicit entries of every layer.

Every gradient is P^T G, so the critical set is the union, over the choices P = 0 or G = 0 at each layer, of common
zeros of polynomials in the weights with coefficients in the field of rational functions of Sigma and Sigma_yx.
Layer by layer the choice is added to a Groebner basis; a basis with a polynomial that factors is split; what is
empty, or contained in another set, is dropped. Over that field Sigma is generic: nothing divides by what may vanish.
"""

from __future__ import annotations

from functools import reduce as fold
from typing import Any

import sympy as sp
from sympy import QQ
from sympy.polys.groebnertools import groebner
from sympy.polys.orderings import grevlex
from sympy.polys.rings import PolyRing

from derivations.correlations import Correlations, require_problem
from derivations.critical.strata import SYMBOLIC
from derivations.errors import DomainError
from derivations.flow.gradient_flow import above, errors, total_weights
from derivations.network import TRUNK, Chain, FusionNetwork, layer_shapes

LARGEST = 12  # weights; the bases of more take minutes


def critical_components(
    network: FusionNetwork, data: Correlations | None = None, width: int = 1
) -> tuple[tuple[sp.Expr, ...], ...]:
    """Groebner bases of the components of the critical set, in the weights W_chain^layer_row,column.

    Splits where a polynomial factors, so at width 1 (all layers numbers) each is irreducible.

    Raises
    ------
    DomainError
        For more than `LARGEST` weights, or data that are not symbols.

    Examples
    --------
    >>> for basis in critical_components(FusionNetwork.fused_at(2, 1)):
    ...     print(*basis, sep=", ")
    W1*W_B1 - (Sigma_A*Sigma_yB - Sigma_AB*Sigma_yA)/(Sigma_A*Sigma_B - Sigma_AB**2), \
W_A1 + W_B1*(Sigma_AB*Sigma_yB - Sigma_B*Sigma_yA)/(Sigma_A*Sigma_yB - Sigma_AB*Sigma_yA)
    W_A1 + Sigma_yB*W_B1/Sigma_yA, W1
    """
    if data is None:
        data = Correlations.symbolic(dict.fromkeys(network.modalities, 1))
    require_problem(network, data)
    if not data.is_symbolic or data.outputs > 1:
        raise DomainError("critical_components needs symbols in sigma and sigma_yx, and one output")
    if network.is_symbolic:
        raise DomainError(SYMBOLIC)
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise DomainError(f"width must be a positive integer, got {width!r}")
    weights = symbolic_weights(network, data, width)
    gens = [entry for layers in weights.values() for layer in layers for entry in layer]
    if len(gens) > LARGEST:
        raise DomainError(f"width {width} gives {len(gens)} weights, {LARGEST} at most: larger bases take minutes")
    constants = sorted((data.sigma.free_symbols | data.sigma_yx.free_symbols), key=str)
    polynomials = PolyRing(gens, QQ.frac_field(*constants), grevlex)
    found: list[list[Any]] = [[]]
    for choices in _choices(network, data, weights):
        polys = [[polynomials.from_expr(x) for x in choice if x != 0] for choice in choices]
        found = _largest([piece for basis in found for choice in polys for piece in _pieces([*basis, *choice])])
    return tuple(sorted((tuple(_readable(p) for p in basis) for basis in found), key=str))


def symbolic_weights(network: FusionNetwork, data: Correlations, width: int) -> dict[str, list[sp.Matrix]]:
    """A symbol for every weight: W_A1 for a layer of one entry, W_A1_12 for row 1, column 2 of a larger one."""
    found: dict[str, list[sp.Matrix]] = {}
    for name, layers in layer_shapes(network, data.sizes, 1, width).items():
        label = "W" if name == TRUNK else f"W_{name}"
        found[name] = [
            sp.Matrix(
                out, into, lambda i, j, n=n, one=out * into == 1, label=label: sp.Symbol(_entry(label, n, i, j, one))
            )
            for n, (out, into) in enumerate(layers, start=1)
        ]
    return found


def _entry(label: str, layer: int, i: int, j: int, single: bool) -> str:
    return f"{label}{layer}" if single else f"{label}{layer}_{i + 1}{j + 1}"


def _choices(network: FusionNetwork, data: Correlations, weights: dict[str, list[sp.Matrix]]) -> list[list[list[Any]]]:
    """For each layer from the output down: the entries of P, and those of G."""
    rows = above(network, weights)
    error = errors(data, total_weights(network, weights, rows))
    found = []

    def push(chain: Chain, name: str) -> sp.Matrix:
        inner = [push(child, child.name) for child in chain.children]
        signal = fold(lambda one, two: one + two, inner) if inner else sp.Matrix(error[name])
        for layer, row in zip(weights[name], rows[name], strict=True):
            choices = [list(signal)] if row is None else [list(row), list(signal)]
            found.append([[sp.expand(x) for x in choice] for choice in choices])
            signal = signal * layer.T
        return signal

    push(network.trunk, TRUNK)
    return found[::-1]


def _pieces(polys: list[Any]) -> list[list[Any]]:
    """Groebner bases whose polynomials do not factor, with the same zeros together; none if there are no zeros."""
    waiting, done = [[p for p in polys if p]], []
    while waiting:
        start = waiting.pop()
        basis = groebner(start, start[0].ring) if start else []
        if any(p.is_ground for p in basis):
            continue
        for i, poly in enumerate(basis):
            factors = [f for f, _ in poly.factor_list()[1] if not f.is_ground]
            if len(factors) > 1 or factors[0].degrees() != poly.degrees():
                waiting += [[*basis[:i], factor, *basis[i + 1 :]] for factor in factors]
                break
        else:
            done.append(basis)
    return done


def _largest(bases: list[list[Any]]) -> list[list[Any]]:
    """Sets that lie in no other: one lies in another if it satisfies all of the other's equations."""

    def inside(one: list[Any], other: list[Any]) -> bool:
        return all(not p.rem(one) for p in other) if one else not other

    kept: list[list[Any]] = []
    for basis in sorted(bases, key=len):
        if not any(inside(basis, other) for other in kept):
            kept = [*(other for other in kept if not inside(other, basis)), basis]
    return kept


def _readable(poly: Any) -> sp.Expr:
    """Coefficients cancelled one by one."""
    gens = poly.ring.symbols
    return sp.Add(
        *(sp.factor(c.as_expr()) * sp.Mul(*(g**e for g, e in zip(gens, m, strict=True))) for m, c in poly.terms())
    )
