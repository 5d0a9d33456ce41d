"""``Task``: what the engine needs to know of a domain, as a base class of pure methods.

The engine (:mod:`tvae.engine`) takes gradients, updates, loops, saves and reports; it knows no
model, loss or metric. A domain subclasses :class:`Task` as a frozen dataclass whose fields are
static and hashable: two equal tasks share their compiled programs. What may vary between runs
without another program reaches every method as ``hparams``, a flat dictionary of traced values.
Parameters, aux, batches and outputs are pytrees that only the task looks into.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tvae.engine.frames import Surface
from tvae.engine.rows import Rows

Params = Any
Aux = Any
Batch = Any
Outputs = Any
Metrics = dict[str, jax.Array]
Hparams = Mapping[str, jax.Array]
"""Path of a traced field -> float32 scalar, or vector for a tuple of numbers."""
Objective = Callable[[Params], tuple[Metrics, Outputs]]
"""Parameters -> unweighted terms and the outputs that they were computed from."""


class Observation(NamedTuple):
    """What a task makes of an evaluation.

    Attributes:
      aux: the untrained state from here on.
      params: parameters from here on; a task may roll some back.
      reset_moments: whether the optimizer starts afresh, bool scalar; None where it never does.
    """

    aux: Any
    params: Any
    reset_moments: jax.Array | None = None


class Gradients(NamedTuple):
    """What one backward pass, or several, found.

    Attributes:
      loss: weighted sum of the terms, float32 scalar.
      grads: update direction before gates and clip; a tree like the parameters.
      terms: unweighted terms by name.
      outputs: of the forward pass.
    """

    loss: jax.Array
    grads: Any
    terms: Metrics
    outputs: Outputs


class Task:
    """A domain's training problem; ``init``, ``batches``, ``forward`` and ``terms`` are required.

    Every method is pure and traceable, and may be mapped by ``jax.vmap`` over its arrays; only
    ``final_evaluate`` may run in parts on the host. Keys are explicit.

    Attributes:
      steps_per_epoch: number of batches of one epoch, static.
    """

    steps_per_epoch: int

    def init(self, key: jax.Array, hparams: Hparams) -> tuple[Params, Aux]:
        """Fresh parameters and aux, the state that is not trained by gradient.

        Leaves of aux have explicit dtypes: a weak type would cost a second trace.
        """
        raise NotImplementedError

    def solve(self, params: Params) -> Params:
        """Parameters of a new run, those that are found in closed form filled in; not for ``jit``.

        Called once, before the first step, with the parameters of ``init``; shapes stay.
        """
        return params

    def adopt(self, params: Params, aux: Aux, hparams: Hparams) -> Aux:
        """Aux of a run that starts from given parameters; ``aux`` is that of ``init``."""
        del params, hparams
        return aux

    def batches(self, epoch: jax.Array, key: jax.Array) -> Batch:
        """The batches of an epoch; every leaf leads with ``steps_per_epoch``."""
        raise NotImplementedError

    def forward(
        self, params: Params, aux: Aux, batch: Batch, key: jax.Array, hparams: Hparams
    ) -> Outputs:
        """Forward pass in training mode."""
        raise NotImplementedError

    def rows(self, batch: Batch) -> Rows:
        """Rows of large tables that a step reads; ``forward`` gets them in place of the tables.

        With "riemannian_adam" the other rows and their moments are not touched, so that a step
        costs what its own rows cost, whatever the size of the table.
        """
        del batch
        return {}

    def terms(self, outputs: Outputs, batch: Batch, hparams: Hparams) -> Metrics:
        """Unweighted loss terms, name -> float32 scalar."""
        raise NotImplementedError

    def begin_epoch(self, aux: Aux, epoch: jax.Array, hparams: Hparams) -> Aux:
        """Aux for the first step of an epoch (int32 scalar, 0-based)."""
        del epoch, hparams
        return aux

    def weights(self, aux: Aux, hparams: Hparams) -> Metrics:
        """Weights by name of term, float32 scalars; a term without one counts once."""
        del aux, hparams
        return {}

    def combine(self, objective: Objective, params: Params, weights: Metrics) -> Gradients:
        """Make one gradient of the terms: that of their weighted sum, by one backward pass.

        ``config.balancing`` (:mod:`tvae.engine.balancing`) takes its place where it is not static.
        """

        def total(params: Params) -> tuple[jax.Array, tuple[Metrics, Outputs]]:
            terms, outputs = objective(params)
            return weighted_sum(terms, weights), (terms, outputs)

        (loss, (terms, outputs)), grads = jax.value_and_grad(total, has_aux=True)(params)
        return Gradients(loss, grads, terms, outputs)

    def before_update(
        self, aux: Aux, params: Params, outputs: Outputs, metrics: Metrics, hparams: Hparams
    ) -> Aux:
        """Aux after the gradient and before the learning rate is read.

        ``metrics`` holds the terms, and ``grad_norm/<group>`` after clipping.
        """
        del params, outputs, metrics, hparams
        return aux

    def learning_rate(self, aux: Aux, hparams: Hparams) -> jax.Array:
        """Learning rate of a step, float32 scalar; by default ``learning_rate.peak``."""
        del aux
        return hparams["learning_rate.peak"]

    def after_step(
        self,
        aux: Aux,
        old: Params,
        new: Params,
        outputs: Outputs,
        metrics: Metrics,
        hparams: Hparams,
    ) -> Aux:
        """Aux after the update, which took the parameters from ``old`` to ``new``."""
        del old, new, outputs, metrics, hparams
        return aux

    def gates(self, aux: Aux, hparams: Hparams) -> Mapping[str, jax.Array]:
        """Which of the gated groups learn in this step, group -> bool scalar.

        The names are static. A group without a gate always learns; a closed group keeps its
        parameters and moments, and its gradient does not count in the clip.
        """
        del aux, hparams
        return {}

    def group_of(self, path: str) -> str:
        """Optimizer group of a parameter such as "encoder_a/hidden_0/kernel", or "frozen"."""
        del path
        return "all"

    def groups(self, hparams: Hparams) -> Mapping[str, jax.Array | float]:
        """Optimizer group -> factor on the learning rate; the names are static."""
        del hparams
        return {"all": 1.0}

    def ball_of(self, path: str) -> str | Surface:
        """What a parameter is a point of, for "riemannian_adam"; "" for flat parameters.

        The traced field with the curvature of a Poincaré ball, or a surface with moves of its own.
        """
        del path
        return ""

    def monitor(self, aux: Aux, hparams: Hparams) -> Metrics:
        """Scalars of aux for the log, read once per epoch."""
        del aux, hparams
        return {}

    def evaluate(self, params: Params, aux: Aux, key: jax.Array, hparams: Hparams) -> Metrics:
        """The periodic evaluation."""
        del params, aux, key, hparams
        return {}

    def observe(self, aux: Aux, params: Params, metrics: Metrics, hparams: Hparams) -> Observation:
        """Aux and parameters after an evaluation."""
        del metrics, hparams
        return Observation(aux, params)

    def final_evaluate(self, params: Params, aux: Aux, key: jax.Array, hparams: Hparams) -> Metrics:
        """Everything that is worth reporting once; not for ``jit``. By default ``evaluate``."""
        return evaluate(self, params, aux, key, hparams)


class StepCountingTask(Task):
    """A task whose aux is the number of steps taken, int32, and whose rate moves with every step.

    Attributes:
      rate: learning rate of an epoch, which may be fractional.
    """

    rate: Callable[[jax.Array, Hparams], jax.Array]

    def epoch(self, aux: jax.Array) -> jax.Array:
        """Epochs taken, fractional."""
        return aux / self.steps_per_epoch

    def learning_rate(self, aux: jax.Array, hparams: Hparams) -> jax.Array:
        """The rate of the step."""
        return self.rate(self.epoch(aux), hparams)

    def after_step(
        self,
        aux: jax.Array,
        old: Params,
        new: Params,
        outputs: Outputs,
        metrics: Metrics,
        hparams: Hparams,
    ) -> jax.Array:
        """Count the step."""
        del old, new, outputs, metrics, hparams
        return aux + 1

    def monitor(self, aux: jax.Array, hparams: Hparams) -> Metrics:
        """The learning rate of the last step."""
        return {"schedule/learning_rate": self.learning_rate(aux - 1, hparams)}


@functools.partial(jax.jit, static_argnums=0)
def evaluate(task: Task, params: Params, aux: Aux, key: jax.Array, hparams: Hparams) -> Metrics:
    """``task.evaluate``, compiled once for all equal tasks."""
    return task.evaluate(params, aux, key, hparams)


def section(hparams: Hparams, name: str) -> dict[str, Any]:
    """The traced fields of a section such as "coupling", by their bare names.

    >>> section({"tree.ratio": 0.7, "treatment.x": 1.0}, "tree")
    {'ratio': 0.7}
    """
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in hparams.items() if k.startswith(prefix)}


def weighted_sum(terms: Metrics, weights: Metrics) -> jax.Array:
    """Sum of the terms, each times its weight; a term without a weight counts once."""
    products = (weights.get(name, jnp.float32(1.0)) * term for name, term in terms.items())
    return sum(products, jnp.float32(0.0))
