"""Which figures can be made, and making them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module

from derivations import DomainError
from dynamics.checks import checked_call
from dynamics.paper.common import Progress
from dynamics.paper.experiments import EXPERIMENTS
from dynamics.paper.reproduction import Reproduction

TRAINED, PICTURED = (7, 14), (13,)  # figures made of trained runs, and of images of MNIST


def reproduce(
    figure: int,
    *,
    seeds: int | Sequence[int] | None = None,
    progress: Progress | None = None,
    store: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
) -> Reproduction:
    """A figure of the paper from this code, with the numbers drawn and checks against the theory.

    Parameters
    ----------
    figure : its number, one of `dynamics.paper.experiments.EXPERIMENTS`
    seeds : n for 0..n-1, or a list; None takes those of the setting
    progress : called with a line for each part of the work
    store : figures 7 and 14: folder of runs of the command `table 1`, instead of those of the package
    images : figure 13: folder with the IDX files of MNIST

    Raises
    ------
    DomainError
        On a figure that is not built.

    Examples
    --------
    >>> found = reproduce(8, seeds=1)
    >>> found.holds, sorted(found.panels)
    (True, ['a'])
    """
    if figure not in EXPERIMENTS or not isinstance(figure, int):
        raise DomainError(f"figure must be one of {', '.join(map(str, EXPERIMENTS))}, got {figure!r}")
    experiment = EXPERIMENTS[figure]
    if seeds is not None:
        chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
        if not chosen or any(isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in chosen):
            raise DomainError(f"seeds must be a positive number or a list of integers >= 0, got {seeds!r}")
        experiment = replace(experiment, seeds=chosen)
    for name, folder, users in (("store", store, TRAINED), ("images", images, PICTURED)):
        if folder is not None:
            if figure not in users:
                raise DomainError(f"{name} is for figure {' and '.join(map(str, users))}, got figure {figure}")
            experiment = replace(experiment, more={**experiment.more, name: os.fspath(folder)})
    module = import_module("dynamics.paper." + ("digits" if figure in TRAINED else f"figure_{figure:02}"))
    found: Reproduction = module.reproduced(experiment, checked_call(progress))
    return found
