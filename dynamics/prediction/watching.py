"""Watching a training: when a network of any kind, in any framework, learns each modality, by what it puts out."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np

from derivations import Correlations, DataError, DomainError, FusionNetwork
from derivations.samples import Samples, real_array
from dynamics.checks import checked_call, checked_integer, checked_number, one_of
from dynamics.messages import one_line
from dynamics.prediction.prediction import Activation, Prediction
from dynamics.provenance import origin_of
from dynamics.recipe import Loss
from dynamics.runs.half_times import HALF, WORTHLESS, HalfTimes, Status, Timed, first_time, never_notes
from dynamics.runs.recording import recorded
from dynamics.simulation.classes import by_fall, classes_of, fallen
from dynamics.tables import Drawn, Shown, Table, number

Forward = Callable[[dict[str, np.ndarray]], Any]

ROWS = 2000  # that are watched at most, unless some modality has a quarter as many inputs
LINEAR = 1e-6  # share of the power of a part beyond any linear map of its inputs: what float32 leaves
TWICE, NEAR_TWICE = "all about twice as late: does the training's loss lack its half?", 0.1
SETTLED = 0.01  # share of the fall of the loss that the last third may still take


class Yardstick(StrEnum):
    """Of what a half-time is the half."""

    PLATEAU = "its plateau"
    END = "what it has at the end of the record"
    LOSS = "the fall of the loss of its part alone"


@dataclass(frozen=True, eq=False, repr=False)
class WatchedTraining(Timed, Shown, Drawn):
    """What a watched training showed.

    A modality's part of the output is what the network puts out with the other modalities at their mean, less the mean
    of that over the rows.

    t : (T,), in units of tau: the sum of the learning rates over the steps
    loss : (T,), of the rows that are watched: half the squared error, or the cross-entropy
    size : modality -> (T,), root mean square of its part, in units of the target (logits with cross-entropy)
    share : modality -> (T,), how much of the yardstick is there; its half-time is where this first reaches 1/2
    accuracy : "all" and modality -> (T,), share of rows put into their class, by its part alone; empty without classes
    half_times : also as times, log_times, status, order, ratio, lag
    yardstick : of what a half-time is the half: where every part is linear in its inputs its plateau, as for all runs
        here; else what the part has at the end; with cross-entropy by the loss of the part alone
    nonlinear : modality -> share of the power of its part at the end that no linear map of its inputs gives
    total : modality -> (T, d), or (T, outputs, d): the linear map next to its part
    cost : seconds that a record took, in the median
    """

    figure: ClassVar[str] = "figures.watching"

    data: Correlations
    t: np.ndarray
    loss: np.ndarray
    size: Mapping[str, np.ndarray]
    share: Mapping[str, np.ndarray]
    accuracy: Mapping[str, np.ndarray]
    half_times: HalfTimes
    yardstick: Yardstick
    nonlinear: Mapping[str, float]
    total: Mapping[str, np.ndarray]
    cost: float
    reasons: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for array in (self.t, self.loss, *self.size.values(), *self.share.values(), *self.accuracy.values()):
            array.setflags(write=False)

    @property
    def unimodal_phase(self) -> tuple[float, float]:
        """From the first half-time to the last, in units of tau; nan where one is not reached."""
        if math.isnan(self.ratio):
            return math.nan, math.nan
        return self.times[self.order[0]], self.times[self.order[-1]]

    @property
    def table(self) -> Table:
        head: tuple[str, ...] = ("modality", "status", "half-time [tau]", "size at the end", "not linear")
        rows = []
        for m in self.order:
            cells = [m, self.status[m].value, number(self.times[m]), number(float(self.size[m][-1]))]
            accuracy = [f"{100 * self.accuracy[m][-1]:.1f} %"] if self.accuracy else []
            rows.append((*cells, f"{100 * self.nonlinear[m]:.2g} %", *accuracy))
        head += ("accuracy alone",) if self.accuracy else ()
        notes = [
            f"ratio {number(self.ratio)}, lag {number(self.lag)}; half of {self.yardstick}",
            f"loss {number(self.loss[0])} -> {number(self.loss[-1])}; a record took {1e3 * self.cost:.2g} ms",
            *never_notes(self.reasons),
            *(f"Warning: {w}" for w in self.warnings),
        ]
        title = f"watched training, {len(self.t)} records to t = {number(self.t[-1])}"
        return Table(title, head, tuple(rows), tuple(notes))

    def against(self, prediction: Prediction) -> Against:
        """A prediction beside this training, measured alike.

        Where half-times here are of what there is at the end, those of a predicted run are of what that has by then,
        too; a prediction without a run, and one of a ReLU network, is taken as it is.

        Raises
        ------
        DomainError
            Where the prediction is of other modalities.
        """
        if not isinstance(prediction, Prediction):
            raise DomainError(f"against needs what predict or predict_relu gives, got a {type(prediction).__name__}")
        if set(prediction.times) != set(self.times):
            raise DomainError(
                f"prediction must be of {', '.join(self.times)}, got one of {', '.join(prediction.times)}"
            )
        times, notes = dict(prediction.times), list[str]()
        run = prediction.estimate.run
        if self.yardstick is Yardstick.END and run is not None and prediction.activation is Activation.LINEAR:
            times = {m: _by_end(self.data, m, run.t, run.total[m], self.t[-1]) for m in times}
            notes.append("predicted half-times are measured as the trained ones: of what there is at the same end")
        elif self.yardstick is Yardstick.END and prediction.activation is Activation.LINEAR:
            notes.append(f"predicted half-times are of plateaus, those of training of {self.yardstick}")
        elif self.yardstick is Yardstick.LOSS and prediction.recipe.loss is Loss.SQUARED:
            notes.append(f"predicted half-times are of squared loss, those of training of {self.yardstick}")
        notes += [f"Warning: {w}" for w in self.warnings]
        spread, is_open = dict(prediction.estimate.spread), prediction.together
        return Against(times, dict(self.times), spread, prediction.holds_for, tuple(notes), is_open)


@dataclass(frozen=True, eq=False, repr=False)
class Against(Shown):
    """Predicted beside trained half-times, in units of tau.

    spread : modality -> relative standard deviation over random starts, where the prediction knows it
    holds_for : what the prediction is of
    is_open : the prediction says that either may be first
    """

    predicted: Mapping[str, float]
    trained: Mapping[str, float]
    spread: Mapping[str, float]
    holds_for: str
    notes: tuple[str, ...] = ()
    is_open: bool = False

    @property
    def errors(self) -> dict[str, float]:
        """Modality -> predicted over trained half-time, less 1; nan where one of the two is not reached."""
        both = {m: (self.predicted[m], t) for m, t in self.trained.items()}
        return {m: p / t - 1 if math.isfinite(p + t) and t > 0 else math.nan for m, (p, t) in both.items()}

    @property
    def order_agrees(self) -> bool:
        """Whether both learn the modalities in one order; what is not reached comes last."""
        return self._order(self.predicted) == self._order(self.trained)

    @property
    def verdict(self) -> str:
        """What is to be said of the order."""
        times = list(self.trained.values())
        unreached = times.count(math.inf)
        if unreached > 1 or unreached == len(times):
            return "training has no order yet: train longer"
        if 0.0 in times:
            return "training has no order: something was learned before the record began"
        if self.is_open:
            return "the prediction leaves the order open"
        return "the predicted order is right" if self.order_agrees else "the predicted order is wrong"

    @property
    def ratio_error(self) -> float:
        """Predicted over trained ratio of the last to the first half-time, less 1."""
        first, last = self._order(self.trained)[0], self._order(self.trained)[-1]
        begin = 1 + self.errors[first]
        return (1 + self.errors[last]) / begin - 1 if begin else math.nan  # predicted to be there from the start

    @staticmethod
    def _order(times: Mapping[str, float]) -> list[str]:
        return sorted(times, key=lambda m: times[m])

    @property
    def table(self) -> Table:
        rows = []
        for m in self._order(self.trained):
            off, seeds = self.errors[m], self.spread.get(m, math.nan)
            scatter = f"{100 * seeds:.2g} %" if math.isfinite(seeds) else "-"
            error = f"{100 * off:+.1f} %" if math.isfinite(off) else "-"
            rows.append((m, number(self.predicted[m]), number(self.trained[m]), error, scatter))
        head = ("modality", "predicted [tau]", "trained [tau]", "error", "seeds scatter by")
        off = self.ratio_error
        ratio = [f"ratio: error {100 * off:+.1f} %"] if len(rows) > 1 and math.isfinite(off) else []
        known = [e for e in self.errors.values() if math.isfinite(e)]
        twice = [TWICE] if known and all(abs(e - 1) < NEAR_TWICE for e in known) else []
        return Table(self.verdict, head, tuple(rows), (*ratio, *twice, *self.notes, f"Holds for: {self.holds_for}"))


def _by_end(data: Correlations, m: str, t: np.ndarray, total: np.ndarray, until: float) -> float:
    """Half-time of what a run has by a time: <W(t), W(end)>_Sigma = <W(end), W(end)>_Sigma / 2."""
    kept = max(2, int(np.searchsorted(t, until, side="right")))
    path = total[:kept].reshape(min(kept, len(t)), -1, data.sizes[m])
    dual = path[-1] @ data.input_block(m, m)
    power = float(np.sum(path[-1] * dual))
    return first_time(t[:kept], np.sum(path * dual, axis=(1, 2)) / power, HALF) if power > 0 else math.inf


class Watch:
    """What `watch` gives: `record` or `step` in the loop, `training` at any time."""

    def __init__(self, seen: _Seen, forward: Forward, every: int) -> None:
        self._seen, self._forward, self._every = seen, forward, every
        self._t: list[float] = []
        self._loss: list[float] = []
        self._parts: list[dict[str, np.ndarray]] = []
        self._alone: list[dict[str, tuple[float, float]]] = []  # accuracy and loss of a part alone
        self._accuracy: list[float] = []
        self._seconds: list[float] = []
        self._clock, self._steps = 0.0, 0

    def __repr__(self) -> str:
        return f"Watch({', '.join(self._seen.samples.inputs)}: {len(self._t)} records)"

    def step(self, learning_rate: float) -> None:
        """Call it before each step of the optimiser: it keeps the time, and records every `every` steps.

        Between records it adds a number.
        """
        if self._steps % self._every == 0:
            self.record(self._clock)
        self._clock += checked_number(learning_rate, "learning_rate")
        self._steps += 1

    def record(self, t: float) -> None:
        """Ask the network for its outputs at a time.

        t : in units of tau: number of steps times learning rate, or the sum of learning rates that change

        Raises
        ------
        DataError
            Where `forward` raises, or gives what is no finite output for each row. Earlier records stay.
        """
        now = checked_number(t, "t")
        if self._t and now <= self._t[-1]:
            raise DataError(f"t must increase from record to record, got {now:g} after {self._t[-1]:g}")
        began, seen = time.perf_counter(), self._seen
        whole = self._asked(now, None)
        alone = {m: self._asked(now, m) for m in seen.samples.inputs}
        parts = {m: out - out.mean(axis=0) for m, out in alone.items()}
        loss, accuracy = seen.judged(whole)
        self._alone.append({m: seen.judged(out) for m, out in alone.items()} if seen.has_classes else {})
        self._t.append(now)
        self._loss.append(loss)
        self._accuracy.append(accuracy)
        self._parts.append(parts)
        self._seconds.append(time.perf_counter() - began)

    def _asked(self, t: float, m: str | None) -> np.ndarray:
        """Outputs (P, outputs) of all modalities, or of m with the others at their mean, which is 0."""
        inputs = {n: x.copy() if m in (None, n) else np.zeros_like(x) for n, x in self._seen.samples.inputs.items()}
        try:
            given = self._forward(inputs)
        except Exception as error:  # whatever a framework raises
            hint = f"; it gets one mapping, of {', '.join(inputs)} to arrays"
            said = f"{error}{hint if type(error) in (TypeError, KeyError) else ''}"
            raise DataError(one_line(f"forward raised {type(error).__name__} at t = {t:g}: {said}")) from error
        return self._seen.outputs(given, t)

    @property
    def training(self) -> WatchedTraining:
        """What has been recorded so far.

        Raises
        ------
        DataError
            With fewer than two records.
        """
        if len(self._t) < 2:
            raise DataError(f"a training needs two records or more, this watch has {len(self._t)}")
        seen, t = self._seen, np.array(self._t)
        names = tuple(seen.samples.inputs)
        parts = {m: np.array([now[m] for now in self._parts]) for m in names}
        total, beyond = {}, {}
        for m, x in seen.samples.inputs.items():
            total[m], beyond[m] = _linear_part(x, parts[m])
        linear = max(share for share, _ in beyond.values()) <= LINEAR
        reasons: Mapping[str, str] = {}
        warnings = list[str](seen.notes)
        loss = np.array(self._loss)
        if seen.loss is Loss.CROSS_ENTROPY:
            yardstick = Yardstick.LOSS
            falls = {m: fallen(np.array([now[m][0] for now in self._alone])) for m in names}
            found = by_fall(falls, t, math.log(seen.classes))
            share = {m: done for m, (done, _) in falls.items()}
        elif linear:
            yardstick = Yardstick.PLATEAU
            run = recorded(seen.network, seen.data, t, total, u0=seen.u0)
            found, reasons = run.half_times, run.reasons
            warnings += [w for w in run.warnings if w not in warnings]
            share = {m: _along(seen.data, m, total[m], run.plateaus[m]) for m in names}
        else:
            yardstick = Yardstick.END
            found, share, reasons = _ended(t, parts)
        if yardstick is not Yardstick.PLATEAU:
            then = float(np.interp(t[0] + (t[-1] - t[0]) * 2 / 3, t, loss))
            if then - loss[-1] > SETTLED * (loss[0] - loss[-1]):
                warnings.append(
                    f"it still learns at t = {t[-1]:.4g}: half is of what there is by then; record for longer"
                )
        rows = 0 if seen.width == 1 else slice(None)
        accuracy = {}
        if seen.has_classes:
            accuracy = {"all": np.array(self._accuracy)}
            accuracy |= {m: np.array([now[m][1] for now in self._alone]) for m in names}
        return WatchedTraining(
            seen.data, t, loss, {m: np.sqrt(np.mean(np.sum(p**2, axis=2), axis=1)) for m, p in parts.items()}, share,
            accuracy, found, yardstick, {m: at_end for m, (_, at_end) in beyond.items()},
            {m: w[:, rows] for m, w in total.items()}, statistics.median(self._seconds), dict(reasons),
            tuple(warnings), {"producer": "watched training", **origin_of(seen.data)},
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a watch looks at: the rows, and how outputs are judged.

    labels : (P,), place of the class of a row; empty where the target is no class
    targets : (classes, outputs), the target of each class
    width : outputs that are kept: those of the target, or a logit a class
    """

    data: Correlations
    samples: Samples
    loss: Loss
    network: FusionNetwork
    u0: float | Mapping[str, float]
    labels: np.ndarray
    targets: np.ndarray
    width: int
    notes: tuple[str, ...]

    @property
    def has_classes(self) -> bool:
        return len(self.labels) > 0

    @property
    def classes(self) -> int:
        return len(self.targets)

    def outputs(self, given: Any, t: float) -> np.ndarray:
        """(P, outputs) as finite floats; of two classes one logit is that of the second."""
        count, wide = self.samples.count, self.width
        try:
            found = real_array(given, "forward(...)")
        except DataError as error:
            raise DataError(f"{error} at t = {t:g}") from None
        found = found[:, None] if found.ndim == 1 else found
        if self.loss is Loss.CROSS_ENTROPY and wide == 2 and found.shape == (count, 1):
            return np.hstack([-found / 2, found / 2])
        if found.shape != (count, wide):
            what = "logits" if self.loss is Loss.CROSS_ENTROPY else "outputs"
            raise DataError(f"forward(...) must give {what} of shape ({count}, {wide}), got {found.shape} at t = {t:g}")
        return found

    def judged(self, out: np.ndarray) -> tuple[float, float]:
        """Loss and accuracy (nan without classes) of outputs (P, outputs)."""
        if self.loss is Loss.CROSS_ENTROPY:
            logits = out - np.max(out, axis=1, keepdims=True)
            right = logits[np.arange(len(out)), self.labels] - np.log(np.sum(np.exp(logits), axis=1))
            return float(-np.mean(right)), float(np.mean(np.argmax(out, axis=1) == self.labels))
        loss = float(np.mean(np.sum((self.samples.targets - out) ** 2, axis=1))) / 2
        if not self.has_classes:
            return loss, math.nan
        apart = out @ self.targets.T - np.sum(self.targets**2, axis=1) / 2
        return loss, float(np.mean(np.argmax(apart, axis=1) == self.labels))


