"""Trajectory: the result of every producer (full flow, reduced flow, gradient descent)."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from derivations import Correlations, StoreError
from derivations.critical.saddles import Course
from derivations.samples import frozen
from dynamics.checks import required
from dynamics.files import arrays_of, is_text, plain_file, write_whole
from dynamics.messages import one_line
from dynamics.provenance import origin_of
from dynamics.runs.half_times import HALF, HalfTimes, Status, Timed, first_time, never_notes, race_notes
from dynamics.runs.itinerary import Visit, visits
from dynamics.runs.modes import Mode, Modes, read_off
from dynamics.tables import Drawn, Shown, Table, number

if TYPE_CHECKING:
    import pandas
    import xarray

FORMAT = "fusion-dynamics trajectory 2"


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Timed, Shown, Drawn):
    """Total weights and loss along a run.

    t : (T,), in units of tau
    total : modality -> (T, d), or (T, outputs, d) for several outputs
    loss : (T,)
    half_times : when each modality is learned (also as times, log_times, status, order, ratio, lag)
    itinerary : the saddles visited, M_0 first
    weight_times : modality -> when half of its plateau is there in its weights, which wait for directions of the
        inputs that the output hardly sees; inf if not along the run
    plateaus : modality -> total weights at the plateau at which it is learned, of which its half-time is the half
    reasons : modality -> why it is never learned
    monitors : what tells whether the run can be trusted (steps, drift of conserved quantities)
    warnings : what a user should know
    provenance : how to make this run again
    modes : of several outputs, when each singular direction of Sigma_yx is learned; empty for one output
    """

    figure: ClassVar[str] = "figures.trajectories"

    t: np.ndarray
    total: Mapping[str, np.ndarray]
    loss: np.ndarray
    half_times: HalfTimes
    itinerary: tuple[Visit, ...]
    weight_times: Mapping[str, float] = field(default_factory=dict)
    plateaus: Mapping[str, np.ndarray] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    monitors: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    modes: Modes = field(default_factory=Modes)

    @classmethod
    def of(
        cls,
        course: Course,
        t: np.ndarray,
        packed: np.ndarray,
        half_times: HalfTimes,
        *,
        own: tuple[np.ndarray, np.ndarray] | None = None,
        loss: Callable[[np.ndarray], np.ndarray] | None = None,
        modes: Modes | None = None,
        weight_times: Mapping[str, float],
        monitors: Mapping[str, float],
        warnings: Sequence[str],
        provenance: Mapping[str, Any],
    ) -> Trajectory:
        """A run from its packed total weights (T, outputs, D).

        own : times and weights at the integrator's own steps, where the run is stored at others; the itinerary is of
            these
        loss : of packed total weights; None for the squared one
        modes : where the run has met them; None reads them off its own steps
        """
        data = course.data
        loss_of = partial(losses, data) if loss is None else loss
        steps, path = (t, packed) if own is None else own
        rows = 0 if data.outputs == 1 else slice(None)
        return cls(
            t,
            {m: np.ascontiguousarray(packed[:, rows, data.span(m)]) for m in data.sizes},
            loss_of(packed),
            half_times,
            visits(course, steps, path, loss_of(path)),
            dict(weight_times),
            {m: goal[rows] for m, goal in course.plateaus.items()},
            dict(course.never),
            monitors,
            tuple(warnings),
            {**provenance, **origin_of(data)},
            read_off(course, steps, path) if modes is None else modes,
        )

    def __post_init__(self) -> None:
        for array in (self.t, self.loss, *self.total.values()):
            array.setflags(write=False)

    @cached_property
    def norms(self) -> dict[str, np.ndarray]:
        """Modality -> (T,): |W_m^tot|."""
        largest = {m: float(np.max(np.abs(w), initial=0.0)) or 1.0 for m, w in self.total.items()}
        return {
            m: frozen(largest[m] * np.sqrt(np.sum((w / largest[m]).reshape(len(w), -1) ** 2, axis=1)))
            for m, w in self.total.items()
        }

    @property
    def table(self) -> Table:
        rows = [(m, self.status[m].value, number(self.times[m]), number(self.weight_times[m])) for m in self.order]
        path = " -> ".join(str(visit) for visit in self.itinerary)
        lines = [f"ratio {number(self.ratio)}, lag {number(self.lag)}", f"saddles: {path}", *race_notes(self)]
        notes = [*lines, *never_notes(self.reasons), *self.warnings]
        producer, start = self.provenance.get("producer", "run"), self.provenance.get("start", "given")
        title = f"{producer}, {start} start, {len(self.t)} points to t = {number(self.t[-1])}"
        return Table(title, ("modality", "status", "half-time [tau]", "of its weights"), tuple(rows), tuple(notes))

    def to_frame(self) -> pandas.DataFrame:
        """A pandas.DataFrame with a row a point and the index t, in units of tau; needs the package pandas.

        Columns are `loss`, `|W_A|` for the norm of each modality's total weights and `W_A[0]` for that of each input
        (`W_A[0,1]` for output 0 and input 1, where there are several outputs), both counted from 0.

        Examples
        --------
        >>> from dynamics import Correlations, FusionNetwork, integrate_reduced
        >>> run = integrate_reduced(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5))
        >>> list(run.to_frame().columns)
        ['loss', '|W_A|', '|W_B|', 'W_A[0]', 'W_B[0]']
        """
        columns = {"loss": self.loss} | {f"|W_{m}|": norm for m, norm in self.norms.items()}
        for m, weights in self.total.items():
            for place in np.ndindex(weights.shape[1:]):
                columns[f"W_{m}[{','.join(map(str, place))}]"] = weights[:, *place]
        pd = required("pandas", "to_frame", "data")
        frame: pandas.DataFrame = pd.DataFrame(columns, index=pd.Index(self.t, name="t"))
        return frame

    def to_xarray(self) -> xarray.Dataset:
        """An xarray.Dataset along t, in units of tau; needs the package xarray.

        Variables are `loss` and `norm`, `half_time`, `weight_time` and `status` of each modality, and `total_A` with
        the weights of each input of A (and output, where there are several). Attributes are ratio, lag, saddles,
        warnings, monitors and provenance, all as netCDF can hold them.

        Examples
        --------
        >>> from dynamics import Correlations, FusionNetwork, integrate_reduced
        >>> run = integrate_reduced(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5))
        >>> run.to_xarray()["total_A"].dims
        ('t', 'input_A')
        """
        dataset, names, tau = required("xarray", "to_xarray", "sweep").Dataset, list(self.order), {"units": "tau"}
        found = {
            "loss": ("t", self.loss),
            "norm": (("modality", "t"), np.stack([self.norms[m] for m in names])),
            "half_time": ("modality", [self.times[m] for m in names], tau),
            "weight_time": ("modality", [self.weight_times.get(m, math.nan) for m in names], tau),
            "status": ("modality", [self.status[m].value for m in names]),
        }
        for m, weights in self.total.items():
            found[f"total_{m}"] = (("t", "output", f"input_{m}") if weights.ndim > 2 else ("t", f"input_{m}"), weights)
        attributes: dict[str, Any] = {f"monitor_{name}": float(value) for name, value in self.monitors.items()}
        attributes |= {name: str(value) for name, value in self.provenance.items()}
        path = " -> ".join(map(str, self.itinerary))
        attributes |= {"ratio": self.ratio, "lag": self.lag, "saddles": path, "warnings": "\n".join(self.warnings)}
        made: xarray.Dataset = dataset(found, {"t": ("t", self.t, tau), "modality": names}, attributes)
        return made

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one .npz without pickles; whole or not at all."""
        meta = {
            "format": FORMAT,
            **asdict(self.half_times),
            "itinerary": [astuple(v) for v in self.itinerary],
            "weight_times": dict(self.weight_times),
            "reasons": dict(self.reasons),
            "monitors": dict(self.monitors),
            "warnings": self.warnings,
            "provenance": dict(self.provenance),
            "modalities": list(self.total),
            "modes": [astuple(row) for row in self.modes],
        }
        text = json.dumps(meta, default=lambda value: value.item())  # NumPy scalars of a caller's
        arrays: dict[str, Any] = {f"total_{i}": w for i, w in enumerate(self.total.values())}
        arrays |= {f"plateau_{i}": self.plateaus[m] for i, m in enumerate(self.total)}
        stream = io.BytesIO()
        np.savez(stream, t=self.t, loss=self.loss, meta=np.array(text), **arrays)
        write_whole(path, stream.getvalue(), "trajectory")


