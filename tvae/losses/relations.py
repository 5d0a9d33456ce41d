r"""Losses on relations of a hierarchy: which items lie below which, from pairs of points.

A batch holds pairs of an item and one of its ancestors; the other ancestors of the batch are the
negatives of a row, but for those that ``related`` marks as its ancestors too. What is compared are
distances and radii, so that the ball and the hyperboloid give the same value through the isometry.
"""

import math

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import above, one_of, within
from tvae.geometry import hyperboloid, poincare
from tvae.losses.blocks import map_rows
from tvae.losses.nce import nce
from tvae.losses.pairs import Block, distinct
from tvae.losses.registry import term
from tvae.losses.similarity import similarities

_MODELS = {
    "poincare": (poincare.hyperbolic_radius, poincare.pairwise_distance),
    "hyperboloid": (hyperboloid.hyperbolic_radius, hyperboloid.pairwise_distance),
}
# The largest sine of a half aperture whose gradient is taken; that of arcsin is infinite at 1.
_WIDEST = 1.0 - 1e-6


def _related(i: jax.Array, n_rows: int, related: jax.Array | None) -> jax.Array:
    """Ancestors of the items of rows i, bool ``(b, n)``; each row's own among them."""
    own = ~distinct(n_rows, Block(i))
    return own if related is None else own | related[i]


@term(
    "ranking_softmax",
    unit="nats",
    source="Nickel and Kiela, Poincaré embeddings for learning hierarchical representations "
    "(2017), equation 6; on the hyperboloid Nickel and Kiela (2018), equation 11; 'lorentz': "
    "Law et al., Lorentzian distance learning for hyperbolic representations (2019)",
    per="item",
    options={
        "similarity": (
            one_of("poincare", "hyperboloid", "lorentz"),
            "minus the distance of points of the ball or of the hyperboloid, or the Lorentz "
            "product of the latter",
        ),
        "temperature": (above(0.0), "unit of the similarity"),
    },
    bounds=(0.0, math.inf),
    invariances=("permutation", "rotation", "isometry"),
)
def ranking_softmax(
    point: jax.Array,
    parent_point: jax.Array,
    c: Numeric,
    related: jax.Array | None = None,
    *,
    similarity: str = "poincare",
    temperature: Numeric = 1.0,
) -> jax.Array:
    r"""Cross-entropy of each item's ancestor among those of the batch that are none of its own.

    .. math:: -\log\frac{e^{-d(u, v)/T}}{e^{-d(u, v)/T} + \sum_{v' \in N(u)} e^{-d(u, v')/T}}

    Args:
      point: u ``(n, d)`` in the ball, or ``(n, d + 1)`` on the hyperboloid.
      parent_point: v, likewise; those of other rows are the negatives v'.
      c: curvature magnitude.
      related: bool ``(n, n)``, where column j's ancestor is one of row i's item too: no negative.
      similarity: see the options (static).
      temperature: T.

    Returns:
      ``(n,)``, nats; 0 for a row without negatives.

    >>> u, v = jnp.zeros((2, 1)), jnp.asarray([[0.0], [0.5]])  # distances 0 and ln 3
    >>> ranking_softmax(u, v, 1.0).round(4).tolist()  # ln(1 + 1/3), ln(1 + 3)
    [0.287..., 1.386...]
    """
    chex.assert_equal_shape([point, parent_point])

    def of_rows(i: jax.Array) -> jax.Array:
        logits = similarities(point[i], parent_point, similarity=similarity, c=c) / temperature
        own = ~distinct(len(point), Block(i))
        return nce(logits, own, own | ~_related(i, len(point), related)).loss

    return map_rows(of_rows, len(point))


def cone_aperture(radius: jax.Array, *, c: Numeric, width: Numeric) -> jax.Array:
    r"""Half aperture of a point's entailment cone, :math:`\arcsin(2K / \sinh(\sqrt c\,r))`.

    The cone opens away from the origin. A right angle where the sine would exceed 1: near the
    origin everything is entailed.

    Args:
      radius: r of any shape, hyperbolic.
      c: curvature magnitude.
      width: K.

    Returns:
      Radians in (0, π/2], of the shape of ``radius``.

    Source: Ganea et al., *Hyperbolic entailment cones for learning hierarchical embeddings* (2018),
    equation 26, as a function of the radius.

    >>> round(float(cone_aperture(jnp.arcsinh(jnp.float32(0.4)), c=1.0, width=0.1)), 4)  # π/6
    0.5236
    """
    longest = 2.0 * width / _WIDEST
    sinh = jnp.sinh(jnp.sqrt(c) * radius)
    narrow = sinh > longest
    sine = 2.0 * width / jnp.where(narrow, sinh, 2.0 * longest)
    return jnp.where(narrow, jnp.arcsin(sine), 0.5 * math.pi)


