"""Numbers from the leading-order laws of `derivations.times.any_branches`, in logarithms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from scipy.integrate import quad

from derivations import Correlations, DomainError, FusionNetwork
from derivations.critical.saddles import drive
from derivations.network import TRUNK
from dynamics.prediction.laws import written
from dynamics.starts.start import Start

FAR = 60.0  # e^-60 of an integral is left out


def of_branches(law: str, first_depth: float, second_depth: float, end: str = "") -> Callable[..., float]:
    """A law of two branches, which has a form of its own at two layers."""
    depths = ("2" if depth == 2 else "n" for depth in (first_depth, second_depth))
    found: Callable[..., float] = getattr(written, f"{law}_{''.join(depths)}{end}")
    return found


@lru_cache(maxsize=4096)
def log_integral(
    first_depth: float,
    second_depth: float,
    shared: float,
    lead: float,
    log_starts: tuple[float, float] = (-1.0, -1.0),
) -> float:
    """ln of the time integral (115); (13), (58) at equal depths and starts, (60) at equal starts.

    Parameters
    ----------
    first_depth, second_depth, shared : L_A, L_B >= 2 and L_c >= 0 layers
    lead : K of (113), 0 <= K <= 1; k at equal depths and starts
    log_starts : ln u_A(0), ln u_B(0); only their difference matters at depths > 2

    With x = e^y the integrand falls like e^(-(L-2) y); it is scaled by its value at y = 0, since
    2^(-L_c/2) alone underflows for deep networks. Error below 1e-11.

    Examples
    --------
    >>> round(math.exp(log_integral(2, 2, 2, 0.5)), 12) == round(1 - math.log(2), 12)
    True
    """
    decay = first_depth + shared - 2
    if not (first_depth >= 2 and second_depth >= 2 and shared >= 0 and decay > 0 and 0 <= lead <= 1):
        raise DomainError(
            "the time integral needs L_A, L_B >= 2, L_A + L_c > 2 and 0 <= K <= 1, "
            f"got L_A = {first_depth}, L_B = {second_depth}, L_c = {shared}, K = {lead}"
        )
    log_height = of_branches("log_integrand", first_depth, second_depth)
    rest = (first_depth, second_depth, shared, lead, 1 - lead, *log_starts)
    end = -log_starts[0] if first_depth == 2 < second_depth else math.inf
    try:
        top = log_height(0.0, *rest)
        stop = 1 / decay
        while stop < end and log_height(stop, *rest) > top - FAR:
            stop *= 1.5
        stop = min(stop, end)
        apart = log_starts[1] - log_starts[0]  # where x passes u_B, if B starts larger
        marks = (0.02, 0.1, 0.35, *((apart / stop,) if 0 < apart < stop else ()))
        value, error = quad(
            lambda z: math.exp(log_height(z * stop, *rest) - top),
            0.0,
            1.0,
            epsabs=0.0,
            epsrel=1e-13,
            limit=400,
            points=marks,
        )
    except OverflowError:
        raise DomainError(f"starts e^{log_starts[0]:.4g} and e^{log_starts[1]:.4g} are too far apart") from None
    if error > 1e-11 * value:
        raise DomainError(f"the time integral at {rest} is known to {error / value:.1e} only")
    return float(top + math.log(value * stop))


@lru_cache(maxsize=256)
def saturation(depth: int) -> float:
    """C_L of (117): what the end of a transition adds to its half-time, in units of U^(2-L); L > 2."""
    end = written.saturation_end(depth)
    value, _ = quad(written.saturation_integrand, 0.0, end, (depth,), epsabs=0.0, epsrel=1e-13)
    return float(value + written.saturation_rest(depth))


@lru_cache(maxsize=4096)
def log_rotation(cosine: float, fusion_depth: float) -> float:
    """ln R(cos, L_f) for vector inputs, L_f > 2: the time that B's first layer needs to turn; 0 at cos = 1."""
    if cosine >= 1 - 1e-15:
        return 0.0
    if cosine <= -1:
        return math.inf
    angle = math.acos(cosine)
    value, _ = quad(
        written.rotation_integrand, 0.0, 1.0, args=(angle, fusion_depth), epsabs=0.0, epsrel=1e-13, limit=200
    )
    return math.log(value)


