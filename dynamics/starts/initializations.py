"""What is my u0? From the weights of a real network, or a named initialisation, to the start that the laws know.

A chain's number is the norm of the layers of the aligned balanced start (43) that escapes at the same time. For two
layers it is known: W1 e + W2^T grows, so u0 = |W1 e + W2^T|/2 with e along Sigma_yx: exact as u0 -> 0 for what is
learned from M_0, and for a later modality whose residual is parallel to Sigma_yx (every scalar); a vector that turns
while it waits is a little later. For deeper chains it is the geometric mean of the layers' norms, from which a random
start is slower than the aligned one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from derivations.critical.saddles import drive
from derivations.network import TRUNK, layer_shapes
from dynamics.checks import checked_integer, real_numbers
from dynamics.problem import Problem
from dynamics.starts.weights import Weights, along_axes, checked_weights
from dynamics.tables import Shown, Table, number

UNEVEN = 3.0  # layers of a chain whose norms differ by more are far from balanced


class Initialization(StrEnum):
    """Variance of an entry of a layer (out, in)."""

    PYTORCH = "pytorch"  # nn.Linear's own: uniform, 1/(3 in)
    KAIMING = "kaiming"  # He: normal, 2/in
    XAVIER = "xavier"  # Glorot: normal, 2/(in + out)
    LECUN = "lecun"  # normal, 1/in

    def variance(self, out: int, into: int) -> float:
        match self:
            case Initialization.PYTORCH:
                return 1 / (3 * into)
            case Initialization.KAIMING:
                return 2 / into
            case Initialization.XAVIER:
                return 2 / (into + out)
            case Initialization.LECUN:
                return 1 / into


@dataclass(frozen=True, eq=False, repr=False)
class Start(Shown):
    """Norms of a start.

    norms : chain -> Frobenius norm of each layer, input side first
    u0 : chain -> norm of the aligned balanced start that stands for it; what `predict` takes
    notes : what that number leaves out
    """

    norms: Mapping[str, tuple[float, ...]]
    u0: Mapping[str, float]
    notes: tuple[str, ...]

    @property
    def table(self) -> Table:
        rows = [
            (name, ", ".join(map(number, sizes)), number(self.u0[name]) if name in self.u0 else "")
            for name, sizes in self.norms.items()
            if sizes
        ]
        return Table("Norms of the layers at t = 0", ("chain", "norm of each layer", "u0"), tuple(rows), self.notes)


def checked_initialization(name: Any) -> Initialization:
    try:
        return Initialization(name)
    except ValueError:
        raise DomainError(f"init must be one of {', '.join(Initialization)}, got {name!r}") from None


def weights_from_state(
    network: FusionNetwork, data: Correlations, state: Mapping[str, Any], layers: Mapping[str, Sequence[Any]]
) -> Weights:
    """Weights of a trained or fresh model, as `integrate(weights=...)` and `start_of` take them.

    Parameters
    ----------
    state : name -> array or tensor, such as a PyTorch `state_dict()`
    layers : chain -> its weights, input side first: names in `state`, each (out, in) as in nn.Linear, or pairs
        (name, slice) of its columns, for a layer that reads concatenated branches: [W_A W_B] adds up W_A h_A + W_B h_B

    Raises
    ------
    DomainError
        On a name that is missing, shapes that do not chain, or a weight that is no matrix.

    Examples
    --------
    >>> net = FusionNetwork.fused_at(2, 2)
    >>> state = {"a.weight": np.ones((3, 1)), "b.weight": np.ones((3, 1)), "head.weight": np.ones((1, 6))}
    >>> layers = {"A": ["a.weight", ("head.weight", slice(0, 3))], "B": ["b.weight", ("head.weight", slice(3, 6))]}
    >>> weights = weights_from_state(net, Correlations.scalar(2, 1, 0.5), state, layers)
    >>> [w.shape for w in weights["B"]]
    [(3, 1), (1, 3)]
    """
    if not isinstance(state, Mapping) or not isinstance(layers, Mapping):
        raise DomainError(f"state and layers must be mappings, got {type(state).__name__} and {type(layers).__name__}")
    wrong = [name for name, specs in layers.items() if isinstance(specs, str) or not isinstance(specs, Sequence)]
    if wrong:
        raise DomainError(f"layers[{wrong[0]!r}] must be a list of names, got {layers[wrong[0]]!r}")
    found = {name: [_entry(state, spec, f"layers[{name!r}]") for spec in specs] for name, specs in layers.items()}
    return checked_weights(network, data, found)


def _entry(state: Mapping[str, Any], spec: Any, field: str) -> np.ndarray:
    name, columns = spec if isinstance(spec, tuple) and len(spec) == 2 else (spec, slice(None))
    if not isinstance(name, str) or not isinstance(columns, slice):
        raise DomainError(f"{field} must hold names, or pairs of a name and a slice of columns, got {spec!r}")
    if name not in state:
        raise DomainError(f"{field}: the state has no {name!r}; it has {', '.join(map(str, state))}"[:300])
    matrix = real_numbers(state[name], f"{field}: {name!r}")
    if matrix.ndim != 2:
        raise DomainError(f"{field}: {name!r} must be a matrix (out, in), got shape {matrix.shape}")
    try:
        return np.array(matrix[:, columns])
    except (TypeError, ValueError):
        raise DomainError(f"{field}: {columns!r} is no slice of the columns of {name!r}") from None


def default_weights(network: FusionNetwork, data: Correlations, init: str, width: int = 100, seed: int = 0) -> Weights:
    """A draw of a named initialisation: pytorch (nn.Linear's own, uniform), kaiming, xavier or lecun (normal).

    Examples
    --------
    >>> net, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)
    >>> [w.shape for w in default_weights(net, data, "kaiming", width=10)["A"]]
    [(10, 1), (1, 10)]
    """
    kind, rng = checked_initialization(init), np.random.default_rng(checked_integer(seed, "seed", 0))
    end = math.sqrt(3)  # of a uniform variable of variance one

    def drawn(shape: tuple[int, int]) -> np.ndarray:
        unit = rng.uniform(-end, end, shape) if kind is Initialization.PYTORCH else rng.normal(size=shape)
        return np.asarray(math.sqrt(kind.variance(*shape)) * unit)

    shapes = layer_shapes(network, data.drawn_sizes, data.outputs, checked_integer(width, "width", 1))
    return along_axes(data, {name: [drawn(shape) for shape in layers] for name, layers in shapes.items()})


def start_of(network: FusionNetwork, data: Correlations, weights: Mapping[str, Any]) -> Start:
    """The start that given weights stand for; leading order in u0, see the head of this module.

    Parameters
    ----------
    weights : chain name -> list of arrays (out, in), input side first

    Raises
    ------
    DomainError
        On weights that do not fit the network or the data.

    Examples
    --------
    >>> net, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)
    >>> start_of(net, data, {"A": [[[3e-3]], [[1e-3]]], "B": [[[1e-3]], [[1e-3]]]}).u0
    {'A': 0.002, 'B': 0.001}
    """
    layers = checked_weights(network, data, weights)
    norms = {name: tuple(float(np.linalg.norm(w)) for w in chain) for name, chain in layers.items()}
    problem = Problem.of(network, data)
    rows = _directions(problem, {m: max(norms[m]) for m in data.modalities})
    growing = {}
    for chain, members in _two_layer_chains(network).items():
        shares = _shares(data, members)  # one row along all of Sigma_yx
        forward = sum(shares[m] * layers[m][0] @ rows[m].T for m in members)
        growing[chain] = float(np.linalg.norm(forward + layers[chain][-1].T)) / 2
    return _start(problem, norms, growing)


def default_start(network: FusionNetwork, data: Correlations, init: str, width: int = 100) -> Start:
    """The start that a named initialisation has in the mean over draws; see `default_weights` for one draw.

    Examples
    --------
    >>> net, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)
    >>> print(default_start(net, data, "lecun", width=100))
    Norms of the layers at t = 0
    chain  norm of each layer  u0
    A      10, 1               5.025
    B      10, 1               5.025
    layers of A, B differ in norm by more than 3 times: far from a balanced start
    """
    kind, width = checked_initialization(init), checked_integer(width, "width", 1)
    shapes = layer_shapes(network, data.drawn_sizes, data.outputs, width)
    spread = {name: [kind.variance(*shape) for shape in layers] for name, layers in shapes.items()}
    norms = {
        name: tuple(math.sqrt(out * into * v) for (out, into), v in zip(layers, spread[name], strict=True))
        for name, layers in shapes.items()
    }
    growing = {}
    for chain, members in _two_layer_chains(network).items():
        shares, modes = _shares(data, members), {m: min(data.outputs, data.sizes[m]) for m in members}
        first = sum(shares[m] ** 2 * modes[m] * spread[m][0] for m in members)
        growing[chain] = math.sqrt(width * (first + data.outputs * spread[chain][-1])) / 2
    return _start(Problem.of(network, data), norms, growing)


def _directions(problem: Problem, sizes: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Unit rows (outputs, d) along Sigma_yx_m; zero where a modality has none.

    A scalar grows with the sign of the residual that drives it, which may not be that of Sigma_yx_m.
    """
    rows, data = {}, problem.data
    for m in data.modalities:
        block = data.target_block(m)
        left, values, right = np.linalg.svd(block / (np.max(np.abs(block)) or 1.0), full_matrices=False)
        kept = values > 1e-12 * max(values[0], 1e-300)
        rows[m] = left[:, kept] @ right[kept]
    for before, after in pairwise(problem.course(sizes, {}).saddles):
        for m in set(after.learned) - set(before.learned):
            if data.sizes[m] == 1 and data.outputs == 1 and not problem.network.is_early_fusion:
                rows[m] = np.array([[drive(data, m, before.total)[0]]])
    return rows


