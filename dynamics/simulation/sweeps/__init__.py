"""Sweeps over networks, data, starts and learning rates: in batches, stored as they finish, resumable."""
