"""Costs, measured: `python -m benchmarks` prints them, `--save` writes RESULTS.md."""
