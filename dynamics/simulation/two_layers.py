"""Two layers from any start, closed in total weights and two squares: (156).

For each part of the network with layers of its own, p = W2 W1, M = W1^T W1 and a = W2 W2^T:

    dp/dt = a e + e M,    dM/dt = p^T e + e^T p,    da/dt = e p^T + p e^T

with e the error times the inputs, of any loss. Any width and any start: the squares are all that a start is. Late
fusion has a part a modality; early fusion one for all inputs.

[[M, p^T], [p, a]] of a layer of width h has rank h at most. Where that is less than what there is to learn, the part
that the layer cannot learn still drives, and roundings of a higher rank grow in it: `Closed.run` looks at its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import DOP853

from derivations import DomainError, FusionNetwork, SolveError
from derivations.correlations import spans_of
from dynamics.simulation.system import failed

Errors = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Squares:
    """One part: p (outputs, D), M (D, D), a (outputs, outputs), and the modalities that it reads with their sizes.

    rank : of all three together at most, the width of the layer between
    """

    total: np.ndarray
    inner: np.ndarray
    outer: np.ndarray
    sizes: Mapping[str, int]
    rank: int


def require_two_layers(network: FusionNetwork) -> None:
    """Refuse what does not close."""
    if set(network.path_depths.values()) != {2} or any(
        chain.children and chain.depth not in (0, 1) for chain in network.chains.values()
    ):
        raise DomainError(f"this closes for two layers only, got {', '.join(map(str, network.path_depths.values()))}")


def parts_of(network: FusionNetwork) -> list[tuple[str, ...]]:
    """Modalities that share a second layer."""
    if network.trunk.depth == 1:
        return [network.modalities]
    return [chain.modalities for chain in network.trunk.children]


def squares_of(
    network: FusionNetwork, sizes: Mapping[str, int], weights: Mapping[str, list[np.ndarray]]
) -> list[Squares]:
    """Those of given weights, chain name -> [(out, in), ...]."""
    require_two_layers(network)
    found = []
    for members in parts_of(network):
        first = np.hstack([weights[m][0] for m in members])
        second = weights[second_of(network, members)][-1]
        own = {m: sizes[m] for m in members}
        found.append(Squares(second @ first, first.T @ first, second @ second.T, own, len(first)))
    return found


def second_of(network: FusionNetwork, members: tuple[str, ...]) -> str:
    """The chain that ends with the second layer of a part."""
    return next(name for name in network.path(members[0])[::-1] if network.chains[name].depth)


def typical_squares(
    network: FusionNetwork, sizes: Mapping[str, int], outputs: int, norms: Mapping[str, Sequence[float]]
) -> list[Squares]:
    """Means over random starts, p = 0 and even squares (156): exact as the width grows.

    norms : chain -> norm of its first and of its last layer
    """
    from derivations.algebra.notation import u_0
    from derivations.flow import two_layer_squares as law
    from dynamics.lambdified import function

    require_two_layers(network)
    inner, outer = function(law.TYPICAL_INNER, u_0, law.inputs), function(law.TYPICAL_OUTER, u_0, law.outputs)
    found = []
    for members in parts_of(network):
        own = {m: sizes[m] for m in members}
        even = np.concatenate([np.full(d, inner(norms[m][0], d)) for m, d in own.items()])
        last = outer(norms[second_of(network, members)][-1], outputs) * np.eye(outputs)
        found.append(Squares(np.zeros((outputs, len(even))), np.diag(even), last, own, len(even) + outputs))
    return found


class Closed:
    """The flow of all parts as a vector."""

    def __init__(self, parts: list[Squares], errors: Errors) -> None:
        self.parts, self.errors = parts, errors
        self.shapes = [array.shape for one in parts for array in (one.total, one.inner, one.outer)]
        self.ends = np.cumsum([0, *(math.prod(shape) for shape in self.shapes)])
        self.start = np.concatenate([a.ravel() for one in parts for a in (one.total, one.inner, one.outer)])
        self.spans = [spans_of(one.sizes) for one in parts]

    def unpacked(self, state: np.ndarray) -> list[np.ndarray]:
        return [
            state[begin:end].reshape(shape)
            for begin, end, shape in zip(self.ends, self.ends[1:], self.shapes, strict=False)
        ]

    def totals(self, state: np.ndarray) -> dict[str, np.ndarray]:
        """Modality -> (outputs, d)."""
        arrays = self.unpacked(state)
        return {m: arrays[3 * i][:, span] for i, spans in enumerate(self.spans) for m, span in spans.items()}

    def velocity(self, _: float, state: np.ndarray) -> np.ndarray:
        arrays, errors = self.unpacked(state), self.errors(self.totals(state))
        moved = []
        for i, one in enumerate(self.parts):
            p, inner, outer = arrays[3 * i : 3 * i + 3]
            e = np.hstack([errors[m] for m in one.sizes])
            pulled, pushed = p.T @ e, e @ p.T
            moved += [outer @ e + e @ inner, pulled + pulled.T, pushed + pushed.T]
        return np.concatenate([array.ravel() for array in moved])

    def run(
        self, rtol: float, ended: Callable[[float, dict[str, np.ndarray]], bool], t_end: float, max_steps: int
    ) -> tuple[np.ndarray, dict[str, np.ndarray], bool]:
        """Times, modality -> (T, outputs, d), and whether it ended by itself; three points inside each step.

        A SolveError where roundings have grown to more than a layer of this width can be.
        """
        largest = float(np.max(np.abs(self.start)))
        if not largest > 0:
            raise DomainError("the start is exactly zero: nothing is ever learned from there")
        solver = DOP853(self.velocity, 0.0, self.start, t_end, rtol=rtol, atol=1e-3 * rtol * largest)
        times, path, finished = [0.0], [self.totals(self.start)], False
        for _ in range(max_steps):
            message = solver.step()
            if solver.status == "failed" or not np.all(np.isfinite(solver.y)):
                self._require_rank(solver.y, 1e3 * rtol)
                raise failed(float(solver.t), message)
            dense = solver.dense_output()
            for t in np.linspace(solver.t_old, solver.t, 5)[1:]:
                times.append(float(t))
                path.append({m: w.copy() for m, w in self.totals(dense(t)).items()})
            if finished := solver.status == "finished" or ended(solver.t, path[-1]):
                break
        self._require_rank(solver.y, 1e3 * rtol)
        return np.array(times), {m: np.array([w[m] for w in path]) for m in path[0]}, finished

    def _require_rank(self, state: np.ndarray, allowed: float) -> None:
        arrays = self.unpacked(np.nan_to_num(state, posinf=0.0, neginf=0.0))
        for i, one in enumerate(self.parts):
            p, inner, outer = arrays[3 * i : 3 * i + 3]
            values = np.linalg.eigvalsh(np.block([[inner, p.T], [p, outer]]))[::-1]
            if np.max(np.abs(values[one.rank :]), initial=0.0) > allowed * np.max(np.abs(values)):
                raise SolveError(
                    f"{', '.join(one.sizes)}: a layer of width {one.rank} is too narrow for what there is to learn, so "
                    "that roundings of its squares grow; integrate runs its weights"
                )
