"""Knowing without running: laws, estimates, what to change, how sure."""
