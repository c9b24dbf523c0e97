"""Beyond linear networks: logistic loss, ReLU."""
