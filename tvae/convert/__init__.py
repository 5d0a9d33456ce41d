"""PyTorch checkpoints of the original system to this library's parameters, and back."""
