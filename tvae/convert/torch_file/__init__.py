"""Reading of untrusted PyTorch checkpoint files, without PyTorch."""
