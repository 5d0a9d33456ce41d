"""What is measured on a VAE of a hierarchy: decoding of seen items, places of unseen ones."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tvae.domains.hierarchy import evaluation as table
from tvae.domains.hierarchy.geometry import GEOMETRIES
from tvae.domains.hierarchy_vae.module import Decoded, HierarchyVAE
from tvae.domains.hierarchy_vae.study import Study
from tvae.engine import compilation
from tvae.engine.task import Metrics, Params
from tvae.metrics.definitions import Entry

AT_ONCE = 512
"""Items that are encoded at a time: their tokens' vectors have to fit the memory."""


def exact_up_to(config: ConfigDict) -> int:
    """Items up to which the final evaluation ranks all ancestors; 0 where it ranks none."""
    return config.evaluation.exact_up_to if config.evaluation.distances else 0


def embed_and_decode(
    module: HierarchyVAE, params: Params, x: jax.Array
) -> tuple[jax.Array, Decoded]:
    """Points of items in the coordinates of the geometry, and what is decoded of them."""
    bound = module.bind({"params": params})
    embedded = bound.embed(x)
    return embedded.row, bound.decode(embedded.row, embedded.features)


def lineage_of(study: Study, decoded: Decoded) -> tuple[jax.Array, jax.Array]:
    """The predicted item of each level, and the logarithm of its probability.

    Where ancestors are classes a joint decision over their levels, each with its own softmax; of
    digits the items that they spell, with the product of their probabilities from the first level.

    Returns:
      int32 and float ``(..., n_levels)``; -1 for no item.
    """
    codes, lineages = study.codes, study.lineages
    if not lineages.n_levels:
        return codes.walk(decoded.path)[0], codes.log_prefixes(decoded.path)
    log_p = lineages.log_probabilities(decoded.lineage)
    best = jnp.argmax(lineages.log_paths(log_p), -1)
    last = jnp.asarray(lineages.candidates)[best]
    shown = jnp.take_along_axis(log_p, jnp.asarray(lineages.target)[last], -1)
    further = codes.n_levels - lineages.n_levels
    padding = [(0, 0)] * (shown.ndim - 1) + [(0, further)]
    return jnp.asarray(codes.lineage)[last][..., 1:], jnp.pad(shown, padding)


def ancestors_right(study: Study, decoded: Decoded, item: jax.Array) -> jax.Array:
    """Whether each level's ancestor of items ``(m,)`` is predicted, bool ``(m, n_levels)``."""
    if study.lineages.n_levels:
        return lineage_of(study, decoded)[0] == jnp.asarray(study.codes.lineage)[item][:, 1:]
    return study.codes.right(decoded.path, item)


def decoded_exactly(
    study: Study, module: HierarchyVAE, params: Params, item: np.ndarray
) -> jax.Array:
    """Whether items ``(m,)`` are what the digits decoded of their points spell, bool."""
    x = jnp.asarray(study.inputs[item])

    def one(x: jax.Array) -> jax.Array:
        return study.codes.read(embed_and_decode(module, params, x)[1].path)

    return jax.lax.map(one, x, batch_size=AT_ONCE) == item


def headline(study: Study, module: HierarchyVAE, params: Params, *, queries: int) -> Metrics:
    """The periodic evaluation: a sample of the seen items; a part of :func:`measure`."""
    chosen = study.learned[np.linspace(0, study.learned.size - 1, queries).astype(int)]
    return {"eval/decoded": decoded_exactly(study, module, params, chosen).mean()}


