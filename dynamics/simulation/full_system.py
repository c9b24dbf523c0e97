"""The flow of every weight, as the march needs it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from derivations import Correlations, FusionNetwork
from derivations.critical.saddles import Course
from derivations.flow import gradient_flow
from derivations.terms import Terms
from dynamics.runs.trajectory import losses
from dynamics.simulation.batch.kernel import Kernel
from dynamics.simulation.modulation import encoders, shares
from dynamics.simulation.rest import Rest
from dynamics.simulation.system import System
from dynamics.starts.weights import Weights, count

LARGEST_KERNEL = 300  # weights up to which a dense Jacobian, made in one call, pays
TINY = 1e-20  # complex step of a derivative, as a share of a weight's typical size


def pack(data: Correlations, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Modality -> (outputs, d) as one (outputs, D)."""
    return np.hstack([blocks[m] for m in data.modalities])


class _Form(NamedTuple):
    """The weights as a vector, and the flow of it; norms(vector) are those of `layers`.

    sizes : of each entry, where velocity and norms take many states (n, K) at once, complex ones, too
    sensitivity : else, where the state is large
    """

    start: np.ndarray
    velocity: Callable[[np.ndarray], np.ndarray]
    total: Callable[[np.ndarray], np.ndarray]
    unpack: Callable[[np.ndarray], Weights]
    layers: list[tuple[str, int]]
    norms: Callable[[np.ndarray], np.ndarray]
    sizes: Callable[[np.ndarray], np.ndarray] | None = None
    sensitivity: Callable[[np.ndarray], np.ndarray] | None = None


def _wide(network: FusionNetwork, data: Correlations, weights: Weights, terms: Terms) -> _Form:
    """By matrix products, one state at a time."""
    layers = [(name, i) for name, own in weights.items() for i in range(len(own))]
    ends = np.cumsum([weights[name][i].size for name, i in layers])
    begins = ends - [weights[name][i].size for name, i in layers]
    spans = [slice(*span) for span in zip(begins.tolist(), ends.tolist(), strict=True)]
    places = [(name, span, weights[name][i].shape) for (name, i), span in zip(layers, spans, strict=True)]
    decay = np.concatenate([np.full(weights[name][i].size, terms.decay_of(name)) for name, i in layers])
    kept, modulated = shares([data]), encoders(network)
    owner = np.concatenate([
        np.full(weights[name][i].size, data.modalities.index(modulated[name, i]) if (name, i) in modulated else -1)
        for name, i in layers
    ])  # fmt: skip
    sigma, target = np.asarray(data.sigma), np.atleast_2d(data.sigma_yx)
    blocks = {m: data.span(m) for m in data.modalities}

    def views(state: np.ndarray) -> Weights:
        found: Weights = {name: [] for name in weights}
        for name, span, shape in places:
            found[name].append(state[span].reshape(shape))
        return found

    def moved(current: Weights, error: np.ndarray, products: Mapping[str, list[Any]]) -> np.ndarray:
        found = gradient_flow.flow(network, current, {m: error[:, span] for m, span in blocks.items()}, products)
        return np.concatenate([layer.ravel() for name in weights for layer in found[name]])

    def velocity(state: np.ndarray) -> np.ndarray:
        current = views(state)
        products = gradient_flow.above(network, current)
        total = pack(data, gradient_flow.total_weights(network, current, products))
        found = moved(current, target - total @ sigma, products)
        if terms.modulation:
            share = kept(total[..., None], terms.modulation)[:, 0]
            found = found * np.append(share, 1.0)[owner]
        return found - decay * state if terms.decay else found

    def sensitivity(state: np.ndarray) -> np.ndarray:
        """d W^tot / d weights, a column for each entry: the flow for an error of one there."""
        current = views(state)
        products = gradient_flow.above(network, current)
        units = np.eye(data.outputs * len(data.sigma)).reshape(-1, data.outputs, len(data.sigma))
        return np.stack([moved(current, unit, products) for unit in units], axis=1)

    return _Form(
        np.concatenate([weights[name][i].ravel() for name, i in layers]),
        velocity,
        lambda state: pack(data, gradient_flow.total_weights(network, views(state))),
        views,
        layers,
        lambda state: np.sqrt(np.add.reduceat(state * state, begins)),
        sensitivity=sensitivity,
    )


