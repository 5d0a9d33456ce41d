"""Sequences with measured labels: tables, encodings, splits without leaks, fitted models."""
