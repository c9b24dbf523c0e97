"""Appendix J as constants: the setting of each figure. What the paper does not state, and we chose, is in `chosen`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any

from derivations import Correlations, FusionNetwork
from dynamics.nonlinear.mnist.setting import CHOSEN, PAPER, Network

DEFAULT_SEEDS = (0, 1, 2, 3, 4)  # J.1: five random seeds


@dataclass(frozen=True)
class Task:
    """Scalar inputs of standard deviations sigma_a, sigma_b and correlation rho; y = w . x."""

    sigma_a: float
    sigma_b: float
    rho: float = 0.0
    w: tuple[float, float] = (1.0, 1.0)

    @property
    def sigma(self) -> tuple[tuple[float, float], tuple[float, float]]:
        cross = self.rho * self.sigma_a * self.sigma_b
        return ((self.sigma_a**2, cross), (cross, self.sigma_b**2))

    @property
    def data(self) -> Correlations:
        return Correlations.scalar(self.sigma_a, self.sigma_b, self.rho, self.w)


@dataclass(frozen=True)
class Experiment:
    """The setting of one figure.

    tasks : of the example runs
    networks : (depth, fusion depth)
    entry : standard deviation of every weight at the start, where J gives it; else `u0`, the norm of a layer
    rhos, sigma_ratios, u0s, sigma_as : of the sweeps; sigma_ratios are sigma_A / sigma_B
    samples : of each data set, for what is trained on samples
    learning_rate : of gradient descent (J.1: 0.04, so that tau is 25 steps)
    chosen : what the paper does not state
    """

    figure: int
    title: str
    tasks: tuple[Task, ...] = ()
    networks: tuple[tuple[int, int], ...] = ()
    entry: float = 1e-9
    u0: float | None = None
    rhos: tuple[float, ...] = ()
    sigma_ratios: tuple[float, ...] = ()
    u0s: tuple[float, ...] = ()
    sigma_as: tuple[float, ...] = ()
    seeds: tuple[int, ...] = DEFAULT_SEEDS
    width: int = 100
    samples: int = 8192
    learning_rate: float = 0.04
    more: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    chosen: str = ""

    def network(self, index: int = 0) -> FusionNetwork:
        return FusionNetwork.fused_at(*self.networks[index])

    def norms(self, network: FusionNetwork) -> dict[str, float]:
        """u0 of each chain: that of the setting, or of `entry` at this width (two layers, scalar inputs)."""
        if self.u0 is not None:  # a trunk follows its children
            return dict.fromkeys(network.modalities, self.u0)
        norm = self.entry * math.sqrt(self.width)
        return {name: norm for name, chain in network.chains.items() if chain.depth}

    def start(self, network: FusionNetwork) -> dict[str, Any]:
        """Norms and width of a random start, as `integrate`, `predict`, ... take them."""
        return {"u0": self.norms(network), "width": self.width}

    def descent(self, network: FusionNetwork) -> dict[str, Any]:
        return {**self.start(network), "learning_rate": self.learning_rate}

    def to_dict(self) -> dict[str, Any]:
        """What is set, for JSON."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        found |= {"tasks": [asdict(task) for task in self.tasks], "more": dict(self.more)}
        return {k: v for k, v in found.items() if v not in ((), [], "", None, {})}


RHOS = (-0.8, -0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8)
EARLY_AND_LATE = ((2, 1), (2, 2))
EVERY_FUSION = ((4, 1), (4, 2), (4, 3), (4, 4))
EVERY_FUSION_OF_FIVE = ((5, 1), (5, 2), (5, 3), (5, 4), (5, 5))
PLAIN = Task(2, 1)
DENSE, CONVOLUTIONAL = PAPER[Network.MLP], PAPER[Network.CNN]

EXPERIMENTS: Mapping[int, Experiment] = MappingProxyType(
    {
        e.figure: e
        for e in (
            Experiment(1, "a fusion network", networks=((5, 1), (5, 3), (5, 5)), chosen="depth 5"),
            Experiment(
                2, "early and late fusion", tasks=(PLAIN,), networks=EARLY_AND_LATE,
                chosen="J gives N(0, 1e-9); read as a standard deviation an entry, as in the authors' code",
            ),
            Experiment(
                3, "duration of the unimodal phase and misattribution, two layers, late fusion",
                tasks=(Task(2, 1, 0.6), Task(2, 1, -0.6)), networks=((2, 2),), rhos=RHOS,
                sigma_ratios=(1.2, 1.5, 2.0, 3.0), chosen="rho of panels a, b, the grid of rho, the ratios of sigma",
            ),
            Experiment(
                4, "superficial modality preference",
                tasks=(Task(3, 1, w=(1, 4)), Task(4, 1, w=(1, 3))), networks=((2, 2),), chosen="range of panel c",
            ),
            Experiment(
                5, "under- and overparameterised networks", networks=EARLY_AND_LATE,
                more=MappingProxyType(
                    {"inputs": 50, "variances": (1.0, 3.0), "w": 0.1, "noise": 0.5, "samples": (700, 70), "t_end": 60.0}
                ),
                chosen="how long to train",
            ),
            Experiment(
                6, "duration of the unimodal phase in four layers", tasks=(PLAIN,), networks=EVERY_FUSION, u0=0.1,
                rhos=RHOS, sigma_ratios=(1.25, 1.5, 2.0, 2.5, 3.0), u0s=(0.03, 0.05, 0.08, 0.12, 0.2),
                chosen="the grids; every layer before the fusion starts at norm u0 (J: N(0, 1e-4) an entry is u0 = 0.1 "
                "for a first layer, but 1 for a square one)",
            ),
            Experiment(
                7, "fully connected networks on noisy MNIST", networks=EVERY_FUSION_OF_FIVE, width=DENSE.width,
                samples=DENSE.images, learning_rate=DENSE.learning_rate, chosen=CHOSEN,
            ),
            Experiment(
                8, "collinear modalities", tasks=(Task(2, 1, 1.0),), networks=((2, 2),),
                more=MappingProxyType({"t_end": 20.0}), chosen="how long to train: six half-times",
            ),
            Experiment(
                9, "logistic loss", tasks=(PLAIN,), networks=EARLY_AND_LATE, rhos=(-0.6, -0.3, 0.0, 0.3, 0.6),
                chosen="the targets: labels sign(x_A + x_B), and x_A + x_B itself; what counts as learned: half of the "
                "least-squares weights, for with logistic loss weights grow for ever",
            ),
            Experiment(10, "feature evolution", tasks=(PLAIN,), networks=EARLY_AND_LATE, chosen="the times"),
            Experiment(11, "ReLU networks on the linear task", tasks=(PLAIN,), networks=EARLY_AND_LATE),
            Experiment(
                12, "ReLU networks on XOR and a linear task", networks=EARLY_AND_LATE, sigma_as=(1.0, 2.0, 3.0),
                seeds=tuple(range(20)), more=MappingProxyType({"t_end": 240.0, "success": 0.05}),
                chosen="20 seeds; 6000 steps; sigma_A is a standard deviation (H.2: a variance); success is less than "
                "5 % of the variance of XOR left in the residual",
            ),
            Experiment(13, "noisy MNIST", seeds=(0,), samples=DENSE.images, chosen=CHOSEN),
            Experiment(
                14, "convolutional networks on noisy MNIST", networks=EVERY_FUSION_OF_FIVE, width=CONVOLUTIONAL.width,
                samples=CONVOLUTIONAL.images, learning_rate=CONVOLUTIONAL.learning_rate, chosen=CHOSEN,
            ),
        )
    }
)  # fmt: skip
