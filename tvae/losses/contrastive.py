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

from collections.abc import Callable

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import BOOLEAN, SHARE, above, at_least, one_of
from tvae.losses import nce as core
from tvae.losses.blocks import map_rows
from tvae.losses.levels import masked_mean
from tvae.losses.memory import Queue
from tvae.losses.nce import nce
from tvae.losses.pairs import Block, distinct
from tvae.losses.registry import term
from tvae.losses.similarity import ANY, FLAT, similarities

_TEMPERATURE = (above(0.0), "τ, unit of the similarity")
_SIMILARITY = (ANY, "of pairs, see tvae.losses.similarity")
_FLAT_SIMILARITY = (FLAT, "of pairs, see tvae.losses.similarity")
_REFERENCE = "the reference system's "


def _matches(
    i: jax.Array, n_rows: int, match_id: jax.Array | None, where: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Positive pairs and candidates of rows i of two modalities, bool ``(b, n)``.

    Both are symmetric: a direction and its reverse have the same.
    """
    ids = jnp.arange(n_rows) if match_id is None else match_id
    return core.same(ids[i], ids), _candidates(i, n_rows, where)


def _candidates(i: jax.Array, n_rows: int, where: jax.Array | None) -> jax.Array:
    """Pairs of rows i and all rows of which both count, bool ``(b, n)``."""
    if where is None:
        return jnp.ones((i.size, n_rows), bool)
    return where[i][:, None] & where[None, :]


def _both_directions(
    loss: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array, y: jax.Array
) -> jax.Array:
    """Mean of a loss of rows and their candidates over both directions."""
    return (loss(x, y) + loss(y, x)) / 2


@term(
    "clip",
    unit="nats",
    source="Radford et al., Learning transferable visual models from natural language supervision "
    "(2021), figure 3; smoothing: Szegedy et al., Rethinking the Inception architecture (2016), "
    "section 7",
    options={
        "temperature": _TEMPERATURE,
        "label_smoothing": (SHARE, "share of the target spread over all candidates"),
        "similarity": _SIMILARITY,
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
            positive, candidate = _matches(i, len(x), match_id, where)
            target = core.uniform_targets(positive, candidate, label_smoothing)
            logits = similarities(x[i], y, similarity=similarity, c=c) / temperature
            return nce(logits, positive, candidate, target=target)

        return core.mean_rows(map_rows(of_rows, len(x)))

    return _both_directions(loss, x, y)


@term(
    "info_nce",
    unit="nats",
    source="van den Oord et al., Representation learning with contrastive predictive coding "
    "(2018), equation 4; hard negatives: " + _REFERENCE + "HardNegativeLoss",
    options={
        "temperature": _TEMPERATURE,
        "mining": (one_of(*core.MINING), "which negatives weigh more"),
        "factor": (above(0.0), "weight of those negatives in the denominator"),
        "similarity": _FLAT_SIMILARITY,
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
            positive, candidate = _matches(i, len(x), match_id, where)
            near = similarities(x[i], y, similarity=similarity)
            weight = core.negative_log_weights(
                near, positive, candidate, mining=mining, factor=factor
            )
            logits = near / temperature
            return nce(logits, positive, candidate, log_weight=weight, denominator="pair")

        return core.mean_pairs(map_rows(of_rows, len(x)))

    return _both_directions(loss, x, y)


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
        masks = (*_matches(i, len(x), match_id, where), distinct(len(x), Block(i)))
        return core.separation_sums(similarities(x[i], y), *masks)

    temperature = core.temperature_of_sums(*map_rows(sums, len(x)), base=base, low=low, high=high)
    if fixed:
        temperature = jax.lax.stop_gradient(temperature)

    def loss(x: jax.Array, y: jax.Array) -> jax.Array:
        def of_rows(i: jax.Array) -> core.Rows:
            masks = _matches(i, len(x), match_id, where)
            return nce(similarities(x[i], y) / temperature, *masks)

        return core.mean_pairs(map_rows(of_rows, len(x)))

    return _both_directions(loss, x, y)


@term(
    "decoupled",
    unit="nats",
    source=_REFERENCE + "DecoupledLoss; its first part: Khosla et al., Supervised contrastive "
    "learning (2020), equation 3",
    options={
        "temperature": _TEMPERATURE,
        "uniformity": (at_least(0.0), "weight of each modality's uniformity"),
        "similarity": _SIMILARITY,
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
    (2022), whose denominator lacks the positive, is :func:`nt_xent`.

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
            return nce(logits, *_matches(i, len(x), match_id, where), inside="sum")

        return map_rows(of_rows, len(x))

    def across(x: jax.Array, y: jax.Array) -> jax.Array:
        rows = rows_of(x, y, match_id)
        n_pairs = jnp.where(rows.counts, rows.n_positives, 0).sum()
        return rows.loss.sum() / jnp.maximum(n_pairs, 1)

    within = sum(core.mean_rows(rows_of(z, z, None)) for z in (x, y))
    return _both_directions(across, x, y) + uniformity * within


@term(
    "nt_xent",
    unit="nats",
    source="Chen et al., A simple framework for contrastive learning of visual representations "
    "(2020), equation 1; Yeh et al., Decoupled contrastive learning (2022), equation 6",
    options={
        "temperature": _TEMPERATURE,
        "similarity": _SIMILARITY,
        "decoupled": (BOOLEAN, "the positive is left out of the denominator"),
    },
    invariances=("permutation", "rotation", "scale"),
    was={"nt_xent_loss": "same", "NTXent": "same"},
)
def nt_xent(
    x: jax.Array,
    y: jax.Array,
    *,
    c: Numeric | None = None,
    where: jax.Array | None = None,
    temperature: Numeric = 0.07,
    similarity: str = "cosine",
    decoupled: bool = False,
) -> jax.Array:
    r"""Cross-entropy of the other view of each row, among all rows of both views but itself.

    .. math:: \overline{\log\sum_{k \ne i} e^{s_{ik}} - s_{i,i'}} \text{ over the 2n rows of }
              [x; y]

    Args:
      x: ``(n, d)``, one view.
      y: ``(n, d)``, the other.
      c: curvature magnitude, where the similarity is a geodesic distance.
      where: bool ``(n,)``, rows that count; None for all.
      temperature: τ.
      similarity: see :mod:`tvae.losses.similarity`; the reference system's function takes the
        inner product of the features as they are, "dot".
      decoupled: the denominator holds the negatives only, so that the value may be negative
        (static).

    Returns:
      A scalar in nats; 0 where no row counts.

    Raises:
      UserError: if the similarity is unknown, or lacks its curvature.

    >>> round(float(nt_xent(jnp.eye(2), jnp.eye(2), temperature=1.0)), 4)  # log(1 + 2/e)
    0.5514
    """
    row = jnp.tile(jnp.arange(len(x)), 2)
    z, counts = _two_views(x, y, where)
    denominator = "negatives" if decoupled else "all"

    def of_rows(i: jax.Array) -> core.Rows:
        logits = similarities(z[i], z, similarity=similarity, c=c) / temperature
        candidate = _others(i, len(z), counts)
        return nce(logits, core.same(row[i], row), candidate, denominator=denominator)

    return core.mean_rows(map_rows(of_rows, len(z)))


def _two_views(
    x: jax.Array, y: jax.Array, where: jax.Array | None
) -> tuple[jax.Array, jax.Array | None]:
    """Rows of both views, ``(2n, d)``, and which of them count."""
    return jnp.concatenate([x, y]), None if where is None else jnp.tile(where, 2)


def _others(i: jax.Array, n_rows: int, where: jax.Array | None) -> jax.Array:
    """Candidates of rows i among the rows themselves: all that count but the row itself."""
    return _candidates(i, n_rows, where) & distinct(n_rows, Block(i))


@term(
    "supervised_contrastive",
    unit="nats",
    source="Khosla et al., Supervised contrastive learning (2020), equation 2",
    options={
        "temperature": _TEMPERATURE,
        "similarity": _SIMILARITY,
        "blocks": (
            one_of("joint", "all", "intra", "cross"),
            "both views as one set, or the mean of their blocks",
        ),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "scale"),
    was={
        "supervised_contrastive_loss": "same",
        "SupervisedContrastiveLoss": "corrected",
        "SupCon": "corrected",
    },
)
def supervised_contrastive(
    x: jax.Array,
    y: jax.Array,
    label: jax.Array,
    *,
    c: Numeric | None = None,
    where: jax.Array | None = None,
    temperature: Numeric = 0.07,
    similarity: str = "cosine",
    blocks: str = "joint",
) -> jax.Array:
    r"""Cross-entropy of the rows of the same class, each row's positives in equal shares.

    .. math:: \overline{\log\sum_{k \ne i} e^{s_{ik}}
              - \tfrac{1}{|P_i|}\sum_{j \in P_i} s_{ij}}
              \text{ over rows with } P_i = \{j \ne i : l_j = l_i\} \text{ not empty}

    Weights of classes are those of rows: :func:`tvae.losses.nce.nce` returns the rows.

    Args:
      x: ``(n, d)``, one view.
      y: ``(n, d)``, the other.
      label: int ``(n,)``; for several classes a row see :func:`shared_classes`.
      c: curvature magnitude, where the similarity is a geodesic distance.
      where: bool ``(n,)``, rows that count; None for all.
      temperature: τ.
      similarity: see :mod:`tvae.losses.similarity`.
      blocks: "joint": over the 2n rows of [x; y]; or the mean over blocks of n rows without their
        diagonals: "intra" (x, x) and (y, y), "cross" (x, y), "all" the three (static).

    Returns:
      A scalar in nats; 0 where no row has a positive.

    Raises:
      UserError: if the similarity is unknown, or lacks its curvature.

    >>> x, label = jnp.eye(2), jnp.asarray([0, 1])
    >>> round(float(supervised_contrastive(x, x, label, temperature=1.0)), 4)  # log(1 + 2/e)
    0.5514
    >>> float(supervised_contrastive(x, x, label, blocks="intra"))  # no other row of a class
    0.0
    """
    if blocks == "joint":
        z, where = _two_views(x, y, where)
        label = jnp.tile(label, 2)
        pairs = [(z, z)]
    else:
        pairs = {"intra": [(x, x), (y, y)], "cross": [(x, y)]}.get(blocks, [(x, x), (y, y), (x, y)])

    def loss(a: jax.Array, b: jax.Array) -> jax.Array:
        def of_rows(i: jax.Array) -> core.Rows:
            logits = similarities(a[i], b, similarity=similarity, c=c) / temperature
            return nce(logits, core.same(label[i], label), _others(i, len(a), where))

        return core.mean_rows(map_rows(of_rows, len(a)))

    losses = [loss(a, b) for a, b in pairs]
    return sum(losses, jnp.zeros_like(losses[0])) / len(losses)


@term(
    "shared_classes",
    unit="nats",
    source="Khosla et al., Supervised contrastive learning (2020), equation 2, with weights: "
    + _REFERENCE
    + "ConceptAwareContrastive",
    options={
        "temperature": _TEMPERATURE,
        "similarity": _SIMILARITY,
        "weighting": (one_of("jaccard", "any"), "shares of a row's positives"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "scale"),
    was={"ConceptAwareContrastive": "corrected", "LatticeContrastive": "corrected"},
)
def shared_classes(
    x: jax.Array,
    member: jax.Array,
    *,
    c: Numeric | None = None,
    where: jax.Array | None = None,
    temperature: Numeric = 0.07,
    similarity: str = "cosine",
    weighting: str = "jaccard",
) -> jax.Array:
    r"""Cross-entropy of the other rows that share a class, by how many classes they share.

    .. math:: \overline{\sum_{j \ne i} q_{ij}\Big(\log\sum_{k \ne i} e^{s_{ik}} - s_{ij}\Big)},
              \quad q_{ij} \propto |M_i \cap M_j| / |M_i \cup M_j|

    The reference system multiplies logits by such weights, so that a weight also sharpens the
    softmax; its LatticeContrastive compares cosines over τ, in [-10, 10], with targets below 1.

    Args:
      x: ``(n, d)``.
      member: ``(n, classes)``, bool or 1 and 0: the sets M.
      c: curvature magnitude, where the similarity is a geodesic distance.
      where: bool ``(n,)``, rows that count; None for all.
      temperature: τ.
      similarity: see :mod:`tvae.losses.similarity`.
      weighting: "jaccard" as above, or "any": all that share a class in equal shares (static).

    Returns:
      A scalar in nats; 0 where no row shares a class with another.

    Raises:
      UserError: if the similarity is unknown, or lacks its curvature.

    >>> members = jnp.asarray([[1, 1], [1, 1], [0, 1], [0, 0]])  # row 0: shares 2/3, 1/3 and 0
    >>> round(float(shared_classes(jnp.ones((4, 2)), members)), 4)  # log 3
    1.0986
    """
    of_class = member.astype(bool).astype(x.dtype)
    size = of_class.sum(-1)

    def of_rows(i: jax.Array) -> core.Rows:
        common = of_class[i] @ of_class.T
        union = jnp.maximum(size[i][:, None] + size[None, :] - common, 1)
        candidate = _others(i, len(x), where)
        positive = (common > 0) & candidate
        share = jnp.where(positive, common / union if weighting == "jaccard" else 1, 0)
        total = share.sum(-1, keepdims=True)
        target = share / jnp.where(total > 0, total, 1)
        logits = similarities(x[i], x, similarity=similarity, c=c) / temperature
        return nce(logits, positive, candidate, target=target)

    return core.mean_rows(map_rows(of_rows, len(x)))


@term(
    "moco",
    unit="nats",
    source="He et al., Momentum contrast for unsupervised visual representation learning (2020), "
    "equation 1",
    options={
        "temperature": _TEMPERATURE,
        "matching": (
            one_of("masked", "positive"),
            "what stored keys of a row's own match id are",
        ),
        "similarity": _FLAT_SIMILARITY,
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "scale"),
    was={
        "MoCoLoss": "corrected",
        "EMAMoCoLoss": "corrected",
        "MemoryQueue": "corrected",
        "MoCo": "corrected",
    },
)
def moco(
    x: jax.Array,
    y: jax.Array,
    queue: Queue,
    *,
    match_id: jax.Array | None = None,
    where: jax.Array | None = None,
    temperature: Numeric = 0.07,
    matching: str = "masked",
    similarity: str = "cosine",
) -> jax.Array:
    r"""Cross-entropy of each row's key among the keys of the batch and a queue of earlier ones.

    One direction; the other is a second term. Empty slots of the queue are not candidates: an
    empty queue gives the loss without one, where the reference system's random or zero keys of
    weight 0 each add :math:`e^0` to the denominator. It also stores the batch before the loss, so
    that each positive is a negative too, and scales the queue's logits by how full it is. Store
    the keys after the step (:func:`tvae.losses.memory.queue_push`).

    Args:
      x: ``(n, d)``, queries.
      y: ``(n, d)``, their keys, from the teacher of the other view or modality; the caller stops
        their gradient.
      queue: of K stored keys.
      match_id: int ``(n,)``; None: row i belongs to key i, and ids of the queue are not read.
      where: bool ``(n,)``, rows that count; None for all.
      temperature: τ.
      matching: stored keys of the row's own id are "masked" or "positive", never negatives
        (static).
      similarity: see :mod:`tvae.losses.similarity`.

    Returns:
      A scalar in nats; 0 where no row counts.

    Raises:
      UserError: if the similarity is unknown.

    >>> from tvae.losses.memory import init_queue
    >>> x, empty = jnp.eye(2), init_queue(2, 2)
    >>> round(float(moco(x, x, empty, temperature=1.0)), 4)  # log(1 + 1/e)
    0.3133
    """
    keys = jnp.concatenate([y, jax.lax.stop_gradient(queue.keys)])

    def of_rows(i: jax.Array) -> core.Rows:
        positive, candidate = _matches(i, len(x), match_id, where)
        stored = jnp.broadcast_to(queue.occupied[None, :], (i.size, queue.occupied.size))
        if where is not None:
            stored = stored & where[i][:, None]
        known = jnp.zeros_like(stored)
        if match_id is not None:
            known = core.same(match_id[i], queue.ids)
        if matching == "masked":
            stored, known = stored & ~known, jnp.zeros_like(known)
        return nce(
            similarities(x[i], keys, similarity=similarity) / temperature,
            jnp.concatenate([positive, known], axis=1),
            jnp.concatenate([candidate, stored], axis=1),
        )

    return core.mean_rows(map_rows(of_rows, len(x), width=-(-len(keys) // len(x))))


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
        positive, candidate = _matches(i, len(x), match_id, where)
        share = core.uniform_targets(positive, candidate)
        square = jnp.square(similarities(x[i], y, similarity="euclidean")) / x.shape[-1]
        return (share * square).sum(-1), (positive & candidate).any(-1)

    return masked_mean(*map_rows(of_rows, len(x)))
