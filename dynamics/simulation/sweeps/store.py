"""A folder of finished batches. Nothing is lost on a kill, nothing torn is read, nothing of another sweep is mixed in.

    manifest.json           format, version of the package, the spec, how many batches
    batch-000012.npz        arrays of one batch, its warnings, and a SHA-256 of both

A file is written beside its place, flushed to the disk, and renamed: it is there whole or not at all. Batches depend on
the spec alone and hold no date, so two writers write the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from derivations import StoreError
from dynamics.files import LONGEST_PATH, packed, plain_file, unpacked, write_whole
from dynamics.messages import shown
from dynamics.provenance import _version
from dynamics.simulation.sweeps.spec import Spec

FORMAT = "fusion-dynamics sweep 2"  # 1 counted weights, not outputs
MANIFEST = "manifest.json"


def open_store(folder: str | os.PathLike[str], spec: Spec, batches: int) -> Path:
    """Make a store, or find one of the same sweep and version; a StoreError if it is another's."""
    try:
        path = Path(folder)
        if not os.fspath(folder) or "\0" in str(path):
            raise ValueError("no name of a folder")
        known = path.is_dir() or not os.path.lexists(path)
    except (TypeError, ValueError, OSError) as error:
        raise StoreError(
            f"store {shown(folder, LONGEST_PATH)}: {error.strerror if isinstance(error, OSError) else error}"
        ) from None
    wanted = {
        "format": FORMAT, "version": _version(), "key": spec.key, "spec": json.loads(spec.canonical()),
        "points": spec.count, "batches": batches,
    }  # fmt: skip
    manifest = path / MANIFEST
    if not known:
        raise StoreError(f"store {str(path)!r}: it is a file, not a folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not manifest.exists():
            foreign = [p.name for p in path.iterdir() if not p.name.endswith(".part")]
            if foreign:
                raise StoreError(f"{str(path)!r} is no store of a sweep: it holds {foreign[0]!r}")
            text = json.dumps(wanted, indent=1, allow_nan=False) + "\n"
            write_whole(manifest, text.encode(), f"store {str(path)!r}: manifest")
            return path
        found = json.loads(plain_file(manifest, "manifest").read_text())
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"store {shown(path, LONGEST_PATH)}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise StoreError(f"store {str(path)!r}: {MANIFEST} is damaged") from None
    for key in ("format", "version", "key"):
        if not isinstance(found, dict) or found.get(key) != wanted[key]:
            other = found.get(key) if isinstance(found, dict) else found
            what = "another sweep" if key == "key" else f"{key} {other!r}"
            raise StoreError(f"store {str(path)!r} is of {what}, not mixed with this one: take another folder")
    return path


def batch_path(store: Path, number: int) -> Path:
    return store / f"batch-{number:06}.npz"


def write_batch(store: Path, number: int, arrays: Mapping[str, np.ndarray], warnings: list[str]) -> None:
    """Whole or not at all; a StoreError where the disk does not take it."""
    write_whole(batch_path(store, number), packed(arrays, warnings), f"store {str(store)!r}: batch {number}")


def read_batch(store: Path, number: int) -> tuple[dict[str, np.ndarray], list[str]] | None:
    """A finished batch; None where there is none. A damaged one is set aside, to be run again."""
    path = batch_path(store, number)
    if not os.path.lexists(path):
        return None
    try:
        return unpacked(path, f"store {str(store)!r}: batch {number}")
    except ValueError:
        set_aside(path)
        return None


def set_aside(path: Path) -> None:
    """Keep a damaged file under another name."""
    for i in range(1000):
        aside = path.with_name(f"{path.name}.damaged-{i}")
        if not aside.exists():
            os.replace(path, aside)
            return
