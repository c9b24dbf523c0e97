"""FusionNetwork: chains of linear layers joined in a tree, the paper's equation (2) and beyond it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import pairwise
from numbers import Integral
from types import MappingProxyType
from typing import Any

from derivations.errors import DomainError

TRUNK = "trunk"
DEEPEST = 100_000  # layers of a chain


def shown_number(number: Any) -> str:
    """A whole number in a message, cut where it is long: beyond 4300 digits Python does not print it."""
    if abs(number) < 10**20:
        return str(number)
    return f"one of about {math.ceil(abs(int(number)).bit_length() * math.log10(2))} digits"


def _symbolic(depth: Any) -> bool:
    return bool(getattr(depth, "free_symbols", None))


def _checked_depth(depth: Any, field: str, least: int) -> Any:
    """A Python int of at least `least`, or a SymPy expression as it is."""
    if _symbolic(depth):
        return depth
    if isinstance(depth, bool) or not (isinstance(depth, Integral) or getattr(depth, "is_Integer", False)):
        raise DomainError(f"{field} must be an integer, got {depth!r}")
    if int(depth) < least:
        raise DomainError(f"{field} must be at least {least}, got {shown_number(int(depth))}")
    if int(depth) > DEEPEST:
        raise DomainError(f"{field} must be at most {DEEPEST}, got {shown_number(depth)}")
    return int(depth)


def require_network(network: Any) -> None:
    if not isinstance(network, FusionNetwork):
        raise DomainError(f"network must be FusionNetwork, got {type(network).__name__}")


def checked_name(name: Any) -> None:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise DomainError(f"a modality's name must be printable text, got {name!r}")
    if name == TRUNK or "+" in name:
        raise DomainError(f"a modality's name must not be 'trunk' nor hold '+', got {name!r}")


@dataclass(frozen=True)
class Chain:
    """Layers applied one after the other to one modality, or to the sum of what its child chains put out.

    Parameters
    ----------
    depth : int or SymPy expression
        Number of layers, at least 1 (only the trunk of a network may have 0: late fusion).
    source : str or tuple of Chain
        The modality read, or at least two chains that are fused.

    Examples
    --------
    >>> Chain(1, (Chain(2, "A"), Chain(3, "B"))).modalities
    ('A', 'B')
    """

    depth: int | Any
    source: str | tuple[Chain, ...]

    def __post_init__(self) -> None:
        if isinstance(self.source, str):
            checked_name(self.source)
        else:
            children = tuple(self.source) if isinstance(self.source, Iterable) else ()
            if not children or not all(isinstance(child, Chain) for child in children):
                raise DomainError(f"source must be a modality's name or chains, got {self.source!r}")
            object.__setattr__(self, "source", children)
        object.__setattr__(self, "depth", _checked_depth(self.depth, "depth of a chain", 0))

    @cached_property
    def children(self) -> tuple[Chain, ...]:
        return () if isinstance(self.source, str) else self.source

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        if isinstance(self.source, str):
            return (self.source,)
        return tuple(m for child in self.source for m in child.modalities)

    @cached_property
    def name(self) -> str:
        """The modality's name, or the children's names joined by `+`."""
        return "+".join(self.modalities)


@dataclass(frozen=True)
class FusionNetwork:
    """A multimodal deep linear network: a tree of chains whose last one is the trunk, equation (2).

    Build one with `fused_at`, `branches` or `tree`.

    Examples
    --------
    >>> net = FusionNetwork.fused_at(depth=4, fusion_depth=3)
    >>> net.modalities, net.depths, net.trunk.depth
    (('A', 'B'), {'A': 3, 'B': 3}, 1)
    >>> print(FusionNetwork.tree(1, Chain(3, "A"), Chain(2, (Chain(1, "B"), Chain(2, "C")))))
    A: 3 layers -> trunk
    B: 1 layer -> B+C
    C: 2 layers -> B+C
    B+C: 2 layers -> trunk
    trunk: 1 layer -> output
    """

    trunk: Chain

    def __post_init__(self) -> None:
        if not isinstance(self.trunk, Chain) or not self.trunk.children:
            raise DomainError(f"trunk must be a chain that joins other chains, got {self.trunk!r}")
        names = self.trunk.modalities
        twice = sorted({m for m in names if names.count(m) > 1})
        if twice:
            raise DomainError(f"modality {twice[0]!r} is read by more than one chain")
        for child in self.trunk.children:
            self._check(child)

    def _check(self, chain: Chain) -> None:
        _checked_depth(chain.depth, f"depth of chain {chain.name!r}", 1)
        if len(chain.children) == 1:
            raise DomainError(f"chain {chain.name!r} fuses a single chain; join the two into one")
        for child in chain.children:
            self._check(child)

    @classmethod
    def fused_at(cls, depth: Any, fusion_depth: Any, modalities: tuple[str, ...] = ("A", "B")) -> FusionNetwork:
        """The paper's network: total depth L, branches of fusion_depth L_f, figure 1.

        L_f = 1 is early, 1 < L_f < L intermediate, L_f = L late fusion. Both may be SymPy symbols.

        Raises
        ------
        DomainError
            Unless 1 <= fusion_depth <= depth, both integers.
        """
        depth = _checked_depth(depth, "depth", 1)
        fusion_depth = _checked_depth(fusion_depth, "fusion_depth", 1)
        if not _symbolic(depth - fusion_depth) and depth < fusion_depth:
            raise DomainError(f"fusion_depth must not exceed depth {depth}, got {fusion_depth}")
        if isinstance(modalities, str) or not isinstance(modalities, Iterable):
            raise DomainError(f"modalities must be several names, got {modalities!r}")
        names = tuple(modalities)
        if not names:
            raise DomainError("modalities must be several names, got none")
        for name in names:
            checked_name(name)
        return cls.tree(depth - fusion_depth, *(Chain(fusion_depth, m) for m in names))

    @classmethod
    def branches(cls, depths: Mapping[str, Any], trunk: Any = 0) -> FusionNetwork:
        """One branch a modality, of any depths, fused once; `trunk` layers follow (0: late fusion)."""
        if not isinstance(depths, Mapping) or not depths:
            raise DomainError(f"depths must map modality to number of layers, got {depths!r}")
        for name, depth in depths.items():
            checked_name(name)
            _checked_depth(depth, f"depths[{name!r}]", 1)
        return cls.tree(trunk, *(Chain(depth, name) for name, depth in depths.items()))

    @classmethod
    def tree(cls, trunk: Any, *chains: Chain) -> FusionNetwork:
        """Nested fusion: `trunk` layers after the sum of `chains`, which may fuse chains themselves."""
        _checked_depth(trunk, "trunk", 0)
        if not chains or not all(isinstance(chain, Chain) for chain in chains):
            raise DomainError(f"chains must be Chain, one after the other, such as Chain(2, 'A'), got {chains!r}"[:200])
        return cls(Chain(trunk, chains))

    def __getstate__(self) -> dict[str, Any]:
        return {"trunk": self.trunk}  # pickle takes no view of a mapping

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.trunk.modalities

    @cached_property
    def chains(self) -> Mapping[str, Chain]:
        """Name -> chain, children before the chain they feed, `trunk` last."""
        found: dict[str, Chain] = {}

        def visit(chain: Chain, name: str) -> None:
            for child in chain.children:
                visit(child, child.name)
            found[name] = chain

        visit(self.trunk, TRUNK)
        return MappingProxyType(found)

    @property
    def depths(self) -> dict[str, int | Any]:
        """Modality -> layers of its own chain."""
        return {m: self.chains[m].depth for m in self.modalities}

    def path(self, modality: str) -> tuple[str, ...]:
        """Names of the chains from a modality to the output."""
        if modality not in self.modalities:
            raise DomainError(f"modality must be one of {', '.join(self.modalities)}, got {modality!r}")
        return tuple(name for name, chain in self.chains.items() if modality in chain.modalities)

    @cached_property
    def path_depths(self) -> Mapping[str, int | Any]:
        """Modality -> layers from it to the output."""
        return MappingProxyType({m: sum(self.chains[c].depth for c in self.path(m)) for m in self.modalities})

    @property
    def parents(self) -> dict[str, str]:
        """Chain -> the chain that it feeds; the trunk is left out."""
        return {child.name: name for name, chain in self.chains.items() for child in chain.children}

    @property
    def is_early_fusion(self) -> bool:
        """All modalities are fused at once, after one layer: no saddle with a single modality exists."""
        parents = self.parents
        return len({parents[m] for m in self.modalities}) == 1 and all(depth == 1 for depth in self.depths.values())

    def other_fusions(self) -> dict[int, FusionNetwork]:
        """Fusion depth -> the same total depth fused there; empty unless the branches are alike and fused once."""
        depths = set(self.depths.values())
        if self.is_symbolic or len(depths) != 1 or len(self.chains) != len(self.modalities) + 1:
            return {}
        total = depths.pop() + self.trunk.depth
        return {depth: FusionNetwork.fused_at(total, depth, self.modalities) for depth in range(1, total + 1)}

    @property
    def is_symbolic(self) -> bool:
        return any(_symbolic(chain.depth) for chain in self.chains.values())

    def require_modalities(self, modalities: tuple[str, ...]) -> None:
        """Raise a DomainError unless the data's modalities are the network's, in order."""
        if tuple(modalities) != self.modalities:
            raise DomainError(f"modalities of network and data differ: {list(self.modalities)} and {list(modalities)}")

    def _rows(self) -> list[tuple[str, str, str]]:
        parents = self.parents
        return [
            (name, f"{chain.depth} layer{'' if chain.depth == 1 else 's'}", parents.get(name, "output"))
            for name, chain in self.chains.items()
        ]

    def __str__(self) -> str:
        return "\n".join(f"{name}: {layers} -> {goal}" for name, layers, goal in self._rows())

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(layers)}</td><td>{escape(goal)}</td></tr>"
            for name, layers, goal in self._rows()
        )
        return f"<table><tr><th>chain</th><th>depth</th><th>feeds</th></tr>{cells}</table>"

    def to_latex(self) -> str:
        """Equation (2) for this tree: layers are counted from each chain's own inputs on."""
        return rf"\hat{{y}} = {_chain_latex(self.trunk, TRUNK)}"

    def _repr_latex_(self) -> str:
        return f"${self.to_latex()}$"


