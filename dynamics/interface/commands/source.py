"""Where the data of a report come from, so that it can be made again."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from typing import Any

from derivations.errors import DataError

BLOCK = 1 << 20  # bytes read at a time


def described(path: str | None, example: str | None, words: Sequence[str]) -> dict[str, Any]:
    """Name, size and SHA-256 of a file, or the name of an example; and the command line."""
    command = {"command": shlex.join(["fusion-dynamics", *words])}
    if path is None:
        return {**command, "data": f"example {example}"}
    digest, size = hashlib.sha256(), 0
    try:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise DataError(f"{path!r} cannot be read: {error}") from None
    return {**command, "data": os.path.basename(path), "bytes": size, "sha256": digest.hexdigest()}