def _two_layer_chains(network: FusionNetwork) -> dict[str, tuple[str, ...]]:
    """Second layer's chain -> the modalities whose first layers it reads, where that is all of their path."""
    found: dict[str, tuple[str, ...]] = {}
    for name, chain in network.chains.items():
        last = name == TRUNK or (network.trunk.depth == 0 and chain in network.trunk.children)
        whole = {network.path_depths[m] for m in chain.modalities} == {2}
        if last and whole and chain.depth and (not chain.children or chain.depth == 1):
            found[name] = chain.modalities
    return found


def _shares(data: Correlations, members: tuple[str, ...]) -> dict[str, float]:
    """|Sigma_yx_m| as a share of that of all members."""
    sizes = {m: float(np.linalg.norm(data.target_block(m))) for m in members}
    whole = math.hypot(*sizes.values()) or 1.0
    return {m: size / whole for m, size in sizes.items()}


def _start(problem: Problem, norms: Mapping[str, tuple[float, ...]], growing: Mapping[str, float]) -> Start:
    network, data = problem.network, problem.data
    u0 = {
        name: math.exp(sum(map(math.log, sizes)) / len(sizes)) if min(sizes) > 0 else 0.0
        for name, sizes in norms.items()
        if sizes
    }
    for chain, members in _two_layer_chains(network).items():
        if not network.chains[chain].children:
            u0[chain] = growing[chain]
        else:  # early fusion: the trunk's norm follows from its children's, (41)
            u0.pop(chain)
            u0 |= {m: growing[chain] * share for m, share in _shares(data, members).items()}
    uneven = [name for name, sizes in norms.items() if sizes and max(sizes) > UNEVEN * min(sizes)]
    notes = []
    if uneven:
        notes.append(
            f"layers of {', '.join(uneven)} differ in norm by more than {UNEVEN:g} times: far from a balanced start"
        )
    deep = [m for m in network.modalities if network.path_depths[m] > 2]
    if deep:
        notes.append(
            f"paths of {', '.join(deep)} are deeper than two layers: u0 is a geometric mean, and a random start is "
            "slower than the aligned one by a factor that grows with the width"
        )
    return Start(dict(norms), u0, tuple(notes))
