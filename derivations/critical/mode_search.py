"""Critical points where correlated paths are each learned in part: no closed form, so solved in numbers.

Total weights W_g = U_g V_g of rank k_g are critical iff U_g^T e_g = 0 and e_g V_g^T = 0, polynomials in the entries. A
subset of modes of each path, exact without correlations, is continued: the blocks of Sigma between paths grow from
nothing to their size, and Newton's method follows. Real solutions of polynomials can meet and vanish on the way, and
others appear; those are searched from random starts. What is found is exact to rounding; that it is all is not known.

Inputs are whitened path by path beforehand: Sigma has blocks 1 on its diagonal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

STEP = 1e-30  # of a complex derivative
SOLVED = 1e-13  # of |Sigma_yx|: what rounding leaves of the equations
FIRST, SHORTEST = 0.125, 1e-4  # of the way along the correlations: the first step, and where a path has ended
FAR = 0.3  # of the weights' size: a step that moves them farther is taken again at half the length
NEWTON, DAMPED = 8, 40  # iterations
NEWTONS = 1e-6  # of the equations left: Newton's method does the rest
SAME = 1e-6  # weights that differ by less are one solution
NEARBY = 0.3  # of a random start, added to a solution that is known
STARTS, ROUNDS = 32, 24  # at once, and how often
BARREN = 48  # starts in a row for each path that find nothing new end the search


@dataclass(frozen=True, eq=False)
class System:
    """target (K, D), sigma (D, D) whitened path by path, spans of the paths in the columns, ranks (k_g)."""

    target: np.ndarray
    sigma: np.ndarray
    spans: tuple[slice, ...]
    ranks: tuple[int, ...]

    @property
    def size(self) -> int:
        return sum(k * (len(self.target) + s.stop - s.start) for k, s in zip(self.ranks, self.spans, strict=True))

    def at(self, share: float) -> System:
        """The same with a share of the correlations between paths."""
        mixed = share * self.sigma + (1 - share) * np.eye(len(self.sigma))
        return System(self.target, mixed, self.spans, self.ranks)

    def factors(self, flat: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """U_g (n, K, k) and V_g (n, k, d) of n points at once, (n, size)."""
        place, outputs = 0, len(self.target)
        for k, span in zip(self.ranks, self.spans, strict=True):
            middle = place + outputs * k
            end = middle + k * (span.stop - span.start)
            yield (
                flat[:, place:middle].reshape(-1, outputs, k),
                flat[:, middle:end].reshape(-1, k, span.stop - span.start),
            )
            place = end

    def weights(self, flat: np.ndarray) -> np.ndarray:
        """(n, K, D)."""
        return np.concatenate([u @ v for u, v in self.factors(flat)], axis=2)

    def equations(self, flat: np.ndarray) -> np.ndarray:
        """e_g V_g^T and U_g^T e_g, (n, size)."""
        error = self.target - self.weights(flat) @ self.sigma
        parts = []
        for (u, v), span in zip(self.factors(flat), self.spans, strict=True):
            own = error[:, :, span]
            parts += [own @ v.swapaxes(1, 2), u.swapaxes(1, 2) @ own]
        return np.concatenate([part.reshape(len(flat), -1) for part in parts], axis=1)

    def derivative(self, point: np.ndarray) -> np.ndarray:
        """Of the equations, (size, size); complex, so nothing is subtracted."""
        return self.equations(point + 1j * STEP * np.eye(len(point))).imag.T / STEP

    def gauge(self, point: np.ndarray) -> np.ndarray:
        """U^T dU = dV V^T: no part along U -> U X, V -> X^-1 V, which changes no weight."""
        moves, rows = np.eye(len(point)), []
        here = self.factors(point[None])
        for (u, v), (du, dv) in zip(here, self.factors(moves), strict=True):
            rows.append((u.swapaxes(1, 2) @ du - dv @ v.swapaxes(1, 2)).reshape(len(moves), -1).T)
        return np.vstack(rows)

    def point_of(self, weights: Sequence[np.ndarray]) -> np.ndarray:
        """Balanced factors of total weights, flat."""
        parts = []
        for k, weight in zip(self.ranks, weights, strict=True):
            u, sizes, v = np.linalg.svd(weight, full_matrices=False)
            root = np.sqrt(sizes[:k])
            parts += [(u[:, :k] * root).ravel(), (root[:, None] * v[:k]).ravel()]
        return np.concatenate(parts)

    def blocks(self, point: np.ndarray) -> list[np.ndarray]:
        """W_g of one point."""
        return [(u @ v)[0] for u, v in self.factors(point[None])]

    def misses(self, point: np.ndarray) -> float:
        return float(np.linalg.norm(self.equations(point[None])))


def refined(system: System, point: np.ndarray) -> np.ndarray | None:
    """Newton's method, U and V balanced again after every step; None where it does not converge."""
    unit = float(np.linalg.norm(system.target))
    for _ in range(NEWTON):
        left = system.equations(point[None])[0]
        if np.linalg.norm(left) <= SOLVED * unit:
            return point
        matrix = np.vstack([system.derivative(point), system.gauge(point)])
        step = np.linalg.lstsq(matrix, np.concatenate([-left, np.zeros(len(matrix) - len(left))]), rcond=None)[0]
        point = system.point_of(system.blocks(point + step))
        if not np.all(np.isfinite(point)) or np.linalg.norm(point) > 1e6 * max(unit, 1.0):
            return None
    return point if system.misses(point) <= 10 * SOLVED * unit else None


