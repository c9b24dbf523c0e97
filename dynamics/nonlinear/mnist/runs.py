"""DigitRun: loss and accuracies along one training on noisy digits, and when each modality is learned."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from derivations import DataError
from dynamics.messages import one_line
from dynamics.nonlinear.mnist.setting import CHOSEN, LEVEL, Setting, setting_from
from dynamics.strict_json import finite
from dynamics.tables import Shown, Table, number

FORMAT = "fusion-dynamics noisy digits 1"
BOTH, MODALITIES = "A and B", ("A", "B")
SHOWN = (BOTH, *MODALITIES)


@dataclass(frozen=True, eq=False, repr=False)
class DigitRun(Shown):
    """One training.

    t : (T,) in epochs
    loss : (T,) cross-entropy of training batches, the mean since the measurement before
    correct : test images classified right, (T,) integers: of clean pairs, of A with B blank, of B with A blank
    tests : number of test images
    provenance : command and version of PyTorch
    """

    setting: Setting
    t: np.ndarray
    loss: np.ndarray
    correct: Mapping[str, np.ndarray]
    tests: int
    provenance: Mapping[str, str]

    def __post_init__(self) -> None:
        for array in (self.t, self.loss, *self.correct.values()):
            array.setflags(write=False)

    @property
    def accuracy(self) -> dict[str, np.ndarray]:
        return {name: counts / self.tests for name, counts in self.correct.items()}

    @cached_property
    def times(self) -> dict[str, float]:
        """Epochs until the unimodal accuracy first reaches LEVEL; inf where it is not reached."""
        return self.times_at(LEVEL)

    def times_at(self, level: float) -> dict[str, float]:
        return {m: crossing(self.t, self.accuracy[m], level) for m in MODALITIES}

    @property
    def reached(self) -> dict[str, float | str]:
        """The times, for JSON."""
        return {m: round(t, 4) if math.isfinite(t) else "not reached" for m, t in self.times.items()}

    @property
    def learned(self) -> bool:
        """Both modalities."""
        return all(math.isfinite(t) for t in self.times.values())

    @property
    def order(self) -> tuple[str, ...]:
        return tuple(sorted(MODALITIES, key=lambda m: self.times[m]))

    @property
    def ratio(self) -> float:
        """Time of the later modality over that of the earlier; nan where one is not reached."""
        return ratio_of(self.times)

    @property
    def table(self) -> Table:
        rows = [
            (m, "reached" if math.isfinite(t) else "not reached", number(t), number(float(self.accuracy[m][-1])))
            for m, t in self.times.items()
        ]
        s = self.setting
        title = f"{s.network} of width {s.width} on noisy digits, fusion at layer {s.fusion_depth}, seed {s.seed}"
        notes = (f"ratio {number(self.ratio)}; {number(float(self.t[-1]))} epochs", s.differs)
        return Table(title, ("modality", "status", "epochs", "accuracy at the end"), tuple(rows), notes)

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT, **self.provenance, "setting": self.setting.to_dict(), "chosen": CHOSEN,
            "times": self.reached, "ratio": finite(round(self.ratio, 4)),
            "tests": self.tests, "t": [round(float(t), 4) for t in self.t],
            "loss": [round(float(x), 5) for x in self.loss],
            "correct": {name: [int(n) for n in counts] for name, counts in self.correct.items()},
        }  # fmt: skip

    def to_json(self) -> str:
        """One line a field; the same text for the same run."""
        lines = [f" {json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in self.to_dict().items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"


def crossing(t: Sequence[float] | np.ndarray, accuracy: Sequence[float] | np.ndarray, level: float = LEVEL) -> float:
    """When a curve first reaches a level, linear between its points; inf where it does not.

    Examples
    --------
    >>> crossing([0, 1, 2, 3], [0.1, 0.3, 0.7, 0.4])
    1.5
    """
    t, accuracy = np.asarray(t, dtype=float), np.asarray(accuracy, dtype=float)
    above = np.flatnonzero(accuracy >= level)
    if not len(above):
        return math.inf
    i = int(above[0])
    if not i:
        return float(t[0])
    share = (level - accuracy[i - 1]) / (accuracy[i] - accuracy[i - 1])
    return float(t[i - 1] + share * (t[i] - t[i - 1]))


def ratio_of(times: Mapping[str, float]) -> float:
    """Later over earlier; nan where one is not reached, or both stand there from the start."""
    early, late = min(times.values()), max(times.values())
    return late / early if math.isfinite(late) and early > 0 else math.nan


def run_from(text: str, source: str) -> DigitRun:
    """The inverse of `to_json`; a DataError that names the source where it is none."""
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise DataError(f"format must be {FORMAT!r}, got {document['format']!r}")
        arrays = {"t": np.array(document["t"], dtype=float), "loss": np.array(document["loss"], dtype=float)}
        correct = {name: np.array(document["correct"][name], dtype=int) for name in SHOWN}
        if len({a.shape for a in (*arrays.values(), *correct.values())}) != 1:
            raise DataError("t, loss and correct must have one length")
        if not np.all(np.diff(arrays["t"]) > 0):
            raise DataError("t must increase")
        if any(np.any((c < 0) | (c > document["tests"])) for c in correct.values()):
            raise DataError(f"correct must be 0 to tests = {document['tests']}")
        origin = {name: str(document[name]) for name in ("command", "torch", "version")}
        found = DigitRun(setting_from(document["setting"]), **arrays, correct=correct, tests=int(document["tests"]),
                         provenance=origin)  # fmt: skip
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(one_line(f"{source!r} is no run on noisy digits: {error}")) from None
    return found
