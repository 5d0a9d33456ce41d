"""Shared by the ternary models: operations, digits, the 3-adic tree, sampling, coverage."""
