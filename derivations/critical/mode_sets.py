"""Fixed points and saddles for several outputs, two layers: a manifold for each subset of modes of each path.

`mode_points` has the total weights, `mode_strata` what is critical over each, `mode_ranks` everything by ranks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from operator import attrgetter
from typing import Any

import numpy as np
import sympy as sp

from derivations.correlations import Correlations, require_problem
from derivations.critical.escape import Escape, EscapeLaw, shown
from derivations.critical.free_units import ZERO, could_be, hessian_of
from derivations.critical.manifold_text import ManifoldText
from derivations.critical.mode_paths import Path, paths_of, rescaled_first_layers, unit_variances, weights_of
from derivations.critical.mode_points import ALIKE, ModePoint, Share, mode_points, point_name
from derivations.critical.mode_ranks import rank_of, two_layer_paths
from derivations.critical.mode_strata import (
    Learned,
    ModeStratum,
    component_ranks,
    fibre_dimension,
    in_users_units,
)
from derivations.critical.stratum_points import Weights
from derivations.errors import DomainError
from derivations.flow.gradient_flow import errors, loss
from derivations.network import FusionNetwork

FOUND = "modalities are correlated and each learned in part: continued and searched in numbers, others may exist"
LOWEST = "the lowest that was found, no proof that none is lower"
WIDE = "counts in h are those of h >= {}"


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


@dataclass(frozen=True, eq=False, repr=False)
class ModeManifold(ManifoldText):
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
    paths = two_layer_paths(network)
    points = mode_points(paths, data, width)
    names = [point_name(paths, point) for point in points]
    found = [_manifold(network, data, width, name, point) for name, point in zip(names, points, strict=True)]
    if all(m.name != "M_*" for m in found):  # the width is too small for the whole: the lowest is the last
        best = min(range(len(found)), key=lambda i: found[i].loss)
        note = () if all(m.exact for m in found) else (LOWEST,)
        found.append(_renamed(found.pop(best), "M_*", note))
    return tuple(found)


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
    k = rank_of(data, weight)
    return Learned(path, point.shares[i], point.modes[i], weight, own / spread, k, left[:, p:], right[p:].T, strengths)


def _distinct(values: Any) -> tuple[float, ...]:
    found: list[float] = []
    for value in sorted((float(x) for x in values), reverse=True):
        if not found or value < found[-1] * (1 - ALIKE):
            found.append(value)
    return tuple(found)


# ---- Given weights moved onto a manifold.


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
    return in_users_units(network, data, layers), dimension


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
