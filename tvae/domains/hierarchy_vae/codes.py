"""Paths from the root as balanced-ternary digits, and back.

Each level has as many digits as the largest number of siblings on it needs, and one number more: a
new item has a path too. The digits of an item are those of its ancestors and its own; the slots of
levels below it are absent.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy
from tvae.errors import UserError

N_CLASSES = 4
"""Of a slot: the digits -1, 0, 1, and absent."""
ABSENT = 3
MOST_SLOTS = 512
"""Digits of the longest path beyond which a hierarchy is refused: a chain is no tree to encode."""


@dataclasses.dataclass(frozen=True, eq=False)
class PathCodes:
    """Slots of digits by level, and the children of each item in their order.

    Attributes:
      known: the hierarchy.
    """

    known: Hierarchy

    @functools.cached_property
    def lineage(self) -> np.ndarray:
        """Item of each level on the path to each item, itself included: int32 ``(n, depth + 1)``.

        -1 on levels below the item.
        """
        level, levels = self.known.level[:, None], np.arange(self.known.level.max() + 1)
        own = np.where(level == levels, np.arange(len(self.known))[:, None], -1)
        # In preorder the ancestor of a level is the last item of that level so far.
        found = np.maximum.accumulate(own, axis=0)
        return np.where(level >= levels, found, -1).astype(np.int32)

    @functools.cached_property
    def place(self) -> np.ndarray:
        """Number of each item among its siblings, int32 ``(n,)``; the root's is 0."""
        parent = self.known.parent
        order = np.argsort(parent, kind="stable")
        place = np.empty(len(parent), np.int32)
        place[order] = np.arange(len(parent)) - np.searchsorted(parent[order], parent[order])
        return place

    @functools.cached_property
    def _children(self) -> tuple[np.ndarray, np.ndarray]:
        """First child of each item among all children, ``(n + 1,)``; and these, by parent."""
        order = np.argsort(self.known.parent, kind="stable")[1:]
        count = np.bincount(self.known.parent[1:], minlength=len(self.known))
        return np.append(0, np.cumsum(count)).astype(np.int32), order.astype(np.int32)

    @functools.cached_property
    def _slots(self) -> tuple[np.ndarray, np.ndarray]:
        """Level and power of 3 of each slot."""
        most = np.zeros(self.known.level.max() + 1, np.int64)
        np.maximum.at(most, self.known.level, self.place + 1)
        # The smallest width with a number more than there are children.
        width = np.searchsorted(3 ** np.arange(33), most[1:], side="right")
        level = np.repeat(np.arange(1, len(most)), width)
        first = np.repeat(np.cumsum(width) - width, width)
        return level, 3 ** (np.arange(level.size) - first)

    def children(self, item: int) -> np.ndarray:
        """Children of an item, in their order."""
        first, child = self._children
        return child[first[item] : first[item + 1]]

    def slots_of(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        """Slots of a level, and the power of 3 of each."""
        slots = np.flatnonzero(self._slots[0] == level)
        return slots, self._slots[1][slots]

    @property
    def n_slots(self) -> int:
        """Digits of the longest path."""
        return self._slots[0].size

    @property
    def n_levels(self) -> int:
        """Levels below the root."""
        return self.lineage.shape[1] - 1

    @functools.cached_property
    def classes(self) -> np.ndarray:
        """Class of each item's slots, int8 ``(n, n_slots)``: digit + 1, or :data:`ABSENT`."""
        level, power = self._slots
        item = self.lineage[:, level]
        digit = self.place[item] // power % 3
        return np.where(item >= 0, digit, ABSENT).astype(np.int8)

    @functools.cached_property
    def own(self) -> np.ndarray:
        """Which slots hold an item's number among its siblings, bool ``(n, n_slots)``."""
        return self._slots[0] == self.known.level[:, None]

    def read(self, logits: jax.Array) -> jax.Array:
        """Items of the most probable digits ``(..., n_slots, 4)``, int32; -1 for none."""
        path, whole = self.walk(logits)
        last = jnp.max(path, -1, initial=0)  # in preorder the deepest item is the last one
        return jnp.where(whole, last, -1)

    def walk(self, logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Follow the most probable digits ``(..., n_slots, 4)`` down the tree.

        Returns:
          The item reached on each level, int32 ``(..., n_levels)``, -1 from the first level on that
          has no such item; and whether the digits are those of an item, bool ``(...)``.
        """
        found = jnp.argmax(logits, -1)
        level, power = self._slots
        by_level = (level[:, None] == np.arange(1, self.n_levels + 1)).astype(np.int32)
        present = (found != ABSENT).astype(jnp.int32)
        # By level: place among the siblings, and how many slots are there.
        place = (found * present) @ (power[:, None] * by_level)
        count = present @ by_level
        first, child = (jnp.asarray(x) for x in self._children)

        def step(
            carry: tuple[jax.Array, jax.Array, jax.Array], level: tuple[jax.Array, ...]
        ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], jax.Array]:
            item, going, whole = carry
            place, count, width = level
            at = first[item] + place
            there = going & (count == width) & (at < first[item + 1])
            below = child[jnp.minimum(at, child.size - 1)]
            # A level is complete, or empty as all further ones.
            whole &= there | (count == 0)
            return (jnp.where(there, below, item), there, whole), jnp.where(there, below, -1)

        start, yes = jnp.zeros(found.shape[:-1], jnp.int32), jnp.ones(found.shape[:-1], bool)
        levels = (jnp.moveaxis(place, -1, 0), jnp.moveaxis(count, -1, 0), by_level.sum(0))
        (_, _, whole), path = jax.lax.scan(step, (start, yes, yes), levels)
        return jnp.moveaxis(path, 0, -1), whole

    def log_prefixes(self, logits: jax.Array) -> jax.Array:
        """Logarithm of the probability of the digits down to each level, ``(..., n_levels)``."""
        best = jax.nn.log_softmax(logits).max(-1)
        return best @ self._down_to.astype(np.float32)

    def right(self, logits: jax.Array, item: jax.Array) -> jax.Array:
        """Whether the digits of items down to each level are found, bool ``(..., n_levels)``."""
        wrong = jnp.argmax(logits, -1) != jnp.asarray(self.classes)[item]
        return wrong.astype(jnp.int32) @ self._down_to == 0

    @functools.cached_property
    def _down_to(self) -> np.ndarray:
        """Whether a slot belongs to a level or one above it, int32 ``(n_slots, n_levels)``."""
        return (self._slots[0][:, None] <= np.arange(1, self.n_levels + 1)).astype(np.int32)


@functools.lru_cache(maxsize=8)
def make_codes(known: Hierarchy) -> PathCodes:
    """The codes of a hierarchy.

    Raises:
      UserError: if its paths are too long.
    """
    codes = PathCodes(known)
    if int(known.level.max()) > MOST_SLOTS or codes.n_slots > MOST_SLOTS:
        deepest = known.names[int(known.level.argmax())]
        raise UserError(
            f"hierarchy: expected paths of at most {MOST_SLOTS} ternary digits; the path to "
            f"{deepest!r} has {int(known.level.max())} levels"
        )
    if len(known) < 2:
        raise UserError("hierarchy: expected two items or more to encode paths, got one")
    return codes
