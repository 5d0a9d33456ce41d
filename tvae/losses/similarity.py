"""Similarities of all pairs of rows, ``(n, d)`` and ``(m, d)`` to ``(n, m)``: larger is nearer.

Terms that compare pairs take ``similarity``, one of :data:`SIMILARITIES`, in their configuration.
Products are taken in full precision: divided by a temperature of 0.07, the rounding of an
accelerator's default to 8 or 11 bits would move a logit by several hundredths.

A trained temperature is a parameter of the model: the domain offers the features
``unit(x) / trained_temperature(log_tau)``, and the term takes the similarity "dot" and the
temperature 1.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.errors import UserError
from tvae.fields import above, one_of
from tvae.geometry import hyperboloid, numerics, poincare

# Norms below it count as this long. The gradient at a zero vector is its inverse; far smaller
# values, such as the usual 1e-12, would let a single zero row decide a whole step.
_MIN_NORM = 1e-6


def unit(x: jax.Array) -> jax.Array:
    r"""Rows of Euclidean length 1, :math:`x / \max(\lVert x\rVert, 10^{-6})`, of ``(..., d)``.

    A zero row stays zero; its gradient is finite.

    >>> unit(jnp.asarray([[3.0, 4.0], [0.0, 0.0]])).round(6).tolist()
    [[0.6..., 0.8...], [0.0, 0.0]]
    """
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, _MIN_NORM**2))


def dot(x: jax.Array, y: jax.Array) -> jax.Array:
    """Inner products of all rows, ``(n, m)``.

    >>> dot(jnp.asarray([[1.0, 2.0]]), jnp.asarray([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[11.0, 2.0]]
    """
    return jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)


def cosine(x: jax.Array, y: jax.Array) -> jax.Array:
    """Cosines of the angles between all rows, ``(n, m)``, in [-1, 1]; 0 for a zero row.

    >>> cosine(jnp.asarray([[2.0, 0.0]]), jnp.asarray([[5.0, 0.0], [0.0, 1.0]])).tolist()
    [[1.0, 0.0]]
    """
    return dot(unit(x), unit(y))


def euclidean(x: jax.Array, y: jax.Array) -> jax.Array:
    """Minus the Euclidean distance of all rows, ``(n, m)``; gradient 0 at coincident rows.

    >>> euclidean(jnp.asarray([[0.0, 0.0]]), jnp.asarray([[3.0, 4.0]])).tolist()
    [[-5.0]]
    """
    square = numerics.squared_differences(x, y)
    apart = square > jnp.finfo(square.dtype).tiny
    return -jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1.0)), 0.0)


SIMILARITIES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "cosine": cosine,
    "dot": dot,
    "euclidean": euclidean,
    "lorentz": hyperboloid.pairwise_lorentz_product,
}
"""Similarities that need nothing but the rows."""

DISTANCES: dict[str, Callable[..., jax.Array]] = {
    "poincare": poincare.pairwise_distance,
    "hyperboloid": hyperboloid.pairwise_distance,
}
"""Geodesic distances, whose negatives are similarities; they need the curvature too."""

FLAT = one_of(*SIMILARITIES)
"""Check of an option ``similarity`` where the term takes no curvature."""
ANY = one_of(*SIMILARITIES, *DISTANCES)
"""Check of an option ``similarity`` where the term has the curvature among its inputs."""

TEMPERATURE = (above(0.0), "τ, unit of the similarity")
SIMILARITY = (ANY, "of pairs, see tvae.losses.similarity")
FLAT_SIMILARITY = (FLAT, "of pairs, see tvae.losses.similarity")
"""Options of terms that compare pairs."""


def similarities(
    x: jax.Array, y: jax.Array, *, similarity: str = "cosine", c: Numeric | None = None
) -> jax.Array:
    """Similarity of every row of ``x`` to every row of ``y``.

    Args:
      x: ``(n, d)`` features, or points of the ball ("poincare") or the hyperboloid ("lorentz",
        "hyperboloid"; :mod:`tvae.geometry.hyperboloid`).
      y: ``(m, d)``.
      similarity: one of :data:`SIMILARITIES` or :data:`DISTANCES`.
      c: curvature magnitude, for :data:`DISTANCES`.

    Returns:
      ``(n, m)``, larger for nearer rows.

    Raises:
      UserError: if the similarity is not one of those, or lacks its curvature.

    >>> similarities(jnp.eye(2), jnp.eye(2), similarity="euclidean").round(4).tolist()
    [[-0.0, -1.414...], [-1.414..., -0.0]]
    """
    if not ANY.holds(similarity):
        raise UserError(f"similarity: got {similarity!r}, expected {ANY.expectation}")
    if similarity in SIMILARITIES:
        return SIMILARITIES[similarity](x, y)
    if c is None:
        raise UserError(f"similarity {similarity!r}: needs the input 'c', the curvature; got none")
    return -DISTANCES[similarity](x, y, c=c)


def trained_temperature(
    log_tau: jax.Array, *, low: Numeric = 0.01, high: Numeric = 1.0
) -> jax.Array:
    r"""A trained temperature :math:`e^{\log τ}`, kept in ``[low, high]``.

    The parameter is a logarithm, so that the temperature cannot cross 0; outside the bounds its
    gradient is 0. Start at :math:`\log 0.07 = -2.66`.

    >>> [round(float(trained_temperature(jnp.log(tau))), 4) for tau in (0.001, 0.07, 3.0)]
    [0.01, 0.07, 1.0]
    """
    return jnp.exp(jnp.clip(log_tau, jnp.log(low), jnp.log(high)))
