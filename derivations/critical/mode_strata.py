"""Components of the critical points of several outputs, two layers: the ranks of the layers over given total weights.

With given total weights the critical points (U, V), U V = W, have the columns of U in the left kernel L of the error e
and the rows of V in its right kernel R, of dimensions a and b. Let W have rank k and U, V ranks r, s. All such pairs
are one orbit of changes of basis, of the hidden units and of L and R where these leave W: an irreducible stratum. With
r columns of U in L that hold those of W, then V along the kernel of U, its dimension is

    r h + (r - k)(a - r) + (h - r) b        (161)

for the largest s. Components are (a, b), or all pairs with r + s = h + k where h < a + b - k; other pairs lie in the
closure of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from derivations.algebra.matrices import matrix
from derivations.algebra.ordered_products import T
from derivations.algebra.typesetting import latex_of, text_lines
from derivations.correlations import Correlations
from derivations.critical.counts import h, plain
from derivations.critical.inertia import Signature
from derivations.critical.mode_paths import Path, rescaled_first_layers, unit_variances, weights_of
from derivations.critical.mode_points import Share
from derivations.critical.mode_signature import Tangent, form_inertia, joined, tensor
from derivations.critical.stratum_points import Weights
from derivations.critical.stratum_words import layers_of, total_symbol
from derivations.errors import DomainError
from derivations.network import FusionNetwork, layer_shapes


def fibre_dimension(width: Any, a: Any, b: Any, k: Any, r: Any) -> Any:
    """(161): dimension of the pairs U (a, h) of rank r, V (h, b), of all ranks that go with it, with U V of rank k."""
    return r * width + (r - k) * (a - r) + (width - r) * b


def component_ranks(width: int | None, a: int, b: int, k: int) -> list[tuple[int, int]]:
    """(r, s) of the irreducible components over one total weight; None for a width that is large enough."""
    if width is None:
        return [(a, b)]
    return [(r, min(b, width + k - r)) for r in range(min(a, max(k, width + k - b)), min(a, width) + 1)]


def coupled_directions(width: Any, p: Any, k: Any) -> Any:
    """(162): p (h - k), negative directions in which hidden units that are free take up what is not learned."""
    return p * (width - k)


@dataclass(frozen=True, eq=False)
class Learned:
    """One path at critical total weights.

    weight, error : (K, d) total weights and e, inputs at unit variances
    left, right : orthonormal columns that span the kernels L, R of this error
    strengths : singular values of the error in the user's units that are not zero, the largest first
    """

    path: Path
    share: Share
    modes: tuple[int, ...]
    weight: np.ndarray
    error: np.ndarray
    rank: int
    left: np.ndarray
    right: np.ndarray
    strengths: tuple[float, ...]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """a, b, k."""
        return self.left.shape[1], self.right.shape[1], self.rank

    def ranks(self, width: int | None) -> list[tuple[int, int] | None]:
        """(r, s) of the strata; None for one layer, which has a single one."""
        return [None] if self.path.depth == 1 else [*component_ranks(width, *self.sizes)]

    def tangent(self, columns: np.ndarray, ranks: tuple[int, int] | None) -> Tangent:
        """With layers of these ranks, columns and rows beyond those of W in fixed random places of L and R."""
        a, b, k = self.sizes
        r, s = ranks or (a, b)
        u, _, v = np.linalg.svd(self.weight)
        rows = _widened(v[:k].T, self.right, s)
        own = tensor(self.left, rows), tensor(_widened(u[:, :k], self.left, r), self.right)
        inner = joined(list(own), *self.weight.shape)
        return Tangent(columns, self.error, self.left, self.right, self.weight, k, inner)


def _widened(inside: np.ndarray, space: np.ndarray, size: int) -> np.ndarray:
    """Orthonormal columns: those of `inside` and random ones of `space` that contains them, `size` in all."""
    if size == space.shape[1]:
        return space
    draw = np.random.default_rng(0).normal(size=(space.shape[1], size - inside.shape[1]))
    return np.asarray(np.linalg.qr(np.hstack([inside, space @ draw]))[0])


@dataclass(frozen=True, eq=False)
class ModeStratum:
    """An irreducible component of the critical points with given total weights: the ranks of both layers of each path.

    ranks : (r, s) of the second and first layer of each path; None for a path of one layer
    """

    manifold: str
    network: FusionNetwork
    data: Correlations
    width: int | None
    parts: tuple[Learned, ...]
    ranks: tuple[tuple[int, int] | None, ...]

    @property
    def name(self) -> str:
        """The manifold, and the ranks of the second and the first layer: M_A1 A(1,2) B(0,2)."""
        told = [f"{p.path.name}({r[0]},{r[1]})" for p, r in zip(self.parts, self.ranks, strict=True) if r]
        return " ".join([self.manifold, *told])

    @property
    def learned(self) -> tuple[str, ...]:
        return tuple(m for part in self.parts if part.rank for m in part.path.modalities)

    @property
    def _width(self) -> Any:
        return h if self.width is None else self.width

    @property
    def count(self) -> Any:
        """Of all weights."""
        shapes = layer_shapes(self.network, self.data.sizes, self.data.outputs, self._width)
        return sum(out * into for layers in shapes.values() for out, into in layers)

    @property
    def dimension(self) -> Any:
        found: Any = 0
        for part, ranks in zip(self.parts, self.ranks, strict=True):
            found += fibre_dimension(self._width, *part.sizes, ranks[0]) if ranks else 0
        return plain(found)

    @cached_property
    def _rest(self) -> Signature:
        """Signs of the form q."""
        tangents = [p.tangent(p.path.columns(self.data), r) for p, r in zip(self.parts, self.ranks, strict=True)]
        return form_inertia(unit_variances(self.data)[0], tangents)

    @property
    def _coupled(self) -> Any:
        free = [p for p in self.parts if p.path.depth > 1]
        return sum((coupled_directions(self._width, len(p.strengths), p.rank) for p in free), start=0)

    @property
    def negative(self) -> Any:
        return plain(self._coupled + self._rest.negative)

    @property
    def positive(self) -> Any:
        return plain(self._coupled + self._rest.positive)

    @property
    def zero(self) -> Any:
        return plain(self.count - self.negative - self.positive)

    @cached_property
    def equations(self) -> sp.Tuple:
        """W^tot, and that no layer carries what is left of the error: W2^T e = 0, e W1^T = 0, (160)."""
        found = []
        for part in self.parts:
            found += path_equations(self.network, part.path, part.share, part.rank)
        return sp.Tuple(*found)

    @property
    def proof(self) -> tuple[str, ...]:
        """For each layer why its gradient is zero, in the order of its equations."""
        lines = []
        for part in self.parts:
            name = part.path.name
            if part.share is Share.WHOLE:
                lines.append(f"{name}: e = 0")
            else:
                lines += [f"{name}, layer 1: W2^T e = 0 on the stratum", f"{name}, layer 2: e W1^T = 0 on the stratum"]
        return tuple(lines)

    def point(self, seed: int = 0) -> Weights:
        """A random point of it, hidden units turned at random; needs a width."""
        if self.width is None:
            raise DomainError("a point needs a width: fixed_points(network, data, width)")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise DomainError(f"seed must be an integer >= 0, got {seed!r}")
        rng, layers = np.random.default_rng(seed), {}
        for part, ranks in zip(self.parts, self.ranks, strict=True):
            layers[part.path.name] = [part.weight]
            if ranks:
                layers[part.path.name] = _factors(part, ranks, self.width, rng)
        return in_users_units(self.network, self.data, layers)

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: dimension {self.dimension}", *(f"  {t}" for t in text_lines(self.equations))])

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        return f"$${latex_of(self.equations)}$$"


def in_users_units(network: FusionNetwork, data: Correlations, layers: Mapping[str, list[np.ndarray]]) -> Weights:
    """Weights from the layers of each path at unit variances."""
    return rescaled_first_layers(data, weights_of(network, data, layers), 1 / unit_variances(data)[1])


def _factors(part: Learned, ranks: tuple[int, int], width: int, rng: np.random.Generator) -> list[np.ndarray]:
    """V (h, d) and U (K, h): hidden units shared k, of U alone r - k, of V alone s - k, and none, then turned."""
    (r, s), (a, b, k) = ranks, part.sizes
    u, sizes, v = np.linalg.svd(part.weight, full_matrices=False)
    root = np.sqrt(sizes[:k])
    unit = float(np.max(root, initial=0.0)) or 1.0
    top, bottom = np.zeros((len(part.weight), width)), np.zeros((width, part.weight.shape[1]))
    top[:, :k], bottom[:k] = u[:, :k] * root, root[:, None] * v[:k]
    top[:, k:r] = unit * part.left @ rng.normal(size=(a, r - k)) / np.sqrt(max(a, 1))
    bottom[r : r + s - k] = unit * rng.normal(size=(s - k, b)) @ part.right.T / np.sqrt(max(b, 1))
    turn, _ = np.linalg.qr(rng.normal(size=(width, width)))
    turn = turn * rng.uniform(0.7, 1.4, size=width)
    return [np.linalg.solve(turn, bottom), top @ turn]


def path_equations(network: FusionNetwork, path: Path, share: Share, rank: int) -> list[sp.Eq]:
    """Of one path, (160): W^tot, and what no layer carries; e = 0 where the whole is learned."""
    errors_of = {m: matrix(f"e_{m}") for m in path.modalities}
    if share is Share.WHOLE:
        return [sp.Eq(error, 0, evaluate=False) for error in errors_of.values()]
    first = {m: layers_of(network, m, 1, 1) for m in path.modalities}
    (last,) = (layers_of(network, name, i + 1, i + 1) for name, i in path.rest[-1:])
    found = []
    for m, error in errors_of.items():
        found.append(sp.Eq(last * first[m], total_symbol(m) if rank else sp.Integer(0), evaluate=False))
        found.append(sp.Eq(T(last) * error, 0, evaluate=False))
    seen = sp.Add(*(error * T(first[m]) for m, error in errors_of.items()))
    return [*found, sp.Eq(seen, 0, evaluate=False)]
