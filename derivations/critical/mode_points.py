"""Critical total weights for several outputs: subsets of the modes of each path.

At a critical point each path of two layers has learned nothing (W = 0), the whole (e = 0), or a part of its modes. What
is learned whole is a regression on the rest, and drops out: the others see what it leaves of Sigma_yx and of Sigma. If
that holds no correlation between the paths that are learned in part, or there is one such path only, its weights are

    W = P Sigma_yx Sigma^-1,    P the projection on a subset of eigenvectors of Sigma_yx Sigma^-1 Sigma_yx^T    (160)

(Baldi and Hornik 1989), its modes, the strongest first. That is exact and complete. Correlated paths that are each
learned in part are solved by `mode_search`: continued from the subsets without correlations, and searched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, product

import numpy as np

from derivations.correlations import Correlations
from derivations.critical.mode_paths import Path, paths_of, unit_variances
from derivations.critical.mode_search import BARREN, SAME, System, continued, searched
from derivations.errors import DomainError
from derivations.network import FusionNetwork

MOST = 2000  # subsets that are listed
MOST_UNKNOWNS, MOST_CONTINUED = 100, 200  # of a polynomial system, and of subsets that are continued
MOST_QUICK = 40  # that are continued where a list comes on the way to something else
NO_MODE = 1e-12  # of the strongest mode
ALIKE = 1e-9  # share by which modes have to differ
UNCORRELATED = 1e-12  # correlation coefficients below it are rounding
TOO_MANY = "{} subsets of modes are more than {} that can be {}: rank_families lists them by ranks"


class Share(StrEnum):
    """How much of a path is learned."""

    NOTHING = "nothing"
    PART = "part"
    WHOLE = "whole"


@dataclass(frozen=True, eq=False)
class ModePoint:
    """Critical total weights.

    shares, modes : of each path how much is learned, and which modes where it is a part (numbers from 1, the strongest
        first, of what is left to it by those learned whole)
    copy : 0, or the number of a further solution with these ranks, nearest to these modes
    weights : (K, d) of each path, inputs at unit variances
    exact : whether in closed form, and no others with these shares can be missing
    """

    shares: tuple[Share, ...]
    modes: tuple[tuple[int, ...], ...]
    copy: int
    weights: tuple[np.ndarray, ...]
    exact: bool


@dataclass(frozen=True, eq=False)
class Modes:
    """Modes of one path: target @ inverse root of Sigma = left diag(strengths) right.

    span : its columns among the paths learned in part
    root : (d, d) lower triangular, root root^T = its Sigma
    strengths : (rho,), left : (K, rho), right : (rho, d)
    """

    path: int
    span: slice
    root: np.ndarray
    strengths: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def whitened(self, subset: tuple[int, ...]) -> np.ndarray:
        """W times the root, of a subset of modes (from 1)."""
        chosen = [i - 1 for i in subset]
        return np.asarray((self.left[:, chosen] * self.strengths[chosen]) @ self.right[chosen])

    def weights(self, whitened: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.solve(self.root.T, whitened.T).T)


SINGULAR = "critical points of several outputs need an invertible sigma: other weights are not unique"


def mode_points(
    paths: tuple[Path, ...], data: Correlations, width: int | None = None, search: bool = True
) -> tuple[ModePoint, ...]:
    """All that are known, the fewest learned first; the same weights come once.

    width : hidden units, the largest rank; None for enough of them
    search : beside the continued subsets of correlated paths, look for more; False takes a small part of the time

    Raises
    ------
    DomainError
        Where Sigma is singular, modes are equally strong, or there are too many subsets.
    """
    key = "mode points", paths, width, search
    if key not in data.kept:
        try:
            data.kept[key] = tuple(_mode_points(paths, data, width, search))
        except np.linalg.LinAlgError:  # nearly singular: a residual Sigma has lost its sign to rounding
            raise DomainError(SINGULAR) from None
    found: tuple[ModePoint, ...] = data.kept[key]
    return found


def _mode_points(paths: tuple[Path, ...], data: Correlations, width: int | None, search: bool) -> list[ModePoint]:
    if data.is_singular:
        raise DomainError(SINGULAR)
    bound = math.prod(2 ** min(data.outputs, len(path.columns(data))) for path in paths)
    if not search and bound > MOST:  # said before anything is decomposed
        raise DomainError(TOO_MANY.format(bound, MOST, "listed"))
    kinds = [(Share.WHOLE,) if path.depth == 1 else tuple(Share) for path in paths]
    amount = list(Share).index
    cases = sorted(product(*kinds), key=lambda shares: (sum(map(amount, shares)), [-amount(s) for s in shares]))
    data, _ = unit_variances(data)
    problems = [_Partial.of(paths, data, shares, width) for shares in cases]
    count, followed = (sum(p.count for p in problems if p.is_coupled or not only) for only in (False, True))
    if count > MOST:
        raise DomainError(TOO_MANY.format(count, MOST, "listed"))
    if not search and followed > MOST_QUICK:
        raise DomainError(TOO_MANY.format(followed, MOST_QUICK, "continued in passing"))
    found: list[ModePoint] = []
    for problem in problems:
        for point in problem.points(search):
            if not any(_same(data, paths, point, other) for other in found):
                found.append(point)
    return found


def named_totals(network: FusionNetwork, data: Correlations) -> tuple[list[str], np.ndarray]:
    """Names and total weights (n, K, D) of the critical points that a run can come to, layers of any number and width.

    Raises
    ------
    DomainError
        Where paths share layers, and where there is no list.
    """
    paths = paths_of(network)
    found = mode_points(paths, data, search=False)
    whole = np.zeros((len(found), data.outputs, len(data.sigma)))
    for packed, point in zip(whole, found, strict=True):
        for path, weight in zip(paths, point.weights, strict=True):
            packed[:, path.columns(data)] = weight
    whole /= unit_variances(data)[1]
    return [point_name(paths, point) for point in found], whole


def _same(data: Correlations, paths: tuple[Path, ...], one: ModePoint, other: ModePoint) -> bool:
    """Whether the outputs agree to SAME of the best ones."""
    gap = np.zeros((data.outputs, len(data.sigma)))
    for path, a, b in zip(paths, one.weights, other.weights, strict=True):
        gap[:, path.columns(data)] = a - b
    best = np.atleast_2d(data.optimum) @ data.root
    return bool(np.linalg.norm(gap @ data.root) <= SAME * np.linalg.norm(best))


def point_name(paths: tuple[Path, ...], point: ModePoint) -> str:
    """M_0, M_A, M_AB, M_A1+2,B1, M_*; a single path goes without its name."""
    if all(share is Share.WHOLE for share in point.shares):
        return "M_*"
    short = all(len(path.name) == 1 and path.name.isalpha() for path in paths)
    told, whole = [], []
    for path, share, modes in zip(paths, point.shares, point.modes, strict=True):
        numbers = "+".join(map(str, modes))
        if share is Share.WHOLE:
            whole.append(path.name)
        elif share is Share.PART:
            told.append(numbers if len(paths) == 1 else path.name + ("" if short else ":") + numbers)
    whole = ["".join(whole) if short else "+".join(whole)] if whole else []
    return ("M_" + ",".join([*whole, *told]) if whole or told else "M_0") + "'" * point.copy


@dataclass(frozen=True, eq=False)
class _Partial:
    """What is left to the paths learned in part once others are learned whole."""

    paths: tuple[Path, ...]
    data: Correlations
    shares: tuple[Share, ...]
    width: int | None
    modes: tuple[Modes, ...]
    target: np.ndarray
    sigma: np.ndarray

    @classmethod
    def of(cls, paths: tuple[Path, ...], data: Correlations, shares: tuple[Share, ...], width: int | None) -> _Partial:
        part = _columns(paths, data, shares, Share.PART)
        whole = _columns(paths, data, shares, Share.WHOLE)
        everything = np.atleast_2d(data.sigma_yx)
        target, sigma = everything[:, part], data.sigma[np.ix_(part, part)]
        if len(whole):
            slopes = np.linalg.solve(data.sigma[np.ix_(whole, whole)], data.sigma[np.ix_(whole, part)])
            target = target - everything[:, whole] @ slopes
            sigma = sigma - data.sigma[np.ix_(part, whole)] @ slopes
        modes, place = [], 0
        for i, (path, share) in enumerate(zip(paths, shares, strict=True)):
            if share is Share.PART:
                span = slice(place, place := place + len(path.columns(data)))
                modes.append(_modes(i, span, target, sigma))
        return cls(paths, data, shares, width, tuple(modes), target, sigma)

    @property
    def _whitened(self) -> np.ndarray:
        """Sigma with blocks 1 on its diagonal."""
        root = np.zeros_like(self.sigma)
        for own in self.modes:
            root[own.span, own.span] = own.root
        inverse = np.linalg.inv(root)
        return np.asarray(inverse @ self.sigma @ inverse.T)

    @property
    def is_coupled(self) -> bool:
        return len(self.modes) > 1 and bool(np.max(np.abs(self._whitened - np.eye(len(self.sigma)))) > UNCORRELATED)

    def _most(self, own: Modes) -> int:
        """Modes that can be learned and be a part."""
        possible = len(own.strengths) - 1
        return max(possible if self.width is None else min(possible, self.width), 0)

    @property
    def count(self) -> int:
        """Subsets, without making one."""
        return math.prod(
            sum(math.comb(len(own.strengths), k) for k in range(1, self._most(own) + 1)) for own in self.modes
        )

    def _subsets(self) -> Iterator[tuple[tuple[int, ...], ...]]:
        each = [
            [s for k in range(1, self._most(m) + 1) for s in combinations(range(1, len(m.strengths) + 1), k)]
            for m in self.modes
        ]
        return product(*each)

    def points(self, search: bool) -> Iterator[ModePoint]:
        if self.is_coupled:
            yield from self._solved(search)
            return
        for own in self.modes:
            self._require_apart(own)
        for subsets in self._subsets():
            blocks = [m.weights(m.whitened(s)) for m, s in zip(self.modes, subsets, strict=True)]
            yield from self._completed(subsets, blocks, 0, exact=True)

    def _require_apart(self, own: Modes) -> None:
        size, name = own.strengths, self.paths[own.path].name
        close = np.flatnonzero(size[1:] > size[:-1] * (1 - ALIKE))
        if len(close) and self._most(own):
            i = int(close[0]) + 1
            raise DomainError(
                f"modes {i} and {i + 1} of {name} are equally strong: their mixtures are critical as well"
            )

    def _solved(self, search: bool) -> Iterator[ModePoint]:
        """Correlated paths, each learned in part: by ranks, continued subsets first, then what a search adds."""
        if self.count > MOST_CONTINUED:
            raise DomainError(TOO_MANY.format(self.count, MOST_CONTINUED, "continued to correlated modalities"))
        labels: dict[tuple[int, ...], list[tuple[tuple[int, ...], ...]]] = {}
        for subsets in self._subsets():
            labels.setdefault(tuple(map(len, subsets)), []).append(subsets)
        unit = max(float(own.strengths[0]) for own in self.modes)
        inverse = np.zeros_like(self.sigma)
        for own in self.modes:
            inverse[own.span, own.span] = np.linalg.inv(own.root).T
        for ranks, chosen in labels.items():
            spans = tuple(own.span for own in self.modes)
            system = System(self.target @ inverse / unit, self._whitened, spans, ranks)
            if system.size > MOST_UNKNOWNS:
                line = f"a subset of correlated modes has {system.size} unknowns, more than {MOST_UNKNOWNS}"
                raise DomainError(f"{line}: rank_families lists them by ranks")
            starts = [[m.whitened(s) / unit for m, s in zip(self.modes, subsets, strict=True)] for subsets in chosen]
            for subsets, copy, blocks in _labelled(system, chosen, starts, search):
                scaled = [own.weights(unit * block) for own, block in zip(self.modes, blocks, strict=True)]
                yield from self._completed(subsets, scaled, copy, exact=False)

    def _completed(
        self, subsets: tuple[tuple[int, ...], ...], blocks: Sequence[np.ndarray], copy: int, exact: bool
    ) -> Iterator[ModePoint]:
        """With the regression of those learned whole on the rest; nothing where that has too high a rank."""
        data, everything = self.data, np.atleast_2d(self.data.sigma_yx)
        part = _columns(self.paths, data, self.shares, Share.PART)
        whole = _columns(self.paths, data, self.shares, Share.WHOLE)
        row = np.zeros((data.outputs, len(data.sigma)))
        row[:, part] = np.hstack([np.zeros((data.outputs, 0)), *blocks])
        left = everything[:, whole] - row[:, part] @ data.sigma[np.ix_(part, whole)]
        row[:, whole] = np.linalg.solve(data.sigma[np.ix_(whole, whole)], left.T).T
        weights = tuple(row[:, path.columns(data)] for path in self.paths)
        if self.width is not None:
            for path, share, weight in zip(self.paths, self.shares, weights, strict=True):
                seen = np.linalg.svd(weight, compute_uv=False)
                if share is Share.WHOLE and path.depth > 1 and np.sum(seen > ALIKE * seen[0]) > self.width:
                    return
        modes: list[tuple[int, ...]] = [()] * len(self.paths)
        for own, subset in zip(self.modes, subsets, strict=True):
            modes[own.path] = subset
        yield ModePoint(self.shares, tuple(modes), copy, weights, exact)


def _columns(paths: tuple[Path, ...], data: Correlations, shares: tuple[Share, ...], wanted: Share) -> np.ndarray:
    chosen = [path.columns(data) for path, share in zip(paths, shares, strict=True) if share is wanted]
    return np.concatenate([np.zeros(0, dtype=int), *chosen])


def _modes(path: int, span: slice, target: np.ndarray, sigma: np.ndarray) -> Modes:
    root = np.linalg.cholesky(sigma[span, span])
    left, strengths, right = np.linalg.svd(np.linalg.solve(root, target[:, span].T).T, full_matrices=False)
    rho = int(np.sum(strengths > NO_MODE * max(strengths[0], 1e-300)))
    return Modes(path, span, root, strengths[:rho], left[:, :rho], right[:rho])


def _labelled(
    system: System, chosen: list[tuple[tuple[int, ...], ...]], starts: list[list[np.ndarray]], search: bool
) -> Iterator[tuple[tuple[tuple[int, ...], ...], int, list[np.ndarray]]]:
    """Solutions of one system, each with the subsets that it is named by and the number of its copy."""
    packed = [np.hstack(blocks) for blocks in starts]
    found: list[list[np.ndarray]] = []
    copies = [0] * len(chosen)

    def is_new(blocks: list[np.ndarray]) -> bool:
        unit = SAME * np.linalg.norm(system.target)
        new = all(np.linalg.norm(np.hstack(blocks) - np.hstack(other)) > unit for other in found)
        found.extend([blocks] if new else [])
        return new

    for i, start in enumerate(starts):
        blocks = continued(system, start)
        if blocks is not None and is_new(blocks):
            copies[i] += 1
            yield chosen[i], 0, blocks
    if not search:
        return
    extra, barren = [], 0
    for blocks in searched(system, found, np.random.default_rng(list(system.ranks))):
        new = bool(blocks) and is_new(blocks)
        extra += [blocks] if new else []
        barren = 0 if new else barren + 1
        if barren == BARREN * len(system.ranks):
            break
    nearest = [int(np.argmin([np.linalg.norm(np.hstack(b) - p) for p in packed])) for b in extra]
    away = [float(np.linalg.norm(np.hstack(b) - packed[i])) for b, i in zip(extra, nearest, strict=True)]
    order = sorted(range(len(extra)), key=lambda j: (nearest[j], away[j]))
    for j in order:
        copies[nearest[j]] += 1
        yield chosen[nearest[j]], copies[nearest[j]] - 1, extra[j]
