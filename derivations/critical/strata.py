"""The critical set of a fusion network, found by branching at every layer on the factor that vanishes.

For one output the gradient of a layer is a column times a row, P^T G: P the row above the layer, G the error
pushed forward to it (`gradient_flow`). It is zero iff P = 0 or G = 0, so a point is critical iff that holds at
every layer. From the output down:

- At a layer with P != 0, G must be zero. Below it either P W = 0, the backward signal is *cut* there, or P W != 0
  and the same question arises at the layer below, or at each branch of a fusion.
- Below a cut P = 0 everywhere and nothing else is asked; G = 0 at the cut is. The forward signal, which begins as
  e_m at the inputs, has been *silenced* on the way: by a layer, G W^T = 0, or at a fusion, where several that are
  not zero add up to zero.
- A branch that is never cut has G = e_m = 0 at its input: the modality is learned, or `silent`: its error is zero
  of itself.

No case is lost, because every question is answered both ways. For generic data none is silent: the residual of a
modality given others is a nonzero polynomial of Sigma and Sigma_yx. `manifolds` says which are, for numbers.

Every cut and every silence is as many equations as the layer is wide. Each stratum is a tower of vector bundles
over an open set, so it is irreducible, and its codimension is the number of its equations. Hence a stratum lies in
the closure of another one iff it satisfies the equations of some stratum that has fewer of them (every component of
their zeros has at most as many as there are equations); if not, its closure is an irreducible component. Where none
is silent that comes to: one silence a cut (`components`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from typing import TypeVar

from derivations.errors import DomainError
from derivations.network import TRUNK, Chain, FusionNetwork

MOST = 20_000  # cases that are listed

SYMBOLIC = "fixed points need numbers for depth and fusion_depth, got symbols"
T = TypeVar("T")

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
    """One answer to all questions: which modalities are alive (never cut), and how the others are dead.

    silent : those whose error is zero of itself, alive or dead
    """

    learned: tuple[str, ...]
    dead: tuple[Dead, ...]
    silent: tuple[str, ...] = ()

    @property
    def conditions(self) -> int:
        """Equations beside those of the learned modalities, in units of the width."""
        return sum(part.conditions for part in self.dead)


def cases(network: FusionNetwork, silent: frozenset[str] = frozenset(), every: bool = True) -> tuple[Case, ...]:
    """Every way in which all gradients vanish, components of the critical set and what lies in their closure.

    silent : modalities whose error is zero of itself; they may be alive or dead
    every : False leaves out what has more than one silence a cut

    Raises
    ------
    DomainError
        For symbolic depths, or more than `MOST` cases.
    """
    if network.is_symbolic:
        raise DomainError(SYMBOLIC)
    order = network.modalities
    found = []
    for dead in _below(network.trunk, TRUNK, silent, every):
        alive = tuple(m for m in order if not any(m in part.modalities for part in dead))
        found.append(Case(alive, dead, tuple(m for m in order if m in silent)))
        if len(found) > MOST:
            raise DomainError(f"this network has more than {MOST} ways to be critical: too many to list")
    return tuple(found)


def components(network: FusionNetwork) -> tuple[Case, ...]:
    """The irreducible components of the critical set for generic data: one silence a cut.

    Examples
    --------
    >>> [len(components(FusionNetwork.fused_at(4, f))) for f in (1, 2, 3, 4)]
    [7, 7, 17, 49]
    """
    return cases(network, every=False)


def learned_sets(network: FusionNetwork) -> tuple[tuple[str, ...], ...]:
    """The sets of modalities that can be learned while all others are dead, for generic data; the fewest first.

    A branch of one layer cannot be dead beside a living one: there is nothing in it to cut.

    Examples
    --------
    >>> learned_sets(FusionNetwork.branches({"A": 1, "B": 2}))
    (('A',), ('A', 'B'))
    """

    def sets(chain: Chain) -> list[frozenset[str]]:
        found = (
            [frozenset(chain.modalities)]
            if not chain.children
            else [frozenset().union(*some) for some in product(*(sets(child) for child in chain.children))]
        )
        return [*dict.fromkeys([frozenset(), *found] if _can_die(chain) else found)]

    if network.is_symbolic:
        raise DomainError(SYMBOLIC)
    order = network.modalities
    return tuple(
        sorted(
            (tuple(m for m in order if m in s) for s in sets(network.trunk)),
            key=lambda s: (len(s), [order.index(m) for m in s]),
        )
    )


def count_learned_sets(network: FusionNetwork) -> int:
    """How many `learned_sets` there are, without listing them."""

    def count(chain: Chain) -> int:
        if not chain.children:
            return 2 if chain.depth >= 2 else 1
        whole = math.prod(count(child) for child in chain.children)
        counted = all(_can_die(child) for child in chain.children)  # all dead is among the products
        return whole + (1 if chain.depth >= 1 and not counted else 0)

    return count(network.trunk)


def _can_die(chain: Chain) -> bool:
    """Whether a chain can put out zero while what stands above it does not."""
    return bool(chain.depth >= 1 if chain.children else chain.depth >= 2)


def _below(chain: Chain, name: str, silent: frozenset[str], every: bool) -> Iterator[tuple[Dead, ...]]:
    """P != 0 at the top of a chain: the ways in which the gradients of all layers from there down vanish."""
    for layer in range(chain.depth, 0, -1):
        if layer > 1 or chain.children:  # below the first layer of a leaf there is nothing to be cut off
            for silenced in _silences(chain, name, layer, silent, every):
                yield (Dead((name, layer), silenced, chain.modalities),)
    # never cut in this chain
    yield from (
        tuple(dead for branch in branches for dead in branch)
        for branches in _products([partial(_below, c, c.name, silent, every) for c in chain.children])
    )


def _silences(
    chain: Chain, name: str, layer: int, silent: frozenset[str], every: bool
) -> Iterator[tuple[Place | Cancelled, ...]]:
    """The ways in which G = 0 at the input of a layer."""
    if set(chain.modalities) <= silent:
        yield ()
        return
    for lower in range(layer - 1, 0, -1):
        yield ((name, lower),)
    loud = [child for child in chain.children if not set(child.modalities) <= silent]
    for size in range(len(loud) + 1) if every else {0, len(loud)}:
        if size == 1 or (size == 0 and len(loud) > 1 and not every) or not loud:
            continue  # a single signal that is not zero cannot cancel; a leaf's own error is not zero
        for speaking in combinations(loud, size):
            rest = [c for c in loud if c not in speaking]
            for ways in _products([partial(_silences, c, c.name, c.depth + 1, silent, every) for c in rest]):
                below = tuple(place for way in ways for place in way)
                yield (Cancelled(name, tuple(c.name for c in speaking)), *below) if speaking else below


def _products(makers: list[Callable[[], Iterator[T]]]) -> Iterator[tuple[T, ...]]:
    """Like itertools.product, but lazy: nothing is listed before it is asked for."""
    if not makers:
        yield ()
        return
    for first in makers[0]():
        for rest in _products(makers[1:]):
            yield (first, *rest)


def largest(network: FusionNetwork, candidates: tuple[Case, ...], size: Callable[[Case], int]) -> tuple[Case, ...]:
    """Cases in no other's closure: none of the others has fewer equations, `size`, that it satisfies as well."""
    zeros = {case: _zeros(network, case) for case in candidates}
    return tuple(
        case
        for case in candidates
        if not any(size(other) < size(case) and zeros[other] <= zeros[case] for other in candidates)
    )