def _chain_latex(chain: Chain, name: str) -> str:
    own = "" if name == TRUNK else rf"_{{\text{{{_text(name)}}}}}"
    if _symbolic(chain.depth):
        from sympy import latex

        layers = rf"W{own}^{{{latex(chain.depth)}}} \cdots W{own}^{{1}}"
    elif chain.depth > 3:
        layers = rf"W{own}^{{{chain.depth}}} \cdots W{own}^{{1}}"
    else:
        layers = " ".join(f"W{own}^{{{i}}}" for i in range(int(chain.depth), 0, -1))
    if not chain.children:
        return rf"{layers} x_{{\text{{{_text(name)}}}}}"
    fused = " + ".join(_chain_latex(child, child.name) for child in chain.children)
    return rf"{layers} \left( {fused} \right)" if layers else fused


def _text(name: str) -> str:
    r"""A name inside \text."""
    named = {"\\": r"\backslash ", "~": r"\sim ", "^": r"\hat{} "}
    return "".join(named.get(c, "\\" + c if c in "&%$#_{}" else c) for c in name)


def gain_powers(network: FusionNetwork) -> dict[str, dict[str, Any]]:
    """Modality -> chain -> power of its norm in |w_m|/u_m of a balanced network, (44): n_c, one less of its own chain.

    Examples
    --------
    >>> gain_powers(FusionNetwork.fused_at(3, 2))
    {'A': {'A': 1, 'trunk': 1}, 'B': {'B': 1, 'trunk': 1}}
    """
    depths = {name: chain.depth for name, chain in network.chains.items() if chain.depth != 0}
    return {m: {c: depths[c] - (c == m) for c in network.path(m) if c in depths} for m in network.modalities}


def layer_shapes(
    network: FusionNetwork, sizes: Mapping[str, int], outputs: int, width: Any
) -> dict[str, list[tuple[Any, Any]]]:
    """Shape (out, in) of every layer; the width may be a symbol.

    What feeds the output, or a fusion without a trunk, has `outputs` rows.
    """
    if network.is_symbolic:
        raise DomainError("layers need numbers for their depths, got symbols")
    shapes: dict[str, list[tuple[Any, Any]]] = {}
    late = network.trunk.depth == 0
    for name, chain in network.chains.items():
        wide = [width] * (int(chain.depth) + 1)
        if not chain.children:
            wide[0] = sizes[name]
        if name == TRUNK or (late and chain in network.trunk.children):
            wide[-1] = outputs
        shapes[name] = [(out, into) for into, out in pairwise(wide)]
    return shapes
