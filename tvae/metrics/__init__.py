"""Pure, jit-able measures of a model or of an embedding."""
