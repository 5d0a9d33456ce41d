"""Toys of the reference system that read properties of a protein straight from its latent code.

Nothing ties a coordinate of a latent to hydrophobicity, cost or any other property: these functions
are kept as examples of objectives over latents, tested by recorded values. For a property that is
measured, train a head and take "squared_error" or "gaussian_nll".
"""

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import above, at_least, within
from tvae.geometry.numerics import safe_norm
from tvae.losses.registry import term

_SOURCE = "the reference system's objectives"


def _cosines(z: jax.Array, directions: jax.Array) -> jax.Array:
    """Cosines of rows and directions, ``(n, k)``; 0 where one has no length."""
    unit_z, unit_d = _unit(z), _unit(directions)
    return unit_z @ unit_d.T


def _unit(x: jax.Array) -> jax.Array:
    """Rows of unit length, or 0."""
    norm = safe_norm(x, keepdims=True)
    return x / jnp.where(norm > 0.0, norm, 1.0)


def _magnitude(z: jax.Array) -> jax.Array:
    """Absolute values, with gradient 0 at 0; that of ``jnp.abs`` is 1."""
    return z * jnp.sign(z)


def _deviation(z: jax.Array) -> jax.Array:
    """Unbiased standard deviation of each row's coordinates, with gradient 0 where they agree."""
    centred = z - z.mean(-1, keepdims=True)
    return safe_norm(centred) / jnp.sqrt(float(max(z.shape[-1] - 1, 1)))


@term(
    "binding",
    unit="1",
    source=_SOURCE,
    per="item",
    options={"temperature": (above(0.0), "divisor of the cosine")},
    invariances=("permutation", "scale"),
    was={"Binding": "toy"},
)
def binding(
    z: jax.Array, profile: jax.Array | None = None, *, temperature: Numeric = 1.0
) -> jax.Array:
    """Minus the cosine of a latent and a target direction, over a temperature: a toy.

    Args:
      z: ``(n, d)``.
      profile: ``(d,)``; without one the score is 0.
      temperature: see the options.

    Returns:
      ``(n,)``.

    >>> score = binding(jnp.asarray([[3.0, 4.0]]), jnp.asarray([1.0, 0.0]), temperature=2.0)
    >>> round(float(score[0]), 4)
    -0.3
    """
    target = jnp.zeros(z.shape[-1], z.dtype) if profile is None else profile
    chex.assert_shape(target, z.shape[-1:])
    return -_cosines(z, target[None])[:, 0] / temperature


@term(
    "epitope_binding",
    unit="1",
    source=_SOURCE,
    per="item",
    options={
        "threshold": (within(-1.0, 1.0), "cosine from which an epitope counts as bound"),
        "softness": (above(0.0), "width of the step in cosine; towards 0 the reference's step"),
    },
    bounds=(0.0, 1.0),
    invariances=("permutation", "scale"),
    was={"EpitopeBinding": "toy"},
)
def epitope_binding(
    z: jax.Array, epitope: jax.Array, *, threshold: Numeric = 0.5, softness: Numeric = 0.05
) -> jax.Array:
    """Share of the epitopes that a latent does not point at: a toy.

    The reference system draws other epitopes in every call if none are given, and its step has no
    gradient.

    Args:
      z: ``(n, d)``.
      epitope: ``(k, d)`` directions.
      threshold: see the options.
      softness: see the options.

    Returns:
      ``(n,)`` in [0, 1].

    >>> epitope = jnp.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> epitope_binding(jnp.asarray([[1.0, 0.0]]), epitope).round(3).tolist()
    [0.5]
    """
    missed = (threshold - _cosines(z, epitope)) / softness
    return jax.nn.sigmoid(missed).mean(-1)


