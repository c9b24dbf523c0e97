"""Every loader of files from outside as a function of bytes, sound files, and the corpus that fuzzing has grown."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from derivations.errors import DataError, StoreError
from dynamics import Correlations, FusionNetwork, integrate_reduced, load_trajectory, read_table
from dynamics.nonlinear.mnist.idx import read_idx
from dynamics.nonlinear.mnist.runs import run_from
from dynamics.simulation.sweeps.spec import read_spec

SPEC = b"""name = "a"
[network]
depth = 4
fusion_depth = [1, 2]
[data]
sigma_a = 2.0
rho = [-0.5, 0.5]
[start]
u0 = 0.1
seed = [0, 1]
"""
BLOCKS = {"A": ["a1", "a2"], "B": ["b1"]}
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(6, 4)).round(3)
FRAME = pd.DataFrame(TABLE, columns=["a1", "a2", "b1", "y"])

CORPUS = Path(__file__).parents[1] / "data" / "corpus.zip"  # KIND/number; `tests.soak.fuzz --keep` writes it

#: What a loader may raise on a file that is wrong; anything else is a fault of the loader.
EXPECTED = (DataError, StoreError)


def _table(path: Path) -> None:
    read_table(path, "y", BLOCKS)


def _archive(path: Path) -> None:
    read_table(path)


#: Where inputs are written, one after the other: on some disks a file that is replaced takes milliseconds.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
LOADERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "csv": (".csv", _table),
    "csv.gz": (".csv.gz", _table),
    "xlsx": (".xlsx", _table),
    "npz": (".npz", _archive),
    "statistics": (".npz", _archive),
    "npy": (".npy", lambda path: read_table(path, "3", {"A": ["0", "1"], "B": ["2"]})),
    "toml": (".toml", read_spec),
    "trajectory": (".npz", load_trajectory),
    "idx": (".idx", read_idx),
    "idx.gz": (".gz", read_idx),
    "digits": (".json", lambda path: run_from(path.read_text(errors="replace"), str(path))),
    "npz members": (".npz", _archive),
    "xlsx members": (".xlsx", _table),
    "trajectory members": (".npz", load_trajectory),
}
FRAMED = {
    "npz members",
    "xlsx members",
    "trajectory members",
}  # their inputs are members in clear: a fuzzer cannot guess checksums


def framed(archive: bytes) -> bytes:
    """Name and content of each member, each after its length."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    return b"".join(struct.pack(">BI", len(n), len(b)) + n.encode() + b for n, b in members.items())


def archived(frames: bytes) -> bytes:
    """The archive of such members, whatever the bytes are."""
    stream, place = io.BytesIO(), 0
    with zipfile.ZipFile(stream, "w") as file:
        while len(frames) - place >= 5:
            name, size = struct.unpack_from(">BI", frames, place)
            place += 5
            end = place + name
            title = frames[place:end].decode(errors="replace").split("\0")[0] or "empty"
            if title not in file.namelist():
                file.writestr(zipfile.ZipInfo(title), frames[end : end + size])
            place = end + size
    return stream.getvalue()


def _bytes(save: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def seeds(folder: Path) -> dict[str, list[bytes]]:
    """Sound inputs of every kind, small; `folder` is for what only writes to a path."""
    header = b"a1,a2,b1,y\n"
    rows = "\n".join(",".join(map(str, row)) for row in TABLE).encode()
    idx = b"\x00\x00\x08\x03" + struct.pack(">3I", 2, 3, 3) + bytes(range(18))
    run = integrate_reduced(FusionNetwork.fused_at(2, 2), Correlations.scalar(2, 1, 0.5), t_end=1.0, t_eval=[0.5, 1.0])
    run.save(folder / "run.npz")
    digits = next((Path(__file__).parents[2] / "dynamics/nonlinear/mnist/results").glob("*.json")).read_bytes()
    sigma = {"sigma": np.eye(3), "sigma_yx": np.array([1.0, 0.2, 0.5]), "sizes": np.array([2, 1])}
    found = {
        "csv": [
            header + rows,
            b"\xef\xbb\xbf" + header + rows.replace(b"\n", b"\r\n"),
            b'"a1",a2,b1,y\n"1",2,3,4\n5,6,7,9\n',
        ],
        "xlsx": [_bytes(lambda f: FRAME.to_excel(f, index=False))],
        "npz": [_bytes(lambda f: np.savez(f, A=TABLE[:, :2], B=TABLE[:, 2], y=TABLE[:, 3]))],
        "statistics": [_bytes(lambda f: np.savez(f, **sigma)), _bytes(lambda f: np.savez_compressed(f, **sigma))],
        "npy": [_bytes(lambda f: np.save(f, TABLE)), _bytes(lambda f: np.save(f, TABLE.astype(">f4")))],
        "toml": [SPEC],
        "trajectory": [(folder / "run.npz").read_bytes()],
        "idx": [idx, b"\x00\x00\x08\x01" + struct.pack(">I", 4) + b"\x01\x02\x03\x09"],
        "idx.gz": [gzip.compress(idx, mtime=0)],
        "digits": [digits, json.dumps({"format": "x"}).encode()],
    }
    found["csv.gz"] = [gzip.compress(content, mtime=0) for content in found["csv"]]
    found["xlsx members"] = [framed(content) for content in found["xlsx"]]
    found["npz members"] = [framed(content) for content in (*found["npz"], *found["statistics"])]
    found["trajectory members"] = [framed(content) for content in found["trajectory"]]
    return found


def corpus(kind: str) -> list[bytes]:
    """What coverage-guided runs kept of this kind: each reaches code that the others do not."""
    with zipfile.ZipFile(CORPUS) as archive:
        return [archive.read(name) for name in archive.namelist() if name.startswith(f"{kind}/")]


def fed(kind: str, content: bytes, path: Path) -> None:
    """One input: a loader either takes it or refuses it in one line of its own."""
    path.write_bytes(archived(content) if kind in FRAMED else content)
    said = ""
    try:
        LOADERS[kind][1](path)
    except EXPECTED as error:
        said = str(error)
    if "\n" in said or len(said) > 1000:
        raise AssertionError(f"{kind}: not one short line: {said[:300]!r}")
