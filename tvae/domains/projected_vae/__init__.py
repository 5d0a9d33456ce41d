"""v5.11 to v5.12.4: two encoders projected into the Poincaré ball."""
