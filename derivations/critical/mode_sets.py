"""Fixed points and saddles for several outputs, two layers: a manifold for each subset of modes of each path.

With given total weights the critical points (U, V), U V = W, have the columns of U in the left kernel L of the error e
and the rows of V in its right kernel R, of dimensions a and b. Let W have rank k and U, V ranks r, s. All such pairs
are one orbit of changes of basis, of the hidden units and of L and R where these leave W: an irreducible stratum. With
r columns of U in L that hold those of W, then V along the kernel of U, its dimension is

    r h + (r - k)(a - r) + (h - r) b        (161)

for the largest s. Components are (a, b), or all pairs with r + s = h + k where h < a + b - k; other pairs lie in the
closure of these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape as html_escape
from itertools import product
from operator import attrgetter
from typing import Any

import numpy as np
import sympy as sp

from derivations.algebra.matrices import matrix
from derivations.algebra.ordered_products import T
from derivations.algebra.typesetting import latex_of, text_lines
from derivations.correlations import Correlations, require_problem
from derivations.critical.escape import Escape, EscapeLaw, Kind, shown
from derivations.critical.free_units import ZERO, could_be, hessian_of
from derivations.critical.inertia import Signature
from derivations.critical.mode_paths import Path, paths_of, rescaled_first_layers, unit_variances, weights_of
from derivations.critical.mode_points import ALIKE, ModePoint, Share, mode_points, point_name
from derivations.critical.mode_signature import Tangent, form_inertia, joined, tensor
from derivations.critical.stratum_points import Weights, require_layers
from derivations.critical.stratum_words import layers_of, total_symbol
from derivations.errors import DomainError
from derivations.flow.gradient_flow import errors, loss, total_weights
from derivations.network import FusionNetwork, layer_shapes

TWO_LAYERS = "fixed points of several outputs are listed for two layers, {} has {}: only the signature is known there"
FOUND = "modalities are correlated and each learned in part: continued and searched in numbers, others may exist"
LOWEST = "the lowest that was found, no proof that none is lower"
WIDE = "counts in h are those of h >= {}"
h = sp.Symbol("h", integer=True, positive=True)  # the width, where none is given


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
        return _plain(found)

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
        return _plain(self._coupled + self._rest.negative)

    @property
    def positive(self) -> Any:
        return _plain(self._coupled + self._rest.positive)

    @property
    def zero(self) -> Any:
        return _plain(self.count - self.negative - self.positive)

    @cached_property
    def equations(self) -> sp.Tuple:
        """W^tot, and that no layer carries what is left of the error: W2^T e = 0, e W1^T = 0, (160)."""
        found = []
        for part in self.parts:
            found += _equations(self.network, part.path, part.share, part.rank)
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
        return _in_users_units(self.network, self.data, layers)

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: dimension {self.dimension}", *(f"  {t}" for t in text_lines(self.equations))])

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        return f"$${latex_of(self.equations)}$$"


def moved_onto_modes(manifold: ModeManifold, weights: Mapping[str, Any]) -> tuple[Weights, int]:
    """Given weights of two layers moved onto a manifold, each path where that changes it little; the dimension there.

    Each path tries every rank of its second layer and of its first one: the layer is projected on its kernel, cut to
    that rank about the columns of W^tot, and the other layer then changed as little as gives W^tot.

    Raises
    ------
    DomainError
        Where a path has fewer hidden units than W^tot has ranks.
    """
    network, data, layers, dimension = manifold.network, manifold.data, {}, 0
    weights = rescaled_first_layers(data, weights, unit_variances(data)[1])
    for part in manifold.parts:
        if part.path.depth == 1:
            layers[part.path.name] = [part.weight]
            continue
        first, second = part.path.layers(weights)
        width = len(first)
        if part.rank > width:
            raise DomainError(f"{part.path.name} has {width} hidden units, {manifold.name} needs {part.rank}")
        goal = part.left.T @ part.weight @ part.right
        top, bottom = _nearest_factors(part.left.T @ second, first @ part.right, goal, part.rank)
        layers[part.path.name] = [bottom @ part.right.T, part.left @ top]
        r, s = (int(np.sum(np.linalg.svd(x, compute_uv=False) > ZERO * _usual(part))) for x in (top, bottom))
        a, b, k = part.sizes
        dimension += max(
            fibre_dimension(width, a, b, k, ranks[0])
            for ranks in component_ranks(width, a, b, k)
            if ranks[0] >= r and ranks[1] >= s
        )
    return _in_users_units(network, data, layers), dimension


def _in_users_units(network: FusionNetwork, data: Correlations, layers: Mapping[str, list[np.ndarray]]) -> Weights:
    """Weights from the layers of each path at unit variances."""
    return rescaled_first_layers(data, weights_of(network, data, layers), 1 / unit_variances(data)[1])


def _usual(part: Learned) -> float:
    """Norm of a balanced layer that has learned this path's weights, or would what is left."""
    size = float(np.linalg.norm(part.weight, 2))
    return math.sqrt(size) or 1.0


