"""Stratified batches: fixed counts per level of the tree, drawn on the device with replacement."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.operations.tree import TREE
from tvae.geometry.padic import PadicTree

HIGH_LEVEL = 4
"""Levels from this valuation on hold 1.2 % of the operations and share the high budget."""


class StratifiedCounts(NamedTuple):
    """Rows of a batch drawn from each valuation, 0 first, and from all operations alike."""

    levels: tuple[int, ...]
    uniform: int

    @property
    def batch_size(self) -> int:
        """Rows in all."""
        return sum(self.levels) + self.uniform


def stratified_counts(
    batch_size: int, high_ratio: float, *, tree: PadicTree = TREE
) -> StratifiedCounts:
    """Divide a batch over the levels, as the reference system does.

    ``int(batch_size * high_ratio)`` rows go in equal parts to the levels of valuation 4 and more,
    the rest to the levels below in proportion to their size; every level gets at least one row.
    Rows left over by rounding down are drawn uniformly.

    Args:
      batch_size: rows of the batch; the counts add up to it.
      high_ratio: share of the batch for the deep levels (v5.12: 0.25, v5.11: 0.20).
      tree: of the operations, of depth 4 or more.

    Raises:
      ValueError: if the tree is too flat, or the levels' least counts do not fit the batch.

    >>> stratified_counts(512, 0.25)
    StratifiedCounts(levels=(259, 86, 28, 9, 21, 21, 21, 21, 21, 21), uniform=4)
    """
    sizes = tree.level_counts
    if tree.depth < HIGH_LEVEL:
        raise ValueError(f"expected a depth of {HIGH_LEVEL} or more, got {tree}")
    low = sizes[:HIGH_LEVEL]
    high_budget = int(batch_size * high_ratio)
    low_budget = batch_size - high_budget
    levels = (
        *(max(1, int(low_budget * size / sum(low))) for size in low),
        *(max(1, high_budget // (len(sizes) - HIGH_LEVEL)) for _ in sizes[HIGH_LEVEL:]),
    )
    if sum(levels) > batch_size:
        raise ValueError(
            f"the levels need {sum(levels)} rows, more than batch_size={batch_size} "
            f"(high_ratio={high_ratio})"
        )
    return StratifiedCounts(levels, batch_size - sum(levels))


def stratified_indices(
    key: jax.Array, counts: StratifiedCounts, *, tree: PadicTree = TREE
) -> jax.Array:
    r"""Draw the operations of one batch, uniformly within each level.

    An operation of valuation v < depth is :math:`p^v` times a number that p does not divide;
    the r-th such number is ``p * (r // (p - 1)) + r % (p - 1) + 1``. So a uniform r gives a uniform
    operation of the level without a table of members.

    Returns:
      int32 ``(counts.batch_size,)``: the levels in ascending order, then the uniform rows.

    >>> stratified_indices(jax.random.key(0), stratified_counts(512, 0.25)).shape
    (512,)
    """
    p, n_uniform = tree.p, counts.uniform
    # The deepest level is index 0 alone, and zero times its only draw.
    scales = (*(p**level for level in range(tree.depth)), 0)
    size = np.repeat((*tree.level_counts, tree.n_leaves), (*counts.levels, n_uniform))
    scale = np.repeat((*scales, 0), (*counts.levels, n_uniform))
    draw = jax.random.randint(key, size.shape, 0, jnp.asarray(size, jnp.int32), jnp.int32)
    unit = p * (draw // (p - 1)) + draw % (p - 1) + 1
    uniform = np.arange(size.size) >= size.size - n_uniform
    return jnp.where(jnp.asarray(uniform), draw, jnp.asarray(scale, jnp.int32) * unit)
