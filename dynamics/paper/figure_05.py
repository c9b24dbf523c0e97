"""Figure 5: generalisation of under- and overparameterised networks; late fusion overfits in the unimodal phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from derivations import Correlations, FusionNetwork
from derivations.network import layer_shapes
from dynamics.nonlinear.samples import Samples, gaussian_samples
from dynamics.paper.common import TIME, Progress, members, on_grid
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Panel, Plot, Series, level
from dynamics.paper.reproduction import Check, Reproduction, Side
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.flow import integrate


@dataclass(frozen=True)
class Truth:
    """What the samples are drawn from: x of variance `variances` a column, y = w . x + noise."""

    variances: dict[str, np.ndarray]
    w: float
    noise: float

    def generalisation(self, run: Trajectory) -> np.ndarray:
        """Half the mean squared error on new samples along a run, (T,); modalities that it lacks count as unseen."""
        error = np.full(len(run.t), self.noise**2)
        for m, variance in self.variances.items():
            gap = run.total[m] - self.w if m in run.total else np.full((len(run.t), len(variance)), self.w)
            error += gap**2 @ variance
        return error / 2


def entries_start(
    network: FusionNetwork, data: Correlations, width: int, entry: float, seed: int
) -> dict[str, list[np.ndarray]]:
    """Every entry of standard deviation `entry`, as J.3 has it: layers of vectors differ in norm."""
    rng = np.random.default_rng(seed)
    shapes = layer_shapes(network, data.sizes, 1, width)
    return {name: [rng.normal(0.0, entry, shape) for shape in layers] for name, layers in shapes.items()}


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    size, (var_a, var_b), w, noise = (experiment.more[k] for k in ("inputs", "variances", "w", "noise"))
    end = experiment.more["t_end"]
    truth = Truth({"A": np.full(size, var_a), "B": np.full(size, var_b)}, w, noise)
    sigma = np.diag(np.concatenate(list(truth.variances.values())))
    panels: dict[str, Panel] = {}
    ends: dict[tuple[int, bool], list[tuple[float, float]]] = {}
    for count, letters in zip(experiment.more["samples"], ("ab", "cd"), strict=True):
        progress(f"{count} samples, {len(experiment.seeds)} seeds")
        drawn = [gaussian_samples(sigma, np.full(2 * size, w), count, seed, noise) for seed in experiment.seeds]
        alone = [_best_alone(experiment, truth, *each) for each in zip(drawn, experiment.seeds, strict=True)]
        for i, letter in enumerate(letters):
            network = experiment.network(i)
            series: list[Series] = []
            pairs: list[tuple[float, float]] = []
            for samples, best, (seed, member) in zip(drawn, alone, members(experiment.seeds), strict=True):
                run = _run(experiment, network, samples.correlations, seed)
                error = truth.generalisation(run)
                series.append(member.line("loss", *on_grid(run.t, run.loss, end)))
                series.append(member.line("generalisation error", *on_grid(run.t, error, end), 2))
                pairs.append((float(error.min()) / best, float(error[-1]) / best))
            ends[count, i == 0] = pairs
            series.append(level("best single modality, mean", float(np.mean(alone)), 3))
            name = f"{'early' if i == 0 else 'late'}, {count} samples"
            panels[letter] = Plot(name, TIME, "half the squared error", tuple(series))
    few, many = min(experiment.more["samples"]), max(experiment.more["samples"])
    of = "best single modality's"
    checks = [
        _beyond(f"{many} samples, early: error at the end / {of}", ends[many, True], 1, Side.BELOW),
        _beyond(f"{many} samples, late: error at the end / {of}", ends[many, False], 1, Side.BELOW),
        _beyond(f"{few} samples, early: lowest error / {of}", ends[few, True], 0, Side.BELOW),
        _beyond(f"{few} samples, late: error at the end / {of}", ends[few, False], 1, Side.ABOVE),
    ]
    caption = f"""
        Two layers, {size} + {size} inputs, Sigma = diag(1, 3), y = 0.1 sum of x + noise of standard deviation {noise};
        gradient flow from random starts, every entry of standard deviation 1e-9, width {experiment.width},
        {len(experiment.seeds)} seeds (samples and starts), all drawn. Green: on new samples. Dotted: the lowest error
        on new samples that a network with one modality alone reaches on its way, on the same samples. With {few}
        samples late fusion overfits the first modality while it waits for the second: it ends above the dotted line,
        and where its error is lowest it has learned one modality only.
        """
    return Reproduction.of(experiment, panels, ("ab", "cd"), checks, caption)


def _run(experiment: Experiment, network: FusionNetwork, data: Correlations, seed: int) -> Trajectory:
    start = entries_start(network, data, experiment.width, experiment.entry, seed)
    return integrate(network, data, weights=start, t_end=experiment.more["t_end"])


def _best_alone(experiment: Experiment, truth: Truth, samples: Samples, seed: int) -> float:
    """Lowest error of networks that see one modality only."""
    found = []
    for m, x in samples.inputs.items():
        data = Samples({m: x}, samples.targets).correlations
        run = _run(experiment, FusionNetwork.branches({m: 2}), data, seed)
        found.append(float(truth.generalisation(run).min()))
    return min(found)


def _beyond(what: str, pairs: list[tuple[float, float]], which: int, side: Side) -> Check:
    """The seed nearest to one, which all must be below (or above)."""
    shares = [pair[which] for pair in pairs]
    return Check(what, max(shares) if side is Side.BELOW else min(shares), 1.0, 0.0, "every seed", side)
