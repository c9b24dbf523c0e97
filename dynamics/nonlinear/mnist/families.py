"""Table 1: ratios over seeds for each fusion depth, beside the paper's and those of the linear law."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dynamics.nonlinear.mnist.linear_theory import LinearTheory, theory_of
from dynamics.nonlinear.mnist.runs import MODALITIES, DigitRun, ratio_of
from dynamics.nonlinear.mnist.setting import CHOSEN, FUSIONS, HIGHER_LEVEL, LEVEL, Network, Setting
from dynamics.strict_json import finite
from dynamics.tables import Shown, Table, number

#: Table 1 as printed: mean and standard deviation over five seeds, fusion at layer 1 to 5.
PRINTED = {
    Network.MLP: ((1.30, 0.24), (1.53, 0.40), (1.90, 0.39), (3.38, 1.13), (6.38, 1.12)),
    Network.CNN: ((1.04, 0.03), (1.10, 0.05), (1.08, 0.03), (1.32, 0.16), (2.53, 0.45)),
}

RATIO = (
    "Ratio: epochs until the second modality has a unimodal accuracy of 50 % over those of the first; mean and "
    "standard deviation over seeds."
)
HIGHER = (
    f"At {100 * HIGHER_LEVEL:g} %: the same ratio at this level, which is ours. At 50 % the first modality often stays "
    "for an epoch before the loss falls, so that its time there scatters."
)
LINEAR = (
    "Linear: leading law of as many linear layers on the leading mode of the same data; heuristic, for these networks "
    "have ReLU, biases and softmax and do not start small."
)


@dataclass(frozen=True, eq=False, repr=False)
class Family(Shown):
    """Runs of one setting, which differ in fusion depth and seed alone.

    theory : the ratios of the linear law for the same data, where known
    """

    setting: Setting
    runs: tuple[DigitRun, ...]
    theory: LinearTheory | None = None

    def at(self, fusion: int) -> tuple[DigitRun, ...]:
        """By seed."""
        return tuple(sorted((r for r in self.runs if r.setting.fusion_depth == fusion), key=lambda r: r.setting.seed))

    def ratios(self, fusion: int, level: float = LEVEL) -> np.ndarray:
        """Those that are reached."""
        found = np.array([ratio_of(run.times_at(level)) for run in self.at(fusion)])
        return np.asarray(found[np.isfinite(found)])

    @cached_property
    def means(self) -> np.ndarray:
        """(5,) of the ratio; nan where no run is."""
        return np.array([mean_and_spread(self.ratios(fusion))[0] for fusion in FUSIONS])

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of which there are runs at every fusion depth."""
        every = [{run.setting.seed for run in self.at(fusion)} for fusion in FUSIONS]
        return tuple(sorted(set.intersection(*every)))

    @property
    def rank_correlation(self) -> float:
        """Of ratio and fusion depth over all runs that are reached: 1 if every deeper fusion has a larger ratio."""
        from scipy.stats import spearmanr

        pairs = [(fusion, ratio) for fusion in FUSIONS for ratio in self.ratios(fusion)]
        return float(spearmanr(*zip(*pairs, strict=True)).statistic) if len({f for f, _ in pairs}) > 1 else math.nan

    @property
    def title(self) -> str:
        differs = self.setting.differs
        where = f"with {differs}" if differs else "in the setting of the paper"
        return f"{self.setting.network.upper()}, {where}"

    @property
    def table(self) -> Table:
        starts = tuple(self.theory.ratios) if self.theory else ()
        higher = f"at {100 * HIGHER_LEVEL:g} %"
        laws_head = [f"linear, u0 {u0:g}" for u0 in starts]
        head = ("L_f", "seeds", "ratio", "paper", higher, *laws_head, "epochs A", "epochs B", "A first")
        rows = []
        for fusion, paper in zip(FUSIONS, PRINTED[self.setting.network], strict=True):
            runs = self.at(fusion)
            laws = [number(self.theory.ratios[u0][0][fusion - 1]) for u0 in starts] if self.theory else []
            found, above = (of_reached(self.ratios(fusion, each), len(runs)) for each in (LEVEL, HIGHER_LEVEL))
            epochs = [mean_and_spread(np.array([r.times[m] for r in runs if r.learned])) for m in MODALITIES]
            first = f"{sum(r.order[0] == 'A' and r.learned for r in runs)} of {sum(r.learned for r in runs)}"
            rows.append((str(fusion), str(len(runs)), found,
                         with_spread(*paper), above, *laws, *(with_spread(*e) for e in epochs), first))  # fmt: skip
        return Table(f"Table 1, {self.title}", head, tuple(rows), self.notes)

    @property
    def notes(self) -> tuple[str, ...]:
        lost = sum(not math.isfinite(t) for run in self.runs for t in run.times_at(HIGHER_LEVEL).values())
        above = f" {lost} of {2 * len(self.runs)} times were not reached at that level." if lost else ""
        found = [RATIO, HIGHER + above]
        late = [
            f"(L_f {run.setting.fusion_depth}, seed {run.setting.seed}, {run.t[-1]:.0f} epochs)"
            for run in self.runs
            if not run.learned
        ]
        found += [f"Left out of the ratios, both modalities not reached: {', '.join(late)}."] if late else []
        if self.theory:
            ordered = ", ".join(f"{u0:g}" for u0 in self.theory.ordered)
            found.append(f"{LINEAR} It grows with L_f at u0 = {ordered or 'none of these'}.")
        seeds = max((run.setting.seed for run in self.runs), default=-1) + 1
        return (*found, f"Made by: {replace(self.setting, seed=seeds - 1).command}")

    def to_dict(self) -> dict[str, Any]:
        common = {k: v for k, v in self.setting.to_dict().items() if k not in {"fusion_depth", "seed"}}
        return {
            "setting": common, "differs": self.setting.differs, "chosen": CHOSEN,
            "rows": [self._row(fusion) for fusion in FUSIONS], "rank_correlation": finite(self.rank_correlation),
            "linear": self.theory and self.theory.to_dict(),
        }  # fmt: skip

    def _row(self, fusion: int) -> dict[str, Any]:
        mean, spread = mean_and_spread(self.ratios(fusion))
        paper = PRINTED[self.setting.network][fusion - 1]
        higher = mean_and_spread(self.ratios(fusion, HIGHER_LEVEL))
        return {
            "fusion_depth": fusion, "mean": finite(mean), "deviation": finite(spread),
            "paper": {"mean": paper[0], "deviation": paper[1]},
            "higher_level": {"accuracy": HIGHER_LEVEL, "mean": finite(higher[0]), "deviation": finite(higher[1])},
            "runs": [
                {"seed": run.setting.seed, "ratio": finite(run.ratio), "times": run.reached}
                for run in self.at(fusion)
            ],
        }  # fmt: skip


