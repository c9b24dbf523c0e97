"""Mutants of sound files, and inputs that once broke a loader: taken or refused in one line, nothing else."""

from pathlib import Path

import numpy as np
import pytest

from derivations import DataError
from dynamics import read_table
from tests.soak.loaders import FRAMED, LOADERS, archived, corpus, fed, seeds
from tests.soak.loading import broken_by_mutants

UNGROWN = {"csv.gz", "xlsx", "xlsx members"}  # no coverage-guided run has had them yet
SAVED = Path(__file__).parent / "data" / "fuzz"


@pytest.mark.parametrize("kind", list(LOADERS))
def test_mutants_are_taken_or_refused_in_one_line(kind: str) -> None:
    assert broken_by_mutants(kind, 250, 0) == []


@pytest.mark.parametrize(
    "saved", sorted(SAVED.glob("*/*")) if SAVED.is_dir() else [], ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_what_once_broke_a_loader(saved: Path, tmp_path: Path) -> None:
    kind = saved.parent.name
    fed(kind, saved.read_bytes(), tmp_path / f"input{LOADERS[kind][0]}")


def test_text_beyond_unicode_is_refused(tmp_path: Path) -> None:
    """NumPy hands out strings of such code points that Python cannot even show."""
    beyond = np.frombuffer(np.array([0x680000, 65], dtype="<u4").tobytes(), dtype="<U1")
    np.savez(tmp_path / "t.npz", x=np.arange(2.0), z=np.arange(2.0), label=beyond)
    fields = np.zeros(2, dtype=[("x", float), ("z", float), ("label", "U1")])
    fields["label"] = beyond
    np.save(tmp_path / "t.npy", fields)
    for file in ("t.npz", "t.npy"):
        with pytest.raises(DataError, match="beyond Unicode"):
            read_table(tmp_path / file, "label", {"A": ["x"], "B": ["z"]})


@pytest.mark.parametrize("kind", [kind for kind in LOADERS if kind not in UNGROWN])
def test_what_fuzzing_has_grown_is_taken_or_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    grown = corpus(kind)
    assert len(grown) > 10
    for content in grown:
        fed(kind, content, tmp_path / f"input{LOADERS[kind][0]}")


def test_sound_files_are_taken(tmp_path: Path) -> None:
    """A loader that refused everything would pass the rest."""
    for kind, contents in seeds(tmp_path).items():
        path = tmp_path / f"sound{LOADERS[kind][0]}"
        path.write_bytes(archived(contents[0]) if kind in FRAMED else contents[0])
        LOADERS[kind][1](path)
