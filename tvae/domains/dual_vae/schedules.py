"""v5.5's schedules: what changes with the epoch, from the configuration."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.engine import schedules
from tvae.engine.learning_rate import make_learning_rate


@dataclasses.dataclass(frozen=True)
class Schedules:
    """Values of an epoch, each ``epoch -> float32 scalar``."""

    learning_rate: Callable[[jax.Array], jax.Array]
    temperature_a: Callable[[jax.Array], jax.Array]
    temperature_b: Callable[[jax.Array], jax.Array]
    beta_a: Callable[[jax.Array], jax.Array]
    beta_b: Callable[[jax.Array], jax.Array]
    lambda3: Callable[[jax.Array], jax.Array]


def make_schedules(config: ConfigDict) -> Schedules:
    """All schedules of the configuration."""
    a, b, epochs = config.vae_a, config.vae_b, config.epochs
    ultra_epoch = config.coupling.ultra_epoch
    beta_a = functools.partial(
        schedules.warmup_then_linear,
        start=a.beta_start,
        end=a.beta_end,
        warmup_epochs=a.beta_warmup_epochs,
        epochs=epochs,
    )
    ratio, warmup, jump = b.beta_ratio, b.beta_warmup_epochs, b.beta_warmup == "jump"

    def beta_b(epoch: jax.Array) -> jax.Array:
        lagged = ratio * beta_a(epoch)
        return jnp.where(jnp.asarray(epoch) < warmup, 0.0, lagged) if jump else lagged

    return Schedules(
        learning_rate=make_learning_rate(config.learning_rate, epochs=epochs),
        temperature_a=functools.partial(
            schedules.cyclic_temperature,
            start=a.temperature_start,
            end=a.temperature_end,
            epochs=epochs,
            relative_amplitude=a.temperature_amplitude,
            boost_epoch=ultra_epoch,
            boost_amplitude=a.temperature_boost,
        ),
        temperature_b=functools.partial(
            schedules.lagged_temperature,
            start=b.temperature_start,
            end=b.temperature_end,
            epochs=epochs,
            lag_epochs=b.temperature_lag_epochs,
            late_epoch=ultra_epoch,
            late_value=b.temperature_ultra,
        ),
        beta_a=beta_a,
        beta_b=beta_b,
        lambda3=functools.partial(
            schedules.cosine_cycle,
            base=config.dynamics.lambda3_base,
            amplitude=config.dynamics.lambda3_amplitude,
        ),
    )
