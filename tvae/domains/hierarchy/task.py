"""The training problem of a table: ancestors nearer than all other items."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.domains.hierarchy import evaluation, source
from tvae.domains.hierarchy.batches import Batch, Block, Sampler, make_sampler
from tvae.domains.hierarchy.geometry import GEOMETRIES, Geometry, Placed
from tvae.domains.hierarchy.links import Links, Positives
from tvae.domains.hierarchy.start import STARTS
from tvae.domains.objective import Objective, Sources, make_objective
from tvae.engine.frames import Surface
from tvae.engine.rows import Rows
from tvae.engine.schedules import LearningRate, make_learning_rate
from tvae.engine.task import Hparams, Metrics, Params, StepCountingTask
from tvae.losses.pairs import Pairs

POINTS, LOG_CURVATURE = "points", "log_curvature"
"""Names of the parameters: the table ``(n, d)``, and log c where it is learned."""


def curvature(params: Params, hparams: Hparams) -> jax.Array:
    """Curvature magnitude c of the table's space: the parameter, or the field."""
    if LOG_CURVATURE in params:
        return jnp.exp(params[LOG_CURVATURE])
    return hparams["model.curvature"]


@flax.struct.dataclass
class Queries:
    """The queries of a step and their distances, for curvature -1.

    Attributes:
      index: items, int32 ``(q,)``.
      point: of the unit ball, or of Euclidean space, ``(q, d)``.
      ancestor_distance: of each query to its ancestors, ``(q, ancestors)``.
      other_distance: to the negatives, ``(q, others)``.
      other: the negatives, int32 ``(q, others)``.
      log_weight: logarithm of how many items a negative stands for, ``(q, others)``.
      is_ancestor: which of the ancestors there are, bool ``(q, ancestors)``.
    """

    index: jax.Array
    point: jax.Array
    ancestor_distance: jax.Array
    other_distance: jax.Array
    other: jax.Array
    log_weight: jax.Array
    is_ancestor: jax.Array


@flax.struct.dataclass
class Outputs:
    """What the terms read.

    Attributes:
      queries: of the step.
      c: curvature magnitude.
      temperature: of the step, in units of the queries' distances.
      key: of what terms draw.
      pairs: of queries, by row of the objective; None where all pairs are taken.
    """

    queries: Queries
    c: jax.Array
    temperature: jax.Array
    key: jax.Array
    pairs: dict[str, Pairs | None]


