"""Geometry of the ternary operation space and of its latent space."""
