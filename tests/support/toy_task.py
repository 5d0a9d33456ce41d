"""A task that compiles in a moment: four weights learn the line that made the data."""

import jax
import jax.numpy as jnp

from tvae.engine import config as engine
from tvae.engine import optim
from tvae.engine.task import Observation, Task
from tvae.fields import make_config as config_of

STEPS = 3
TARGET = (1.0, -2.0, 0.5, 3.0)


def make_config(**changes):
    """The shared fields, with a short run that saves after each epoch."""
    config = config_of(engine.FIELDS)
    config.epochs = 8
    config.checkpoint.every_epochs = 1
    config.update_from_flattened_dict(changes)
    return config


def optimizer_settings(**changes):
    """The default optimizer with some changes."""
    optimizer = config_of(engine.FIELDS).optimizer.to_dict()
    return optim.OptimizerSettings(**(optimizer | changes))


def make_task(poison=None):
    """The task; the batches of the steps from ``poison[0]`` to ``poison[1]`` are NaN."""

    def init(key):
        return {"w": jax.random.normal(key, (4,))}, {"ema": jnp.float32(0.0)}

    def batches(epoch, key):
        x = jax.random.normal(jax.random.fold_in(key, epoch), (STEPS, 8, 4))
        if poison is not None:
            step = epoch * STEPS + jnp.arange(STEPS)
            bad = (step >= poison[0]) & (step <= poison[1])
            x = jnp.where(bad[:, None, None], jnp.nan, x)
        return x

    def forward(params, aux, batch, key):
        noise = 0.01 * jax.random.normal(key, batch.shape[:1])
        return batch @ params["w"] - batch @ jnp.asarray(TARGET) + noise

    def update_aux(aux, params, outputs, metrics):
        ema = 0.9 * aux["ema"] + 0.1 * jnp.abs(outputs).mean()
        return {"ema": ema}, jnp.float32(0.05)

    def evaluate(params, aux, key):
        return {"val/loss": jnp.sum((params["w"] - jnp.asarray(TARGET)) ** 2)}

    return Task(
        steps_per_epoch=STEPS,
        init=init,
        begin_epoch=lambda aux, epoch: aux,
        batches=batches,
        forward=forward,
        terms={"error": lambda outputs, batch: jnp.mean(outputs**2)},
        weights=lambda aux: {"error": jnp.float32(1.0)},
        gates=lambda aux: {},
        update_aux=update_aux,
        monitor=lambda aux: {"train/ema": aux["ema"]},
        group_of=lambda path: "line",
        groups={"line": 1.0},
        evaluate=evaluate,
        observe=lambda aux, params, metrics: Observation(aux, params),
        final_evaluate=jax.jit(evaluate),
    )
