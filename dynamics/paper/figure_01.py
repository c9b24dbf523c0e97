"""Figure 1: the networks."""

from __future__ import annotations

from dynamics.paper.common import Progress
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Schematic
from dynamics.paper.reproduction import Reproduction


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    names = {1: "early", experiment.networks[0][0]: "late"}
    panels = {
        letter: Schematic(rf"{names.get(fused, 'intermediate')}: $L$ = {depth}, $L_f$ = {fused}", experiment.network(i))
        for i, (letter, (depth, fused)) in enumerate(zip("abc", experiment.networks, strict=True))
    }
    caption = """
        A box is a layer of weights. The fusion depth counts the layers of a branch: where it ends, what the
        branches put out is added. Early fusion adds after the first layer, which is one layer on all inputs side by
        side; late fusion adds outputs.
        """
    return Reproduction.of(experiment, panels, ("abc",), (), caption)
