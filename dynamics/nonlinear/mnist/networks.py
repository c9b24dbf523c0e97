"""The networks of appendix I: layers of each modality, one that reads both, and those after it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from derivations import DomainError
from dynamics.nonlinear.mnist.idx import CLASSES
from dynamics.nonlinear.mnist.setting import CONVOLUTIONS, Network, Setting, require_torch

if TYPE_CHECKING:
    import torch

DEPTH = 5  # layers of the MLP; the CNN has as many convolutions and one layer more
KERNEL, POOL = 3, 2


def build(setting: Setting, side: int) -> torch.nn.ModuleDict:
    """Layers by name, A1, B1, A2, B2, ..., fuse, trunk2, ..., with PyTorch's default start, drawn from the seed.

    side : of the images as the network sees them, in pixels
    """
    torch = require_torch()
    dense = setting.network is Network.MLP
    sizes = [side**2, *[setting.width] * (DEPTH - 1), CLASSES] if dense else [1, *[setting.width] * CONVOLUTIONS]
    layers = torch.nn.ModuleDict()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        make: Callable[[int, int], Any] = torch.nn.Linear if dense else _convolution
        for number, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
            if number < setting.fusion_depth:
                layers[f"A{number}"] = make(inputs, outputs)
                layers[f"B{number}"] = make(inputs, outputs)
            elif number == setting.fusion_depth:
                layers["fuse"] = make(2 * inputs, outputs)
            else:
                layers[f"trunk{number}"] = make(inputs, outputs)
        if not dense:
            layers["out"] = torch.nn.Linear(setting.width * _pooled(side) ** 2, CLASSES)
    return layers


def _convolution(inputs: int, outputs: int) -> torch.nn.Module:
    return require_torch().nn.Conv2d(inputs, outputs, KERNEL)


def _pooled(side: int) -> int:
    """What is left of the side after the convolutions and pooling."""
    left = (side - CONVOLUTIONS * (KERNEL - 1)) // POOL
    if left < 1:
        raise DomainError(f"a CNN needs images of 12 x 12 pixels or more, got {side} x {side}: shrink them less")
    return left


def logits(layers: torch.nn.ModuleDict, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Of images (n, 1, side, side) of both modalities."""
    return fused(layers, branch(layers, "A", a), branch(layers, "B", b))


def branch(layers: torch.nn.ModuleDict, modality: str, images: torch.Tensor) -> torch.Tensor:
    """What one modality brings to the fusion; a network is convolutional if it has a layer `out`."""
    torch = require_torch()
    found = images if "out" in layers else images.flatten(1)
    for name, layer in layers.items():
        if name.startswith(modality):
            found = torch.relu(layer(found))
    return found


def fused(layers: torch.nn.ModuleDict, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Logits of what the branches bring."""
    torch = require_torch()
    found = layers["fuse"](torch.cat((a, b), 1))
    for name, layer in layers.items():
        if name.startswith("trunk"):
            found = layer(torch.relu(found))
    if "out" not in layers:
        return found
    return layers["out"](torch.nn.functional.max_pool2d(torch.relu(found), POOL).flatten(1))
