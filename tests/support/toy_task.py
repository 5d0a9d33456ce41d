"""A task that compiles in a moment: four weights learn the line that made the data."""

import dataclasses

import jax
import jax.numpy as jnp

from tvae.engine import config as engine_config
from tvae.engine import loop, step
from tvae.engine.task import Task
from tvae.fields import make_config as defaults
from tvae.fields import traced_values
from tvae.runs import checkpoint, files

STEPS = 3
TARGET = (1.0, -2.0, 0.5, 3.0)


def make_config(**changes):
    """The shared fields, with a short run that saves after each epoch."""
    config = defaults(engine_config.FIELDS)
    config.epochs = 8
    config.checkpoint.every_epochs = 1
    config.update_from_flattened_dict(changes)
    return config


@dataclasses.dataclass(frozen=True)
class LineTask(Task):
    """Batches of the steps from ``poison[0]`` to ``poison[1]`` are NaN."""

    poison: tuple[int, int] | None = None
    steps_per_epoch = STEPS

    def init(self, key, hparams):
        return {"w": jax.random.normal(key, (4,))}, {"ema": jnp.float32(0.0)}

    def batches(self, epoch, key):
        x = jax.random.normal(jax.random.fold_in(key, epoch), (STEPS, 8, 4))
        if self.poison is None:
            return x
        step = epoch * STEPS + jnp.arange(STEPS)
        bad = (step >= self.poison[0]) & (step <= self.poison[1])
        return jnp.where(bad[:, None, None], jnp.nan, x)

    def forward(self, params, aux, batch, key, hparams):
        noise = 0.01 * jax.random.normal(key, batch.shape[:1])
        return batch @ params["w"] - batch @ jnp.asarray(TARGET) + noise

    def terms(self, outputs, batch, hparams):
        return {"error": jnp.mean(outputs**2)}

    def after_step(self, aux, old, new, outputs, metrics, hparams):
        return {"ema": 0.9 * aux["ema"] + 0.1 * jnp.abs(outputs).mean()}

    def learning_rate(self, aux, hparams):
        return jnp.float32(0.05)

    def monitor(self, aux, hparams):
        return {"train/ema": aux["ema"]}

    def evaluate(self, params, aux, key, hparams):
        return {"val/loss": jnp.sum((params["w"] - jnp.asarray(TARGET)) ** 2)}


def make_engine(task, config):
    """Compiled functions of a task whose only fields are the shared ones, and its hparams."""
    engine = step.make_engine(task, loop.optimizer_settings(config))
    return engine, traced_values(config, engine_config.FIELDS)


def train(config, task, workdir, **options):
    """Train such a task."""
    hparams = traced_values(config, engine_config.FIELDS)
    return loop.train(config, task, hparams, workdir, **options)


def last_state(workdir, task=None):
    """State of the newest intact checkpoint of a run of :class:`LineTask`."""
    engine, hparams = make_engine(task or LineTask(), make_config())
    return read_state(engine, hparams, workdir)


def read_state(engine, hparams, workdir):
    """State of the newest intact checkpoint of a run of an engine's task."""
    shapes = jax.eval_shape(engine.init, jax.random.key(0), hparams)
    with checkpoint.RunCheckpoints(workdir / files.CHECKPOINTS, read_only=True) as store:
        return store.restore_newest(shapes)[0]
