"""Made-up digits, their files, and a small setting."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dynamics.nonlinear.mnist.idx import Digits
from dynamics.nonlinear.mnist.setting import Network, Setting

SIDE = 12
ABSENT = "PyTorch is absent; CI runs this test where it is installed"


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def made_up(count: int = 300, tests: int = 100, side: int = SIDE) -> Digits:
    """Ten templates with a little noise."""
    rng = np.random.default_rng(0)
    templates = rng.integers(0, 2, (10, side, side)) * 200

    def some(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = (np.arange(n) % 10).astype(np.uint8)
        return np.clip(templates[labels] + rng.integers(0, 56, (n, side, side)), 0, 255).astype(np.uint8), labels

    return Digits(*some(count), *some(tests))


def write_images(folder: Path, digits: Digits, mark: str = "-", packed: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    arrays = {
        f"train-images{mark}idx3-ubyte": digits.train_images, f"train-labels{mark}idx1-ubyte": digits.train_labels,
        f"t10k-images{mark}idx3-ubyte": digits.test_images, f"t10k-labels{mark}idx1-ubyte": digits.test_labels,
    }  # fmt: skip
    for name, array in arrays.items():
        content = idx_bytes(array)
        (folder / f"{name}{'.gz' if packed else ''}").write_bytes(gzip.compress(content) if packed else content)
    return folder


def small(network: Network = Network.MLP, **changes: Any) -> Setting:
    base = Setting(network, 3, 0, width=16, learning_rate=0.3, images=300, every=1)
    return replace(base, **changes)


def absent(name: str) -> None:
    """In place of `import_module`."""
    raise ImportError(name)
