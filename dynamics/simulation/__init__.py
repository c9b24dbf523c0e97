"""Running it: gradient flow, reduced flow, gradient descent, many at once."""
