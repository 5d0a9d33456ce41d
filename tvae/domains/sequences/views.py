"""Views of a trained model of sequences: latents, and predictions with intervals."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tvae.domains.inputs import as_numbers
from tvae.domains.sequences import attribution, evaluation, intervals, new_rows, source
from tvae.domains.sequences.contents import Contents
from tvae.domains.sequences.predictor import Predictor
from tvae.domains.sequences.task import make_predictor
from tvae.domains.views import (
    BALL,
    LATENT,
    Attribution,
    Points,
    Posterior,
    Predictions,
    Rows,
    Views,
)
from tvae.engine.task import Metrics, Params
from tvae.errors import UserError


def as_features(contents: Contents, x: Any) -> jax.Array:
    """A caller's items as features: sequences, or features themselves.

    Args:
      contents: of the table that the model was trained on.
      x: one aligned sequence or several, or an array ``(..., f)`` in [0, 1].

    Raises:
      UserError: if they are neither.
    """
    texts = [x] if isinstance(x, str) else x
    if isinstance(texts, list | tuple) and texts and all(isinstance(row, str) for row in texts):
        found = jnp.asarray(contents.encode(contents.read(texts)))
        return found[0] if isinstance(x, str) else found
    known = as_numbers(x, "items")
    if known.shape[-1:] != (len(contents.features),):
        raise UserError(
            f"items: expected sequences of {len(contents.positions)} letters or an array "
            f"(..., {len(contents.features)}) of features, got an array {known.shape}"
        )
    return jnp.asarray(known, jnp.float32)


def half_widths(params: Params, prediction: jax.Array, level: float) -> jax.Array:
    """Half-widths ``(d,)`` that cover a new row, by the errors of held-out predictions.

    The traceable form of :func:`tvae.domains.sequences.intervals.half_width`.

    Args:
      params: of the model.
      prediction: held-out predictions of all rows ``(n, d)``.
      level: share to cover.
    """
    table = params["table"]
    error, censored = table["target"] - prediction, table["censored"]
    needed = jnp.where(censored == 0, jnp.abs(error), jnp.maximum(error * censored, 0))
    ordered = jnp.sort(jnp.where(table["known"] > 0, needed, jnp.inf), axis=0)
    count = table["known"].sum(0)
    rank = jnp.ceil((count + 1) * level - 1e-4).astype(jnp.int32)
    last = len(ordered) - 1
    at_rank = jnp.take_along_axis(ordered, jnp.clip(rank - 1, 0, last)[None, :], axis=0)[0]
    return jnp.where(rank <= count, at_rank, jnp.inf)


def make_views(config: ConfigDict) -> Views:
    """Views of a model, which needs no table if training has described it.

    Raises:
      UserError: if the table has to be read and cannot be.
    """
    contents = source.contents(config.data)
    predictor: Predictor = make_predictor(config, contents)
    least, logarithmic = config.model.least_deviation, config.data.scale == "log10"

    def encode(params: Params, x: jax.Array) -> Posterior:
        found = predictor.read(params, x)
        if found.mean is not None:
            return Posterior(found.mean, jnp.asarray(found.logvar))
        return Posterior(found.hidden, jnp.zeros_like(found.hidden))

    def embed(params: Params, x: jax.Array) -> Points:
        return Points(predictor.read(params, x).hidden, jnp.float32(1.0))

    def predict(params: Params, x: jax.Array) -> Predictions:
        rows = x.reshape(-1, x.shape[-1])
        mean = predictor.of_part(params, predictor.sizes.folds, rows, jnp.float32(least))
        held_out = predictor.held_out(params, least).prediction
        width = jnp.stack([half_widths(params, held_out, level) for level in intervals.LEVELS])
        low, high = mean[None] - width[:, None, :], mean[None] + width[:, None, :]
        shape = (*x.shape[:-1], predictor.sizes.labels)
        value, low, high = (
            (10**y if logarithmic else y).reshape(*y.shape[:-2], *shape) for y in (mean, low, high)
        )
        return Predictions(value, low, high)

    def measure(params: Params, key: jax.Array, recorded: Mapping[str, Any]) -> Metrics:
        del key, recorded
        return evaluation.measure(predictor, params, least, contents)

    def explain(params: Params, x: jax.Array) -> Attribution:
        return attribution.explain(predictor, params, x, jnp.float32(least))

    def measure_rows(params: Params, rows: Rows) -> Metrics:
        predicted = jax.jit(predict)(params, rows.x)
        return new_rows.measure(rows, predicted, params["table"]["features"], config)

    def classify(label: str, values: np.ndarray) -> list[str]:
        gene = source.find_gene(config.data.gene, contents.labels)
        return gene.classify(label, values) if gene else [""] * len(values)

    in_ball = predictor.has_latents and config.model.latent == "poincare"
    features = len(contents.features)
    few = (np.random.default_rng(0).random((64, features)) < 0.1).astype(np.float32)
    return Views(
        latent_dim=predictor.latent_dim,
        input_shape=(features,),
        about=(
            "An item is the features of a sequence: for each letter that differs from the "
            "reference, its share of the position. A decoder's outputs are the logits of features "
            "`(n, features)` where the networks have latents; of hidden features what the first "
            "network adds to the linear predictions, on the scale of the labels `(n, labels)`; "
            "without networks the linear predictions."
        ),
        as_input=lambda x: as_features(contents, x),
        examples=lambda n: jnp.asarray(np.resize(few, (n, features))),
        encode=encode,
        embed={"a": embed} if in_ball else {},
        decode={BALL if in_ball else LATENT: {"a": predictor.decode}},
        measure=measure,
        predict=predict,
        labels=contents.labels,
        levels=intervals.LEVELS,
        features=contents.features,
        explain=explain,
        read_rows=lambda path: new_rows.read_rows(path, config.data, contents),
        measure_rows=measure_rows,
        classify=classify,
    )