@dataclass(frozen=True)
class TwoBranches:
    """What the laws of two modalities need to know of network and data; A is learned first, B second.

    first_depth, second_depth, shared : L_A, L_B, L_c
    log_starts : ln u_A(0), ln u_B(0)
    """

    first: str
    second: str
    first_depth: int
    second_depth: int
    shared: int
    log_starts: tuple[float, float]
    a: float
    k: float
    g: float
    r: float
    cosine: float
    scalar: bool

    @property
    def flips(self) -> bool:
        """The scalar residual of B has the sign opposite to Sigma_yx_B."""
        return self.scalar and self.cosine < 0

    @property
    def random(self) -> bool:
        """No aligned start learns B: it flips, or Sigma_yx_B is zero. The law is that of a random start."""
        return self.flips or self.k == 0

    @property
    def depth(self) -> int:
        """Layers from A to the output."""
        return self.first_depth + self.shared

    @property
    def alike(self) -> bool:
        """Equal depths and starts: the paper's network."""
        return self.first_depth == self.second_depth and self.log_starts[0] == self.log_starts[1]

    @classmethod
    def of(
        cls, network: FusionNetwork, data: Correlations, order: tuple[str, ...], norms: Mapping[str, float]
    ) -> TwoBranches:
        """Raises DomainError where no law of the paper holds, saying why."""
        if len(network.modalities) != 2 or data.outputs != 1:
            count, outputs = len(network.modalities), data.outputs
            raise DomainError(f"the laws are for two modalities and one output, not {count} and {outputs}")
        if data.strength(order[0]) == 0:
            raise DomainError("Sigma_yx is zero: there is nothing to learn")
        if network.is_early_fusion:
            raise DomainError("early fusion has no t_A, t_B law: it learns both modalities in one transition")
        depths = network.depths
        if 1 in depths.values():
            raise DomainError(f"the laws need at least two layers before the fusion, got {depths}")
        rule = math.hypot(*(norms[m] for m in network.modalities))
        if network.trunk.depth and not math.isclose(norms[TRUNK], rule, rel_tol=1e-9):
            raise DomainError(f"the laws need a trunk at {rule:.6g}, by (41), got u0['trunk'] = {norms[TRUNK]:.6g}")
        for m in network.modalities:
            if not 0 < norms[m] < 1:
                raise DomainError(f"the laws need u0 between 0 and 1, got {norms[m]:g} for {m}")
        first, second = order
        residual = data.residual_block(second, (first,))
        target = data.target_block(second)
        a, b = data.strength(first), data.strength(second) if data.has_signal(second) else 0.0
        _, r = drive(data, second, data.regression((first,)))  # 0 where it is only rounding
        cosine = float((residual / r @ target.T / b).item()) if b > 0 and r > 0 else 1.0
        return cls(
            first,
            second,
            depths[first],
            depths[second],
            network.trunk.depth,
            (math.log(norms[first]), math.log(norms[second])),
            a,
            b / a if a else math.nan,
            data.norm(data.regression((first,))[first]),
            r,
            max(-1.0, min(1.0, cosine)),
            data.sizes[second] == 1,
        )

    @property
    def _logs(self) -> dict[str, float]:
        return {"log_u_A": self.log_starts[0], "log_u_B": self.log_starts[1]}

    def _by(self, law: str, end: str = "") -> Callable[..., float]:
        return of_branches(law, self.first_depth, self.second_depth, end)

    @cached_property
    def log_lead(self) -> float:
        """ln K, (113): how far B has come, of its own way, when A is through."""
        if self.k == 0:
            return -math.inf
        if self.alike:
            return math.log(self.k)
        depths = {"L_A": self.first_depth, "L_B": self.second_depth}
        return self._by("log_lead")(log_k=math.log(self.k), **self._logs, **depths)

    @property
    def lead(self) -> float:
        """K, at most 1: beyond it the other modality would be first."""
        return math.exp(min(self.log_lead, 0.0))

    def log_first(self) -> float:
        """ln t_A: (8a), (48), (56a), (115)."""
        return _log_first(self.depth, self.a, self.log_starts[0], self.log_i if self.depth > 2 else math.nan)

    @cached_property
    def log_i(self) -> float:
        """ln I, (115); depth > 2."""
        return log_integral(self.first_depth, self.second_depth, self.shared, self.lead, self.log_starts)

    def log_lag(self, printed: bool = False) -> float:
        """ln (t_B - t_A): (8b), (54), (56b), (116); `printed` leaves out sign and rotation. inf if r = 0."""
        return self._later(printed, self._by("log_lag"), {})

    def log_excess(self, printed: bool = False) -> float:
        """ln (t_B/t_A - 1): (9), (12), (57), (59). Powers of the start cancel before they are taken."""
        if self.depth == 2:
            return self.log_lag(printed) - self.log_first()
        law = self._by("log_excess", "_alike" if self.log_starts[0] == self.log_starts[1] else "")
        return self._later(printed, law, {"log_a": math.log(self.a), "log_I": self.log_i})

    def _later(self, printed: bool, law: Callable[..., float], more: dict[str, float]) -> float:
        """ln of the lag, or of what has it as a factor."""
        if self.r == 0:
            return math.inf
        c = -1.0 if self.flips and not printed else 1.0
        if 1 - c * self.lead <= 0:
            return -math.inf
        turns = self.second_depth > 2 and not printed and not self.scalar
        log_r = log_rotation(self.cosine, self.second_depth) if turns else 0.0
        logs = {"log_g": math.log(self.g), "log_r": math.log(self.r), "log_R": log_r, **self._logs, **more}
        depths = {"L_A": self.first_depth, "L_B": self.second_depth, "L_c": self.shared}
        return law(**logs, **depths, K=self.lead, c=c)


def alone(begin: Start) -> tuple[tuple[str, ...], float]:
    """Numbers of the law and ln t for a single modality: (8a), or (48) with (106)."""
    network, data, norms = begin.problem.network, begin.problem.data, begin.norms
    (m,) = network.modalities
    depth, start = network.depths[m] + network.trunk.depth, norms[m]
    if data.outputs != 1 or data.strength(m) == 0:
        raise DomainError(f"the laws are for one output and a Sigma_yx that is not zero, got {data.outputs} outputs")
    if depth == 1:
        raise DomainError("one layer is plain regression: it has no wait and no law")
    if not 0 < start < 1 or (network.trunk.depth and norms[TRUNK] != start):
        raise DomainError(f"the laws need one u0 between 0 and 1, got {dict(norms)}")
    log_i = -math.log(depth - 2) if depth > 2 else math.nan
    log_time = _log_first(depth, data.strength(m), math.log(start), log_i)
    return ("8a",) if depth == 2 else ("48",), log_time


def _log_first(depth: int, strength: float, log_start: float, log_i: float) -> float:
    """ln t_A, from ln I at depth > 2."""
    if depth == 2:
        return math.log(written.first_at_depth_2(math.exp(log_start), strength))
    return written.log_first(log_start, math.log(strength), log_i, depth)
