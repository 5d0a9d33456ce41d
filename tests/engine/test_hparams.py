"""Traced fields: read by the tasks, one program for all their values, mapped by ``vmap``."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import toy_task
from tests.support.engines import bound_engine, train
from tests.support.objectives import SPARE_ROWS, add_rows
from tvae import config as config_lib
from tvae.domains import registry
from tvae.domains.projected_vae.task import ProjectedVAETask
from tvae.engine import loop, step

BUILT_IN = (
    "dual_vae",
    "hierarchy",
    "hierarchy_vae",
    "hyperbolic_vae",
    "projected_vae",
    "sequences",
)
# Switches without which some fields have no effect.
SWITCHES = {
    "dual_vae": {},
    "hierarchy": {},
    "hierarchy_vae": {},
    "hyperbolic_vae": {},
    "sequences": {},
    "projected_vae": {
        "model.controller": True,
        "model.encoder": "improved",
        "groups.decoder": "trained",
        "loss.richness_spread": 0.1,
    },
}


def tiny(name, **changes):
    """A configuration of a domain whose programs compile in seconds."""
    config = config_lib.default(name)
    config.update_from_flattened_dict(dict(registry.get(name).tiny) | changes)
    config_lib.validate(config)
    return config


class Reads(dict):
    """Hyperparameters that note which of them are read."""

    def __init__(self, values):
        super().__init__(values)
        self.seen = set()

    def __getitem__(self, path):
        self.seen.add(path)
        return super().__getitem__(path)

    def items(self):
        """Sections are read as a whole."""
        for path, value in super().items():
            if path.split(".")[0] in ("balancing", "coupling"):
                self.seen.add(path)
            yield path, value


def trace(config, hparams):
    """Trace everything that a run does with its hyperparameters."""
    task, settings = registry.make_task(config), loop.optimizer_settings(config)
    one_step = step.make_train_step(task, settings)
    shapes = bound_engine(config).shapes()

    def run(key, opt_state):
        params, aux = task.init(key, hparams)
        aux = task.begin_epoch(aux, jnp.int32(0), hparams)
        batch = jax.tree.map(lambda leaf: leaf[0], task.batches(jnp.int32(0), key))
        state = step.TrainState(jnp.int32(0), params, opt_state, aux)
        state, _ = one_step(state, batch, key, hparams)
        task.monitor(state.aux, hparams)
        measured = task.evaluate(state.params, state.aux, key, hparams)
        task.observe(state.aux, state.params, measured, hparams)

    jax.eval_shape(run, jax.random.key(0), shapes.opt_state)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_traced_field_is_read(name):
    read = set()
    for kind in ("piecewise", "cosine"):
        config = tiny(name, **SWITCHES[name], **{"learning_rate.kind": kind})
        if name == "projected_vae":
            add_rows(config, *SPARE_ROWS, control_penalty={"term": "control_penalty"})
        hparams = Reads(config_lib.hparams(config))
        trace(config, hparams)
        read |= hparams.seen
    assert read == set(hparams)


def test_runs_that_differ_in_traced_fields_share_one_program(tmp_path, monkeypatch):
    forward = chex.assert_max_traces(ProjectedVAETask.forward, n=1)
    monkeypatch.setattr(ProjectedVAETask, "forward", forward)
    large = {"epochs": 1, "data.batch_size": 4096}
    first = tiny("projected_vae", **large)
    changes = {"learning_rate.peak": 3e-4, "objective.rank_a.weight": 2.0, "model.curvature": 0.5}
    second = tiny("projected_vae", **large, **changes)
    finals = [train(each, tmp_path / str(i)) for i, each in enumerate((first, second))]
    assert finals[0]["eval/curvature_a"] == 1.0
    assert finals[1]["eval/curvature_a"] == 0.5


def test_init_and_an_epoch_map_over_stacked_hparams():
    changes = (
        {},
        {"learning_rate.peak": 3e-4, "objective.rank_a.weight": 2.0, "model.curvature": 0.5},
    )
    engines = [
        bound_engine(tiny("projected_vae", **{"data.batch_size": 4096}, **each)) for each in changes
    ]
    assert engines[0].engine is engines[1].engine
    key = jax.random.key(0)
    single = [e.train_epoch(e.init(key), key) for e in engines]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(e.hparams for e in engines))
    engine = engines[0].engine
    states = jax.vmap(engine.init, in_axes=(None, 0))(key, stacked)
    mapped = jax.vmap(engine.train_epoch, in_axes=(0, None, 0))(states, key, stacked)
    for member, (state, metrics) in enumerate(single):
        got_state, got_metrics = jax.tree.map(lambda leaf, i=member: leaf[i], mapped)
        assert set(got_metrics) == set(metrics)
        close = {"rtol": 1e-4, "atol": 1e-5}
        for got, wanted in zip(
            jax.tree.leaves((got_state.params, got_metrics)),
            jax.tree.leaves((state.params, metrics)),
            strict=True,
        ):
            np.testing.assert_allclose(got, wanted, **close)
        assert int(got_state.step) == int(state.step)


def test_a_member_that_diverges_leaves_the_others_alone():
    """Under ``vmap`` the guard is a select: it still skips the bad steps of one member only."""
    engine, hparams = toy_task.make_engine(toy_task.LineTask(), toy_task.make_config())
    key = jax.random.key(0)
    clip = "optimizer.grad_clip"
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), hparams)
    stacked[clip] = jnp.asarray([hparams[clip], jnp.nan])
    states = jax.vmap(engine.init, in_axes=(None, 0))(key, stacked)
    states, metrics = jax.vmap(engine.train_epoch, in_axes=(0, None, 0))(states, key, stacked)
    alone, _ = engine.train_epoch(engine.init(key, hparams), key, hparams)
    np.testing.assert_allclose(states.params["w"][0], alone.params["w"], rtol=1e-6)
    assert metrics["train/skipped_updates"].tolist()[0] == 0
