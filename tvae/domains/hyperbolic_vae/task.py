"""v6 as a task: one embedding in the Poincaré ball that decodes, by lengths in given intervals."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tvae.domains.hyperbolic_vae import evaluation
from tvae.domains.hyperbolic_vae.config import FIELDS
from tvae.domains.hyperbolic_vae.module import HyperbolicVAE, HyperbolicVAEOutputs
from tvae.domains.objective import Objective, Sources, make_objective
from tvae.domains.operations import affine_walk, bands
from tvae.domains.operations.data import Batch
from tvae.domains.operations.tree import TREE
from tvae.engine import compilation
from tvae.engine.schedules import LearningRate, make_learning_rate
from tvae.engine.task import Hparams, Metrics, Params, StepCountingTask
from tvae.geometry import padic, poincare
from tvae.losses.pairs import Pairs
from tvae.models.decoders import Decoder
from tvae.models.encoders import Encoder
from tvae.models.projections import HyperbolicProjection


@flax.struct.dataclass
class Outputs:
    """Forward outputs and the pair lengths that two terms share.

    Attributes:
      vae: outputs of the model.
      chord: Euclidean distance of each anchor to each operation of its block, ``(anchors, block)``.
      distance: hyperbolic distance of the same pairs.
      key: of what terms draw.
      pairs: of rows of the batch, by row of the objective; None where all pairs are taken.
    """

    vae: HyperbolicVAEOutputs
    chord: jax.Array
    distance: jax.Array
    key: jax.Array
    pairs: dict[str, Pairs | None]


def make_model(config: ConfigDict) -> HyperbolicVAE:
    """The module that the configuration describes."""
    model = config.model
    return HyperbolicVAE(
        encoder=Encoder(
            latent_dim=model.latent_dim,
            widths=tuple(model.encoder_widths),
            activation=nn.silu,
            logvar_bounds=(model.logvar_min, model.logvar_max),
            logvar_start=model.logvar_start,
        ),
        projection=HyperbolicProjection(
            width=model.projection_width, n_layers=model.projection_layers, max_norm=model.max_norm
        ),
        decoder=Decoder(widths=tuple(model.decoder_widths), activation=nn.silu),
        decoder_scale=model.decoder_scale,
    )


def learned_operations(data: ConfigDict) -> np.ndarray:
    """All but a random share of operations, bool ``(19683,)``; the roots are never held out."""
    n = padic.count()
    key = jax.random.key(data.split_seed)
    kept = np.asarray(jax.random.uniform(key, (n,)) >= data.held_out_share)
    return kept | (np.arange(n) % (n // data.roots) == 0)


def with_values(module: HyperbolicVAE, hparams: Mapping[str, Any]) -> HyperbolicVAE:
    """The module with the traced fields of ``config.model``."""
    bounds = (hparams["model.logvar_min"], hparams["model.logvar_max"])
    start = hparams["model.logvar_start"]
    return module.clone(
        encoder=module.encoder.clone(logvar_bounds=bounds, logvar_start=start),
        projection=module.projection.clone(max_norm=hparams["model.max_norm"]),
        decoder_scale=hparams["model.decoder_scale"],
    )


@dataclasses.dataclass(frozen=True)
class HyperbolicVAETask(StepCountingTask):
    """The training problem of v6; aux is the number of steps taken, int32.

    Attributes:
      module: the network.
      block: operations of a step from the affine walk, a power of 3.
      roots: operations of highest valuation added to every step, a power of 3.
      anchors: operations of a block that are paired with all of it.
      held_out: share of operations held out, and the seed that chose them.
      learned: whether an operation counts in training, bool ``(19683,)``.
      objective: terms and weights.
      rate: learning rate of an epoch.
    """

    module: HyperbolicVAE
    block: int
    roots: int
    anchors: int
    held_out: tuple[float, int]
    learned: np.ndarray = dataclasses.field(compare=False, repr=False)
    objective: Objective
    rate: LearningRate

    @property
    def steps_per_epoch(self) -> int:  # type: ignore[override]
        """Blocks of the walk."""
        return padic.count() // self.block

    @functools.cached_property
    def pairs(self) -> affine_walk.BlockPairs:
        """The pairs of a block."""
        return affine_walk.block_pairs(block=self.block, anchors=self.anchors)

    @functools.cached_property
    def level(self) -> np.ndarray:
        """Valuation of each operation, ``(19683,)``."""
        return bands.valuations()

    @functools.cached_property
    def leading(self) -> np.ndarray:
        """First non-zero digit of each operation, ``(19683,)``."""
        return bands.leading_digits()

    def bound(self, hparams: Hparams) -> HyperbolicVAE:
        """The module with its traced values."""
        return with_values(self.module, hparams)

    def init(self, key: jax.Array, hparams: Hparams) -> tuple[Params, jax.Array]:
        """Fresh parameters and step count."""
        x, noise = jnp.zeros((1, padic.N_DIGITS)), jnp.zeros((1, self.module.encoder.latent_dim))
        return self.bound(hparams).init(key, x, noise)["params"], jnp.int32(0)

    def batches(self, epoch: jax.Array, key: jax.Array) -> Batch:
        """A new affine walk in blocks; the mask marks what is learned from."""
        key = jax.random.fold_in(key, epoch)
        index = affine_walk.walk_batches(key, block=self.block, roots=self.roots)
        return Batch(index=index, mask=jnp.asarray(self.learned, jnp.float32)[index])

    def forward(
        self, params: Params, aux: jax.Array, batch: Batch, key: jax.Array, hparams: Hparams
    ) -> Outputs:
        """Embed, sample and decode a batch, and measure the pairs of its block."""
        del aux
        noise = jax.random.normal(key, (*batch.index.shape, self.module.encoder.latent_dim))
        vae = self.bound(hparams).bind({"params": params})(padic.values(batch.index), noise)
        z = vae.ball.z
        chord, distance = poincare.pairwise_lengths(
            z[: self.anchors], z[: self.block], c=vae.ball.c
        )
        term_key, pair_key = (jax.random.fold_in(key, i) for i in range(2))
        pairs = self.objective.draw_pairs(pair_key, batch_size=batch.index.size)
        return Outputs(vae=vae, chord=chord, distance=distance, key=term_key, pairs=pairs)

    def terms(self, outputs: Outputs, batch: Batch, hparams: Hparams) -> Metrics:
        """Unweighted loss terms; those of single operations are weighted means over the batch."""
        row_weight = self._row_weight(batch, hparams)
        return self.objective.terms(
            lambda _: self.sources(outputs, batch, hparams),
            hparams,
            reduce=lambda rows: (row_weight * rows).sum(),
            pairs=outputs.pairs,
        )

    def sources(self, outputs: Outputs, batch: Batch, hparams: Hparams) -> Sources:
        """What the terms may ask for: :data:`tvae.domains.hyperbolic_vae.terms.INPUTS`."""
        vae, index = outputs.vae, batch.index
        level = jnp.asarray(self.level)[index]
        block_level = level[: self.block]
        return {
            "logits": vae.logits,
            "target": padic.digits(index),
            "logvar": vae.logvar,
            "noise": vae.noise,
            "sample_radius": vae.sample_radius,
            "point": vae.ball.z,
            "radius": vae.ball.hyperbolic_radius,
            "c": vae.ball.c,
            "prior_scale": hparams["model.prior_scale"],
            "index": index,
            "level": level,
            "leading_digit": jnp.asarray(self.leading)[index],
            "tree": TREE,
            "where": batch.mask > 0.0,
            "key": outputs.key,
            # Pairs of the anchors with all operations of their block.
            "distance": outputs.distance,
            "chord": outputs.chord,
            "pair_level": jnp.asarray(self.pairs.valuation),
            "pair_level_weight": self._pair_weight(self.pairs.by_valuation, batch),
            "pair_weight": self._pair_weight(self.pairs.uniform, batch),
            # A block of 3^m holds valuations below m; the deepest of them are its rarest pairs.
            "pair_depth": round(math.log(self.block, 3)) - 1,
            "level_gap": jnp.abs(block_level[: self.anchors, None] - block_level[None, :]),
        }

    def _row_weight(self, batch: Batch, hparams: Hparams) -> jax.Array:
        """Weights of a batch's operations ``(batch,)``; 0 where held out."""
        by_level = affine_walk.level_weights(
            block=self.block, roots=self.roots, even_share=hparams["data.even_share"]
        )
        return by_level[jnp.asarray(self.level)[batch.index]] * batch.mask

    def _pair_weight(self, weight: np.ndarray, batch: Batch) -> jax.Array:
        """Weights of a block's pairs, 0 where either end is held out."""
        if self.learned.all():
            return jnp.asarray(weight)
        mask = batch.mask[: self.block]
        return jnp.asarray(weight) * mask[: self.anchors, None] * mask[None, :]

    def weights(self, aux: jax.Array, hparams: Hparams) -> Metrics:
        """Weights of the terms."""
        return self.objective.weights(self.epoch(aux), hparams)

    def group_of(self, path: str) -> str:
        """All parts learn in one group."""
        return {"encoder": "vae", "projection": "vae", "decoder": "vae"}[path.split("/")[0]]

    def groups(self, hparams: Hparams) -> dict[str, float]:
        """The group learns at the full rate."""
        del hparams
        return {"vae": 1.0}

    def evaluate(self, params: Params, aux: jax.Array, key: jax.Array, hparams: Hparams) -> Metrics:
        """The periodic evaluation."""
        del aux
        return evaluation.headline(self.bound(hparams), params, key, learned=self.learned)

    def final_evaluate(
        self, params: Params, aux: jax.Array, key: jax.Array, hparams: Hparams
    ) -> Metrics:
        """The whole evaluation."""
        del aux
        operations, use = _final_programs(self)
        return operations(params, key, hparams) | use(params, hparams)


