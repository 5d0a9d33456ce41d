"""Contrastive terms: each is :func:`tvae.losses.nce.nce` with its masks, denominator and mean.

Cross-modal terms take features ``x`` and ``y`` of two modalities, or of two views, whose rows i
belong together, and average both directions. With ``match_id``, rows of one id belong together
too. Rows where ``where`` does not hold are neither rows nor candidates. The matrices of large
batches are evaluated in blocks of rows (:mod:`tvae.losses.blocks`).

The reference system of this module and of :mod:`tvae.losses.redundancy` is a multimodal trainer
(``docs/parity.md``). Where it draws one of several positives at random, these terms take all of
them in equal shares: the same on average, without the variance. The noise that its SimCLRLoss adds
to the similarities of batches below 16 is left out: it belongs to the features.
"""

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import BOOLEAN, SHARE, above, at_least, one_of
from tvae.losses import nce as core
from tvae.losses.blocks import map_rows
from tvae.losses.levels import masked_mean
from tvae.losses.matching import both_directions, matches
from tvae.losses.nce import nce
from tvae.losses.pairs import Block, distinct
from tvae.losses.registry import term
from tvae.losses.similarity import FLAT_SIMILARITY, SIMILARITY, TEMPERATURE, similarities

_REFERENCE = "the reference system's "


@term(
    "clip",
    unit="nats",
    source="Radford et al., Learning transferable visual models from natural language supervision "
    "(2021), figure 3; smoothing: Szegedy et al., Rethinking the Inception architecture (2016), "
    "section 7",
    options={
        "temperature": TEMPERATURE,
        "label_smoothing": (SHARE, "share of the target spread over all candidates"),
        "similarity": SIMILARITY,
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "scale"),
    was={
        "CLIPLoss": "corrected",
        "CLIPStyleLoss": "corrected",
        "SimCLRLoss": "corrected",
        "ContrastiveLoss": "subsumed",
    },
)
def clip(
    x: jax.Array,
    y: jax.Array,
    *,
    match_id: jax.Array | None = None,
    c: Numeric | None = None,
    where: jax.Array | None = None,
    temperature: Numeric = 0.07,
    label_smoothing: Numeric = 0.0,
    similarity: str = "cosine",
) -> jax.Array:
    r"""Cross-entropy of the row that belongs to each row, of both directions.

    .. math:: \overline{\sum_j q_{ij} \Big(\log \sum_k e^{s_{ik}} - s_{ij}\Big)}, \quad
              s_{ij} = \operatorname{sim}(x_i, y_j) / τ

    with equal shares q of the positives, ε of them spread over all candidates. The reference
    system's smoothed shares do not sum to 1, and its accuracy compares with one random positive.

    Args:
      x: ``(n, d)``.
      y: ``(n, d)``.
      match_id: int ``(n,)``; None: row i belongs to row i only.
      c: curvature magnitude, where the similarity is a geodesic distance.
      where: bool ``(n,)``, rows that count; None for all.
      temperature: τ.
      label_smoothing: ε.
      similarity: see :mod:`tvae.losses.similarity`.

    Returns:
      A scalar in nats; 0 where no row counts.

    Raises:
      UserError: if the similarity is unknown, or lacks its curvature.

    >>> round(float(clip(jnp.eye(2), jnp.eye(2), temperature=1.0)), 4)  # log(1 + 1/e)
    0.3133
    """

    def loss(x: jax.Array, y: jax.Array) -> jax.Array:
        def of_rows(i: jax.Array) -> core.Rows:
            positive, candidate = matches(i, len(x), match_id, where)
            target = core.uniform_targets(positive, candidate, label_smoothing)
            logits = similarities(x[i], y, similarity=similarity, c=c) / temperature
            return nce(logits, positive, candidate, target=target)

        return core.mean_rows(map_rows(of_rows, len(x)))

    return both_directions(loss, x, y)


