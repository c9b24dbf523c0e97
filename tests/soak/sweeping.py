"""Sweeps under kill -9, full disks and several writers: nothing finished is lost, and the same bytes at the end."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.cluster import digest
from dynamics import sweep
from tests.cases import clean_environment
from tests.soak.row import Outcome

BATCH = 512  # points of a batch of two layers of scalars


def spec(batches: int, seed: int) -> str:
    """A sweep of so many batches; `seed` makes the starts fresh."""
    seeds = [seed % 10**6 * 10**5 + i for i in range(BATCH * batches // 5)]
    return f"[data]\nsigma_a = 2.0\nrho = [-0.4, -0.2, 0.0, 0.2, 0.4]\n[start]\nu0 = 1e-4\nseed = {seeds}\n"


def start(store: str, folder: Path, full_at: int | None = None, **environment: str) -> subprocess.Popen[bytes]:
    """The command as a process of its own; the disk is full at one of its writes."""
    program = ["dynamics"] if full_at is None else ["tests.soak.full_disk", str(full_at)]
    return subprocess.Popen(
        [sys.executable, "-m", *program, "sweep", "s.toml", "-o", store],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(**environment),
    )  # fmt: skip


def finished(store: Path) -> dict[str, int]:
    """Batches that are there, and their inodes: a file that is written again has another one."""
    return {p.name: p.stat().st_ino for p in store.glob("batch-*.npz")}


def without_parts(store: Path) -> Path:
    """Of a kill between writing and renaming: never read."""
    for left in store.glob("*.part"):
        left.unlink()
    return store


def measure_kills(count: int, seed: int) -> Outcome:
    """`count` kills at times of their own, then to the end; two batches for each kill."""
    rng, misses = np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "s.toml").write_text(spec(2 * count + 2, seed))
        begin = time.monotonic()
        sweep(folder / "s.toml", folder / "plain")
        whole = time.monotonic() - begin
        store, seen, kills, batches = folder / "store", dict[str, int](), 0, 0
        while kills < count:
            process = start("store", folder=folder)
            while process.poll() is None and len(finished(store)) <= len(seen):
                time.sleep(0.002)
            time.sleep(float(rng.uniform(0, whole / count)))
            process.kill()
            process.communicate()
            now = finished(store)
            misses += [f"kill {kills}: {b} was lost or run again" for b, i in seen.items() if now.get(b) != i]
            kills += process.returncode == -9
            seen = now
            if process.returncode == 0:
                break
        process = start("store", folder=folder)
        _, error = process.communicate()
        if process.returncode:
            misses.append(f"the last run ended with {process.returncode}: {error.decode()[-300:]}")
        now = finished(store)
        misses += [f"{b} was lost or run again" for b, i in seen.items() if now.get(b) != i]
        batches = len(now)
        if list(store.glob("*.damaged*")):
            misses.append("a torn batch was set aside")
        if digest(folder / "plain") != digest(without_parts(store)):
            misses.append("other bytes than those of an undisturbed run")
    if kills < count:
        misses.append(f"only {kills} kills before the sweep was through")
    return Outcome(
        f"{kills} kills, {batches} batches of {BATCH} points, {len(misses)} lost, torn or other bytes", tuple(misses)
    )


def measure_writes(count: int, seed: int) -> Outcome:
    """A disk full at each of the first `count` writes, flushes and renames; then four writers of `count` batches."""
    misses, kept = [], 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "s.toml").write_text(spec(count // 4 + 1, seed))
        sweep(folder / "s.toml", folder / "plain")
        wanted = digest(folder / "plain")
        for n in range(1, count + 1):
            store = folder / f"store-{n}"
            process = start(store.name, folder=folder, full_at=n)
            _, error = process.communicate()
            said = error.decode().strip().splitlines()
            if process.returncode != 1 or "No space left on device" not in said[-1] or "Traceback" in error.decode():
                misses.append(f"full at {n}: exit {process.returncode}: {said[-1:]}")
            seen = finished(store)
            kept += len(seen)
            process = start(store.name, folder=folder)
            process.communicate()
            now = finished(store)
            misses += [f"full at {n}: {b} was lost or run again" for b, i in seen.items() if now.get(b) != i]
            if process.returncode or list(store.glob("*.damaged*")) or digest(without_parts(store)) != wanted:
                misses.append(f"full at {n}: torn, or other bytes than those of an undisturbed run")
        (folder / "s.toml").write_text(spec(count, seed + 1))
        writers = [start("together", folder=folder) for _ in range(4)]
        for process in writers:
            _, error = process.communicate()
            if process.returncode:
                misses.append(f"a writer ended with {process.returncode}: {error.decode()[-300:]}")
        sweep(folder / "s.toml", folder / "alone")
        if digest(folder / "alone") != digest(folder / "together"):
            misses.append("four writers left other bytes than one")
    figure = (
        f"full at {count} writes ({kept} finished batches before it), 4 writers of {count} batches: {len(misses)} lost"
    )
    return Outcome(figure, tuple(misses))


def measure_reproducibility(count: int, seed: int) -> Outcome:
    """A sweep and three commands: one process and two, fork and spawn, four BLAS threads, `count` hash seeds."""
    misses, digests, printed = [], dict[str, str](), set[str]()
    table = ["t.csv", "--modality", "A=a1,a2", "--modality", "B=b", "--json"]
    commands = [["predict", *table], ["simulate", *table, "--seed", str(seed % 1000)], ["derive", "9"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "s.toml").write_text(spec(2, seed))
        rows = np.random.default_rng(seed).normal(size=(30, 4)) @ np.triu(np.ones((4, 4)))
        np.savetxt(folder / "t.csv", rows, delimiter=",", header="a1,a2,b,y", comments="")
        for jobs in (1, 2):
            sweep(folder / "s.toml", folder / f"jobs-{jobs}", jobs=jobs)
            digests[f"{jobs} jobs"] = digest(folder / f"jobs-{jobs}")
        for method in ("fork", "spawn"):
            child = multiprocessing.get_context(method).Process(target=sweep, args=(folder / "s.toml", folder / method))
            child.start()
            child.join()
            digests[method] = digest(folder / method)
        for hashed in range(0, 1000 * count, 1000):
            threads = "4" if hashed else "1"
            words = [*commands, ["sweep", "s.toml", "-o", f"hash-{hashed}"]]
            environment = clean_environment(
                PYTHONHASHSEED=str(hashed), OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads
            )
            code = f"from dynamics.interface.cli import main\nfor words in {words}: main(words)"
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment, check=True
            )
            digests[f"hash seed {hashed}, {threads} BLAS threads asked for"] = digest(folder / f"hash-{hashed}")
            printed.add(done.stdout.replace(f"hash-{hashed}", "hash"))
    if len(printed) > 1:
        misses.append("commands print other text with another hash seed or other threads")
    misses += [f"{how}: other bytes than with one job" for how, d in digests.items() if d != digests["1 jobs"]]
    return Outcome(f"{len(digests)} sweeps and {len(commands)} commands x {count}: {len(misses)} differ", tuple(misses))


GROWTH = """
import resource, sys
from dynamics import sweep
count, seed = int(sys.argv[1]), int(sys.argv[2])
def run(begin, n):
    sweep({"sigma_a": 2.0, "u0": 1e-4, "width": 10, "seed": [begin + i for i in range(n)]})
run(seed, 200)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run(seed + 1000, count)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 / count * 1000)
"""


def measure_growth(count: int, seed: int) -> Outcome:
    """Peak memory of a sweep of `count` points beyond that of one of 200."""
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(count), str(seed % 10**6)],
        capture_output=True, text=True, check=True, env=clean_environment(),
    )  # fmt: skip
    grown = float(done.stdout)
    misses = () if grown <= 5 else (f"{grown:.1f} MB a 1000 points",)
    return Outcome(f"{grown:.2f} MB a 1000 points, over {count}", misses)
