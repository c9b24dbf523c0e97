"""Figure 4: superficial modality preference. What is learned first need not be what contributes most."""

from __future__ import annotations

import numpy as np

from derivations.algebra.examples import sd_A, sd_B
from derivations.critical.preference import contribution
from derivations.times import modality_preference as law
from dynamics.lambdified import array_function
from dynamics.paper.common import Progress, flows, trajectories
from dynamics.paper.experiments import Experiment, Task
from dynamics.paper.panels import Panel, Plot, Role, level, line
from dynamics.paper.reproduction import Check, Reproduction, worst
from dynamics.prediction.predicting import predict

GRID = np.linspace(0.02, 1.5, 100)  # of sigma_B / sigma_A
PROBLEMS = 25  # random ones, to check the map
REGIONS = (  # at sigma_B/sigma_A, w_A/w_B
    (0.5, 1.3, "I"),
    (1.35, 1.58, "II"),
    (0.5, 0.375, "III"),
    (1.2, 0.5, "IV"),
)


def boundaries(spread: np.ndarray) -> list[np.ndarray]:
    """w_A/w_B at which both are as fast, and at which both contribute as much: the two sides of (11)."""
    return [np.asarray(array_function(side, sd_A, sd_B)(1.0, spread)) for side in (law.AS_FAST, law.AS_MUCH)]


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    network = experiment.network()
    panels: dict[str, Panel] = {}
    checks: list[Check] = []
    for letter, task in zip("ab", experiment.tasks, strict=True):
        progress(f"y = {task.w[0]:g} x_A + {task.w[1]:g} x_B")
        data = task.data
        runs = flows(experiment, network, data)
        power = float(data.sigma_yy)
        saddle = {m: (power - worth) / 2 for m, worth in contribution(data).items()}
        seen = [float(np.interp((r.times["A"] + r.times["B"]) / 2, r.t, r.loss)) for r in runs]
        title = f"A first, {'B' if saddle['B'] < saddle['A'] else 'A'} contributes more"
        levels = (level(r"loss at $\mathcal{M}_A$", saddle["A"], 0), level(r"loss at $\mathcal{M}_B$", saddle["B"], 1))
        panels[letter] = trajectories(title, runs, *levels)
        checks.append(worst(f"{letter}: loss on the plateau", seen, [saddle["A"]] * len(seen), 1e-3, "(62a)"))
        checks.append(Check(f"{letter}: superficial", float(predict(network, data).superficial is True),
                            float(saddle["B"] < saddle["A"]), 0.0, "(10)"))  # fmt: skip
    fast, worth = boundaries(GRID)
    panels["c"] = Plot(
        "regions", r"$\sigma_B/\sigma_A$", r"$w_A/w_B$",
        (
            line("superficial", Role.REGION, [*GRID, *GRID[::-1]], [*fast, *worth[::-1]], 1),
            line(r"as fast: $(\sigma_B/\sigma_A)^2$", Role.LAW, GRID, fast),
            line(r"as much: $\sigma_B/\sigma_A$", Role.SECOND_LAW, GRID, worth),
            *(line("", Role.LEVEL, [x], [y], note=name) for x, y, name in REGIONS),
        ),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    agree = 0
    for spread, w in rng.uniform(0.1, 2.0, (PROBLEMS, 2)):
        one, other = (float(v[0]) for v in boundaries(np.array([spread])))
        p = predict(network, Task(1, spread, w=(w, 1)).data)
        agree += int(p.superficial is bool((one < w) != (other < w)))
    checks.append(Check(f"c: of {PROBLEMS} random problems, where the map says", agree, PROBLEMS, 0.0, "(11)"))
    caption = f"""
        Two layers, late fusion, gradient flow from random starts, every entry of standard deviation 1e-9,
        {len(experiment.seeds)} seeds, all drawn. a: Sigma = diag(9, 1), y = x_A + 4 x_B. b: diag(16, 1), x_A + 3
        x_B. A is learned first in both; in a the loss would fall further if B were. c: I A is first and contributes
        more; II B is first, A contributes more; III A is first, B contributes more; IV B in both. Uncorrelated
        scalars. sigma is a standard deviation here; the text below (11) calls it a variance, for which its bounds
        are wrong.
        """
    return Reproduction.of(experiment, panels, ("abc",), checks, caption)
