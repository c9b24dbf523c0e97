"""Initial weights: random and aligned balanced starts, and weights that a user gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from derivations import Correlations, DataError, DomainError, FusionNetwork
from derivations.correlations import require_problem
from derivations.network import TRUNK, layer_shapes
from derivations.samples import has_mask, off_graph
from dynamics.checks import checked_integer, checked_number

Weights = dict[str, list[np.ndarray]]
WIDEST = 10**15  # hidden units: beyond it a square root of the width loses its last digit
MOST_WEIGHTS = 2**29  # of a network that is drawn, 4 GB
LARGEST_LOG = 100 * math.log(10)  # of a product of layers
SMALLEST_PRODUCT = -300  # decimal logarithm
OUT_OF_PRODUCTS = "the layers of {} multiply to 10^{:.0f}, below the range of floats: use the law in logarithms"
SMALLEST_GIVEN = 1e-100  # of given weights: squares and errors of smaller ones underflow, which looks like zero
SMALLEST, LARGEST = 1e-300, 1e100  # norms whose tolerances and squares stay in the range of floats


def start_norms(network: FusionNetwork, u0: float | Mapping[str, float]) -> dict[str, float]:
    """Norm of each layer of each chain at t = 0: u0 before a fusion, sqrt(sum of the children's u0^2) after it.

    `u0` may map chain names to norms; chains after a fusion that it leaves out follow the rule.
    """
    if network.is_symbolic:
        raise DomainError("a simulation needs numbers for depth and fusion_depth, got symbols")
    given = dict(u0) if isinstance(u0, Mapping) else dict.fromkeys(network.modalities, u0)
    unknown = [name for name in given if name not in network.chains]
    missing = [m for m in network.modalities if m not in given]
    if unknown:
        raise DomainError(f"u0 must name chains among {', '.join(network.chains)}, got {', '.join(map(str, given))}")
    if missing:
        raise DomainError(f"u0 must name every modality or be one number, got none of {', '.join(missing)}")
    norms: dict[str, float] = {}
    for name, chain in network.chains.items():
        if name in given:
            field = f"u0[{name!r}]" if isinstance(u0, Mapping) else "u0"
            norms[name] = checked_number(given[name], field)
            if norms[name] and not SMALLEST <= norms[name] <= LARGEST:
                raise DomainError(f"{field} must be 0 or between {SMALLEST} and {LARGEST}, got {given[name]}")
        else:
            norms[name] = math.hypot(*(norms[child.name] for child in chain.children))
    return norms


def require_layers(network: FusionNetwork, u0: Any) -> None:
    """Refuse a size of a chain without layers, unless it is that of what it fuses, as in the norms of a start."""
    if isinstance(u0, Mapping) and not network.trunk.depth and TRUNK in u0:
        size = math.hypot(*(start_norms(network, u0)[child.name] for child in network.trunk.children))
        if not math.isclose(u0[TRUNK], size, rel_tol=1e-9):
            raise DomainError(f"u0[{TRUNK!r}] is of a chain without layers (late fusion): leave it out")


def plain_norms(network: FusionNetwork, u0: Any) -> float | dict[str, float]:
    """u0 in Python's floats, whatever kind of number it is given in."""
    require_layers(network, u0)
    start_norms(network, u0)
    return {name: float(norm) for name, norm in u0.items()} if isinstance(u0, Mapping) else float(u0)


def require_range(network: FusionNetwork, norms: Mapping[str, float]) -> None:
    """Refuse a random start at exactly zero, or with products of layers below the range of floats."""
    for m in network.modalities:
        path = [c for c in network.path(m) if network.chains[c].depth]
        zero = [c for c in path if norms[c] == 0]
        if zero:
            raise DomainError(f"u0 of {zero[0]} is 0: from there {m} is never learned, and no law has such a start")
        size = sum(network.chains[c].depth * math.log(norms[c]) for c in path) / math.log(10)
        if size < SMALLEST_PRODUCT:
            raise DomainError(OUT_OF_PRODUCTS.format(m, size))


def require_products(network: FusionNetwork, weights: Mapping[str, list[np.ndarray]]) -> None:
    """Refuse layers that multiply to less than floats hold; asked where nothing moves, which then is no fixed point.

    A layer of zeros, or layers that multiply to zero exactly, are what they are.
    """
    for m in network.modalities:
        size = _log_product([layer for name in network.path(m) for layer in weights[name]]) / math.log(10)
        if -math.inf < size < SMALLEST_PRODUCT:
            raise DomainError(OUT_OF_PRODUCTS.format(m, size))


def _log_product(layers: list[np.ndarray]) -> float:
    """ln of the largest entry of the product of layers, input side first; -inf for exactly zero."""
    product, size = np.eye(layers[0].shape[1]), 0.0
    for layer in layers:
        product = layer @ product
        largest = float(np.max(np.abs(product)))
        if largest == 0:
            return -math.inf
        product, size = product / largest, size + math.log(largest)
    return size


def random_weights(
    network: FusionNetwork,
    data: Correlations,
    u0: float | Mapping[str, float],
    width: int = 100,
    seed: int | np.random.Generator = 0,
) -> Weights:
    """Entries N(0, s^2), s = norm / sqrt(number of entries), not renormalised, chain after chain.

    Returns chain name -> list of arrays (out, in), input side first.

    Examples
    --------
    >>> net, data = FusionNetwork.fused_at(3, 2), Correlations.scalar(2, 1, 0.5)
    >>> {name: [w.shape for w in layers] for name, layers in random_weights(net, data, 0.1, width=50).items()}
    {'A': [(50, 1), (50, 50)], 'B': [(50, 1), (50, 50)], 'trunk': [(1, 50)]}
    """
    require_problem(network, data)
    norms = start_norms(network, u0)
    width = checked_integer(width, "width", 1, WIDEST)
    shapes = layer_shapes(network, data.drawn_sizes, data.outputs, width)
    count = sum(out * into for layers in shapes.values() for out, into in layers)
    if count > MOST_WEIGHTS:
        raise DomainError(f"width {width} makes {count:.2g} weights, {8e-9 * count:.2g} GB: see ensemble")
    rng = generator(seed)
    drawn = {
        name: [rng.normal(0.0, norms[name] / math.sqrt(out * into), (out, into)) for out, into in layers]
        for name, layers in shapes.items()
    }
    return along_axes(data, drawn)


def fitting_width(data: Correlations) -> int:
    """100 hidden units, or as many hundreds as inputs and outputs need to be told apart."""
    return 100 * math.ceil((sum(data.drawn_sizes.values()) + data.outputs) / 100)


def along_axes(data: Correlations, weights: Mapping[str, list[np.ndarray]]) -> Weights:
    """First layers of all inputs as these act along the axes that the data are seen along."""
    axes = data.axes
    if axes is None:
        return dict(weights)
    return {n: [layers[0] @ axes[n], *layers[1:]] if n in axes and layers else layers for n, layers in weights.items()}


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    return np.random.default_rng(seed if isinstance(seed, np.random.Generator) else checked_integer(seed, "seed", 0))


def count(weights: Weights) -> int:
    return sum(w.size for layers in weights.values() for w in layers)


def _as_layers(name: str, given: Any) -> list[np.ndarray]:
    try:
        layers = list(given)
    except TypeError:
        raise DomainError(f"weights[{name!r}] must be a list of arrays (out, in)") from None
    return [_layer(layer, f"weights[{name!r}][{i}]") for i, layer in enumerate(layers)]


def _layer(layer: Any, field: str) -> np.ndarray:
    """One layer; entries that are not finite are told later, with their place."""
    if has_mask(layer):
        raise DomainError(f"{field} is a masked array: fill what is masked")
    try:
        raw = np.asarray(off_graph(layer, field))
    except DataError as error:
        raise DomainError(str(error)) from None
    except (TypeError, ValueError):
        raise DomainError(f"{field} must be an array (out, in)") from None
    if raw.dtype.kind not in "biuf":
        raise DomainError(f"{field} must hold real numbers, got dtype {raw.dtype}")
    return np.array(raw, dtype=float)


def checked_weights(network: FusionNetwork, data: Correlations, weights: Mapping[str, Any]) -> Weights:
    """Copies of given weights after a look at their names, shapes and entries."""
    require_problem(network, data)
    if not isinstance(weights, Mapping):
        raise DomainError(f"weights must map chain name to arrays, got {type(weights).__name__}")
    chains = network.chains
    unknown = [name for name in weights if name not in chains]
    missing = [name for name in chains if name not in weights and chains[name].depth > 0]
    if unknown or missing:
        raise DomainError(f"weights must name the chains {', '.join(chains)}, got {', '.join(map(str, weights))}")
    found: Weights = {}
    ends: dict[str, int] = {}
    for name, chain in chains.items():
        layers = _as_layers(name, weights.get(name, ()))
        if len(layers) != chain.depth:
            raise DomainError(f"weights[{name!r}] must have {chain.depth} layers, got {len(layers)}")
        sources = [ends[child.name] for child in chain.children] or [data.sizes[name]]
        if len(set(sources)) > 1:
            raise DomainError(f"the chains fused in {name!r} put out different numbers of units: {sources}")
        size = sources[0]
        for i, layer in enumerate(layers):
            if layer.ndim != 2 or layer.shape[1] != size or layer.shape[0] < 1:
                wanted = "at least one row" if layer.ndim == 2 and not len(layer) else f"{size} columns"
                raise DomainError(f"weights[{name!r}][{i}] must have {wanted}, got shape {layer.shape}")
            bad = np.argwhere(~np.isfinite(layer))
            if len(bad):
                where = tuple(int(k) for k in bad[0])
                raise DomainError(f"weights[{name!r}][{i}] has {layer[where]} at index {where}")
            size = layer.shape[0]
        largest = max((float(np.max(np.abs(layer))) for layer in layers), default=0.0)
        if 0 < largest < SMALLEST_GIVEN:
            raise DomainError(
                f"weights[{name!r}] must be 0 or reach {SMALLEST_GIVEN:g}, their largest is {largest:.3g}"
            )
        found[name], ends[name] = layers, size
    if ends[TRUNK] != data.outputs:
        raise DomainError(f"the network puts out {ends[TRUNK]} values, the data has {data.outputs}")
    require_rank(network, data, found)
    sizes = {name: math.fsum(_log_size(layer) for layer in layers) for name, layers in found.items()}
    for m in network.modalities:
        if sum(sizes[name] for name in network.path(m)) > LARGEST_LOG:
            raise DomainError(f"weights of {m} multiply to more than 1e100: beyond what can be simulated")
    return found


def _log_size(layer: np.ndarray) -> float:
    """ln of the largest entry; 0 for a layer of zeros, whose size does not matter to an upper bound."""
    largest = float(np.max(np.abs(layer)))
    return math.log(largest) if largest > 0 else 0.0


def require_rank(network: FusionNetwork, data: Correlations, weights: Mapping[str, list[np.ndarray]]) -> None:
    """Refuse layers too narrow for several outputs: plateaus and losses assume that every map can be learned."""
    for name, layers in weights.items():
        inputs = sum(data.sizes[m] for m in network.chains[name].modalities)
        needed = min(data.outputs, inputs)
        narrow = min((layer.shape[0] for layer in layers), default=needed)
        if narrow < needed:
            raise DomainError(f"chain {name!r} is {narrow} wide, {data.outputs} outputs need a width of {needed}")
