"""Numbers from the laws of `derivations.times`."""
