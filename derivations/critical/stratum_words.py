"""Strata in words: their equations as products of layers, and the proof that the flow vanishes on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from derivations.algebra.matrices import matrix
from derivations.algebra.ordered_products import Layers, T
from derivations.critical.strata import Cancelled, Case, Dead, Place
from derivations.errors import SolveError
from derivations.flow.gradient_flow import flow
from derivations.network import TRUNK, FusionNetwork

# ---- Words: W_A^2 W_A^1 and so on; the trunk goes on counting where all branches have the same depth.


def _first_index(network: FusionNetwork, name: str) -> int:
    """Number of a chain's first layer: the paper counts the trunk on from branches of equal depth."""
    below = {network.path_depths[m] for m in network.modalities}
    if name == TRUNK and len(below) == 1:
        return int(below.pop()) - int(network.trunk.depth) + 1
    return 1


def _label(name: str) -> str:
    return "W" if name == TRUNK else f"W_{name}"


def layers_of(network: FusionNetwork, name: str, high: int, low: int) -> Any:
    """W^high ... W^low of a chain, layers counted from 1 within it; 1 if there are none."""
    first = _first_index(network, name)
    return Layers(_label(name), high + first - 1, low + first - 1) if high >= low else sp.Integer(1)


def _down_to(network: FusionNetwork, name: str, low: int) -> list[tuple[str, int, int]]:
    """The chains from the output down to layer `low` of one: each with its highest and lowest layer in the product."""
    found = [(name, int(network.chains[name].depth), low)]
    while name in network.parents:
        name = network.parents[name]
        found.insert(0, (name, int(network.chains[name].depth), 1))
    return found


def word_of(network: FusionNetwork, name: str, low: int) -> Any:
    """The product from the output down to layer `low` of a chain, P W."""
    return sp.Mul(*(layers_of(network, *part) for part in _down_to(network, name, low)))


def forward(network: FusionNetwork, place: Place | Cancelled, seen: Mapping[str, Any]) -> Any:
    """The forward signal after a place, as a column: sums over modalities of a product of layers times e_m^T."""

    def out_of(names: tuple[str, ...]) -> Any:
        return sum(pushed(name, int(network.chains[name].depth)) for name in names)

    def pushed(name: str, layers: int) -> Any:
        children = tuple(child.name for child in network.chains[name].children)
        return sp.expand(layers_of(network, name, layers, 1) * (out_of(children) if children else seen[name]))

    return out_of(place.children) if isinstance(place, Cancelled) else pushed(*place)


def total_symbol(m: str) -> sp.Symbol:
    return matrix(f"W_{m}_tot")


def _cross(m: str, n: str) -> sp.Symbol:
    """Sigma_mn; the names of notation for A and B."""
    separator = "" if len(m) == len(n) == 1 else ","
    return matrix(f"Sigma_{m}" if m == n else f"Sigma_{m}{separator}{n}")


def learned_equations(modalities: tuple[str, ...], learned: tuple[str, ...], solved: bool = True) -> list[sp.Eq]:
    """e_m = 0 of the learned modalities, solved where one symbol does it: one modality, or all of them.

    solved : False where Sigma is singular and has no inverse
    """
    if set(learned) == set(modalities) and len(learned) > 1:
        whole, target, sigma = matrix("W_tot"), matrix("Sigma_yx"), matrix("Sigma")
    elif len(learned) == 1:
        (m,) = learned
        whole, target, sigma = total_symbol(m), matrix(f"Sigma_yx{m}"), _cross(m, m)
    else:
        sums = {m: sp.Add(*(total_symbol(n) * _cross(n, m) for n in learned)) for m in learned}
        return [sp.Eq(sums[m], matrix(f"Sigma_yx{m}"), evaluate=False) for m in learned]
    if solved:
        return [sp.Eq(whole, target * sigma**-1, evaluate=False)]
    return [sp.Eq(whole * sigma, target, evaluate=False)]


def transposed_error(learned: tuple[str, ...], m: str) -> Any:
    """e_m^T given what is learned: the residual of m."""
    target = T(matrix(f"Sigma_yx{m}"))
    if len(learned) == 1 and m not in learned:
        (n,) = learned
        return target - _cross(m, n) * _cross(n, n) ** -1 * T(matrix(f"Sigma_yx{n}"))
    return target - sp.Add(*(_cross(m, n) * T(total_symbol(n)) for n in learned))


def is_zero(word: Any) -> sp.Eq:
    return sp.Eq(word, 0, evaluate=False)


def dead_equations(network: FusionNetwork, case: Case) -> list[sp.Eq]:
    """The cuts P W = 0 and the silences of a stratum."""
    seen = {m: transposed_error(case.learned, m) for m in network.modalities}
    found = []
    for part in case.dead:
        found.append(is_zero(word_of(network, *part.cut)))
        found += [is_zero(forward(network, place, seen)) for place in part.silenced]
    return found


def place_name(place: Place) -> str:
    return f"{place[0]}{place[1]}"


def source_name(place: Place | Cancelled) -> str:
    return "+".join(place.children) if isinstance(place, Cancelled) else place_name(place)