def outer_angle(
    radius: jax.Array, distance: jax.Array, other_radius: jax.Array, *, c: Numeric
) -> jax.Array:
    r"""Angle at a point x between the ray from the origin on and the geodesic to a point y.

    By half angles of the triangle of both points and the origin, with
    :math:`s = (d + r_x + r_y)/2`,

    .. math:: \tan^2\tfrac{\Xi}{2} = \frac{\sinh s\,\sinh(s - r_y)}{\sinh(s - d)\,\sinh(s - r_x)}.

    Args:
      radius: :math:`r_x`; all three arrays broadcast, in hyperbolic length.
      distance: d of x and y.
      other_radius: :math:`r_y`.
      c: curvature magnitude.

    Returns:
      Radians in [0, π]; 0 where x and y coincide, with gradient 0 there and at 0 and π.

    Source: Ganea et al. (2018), equation 28, in lengths.

    >>> one, three = jnp.float32(1.0), jnp.float32(3.0)
    >>> float(outer_angle(one, one + one, three, c=1.0))  # y on the ray beyond x
    0.0
    """
    root = jnp.sqrt(c)
    a, b, o = root * radius, root * distance, root * other_radius
    # Half sums and differences; rounding may leave them just below 0.
    total, beyond, across, before = (
        jnp.sinh(0.5 * jax.nn.relu(x)) for x in (a + b + o, a + b - o, a + o - b, b + o - a)
    )
    sine, cosine = total * beyond, across * before
    positive, some = sine > 0.0, cosine > 0.0
    rise = jnp.where(positive, jnp.sqrt(jnp.where(positive, sine, 1.0)), 0.0)
    run = jnp.where(some, jnp.sqrt(jnp.where(some, cosine, 1.0)), 0.0)
    return 2.0 * jnp.arctan2(rise, jnp.where(positive | some, run, 1.0))


def entailment_energy(
    parent_radius: jax.Array,
    distance: jax.Array,
    radius: jax.Array,
    *,
    c: Numeric,
    width: Numeric,
) -> jax.Array:
    r"""By how much a point lies outside its parent's cone, :math:`[\Xi - \psi]_+`.

    Args:
      parent_radius: of the cone's apex; all three arrays broadcast, in hyperbolic length.
      distance: of the two points.
      radius: of the point.
      c: curvature magnitude.
      width: see :func:`cone_aperture`.

    Returns:
      Radians in [0, π]; 0 inside the cone.

    >>> zero, one = jnp.float32(0.0), jnp.float32(1.0)
    >>> float(entailment_energy(zero, one, one, c=1.0, width=0.1))  # the origin entails all
    0.0
    """
    angle = outer_angle(parent_radius, distance, radius, c=c)
    return jax.nn.relu(angle - cone_aperture(parent_radius, c=c, width=width))


@term(
    "entailment_cones",
    unit="rad",
    source="Ganea et al., Hyperbolic entailment cones for learning hierarchical embeddings (2018), "
    "equation 32",
    options={
        "width": (above(0.0), "K: the cone of a point at hyperbolic radius r has the half "
        "aperture arcsin(2K / sinh r)"),
        "margin": (within(0.0, math.pi), "least energy of a negative, rad"),
        "model": (one_of(*_MODELS), "of the points"),
    },
    bounds=(0.0, 2.0 * math.pi),
    invariances=("permutation", "rotation"),
)  # fmt: skip
def entailment_cones(
    point: jax.Array,
    parent_point: jax.Array,
    c: Numeric,
    related: jax.Array | None = None,
    where: jax.Array | None = None,
    *,
    width: Numeric = 0.1,
    margin: Numeric = 0.01,
    model: str = "poincare",
) -> jax.Array:
    r"""Items lie in the cones of their ancestors and outside those of other rows' ancestors.

    .. math:: \overline{E(v, u)} + \overline{[\gamma - E(v', u)]_+}

    with :func:`entailment_energy` E, over pairs of an item u and its ancestor v, and of an item and
    an ancestor v' of other rows that is none of its own. The paper sums; means keep the balance of
    the two when the batch grows.

    Args:
      point: u ``(n, d)``.
      parent_point: v ``(n, d)``.
      c: curvature magnitude.
      related: bool ``(n, n)``, see :func:`ranking_softmax`; these pairs count as positive.
      where: bool ``(n,)``, rows that count.
      width: K, see :func:`cone_aperture`.
      margin: :math:`\gamma`.
      model: "poincare" or "hyperboloid" (static).

    Returns:
      A scalar, radians.

    >>> x = jnp.asarray([[0.5, 0.0], [-0.5, 0.0]])  # both at their parents' opposites
    >>> round(float(entailment_cones(x, -x, 1.0, margin=0.0)), 4)  # π - arcsin(0.15)
    2.991
    """
    chex.assert_equal_shape([point, parent_point])
    radius_of, pairwise = _MODELS[model]
    rows = jnp.ones(len(point), bool) if where is None else where
    parent_radius, radius = radius_of(parent_point, c=c), radius_of(point, c=c)

    def of_rows(i: jax.Array) -> tuple[jax.Array, ...]:
        distance = pairwise(point[i], parent_point, c=c)
        energy = entailment_energy(
            parent_radius[None, :], distance, radius[i][:, None], c=c, width=width
        )
        both, positive = rows[i][:, None] & rows[None, :], _related(i, len(point), related)
        inside, outside = both & positive, both & ~positive
        missing = jax.nn.relu(margin - energy)
        sums = (jnp.where(mask, x, 0).sum(-1) for mask, x in ((inside, energy), (outside, missing)))
        return *sums, inside.sum(-1), outside.sum(-1)

    above, below, n_above, n_below = (x.sum() for x in map_rows(of_rows, len(point)))
    n_above, n_below = (jnp.maximum(n, 1).astype(point.dtype) for n in (n_above, n_below))
    return above / n_above + below / n_below
