"""The command, on a disk that is full at one of its writes: `python -m tests.soak.full_disk N sweep s.toml -o store`.

The N-th call that stores something (write, flush to disk, rename) fails with ENOSPC; a write leaves half of its bytes.
"""

from __future__ import annotations

import builtins
import errno
import itertools
import os
import sys
from typing import Any

from dynamics.interface.cli import main


def fill(fatal: int) -> None:
    """Let the `fatal`-th call fail."""
    calls = itertools.count(1)
    plain_open, plain_fsync, plain_replace = builtins.open, os.fsync, os.replace

    def check(before: Any = None) -> None:
        if next(calls) == fatal:
            if before:
                before()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Writer:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def __enter__(self) -> Writer:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> int:
            check(lambda: self.file.write(content[: len(content) // 2]))
            return int(self.file.write(content))

    def opened(path: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        file = plain_open(path, mode, *more, **options)
        return Writer(file) if mode == "wb" else file

    def fsync(handle: int) -> None:
        check()
        plain_fsync(handle)

    def replace(*paths: Any) -> None:
        check()
        plain_replace(*paths)

    builtins.open, os.fsync, os.replace = opened, fsync, replace  # type: ignore[assignment]


if __name__ == "__main__":
    fill(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
