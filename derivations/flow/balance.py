"""Conserved quantities of gradient flow on any tree: (38)-(41), found by machine and proved for all data.

Along a chain W^(l+1)T W^(l+1) - W^l W^lT is conserved; at a fusion W^(+1)T W^(+1) minus the sum over the
children's last layers of W W^T. The *differences* are conserved; (38), (39) print them as equalities
(and (38) with the transposes of one side lost), which needs a balanced start.

Why nothing else of second degree is: a quadratic form Q = w^T A w changes at the rate
-2 sum_m <dLoss/dW_m^tot, D W_m^tot[A w]>. For all data the inner products are free, so Q is conserved iff
moving every weight along A w changes no W_m^tot. That is linear in A: `quadratic_invariants` solves it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from numbers import Integral
from typing import TYPE_CHECKING, Any

from derivations.errors import DomainError
from derivations.network import FusionNetwork, require_network, shown_number

if TYPE_CHECKING:
    import sympy as sp

MOST_ENTRIES = 60  # weights, whose pairs are the unknowns
Weights = Mapping[str, Sequence[Any]]
Entry = tuple[str, int, int, int]  # chain, layer, row, column
Pair = tuple[Entry, Entry]  # of A, symmetric: the smaller entry first
Row = tuple[tuple[Pair, int], ...]  # a linear condition: unknowns and their coefficients


def differences(network: FusionNetwork, weights: Weights) -> dict[str, Any]:
    """The conserved matrices, one an interface of two layers, (38) and (39) in their right form.

    Only `@`, `.T`, `+` and `-`: NumPy arrays and SymPy matrices alike. Their traces are (40) and (41).

    Examples
    --------
    >>> import numpy as np
    >>> net = FusionNetwork.fused_at(2, 2)
    >>> layers = [np.array([[3.0]]), np.array([[2.0]])]
    >>> {place: gap.item() for place, gap in differences(net, {"A": layers, "B": layers}).items()}
    {'A 1|2': -5.0, 'B 1|2': -5.0}
    """
    require_network(network)
    if not isinstance(weights, Mapping):
        raise DomainError(f"weights must map each chain to its layers, got {type(weights).__name__}")
    found = {}
    for name, chain in network.chains.items():
        layers = weights.get(name, ())
        if len(layers) != chain.depth:
            raise DomainError(f"weights[{name!r}] must hold {chain.depth} layers, got {len(layers)}")
        if not all(hasattr(layer, "T") for layer in layers):
            raise DomainError(f"weights[{name!r}] must hold matrices, got {type(layers[0]).__name__}")
        if chain.children and layers:
            below = [weights[child.name][-1] for child in chain.children]
            gap = layers[0].T @ layers[0]
            for last in below:
                gap = gap - last @ last.T
            found[f"fusion into {name}"] = gap
        for i, (low, high) in enumerate(pairwise(layers), start=1):
            found[f"{name} {i}|{i + 1}"] = high.T @ high - low @ low.T
    return found


def quadratic_invariants(
    network: FusionNetwork, width: int, sizes: Mapping[str, int] | None = None, outputs: int = 1
) -> tuple[sp.Expr, ...]:
    """A basis of all quadratic forms of the weights that gradient flow conserves whatever the data.

    Parameters
    ----------
    width : hidden units of every layer
    sizes : modality -> inputs, one each if not given

    Returns
    -------
    tuple of SymPy expressions in the entries A1_00, A1_10, ... (chain, layer, row, column).

    Examples
    --------
    >>> quadratic_invariants(FusionNetwork.fused_at(2, 1), width=1)
    (A1_00**2 + B1_00**2 - trunk1_00**2,)
    """
    import sympy as sp

    require_network(network)
    if network.is_symbolic:
        raise DomainError("conserved quantities are found for explicit depths, got symbols")
    sizes = dict.fromkeys(network.modalities, 1) if sizes is None else sizes
    if not isinstance(sizes, Mapping) or set(sizes) != set(network.modalities):
        names = ", ".join(network.modalities)
        raise DomainError(f"sizes must map each of {names} to its inputs, got {type(sizes).__name__}")
    for field, size in (("width", width), ("outputs", outputs), *((f"sizes[{m!r}]", d) for m, d in sizes.items())):
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise DomainError(f"{field} must be a positive integer, got {' '.join(repr(size).split())}"[:200])
    shapes = _shapes(network, width, sizes, outputs)
    entries = sum(out * into for out, into in shapes.values())
    if entries > MOST_ENTRIES:
        raise DomainError(
            f"width {shown_number(int(width))} makes {shown_number(entries)} weights, more than {MOST_ENTRIES}: "
            "their pairs are too many unknowns"
        )
    rows = _conditions(network, shapes)
    forms = _null_space(rows)
    symbols: dict[Entry, sp.Symbol] = {}

    def symbol(entry: Entry) -> sp.Symbol:
        chain, layer, row, column = entry
        return symbols.setdefault(entry, sp.Symbol(f"{chain}{layer + 1}_{row}{column}", real=True))

    expressions = []
    for form in forms:
        terms = [(1 if a == b else 2) * value * symbol(a) * symbol(b) for (a, b), value in form.items()]
        expression = sp.Add(*terms)
        leading = expression.as_coefficients_dict()[min(expression.as_coefficients_dict(), key=str)]
        expressions.append(expression / leading)
    return tuple(sorted(expressions, key=str))


def _shapes(
    network: FusionNetwork, width: int, sizes: Mapping[str, int], outputs: int
) -> dict[tuple[str, int], tuple[int, int]]:
    """(chain, layer) -> (out, in)."""
    shapes = {}
    ends = network.trunk.children if network.trunk.depth == 0 else (network.trunk,)
    for name, chain in network.chains.items():
        last = chain in ends
        for layer in range(chain.depth):
            into = sizes[name] if layer == 0 and not chain.children else width
            shapes[name, layer] = (outputs if last and layer == chain.depth - 1 else width, into)
    return shapes


def _conditions(network: FusionNetwork, shapes: Mapping[tuple[str, int], tuple[int, int]]) -> Iterator[dict[Pair, int]]:
    """Linear conditions on A: each coefficient of D W_m^tot[A w], as a polynomial in the weights, is zero."""
    entries = [(c, i, r, k) for (c, i), (out, into) in shapes.items() for r in range(out) for k in range(into)]
    for m in network.modalities:
        path = [(c, i) for c in network.path(m) for i in range(network.chains[c].depth)]
        inner = [range(shapes[layer][0]) for layer in path[:-1]]
        for column, row in product(range(shapes[path[0]][1]), range(shapes[path[-1]][0])):
            coefficients: dict[tuple[Entry, ...], dict[Pair, int]] = defaultdict(lambda: defaultdict(int))
            for hidden in product(*inner):
                nodes = (column, *hidden, row)
                factors = [(c, i, nodes[n + 1], nodes[n]) for n, (c, i) in enumerate(path)]
                for n, replaced in enumerate(factors):
                    others = factors[:n] + factors[n + 1 :]
                    for entry in entries:
                        pair = (replaced, entry) if replaced <= entry else (entry, replaced)
                        coefficients[tuple(sorted([*others, entry]))][pair] += 1
            yield from coefficients.values()


def _null_space(conditions: Iterator[dict[Pair, int]]) -> list[dict[Pair, Any]]:
    """Solutions of sparse homogeneous conditions with rational coefficients.

    Nearly all conditions have one term: that entry of A is zero. What is left falls into blocks of a few
    dozen unknowns that share no condition; each is solved on its own.
    """
    from sympy import QQ, Rational
    from sympy.polys.matrices import DomainMatrix

    solutions: list[dict[Pair, Any]] = []
    for unknowns, rows in _blocks(_without_zeros(conditions)):
        place = {pair: i for i, pair in enumerate(unknowns)}
        matrix = {i: {place[pair]: QQ(value) for pair, value in row} for i, row in enumerate(rows)}
        basis = DomainMatrix(matrix, (len(rows), len(unknowns)), QQ).nullspace().to_Matrix()
        for i in range(basis.shape[0]):
            solutions.append({pair: Rational(basis[i, j]) for pair, j in place.items() if basis[i, j] != 0})
    return solutions


def _without_zeros(conditions: Iterator[dict[Pair, int]]) -> set[Row]:
    """Conditions of two and more terms, once the entries that must be zero are left out."""
    rows: set[Row] = {tuple(sorted(condition.items())) for condition in conditions}
    while dead := {row[0][0] for row in rows if len(row) == 1}:
        rows = {tuple(term for term in row if term[0] not in dead) for row in rows} - {()}
    return rows


def _blocks(rows: set[Row]) -> Iterator[tuple[list[Pair], list[Row]]]:
    """Unknowns and conditions that hang together, block by block."""
    from sympy.utilities.iterables import connected_components

    unknowns = sorted({pair for row in rows for pair, _ in row})
    blocks = connected_components((unknowns, [(row[0][0], pair) for row in rows for pair, _ in row[1:]]))
    place = {pair: n for n, block in enumerate(blocks) for pair in block}
    used: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        used[place[row[0][0]]].append(row)
    for n, block in enumerate(blocks):
        yield sorted(block), sorted(used[n])
