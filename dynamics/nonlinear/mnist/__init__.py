"""Table 1 and figures 7, 13, 14: two noisy looks at the same digit, learned by multimodal ReLU networks (PyTorch)."""
