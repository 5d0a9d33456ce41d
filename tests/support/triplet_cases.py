"""Recorded triplets of the reference system in fixed shapes, and its ranking losses of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.support.production_cases import Case
from tvae.domains.operations.tree import TREE
from tvae.geometry import poincare
from tvae.losses import radial
from tvae.losses.levels import masked_mean
from tvae.losses.triplets import LevelMargin, Triplets, triplet_hinge

N_TRIPLETS = 64
"""All recorded cases are padded to these, so that one program serves them."""


def padded(x: Any, size: int) -> np.ndarray:
    """Rows with zeros behind them."""
    x = np.asarray(x)
    return np.concatenate([x, np.zeros((size - len(x), *x.shape[1:]), x.dtype)])


def recorded_triplets(case: Case, index: np.ndarray, names: Sequence[str]) -> Triplets:
    """The triplets that count in a recorded call; none where it drew none."""
    if not case.has(f"in.{names[0]}"):  # too few rows for a triplet
        empty = np.zeros(N_TRIPLETS, np.int32)
        return Triplets(empty, empty, empty, empty > 0)
    rows = [np.asarray(case[f"in.{name}"], np.int32) for name in names]
    level = [np.asarray(TREE.pair_level(index[rows[0]], index[other])) for other in rows[1:]]
    return Triplets(*(padded(x, N_TRIPLETS) for x in (*rows, level[0] > level[1])))


def ranking_options(params: Mapping[str, Any], *, plain: bool, hyperbolic: bool) -> dict[str, Any]:
    """Options of a recorded class: the plain, the V2 or the hyperbolic ranking loss."""
    return {
        "c": params.get("curvature", 2.0 if hyperbolic else 1.0),
        "margin": params.get("margin", 0.1) if plain else params.get("base_margin", 0.05),
        "margin_per_level": 0.0 if plain else params.get("margin_scale", 0.15),
        "max_norm": params.get("max_norm", 0.95),
        "radial_weight": params.get("radial_weight", 0.1) if hyperbolic else 0.0,
    }


def ranking(
    z: jax.Array,
    index: jax.Array,
    triplets: Triplets,
    options: Mapping[str, Any],
    *,
    n_rows: int,
    hyperbolic: bool = True,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Triplets, plus the radial targets of the first rows where these have a weight."""
    c = options["c"]
    point = poincare.project(poincare.project(z, c=c), c=c, max_norm=options["max_norm"])
    point = jnp.where(options["radial_weight"] > 0, point, z)
    margin = LevelMargin(options["margin"], options["margin_per_level"])
    terms = triplet_hinge(
        point, index, triplets, tree=TREE, c=c if hyperbolic else None, margin=margin
    )
    radius, level = poincare.hyperbolic_radius(point, c=c), TREE.level(index)
    outer = 0.9 * options["max_norm"]
    rows = radial.radial_hierarchy(radius, level, tree=TREE, inner=0.0, outer=outer)
    target = masked_mean(rows, jnp.arange(len(z)) < n_rows)
    hinge = masked_mean(terms.hinge, triplets.mask)
    metrics = {
        "violations": ((terms.hinge > 0) & triplets.mask).sum(),
        "mean_margin": masked_mean(terms.margin, triplets.mask),
        "radial_loss": target,
        "ranking_loss": hinge,
    }
    return hinge + options["radial_weight"] * target, metrics