def load_trajectory(path: str | os.PathLike[str]) -> Trajectory:
    """Read what `Trajectory.save` wrote; a StoreError if it is anything else.

    Examples
    --------
    >>> import tempfile
    >>> from dynamics import Correlations, FusionNetwork, integrate_reduced
    >>> run = integrate_reduced(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run.save(f"{folder}/run.npz")
    ...     load_trajectory(f"{folder}/run.npz").times == run.times
    True
    """
    source = plain_file(path, "trajectory")
    try:
        with open(source, "rb") as stream, arrays_of(stream) as file:
            if not is_text(file["meta"]):
                raise ValueError("meta is no text")
            meta = json.loads(str(file["meta"]))
            if meta["format"] != FORMAT:
                raise ValueError(f"format is {meta['format']!r}, want {FORMAT!r}: simulate it again")
            total = {m: file[f"total_{i}"] for i, m in enumerate(meta["modalities"])}
            order, status = tuple(meta["order"]), {m: Status(s) for m, s in meta["status"].items()}
            race, lag = tuple(meta["race"]), meta["lag"]
            half_times = HalfTimes(order, race, meta["log_times"], status, lag, meta["log_excess"])
            found = Trajectory(
                file["t"],
                total,
                file["loss"],
                half_times,
                tuple(Visit(*v) for v in meta["itinerary"]),
                meta["weight_times"],
                {m: file[f"plateau_{i}"] for i, m in enumerate(meta["modalities"])},
                meta["reasons"],
                meta["monitors"],
                tuple(meta["warnings"]),
                meta["provenance"],
                Modes(tuple(Mode(m, i, size, time, Status(s)) for m, i, size, time, s in meta.get("modes", ()))),
            )
        _check_loaded(found)
        return found
    except OSError as error:
        raise StoreError(f"trajectory not read from {str(path)!r}: {error}") from None
    except Exception as error:  # NumPy leaks BadZipFile, zlib.error, KeyError, TokenError on damaged files
        raise StoreError(
            one_line(f"{str(path)!r} is not a saved trajectory: {type(error).__name__}: {error}")
        ) from None


