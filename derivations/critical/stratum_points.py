"""Points on a stratum, in numbers: its equations evaluated, weights moved onto it, its tangent space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from derivations.correlations import Correlations
from derivations.critical.strata import Cancelled, Case, Place
from derivations.errors import DomainError
from derivations.flow.gradient_flow import above, errors, total_weights
from derivations.network import TRUNK, FusionNetwork

Weights = dict[str, list[np.ndarray]]
STEP = 1e-30  # of a complex derivative: no difference is taken, so nothing cancels
RANK = 1e-9  # singular values of the equations' derivative below this share are zero


def rows_above(network: FusionNetwork, weights: Mapping[str, Sequence[Any]]) -> dict[str, list[np.ndarray]]:
    """`above` for one output: a row above every layer, 1 at the output."""
    one = np.ones((1, 1))
    return {name: [one if row is None else row for row in rows] for name, rows in above(network, weights).items()}


def conditions(
    network: FusionNetwork, data: Correlations, case: Case, weights: Mapping[str, Sequence[Any]]
) -> list[np.ndarray]:
    """Left sides of the equations of a stratum, all zero on it: P W at the cuts, silenced signals, errors learned."""
    rows = rows_above(network, weights)
    total = total_weights(network, weights, rows)
    error = errors(data, total)
    found = []
    for part in case.dead:
        name, layer = part.cut
        found.append(rows[name][layer - 1] @ weights[name][layer - 1])
        found += [_silenced(network, weights, error, place) for place in part.silenced]
    return found + [error[m] for m in case.learned]


def _silenced(network: FusionNetwork, weights: Any, error: Mapping[str, Any], place: Place | Cancelled) -> Any:
    if isinstance(place, Cancelled):
        return sum(_pushed(network, child, weights, error) for child in place.children)
    return _pushed(network, place[0], weights, error, place[1])


def _pushed(
    network: FusionNetwork, name: str, weights: Any, error: Mapping[str, Any], layers: int | None = None
) -> Any:
    """The forward signal after `layers` layers of a chain, or all."""
    children = network.chains[name].children
    signal: Any = sum(_pushed(network, c.name, weights, error) for c in children) if children else error[name]
    for matrix in weights[name][:layers]:
        signal = signal @ matrix.T
    return signal


def dimension_at(network: FusionNetwork, data: Correlations, case: Case, weights: Mapping[str, Sequence[Any]]) -> int:
    """Dimension of a stratum for layers of any widths: weights less equations."""
    equations = data.rank(case.learned)
    for part in case.dead:
        equations += weights[part.cut[0]][part.cut[1] - 1].shape[1]
        for place in part.silenced:
            name, layer = (place.children[0], 0) if isinstance(place, Cancelled) else place
            equations += weights[name][layer - 1].shape[0]
    return int(sum(np.size(layer) for layers in weights.values() for layer in layers)) - equations


def moved_onto(
    network: FusionNetwork,
    data: Correlations,
    case: Case,
    weights: Mapping[str, Sequence[Any]],
    dead_only: bool = False,
) -> Weights:
    """A critical point near given weights, in the closure of a stratum: each of its equations is solved in one layer.

    dead_only : leave the modalities that are learned as they are

    Raises
    ------
    DomainError
        Where a learned modality cannot be, because the product above its first layer is zero.
    """
    found: Weights = {name: [np.array(layer, dtype=float) for layer in layers] for name, layers in weights.items()}
    residuals = {m: data.residual_block(m, case.learned) for m in network.modalities if m not in case.learned}
    residuals |= {m: 0.0 * residuals[m] for m in case.silent if m in residuals}  # what is left is rounding
    for _ in range(2):  # the second time takes out what rounding left where weights became much smaller
        _solve_dead(network, case, found, residuals)
        if not dead_only:
            _solve_learned(network, data, case, found)
    return found


def _solve_dead(network: FusionNetwork, case: Case, found: Weights, residuals: Mapping[str, Any]) -> None:
    """Solve the cuts and silences."""
    for part in case.dead:
        for place in part.silenced:
            if isinstance(place, Cancelled):
                _take_out(found, network, residuals, place)
            else:
                name, layer = place
                before = _pushed(network, name, found, residuals, layer - 1)
                size = float(np.sum(before * before))
                if size > 0:
                    matrix = found[name][layer - 1]
                    found[name][layer - 1] = matrix - (matrix @ before.T) @ before / size
        name, layer = part.cut
        row = rows_above(network, found)[name][layer - 1]
        size = float(np.sum(row * row))
        if size > 0:
            found[name][layer - 1] = found[name][layer - 1] - row.T @ (row @ found[name][layer - 1]) / size


def _solve_learned(network: FusionNetwork, data: Correlations, case: Case, found: Weights) -> None:
    """Solve W^tot of the learned modalities, in their first layers."""
    goals, rows = data.regression(case.learned), rows_above(network, found)
    for m in case.learned:
        row = rows[m][0]
        size = float(np.sum(row * row))
        if size == 0:
            raise DomainError(f"{m} cannot be learned: the product of the layers above its first one is zero")
        found[m][0] = found[m][0] + row.T @ (goals[m] - row @ found[m][0]) / size


def _take_out(found: Weights, network: FusionNetwork, residuals: Mapping[str, Any], place: Cancelled) -> None:
    """The smallest change of the children's last layers for which the sum of their signals is zero."""
    signal = _silenced(network, found, residuals, place)
    before = {c: _pushed(network, c, found, residuals, len(found[c]) - 1) for c in place.children}
    size = sum(float(np.sum(row * row)) for row in before.values())
    for child, row in before.items():
        if size > 0:
            found[child][-1] = found[child][-1] - signal.T @ row / size


