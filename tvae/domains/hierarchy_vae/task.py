"""The training problem of a VAE of a hierarchy."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tvae.domains.hierarchy_vae import evaluation
from tvae.domains.hierarchy_vae.codes import ABSENT
from tvae.domains.hierarchy_vae.config import FIELDS
from tvae.domains.hierarchy_vae.module import (
    Heads,
    HierarchyVAE,
    Passed,
    TokenBag,
)
from tvae.domains.hierarchy_vae.study import Study, make_study
from tvae.domains.objective import Objective, Sources, make_objective
from tvae.engine.schedules import LearningRate, make_learning_rate
from tvae.engine.task import Hparams, Metrics, Params, StepCountingTask
from tvae.geometry import numerics
from tvae.geometry.tree import Tree
from tvae.losses.pairs import Pairs
from tvae.models.encoders import Encoder
from tvae.models.layers import Linear

NETWORK, LINEAR = "network", "linear"
"""Optimizer groups."""


@flax.struct.dataclass
class Anchors:
    """Items that are paired with all of a batch.

    Attributes:
      item: int32 ``(anchors,)``.
      row: their points, in the coordinates of the geometry.
      new: which of them are new siblings of these items instead, bool ``(anchors,)``.
    """

    item: jax.Array
    row: jax.Array
    new: jax.Array


@flax.struct.dataclass
class Outputs:
    """What the terms read.

    Attributes:
      passed: the forward pass of the batch.
      anchors: the rows that are paired with all of it.
      key: of what terms draw.
      pairs: of rows of the batch, by row of the objective; None where all pairs are taken.
    """

    passed: Passed
    anchors: Anchors
    key: jax.Array
    pairs: dict[str, Pairs | None]


def make_module(config: ConfigDict, study: Study) -> HierarchyVAE:
    """The module that the configuration describes."""
    model, bag, direct = config.model, None, None
    if study.tokens is not None:
        bag = TokenBag(config.data.buckets, model.bag_width, model.token_dropout)
    if model.direct:
        direct = Linear(study.lineages.n_classes)
    return HierarchyVAE(
        geometry=model.geometry,
        encoder=Encoder(
            latent_dim=model.latent_dim,
            widths=tuple(model.encoder_widths),
            activation=nn.silu,
            logvar_bounds=(model.logvar_min, model.logvar_max),
            logvar_start=model.logvar_start,
        ),
        decoder=Heads(study.codes.n_slots, study.lineages.n_classes, tuple(model.decoder_widths)),
        bag=bag,
        max_radius=float(model.max_radius),
        direct=direct,
    )


def with_values(module: HierarchyVAE, values: Mapping[str, Any]) -> HierarchyVAE:
    """The module with the traced fields of ``config.model``."""
    bounds = (values["model.logvar_min"], values["model.logvar_max"])
    start, dropout = values["model.logvar_start"], values["model.token_dropout"]
    return module.clone(
        encoder=module.encoder.clone(logvar_bounds=bounds, logvar_start=start),
        bag=module.bag and module.bag.clone(dropout=dropout),
    )


def level_above_both(tree: Tree, i: jax.Array, j: jax.Array) -> jax.Array:
    """Level of the deepest item above both of two, int32; 0 also where one is the root.

    No item is above itself: siblings share their parent, an item and its parent the grandparent. So
    the nearest items are siblings, not parents.
    """
    lowest = jnp.minimum(tree.level(i), tree.level(j)) - 1
    return jnp.maximum(jnp.minimum(tree.pair_level(i, j), lowest), 0)


@dataclasses.dataclass(frozen=True)
class HierarchyVAETask(StepCountingTask):
    """A VAE of a hierarchy; aux is the number of steps taken, int32.

    Attributes:
      study: the hierarchy, encoded.
      module: the network.
      block: consecutive seen items of a block.
      blocks: blocks of a batch.
      anchors: rows of a batch that are paired with all of it.
      queries: items of a periodic evaluation, at most.
      exact_up_to: items up to which the final evaluation ranks all ancestors; 0 for no ranks.
      objective: terms and weights.
      rate: learning rate of an epoch.
    """

    study: Study
    module: HierarchyVAE
    block: int
    blocks: int
    anchors: int
    queries: int
    exact_up_to: int
    objective: Objective
    rate: LearningRate

    @property
    def steps_per_epoch(self) -> int:  # type: ignore[override]
        """Steps in which each seen item is in a batch once, or a few of them twice."""
        return -(-self.study.learned.size // (self.block * self.blocks))

    @functools.cached_property
    def anchor_rows(self) -> np.ndarray:
        """Rows of a batch that are paired with all of it, spread over the blocks."""
        return np.linspace(0, self.block * self.blocks - 1, self.anchors).astype(np.int32)

    def bound(self, hparams: Hparams) -> HierarchyVAE:
        """The module with its traced values."""
        return with_values(self.module, hparams)

    def init(self, key: jax.Array, hparams: Hparams) -> tuple[Params, jax.Array]:
        """Fresh parameters and step count."""
        x = jnp.asarray(self.study.inputs[:1])
        noise = jnp.zeros((1, self.module.encoder.latent_dim))
        return self.bound(hparams).init(key, x, noise)["params"], jnp.int32(0)

    def batches(self, epoch: jax.Array, key: jax.Array) -> jax.Array:
        """Blocks of all seen items from a random one on, in random order: int32 items."""
        roll_key, order_key = jax.random.split(jax.random.fold_in(key, epoch))
        count, m = self.steps_per_epoch * self.blocks, self.study.learned.size
        roll = jax.random.randint(roll_key, (), 0, m, jnp.int32)
        order = jax.random.permutation(order_key, count).astype(jnp.int32)
        start = (roll + self.block * order)[:, None]
        place = (start + jnp.arange(self.block, dtype=jnp.int32)[None, :]) % m
        return jnp.asarray(self.study.learned)[place.reshape(self.steps_per_epoch, -1)]

    def forward(
        self, params: Params, aux: jax.Array, batch: jax.Array, key: jax.Array, hparams: Hparams
    ) -> Outputs:
        """Embed, sample and decode a batch."""
        del aux
        keys = [jax.random.fold_in(key, i) for i in range(5)]
        noise = jax.random.normal(keys[0], (*batch.shape, self.module.encoder.latent_dim))
        passed: Any = self.bound(hparams).apply(
            {"params": params},
            jnp.asarray(self.study.inputs)[batch],
            noise,
            train=True,
            rngs={"dropout": keys[1]},
        )
        pairs = self.objective.draw_pairs(keys[2], batch_size=batch.size)
        anchors = self._anchors(params, batch, passed.embedded.row, keys[4], hparams)
        return Outputs(passed, anchors, keys[3], pairs)

    def _anchors(
        self, params: Params, batch: jax.Array, row: jax.Array, key: jax.Array, hparams: Hparams
    ) -> Anchors:
        """The anchors of a batch; a share of them with random digits in place of their own."""
        item, codes = batch[self.anchor_rows], self.study.codes
        share = hparams["data.new_siblings"]
        if self.study.tokens is not None:
            return Anchors(item, row[self.anchor_rows], jnp.zeros(item.shape, bool))
        new_key, digit_key = jax.random.split(key)
        new = (jax.random.uniform(new_key, item.shape) < share) & (item > 0)
        x = jnp.asarray(self.study.inputs)[item]
        drawn = jax.random.randint(digit_key, x.shape, 0, ABSENT, x.dtype)
        x = jnp.where(new[:, None] & jnp.asarray(codes.own)[item], drawn, x)
        found: Any = self.bound(hparams).apply({"params": params}, x, method="embed")
        return Anchors(item, found.row, new)

    def terms(self, outputs: Outputs, batch: jax.Array, hparams: Hparams) -> Metrics:
        """Unweighted terms of the batch, whose items count alike."""
        return self.objective.terms(
            lambda _: self.sources(outputs, batch, hparams),
            hparams,
            reduce=jnp.mean,
            pairs=outputs.pairs,
        )

    def sources(self, outputs: Outputs, batch: jax.Array, hparams: Hparams) -> Sources:
        """What the terms may ask for: :data:`tvae.domains.hierarchy_vae.terms.INPUTS`."""
        study, space, passed = self.study, self.module.space, outputs.passed
        root = jnp.sqrt(hparams["model.curvature"])
        placed, anchors = space.place(passed.embedded.row), outputs.anchors
        own, pair_level = self._pair_levels(anchors, batch)
        distance = space.pairwise(space.place(anchors.row), placed) / root
        parent = jnp.asarray(study.known.parent)
        sibling = parent[anchors.item][:, None] == parent[batch][None, :]
        target = jnp.asarray(study.lineages.target)[batch]
        log_p = study.lineages.log_probabilities(passed.decoded.lineage)
        return {
            "logits": passed.decoded.path,
            "target": jnp.asarray(study.codes.classes, jnp.int32)[batch],
            "lineage_log_p": jnp.take_along_axis(log_p, jnp.maximum(target, 0), 1),
            "lineage_known": target >= 0,
            "logvar": passed.embedded.logvar - 2.0 * jnp.log(root),
            "noise": passed.noise / root,
            "sample_radius": numerics.safe_norm(space.to_tangent(passed.sample)) / root,
            "radius": numerics.safe_norm(space.to_tangent(passed.embedded.row)) / root,
            "point": placed.point / root,
            # A wrapped normal of curvature 0 is a normal.
            "c": hparams["model.curvature"] if space.curved else jnp.float32(0.0),
            "prior_scale": hparams["model.prior_scale"],
            "index": batch,
            "level": study.known.tree.level(batch),
            "tree": study.known.tree,
            "key": outputs.key,
            "distance": distance,
            # Of a search for siblings: what is near, and what is to be further away.
            "positive_distance": distance,
            "is_positive": sibling & ~own,
            "other_distance": distance,
            "log_weight": jnp.where(sibling, -jnp.inf, 0.0),
            "temperature": hparams["loss.temperature"],
            "pair_level": pair_level,
            "pair_level_weight": self._pair_weight(pair_level, ~own),
            "pair_depth": study.known.tree.depth,
        }

    def _pair_levels(self, anchors: Anchors, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Which pairs are one item twice, and the levels of all, ``(anchors, batch)``."""
        tree = self.study.known.tree
        same = anchors.item[:, None] == batch[None, :]
        above = level_above_both(tree, anchors.item[:, None], batch[None, :])
        return same & ~anchors.new[:, None], above

    def _pair_weight(self, pair_level: jax.Array, other: jax.Array) -> jax.Array:
        """Weights of pairs that sum to 1, the same for each level of which there are pairs."""
        group = jnp.where(other, pair_level, self.study.known.tree.n_levels)
        count = jnp.bincount(group.ravel(), length=self.study.known.tree.n_levels + 1)[:-1]
        weight = 1.0 / (jnp.maximum(count, 1) * jnp.maximum((count > 0).sum(), 1))
        return jnp.where(other, weight[pair_level], 0.0)

    def weights(self, aux: jax.Array, hparams: Hparams) -> Metrics:
        """Weights of the terms."""
        return self.objective.weights(self.epoch(aux), hparams)

    def group_of(self, path: str) -> str:
        """Vectors of tokens and the direct map learn faster than the network."""
        return LINEAR if path.split("/")[0] in ("bag", "direct") else NETWORK

    def groups(self, hparams: Hparams) -> dict[str, jax.Array | float]:
        """Factors on the learning rate."""
        return {NETWORK: 1.0, LINEAR: hparams["model.linear_rate"]}

    def evaluate(self, params: Params, aux: jax.Array, key: jax.Array, hparams: Hparams) -> Metrics:
        """Decoding of a sample of the seen items, the same at every call."""
        del aux, key
        return evaluation.headline(self.study, self.bound(hparams), params, queries=self.queries)

    def final_evaluate(
        self, params: Params, aux: jax.Array, key: jax.Array, hparams: Hparams
    ) -> Metrics:
        """All measures."""
        del aux, key
        return evaluation.measure(
            self.study,
            self.bound(hparams),
            params,
            hparams["model.curvature"],
            exact_up_to=self.exact_up_to,
        )


def make_task(config: ConfigDict) -> HierarchyVAETask:
    """The task of a validated configuration.

    Raises:
      UserError: if the hierarchy cannot be read, or does not fit the configuration.
    """
    study, data = make_study(config), config.data
    block = min(data.block, study.learned.size)
    blocks = min(data.blocks, -(-study.learned.size // block))
    return HierarchyVAETask(
        study=study,
        # Defaults in place of traced values: tasks that differ in nothing else are equal.
        module=with_values(make_module(config, study), {k: f.default for k, f in FIELDS.items()}),
        block=block,
        blocks=blocks,
        anchors=min(data.anchors, block * blocks),
        queries=config.evaluation.queries,
        exact_up_to=evaluation.exact_up_to(config),
        objective=make_objective(config.objective.to_dict()),
        rate=make_learning_rate(config.learning_rate, epochs=config.epochs),
    )