def continued(system: System, weights: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    """W_g of a subset of modes, followed from no correlations to all of them; None where the path ends."""
    point, share, step = system.point_of(weights), 0.0, FIRST
    while share < 1.0:
        ahead = min(share + step, 1.0)
        found = refined(system.at(ahead), point)
        if found is not None and np.linalg.norm(found - point) <= FAR * np.linalg.norm(point):
            point, share, step = found, ahead, 2 * step
        elif step > SHORTEST:
            step /= 2
        else:
            return None
    return system.blocks(point)


def searched(system: System, known: Sequence[list[np.ndarray]], rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """What damped Gauss-Newton steps lead to, one start after another; duplicates and all, nothing where they fail.

    Starts are random, every second one near a solution that is known by then: others are often born beside it.
    """
    for _ in range(ROUNDS):
        points = rng.normal(size=(STARTS, system.size)) * np.sqrt(rng.uniform(0.1, 1.5, size=(STARTS, 1)))
        for i in range(1, STARTS if known else 0, 2):
            points[i] = system.point_of(known[i // 2 % len(known)]) + NEARBY * points[i]
        points = np.array([system.point_of(system.blocks(point)) for point in points])
        for point, left in zip(*_descended(system, points), strict=True):
            end = refined(system, point) if left < NEWTONS else None
            blocks = [] if end is None else system.blocks(end)
            alive = all(_has_rank(w, k) for w, k in zip(blocks, system.ranks, strict=False))
            yield blocks if alive else []


def _descended(system: System, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The equations' squares made small from n points at once, Levenberg and Marquardt; what is left of them."""
    count, size = points.shape
    damping, unit = np.full(count, 0.1), np.eye(size)
    left = system.equations(points)
    for _ in range(DAMPED):
        moved = (points[:, None] + 1j * STEP * unit).reshape(count * size, size)
        slopes = system.equations(moved).imag.reshape(count, size, size).swapaxes(1, 2) / STEP
        gram = slopes.swapaxes(1, 2) @ slopes + damping[:, None, None] * unit
        steps = np.linalg.solve(gram, slopes.swapaxes(1, 2) @ left[:, :, None])[:, :, 0]
        after = system.equations(points - steps)
        better = np.sum(after**2, axis=1) < np.sum(left**2, axis=1)
        points, left = np.where(better[:, None], points - steps, points), np.where(better[:, None], after, left)
        damping = np.clip(np.where(better, damping / 5, 4 * damping), 1e-15, 1e6)
        if np.max(np.sum(left**2, axis=1)) < NEWTONS**2:
            break
    return points, np.sqrt(np.sum(left**2, axis=1))


def _has_rank(weight: np.ndarray, k: int) -> bool:
    return bool(np.linalg.svd(weight, compute_uv=False)[k - 1] > SAME)
