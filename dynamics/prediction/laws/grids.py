"""The leading-order laws on arrays, for heatmaps: a million predictions a second. Scalar inputs, equal branches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev

from derivations import DomainError, FusionNetwork
from derivations.algebra import notation as sym
from derivations.critical.saddles import ZERO_DRIVE
from derivations.samples import LARGEST_UNIT
from derivations.times import any_branches as law
from dynamics.checks import checked_positive, real_numbers
from dynamics.lambdified import array_function
from dynamics.prediction.laws.forms import on_arrays
from dynamics.prediction.laws.leading import log_integral

DEGREE = 48  # of the polynomial for ln I: right to 1e-13
BEND = 4  # ln I is smooth in (1 - k)^(1/4), not in k, where k tends to 1
CHUNK = 2**15  # points at once: what fits into the cache


@dataclass(frozen=True, eq=False)
class LawGrid:
    """Half-times by the leading law, arrays of the shape of the parameters.

    a_is_first : whether A leaves zero first; where both are as fast it means nothing
    log_first, log_lag : ln of the first half-time, and of the second less the first; inf where it is never learned
    log_excess : ln(ratio - 1), without the rounding of a ratio near one
    flips : the residual of the second has the sign opposite to its correlation: only a random start learns it
    """

    a_is_first: np.ndarray
    log_first: np.ndarray
    log_lag: np.ndarray
    log_excess: np.ndarray
    flips: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.asarray(1 + np.exp(self.log_excess))

    @property
    def times(self) -> dict[str, np.ndarray]:
        """A and B -> half-time in units of tau."""
        with np.errstate(over="ignore"):
            first = np.exp(self.log_first)
            second = np.exp(np.logaddexp(self.log_first, self.log_lag))
        return {"A": np.where(self.a_is_first, first, second), "B": np.where(self.a_is_first, second, first)}


def law_grid(
    network: FusionNetwork,
    sigma_a: Any,
    sigma_b: Any,
    rho: Any,
    w: Sequence[Any] = (1.0, 1.0),
    *,
    u0: float,
) -> LawGrid:
    """(8), (9); (48), (54), (12); (56), (57) for scalar inputs with these standard deviations and correlation.

    Parameters
    ----------
    network : two modalities, equal branches of at least two layers, fused once
    sigma_a, sigma_b, rho, w : numbers or arrays that broadcast; y = w_A x_A + w_B x_B
    u0 : norm of every layer before the fusion, aligned start (where the sign flips: random start)

    Leading order in u0, as `predict(...).leading`, which also says how much it leaves out.

    Examples
    --------
    >>> net = FusionNetwork.fused_at(4, 3)
    >>> grid = law_grid(net, np.linspace(1.5, 3, 2)[:, None], 1.0, np.linspace(-0.4, 0.4, 3), u0=1e-2)
    >>> grid.ratio.round(2).tolist()
    [[1.04, 1.03, 1.04], [1.24, 1.19, 1.23]]
    """
    depth, fused = _checked(network)
    log_u0 = math.log(checked_positive(u0, "u0"))
    if log_u0 >= 0:
        raise DomainError(f"the laws need u0 between 0 and 1, got {u0!r}")
    pair = tuple(w) if np.iterable(w) else ()
    if len(pair) != 2:
        raise DomainError(f"w must be a pair of weights, got {w!r}"[:200])
    names = ("sigma_a", "sigma_b", "rho", "w[0]", "w[1]")
    given = [real_numbers(value, name) for name, value in zip(names, (sigma_a, sigma_b, rho, *pair), strict=True)]
    for name, value, wrong, rule in (
        ("sigma_a", given[0], given[0] <= 0, "positive"),
        ("sigma_b", given[1], given[1] <= 0, "positive"),
        *((n, v, np.abs(v) > LARGEST_UNIT, f"at most {LARGEST_UNIT:g}") for n, v in zip(names, given, strict=True)),
        ("rho", given[2], np.abs(given[2]) > 1, "between -1 and 1"),
    ):
        if np.any(wrong):
            raise DomainError(f"{name} must be {rule}, got {np.ravel(value[wrong])[0]:g}")
    try:
        columns = np.broadcast_arrays(*given)
    except ValueError:
        shapes = ", ".join(str(value.shape) for value in given)
        raise DomainError(f"sigma_a, sigma_b, rho and w do not fit one another: {shapes}") from None
    shape = columns[0].shape
    if not columns[0].size:
        raise DomainError(f"sigma_a, sigma_b, rho and w must hold numbers, got shape {shape}")
    flat = [np.ascontiguousarray(column).ravel() for column in columns]
    parts = [
        _laws(depth, fused, log_u0, [column[begin : begin + CHUNK] for column in flat])
        for begin in range(0, len(flat[0]), CHUNK)
    ]
    joined = [np.concatenate(part).reshape(shape) for part in zip(*parts, strict=True)]
    return LawGrid(*joined)


def _checked(network: FusionNetwork) -> tuple[int, int]:
    depths = set(network.depths.values())
    if network.is_symbolic or len(network.modalities) != 2 or len(depths) != 1 or min(depths) < 2:
        raise DomainError(f"a grid of laws needs two equal branches of at least two layers, got {dict(network.depths)}")
    fused = int(depths.pop())
    return fused + int(network.trunk.depth), fused


def _laws(depth: int, fused: int, log_u0: float, columns: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Fields of LawGrid, from sigma_A, sigma_B, rho, w_A and w_B."""
    sigma_a, sigma_b, rho, w_a, w_b = columns
    between = rho * sigma_a * sigma_b
    target_a, target_b = sigma_a**2 * w_a + between * w_b, between * w_a + sigma_b**2 * w_b
    a_is_first = np.abs(target_a) >= np.abs(target_b)
    first, second = np.where(a_is_first, target_a, target_b), np.where(a_is_first, target_b, target_a)
    spread = np.where(a_is_first, sigma_a, sigma_b)
    pull = first / spread * (between / spread)
    residual = second - pull
    residual = np.where(np.abs(residual) <= ZERO_DRIVE * (np.abs(second) + np.abs(pull)), 0.0, residual)
    flips = residual * second < 0
    with np.errstate(divide="ignore", invalid="ignore"):
        strength, k = np.abs(first), np.where(first == 0, 0.0, np.abs(second / first))
        logs: Mapping[Any, Any] = {
            sym.a: np.log(strength),
            sym.g: np.log(strength / spread**2),
            sym.r: np.log(np.abs(residual)),
            sym.R: 0.0,
            sym.start_A: log_u0,
            sym.start_B: log_u0,
        }
        plain = {sym.L_A: fused, sym.L_B: fused, sym.L_c: depth - fused, sym.K: k, sym.c: np.where(flips, -1.0, 1.0)}
        later = {name: logs[name] for name in (sym.g, sym.r, sym.R, sym.start_A, sym.start_B)}
        log_lag = on_arrays(law.branches(fused, fused).lag, later, plain)
        if depth == 2:
            log_first = np.log(array_function(law.FIRST_AT_DEPTH_2, sym.u_0, sym.a)(math.exp(log_u0), strength))
            log_excess = log_lag - log_first
        else:
            log_i = log_integral_on_arrays(depth, fused, k)
            log_first = on_arrays(law.FIRST, {sym.u_0: log_u0, sym.a: logs[sym.a], sym.I: log_i}, {sym.L: depth})
            more = {**later, sym.a: logs[sym.a], sym.I: log_i}
            log_excess = on_arrays(law.excess(fused, fused, True), more, plain)
        gone = residual == 0
        log_lag, log_excess = np.where(gone, math.inf, log_lag), np.where(gone, math.inf, log_excess)
    return a_is_first, log_first, log_lag, log_excess, flips


def log_integral_on_arrays(depth: int, fused: int, k: np.ndarray) -> np.ndarray:
    """ln I, (13), (58), by a polynomial through `laws.log_integral`."""
    if depth == fused:
        return np.full(np.shape(k), -math.log(depth - 2))
    bent = np.sqrt(np.sqrt(1 - np.minimum(k, 1.0)))
    return np.asarray(_interpolant(depth, fused)(bent))


@lru_cache(maxsize=64)
def _interpolant(depth: int, fused: int) -> Chebyshev:
    def values(bent: np.ndarray) -> np.ndarray:
        return np.array([log_integral(fused, fused, depth - fused, float(1 - s**BEND)) for s in bent])

    return Chebyshev.interpolate(values, DEGREE, domain=[0.0, 1.0])
