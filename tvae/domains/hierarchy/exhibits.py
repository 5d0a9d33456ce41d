"""What the report of a table adds: the items that lie worst."""

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tvae.domains.exhibits import Exhibit, Table
from tvae.domains.hierarchy import evaluation, source
from tvae.domains.hierarchy.hierarchy import Hierarchy
from tvae.domains.hierarchy.task import POINTS
from tvae.engine.task import Params
from tvae.metrics import closure

_SHOWN = 15
_ASKED = 5000
"""Items whose ancestors are ranked at most: a report takes seconds."""


def worst_placed(
    known: Hierarchy, geometry: str, points: np.ndarray, asked: int
) -> tuple[np.ndarray, np.ndarray]:
    """Items in the order of the mean rank of their ancestors, the largest first, and these ranks.

    Args:
      known: the hierarchy.
      geometry: name of the space.
      points: ``(n, d)`` in its coordinates.
      asked: items that are ranked at most, spread over the hierarchy.
    """
    n = len(known)
    some = np.unique(np.linspace(0, n - 1, min(n, asked)).astype(np.int64))
    groups = closure.group_queries(*known.closure, some)
    if not groups:
        return np.zeros(0, np.int64), np.zeros(0)
    key_of = evaluation.key_of(geometry)
    found = closure.rank_groups(key_of, (jnp.asarray(points),), groups, n=n)
    item, rank = np.concatenate([group.item for group in groups]), np.asarray(found.rank)
    order = np.lexsort((item, -rank))
    return item[order], rank[order]


def exhibits(config: ConfigDict, params: Params) -> list[Exhibit]:
    """One section: items far from their ancestors."""
    known = source.load(config.data)
    item, rank = worst_placed(known, config.model.geometry, params[POINTS], _ASKED)
    rows = tuple(
        (
            str(known.names[i]),
            str(known.names[known.parent[i]]),
            str(int(known.level[i])),
            f"{r:.4g}",
        )
        for i, r in zip(item[:_SHOWN].tolist(), rank[:_SHOWN].tolist(), strict=True)
    )
    of = f"{_ASKED:,} of the {len(known):,} items" if len(known) > _ASKED else "all items"
    table = Table("Largest mean ranks", ("item", "parent", "depth", "mean rank"), rows)
    text = (
        "Rank of an ancestor among all items that are none, mean over an item's ancestors; "
        f"{of}. 1 is perfect."
    )
    return [Exhibit("Items far from their ancestors", text, (table,))] if rows else []