@functools.lru_cache(maxsize=2)
def _final_programs(
    task: HyperbolicVAETask,
) -> tuple[Callable[..., Metrics], Callable[..., Metrics]]:
    """The two parts of a final evaluation, which the members of a population share."""

    def operations(params: Params, key: jax.Array, hparams: Hparams) -> Metrics:
        model = task.bound(hparams)
        return evaluation.measure_operations(model, params, key, learned=task.learned)

    def use(params: Params, hparams: Hparams) -> Metrics:
        scale = hparams["model.prior_scale"]
        return evaluation.measure_use(task.bound(hparams), params, prior_scale=scale)

    return compilation.jit_once(operations), compilation.jit_once(use)


def make_task(config: ConfigDict) -> HyperbolicVAETask:
    """The task of a validated configuration."""
    data = config.data
    return HyperbolicVAETask(
        # Defaults in place of traced values: tasks that differ in nothing else are equal.
        module=with_values(make_model(config), {k: f.default for k, f in FIELDS.items()}),
        block=data.block,
        roots=data.roots,
        anchors=data.anchors,
        held_out=(data.held_out_share, data.split_seed),
        learned=learned_operations(data),
        objective=make_objective(config.objective.to_dict()),
        rate=make_learning_rate(config.learning_rate, epochs=config.epochs),
    )
