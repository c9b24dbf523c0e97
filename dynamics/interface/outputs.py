"""What a command writes: JSON, what it is doing, and files, looked at before the work and saved after it."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from derivations import DataError, StoreError
from dynamics.files import target_of, write_whole
from dynamics.messages import aside

FIGURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".eps", ".tif", ".tiff", ".webp")


def check_figure(path: str, flag: str = "--plot", source: str | None = None) -> None:
    """Before the work: whether a figure can be saved there."""
    folder, name = os.path.split(path)
    if not name.lower().endswith(FIGURES):
        raise DataError(f"{flag} must end in {', '.join(FIGURES)}, got {path!r}")
    if not os.path.isdir(folder or "."):
        raise DataError(f"{flag}: no folder {folder!r}")
    check_target(path, flag, source)


def draw_to_files(path: str, source: str | None = None) -> None:
    """Before the work: no window, and whether the figure can be saved."""
    import matplotlib

    matplotlib.use("Agg")
    logging.getLogger("matplotlib.mathtext").setLevel(logging.ERROR)  # `save_figure` says what no font has
    check_figure(path, "--plot", source)


def save_figure(axes: Any, path: str) -> None:
    """Save what `.plot()` has drawn: axes, or an array of them."""
    import matplotlib.pyplot as plt
    import numpy as np

    figure, stream = np.ravel(axes)[0].figure, io.BytesIO()
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            figure.savefig(stream, format=os.path.splitext(path)[1][1:].lower())
        if any("Glyph" in str(one.message) for one in told):
            say("some signs of the names are in no font of the figure, which shows boxes: --modality NAME=... renames")
    except ValueError as error:
        raise StoreError(f"figure not saved to {path!r}: {error}") from None
    finally:
        plt.close(figure)
    write_whole(path, stream.getvalue(), "figure")


def check_target(path: str, flag: str = "-o", source: str | None = None) -> None:
    """Before the work: whether a file can be written there, and that it is not the one that is read."""
    target_of(path, flag)
    if source is not None and os.path.exists(path) and os.path.exists(source) and os.path.samefile(path, source):
        raise DataError(f"{flag} {path!r} is the file that is read: give another name")


def as_json(document: Any) -> str:
    return json.dumps(document, indent=2, allow_nan=False)


def answer(text: object, save: Callable[[], None] | None = None, end: str = "\n") -> None:
    """Printed first, so that a file that cannot be saved loses no answer; saved whether or not the reader of what is
    printed has left, as in `| head`."""
    try:
        print(text, end=end, flush=True)
    finally:
        if save is not None:
            save()


def say(line: str) -> None:
    """On standard error."""
    aside(f"  {line}")


def at_work(what: str = "") -> Callable[[str], None]:
    """Says what is being done."""
    return lambda line: say(f"{what}{line} ...")


def finished_counter(what: str = "members") -> Callable[[int, int], None]:
    """How many have finished, on standard error, once for each tenth."""
    told = [0]

    def tell(finished: int, total: int) -> None:
        if finished == total or finished >= told[0] + total / 10:
            told[0] = finished
            end = "\n" if finished == total or not sys.stderr.isatty() else "\r"
            aside(f"  {finished} of {total} {what}", end)

    return tell