@term(
    "solubility",
    unit="1",
    source=_SOURCE,
    per="item",
    options={"target": (within(-1e3, 1e3), "wanted value of mean plus half the variance")},
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={"Solubility": "toy"},
)
def solubility(z: jax.Array, *, target: Numeric = 0.0) -> jax.Array:
    r"""Toy: :math:`|\bar z + \tfrac12 s^2 - t|` and twice the mean of :math:`|z|` pooled by 3.

    Args:
      z: ``(n, d)``; the pool takes the largest of each coordinate and its neighbours, for d of 3 or
        more.
      target: t.

    Returns:
      ``(n,)``.

    >>> solubility(jnp.asarray([[1.0, 1.0, 1.0]])).tolist()
    [3.0]
    """
    size = _magnitude(z)
    if z.shape[-1] >= 3:  # magnitudes are not negative: zeros beyond the ends change nothing
        padded = jnp.pad(size, ((0, 0), (1, 1)))
        size = jnp.maximum(jnp.maximum(padded[:, :-2], padded[:, 2:]), size)
    hydrophobicity = z.mean(-1) + 0.5 * jnp.square(_deviation(z))
    return jnp.abs(hydrophobicity - target) + 2.0 * size.mean(-1)


@term(
    "stability",
    unit="1",
    source=_SOURCE,
    per="item",
    options={
        "target": (within(0.0, 1.0), "wanted length as a share of the longest"),
        "entropy_weight": (at_least(0.0), "weight of the normalised entropy"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={"Stability": "toy"},
)
def stability(
    z: jax.Array,
    radius: jax.Array | None = None,
    *,
    target: Numeric = 0.8,
    entropy_weight: Numeric = 0.5,
) -> jax.Array:
    r"""Toy: :math:`|ρ / \max ρ - t|` and the softmax entropy of the coordinates over log d.

    A row's value depends on the longest row of the batch.

    Args:
      z: ``(n, d)``.
      radius: ``(n,)`` hyperbolic; without it the Euclidean norms of z.
      target: t.
      entropy_weight: of the entropy.

    Returns:
      ``(n,)``.

    >>> [round(float(x), 4) for x in stability(jnp.asarray([[1.0, 1.0], [2.0, 2.0]]))]
    [0.8, 0.7]
    """
    length = safe_norm(z) if radius is None else radius
    longest = length.max(initial=0.0)
    share = length / jnp.where(longest > 0.0, longest, 1.0)
    log_p = jax.nn.log_softmax(z)
    entropy = -(jnp.exp(log_p) * log_p).sum(-1) / jnp.log(float(max(z.shape[-1], 2)))
    return jnp.abs(share - target) + entropy_weight * entropy


@term(
    "manufacturability",
    unit="1",
    source=_SOURCE,
    per="item",
    options={"complexity": (at_least(0.0), "weight of the spread of the coordinates")},
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={"Manufacturability": "toy"},
)
def manufacturability(z: jax.Array, *, complexity: Numeric = 1.0) -> jax.Array:
    r"""Toy: spread, twice the share of :math:`|z| > 2`, and small magnitudes at both ends.

    .. math:: (1 + w)\, s + 2\, \overline{[|z| > 2]} + 1 - \min(\bar e, 1)

    with the mean magnitude e of the first and last two coordinates.

    Args:
      z: ``(n, d)``.
      complexity: w.

    Returns:
      ``(n,)``.

    >>> manufacturability(jnp.asarray([[0.5, 0.5, 0.5, 0.5]])).tolist()
    [0.5]
    """
    size = _magnitude(z)
    ends = jnp.concatenate([size[:, :2], size[:, -2:]], -1).mean(-1)
    extreme = (size > 2.0).mean(-1)
    return (1.0 + complexity) * _deviation(z) + 2.0 * extreme + 1.0 - jnp.minimum(ends, 1.0)


@term(
    "production_cost",
    unit="1",
    source=_SOURCE,
    per="item",
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={"ProductionCost": "toy"},
)
def production_cost(z: jax.Array) -> jax.Array:
    r"""Toy: mean of :math:`|z|`, twice the share above 1.5, and five times the changes of sign.

    Args:
      z: ``(n, d)``; changes of sign count per coordinate.

    Returns:
      ``(n,)``; only the first part has a gradient.

    >>> production_cost(jnp.asarray([[1.0, -1.0]])).tolist()
    [3.5]
    """
    size, sign = _magnitude(z), jnp.sign(z)
    changes = (sign[:, 1:] != sign[:, :-1]).sum(-1) / z.shape[-1]
    return size.mean(-1) + 2.0 * (size > 1.5).mean(-1) + 5.0 * changes
