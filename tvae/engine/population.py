"""Many runs of one task as one program: they differ in seed and in traced fields.

Each member is an ordinary run with a working directory of its own, which loads, reports and resumes
like any other. Members are sharded over the devices; on a device they follow each other by
``jax.lax.map`` on the CPU, where one member fills a core, and are vectorised elsewhere.
"""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from tvae.engine import compilation, step, stopping
from tvae.engine.loop import Control, Phase, block_end, optimizer_settings
from tvae.engine.record import Record, Rows, count_weights
from tvae.engine.task import Hparams, Metrics, Task
from tvae.errors import DivergedError, StoppedError

POPULATION = "population"
"""Axis of the mesh over which members are sharded."""


class Member(NamedTuple):
    """A run of a population.

    Attributes:
      config: validated; members of a population differ in the seed and in traced fields alone.
      hparams: its traced fields.
      workdir: existing folder of its own.
    """

    config: ConfigDict
    hparams: Hparams
    workdir: pathlib.Path


class Outcome(NamedTuple):
    """How a member ended.

    Attributes:
      metrics: final ones, plain numbers and lists; empty where it diverged.
      error: why it diverged; "" where it did not.
    """

    metrics: dict[str, Any]
    error: str = ""


def population_mesh() -> Mesh:
    """All devices along the axis of the members.

    A process may give the CPU a device for each core before it first uses JAX:
    ``jax.config.update("jax_num_cpu_devices", n)``.
    """
    return jax.make_mesh(
        (jax.device_count(),), (POPULATION,), axis_types=(jax.sharding.AxisType.Auto,)
    )


class _Programs(NamedTuple):
    """The engine's functions over members, which lead every argument and result.

    Attributes:
      init: ``(keys, hparams) -> states``.
      train_epoch: ``(states, learns, keys, hparams) -> (states, metrics)``; members for which
        ``learns`` is False keep their state, and their metrics are zeros.
      evaluate: the same of the periodic evaluation.
    """

    init: Callable[..., step.TrainState]
    train_epoch: Callable[..., tuple[step.TrainState, Metrics]]
    evaluate: Callable[..., tuple[step.TrainState, Metrics]]


@functools.lru_cache(maxsize=8)
def _make_programs(engine: step.Engine, mesh: Mesh) -> _Programs:
    """Equal arguments give the same compiled functions."""
    # A core trains one member after the other faster than two in turns; vector units want many.
    one_by_one = mesh.devices.flat[0].platform == "cpu"
    spec = PartitionSpec(POPULATION)

    def over_members(function: Callable[..., Any]) -> Callable[..., Any]:
        def of_a_device(*members: Any) -> Any:
            if one_by_one:
                return jax.lax.map(lambda member: function(*member), members)
            return jax.vmap(function)(*members)

        return jax.shard_map(of_a_device, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)

    return _Programs(
        init=compilation.jit_once(over_members(engine.init)),
        train_epoch=jax.jit(over_members(_where_it_learns(engine.train_epoch)), donate_argnums=0),
        evaluate=jax.jit(over_members(_where_it_learns(engine.evaluate)), donate_argnums=0),
    )


def _where_it_learns(
    function: Callable[..., tuple[step.TrainState, Metrics]],
) -> Callable[..., tuple[step.TrainState, Metrics]]:
    """A function of a state that does nothing, and gives zeros, where ``learns`` is False."""

    def apply(
        state: step.TrainState, learns: jax.Array, key: jax.Array, hparams: Hparams
    ) -> tuple[step.TrainState, Metrics]:
        _, shapes = jax.eval_shape(function, state, key, hparams)

        def rest() -> tuple[step.TrainState, Metrics]:
            return state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        return jax.lax.cond(learns, lambda: function(state, key, hparams), rest)

    return apply


