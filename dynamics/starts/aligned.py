"""The aligned balanced start (43): every layer along the modes of Sigma_yx, equal norms along a chain.

Sigma_yx_m = U S V^T, of rank r. Every layer of modality m has r singular values u0/sqrt(r), on V at its inputs, on U at
the output and on shared hidden directions between: for one output rank one, along Sigma_yx_m. A hidden node after a
fusion holds the output directions of all that meet there; the first layer after it is the root of the sum of their
squares, which balances it, and those that follow are its images. Balanced weights stay balanced, so the narrowest
network of this kind, as wide as the ranks, has the flow of any wider one: it is the reduced flow of several outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from derivations.correlations import require_problem
from derivations.network import TRUNK, Chain
from dynamics.checks import checked_integer
from dynamics.starts.weights import Weights, generator, start_norms

NO_MODE = 1e-12  # share of the largest singular value below which one is none


class Directions(NamedTuple):
    """Sigma_yx_m = left sizes right: (outputs, r), (r,) largest first, (r, d)."""

    left: np.ndarray
    sizes: np.ndarray
    right: np.ndarray


def directions_of(data: Correlations) -> dict[str, Directions]:
    """The modes of each modality, by the singular value decomposition of Sigma_yx_m; none where it is zero."""
    found = {}
    for m in data.modalities:
        block = data.target_block(m)
        largest = float(np.max(np.abs(block))) or 1.0  # squares of very small or large units
        left, sizes, right = np.linalg.svd(block / largest, full_matrices=False)
        rank = int(np.sum(sizes > NO_MODE * sizes[0])) if data.has_signal(m) else 0
        found[m] = Directions(left[:, :rank], largest * sizes[:rank], right[:rank])
    return found


def aligned_modes(data: Correlations) -> dict[str, Directions]:
    """The modes that an aligned start has.

    Raises
    ------
    DomainError
        Where Sigma_yx_m is zero, so that no direction is singled out, or has fewer modes than m needs once all is
        learned: a balanced start never gets more.
    """
    found = directions_of(data)
    for m, modes in found.items():
        rank = len(modes.sizes)
        if not rank:
            raise DomainError(f"an aligned start is undefined: Sigma_yx of {m} is zero; use a random start")
        if data.outputs > 1 and rank < min(data.outputs, data.sizes[m]):
            needed = max(_rank(np.atleast_2d(w)) for w in (data.unimodal(m), data.regression(data.modalities)[m]))
            if rank < needed:
                lack = f"has rank {rank}, its weights in the end have {needed}"
                raise DomainError(f"an aligned start lacks a mode: Sigma_yx of {m} {lack}; use a random start")
    return found


def _rank(weights: np.ndarray) -> int:
    sizes = np.linalg.svd(weights, compute_uv=False)
    return int(np.sum(sizes > math.sqrt(NO_MODE) * sizes[0]))  # a regression loses digits


def aligned_rows(data: Correlations) -> dict[str, np.ndarray]:
    """Modality -> (outputs, d): left right, for one output the unit row along Sigma_yx_m."""
    return {m: modes.left @ modes.right for m, modes in aligned_modes(data).items()}


def aligned_weights(
    network: FusionNetwork,
    data: Correlations,
    u0: float | Mapping[str, float],
    width: int | None = None,
    seed: int | np.random.Generator = 0,
) -> Weights:
    """The aligned balanced start: layers along the modes of Sigma_yx, any hidden directions; see the module.

    Parameters
    ----------
    width : hidden units of every layer; None for the narrowest such network, each layer as wide as its modes

    Raises
    ------
    DomainError
        Where a modality lacks a mode, or the width is below the modes that meet in a layer.

    Examples
    --------
    >>> net, data = FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5)
    >>> [round(float(np.linalg.norm(layer)), 12) for layer in aligned_weights(net, data, u0=0.5, width=4)["A"]]
    [0.5, 0.5]
    """
    require_problem(network, data)
    norms, modes, rng = start_norms(network, u0), aligned_modes(data), generator(seed)
    width = None if width is None else checked_integer(width, "width", 1)
    weights: Weights = {name: [] for name in network.chains}

    def hidden(rank: int) -> np.ndarray:
        """Directions of a hidden layer, (units, rank)."""
        if width is None or width == rank == 1:
            return np.eye(rank)
        if width < rank:
            raise DomainError(f"width must be at least the modes that meet in a layer, {rank}, got {width}")
        return np.linalg.qr(rng.normal(size=(width, rank)))[0]

    def chained(name: str, layers: int, into: np.ndarray, root: np.ndarray, out: np.ndarray) -> None:
        """All layers of a chain: `root` (symmetric) from the directions `into`, between hidden ones, to `out`."""
        for i in range(layers):
            to = out if i == layers - 1 else hidden(len(root))
            weights[name].append(to @ root @ into.T)
            into = to

    def fused(chain: Chain, name: str, units: np.ndarray, span: np.ndarray) -> np.ndarray:
        """Weights of a chain and all below it; the squares of what it puts out, (outputs, outputs).

        units, span : of the node that it is fused into: output directions `span` are held by hidden ones `units`
        """
        layers = int(chain.depth)
        if not chain.children:
            left, sizes, right = modes[name]
            size = norms[name] / math.sqrt(len(sizes))
            chained(name, layers, right.T, size * np.eye(len(sizes)), units @ span.T @ left)
            return np.asarray(size**2 * left @ left.T)
        own = _span(np.hstack([modes[m].left for m in chain.modalities]))
        node = hidden(own.shape[1]) if layers else units
        below = span if not layers else own
        squares = sum(fused(child, child.name, node, below) for child in chain.children)
        if not layers:
            return np.asarray(squares)
        values, vectors = np.linalg.eigh(own.T @ squares @ own)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        size = float(np.linalg.norm(root))
        root = root * (norms[name] / size if size else 0.0)
        chained(name, layers, node, root, units @ span.T @ own)
        return np.asarray(own @ root @ root @ own.T)

    fused(network.trunk, TRUNK, np.eye(data.outputs), np.eye(data.outputs))
    return weights


def _span(columns: np.ndarray) -> np.ndarray:
    """Orthonormal columns of the span."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, sizes > math.sqrt(NO_MODE) * sizes[0]])
