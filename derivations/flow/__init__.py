"""The gradient flow, what it conserves, and its reduction (44)."""
