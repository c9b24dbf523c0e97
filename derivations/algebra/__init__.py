"""Symbols, powers, ordered products and what a ledger entry is."""
