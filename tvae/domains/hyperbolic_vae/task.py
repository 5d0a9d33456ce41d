"""v6 as a task: one embedding in the Poincaré ball that decodes, by lengths in given intervals."""

import dataclasses
import math
from collections.abc import Callable

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tvae.domains.hyperbolic_vae import evaluation
from tvae.domains.hyperbolic_vae.module import HyperbolicVAE, HyperbolicVAEOutputs
from tvae.domains.operations import affine_walk, bands
from tvae.domains.operations.data import Batch
from tvae.engine.learning_rate import make_learning_rate
from tvae.engine.task import Metrics, Observation, Params, Task
from tvae.geometry import padic as ternary
from tvae.geometry import poincare, wrapped_normal
from tvae.losses import distances
from tvae.losses.likelihood import cross_entropy
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
    """

    vae: HyperbolicVAEOutputs
    chord: jax.Array
    distance: jax.Array


@dataclasses.dataclass(frozen=True)
class Tables:
    """What 3-adic arithmetic says, by operation, level or pair; NumPy constants.

    Attributes:
      level: valuation of each operation, ``(19683,)``.
      learned: whether an operation counts in training, bool ``(19683,)``.
      weight: of each operation in a batch, ``(19683,)``; 0 where held out.
      radius: interval of hyperbolic radius of each operation, ``(19683, 2)``.
      tree: interval of hyperbolic distance by pair valuation, ``(10, 2)``.
      chord: interval of Euclidean distance by level gap, ``(10, 2)``.
      pairs: the pairs of a block.
    """

    level: np.ndarray
    learned: np.ndarray
    weight: np.ndarray
    radius: np.ndarray
    tree: np.ndarray
    chord: np.ndarray
    pairs: affine_walk.BlockPairs


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
            width=model.projection_width,
            n_layers=model.projection_layers,
            max_norm=model.max_norm,
        ),
        decoder=Decoder(widths=tuple(model.decoder_widths), activation=nn.silu),
        decoder_scale=model.decoder_scale,
    )


def learned_operations(data: ConfigDict) -> np.ndarray:
    """All operations but a random share, bool ``(19683,)``.

    Those that end every batch are never held out.
    """
    n = ternary.count()
    key = jax.random.key(data.split_seed)
    kept = np.asarray(jax.random.uniform(key, (n,)) >= data.held_out_share)
    return kept | (np.arange(n) % (n // data.roots) == 0)


def make_tables(config: ConfigDict) -> Tables:
    """The tables of the configuration."""
    data = config.data
    level, learned = bands.valuations(), learned_operations(data)
    by_level = affine_walk.level_weights(
        block=data.block, roots=data.roots, even_share=data.even_share
    )
    # A block of 3^m holds valuations below m; the deepest of them are its rarest pairs.
    depth = round(math.log(data.block, 3)) - 1
    return Tables(
        level=level,
        learned=learned,
        weight=by_level[level] * learned,
        radius=bands.radius_intervals(**config.radius.to_dict()),
        tree=bands.tree_intervals(**config.tree.to_dict(), depth=depth),
        chord=bands.chord_intervals(**config.chord.to_dict()),
        pairs=affine_walk.block_pairs(block=data.block, anchors=data.anchors),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class HyperbolicVAETask:
    """The functions of the task, over what is static in a run; aux is the number of steps taken.

    Attributes:
      config: the validated configuration.
      model: the module.
      tables: intervals and weights.
      learning_rate: ``epoch -> float32 scalar``.
    """

    config: ConfigDict
    model: HyperbolicVAE
    tables: Tables
    learning_rate: Callable[[jax.Array], jax.Array]

    @property
    def steps_per_epoch(self) -> int:
        """Blocks of the walk."""
        return ternary.count() // self.config.data.block

    def init(self, key: jax.Array) -> tuple[Params, jax.Array]:
        """Fresh parameters and step count."""
        x, noise = jnp.zeros((1, ternary.N_DIGITS)), jnp.zeros((1, self.config.model.latent_dim))
        return self.model.init(key, x, noise)["params"], jnp.int32(0)

    def batches(self, epoch: jax.Array, key: jax.Array) -> Batch:
        """A new affine walk in blocks; the mask says what is learned from."""
        data = self.config.data
        index = affine_walk.walk_batches(
            jax.random.fold_in(key, epoch), block=data.block, roots=data.roots
        )
        return Batch(index=index, mask=jnp.asarray(self.tables.learned, jnp.float32)[index])

    def forward(self, params: Params, aux: jax.Array, batch: Batch, key: jax.Array) -> Outputs:
        """Embed, sample and decode a batch, and measure the pairs of its block."""
        del aux
        noise = jax.random.normal(key, (*batch.index.shape, self.config.model.latent_dim))
        vae = self.model.bind({"params": params})(ternary.values(batch.index), noise)
        data, z = self.config.data, vae.ball.z
        chord, distance = poincare.pairwise_lengths(
            z[: data.anchors], z[: data.block], c=vae.ball.c
        )
        return Outputs(vae=vae, chord=chord, distance=distance)

    def terms(self) -> dict[str, Callable[[Outputs, Batch], jax.Array]]:
        """Unweighted loss terms; those whose weight is 0 are left out."""
        terms = {
            "reconstruction": self._reconstruction,
            "kl": self._kl,
            "radius": self._radius,
            "tree": self._tree,
            "chord": self._chord,
        }
        weights = self.config.weights.to_dict()
        return {name: term for name, term in terms.items() if weights[name] > 0}

    def _mean(self, value: jax.Array, batch: Batch) -> jax.Array:
        """Weighted mean over the operations of a batch."""
        return (jnp.asarray(self.tables.weight)[batch.index] * value).sum()

    def _reconstruction(self, outputs: Outputs, batch: Batch) -> jax.Array:
        """Cross-entropy of the sample's logits, nats per operation."""
        return self._mean(cross_entropy(outputs.vae.logits, ternary.digits(batch.index)), batch)

    def _kl(self, outputs: Outputs, batch: Batch) -> jax.Array:
        """KL to the wrapped normal prior, nats per operation."""
        vae = outputs.vae
        kl = wrapped_normal.sampled_kl(
            vae.noise,
            vae.logvar,
            vae.sample_radius,
            prior_scale=self.config.model.prior_scale,
            c=vae.ball.c,
        )
        return self._mean(kl, batch)

    def _radius(self, outputs: Outputs, batch: Batch) -> jax.Array:
        """Hyperbolic radii against their operations' intervals."""
        weight = jnp.asarray(self.tables.weight)[batch.index]
        radius, table = outputs.vae.ball.hyperbolic_radius, jnp.asarray(self.tables.radius)
        return distances.weighted_interval(radius, batch.index, table, weight)

    def _tree(self, outputs: Outputs, batch: Batch) -> jax.Array:
        """Hyperbolic distances against the intervals of v(i - j), each valuation alike."""
        pairs = self.tables.pairs
        return distances.weighted_interval(
            outputs.distance,
            jnp.asarray(pairs.valuation),
            jnp.asarray(self.tables.tree),
            self._pair_weight(pairs.by_valuation, batch),
        )

    def _chord(self, outputs: Outputs, batch: Batch) -> jax.Array:
        """Euclidean distances against the intervals of the level gap, all pairs alike."""
        data, pairs = self.config.data, self.tables.pairs
        level = jnp.asarray(self.tables.level)[batch.index[: data.block]]
        return distances.weighted_interval(
            outputs.chord,
            jnp.abs(level[: data.anchors, None] - level[None, :]),
            jnp.asarray(self.tables.chord),
            self._pair_weight(pairs.uniform, batch),
        )

    def _pair_weight(self, weight: np.ndarray, batch: Batch) -> jax.Array:
        """Weights of a block's pairs, 0 where either end is held out."""
        if self.tables.learned.all():
            return jnp.asarray(weight)
        mask = batch.mask[: self.config.data.block]
        return jnp.asarray(weight) * mask[: self.config.data.anchors, None] * mask[None, :]

    def weights(self, aux: jax.Array) -> Metrics:
        """Weights of the terms, constant in time."""
        del aux
        weights = self.config.weights.to_dict()
        return {name: jnp.float32(weights[name]) for name in self.terms()}

    def update_aux(
        self, aux: jax.Array, params: Params, outputs: Outputs, metrics: Metrics
    ) -> tuple[jax.Array, jax.Array]:
        """Count the step; the learning rate moves with every step."""
        del params, outputs, metrics
        return aux + 1, self.learning_rate(aux / self.steps_per_epoch)

    def monitor(self, aux: jax.Array) -> Metrics:
        """The learning rate of the last step."""
        return {"schedule/learning_rate": self.learning_rate((aux - 1) / self.steps_per_epoch)}

    def evaluate(self, params: Params, aux: jax.Array, key: jax.Array) -> Metrics:
        """The periodic evaluation; see :func:`tvae.domains.hyperbolic_vae.evaluation.headline`."""
        del aux
        return evaluation.headline(self.model, params, key, learned=self.tables.learned)

    def final_evaluate(self, params: Params, aux: jax.Array, key: jax.Array) -> Metrics:
        """Everything; see :func:`tvae.domains.hyperbolic_vae.evaluation.measure`."""
        del aux
        return evaluation.measure(self.model, params, key, learned=self.tables.learned)

    def task(self) -> Task:
        """These functions as the engine takes them."""
        return Task(
            steps_per_epoch=self.steps_per_epoch,
            init=self.init,
            begin_epoch=lambda aux, _: aux,
            batches=self.batches,
            forward=self.forward,
            terms=self.terms(),
            weights=self.weights,
            gates=lambda _: {},
            update_aux=self.update_aux,
            monitor=self.monitor,
            group_of=lambda path: {"encoder": "vae", "projection": "vae", "decoder": "vae"}[
                path.split("/")[0]
            ],
            groups={"vae": 1.0},
            evaluate=jax.jit(self.evaluate),
            observe=lambda aux, params, _: Observation(aux, params),
            final_evaluate=self.final_evaluate,
        )


def make_domain(config: ConfigDict) -> HyperbolicVAETask:
    """The hyperbolic VAE of a validated configuration."""
    learning_rate = make_learning_rate(config.learning_rate, epochs=config.epochs)
    return HyperbolicVAETask(config, make_model(config), make_tables(config), learning_rate)