def mean_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; nan where there are too few."""
    mean = float(np.mean(values)) if len(values) else math.nan
    return mean, float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def with_spread(mean: float, spread: float) -> str:
    if math.isnan(mean):
        return "-"
    return f"{mean:.2f}" if math.isnan(spread) else f"{mean:.2f} ± {spread:.2f}"


def of_reached(ratios: np.ndarray, runs: int) -> str:
    """Mean and deviation; how many they are of, where not of all runs."""
    return with_spread(*mean_and_spread(ratios)) + (f" ({len(ratios)} of {runs})" if 0 < len(ratios) < runs else "")


def families(runs: Sequence[DigitRun], known: Sequence[LinearTheory] = ()) -> list[Family]:
    """Runs by what they have in common: the MLP before the CNN, the paper's setting before others."""
    groups: dict[Setting, list[DigitRun]] = {}
    for run in runs:
        groups.setdefault(run.setting.family, []).append(run)

    def rank(setting: Setting) -> tuple[bool, int, int]:
        return setting.network is Network.CNN, len(setting.differs.split(",")) if setting.differs else 0, -setting.width

    return [Family(s, tuple(groups[s]), theory_of(s, known)) for s in sorted(groups, key=rank)]


def main_family(found: Sequence[Family], network: Network) -> Family | None:
    """The one a figure shows: nearest to the paper of those with runs at every fusion depth."""
    return next((f for f in found if f.setting.network is network and f.seeds), None)
