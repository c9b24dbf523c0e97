"""Figure 3: how long the unimodal phase is and what is misattributed meanwhile. Two layers, late fusion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from derivations import FusionNetwork
from derivations.algebra import notation as sym
from derivations.critical.preference import misattribution
from derivations.critical.saddles import course
from derivations.times.two_layer_cases import DESCENT
from dynamics.lambdified import function
from dynamics.nonlinear.relu import train_relu
from dynamics.nonlinear.samples import gaussian_samples
from dynamics.paper.common import Progress, flows, plateau_weight, seed_ratios, trajectories
from dynamics.paper.experiments import Experiment, Task
from dynamics.paper.panels import Plot, Role, Series, level, line, over_seeds
from dynamics.paper.reproduction import Check, Reproduction, worst
from dynamics.prediction.laws.grids import law_grid
from dynamics.prediction.predicting import predict
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.ensembles import ensemble

RHO_CURVE = np.linspace(-0.85, 0.85, 35)
#: (rho, ratio, deviation) of sigma = (2, 1) at learning rate 0.04, from full training in PyTorch, 5 seeds.
TRAINED = ((0.0, 3.84, 0.12), (0.6, 5.22, 0.19), (-0.6, 5.60, 0.17))
KEYS = {Role.PRINTED: "(9) as printed"}
RATIO = r"time ratio $t_B/t_A$"


def descent_ratio(task: Task, learning_rate: float) -> float:
    """(124), gradient descent at a finite learning rate, u0 -> 0."""
    data = task.data
    a, b = data.norm(data.target_block("A")), data.norm(data.target_block("B"))
    left = float(np.ravel(data.residual("B", given="A"))[0])
    same = math.copysign(1.0, left * float(np.ravel(data.target_block("B"))[0]))
    law = function(DESCENT, sym.a, sym.b, sym.r, sym.c, sym.eta)
    return float(law(a, b, abs(left), same, learning_rate))


def relu_numbers(experiment: Experiment, network: FusionNetwork, task: Task, seed: int) -> tuple[float, float]:
    """Ratio and misattribution of a ReLU network trained on samples; its total weights count half, (126)."""
    drawn = gaussian_samples(task.sigma, task.w, experiment.samples, seed)
    start = experiment.start(network)
    plan = course(network, drawn.correlations, start["u0"], {})
    expected = predict(network, task.data, **start, seed=seed).times
    end = 2 * 1.4 * expected[plan.order[-1]]
    trained = train_relu(network, drawn.inputs, drawn.targets, **experiment.descent(network), seed=seed, t_end=end)
    run = trained.as_linear(network, drawn, 0.5)
    return run.ratio, misattributed(run, float(run.total["A"][-1, 0]))


def misattributed(run: Trajectory, end: float) -> float:
    """A's weight on its plateau less the one at the end."""
    return plateau_weight(run, "A", run.times["A"], run.times["B"]) - end


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    network, norms = experiment.network(), experiment.norms(experiment.network())
    panels = {}
    for letter, task in zip("ab", experiment.tasks, strict=True):
        runs = flows(experiment, network, task.data)
        alone = level(r"$W_A^{\mathrm{tot}}$ alone", float(np.ravel(task.data.unimodal("A"))[0]), 0)
        panels[letter] = trajectories(rf"$\rho$ = {task.rho:g}", runs, alone)
    ratios: list[Series] = []
    shares: list[Series] = []
    checks: list[Check] = []
    for hue, sigma_ratio in enumerate(experiment.sigma_ratios):
        row = Row.of(experiment, network, sigma_ratio, progress)
        name = rf"$\sigma_A/\sigma_B$ = {sigma_ratio:g}"
        ratios += [*law_lines(name, network, sigma_ratio, min(norms.values()), hue)]
        ratios += [over_seeds("", role, experiment.rhos, values, hue, name) for role, values in row.ratios.items()]
        shares.append(line(name, Role.LAW, RHO_CURVE, _shares(sigma_ratio, RHO_CURVE), hue))
        shares += [over_seeds("", role, experiment.rhos, values, hue, name) for role, values in row.wrong.items()]
        checks += row.checks(experiment)
    panels |= {
        "c": Plot("duration of the unimodal phase", r"correlation $\rho$", RATIO, tuple(ratios), y_log=True, keys=KEYS),
        "d": Plot("misattribution", r"correlation $\rho$", r"$W_A^{\mathrm{tot}}$, alone minus both", tuple(shares)),
    }
    caption = f"""
        Two layers, late fusion, y = x_A + x_B, sigma_B = 1; random starts, every entry of standard deviation 1e-9,
        width {experiment.width}, {len(experiment.seeds)} seeds, bars one standard deviation. Lines: (9) with the
        signs of its terms, as in J.3. Dotted: (9) as printed, in norms; the two part where rho is below
        -sigma_B/sigma_A, for B's correlation with the target changes sign once A is learned. Squares lie below the
        lines though the theory holds: a step of 0.04 is finite, and (124) has the ratio for it. (9) leaves out
        terms of order 1/ln(1/u0), 5 %, most where the ratio is small and |rho| large. ReLU networks feel half of
        the drive, (126), so the same learning rate is half as coarse; their weights count half. They are trained on
        {experiment.samples} samples, the linear ones on the correlations.
        """
    return Reproduction.of(experiment, panels, ("ab", "cd"), checks, caption)