def require_layers(network: FusionNetwork, data: Correlations, weights: Any) -> None:
    """A DomainError unless weights map each chain to layers (out, in) that fit one another."""
    if not isinstance(weights, Mapping):
        raise DomainError(f"weights must map chain name to arrays, got {type(weights).__name__}")
    ends: dict[str, int] = {}
    for name, chain in network.chains.items():
        layers = weights.get(name, ())
        if len(layers) != chain.depth:
            raise DomainError(f"weights[{name!r}] must have {chain.depth} layers, got {len(layers)}")
        size = ends[chain.children[0].name] if chain.children else data.sizes[name]
        for i, layer in enumerate(layers):
            shape = np.shape(layer)
            if len(shape) != 2 or shape[1] != size:
                raise DomainError(f"weights[{name!r}][{i}] must have {size} columns, got shape {shape}")
            size = shape[0]
        ends[name] = size
        if any(ends[child.name] != ends[chain.children[0].name] for child in chain.children):
            raise DomainError(f"the chains fused in {name!r} put out different numbers of units")
    if ends[TRUNK] != data.outputs:
        told = "one output" if data.outputs == 1 else f"{data.outputs} outputs"
        raise DomainError(f"the network puts out {ends[TRUNK]} values, the data has {told}")


def flat(weights: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """All weights as one vector, chain after chain, layer after layer."""
    return np.concatenate([np.ravel(layer) for layers in weights.values() for layer in layers] or [np.zeros(0)])


def unflat(vector: np.ndarray, like: Mapping[str, Sequence[Any]]) -> Weights:
    """The inverse of `flat`."""
    found: Weights = {}
    start = 0
    for name, layers in like.items():
        found[name] = []
        for layer in layers:
            found[name].append(vector[start : start + layer.size].reshape(layer.shape))
            start += layer.size
    return found


def tangent_space(
    network: FusionNetwork, data: Correlations, case: Case, weights: Mapping[str, Sequence[Any]]
) -> np.ndarray:
    """Orthonormal basis (P, dimension) of the tangent space of a stratum at one of its points.

    The null space of the derivative of its equations, `flat` order; the derivative is taken in complex numbers.
    """
    vector = flat(weights)

    def values(change: np.ndarray) -> np.ndarray:
        left = conditions(network, data, case, unflat(vector + change, weights))
        return np.concatenate([np.ravel(row) for row in left] or [np.zeros(0)])

    columns = [values(1j * STEP * unit).imag / STEP for unit in np.eye(len(vector))]
    matrix = np.array(columns).T.reshape(-1, len(vector))
    _, sizes, right = np.linalg.svd(matrix)
    rank = int(np.sum(sizes > RANK * np.max(sizes, initial=0.0)))
    return np.asarray(right[rank:].T)
