"""State of contrastive training as data: stored keys, the teacher, and phases of a schedule.

A task keeps these in its aux state. It takes the keys from the teacher in the forward pass,
computes the loss with the queue as it was, and changes both after the step
(:meth:`tvae.engine.task.Task.after_step`)::

    queue = queue_push(aux.queue, outputs.keys, batch.match_id)
    teacher = average(aux.teacher, new, momentum=0.99)

so that a batch is never among its own stored negatives. A teacher of modules with running
statistics averages those too: give it the whole tree of variables.
"""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from chex import Numeric

from tvae.errors import UserError
from tvae.fields import one_of
from tvae.losses import nce as core
from tvae.losses.blocks import map_rows
from tvae.losses.matching import matches
from tvae.losses.nce import nce
from tvae.losses.registry import term
from tvae.losses.similarity import FLAT_SIMILARITY, TEMPERATURE, similarities

Tree = TypeVar("Tree")


class Queue(NamedTuple):
    """Keys of earlier batches, or of all items of a data set.

    Attributes:
      keys: ``(K, d)``; zeros where a slot is empty.
      ids: int32 ``(K,)``, match ids of the keys.
      occupied: bool ``(K,)``.
      next: int32 scalar, slot that is written next.
    """

    keys: jax.Array
    ids: jax.Array
    occupied: jax.Array
    next: jax.Array


def init_queue(n_slots: int, dim: int, dtype: jnp.dtype = jnp.float32) -> Queue:
    """An empty queue.

    Of the order of a quarter of the data set to all of it: the reference system takes 2,048 slots
    up to a thousand items, 4,096 to five thousand, 8,192 to ten thousand, else 16,384.

    >>> init_queue(4, 2).occupied.tolist()
    [False, False, False, False]
    """
    return Queue(
        keys=jnp.zeros((n_slots, dim), dtype),
        ids=jnp.zeros(n_slots, jnp.int32),
        occupied=jnp.zeros(n_slots, bool),
        next=jnp.zeros((), jnp.int32),
    )


def queue_push(
    queue: Queue, keys: jax.Array, ids: jax.Array | None = None, *, where: jax.Array | None = None
) -> Queue:
    """Store a batch of keys in place of the oldest.

    Args:
      queue: of K slots.
      keys: ``(n, d)``, n at most K; no gradient passes.
      ids: int ``(n,)``; None for zeros, where the term takes no match ids.
      where: bool ``(n,)``, rows to store; None for all.

    Raises:
      UserError: if there are more keys than slots, or they are of another width.

    >>> queue = queue_push(init_queue(3, 1), jnp.asarray([[1.0], [2.0]]))
    >>> queue_push(queue, jnp.asarray([[3.0], [4.0]])).keys[:, 0].tolist()
    [4.0, 2.0, 3.0]
    """
    n_slots, dim = queue.keys.shape
    if keys.ndim != 2 or keys.shape[1] != dim or keys.shape[0] > n_slots:
        raise UserError(
            f"queue of {n_slots} slots of width {dim}: got keys {keys.shape}, "
            f"expected (n, {dim}) with n at most {n_slots}"
        )
    stored = jnp.ones(keys.shape[0], bool) if where is None else where
    position = jnp.cumsum(stored.astype(jnp.int32)) - 1
    slot = jnp.where(stored, (queue.next + position) % n_slots, n_slots)
    written = queue_write(queue, slot, keys, ids)
    count = stored.sum(dtype=jnp.int32)
    return written._replace(next=(queue.next + count) % n_slots)


def queue_write(
    queue: Queue, index: jax.Array, keys: jax.Array, ids: jax.Array | None = None
) -> Queue:
    """Store keys in slots of their own, such as one for each item of a data set.

    Args:
      queue: of K slots.
      index: int ``(n,)``, different slots; those not below K are left out.
      keys: ``(n, d)``; no gradient passes.
      ids: int ``(n,)``; None for zeros.

    >>> queue_write(init_queue(3, 1), jnp.asarray([2]), jnp.asarray([[5.0]])).occupied.tolist()
    [False, False, True]
    """
    if ids is None:
        ids = jnp.zeros(keys.shape[0], jnp.int32)
    keys = jax.lax.stop_gradient(keys).astype(queue.keys.dtype)
    return queue._replace(
        keys=queue.keys.at[index].set(keys, mode="drop"),
        ids=queue.ids.at[index].set(ids.astype(jnp.int32), mode="drop"),
        occupied=queue.occupied.at[index].set(True, mode="drop"),
    )


def average(teacher: Tree, params: Tree, *, momentum: Numeric) -> Tree:
    r"""The teacher after a step, :math:`m\,θ' + (1 - m)\,θ` for every leaf.

    Source: He et al., *Momentum contrast* (2020), equation 2, with m = 0.999; small data sets and
    short runs want less, about 0.99.

    >>> average({"w": jnp.float32(1.0)}, {"w": jnp.float32(0.0)}, momentum=0.75)["w"].item()
    0.75
    """
    return optax.incremental_update(params, teacher, 1 - momentum)


