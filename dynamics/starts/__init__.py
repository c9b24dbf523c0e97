"""The first weights: drawn, aligned, given, made narrow."""
