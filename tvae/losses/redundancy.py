"""Terms without negatives: two views agree, and the dimensions of a view stay alive and apart.

VICReg is the sum of ``vicreg_invariance``, ``vicreg_variance`` and ``vicreg_covariance`` with the
weights 25, 25 and 1 (:data:`tvae.losses.mixtures.MIXTURES`). Rows where ``where`` does not hold
count in no mean and no covariance.
"""

import jax
import jax.numpy as jnp
import optax
from chex import Numeric

from tvae.errors import UserError
from tvae.fields import BOOLEAN, above, at_least, one_of
from tvae.geometry.numerics import safe_norm
from tvae.losses.levels import masked_mean
from tvae.losses.registry import term
from tvae.losses.similarity import unit

DISTANCES = ("cosine", "l2", "l1", "smooth_l1")
"""Choices of ``distance`` in :func:`feature_distance`."""

_VICREG = "Bardes et al., VICReg: variance-invariance-covariance regularization (2022), equation "
# A standard deviation below it counts as this long, in the unit of the features.
_MIN_DEVIATION = 1e-6


def centred(x: jax.Array, where: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Rows less their mean, 0 where they do not count, and the number of those that count.

    >>> rows, n = centred(jnp.asarray([[1.0], [3.0], [9.0]]), jnp.asarray([True, True, False]))
    >>> rows[:, 0].tolist(), n.item()
    ([-1.0, 1.0, 0.0], 2.0)
    """
    counts = jnp.ones(x.shape[0], bool) if where is None else where
    n = counts.sum().astype(x.dtype)
    kept = jnp.where(counts[:, None], x, 0)
    mean = kept.sum(0, keepdims=True) / jnp.maximum(n, 1)
    return jnp.where(counts[:, None], x - mean, 0), n


def covariance(
    a: jax.Array, b: jax.Array, where: jax.Array | None = None, *, unbiased: bool = True
) -> jax.Array:
    """Covariances of the dimensions of two views over the rows that count, ``(d, e)``.

    Args:
      a: ``(n, d)``.
      b: ``(n, e)``.
      where: bool ``(n,)``; None for all.
      unbiased: divide by n - 1 instead of n; 0 where nothing would remain.

    >>> covariance(jnp.asarray([[0.0], [2.0]]), jnp.asarray([[0.0], [4.0]])).tolist()
    [[4.0]]
    """
    (a, n), (b, _) = centred(a, where), centred(b, where)
    product = jnp.matmul(a.T, b, precision=jax.lax.Precision.HIGHEST)
    return product / jnp.maximum(n - unbiased, 1)


def off_diagonal_power(matrix: jax.Array) -> jax.Array:
    """Sum of the squares of a square matrix off its diagonal.

    >>> off_diagonal_power(jnp.asarray([[9.0, 1.0], [2.0, 9.0]])).item()
    5.0
    """
    return jnp.where(jnp.eye(matrix.shape[0], dtype=bool), 0, jnp.square(matrix)).sum()


@term(
    "vicreg_invariance",
    unit="squared unit of the features",
    source=_VICREG + "5",
    options={"centre": (BOOLEAN, "compare the views less their means")},
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "translation"),
    was={"VICRegLoss": "corrected"},
)
def vicreg_invariance(
    x: jax.Array, y: jax.Array, *, where: jax.Array | None = None, centre: bool = False
) -> jax.Array:
    r"""Mean squared difference of two views, :math:`\overline{(x_{ik} - y_{ik})^2}` over all ik.

    Args:
      x: ``(n, d)``.
      y: ``(n, d)``.
      where: bool ``(n,)``, rows that count; None for all.
      centre: take the mean of each view off first, as the reference system does, whose views may
        then lie apart at no cost (static).

    Returns:
      A scalar; 0 where no row counts.

    >>> x = jnp.asarray([[0.0], [1.0]])
    >>> vicreg_invariance(x, x + 2.0).item(), vicreg_invariance(x, x + 2.0, centre=True).item()
    (4.0, 0.0)
    """
    if centre:
        x, y = centred(x, where)[0], centred(y, where)[0]
    each = jnp.square(x - y).mean(-1)
    return masked_mean(each, jnp.ones_like(each, bool) if where is None else where)


@term(
    "vicreg_variance",
    unit="unit of the features, of two views",
    source=_VICREG + "1",
    options={
        "deviation": (above(0.0), "standard deviation that each dimension should have"),
        "epsilon": (above(0.0), "added to the variance, squared unit of the features"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "translation"),
    was={"VICRegLoss": "corrected"},
)
def vicreg_variance(
    x: jax.Array,
    y: jax.Array,
    *,
    where: jax.Array | None = None,
    deviation: Numeric = 1.0,
    epsilon: Numeric = 1e-4,
) -> jax.Array:
    r"""Shortfall of the standard deviations of each view's dimensions, summed over both views.

    .. math:: \sum_{z \in \{x, y\}} \overline{[\,γ - \sqrt{\operatorname{Var} z_k + ε}\,]_+}

    Args:
      x: ``(n, d)``.
      y: ``(n, e)``.
      where: bool ``(n,)``, rows that count; None for all.
      deviation: γ.
      epsilon: ε.

    Returns:
      A scalar in [0, 2γ]; the variance is unbiased, and 0 for fewer than two rows.

    >>> x = jnp.asarray([[0.0, 0.0], [2.0, 0.0]])  # standard deviations √2 and 0
    >>> round(float(vicreg_variance(x, x)), 4)  # (1 - 0.01) / 2 for each view
    0.99
    """

    def shortfall(z: jax.Array) -> jax.Array:
        rows, n = centred(z, where)
        variance = jnp.square(rows).sum(0) / jnp.maximum(n - 1, 1)
        return jax.nn.relu(deviation - jnp.sqrt(variance + epsilon)).mean()

    return shortfall(x) + shortfall(y)


@term(
    "vicreg_covariance",
    unit="fourth power of the unit of the features",
    source=_VICREG + "3",
    bounds=(0.0, float("inf")),
    invariances=("permutation", "translation"),
    was={"VICRegLoss": "corrected"},
)
def vicreg_covariance(x: jax.Array, y: jax.Array, *, where: jax.Array | None = None) -> jax.Array:
    r"""Squared covariances between the dimensions of each view, summed over both views.

    .. math:: \sum_{z \in \{x, y\}} \tfrac1d \sum_{k \ne l} \operatorname{Cov}(z_k, z_l)^2

    Args:
      x: ``(n, d)``.
      y: ``(n, e)``.
      where: bool ``(n,)``, rows that count; None for all.

    Returns:
      A scalar; 0 for fewer than two rows.

    >>> x = jnp.asarray([[0.0, 0.0], [2.0, 1.0]])  # covariance 1
    >>> vicreg_covariance(x, x).item()
    2.0
    """

    def power(z: jax.Array) -> jax.Array:
        return off_diagonal_power(covariance(z, z, where)) / z.shape[-1]

    return power(x) + power(y)


@term(
    "barlow_twins",
    unit="1",
    source="Zbontar et al., Barlow Twins: self-supervised learning via redundancy reduction "
    "(2021), equations 1 and 2",
    options={
        "off_diagonal": (at_least(0.0), "λ, weight of the redundancy"),
        "standardise": (BOOLEAN, "correlations and sums; else the reference system's form"),
        "views": (one_of("cross", "within"), "between the views, or the mean of each alone"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "translation", "scale"),
    was={"BarlowTwinsLoss": "corrected"},
)
def barlow_twins(
    x: jax.Array,
    y: jax.Array,
    *,
    where: jax.Array | None = None,
    off_diagonal: Numeric = 0.005,
    standardise: bool = True,
    views: str = "cross",
) -> jax.Array:
    r"""Distance of the cross-correlation C of two views from the identity.

    .. math:: \sum_k (1 - C_{kk})^2 + λ \sum_{k \ne l} C_{kl}^2

    With ``standardise=False`` it is the reference system's form: covariances of rows of length 1,
    and means over k and over all kl. Its diagonal is about 1/d instead of 1 even for equal views.

    Args:
      x: ``(n, d)``.
      y: ``(n, d)``.
      where: bool ``(n,)``, rows that count; None for all.
      off_diagonal: λ.
      standardise: see above (static).
      views: "cross"; or "within": the mean of the two views' own matrices, without any term
        between them (static).

    Returns:
      A scalar; a dimension that does not vary has correlation 0.

    >>> x = jnp.asarray([[0.0, 1.0], [1.0, 3.0], [2.0, 1.0]])  # uncorrelated
    >>> round(float(barlow_twins(x, x)), 4), round(float(barlow_twins(x, -x)), 4)
    (0.0, 8.0)
    """
    scaled = _standardised if standardise else lambda z, _: unit(z)
    x, y = scaled(x, where), scaled(y, where)
    if views == "cross":
        matrix = covariance(x, y, where, unbiased=False)
    else:
        matrix = (
            covariance(x, x, where, unbiased=False) + covariance(y, y, where, unbiased=False)
        ) / 2
    dim = matrix.shape[0]
    diagonal = jnp.square(jnp.diagonal(matrix) - 1).sum()
    power = off_diagonal_power(matrix)
    if standardise:
        return diagonal + off_diagonal * power
    return diagonal / dim + off_diagonal * power / dim**2


def _standardised(x: jax.Array, where: jax.Array | None) -> jax.Array:
    """Dimensions of mean 0 and (biased) variance 1; 0 where they do not vary."""
    rows, n = centred(x, where)
    variance = jnp.square(rows).sum(0, keepdims=True) / jnp.maximum(n, 1)
    return rows * jax.lax.rsqrt(jnp.maximum(variance, _MIN_DEVIATION**2))


@term(
    "decorrelation",
    unit="1",
    source="the reference system's DecorrelationLoss; after Bardes et al., VICReg (2022), "
    "equation 3",
    bounds=(0.0, 1.0),
    invariances=("permutation", "scale"),
    was={"DecorrelationLoss": "same"},
)
def decorrelation(
    x: jax.Array, y: jax.Array | None = None, *, where: jax.Array | None = None
) -> jax.Array:
    r"""Mean squared covariance between dimensions of rows of length 1, averaged over the views.

    .. math:: \tfrac{1}{d (d - 1)} \sum_{k \ne l} \operatorname{Cov}(\hat x_k, \hat x_l)^2

    Args:
      x: ``(n, d)``.
      y: ``(n, e)``, another view or modality; None for none.
      where: bool ``(n,)``, rows that count; None for all.

    Returns:
      A scalar; 0 for fewer than two rows, or one dimension.

    >>> x = jnp.asarray([[3.0, 4.0], [-3.0, -4.0]])  # covariance 2 (0.6 · 0.8)
    >>> round(float(decorrelation(x)), 4)
    0.9216
    """

    def power(z: jax.Array) -> jax.Array:
        dim = z.shape[-1]
        z = unit(z)
        return off_diagonal_power(covariance(z, z, where)) / max(dim * (dim - 1), 1)

    return power(x) if y is None else (power(x) + power(y)) / 2


@term(
    "byol",
    unit="1",
    source="Grill et al., Bootstrap your own latent (2020), equation 2",
    per="item",
    bounds=(0.0, 4.0),
    invariances=("permutation", "rotation", "scale"),
    was={"BYOL": "same"},
)
def byol(x: jax.Array, y: jax.Array) -> jax.Array:
    r"""Squared distance of the prediction from the teacher's features, rows of length 1.

    .. math:: \lVert \hat x_i - \hat y_i \rVert^2 = 2 - 2 \cos(x_i, y_i)

    One direction; with the views exchanged it is a second term.

    Args:
      x: ``(n, d)``, predictions of the trained network from one view.
      y: ``(n, d)``, features of the teacher (:func:`tvae.losses.memory.average`) from the other;
        no gradient passes.

    Returns:
      ``(n,)``.

    >>> byol(jnp.asarray([[2.0, 0.0], [0.0, 1.0]]), jnp.asarray([[1.0, 0.0], [0.0, -3.0]])).tolist()
    [0.0, 4.0]
    """
    return 2 * feature_distance(x, jax.lax.stop_gradient(y))


def feature_distance(x: jax.Array, y: jax.Array, *, distance: str = "cosine") -> jax.Array:
    r"""Distance of rows scaled to length 1, ``(n,)``.

    Args:
      x: ``(n, d)``.
      y: ``(n, d)``.
      distance: "cosine", :math:`1 - \cos = \lVert \hat x - \hat y \rVert^2 / 2`; "l2"; "l1"; or
        "smooth_l1", summed over dimensions, its corner at 1.

    Raises:
      UserError: if the distance is another.

    >>> x, y = jnp.asarray([[1.0, 0.0]]), jnp.asarray([[0.0, 2.0]])
    >>> [round(feature_distance(x, y, distance=name).item(), 4) for name in DISTANCES]
    [1.0, 1.4142, 2.0, 1.0]
    """
    difference = unit(x) - unit(y)
    if distance == "cosine":  # from the difference: near 0, 1 - cos would be rounding
        return jnp.square(difference).sum(-1) / 2
    if distance == "l2":
        return safe_norm(difference)
    if distance == "l1":
        return jnp.abs(difference).sum(-1)
    if distance == "smooth_l1":
        return optax.huber_loss(difference).sum(-1)
    raise UserError(f"distance: got {distance!r}, expected one of {DISTANCES}")


@term(
    "feature_consistency",
    unit="1, see the distance",
    source="the reference system's FeatureConsistencyLoss",
    per="item",
    options={"distance": (one_of(*DISTANCES), "of rows of length 1")},
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "scale"),
    was={"FeatureConsistencyLoss": "same"},
)
def feature_consistency(
    x: jax.Array, reference: jax.Array, *, distance: str = "cosine"
) -> jax.Array:
    """Distance of features from those of an earlier, frozen model, of rows of length 1.

    Args:
      x: ``(n, d)``.
      reference: ``(n, d)``, of the earlier model; no gradient passes.
      distance: see :func:`feature_distance` (static).

    Returns:
      ``(n,)``.

    >>> feature_consistency(jnp.asarray([[2.0, 0.0]]), jnp.asarray([[0.0, 1.0]])).round(6).tolist()
    [1.0]
    """
    return feature_distance(x, jax.lax.stop_gradient(reference), distance=distance)
