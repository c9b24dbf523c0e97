"""The loaders under a coverage-guided fuzzer: `make fuzz KIND=csv RUNS=100000`. Needs atheris; see `tests.loaders`.

The corpus grows in `.fuzz/KIND`. An input that breaks a loader is written to `.fuzz/` and belongs in `tests/data/fuzz`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.loaders import LOADERS, fed, seeds


def main() -> None:
    import atheris

    kind, runs = sys.argv[1], sys.argv[2]
    folder = Path(".fuzz") / kind
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp())
    for i, content in enumerate(seeds(work)[kind]):
        (folder / f"seed-{i}").write_bytes(content)
    path = work / f"input{LOADERS[kind][0]}"
    options = [f"-runs={runs}", "-rss_limit_mb=512", "-timeout=10", "-max_len=4096", "-artifact_prefix=.fuzz/"]
    atheris.instrument_imports()
    atheris.Setup([sys.argv[0], *options, str(folder)], lambda content: fed(kind, content, path))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
