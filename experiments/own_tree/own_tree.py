"""A tree of one's own as a domain: its nodes as points of a Poincaré ball of any curvature.

A node is an item, its input is one-hot, and the embedding is a table with one row a node: a tangent
vector at the origin ("tangent", Euclidean parameters) or the point itself ("ball", which the
Riemannian optimizer moves). The objective asks that distances in the ball be those along the edges
of the tree.
"""

# ruff: noqa: ARG002, ARG005 - a method of Task is given more than this one needs

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

import tvae
from tvae.domains.domain import Domain
from tvae.domains.views import BALL, Items, Points, Posterior, Views
from tvae.engine.task import Task
from tvae.errors import UserError
from tvae.fields import Field, above, at_least, one_of, text, within
from tvae.geometry import poincare
from tvae.geometry.tree import TableTree
from tvae.metrics.rank_correlation import spearman_with_classes


def read_tree(path):
    """Tree and names from a text file: a line a node, ``name,parent``; the root has no parent."""
    rows = [line.split(",") for line in pathlib.Path(path).read_text().split("\n") if line]
    number = {name: i for i, (name, _) in enumerate(rows)}
    return TableTree([number[parent] if parent else -1 for _, parent in rows]), list(number)


def path_lengths(tree):
    """Number of edges between every two nodes, int32 ``(n, n)``."""
    node = jnp.arange(tree.n_leaves)
    i, j = node[:, None], node[None, :]
    return tree.level(i) + tree.level(j) - 2 * tree.pair_level(i, j)


def stress(distance, length):
    """Squared relative error of distances ``(n, n)`` with respect to lengths, a row each ``(n,)``.

    >>> stress(jnp.asarray([[0.0, 3.0], [2.0, 0.0]]), jnp.asarray([[0.0, 2.0], [2.0, 0.0]]))
    Array([0.25, 0.  ], dtype=float32)
    """
    apart = length > 0
    error = jnp.where(apart, distance / jnp.where(apart, length, 1.0) - 1.0, 0.0)
    return jnp.sum(error**2, -1) / (length.shape[-1] - 1)


@dataclasses.dataclass(frozen=True)
class OwnTree(Task):
    """All nodes in every step."""

    tree: TableTree
    latent_dim: int
    steps_per_epoch: int
    parameters: str

    def init(self, key, hparams):
        """Rows drawn at random, so far apart that branches can pass each other."""
        row = 0.5 * jax.random.normal(key, (self.tree.n_leaves, self.latent_dim))
        if self.parameters == "ball":
            row = poincare.exp_map_origin(row, c=hparams["model.curvature"])
        return {"row": row}, {}

    def batches(self, epoch, key):
        """No data but the tree: the numbers of the steps."""
        return jnp.arange(self.steps_per_epoch)

    def ball_of(self, path):
        """Rows that are points belong to the ball of ``model.curvature``."""
        return "model.curvature" if self.parameters == "ball" else ""

    def points(self, params, c):
        """Points ``(n, d)`` of the rows."""
        row = params["row"]
        return row if self.parameters == "ball" else poincare.exp_map_origin(row, c=c)

    def forward(self, params, aux, batch, key, hparams):
        """Distances of all pairs, ``(n, n)``."""
        z = self.points(params, hparams["model.curvature"])
        return poincare.pairwise_distance(z, z, c=hparams["model.curvature"])

    def terms(self, outputs, batch, hparams):
        """The stress of the tree."""
        lengths = hparams["loss.edge_length"] * path_lengths(self.tree)
        return {"stress": stress(outputs, lengths).mean()}

    def evaluate(self, params, aux, key, hparams):
        """Distortion, and the rank correlation with path lengths."""
        distance = self.forward(params, aux, None, key, hparams)
        edges = path_lengths(self.tree)
        apart = ~jnp.eye(self.tree.n_leaves, dtype=bool)
        wanted = hparams["loss.edge_length"] * jnp.where(apart, edges, 1)
        classes = 2 * self.tree.depth + 1
        return {
            "eval/distortion": jnp.mean(jnp.abs(distance / wanted - 1.0), where=apart),
            "eval/path_correlation": spearman_with_classes(
                distance.ravel(), edges.ravel(), n_classes=classes
            ),
        }


def make_task(config):
    """The task of a configuration."""
    tree, _ = read_tree(config.data.file)
    return OwnTree(tree, config.model.latent_dim, config.steps_per_epoch, config.model.parameters)


def make_views(config):
    """The functions of a trained embedding."""
    task, (tree, names) = make_task(config), read_tree(config.data.file)
    c = jnp.float32(config.model.curvature)

    def embed(params, x):
        return Points(x @ task.points(params, c), c)

    def encode(params, x):
        mean = poincare.log_map_origin(embed(params, x).z, c=c)
        return Posterior(mean, jnp.zeros_like(mean))

    def decode(params, z):
        flat = z.reshape(-1, z.shape[-1])
        logits = -poincare.pairwise_distance(flat, task.points(params, c), c=c)
        return logits.reshape(*z.shape[:-1], -1)

    def as_index(index):
        index = np.asarray(index)
        if index.size and not (index.min() >= 0 and index.max() < len(names)):
            raise UserError(f"nodes: expected indices in [0, {len(names)}), got {index}")
        return jnp.asarray(index, jnp.int32)

    def inputs(index):
        return jax.nn.one_hot(index, len(names))

    items = Items(
        name="nodes",
        count=len(names),
        inputs=inputs,
        as_index=as_index,
        read=lambda logits: jnp.argmax(logits, -1).astype(jnp.int32),
        columns=lambda index: {"depth": tree.level(index)},
        labels=lambda index: [names[i] for i in np.asarray(index)],
        tree=tree,
        level_name="depth",
    )
    return Views(
        latent_dim=config.model.latent_dim,
        input_shape=(len(names),),
        examples=lambda n: inputs(items.spread(n)),
        encode=encode,
        embed={"a": embed},
        decode={BALL: {"a": decode}},
        measure=lambda params, key, recorded: task.evaluate(
            params,
            {},
            key,
            {"model.curvature": c, "loss.edge_length": jnp.float32(config.loss.edge_length)},
        ),
        items=items,
    )


FIELDS = {
    "data.file": Field("", text("a text file of lines name,parent"), "the tree"),
    "steps_per_epoch": Field(50, at_least(1), "steps of an epoch"),
    "model.latent_dim": Field(2, at_least(2), "dimension of the ball"),
    "model.curvature": Field(1.0, within(1e-6, 100.0), "curvature magnitude c", traced=True),
    "model.parameters": Field("tangent", one_of("tangent", "ball"), "what a row of the table is"),
    "loss.edge_length": Field(1.0, above(0.0), "hyperbolic length of an edge", traced=True),
}
DEFAULTS = {
    "epochs": 12,
    "early_stop.metric": "eval/distortion",
    "early_stop.patience_epochs": 0,
    "optimizer.kind": "adam_l2",
    "optimizer.weight_decay": 0.0,
    "learning_rate.kind": "cosine",
    "learning_rate.peak": 0.1,
    "log_every_epochs": 12,
    "evaluation.every_epochs": 12,
    "checkpoint.every_epochs": 12,
}
DOMAIN = Domain(
    name="own_tree",
    fields=FIELDS,
    defaults=DEFAULTS,
    headline=("eval/distortion", "eval/path_correlation"),
    make_task=make_task,
    make_views=make_views,
)
tvae.register(DOMAIN)
