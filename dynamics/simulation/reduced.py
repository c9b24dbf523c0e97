"""The reduced flow with saturation, integrated from an aligned balanced start: exact for that start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from derivations import Correlations, FusionNetwork
from dynamics.checks import checked_rtol
from dynamics.problem import Problem
from dynamics.recipe import MODULATED, Recipe
from dynamics.runs.trajectory import Trajectory
from dynamics.simulation.asked import as_asked
from dynamics.simulation.narrowed import LOOSE, narrowed
from dynamics.simulation.reduced_system import reduced_run
from dynamics.starts.recipes import trained


def integrate_reduced(
    network: FusionNetwork,
    data: Correlations,
    *,
    u0: float | Mapping[str, float] = 1e-3,
    t_end: float | None = None,
    t_eval: Any = None,
    rtol: float = 1e-9,
    max_steps: int = 100_000,
    recipe: Recipe | None = None,
) -> Trajectory:
    """Integrate the reduced flow, equation (44) with saturation, from an aligned balanced start.

    State: the first-layer row v_m of each modality, |v_m| = u_m; the norms after a fusion follow from the
    conserved u_c^2 - sum of the children's u^2, (41). dv_m/dt = gain_m e_m, gain_m = |w_m|/u_m
    (`derivations.flow.reduction.gains`). Exact for any width and for vector inputs. Several outputs: every
    weight of the narrowest network with the modes of Sigma_yx (152), exact for any width, depth and tree from this
    start; `modes` of the run say when each is learned.

    Parameters
    ----------
    u0 : norm of every layer before a fusion at t = 0, or chain name -> norm
    t_end : in units of tau; None runs until all is learned and the loss has settled
    t_eval : times to store instead of the integrator's own steps
    rtol : relative tolerance of the integrator; of many inputs, run along few directions, at least LOOSE, and
        `monitors["inputs"]` of the run is what these miss of the half-times (`dynamics.simulation.narrowed`)
    recipe : how it is trained. Changes of the data and weight decay keep the reduction; modulated encoders, or a trunk
        off (41) with decay, are run as the narrowest network that starts so

    Raises
    ------
    DomainError
        Where the aligned start is undefined (Sigma_yx_m = 0; for several outputs, one that lacks a mode that its
        weights have in the end), or weights leave the range of floats.
    SolveError
        If the integrator fails.

    Examples
    --------
    >>> net = FusionNetwork.fused_at(depth=2, fusion_depth=2)
    >>> run = integrate_reduced(net, Correlations.scalar(2, 1, 0.5), u0=1e-9)
    >>> {m: round(t, 4) for m, t in run.times.items()}
    {'A': 4.167, 'B': 20.7087}
    """
    asked = trained(network, data, u0, recipe, MODULATED, "the reduced flow")
    return as_asked(
        asked, reduced_flow(asked.problem, asked.u0, t_end=t_end, t_eval=t_eval, rtol=rtol, max_steps=max_steps)
    )


def reduced_flow(
    problem: Problem,
    u0: float | Mapping[str, float],
    *,
    t_end: float | None = None,
    t_eval: Any = None,
    rtol: float = 1e-9,
    max_steps: int = 100_000,
    excess: float | None = None,
) -> Trajectory:
    """The same of a problem, many inputs along few directions; it ends at a share `excess` of the loss."""
    narrow = narrowed(problem, u0)
    here, tolerance = problem, rtol
    if narrow is not None:
        here, tolerance = problem.on(narrow.data), max(checked_rtol(rtol), LOOSE)
    run = reduced_run(
        here, u0, t_end=t_end, t_eval=t_eval, rtol=tolerance, max_steps=max_steps, excess=excess
    )  # fmt: skip
    return run if narrow is None else narrow.widened(run)
