"""A recipe as a problem: the data that training sees, the start in their units, and what is added to the flow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations import Correlations, DomainError, FusionNetwork
from derivations.effective import masked, rate_factors, with_unimodal_losses
from derivations.samples import Samples
from dynamics.problem import Problem
from dynamics.recipe import Ingredient, Recipe, checked_recipe
from dynamics.starts.weights import checked_weights, require_layers, start_norms

NOISE = "the mean over {} is exact; its noise is left out: it is small for small learning rates"


@dataclass(frozen=True, eq=False)
class Trained:
    """A user's question as training sees it.

    data : as the user gave them
    problem : on the effective data
    u0 : in their units, by chain where branches learn at rates of their own; None with given weights
    factors : modality -> a weight of the user's inputs over one of the effective data's; empty where they are the same
    """

    recipe: Recipe
    data: Correlations
    problem: Problem
    u0: Any
    factors: Mapping[str, float]

    @property
    def network(self) -> FusionNetwork:
        return self.problem.network

    def weights(self, given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Given weights in the units of the effective data: layers of a branch times rate^(-1/2), (134)."""
        if given is None or not self.factors:
            return given
        layers = checked_weights(self.network, self.data, given)
        rates = self.recipe.rates
        return {name: [w * rates.get(name, 1.0) ** -0.5 for w in own] for name, own in layers.items()}

    def back(self, total: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Total weights of the user's inputs."""
        return {m: w * self.factors.get(m, 1.0) for m, w in total.items()}

    @property
    def scaled_samples(self) -> Samples:
        """The rows in the units of the effective data, nothing masked."""
        samples = self.data.samples
        assert samples is not None
        return Samples({m: x * self.factors.get(m, 1.0) for m, x in samples.inputs.items()}, samples.targets)

    @property
    def notes(self) -> list[str]:
        """What is left out."""
        noisy = {Ingredient.DROPOUT: "dropout's masks", Ingredient.BATCH_SIZE: "mini-batches"}
        if self.recipe.is_coordinatewise:
            return []  # squares of their gradients are taken as they are
        return [NOISE.format(noisy[one]) for one in self.recipe.ingredients if one in noisy]


def trained(
    network: FusionNetwork,
    data: Correlations,
    u0: float | Mapping[str, float] | None,
    recipe: Recipe | None,
    known: Collection[Ingredient],
    road: str,
) -> Trained:
    """The problem of a recipe.

    Raises
    ------
    DomainError
        On an ingredient that `road` does not know, or a modality that is not there.
    """
    recipe = checked_recipe(recipe)
    Problem.of(network, data)
    recipe.require(known, road)
    recipe.require_modalities(data.modalities)
    if data.samples is not None and (recipe.batch_size or 0) > data.samples.count:
        raise DomainError(f"batch_size = {recipe.batch_size} is more than there are rows, {data.samples.count}")
    require_layers(network, u0)
    terms = recipe.terms(network)
    if not any(one in recipe.ingredients for one in (Ingredient.RATES, Ingredient.DROPOUT, Ingredient.UNIMODAL_LOSS)):
        return Trained(recipe, data, Problem.of(network, data, terms), u0, {})
    rates = {m: recipe.rates.get(m, 1.0) for m in data.modalities}
    changed = any(rate != 1 for rate in rates.values()) and not recipe.is_coordinatewise
    factors = rate_factors(network.depths, rates) if changed else {}
    key = ("effective", *recipe.dropout.items(), recipe.unimodal_loss, *factors.items())
    if key not in data.kept:
        found = data
        if Ingredient.DROPOUT in recipe.ingredients:
            found = masked(found, {m: 1 - recipe.dropout.get(m, 0.0) for m in data.modalities})
        if recipe.unimodal_loss:
            found = with_unimodal_losses(found, recipe.unimodal_loss)
        data.kept[key] = found.rescaled(factors) if changed else found
    if changed and u0 is not None:
        u0 = {name: norm * rates.get(name, 1.0) ** -0.5 for name, norm in start_norms(network, u0).items()}
    return Trained(recipe, data, Problem.of(network, data.kept[key], terms), u0, factors)
