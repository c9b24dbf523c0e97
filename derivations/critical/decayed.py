"""Critical points with weight decay: where training with some modalities comes to rest, (136). Numbers only.

A balanced network has one norm a chain and one row v_m a modality, |v_m| = u_m, so that with w_m = gain_m v_m

    F(v, u) = loss(w) + 1/2 sum over chains of n_c lambda_c u_c^2

is the loss with its decay, and its minima are where training ends. Of two layers that is the group lasso by modality,
which has one minimum; of more, the one next to the regression, where training from above comes to rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from derivations.correlations import Correlations
from derivations.errors import DomainError
from derivations.network import FusionNetwork
from derivations.terms import Terms, by_chain

NOTHING = 1e-7  # share of its weight alone below which a modality has none
ROUNDS = 200  # of Newton's method
CLOSE = 1e-14  # of the gradient, as a share of what it is made of
NUDGE = 1e-6  # of an entry, for the slope of the gradient
SEVERAL_OUTPUTS = "weight decay is known for one output, got {}"


def require_one_output(data: Correlations) -> None:
    if data.outputs > 1:
        raise DomainError(SEVERAL_OUTPUTS.format(data.outputs))


def resting_weights(
    network: FusionNetwork, data: Correlations, terms: Terms, learned: Sequence[str], signs: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Modality -> (1, d) total weights where a network that has learned these comes to rest; zero for the others.

    signs : of scalar weights that cannot cross zero; what would, has none
    """
    zero = {m: np.zeros_like(data.target_block(m)) for m in data.modalities}
    alive, total = [m for m in data.modalities if m in learned], zero
    convex = not network.trunk.depth and all(network.depths[m] == 2 for m in learned)
    begin: np.ndarray | None = None
    for _ in range(4 * len(alive) + 1):
        total = zero
        if alive:
            balanced = _Balanced(network, data, terms, tuple(alive))
            total = zero | _minimum(balanced, balanced.start() if begin is None else begin)
        begin = None
        lost = [m for m in alive if not np.any(total[m]) or total[m][0, 0] * signs.get(m, total[m][0, 0]) < 0]
        lost = lost or [m for m in alive if m in signs and not total[m][0, 0] * signs[m] > 0]
        if lost:
            alive.remove(min(lost, key=data.strength))
            continue
        driven = _driven(data, terms, [m for m in learned if m not in alive], total, signs) if convex else {}
        if not driven:
            break
        m = max(driven, key=lambda n: float(np.linalg.norm(driven[n])))  # on its way it was taken for nothing
        total = total | {m: driven[m]}
        alive = [n for n in data.modalities if n in alive or n == m]
        begin = _Balanced(network, data, terms, tuple(alive)).start(total)
    return total