@term(
    "info_nce",
    unit="nats",
    source="van den Oord et al., Representation learning with contrastive predictive coding "
    "(2018), equation 4; hard negatives: " + _REFERENCE + "HardNegativeLoss",
    options={
        "temperature": TEMPERATURE,
        "mining": (one_of(*core.MINING), "which negatives weigh more"),
        "factor": (above(0.0), "weight of those negatives in the denominator"),
        "similarity": FLAT_SIMILARITY,
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "scale"),
    was={
        "BaseContrastiveLoss": "corrected",
        "info_nce_loss": "same",
        "HardNegativeLoss": "same",
    },
)
def info_nce(
    x: jax.Array,
    y: jax.Array,
    *,
    match_id: jax.Array | None = None,
    where: jax.Array | None = None,
    temperature: Numeric = 0.07,
    mining: str = "none",
    factor: Numeric = 2.0,
    similarity: str = "cosine",
) -> jax.Array:
    r"""Cross-entropy of each positive pair among itself and the row's negatives.

    .. math:: \frac{1}{|P|}\sum_{(i,j) \in P}
              \Big(\log\big(e^{s_{ij}} + \sum_{k \in N_i} h_{ik} e^{s_{ik}}\big) - s_{ij}\Big)

    averaged over both directions. Other positives of a row are not in the denominator, so that
    they do not compete.

    Args:
      x: ``(n, d)``.
      y: ``(n, d)``.
      match_id: int ``(n,)``; None: row i belongs to row i only.
      where: bool ``(n,)``, rows that count; None for all.
      temperature: τ.
      mining: which negatives get the weight ``factor``, see
        :func:`tvae.losses.nce.negative_log_weights`.
      factor: h of those; 1 for the others.
      similarity: see :mod:`tvae.losses.similarity`.

    Returns:
      A scalar in nats; 0 where no row counts.

    Raises:
      UserError: if the similarity or ``mining`` is unknown.

    >>> x, same = jnp.eye(2), jnp.zeros(2, int)
    >>> round(float(info_nce(x, x, temperature=1.0)), 4), float(info_nce(x, x, match_id=same))
    (0.3133, 0.0)
    """

    def loss(x: jax.Array, y: jax.Array) -> jax.Array:
        def of_rows(i: jax.Array) -> core.Rows:
            positive, candidate = matches(i, len(x), match_id, where)
            near = similarities(x[i], y, similarity=similarity)
            weight = core.negative_log_weights(
                near, positive, candidate, mining=mining, factor=factor
            )
            logits = near / temperature
            return nce(logits, positive, candidate, log_weight=weight, denominator="pair")

        return core.mean_pairs(map_rows(of_rows, len(x)))

    return both_directions(loss, x, y)


