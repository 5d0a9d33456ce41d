"""The module and the data of a dual VAE's configuration."""

import jax
from ml_collections import ConfigDict

from tvae.domains.dual_vae.module import DualVAE
from tvae.domains.operations import data


def make_model(config: ConfigDict) -> DualVAE:
    """The module that the configuration describes."""
    model = config.model
    return DualVAE(
        n_digits=config.data.n_digits,
        latent_dim=model.latent_dim,
        encoder_widths=tuple(model.encoder_widths),
        decoder_a_widths=tuple(model.decoder_a_widths),
        decoder_b_width=model.decoder_b_width,
        decoder_b_blocks=model.decoder_b_blocks,
    )


def make_split(config: ConfigDict) -> data.Split:
    """The split of the operations that the configuration describes."""
    return data.split(
        jax.random.key(config.data.split_seed),
        n_digits=config.data.n_digits,
        train_fraction=config.data.train_fraction,
        val_fraction=config.data.val_fraction,
    )
