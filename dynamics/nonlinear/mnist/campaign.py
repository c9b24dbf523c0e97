"""Many trainings in one folder: what is missing is trained, what is there is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from time import monotonic

from derivations import StoreError
from dynamics.files import write_whole
from dynamics.nonlinear.mnist.checkpoints import claimed
from dynamics.nonlinear.mnist.runs import DigitRun, run_from
from dynamics.nonlinear.mnist.setting import FUSIONS, Setting, require_torch
from dynamics.nonlinear.mnist.training import Prepared, Progress, train_digits


def train_missing(
    family: Setting,
    data: Prepared,
    store: Path,
    *,
    seeds: Sequence[int],
    max_epochs: int,
    fusions: Sequence[int] = FUSIONS,
    threads: int = 1,
    progress: Progress = lambda line: None,
) -> list[DigitRun]:
    """All runs of these seeds and fusion depths, seed after seed; each is written to `store` once it is done.

    A run that another process is at is left to it, and left out of what is returned. `threads` is set for all of
    PyTorch; the bytes of a run are the same for the same number of them.
    """
    require_torch().set_num_threads(threads)
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"store {str(store)!r}: {error}") from None
    found = []
    for seed in seeds:
        for fusion in fusions:
            setting = replace(family, fusion_depth=fusion, seed=seed, images=len(data.train), data=data.digest)
            run = _one(setting, data, store, max_epochs, progress)
            if run is not None:
                found.append(run)
    return found


def _one(setting: Setting, data: Prepared, store: Path, max_epochs: int, progress: Progress) -> DigitRun | None:
    """From its file, if that is of this setting and goes far enough; else trained."""
    target, checkpoint = store / f"{setting.name}.json", store / f"{setting.name}.npz"

    def tell(line: str) -> None:
        progress(f"{setting.network}, fusion {setting.fusion_depth}, seed {setting.seed}: {line}")

    with claimed(store / f"{setting.name}.lock") as mine:
        known = _stored(target)
        if known is not None and (known.learned or known.t[-1] >= max_epochs):
            return known
        if not mine:
            tell("another process is at it")
            return None
        begin = monotonic()
        run = train_digits(setting, data, max_epochs=max_epochs, checkpoint=checkpoint, progress=tell)
        write_whole(target, run.to_json().encode(), "run")
        if run.learned:
            checkpoint.unlink(missing_ok=True)
        ratio = f"ratio {run.ratio:.3f}" if run.learned else f"not learned in {run.t[-1]:.0f} epochs"
        tell(f"{ratio}, {monotonic() - begin:.0f} s")
    return run


def _stored(path: Path) -> DigitRun | None:
    try:
        return run_from(path.read_text(), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{str(path)!r} not read: {error}") from None


def shipped() -> list[DigitRun]:
    """The runs that come with the package."""
    folder = files("dynamics.nonlinear.mnist") / "results"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json"))
    return [run_from((folder / name).read_text(), name) for name in names]


def stored(folder: Path) -> list[DigitRun]:
    """The finished runs of a store."""
    if not folder.is_dir():
        raise StoreError(f"store: no folder {str(folder)!r}")
    found = [_stored(path) for path in sorted(folder.glob("*.json"))]
    return [run for run in found if run is not None]
