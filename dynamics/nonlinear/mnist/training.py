"""Stochastic gradient descent on noisy digits, an epoch at a time, so that a killed run goes on where it stood."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from derivations import DomainError, SolveError
from dynamics.nonlinear.mnist.checkpoints import read_checkpoint, write_checkpoint
from dynamics.nonlinear.mnist.corruption import corrupted, normalised
from dynamics.nonlinear.mnist.idx import Digits
from dynamics.nonlinear.mnist.networks import branch, build, fused, logits
from dynamics.nonlinear.mnist.runs import BOTH, MODALITIES, SHOWN, DigitRun, crossing
from dynamics.nonlinear.mnist.setting import BATCH, DECAY, Setting, require_torch
from dynamics.provenance import _version

if TYPE_CHECKING:
    import torch

Progress = Callable[[str], None]
MARGIN, EXTRA = 1.1, 2.0  # training goes on to so many times the later time, and so many epochs more: for the figure
TESTED = 1000  # test images at a time


class Purpose(IntEnum):
    """What random numbers are for."""

    START = 0
    EPOCH = 1


@dataclass(frozen=True, eq=False)
class Prepared:
    """Normalised images (n, 1, side, side) and labels, for one family of settings."""

    train: torch.Tensor
    train_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor
    digest: str


def prepared(digits: Digits, images: int, shrink: int) -> Prepared:
    torch = require_torch()
    if images > len(digits.train_images):
        raise DomainError(f"images must be at most the {len(digits.train_images)} of the file, got {images}")
    if shrink > digits.side:
        raise DomainError(f"shrink must be at most {digits.side}, the side of an image, got {shrink}")
    chosen = (digits.train_images[:images], digits.train_labels[:images], digits.test_images, digits.test_labels)
    digest = sha256()
    for array in chosen:
        digest.update(f"{array.shape};".encode() + np.ascontiguousarray(array).tobytes())
    train, labels, test, test_labels = chosen
    return Prepared(
        torch.from_numpy(normalised(train, shrink))[:, None], torch.from_numpy(labels.astype(np.int64)),
        torch.from_numpy(normalised(test, shrink))[:, None], torch.from_numpy(test_labels.astype(np.int64)),
        digest.hexdigest()[:16],
    )  # fmt: skip


def train_digits(
    setting: Setting,
    data: Prepared,
    *,
    max_epochs: int,
    checkpoint: Path | None = None,
    progress: Progress = lambda line: None,
) -> DigitRun:
    """Train until both modalities are learned and a little longer, or for `max_epochs`.

    Start, order and corruption are drawn from the seed and the epoch alone: a run that was killed and went on from its
    checkpoint is, byte for byte, the run that was not.
    """
    torch = require_torch()
    setting = replace(setting, images=len(data.train), data=data.digest)
    layers = build(setting, int(data.train.shape[-1]))
    saved = None if checkpoint is None else read_checkpoint(checkpoint, setting.key)
    if saved is None:
        epoch, curves = 0, {name: list[float]() for name in ("t", "loss", *SHOWN)}
        measure(curves, 0.0, first_loss(setting, data, layers), layers, data)
    else:
        epoch = int(saved.pop("epoch")[0])
        curves = {name: saved.pop(f"curve {name}").tolist() for name in ("t", "loss", *SHOWN)}
        layers.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in saved.items()})
    while not finished(curves, len(data.test), max_epochs):
        train_epoch(setting, data, layers, epoch, curves)
        epoch += 1
        if checkpoint is not None:
            state = {name: value.numpy() for name, value in layers.state_dict().items()}
            state |= {f"curve {name}": np.array(values) for name, values in curves.items()}
            write_checkpoint(checkpoint, setting.key, {**state, "epoch": np.array([epoch])})
        shares = ", ".join(f"{name} {100 * curves[name][-1] / len(data.test):.0f} %" for name in SHOWN)
        progress(f"epoch {epoch}: loss {curves['loss'][-1]:.3f}, {shares}")
    origin = {"command": setting.command, "torch": str(torch.__version__), "version": _version()}
    counts = {name: np.array(curves[name], dtype=int) for name in SHOWN}
    return DigitRun(setting, np.array(curves["t"]), np.array(curves["loss"]), counts, len(data.test), origin)


def train_epoch(
    setting: Setting, data: Prepared, layers: torch.nn.ModuleDict, epoch: int, curves: dict[str, list[float]]
) -> None:
    """Every image once, measured on the way and at the end."""
    torch = require_torch()
    optimiser = torch.optim.SGD(layers.parameters(), lr=setting.learning_rate * DECAY**epoch)
    draw = generator(Purpose.EPOCH, setting.seed, epoch)
    order = torch.randperm(len(data.train), generator=draw)
    losses: list[float] = []
    for step, chosen in enumerate(order.split(BATCH), start=1):
        optimiser.zero_grad()
        loss = batch_loss(setting, data, layers, chosen, draw)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise SolveError(
                f"training diverged in epoch {epoch + 1}: learning_rate {setting.learning_rate:g} is too large"
            )
        if step == setting.steps or (epoch * setting.steps + step) % setting.every == 0:
            measure(curves, epoch + step / setting.steps, sum(losses) / len(losses), layers, data)
            losses = []


def batch_loss(
    setting: Setting, data: Prepared, layers: torch.nn.ModuleDict, chosen: torch.Tensor, draw: torch.Generator
) -> torch.Tensor:
    """Cross-entropy of chosen training images, corrupted anew."""
    torch = require_torch()
    a, b = corrupted(data.train[chosen], draw, setting.b_corrupted, setting.a_corrupted)
    return torch.nn.functional.cross_entropy(logits(layers, a, b), data.train_labels[chosen])


def first_loss(setting: Setting, data: Prepared, layers: torch.nn.ModuleDict) -> float:
    """Before the first step."""
    torch = require_torch()
    chosen = torch.arange(min(BATCH, len(data.train)))
    with torch.no_grad():
        return float(batch_loss(setting, data, layers, chosen, generator(Purpose.START, setting.seed, 0)))


def measure(curves: dict[str, list[float]], t: float, loss: float, layers: torch.nn.ModuleDict, data: Prepared) -> None:
    curves["t"].append(t)
    curves["loss"].append(loss)
    for name, count in counted(layers, data).items():
        curves[name].append(count)


def counted(layers: torch.nn.ModuleDict, data: Prepared) -> dict[str, int]:
    """Test images classified right: clean pairs, and one image with a blank one."""
    torch = require_torch()
    found = dict.fromkeys(SHOWN, 0)
    with torch.no_grad():
        blanks = [branch(layers, m, torch.zeros_like(data.test[:1])) for m in MODALITIES]
        for clean, labels in zip(data.test.split(TESTED), data.test_labels.split(TESTED), strict=True):
            a, b = (branch(layers, m, clean) for m in MODALITIES)
            no_a, no_b = (blank.expand_as(a) for blank in blanks)
            for name, pair in ((BOTH, (a, b)), ("A", (a, no_b)), ("B", (no_a, b))):
                found[name] += int((fused(layers, *pair).argmax(1) == labels).sum())
    return found


def finished(curves: Mapping[str, list[float]], tests: int, max_epochs: int) -> bool:
    times = [crossing(curves["t"], np.array(curves[m]) / tests) for m in MODALITIES]
    return curves["t"][-1] >= min(max_epochs, MARGIN * max(times) + EXTRA)


def generator(purpose: Purpose, seed: int, epoch: int) -> torch.Generator:
    """Random numbers for one purpose of one epoch."""
    state = np.random.SeedSequence([purpose, seed, epoch]).generate_state(1, np.uint64)[0]
    found: torch.Generator = require_torch().Generator()
    return found.manual_seed(int(state >> np.uint64(1)))
