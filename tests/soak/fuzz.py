"""One loader under a coverage-guided fuzzer: `make fuzz KIND=csv RUNS=100000`. Needs atheris; see `tests.soak.loaders`.

The corpus grows in `.fuzz/KIND`. An input that breaks a loader is written to `.fuzz/` and belongs in `tests/data/fuzz`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

LARGEST = 512  # MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind")
    parser.add_argument("runs", type=int)
    parser.add_argument("--seed", type=int, default=0, help="0 takes a fresh one, which is printed")
    options = parser.parse_args()
    import atheris

    with atheris.instrument_imports(include=["dynamics", "derivations", "zipfile", "gzip", "tomllib", "json", "csv"]):
        from tests.soak.loaders import LOADERS, fed, seeds

    folder = Path(".fuzz") / options.kind
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        for i, content in enumerate(seeds(Path(work))[options.kind]):
            (folder / f"seed-{i}").write_bytes(content)
        path = Path(work) / f"input{LOADERS[options.kind][0]}"
        limits = [f"-runs={options.runs}", f"-seed={options.seed}", f"-rss_limit_mb={LARGEST}", "-timeout=10"]
        more = ["-max_len=4096", "-artifact_prefix=.fuzz/", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *limits, *more, str(folder)], lambda content: fed(options.kind, content, path))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
