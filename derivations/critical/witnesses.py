"""Points at which printed and right critical sets are told apart: explicit weights, width 2, inputs of dimension 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from derivations.algebra.matrices import S_A, S_AB, S_B, S_BA, Y_A, Y_B, S, W_A_tot, W_B_tot, W_tot, Y, residual_B
from derivations.algebra.ordered_products import evaluate
from derivations.correlations import Correlations
from derivations.flow.gradient_flow import errors, flow, total_weights
from derivations.network import FusionNetwork

TOTALS = {"W": W_tot, "W_A": W_A_tot, "W_B": W_B_tot}
_SIGMA = np.array([[4.0, 1.0, 1.0, 0.5], [1.0, 3.0, 0.0, 1.0], [1.0, 0.0, 2.0, 0.25], [0.5, 1.0, 0.25, 1.0]])
_DATA = Correlations(_SIGMA, np.array([3.0, 1.0, 1.0, 2.0]), {"A": 2, "B": 2}, 10.0)


def _values(layers: dict[str, list[Any]]) -> dict[sp.Basic, Any]:
    a, b = slice(0, 2), slice(2, 4)
    sigma, target = _DATA.sigma, np.atleast_2d(_DATA.sigma_yx)
    values = {S: sigma, S_A: sigma[a, a], S_AB: sigma[a, b], S_BA: sigma[b, a], S_B: sigma[b, b]}
    values |= {Y: target, Y_A: target[:, a], Y_B: target[:, b]}
    values[residual_B] = target[:, b] - target[:, a] @ np.linalg.inv(sigma[a, a]) @ sigma[a, b]
    totals = {TOTALS[name]: chain[1] @ chain[0] for name, chain in layers.items()}
    return values | totals | ({} if W_tot in totals else {W_tot: np.hstack(list(totals.values()))})


def is_critical(layers: dict[str, list[Any]]) -> bool:
    """Whether the flow (3), (4) of the explicit weights is zero; early fusion if one chain W is given."""
    if set(layers) == {"W"}:
        network = FusionNetwork.fused_at(2, 1)
        first, second = layers["W"]
        weights = {"A": [first[:, :2]], "B": [first[:, 2:]], "trunk": [second]}
    else:
        network = FusionNetwork.fused_at(2, 2)
        weights = {"A": layers["W_A"], "B": layers["W_B"], "trunk": []}
    velocity = flow(network, weights, errors(_DATA, total_weights(network, weights)))
    return all(np.abs(v).max() < 1e-12 for chain in velocity.values() for v in chain)


def belongs(equations: sp.Tuple, layers: dict[str, list[Any]]) -> bool:
    """Whether explicit weights solve the equations of a set."""
    values = _values(layers)
    gaps = [evaluate(line.lhs - line.rhs, values, layers) for line in equations]
    return all(np.abs(gap).max() < 1e-12 for gap in gaps)


def witness(*points: dict[str, list[Any]]) -> Callable[[sp.Tuple, sp.Tuple], bool]:
    """Points of which one is in only one of the two sets; the flow says at each that the right set is right.

    The points are unlearned in the branches that the set says are, so that critical means in the set.
    """

    def tells_apart(printed: sp.Tuple, right: sp.Tuple) -> bool:
        inside = [belongs(right, layers) for layers in points]
        if inside != [is_critical(layers) for layers in points]:
            return False
        return inside != [belongs(printed, layers) for layers in points]

    return tells_apart


def _plateau(m: str) -> list[Any]:
    """Two layers whose product is the unimodal solution of a modality."""
    row = np.atleast_2d(_DATA.unimodal(m))
    return [np.vstack([row, np.zeros_like(row)]), np.array([[1.0, 0.0]])]


def _across(row: Any) -> list[Any]:
    """W^2 = 0 and W^1 across a row, not zero."""
    v = np.ravel(row)
    w = np.zeros_like(v)
    w[0], w[1] = -v[1], v[0]
    return [np.vstack([w, 2 * w]), np.zeros((1, 2))]


_CANCELLING = [np.array([[0.0, 0.0], [1.0, 2.0]]), np.array([[1.0, 0.0]])]  # W^2 W^1 = 0, neither is zero
_ALONG = [np.array([[1.0, 2.0], [0.0, 1.0]]), np.zeros((1, 2))]  # W^2 = 0, W^1 across no row
_ZERO_A, _ZERO_B = _across(_DATA.target_block("A")), _across(_DATA.target_block("B"))
_LEFT_A, _LEFT_B = _across(_DATA.residual("A", given="B")), _across(_DATA.residual("B", given="A"))
_WIDE = [np.hstack([w, w]) for w in _ALONG[:1]] + _ALONG[1:]
_BEST = np.atleast_2d(_DATA.optimum)
_CROSSED, _LOOSE, _OF_ZERO, _SPLIT = (
    "W^2 = 0 and W^1, not zero, across the error",
    "W^2 = 0 and W^1 not across the error",
    "W^2 = 0 and W^1 across Sigma_yx, not the residual",
    "W^2 W^1 = 0 with neither zero",
)
_ALL_EARLY = {"W^tot = Sigma_yx Sigma^-1": {"W": [np.vstack([_BEST, 0 * _BEST]), np.array([[1.0, 0.0]])]}}
_ALL_LATE = {
    "W^tot = Sigma_yx Sigma^-1": {
        f"W_{m}": [np.vstack([row, 0 * row]), np.array([[1.0, 0.0]])]
        for m, row in (("A", _BEST[:, :2]), ("B", _BEST[:, 2:]))
    }
}
ZEROS_EARLY = {_CROSSED: {"W": _across(_DATA.sigma_yx)}, _LOOSE: {"W": _WIDE}}
ZEROS_LATE = {
    _CROSSED: {"W_A": _ZERO_A, "W_B": _ZERO_B},
    f"A: {_LOOSE}": {"W_A": _ALONG, "W_B": _ZERO_B},
    f"B: {_LOOSE}": {"W_A": _ZERO_A, "W_B": _ALONG},
}
ALONE = {
    m: {
        f"{other}: {text}": {f"W_{m}": _plateau(m), f"W_{other}": branch}
        for text, branch in (
            (_SPLIT, _CANCELLING), (_CROSSED, left), (_OF_ZERO, zero), (_LOOSE, _ALONG)
        )
    }
    for m, other, left, zero in (("A", "B", _LEFT_B, _ZERO_B), ("B", "A", _LEFT_A, _ZERO_A))
}  # fmt: skip
#: Points at which printed and right sets are compared, by the equation.
POINTS = {
    "6a": ZEROS_EARLY, "6b": _ALL_EARLY, "7a": ALONE["A"], "7b": ALONE["B"], "17a": ZEROS_EARLY,
    "17b": _ALL_EARLY, "19a": ZEROS_LATE, "19b": _ALL_LATE, "20a": ALONE["A"], "20b": ALONE["B"],
}  # fmt: skip
