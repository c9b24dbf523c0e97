"""The flow (3), (4) of many narrow networks at once: `derivations.flow.gradient_flow.flow` with a batch axis, last.

A second form of the same law, for speed; a test holds the two equal. The state is (n, N): all weights of N networks
of one architecture. Siblings of equal depth are stacked into one group of chains, (out, in, members, N); where sizes
differ, zeros fill up: rows and columns of zeros stay zero under the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from derivations import Correlations, FusionNetwork
from derivations.network import TRUNK
from derivations.terms import PLAIN, Terms
from dynamics.simulation.modulation import encoders, shares
from dynamics.starts.compression import Space, layers_of
from dynamics.starts.weights import Weights

GroupKey = tuple[str, int]  # parent, depth
Slope = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # state -> (d state/dt, total weights)


@dataclass(frozen=True)
class _Group:
    """Sibling chains of equal depth: where they stand in the state, what they read, where they go.

    spans : rows of the state, one slice a layer; shapes : (out, in, members) of each
    leaves : (place, rows of x) of members that read a modality; joints : (place, keys of the groups that they fuse)
    top : (key, place) of the chain that they feed; None at the output
    """

    spans: tuple[slice, ...]
    shapes: tuple[tuple[int, int, int], ...]
    names: tuple[str, ...]
    leaves: tuple[tuple[int, slice], ...]
    joints: tuple[tuple[int, tuple[GroupKey, ...]], ...]
    top: tuple[GroupKey, int] | None


class _Down(NamedTuple):
    """Total weights; P_l, the product above each layer (None for the identity); the layers."""

    total: np.ndarray
    products: dict[GroupKey, list[np.ndarray | None]]
    layers: dict[GroupKey, list[np.ndarray]]


class Kernel:
    """Velocity, total weights and layer norms of N networks; `pack` and `unpack` translate their weights.

    Parameters
    ----------
    data : one for all networks, or one each
    weights : of each network; they may differ in width
    terms : what training adds to the flow of each network, or of all
    """

    def __init__(
        self,
        network: FusionNetwork,
        data: Sequence[Correlations],
        weights: Sequence[Weights],
        terms: Sequence[Terms] = (PLAIN,),
    ) -> None:
        self.network, self.outputs = network, data[0].outputs
        self.inputs = len(data[0].sigma)
        self.widths = [{name: [w.shape for w in layers] for name, layers in one.items()} for one in weights]
        self.sigma = np.stack([np.asarray(d.sigma) for d in data], axis=-1)
        self.target = np.stack([np.atleast_2d(d.sigma_yx) for d in data], axis=-1)
        chains, parents = network.chains, network.parents
        late = network.trunk.depth == 0
        members: dict[GroupKey, list[str]] = {}
        for name, chain in sorted(chains.items(), key=lambda item: -_level(parents, item[0])):  # inputs first
            if chain.depth:
                members.setdefault((parents.get(name, ""), chain.depth), []).append(name)
        key_of = {name: key for key, names in members.items() for name in names}
        self.groups: dict[GroupKey, _Group] = {}
        begin = 0
        sizes = _sizes(network, weights)
        for key, names in members.items():
            spans, shapes = [], []
            for i in range(key[1]):
                out, into = (max(sizes[name, i][side] for name in names) for side in (0, 1))
                shapes.append((out, into, len(names)))
                spans.append(slice(begin, begin + out * into * len(names)))
                begin = spans[-1].stop
            leaves = tuple((j, data[0].span(m)) for j, m in enumerate(names) if not chains[m].children)
            joints = tuple(
                (j, tuple(dict.fromkeys(key_of[child.name] for child in chains[name].children)))
                for j, name in enumerate(names)
                if chains[name].children
            )
            goal = parents.get(names[0])
            free = goal is None or (goal == TRUNK and late)
            top = None if free else (key_of[str(goal)], members[key_of[str(goal)]].index(str(goal)))
            self.groups[key] = _Group(tuple(spans), tuple(shapes), tuple(names), leaves, joints, top)
        self.size = begin
        self.decay = self._decay_rows(terms) if any(one.decay for one in terms) else None
        self.alpha = np.array([one.modulation for one in terms])
        self.kept = shares(data) if np.any(self.alpha) else None
        if self.kept is not None:
            modulated, belongs = encoders(network), self.belongs()
            each = [[modulated.get(layer) == m for layer in self.layers] for m in network.modalities]
            self.encoders = [np.any(belongs[rows] > 0, axis=0) for rows in np.array(each)]

    def _decay_rows(self, terms: Sequence[Terms]) -> np.ndarray:
        """lambda of each row of the state, (n, N), or (n, 1) for one of all."""
        rates = [[one.decay_of(chain) for chain, _ in self.layers] for one in terms]
        return np.asarray(self.belongs().T @ np.array(rates).T)

    def pack(self, weights: Sequence[Weights]) -> np.ndarray:
        """(n, N) from the weights of each network."""
        state = np.zeros((self.size, len(weights)))
        for key, layers in self._layers(state).items():
            for i, block in enumerate(layers):
                for j, name in enumerate(self.groups[key].names):
                    for n, one in enumerate(weights):
                        layer = one[name][i]
                        block[: layer.shape[0], : layer.shape[1], j, n] = layer
        return state

    def unpack(self, state: np.ndarray, places: Sequence[int] | None = None) -> list[Weights]:
        """The weights of each network, or of the networks that the columns of the state are of, at its own width."""
        widths = self.widths if places is None else [self.widths[i] for i in places]
        found: list[Weights] = [{name: [] for name in self.network.chains} for _ in widths]
        for key, layers in self._layers(state).items():
            for i, block in enumerate(layers):
                for j, name in enumerate(self.groups[key].names):
                    for n, own in enumerate(widths):
                        out, into = own[name][i]
                        found[n][name].append(block[:out, :into, j, n].copy())
        return found

    @property
    def layers(self) -> list[tuple[str, int]]:
        """(chain, place) of all layers, in the order in which `belongs` numbers them."""
        return [(name, i) for group in self.groups.values() for i in range(len(group.spans)) for name in group.names]

    def belongs(self) -> np.ndarray:
        """(layers, n): one where a row of the state belongs to a layer."""
        number, count = np.empty((self.size, 1), dtype=int), 0
        for block in (block for layers in self._layers(number).values() for block in layers):
            block[:] = count + np.arange(block.shape[2])[:, None]
            count += block.shape[2]
        return np.asarray(np.arange(count)[:, None] == number[:, 0], dtype=float)

    def total(self, state: np.ndarray) -> np.ndarray:
        """W^tot of all modalities, (outputs, D, N)."""
        return self._down(state).total

    def drift(self, before: np.ndarray, after: np.ndarray, kept: Any = 1.0) -> np.ndarray:
        """(N,): largest change of a conserved matrix (38), (39), in norm, as a share of the largest |W|^2 at the end.

        kept : share of it that weight decay leaves, exp(-2 lambda t), (135); nan where nothing is conserved
        `derivations.flow.balance.differences` for a batch; a test holds the two equal.
        """
        changes = [np.zeros(before.shape[1])]
        squares = [self._squares(state) for state in (before, after)]
        for key, group in self.groups.items():
            for i in range(len(group.spans) - 1):
                low, high = (outer[key][i] - inner[key][i + 1] for outer, inner in squares)
                changes.append(np.sqrt(np.max(np.sum((high - low * kept) ** 2, axis=(0, 1)), axis=0)))
            for j, sources in group.joints:
                low, high = (
                    sum(outer[source][-1].sum(axis=2) for source in sources) - inner[key][0][:, :, j]
                    for outer, inner in squares
                )
                changes.append(np.sqrt(np.sum((high - low * kept) ** 2, axis=(0, 1))))
        largest = np.max(self.belongs() @ after**2, axis=0)
        return np.asarray(np.max(changes, axis=0) / np.maximum(largest, 1e-300))

    def _squares(self, state: np.ndarray) -> tuple[dict[GroupKey, list[np.ndarray]], dict[GroupKey, list[np.ndarray]]]:
        """W W^T and W^T W of every layer."""
        layers = self._layers(state).items()
        outer = {key: [np.einsum("oimn,pimn->opmn", w, w) for w in own] for key, own in layers}
        inner = {key: [np.einsum("oimn,ojmn->ijmn", w, w) for w in own] for key, own in layers}
        return outer, inner

    def _layers(self, state: np.ndarray) -> dict[GroupKey, list[np.ndarray]]:
        """Views (out, in, members, N) of the state."""
        count = state.shape[1]
        return {
            key: [state[span].reshape(*shape, count) for span, shape in zip(group.spans, group.shapes, strict=True)]
            for key, group in self.groups.items()
        }

    def slope(self, active: Any = slice(None)) -> Slope:
        """The function `velocity` of some of the networks: state (n, their number) -> slope, total weights."""
        own = self.sigma.shape[2] > 1  # one data set for all is not copied
        sigma, target = (self.sigma[:, :, active], self.target[:, :, active]) if own else (self.sigma, self.target)
        decay = self.decay if self.decay is None or self.decay.shape[1] == 1 else self.decay[:, active]
        pace = None
        if self.kept is not None:
            pace = partial(self.kept, alpha=self.alpha if len(self.alpha) == 1 else self.alpha[active], active=active)
        return partial(self._velocity, sigma=sigma, target=target, decay=decay, pace=pace)

    def velocity(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """d state / dt (n, N), equations (3) and (4), and W^tot (outputs, D, N); of complex states, too."""
        return self.slope()(state)

    def sensitivity(self, state: np.ndarray) -> np.ndarray:
        """G = d W^tot / d weights, (n, outputs D, N): the velocity is G e, with e of equation (5)."""
        rank, count = self.outputs * self.inputs, state.shape[1]
        repeated = np.tile(state, rank)
        units = np.repeat(np.eye(rank).reshape(self.outputs, self.inputs, rank), count, axis=2)
        return self._up(repeated, self._down(repeated), units).reshape(self.size, rank, count)

    def metric(self, active: Any = slice(None)) -> np.ndarray:
        """Sigma for each output, (outputs D, outputs D, N): d e = -metric d W^tot."""
        sigma = self.sigma[:, :, active] if self.sigma.shape[2] > 1 else self.sigma
        blocks = np.einsum("pq,den->pdqen", np.eye(self.outputs), sigma)
        rank = self.outputs * self.inputs
        return np.asarray(blocks.reshape(rank, rank, -1))

    def _velocity(
        self,
        state: np.ndarray,
        sigma: np.ndarray,
        target: np.ndarray,
        decay: np.ndarray | None,
        pace: Callable[[np.ndarray], np.ndarray] | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        down = self._down(state)
        error = target - np.einsum("pdn,den->pen", down.total, sigma)
        moved = self._up(state, down, error)
        if pace is not None:
            for rows, kept in zip(self.encoders, pace(down.total), strict=True):
                moved[rows] *= kept
        if decay is not None:
            moved -= decay * state
        return moved, down.total

    def _up(self, state: np.ndarray, down: _Down, error: np.ndarray) -> np.ndarray:
        """The gradient of every layer, P_l^T (error pushed forward), (n, N)."""
        moved, count = np.empty_like(state), state.shape[1]
        blocks, outgoing = self._layers(moved), dict[GroupKey, np.ndarray]()
        for key, group in self.groups.items():
            into = group.shapes[0][1]
            forward = np.zeros((self.outputs, into, len(group.names), count), dtype=state.dtype)
            for j, rows in group.leaves:
                forward[:, : rows.stop - rows.start, j] = error[:, rows]
            for j, sources in group.joints:
                for source in sources:
                    arrived = outgoing[source].sum(axis=2)
                    forward[:, : arrived.shape[1], j] += arrived
            for i, (product, block) in enumerate(zip(down.products[key], blocks[key], strict=True)):
                if product is None:
                    block[: self.outputs] = forward
                elif self.outputs == 1:
                    np.multiply(product[0, :, None], forward[0, None], out=block)
                else:
                    np.einsum("pomn,pimn->oimn", product, forward, out=block)
                if i + 1 < len(group.spans) or group.top is not None:
                    forward = np.einsum("pimn,oimn->pomn", forward, down.layers[key][i])
            outgoing[key] = forward
        return moved

    def _down(self, state: np.ndarray) -> _Down:
        products: dict[GroupKey, list[np.ndarray | None]] = {}
        layers = self._layers(state)
        below: dict[GroupKey, np.ndarray] = {}
        total = np.empty((self.outputs, self.inputs, state.shape[1]), dtype=state.dtype)
        for key in reversed(self.groups):
            group = self.groups[key]
            blocks = layers[key]
            product: np.ndarray | None = None
            if group.top is not None:
                above, place = group.top
                product = below[above][:, : group.shapes[-1][0], place, None]
            found: list[np.ndarray | None] = []
            for block in reversed(blocks):
                found.append(product)
                product = block if product is None else np.einsum("pomn,oimn->pimn", product, block)
            assert product is not None
            products[key], below[key] = found[::-1], product
            for j, rows in group.leaves:
                total[:, rows] = product[:, : rows.stop - rows.start, j]
        return _Down(total, products, layers)


def _level(parents: Mapping[str, str], name: str) -> int:
    """Fusions between a chain and the output."""
    return 1 + _level(parents, parents[name]) if name in parents else 0


def _sizes(network: FusionNetwork, weights: Sequence[Weights]) -> dict[tuple[str, int], tuple[int, int]]:
    """Chain and place of each layer -> the most rows and columns that it has; what meets is equally wide."""
    layers, units = layers_of(network), dict[Space, int]()
    for layer in layers:
        shapes = np.array([w[layer.chain][layer.place].shape for w in weights])
        for space, most in zip((layer.writes, layer.reads), shapes.max(axis=0).tolist(), strict=True):
            units[space] = max(units.get(space, 0), most)
    return {(layer.chain, layer.place): (units[layer.writes], units[layer.reads]) for layer in layers}
