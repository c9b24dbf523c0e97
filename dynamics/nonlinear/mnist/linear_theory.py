"""What the laws of linear networks say of the same data: a heuristic, for these networks are not linear.

The mean of what A and B see of an image x is k_A x and k_B x, and their second moments follow from those of x, so
Sigma and Sigma_yx are exact. The classes, one-hot, are projected on the leading left singular vectors of Sigma_yx: each
mode is a problem with one output, for which the laws hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import numpy as np

from derivations import Correlations, FusionNetwork
from dynamics.nonlinear.mnist.corruption import normalised
from dynamics.nonlinear.mnist.idx import CLASSES
from dynamics.nonlinear.mnist.networks import DEPTH
from dynamics.nonlinear.mnist.setting import CONVOLUTIONS, FUSIONS, KEPT, NOISE, Network, Setting
from dynamics.prediction.laws.leading import TwoBranches
from dynamics.starts.weights import start_norms

STARTS = (0.3, 0.1, 0.03)
MODES = 3


@dataclass(frozen=True)
class LinearTheory:
    """Ratios of the leading law, for one family of settings.

    ratios : start u0 -> mode, leading first -> ratio at each fusion depth 1 to 5
    strengths : singular values of Sigma_yx of these modes
    """

    family: Mapping[str, Any]
    ratios: Mapping[float, tuple[tuple[float, ...], ...]]
    strengths: tuple[float, ...]

    @property
    def ordered(self) -> tuple[float, ...]:
        """The starts at which the ratio of every mode grows with the fusion depth."""
        return tuple(u0 for u0, modes in self.ratios.items() if all(list(r) == sorted(r) for r in modes))

    def to_dict(self) -> dict[str, Any]:
        return {
            "family": dict(self.family), "strengths": [round(s, 6) for s in self.strengths],
            "ratios": {f"{u0:g}": [[float(f"{r:.6g}") for r in mode] for mode in m] for u0, m in self.ratios.items()},
        }  # fmt: skip


def linear_theory(images: np.ndarray, labels: np.ndarray, setting: Setting) -> LinearTheory:
    """images : (n, side, side) bytes; of the setting, the corruption and `shrink` count."""
    data, strengths = modes(images, labels, setting)
    laws = [_law(d) for d in data]
    depth = depth_of(setting)
    ratios = {u0: tuple(tuple(_ratio(law, depth, fusion, u0) for fusion in FUSIONS) for law in laws) for u0 in STARTS}
    return LinearTheory(family_of(setting), ratios, strengths)


def family_of(setting: Setting) -> dict[str, Any]:
    """What the law depends on."""
    changed = ("shrink", "b_corrupted", "a_corrupted", "images", "data")
    return {"depth": depth_of(setting), **{name: getattr(setting, name) for name in changed}}


def depth_of(setting: Setting) -> int:
    """Layers, with the one that follows the convolutions."""
    return DEPTH if setting.network is Network.MLP else CONVOLUTIONS + 1


def modes(
    images: np.ndarray, labels: np.ndarray, setting: Setting
) -> tuple[tuple[Correlations, ...], tuple[float, ...]]:
    """One-output problems of the leading modes, and their singular values. Centred: networks have biases."""
    x = normalised(images, setting.shrink).reshape(len(images), -1).astype(float)
    y = np.eye(CLASSES)[labels] - np.bincount(labels, minlength=CLASSES) / len(labels)
    mean, second, cross = x.mean(axis=0), x.T @ x / len(x), y.T @ x / len(x)
    sigma = covariance(mean, second, setting)
    kept = clean_shares(setting)
    target = np.hstack([k * cross for k in kept])
    left, strengths, _ = np.linalg.svd(target, full_matrices=False)
    count = x.shape[1]
    found = tuple(
        Correlations(sigma, u @ target, {"A": count, "B": count}, float(np.mean((y @ u) ** 2))) for u in left.T[:MODES]
    )
    return found, tuple(float(s) for s in strengths[:MODES])


def clean_shares(setting: Setting) -> tuple[float, float]:
    """What A and B show of an image in the mean."""
    lost = 1 - KEPT
    return 1 - lost * setting.a_corrupted, 1 - lost * setting.b_corrupted


def covariance(mean: np.ndarray, second: np.ndarray, setting: Setting) -> np.ndarray:
    """Of (A, B) as they are presented, from mean and second moment of clean images."""
    spoilt = (setting.a_corrupted, setting.b_corrupted)
    kept, outer, noise = clean_shares(setting), np.outer(mean, mean), np.eye(len(mean))
    own = [
        (1 - p + p * KEPT**2) * second - k**2 * outer + p * NOISE**2 * noise for p, k in zip(spoilt, kept, strict=True)
    ]
    shared = (1 - (1 - KEPT) * sum(spoilt)) * second - kept[0] * kept[1] * outer
    return np.block([[own[0], shared], [shared, own[1]]])


def _law(data: Correlations) -> TwoBranches:
    """The law at one depth and start; `_ratio` changes these alone, for its numbers of the data take seconds."""
    network = FusionNetwork.fused_at(DEPTH, DEPTH)
    order = tuple(sorted(data.modalities, key=data.strength, reverse=True))
    return TwoBranches.of(network, data, order, start_norms(network, STARTS[0]))


def _ratio(law: TwoBranches, depth: int, fusion: int, u0: float) -> float:
    """1 for early fusion, which learns both in one transition."""
    if fusion == 1:
        return 1.0
    start = math.log(u0)
    here = replace(law, first_depth=fusion, second_depth=fusion, shared=depth - fusion, log_starts=(start, start))
    return 1 + math.exp(here.log_excess())


def shipped_theory() -> list[LinearTheory]:
    """Computed from MNIST's training images, for the settings of the runs that come with the package."""
    text = (files("dynamics.nonlinear.mnist") / "linear_theory.json").read_text()
    return [
        LinearTheory(
            d["family"], {float(u0): tuple(map(tuple, m)) for u0, m in d["ratios"].items()}, tuple(d["strengths"])
        )
        for d in json.loads(text)
    ]


def theory_of(setting: Setting, known: Sequence[LinearTheory]) -> LinearTheory | None:
    return next((t for t in known if dict(t.family) == family_of(setting)), None)
