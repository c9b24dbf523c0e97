"""The signature of the loss for several outputs, by ranks and one form on the total weights; no Hessian.

Let no two paths share a layer, W_m = W^n ... W^1 (`mode_paths`). To second order, moving the weights by delta changes
the loss by half of

    Q(delta) = |J delta|^2_Sigma - 2 sum_m <e_m, second order of W_m>,        J the derivative of W^tot.

Where the first and the last layer carry nothing of the error, W^nT e_m = 0 and e_m W^1T = 0 (for two layers: at every
critical point, equation (160)), all of the second order vanishes but <e_m, dW^n Z dW^1>, Z = W^(n-1) ... W^2, the
identity for two layers. Split dW^n by the left kernel L of e_m and its complement, of p = rank e_m dimensions, dW^1 by
the right kernel R: the error pairs u, the part of dW^n outside L, with v, that of dW^1 outside R, as <e_m, u Z v>.

- Directions u that W^(n-1) ... W^1 silences are not seen by J. They pair through Z alone, and each that does gives one
  negative and one positive direction: p (rank Z - rank Z W^1). What is left of v lies in the image of W^1 under Z.
- Of that, W^n silences a part: p (rank Z W^1 - rank W^n Z W^1) more of each sign. Together p (rank Z - rank W_m).
- What remains is seen by J one to one, Y_u = u Z W^1 and Y_v = W^n Z v, and u Z v = Y_u W_m^+ Y_v. So Q is there

    q(Y) = |Y|^2_Sigma - 2 sum_m <e_m, Y_m W_m^+ Y_m>

  on the sum over m of the image of J inside L x R, of (columns of W_m) x (outside R), and of (outside L) x (rows of
  W_m): where nothing is wider than it has to be, the Hessian of the loss on matrices of rank k_m.

By Sylvester's law of inertia the loss has sum_m p_m (rank Z_m - k_m) + inertia(q) directions of each sign; the others
are zero, equation (162). The form q has at most outputs x inputs rows, however wide the network is. With uncorrelated
paths its negative directions are counted: one for every learned mode and every stronger mode that is not learned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations.correlations import Correlations, require_problem
from derivations.critical.free_units import REST, ZERO, Weights, cleaned, could_be, require_critical, signature_by_units
from derivations.critical.inertia import Signature, inertia
from derivations.critical.mode_paths import Path, paths_of, rescaled_first_layers, unit_variances
from derivations.critical.stratum_points import flat, require_layers
from derivations.errors import DomainError
from derivations.flow.gradient_flow import errors, total_weights
from derivations.network import FusionNetwork

ROUNDING = 1e-12  # of the product of norms: what rounding makes of a product that is zero
NO_ROW = 1e-12  # of the largest row of the form: rounding, where Sigma is singular
SMALL = 1e-4  # of the largest layer: the rounding of a layer that is zero is far below


@dataclass(frozen=True, eq=False)
class Tangent:
    """What the form q needs of one path.

    columns : places of its inputs in Sigma; error : (K, d)
    left, right : orthonormal columns that span the kernels L and R of the error
    weight : (K, d) total weights; rank : k, theirs
    inner : (t, K, d) an orthonormal basis of the image of J inside L x R
    """

    columns: np.ndarray
    error: np.ndarray
    left: np.ndarray
    right: np.ndarray
    weight: np.ndarray
    rank: int
    inner: np.ndarray


def signature(network: FusionNetwork, data: Correlations, weights: Mapping[str, Any]) -> Signature:
    """Negative, zero and positive directions at a critical point, for several outputs (162); one output as well.

    Parameters
    ----------
    weights : chain name -> list of arrays (out, in), any widths

    Raises
    ------
    DomainError
        Where the weights are not critical. Where paths share layers, or the ends of one of three layers or more carry
        some of its error, the theorem does not hold and `free_units` counts, unless too many hidden units have weights.

    Examples
    --------
    One modality, modes of strengths 3, 2, 1; the second and third learned, width 4. p (h - k) = 2, and two more: both
    are weaker than the first.

    >>> data = Correlations(np.eye(3), np.diag([3.0, 2.0, 1.0]), {"A": 3})
    >>> top = np.vstack([np.eye(3)[1:], np.zeros((2, 3))]).T
    >>> weights = {"A": [np.diag([2, 1, 0, 0.0]) @ top.T, top], "trunk": []}
    >>> signature(FusionNetwork.fused_at(2, 2, ("A",)), data, weights)
    Signature(negative=4, zero=12, positive=8)
    """
    require_problem(network, data)
    if data.is_symbolic:
        raise DomainError("a signature needs numbers in sigma and sigma_yx, got symbols")
    require_layers(network, data, weights)
    data, spread = unit_variances(data)
    weights = rescaled_first_layers(data, weights, spread)
    least = _least(network, data, weights)
    require_critical(network, data, weights, least)
    weights = cleaned(weights, least)
    found = _by_paths(network, data, weights)
    return signature_by_units(network, data, weights, least) if found is None else found


def _by_paths(network: FusionNetwork, data: Correlations, weights: Weights) -> Signature | None:
    """The theorem; None where paths share layers or their ends carry some of the error."""
    try:
        paths = paths_of(network)
    except DomainError:
        return None
    total = total_weights(network, weights)
    seen = errors(data, total)
    coupled, tangents = 0, []
    for path in paths:
        layers = path.layers(weights)
        error = np.hstack([seen[m] for m in path.modalities])
        if path.depth > 2 and not _is_quiet(path, data, layers, total, error):
            return None
        left, sizes, right = np.linalg.svd(error)
        p = int(np.sum(sizes > ZERO * could_be(data, path.modalities, total)))
        tangents.append(_tangent(path, data, layers, error, left[:, p:], right[p:].T))
        coupled += p * (_rank(layers[1:-1], len(layers[0])) - tangents[-1].rank) if p else 0
    rest, count = form_inertia(data, tangents), len(flat(weights))
    negative, positive = coupled + rest.negative, coupled + rest.positive
    return Signature(negative, count - negative - positive, positive)


def _is_quiet(
    path: Path, data: Correlations, layers: list[np.ndarray], total: Mapping[str, np.ndarray], error: np.ndarray
) -> bool:
    """Whether the first and the last layer carry nothing of the error."""
    could = REST * could_be(data, path.modalities, total)
    ends = layers[-1].T @ error, error @ layers[0].T
    return all(
        np.max(np.abs(part), initial=0.0) <= could * np.linalg.norm(w, 2)
        for part, w in zip(ends, (layers[-1], layers[0]), strict=True)
    )


def _least(network: FusionNetwork, data: Correlations, weights: Any) -> float:
    """Norm below which a layer is the rounding of zero: SMALL of the largest, or of a balanced one that has learned."""
    usual = float(data.norm(np.atleast_2d(data.optimum))) ** (1.0 / float(max(network.path_depths.values())))
    return SMALL * max(float(usual), *(float(np.linalg.norm(w, 2)) for layers in weights.values() for w in layers))


def _product(layers: Sequence[np.ndarray], size: int) -> np.ndarray:
    """W^b ... W^a of layers given input side first; the identity of `size` for none."""
    found = np.eye(size)
    for layer in layers:
        found = layer @ found
    return found


def _rank(layers: Sequence[np.ndarray], size: int) -> int:
    """Of a product of layers."""
    return int(_basis(_product(layers, size), layers).shape[1])


def _basis(matrix: np.ndarray, layers: Sequence[np.ndarray]) -> np.ndarray:
    """Orthonormal columns that span those of a matrix, a product of layers and of what does not enlarge it."""
    left, sizes, _ = np.linalg.svd(matrix, full_matrices=False)
    rounding = ROUNDING * math.prod(float(np.linalg.norm(layer, 2)) for layer in layers)
    return np.asarray(left[:, sizes > max(ZERO * float(np.max(sizes, initial=0.0)), rounding)])


def _tangent(
    path: Path, data: Correlations, layers: list[np.ndarray], error: np.ndarray, left: np.ndarray, right: np.ndarray
) -> Tangent:
    """J maps dW^n to L x (rows of what is below it), dW^1 to (columns of what is above it) x R, dW^i to both."""
    size, outputs, columns = layers[0].shape[1], len(error), path.columns(data)
    weight, rank, parts = _product(layers, size), _rank(layers, size), []
    for i in range(len(layers)):
        higher, lower = layers[i + 1 :], layers[:i]
        above = left @ _basis(left.T @ _product(higher, len(layers[i])), higher) if higher else left
        below = right @ _basis(right.T @ _product(lower, size).T, lower) if lower else right
        parts.append(tensor(above, below))
    return Tangent(columns, error, left, right, weight, rank, joined(parts, outputs, size))


def tensor(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """All products of a column with a row: (n, K, d)."""
    count = columns.shape[1] * rows.shape[1]
    return np.asarray(np.einsum("ia,jb->abij", columns, rows).reshape(count, len(columns), len(rows)))


def joined(parts: list[np.ndarray], outputs: int, size: int) -> np.ndarray:
    """An orthonormal basis (t, K, d) of a sum of spaces of matrices."""
    flat = np.vstack([part.reshape(len(part), outputs * size) for part in parts])
    _, sizes, rows = np.linalg.svd(flat, full_matrices=False)
    return np.asarray(rows[sizes > 1e-7].reshape(-1, outputs, size))


def form_inertia(data: Correlations, tangents: Sequence[Tangent]) -> Signature:
    """Signs of q, equation (162), on the tangent spaces of all paths."""
    found = form(data, tangents)
    size = np.max(np.abs(found), axis=1, initial=0.0)
    size = np.sqrt(np.where(size > NO_ROW * np.max(size, initial=0.0), size, np.inf))
    return inertia(found / size / size[:, None])  # rows made alike: weak modes bend the most, and no sign changes


def form(data: Correlations, tangents: Sequence[Tangent]) -> np.ndarray:
    """The matrix of q, (t, t), in orthonormal bases of the tangent spaces."""
    whole, curved = [], []
    for tangent in tangents:
        outside, strengths, inputs = _outside(tangent)
        u, sizes, v = np.linalg.svd(tangent.weight, full_matrices=False)
        k = tangent.rank
        own = np.vstack([tangent.inner, tensor(outside, v[:k].T), tensor(u[:, :k], inputs)])
        bend = np.zeros((len(own), len(own)))
        rows = len(tangent.inner) + np.arange(len(strengths) * k).reshape(len(strengths), k)  # u: strengths x k
        columns = len(tangent.inner) + rows.size + np.arange(rows.size).reshape(k, len(strengths))
        for i, strength in enumerate(strengths):
            for j in range(k):
                bend[rows[i, j], columns[j, i]] = bend[columns[j, i], rows[i, j]] = -strength / sizes[j]
        padded = np.zeros((len(own), data.outputs, len(data.sigma)))
        padded[:, :, tangent.columns] = own
        whole.append(padded)
        curved.append(bend)
    moves = np.vstack(whole) @ data.root
    moved = moves.reshape(len(moves), data.outputs * len(data.sigma))
    found, start = moved @ moved.T, 0
    for bend in curved:
        found[start : start + len(bend), start : start + len(bend)] += bend
        start += len(bend)
    return np.asarray(found)


def _outside(tangent: Tangent) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular vectors and values of the error: columns outside L, strengths, rows outside R."""
    p = len(tangent.error) - tangent.left.shape[1]
    left, sizes, right = np.linalg.svd(tangent.error)
    return left[:, :p], sizes[:p], right[:p].T