def train_members(
    members: Sequence[Member],
    task: Task,
    *,
    mesh: Mesh | None = None,
    size: int = 0,
    control: Control | None = None,
) -> list[Outcome]:
    """Train members, or go on from the newest intact checkpoints of their working directories.

    A member whose metrics are not finite, or whose weights are lost, ends; the others go on, and
    none of their numbers depends on it, nor on how many members there are.

    Args:
      members: at least one.
      task: that their configurations name.
      mesh: with the axis ``"population"``; None for all devices.
      size: of the compiled programs, where it is more than the members: chunks of a population
        share their programs if they have the same.
      control: how the process takes part; its ``progress`` gets medians over the members.

    Returns:
      One outcome for each member, in their order.

    Raises:
      UserError: as :func:`tvae.engine.loop.train`.
      StoppedError: where ``control.should_stop`` gave a signal, with everything saved.
    """
    control = control or Control()
    control.between(Phase.START)
    with contextlib.ExitStack() as held:
        records = [held.enter_context(Record.open(m.config, m.workdir)) for m in members]
        population = _Population(members, records, task, mesh or population_mesh(), size)
        control.between(Phase.INITIALISED)
        population.check_metrics()
        for record in records:
            record.open_log()
        epochs = members[0].config.epochs
        control.progress(population.epoch, epochs, {})
        while population.learns().any():
            rows = population.train_block(control)
            control.progress(population.epoch, epochs, _medians(rows))
            if (received := control.should_stop()) is not None:
                population.save_unscored()
                raise StoppedError(
                    f"stopped by {received.name} after {population.epoch} epochs of "
                    f"{len(members)} members, all saved; --resume goes on",
                    received,
                )
        for record in records:
            record.close()
        control.between(Phase.FINAL)
        return [population.finish(i) for i in range(len(members))]


