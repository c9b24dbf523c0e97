"""For all tests and doctests: pictures do not pile up; what is made once stays in one process; the long begin early."""

import sys
from collections.abc import Iterator

import pytest

#: What asks the ledger for all its statuses: a process finds them in seconds, and then knows them.
LEDGER = (
    "tests/test_equations.py",
    "tests/test_planted.py",
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
    "tests/dynamics/interface/test_report.py",
    "tests/test_soak.py",
    "tests/dynamics/simulation/sweeps/test_sweeps.py",
    "tests/dynamics/prediction/test_prescription.py",
    "tests/dynamics/paper/test_reproduction.py",
    "tests/test_house.py",
    "tests/dynamics/starts/test_typical.py",
    "tests/dynamics/interface/test_cli.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups for `--dist=loadgroup`: the ledger's, else a file each; tests of files in APART by themselves."""
    places = {}
    for item in items:
        file = item.nodeid.partition("::")[0]
        group = "ledger" if item.nodeid.startswith(LEDGER) else file
        if group not in APART:
            item.add_marker(pytest.mark.xdist_group(group))
        places[item] = LONG.index(group) if group in LONG else len(LONG)
    items.sort(key=places.__getitem__)


@pytest.fixture(autouse=True)
def _close_pictures() -> Iterator[None]:
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
