"""An explorer for notebooks: turn the knobs of a two-modality problem and see what its network does.

`scene` computes, `figures.scenes` draws, `explore` joins both to ipywidgets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from derivations import DomainError
from dynamics.prediction.scenes import Scene, scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEEPEST = 6


@dataclass(frozen=True, eq=False)
class Explorer:
    """Widgets: `controls` by the names of `scene`'s parameters, a `picture`, `words` below it; shown as `box`."""

    controls: Mapping[str, Any]
    picture: Any
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
        self.picture.value = picture_of(self.figure)
        seconds = time.perf_counter() - begin
        self.words.value = _words(now, seconds)
        return seconds

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.box)


def explore(**start: Any) -> Explorer:
    """Sliders for correlation, scales, weights, depth, fusion, u0 and width, in a notebook; needs ipywidgets.

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

    look = {"style": {"description_width": "7.5em"}, "layout": {"width": "20em"}, "continuous_update": True}
    controls = {
        "rho": widgets.FloatSlider(0.5, min=-0.98, max=0.98, step=0.02, description="correlation", **look),
        "sigma_ratio": widgets.FloatLogSlider(
            2.0, min=-0.6, max=0.7, step=0.02, description="sigma_A / sigma_B", **look
        ),
        "w_a": widgets.FloatSlider(1.0, min=-2, max=2, step=0.1, description="w_A", **look),
        "w_b": widgets.FloatSlider(1.0, min=-2, max=2, step=0.1, description="w_B", **look),
        "depth": widgets.IntSlider(2, min=2, max=DEEPEST, description="depth L", **look),
        "fusion_depth": widgets.IntSlider(2, min=1, max=2, description="fusion depth L_f", **look),
        "u0": widgets.FloatLogSlider(1e-3, min=-6, max=-0.3, step=0.1, description="u0", readout_format=".1e", **look),
        "width": widgets.IntSlider(100, min=2, max=1000, description="width", **look),
    }
    for name, value in start.items():
        if name not in controls:
            raise DomainError(f"explore knows {', '.join(controls)}, got {name!r}")
        if name == "depth":
            controls["fusion_depth"].max = value
        controls[name].value = value
    picture, words = widgets.Image(format="png"), widgets.HTML()
    knobs = widgets.VBox(list(controls.values()))
    box = widgets.VBox([widgets.HBox([knobs, picture]), words])
    explorer = Explorer(controls, picture, words, box, blank())
    for control in controls.values():
        control.observe(lambda change: explorer.update(), names="value")
    explorer.update()
    return explorer


def _words(now: Scene, seconds: float) -> str:
    lines = [f"<p>{escape(f'Warning: {message}')}</p>" for message in now.messages]
    return "".join(lines) + f"<p><small>{1e3 * seconds:.0f} ms</small></p>"
