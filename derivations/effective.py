"""Effective correlations: what dropout, unimodal losses and learning rates make of the data; entries 132-134.

Numbers and symbols alike. The network trained so is the plain one of these correlations, at any fusion depth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from derivations.correlations import Correlations


def masked(data: Correlations, keep: Mapping[str, Any]) -> Correlations:
    """Inputs of m kept with probability keep[m], independently, not rescaled, (132).

    <(y - y_hat)^2> over the masks has Sigma_mk times q_m q_k, Sigma_mm and Sigma_yx_m times q_m.
    """
    return _blockwise(data, lambda m, n: keep[m] if m == n else keep[m] * keep[n], lambda m: keep[m], 1)


def with_unimodal_losses(data: Correlations, weight: Any) -> Correlations:
    """Every modality alone must fit y, too, with a loss of this weight, (133)."""
    more = 1 + weight
    each = 1 + weight * len(data.modalities)
    return _blockwise(data, lambda m, n: more if m == n else 1, lambda _: more, each)


def rate_factors(depths: Mapping[str, Any], rates: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of m times rates[m]^(L_m/2), L_m layers of its branch, make up for its learning rate, (134).

    Norms of its layers are rates[m]^(-1/2) times as large in these units, weights of its inputs this factor back.
    """
    return {m: rate ** (depths[m] / 2) for m, rate in rates.items()}


def _blockwise(data: Correlations, pair: Any, single: Any, output: Any) -> Correlations:
    names, sigma = data.modalities, data.sigma
    if data.is_symbolic:
        import sympy as sp

        owner = [m for m, d in data.sizes.items() for _ in range(d)]
        size = len(owner)
        changed: Any = sp.ImmutableMatrix(size, size, lambda i, j: sigma[i, j] * pair(owner[i], owner[j]))
        target: Any = data.sigma_yx * sp.diag(*(single(m) for m in owner))
    else:
        changed, target = np.array(sigma), np.array(data.sigma_yx)
        for m in names:
            target[..., data.span(m)] *= single(m)
            for n in names:
                changed[data.span(m), data.span(n)] *= pair(m, n)
    found = replace(data, sigma=changed, sigma_yx=target, sigma_yy=data.sigma_yy * output, samples=None)
    if not data.is_symbolic:
        vars(found)["warnings"] = data.warnings  # of the table that was given
    return found
