"""Recipe: how a network is trained, beside plain gradient flow."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from derivations import DomainError, FusionNetwork
from derivations.terms import Terms
from dynamics.checks import checked_flag, checked_integer, checked_number, checked_positive, one_of, told
from dynamics.tables import number


class Optimizer(StrEnum):
    SGD = "sgd"
    ADAM = "adam"
    ADAMW = "adamw"
    RMSPROP = "rmsprop"
    SIGN = "sign"


class Loss(StrEnum):
    SQUARED = "squared"
    LOGISTIC = "logistic"
    CROSS_ENTROPY = "cross_entropy"


class Ingredient(StrEnum):
    """What a recipe may hold; the name of its field."""

    OPTIMIZER = "optimizer"
    LEARNING_RATE = "learning_rate"
    MOMENTUM = "momentum"
    NESTEROV = "nesterov"
    BETAS = "betas"
    EPS = "eps"
    WEIGHT_DECAY = "weight_decay"
    BATCH_SIZE = "batch_size"
    LOSS = "loss"
    RATES = "rates"
    DROPOUT = "dropout"
    UNIMODAL_LOSS = "unimodal_loss"
    OGM = "ogm"


DATA = frozenset({Ingredient.RATES, Ingredient.DROPOUT, Ingredient.UNIMODAL_LOSS})  # exact changes of the data, 132-134
#: Changes of the data, and decay in the flow; steps and batches of gradient descent to first order (144, 145).
FLOW = DATA | {Ingredient.WEIGHT_DECAY, Ingredient.LEARNING_RATE, Ingredient.BATCH_SIZE}
MODULATED = FLOW | {Ingredient.OGM}
#: Who knows a loss.
KNOWN_TO = {
    Loss.LOGISTIC: ", predict and descend(on_samples=True) know it",
    Loss.CROSS_ENTROPY: ", predict and train_linear know it",
}
#: What the logistic loss is run with, on samples; masks and unimodal losses have other fits there.
LABELLED = frozenset({Ingredient.LOSS, Ingredient.LEARNING_RATE, Ingredient.RATES, Ingredient.OGM})
#: What the cross-entropy of a softmax is run with, as a flow of two layers.
CLASSED = frozenset({Ingredient.LOSS, Ingredient.LEARNING_RATE, Ingredient.RATES})
#: Optimizers that divide each entry's gradient by its own size: noise does not go over into the data there.
COORDINATEWISE = frozenset({
    Ingredient.OPTIMIZER, Ingredient.LEARNING_RATE, Ingredient.UNIMODAL_LOSS, Ingredient.WEIGHT_DECAY,
    Ingredient.BATCH_SIZE, Ingredient.RATES,
})  # fmt: skip
BETAS, EPS = (0.9, 0.999), 1e-8  # PyTorch's
#: What optimizers have of their own, beside what all coordinatewise ones know.
OWN = {
    Optimizer.ADAM: {Ingredient.BETAS, Ingredient.EPS}, Optimizer.ADAMW: {Ingredient.BETAS, Ingredient.EPS},
    Optimizer.RMSPROP: {Ingredient.BETAS, Ingredient.EPS}, Optimizer.SIGN: {Ingredient.MOMENTUM},
}  # fmt: skip
#: Gradient descent that remembers its steps.
HEAVY = MODULATED | {Ingredient.MOMENTUM, Ingredient.NESTEROV}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; without anything it is gradient flow of the squared loss.

    optimizer : "sgd", "adam", "adamw", "rmsprop", "sign" (steps of the length of the learning rate along the signs of
        the gradient, or with momentum of its mean)
    learning_rate : of each step; None for the flow. Time is the sum of learning rates over steps
    momentum, betas, eps : of the optimizer; RMSprop takes the second of the betas, SGD and sign descent none
    weight_decay : lambda of dW/dt = -gradient - lambda W, for every layer
    batch_size : rows of each step; None for all
    loss : "squared" is half the mean squared error; "logistic" of a target of two values; "cross_entropy" of the
        softmax, of a target of classes
    rates : modality -> factor on the learning rate of its branch (the layers before the fusion; in late fusion its part
        of the head, too)
    dropout : modality -> probability that its inputs are masked (set to zero), row by row, not rescaled
    unimodal_loss : c, the weight of the loss of each modality alone, through the same layers, beside that of all
    ogm : alpha of on-the-fly gradient modulation: the encoder (all layers of a branch but the last) of the modality
        with the higher score takes 1 - tanh(alpha ratio of scores) of its gradient; of two modalities
    nesterov : whether momentum looks ahead, as PyTorch's does

    Raises
    ------
    DomainError
        Naming the field and the value.

    Examples
    --------
    >>> print(Recipe(weight_decay=0.1, dropout={"A": 0.2}))
    weight decay 0.1, dropout A 0.2
    >>> print(Recipe())
    gradient flow
    """

    optimizer: Optimizer | str = Optimizer.SGD
    learning_rate: float | None = None
    momentum: float = 0.0
    betas: tuple[float, float] = BETAS
    eps: float = EPS
    weight_decay: float = 0.0
    batch_size: int | None = None
    loss: Loss | str = Loss.SQUARED
    rates: Mapping[str, float] = field(default_factory=dict, hash=False)
    dropout: Mapping[str, float] = field(default_factory=dict, hash=False)
    unimodal_loss: float = 0.0
    ogm: float | None = None
    nesterov: bool = False

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("optimizer", one_of(Optimizer, self.optimizer, "optimizer"))
        put("loss", one_of(Loss, self.loss, "loss"))
        if self.learning_rate is not None:
            put("learning_rate", checked_positive(self.learning_rate, "learning_rate"))
        if self.batch_size is not None:
            put("batch_size", checked_integer(self.batch_size, "batch_size", 1))
        if self.ogm is not None:
            put("ogm", checked_number(self.ogm, "ogm"))
        put("momentum", _below_one(self.momentum, "momentum"))
        if checked_flag(self.nesterov, "nesterov") and not self.momentum:
            raise DomainError("nesterov goes with a momentum, got nesterov = True without one")
        put("nesterov", bool(self.nesterov))
        put("eps", checked_positive(self.eps, "eps"))
        for name in ("weight_decay", "unimodal_loss"):
            put(name, checked_number(getattr(self, name), name))
        betas = self.betas
        if not isinstance(betas, Sequence | np.ndarray) or isinstance(betas, str) or len(betas) != 2:
            raise DomainError(f"betas must be two numbers below 1, got {told(betas)}")
        put("betas", tuple(_below_one(beta, "betas") for beta in betas))
        if self.optimizer is Optimizer.RMSPROP and self.betas[0] != BETAS[0]:
            raise DomainError(f"betas = {self.betas}: rmsprop has no first of them, leave it at {BETAS[0]}")
        for name, checked in (("rates", checked_positive), ("dropout", _below_one)):
            pairs = _pairs(getattr(self, name), name)
            put(name, MappingProxyType({m: checked(v, f"{name}[{m!r}]") for m, v in pairs}))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle takes no view of a mapping; what comes back is checked again."""
        values = (getattr(self, f.name) for f in fields(self))
        return type(self), tuple(dict(v) if isinstance(v, Mapping) else v for v in values)

    @cached_property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """Those that change training: a rate of 1 or a dropout of 0 is none."""
        there = {
            Ingredient.OPTIMIZER: self.optimizer is not Optimizer.SGD,
            Ingredient.BETAS: self.betas != BETAS,
            Ingredient.EPS: self.eps != EPS,
            Ingredient.RATES: any(value != 1 for value in self.rates.values()),
            Ingredient.DROPOUT: any(self.dropout.values()),
            Ingredient.LOSS: self.loss is not Loss.SQUARED,
        }
        return tuple(i for i in Ingredient if there.get(i, bool(getattr(self, i.value))))

    @property
    def is_coordinatewise(self) -> bool:
        """Whether each entry is divided by its own size: Adam, AdamW, RMSprop, sign descent."""
        return self.optimizer is not Optimizer.SGD

    @property
    def has_labels(self) -> bool:
        """Whether the loss is that of labels -1 and 1, which correlations do not hold."""
        return self.loss is Loss.LOGISTIC

    @property
    def has_classes(self) -> bool:
        """Whether the loss is the cross-entropy of classes."""
        return self.loss is Loss.CROSS_ENTROPY

    @property
    def known(self) -> frozenset[Ingredient]:
        """What goes with its loss and optimizer."""
        if self.has_classes:
            return CLASSED
        if self.has_labels:
            return LABELLED
        if self.is_coordinatewise:
            return COORDINATEWISE | OWN[Optimizer(self.optimizer)]
        return HEAVY if self.momentum else MODULATED

    @property
    def is_run_alone(self) -> bool:
        """Whether the only road to its times is a run of as many steps as training."""
        return self.is_coordinatewise or self.has_labels or self.has_classes or self.momentum > 0

    @property
    def as_flow(self) -> Recipe:
        """The gradient flow with the same critical points."""
        decay = 0.0 if self.optimizer is Optimizer.ADAMW else self.weight_decay
        return replace(self.as_descent, weight_decay=decay, loss=Loss.SQUARED)

    @property
    def as_descent(self) -> Recipe:
        """The same by plain gradient descent."""
        return replace(self, optimizer=Optimizer.SGD, momentum=0.0, nesterov=False, betas=BETAS, eps=EPS)

    def rate(self, given: Any) -> float | None:
        """The learning rate, which may stand in a recipe or beside it."""
        if given is None:
            return self.learning_rate
        rate = checked_positive(given, "learning_rate")
        if self.learning_rate not in (None, rate):
            raise DomainError(f"learning_rate = {rate:g} and the recipe's {self.learning_rate:g} differ: give one")
        return rate

    def require(self, known: Collection[Ingredient], road: str) -> None:
        """Refuse what a road does not know."""
        for one in self.ingredients:
            if one not in known:
                way = KNOWN_TO[Loss(self.loss)] if one is Ingredient.LOSS else ""
                raise DomainError(f"{one.value} = {_shown(getattr(self, one.value))} is not known to {road}{way}")

    def require_modalities(self, modalities: Collection[str]) -> None:
        """Refuse names that are not there, and modulation without a pair."""
        for name in ("rates", "dropout"):
            for m in getattr(self, name):
                if m not in modalities:
                    raise DomainError(f"{name} must name modalities among {', '.join(modalities)}, got {m!r}")
        if self.ogm and len(modalities) != 2:
            raise DomainError(f"ogm compares two modalities, got {len(modalities)}: {', '.join(modalities)}")

    def terms(self, network: FusionNetwork) -> Terms:
        """What it adds to the gradient flow."""
        decoupled = self.optimizer is Optimizer.ADAMW  # moves no critical point: it is in no loss
        rates = {} if self.is_coordinatewise else self.rates  # L2 decay is in the gradient, whatever the step is
        return Terms.of(network, 0.0 if decoupled else self.weight_decay, rates, self.ogm or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """What is not the default."""
        found = {one.value: getattr(self, one.value) for one in self.ingredients}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in found.items()}

    def __str__(self) -> str:
        return ", ".join(f"{one.value.replace('_', ' ')} {_shown(getattr(self, one.value))}" for one in self.ingredients
        ) or "gradient flow"  # fmt: skip


def _below_one(value: Any, name: str) -> float:
    if checked_number(value, name) >= 1:
        raise DomainError(f"{name} must be at least 0 and below 1, got {told(value)}")
    return float(value)


def _pairs(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping) or not all(isinstance(m, str) for m in value):
        raise DomainError(f"{name} must map modality to a number, such as {{'A': 0.5}}, got {told(value)}")
    yield from value.items()


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " and ".join(f"{m} {number(v)}" for m, v in value.items())
    if isinstance(value, tuple):
        return " and ".join(map(number, value))
    return number(value) if isinstance(value, float) else str(value)


PLAIN = Recipe()


def checked_recipe(recipe: Any) -> Recipe:
    """A user's recipe; the plain one for None."""
    if recipe is None:
        return PLAIN
    if not isinstance(recipe, Recipe):
        raise DomainError(f"recipe must be a Recipe, such as Recipe(weight_decay=0.1), got {told(recipe)}")
    return recipe
