"""Trees, and the geometry of the latent space that carries them."""