def watch(
    data: Correlations,
    forward: Forward,
    *,
    loss: Loss | str = Loss.SQUARED,
    every: int = 20,
    network: FusionNetwork | None = None,
    u0: float | Mapping[str, float] = 1e-3,
    rows: int = ROWS,
) -> Watch:
    """Watch a network of any kind, in any framework, while it is trained, and measure it as everything here is.

    Call `w.step(learning_rate)` before each step of the optimiser, or `w.record(t)` when you like; `w.training` has
    when each modality is learned, and `w.training.against(prediction)` a prediction beside it. Recording asks for the
    outputs once for all modalities and once for each of them alone, with the others at their mean.

    Parameters
    ----------
    data : with samples, of which the network is trained on `data.samples.inputs` and `data.samples.targets`, centred
    forward : {"A": (P, d_A), "B": (P, d_B)} -> outputs (P,) or (P, outputs), arrays or tensors of any package. Switch
        dropout off in it
    loss : squared, or cross_entropy: then it gives logits (P, classes), in the order of the one-hot columns or of the
        names of the classes, or (P,) for the second of two
    every : steps from record to record, for `step`
    network, u0 : where the network is a linear one, its depths and start, which decide the plateaus; None for two
        layers in late fusion
    rows : that are looked at, evenly spaced, if there are more; no less than four times the inputs of any modality

    Raises
    ------
    DataError, DomainError
        Where the data have no samples, or the loss is cross-entropy and the target no class.

    Examples
    --------
    >>> from dynamics import load_example
    >>> data = load_example("star98")
    >>> x, y, rate = data.samples.inputs, data.samples.targets, 0.02
    >>> w = {m: 1e-3 * np.ones((1, d)) for m, d in data.sizes.items()}  # linear, one layer: no waiting here
    >>> watched = watch(data, lambda inputs: sum(v @ w[m].T for m, v in inputs.items()))
    >>> for step in range(400):
    ...     watched.step(rate)
    ...     error = y - sum(v @ w[m].T for m, v in x.items())
    ...     w = {m: now + rate * error.T @ x[m] / len(y) for m, now in w.items()}
    >>> watched.training.yardstick.value, len(watched.training.t)
    ('its plateau', 20)
    """
    if not isinstance(data, Correlations):
        raise DataError(f"watch needs Correlations, then what the network puts out: got a {type(data).__name__} first")
    if data.samples is None:
        raise DataError("watch needs Correlations made by from_samples or read_table: these have no samples")
    checked_call(forward, "forward")
    if forward is None:
        raise DomainError("forward must be a function, got None")
    kind, samples = one_of(Loss, loss, "loss"), data.samples
    if kind not in (Loss.SQUARED, Loss.CROSS_ENTROPY):
        raise DomainError(f"loss must be squared or cross_entropy here, got {kind}: two classes are cross_entropy")
    every, most = checked_integer(every, "every", 1), checked_integer(rows, "rows", 2)
    most = max(most, 4 * max(data.sizes.values()))
    labels, targets = np.zeros(0, int), np.zeros((0, data.outputs))
    if kind is Loss.CROSS_ENTROPY or data.has_classes:
        labels, targets = _labelled(samples)
    notes: tuple[str, ...] = ()
    if samples.count > most:
        chosen = np.linspace(0, samples.count - 1, most).round().astype(int)
        labels = labels[chosen] if len(labels) else labels
        samples = Samples({m: x[chosen] for m, x in samples.inputs.items()}, samples.targets[chosen])
        notes = (f"{most} of {data.samples.count} rows are watched (rows)",)
    width = len(targets) if kind is Loss.CROSS_ENTROPY else data.outputs
    shape = FusionNetwork.fused_at(2, 2, data.modalities) if network is None else network
    return Watch(_Seen(data, samples, kind, shape, u0, labels, targets, width, notes), forward, every)


