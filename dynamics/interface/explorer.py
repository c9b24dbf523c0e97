"""An explorer: turn the knobs of a fusion network and see what it does, in a notebook or in a browser without one.

`scene` computes, `figures.scenes` draws, `explore` joins both to ipywidgets; `explorer_page` shows the same knobs on a
page of its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from numbers import Real
from typing import TYPE_CHECKING, Any

from derivations import DomainError
from dynamics.checks import told
from dynamics.prediction.scenes import Scene, scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEEPEST = 6
STILL = "Sliders need a running kernel; without one: fusion-dynamics explore"


@dataclass(frozen=True)
class Knob:
    """A slider: what it is called, from where to where, in which steps; of a `power` the exponents of ten."""

    words: str
    start: float
    low: float
    high: float
    step: float = 1
    power: bool = False
    form: str = ".2f"

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return self.step == 1


NETWORK = {
    "depth": Knob("depth L", 2, 2, DEEPEST, form="d"),
    "fusion_depth": Knob("fusion depth L_f", 2, 1, 2, form="d"),
    "u0": Knob("u0", 1e-3, -6, -0.3, 0.1, power=True, form=".1e"),
    "width": Knob("width", 100, 2, 1000, form="d"),
}
#: By the names of `scene`'s parameters.
KNOBS = {
    "rho": Knob("correlation", 0.5, -0.98, 0.98, 0.02),
    "sigma_ratio": Knob("sigma_A / sigma_B", 2.0, -0.6, 0.7, 0.02, power=True),
    "w_a": Knob("w_A", 1.0, -2, 2, 0.1),
    "w_b": Knob("w_B", 1.0, -2, 2, 0.1),
    **NETWORK,
}


class Picture:
    """A PNG that is an output of its own, so that a stored notebook keeps it; live it changes in place."""

    def __init__(self) -> None:
        self.value = b""
        self._places: list[Any] = []

    def turn(self, value: bytes) -> None:
        """Show another one, everywhere it is shown."""
        self.value = value
        for place in self._places:
            place.update(self)

    def show(self) -> None:
        """In the output that runs now."""
        from IPython.display import display

        self._places.append(display(self, display_id=True))

    def _repr_png_(self) -> bytes:
        return self.value


@dataclass(frozen=True, eq=False)
class Explorer:
    """Widgets: `controls` by the names of `scene`'s parameters, `words` below them, as `box`; and a `picture`."""

    controls: Mapping[str, Any]
    picture: Picture
    words: Any
    box: Any
    figure: Figure = field(repr=False)

    @property
    def values(self) -> dict[str, Any]:
        """What the controls say now, as arguments of `scene`."""
        return {name: control.value for name, control in self.controls.items()}

    def update(self) -> float:
        """Compute and draw anew; the seconds that took."""
        from dynamics.figures.scenes import draw_on, picture_of

        begin = time.perf_counter()
        self.controls["fusion_depth"].max = self.controls["depth"].value
        now = scene(**self.values)
        draw_on(self.figure, now)
        self.picture.turn(picture_of(self.figure))
        seconds = time.perf_counter() - begin
        self.words.value = words_below(now, seconds)
        return seconds

    def _ipython_display_(self) -> None:
        """Sliders where a kernel runs; the picture is left where none does."""
        from IPython.display import display

        display({**self.box._repr_mimebundle_(), "text/plain": STILL}, raw=True)
        self.picture.show()


def explore(**start: Any) -> Explorer:
    """Sliders for correlation, scales, weights, depth, fusion, u0 and width, in a notebook; needs ipywidgets.

    Where no kernel runs (the stored file, a page made of it) the picture is left. Without a notebook:
    `fusion-dynamics explore`.

    Parameters
    ----------
    start : where the sliders begin, by the names of `scene`'s parameters

    Raises
    ------
    DomainError
        On a name that is no parameter, or where ipywidgets is missing.

    Examples
    --------
    >>> knobs = explore(rho=0.2, depth=3)
    >>> knobs.controls["fusion_depth"].value = 3
    >>> knobs.values["rho"], knobs.values["fusion_depth"], bytes(knobs.picture.value[1:4])
    (0.2, 3, b'PNG')
    """
    try:
        import ipywidgets as widgets
    except ImportError as error:
        raise DomainError("explore needs ipywidgets: pip install 'fusion-dynamics[notebooks]'") from error
    from dynamics.figures.scenes import blank

    look = {"style": {"description_width": "8.5em"}, "layout": {"width": "24em"}, "continuous_update": True}
    controls = {}
    for name, knob in KNOBS.items():
        kind = widgets.IntSlider if knob.whole else widgets.FloatLogSlider if knob.power else widgets.FloatSlider
        controls[name] = kind(
            knob.start,
            min=knob.low,
            max=knob.high,
            step=knob.step,
            description=knob.words,
            readout_format=knob.form,
            **look,
        )
    for name, value in sorted(start.items(), key=lambda pair: pair[0] != "depth"):  # which bounds that of the fusion
        if name not in controls:
            raise DomainError(f"explore knows {', '.join(controls)}, got {name!r}")
        low, high = controls[name].min, controls[name].max
        low, high = (10**low, 10**high) if KNOBS[name].power else (low, high)
        if not isinstance(value, Real) or not low <= value <= high:
            raise DomainError(f"{name} must be between {low:g} and {high:g}, got {told(value)}")
        controls[name].value = value
        if name == "depth":
            controls["fusion_depth"].max = value
    words, knobs = widgets.HTML(), list(controls.values())
    columns = widgets.HBox([widgets.VBox(knobs[:4]), widgets.VBox(knobs[4:])])
    explorer = Explorer(controls, Picture(), words, widgets.VBox([columns, words]), blank())
    for control in controls.values():
        control.observe(lambda change: explorer.update(), names="value")
    explorer.update()
    return explorer


def words_below(now: Scene, seconds: float) -> str:
    """Warnings, and how long it took."""
    lines = [f"<p>{escape(f'Warning: {message}')}</p>" for message in now.messages]
    return "".join(lines) + f"<p><small>{1e3 * seconds:.0f} ms</small></p>"