def measure(
    study: Study, module: HierarchyVAE, params: Params, c: jax.Array, *, exact_up_to: int
) -> Metrics:
    """All measures; not for ``jit``.

    Args:
      study: the hierarchy and its split.
      module: of the model.
      params: its parameters.
      c: curvature magnitude.
      exact_up_to: see :func:`tvae.domains.hierarchy.evaluation.measure`; 0 leaves ranks and
        distances out.
    """

    @compilation.jit_once
    def run(params: Params) -> tuple[jax.Array, jax.Array, jax.Array]:
        def one(given: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
            item, x = given
            row, decoded = embed_and_decode(module, params, x[None])
            exact = study.codes.read(decoded.path) == item
            return row[0], exact[0], ancestors_right(study, decoded, item[None])[0]

        item = jnp.arange(len(study.known), dtype=jnp.int32)
        return jax.lax.map(one, (item, jnp.asarray(study.inputs)), batch_size=AT_ONCE)

    rows, exact, right = run(params)
    metrics: Metrics = {}
    if exact_up_to:
        metrics = table.measure(study.known, module.geometry, rows, c, exact_up_to=exact_up_to)
    exact, right = np.asarray(exact), np.asarray(right)
    metrics["eval/decoded"] = jnp.float32(exact[study.seen].mean())
    if study.unseen.size:
        metrics["eval/decoded_unseen"] = jnp.float32(exact[~study.seen].mean())
        metrics |= _ancestors(study, right) | _nearest_seen(study, module.geometry, rows)
    return metrics


def _ancestors(study: Study, right: np.ndarray) -> Metrics:
    """Shares of right ancestors of the unseen items, of all levels and of each."""
    above = study.codes.lineage[study.unseen, 1:]
    counts = (above >= 0) & study.seen[above]
    hits = (right[study.unseen] & counts).sum(0)
    total = counts.sum(0)
    found = {
        f"eval/ancestors_right_level_{k}": jnp.float32(hits[k - 1] / total[k - 1])
        for k in np.flatnonzero(total) + 1
    }
    return found | {"eval/ancestors_right": jnp.float32(hits.sum() / max(1, total.sum()))}


def _nearest_seen(study: Study, geometry: str, rows: jax.Array) -> Metrics:
    """Whether the seen item nearest to an unseen one has the same parent."""
    space = GEOMETRIES[geometry]

    @compilation.jit_once
    def nearest(rows: jax.Array) -> jax.Array:
        placed = space.place(rows)
        seen = jax.tree.map(lambda x: x[study.learned], placed)

        def search(own: jax.Array) -> jax.Array:
            keys = space.key(jax.tree.map(lambda x: x[own[None]], placed), seen)[0]
            return jnp.asarray(study.learned)[jnp.argmin(keys)]

        return jax.lax.map(search, jnp.asarray(study.unseen), batch_size=32)

    found, parent = np.asarray(nearest(rows)), study.known.parent
    siblings = np.bincount(parent[study.learned[1:]], minlength=len(study.known))
    above = parent[study.unseen]
    return {
        "eval/nearest_shares_parent": jnp.float32((parent[found] == above).mean()),
        "eval/nearest_is_parent_of_unseen": jnp.float32((found == above).mean()),
        "eval/nearest_ceiling": jnp.float32((siblings[above] > 0).mean()),
    }


_UNSEEN = "items that training did not see"
DEFINITIONS = table.DEFINITIONS | {
    "eval/decoded": Entry(
        "share of items whose path is decoded exactly from their point alone",
        "items that training saw",
        1.0,
        note="A table of paths reaches 1. During training of evaluation.queries items.",
    ),
    "eval/decoded_unseen": Entry(
        "share of items whose path is decoded exactly from their point alone",
        _UNSEEN,
        1.0,
        note="Nothing but the path itself determines the last digits of an unseen item.",
    ),
    "eval/ancestors_right": Entry(
        "share of ancestors below the root that are predicted, those that training saw",
        _UNSEEN,
        1.0,
        note="The hierarchical F1 where all items have their ancestors on the same levels.",
    ),
    "eval/nearest_shares_parent": Entry(
        "share of items whose nearest seen item has the same parent",
        _UNSEEN,
        note="Its ceiling is nearest_ceiling.",
    ),
    "eval/nearest_is_parent_of_unseen": Entry(
        "share of items whose nearest seen item is their parent", _UNSEEN, better="neither"
    ),
    "eval/nearest_ceiling": Entry(
        "share of items that have a seen sibling", _UNSEEN, better="neither"
    ),
}
"""Metric key -> entry; those of levels are made by :func:`define_level`."""


def define_level(level: int) -> Entry:
    """The entry of ``eval/ancestors_right_level_<level>``."""
    return Entry(f"share of ancestors of level {level} that are predicted", _UNSEEN, 1.0)
