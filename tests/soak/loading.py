"""Loaders of files from outside: mutants, coverage-guided fuzzing, and gigabytes in bounded memory."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.cases import clean_environment
from tests.soak.fuzz import LARGEST
from tests.soak.loaders import LOADERS, MEMORY, fed, seeds
from tests.soak.row import Outcome

EDGES = (b"\xff\xff\xff\xff", b"\x00" * 4, b"1e999", b"nan", b"-1", b"9" * 20, b"[[[[", b'"')
MOST_MB = 300


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
                found[place : place + 4] = EDGES[int(rng.integers(len(EDGES)))]
            case _:
                other = others[int(rng.integers(len(others)))]
                start = int(rng.integers(len(other)))
                found[place:place] = other[start : start + 10 * size]
    return bytes(found)


def broken_by_mutants(kind: str, count: int, seed: int) -> list[str]:
    """What goes wrong with `count` mutants of the sound files of this kind; one line each, with the input."""
    rng = np.random.default_rng([seed, list(LOADERS).index(kind)])
    misses = []
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        sound = seeds(Path(folder))
        path = Path(folder) / f"input{LOADERS[kind][0]}"
        others = [content for contents in sound.values() for content in contents]
        for content in sound[kind]:
            fed(kind, content, path)
        for i in range(count):
            content = mutant(sound[kind][i % len(sound[kind])], others if i % 3 == 0 else sound[kind], rng)
            try:
                fed(kind, content, path)
            except Exception as error:
                misses.append(f"{kind}, mutant {i}: {type(error).__name__}: {error}; input {content[:300]!r}")
    return misses


def measure_fuzz(count: int, seed: int) -> Outcome:
    """`count` runs of each loader under atheris, and a fifth as many blind mutants."""
    if importlib.util.find_spec("atheris") is None:
        return Outcome("not run", ("atheris is not installed: pip install atheris",))
    misses, found = [], []
    for kind in LOADERS:
        done = subprocess.run(
            [sys.executable, "-m", "tests.soak.fuzz", kind, str(count), "--seed", str(1 + seed % 2**31)],
            capture_output=True, text=True, errors="replace", env=clean_environment(), check=False,
        )  # fmt: skip
        numbers = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
        cover = re.findall(r"cov: (\d+)", done.stderr)
        memory, runs = (int(numbers.get(name, 0)) for name in ("peak_rss_mb", "number_of_executed_units"))
        found.append(f"{kind} {runs} ({cover[-1] if cover else 0} edges, {memory} MB)")
        if done.returncode or runs < count or memory > LARGEST:
            misses.append(f"{kind}: exit {done.returncode}: {' '.join(done.stderr[-600:].split())}")
        misses += broken_by_mutants(kind, count // 5, seed)
    return Outcome("; ".join(found), tuple(misses))


#: Peak of this process alone; what getrusage tells includes the parent's at the time of the fork.
READER = """
import pathlib, sys
from dynamics import read_table
data = read_table(sys.argv[1], "y", {"A": ["a1", "a2"], "B": ["b"]}, standardize=True)
assert data.samples is None
status = pathlib.Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


def measure_csv(count: int, seed: int) -> Outcome:
    """A CSV of `count` MB, standardized: peak memory of the process that reads it."""
    rows = np.random.default_rng(seed).normal(size=(20_000, 4))
    body = "\n".join(",".join(map(repr, row)) for row in rows.tolist()) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.csv"
        with path.open("w") as stream:
            stream.write("a1,a2,b,y\n")
            while stream.tell() < count * 10**6:
                stream.write(body)
        done = subprocess.run(
            [sys.executable, "-c", READER, str(path)],
            capture_output=True,
            text=True,
            check=True,
            env=clean_environment(),
        )
    peak = float(done.stdout)
    misses = () if peak <= MOST_MB else (f"{peak:.0f} MB for {count} MB of CSV",)
    return Outcome(f"{count} MB of CSV read in {peak:.0f} MB", misses)
