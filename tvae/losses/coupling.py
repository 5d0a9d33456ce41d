"""Losses that couple predictions: of several drugs, and of mutations with their single effects."""

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import above
from tvae.losses.correlation import pearson
from tvae.losses.levels import masked_mean
from tvae.losses.pairs import row_lengths
from tvae.losses.registry import term


@term(
    "epistasis_sparsity",
    unit="squared unit of the measurement",
    source="the reference system's LearnedEpistasisLoss (its second part)",
    per="item",
    bounds=(0.0, float("inf")),
    invariances=("permutation", "translation"),
    was={"LearnedEpistasis": "same"},
)
def epistasis_sparsity(
    prediction: jax.Array, measured: jax.Array, additive: jax.Array
) -> jax.Array:
    r"""Squared predicted epistasis where the measurement is nearly additive.

    .. math:: (p - a)^2\, \big(1 - \min(|y - a|, 1)\big)

    Together with "squared_error" of prediction and measurement it is the reference system's loss,
    whose first part, the error of the differences p - a and y - a, is that of p and y.

    Args:
      prediction: p, ``(n, ...)``, such as the resistance of several mutations together.
      measured: y, of the same shape.
      additive: a, of the same shape: the sum of the single effects.

    Returns:
      ``(n,)``, mean over tasks.

    >>> p, y, a = jnp.asarray([[3.0], [3.0]]), jnp.asarray([[1.0], [3.0]]), jnp.ones((2, 1))
    >>> epistasis_sparsity(p, y, a).tolist()
    [4.0, 0.0]
    """
    chex.assert_equal_shape([prediction, measured, additive])
    excess = jnp.square(prediction - additive)
    additivity = 1.0 - jnp.minimum(jnp.abs(measured - additive), 1.0)
    return (excess * additivity).reshape(prediction.shape[0], -1).mean(-1)


@term(
    "drug_classes",
    unit="1",
    source="cosine embedding hinge over columns; the reference system's DrugInteractionLoss",
    bounds=(0.0, 3.0),
    invariances=("permutation", "scale"),
    was={"DrugInteraction": "corrected"},
)
def drug_classes(
    prediction: jax.Array, drug_class: jax.Array, where: jax.Array | None = None
) -> jax.Array:
    r"""Predictions for drugs of one class should be parallel, for others not.

    .. math:: \overline{1 - \cos(p_i, p_j)}^{\,same} + \overline{[\cos(p_i, p_j)]_+}^{\,other}

    with the cosines of the columns. The reference system clamps negative cosines before a
    logarithm, where its gradient vanishes, and is 0 until classes are set.

    Args:
      prediction: ``(n, drugs)``.
      drug_class: int ``(drugs,)``.
      where: bool ``(n,)``, rows that count.

    Returns:
      A scalar in [0, 3]; a kind of pair that does not occur counts 0.

    >>> columns = jnp.asarray([[1.0, -1.0, 1.0], [1.0, -1.0, 0.0]])
    >>> round(float(drug_classes(columns, jnp.asarray([0, 0, 1]))), 4)  # 2 and max(0.7071, 0) / 2
    2.3536
    """
    chex.assert_rank([prediction, drug_class], [2, 1])
    if where is not None:
        prediction = jnp.where(where[:, None], prediction, 0.0)
    largest = jnp.maximum(jnp.abs(prediction).max(0), 1e-12)  # squares neither over- nor underflow
    scaled = prediction / jax.lax.stop_gradient(largest)[None]
    square = jnp.square(scaled).sum(0)
    some = square > 0.0
    unit = jnp.where(some[None], scaled / jnp.sqrt(jnp.where(some, square, 1.0))[None], 0.0)
    cosine = unit.T @ unit
    pairs = jnp.triu(jnp.ones_like(cosine, bool), 1)
    same = drug_class[:, None] == drug_class[None, :]
    together = masked_mean(1.0 - cosine, pairs & same)
    return together + masked_mean(jax.nn.relu(cosine), pairs & ~same)


@term(
    "pair_contrast",
    unit="squared hyperbolic length",
    source="Hadsell, Chopra & LeCun 2006, eq. 4, without its factor 1/2",
    per="item",
    options={"margin": (above(0.0), "distance beyond which unrelated pairs do not count")},
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation"),
    was={"DrugInteractionPenalty": "same"},
)
def pair_contrast(
    point: jax.Array,
    partner: jax.Array,
    together: jax.Array,
    c: Numeric,
    *,
    margin: Numeric = 1.0,
) -> jax.Array:
    r"""Points that belong together near each other, others at least a margin apart.

    .. math:: y\, d^2 + (1 - y)\, [m - d]_+^2

    Args:
      point: ``(n, d)`` points of the Poincaré ball of curvature -c.
      partner: ``(n, d)``, the point that each one is compared with.
      together: y, ``(n,)`` in [0, 1].
      c: curvature magnitude.
      margin: m.

    Returns:
      ``(n,)``.

    >>> near, far = jnp.asarray([[0.0], [0.0]]), jnp.asarray([[0.25], [0.25]])
    >>> [round(float(x), 4) for x in pair_contrast(near, far, jnp.asarray([1.0, 0.0]), 1.0)]
    [0.2609, 0.2393]
    """
    length = row_lengths(point, partner, c=c)
    shortfall = jax.nn.relu(margin - length)
    return together * jnp.square(length) + (1.0 - together) * jnp.square(shortfall)


@term(
    "task_correlation_match",
    unit="1",
    source="the reference system's cross-resistance VAE",
    bounds=(0.0, 4.0),
    invariances=("permutation", "translation", "scale"),
)
def task_correlation_match(
    prediction: jax.Array, task_correlation: jax.Array, where: jax.Array | None = None
) -> jax.Array:
    r"""Squared difference of the correlations of predictions and known ones.

    .. math:: \overline{(r_{ij} - C_{ij})^2} \text{ over tasks } i < j

    Args:
      prediction: ``(n, tasks)``.
      task_correlation: C ``(tasks, tasks)``, read above the diagonal.
      where: bool ``(n,)``, rows that count.

    Returns:
      A scalar in [0, 4]; 0 for a single task.

    >>> two = jnp.asarray([[0.0, 1.0], [1.0, 0.0]])
    >>> round(float(task_correlation_match(two, jnp.eye(2))), 5)
    1.0
    """
    chex.assert_rank([prediction, task_correlation], 2)
    shape = (*prediction.shape, prediction.shape[1])
    first = jnp.broadcast_to(prediction[:, :, None], shape)
    found = pearson(first, first.swapaxes(1, 2), where)
    error = jnp.square(found - task_correlation)
    return masked_mean(error, jnp.triu(jnp.ones_like(error, bool), 1))
