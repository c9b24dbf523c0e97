"""Problems that several tests share."""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from derivations.flow import gradient_flow as law
from dynamics import Chain, Correlations, FusionNetwork

ROOT = Path(__file__).parent.parent
SOAK = bool(os.environ.get("SOAK"))  # `make long`: the whole of what the tests take a share of
ORACLE: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "oracle.json").read_text())


def clean_environment(**more: str) -> dict[str, str]:
    """For a process of its own: this repository's code, one thread, whatever the working folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def documented() -> str:
    """The README and the pages of the site that are written by hand."""
    pages = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts]
    return "\n".join(path.read_text() for path in (ROOT / "README.md", *pages))


def commands_of(text: str) -> list[str]:
    """Lines of a text that call the command, from its console blocks, once each."""
    blocks = re.findall(r"```(?:bash|console)\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line.startswith("fusion-dynamics ")))


def random_correlations(
    rng: np.random.Generator, sizes: dict[str, int], outputs: int = 1, correlation: float = 1.0
) -> Correlations:
    """A well-conditioned random problem; `correlation` scales the blocks between modalities."""
    total = sum(sizes.values())
    mixing = rng.normal(size=(total, 3 * total))
    sigma = mixing @ mixing.T / (3 * total)
    names = np.repeat(list(sizes), list(sizes.values()))
    sigma = np.where(names[:, None] == names, sigma, correlation * sigma)
    weights = rng.normal(size=(outputs, total))
    sigma_yx = weights @ sigma
    noise = 0.1 * np.eye(outputs)
    return Correlations(sigma, sigma_yx if outputs > 1 else sigma_yx[0], sizes, weights @ sigma @ weights.T + noise)


def oracle_instance(entry: dict[str, Any]) -> tuple[Correlations, tuple[str, str]]:
    """Correlations of an instance of the oracle, and the order of its modalities."""
    blocks = [np.array(entry[name], dtype=float) for name in ("Sigma_A", "Sigma_B", "Sigma_AB")]
    sigma = np.block([[blocks[0], blocks[2]], [blocks[2].T, blocks[1]]])
    sigma_yx = np.array(entry["Sigma_yxA"] + entry["Sigma_yxB"], dtype=float)
    data = Correlations(sigma, sigma_yx, {"A": len(blocks[0]), "B": len(blocks[1])}, float(entry["yy"]))
    return data, ("B", "A") if entry["first"] == "B" else ("A", "B")


def random_network(rng: np.random.Generator) -> FusionNetwork:
    """Two or three modalities, fused once, chains of one to three layers, a trunk of none to two."""
    names = "ABC"[: rng.integers(2, 4)]
    return FusionNetwork.branches({m: int(rng.integers(1, 4)) for m in names}, trunk=int(rng.integers(0, 3)))


def random_layers(
    rng: np.random.Generator, network: FusionNetwork, sizes: dict[str, int], outputs: int
) -> dict[str, list[np.ndarray]]:
    """Weights of order one with a width of its own between any two layers; written without the project's shapes."""
    fused = outputs if network.trunk.depth == 0 else int(rng.integers(1, 5))
    weights = {}
    for m in network.modalities:
        widths = [sizes[m], *rng.integers(1, 5, size=network.depths[m] - 1).tolist(), fused]
        weights[m] = [rng.normal(size=(b, a)) for a, b in itertools.pairwise(widths)]
    widths = [fused, *rng.integers(1, 5, size=max(network.trunk.depth - 1, 0)).tolist(), outputs]
    weights["trunk"] = [rng.normal(size=(b, a)) for a, b in itertools.pairwise(widths)]
    if network.trunk.depth == 0:
        weights["trunk"] = []
    return weights


def random_tree(rng: np.random.Generator, modalities: int, deepest: int = 3) -> FusionNetwork:
    """Any tree: nested fusion, chains of one to `deepest` layers, a trunk of none to two."""
    names = [chr(65 + i) for i in range(modalities)]
    depth = lambda: int(rng.integers(1, deepest + 1))

    def grow(members: list[str]) -> list[Chain]:
        """Chains over these modalities: each a leaf, or a fusion of some of them."""
        chains, left = [], list(members)
        while left:
            size = int(rng.integers(1, len(left) + 1)) if len(left) < len(members) else int(rng.integers(1, len(left)))
            part, left = left[:size], left[size:]
            chains.append(Chain(depth(), part[0]) if size == 1 else Chain(depth(), tuple(grow(part))))
        return chains

    leaves = grow(names) if modalities > 1 else [Chain(depth(), names[0])]
    return FusionNetwork.tree(int(rng.integers(0, 3)), *leaves)


def flat_flow(network: FusionNetwork, data: Correlations, weights: dict[str, list[np.ndarray]]):
    """The laws of `derivations` for SciPy's solvers: start, total weights of a state, velocity."""
    layout = [(name, w.shape) for name, layers in weights.items() for w in layers]
    ends = list(itertools.pairwise(np.cumsum([0, *(a * b for _, (a, b) in layout)])))

    def unpack(y: np.ndarray) -> dict[str, list[np.ndarray]]:
        found: dict[str, list[np.ndarray]] = {name: [] for name in weights}
        for (name, shape), (begin, end) in zip(layout, ends, strict=True):
            found[name].append(y[begin:end].reshape(shape))
        return found

    def total(y: np.ndarray) -> dict[str, np.ndarray]:
        return law.total_weights(network, unpack(y))

    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        now = unpack(y)
        products = law.above(network, now)
        moved = law.flow(network, now, law.errors(data, law.total_weights(network, now, products)), products)
        return np.concatenate([v.ravel() for name in weights for v in moved[name]])

    return np.concatenate([w.ravel() for layers in weights.values() for w in layers]), total, velocity
