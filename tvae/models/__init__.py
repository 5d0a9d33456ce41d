"""Stateless Flax linen modules: encoders, decoders, controllers and the VAEs that wire them."""
