"""Faults that an attack once found, as kinds: each case is a fresh variant, drawn from a seed."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np

from derivations import DataError, DomainError, SolveError, StoreError
from dynamics import Correlations, FusionNetwork, Recipe, integrate_reduced, predict, read_table, sweep
from dynamics.interface.cli import main
from dynamics.simulation.sweeps.spec import read_spec
from tests.soak.row import Outcome

OWN = (DataError, DomainError, SolveError, StoreError)
NET, SIZES = FusionNetwork.fused_at(2, 2), {"A": 1, "B": 1}
LONGEST_MESSAGE, SLOWEST = 400, 5.0  # characters, seconds of CPU
CONTROL = "\x1b\x07\x9b\u202e\u2066\u200f\n\r"
MAGIC = (b"PK\x03\x04", b"PAR1", b"%PDF-1.4", b"\x89HDF\r\n", b"\xd0\xcf\x11\xe0", b"\x93NUMPY", b"7z\xbc\xaf")
ENCODINGS = ("ascii", "latin-1", "cp1252", "utf-16", "cp037", "big5", "koi8-r", "shift_jis", "cp437", "iso8859-7")


def refused(call: Callable[[], object]) -> str | None:
    """What is wrong with the refusal; None where it is one line of an own kind."""
    try:
        call()
    except OWN as error:
        told = str(error)
        return None if "\n" not in told and 0 < len(told) < LONGEST_MESSAGE else f"says {told[:200]!r}"
    except Exception as error:
        return f"traceback: {type(error).__name__}: {error}"[:200]
    return "accepted silently"


def rows(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, noise = rng.normal(size=(3, 30))
    return a, b, 2 * a + b + 0.1 * noise


def pick(rng: np.random.Generator, *choices: object) -> object:
    return choices[int(rng.integers(len(choices)))]


def key(rng: np.random.Generator, folder: Path) -> str | None:
    """A key of thousands of parts, in any of TOML's ways of writing one."""
    count = int(10 ** rng.uniform(2, 5))
    part = str(pick(rng, "a", '"a"', "'a.b'", '"\\""', "k-1"))
    dots = str(pick(rng, ".", " . ", "\t.")).join([part] * count)
    text = str(pick(rng, "{} = 1", "[{}]", "[[{}]]", "x = {{ {} = 1 }}", "y = [\n{{ {} = 1 }}]", '"=" .{} = 1'))
    (folder / "s.toml").write_text(text.format(dots)[: 2**20])
    return refused(lambda: read_spec(folder / "s.toml"))


def grid(rng: np.random.Generator, folder: Path) -> str | None:
    """More points, or groups of them, than are run: counted before they are made."""
    names = ("seed", "width", "depth", "sigma_a")
    chosen = [str(n) for n in rng.permutation(names)[: int(rng.integers(2, 5))]]
    given = {n: range(1, int(10 ** rng.uniform(3.6, 7.5))) for n in chosen}
    return refused(lambda: sweep({"sigma_a": 2.0, "fusion_depth": 1, **given}))


def number(rng: np.random.Generator, folder: Path) -> str | None:
    """Integers beyond what Python prints, and text that is long."""
    digits = int(rng.integers(4301, 9000))
    name = str(pick(rng, "seed", "width", "depth", "sigma_a", "network", "layout", "name", "k" * digits))
    value = str(pick(rng, "9" * digits, "-" + "9" * 4000, "0x" + "f" * digits, "'" + "k" * digits + "'"))
    (folder / "s.toml").write_text(f"{name} = {value}\n")
    return refused(lambda: read_spec(folder / "s.toml"))


def mask(rng: np.random.Generator, folder: Path) -> str | None:
    """A masked entry, at any depth of lists."""
    a, b, y = rows(rng)
    held = np.ma.masked_array(a, rng.random(30) < 0.1)
    held[int(rng.integers(30))] = np.ma.masked
    block = pick(rng, held, list(held), [np.ma.masked_array([v], [m]) for v, m in zip(a, held.mask, strict=True)])
    given = {"inputs": {"A": a, "B": b}, "targets": y}
    if rng.random() < 0.3:
        given["targets"] = held
    else:
        given["inputs"] = {"A": block, "B": b}
    return refused(lambda: Correlations.from_samples(**given))


