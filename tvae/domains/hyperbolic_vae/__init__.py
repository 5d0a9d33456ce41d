"""v6: one VAE whose latent space is the Poincaré ball."""
