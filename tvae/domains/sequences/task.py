"""The training problem of a table: closed-form models first, then networks on top of them.

Networks of all parts (see :mod:`tvae.domains.sequences.closed_form`) and members are one program:
their parameters lead with an axis of parts times members, and rows of a part's own fold count 0.
"""

import dataclasses
import json

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.domains.objective import Objective, make_objective
from tvae.domains.sequences import closed_form, evaluation, source
from tvae.domains.sequences.closed_form import Sizes
from tvae.domains.sequences.contents import Contents
from tvae.domains.sequences.network import (
    Network,
    Reading,
    deviation,
    draw,
    input_scale,
    scale_inputs,
)
from tvae.domains.sequences.predictor import Predictor
from tvae.engine.optim import FROZEN
from tvae.engine.schedules import LearningRate, make_learning_rate
from tvae.engine.task import Hparams, Metrics, Params, StepCountingTask


@flax.struct.dataclass
class Outputs:
    """What the terms read; M networks of B rows each.

    Attributes:
      prediction: means ``(M B, d)``.
      deviation: standard deviations ``(M B, d)``.
      target: ``(M B, d)``.
      known: bool ``(M B, d)``, targets that the network may learn from.
      censored: ``(M B, d)``.
      label_weight: ``(M B, d)``, how much each label counts.
      mean: of the posteriors ``(M B, latent_dim)``; None without latents, as all that follow.
      logvar: of the posteriors.
      point: what the heads read: means, or points of the ball.
      feature_logits: ``(M B, f)``, decoded from a draw of each posterior.
      features: ``(M B, f)``.
      key: of what terms draw.
    """

    prediction: jax.Array
    deviation: jax.Array
    target: jax.Array
    known: jax.Array
    censored: jax.Array
    label_weight: jax.Array
    mean: jax.Array | None = None
    logvar: jax.Array | None = None
    point: jax.Array | None = None
    feature_logits: jax.Array | None = None
    features: jax.Array | None = None
    key: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class SequencesTask(StepCountingTask):
    """Models of sequences; aux is the number of steps taken, int32.

    Attributes:
      objective: terms and weights of the networks.
      predictor: what predicts, and of which sizes.
      data: ``config.data`` as JSON, which :meth:`solve` reads the table by.
      batch_size: rows of a step.
      input_dropout: rate at which features are left out, the same ones for all networks.
      rate: learning rate of an epoch.
    """

    objective: Objective
    predictor: Predictor
    data: str
    batch_size: int
    input_dropout: float
    rate: LearningRate

    @property
    def steps_per_epoch(self) -> int:  # type: ignore[override]
        """Steps in which each row is used once; some twice, so that all batches are full."""
        return -(-self.predictor.sizes.rows // self.batch_size)

    def init(self, key: jax.Array, hparams: Hparams) -> tuple[Params, jax.Array]:
        """Networks, and zeros in place of what :meth:`solve` finds."""
        del hparams
        params = closed_form.empty(self.predictor.sizes)
        if self.predictor.has_network:
            keys = jax.random.split(key, self.predictor.networks)
            x = jnp.zeros((1, self.predictor.sizes.features))
            module = self.predictor.module
            params["network"] = jax.vmap(lambda k: module.init(k, x, method="start")["params"])(
                keys
            )
        return params, jnp.int32(0)

    def solve(self, params: Params) -> Params:
        """Read the table and fit the closed-form models of all parts."""
        loaded = source.load(ConfigDict(json.loads(self.data)))
        fitted = closed_form.solve(
            loaded.samples,
            loaded.folds.fold,
            self.predictor.sizes.folds,
            loaded.folds.seed,
            processes=self.predictor.has_process,
        )
        return params | fitted

    def batches(self, epoch: jax.Array, key: jax.Array) -> jax.Array:
        """Rows in random order: int32 ``(steps, batch)``, the same of all networks."""
        order = jax.random.permutation(
            jax.random.fold_in(key, epoch), self.predictor.sizes.rows
        ).astype(jnp.int32)
        count = self.steps_per_epoch * self.batch_size
        return jnp.resize(order, (count,)).reshape(self.steps_per_epoch, self.batch_size)

    def forward(
        self, params: Params, aux: jax.Array, batch: jax.Array, key: jax.Array, hparams: Hparams
    ) -> Outputs:
        """Predictions of a batch by all networks, each of which sees the rows of its part."""
        del aux
        table, solved = jax.lax.stop_gradient((params["table"], params["solved"]))
        rows = {name: table[name][batch] for name in ("features", "target", "censored")}
        parts = self.predictor.part_of_network
        input_key, term_key, key = jax.random.split(key, 3)
        keys = jax.random.split(key, len(parts))
        keep = 1.0 - self.input_dropout
        kept = jax.random.bernoulli(input_key, keep, rows["features"].shape)
        x = jnp.where(kept, rows["features"] / keep, 0.0)

        def one(network: Params, part: jax.Array, key: jax.Array) -> Outputs:
            own = closed_form.part_of(solved, part)
            run_key, draw_key = jax.random.split(key)
            found = self.predictor.run(scale_inputs(network, input_scale(own)), x, run_key)
            learnt = table["known"] * (table["fold"] != part)[:, None]
            count = jnp.maximum(learnt.sum(0), 1.0)
            weight = (count.max() / count) ** hparams["loss.rare_label"]
            return Outputs(
                prediction=own["linear"][batch] + found.residual,
                deviation=deviation(found.deviation, hparams["model.least_deviation"]),
                target=rows["target"],
                known=learnt[batch] > 0,
                censored=rows["censored"],
                label_weight=jnp.broadcast_to(weight, found.residual.shape),
                **self.reconstruct(network, found, rows["features"], draw_key),
            )

        if not self.predictor.has_network:
            nothing = jnp.zeros(rows["target"].shape)
            return Outputs(nothing, nothing + 1, nothing, nothing > 0, nothing, nothing)
        found = jax.vmap(one)(params["network"], parts, keys)
        rows_of_all = jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]), found)
        return dataclasses.replace(rows_of_all, key=term_key)

    def reconstruct(
        self, network: Params, found: Reading, features: jax.Array, key: jax.Array
    ) -> dict[str, jax.Array]:
        """Posterior and decoded features of a network with latents; nothing of others."""
        if not self.predictor.has_latents:
            return {}
        module = self.predictor.module
        z = draw(module.latent, found, key)
        return {
            "mean": jnp.asarray(found.mean),
            "logvar": jnp.asarray(found.logvar),
            "point": found.hidden,
            "feature_logits": module.bind({"params": network}).decode(z),
            "features": features,
        }

    def terms(self, outputs: Outputs, batch: jax.Array, hparams: Hparams) -> Metrics:
        """Unweighted terms: mean over known values of a network, sum over networks."""
        weight = (outputs.known * outputs.label_weight).sum(-1)

        def reduce(values: jax.Array) -> jax.Array:
            by_network = (-1, len(batch))
            one = (values * weight).reshape(by_network).sum(1)
            total = weight.reshape(by_network).sum(1)
            return (one / jnp.where(total > 0, total, 1.0)).sum()

        offered = {
            "prediction": outputs.prediction,
            "predicted_logvar": 2.0 * jnp.log(outputs.deviation),
            "measured": outputs.target,
            "censored": outputs.censored,
            "observed": outputs.known,
            "task_weight": outputs.label_weight,
            "mu": outputs.mean,
            "logvar": outputs.logvar,
            "point": outputs.point,
            "c": jnp.float32(1.0),
            "key": outputs.key,
            "feature_logits": outputs.feature_logits,
            "outcome": outputs.features,
            "every_feature": None,
        }
        return self.objective.terms(lambda _: offered, hparams, reduce=reduce)

    def weights(self, aux: jax.Array, hparams: Hparams) -> Metrics:
        """Weights of the terms."""
        return self.objective.weights(self.epoch(aux), hparams)

    def group_of(self, path: str) -> str:
        """The networks learn; the table and its closed-form models do not.

        The first layer, which holds most of the numbers, is a group of its own: an optimizer joins
        the arrays of a group to one vector.
        """
        if not path.startswith("network/"):
            return FROZEN
        return "first_layer" if path.endswith("hidden_0/kernel") else "layers"

    def groups(self, hparams: Hparams) -> dict[str, float]:
        """Two groups, both at the full rate."""
        del hparams
        return {"first_layer": 1.0, "layers": 1.0}

    def evaluate(self, params: Params, aux: jax.Array, key: jax.Array, hparams: Hparams) -> Metrics:
        """Correlation and error of predictions that did not see the row."""
        del aux, key
        held_out = self.predictor.held_out(params, hparams["model.least_deviation"])
        return evaluation.headline(params["table"], held_out)

    def final_evaluate(
        self, params: Params, aux: jax.Array, key: jax.Array, hparams: Hparams
    ) -> Metrics:
        """All measures."""
        del aux, key
        return evaluation.measure(
            self.predictor, params, float(hparams["model.least_deviation"]), self.contents
        )

    @property
    def contents(self) -> Contents:
        """What is known of the table."""
        return source.contents(ConfigDict(json.loads(self.data)))


def make_predictor(config: ConfigDict, contents: Contents) -> Predictor:
    """What a configuration predicts with, for a table of these contents."""
    model = config.model
    network = Network(
        len(contents.labels),
        len(contents.features),
        model.widths,
        model.dropout,
        model.heteroscedastic,
        model.latent,
        model.latent_dim,
    )
    sizes = Sizes(contents.rows, len(contents.features), len(contents.labels), config.data.folds)
    likelihood = any(row["term"] == "tobit_nll" for row in config.objective.to_dict().values())
    return Predictor(sizes, model.kind, model.members, network, likelihood)


def make_task(config: ConfigDict) -> SequencesTask:
    """The task of a validated configuration; its table is read if training has not described it.

    Raises:
      UserError: if the table cannot be read.
    """
    return SequencesTask(
        objective=make_objective(config.objective.to_dict()),
        predictor=make_predictor(config, source.contents(config.data)),
        data=json.dumps(config.data.to_dict()),
        batch_size=config.data.batch_size,
        input_dropout=config.model.input_dropout,
        rate=make_learning_rate(config.learning_rate, epochs=config.epochs),
    )
