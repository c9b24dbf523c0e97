"""When: the laws of the half-times."""
