"""Compiled functions of a configuration, with its traced fields filled in."""

from typing import Any, NamedTuple

import jax

from tests.support import toy_task
from tvae import config as config_lib
from tvae.domains import registry
from tvae.engine import loop, step
from tvae.engine.task import Task


class BoundEngine(NamedTuple):
    """An engine whose functions take no hparams."""

    task: Task
    hparams: dict[str, Any]
    engine: step.Engine

    def shapes(self):
        """Shapes of the initial state."""
        return jax.eval_shape(self.engine.init, jax.random.key(0), self.hparams)

    def init(self, key):
        return self.engine.init(key, self.hparams)

    def step(self, state, batch, key):
        return self.engine.step(state, batch, key, self.hparams)

    def train_epoch(self, state, key):
        return self.engine.train_epoch(state, key, self.hparams)

    def evaluate(self, state, key):
        return self.engine.evaluate(state, key, self.hparams)

    def final_evaluate(self, state, key):
        return self.engine.final_evaluate(state, key, self.hparams)


def bound_engine(config, task=None):
    """The engine of a configuration, or of a variant of its task."""
    task = registry.make_task(config) if task is None else task
    engine = step.make_engine(task, loop.optimizer_settings(config))
    return BoundEngine(task, config_lib.hparams(config), engine)


def train(config, workdir, task=None, hparams=None):
    """Train a configuration, or a variant of its task; its final metrics."""
    task = registry.make_task(config) if task is None else task
    hparams = config_lib.hparams(config) if hparams is None else hparams
    return loop.train(config, task, hparams, workdir)


def last_state(config, workdir):
    """State of the newest intact checkpoint of a run."""
    engine = bound_engine(config)
    return toy_task.read_state(engine.engine, engine.hparams, workdir)
