"""A toy: directions of latents that gather at the vertices of a regular figure in space."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from chex import Numeric

from tvae.errors import UserError
from tvae.fields import above, one_of
from tvae.geometry.numerics import squared_norm
from tvae.losses.levels import masked_mean
from tvae.losses.registry import term
from tvae.losses.similarity import unit

FIGURES = ("tetrahedron", "octahedron", "icosahedron", "spiral")
"""Regular figures with 4, 6 and 12 vertices, and 24 points spread along a spiral."""


def vertices(figure: str) -> np.ndarray:
    """Vertices of a figure on the unit sphere, ``(4, 3)`` to ``(24, 3)``.

    Args:
      figure: one of :data:`FIGURES`.

    >>> [len(vertices(figure)) for figure in FIGURES]
    [4, 6, 12, 24]
    """
    if figure == "spiral":
        step = np.arange(24) + 0.5
        height, angle = 1.0 - step / 12.0, math.pi * (1.0 + math.sqrt(5.0)) * step
        ring = np.sqrt(1.0 - height**2)
        return np.stack([ring * np.cos(angle), height, ring * np.sin(angle)], -1)
    if figure == "octahedron":
        return np.concatenate([np.eye(3), -np.eye(3)])
    if figure == "tetrahedron":
        corners = np.array(list(itertools.product((1.0, -1.0), repeat=3)))
        return corners[corners.prod(-1) > 0] / math.sqrt(3.0)
    golden = 0.5 * (1.0 + math.sqrt(5.0))
    corners = np.array(list(itertools.product((1.0, -1.0), (golden, -golden), (0.0,))))
    turned = np.concatenate([np.roll(corners, k, axis=-1) for k in range(3)])
    return turned / math.hypot(1.0, golden)


def chamfer(x: jax.Array, targets: jax.Array, where: jax.Array | None = None) -> jax.Array:
    r"""Mean squared distance to the nearest target, plus that of targets to the nearest row.

    Args:
      x: ``(n, d)``.
      targets: ``(m, d)``, few.
      where: bool ``(n,)``, rows that count.

    Returns:
      A scalar; 0 where no row counts.

    >>> float(chamfer(jnp.asarray([[0.0], [1.0]]), jnp.asarray([[3.0]])))  # (9 + 4) / 2 + 4
    10.5
    """
    rows = jnp.ones(len(x), bool) if where is None else where
    square = squared_norm(x[:, None] - targets[None])
    covered = jnp.where(rows[:, None], square, jnp.inf).min(0)
    covered = jnp.where(jnp.isfinite(covered), covered, 0.0)
    return masked_mean(square.min(-1), rows) + covered.mean()


@term(
    "polytope",
    unit="squared length",
    source="the reference system's GeometricAlignmentLoss",
    options={
        "figure": (one_of(*FIGURES), "whose vertices are the targets"),
        "size": (above(0.0), "distance of the vertices from the origin"),
    },
    bounds=(0.0, math.inf),
    invariances=("permutation", "scale"),
    was={"GeometricAlignmentLoss": "toy"},
)
def polytope(
    z: jax.Array,
    where: jax.Array | None = None,
    *,
    figure: str = "octahedron",
    size: Numeric = 1.0,
) -> jax.Array:
    r"""Chamfer distance of the latents' directions and the vertices of a figure.

    .. math:: \overline{\min_k \|s\,\hat z_i - v_k\|^2} + \overline{\min_i \|s\,\hat z_i - v_k\|^2}

    A toy: it reads three coordinates of the latent, and no property of the data prefers a figure.

    Args:
      z: ``(n, d)`` of at least 3 dimensions, of which the first 3 are taken.
      where: bool ``(n,)``, rows that count.
      figure: see :func:`vertices` (static).
      size: s, the radius of the figure.

    Returns:
      A scalar; 0 where no row counts.

    Raises:
      UserError: for latents of fewer than 3 dimensions.

    >>> float(polytope(jnp.eye(3)))  # the other three vertices lie √2 away
    1.0
    """
    if z.shape[-1] < 3:
        raise UserError(f"polytope: expected z of 3 dimensions or more, got shape {z.shape}")
    targets = size * jnp.asarray(vertices(figure), z.dtype)
    return chamfer(size * unit(z[:, :3]), targets, where)
