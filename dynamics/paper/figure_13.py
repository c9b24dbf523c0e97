"""Figure 13: what the two modalities see of a digit."""

from __future__ import annotations

import numpy as np

from derivations import DomainError
from dynamics.nonlinear.mnist.corruption import corrupted
from dynamics.nonlinear.mnist.idx import read_images
from dynamics.nonlinear.mnist.setting import A_CORRUPTED, B_CORRUPTED, KEPT, NOISE
from dynamics.nonlinear.mnist.training import Purpose, generator, prepared
from dynamics.paper.common import Progress
from dynamics.paper.experiments import Experiment
from dynamics.paper.panels import Panel, Pictures
from dynamics.paper.reproduction import Check, Reproduction

EXAMPLES = 4
DRAWN = 10_000  # images that the checks are over; shares then have a standard deviation of 0.005


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    folder = experiment.more.get("images")
    if folder is None:
        raise DomainError("figure 13 shows images of MNIST, which are not part of the package: give images (--images)")
    progress("corrupting images")
    digits = read_images(folder)
    clean = prepared(digits, min(DRAWN, len(digits.train_images)), 1).train
    a, b = (x.numpy()[:, 0] for x in corrupted(clean, generator(Purpose.EPOCH, experiment.seeds[0], 0)))
    x = clean.numpy()[:, 0]
    in_a, in_b = np.any(a != x, axis=(1, 2)), np.any(b != x, axis=(1, 2))
    kinds = {"a": (in_b, "B corrupted"), "b": (in_a, "A corrupted"), "c": (~in_a & ~in_b, "neither")}
    panels: dict[str, Panel] = {}
    for letter, (chosen, title) in kinds.items():
        shown = np.flatnonzero(chosen)[:EXAMPLES]
        panels[letter] = Pictures(f"{title}: {np.mean(chosen):.3f}", np.stack([a[shown], b[shown]]), ("A", "B"))
    noise = (b[in_b] - KEPT * x[in_b]).astype(float)
    checks = (
        Check("share with B corrupted", float(np.mean(in_b)), B_CORRUPTED, 0.05, "appendix I"),
        Check("share with A corrupted", float(np.mean(in_a)), A_CORRUPTED, 0.1, "appendix I"),
        Check("share with both corrupted", float(np.mean(in_a & in_b)), 0.0, 0.0, "appendix I"),
        Check("standard deviation of the noise", float(np.std(noise)), NOISE, 0.01, "our choice"),
    )
    caption = f"""
        The first training images of each kind, as the two modalities see them, on one grey scale. A corrupted image
        is {KEPT:g} of the image plus noise of standard deviation {NOISE:g}, in units where pixels have about zero mean
        and unit variance. Shares are over {len(x)} images.
        """
    return Reproduction.of(experiment, panels, ("abc",), checks, caption)