def _labelled(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Place of the class of each row, (P,), and target of each class: in the order of the one-hot columns, or names."""
    classes = classes_of(samples)
    count, outputs = classes.targets.shape
    left, order = list(range(count)), list[int]()
    if outputs == count:
        order = [int(np.argmax(classes.targets[:, k])) for k in range(count)]
    else:  # contrasts: on the last axis only the last class is positive, and so on down
        for axis in range(outputs - 1, -1, -1):
            order.insert(0, max(left, key=lambda k: float(classes.targets[k, axis])))
            left.remove(order[0])
        order.insert(0, left[0])
    return np.argsort(order)[classes.labels], classes.targets[order]


def _linear_part(x: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Of parts (T, P, o): the linear maps (T, o, d) next to them; the share of power beyond, and at the end."""
    steps, count, outputs = parts.shape
    centred = x - x.mean(axis=0)
    flat = parts.transpose(1, 0, 2).reshape(count, -1)
    maps = np.linalg.lstsq(centred, flat, rcond=None)[0]
    beyond = np.sum((flat - centred @ maps).reshape(count, steps, outputs) ** 2, axis=(0, 2))
    power = np.sum(parts**2, axis=(1, 2))
    whole = float(np.sum(power))
    along = float(np.sum(beyond)) / whole if whole > 0 else 0.0
    at_end = float(beyond[-1] / power[-1]) if power[-1] > 0 else 0.0
    return maps.reshape(-1, steps, outputs).transpose(1, 2, 0), (along, at_end)


def _along(data: Correlations, m: str, path: np.ndarray, plateau: np.ndarray) -> np.ndarray:
    """How much of a plateau is there, (T,)."""
    dual = np.atleast_2d(plateau) @ data.input_block(m, m)
    power = float(np.sum(np.atleast_2d(plateau) * dual))
    return np.sum(path * dual, axis=(1, 2)) / power if power > 0 else np.zeros(len(path))


def _ended(t: np.ndarray, parts: Mapping[str, np.ndarray]) -> tuple[HalfTimes, dict[str, np.ndarray], dict[str, str]]:
    """Half of what each part has at the end; `never` where that is next to nothing beside the largest."""
    power = {m: float(np.sum(p[-1] ** 2)) for m, p in parts.items()}
    largest = max(power, key=lambda m: power[m])
    share, clock, status, reasons = {}, {}, {}, {}
    for m, p in parts.items():
        share[m] = np.sum(p * p[-1], axis=(1, 2)) / (power[m] or 1.0)
        never = power[m] == 0 or (m != largest and power[m] <= WORTHLESS * power[largest])
        if never:
            reasons[m] = f"in the end it puts out less than {WORTHLESS:.0%} of what {largest} does"
        clock[m] = math.inf if never else first_time(t, share[m], HALF)
        status[m] = Status.NEVER if never else Status.REACHED
    race = tuple(sorted(clock, key=lambda m: clock[m]))
    return HalfTimes.from_clock(race, clock, status), share, reasons
