"""One loader under a coverage-guided fuzzer: `make fuzz KIND=csv RUNS=100000`. Needs atheris; see `tests.soak.loaders`.

The corpus starts from `tests/data/corpus.zip` and grows in `.fuzz/KIND`; `python -m tests.soak.fuzz --keep` packs it.
An input that breaks a loader is written to `.fuzz/` and belongs in `tests/data/fuzz`.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import zipfile
from pathlib import Path

LARGEST = 512  # MB
GROWN = Path(".fuzz")


def keep() -> None:
    """Pack the corpora, the same bytes for the same inputs."""
    with zipfile.ZipFile(Path(__file__).parents[1] / "data" / "corpus.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in sorted(p for p in GROWN.iterdir() if p.is_dir()):
            for i, content in enumerate(sorted({p.read_bytes() for p in folder.iterdir()}, key=lambda c: (len(c), c))):
                archive.writestr(zipfile.ZipInfo(f"{folder.name}/{i}"), content, zipfile.ZIP_DEFLATED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?")
    parser.add_argument("runs", type=int, nargs="?", default=100_000)
    parser.add_argument("--keep", action="store_true", help="pack the corpora instead of running")
    parser.add_argument("--seed", type=int, default=0, help="0 takes a fresh one, which is printed")
    options = parser.parse_args()
    if options.keep:
        keep()
        return
    import atheris

    with atheris.instrument_imports(include=["dynamics", "derivations", "zipfile", "gzip", "tomllib", "json", "csv"]):
        from tests.soak.loaders import LOADERS, MEMORY, corpus, fed, seeds

    folder = GROWN / options.kind
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=MEMORY) as work:
        for content in (*seeds(Path(work))[options.kind], *corpus(options.kind)):
            (folder / hashlib.sha1(content).hexdigest()).write_bytes(content)  # the fuzzer's own names
        path = Path(work) / f"input{LOADERS[options.kind][0]}"
        limits = [f"-runs={options.runs}", f"-seed={options.seed}", f"-rss_limit_mb={LARGEST}", "-timeout=30"]
        more = ["-max_len=16384", "-artifact_prefix=.fuzz/", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *limits, *more, str(folder)], lambda content: fed(options.kind, content, path))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
