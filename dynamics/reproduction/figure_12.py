"""Figure 12: ReLU networks on XOR plus a linear task. Late fusion learns it always, early fusion not."""

from __future__ import annotations

from dynamics.experiments import Experiment
from dynamics.nonlinear.relu import train_relu
from dynamics.nonlinear.samples import xor_samples
from dynamics.nonlinear.training import Training
from dynamics.panels import Check, Panel, Plot, Reproduction, Role, Series, Side, level, line, prose
from dynamics.reproduction.common import TIME, Progress, on_grid

XOR_LOSS = 0.5  # half the variance of XOR: what is left when only the linear part is learned


def train(experiment: Experiment, which: int, variance: float, seed: int) -> Training:
    network = experiment.network(which)
    drawn = xor_samples(variance, experiment.samples, seed)
    return train_relu(
        network, drawn.inputs, drawn.targets, u0=experiment.norms(network), width=experiment.width, seed=seed,
        learning_rate=experiment.learning_rate, t_end=experiment.more["t_end"],
    )  # fmt: skip


def succeeds(experiment: Experiment, run: Training) -> bool:
    return bool(run.loss[-1] < experiment.more["success"] * XOR_LOSS)


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    panels: dict[str, Panel] = {}
    checks: list[Check] = []
    count, end = len(experiment.seeds), experiment.more["t_end"]
    rates: dict[tuple[int, float], int] = {}
    for row, variance in enumerate(experiment.variances):
        for which, name in enumerate(("early", "late")):
            progress(f"{name} fusion, variance {variance:g}: {count} seeds")
            series: list[Series] = []
            for i, seed in enumerate(experiment.seeds):
                run = train(experiment, which, variance, seed)
                rates[which, variance] = rates.get((which, variance), 0) + succeeds(experiment, run)
                label = f"seed {seed}" if not i else "others" if i == 1 else ""
                role = Role.RUN if not i else Role.SECOND_RUN
                series.append(line(label, role, *on_grid(run.t, run.loss, end), hue=None if not i else 4))
                if not i:
                    weights = run.weights
                    units = Series(
                        "", Role.UNITS, weights["B"][0][:, 0], weights["B"][0][:, 1], shade=weights["A"][0][:, 0]
                    )
            letters = "abcdefghijkl"[4 * row + 2 * which :][:2]
            known = f"{rates[which, variance]} of {count} learn XOR"
            series = [*series[1:], series[0], level("only the linear part", XOR_LOSS, 1)]
            title = f"{name}, variance {variance:g}: {known}"
            panels[letters[0]] = Plot(title, TIME, "loss", tuple(series), y_log=True)
            axes = ("$W_B^1$, first input", "$W_B^1$, second input")
            panels[letters[1]] = Plot("first layer", *axes, (units,), shade_label="$W_A^1$")
    small, large = min(experiment.variances), max(experiment.variances)
    for variance in experiment.variances:
        what = f"late, variance {variance:g}: share that learns XOR"
        checks.append(Check(what, rates[1, variance] / count, 1.0, 0.0))
    share = rates[0, large] / count
    checks.append(Check(f"early, variance {large:g}: share that learns XOR", share, 0.5, 0.0, "", Side.BELOW))
    checks.append(Check(f"early, variance {small:g} minus {large:g}", rates[0, small] / count - share, 0.0, 0.0, "",
                        Side.ABOVE))  # fmt: skip
    caption = prose(
        f"""
        Two layers, ReLU, y = x_A + XOR(x_B), x_A of variance 1, 2, 3 from the top; gradient descent at
        {experiment.learning_rate:g}, {end / experiment.learning_rate:.0f} steps, {experiment.samples} samples; random
        starts, every entry of standard deviation 1e-9, width {experiment.width}, {count} seeds (samples and starts).
        Units: those of seed {experiment.seeds[0]}; the colour is the weight of x_A (late fusion: of A's k-th unit).
        Success: less than {100 * experiment.more["success"]:g} % of the loss of XOR is left. H.2 writes Var(x_A) =
        sigma_A; with 2 and 3 as standard deviations early fusion fails still more often.
        """
    )
    return Reproduction(
        12, experiment.title, panels, ("abcd", "efgh", "ijkl"), caption, tuple(checks), experiment.to_dict()
    )
