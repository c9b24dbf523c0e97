"""The look of every picture, colours and names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files

import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes

LONGEST_NAME = 18  # characters of a name in a picture
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")  # as in the style file


@contextmanager
def house_style() -> Iterator[None]:
    """The style file, for what is drawn inside; the user's own settings are untouched."""
    # loads the backend: if a notebook loaded its own inside, leaving would undo its settings
    plt.draw_if_interactive()
    with as_file(files("dynamics.figures") / "fusion.mplstyle") as style, plt.style.context(str(style)):
        yield


def colour(i: int) -> str:
    """Of the i-th modality in the order of learning."""
    return COLOURS[i % len(COLOURS)]


def legend_above(ax: Axes, columns: int = 2, handles: Sequence[Artist] | None = None) -> None:
    """In the middle above a panel, where it hides nothing."""
    found = ax.get_legend_handles_labels()[0] if handles is None else handles
    ax.legend(handles=found, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, fontsize="small")


def plain(text: str) -> str:
    """A name as it is, cut where it is long: a dollar sign would begin a formula."""
    short = text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."
    return short.replace("$", r"\$")
