"""VAE of a user's own hierarchy: new items get a place, and their ancestors, without training."""
