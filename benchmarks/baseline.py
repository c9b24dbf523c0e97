"""What a user would otherwise run in PyTorch with autograd: the plain way, and two that someone would think of next.

1. Full-batch SGD on 8192 samples, one network after the other: what the paper's figures were made with.
2. The same on two pseudo-samples with the same correlations: for a linear network the gradients are the same.
3. These for all networks of one architecture at once, by batched matrix products.
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
