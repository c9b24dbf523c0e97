"""Real data sets with two blocks of columns and a target, from packages that ship them (extra `data`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from derivations import Correlations, DataError

Blocks = tuple[dict[str, Any], Any, dict[str, tuple[str, ...]]]  # inputs, target, names of the columns


def _needs(package: str, error: ImportError) -> DataError:
    return DataError(f"this example needs {package}: pip install 'fusion-dynamics[data]' ({error})")


def _diabetes() -> Blocks:
    """442 patients: body (age, sex, bmi, blood pressure) and serum (s1-s6) -> progression after a year."""
    try:
        from sklearn.datasets import load_diabetes
    except ImportError as error:
        raise _needs("scikit-learn", error) from None
    bunch = load_diabetes(scaled=False)
    names = {"body": tuple(bunch.feature_names[:4]), "serum": tuple(bunch.feature_names[4:])}
    return {"body": bunch.data[:, :4], "serum": bunch.data[:, 4:]}, bunch.target, names


def _linnerud() -> Blocks:
    """20 men: exercise (chin-ups, sit-ups, jumps) and body (weight, waist) -> pulse."""
    try:
        from sklearn.datasets import load_linnerud
    except ImportError as error:
        raise _needs("scikit-learn", error) from None
    bunch = load_linnerud()
    names = {"exercise": tuple(bunch.feature_names), "body": tuple(bunch.target_names[:2])}
    return {"exercise": bunch.data, "body": bunch.target[:, :2]}, bunch.target[:, 2], names


def _star98() -> Blocks:
    """303 Californian school districts: demographics (4) and school (8) -> share above the national median in maths."""
    try:
        from statsmodels.datasets import star98
    except ImportError as error:
        raise _needs("statsmodels", error) from None
    frame = star98.load_pandas().data
    demographics = ["LOWINC", "PERASIAN", "PERBLACK", "PERHISP"]
    school = ["PERMINTE", "AVYRSEXP", "AVSALK", "PERSPENK", "PTRATIO", "PCTAF", "PCTCHRT", "PCTYRRND"]
    share = frame["NABOVE"] / (frame["NABOVE"] + frame["NBELOW"])
    names = {"demographics": tuple(demographics), "school": tuple(school)}
    return {m: frame[list(columns)].to_numpy() for m, columns in names.items()}, np.asarray(share), names


EXAMPLES: dict[str, Callable[[], Blocks]] = {"diabetes": _diabetes, "star98": _star98, "linnerud": _linnerud}


def load_example(name: str, standardize: bool = True) -> Correlations:
    """Correlations of a real data set with two blocks of columns.

    diabetes (body, serum), star98 (demographics, school) or linnerud (exercise, body).

    Parameters
    ----------
    standardize : z-score every column and the target (the raw units differ)

    Raises
    ------
    DataError
        On an unknown name, or without the packages of the extra `data`.

    Examples
    --------
    >>> print(load_example("linnerud"))
    modality  inputs  |Sigma_yx|
    exercise  3       0.2731
    body      2       0.5082
    """
    if not isinstance(name, str) or name not in EXAMPLES:
        raise DataError(f"example must be one of {', '.join(EXAMPLES)}, got {name!r}")
    inputs, target, columns = EXAMPLES[name]()
    return Correlations.from_samples(inputs, target, standardize, columns)
