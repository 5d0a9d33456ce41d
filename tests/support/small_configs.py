"""Configurations for tests: a small one of the projected VAE, and one that records what is read."""

from ml_collections import ConfigDict

from tvae import config as config_lib


def small(**changes):
    """The published config with tiny networks and few steps, from a random start."""
    config = config_lib.default("projected_vae")
    small_fields = {
        "base_checkpoint": "",
        "epochs": 2,
        "data.batch_size": 4096,
        "evaluation.every_epochs": 1,
        "early_stop.min_epochs": 0,
        "model.latent_dim": 4,
        "model.encoder_widths": (8,),
        "model.decoder_widths": (8,),
        "model.projection_width": 8,
        "model.projection_layers": 1,
    }
    config.update_from_flattened_dict(small_fields | changes)
    config_lib.validate(config)
    return config


def untraced(config):
    """Paths of the fields that the program is not given as arguments, targets left out."""
    paths = {path for path, _ in config_lib.leaves(config) if not path.startswith("targets.")}
    return paths - set(config_lib.hparams(config))


class Recorder:
    """A configuration that remembers which leaves were read."""

    def __init__(self, config, seen, prefix=""):
        self._config, self._seen, self._prefix = config, seen, prefix

    def __getattr__(self, name):
        value = self._config[name]
        if isinstance(value, ConfigDict):
            return Recorder(value, self._seen, f"{self._prefix}{name}.")
        self._seen.add(self._prefix + name)
        return value

    __getitem__ = __getattr__

    def to_dict(self):
        self._seen.update(path for path, _ in config_lib.leaves(self._config, self._prefix))
        return self._config.to_dict()
