"""Places of new items: a point, the nearest seen items, and the predicted ancestors."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.hierarchy_vae import evaluation
from tvae.domains.hierarchy_vae.features import Tokens
from tvae.domains.hierarchy_vae.module import HierarchyVAE
from tvae.domains.hierarchy_vae.study import Study
from tvae.domains.views import Placement
from tvae.engine.task import Params
from tvae.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Placing:
    """Reads new items and places them.

    Attributes:
      study: the hierarchy, encoded.
      module: of the model.
      c: curvature magnitude.
    """

    study: Study
    module: HierarchyVAE
    c: float

    def place(self, params: Params, items: Any, k: int) -> Placement:
        """Place new items, without training; see :meth:`tvae.model.Model.place`.

        Raises:
          UserError: if they are not as the model takes them.
        """
        x = jnp.asarray(self.read(items))
        k = min(k, self.study.learned.size)
        point, nearest, distance, lineage, log_p = self._placed(params, x, k)
        names = self.study.known.names
        found = [
            [(str(names[item]), float(p)) for item, p in zip(*row, strict=True) if item >= 0]
            for row in zip(np.asarray(lineage), np.exp(log_p), strict=True)
        ]
        return Placement(point, nearest, distance, found)

    @functools.cached_property
    def _placed(self) -> Callable[..., tuple[jax.Array, ...]]:
        def run(params: Params, x: jax.Array, k: int) -> tuple[jax.Array, ...]:
            root = jnp.sqrt(jnp.float32(self.c))
            space = self.module.space
            every = jax.lax.map(
                lambda x: evaluation.embed_and_decode(self.module, params, x)[0],
                jnp.asarray(self.study.inputs[self.study.learned]),
                batch_size=evaluation.AT_ONCE,
            )
            seen = space.place(every)

            def one(x: jax.Array) -> tuple[jax.Array, ...]:
                row, decoded = evaluation.embed_and_decode(self.module, params, x)
                placed = space.place(row)
                own = jax.tree.map(lambda a: a[None], placed)
                _, near = jax.lax.top_k(-space.key(own, seen)[0], k)
                apart = space.distance(own, jax.tree.map(lambda a: a[near], seen))
                lineage, log_p = evaluation.lineage_of(self.study, decoded)
                learned = jnp.asarray(self.study.learned)
                return placed.point / root, learned[near], apart / root, lineage, log_p

            return jax.lax.map(one, x)

        return jax.jit(run, static_argnums=2)

    def read(self, items: Any) -> np.ndarray:
        """New items as the encoder takes them, int32 ``(n, width)``.

        Raises:
          UserError: if there is none, or one is not as the model takes them.
        """
        given = [items] if isinstance(items, Mapping) else items
        if not isinstance(given, Sequence) or isinstance(given, str) or not given:
            raise UserError(f"place: expected a list of {self._kind}, got {items!r:.60}")
        if self.study.tokens is None:
            return np.stack([self._classes(path) for path in given])
        return self._of_rows(self.study.tokens, given)

    @property
    def _kind(self) -> str:
        if self.study.tokens is None:
            return "paths, each a list of names from the root's children down"
        return "rows, each a dictionary of features"

    def _of_rows(self, tokens: Tokens, rows: Sequence[Any]) -> np.ndarray:
        for row in rows:
            if not isinstance(row, Mapping):
                raise UserError(f"place: expected a list of {self._kind}, got {row!r:.60}")
            if wrong := sorted(set(map(str, row)) - set(tokens.columns)):
                known = ", ".join(map(repr, tokens.columns))
                raise UserError(f"place: expected features {known}; got {wrong[0]!r}")
        columns = {name: [row.get(name) for row in rows] for name in tokens.columns}
        return tokens.of_rows(columns, len(rows))

    def _classes(self, path: Any) -> np.ndarray:
        """Classes of the digits of a path whose last name may be new."""
        if not isinstance(path, Sequence) or isinstance(path, str) or not path:
            raise UserError(f"place: expected a list of {self._kind}, got {path!r:.60}")
        known, codes = self.study.known, self.study.codes
        names = [str(name) for name in path]
        names = names[1:] if names[0] == known.names[0] else names
        item = 0
        for depth, name in enumerate(names, 1):
            below = codes.children(item)
            found = below[known.names[below] == name]
            if found.size:
                item = int(found[0])
            elif depth < len(names):
                raise UserError(
                    f"place: {known.names[item]!r} has no child {name!r}; only the last name of a "
                    "path may be new"
                )
            else:
                return self._new_child(item)
        return codes.classes[item].astype(np.int32)

    def _new_child(self, parent: int) -> np.ndarray:
        """Classes of a further child of an item: the next free number of its level."""
        codes = self.study.codes
        level = int(self.study.known.level[parent]) + 1
        if level > codes.n_levels:
            raise UserError(
                f"place: {self.study.known.names[parent]!r} is on the deepest level, which no new "
                "item may exceed"
            )
        classes = codes.classes[parent].astype(np.int32)
        slots, power = codes.slots_of(level)
        classes[slots] = codes.children(parent).size // power % 3
        return classes
