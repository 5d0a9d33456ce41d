"""Starts of a table: a walk along the tree, or random points."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy

_SHRINK = 0.9
"""Factor on the length of a step for each further level."""
_LEVELS = 64
"""Levels after which a step has no length left: 0.9^64 is 0.001."""


def walk(known: Hierarchy, key: jax.Array, dim: int, step: jax.Array) -> jax.Array:
    r"""Each item one step of random direction from its parent; the root at the origin.

    Steps are shorter with depth, :math:`s\,0.9^{level}`: a small start, in which siblings lie
    together and no branch is in the way of another.

    Args:
      known: the hierarchy.
      key: random key.
      dim: dimension.
      step: s, hyperbolic length.

    Returns:
      Tangent vectors at the origin ``(n, dim)``.
    """
    return _walked(known, key, dim, step, jnp.float32(_SHRINK))


def _walked(
    known: Hierarchy, key: jax.Array, dim: int, step: jax.Array, shrink: jax.Array
) -> jax.Array:
    """A walk whose steps are shorter by a factor with each level."""
    direction = jax.random.normal(key, (len(known), dim))
    direction /= jnp.linalg.norm(direction, axis=-1, keepdims=True)
    level = jnp.asarray(np.minimum(known.level, _LEVELS))[:, None]
    own = jnp.where(level > 0, step * shrink**level * direction, 0.0)
    # Sums along the path to the root: doubling the reach in each round.
    above = np.where(known.parent < 0, np.arange(len(known)), known.parent)
    rounds = max(1, int(known.level.max()).bit_length())
    return _summed(own, jnp.asarray(above), rounds)


@functools.partial(jax.jit, static_argnums=2)
def _summed(own: jax.Array, above: jax.Array, rounds: int) -> jax.Array:
    def double(_: int, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        total, reach = carry
        return total + total[reach], reach[reach]

    # The root's own step is 0, so that adding it again changes nothing.
    return jax.lax.fori_loop(0, rounds, double, (own, above))[0]


def radial(known: Hierarchy, key: jax.Array, dim: int, step: jax.Array) -> jax.Array:
    r"""Each item at the radius :math:`s` times its level, branches at the angles of a tree.

    Points of radii :math:`r, r'` are nearly :math:`r + r' + 2 \ln \sin(\theta/2)` apart, which is
    the path length :math:`s\,(l + l' - 2 l_{common})` where the angle falls as
    :math:`e^{-s\,l_{common}}`: directions are those of a walk whose steps do. The start for terms
    that ask for path lengths.

    Args:
      known: the hierarchy.
      key: random key.
      dim: dimension.
      step: s, hyperbolic length of an edge.

    Returns:
      Tangent vectors at the origin ``(n, dim)``.
    """
    reached = _walked(known, key, dim, jnp.float32(1.0), jnp.exp(-step))
    length = jnp.linalg.norm(reached, axis=-1, keepdims=True)
    radius = step * jnp.asarray(known.level, jnp.float32)[:, None]
    return radius * reached / jnp.where(length > 0.0, length, 1.0)


def scattered(known: Hierarchy, key: jax.Array, dim: int, scale: jax.Array) -> jax.Array:
    """Normal vectors ``(n, dim)`` of a standard deviation around the origin."""
    return scale * jax.random.normal(key, (len(known), dim))


STARTS = {"walk": walk, "radial": radial, "random": scattered}
"""Name in ``config.model.start`` -> function."""
