"""What a user would otherwise run in PyTorch with autograd: the plain way, and two that someone would think of next.

1. Full-batch SGD on 8192 samples, one network after the other: what the paper's figures were made with.
2. The same on two pseudo-samples with the same correlations: for a linear network the gradients are the same.
3. These for all networks of one architecture at once, by batched matrix products.

`seconds_of_the_authors` is the training step as the paper's public code takes it: branches put side by side and read by
one layer twice as wide, a leaky ReLU of slope one after every layer, the loss read off at each step.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

SAMPLES, PSEUDO, WIDTH, RATE = 8192, 2, 100, 0.04


class Fusion(nn.Module):
    """The paper's network: `fusion_depth` layers for each input, their sum, and the rest of the `depth` layers."""

    def __init__(self, depth: int, fusion_depth: int) -> None:
        super().__init__()
        late = fusion_depth == depth
        sizes = [1] + [WIDTH] * (fusion_depth - 1) + [1 if late else WIDTH]
        self.branches = nn.ModuleList(nn.Sequential(*self._layers(sizes)) for _ in range(2))
        self.trunk = nn.Sequential(*([] if late else self._layers([WIDTH] * (depth - fusion_depth) + [1])))

    @staticmethod
    def _layers(sizes: list[int]) -> list[nn.Module]:
        return [nn.Linear(into, out, bias=False) for into, out in itertools.pairwise(sizes)]

    def forward(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return self.trunk(sum(branch(x) for branch, x in zip(self.branches, inputs, strict=True)))


def seconds_a_step(depth: int, fusion_depth: int, samples: int = SAMPLES, steps: int = 20) -> float:
    """Median wall time of a training step, single precision as PyTorch has it, one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    inputs = [2 * torch.randn(samples, 1), torch.randn(samples, 1)]
    target = inputs[0] + inputs[1]
    model = Fusion(depth, fusion_depth)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def step() -> None:
        optimizer.zero_grad()
        loss = ((target - model(inputs)) ** 2).mean() / 2
        loss.backward()
        optimizer.step()

    return _median(step, steps)


class Authors(nn.Module):
    """The network of the paper's public code, in its own arrangement."""

    def __init__(self, depth: int, fusion_depth: int) -> None:
        super().__init__()
        self.activation = nn.LeakyReLU(negative_slope=1.0)

        def linear(into: int, out: int) -> nn.Linear:
            return nn.Linear(into, out, bias=False)

        self.encoders = nn.ModuleList(
            nn.ModuleList(linear(1 if i == 0 else WIDTH, WIDTH) for i in range(fusion_depth - 1)) for _ in range(2)
        )
        self.fuse = linear(2 if fusion_depth == 1 else 2 * WIDTH, 1 if fusion_depth == depth else WIDTH)
        rest = depth - fusion_depth
        self.decoders = nn.ModuleList(linear(WIDTH, 1 if i == rest - 1 else WIDTH) for i in range(rest))

    def forward(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        hidden = list(inputs)
        for m, encoder in enumerate(self.encoders):
            for layer in encoder:
                hidden[m] = self.activation(layer(hidden[m]))
        out = self.fuse(torch.cat(hidden, -1))
        for layer in self.decoders:
            out = layer(self.activation(out))
        return out


def seconds_of_the_authors(depth: int, fusion_depth: int, steps: int = 20) -> float:
    """Median wall time of a step on 8192 samples, the loss told."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    inputs = [2 * torch.randn(SAMPLES, 1), torch.randn(SAMPLES, 1)]
    target = inputs[0] + inputs[1]
    model, loss_of, told = Authors(depth, fusion_depth), nn.MSELoss(), [0.0]
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def step() -> None:
        optimizer.zero_grad()
        loss = 0.5 * loss_of(target, model(inputs))
        loss.backward()
        optimizer.step()
        told[0] = loss.item()

    return _median(step, steps)


def seconds_a_batched_step(depth: int, fusion_depth: int, networks: int, steps: int = 20) -> float:
    """A step of many networks at once, two pseudo-samples each: divide by their number for one."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    inputs = [2 * torch.randn(networks, PSEUDO, 1), torch.randn(networks, PSEUDO, 1)]
    target = inputs[0] + inputs[1]
    layers = [
        [torch.nn.Parameter(0.01 * torch.randn(networks, *w.T.shape)) for w in chain.parameters()]
        for chain in (*Fusion(depth, fusion_depth).branches, Fusion(depth, fusion_depth).trunk)
    ]
    optimizer = torch.optim.SGD([w for chain in layers for w in chain], lr=RATE)

    def through(chain: list[nn.Parameter], x: torch.Tensor) -> torch.Tensor:
        for w in chain:
            x = torch.bmm(x, w)
        return x

    def step() -> None:
        optimizer.zero_grad()
        output = through(layers[2], through(layers[0], inputs[0]) + through(layers[1], inputs[1]))
        loss = ((target - output) ** 2).mean(dim=(1, 2)).sum() / 2  # each network its own mean
        loss.backward()
        optimizer.step()

    return _median(step, steps)


def _median(step: Callable[[], None], steps: int) -> float:
    times = []
    for _ in range(steps + 3):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[3:])
