"""Training as it is done: what the laws become with dropout, weight decay, modulation and mini-batches."""
