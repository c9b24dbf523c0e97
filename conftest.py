"""For all tests and doctests: pictures do not pile up."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _close_pictures() -> Iterator[None]:
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