@term(
    "dynamic_temperature",
    unit="nats",
    source=_REFERENCE + "DynamicTemperatureLoss",
    options={
        "base": (above(0.0), "τ_0, the temperature of similar separation, cosine"),
        "low": (above(0.0), "least temperature, cosine"),
        "high": (above(0.0), "largest temperature, cosine"),
        "fixed": (BOOLEAN, "no gradient passes through the temperature"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "scale"),
    was={"DynamicTemperatureLoss": "same"},
)
def dynamic_temperature(
    x: jax.Array,
    y: jax.Array,
    *,
    match_id: jax.Array | None = None,
    where: jax.Array | None = None,
    base: Numeric = 0.07,
    low: Numeric = 0.04,
    high: Numeric = 0.2,
    fixed: bool = True,
) -> jax.Array:
    """Like :func:`clip`, averaged over positive pairs, at a temperature set by the batch.

    The temperature is :func:`tvae.losses.nce.separation_temperature` of the cosines. In the
    reference system its gradient stays (``fixed=False``).

    Args:
      x: ``(n, d)``.
      y: ``(n, d)``.
      match_id: int ``(n,)``; None: row i belongs to row i only.
      where: bool ``(n,)``, rows that count; None for all.
      base: temperature around which it moves.
      low: least temperature.
      high: largest temperature.
      fixed: whether the temperature is a constant to the gradient (static).

    Returns:
      A scalar in nats; 0 where no row counts.

    >>> eye = jnp.eye(2)
    >>> value = dynamic_temperature(eye, eye, base=1.0, high=2.0)  # τ = 0.8 + 0.4 e^-2
    >>> bool(jnp.allclose(value, clip(eye, eye, temperature=0.8 + 0.4 * jnp.exp(-2.0))))
    True
    """

    def sums(i: jax.Array) -> tuple[jax.Array, jax.Array]:
        masks = (*matches(i, len(x), match_id, where), distinct(len(x), Block(i)))
        return core.separation_sums(similarities(x[i], y), *masks)

    temperature = core.temperature_of_sums(*map_rows(sums, len(x)), base=base, low=low, high=high)
    if fixed:
        temperature = jax.lax.stop_gradient(temperature)

    def loss(x: jax.Array, y: jax.Array) -> jax.Array:
        def of_rows(i: jax.Array) -> core.Rows:
            masks = matches(i, len(x), match_id, where)
            return nce(similarities(x[i], y) / temperature, *masks)

        return core.mean_pairs(map_rows(of_rows, len(x)))

    return both_directions(loss, x, y)


@term(
    "decoupled",
    unit="nats",
    source=_REFERENCE + "DecoupledLoss; its first part: Khosla et al., Supervised contrastive "
    "learning (2020), equation 3",
    options={
        "temperature": TEMPERATURE,
        "uniformity": (at_least(0.0), "weight of each modality's uniformity"),
        "similarity": SIMILARITY,
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "scale"),
    was={"DecoupledLoss": "same", "DecoupledContrastiveLoss": "corrected"},
)
def decoupled(
    x: jax.Array,
    y: jax.Array,
    *,
    match_id: jax.Array | None = None,
    c: Numeric | None = None,
    where: jax.Array | None = None,
    temperature: Numeric = 0.07,
    uniformity: Numeric = 0.5,
    similarity: str = "cosine",
) -> jax.Array:
    r"""Any positive of a row against all candidates, and uniformity inside each modality.

    .. math:: \frac{1}{|P|}\sum_i \Big(\log \sum_k e^{s_{ik}} - \log\sum_{j \in P_i} e^{s_{ij}}\Big)
              + λ\,(U(x) + U(y)), \quad
              U(x) = \overline{\log \sum_k e^{(\operatorname{sim}(x_i, x_k)
              - \operatorname{sim}(x_i, x_i)) / τ}}

    The first part averages both directions and divides by the number of positive pairs, not of
    rows, as in the reference system. The loss of Yeh et al., *Decoupled contrastive learning*
    (2022), whose denominator lacks the positive, is :func:`tvae.losses.instances.nt_xent`.

    Args:
      x: ``(n, d)``.
      y: ``(n, d)``.
      match_id: int ``(n,)``; None: row i belongs to row i only.
      c: curvature magnitude, where the similarity is a geodesic distance.
      where: bool ``(n,)``, rows that count; None for all.
      temperature: τ.
      uniformity: λ.
      similarity: see :mod:`tvae.losses.similarity`.

    Returns:
      A scalar in nats; 0 where fewer than two rows count.

    Raises:
      UserError: if the similarity is unknown, or lacks its curvature.

    >>> x = jnp.eye(2)  # log(1 + 1/e) across, and half of it in each modality
    >>> round(float(decoupled(x, x, temperature=1.0)), 4)
    0.6265
    """

    def rows_of(x: jax.Array, y: jax.Array, match_id: jax.Array | None) -> core.Rows:
        def of_rows(i: jax.Array) -> core.Rows:
            logits = similarities(x[i], y, similarity=similarity, c=c) / temperature
            return nce(logits, *matches(i, len(x), match_id, where), inside="sum")

        return map_rows(of_rows, len(x))

    def across(x: jax.Array, y: jax.Array) -> jax.Array:
        rows = rows_of(x, y, match_id)
        n_pairs = jnp.where(rows.counts, rows.n_positives, 0).sum()
        return rows.loss.sum() / jnp.maximum(n_pairs, 1)

    within = sum(core.mean_rows(rows_of(z, z, None)) for z in (x, y))
    return both_directions(across, x, y) + uniformity * within


@term(
    "match_distance",
    unit="squared unit of the features",
    source="Wang and Isola, Understanding contrastive representation learning through alignment "
    "and uniformity on the hypersphere (2020), equation 6, with exponent 2",
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "translation"),
)
def match_distance(
    x: jax.Array,
    y: jax.Array,
    *,
    match_id: jax.Array | None = None,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Mean squared distance of rows that belong together, per dimension.

    .. math:: \overline{\tfrac{1}{|P_i|} \sum_{j \in P_i} \lVert x_i - y_j \rVert^2 / d}

    Args:
      x: ``(n, d)``.
      y: ``(n, d)``.
      match_id: int ``(n,)``; None: row i belongs to row i only.
      where: bool ``(n,)``, rows that count; None for all.

    Returns:
      A scalar; 0 where no row counts.

    >>> x, y = jnp.asarray([[0.0, 0.0], [1.0, 1.0]]), jnp.asarray([[0.0, 2.0], [1.0, 1.0]])
    >>> float(match_distance(x, y))  # (4/2 + 0) / 2
    1.0
    """

    def of_rows(i: jax.Array) -> tuple[jax.Array, jax.Array]:
        positive, candidate = matches(i, len(x), match_id, where)
        share = core.uniform_targets(positive, candidate)
        square = jnp.square(similarities(x[i], y, similarity="euclidean")) / x.shape[-1]
        return (share * square).sum(-1), (positive & candidate).any(-1)

    return masked_mean(*map_rows(of_rows, len(x)))
