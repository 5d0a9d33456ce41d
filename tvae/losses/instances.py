"""Contrastive terms in one set of rows: two views of each, or rows of known classes.

Every row is compared with all others, which are candidates; :mod:`tvae.losses.contrastive` compares
rows of one modality with those of another.
"""

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import BOOLEAN, one_of
from tvae.losses import nce as core
from tvae.losses.blocks import map_rows
from tvae.losses.matching import others
from tvae.losses.nce import nce
from tvae.losses.registry import term
from tvae.losses.similarity import SIMILARITY, TEMPERATURE, similarities


@term(
    "nt_xent",
    unit="nats",
    source="Chen et al., A simple framework for contrastive learning of visual representations "
    "(2020), equation 1; Yeh et al., Decoupled contrastive learning (2022), equation 6",
    options={
        "temperature": TEMPERATURE,
        "similarity": SIMILARITY,
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
        candidate = others(i, len(z), counts)
        return nce(logits, core.same(row[i], row), candidate, denominator=denominator)

    return core.mean_rows(map_rows(of_rows, len(z)))


def _two_views(
    x: jax.Array, y: jax.Array, where: jax.Array | None
) -> tuple[jax.Array, jax.Array | None]:
    """Rows of both views, ``(2n, d)``, and which of them count."""
    return jnp.concatenate([x, y]), None if where is None else jnp.tile(where, 2)


@term(
    "supervised_contrastive",
    unit="nats",
    source="Khosla et al., Supervised contrastive learning (2020), equation 2",
    options={
        "temperature": TEMPERATURE,
        "similarity": SIMILARITY,
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
            return nce(logits, core.same(label[i], label), others(i, len(a), where))

        return core.mean_rows(map_rows(of_rows, len(a)))

    losses = [loss(a, b) for a, b in pairs]
    return sum(losses, jnp.zeros_like(losses[0])) / len(losses)


@term(
    "shared_classes",
    unit="nats",
    source="Khosla et al., Supervised contrastive learning (2020), equation 2, with weights: the "
    "reference system's ConceptAwareContrastive",
    options={
        "temperature": TEMPERATURE,
        "similarity": SIMILARITY,
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
        candidate = others(i, len(x), where)
        positive = (common > 0) & candidate
        share = jnp.where(positive, common / union if weighting == "jaccard" else 1, 0)
        total = share.sum(-1, keepdims=True)
        target = share / jnp.where(total > 0, total, 1)
        logits = similarities(x[i], x, similarity=similarity, c=c) / temperature
        return nce(logits, positive, candidate, target=target)

    return core.mean_rows(map_rows(of_rows, len(x)))
