"""For all tests and doctests: nothing piles up; what is made once stays in one process; the long begin early."""

import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes of as many threads as there are cores hinder each other

#: What asks the ledger for all its statuses: a process finds them in seconds, and then knows them.
LEDGER = (
    "tests/test_equations.py",
    "tests/test_planted.py",
    "tests/dynamics/interface/test_report.py",  # whose pages have statuses
    "tests/dynamics/interface/test_cli.py::test_derive",
    "tests/test_house.py::test_every_scalar_law",
    "tests/test_house.py::test_the_readme_counts_the_ledger",
    "tests/test_house.py::test_the_readmes_commands_run[fusion-dynamics derive",
)
#: Files whose tests share nothing that is worth keeping together.
APART = (
    "tests/test_soak.py",
    "tests/test_house.py",
    "tests/test_properties.py",
    "tests/dynamics/simulation/sweeps/test_sweeps.py",
    "tests/dynamics/starts/test_typical.py",
)
#: The longest first, so that none of them is left for the end and runs alone.
LONG = (
    "ledger",
    "tests/test_soak.py",
    "tests/dynamics/simulation/sweeps/test_sweeps.py",
    "tests/dynamics/prediction/test_prescription.py",
    "tests/dynamics/paper/test_reproduction.py",
    "tests/test_house.py",
    "tests/dynamics/starts/test_typical.py",
    "tests/dynamics/interface/test_cli.py",
)


def group_of(nodeid: str) -> str:
    """Tests that go to one process: the ledger's, else those of a file; in files of APART each by itself."""
    file = nodeid.partition("::")[0]
    return "ledger" if nodeid.startswith(LEDGER) else nodeid if file in APART else file


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda item: next((i for i, long in enumerate(LONG) if group_of(item.nodeid).startswith(long)), len(LONG))
    )


def pytest_collection_finish() -> None:
    """What was imported stays: it need not be looked through for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Grouped(config, log)


@pytest.fixture(autouse=True)
def _leave_nothing() -> Iterator[None]:
    yield
    if "derivations.equations" in sys.modules:
        sys.modules["derivations.equations"].REGISTERED.clear()
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
