"""The three terms that the reference system computes as one loss."""

from typing import NamedTuple

import jax

from tvae.losses import level_means


class RichHierarchy(NamedTuple):
    """Unweighted scalars."""

    hierarchy: jax.Array
    richness: jax.Array
    separation: jax.Array


def rich_hierarchy(
    radius,
    level,
    reference,
    *,
    tree,
    inner,
    outer,
    min_richness_ratio=0.5,
    separation_margin=0.01,
):
    """The terms on the level statistics of one embedding."""
    return RichHierarchy(
        level_means.level_targets(radius, level, tree=tree, inner=inner, outer=outer),
        level_means.level_richness(
            radius, level, reference, tree=tree, min_ratio=min_richness_ratio
        ),
        level_means.level_separation(radius, level, tree=tree, margin=separation_margin),
    )
