"""The training problem of a table: ancestors nearer than all other items."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tvae.domains.hierarchy import evaluation, source
from tvae.domains.hierarchy.batches import Batch, Block, Sampler, make_sampler
from tvae.domains.hierarchy.geometry import GEOMETRIES, Geometry, Placed
from tvae.domains.hierarchy.start import STARTS
from tvae.engine.riemannian import Surface
from tvae.engine.schedules import LearningRate, make_learning_rate
from tvae.engine.task import Hparams, Metrics, Params, Task
from tvae.losses.closure import log_rank

POINTS, LOG_CURVATURE = "points", "log_curvature"
"""Names of the parameters: the table ``(n, d)``, and log c where it is learned."""


def curvature(params: Params, hparams: Hparams) -> jax.Array:
    """Curvature magnitude c of the table's space: the parameter, or the field."""
    if LOG_CURVATURE in params:
        return jnp.exp(params[LOG_CURVATURE])
    return hparams["model.curvature"]


@dataclasses.dataclass(frozen=True)
class HierarchyTask(Task):
    """A point for each item; aux is the number of steps taken, int32.

    Attributes:
      sampler: of the hierarchy.
      geometry: name of the space.
      latent_dim: its dimension.
      learn_curvature: whether log c is a parameter.
      max_radius: largest hyperbolic radius, for curvature -1.
      start: name of the start.
      queries: items whose ancestors a periodic evaluation ranks, at most.
      exact_up_to: items up to which the final evaluation ranks all ancestors.
      epochs: of the run, over which the temperature falls.
      rate: learning rate of an epoch.
    """

    sampler: Sampler
    geometry: str
    latent_dim: int
    learn_curvature: bool
    max_radius: float
    start: str
    queries: int
    exact_up_to: int
    epochs: int
    rate: LearningRate

    @property
    def steps_per_epoch(self) -> int:  # type: ignore[override]
        """Steps in which each item is a query once."""
        return self.sampler.steps

    @property
    def space(self) -> Geometry:
        """The geometry of the table."""
        return GEOMETRIES[self.geometry]

    def init(self, key: jax.Array, hparams: Hparams) -> tuple[Params, jax.Array]:
        """The start of the table, and the step count."""
        make_start = STARTS[self.start]
        known = self.sampler.known
        tangent = make_start(known, key, self.latent_dim, hparams["model.start_step"])
        params = {POINTS: self.space.from_tangent(tangent)}
        if self.learn_curvature:
            params[LOG_CURVATURE] = jnp.log(hparams["model.curvature"])
        return params, jnp.int32(0)

    def batches(self, epoch: jax.Array, key: jax.Array) -> Batch:
        """Blocks of all items in random order, with random negatives."""
        return self.sampler.epoch(jax.random.fold_in(key, epoch))

    def forward(
        self, params: Params, aux: jax.Array, batch: Batch, key: jax.Array, hparams: Hparams
    ) -> dict[str, jax.Array]:
        """Logarithms of the soft ranks ``(blocks, block, ancestors)``, and which of them count."""
        del key
        space, points = self.space, params[POINTS]
        shared = self.sampler.shared(batch.drawn)
        # log_rank takes distances over T; curvature -c divides all distances by the root of c.
        temperature = self.temperature(aux, hparams) * jnp.sqrt(curvature(params, hparams))

        pairs = jax.vmap(lambda start: self.sampler.pairs(start, shared))(batch.start)
        parts = (pairs.query, shared, pairs.ancestor)
        # One gather, whose transpose is one sum into the table: it is as large as all of the rest.
        rows = space.place(points[jnp.concatenate([part.ravel() for part in parts])])
        ends = np.cumsum([part.size for part in parts])[:-1]
        query, common, above = zip(*(jnp.split(x, ends) for x in rows), strict=True)

        def one(query: Placed, above: Placed, pairs: Block) -> jax.Array:
            column = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), query, Placed(*common))
            own = jax.tree.map(lambda x: x[:, None, :], query)
            return log_rank(
                space.distance(own, above),
                space.pairwise(query, column),
                pairs.log_weight,
                temperature=temperature,
                where=pairs.is_ancestor,
            )

        def blocks(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
            return x.reshape(*shape, x.shape[-1])

        query = Placed(*(blocks(x, pairs.query.shape) for x in query))
        above = Placed(*(blocks(x, pairs.ancestor.shape) for x in above))
        return {"rows": jax.vmap(one)(query, above, pairs), "counts": pairs.is_ancestor}

    def terms(self, outputs: Any, batch: Batch, hparams: Hparams) -> Metrics:
        """Mean over the pairs of item and ancestor, nats."""
        del batch, hparams
        pairs = jnp.maximum(outputs["counts"].sum(), 1)
        return {"log_rank": outputs["rows"].sum() / pairs}

    def temperature(self, aux: jax.Array, hparams: Hparams) -> jax.Array:
        """Temperature of a step, a geometric schedule: order first, then single ranks."""
        first, last = hparams["loss.temperature"], hparams["loss.temperature_end"]
        done = jnp.minimum(aux / (self.epochs * self.steps_per_epoch), 1.0)
        return first * (last / first) ** done

    def ball_of(self, path: str) -> str | Surface:
        """Points move on the surface of their geometry; log c is flat."""
        return self.space.surface(self.max_radius) if path == POINTS else ""

    def learning_rate(self, aux: jax.Array, hparams: Hparams) -> jax.Array:
        """The rate moves with every step."""
        return self.rate(aux / self.steps_per_epoch, hparams)

    def after_step(
        self,
        aux: jax.Array,
        old: Params,
        new: Params,
        outputs: Any,
        metrics: Metrics,
        hparams: Hparams,
    ) -> jax.Array:
        """Count the step."""
        del old, new, outputs, metrics, hparams
        return aux + 1

    def monitor(self, aux: jax.Array, hparams: Hparams) -> Metrics:
        """Learning rate and temperature of the last step."""
        return {
            "schedule/learning_rate": self.learning_rate(aux - 1, hparams),
            "schedule/temperature": self.temperature(aux - 1, hparams),
        }

    def evaluate(self, params: Params, aux: jax.Array, key: jax.Array, hparams: Hparams) -> Metrics:
        """Mean rank and MAP of a sample of items, the same at every call."""
        del aux, key
        points = params[POINTS]
        return evaluation.headline(self.sampler.known, self.space, points, self.queries) | {
            "eval/curvature": curvature(params, hparams)
        }

    def final_evaluate(
        self, params: Params, aux: jax.Array, key: jax.Array, hparams: Hparams
    ) -> Metrics:
        """All measures; ranks of all items up to a size."""
        del aux, key
        c = curvature(params, hparams)
        return evaluation.measure(
            self.sampler.known, self.geometry, params[POINTS], c, exact_up_to=self.exact_up_to
        )


def make_task(config: ConfigDict) -> HierarchyTask:
    """The task of a validated configuration.

    Raises:
      UserError: if the hierarchy cannot be read.
    """
    data, model = config.data, config.model
    return HierarchyTask(
        sampler=make_sampler(
            source.load(data),
            block=data.block,
            blocks=data.blocks,
            top=data.top,
            random=data.random,
            ancestors=data.ancestors,
        ),
        geometry=model.geometry,
        latent_dim=model.latent_dim,
        learn_curvature=model.learn_curvature,
        max_radius=float(model.max_radius),
        start=model.start,
        queries=config.evaluation.queries,
        exact_up_to=config.evaluation.exact_up_to,
        epochs=config.epochs,
        rate=make_learning_rate(config.learning_rate, epochs=config.epochs),
    )
