"""The scoreboard: what is claimed, measured. `make soak` runs every row, `tests/test_soak.py` a share."""
