"""What the ternary models share: the operations, their digits, sampling, coverage."""
