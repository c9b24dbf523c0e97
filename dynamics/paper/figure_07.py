"""Figure 7: fully connected ReLU networks on noisy MNIST."""

from __future__ import annotations

from dynamics.nonlinear.mnist.setting import Network
from dynamics.paper.common import Progress
from dynamics.paper.digits import reproduced_digits
from dynamics.paper.experiments import Experiment
from dynamics.paper.reproduction import Reproduction


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    return reproduced_digits(experiment, Network.MLP, progress)
