"""Real data sets with two blocks of columns and a target.

Two stand in `tables/`, so that a command does not load scikit-learn for them; star98, whose author keeps all rights,
comes from statsmodels (extra `data`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from derivations import Correlations, DataError

Blocks = tuple[dict[str, Any], Any, dict[str, tuple[str, ...]]]  # inputs, target, names of the columns


def _kept(name: str, sizes: dict[str, int]) -> Blocks:
    """A table that stands beside this module: its first columns are the blocks, its last one is the target."""
    head, *rows = (Path(__file__).parent / "tables" / f"{name}.csv").read_text(encoding="utf-8").split()
    values, named = np.array([row.split(",") for row in rows], dtype=float), head.split(",")
    ends = list(accumulate(sizes.values(), initial=0))
    spans = {m: slice(*ends[i : i + 2]) for i, m in enumerate(sizes)}
    return {m: values[:, s] for m, s in spans.items()}, values[:, -1], {m: (*named[s],) for m, s in spans.items()}


def _diabetes() -> Blocks:
    """442 patients: body (age, sex, bmi, blood pressure) and serum (s1-s6) -> progression after a year.

    Efron, Hastie, Johnstone and Tibshirani (2004), the columns of scikit-learn's `load_diabetes(scaled=False)`.
    """
    return _kept("diabetes", {"body": 4, "serum": 6})


def _linnerud() -> Blocks:
    """20 men: exercise (chin-ups, sit-ups, jumps) and body (weight, waist) -> pulse.

    Tenenhaus (1998), the columns of scikit-learn's `load_linnerud`.
    """
    return _kept("linnerud", {"exercise": 3, "body": 2})


def _star98() -> Blocks:
    """303 Californian school districts: demographics (4) and school (8) -> share above the national median in maths."""
    try:
        from statsmodels.datasets import star98
    except ImportError as error:
        needs = "this example needs statsmodels: pip install 'fusion-dynamics[data]'"
        raise DataError(f"{needs} ({error})") from None
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
        On an unknown name; star98 without the package of the extra `data` that ships it.

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