def teacher_momentum(progress: Numeric, *, base: Numeric = 0.996) -> jax.Array:
    r"""Momentum that rises from its base to 1, :math:`1 - (1 - m_0)(\cos πp + 1)/2`.

    Args:
      progress: p, share of the run that is over, in [0, 1].
      base: :math:`m_0`.

    Source: Grill et al., *Bootstrap your own latent* (2020), section 3.3.

    >>> [round(float(teacher_momentum(p)), 4) for p in (0.0, 0.5, 1.0)]
    [0.996, 0.998, 1.0]
    """
    return 1 - (1 - base) * (jnp.cos(jnp.pi * jnp.clip(progress, 0, 1)) + 1) / 2


class Handover(NamedTuple):
    """A gradual change from one term to another, which a measure of the batch starts.

    Attributes:
      average: float32 scalar, moving average of the measure; 0 at the start.
      start: int32 scalar, step at which the change began; -1 before.
    """

    average: jax.Array
    start: jax.Array


def init_handover() -> Handover:
    """A change that has not begun."""
    return Handover(jnp.float32(0.0), jnp.int32(-1))


def observe_handover(
    handover: Handover,
    measure: jax.Array,
    step: jax.Array,
    *,
    threshold: Numeric = 0.3,
    momentum: Numeric = 0.9,
    latest_step: Numeric = 300,
) -> Handover:
    """The state after a step: the change begins once the measure, on average, passes a threshold.

    Args:
      handover: state before.
      measure: of this step, such as the gap of
        :func:`tvae.metrics.retrieval.alignment_metrics`.
      step: int scalar, number of the step.
      threshold: unit of the measure.
      momentum: of the moving average.
      latest_step: the change begins here at the latest. The reference system's
        HybridPretrainVICRegLoss stays in its first phase for ever where the gap stays small.

    >>> at_once = observe_handover(init_handover(), jnp.float32(9.0), jnp.int32(4))
    >>> at_once.start.item(), handover_share(at_once, 54, n_steps=100).item()
    (4, 0.5)
    """
    moving = momentum * handover.average + (1 - momentum) * measure
    begins = (handover.start < 0) & ((moving > threshold) | (step >= latest_step))
    start = jnp.where(begins, step, handover.start).astype(jnp.int32)
    return Handover(moving.astype(jnp.float32), start)


def handover_share(handover: Handover, step: Numeric, *, n_steps: Numeric) -> jax.Array:
    """Weight of the second term, from 0 to 1 over ``n_steps``; that of the first is the rest."""
    share = jnp.clip((step - handover.start) / n_steps, 0, 1)
    return jnp.where(handover.start < 0, 0, share).astype(jnp.float32)


@term(
    "moco",
    unit="nats",
    source="He et al., Momentum contrast for unsupervised visual representation learning (2020), "
    "equation 1",
    options={
        "temperature": TEMPERATURE,
        "matching": (
            one_of("masked", "positive"),
            "what stored keys of a row's own match id are",
        ),
        "similarity": FLAT_SIMILARITY,
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "scale"),
    was={
        "MoCoLoss": "corrected",
        "EMAMoCoLoss": "corrected",
        "MemoryQueue": "corrected",
        "MoCo": "corrected",
    },
)
def moco(
    x: jax.Array,
    y: jax.Array,
    queue: Queue,
    *,
    match_id: jax.Array | None = None,
    where: jax.Array | None = None,
    temperature: Numeric = 0.07,
    matching: str = "masked",
    similarity: str = "cosine",
) -> jax.Array:
    r"""Cross-entropy of each row's key among the keys of the batch and a queue of earlier ones.

    One direction; the other is a second term. Empty slots of the queue are not candidates: an
    empty queue gives the loss without one, where the reference system's random or zero keys of
    weight 0 each add :math:`e^0` to the denominator. It also stores the batch before the loss, so
    that each positive is a negative too, and scales the queue's logits by how full it is. Store
    the keys after the step (:func:`tvae.losses.memory.queue_push`).

    Args:
      x: ``(n, d)``, queries.
      y: ``(n, d)``, their keys, from the teacher of the other view or modality; the caller stops
        their gradient.
      queue: of K stored keys.
      match_id: int ``(n,)``; None: row i belongs to key i, and ids of the queue are not read.
      where: bool ``(n,)``, rows that count; None for all.
      temperature: τ.
      matching: stored keys of the row's own id are "masked" or "positive", never negatives
        (static).
      similarity: see :mod:`tvae.losses.similarity`.

    Returns:
      A scalar in nats; 0 where no row counts.

    Raises:
      UserError: if the similarity is unknown.

    >>> x, empty = jnp.eye(2), init_queue(2, 2)
    >>> round(float(moco(x, x, empty, temperature=1.0)), 4)  # log(1 + 1/e)
    0.3133
    """
    keys = jnp.concatenate([y, jax.lax.stop_gradient(queue.keys)])

    def of_rows(i: jax.Array) -> core.Rows:
        positive, candidate = matches(i, len(x), match_id, where)
        stored = jnp.broadcast_to(queue.occupied[None, :], (i.size, queue.occupied.size))
        if where is not None:
            stored = stored & where[i][:, None]
        known = jnp.zeros_like(stored)
        if match_id is not None:
            known = core.same(match_id[i], queue.ids)
        if matching == "masked":
            stored, known = stored & ~known, jnp.zeros_like(known)
        return nce(
            similarities(x[i], keys, similarity=similarity) / temperature,
            jnp.concatenate([positive, known], axis=1),
            jnp.concatenate([candidate, stored], axis=1),
        )

    return core.mean_rows(map_rows(of_rows, len(x), width=-(-len(keys) // len(x))))
