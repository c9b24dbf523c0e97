"""How training leaves a saddle: at a rate, or by an algebraic law where the saddle is degenerate.

At the points that training from small weights visits, all weights that serve only unlearned modalities vanish, and
the learned part is balanced, of rank one. Let n layers lie between an unlearned modality and the first layer that a
learned one shares (the output, if nothing is learned), and let p be the product of the layers from there to the
output. Displaced along the balanced direction of that modality alone, its norm u grows as

    du/dt = |p| |e| u^(n-1)          e: its residual; follows from the reduced flow (44) with saturation

- n = 2: exponentially, at the rate |p| |e|, an eigenvalue of minus the Hessian;
- n > 2: u^(2-n) falls linearly, at (n-2) |p| |e|, and the Hessian has no negative direction there.

Modalities with one layer before the same fusion share the next layer and leave together, at their joint residual.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import sympy as sp

from derivations.correlations import Correlations
from derivations.critical.runners import runners
from derivations.critical.saddles import drive
from derivations.errors import DomainError
from derivations.flow.reduction import chain_norms, path_product
from derivations.network import TRUNK, Chain, FusionNetwork

RANGE, HALVINGS = 50.0, 60  # logarithms of norms looked at, and halvings of that interval: to 1e-16


class Kind(StrEnum):
    """One output: no other critical points, no maximum, no local minimum that is not global. Several outputs: no
    maximum."""

    SADDLE = "saddle"
    MINIMUM = "minimum"


class EscapeLaw(StrEnum):
    EXPONENTIAL = "exponential"
    ALGEBRAIC = "algebraic"


@dataclass(frozen=True)
class Escape:
    """How one modality, or siblings that are learned together, leaves a saddle. Exact to first order in its weights.

    modalities : those that grow
    layers : n, the layers that have to grow
    speed : |p| |e|: the rate for two layers; for more, u^(2-n) falls at (n-2) speed. In 1/tau times a norm^(2-n)
    """

    modalities: tuple[str, ...]
    layers: int
    speed: Any

    @property
    def law(self) -> EscapeLaw:
        return EscapeLaw.EXPONENTIAL if self.layers == 2 else EscapeLaw.ALGEBRAIC

    @property
    def equation(self) -> sp.Eq:
        """tau du/dt of the norm u of the layers that grow."""
        u = sp.Symbol("u", positive=True)
        return sp.Eq(sp.Symbol("tau*du/dt"), sp.sympify(self.speed) * u ** (self.layers - 1), evaluate=False)

    def __str__(self) -> str:
        names, speed = " and ".join(self.modalities), shown(self.speed)
        if self.law is EscapeLaw.EXPONENTIAL:
            return f"{names} at the rate {speed}"
        factor = "" if self.layers == 3 else f"{self.layers - 2} * "
        return f"{names}, whose u^{2 - self.layers} falls at {factor}{speed}"


def shown(value: Any) -> str:
    """A number or an expression as text."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def escapes(network: FusionNetwork, data: Correlations, learned: tuple[str, ...]) -> tuple[Escape, ...]:
    """The ways out of a saddle with these modalities learned; none where nothing is left to learn.

    With symbols in `data` the speeds are expressions; the norms of a trunk shared by learned modalities of unequal
    depth have no closed form and stay symbols u, u_c.
    """
    goals = data.regression(learned)
    norms = balanced_norms(network, {m: _norm(data, goals[m]) for m in learned}) if learned else {}
    found = []
    for group in runners(network):
        if group[0] in learned:
            continue
        own, shared = _split(network, group[0], learned)
        pull = _pull(data, group, learned, goals)
        if pull == 0:
            continue
        product: Any = 1 if data.is_symbolic else 1.0
        for name in shared:
            product = product * norms[name] ** network.chains[name].depth
        speed = product * pull if data.is_symbolic else float(product * pull)
        found.append(Escape(group, sum(int(network.chains[c].depth) for c in own), speed))
    return tuple(found)


