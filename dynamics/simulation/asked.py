"""A run on effective data as one on the user's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynamics.provenance import origin_of
from dynamics.runs.trajectory import Trajectory
from dynamics.starts.recipes import Trained


def as_asked(asked: Trained, run: Trajectory, drawn: bool = False) -> Trajectory:
    """Total weights of the user's inputs; half-times are the same in any units. The loss is the one that is trained.

    drawn : whether masks and batches were, so that no noise is left out
    """
    if not asked.recipe.ingredients:
        return run
    total = {m: np.ascontiguousarray(w) for m, w in asked.back(run.total).items()}
    provenance = {**run.provenance, **origin_of(asked.data), "recipe": asked.recipe.to_dict()}
    warnings = tuple(dict.fromkeys((*run.warnings, *(() if drawn else asked.notes))))
    return replace(
        run, total=total, plateaus=asked.back(run.plateaus), warnings=warnings, provenance=provenance
    )  # fmt: skip
