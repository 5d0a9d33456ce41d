"""The objective of the domain, what its terms may ask for, and a term of its own."""

import jax
import jax.numpy as jnp

from tvae.domains.hyperbolic_vae import terms as ball_terms
from tvae.domains.objective import Rows
from tvae.losses.registry import term

OBJECTIVE: Rows = {
    "path": {"term": "cross_entropy", "weight": 1.0},
    "lineage": {"term": "lineage_nll", "weight": 1.0},
    "siblings": {"term": "log_rank", "weight": 1.0},
    "kl": {"term": ball_terms.KL, "weight": 0.003},
    "tree": {"term": ball_terms.TREE, "weight": 3.0, "outer": 8.0, "ratio": 0.75, "margin": 0.0},
}
"""Digits and ancestors are decoded; distances follow the tree, and siblings are nearest."""

INPUTS = (
    "logits", "target", "lineage_log_p", "lineage_known", "logvar", "noise", "sample_radius",
    "radius", "c", "prior_scale", "index", "level", "tree", "key", "distance", "pair_level",
    "pair_level_weight", "pair_depth", "positive_distance", "is_positive", "other_distance",
    "log_weight", "temperature",
)  # fmt: skip
"""Names of what the terms may ask for in every geometry."""
BALL_INPUTS = ("point",)
"""Further ones where the space is curved."""


@term(
    "lineage_nll",
    unit="nats",
    per="item",
    bounds=(0.0, jnp.inf),
    invariances=("permutation",),
    source="a softmax a level; Silla and Freitas (2011), local classifiers per level",
)
def lineage_nll(lineage_log_p: jax.Array, lineage_known: jax.Array) -> jax.Array:
    r"""Cross-entropy of ancestors, :math:`-\sum_l \ln p_l(a_l)` over the levels l that are known.

    Args:
      lineage_log_p: logarithm of the probability of each row's ancestor, ``(n, levels)``.
      lineage_known: which of them count, bool of that shape.

    Returns:
      ``(n,)``, nats; 0 without levels.

    >>> log_p = jnp.log(jnp.asarray([[0.5, 0.25]]))
    >>> lineage_nll(log_p, jnp.asarray([[True, False]])).round(4).tolist()
    [0.693...]
    """
    return -jnp.where(lineage_known, lineage_log_p, 0.0).sum(-1)