def law_lines(name: str, network: FusionNetwork, sigma_ratio: float, u0: float, hue: int) -> tuple[Series, Series]:
    """(9) with its signs, and as printed where that is something else."""
    law = law_grid(network, sigma_ratio, 1.0, RHO_CURVE, u0=u0).ratio
    leading = [predict(network, Task(sigma_ratio, 1, rho).data, u0=u0).leading for rho in RHO_CURVE]
    printed = np.array([estimate.printed_ratio if estimate else math.nan for estimate in leading])
    other = np.where(np.isclose(printed, law, rtol=1e-6), math.nan, printed)
    return line(name, Role.LAW, RHO_CURVE, law, hue), line("", Role.PRINTED, RHO_CURVE, other, hue, about=name)


@dataclass(frozen=True)
class Row:
    """One ratio of sigma: by road, ratios and misattributions (rho, seeds)."""

    sigma_ratio: float
    ratios: Mapping[Role, list[list[float]]]
    wrong: Mapping[Role, list[list[float]]]

    @classmethod
    def of(cls, experiment: Experiment, network: FusionNetwork, sigma_ratio: float, progress: Progress) -> Row:
        descent, seeds = experiment.descent(network), experiment.seeds
        ratios: dict[Role, list[list[float]]] = {Role.FLOW: [], Role.DESCENT: [], Role.RELU: []}
        wrong: dict[Role, list[list[float]]] = {Role.FLOW: [], Role.RELU: []}
        for rho in experiment.rhos:
            progress(f"sigma_A/sigma_B = {sigma_ratio:g}, rho = {rho:g}: flow, descent, ReLU")
            task = Task(sigma_ratio, 1, rho)
            runs = flows(experiment, network, task.data)
            ratios[Role.FLOW].append([run.ratio for run in runs])
            wrong[Role.FLOW].append([misattributed(run, float(np.ravel(task.data.optimum)[0])) for run in runs])
            ratios[Role.DESCENT].append(list(ensemble(network, task.data, **descent, seeds=seeds).ratio))
            both = [relu_numbers(experiment, network, task, seed) for seed in seeds]
            ratios[Role.RELU].append([ratio for ratio, _ in both])
            wrong[Role.RELU].append([share for _, share in both])
        return cls(sigma_ratio, ratios, wrong)

    def checks(self, experiment: Experiment) -> list[Check]:
        tasks = [Task(self.sigma_ratio, 1, rho) for rho in experiment.rhos]
        network, rate, name = experiment.network(), experiment.learning_rate, f"sigma_A/sigma_B = {self.sigma_ratio:g}"
        start = experiment.start(network)
        law = law_grid(network, self.sigma_ratio, 1.0, np.array(experiment.rhos), u0=min(start["u0"].values())).ratio
        flow, steps, relu = (np.mean(self.ratios[role], axis=1) for role in (Role.FLOW, Role.DESCENT, Role.RELU))
        refined = [seed_ratios(experiment, network, task.data, start["u0"]) for task in tasks]
        shares = _shares(self.sigma_ratio, experiment.rhos)
        settled = 1e-3 if self.sigma_ratio >= 1.5 else 0.02  # a short phase ends before the plateau is quite reached
        found = [
            worst(f"ratio, flow, {name}", flow, law, 0.02 if self.sigma_ratio >= 1.5 else 0.03, "(9), signed; O(1/ln)"),
            worst(f"ratio, flow, each seed, {name}", self.ratios[Role.FLOW], refined, 1e-3, "ways of a start"),
            worst(f"ratio, steps of {rate:g}, {name}", steps, [descent_ratio(t, rate) for t in tasks], 0.06, "(124)"),
            worst(f"ratio, ReLU, {name}", relu, [descent_ratio(t, rate / 2) for t in tasks], 0.06, "(124), (126)"),
            _largest(f"misattribution, flow, {name}", np.mean(self.wrong[Role.FLOW], axis=1) - shares, settled),
            _largest(f"misattribution, ReLU, {name}", np.mean(self.wrong[Role.RELU], axis=1) - shares, 0.03 + settled),
        ]
        for rho, mean, deviation in TRAINED:
            if self.sigma_ratio == 2 and rho in experiment.rhos:
                at = float(steps[experiment.rhos.index(rho)])
                within = max(0.06, deviation / mean)
                found.append(Check(f"ratio, steps of {rate:g}, rho = {rho:g}, {name}", at, mean, within, "PyTorch"))
        return found


def _shares(sigma_ratio: float, rhos: Iterable[float]) -> np.ndarray:
    """Unimodal minus global weight of A, rho sigma_B / sigma_A by J.3."""
    return np.array([float(np.ravel(misattribution(Task(sigma_ratio, 1, rho).data)["A"])[0]) for rho in rhos])


def _largest(what: str, misses: np.ndarray, within: float) -> Check:
    """The largest of several differences."""
    return Check(what, float(misses[np.argmax(np.abs(misses))]), 0.0, within, "rho sigma_B / sigma_A")
