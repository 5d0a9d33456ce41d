"""v5.5's schedules: static lengths, traced values."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from tvae.engine import schedules
from tvae.engine.task import Hparams


@dataclasses.dataclass(frozen=True)
class Schedules:
    """Values of an epoch; every method maps ``(epoch, hparams)`` to a float32 scalar.

    Attributes:
      learning_rate: the scheduled rate.
      epochs: length of the run.
      warmup_a: epochs in which A's KL weight rises to ``vae_a.beta_start``.
      jump: B's KL weight is 0 until its warm-up ends (v5.5); otherwise it follows A's.
      lag_b: epochs before B's temperature begins to fall.
    """

    learning_rate: schedules.LearningRate
    epochs: int
    warmup_a: int
    jump: bool
    lag_b: int

    def temperature_a(self, epoch: jax.Array, hparams: Hparams) -> jax.Array:
        """Factor on A's posterior noise."""
        return schedules.cyclic_temperature(
            hparams["vae_a.temperature_start"],
            hparams["vae_a.temperature_end"],
            epochs=self.epochs,
            relative_amplitude=hparams["vae_a.temperature_amplitude"],
            boost_epoch=hparams["coupling.ultra_epoch"],
            boost_amplitude=hparams["vae_a.temperature_boost"],
        )(epoch)

    def temperature_b(self, epoch: jax.Array, hparams: Hparams) -> jax.Array:
        """Factor on B's posterior noise."""
        return schedules.lagged_temperature(
            hparams["vae_b.temperature_start"],
            hparams["vae_b.temperature_end"],
            epochs=self.epochs,
            lag_epochs=self.lag_b,
            late_epoch=hparams["coupling.ultra_epoch"],
            late_value=hparams["vae_b.temperature_ultra"],
        )(epoch)

    def beta_a(self, epoch: jax.Array, hparams: Hparams) -> jax.Array:
        """Weight of A's KL."""
        return schedules.warmup_then_linear(
            hparams["vae_a.beta_start"],
            hparams["vae_a.beta_end"],
            warmup_epochs=self.warmup_a,
            epochs=self.epochs,
        )(epoch)

    def beta_b(self, epoch: jax.Array, hparams: Hparams) -> jax.Array:
        """Weight of B's KL."""
        lagged = hparams["vae_b.beta_ratio"] * self.beta_a(epoch, hparams)
        return (
            jnp.where(epoch < hparams["vae_b.beta_warmup_epochs"], 0.0, lagged)
            if self.jump
            else lagged
        )

    def lambda3(self, epoch: jax.Array, hparams: Hparams) -> jax.Array:
        """Weight of the entropy alignment."""
        cycle: optax.Schedule = schedules.cosine_cycle(
            hparams["dynamics.lambda3_base"], hparams["dynamics.lambda3_amplitude"]
        )
        return jnp.asarray(cycle(epoch))


def make_schedules(config: ConfigDict) -> Schedules:
    """The schedules of a validated configuration."""
    return Schedules(
        learning_rate=schedules.make_learning_rate(config.learning_rate, epochs=config.epochs),
        epochs=config.epochs,
        warmup_a=config.vae_a.beta_warmup_epochs,
        jump=config.vae_b.beta_warmup == "jump",
        lag_b=config.vae_b.temperature_lag_epochs,
    )
