"""What identifies data and program in a provenance."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version

from derivations import Correlations


def origin_of(data: Correlations) -> dict[str, str]:
    """What identifies data and program in a provenance."""
    digest = hashlib.sha256(data.sigma.tobytes() + data.sigma_yx.tobytes()).hexdigest()
    return {"data": digest[:16], "version": _version()}


@cache
def _version() -> str:
    return version("fusion-dynamics")
