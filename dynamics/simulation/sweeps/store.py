"""A folder of finished batches. Nothing is lost on a kill, nothing torn is read, nothing of another sweep is mixed in.

    manifest.json           format, version of the package, the spec, how many batches
    batch-000012.npz        arrays of one batch, its warnings, whose it is, and a SHA-256 of all

A file is written beside its place, flushed to the disk, and renamed: it is there whole or not at all. Batches depend on
the spec alone and hold no date, so two writers write the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from derivations import StoreError
from dynamics.files import LONGEST_PATH, arrays_of, packed, plain_file, unpacked, write_whole
from dynamics.messages import shown
from dynamics.provenance import _version
from dynamics.simulation.sweeps.spec import Spec

FORMAT = "fusion-dynamics sweep 3"  # 2 had no place in a batch, 1 counted weights, not outputs
MANIFEST = "manifest.json"
OWN = ("batch-", MANIFEST)  # names of a store's files, damaged ones too


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
    if not known:
        raise StoreError(f"store {str(path)!r}: it is a file, not a folder")
    manifest, text = path / MANIFEST, json.dumps(wanted, indent=1) + "\n"
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not manifest.exists():
            foreign = [p.name for p in path.iterdir() if not (p.name.endswith(".part") or p.name.startswith(OWN))]
            if foreign:
                raise StoreError(f"{str(path)!r} is no store of a sweep: it holds {foreign[0]!r}")
            _require_own(path, spec)
            write_whole(manifest, text.encode(), f"store {str(path)!r}: manifest")
            return path
        found = _manifest(manifest)
        if found is None:  # damaged: batches know whose they are, so that it can be made again
            _require_own(path, spec)
            set_aside(manifest)
            write_whole(manifest, text.encode(), f"store {str(path)!r}: manifest")
            return path
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"store {shown(path, LONGEST_PATH)}: {error.strerror or error}") from None
    for key in ("format", "version", "key"):
        if found.get(key) != wanted[key]:
            what = "another sweep" if key == "key" else f"{key} {found.get(key)!r}"
            raise StoreError(f"store {str(path)!r} is of {what}, not mixed with this one: take another folder")
    return path


def _require_own(path: Path, spec: Spec) -> None:
    """Refuse a folder without a manifest whose sound batches are all of another sweep."""
    places = []
    for batch in sorted(path.glob("batch-??????.npz")):
        with suppress(Exception), arrays_of(batch) as file:  # NumPy leaks many kinds
            places.append(file["place"].tobytes().decode())
    if places and not any(f" {spec.key} " in place for place in places):
        raise StoreError(f"store {str(path)!r} is of another sweep, not mixed with this one: take another folder")


def _manifest(path: Path) -> dict[str, Any] | None:
    """What a manifest says; None where it is damaged."""
    try:
        found = json.loads(plain_file(path, "manifest").read_bytes())
    except (ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and {"format", "version", "key"} <= set(found)
    return found if whole else None


def batch_path(store: Path, number: int) -> Path:
    return store / f"batch-{number:06}.npz"


def write_batch(store: Path, spec: Spec, number: int, arrays: Mapping[str, np.ndarray], warnings: list[str]) -> None:
    """Whole or not at all; a StoreError where the disk does not take it."""
    content = packed(arrays, warnings, _place(spec, number))
    write_whole(batch_path(store, number), content, f"store {str(store)!r}: batch {number}")


def _place(spec: Spec, number: int) -> str:
    """Of which sweep and version a batch is, and which one."""
    return f"{FORMAT} {_version()} {spec.key} {number}"


def read_batch(store: Path, spec: Spec, number: int) -> tuple[dict[str, np.ndarray], list[str]] | None:
    """A finished batch; None where there is none. One that is damaged or in another's place is set aside."""
    path = batch_path(store, number)
    if not os.path.lexists(path):
        return None
    try:
        return unpacked(path, f"store {str(store)!r}: batch {number}", _place(spec, number))
    except ValueError:
        set_aside(path)
        return None


def set_aside(path: Path) -> None:
    """Keep a damaged file under another name."""
    for i in range(1000):
        aside = path.with_name(f"{path.name}.damaged-{i}")
        if not aside.exists():
            try:
                os.replace(path, aside)
            except OSError as error:
                raise StoreError(f"{path.name} is damaged and cannot be set aside: {error.strerror}") from None
            return
