"""Lengths that must lie in an interval: the squared distance to it, of radii and of pairs.

The intervals are tables of :mod:`tvae.domains.operations.bands`; the weights of
a mean sum to 1 where every row or pair counts, and are 0 where one must not.
"""

import jax


def interval_penalty(length: jax.Array, interval: jax.Array) -> jax.Array:
    r"""Squared distance to an interval, :math:`[l - x]_+^2 + [x - h]_+^2`.

    Args:
      length: ``(...)``.
      interval: ``(..., 2)``, low and high end in the unit of ``length``; ends may be infinite.

    Returns:
      ``(...)``, 0 with gradient 0 inside.

    >>> import jax.numpy as jnp
    >>> interval = jnp.asarray([[1.0, 2.0]] * 3)
    >>> interval_penalty(jnp.asarray([0.5, 1.5, 4.0]), interval).tolist()
    [0.25, 0.0, 4.0]
    """
    below = jax.nn.relu(interval[..., 0] - length)
    above = jax.nn.relu(length - interval[..., 1])
    return below * below + above * above


def weighted_interval(
    length: jax.Array, group: jax.Array, table: jax.Array, weight: jax.Array
) -> jax.Array:
    """Weighted mean of the penalty, each length against the interval of its group.

    Serves radii (a group is an operation), tree distances (the valuation of the difference) and
    chords (the level gap).

    Args:
      length: ``(...)``.
      group: integers ``(...)``, rows of ``table``.
      table: intervals ``(n_groups, 2)``.
      weight: ``(...)``.

    Returns:
      A scalar, the squared unit of ``length``.

    >>> import jax.numpy as jnp
    >>> table = jnp.asarray([[0.0, 1.0], [2.0, jnp.inf]])
    >>> length, group = jnp.asarray([1.5, 1.5]), jnp.asarray([0, 1])
    >>> float(weighted_interval(length, group, table, jnp.asarray([0.5, 0.5])))
    0.25
    """
    return (weight * interval_penalty(length, table[group])).sum()
