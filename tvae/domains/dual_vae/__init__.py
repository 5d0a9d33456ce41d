"""v5.5: two coupled VAEs of the ternary operations."""
