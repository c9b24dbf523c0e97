"""What a user would otherwise run: full-batch SGD in PyTorch with autograd, 8192 samples, plain and idiomatic."""

from __future__ import annotations

import itertools
import statistics
import time

import torch
from torch import nn

SAMPLES, WIDTH, RATE = 8192, 100, 0.04


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


def seconds_a_step(depth: int, fusion_depth: int, steps: int = 20) -> float:
    """Median wall time of a training step, single precision as PyTorch has it, one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    inputs = [2 * torch.randn(SAMPLES, 1), torch.randn(SAMPLES, 1)]
    target = inputs[0] + inputs[1]
    model = Fusion(depth, fusion_depth)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    times = []
    for _ in range(steps + 3):
        begin = time.perf_counter()
        optimizer.zero_grad()
        loss = ((target - model(inputs)) ** 2).mean() / 2
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[3:])
