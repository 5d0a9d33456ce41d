"""Items that training does not see: single leaves, or whole subtrees."""

import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy
from tvae.errors import UserError


def seen_items(known: Hierarchy, *, share: float, level: int, seed: int) -> np.ndarray:
    """All items but a random share of the leaves, or of the subtrees of a level; bool ``(n,)``.

    Args:
      known: the hierarchy.
      share: of the leaves or subtrees that is held out, rounded down.
      level: level of the subtrees' roots; 0 for leaves.
      seed: of the choice.

    Raises:
      UserError: if no item has that level.

    >>> from tvae.domains.hierarchy.source import made_tree
    >>> int(seen_items(made_tree(), share=0.5, level=1, seed=0).sum())  # of 40
    27
    """
    if level > known.level.max():
        raise UserError(
            f"config.data.held_out_level: expected a level of the hierarchy, at most "
            f"{known.level.max()}, got {level}"
        )
    chosen = np.flatnonzero(known.level == level if level else known.size == 1)
    count = int(share * chosen.size)
    lost = np.random.default_rng(seed).choice(chosen, count, replace=False)
    # An item lies in a subtree from its root on to its last descendant.
    inside = np.zeros(len(known) + 1, np.int64)
    inside[lost] = 1
    np.add.at(inside, lost + known.size[lost], -1)
    return np.cumsum(inside[:-1]) == 0