def foreign(rng: np.random.Generator, folder: Path) -> str | None:
    """Samples that are not those of the moments: of another sign, unit, order, draw."""
    a, b, y = rows(rng)
    data = Correlations.from_samples({"A": a, "B": b}, y)
    factor = float(pick(rng, -1.0, 1.001, 3.0))
    other = pick(rng, ({"A": factor * a, "B": b}, y), ({"A": a, "B": b}, factor * y), ({"A": b, "B": a}, y),
                 ({"B": a, "A": b}, y), ({"A": a, "B": b}, rng.permutation(y)), ({"A": a}, y))  # fmt: skip
    samples = Correlations.from_samples(*other).samples
    known = pick(rng, data.sigma_yy, None)
    return refused(lambda: Correlations(data.sigma, data.sigma_yx, SIZES, known, samples=samples))


def indexes(rng: np.random.Generator, folder: Path) -> str | None:
    """Series in another order are brought into the first one's; of other rows they are refused."""
    import pandas as pd

    a, b, y = rows(rng)
    label = pd.Index(rng.permutation(1000)[:30])
    series = pd.Series(b, label).sample(frac=1, random_state=int(rng.integers(2**31)))
    given = {"A": pd.Series(a, label), "B": series}
    if rng.random() < 0.5:
        series.index = [*series.index[:-1], -1]
        return refused(lambda: Correlations.from_samples(given, y))
    found = Correlations.from_samples(given, pd.Series(y, label))
    return None if np.allclose(found.sigma, Correlations.from_samples({"A": a, "B": b}, y).sigma) else "joined wrongly"


def units(rng: np.random.Generator, folder: Path) -> str | None:
    """Units change the clock alone, though the caller has every remark of NumPy and Python raised."""
    a, b, y = rows(rng)
    scale = float(10 ** rng.uniform(-150, 90))
    plain = integrate_reduced(NET, Correlations.from_samples({"A": a, "B": b}, y), u0=1e-3)
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny = integrate_reduced(
            NET, Correlations.from_samples({"A": a * scale, "B": b * scale}, y), u0=1e-3 / scale**0.5
        )
        again = predict(NET, Correlations.scalar(2, 1, 0.5), recipe=Recipe(weight_decay=10 ** rng.uniform(-300, -3)))
    same = np.allclose([tiny.times[m] * scale for m in "AB"], [plain.times[m] for m in "AB"], rtol=1e-4)
    return None if same and again.order == ("A", "B") else f"another answer at units of {scale:.3g}"


def table(rng: np.random.Generator, folder: Path) -> str | None:
    """What is no table of text is named; infinite cells are, too, and no byte of it is quoted."""
    a, b, y = rows(rng)
    lines = [f"{p},{q},{r}" for p, q, r in zip(a, b, y, strict=True)]
    lines[int(rng.integers(30))] = f"{pick(rng, '-inf', 'inf', '1e999', '-Infinity')},1,2"
    text = "a,b,y\n" + "\n".join(lines)
    magic = MAGIC[int(rng.integers(len(MAGIC)))] + rng.bytes(200)
    (folder / "t.csv").write_bytes(magic if rng.random() < 0.7 else text.encode(str(pick(rng, "utf-8", "utf-16"))))
    return refused(lambda: read_table(folder / "t.csv", "y", {"A": ["a"], "B": ["b"]}))


def name(rng: np.random.Generator, folder: Path) -> str | None:
    """Signs that command a terminal: refused in names of columns and modalities."""
    a, b, y = rows(rng)
    odd = "x" + CONTROL[int(rng.integers(len(CONTROL)))] + "[31m"
    column = {"columns": {"A": (odd,), "B": ("b",)}} if rng.random() < 0.5 else {}
    return refused(lambda: Correlations.from_samples({"A" if column else odd: a, "B": b}, y, **column))


