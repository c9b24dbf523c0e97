"""One problem under several optimizers: who is learned first under each, by reduced runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from derivations import Correlations, DomainError, FusionNetwork
from dynamics.checks import told
from dynamics.prediction.by_run import predicted_by_run
from dynamics.problem import Problem
from dynamics.recipe import MODULATED, Optimizer, Recipe
from dynamics.runs.half_times import Status
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.descent import start_learning_rate, typical_descent
from dynamics.starts.recipes import trained
from dynamics.strict_json import finite
from dynamics.tables import Drawn, Shown, Table, number

MOMENTUM = 0.9
ADAM_RATE = 1e-4  # fine steps: PyTorch's 1e-3 is half way in some tens


@dataclass(frozen=True, eq=False, repr=False)
class ByOptimizer(Shown, Drawn):
    """The same network, data and start under several optimizers.

    data : what is learned
    recipes : name -> how it is trained
    runs : name -> the reduced run of a random start of this width, t = steps times learning rate
    width : hidden units
    """

    figure: ClassVar[str] = "figures.optimizers"

    data: Correlations
    recipes: Mapping[str, Recipe]
    runs: Mapping[str, Trajectory]
    width: int

    def rate(self, name: str) -> float:
        """Learning rate of a run."""
        return float(self.runs[name].provenance["learning_rate"])

    def steps(self, name: str) -> dict[str, float]:
        """Modality -> steps to half of its output, inf where it is not reached."""
        return {m: t / self.rate(name) for m, t in self.runs[name].times.items()}

    @property
    def table(self) -> Table:
        names = self.data.modalities
        rows = []
        for name, run in self.runs.items():
            cells = [
                number(self.steps(name)[m]) if run.status[m] is Status.REACHED else run.status[m].value for m in names
            ]
            rows.append((name, *cells, run.order[0], number(run.ratio), f"{self.rate(name):.3g}"))
        head = ("optimizer", *(f"half of {m} [steps]" for m in names), "first", "ratio", "learning rate")
        firsts = {run.order[0] for run in self.runs.values()}
        answer = (
            f"{next(iter(firsts))} is learned first under each of them."
            if len(firsts) == 1
            else "Who is learned first depends on the optimizer."
        )
        notes = f"Holds for: linear network, squared loss, random start, width {self.width}; reduced runs"
        return Table(answer, head, tuple(rows), (notes,))

    def to_dict(self) -> dict[str, Any]:
        """Order and steps of each."""
        return {
            name: {
                "order": list(run.order), "learning_rate": self.rate(name),
                "steps": {m: finite(n) for m, n in self.steps(name).items()}, "ratio": finite(run.ratio),
            }
            for name, run in self.runs.items()
        }  # fmt: skip


def by_optimizer(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    width: int = 100,
    recipes: Mapping[str, Recipe] | None = None,
) -> ByOptimizer:
    """The same problem under gradient descent, momentum and Adam, or under recipes of your own.

    Parameters
    ----------
    u0, width : start and hidden units
    recipes : name -> Recipe; None for gradient descent at a stable rate, momentum 0.9 at a tenth of it, Adam at 1e-4

    Raises
    ------
    DomainError
        On several outputs, or an ingredient that an optimizer does not know.

    Examples
    --------
    >>> found = by_optimizer(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0, (4, 1)), width=50)
    >>> [(name, run.order[0]) for name, run in found.runs.items()]
    [('gradient descent', 'A'), ('momentum 0.9', 'A'), ('adam', 'B')]
    """
    if recipes is None:
        rate = start_learning_rate(Problem.of(network, data), u0)
        recipes = {
            "gradient descent": Recipe(learning_rate=rate),
            f"momentum {MOMENTUM}": Recipe(learning_rate=rate * (1 - MOMENTUM), momentum=MOMENTUM),
            str(Optimizer.ADAM): Recipe(optimizer=Optimizer.ADAM, learning_rate=ADAM_RATE),
        }
    if not isinstance(recipes, Mapping) or not all(isinstance(r, Recipe) for r in recipes.values()) or not recipes:
        raise DomainError(f"recipes must map names to at least one Recipe, got {told(recipes)}")
    for name in recipes:
        if not isinstance(name, str) or not name.isprintable():
            raise DomainError(f"a recipe's name must be printable text, got {told(name)}")
    runs = {}
    for name, recipe in recipes.items():
        if recipe.is_run_alone:
            run = predicted_by_run(network, data, u0, width, recipe).estimate.run
        else:
            run = typical_descent(trained(network, data, u0, recipe, MODULATED, "by_optimizer"), width)
        assert run is not None
        runs[name] = run
    return ByOptimizer(data, dict(recipes), runs, width)


def last_half(found: ByOptimizer, name: str) -> float:
    """Steps to the last half-time that is reached."""
    return max((n for n in found.steps(name).values() if math.isfinite(n)), default=math.nan)
