"""Files that a command writes: looked at before the work, saved after it."""

from __future__ import annotations

import io
import os
from typing import Any

from derivations.errors import DataError, StoreError
from dynamics.files import target_of, write_whole

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
    check_figure(path, "--plot", source)


def save_figure(axes: Any, path: str) -> None:
    """Save what `.plot()` has drawn: axes, or an array of them."""
    import matplotlib.pyplot as plt
    import numpy as np

    figure, stream = np.ravel(axes)[0].figure, io.BytesIO()
    try:
        figure.savefig(stream, format=os.path.splitext(path)[1][1:].lower())
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