def shown(rng: np.random.Generator, folder: Path) -> str | None:
    """Any encoding of a terminal shows any output."""
    stream = io.TextIOWrapper(io.BytesIO(), str(pick(rng, *ENCODINGS)))
    with patch.object(sys, "stdout", stream):
        status = main(["table", "1"] if rng.random() < 0.5 else ["predict", "--explain"])
    return None if status == 0 else f"exit {status}"


KINDS = (key, grid, number, mask, foreign, indexes, units, table, name, shown)


def measure(count: int, seed: int) -> Outcome:
    """`count` variants, as many of each kind."""
    misses, slowest = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            kind, begin = KINDS[i % len(KINDS)], time.process_time()
            try:
                wrong = kind(np.random.default_rng([seed, i]), Path(folder))
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"[:200]
            spent = time.process_time() - begin
            slowest = max(slowest, spent)
            wrong = wrong or (f"{spent:.1f} s of CPU" if spent > SLOWEST else None)
            misses += [f"{kind.__name__}, case {i}: {wrong}"] if wrong else []
    return Outcome(
        f"{count} variants of {len(KINDS)} kinds, {len(misses)} not as told; slowest {slowest:.1f} s of CPU",
        tuple(misses),
    )


SPEC = {"sigma_a": 2.0, "u0": 1e-3, "width": [3, 4, 5, 6], "seed": [0, 1]}  # four batches of two points
HARMS = ("flip", "cut", "swap", "foreign", "manifest flip", "manifest cut", "manifest gone")


def harmed(store: Path, other: Path, rng: np.random.Generator) -> str:
    """One harm to a store; says which."""
    harm = HARMS[int(rng.integers(len(HARMS)))]
    batches = sorted(store.glob("batch-*.npz"))
    victim, second = (batches[i] for i in rng.permutation(len(batches))[:2])
    target = store / "manifest.json" if harm.startswith("manifest") else victim
    content = bytearray(target.read_bytes())
    if harm.endswith("flip"):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    elif harm.endswith("cut"):
        del content[int(rng.integers(len(content))) :]
    elif harm == "swap":
        content = bytearray(second.read_bytes())
        second.write_bytes(target.read_bytes())
    elif harm == "foreign":
        content = bytearray((other / victim.name).read_bytes())
    target.write_bytes(content)
    if harm == "manifest gone":
        target.unlink()
    return harm


def measure_stores(count: int, seed: int) -> Outcome:
    """A store with one harm gives the same numbers and the sound batches are not run again; or it is refused."""
    misses, refusals = [], 0
    with tempfile.TemporaryDirectory() as name:
        sound, other, store = (Path(name, which) for which in ("sound", "other", "store"))
        wanted = sweep(SPEC, sound)
        sweep({**SPEC, "u0": 2e-3}, other)
        kept = {p.name: p.read_bytes() for p in sound.iterdir()}
        for i in range(count):
            shutil.copytree(sound, store)
            harm = harmed(store, other, np.random.default_rng([seed, i]))
            before = {p.name: p.stat().st_ino for p in store.glob("batch-*.npz") if p.read_bytes() == kept[p.name]}
            try:
                if not sweep(SPEC, store).identical(wanted):
                    misses.append(f"case {i}: {harm}: other numbers")
            except StoreError:  # a flip in the manifest that makes it another version's or sweep's
                refusals += 1
                misses += [] if harm == "manifest flip" else [f"case {i}: {harm}: refused"]
            except Exception as error:
                misses.append(f"case {i}: {harm}: {type(error).__name__}: {error}"[:200])
            after = {p.name: p.stat().st_ino for p in store.glob("batch-*.npz")}
            misses += [f"case {i}: {harm}: {b} was lost" for b, inode in before.items() if after.get(b) != inode]
            shutil.rmtree(store)
    figure = f"{count} harmed stores, {refusals} refused, {len(misses)} accepted silently, lost or stopped"
    return Outcome(figure, tuple(misses))
