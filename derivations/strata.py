"""The critical set of a fusion network, found by branching at every layer on the factor that vanishes.

For one output the gradient of a layer is a column times a row, P^T G: P the row above the layer, G the error
pushed forward to it (`gradient_flow`). It is zero iff P = 0 or G = 0, so a point is critical iff that holds at
every layer. From the output down:

- At a layer with P != 0, G must be zero. Below it either P W = 0, the backward signal is *cut* there, or P W != 0
  and the same question arises at the layer below, or at each branch of a fusion.
- Below a cut P = 0 everywhere and nothing else is asked; G = 0 at the cut is. The forward signal, which begins as
  e_m at the inputs, has been *silenced* on the way: by a layer, G W^T = 0, or at a fusion, where several that are
  not zero add up to zero.
- A branch that is never cut has G = e_m = 0 at its input: the modality is learned.

No case is lost, because every question is answered both ways. e_m is not zero for a modality that is cut: its
residual, given what is learned, is a nonzero polynomial of Sigma and Sigma_yx (data for which it vanishes are
treated in `manifolds`).

Every cut and every silence is as many equations as the layer is wide. Each stratum is a tower of vector bundles
over an open set, so it is irreducible. A cut needs one silence; where more than one child of a fusion has been
silenced apart, the stratum has more equations than the closed set {P W = 0, G = 0 at the cut}, none of whose
components has more than two a cut: it lies in the closure of another stratum. The others have as many equations as
each other or differ in what is zero: they are the irreducible components.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

from derivations.errors import DomainError
from derivations.network import TRUNK, Chain, FusionNetwork

MOST = 20_000  # strata that are listed

Place = tuple[str, int]  # chain and layer, counted from 1 at the input side of the chain


@dataclass(frozen=True)
class Cancelled:
    """Forward signals into a chain that are not zero but add up to zero, from the named child chains."""

    into: str
    children: tuple[str, ...]


@dataclass(frozen=True)
class Dead:
    """A part of the network that puts out zero: cut from above at one layer, silenced below it.

    cut : P != 0 at this layer and P W = 0
    silenced : layers with G != 0 and G W^T = 0, or fusions at which what comes in cancels
    modalities : those that this part reads; their total weights are zero
    """

    cut: Place
    silenced: tuple[Place | Cancelled, ...]
    modalities: tuple[str, ...]

    @property
    def conditions(self) -> int:
        """Equations, in units of the width."""
        return 1 + len(self.silenced)


@dataclass(frozen=True)
class Case:
    """One answer to all questions: which modalities are learned, and how the others are dead."""

    learned: tuple[str, ...]
    dead: tuple[Dead, ...]

    @property
    def conditions(self) -> int:
        """Equations beside those of the learned modalities, in units of the width."""
        return sum(part.conditions for part in self.dead)

    @property
    def is_component(self) -> bool:
        """Whether its closure is an irreducible component of the critical set; see the head of this module."""
        return all(len(part.silenced) == 1 for part in self.dead)


def cases(network: FusionNetwork) -> tuple[Case, ...]:
    """Every way in which all gradients vanish, components of the critical set and what lies in their closure.

    Raises
    ------
    DomainError
        For symbolic depths, or a network with more than `MOST` cases.

    Examples
    --------
    >>> [sum(case.is_component for case in cases(FusionNetwork.fused_at(4, f))) for f in (1, 2, 3, 4)]
    [7, 7, 17, 49]
    """
    if network.is_symbolic:
        raise DomainError("fixed points need numbers for depth and fusion_depth, got symbols")
    number = _count(network.trunk, TRUNK)
    if number > MOST:
        raise DomainError(f"this network has more than {number} ways to be critical; {MOST} are listed at most")
    order = network.modalities
    return tuple(
        Case(tuple(m for m in order if not any(m in part.modalities for part in dead)), dead)
        for dead in _below(network.trunk, TRUNK)
    )


def _count(chain: Chain, name: str) -> int:
    """A lower bound of the number of cases, without listing them: one silence a cut."""
    number = 1
    for child in chain.children:
        number *= _count(child, child.name)
    return number + int(chain.depth) * (int(chain.depth) + (1 if chain.children else -1)) // 2


def _below(chain: Chain, name: str) -> Iterator[tuple[Dead, ...]]:
    """P != 0 at the top of a chain: the ways in which the gradients of all layers from there down vanish."""
    for layer in range(chain.depth, 0, -1):
        for silenced in _silences(chain, name, layer):
            yield (Dead((name, layer), silenced, chain.modalities),)
    # never cut in this chain
    for branches in product(*(tuple(_below(child, child.name)) for child in chain.children)):
        yield tuple(dead for branch in branches for dead in branch)


def _silences(chain: Chain, name: str, layer: int) -> Iterator[tuple[Place | Cancelled, ...]]:
    """The ways in which G = 0 at the input of a layer; a leaf's own error is not zero."""
    for lower in range(layer - 1, 0, -1):
        yield ((name, lower),)
    children = chain.children
    for size in range(len(children) + 1):
        if size == 1:
            continue  # a single signal that is not zero cannot cancel
        for speaking in combinations(children, size):
            silent = [c for c in children if c not in speaking]
            ways = [tuple(_silences(child, child.name, child.depth + 1)) for child in silent]
            for chosen in product(*ways) if children else ():
                below = tuple(place for way in chosen for place in way)
                yield (Cancelled(name, tuple(c.name for c in speaking)), *below) if speaking else below