def _driven(
    data: Correlations, terms: Terms, left: Sequence[str], total: Mapping[str, np.ndarray], signs: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Who has no weight and grows all the same, two layers: weights along its residual to begin with."""
    found = {}
    for m in left:
        residual = data.target_block(m) - sum(total[n] @ data.input_block(n, m) for n in data.modalities)
        size, decay = float(np.linalg.norm(residual)), terms.decay_of(m)
        if size > decay * (1 + 1e-9) and residual[0, 0] * signs.get(m, residual[0, 0]) >= 0:
            found[m] = residual * ((size - decay) / size / data.norm(data.input_block(m, m)))
    return found


class _Balanced:
    """F and its gradient in x = (rows of the modalities, norms of the chains after a fusion), many x at once (n, K)."""

    def __init__(self, network: FusionNetwork, data: Correlations, terms: Terms, learned: tuple[str, ...]) -> None:
        chains, self.learned = network.chains, learned
        self.columns = np.concatenate([np.arange(len(data.sigma))[data.span(m)] for m in learned])
        self.sigma = np.asarray(data.sigma)[np.ix_(self.columns, self.columns)]
        self.target = np.atleast_2d(data.sigma_yx)[0, self.columns]
        self.depths = np.array([int(chains[m].depth) for m in learned])
        self.sizes = [data.sizes[m] for m in learned]
        self.begins = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(int)
        self.owner = np.repeat(np.arange(len(learned)), self.sizes)
        self.fused = [
            (name, int(chain.depth), np.array([m in chain.modalities for m in learned]))
            for name, chain in chains.items()
            if chain.children and chain.depth and set(chain.modalities) & set(learned)
        ]
        decay = by_chain(terms, chains)
        self.own_decay = np.array([decay[m] for m in learned])
        self.decay = np.array([decay[name] for name, _, _ in self.fused])
        self.count = len(self.columns)
        total = data.regression(learned)
        self.alone = {m: data.norm(data.regression((m,))[m]) or data.norm(total[m]) for m in learned}
        self.paths = np.array([network.path_depths[m] for m in learned])
        self.goal = np.hstack([total[m][0] for m in learned])

    def start(self, total: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """The regression, or other weights, balanced as well as one norm a layer of a path can be."""
        goal = self.goal if total is None else np.hstack([total[m][0] for m in self.learned])
        sizes = np.sqrt(np.add.reduceat(goal**2, self.begins))
        each = np.maximum(sizes, 1e-12 * (np.max(sizes) or 1.0)) ** (1 / self.paths)
        rows = goal / np.where(sizes > 0, sizes, 1.0)[self.owner] * each[self.owner]
        empty = (sizes == 0)[self.owner]
        rows[empty] = (each / np.sqrt(self.sizes))[self.owner][empty]
        return np.append(rows, [float(np.hypot.reduce(each[under])) for _, _, under in self.fused])

    def _split(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        v, u = x[: self.count], x[self.count :]
        norms = np.sqrt(np.maximum(np.add.reduceat(v * v, self.begins, axis=0), 1e-200))
        gains = norms ** (self.depths - 1.0)[:, None]
        for (_, depth, under), size in zip(self.fused, u, strict=True):
            gains[under] = gains[under] * size**depth
        w = gains[self.owner] * v
        return v, u, norms, gains, w, self.target[:, None] - self.sigma @ w

    def value(self, x: np.ndarray) -> np.ndarray:
        """F less a constant, (K,)."""
        _, u, norms, _, w, error = self._split(x)
        loss = -np.sum(w * (self.target[:, None] + error), axis=0) / 2
        loss = loss + np.sum((self.own_decay * self.depths)[:, None] * norms**2, axis=0) / 2
        depths = np.array([depth for _, depth, _ in self.fused])
        return np.asarray(loss + np.sum((self.decay * depths)[:, None] * u**2, axis=0) / 2)

    def gradient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dF/dx (n, K), and the size of what it is the difference of."""
        v, u, norms, gains, w, error = self._split(x)
        pulled = np.add.reduceat(v * error, self.begins, axis=0)
        along = (self.depths - 1.0)[:, None] * gains * pulled / norms**2
        pull = gains[self.owner] * error + along[self.owner] * v
        held = (self.own_decay * self.depths)[self.owner, None] * v
        work = np.add.reduceat(w * error, self.begins, axis=0)
        rows, sizes = [held - pull], [np.abs(held) + np.abs(gains[self.owner] * self.target[:, None])]
        for (_, depth, under), rate, size in zip(self.fused, self.decay, u, strict=True):
            gain = depth * np.sum(work[under], axis=0) / size
            rows.append((depth * rate * size - gain)[None])
            sizes.append((depth * rate * np.abs(size) + np.abs(gain))[None])
        return np.vstack(rows), np.vstack(sizes)

    def slope(self, x: np.ndarray) -> np.ndarray:
        """d gradient / dx, by central differences in one call."""
        steps = NUDGE * np.maximum(np.abs(x), 1e-3 * np.max(np.abs(x)))
        moved = np.diag(steps)
        sides = [self.gradient(x[:, None] + sign * moved)[0] for sign in (1, -1)]
        found = (sides[0] - sides[1]) / (2 * steps)
        return np.asarray((found + found.T) / 2)

    def weights(self, x: np.ndarray) -> dict[str, np.ndarray]:
        packed = self._split(x[:, None])[4][:, 0]
        parts = zip(self.learned, self.begins, self.sizes, strict=True)
        return {m: packed[None, begin : begin + size] for m, begin, size in parts}


def _minimum(balanced: _Balanced, x: np.ndarray) -> dict[str, np.ndarray]:
    """By Newton's method, held back where F would rise, from x."""
    begins, sizes = balanced.begins, np.array([balanced.alone[m] for m in balanced.learned])
    value, damping = float(balanced.value(x[:, None])[0]), 1e-3
    for _ in range(ROUNDS):
        gradient, made_of = (column[:, 0] for column in balanced.gradient(x[:, None]))
        packed = np.hstack([w[0] for w in balanced.weights(x).values()])
        left = np.sqrt(np.add.reduceat(packed**2, begins))
        if np.max(np.abs(gradient)) <= CLOSE * np.max(made_of) or np.any(left <= NOTHING * sizes):
            break  # who has nothing left is taken out, and the rest starts again
        values, vectors = np.linalg.eigh(balanced.slope(x))
        unit = float(np.max(np.abs(values))) or 1.0
        moved = False
        for _ in range(40):
            curved = np.maximum(np.abs(values), 1e-12 * unit) + damping * unit
            step = vectors @ ((vectors.T @ gradient) / curved)
            trial = x - step
            there = float(balanced.value(trial[:, None])[0])
            if there <= value + 1e-15 * abs(value):
                moved = bool(np.any(trial != x))
                x, value, damping = trial, min(there, value), damping / 10
                break
            damping = max(4 * damping, 1e-12)
        if not moved:
            break
    found = balanced.weights(x)
    for m, w in found.items():
        if np.linalg.norm(w) <= NOTHING * balanced.alone[m]:
            found[m] = np.zeros_like(w)
    return found
