"""The setting of one training on noisy digits: appendix I as defaults, and what a smaller run changes of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from importlib import import_module
from typing import Any

from derivations import DataError, DomainError
from dynamics.checks import checked_integer, checked_number, checked_positive

FUSIONS = (1, 2, 3, 4, 5)
CONVOLUTIONS = 5
MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's pixels; images are (x / 255 - MEAN) / DEVIATION
B_CORRUPTED, A_CORRUPTED = 0.6, 0.2  # appendix I
KEPT, NOISE = 0.1, 0.15  # a corrupted image is KEPT times the image plus noise of this standard deviation
DECAY = 0.996  # of the learning rate, an epoch
BATCH = 1000
LEVEL = 0.5  # unimodal accuracy at which a modality counts as learned
HIGHER_LEVEL = 0.6  # ours: beyond the shoulder near 50 % that the first modality stays at before the loss falls
CHOSEN = (
    "not stated in the paper: corrupted = 0.1 x + N(0, 0.15) on images normalised as (x/255 - 0.1307)/0.3081, a blank "
    "image is 0 in these units, and 2x2 pooling before the last layer of the CNN (as in the authors' code); corruption "
    "is drawn with probabilities 0.6 (B), 0.2 (A), 0.2 (none) as the paper says (the authors' code draws 0.8, 0.16, "
    "0.04), anew at every presentation"
)


class Network(StrEnum):
    """Which kind of network."""

    MLP = "mlp"
    CNN = "cnn"


@dataclass(frozen=True)
class Setting:
    """One training.

    width : hidden units of a layer, or channels of a convolution
    images : training images used, the first ones of the file
    shrink : images are means over squares of so many pixels
    every : steps between measurements
    b_corrupted, a_corrupted : probabilities that B's, or A's, image is corrupted; never both
    data : digest of the images and labels used
    """

    network: Network
    fusion_depth: int
    seed: int
    width: int
    learning_rate: float
    images: int = 60000
    shrink: int = 1
    every: int = 20
    b_corrupted: float = B_CORRUPTED
    a_corrupted: float = A_CORRUPTED
    data: str = ""

    def __post_init__(self) -> None:
        checked_integer(self.fusion_depth, "fusion_depth", 1)
        if self.fusion_depth > FUSIONS[-1]:
            raise DomainError(f"fusion_depth must be 1 to {FUSIONS[-1]}, got {self.fusion_depth}")
        checked_integer(self.seed, "seed", 0)
        for name in ("width", "images", "shrink", "every"):
            checked_integer(getattr(self, name), name, 1)
        checked_positive(self.learning_rate, "learning_rate")
        for name in ("b_corrupted", "a_corrupted"):
            checked_number(getattr(self, name), name)
        if self.b_corrupted + self.a_corrupted > 1 + 1e-9:
            raise DomainError(f"b_corrupted + a_corrupted must be <= 1, got {self.b_corrupted} + {self.a_corrupted}")

    @property
    def steps(self) -> int:
        """In an epoch; the last batch may be smaller."""
        return -(-self.images // BATCH)

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """Of the files of this run."""
        return f"{self.network}-{self.width}-fusion-{self.fusion_depth}-seed-{self.seed}-{self.key}"

    @property
    def family(self) -> Setting:
        """What runs have in common that differ in fusion depth and seed alone."""
        return replace(self, fusion_depth=1, seed=0)

    @property
    def differs(self) -> str:
        """From the paper's setting, in words; empty where it does not."""
        paper = PAPER[self.network]
        unit = "hidden units" if self.network is Network.MLP else "channels"
        said = {
            "width": f"{self.width} {unit} (paper: {paper.width})",
            "learning_rate": f"learning rate {self.learning_rate:g} (paper: {paper.learning_rate:g})",
            "images": f"{self.images} training images (paper: 60000)",
            "shrink": f"images shrunk {self.shrink}-fold in height and width",
            "b_corrupted": f"B corrupted with probability {self.b_corrupted:g} (paper: {B_CORRUPTED})",
            "a_corrupted": f"A corrupted with probability {self.a_corrupted:g} (paper: {A_CORRUPTED})",
        }
        return ", ".join(text for name, text in said.items() if getattr(self, name) != getattr(paper, name))

    def to_dict(self) -> dict[str, Any]:
        rates = {name: float(getattr(self, name)) for name in ("learning_rate", "b_corrupted", "a_corrupted")}
        return asdict(self) | rates  # 1 and 1.0 are one setting, and have one key

    @property
    def flags(self) -> str:
        """Of the command that makes the runs of this family, but for folders and the number of seeds."""
        paper, found = PAPER[self.network], [f"--network {self.network}"]
        for name in ("width", "learning_rate", "images", "shrink", "every", "b_corrupted", "a_corrupted"):
            if getattr(self, name) != getattr(paper, name):
                flag = "train-images" if name == "images" else name.replace("_", "-")
                found.append(f"--{flag} {getattr(self, name):g}")
        return " ".join(found)

    @property
    def command(self) -> str:
        """What makes this run, and those of lower seeds."""
        return f"fusion-dynamics table 1 --images FOLDER --store STORE {self.flags} --seeds {self.seed + 1}"


PAPER = {
    Network.MLP: Setting(Network.MLP, 1, 0, width=500, learning_rate=0.04),
    Network.CNN: Setting(Network.CNN, 1, 0, width=32, learning_rate=0.002, every=60),
}


def setting_from(document: Any) -> Setting:
    """The inverse of `to_dict`; a DataError where it is none."""
    names = {f.name for f in fields(Setting)}
    if not isinstance(document, Mapping) or set(document) != names:
        raise DataError(f"setting must have {', '.join(sorted(names))}, got {document!r:.200}")
    try:
        return Setting(**{**document, "network": Network(document["network"])})
    except (ValueError, TypeError) as error:
        raise DataError(f"setting: {error}") from None


def require_torch() -> Any:
    """The package, or one line that says how to install it."""
    try:
        return import_module("torch")
    except ImportError:
        raise DomainError("training on digits needs PyTorch: pip install 'fusion-dynamics[mnist]'") from None