def _medians(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians of scalar metrics over members; {} of none."""
    scalars = {k for row in rows for k, value in row.items() if np.ndim(value) == 0}
    return {k: float(np.median([row[k] for row in rows if k in row])) for k in sorted(scalars)}


class _Population:
    """Members with their states on the devices, and what is known of each on the host."""

    def __init__(
        self,
        members: Sequence[Member],
        records: Sequence[Record],
        task: Task,
        mesh: Mesh,
        size: int,
    ) -> None:
        settings = optimizer_settings(members[0].config)
        self._engine = step.make_engine(task, settings)
        self._programs = _make_programs(self._engine, mesh)
        self._members, self._records, self._task = members, records, task
        self._errors = [""] * len(members)
        # The devices take equal numbers: the first member fills up, and does not learn there.
        wanted = max(size, len(members))
        wanted += -wanted % mesh.shape[POPULATION]
        self._padding = [0] * (wanted - len(members))
        self._sharding = NamedSharding(mesh, PartitionSpec(POPULATION))
        # Each key is that of a single run with this seed.
        self._keys, self._hparams = (
            self._stack([value(m) for m in members])
            for value in (lambda m: jax.random.key(m.config.seed), lambda m: m.hparams)
        )
        one = members[0]
        key = jax.random.key(one.config.seed)
        self._shapes = jax.eval_shape(self._engine.init, key, one.hparams)
        self._states = self._start()
        self._n_weights = count_weights(self._shapes.params)

    def _stack(self, values: Sequence[Any]) -> Any:
        """Equal trees of the members as one on the devices, filled up."""
        filled = [*values, *(values[i] for i in self._padding)]
        return jax.device_put(jax.tree.map(_stack_leaves, *filled), self._sharding)

    def _start(self) -> step.TrainState:
        """Initial states, or those of the newest intact checkpoints."""
        found = [record.restore(self._shapes) for record in self._records]
        if not all(found):
            fresh = jax.device_get(self._programs.init(self._keys, self._hparams))
            found = [state or self._solve(_take(fresh, i)) for i, state in enumerate(found)]
        return self._stack(found)

    def _solve(self, state: step.TrainState) -> step.TrainState:
        """A new member's state with what is found in closed form."""
        return dataclasses.replace(state, params=self._task.solve(state.params))

    def check_metrics(self) -> None:
        """Refuse an early-stop metric that does not exist, before anything is compiled."""
        one, key = self._members[0], jax.random.key(0)
        _, trained = jax.eval_shape(self._engine.train_epoch, self._shapes, key, one.hparams)
        _, measured = jax.eval_shape(self._engine.evaluate, self._shapes, key, one.hparams)
        stopping.check_metrics(one.config, trained | measured)

    @property
    def epoch(self) -> int:
        """Epochs that every member which goes on has completed."""
        going = [r.progress.epoch for r in self._going()]
        return min(going, default=max(r.progress.epoch for r in self._records))

    def _going(self) -> list[Record]:
        """Members that are neither finished nor lost."""
        pairs = zip(self._records, self._errors, strict=True)
        return [r for r, error in pairs if not error and not r.finished]

    def learns(self) -> np.ndarray:
        """Which members the next block of epochs is for: of those that go on the ones behind.

        Killed between two saves, members resume an interval apart.
        """
        going, epoch = self._going(), self.epoch
        return np.asarray([r in going and r.progress.epoch == epoch for r in self._records])

    def train_block(self, control: Control) -> list[dict[str, Any]]:
        """Train to the next host transfer, write and save; the newest row of each that learnt."""
        learns = self.learns()
        filled = np.concatenate([learns, np.zeros(len(self._padding), bool)])
        mask = jax.device_put(filled, self._sharding)
        for record in self._records:
            record.store.check()
        begin = self.epoch
        end, evaluate = block_end(self._members[0].config, begin)
        pending: list[Metrics] = []
        for _ in range(begin, end):
            self._states, metrics = self._programs.train_epoch(
                self._states, mask, self._keys, self._hparams
            )
            pending.append(metrics)
            if control.should_stop() is not None:
                break
        control.between(Phase.BLOCK)
        evaluate = evaluate and len(pending) == end - begin
        if evaluate:
            self._states, measured = self._programs.evaluate(
                self._states, mask, self._keys, self._hparams
            )
            pending[-1] = pending[-1] | measured
        fetched, in_a_row = jax.device_get((pending, self._states.nonfinite))  # one transfer
        control.between(Phase.BLOCK)
        newest: list[dict[str, Any]] = []
        host = functools.cache(lambda: jax.device_get(self._states))
        for i in np.flatnonzero(learns).tolist():
            rows = [(begin + e, _take(metrics, i)) for e, metrics in enumerate(fetched)]
            row = self._write(i, rows, int(in_a_row[i]))
            if row is not None:
                newest.append(row)
                if evaluate:
                    self._records[i].keep(row, _take(host(), i))
        return newest

    def _write(self, i: int, rows: Rows, in_a_row: int) -> dict[str, Any] | None:
        """Write rows of a member; the newest, or None where it is lost."""
        try:
            rows = self._records[i].write(
                rows, in_a_row=in_a_row, steps=self._task.steps_per_epoch, n_weights=self._n_weights
            )
        except DivergedError as error:
            self._errors[i] = str(error)
            return None
        return rows[-1][1]

    def save_unscored(self) -> None:
        """Save all members that go on."""
        states = jax.device_get(self._states)
        for i, record in enumerate(self._records):
            if not self._errors[i]:
                record.save_unscored(_take(states, i))

    def finish(self, i: int) -> Outcome:
        """The final evaluation of a member, written."""
        if self._errors[i]:
            return Outcome({}, self._errors[i])
        # Through the host: a member of a sharded array is a collective operation of all devices.
        state = jax.device_put(_take(self._final_states, i))
        one, key = self._members[i], jax.random.key(self._members[i].config.seed)
        final = self._engine.final_evaluate(state, key, one.hparams)
        try:
            return Outcome(self._records[i].finish(jax.device_get(final)))
        except DivergedError as error:
            return Outcome({}, str(error))

    @functools.cached_property
    def _final_states(self) -> step.TrainState:
        return jax.device_get(self._states)


def _stack_leaves(*leaves: Any) -> Any:
    """Arrays with a leading axis; by NumPy, which compiles nothing for each shape."""
    if jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.stack(leaves)
    return np.stack(leaves)


def _take(tree: Any, i: int) -> Any:
    """A member's part of arrays in host memory."""
    return jax.tree.map(lambda leaf: leaf[i], tree)