def _split(network: FusionNetwork, m: str, learned: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The chains from a modality to the output: those that no learned one shares, and those with layers after."""
    path = [c for c in network.path(m) if network.chains[c].depth]
    own = [c for c in path if not set(learned) & set(network.chains[c].modalities)]
    return own, [c for c in path if c not in own]


def _norm(data: Correlations, row: Any) -> Any:
    if not data.is_symbolic:
        return float(data.norm(row))
    return sp.Abs(sp.factor(row[0, 0])) if row.shape == (1, 1) else sp.sqrt(sp.Add(*(x**2 for x in row)))


def _pull(data: Correlations, group: tuple[str, ...], learned: tuple[str, ...], goals: Mapping[str, Any]) -> Any:
    """Norm of the residuals of a group side by side; zero if what is left is rounding."""
    if not data.is_symbolic:
        return math.hypot(*(drive(data, m, goals)[1] for m in group))
    whole = sp.Matrix.hstack(*(sp.Matrix(data.residual_block(m, learned)) for m in group)).applyfunc(sp.factor)
    return _norm(data, whole)


def balanced_norms(network: FusionNetwork, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Chain -> norm u_c of its layers in a balanced rank-one network with |W_m^tot| = sizes[m]; the rest are zero.

    |W_m^tot| is the product of u_c^(n_c) over the path (`reduction.path_product`), and u_c^2 = sum over the children
    of u^2 at every fusion, (41). Numbers, or arrays of one shape: solved chain by chain in logarithms; what a chain
    needs falls as its norm grows, so there is one solution. Symbols: closed forms for one modality, or for equal
    depths fused once; else the symbols u_c.

    Examples
    --------
    >>> norms = balanced_norms(FusionNetwork.fused_at(3, 2), {"A": 8.0, "B": 0.0})
    >>> [round(float(norms[c]), 4) for c in ("A", "B", "trunk")]
    [2.0, 0.0, 2.0]
    """
    if any(isinstance(size, sp.Basic) for size in sizes.values()):
        return _symbolic_norms(network, sizes)
    for m, size in sizes.items():
        if m not in network.modalities or np.any(np.asarray(size) < 0):
            raise DomainError(f"sizes must map modalities to norms >= 0, got {m!r}: {size!r}")
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = {m: np.log(np.asarray(sizes.get(m, 0.0), dtype=float)) for m in network.modalities}
        return {name: np.exp(value)[()] for name, value in _log_norms(network, logs).items()}


def _log_norms(network: FusionNetwork, logs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """ln u_c of every chain for arrays of ln|W_m|; -inf where a chain carries nothing."""
    found: dict[str, np.ndarray] = {}

    def norm_of(chain: Chain, above: np.ndarray) -> np.ndarray:
        """ln u of a chain, given the ln of the product above it."""
        depth = int(chain.depth)
        if not chain.children:
            return np.asarray((logs[chain.modalities[0]] - above) / depth)

        def needed(log_norm: np.ndarray) -> np.ndarray:
            each = np.array([norm_of(child, above + depth * log_norm) for child in chain.children])
            return np.asarray(np.log(np.sum(np.exp(2 * each), axis=0)) / 2)

        if depth == 0:
            return needed(np.zeros_like(above))
        low, high = np.full_like(above, -RANGE), np.full_like(above, RANGE)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            more = needed(middle) > middle
            low, high = np.where(more, middle, low), np.where(more, high, middle)
        nothing = np.all([np.isneginf(logs[m]) for m in chain.modalities], axis=0)
        return np.asarray(np.where(nothing, -np.inf, (low + high) / 2))

    def fill(chain: Chain, name: str, above: np.ndarray) -> None:
        found[name] = norm_of(chain, above)
        product = above + (int(chain.depth) * found[name] if chain.depth else 0.0)
        for child in chain.children:
            silent = np.all([np.isneginf(logs[m]) for m in child.modalities], axis=0)
            fill(child, child.name, np.where(silent, 0.0, product))

    fill(network.trunk, TRUNK, np.zeros(np.broadcast_shapes(*(x.shape for x in logs.values()))))
    return found


def _symbolic_norms(network: FusionNetwork, sizes: Mapping[str, Any]) -> dict[str, Any]:
    alive = [m for m, size in sizes.items() if size != 0]
    symbols = chain_norms(network)
    depths = {network.chains[m].depth for m in alive}
    once = all(network.parents[m] == TRUNK for m in alive)
    if len(alive) == 1:
        (m,) = alive
        return {c: sizes[m] ** sp.Rational(1, network.path_depths[m]) for c in network.path(m)}
    if not once or len(depths) > 1:
        return {c: symbols[c] for m in alive for c in network.path(m) if c in symbols}
    (depth,) = depths
    total = depth + network.trunk.depth
    trunk = sp.Add(*(sizes[m] ** sp.Rational(2, depth) for m in alive)) ** sp.Rational(depth, 2 * total)
    found: dict[str, Any] = {TRUNK: trunk}
    for m in alive:
        others = path_product(network, m).subs(symbols.get(TRUNK, trunk), trunk).subs(symbols[m], 1)
        found[m] = (sizes[m] / others) ** sp.Rational(1, depth)
    return found