def _check_loaded(run: Trajectory) -> None:
    """What `Trajectory.save` never writes: a ValueError."""
    names = set(run.total)
    for what, given in (("order", run.order), ("race", run.race), ("log_times", run.log_times),
                        ("status", run.status), ("weight_times", run.weight_times)):  # fmt: skip
        if set(given) != names or len(list(given)) != len(names):
            raise ValueError(f"{what} must name {', '.join(names)}, got {', '.join(map(str, given))}")
    for what, array in (("t", run.t), ("loss", run.loss), *run.total.items()):
        if array.dtype.kind != "f" or len(array) != len(run.t) or not len(array) or not np.all(np.isfinite(array)):
            raise ValueError(f"{what} must hold {len(run.t)} finite numbers, got {array.dtype} {array.shape}")
    for m, goal in run.plateaus.items():
        if goal.shape != run.total[m].shape[1:] or not np.all(np.isfinite(goal)):
            raise ValueError(f"plateau of {m} must have shape {run.total[m].shape[1:]}, got {goal.shape}")
    if not {row.modality for row in run.modes} <= names:
        raise ValueError(f"modes must be of {', '.join(names)}")
    if not set(run.reasons) <= names:
        raise ValueError(f"reasons must name some of {', '.join(names)}")
    if run.t.ndim != 1 or run.loss.ndim != 1 or np.any(np.diff(run.t) < 0):
        raise ValueError("t must be increasing times, with a loss each")
    for value in (*run.log_times.values(), *run.weight_times.values(), run.lag, *(v.enter for v in run.itinerary)):
        float(value)
    str(run)


def losses(data: Correlations, packed: np.ndarray) -> np.ndarray:
    """Loss along a run, (T,), from packed total weights (T, outputs, D).

    The excess over the optimum as a quadratic form: near the optimum it loses no digits.
    """
    if "lowest loss" not in data.kept:  # a run asks at every step
        optimum = np.atleast_2d(data.optimum)
        explained = float(np.trace(optimum @ np.atleast_2d(data.sigma_yx).T))
        data.kept["lowest loss"] = optimum, max(float(np.trace(np.atleast_2d(data.sigma_yy))) - explained, 0.0) / 2
    optimum, lowest = data.kept["lowest loss"]
    gap = packed - optimum
    return np.asarray(lowest + np.sum((gap @ data.sigma) * gap, axis=(1, 2)) / 2)


def weight_times(course: Course, t: np.ndarray, packed: np.ndarray) -> dict[str, float]:
    """Modality -> when half of its plateau is there in its weights, interpolated between the points; inf if not."""
    shares = {m: [course.past_half_of_weights(m, w) for w in packed] for m in course.along}
    return {m: first_time(t, np.array(shares[m]) + 0.5, HALF) if m in shares else math.inf for m in course.plateaus}