def _zeros(network: FusionNetwork, case: Case) -> frozenset[tuple[str, Place]]:
    """What is zero on a stratum: P below a layer, G after a layer (layer 0: at the input of a chain)."""
    found: set[tuple[str, Place]] = set()
    cut = {part.cut[0]: part for part in case.dead}

    def visit(chain: Chain, name: str, above: bool) -> None:
        for layer in range(chain.depth, -1, -1):
            if not above:
                found.add(("P", (name, layer)))
            if name in cut and cut[name].cut[1] == layer:
                above = False
        for child in chain.children:
            visit(child, child.name, above)

    visit(network.trunk, TRUNK, True)
    silenced = {place for part in case.dead for place in part.silenced}
    loud = {m for part in case.dead for m in part.modalities if m not in case.silent}

    def push(chain: Chain, name: str) -> bool:
        """Whether the forward signal out of a chain is alive."""
        inner = [push(child, child.name) for child in chain.children]
        alive = any(inner) if chain.children else name in loud
        alive = alive and not any(isinstance(p, Cancelled) and p.into == name for p in silenced)
        for layer in range(chain.depth + 1):
            alive = alive and (name, layer) not in silenced
            if not alive:
                found.add(("G", (name, layer)))
        return alive

    push(network.trunk, TRUNK)
    return frozenset(found)
