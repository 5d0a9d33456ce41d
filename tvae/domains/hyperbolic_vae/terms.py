"""The objective of v6: lengths in the ball against intervals, and the KL of a sample."""

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.domains.objective import Rows
from tvae.domains.operations import bands
from tvae.fields import above, at_least, within
from tvae.geometry import wrapped_normal
from tvae.geometry.tree import Tree
from tvae.losses import distances
from tvae.losses.registry import term

SOURCE = "experiments/v6"
KL, TREE = "sampled_wrapped_normal_kl", "tree_intervals"
"""Names of terms that other domains take too."""

OBJECTIVE: Rows = {
    "reconstruction": {"term": "cross_entropy", "weight": 1.0},
    "kl": {"term": KL, "weight": 0.003},
    "radius": {"term": "radius_intervals", "weight": 100.0},
    "tree": {"term": TREE, "weight": 30.0},
    "chord": {"term": "chord_intervals", "weight": 10.0},
}
"""The terms of v6, their options at their defaults."""

INPUTS = (
    "logits", "target", "logvar", "noise", "sample_radius", "point", "radius", "c",
    "prior_scale", "index", "level", "leading_digit", "tree", "where", "key", "distance", "chord",
    "pair_level", "pair_level_weight", "pair_weight", "pair_depth", "level_gap",
)  # fmt: skip
"""Names of what the terms may ask for."""


@term(
    KL,
    unit="nats",
    per="item",
    source="Nagano et al. (2019), A wrapped normal distribution on hyperbolic space",
)
def sampled_wrapped_normal_kl(
    noise: jax.Array,
    logvar: jax.Array,
    sample_radius: jax.Array,
    *,
    prior_scale: Numeric,
    c: jax.Array,
) -> jax.Array:
    """KL to the wrapped normal prior from one sample, ``(batch,)`` nats.

    See :func:`tvae.geometry.wrapped_normal.sampled_kl`.
    """
    return wrapped_normal.sampled_kl(noise, logvar, sample_radius, prior_scale=prior_scale, c=c)


@term(
    "radius_intervals",
    unit="squared hyperbolic length",
    per="item",
    options={
        "outer": (above(0.0), "upper end of level 0's band, hyperbolic length"),
        "inner": (above(0.0), "upper end of level 9's band (index 0 alone), hyperbolic length"),
        "gap": (at_least(0.0), "share of a half band left empty around its middle: spread inside "
                "a level"),
        "margin": (within(-1.0, 1.0), "share of a half band left empty at its ends; negative: "
                   "levels overlap"),
    },
    bounds=(0.0, jnp.inf),
    source=SOURCE,
)  # fmt: skip
def radius_intervals(
    radius: jax.Array,
    level: jax.Array,
    leading_digit: jax.Array,
    *,
    outer: Numeric = 3.56,
    inner: Numeric = 0.05,
    gap: Numeric = 0.7,
    margin: Numeric = 0.05,
) -> jax.Array:
    """Squared distance of radii from their operations' intervals, ``(batch,)``.

    See :func:`tvae.domains.operations.bands.radius_intervals`.
    """
    table = bands.radius_intervals(
        level, leading_digit, outer=outer, inner=inner, gap=gap, margin=margin
    )
    return distances.interval_penalty(radius, table)


@term(
    TREE,
    unit="squared hyperbolic length",
    options={
        "outer": (above(0.0), "pairs that differ in the first digit lie further apart, hyperbolic "
                  "length"),
        "ratio": (within(0.01, 0.99), "factor on the edge for each further digit that a pair "
                  "shares"),
        "margin": (at_least(0.0), "length left empty on both sides of an edge, hyperbolic length"),
    },
    bounds=(0.0, jnp.inf),
    source=SOURCE,
)  # fmt: skip
def tree_intervals(
    distance: jax.Array,
    pair_level: jax.Array,
    pair_level_weight: jax.Array,
    pair_depth: int,
    *,
    tree: Tree,
    outer: Numeric = 3.7,
    ratio: Numeric = 0.7,
    margin: Numeric = 0.05,
) -> jax.Array:
    """Squared distance of pair distances from the intervals of their pair level.

    See :func:`tvae.domains.operations.bands.tree_intervals`.
    """
    table = bands.tree_intervals(
        tree=tree, depth=pair_depth, outer=outer, ratio=ratio, margin=margin
    )
    return distances.weighted_interval(distance, pair_level, table, pair_level_weight)


@term(
    "chord_intervals",
    unit="squared Euclidean length",
    options={
        "same": (above(0.0), "pairs of one level lie nearer than this, others further, Euclidean "
                 "length"),
        "far": (within(0.0, 2.0), "pairs two or more levels apart lie further, Euclidean length"),
        "margin": (at_least(0.0), "length left empty on both sides of an edge, Euclidean length"),
    },
    bounds=(0.0, jnp.inf),
    source=SOURCE,
)  # fmt: skip
def chord_intervals(
    chord: jax.Array,
    level_gap: jax.Array,
    pair_weight: jax.Array,
    *,
    tree: Tree,
    same: Numeric = 0.8,
    far: Numeric = 1.4,
    margin: Numeric = 0.05,
) -> jax.Array:
    """Squared distance of pairs' Euclidean distances from the intervals of their level gap.

    See :func:`tvae.domains.operations.bands.chord_intervals`.
    """
    table = bands.chord_intervals(tree=tree, same=same, far=far, margin=margin)
    return distances.weighted_interval(chord, level_gap, table, pair_weight)
