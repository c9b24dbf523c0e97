"""The house is in order, and a planted fault of each kind is found."""

import shutil
from pathlib import Path

import pytest

from tests import wings
from tests.cases import ROOT


def test_imports_point_down_the_wings_and_no_files_form_a_circle() -> None:
    assert wings.faults(ROOT) == []


def test_folders_are_small_and_few_modules_are_loose() -> None:
    sizes = wings.sizes(ROOT)
    assert sizes["dynamics"] <= 9
    assert sizes["derivations"] <= 9
    assert max(sizes.values()) <= 26


@pytest.mark.parametrize(
    ("place", "line", "fault"),
    [
        ("dynamics/runs/itinerary.py", "from dynamics.simulation import march", "imports dynamics.simulation.march"),
        ("dynamics/runs/itinerary.py", "def f():\n    import dynamics.interface.cli", "imports dynamics.interface.cli"),
        ("derivations/network.py", "from dynamics import files", "imports dynamics.files"),
        ("dynamics/data/arrays.py", "from dynamics.starts import weights", "imports dynamics.starts.weights"),
        ("dynamics/runs/half_times.py", "from dynamics.runs import trajectory", "circle: dynamics.runs."),
        ("dynamics/simulation/flow.py", "import matplotlib", "imports matplotlib"),
        ("dynamics/starts/weights.py", "import sympy as sp", "imports sympy"),
        ("dynamics/prediction/predicting.py", "from dynamics import descend", "imports dynamics"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, place: str, line: str, fault: str) -> None:
    for package in ("derivations", "dynamics"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "results"))
    with open(tmp_path / place, "a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    assert any(fault in found for found in wings.faults(tmp_path)), wings.faults(tmp_path)
