"""The signature at any critical point of any tree: hidden units without weights, and a network without them.

At the saddles that training from small weights visits, most hidden units read nothing and are read by nothing. Weights
into such a unit, v, and out of it, u, move no W^tot to first order, and of the second order only <e, P u v F> is left,
P the layers above and F those below. So the Hessian falls apart, exactly:

- for each free unit between two layers the form -2 u^T M v, M = P^T G with G = e F^T the error that reaches the lower
  layer (side by side for several branches at a fusion): rank M directions of each sign, at rates that are the singular
  values of M;
- the Hessian of the network without free units, as wide as what it has learned has ranks.

With no layer shared and quiet ends, M is the error for two layers and zero for more: (162), (163). In a shared trunk it
need not be zero: a modality that is not learned grows along the columns that the trunk has by then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations.correlations import Correlations
from derivations.critical.inertia import Signature, inertia
from derivations.critical.stratum_points import STEP, flat, unflat
from derivations.errors import DomainError
from derivations.flow.gradient_flow import above, errors, flow, total_weights
from derivations.network import TRUNK, Chain, FusionNetwork

Weights = Mapping[str, Sequence[Any]]
ZERO = 1e-8  # share of what it could be below which a singular value is zero
REST = 10 * ZERO  # the same of a gradient, and of a layer: what a solver leaves of zero
MOST = 800  # weights of the network without free units, of which the whole Hessian is computed
TOO_WIDE = "without free hidden units {} weights are left, more than {}: too many for a signature of shared layers"


@dataclass(frozen=True, eq=False)
class Carried:
    """P of each layer, (outputs, out), and G at the input of each layer and last at the output of the chain."""

    above: Mapping[str, list[np.ndarray]]
    below: Mapping[str, list[np.ndarray]]
    errors: Mapping[str, np.ndarray]


def carried(network: FusionNetwork, data: Correlations, weights: Weights) -> Carried:
    """What reaches every layer from above and below, for any number of outputs."""
    products = above(network, weights)
    error = errors(data, total_weights(network, weights, products))
    below: dict[str, list[np.ndarray]] = {}

    def push(chain: Chain, name: str) -> np.ndarray:
        inner = [push(child, child.name) for child in chain.children]
        below[name] = [np.sum(inner, axis=0) if inner else np.asarray(error[name], dtype=float)]
        for layer in weights.get(name, ()):
            below[name].append(below[name][-1] @ np.asarray(layer).T)
        return below[name][-1]

    push(network.trunk, TRUNK)
    one = np.eye(data.outputs)
    ups = {name: [one if p is None else np.asarray(p) for p in rows] for name, rows in products.items()}
    return Carried(ups, below, error)


@dataclass(frozen=True)
class Interface:
    """Hidden units between layers: chain and place of those that feed them, and of the one that reads them."""

    into: tuple[tuple[str, int], ...]
    out: tuple[str, int]


def interfaces(network: FusionNetwork) -> Iterator[Interface]:
    """All hidden layers, of every chain and at every fusion that has a layer after it."""
    for name, chain in network.chains.items():
        if chain.children and chain.depth:
            yield Interface(tuple((child.name, int(child.depth) - 1) for child in chain.children), (name, 0))
        for i in range(1, int(chain.depth)):
            yield Interface(((name, i - 1),), (name, i))


def signature_by_units(network: FusionNetwork, data: Correlations, weights: Weights, least: float) -> Signature:
    """Free hidden units by ranks, the others by the Hessian of the network that they make up.

    least : norm below which a layer is the rounding of zero

    Raises
    ------
    DomainError
        Where too many units have weights.
    """
    narrow: dict[str, list[np.ndarray]] = {c: [np.array(w, dtype=float) for w in weights[c]] for c in network.chains}
    free: dict[Interface, int] = {}
    for place in interfaces(network):
        (name, i), rows = place.out, [narrow[c][j] for c, j in place.into]
        used = np.vstack([matrix.T / _norm(matrix, least) for matrix in rows])
        used = np.vstack([used, narrow[name][i] / _norm(narrow[name][i], least)])
        _, sizes, units = np.linalg.svd(used)
        kept = units[: int(np.sum(sizes > ZERO))]
        free[place] = used.shape[1] - len(kept)
        for c, j in place.into:
            narrow[c][j] = kept @ narrow[c][j]
        narrow[name][i] = narrow[name][i] @ kept.T
    left = len(flat(narrow))
    if left > MOST:
        raise DomainError(TOO_WIDE.format(left, MOST))
    seen, most = carried(network, data, narrow), reach(network, data, narrow, least)
    coupled = sum(units * _coupling(seen, most, place) for place, units in free.items() if units)
    rest = inertia(hessian_of(network, data, narrow))
    negative, positive = coupled + rest.negative, coupled + rest.positive
    return Signature(negative, len(flat(weights)) - negative - positive, positive)


def _norm(matrix: np.ndarray, least: float) -> float:
    return max(float(np.linalg.norm(matrix, 2)) if matrix.size else 0.0, least)


def _coupling(seen: Carried, most: Reach, place: Interface) -> int:
    """Rank of M for one free unit."""
    name, i = place.out
    matrix = seen.above[name][i].T @ np.hstack([seen.below[c][j] for c, j in place.into])
    could = most.above[name][i] * max(most.below[c][j] for c, j in place.into)
    return int(np.sum(np.linalg.svd(matrix, compute_uv=False) > REST * could)) if matrix.size else 0


def hessian_of(network: FusionNetwork, data: Correlations, weights: Weights) -> np.ndarray:
    """The Hessian of the loss, (P, P): minus the derivative of the flow (3), (4), complex, so nothing is subtracted."""
    here = flat(weights)

    def velocity(vector: np.ndarray) -> np.ndarray:
        now: Any = unflat(vector, weights)
        return flat(flow(network, now, errors(data, total_weights(network, now))))

    columns = [-velocity(here + 1j * STEP * unit).imag / STEP for unit in np.eye(len(here))]
    found = np.array(columns).reshape(len(here), len(here))
    return (found + found.T) / 2


def require_critical(network: FusionNetwork, data: Correlations, weights: Weights, least: float) -> None:
    """A DomainError that names a layer whose gradient P^T G is more than the rounding of what it could be."""
    seen, most = carried(network, data, weights), reach(network, data, weights, least)
    for name in network.chains:
        for i in range(len(weights[name])):
            gradient = seen.above[name][i].T @ seen.below[name][i]
            could = most.above[name][i] * most.below[name][i]
            if np.max(np.abs(gradient), initial=0.0) > REST * could:
                raise DomainError(f"weights are not critical: the gradient of weights[{name!r}][{i}] is not zero")


@dataclass(frozen=True)
class Reach:
    """How large P of each layer and G at its input could be: products of norms, and of what an error is made of."""

    above: Mapping[str, list[float]]
    below: Mapping[str, list[float]]


def reach(network: FusionNetwork, data: Correlations, weights: Weights, least: float) -> Reach:
    """A layer below `least` counts as that large, so that the rounding of a layer that is zero is zero."""
    norms = {c: [_norm(w, least) for w in weights[c]] for c in network.chains}
    total = total_weights(network, weights)
    up: dict[str, list[float]] = {}
    down: dict[str, list[float]] = {}

    def visit(chain: Chain, name: str, ahead: float) -> float:
        up[name] = [ahead * math.prod(norms[name][i + 1 :]) for i in range(len(norms[name]))]
        inner = ahead * math.prod(norms[name])
        start = max((visit(child, child.name, inner) for child in chain.children), default=0.0)
        start = start if chain.children else could_be(data, (name,), total)
        down[name] = [start * math.prod(norms[name][:i]) for i in range(len(norms[name]) + 1)]
        return down[name][-1]

    visit(network.trunk, TRUNK, 1.0)
    return Reach(up, down)


def cleaned(weights: Weights, least: float) -> dict[str, list[np.ndarray]]:
    """Weights without the singular values of layers that are rounding, at a point where gradients are."""

    def clean(layer: Any) -> np.ndarray:
        left, sizes, right = np.linalg.svd(layer, full_matrices=False)
        sizes = np.where(sizes > REST * max(np.max(sizes, initial=0.0), least), sizes, 0.0)
        return np.asarray((left * sizes) @ right)

    return {name: [clean(layer) for layer in layers] for name, layers in weights.items()}


def could_be(data: Correlations, modalities: tuple[str, ...], total: Mapping[str, np.ndarray]) -> float:
    """Norm of what the error that some modalities see is the difference of."""
    own = max(data.norm(data.target_block(m)) for m in modalities)
    pulls = sum(data.norm(total[n] @ data.input_block(n, m)) for n in data.modalities for m in modalities)
    return max(float(own + pulls), 1e-300)
