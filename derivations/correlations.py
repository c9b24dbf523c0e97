"""Correlations: Sigma and Sigma_yx of equation (1), in numbers or in SymPy symbols.

The dynamics of a linear network depends on the data through these two matrices only. The type checks
its own algebra, so that no law or solver has to.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from itertools import accumulate
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

import numpy as np

from derivations.errors import DataError, DomainError
from derivations.network import FusionNetwork, checked_name
from derivations.public import usual_floats
from derivations.samples import (
    LARGEST_UNIT,
    SMALLEST_UNIT,
    Prepared,
    Samples,
    frozen,
    off_graph,
    prepared_samples,
    real_array,
)

SYMMETRY_TOLERANCE = 1e-10  # relative to sqrt(Sigma_ii Sigma_jj): beyond it the matrix is not averaged but refused
RANK_TOLERANCE = 10 * float(np.finfo(float).eps)  # times D: smaller eigenvalues at unit variances are rounding
ORTHONORMAL = 1e-8  # what products of such columns may be off by
MOST_SYMBOLIC = 100  # inputs with symbols: 5050 of them make sigma
SAFE = 1e-200  # squares between this and its inverse have lost nothing
NO_SIGNAL = 1e-14  # a correlation coefficient of inputs and target below it is rounding
RANGE_TOLERANCE = 1e-8  # part of Sigma_yx that may lie outside the range of Sigma: rounding of sums over samples
DEPENDENT = 1e-13  # of outputs at unit variances: a variance that rounding leaves of none
CONDITION_WARNING = 1e6  # beyond it, six of the sixteen digits of a solved weight are gone
FOREIGN = 1e-6  # what rounding, and entries read from text, may leave between samples and their moments
UNITS = 10  # times worse in these units than at unit variances: it is the units
SPREAD_WARNING = 1e4  # beyond it, directions of the inputs are learned at paces that lie four decades apart

#: An array, or a SymPy matrix in data of symbols; for a type checker `| Any` takes lists in and lets symbols through.
Array = np.ndarray | Any


def _is_symbolic(*values: Any) -> bool:
    """Whether a value is, or holds, a SymPy object. SymPy is never imported for it."""
    sympy = sys.modules.get("sympy")
    if sympy is None:
        return False
    kinds = (sympy.Basic, sympy.MatrixBase)

    def symbolic(value: Any) -> bool:
        if isinstance(value, kinds) or value is None:
            return value is not None
        if isinstance(value, np.ndarray) and value.dtype != object:  # asking every number takes longer than solving
            return False
        return any(isinstance(entry, kinds) for entry in np.ravel(np.asarray(value, dtype=object)))

    return any(map(symbolic, values))


def _checked_sizes(sizes: Any) -> dict[str, int]:
    if not isinstance(sizes, Mapping) or not sizes:
        raise DataError(f"sizes must map modality to number of inputs, got {sizes!r}")
    for name, size in sizes.items():
        try:
            checked_name(name)
        except DomainError as error:
            raise DataError(str(error)) from None
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise DataError(f"sizes[{name!r}] must be a positive integer, got {size!r}")
    return {name: int(size) for name, size in sizes.items()}


def _checked_columns(columns: Any, sizes: Mapping[str, int]) -> dict[str, tuple[str, ...]] | None:
    if columns is None:
        return None
    if isinstance(columns, Mapping):
        columns = {m: (c,) if isinstance(c, str) else c for m, c in columns.items()}
    lists = isinstance(columns, Mapping) and all(isinstance(c, Iterable) for c in columns.values())
    if not lists or {m: len(tuple(c)) for m, c in columns.items()} != dict(sizes):
        raise DataError(f"columns must name the inputs of each modality, {dict(sizes)}, got {columns!r}"[:200])
    found = {m: tuple(str(name) for name in columns[m]) for m in sizes}
    for m, names in found.items():
        for name in names:
            if not name.isprintable():
                raise DataError(f"columns[{m!r}] has a name that is not printable text: {name[:80]!r}")
    return found


def _checked_notes(notes: Any) -> tuple[str, ...]:
    if isinstance(notes, str) or not isinstance(notes, Iterable):
        raise DataError(f"notes must be a list of sentences, got {notes!r}"[:200])
    return tuple(str(note) for note in notes)


def _checked_symbols(value: Any, field: str) -> Any:
    """A SymPy matrix of numbers and symbols; text, which SymPy would evaluate, is refused."""
    import sympy as sp

    for entry in np.asarray(value, dtype=object).flat:
        number = sp.sympify(entry) if isinstance(entry, sp.Expr | Real) else sp.nan
        if number is sp.nan or number.is_infinite:
            raise DataError(f"{field} must hold finite numbers and symbols, got {str(entry)[:80]!r}")
    try:
        return sp.ImmutableMatrix(value)
    except (TypeError, ValueError):
        raise DataError(f"{field} must be a matrix, or a list of rows, got {str(value)[:80]!r}") from None


def _require_number(value: Any, field: str) -> None:
    if real_array(value, field).ndim or isinstance(value, bool | np.bool_):
        raise DataError(f"{field} must be a number, got {value!r}")


def spans_of(sizes: Mapping[str, int]) -> dict[str, slice]:
    """Columns of each, one after the other."""
    ends = accumulate(sizes.values())
    return {m: slice(end - d, end) for (m, d), end in zip(sizes.items(), ends, strict=True)}


@dataclass(frozen=True, eq=False, repr=False)
class Correlations:
    """Second moments of centred data, equation (1).

    Parameters
    ----------
    sigma : (D, D)
        Sigma = <x x^T>, symmetric and positive semidefinite.
    sigma_yx : (D,) or (outputs, D)
        Sigma_yx = <y x^T>, in the range of Sigma.
    sizes : mapping modality -> number of inputs, in the order of the columns
    sigma_yy : float or (outputs, outputs), optional
        <y y^T>. Without it the target is taken as free of noise, so that the lowest loss is zero.
    samples : the centred rows behind these moments, which `from_samples` keeps; bootstrap and logistic loss need them
    columns : mapping modality -> names of its inputs, optional; see `column_names`
    notes : what was done to the table that these come from, a sentence each
    axes : where these are seen along some directions: modality -> (inputs, d), orthonormal columns; see `projected`
    has_classes : the outputs stand for classes, which z-scoring leaves alone

    Entries may be SymPy expressions (then only shapes and symmetry are checked).

    Raises
    ------
    DataError
        Naming the field and the value that contradicts the above.

    Examples
    --------
    >>> data = Correlations([[4, 1], [1, 1]], [5, 2], sizes={"A": 1, "B": 1})
    >>> data.unimodal("A"), data.optimum, data.residual("B", given="A")
    (array([1.25]), array([1., 1.]), array([0.75]))
    """

    sigma: Array
    sigma_yx: Array
    sizes: Mapping[str, int]
    sigma_yy: Array = None
    samples: Samples | None = None
    columns: Mapping[str, tuple[str, ...]] | None = None
    notes: tuple[str, ...] = ()
    axes: Mapping[str, np.ndarray] | None = None
    has_classes: bool = False

    @usual_floats
    def __post_init__(self) -> None:
        set_field = object.__setattr__
        for name in ("sigma", "sigma_yx", "sigma_yy"):
            set_field(self, name, off_graph(getattr(self, name), name))
        set_field(self, "sizes", MappingProxyType(_checked_sizes(self.sizes)))
        set_field(self, "notes", _checked_notes(self.notes))
        set_field(self, "columns", _checked_columns(self.columns, self.sizes))
        if not isinstance(self.samples, Samples | None):
            kind = type(self.samples).__name__
            raise DataError(
                f"samples must be None, got {kind}: Correlations.from_samples takes rows of inputs and targets"
            )
        if not isinstance(self.axes, Mapping | None):
            raise DataError(f"axes must be None or map modality to directions, got {type(self.axes).__name__}")
        if not isinstance(self.has_classes, bool | np.bool_):
            raise DataError(f"has_classes must be True or False, got {self.has_classes!r}")
        total = sum(self.sizes.values())
        if self.is_symbolic:
            self._store_symbols(total)
            return
        sigma = real_array(self.sigma, "sigma")
        sigma_yx = real_array(self.sigma_yx, "sigma_yx")
        if sigma.shape != (total, total):
            raise DataError(f"sigma must have shape {(total, total)} for sizes {dict(self.sizes)}, got {sigma.shape}")
        if sigma_yx.ndim not in (1, 2) or sigma_yx.shape[-1] != total or sigma_yx.size == 0:
            raise DataError(f"sigma_yx must have shape {(total,)} or (outputs, {total}), got {sigma_yx.shape}")
        if sigma_yx.ndim == 2 and len(sigma_yx) == 1:
            sigma_yx = sigma_yx[0]
        set_field(self, "sigma", frozen(sigma))
        set_field(self, "sigma_yx", frozen(sigma_yx))
        self._check_units()
        self._check_sigma()
        with np.errstate(over="ignore"):
            explained = self._regress(self.modalities) @ self._target.T
        if not np.all(np.isfinite(explained)):
            largest = np.max(np.abs(self.sigma_yx))
            raise DataError(
                f"sigma_yx has entries of size {largest:.3g}, too large for these inputs: rescale the target"
            )
        outputs = self.outputs
        if self.sigma_yy is None:
            set_field(self, "sigma_yy", frozen(explained if outputs > 1 else explained[0, 0].reshape(())))
            self._check_samples(total)
            return
        sigma_yy = real_array(self.sigma_yy, "sigma_yy")
        if sigma_yy.size != 1 if outputs == 1 else sigma_yy.shape != (outputs, outputs):
            raise DataError(
                f"sigma_yy must be {'a number' if outputs == 1 else (outputs, outputs)}, got shape {sigma_yy.shape}"
            )
        if outputs > 1:
            gap = np.abs(sigma_yy - sigma_yy.reshape(outputs, outputs).T)
            if np.max(gap) > SYMMETRY_TOLERANCE * np.max(np.abs(sigma_yy)):
                i, j = (int(k) for k in np.argwhere(gap == np.max(gap))[0])
                raise DataError(
                    f"sigma_yy is not symmetric: {sigma_yy[i, j]:g} at ({i}, {j}), {sigma_yy[j, i]:g} at ({j}, {i})"
                )
        set_field(self, "sigma_yy", frozen(sigma_yy.reshape(() if outputs == 1 else (outputs, outputs))))
        left = np.linalg.eigvalsh(np.atleast_2d(self.sigma_yy) - explained)[0]
        if left < -RANGE_TOLERANCE * max(np.max(np.abs(explained)), 1e-300):
            raise DataError(
                f"sigma_yy is smaller than what the inputs explain, by {-left:.3g}: it is <y y^T>, or left out for a "
                "target without noise"
            )

        self._check_samples(total + outputs)

    def _check_samples(self, given: int) -> None:
        """Samples are those that these are the moments of: along one direction, which costs next to nothing.

        given : rows of the moments of inputs and targets that are known, all but sigma_yy or all
        """
        if self.samples is None:
            return
        shapes = {m: x.shape[1] for m, x in self.samples.inputs.items()}
        if list(shapes.items()) != list(self.sizes.items()):
            raise DataError(f"samples must have the inputs of sizes, {dict(self.sizes)}, got {shapes}")
        targets = self.samples.targets
        if targets.shape[1] != self.outputs:
            raise DataError(f"samples must have {self.outputs} targets, as sigma_yx has, got {targets.shape[1]}")
        x = np.hstack([*self.samples.inputs.values(), targets])
        cross, own = self._target, np.atleast_2d(self.sigma_yy)
        whole = np.block([[self.sigma, cross.T], [cross, own]])
        scale = np.where(np.diag(whole) > 0, np.diag(whole), 1.0) ** -0.5
        along = scale * np.random.default_rng(0).normal(size=len(scale))
        off = float(np.max((np.abs(x.T @ (x @ along) / len(x) - whole @ along) * scale)[:given]))
        if off > FOREIGN * math.sqrt(len(scale)):
            raise DataError(f"samples are not those of sigma: their moments differ by {off:.2g} at unit variances")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Frozen again: arrays come back writable."""
        self.__dict__.update(state, sizes=MappingProxyType(state["sizes"]))
        held = [self.sigma, self.sigma_yx, self.sigma_yy, *(self.axes or {}).values()]
        if self.samples is not None:
            held += [self.samples.targets, *self.samples.inputs.values()]
        for array in held:
            if isinstance(array, np.ndarray):
                frozen(array)

    def _check_units(self) -> None:
        """Variances whose powers would leave the range of floats are refused, by name."""
        variances = np.diag(self.sigma)
        wrong = (variances > 0) & ~((variances >= SMALLEST_UNIT**2) & (variances <= LARGEST_UNIT**2))
        for m in self.modalities if np.any(wrong) else ():
            for name, variance in zip(self.column_names(m), np.diag(self.input_block(m, m)), strict=True):
                if variance > 0 and not SMALLEST_UNIT**2 <= variance <= LARGEST_UNIT**2:
                    raise DataError(
                        f"{name} of {m} has variance {variance:.3g}: rescale it, units beyond {SMALLEST_UNIT:g} and "
                        f"{LARGEST_UNIT:g} leave the range of floats"
                    )
        largest = float(np.max(np.abs(self.sigma_yx)))
        if largest and not SMALLEST_UNIT**2 <= largest <= LARGEST_UNIT**2:
            raise DataError(f"sigma_yx has entries of size {largest:.3g}: rescale the target")

    # -- construction --------------------------------------------------------------------------------

    @classmethod
    def scalar(cls, sigma_a: Any, sigma_b: Any, rho: Any, w: tuple[Any, Any] = (1, 1)) -> Correlations:
        """Two scalar inputs and the noise-free target y = w_A x_A + w_B x_B (appendix J).

        sigma_a, sigma_b are standard deviations, rho the correlation coefficient.
        """
        if isinstance(w, str) or np.shape(np.asarray(w, dtype=object)) != (2,):
            raise DataError(f"w must be a pair of weights, got {w!r}")
        if _is_symbolic(sigma_a, sigma_b, rho, *w):
            for name, value in (
                ("sigma_a", sigma_a),
                ("sigma_b", sigma_b),
                ("rho", rho),
                ("w[0]", w[0]),
                ("w[1]", w[1]),
            ):
                _checked_symbols([[value]], name)
        else:
            for name, value in (("sigma_a", sigma_a), ("sigma_b", sigma_b), ("rho", rho)):
                _require_number(value, name)
            pair = real_array(w, "w").tolist()
            for i, weight in enumerate(w):
                _require_number(weight, f"w[{i}]")
            w = tuple(pair)
            sigma_a, sigma_b, rho = float(sigma_a), float(sigma_b), float(rho)
            if sigma_a <= 0 or sigma_b <= 0:
                raise DataError(f"sigma_a and sigma_b must be positive, got {sigma_a} and {sigma_b}")
            for name, value in (("sigma_a", sigma_a), ("sigma_b", sigma_b)):
                if not SMALLEST_UNIT < value < LARGEST_UNIT:
                    raise DataError(
                        f"{name} must lie between {SMALLEST_UNIT:g} and {LARGEST_UNIT:g}, got {value}: rescale it"
                    )
            if not -1 <= rho <= 1:
                raise DataError(f"rho must be between -1 and 1, got {rho}")
            for name, weight, size in (("w[0]", w[0], sigma_a), ("w[1]", w[1], sigma_b)):
                if abs(weight) >= LARGEST_UNIT / size:
                    raise DataError(f"{name} makes a target beyond {LARGEST_UNIT:g}, got {weight}: rescale it")
        cross = rho * sigma_a * sigma_b
        sigma = [[sigma_a**2, cross], [cross, sigma_b**2]]
        sigma_yx = [w[0] * sigma_a**2 + w[1] * cross, w[0] * cross + w[1] * sigma_b**2]
        return cls(sigma, sigma_yx, {"A": 1, "B": 1}, w[0] * sigma_yx[0] + w[1] * sigma_yx[1])

    @classmethod
    def from_samples(
        cls,
        inputs: Mapping[str, Any],
        targets: Any,
        standardize: bool = False,
        columns: Mapping[str, tuple[str, ...]] | None = None,
        missing: str = "error",
        classes: bool = False,
        notes: Iterable[str] = (),
    ) -> Correlations:
        """Sigma = X^T X / P of centred columns; with `standardize` columns and target have variance one.

        Parameters
        ----------
        inputs : mapping modality -> (P,) or (P, d); frames and series are aligned by their indexes, or refused
        targets : (P,) or (P, outputs); text is taken as classes
        standardize : z-score the inputs and numeric targets
        missing : "error", "drop" (rows with a gap) or "mean" (fill gaps of inputs, drop rows without a target)
        classes : the target's numbers are classes: one-hot, turned to one output less than classes
        notes : what was done to the rows before

        Raises
        ------
        DataError
            On fewer than two samples, differing lengths or indexes, gaps, a constant target.
        """
        told = _checked_notes(notes)
        found = prepared_samples(inputs, targets, standardize, missing, classes, columns=columns)
        return cls.of_prepared(found, told)

    @classmethod
    def of_prepared(cls, found: Prepared, notes: Iterable[str] = ()) -> Correlations:
        """Of samples that are centred already."""
        samples = found.samples
        x, y = np.hstack(list(samples.inputs.values())), samples.targets
        sizes = {name: block.shape[1] for name, block in samples.inputs.items()}
        sigma, sigma_yx, sigma_yy = (a.T @ b / len(x) for a, b in ((x, x), (y, x), (y, y)))
        told = (*notes, *found.notes)
        data = cls(sigma, sigma_yx, sizes, sigma_yy, samples, found.columns, told, has_classes=found.has_classes)
        return data.of_full_rank()

    def of_full_rank(self) -> Correlations:
        """The same data with outputs that depend on one another (one-hot classes sum to one) turned to fewer.

        An orthogonal change of the outputs changes no loss and no time, and those that are zero then are left out.
        """
        whole = np.atleast_2d(self.sigma_yy)
        scale = np.sqrt(np.diag(whole))
        scale = np.where(scale > 0, scale, 1.0)
        values, vectors = np.linalg.eigh(whole / scale / scale[:, None])  # whatever the units of each
        nothing = vectors[:, values <= DEPENDENT * self.outputs] / scale[:, None]
        count = self.outputs - nothing.shape[1]
        if count in (0, self.outputs):
            return self
        turn = np.linalg.svd(nothing / np.linalg.norm(nothing, axis=0))[0][:, self.outputs - count :]
        samples = self.samples and Samples(self.samples.inputs, frozen(self.samples.targets @ turn))
        note = f"{self.outputs} outputs that depend on one another are turned to {count}, which changes no time"
        return replace(
            self, sigma_yx=turn.T @ self.sigma_yx, sigma_yy=turn.T @ self.sigma_yy @ turn, samples=samples,
            notes=(*self.notes, note),
        )  # fmt: skip

    @classmethod
    def symbolic(cls, sizes: Mapping[str, int]) -> Correlations:
        """Free symbols for every entry, named after modalities and columns."""
        import sympy as sp

        checked = _checked_sizes(sizes)
        if sum(checked.values()) > MOST_SYMBOLIC:
            raise DataError(f"sizes must sum to at most {MOST_SYMBOLIC} with symbols, got {sum(checked.values())}")
        labels = [m if d == 1 else f"{m}{i + 1}" for m, d in checked.items() for i in range(d)]

        def entry(i: int, j: int) -> Any:
            name = f"Sigma_{labels[min(i, j)]}"
            return sp.Symbol(name, positive=True) if i == j else sp.Symbol(name + labels[max(i, j)], real=True)

        sigma = sp.Matrix(len(labels), len(labels), entry)
        sigma_yx = sp.Matrix([[sp.Symbol(f"Sigma_y{label}", real=True) for label in labels]])
        return cls(sigma, sigma_yx, checked, sp.Symbol("Sigma_y", positive=True))

    def rescaled(self, factors: Mapping[str, float]) -> Correlations:
        """The same data with x_m multiplied by factors[m]."""
        if not isinstance(factors, Mapping):
            raise DataError(f"factors must map modality to a number, got {factors!r}")
        unknown = [m for m in factors if m not in self.sizes]
        if unknown:
            raise DataError(f"modality must be one of {', '.join(self.modalities)}, got {unknown[0]!r}")
        scale = {m: factors.get(m, 1) for m in self.modalities}
        if self.is_symbolic:
            import sympy as sp

            diagonal = sp.diag(*(scale[m] for m, d in self.sizes.items() for _ in range(d)))
            sigma, sigma_yx = diagonal * self.sigma * diagonal, self.sigma_yx * diagonal
            return replace(self, sigma=sigma, sigma_yx=sigma_yx)
        for m, factor in scale.items():
            _require_number(factor, f"factors[{m!r}]")
            if factor == 0:
                raise DataError(f"factors[{m!r}] must be one number other than zero, got {factor}")
            if not SMALLEST_UNIT < abs(factor) < LARGEST_UNIT:
                raise DataError(f"factors[{m!r}] must lie between {SMALLEST_UNIT:g} and {LARGEST_UNIT:g}, got {factor}")
        scale = {m: float(factor) for m, factor in scale.items()}
        each = np.concatenate([np.full(d, scale[m]) for m, d in self.sizes.items()])
        samples = self.samples and Samples(
            {m: frozen(x * scale[m]) for m, x in self.samples.inputs.items()}, self.samples.targets
        )
        sigma, sigma_yx = self.sigma * np.outer(each, each), self.sigma_yx * each
        return replace(self, sigma=sigma, sigma_yx=sigma_yx, samples=samples)

    def projected(self, axes: Mapping[str, np.ndarray]) -> Correlations:
        """The same data seen along some directions of each modality's inputs, (inputs, d) of orthonormal columns.

        What training does stays the same where the directions hold Sigma_yx_m and their images under Sigma. Random
        starts are drawn for all inputs (`drawn_sizes`).
        """
        axes = self._checked_axes(axes)
        whole = np.zeros((len(self.sigma), sum(axes[m].shape[1] for m in self.modalities)))
        sizes = {m: axes[m].shape[1] for m in self.modalities}
        for m, columns in spans_of(sizes).items():
            whole[self.span(m), columns] = axes[m]
        sigma = whole.T @ self.sigma @ whole
        samples = self.samples and Samples(
            {m: frozen(x @ axes[m]) for m, x in self.samples.inputs.items()}, self.samples.targets
        )
        inner = axes if self.axes is None else {m: self.axes[m] @ axes[m] for m in self.modalities}
        found = replace(
            self, sigma=(sigma + sigma.T) / 2, sigma_yx=self._target @ whole, sizes=sizes, samples=samples,
            columns=None, axes=inner,
        )  # fmt: skip
        vars(found)["warnings"] = self.warnings  # what is to be said is said of all inputs
        return found

    def _checked_axes(self, axes: Any) -> dict[str, np.ndarray]:
        if not isinstance(axes, Mapping) or set(axes) != set(self.sizes):
            names = ", ".join(self.modalities)
            raise DataError(f"axes must map each of {names} to directions, got {type(axes).__name__}")
        found = {m: real_array(axes[m], f"axes[{m!r}]") for m in self.modalities}
        for m, own in found.items():
            if own.ndim != 2 or len(own) != self.sizes[m] or not 0 < own.shape[1] <= len(own):
                raise DataError(f"axes[{m!r}] must be columns of {self.sizes[m]} entries, got shape {own.shape}")
            if np.max(np.abs(own.T @ own - np.eye(own.shape[1]))) > ORTHONORMAL:
                raise DataError(f"axes[{m!r}] must have orthonormal columns")
        return found

    @property
    def drawn_sizes(self) -> dict[str, int]:
        """Inputs of each modality that a random first layer is drawn for: all of them, however few are looked at."""
        return {m: d if self.axes is None else len(self.axes[m]) for m, d in self.sizes.items()}

    def standardized(self) -> Correlations:
        """The same data with every input, and every output but classes, z-scored: variance one.

        Needs no samples, but sigma_yy: without one given the target counts as free of noise.

        Raises
        ------
        DataError
            On an output of variance zero.

        Examples
        --------
        >>> Correlations([[4, 1], [1, 1]], [5, 2], {"A": 1, "B": 1}, sigma_yy=25).standardized().sigma_yx
        array([0.5, 0.4])
        """
        if self.is_symbolic:
            raise DataError("standardized needs numbers in sigma, got symbols")
        scale, spread = np.sqrt(np.diag(self.sigma)), np.sqrt(np.diag(np.atleast_2d(self.sigma_yy)))
        if not np.all(spread):
            raise DataError(f"output {int(np.argmin(spread))} has variance zero: it cannot be z-scored")
        spread = np.ones_like(spread) if self.has_classes else spread
        scale = np.where(scale > 0, scale, 1.0)
        samples = self.samples and Samples(
            {m: frozen(x / scale[self.span(m)]) for m, x in self.samples.inputs.items()},
            frozen(self.samples.targets / spread),
        )
        sigma, sigma_yx = self.sigma / scale / scale[:, None], self._target / scale / spread[:, None]
        sigma_yy = np.atleast_2d(self.sigma_yy) / spread / spread[:, None]
        return replace(self, sigma=sigma, sigma_yx=sigma_yx, sigma_yy=sigma_yy, samples=samples)

    # -- blocks --------------------------------------------------------------------------------------

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.sizes)

    @cached_property
    def is_singular(self) -> bool:
        """Whether Sigma has a zero eigenvalue, to rounding, beside those of constant inputs."""
        return not self.is_symbolic and not np.isfinite(self._spread)

    @cached_property
    def is_collinear(self) -> bool:
        """Whether some direction of the inputs holds next to nothing at unit variances, or nothing (`is_singular`).

        What training reaches along it depends on the start, or comes after everything that can be seen in the loss.
        """
        return not self.is_symbolic and self._spread > CONDITION_WARNING

    @property
    def _spread(self) -> float:
        """Largest over smallest eigenvalue of Sigma at unit variances; inf where Sigma is singular."""
        _, values, _, kept = self._spectrum(self.modalities)
        varies = int(np.sum(np.diag(self.sigma) > 0))  # a constant input has no weight that could be learned
        return float(values[-1] / values[kept][0]) if varies and np.sum(kept) == varies else np.inf

    def rank(self, modalities: Iterable[str]) -> int:
        """Rank of the block of Sigma of some modalities; full for symbols."""
        chosen = self._named(modalities)
        if self.is_symbolic or not chosen:
            return sum(self.sizes[m] for m in chosen)
        return int(np.sum(self._spectrum(chosen)[3]))

    @cached_property
    def root(self) -> np.ndarray:
        """(D, D) with root root^T = Sigma: outputs differ as rows of weights times it do."""
        values, vectors = self.eigen
        kept = values > RANK_TOLERANCE * len(values) * values[-1]  # the root of a rounding is none
        return frozen(vectors * np.sqrt(np.where(kept, values, 0.0)))

    @cached_property
    def eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of Sigma in these units, smallest first, and its eigenvectors."""
        unit = float(np.max(np.abs(self.sigma))) or 1.0
        values, vectors = np.linalg.eigh(self.sigma / unit)
        return frozen(values * unit), frozen(vectors)

    @cached_property
    def condition(self) -> float:
        """Largest over smallest eigenvalue of Sigma that is not zero, in these units: a spread of paces."""
        paces = self.eigen[0]
        paces = paces[paces > RANK_TOLERANCE * len(paces) * paces[-1]]
        return float(paces[-1] / paces[0]) if len(paces) else 1.0

    @cached_property
    def is_symbolic(self) -> bool:
        return _is_symbolic(self.sigma, self.sigma_yx, self.sigma_yy)

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What has been worked out from these data, here or by others, kept as long as they are; not pickled."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        held = {name: value for name, value in vars(self).items() if name != "kept"}
        return {**held, "sizes": dict(self.sizes)}  # pickle takes no view of a mapping

    @property
    def outputs(self) -> int:
        return int(self._target.shape[0])

    @property
    def _target(self) -> Any:
        """Sigma_yx as (outputs, D)."""
        target = self.sigma_yx
        return target if len(target.shape) == 2 else target[None, :]

    @cached_property
    def _spans(self) -> dict[str, slice]:
        return spans_of(self.sizes)

    def span(self, modality: str) -> slice:
        """Columns of a modality."""
        try:
            return self._spans[modality]
        except (KeyError, TypeError):
            raise DataError(f"modality must be one of {', '.join(self.modalities)}, got {modality!r}") from None

    def column_names(self, modality: str) -> tuple[str, ...]:
        """Names of a modality's inputs: those given, or numbered ones; the modality's own for a single input."""
        self.span(modality)
        if self.columns is not None:
            return self.columns[modality]
        numbered = tuple(f"{modality}{i + 1}" for i in range(self.sizes[modality]))
        return numbered if len(numbered) > 1 else (modality,)

    def _named(self, modalities: str | Iterable[str]) -> tuple[str, ...]:
        """One modality or several; a DataError where there is no such one."""
        several = isinstance(modalities, Iterable) and not isinstance(modalities, str)
        names: tuple[Any, ...] = tuple(modalities) if several else (modalities,)
        for m in names:
            self.span(m)
        return names

    def input_block(self, row: str, column: str) -> Array:
        """Sigma_AB = <x_A x_B^T>, shape (d_A, d_B)."""
        return self.sigma[self.span(row), self.span(column)]

    def target_block(self, modality: str) -> Array:
        """Sigma_yx_A = <y x_A^T>, shape (outputs, d_A)."""
        return self._target[:, self.span(modality)]

    def strength(self, modality: str) -> float | Any:
        """|Sigma_yx_A|, the initial speed of a modality; the largest singular value for several outputs."""
        return self._once(("strength", modality), lambda: self.norm(self.target_block(modality)))

    def has_signal(self, modality: str) -> bool:
        """Whether Sigma_yx_m is more than the rounding of a sum over samples."""
        return bool(self._once(("signal", modality), lambda: self.strength(modality) > self._rounding(modality)))

    def _rounding(self, modality: str) -> float:
        inputs, targets = self.norm(self.input_block(modality, modality)), self.norm(np.atleast_2d(self.sigma_yy))
        return float(NO_SIGNAL * np.sqrt(inputs) * np.sqrt(targets))

    @staticmethod
    def norm(block: Any) -> Any:
        """Spectral norm of a matrix (Euclidean of a row), safe from overflow of squares."""
        if _is_symbolic(block):
            return block.norm() if block.shape[0] == 1 else block.norm(2)
        if block.size == max(block.shape):  # a row or a column: no need of its singular values
            square = float(np.vdot(block, block))
            if SAFE < square < 1 / SAFE:
                return math.sqrt(square)
        largest = float(np.max(np.abs(block)))
        if largest == 0:
            return 0.0
        scaled = np.asarray(block, dtype=float) / largest
        if scaled.size == max(scaled.shape):
            return largest * math.sqrt(float(np.vdot(scaled, scaled)))
        return largest * float(np.linalg.norm(scaled, 2))

    # -- weights that solve --------------------------------------------------------------------------

    @cached_property
    def optimum(self) -> Array:
        """Global weights Sigma_yx Sigma^-1 (pseudo-inverse if singular), in the shape of sigma_yx."""
        return self._like_target(self._regress(self.modalities))

    def unimodal(self, modality: str) -> Array:
        """Sigma_yx_A Sigma_A^-1, the weights of a network that reads A alone: (d,) or (outputs, d)."""
        return self._like_target(self._regress((modality,)))

    def residual(self, modality: str, given: str | Iterable[str]) -> Array:
        """Sigma_yx_B - Sigma_yx_A Sigma_A^-1 Sigma_AB: what drives B once `given` is learned, (d,) or (outputs, d)."""
        return self._like_target(self.residual_block(modality, self._named(given)))

    def regression(self, modalities: Iterable[str]) -> dict[str, Array]:
        """Weights (outputs, d) of the regression on some modalities; zero for the others."""
        wanted = self._named(modalities)
        chosen = tuple(m for m in self.modalities if m in wanted)
        solved: Any = self._regress(chosen) if chosen else None
        spans = spans_of({m: self.sizes[m] for m in chosen})
        return {m: solved[:, spans[m]] if m in spans else 0 * self.target_block(m) for m in self.modalities}

    def residual_block(self, modality: str, given: tuple[str, ...]) -> Array:
        """`residual` as (outputs, d)."""
        weights = self.regression(given)
        residual = self.target_block(modality)
        for m in given:
            residual = residual - weights[m] @ self.input_block(m, modality)
        return residual

    def _like_target(self, weights: Any) -> Any:
        return weights if len(self.sigma_yx.shape) == 2 else weights[0]

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, kept for the next time."""
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def _regress(self, modalities: tuple[str, ...]) -> Any:
        """Weights (outputs, columns) on the named modalities, worked out once."""
        return self._once(("regression", modalities), lambda: self._solved(modalities))

    def _solved(self, modalities: tuple[str, ...]) -> Any:
        """The one place that solves."""
        if self.is_symbolic:
            import sympy as sp

            spans = [self.span(m) for m in modalities]
            places = [i for s in spans for i in range(s.start, s.stop)]
            block = sp.Matrix(self.sigma[places, places])
            try:
                inverse = block.inv()
            except sp.matrices.exceptions.NonInvertibleMatrixError:
                names = ", ".join(modalities)
                raise DataError(f"sigma of {names} is singular: with symbols it has to be invertible") from None
            return sp.ImmutableMatrix(self._target[:, places] * inverse).applyfunc(sp.cancel)
        scale, values, vectors, kept = self._spectrum(modalities)
        target = self._target[:, self._columns(modalities)] / scale
        solved = (target @ vectors[:, kept] / values[kept]) @ vectors[:, kept].T / scale
        if not np.all(kept):  # weights never leave the range of Sigma: take the part in null(Sigma) out
            null, _ = np.linalg.qr(vectors[:, ~kept] / scale[:, None])
            solved = solved - (solved @ null) @ null.T
        return frozen(solved)

    def _columns(self, modalities: tuple[str, ...]) -> np.ndarray:
        return np.concatenate([np.arange(len(self.sigma))[self.span(m)] for m in modalities])

    def _spectrum(self, modalities: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Scale, eigenvalues and eigenvectors of the unit-diagonal Sigma of some modalities, and which are not zero.

        The unit diagonal makes rank and condition independent of the units of the columns. That of all is kept; those
        of the many parts would fill the memory.
        """
        if modalities == self.modalities:
            return self._once("spectrum", lambda: self._decomposed(modalities))  # type: ignore[no-any-return]
        return self._decomposed(modalities)

    def _decomposed(self, modalities: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        columns = self._columns(modalities)
        block = self.sigma[np.ix_(columns, columns)]
        scale = np.sqrt(np.abs(np.diag(block)))
        scale = np.where(scale > 0, scale, 1.0)
        values, vectors = np.linalg.eigh(block / scale / scale[:, None])
        return scale, values, vectors, values > RANK_TOLERANCE * len(values) * max(values[-1], 0.0)

    # -- checks --------------------------------------------------------------------------------------

    def _check_sigma(self) -> None:
        diagonal = np.diag(self.sigma)
        if np.any(diagonal < 0):
            i = int(np.argmin(diagonal))
            raise DataError(f"sigma has a negative variance {diagonal[i]:g} at index {i}")
        scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        skew = np.abs(self.sigma - self.sigma.T) / scale / scale[:, None]
        i, j = (int(n) for n in np.unravel_index(int(np.argmax(skew)), skew.shape))
        if skew[i, j] > SYMMETRY_TOLERANCE:
            raise DataError(
                f"sigma is not symmetric: {self.sigma[i, j]:.12g} at ({i}, {j}), {self.sigma[j, i]:.12g} at ({j}, {i})"
            )
        scale, values, vectors, kept = self._spectrum(self.modalities)
        if values[0] < -SYMMETRY_TOLERANCE * values[-1]:
            raise DataError(f"sigma has a negative eigenvalue, {values[0]:.3g} at unit variances")
        target = self._target / scale
        outside = self.norm(target @ vectors[:, ~kept]) if not np.all(kept) else 0.0
        if outside > RANGE_TOLERANCE * max(self.norm(target), 1e-300):
            raise DataError(
                f"sigma_yx lies outside the range of sigma, by {outside / self.norm(target):.3g} of its norm"
            )

    def _store_symbols(self, total: int) -> None:
        import sympy as sp

        sigma = _checked_symbols(self.sigma, "sigma")
        rows = sp.Matrix(_checked_symbols(self.sigma_yx, "sigma_yx"))
        rows = rows.T if rows.shape == (total, 1) and total > 1 else rows
        if sigma.shape != (total, total) or rows.shape[1] != total:
            raise DataError(f"sigma and sigma_yx must have {total} columns, got {sigma.shape} and {rows.shape}")
        if sp.simplify(sigma - sigma.T) != sp.zeros(total, total):
            raise DataError("sigma is not symmetric")
        object.__setattr__(self, "sigma", sigma)
        object.__setattr__(self, "sigma_yx", sp.ImmutableMatrix(rows))
        if self.sigma_yy is None:
            if rows.shape[0] > 1:
                raise DataError("sigma_yy must be given for several symbolic outputs")
            optimum = self._regress(self.modalities)
            object.__setattr__(self, "sigma_yy", sp.cancel((optimum * self.sigma_yx.T)[0, 0]))
            return
        shape = np.shape(np.asarray(self.sigma_yy, dtype=object))
        if shape not in {(), (rows.shape[0],) * 2} or (shape == () and rows.shape[0] > 1):
            wanted = "a number or symbol" if rows.shape[0] == 1 else (rows.shape[0],) * 2
            raise DataError(f"sigma_yy must be {wanted}, got shape {shape}")
        _checked_symbols(self.sigma_yy if shape else [[self.sigma_yy]], "sigma_yy")

    @cached_property
    @usual_floats
    def warnings(self) -> tuple[str, ...]:
        """What a user should know about these statistics before trusting a weight."""
        if self.is_symbolic:
            return ()
        found, spread = [], self._spread
        if np.isinf(spread) and self.rank(self.modalities) < sum(self.rank((m,)) for m in self.modalities):
            kept, samples = self.rank(self.modalities), self.samples.count if self.samples else None
            few = f" ({samples} samples, {len(self.sigma)} inputs)" if samples and samples <= len(self.sigma) else ""
            found.append(
                f"sigma is singular, rank {kept} of {len(self.sigma)}{few}: what is learned depends on the start"
            )
        elif CONDITION_WARNING < spread < np.inf:
            found.append(f"inputs are nearly collinear: condition number {spread:.1e} at unit variances")
        if self.has_mixed_units:
            found.append(
                f"columns are in very different units, or some hardly vary (condition number {self._paces:.1e}, far "
                "less at unit variances): what varies little comes very late; z-score them (--standardize)"
            )
        return tuple(found)

    @property
    def has_mixed_units(self) -> bool:
        """Whether paces lie far apart because of the units of the columns."""
        _, values, _, kept = self._spectrum(self.modalities)
        return bool(np.any(kept)) and self._paces > max(SPREAD_WARNING, UNITS * float(values[-1] / values[kept][0]))

    @property
    def _paces(self) -> float:
        """The condition, or the ratio of variances where the smallest eigenvalues are below the rounding of it."""
        variances = np.diag(self.sigma)
        variances = variances[variances > 0]
        return max(self.condition, float(np.max(variances) / np.min(variances)))

    # -- display -------------------------------------------------------------------------------------

    def _rows(self) -> list[tuple[str, str, str]]:
        show = str if self.is_symbolic else "{:.4g}".format
        return [(m, str(d), show(self.strength(m))) for m, d in self.sizes.items()]

    def __str__(self) -> str:
        rows = [("modality", "inputs", "|Sigma_yx|"), *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in self._rows())
        return f"<table><tr><th>modality</th><th>inputs</th><th>|Sigma_yx|</th></tr>{cells}</table>"


Correlations.__init__.__doc__ = Correlations.__doc__  # a dataclass leaves it empty


def require_problem(network: FusionNetwork, data: Correlations) -> None:
    """Raise a DomainError unless these are a network and correlations of the same modalities, in the same order."""
    for name, value, kind in (("network", network, FusionNetwork), ("data", data, Correlations)):
        if not isinstance(value, kind):
            raise DomainError(f"{name} must be {kind.__name__}, got {type(value).__name__}")
    network.require_modalities(data.modalities)