@dataclasses.dataclass(frozen=True)
class HierarchyTask(StepCountingTask):
    """A point for each item; aux is the number of steps taken, int32.

    Attributes:
      objective: terms and weights.
      sampler: of the hierarchy.
      geometry: name of the space.
      latent_dim: its dimension.
      learn_curvature: whether log c is a parameter.
      max_radius: largest hyperbolic radius, for curvature -1.
      start: name of the start.
      queries: items whose ancestors a periodic evaluation ranks, at most.
      exact_up_to: items up to which the final evaluation ranks all ancestors.
      links: labelled pairs for the final evaluation; None for none.
      epochs: of the run, over which the temperature falls.
      rate: learning rate of an epoch.
    """

    objective: Objective
    sampler: Sampler
    geometry: str
    latent_dim: int
    learn_curvature: bool
    max_radius: float
    start: str
    queries: int
    exact_up_to: int
    links: Links | None
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

    def rows(self, batch: Batch) -> Rows:
        """Items of the step, whose points ``forward`` gets."""
        return {POINTS: self.sampler.rows(batch).row}

    def forward(
        self, params: Params, aux: jax.Array, batch: Batch, key: jax.Array, hparams: Hparams
    ) -> Outputs:
        """Points of the queries, and their distances to ancestors and negatives."""
        space, read = self.space, self.sampler.rows(batch)
        shared = self.sampler.shared(batch.drawn)
        placed = space.place(params[POINTS])

        def at(position: jax.Array) -> Placed:
            return jax.tree.map(lambda x: x[position], placed)

        def one(block: tuple[jax.Array, jax.Array, jax.Array]) -> Queries:
            start, position, above = block
            pairs: Block = self.sampler.pairs(start, shared)
            query, column = at(position), at(jnp.concatenate([position, read.shared]))
            own = jax.tree.map(lambda x: x[:, None, :], query)
            return Queries(
                index=pairs.query,
                point=query.point,
                ancestor_distance=space.distance(own, at(above[pairs.ancestor])),
                other_distance=space.pairwise(query, column),
                other=jnp.broadcast_to(
                    jnp.concatenate([pairs.query, shared]), pairs.log_weight.shape
                ),
                log_weight=pairs.log_weight,
                is_ancestor=pairs.is_ancestor,
            )

        # Queries of all blocks are the rows of one batch. One block after the other: products of
        # matrices that lead with the blocks take twice the time.
        blocks = jax.lax.map(one, (batch.start, read.query, read.above))
        queries = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), blocks)
        pair_key, term_key = (jax.random.fold_in(key, i) for i in range(2))
        c = curvature(params, hparams)
        return Outputs(
            queries=queries,
            c=c,
            temperature=self.temperature(aux, hparams) * jnp.sqrt(c),
            key=term_key,
            pairs=self.objective.draw_pairs(pair_key, batch_size=queries.index.size),
        )

    def terms(self, outputs: Outputs, batch: Batch, hparams: Hparams) -> Metrics:
        """Unweighted terms of the queries, each of which counts alike."""
        del batch
        return self.objective.terms(
            lambda _: self.sources(outputs), hparams, reduce=jnp.mean, pairs=outputs.pairs
        )

    def sources(self, outputs: Outputs) -> Sources:
        """What the terms may ask for: :data:`tvae.domains.hierarchy.terms.INPUTS`."""
        tree, queries = self.sampler.known.tree, outputs.queries
        return {
            **self._paths(outputs),
            "index": queries.index,
            "level": tree.level(queries.index),
            "tree": tree,
            "point": queries.point / jnp.sqrt(outputs.c),
            "c": outputs.c,
            "key": outputs.key,
            "positive_distance": queries.ancestor_distance,
            "other_distance": queries.other_distance,
            "log_weight": queries.log_weight,
            "is_positive": queries.is_ancestor,
            "temperature": outputs.temperature,
        }

    def _paths(self, outputs: Outputs) -> Sources:
        """Path lengths and depths of common ancestors of the queries' pairs, where a term asks."""
        if not any(map(self.objective.asks_for, ("other_path", "other_common"))):
            return {}
        tree, queries = self.sampler.known.tree, outputs.queries
        common = tree.pair_level(queries.index[:, None], queries.other)
        levels = tree.level(queries.index)[:, None] + tree.level(queries.other)
        return {"other_common": common, "other_path": levels - 2 * common}

    def weights(self, aux: jax.Array, hparams: Hparams) -> Metrics:
        """Weights of the terms."""
        return self.objective.weights(self.epoch(aux), hparams)

    def temperature(self, aux: jax.Array, hparams: Hparams) -> jax.Array:
        """Temperature of a step, a geometric schedule: order first, then single ranks."""
        first, last = hparams["loss.temperature"], hparams["loss.temperature_end"]
        done = jnp.minimum(aux / (self.epochs * self.steps_per_epoch), 1.0)
        return first * (last / first) ** done

    def ball_of(self, path: str) -> str | Surface:
        """Points move on the surface of their geometry; log c is flat."""
        return self.space.surface(self.max_radius) if path == POINTS else ""

    def monitor(self, aux: jax.Array, hparams: Hparams) -> Metrics:
        """Learning rate and temperature of the last step."""
        temperature = self.temperature(aux - 1, hparams)
        return super().monitor(aux, hparams) | {"schedule/temperature": temperature}

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
            self.sampler.known,
            self.geometry,
            params[POINTS],
            c,
            exact_up_to=self.exact_up_to,
            links=self.links,
        )


def make_task(config: ConfigDict) -> HierarchyTask:
    """The task of a validated configuration.

    Raises:
      UserError: if the hierarchy or its labelled pairs cannot be read.
    """
    data, model = config.data, config.model
    known, labelled = source.load(data), config.evaluation.pairs
    return HierarchyTask(
        objective=make_objective(config.objective.to_dict()),
        sampler=make_sampler(
            known,
            block=data.block,
            blocks=data.blocks,
            top=data.top,
            random=data.random,
            ancestors=data.ancestors,
            learnt=Positives(
                known,
                complete=data.positives == "closure",
                file=data.pairs,
                strict=data.negatives == "unlearnt",
            ),
        ),
        geometry=model.geometry,
        latent_dim=model.latent_dim,
        learn_curvature=model.learn_curvature,
        max_radius=float(model.max_radius),
        start=model.start,
        queries=config.evaluation.queries,
        exact_up_to=config.evaluation.exact_up_to,
        links=source.labelled_pairs(labelled, known) if labelled else None,
        epochs=config.epochs,
        rate=make_learning_rate(config.learning_rate, epochs=config.epochs),
    )
