"""The critical set by its total weights: which sets of modalities give weights of their own, and the strata of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from derivations.correlations import Correlations
from derivations.critical.saddles import drive, saddle_name
from derivations.critical.strata import Case, cases, components, largest, learned_sets
from derivations.errors import DomainError
from derivations.network import FusionNetwork


@dataclass(frozen=True, eq=False)
class Group:
    """Critical points with the same total weights.

    learned : the fewest modalities whose regression gives these weights
    silent : others whose residual is zero there: they may be alive or dead
    """

    name: str
    learned: tuple[str, ...]
    silent: tuple[str, ...]
    total: Mapping[str, Any]
    cases: tuple[Case, ...]
    notes: tuple[str, ...]

    @property
    def whole(self) -> tuple[str, ...]:
        """Learned and silent."""
        return tuple(m for m in self.total if m in self.learned or m in self.silent)

    def components(self, network: FusionNetwork, data: Correlations, width: int | None) -> tuple[Case, ...]:
        """Those in no other's closure; where one is silent that depends on the width."""
        if not self.silent:
            return self.cases
        if width is None:
            line = f"the residual of {self.silent[0]} is zero at {self.name}, where the strata depend on the width"
            raise DomainError(f"{line}: give one")
        return largest(network, self.cases, lambda case: int(equations_of(case, data, int(width))))


def critical_groups(network: FusionNetwork, data: Correlations) -> tuple[Group, ...]:
    """The critical set by its total weights, the fewest learned first. Generic data: one group for each learned set.

    Where the residual of m is zero given S, total weights with S and with S and m learned are the same.
    """
    everyone = data.modalities
    whole_of: dict[tuple[str, ...], tuple[str, ...]] = {}
    for learned in learned_sets(network):
        whole = tuple(m for m in everyone if m in learned or _no_residual(data, learned, m))
        if whole not in whole_of.values():
            whole_of[learned] = whole
    generic: dict[tuple[str, ...], list[Case]] = {}
    for case in components(network):
        generic.setdefault(case.learned, []).append(case)
    found = []
    for learned, whole in whole_of.items():
        silent = tuple(m for m in whole if m not in learned)
        chosen = tuple(generic[learned])
        if silent:
            every = cases(network, frozenset(whole))
            chosen = tuple(case for case in every if _same_weights(data, case.learned, learned, whole))
        name = "M_*" if whole == everyone else saddle_name(everyone, learned)
        line = f"the residual of {' and '.join(silent)} is zero at {name}: whether learned or not, the loss is the same"
        total = data.regression(whole if data.is_singular else learned)
        found.append(Group(name, learned, silent, total, chosen, (line,) if silent else ()))
    return tuple(sorted(found, key=lambda group: group.name == "M_*"))


def _same_weights(data: Correlations, alive: tuple[str, ...], learned: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    """Whether the regression on `alive`, a part of `whole`, leaves nothing of `whole` to learn."""
    if not set(alive) <= set(whole):
        return False
    return set(learned) <= set(alive) or all(m in alive or _no_residual(data, alive, m) for m in whole)


def _no_residual(data: Correlations, learned: tuple[str, ...], m: str) -> bool:
    if data.is_symbolic:
        return all(sp.cancel(x) == 0 for x in sp.Matrix(data.residual_block(m, learned)))
    return drive(data, m, data.regression(learned))[1] == 0


def equations_of(case: Case, data: Correlations, width: Any) -> Any:
    """How many equations define a stratum: the inputs alive, and the width for every cut and silence."""
    return data.rank(case.learned) + width * case.conditions
