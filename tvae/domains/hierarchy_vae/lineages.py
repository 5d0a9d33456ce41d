"""Ancestors as classes: a softmax over the seen items of each of the first levels.

Each level has one more class, for items whose path ends above it. A decision is joint: the path
whose logarithms of probabilities have the largest sum over the levels.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.hierarchy_vae.codes import PathCodes


@dataclasses.dataclass(frozen=True, eq=False)
class Lineages:
    """Classes of the first levels.

    Attributes:
      codes: of the hierarchy.
      seen: items that may be ancestors, bool ``(n,)``.
      n_levels: levels below the root that are predicted; 0 for none.
    """

    codes: PathCodes
    seen: np.ndarray
    n_levels: int

    @functools.cached_property
    def candidates(self) -> np.ndarray:
        """Items at which a predicted path may end, ascending: the seen ones of these levels."""
        level = self.codes.known.level
        return np.flatnonzero(self.seen & (level <= self.n_levels)).astype(np.int32)

    @functools.cached_property
    def sizes(self) -> tuple[int, ...]:
        """Classes of each level, that of paths that end above it included."""
        counts = np.bincount(self.codes.known.level[self.candidates], minlength=self.n_levels + 1)
        return tuple((counts[1 : self.n_levels + 1] + 1).tolist())

    @property
    def n_classes(self) -> int:
        """Classes of all levels."""
        return sum(self.sizes)

    @functools.cached_property
    def target(self) -> np.ndarray:
        """Class of each item on each level, int32 ``(n, n_levels)``, counted over all levels.

        Of an item below one that is not seen: -1 on the level of that one and further ones.
        """
        first = np.cumsum((0, *self.sizes))[:-1].astype(np.int32)
        level = self.codes.known.level
        own = np.zeros(len(level), np.int32)  # 0 on each level is the end of a path
        for k in range(1, self.n_levels + 1):
            at = self.candidates[level[self.candidates] == k]
            own[at] = np.arange(1, at.size + 1)
        above = self.codes.lineage[:, 1 : self.n_levels + 1]
        unknown = (above >= 0) & ~self.seen[above]
        return np.where(unknown, -1, first + np.where(above >= 0, own[above], 0)).astype(np.int32)

    def log_probabilities(self, logits: jax.Array) -> jax.Array:
        """A softmax a level: ``(..., n_classes)`` to the same shape."""
        ends = np.cumsum(self.sizes)[:-1].tolist()
        parts = [jax.nn.log_softmax(part) for part in jnp.split(logits, ends, -1)]
        return jnp.concatenate(parts, -1)

    def log_paths(self, log_p: jax.Array) -> jax.Array:
        """Sum over the levels of the path to each candidate: ``(..., n_candidates)``."""
        return log_p[..., jnp.asarray(self.target[self.candidates])].sum(-1)
