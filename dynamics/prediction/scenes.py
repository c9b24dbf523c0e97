"""What the explorer shows of one setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from derivations import Correlations, DataError, DomainError, FusionNetwork, SolveError
from dynamics.prediction.cautions import close_calls, refuse_large_start
from dynamics.prediction.estimates import Estimate, Missing, leading_estimate
from dynamics.problem import Problem
from dynamics.runs.portraits import Portrait, portrait
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.flow import integrate
from dynamics.simulation.reduced import integrate_reduced
from dynamics.starts.start import random_start
from dynamics.starts.typical import typical_weights
from dynamics.tables import Drawn

RTOL = 1e-3  # of half-times: less than a pixel
MOST_STEPS = 400  # of a random start: a tenth of a second; tiny deep starts that take more are cut, and it is said
ARROWS = 19  # of the phase portrait along each axis


@dataclass(frozen=True, eq=False)
class Scene(Drawn):
    """One setting of the knobs and what follows.

    law : the leading law, aligned start unless it says otherwise; None where there is none
    aligned : the reduced flow; random : the flow of the typical network of a random start of this width
    plane : phase portrait; messages : what is missing, and warnings
    """

    figure: ClassVar[str] = "figures.scenes"

    network: FusionNetwork
    data: Correlations | None
    law: Estimate | None = None
    aligned: Trajectory | None = None
    random: Trajectory | None = None
    plane: Portrait | None = None
    messages: tuple[str, ...] = ()


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
    except (DataError, DomainError) as error:
        return Scene(network, None, messages=(str(error),))
    return scene_of(network, data, u0=u0, width=width)


def scene_of(network: FusionNetwork, data: Correlations, *, u0: float = 1e-3, width: int = 100) -> Scene:
    """The same of any network and data; the plane is of the first two modalities.

    Examples
    --------
    >>> data = Correlations.scalar(2, 1, 0)
    >>> found = scene_of(FusionNetwork.fused_at(2, 2), data, u0=1e-6)
    >>> round(found.aligned.ratio, 1), found.plane.modalities
    (4.0, ('A', 'B'))
    """
    try:
        start = random_start(Problem.of(network, data), u0)
        refuse_large_start(start)
    except (DataError, DomainError) as error:
        return Scene(network, None, messages=(str(error),))
    law = leading_estimate(start)
    messages = [*data.warnings, *close_calls(start), *([law.reason] if isinstance(law, Missing) else law.notes)]
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
    plane = None
    try:
        plane = portrait(network, data, runs=runs, points=ARROWS)
    except DomainError as error:
        messages.append(f"no plane: {error}")
    return Scene(
        network,
        data,
        law if isinstance(law, Estimate) else None,
        found.get("aligned start"),
        found.get("random start"),
        plane,
        tuple(dict.fromkeys(messages)),
    )


def _typical_run(network: FusionNetwork, data: Correlations, u0: float, width: int) -> Trajectory:
    """Gradient flow of the deterministic narrow network that a random one of this width looks like."""
    weights = typical_weights(network, data, u0=u0, width=width)
    return integrate(network, data, weights=weights, exact=True, rtol=RTOL, max_steps=MOST_STEPS)
