"""Past linear networks and squared errors: two-layer ReLU networks, logistic loss, the XOR task. NumPy only."""
