"""An explorer for notebooks: turn the knobs of a two-modality problem and see what its network does.

`scene` computes, `figures.scenes` draws, `explore` joins both to ipywidgets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from derivations.correlations import Correlations
from derivations.errors import DataError, DomainError, SolveError
from derivations.network import FusionNetwork
from derivations.saddles import course
from dynamics.cautions import close_calls, refuse_large_start
from dynamics.estimates import Estimate, leading_estimate
from dynamics.flow import integrate
from dynamics.portraits import Portrait, portrait
from dynamics.reduced import integrate_reduced
from dynamics.trajectory import Trajectory
from dynamics.typical import typical_weights
from dynamics.weights import start_norms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RTOL = 1e-3  # of half-times: less than a pixel
MOST_STEPS = 400  # of a random start: a tenth of a second; tiny deep starts that take more are cut, and it is said
ARROWS = 19  # of the phase portrait along each axis
DEEPEST = 6


@dataclass(frozen=True, eq=False)
class Scene:
    """One setting of the knobs and what follows.

    law : the leading law, aligned start unless it says otherwise; None where there is none
    aligned : the reduced flow; random : the flow of the typical network of a random start of this width
    plane : phase portrait; messages : what is missing, and warnings
    """

    network: FusionNetwork
    data: Correlations | None
    law: Estimate | None = None
    aligned: Trajectory | None = None
    random: Trajectory | None = None
    plane: Portrait | None = None
    messages: tuple[str, ...] = ()

    def plot(self) -> Any:
        """Loss, total weights, portrait and time line: the four axes."""
        from dynamics.figures.scenes import draw
        from dynamics.figures.style import axes_of

        return axes_of(draw(self))


def scene(
    *,
    rho: float = 0.5,
    sigma_ratio: float = 2.0,
    w_a: float = 1.0,
    w_b: float = 1.0,
    depth: int = 2,
    fusion_depth: int = 2,
    u0: float = 1e-3,
    width: int = 100,
) -> Scene:
    """Scalar inputs x_A, x_B with sigma_A = `sigma_ratio`, sigma_B = 1 and correlation `rho`, y = w_a x_A + w_b x_B.

    What does not exist at this setting is left out, and `messages` say why.

    Examples
    --------
    >>> found = scene(rho=0.0, u0=1e-6)
    >>> found.aligned.order, round(found.aligned.ratio, 1), round(found.random.ratio, 1)
    (('A', 'B'), 4.0, 4.0)
    """
    network = FusionNetwork.fused_at(depth, min(fusion_depth, depth))
    try:
        data = Correlations.scalar(sigma_ratio, 1.0, rho, (w_a, w_b))
        norms = start_norms(network, u0)
        plan = course(network, data, {m: norms[m] for m in data.modalities}, {})
        refuse_large_start(network, data, norms, plan)
    except (DataError, DomainError) as error:
        return Scene(network, None, messages=(str(error),))
    messages = [*data.warnings, *close_calls(network, data, norms, plan)]
    law = leading_estimate(network, data, norms, plan, messages)
    found: dict[str, Trajectory] = {}
    roads: dict[str, Callable[[], Trajectory]] = {
        "aligned start": lambda: integrate_reduced(network, data, u0=u0, rtol=RTOL),
        "random start": lambda: _typical_run(network, data, u0, width),
    }
    for name, run in roads.items():
        try:
            found[name] = run()
        except (DomainError, SolveError) as error:
            messages.append(f"no {name}: {error}")
    runs = list(found.values())
    messages += [w for run in runs for w in run.warnings]
    plane = portrait(network, data, runs=runs, points=ARROWS)
    return Scene(
        network, data, law, found.get("aligned start"), found.get("random start"), plane, tuple(dict.fromkeys(messages))
    )


def _typical_run(network: FusionNetwork, data: Correlations, u0: float, width: int) -> Trajectory:
    """Gradient flow of the deterministic narrow network that a random one of this width looks like."""
    weights = typical_weights(network, data, u0=u0, width=width)
    return integrate(network, data, weights=weights, exact=True, rtol=RTOL, max_steps=MOST_STEPS)


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
        if self.controls["fusion_depth"].max != self.controls["depth"].value:
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
    from html import escape

    lines = [f"Warning: {message}" for message in now.messages]
    return "".join(f"<p>{escape(line)}</p>" for line in lines) + f"<p><small>{1e3 * seconds:.0f} ms</small></p>"
