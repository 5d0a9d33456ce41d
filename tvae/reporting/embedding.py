"""What the report shows of a trained model's geometry, computed once, as NumPy arrays."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.operations import coverage
from tvae.geometry import padic as ternary
from tvae.geometry import poincare
from tvae.model import Model

PLANES = 3
"""Pairs of principal directions that can be looked at."""
PAIRS = 400
"""Pairs drawn for each 3-adic distance."""


class Plane(NamedTuple):
    """A plane of two principal directions, in polar coordinates.

    Attributes:
      angle: of each operation, radians, ``(n,)``.
      length: of its projection, in the tangent space, ``(n,)``.
      explained: share of the squared length of all operations that lies in the plane.
    """

    angle: np.ndarray
    length: np.ndarray
    explained: float


@dataclasses.dataclass(frozen=True)
class Embedding:
    """One embedding of all operations, in a Poincaré ball or in Euclidean space.

    Attributes:
      name: "a" or "b".
      curvature: magnitude c of the ball; None for Euclidean latents, which have no ball.
      valuation: of each operation, ``(n,)``.
      radius: distance of each operation to the origin, ``(n,)``.
      planes: of principal directions 1 and 2, 3 and 4, and so on.
      pair_valuation: of sampled pairs, ``(m,)``.
      pair_distance: their distance, ``(m,)``.
      exact: whether each operation decodes exactly, ``(n,)``; None where no decoder reads this.
    """

    name: str
    curvature: float | None
    valuation: np.ndarray
    radius: np.ndarray
    planes: list[Plane]
    pair_valuation: np.ndarray
    pair_distance: np.ndarray
    exact: np.ndarray | None

    @property
    def in_ball(self) -> bool:
        """Whether it lies in a Poincaré ball."""
        return self.curvature is not None

    @property
    def levels(self) -> int:
        """Number of valuations."""
        return int(self.valuation.max()) + 1


def principal_planes(tangent: np.ndarray) -> list[Plane]:
    """Principal planes of vectors through the origin, which stays where it is.

    Args:
      tangent: ``(n, d)``, d at least 2, not centred: the ball's origin is the root of the tree.

    Returns:
      Up to ``PLANES`` planes, the one that holds most first.
    """
    power, direction = np.linalg.eigh(tangent.T @ tangent)
    power, direction = power[::-1], direction[:, ::-1]
    # The sign of an eigenvector is free: the largest entry is made positive, so that two machines
    # draw one picture.
    direction = direction * np.sign(direction[np.abs(direction).argmax(0), np.arange(power.size)])
    planes = []
    for first in range(0, min(2 * PLANES, power.size - 1), 2):
        x, y = (tangent @ direction[:, first : first + 2]).T
        share = power[first : first + 2].sum() / max(power.sum(), 1e-30)
        planes.append(Plane(np.arctan2(y, x), np.hypot(x, y), float(share)))
    return planes


def sample_pairs(n_digits: int, per_valuation: int = PAIRS) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of operations, as many for each valuation of their difference, the same every time.

    Args:
      n_digits: digits of an operation.
      per_valuation: how many pairs.

    Returns:
      ``(i, j)`` int ``(n_digits * per_valuation,)``, by rising valuation of ``i - j``.
    """
    draw = np.random.default_rng(0)
    n = 3**n_digits
    valuation = np.repeat(np.arange(n_digits), per_valuation)
    i = draw.integers(0, n, valuation.size)
    # A step of 3^v times a number that 3 does not divide, around the ring of n operations.
    unit = 3 * draw.integers(0, n, valuation.size) + draw.integers(1, 3, valuation.size)
    return i, (i + 3**valuation * unit) % n


@functools.partial(jax.jit, static_argnums=1)
def _measure(model: Model, which: str, i: jax.Array, j: jax.Array) -> dict[str, jax.Array]:
    """Radii, tangent vectors, distances and exactness of one embedding, in one program."""
    index = jnp.arange(model.n_items)
    digit = ternary.digits(index, n_digits=model.input_shape[0])
    space = "ball" if which in model.embeddings else "latent"
    if space == "ball":
        z, c = model.embed(index, which), model.curvature(which)
        found = {
            "radius": poincare.hyperbolic_radius(z, c=c),
            "tangent": poincare.log_map_origin(z, c=c),
            "distance": poincare.distance(z[i], z[j], c=c),
            "c": c,
        }
    else:
        z = jnp.asarray(getattr(model.encode(index), f"mu_{which}"))
        found = {
            "radius": jnp.linalg.norm(z, axis=-1),
            "tangent": z - z.mean(0, keepdims=True),
            "distance": jnp.linalg.norm(z[i] - z[j], axis=-1),
        }
    if which in model.decoders.get(space, ()):
        found["exact"] = coverage.exact_match(model.decode(z, which, space=space), digit)
    return found


def measure(model: Model, which: str) -> Embedding:
    """Measure one embedding of a model.

    Args:
      model: from :func:`tvae.load`.
      which: of :func:`names`.

    Returns:
      The embedding; distances are hyperbolic in a ball and Euclidean elsewhere.
    """
    i, j = sample_pairs(model.input_shape[0])
    found = jax.device_get(_measure(model, which, jnp.asarray(i), jnp.asarray(j)))
    index = jnp.arange(model.n_items)
    return Embedding(
        name=which,
        curvature=float(found["c"]) if "c" in found else None,
        valuation=np.asarray(ternary.valuation(index, n_digits=model.input_shape[0])),
        radius=found["radius"],
        planes=principal_planes(found["tangent"].astype(float)),
        pair_valuation=np.repeat(np.arange(model.input_shape[0]), PAIRS),
        pair_distance=found["distance"],
        exact=found.get("exact"),
    )


def names(model: Model) -> tuple[str, ...]:
    """The embeddings worth showing: those in a ball, or else both Euclidean latents."""
    return model.embeddings or ("a", "b")
