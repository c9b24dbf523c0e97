"""All critical points of several outputs, two layers, by the ranks of their total weights: however many modes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import sympy as sp

from derivations.correlations import Correlations, require_problem
from derivations.critical.counts import h, plain
from derivations.critical.free_units import ZERO
from derivations.critical.mode_paths import Path, paths_of, rescaled_first_layers, unit_variances
from derivations.critical.mode_points import Share
from derivations.critical.mode_strata import component_ranks, coupled_directions, fibre_dimension, path_equations
from derivations.critical.stratum_points import require_layers
from derivations.errors import DomainError
from derivations.flow.gradient_flow import total_weights
from derivations.network import FusionNetwork

TWO_LAYERS = "fixed points of several outputs are listed for two layers, {} has {}: only the signature is known there"


def two_layer_paths(network: FusionNetwork) -> tuple[Path, ...]:
    paths = paths_of(network)
    for path in paths:
        if path.depth > 2:
            raise DomainError(TWO_LAYERS.format(path.name, path.depth))
    return paths


def rank_of(data: Correlations, weight: np.ndarray) -> int:
    """Of total weights at unit variances, to ZERO of the best weights."""
    sizes = np.linalg.svd(weight, compute_uv=False)
    return int(np.sum(sizes > ZERO * data.norm(np.atleast_2d(unit_variances(data)[0].optimum))))


@dataclass(frozen=True)
class RankFamily:
    """All critical points whose paths have total weights of these ranks, generic data.

    ranks : path -> rank of its total weights; whole : paths whose error is zero
    dimension : of each of its largest components: finitely many total weights, the pairs of (161) over each
    coupled : sum of p (h - k), which `negative` is at least
    """

    name: str
    ranks: Mapping[str, int]
    whole: tuple[str, ...]
    dimension: Any
    coupled: Any
    equations: sp.Tuple


def rank_families(network: FusionNetwork, data: Correlations, width: int | None = None) -> tuple[RankFamily, ...]:
    """Every tuple of ranks that critical total weights can have: what there is, however many modes and correlated.

    For generic data of these sizes: the error of a path of rank k < min(K, d) has rank min(K, d) - k.

    Examples
    --------
    >>> data = Correlations(np.eye(4) + 0.2, np.arange(8.0).reshape(2, 4) % 3, {"A": 2, "B": 2})
    >>> [(f.name, f.dimension, f.coupled) for f in rank_families(FusionNetwork.fused_at(2, 2), data, 4)][:4]
    [('ranks (0,0)', 0, 16), ('ranks (0,1)', 7, 11), ('ranks (0,2)', 12, 8), ('ranks (1,0)', 7, 11)]
    """
    require_problem(network, data)
    paths = two_layer_paths(network)
    most = [min(data.outputs, len(path.columns(data))) for path in paths]
    kept = [[m] if path.depth == 1 else range(min(m, width or m) + 1) for path, m in zip(paths, most, strict=True)]
    return tuple(_family(network, data, width, paths, ranks) for ranks in product(*kept))


def _family(
    network: FusionNetwork, data: Correlations, width: int | None, paths: tuple[Path, ...], ranks: tuple[int, ...]
) -> RankFamily:
    hidden: Any = h if width is None else width
    dimension: Any = 0
    coupled: Any = 0
    equations: list[sp.Eq] = []
    whole = []
    for path, k in zip(paths, ranks, strict=True):
        size = len(path.columns(data))
        p = min(data.outputs, size) - k
        a, b = data.outputs - p, size - p
        whole += [] if p else [path.name]
        if path.depth > 1:
            each = [fibre_dimension(hidden, a, b, k, r) for r, _ in component_ranks(width, a, b, k)]
            dimension += max(each) if width else each[0]
            coupled += coupled_directions(hidden, p, k)
        equations += path_equations(network, path, Share.PART if p else Share.WHOLE, k)
    name = f"ranks ({','.join(map(str, ranks))})"
    known = dict(zip((path.name for path in paths), ranks, strict=True))
    return RankFamily(name, known, tuple(whole), plain(dimension), plain(coupled), sp.Tuple(*equations))


def ranks_at(network: FusionNetwork, data: Correlations, weights: Mapping[str, Any]) -> dict[str, int]:
    """Path -> rank of its total weights, at unit variances, to ZERO of the best weights'."""
    require_problem(network, data)
    require_layers(network, data, weights)
    total = total_weights(network, rescaled_first_layers(data, weights, unit_variances(data)[1]))
    return {p.name: rank_of(data, np.hstack([total[m] for m in p.modalities])) for p in paths_of(network)}