def _narrow(network: FusionNetwork, data: Correlations, weights: Weights, terms: Terms) -> _Form:
    """By the kernel, which takes many states (n, K) at once."""
    kernel = Kernel(network, [data], [weights], [terms])
    belongs = kernel.belongs()
    entries = np.sum(belongs, axis=1)
    layer = np.argmax(belongs, axis=0)

    def norms(state: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(belongs @ (state * state)))

    def velocity(state: np.ndarray) -> np.ndarray:
        return kernel.velocity(state.reshape(kernel.size, -1))[0].reshape(state.shape)

    return _Form(
        kernel.pack([weights])[:, 0],
        velocity,
        lambda state: kernel.total(state[:, None])[..., 0],
        lambda state: kernel.unpack(state[:, None])[0],
        kernel.layers,
        norms,
        lambda state: np.maximum(np.maximum(np.abs(state), (norms(state) / np.sqrt(entries))[layer]), 1e-200),
    )


def full_system(
    plan: Course, weights: Weights, rtol: float, wide: bool = False
) -> tuple[System, Callable[[np.ndarray], Weights]]:
    """The flow of every weight as the march needs it, and what unpacks its state.

    The last component is the integral of |velocity|^2, in units of the excess loss at the start: what must be lost,
    with the energy of weight decay; nothing of the kind with modulated encoders.
    `wide` asks for matrix products, and with them the linearly implicit method, at any size.
    """
    network, data = plan.network, plan.data
    form = (_wide if wide or count(weights) > LARGEST_KERNEL else _narrow)(network, data, weights, plan.terms)
    places = {layer: i for i, layer in enumerate(form.layers)}
    paths = {m: [places[c, i] for c in network.path(m) for i in range(len(weights[c]))] for m in data.modalities}

    shallow = max(map(len, paths.values())) <= 2

    def rates_of(state: np.ndarray) -> dict[str, Any]:
        """The two smallest layers left out: d ln|W|/dt of a balanced path, never 0 before it stops."""
        if shallow:
            return plan.drives
        sizes = form.norms(state)
        if state.ndim == 1:  # the short lists of one state
            own = sizes.tolist()
            return {m: plan.drives[m] * math.prod(sorted([own[i] for i in path])[2:]) for m, path in paths.items()}
        return {m: plan.drives[m] * np.prod(np.sort(sizes[path], axis=0)[2:], axis=0) for m, path in paths.items()}

    def velocity(state: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        moved, rates = form.velocity(state[:-1]), rates_of(state[:-1])
        if state.ndim == 1:
            scaled = moved / unit
            return np.append(moved, scaled @ scaled), rates
        return np.concatenate([moved, np.sum((moved / unit) ** 2, axis=0, keepdims=True)]), rates

    def slope(state: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """By complex steps, all columns in one call: to rounding, as far as rates lie apart."""
        assert form.sizes is not None
        steps = TINY * np.append(form.sizes(state[:-1]), 1.0)
        moved, rates = velocity(state[:, None] + 1j * np.diag(steps))
        return moved.imag / steps, {m: np.broadcast_to(np.imag(rate), steps.shape) / steps for m, rate in rates.items()}

    scale = [np.sqrt(np.mean(layer**2)) for layers in weights.values() for layer in layers]
    smallest = min((s for s in scale if s > 0), default=1.0)
    start = np.append(form.start, 0.0)
    excess = float(losses(data, form.total(form.start)[None])[0]) - plan.lowest_loss
    unit = math.sqrt(excess) if excess > 0 else 1.0
    atol = np.append(np.full(len(form.start), 1e-3 * rtol * smallest), rtol)
    sensitivity, metric = form.sensitivity, np.kron(np.eye(data.outputs), data.sigma)
    taller = sensitivity and (lambda state: np.pad(sensitivity(state[:-1]), ((0, 1), (0, 0))))  # the work is not stiff
    rest = Rest([plan], form.layers) if plan.terms.decay else None

    def rests(state: np.ndarray) -> bool:
        assert rest is not None
        here = state[:-1]
        norms, speeds = form.norms(here), form.norms(form.velocity(here))
        return bool(rest.settled(norms[:, None], speeds[:, None], form.total(here)[..., None])[0])

    system = System(
        velocity, lambda state: form.total(state[:-1]), start, atol, sensitivity=taller, metric=metric,
        slope=slope if form.sizes else None, rests=rests if rest else None,
    )  # fmt: skip
    return system, lambda state: form.unpack(state[:-1])
