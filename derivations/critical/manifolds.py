"""Fixed points and saddles of any tree: the critical set as manifolds, each with its strata.

`strata` finds the set, `signature` proves what kind of critical point each is, `escape` how training leaves it.
Here they get names, equations, dimensions, and the proof that the flow of every layer vanishes: the law (3), (4) of
`gradient_flow`, run on words instead of matrices, is zero by the equations of the stratum alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
import sympy as sp

from derivations.algebra.typesetting import latex_of, text_lines
from derivations.correlations import Correlations, require_problem
from derivations.critical.counts import h, plain
from derivations.critical.escape import Escape, EscapeLaw, escapes
from derivations.critical.manifold_text import ManifoldText
from derivations.critical.mode_sets import ModeManifold, mode_manifolds
from derivations.critical.strata import Case
from derivations.critical.stratum_points import Weights, moved_onto, require_layers, tangent_space
from derivations.critical.stratum_words import dead_equations, learned_equations, part_name, total_symbol, vanishing
from derivations.critical.totals import critical_groups, equations_of
from derivations.errors import DomainError
from derivations.flow.gradient_flow import loss
from derivations.network import FusionNetwork, layer_shapes, require_network

ALIKE = 1e-12  # rates that differ by less are one
MOST_MODALITIES = 8  # all their subsets are looked at


@dataclass(frozen=True, eq=False)
class Stratum:
    """An irreducible component of the critical set: one way in which all gradients vanish.

    Counts are those of a generic point. There they add up: `zero` is `dimension`, so nothing is degenerate
    (Morse-Bott). At special points of the same stratum fewer directions are negative; `signature` counts them.

    manifold : the name of the manifold that it is part of
    learned : the modalities that are never cut
    """

    manifold: str
    network: FusionNetwork
    data: Correlations
    width: Any
    case: Case

    @property
    def learned(self) -> tuple[str, ...]:
        return self.case.learned

    @property
    def name(self) -> str:
        """The manifold, and for each dead part where the backward and the forward signal die: M_A B3<-B1."""
        parts = [part_name(part) for part in self.case.dead]
        parts += [f"{m} alive" for m in self.case.silent if m in self.learned and self.case.dead]
        return " ".join([self.manifold, *parts])

    @cached_property
    def codimension(self) -> Any:
        return equations_of(self.case, self.data, self.width)

    @cached_property
    def dimension(self) -> Any:
        return plain(count_weights(self.network, self.data.sizes, self.width) - self.codimension)

    zero = property(attrgetter("dimension"))

    @property
    def negative(self) -> Any:
        """Rank of the product of the layers between the two deaths, summed over the cuts: full at generic points."""
        return plain(self.width * sum(bool(part.silenced) for part in self.case.dead))

    @property
    def positive(self) -> Any:
        """As many as are negative, the inputs alive, and what a cut without a signal to silence keeps from moving."""
        found, seen = self.data.rank(self.learned), self.learned
        for part in self.case.dead:
            if not part.silenced:
                more = (*seen, *part.modalities)
                found += min(self.width, self.data.rank(more) - self.data.rank(seen))
                seen = more
        return plain(found + self.negative)

    @cached_property
    def equations(self) -> sp.Tuple:
        """What defines it: cuts P W = 0, silences, and e = 0 of the learned modalities, solved for W^tot."""
        alive = learned_equations(self.data.modalities, self.learned, solved=not self.data.is_singular)
        return sp.Tuple(*alive, *dead_equations(self.network, self.case))

    @cached_property
    def proof(self) -> tuple[str, ...]:
        """For each layer why its gradient P^T G is zero; raises a SolveError if the law disagrees."""
        return vanishing(self.network, self.case)

    def point(self, seed: int | np.random.Generator = 0, weights: Mapping[str, Any] | None = None) -> Weights:
        """A point of it: given weights moved onto it, or random ones of order one (needs a width and numbers)."""
        if self.data.is_symbolic:
            raise DomainError("a point needs numbers in sigma and sigma_yx, got symbols")
        if weights is None:
            if isinstance(self.width, sp.Basic):
                raise DomainError("a point needs a width: fixed_points(network, data, width)")
            if not isinstance(seed, np.random.Generator) and (not isinstance(seed, int | np.integer) or seed < 0):
                raise DomainError(f"seed must be an integer >= 0, got {seed!r}")
            rng = np.random.default_rng(seed)
            weights = {
                name: [rng.normal(size=shape) / np.sqrt(shape[1]) for shape in shapes]
                for name, shapes in layer_shapes(self.network, self.data.sizes, 1, int(self.width)).items()
            }
        require_layers(self.network, self.data, weights)
        return moved_onto(self.network, self.data, self.case, weights)

    def tangent_space(self, weights: Mapping[str, Any]) -> np.ndarray:
        """Orthonormal basis (P, dimension) of the tangent space at a point, weights in the order of the chains."""
        require_layers(self.network, self.data, weights)
        return tangent_space(self.network, self.data, self.case, weights)

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: dimension {self.dimension}", *(f"  {t}" for t in text_lines(self.equations))])

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        return f"$${latex_of(self.equations)}$$"


@dataclass(frozen=True, eq=False, repr=False)
class Manifold(ManifoldText):
    """A critical manifold: all critical points with the same total weights.

    name : M_0, M_A, ..., M_*; learned : its modalities that have weights
    total : modality -> W_m^tot on it, (1, d)
    loss : the loss on it
    strata : its irreducible components
    dimension, negative, zero, positive : those of a generic point of its largest stratum
    escapes : how training leaves it; rates : their distinct rates in 1/tau, where they are exponential
    degenerate : whether, at the points that training from small weights visits, a way out has no rate
    notes : what the data make special
    """

    name: str
    learned: tuple[str, ...]
    total: Mapping[str, Any]
    loss: Any
    strata: tuple[Stratum, ...]
    escapes: tuple[Escape, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def _largest(self) -> Stratum:
        symbolic = isinstance(self.strata[0].codimension, sp.Basic)
        return min(self.strata, key=lambda s: s.case.conditions if symbolic else s.codimension)

    dimension = property(attrgetter("_largest.dimension"))
    negative = property(attrgetter("_largest.negative"))
    zero = property(attrgetter("_largest.zero"))
    positive = property(attrgetter("_largest.positive"))

    @cached_property
    def rates(self) -> tuple[Any, ...]:
        """Distinct escape rates where all weights of the unlearned modalities vanish; the largest first if numbers."""
        found = [way.speed for way in self.escapes if way.law is EscapeLaw.EXPONENTIAL]
        if any(isinstance(rate, sp.Basic) for rate in found):
            return tuple(dict.fromkeys(found))
        found.sort(reverse=True)
        return tuple(r for i, r in enumerate(found) if i == 0 or r < found[i - 1] * (1 - ALIKE))

    @property
    def degenerate(self) -> bool:
        return any(way.law is EscapeLaw.ALGEBRAIC for way in self.escapes)

    @cached_property
    def equations(self) -> sp.Tuple:
        """Those of its stratum; with several strata what they share, the total weights."""
        if len(self.strata) == 1:
            return self.strata[0].equations
        data = self.strata[0].data
        zero = [sp.Eq(total_symbol(m), 0, evaluate=False) for m in data.modalities if m not in self.learned]
        return sp.Tuple(*learned_equations(data.modalities, self.learned, solved=not data.is_singular), *zero)


def fixed_points(
    network: FusionNetwork, data: Correlations | None = None, width: int | None = None
) -> tuple[Manifold, ...] | tuple[ModeManifold, ...]:
    """Every critical manifold of the loss, with strata, dimension, signature and the ways out.

    Several outputs, by `mode_sets`: two layers, a manifold for each subset of modes of each modality.

    Parameters
    ----------
    data : numbers or symbols; without it free symbols, scalar inputs
    width : hidden units of every layer; without it dimensions and counts are expressions in h

    Returns
    -------
    tuple of Manifold, the fewest learned first: M_0 (nothing learned), M_A, ..., M_* (the global minimum). A manifold
    exists where the tree allows it: early fusion has no M_A.

    Raises
    ------
    DomainError
        For symbolic depths, more strata than can be listed; for several outputs beyond two layers, where modalities
        share layers, Sigma is singular, modes are equally strong or too many.

    Examples
    --------
    >>> [(m.name, m.dimension, m.negative, m.rates) for m in fixed_points(FusionNetwork.fused_at(2, 2))]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('M_0', 0, 2*h, (Abs(Sigma_yA), Abs(Sigma_yB))),
     ('M_A', 2*h - 1, h, (Abs(Sigma_A*Sigma_yB - Sigma_AB*Sigma_yA)/Sigma_A,)),
     ('M_B', 2*h - 1, h, (Abs(Sigma_AB*Sigma_yB - Sigma_B*Sigma_yA)/Sigma_B,)),
     ('M_*', 4*h - 2, 0, ())]
    """
    if data is None:
        require_network(network)
        data = Correlations.symbolic(dict.fromkeys(network.modalities, 1))
    require_problem(network, data)
    if width is not None and (isinstance(width, bool) or not isinstance(width, int | np.integer) or width < 1):
        raise DomainError(f"width must be a positive integer, got {width!r}")
    if data.outputs > 1:
        return mode_manifolds(network, data, None if width is None else int(width))
    count = len(data.modalities)
    if count > MOST_MODALITIES:
        raise DomainError(f"fixed_points lists the subsets of at most {MOST_MODALITIES} modalities, got {count}")
    hidden = h if width is None else int(width)
    found = []
    for group in critical_groups(network, data):
        value = loss(data, group.total)
        chosen = group.components(network, data, width)
        found.append(
            Manifold(
                group.name,
                group.whole if data.is_singular else group.learned,
                group.total,
                sp.cancel(value) if data.is_symbolic else max(float(value), 0.0),
                tuple(Stratum(group.name, network, data, hidden, case) for case in chosen),
                escapes(network, data, group.learned),
                (*group.notes, *data.warnings) if data.is_singular else group.notes,
            )
        )
    return tuple(found)


# ---- Counting.


def count_weights(network: FusionNetwork, sizes: Mapping[str, int], width: Any) -> Any:
    """P, the number of weights, as a number or in h."""
    return sum(out * into for layers in layer_shapes(network, sizes, 1, width).values() for out, into in layers)
