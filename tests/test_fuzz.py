"""Mutants of sound files, and inputs that once broke a loader: taken or refused in one line, nothing else."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.loaders import LOADERS, fed, seeds

SAVED = Path(__file__).parent / "data" / "fuzz"
EDGES = (b"\xff\xff\xff\xff", b"\x00" * 4, b"1e999", b"nan", b"-1", b"9" * 20, b"[[[[", b'"')
COUNT = 20_000 if os.environ.get("SOAK") else 600


def mutant(content: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """A few flips, cuts, repetitions, insertions, numbers at the edge of their range, or another file's piece."""
    found = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        place, size = int(rng.integers(len(found) + 1)), int(rng.integers(1, 20))
        match rng.integers(6):
            case 0 if found:
                found[place % len(found)] ^= 1 << int(rng.integers(8))
            case 1:
                del found[place : place + size]
            case 2:
                found[place:place] = found[place : place + size] * int(rng.integers(1, 30))
            case 3:
                found[place:place] = rng.bytes(size)
            case 4:
                edge = (
                    b"\xff\xff\xff\xff",
                    b"\x00" * 4,
                    b"1e999",
                    b"nan",
                    b"-1",
                    b"99999999999999999999",
                    b"[[[[",
                    b'"',
                )
                found[place : place + 4] = edge[int(rng.integers(len(edge)))]
            case _:
                other = others[int(rng.integers(len(others)))]
                start = int(rng.integers(len(other)))
                found[place:place] = other[start : start + 10 * size]
    return bytes(found)


@pytest.mark.parametrize("kind", list(LOADERS))
def test_mutants_are_taken_or_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(list(LOADERS).index(kind))
    sound = seeds(tmp_path)
    path = tmp_path / f"input{LOADERS[kind][0]}"
    others = [content for contents in sound.values() for content in contents]
    for content in sound[kind]:
        fed(kind, content, path)
    for i in range(COUNT):
        chosen = sound[kind][i % len(sound[kind])]
        content = mutant(chosen, others if i % 3 == 0 else sound[kind], rng)
        try:
            fed(kind, content, path)
        except Exception as error:
            pytest.fail(f"{kind}, mutant {i}: {type(error).__name__}: {error}; input {content[:300]!r}")


@pytest.mark.parametrize(
    "saved", sorted(SAVED.glob("*/*")) if SAVED.is_dir() else [], ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_what_once_broke_a_loader(saved: Path, tmp_path: Path) -> None:
    kind = saved.parent.name
    fed(kind, saved.read_bytes(), tmp_path / f"input{LOADERS[kind][0]}")


def test_sound_files_are_taken(tmp_path: Path) -> None:
    """A loader that refused everything would pass the rest."""
    for kind, contents in seeds(tmp_path).items():
        path = tmp_path / f"sound{LOADERS[kind][0]}"
        path.write_bytes(contents[0])
        LOADERS[kind][1](path)
