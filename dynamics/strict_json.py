"""What `--json` prints: results as strict JSON knows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np


def finite(value: float) -> float | str | None:
    """A number as strict JSON holds it: infinities by name, nan as null."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def strict(value: Any) -> Any:
    """Results by their own `to_dict` or by their fields, arrays and tuples as lists, numbers by `finite`."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {f.name: strict(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): strict(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return strict(value.tolist())
    if isinstance(value, list | tuple):
        return [strict(one) for one in value]
    return finite(value) if isinstance(value, float) else value


def told(result: Any, names: str) -> dict[str, Any]:
    """Some attributes of a result, by name, in this order."""
    return {name: strict(getattr(result, name)) for name in names.split()}
