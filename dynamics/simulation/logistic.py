"""Logistic loss of labels -1 and 1, on samples: its errors take the place of (5), its fits that of the regressions.

Without an offset, on centred inputs, as everywhere here. A fit is finite only where no weights separate the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import numpy as np

from derivations import DomainError
from derivations.critical.saddles import Course
from derivations.samples import Samples

NEWTON_STEPS = 60
FITTED = 1e-12  # of the drive at zero weights


def logistic(y: np.ndarray, put_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(35) of each sample and minus its derivative by y_hat, y/(1 + exp(y y_hat)), in a form that never overflows."""
    margin = y * put_out
    decay = np.exp(-np.abs(margin))
    return np.log1p(decay) + np.maximum(-margin, 0.0), y * np.where(margin > 0, decay, 1.0) / (1 + decay)


def labelled(samples: Samples) -> Samples:
    """The same rows with labels -1 and 1, the larger of two values being 1.

    Raises
    ------
    DomainError
        Where the target takes other than two values.
    """
    low, high = np.min(samples.targets), np.max(samples.targets)
    if samples.targets.shape[1] > 1 or not np.all((samples.targets == low) | (samples.targets == high)):
        raise DomainError("loss = logistic needs a target of two classes, this one has other values")
    return Samples(samples.inputs, np.where(samples.targets == high, 1.0, -1.0))


def mean_loss(samples: Samples) -> Callable[[np.ndarray], np.ndarray]:
    """Packed total weights (T, 1, D) -> (T,)."""
    rows = np.hstack(list(samples.inputs.values()))

    def found(packed: np.ndarray) -> np.ndarray:
        return np.array([np.mean(logistic(samples.targets[:, 0], rows @ w[0])[0]) for w in packed])

    return found


def fitted(samples: Samples, learned: Iterable[str]) -> dict[str, np.ndarray]:
    """Modality -> (1, d) of the least logistic loss with `learned` alone, by Newton steps; zero elsewhere.

    Raises
    ------
    DomainError
        Where weights separate the labels, so that they grow for ever.
    """
    found = {m: np.zeros((1, x.shape[1])) for m, x in samples.inputs.items()}
    learned = tuple(learned)
    if not learned:
        return found
    rows = np.hstack([samples.inputs[m] for m in learned])
    y, count = samples.targets[:, 0], samples.count
    w = np.zeros(rows.shape[1])
    for _ in range(NEWTON_STEPS):
        told, drive = logistic(y, rows @ w)
        slope, wrong = drive @ rows / count, np.abs(drive)
        weight = wrong * (1 - wrong)
        if np.max(wrong) < 0.5:  # all on their own sides: larger weights are always better
            break
        step = np.linalg.pinv((rows * weight[:, None]).T @ rows / count, hermitian=True) @ slope
        share = 1.0
        while np.mean(logistic(y, rows @ (w + share * step))[0]) > np.mean(told) and share > 1e-6:
            share /= 2
        w = w + share * step
        if np.linalg.norm(slope) <= FITTED * np.linalg.norm(y @ rows / count):
            ends = np.cumsum([samples.inputs[m].shape[1] for m in learned])[:-1]
            found |= {m: part[None] for m, part in zip(learned, np.split(w, ends), strict=True)}
            return found
    raise DomainError(
        f"{' and '.join(learned)} separate the labels: with loss = logistic weights grow for ever, there is no half"
    )


def of_labels(plan: Course, samples: Samples) -> Course:
    """The course with the fits of the logistic loss in place of the regressions, in the order of the race.

    Near zero drives are half of those of the squared loss, (37), so that the first one is the same.
    """
    learned = [m for m in plan.order if m not in plan.never]
    stations = [fitted(samples, learned[:i]) for i in range(len(learned) + 1)]
    loss, saddles = mean_loss(samples), []
    for saddle in plan.saddles:
        total = stations[len([m for m in saddle.learned if m in learned])]
        saddles.append(replace(saddle, total=total, loss=float(loss(np.hstack(list(total.values()))[None])[0])))
    plateaus = plan.plateaus | {m: stations[i + 1][m] for i, m in enumerate(learned)}
    return replace(plan, plateaus=plateaus, saddles=tuple(saddles), rests=partial(fitted, samples))