def _nearest_factors(top: np.ndarray, bottom: np.ndarray, goal: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """U (a, h) and V (h, b) near the given ones with U V = goal, of rank k."""
    unit = max(float(np.linalg.norm(goal)), 1e-300)
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for turned in (False, True):
        u, v, w = (bottom.T, top.T, goal.T) if turned else (top, bottom, goal)
        for near, other in _one_sided(u, v, w, k):
            if np.linalg.norm(near @ other - w) > ZERO * unit:
                continue
            cost = float(np.linalg.norm(near - u) ** 2 + np.linalg.norm(other - v) ** 2)
            if best is None or cost < best[0]:
                best = (cost, other.T, near.T) if turned else (cost, near, other)
    if best is None:
        raise DomainError("no critical point with these outputs is found: a layer lacks a mode that is learned there")
    return best[1], best[2]


def _one_sided(u: np.ndarray, v: np.ndarray, w: np.ndarray, k: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each rank r of U: U cut to r about the columns of w, V corrected."""
    inside = np.linalg.svd(w)[0][:, :k]
    own = inside @ (inside.T @ u)
    left, sizes, right = np.linalg.svd(u - own, full_matrices=False)
    for r in range(k, min(u.shape) + 1):
        near = own + (left[:, : r - k] * sizes[: r - k]) @ right[: r - k]
        parts, values, rows = np.linalg.svd(near, full_matrices=False)
        if r and values[r - 1] <= 1e-13 * values[0]:
            continue
        other = v - rows[:r].T @ ((parts[:, :r].T @ (near @ v - w)) / values[:r, None])
        yield near, other


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


@dataclass(frozen=True)
class Turn:
    """Learned modes that turn towards stronger ones which are not: a way out without a unit that grows from zero.

    modalities : those of which a part is learned; speed : the rate, in 1/tau
    """

    modalities: tuple[str, ...]
    speed: float
    layers: int = 2
    law: EscapeLaw = EscapeLaw.EXPONENTIAL

    @property
    def equation(self) -> sp.Eq:
        u = sp.Symbol("u", real=True)
        return sp.Eq(sp.Symbol("tau*du/dt"), self.speed * u, evaluate=False)

    def __str__(self) -> str:
        return f"modes of {' and '.join(self.modalities)} turn at the rate {shown(self.speed)}"


@dataclass(frozen=True, eq=False)
class ModeManifold:
    """A critical manifold for several outputs: all critical points with the same total weights.

    name : M_0, M_A1 (mode 1 of A), M_A1+2,B1, M_A (all of A), ..., M_*; M_1, M_1+2 where one path reads everything.
        Modes are numbered from the strongest of what those learned whole leave to the path. A dash marks a further
        solution with the same ranks, nearest to these modes
    learned : modalities that have weights; modes : path -> its modes where a part is learned; ranks : path -> rank
    total : modality -> W_m^tot, (K, d)
    loss : the loss on it
    strata : its irreducible components
    dimension, negative, zero, positive : those of the largest stratum
    exact : whether in closed form; else found in numbers, exact to rounding, and there may be more like it
    escapes : how training leaves it from where small weights come to, the unlearned part zero, the rest balanced
    notes : what is special
    """

    name: str
    network: FusionNetwork
    data: Correlations
    width: int | None
    parts: tuple[Learned, ...]
    total: Mapping[str, np.ndarray]
    loss: float
    strata: tuple[ModeStratum, ...]
    exact: bool
    notes: tuple[str, ...] = ()

    @property
    def learned(self) -> tuple[str, ...]:
        return self.strata[0].learned

    @property
    def modes(self) -> dict[str, tuple[int, ...]]:
        return {part.path.name: part.modes for part in self.parts}

    @property
    def ranks(self) -> dict[str, int]:
        return {part.path.name: part.rank for part in self.parts}

    @cached_property
    def _largest(self) -> ModeStratum:
        return self.strata[0] if len(self.strata) == 1 else max(self.strata, key=lambda s: s.dimension)

    dimension = property(attrgetter("_largest.dimension"))
    negative = property(attrgetter("_largest.negative"))
    zero = property(attrgetter("_largest.zero"))
    positive = property(attrgetter("_largest.positive"))
    equations = property(attrgetter("_largest.equations"))

    @cached_property
    def escapes(self) -> tuple[Escape | Turn, ...]:
        """One for each mode that hidden units without weights can take up, and for each direction learned ones turn."""
        found: list[Escape | Turn] = []
        for part in self.parts:
            if part.path.depth > 1 and (self.width is None or part.rank < self.width):
                found += [Escape(part.path.modalities, 2, speed) for speed in _distinct(part.strengths)]
        partly = tuple(m for p in self.parts if p.share is Share.PART for m in p.path.modalities)
        found += [Turn(partly, speed) for speed in self._turning]
        return tuple(sorted(found, key=lambda way: -way.speed))

    @cached_property
    def _turning(self) -> tuple[float, ...]:
        """Minus the negative eigenvalues of the Hessian at balanced layers as wide as they have to be."""
        if not self._largest._rest.negative:
            return ()
        layers = {}
        for part in self.parts:
            weight = part.weight / unit_variances(self.data)[1][part.path.columns(self.data)]
            u, sizes, v = np.linalg.svd(weight, full_matrices=False)
            root = np.sqrt(sizes[: part.rank])
            layers[part.path.name] = [root[:, None] * v[: part.rank], u[:, : part.rank] * root]
            if part.path.depth == 1:
                layers[part.path.name] = [weight]
        weights = weights_of(self.network, self.data, layers)
        values = np.linalg.eigvalsh(hessian_of(self.network, self.data, weights))
        return _distinct(-values[values < -ZERO * np.max(np.abs(values))])

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """Distinct escape rates in 1/tau, the largest first: minus the negative eigenvalues of the Hessian there."""
        return _distinct([way.speed for way in self.escapes])

    @property
    def degenerate(self) -> bool:
        """Never for two layers: what can leave does so at a rate."""
        return False

    @property
    def kind(self) -> Kind:
        return Kind.SADDLE if self.escapes else Kind.MINIMUM

    def __str__(self) -> str:
        lines = [
            self.name + f": {self.kind}, {len(self.strata)} strat{'um' if len(self.strata) == 1 else 'a'}",
            f"  dimension {self.dimension}, loss {shown(self.loss)}",
            f"  signature: {self.negative} negative, {self.zero} zero, {self.positive} positive",
            *(f"  {line}" for line in text_lines(self.equations)),
            *(f"  leaves: {way}" for way in self.escapes),
            *(f"  note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html_escape(str(self))}</pre>"


def mode_manifolds(network: FusionNetwork, data: Correlations, width: int | None = None) -> tuple[ModeManifold, ...]:
    """The critical manifolds of two layers for several outputs, the fewest modes first, the global minimum last.

    Complete and in closed form unless two correlated paths are each learned in part; such manifolds say so (`exact`).
    Any critical point, found here or not, has the ranks of one of `rank_families`.

    Raises
    ------
    DomainError
        For more than two layers, paths that share layers, a singular Sigma, modes equally strong, too many subsets.

    Examples
    --------
    >>> data = Correlations(np.diag([1.0, 1, 2, 2]), [[3, 0, 0, 2.0], [0, 1, 4, 0]], {"A": 2, "B": 2})
    >>> [m.name for m in mode_manifolds(FusionNetwork.fused_at(2, 1), data)]
    ['M_0', 'M_1', 'M_2', 'M_*']
    >>> found = mode_manifolds(FusionNetwork.fused_at(2, 2), data, 3)
    >>> [(m.name, m.dimension, m.negative, m.rates) for m in found[:3]]
    [('M_0', 0, 12, (4.0, 3.0, 2.0, 1.0)), ('M_A1', 5, 8, (4.0, 2.0, 1.0)), ('M_A2', 5, 9, (4.0, 3.0, 2.0))]
    """
    require_problem(network, data)
    if data.is_symbolic:
        raise DomainError("fixed points of several outputs need numbers in sigma and sigma_yx, got symbols")
    paths = _two_layer_paths(network)
    points = mode_points(paths, data, width)
    names = [point_name(paths, point) for point in points]
    found = [_manifold(network, data, width, name, point) for name, point in zip(names, points, strict=True)]
    if all(m.name != "M_*" for m in found):  # the width is too small for the whole: the lowest is the last
        best = min(range(len(found)), key=lambda i: found[i].loss)
        note = () if all(m.exact for m in found) else (LOWEST,)
        found.append(_renamed(found.pop(best), "M_*", note))
    return tuple(found)


def _two_layer_paths(network: FusionNetwork) -> tuple[Path, ...]:
    paths = paths_of(network)
    for path in paths:
        if path.depth > 2:
            raise DomainError(TWO_LAYERS.format(path.name, path.depth))
    return paths


def _renamed(manifold: ModeManifold, name: str, notes: tuple[str, ...]) -> ModeManifold:
    strata = tuple(ModeStratum(name, s.network, s.data, s.width, s.parts, s.ranks) for s in manifold.strata)
    m = manifold
    return ModeManifold(name, m.network, m.data, m.width, m.parts, m.total, m.loss, strata, m.exact, (*m.notes, *notes))


def _manifold(
    network: FusionNetwork, data: Correlations, width: int | None, name: str, point: ModePoint
) -> ModeManifold:
    paths, spread = paths_of(network), unit_variances(data)[1]
    packed = np.zeros((data.outputs, len(data.sigma)))
    for path, weight in zip(paths, point.weights, strict=True):
        packed[:, path.columns(data)] = weight / spread[path.columns(data)]
    total = {m: packed[:, data.span(m)] for m in data.modalities}
    parts = tuple(_learned(data, path, point, i, total) for i, path in enumerate(paths))
    notes = [] if point.exact else [FOUND]
    if width is None:
        notes.append(WIDE.format(max(a + b - k for a, b, k in (part.sizes for part in parts))))
    strata = tuple(
        ModeStratum(name, network, data, width, parts, ranks) for ranks in product(*(p.ranks(width) for p in parts))
    )
    value = max(float(loss(data, total)), 0.0)
    return ModeManifold(name, network, data, width, parts, total, value, strata, point.exact, tuple(notes))


def _learned(data: Correlations, path: Path, point: ModePoint, i: int, total: Mapping[str, np.ndarray]) -> Learned:
    seen, spread, weight = errors(data, total), unit_variances(data)[1][path.columns(data)], point.weights[i]
    own = np.hstack([seen[m] for m in path.modalities])
    left, sizes, right = np.linalg.svd(own / spread)
    even = {m: w * unit_variances(data)[1][data.span(m)] for m, w in total.items()}
    p = int(np.sum(sizes > ZERO * could_be(unit_variances(data)[0], path.modalities, even)))
    strengths = tuple(np.linalg.svd(own, compute_uv=False)[:p].tolist())
    k = _rank(data, weight)
    return Learned(path, point.shares[i], point.modes[i], weight, own / spread, k, left[:, p:], right[p:].T, strengths)


def _rank(data: Correlations, weight: np.ndarray) -> int:
    """Of total weights at unit variances, to ZERO of the best weights."""
    sizes = np.linalg.svd(weight, compute_uv=False)
    return int(np.sum(sizes > ZERO * data.norm(np.atleast_2d(unit_variances(data)[0].optimum))))


def _equations(network: FusionNetwork, path: Path, share: Share, rank: int) -> list[sp.Eq]:
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


def _plain(count: Any) -> Any:
    """An int where it is one, else an expression in h."""
    value = sp.expand(count)
    return int(value) if value.is_Integer else value


def _distinct(values: Any) -> tuple[float, ...]:
    found: list[float] = []
    for value in sorted((float(x) for x in values), reverse=True):
        if not found or value < found[-1] * (1 - ALIKE):
            found.append(value)
    return tuple(found)


# ---- All critical points by their ranks.


@dataclass(frozen=True)
class RankFamily:
    """All critical points whose paths have total weights of these ranks, generic data.

    ranks : path -> rank of its total weights; whole : paths whose error is zero
    dimension : of each of its largest components: finitely many total weights, the pairs of (161) over each
    coupled : sum of p (h - k), which `negative` is at least
    """

    name: str
    ranks: Mapping[str, int]
    whole: tuple[str, ...]
    dimension: Any
    coupled: Any
    equations: sp.Tuple


def rank_families(network: FusionNetwork, data: Correlations, width: int | None = None) -> tuple[RankFamily, ...]:
    """Every tuple of ranks that critical total weights can have: what there is, however many modes and correlated.

    For generic data of these sizes: the error of a path of rank k < min(K, d) has rank min(K, d) - k.

    Examples
    --------
    >>> data = Correlations(np.eye(4) + 0.2, np.arange(8.0).reshape(2, 4) % 3, {"A": 2, "B": 2})
    >>> [(f.name, f.dimension, f.coupled) for f in rank_families(FusionNetwork.fused_at(2, 2), data, 4)][:4]
    [('ranks (0,0)', 0, 16), ('ranks (0,1)', 7, 11), ('ranks (0,2)', 12, 8), ('ranks (1,0)', 7, 11)]
    """
    require_problem(network, data)
    paths = _two_layer_paths(network)
    most = [min(data.outputs, len(path.columns(data))) for path in paths]
    kept = [[m] if path.depth == 1 else range(min(m, width or m) + 1) for path, m in zip(paths, most, strict=True)]
    return tuple(_family(network, data, width, paths, ranks) for ranks in product(*kept))


def _family(
    network: FusionNetwork, data: Correlations, width: int | None, paths: tuple[Path, ...], ranks: tuple[int, ...]
) -> RankFamily:
    hidden: Any = h if width is None else width
    dimension: Any = 0
    coupled: Any = 0
    equations: list[sp.Eq] = []
    whole = []
    for path, k in zip(paths, ranks, strict=True):
        size = len(path.columns(data))
        p = min(data.outputs, size) - k
        a, b = data.outputs - p, size - p
        whole += [] if p else [path.name]
        if path.depth > 1:
            each = [fibre_dimension(hidden, a, b, k, r) for r, _ in component_ranks(width, a, b, k)]
            dimension += max(each) if width else each[0]
            coupled += coupled_directions(hidden, p, k)
        equations += _equations(network, path, Share.PART if p else Share.WHOLE, k)
    name = f"ranks ({','.join(map(str, ranks))})"
    known = dict(zip((path.name for path in paths), ranks, strict=True))
    return RankFamily(name, known, tuple(whole), _plain(dimension), _plain(coupled), sp.Tuple(*equations))


def ranks_at(network: FusionNetwork, data: Correlations, weights: Mapping[str, Any]) -> dict[str, int]:
    """Path -> rank of its total weights, at unit variances, to ZERO of the best weights'."""
    require_problem(network, data)
    require_layers(network, data, weights)
    total = total_weights(network, rescaled_first_layers(data, weights, unit_variances(data)[1]))
    return {p.name: _rank(data, np.hstack([total[m] for m in p.modalities])) for p in paths_of(network)}
