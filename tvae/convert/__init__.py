"""Conversion of the reference system's PyTorch checkpoints to this library's, and back."""
