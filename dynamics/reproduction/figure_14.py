"""Figure 14: convolutional ReLU networks on noisy MNIST."""

from __future__ import annotations

from dynamics.experiments import Experiment
from dynamics.nonlinear.mnist.setting import Network
from dynamics.panels import Reproduction
from dynamics.reproduction.common import Progress
from dynamics.reproduction.digits import reproduced_digits


def reproduced(experiment: Experiment, progress: Progress) -> Reproduction:
    return reproduced_digits(experiment, Network.CNN, progress)
