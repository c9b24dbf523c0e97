"""Figure 12: ReLU networks on XOR plus a linear task. Late fusion learns it always, early fusion not."""

from __future__ import annotations

from dynamics.nonlinear.relu import train_relu
from dynamics.nonlinear.samples import xor_samples
from dynamics.nonlinear.training import Training
from dynamics.paper.common import TIME, Progress, on_grid
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Panel, Plot, Role, Series, level, line
from dynamics.paper.reproduction import Check, Reproduction, Side

XOR_LOSS = 0.5  # half the variance of XOR: what is left when only the linear part is learned


def train(experiment: Experiment, which: int, sigma: float, seed: int) -> Training:
    network = experiment.network(which)
    drawn = xor_samples(sigma, experiment.samples, seed)
    descent, end = experiment.descent(network), experiment.more["t_end"]
    return train_relu(network, drawn.inputs, drawn.targets, **descent, seed=seed, t_end=end)


def succeeds(experiment: Experiment, run: Training) -> bool:
    return bool(run.loss[-1] < experiment.more["success"] * XOR_LOSS)


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    panels: dict[str, Panel] = {}
    checks: list[Check] = []
    count, end = len(experiment.seeds), experiment.more["t_end"]
    rates: dict[tuple[int, float], int] = {}
    for row, sigma in enumerate(experiment.sigma_as):
        for which, name in enumerate(("early", "late")):
            progress(f"{name} fusion, sigma_A {sigma:g}: {count} seeds")
            runs = [train(experiment, which, sigma, seed) for seed in experiment.seeds]
            rates[which, sigma] = sum(succeeds(experiment, run) for run in runs)
            names = [f"seed {experiment.seeds[0]}", "others", *[""] * count]
            series = [
                line(names[i], Role.RUN, *on_grid(run.t, run.loss, end), 4 if i else None, about=f"loss, seed {seed}")
                for i, (seed, run) in enumerate(zip(experiment.seeds, runs, strict=True))
            ]
            (x, y), shade = runs[0].weights["B"][0].T, runs[0].weights["A"][0][:, 0]
            units = Series("", Role.UNITS, x, y, shade=shade)
            letters = "abcdefghijkl"[4 * row + 2 * which :][:2]
            title = rf"{name}, $\sigma_A$ = {sigma:g}: {rates[which, sigma]} of {count} learn XOR"
            series = [*series[1:], series[0], level("only the linear part", XOR_LOSS, 1)]
            panels[letters[0]] = Plot(title, TIME, "loss", tuple(series))
            axes = ("$W_B^1$, first input", "$W_B^1$, second input")
            panels[letters[1]] = Plot("first layer", *axes, (units,), shade_label="$W_A^1$")
    small, large = min(experiment.sigma_as), max(experiment.sigma_as)
    for sigma in experiment.sigma_as:
        what = f"late, sigma_A {sigma:g}: share that learns XOR"
        checks.append(Check(what, rates[1, sigma] / count, 1.0, 0.0))
    share = rates[0, large] / count
    checks.append(Check(f"early, sigma_A {large:g}: share that learns XOR", share, 0.5, 0.0, "", Side.BELOW))
    checks.append(Check(f"early, sigma_A {small:g} minus {large:g}", rates[0, small] / count - share, 0.0, 0.0, "",
                        Side.ABOVE))  # fmt: skip
    caption = f"""
        Two layers, ReLU, y = x_A + XOR(x_B), sigma_A = 1, 2, 3 from the top; gradient descent at
        {experiment.learning_rate:g}, {end / experiment.learning_rate:.0f} steps, {experiment.samples} samples; random
        starts, every entry of standard deviation 1e-9, width {experiment.width}, {count} seeds (samples and starts).
        Units: those of seed {experiment.seeds[0]}; the colour is the weight of x_A (late fusion: of A's k-th unit).
        Success: less than {100 * experiment.more["success"]:g} % of the loss of XOR is left. H.2 calls sigma_A the
        variance; as elsewhere in the paper it is taken for the standard deviation. With variances of 1, 2, 3,
        tried apart, early fusion learned XOR from 20, 18 and 10 of 20 seeds.
        """
    return Reproduction.of(experiment, panels, ("abcd", "efgh", "ijkl"), checks, caption)
