"""Steps that read rows of a table: what they move, what they leave, what they are equal to."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.engine import frames, step
from tvae.engine.optim import OptimizerSettings
from tvae.engine.task import Task

N = 6
TARGET = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
SURFACE = frames.flat_surface()


@dataclasses.dataclass(frozen=True)
class TableTask(Task):
    """Points that are drawn to targets, some in each step; a scale that all steps share.

    Attributes:
      by_rows: whether a step gets its rows only, else the whole table.
    """

    by_rows: bool = True
    steps_per_epoch = 3

    def init(self, key, hparams):
        return {"points": jnp.zeros((N, 2)), "scale": jnp.ones(())}, ()

    def batches(self, epoch, key):
        return jnp.asarray([[0, 2, N], [1, 2, 5], [0, 1, 2]])  # N: no row

    def rows(self, batch):
        return {"points": batch} if self.by_rows else {}

    def forward(self, params, aux, batch, key, hparams):
        points = params["points"] if self.by_rows else params["points"].at[batch].get(mode="clip")
        apart = params["scale"] * points - jnp.asarray(TARGET).at[batch].get(mode="clip")
        return jnp.where(batch < N, jnp.sum(jnp.square(apart), -1), 0.0)

    def terms(self, outputs, batch, hparams):
        return {"apart": outputs.sum() / hparams["divisor"]}

    def ball_of(self, path):
        return SURFACE if path == "points" else ""


def make(kind, *, by_rows, divisor=1.0):
    settings = OptimizerSettings(kind, 0.9, 0.99, 1e-8, max_nonfinite_steps=5)
    hparams = {
        "optimizer.weight_decay": 0.0, "optimizer.grad_clip": 1e6, "learning_rate.peak": 0.1,
        "divisor": divisor,
    }  # fmt: skip
    task = TableTask(by_rows)
    engine = step.make_engine(task, settings)
    hparams = {name: jnp.float32(value) for name, value in hparams.items()}
    return task, engine, engine.init(jax.random.key(0), hparams), hparams


def table_of(state, name):
    """The leaf of the optimizer's state that belongs to the points."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state.opt_state)
    found = [leaf for path, leaf in leaves if name in str(path) and "points" in str(path)]
    assert len(found) == 1
    return np.asarray(found[0])


def test_a_step_moves_the_rows_that_it_reads():
    task, engine, state, hparams = make("riemannian_adam", by_rows=True)
    batch = task.batches(0, None)[0]
    state, metrics = engine.step(state, batch, jax.random.key(0), hparams)
    moved = np.flatnonzero(np.any(np.asarray(state.params["points"]) != 0.0, 1))
    assert moved.tolist() == [0, 2]
    # The first step of Adam has the length of the learning rate.
    np.testing.assert_allclose(
        np.linalg.norm(state.params["points"][moved], axis=1), 0.1, rtol=1e-5
    )
    for name, unread in (("mu", 0.0), ("nu", 0.0), ("last", 0)):
        leaf = table_of(state, name)
        assert (np.delete(leaf, [0, 2], 0) == unread).all()
        assert (leaf[[0, 2]] != unread).any(1).all()
    np.testing.assert_allclose(metrics["grad_norm"], 2 * np.linalg.norm(TARGET[[0, 2]]), rtol=1e-5)


@pytest.mark.parametrize("kind", ["riemannian_adam", "adam_l2"])
def test_rows_learn_as_the_whole_table_does(kind):
    ends = []
    for by_rows in (True, False):
        _, engine, state, hparams = make(kind, by_rows=by_rows)
        for _ in range(60):
            state, _ = engine.train_epoch(state, jax.random.key(0), hparams)
        ends.append(state.params)
    points = np.asarray(ends[0]["points"])
    if kind == "adam_l2":  # it moves all rows in every step
        np.testing.assert_allclose(points, ends[1]["points"], rtol=1e-4, atol=1e-5)
    read = [0, 1, 2, 5]
    assert (points[[3, 4]] == 0.0).all()
    np.testing.assert_allclose(points[read] * ends[0]["scale"], TARGET[read], atol=0.05)


def test_a_step_that_is_not_finite_writes_nothing():
    task, engine, state, hparams = make("riemannian_adam", by_rows=True, divisor=0.0)
    before = jax.device_get((state.params, state.opt_state))
    state, metrics = engine.step(state, task.batches(0, None)[0], jax.random.key(0), hparams)
    assert metrics["skipped_updates"]
    jax.tree.map(np.testing.assert_array_equal, before, (state.params, state.opt_state))


def test_a_point_that_rested_makes_up_for_it():
    tx = frames.adam_in_frames(SURFACE, 0.9, 0.99, 1e-8)
    x, gradient = jnp.asarray([[3.0, 4.0]]), jnp.asarray([[0.3, 0.4]])
    _, first = tx.update(gradient, tx.init(x), x, learning_rate=0.5)
    state = first
    for g in (0.0 * gradient, 0.0 * gradient, gradient):
        whole, state = tx.update(g, state, x, learning_rate=0.5)
    late = first._replace(n_updates=jnp.int32(3))
    step_, rested = tx.update(gradient, late, x, learning_rate=0.5)
    np.testing.assert_allclose(rested.mu, state.mu, rtol=1e-6)
    np.testing.assert_allclose(rested.nu, state.nu, rtol=1e-6)
    np.testing.assert_allclose(step_, (1 + 0.9 + 0.81) * whole, rtol=1e-6)
    assert rested.last.tolist() == [[4]]