def part_name(part: Dead) -> str:
    """Where the backward and the forward signal die: B3<-B1."""
    return f"{place_name(part.cut)}<-{'&'.join(source_name(place) for place in part.silenced)}"


# ---- The proof: the law of the flow on words.

Atom = tuple[str, ...]  # ("W", chain, layer), the same with "T" last for a transpose, or ("e", modality)
Word = tuple[Atom, ...]


@dataclass(frozen=True)
class _Words:
    """A sum of words with coefficient 1: all that the law needs of a matrix, `@`, `+` and `.T`."""

    terms: tuple[Word, ...]

    def __matmul__(self, other: _Words) -> _Words:
        return _Words(tuple(one + two for one in self.terms for two in other.terms))

    def __add__(self, other: _Words) -> _Words:
        return _Words(self.terms + other.terms)

    @property
    def T(self) -> _Words:
        return _Words(tuple(_turned(word) for word in self.terms))


def _turned(word: Word) -> Word:
    """The transpose of a product."""
    return tuple(atom[:-1] if atom[-1] == "T" else (*atom, "T") for atom in reversed(word))


def _atoms(name: str, high: int, low: int) -> Word:
    return tuple(("W", name, str(i)) for i in range(high, low - 1, -1))


def vanishing(network: FusionNetwork, case: Case) -> tuple[str, ...]:
    """Why the flow of each layer is zero on a stratum, from its equations and the law (3), (4) alone.

    Raises
    ------
    SolveError
        If a term of the flow is left: the stratum would not be critical.
    """
    weights = {
        name: [_Words((_atoms(name, i, i),)) for i in range(1, int(chain.depth) + 1)]
        for name, chain in network.chains.items()
    }
    velocity = flow(network, weights, {m: _Words(((("e", m),),)) for m in network.modalities})
    lines = []
    for name, moved in velocity.items():
        for i, words in enumerate(moved, start=1):
            reasons, left = _by_one_factor(network, case, words.terms)
            more, left = _by_a_sum(network, case, left)
            index = i + _first_index(network, name) - 1
            if left:
                raise SolveError(f"the flow of {_label(name)}^{index} does not vanish on the stratum: {left[0]}")
            lines.append(f"d{_label(name)}^{index}/dt = 0: {' and '.join(sorted(reasons | more))}")
    return tuple(lines)


def _by_one_factor(network: FusionNetwork, case: Case, terms: tuple[Word, ...]) -> tuple[set[str], list[Word]]:
    """Words with a factor that is zero: e of a learned modality, or P at a cut; and the words that are left."""
    reasons: set[str] = set()
    left = []
    for word in terms:
        learned = [f"e_{m} = 0" for m in (*case.learned, *case.silent) if ("e", m) in word]
        cut = [f"P = 0, cut at {place_name(d.cut)}" for d in case.dead if _find(word, _turned(_cut_atoms(network, d)))]
        if learned or cut:
            reasons.add((learned + cut)[0])
        else:
            left.append(word)
    return reasons, left


def _by_a_sum(network: FusionNetwork, case: Case, terms: list[Word]) -> tuple[set[str], list[Word]]:
    """Words that add up to something times a silenced signal; and those that are left.

    A silenced signal is a sum over modalities. Its words must all be there, with the same factors around them.
    """
    reasons: set[str] = set()
    left = list(terms)
    for place in (place for part in case.dead for place in part.silenced):
        chains = place.children if isinstance(place, Cancelled) else place[:1]
        members = [m for c in chains for m in network.chains[c].modalities if m not in case.silent]
        groups: dict[tuple[Word, Word], dict[str, Word]] = {}
        for word in left:
            for m in members:
                path = (("e", m), *_turned(_path_atoms(network, m, place)))
                at = _find(word, path)
                if at:
                    groups.setdefault((word[: at - 1], word[at - 1 + len(path) :]), {})[m] = word
        for group in groups.values():
            if set(group) == set(members):
                left = [word for word in left if word not in group.values()]
                reasons.add(
                    f"G = 0, cancelled before {place.into}"
                    if isinstance(place, Cancelled)
                    else f"G = 0, silenced at {place_name(place)}"
                )
    return reasons, left


def _cut_atoms(network: FusionNetwork, part: Dead) -> Word:
    return tuple(atom for chain in _down_to(network, *part.cut) for atom in _atoms(*chain))


def _path_atoms(network: FusionNetwork, m: str, place: Place | Cancelled) -> Word:
    """Layers from a modality to a place, the last one first."""
    path = network.path(m)
    end, layer = (place.into, 0) if isinstance(place, Cancelled) else place
    atoms = _atoms(end, layer, 1)
    for name in reversed(path[: path.index(end)]):
        atoms += _atoms(name, int(network.chains[name].depth), 1)
    return atoms


def _find(word: Word, part: Word) -> int:
    """1 + the place of `part` within a word; 0 if it is not there."""
    return next((i + 1 for i in range(len(word) - len(part) + 1) if word[i : i + len(part)] == part), 0)
