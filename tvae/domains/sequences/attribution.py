r"""What each letter adds to a prediction: exact where it is linear, integrated gradients elsewhere.

The way leads from the reference, whose features are 0, straight to the row:

.. math::

    a_i = x_i \int_0^1 \frac{\partial F}{\partial x_i}(\alpha x) \, d\alpha,
    \qquad \sum_i a_i = F(x) - F(0).

Of a linear model this is weight times feature, and of a sum of models the sum of theirs.

Source: Sundararajan, Taly & Yan 2017, *Axiomatic attribution for deep networks*, ICML.
"""

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.sequences import closed_form, gaussian_process
from tvae.domains.sequences.gaussian_process import Products
from tvae.domains.sequences.predictor import Predictor
from tvae.domains.views import Attribution
from tvae.engine.task import Params

NODES = 6
"""Points of the way, of Gauss and Legendre: exact for polynomials of degree 11."""


def _nodes() -> tuple[jax.Array, jax.Array]:
    """Points in (0, 1) and their weights."""
    points, weights = np.polynomial.legendre.leggauss(NODES)
    return jnp.asarray((points + 1) / 2, jnp.float32), jnp.asarray(weights / 2, jnp.float32)


def explain(
    predictor: Predictor, params: Params, features: jax.Array, least: jax.Array
) -> Attribution:
    """Parts of the predictions of rows, on the scale on which the labels are learnt.

    Args:
      predictor: of the model.
      params: of the model.
      features: ``(n, f)``.
      least: smallest standard deviation of a network.
    """
    part = predictor.sizes.folds
    own = closed_form.part_of(params["solved"], part)
    linear = own["weights"][:, None, :] * (features * own["used"][None, :])[None]
    found = []
    if predictor.has_process:
        found.append(_of_processes(params, own, features))
    if predictor.has_network:
        found.append(_of_networks(predictor, params, features, least))
    parts = sum(found[1:], found[0]) / len(found) if found else linear
    origin = jnp.zeros((1, features.shape[-1]))
    return Attribution(parts, predictor.of_part(params, part, origin, least)[0])


def _of_processes(params: Params, own: Params, features: jax.Array) -> jax.Array:
    """Parts ``(d, n, f)`` of the second stage; of a label without one those of the first.

    The way changes the features by a factor alone, and with it all inner products: they are formed
    once, and so is the product with the gradient's mean over the way.
    """
    V, x = (rows * own["used"][None, :] for rows in (params["table"]["features"], features))
    z = closed_form.standardise(own, own["linear"])
    spread = jnp.maximum(own["spread"], 1e-3)
    z_start = (own["intercepts"] - own["centre"]) / spread
    z_slope = x @ own["weights"].T / spread[None, :]
    inner = x @ V.T
    size, size_V = (x**2).sum(1), (V**2).sum(1)
    points, weights = _nodes()

    def one(label: Params) -> jax.Array:
        scale = gaussian_process.feature_scale(label["weights"])[None, :]
        s, S = x * scale, V * scale
        inner_s, size_s, size_S = s @ S.T, (s**2).sum(1), (S**2).sum(1)

        def value(given: tuple[jax.Array, ...]) -> jax.Array:
            """Sum over rows of the predictions, from inner products and squared lengths."""
            x_V, xx, s_S, ss, z_new = given
            far = [
                jnp.maximum(u[:, None] + v[None, :] - 2 * g, 0)
                for g, u, v in (
                    (x_V, xx, size_V),
                    (s_S, ss, size_S),
                    (z_new @ z.T, (z_new**2).sum(1), (z**2).sum(1)),
                )
            ]
            terms = Products((x_V, s_S, z_new @ z.T), tuple(far))
            mean = gaussian_process.covariance(label["hyperparameters"], terms)
            y = label["mean"] + label["deviation"] * (mean @ label["coefficients"])
            return jnp.clip(y, label["low"], label["high"]).sum()

        def add(total: tuple[jax.Array, ...], node: tuple[jax.Array, jax.Array]) -> tuple:
            a, weight = node
            at = (
                a * inner,
                a**2 * size,
                a * inner_s,
                a**2 * size_s,
                z_start[None, :] + a * z_slope,
            )
            # A squared length grows with the square of the way, hence the factor 2 a.
            factors = (weight, weight * 2 * a, weight, weight * 2 * a, weight)
            gradient = jax.grad(value)(at)
            return tuple(t + f * g for t, f, g in zip(total, factors, gradient, strict=True)), None

        start = tuple(map(jnp.zeros_like, (inner, size, inner_s, size_s, z_slope)))
        (of_x, of_xx, of_s, of_ss, of_z), _ = jax.lax.scan(add, start, (points, weights))
        found = x * (of_x @ V + of_xx[:, None] * x) + s * (of_s @ S + of_ss[:, None] * s)
        found += x * ((of_z / spread[None, :]) @ own["weights"])
        return jnp.where(label["has_process"] > 0, found, x * label["weights"][None, :])

    names = ("weights", "coefficients", "hyperparameters", "mean", "deviation", "low", "high")
    return jax.lax.map(one, {name: own[name] for name in (*names, "has_process")})


def _of_networks(
    predictor: Predictor, params: Params, features: jax.Array, least: jax.Array
) -> jax.Array:
    """Parts ``(d, n, f)`` of the networks of all rows."""
    points, weights = _nodes()

    def one(label: jax.Array) -> jax.Array:
        def value(x: jax.Array) -> jax.Array:
            return predictor.network(params, predictor.sizes.folds, x, least)[:, label].sum()

        gradients = jax.lax.map(lambda a: jax.grad(value)(a * features), points)
        return features * jnp.tensordot(weights, gradients, 1)

    return jax.lax.map(one, jnp.arange(predictor.sizes.labels))
