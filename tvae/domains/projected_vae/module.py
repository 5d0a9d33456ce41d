"""v5.11 on: two encoders projected into the Poincaré ball, and one decoder."""

from collections.abc import Mapping

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from tvae.domains.dual_vae.module import Latents
from tvae.geometry import poincare
from tvae.losses.divergence import gaussian_kl
from tvae.metrics.rank_correlation import spearman
from tvae.models.controllers import Control, DifferentiableController, constant_control
from tvae.models.decoders import Decoder
from tvae.models.encoders import Encoder
from tvae.models.layers import Flag
from tvae.models.projections import BallPoints, HyperbolicProjection

PARTS = ("encoder_a", "encoder_b", "decoder_a", "projection_a", "projection_b", "controller")
"""The parts of :class:`ProjectedVAE`, by their names in the parameter tree."""


@flax.struct.dataclass
class ProjectedVAEOutputs:
    """What a forward pass of :class:`ProjectedVAE` returns.

    Attributes:
      latents: posterior parameters.
      z_euc_a: latent of A, ``(..., latent_dim)``; the mean without noise.
      z_euc_b: latent of B.
      ball_a: A in the ball.
      ball_b: B in the ball.
      z_tangent_a: logarithm at the origin of A's points, ``(..., latent_dim)``.
      logits_a: ``(..., n_digits, 3)``.
    """

    latents: Latents
    z_euc_a: jax.Array
    z_euc_b: jax.Array
    ball_a: BallPoints
    ball_b: BallPoints
    z_tangent_a: jax.Array
    logits_a: jax.Array


class ProjectedVAE(nn.Module):
    """Encoders A and B, one or two projections into the ball, decoder A and a controller.

    * v5.11: ``ProjectedVAE(decode_ball=False)``; two projections by ``dual_projection=True``;
    * v5.12 as published: ``ProjectedVAE(projection=HyperbolicProjection(n_layers=2, dropout=0.1),
      dual_projection=True)``.

    ``train`` is only for the dropout of parts. The results of a frozen encoder can be cached and
    passed to :meth:`from_latents`.

    Attributes:
      encoder: template of both encoders.
      decoder: template of decoder A.
      projection: template of the projections.
      dual_projection: give B its own projection; otherwise ``projection_a`` serves both.
      share_direction: let B's projection use A's direction net, with its own radius net.
      decode_ball: decode ``log_0(z_hyp)`` (PartialFreeze, v5.12) instead of ``z_euc`` (v5.11).
      use_controller: own a controller; without one :meth:`control` returns constants.
    """

    encoder: Encoder = Encoder()
    decoder: Decoder = Decoder()
    projection: HyperbolicProjection = HyperbolicProjection()
    dual_projection: bool = False
    share_direction: bool = False
    decode_ball: bool = True
    use_controller: bool = True

    def setup(self) -> None:
        """Name the parts."""
        if self.share_direction and not self.dual_projection:
            raise ValueError("share_direction needs dual_projection")
        self.encoder_a = self.encoder.clone(parent=None)
        self.encoder_b = self.encoder.clone(parent=None)
        self.decoder_a = self.decoder.clone(parent=None)
        self.projection_a = self.projection.clone(parent=None)
        if self.dual_projection:
            self.projection_b = self.projection.clone(parent=None)
        if self.use_controller:
            self.controller = DifferentiableController()

    def encode(self, x: jax.Array, train: Mapping[str, Flag] | None = None) -> Latents:
        """Encode operations ``(..., n_digits)`` with both encoders."""
        train = _checked(train)
        return Latents(
            *self.encoder_a(x, train.get("encoder_a", False)),
            *self.encoder_b(x, train.get("encoder_b", False)),
        )

    def project(
        self, z_a: jax.Array, z_b: jax.Array, train: Mapping[str, Flag] | None = None
    ) -> tuple[BallPoints, BallPoints]:
        """Project latents ``(..., latent_dim)`` of A and B into the ball."""
        train = _checked(train)
        train_a = train.get("projection_a", False)
        ball_a = self.projection_a(z_a, train_a)
        if not self.dual_projection:
            return ball_a, self.projection_a(z_b, train_a)
        direction = self.projection_a.directions(z_b, train_a) if self.share_direction else None
        return ball_a, self.projection_b(z_b, train.get("projection_b", False), direction=direction)

    def decode(self, z: jax.Array, train: Mapping[str, Flag] | None = None) -> jax.Array:
        """Decoder A alone: ``(..., latent_dim)`` to logits ``(..., n_digits, 3)``."""
        return self.decoder_a(z, _checked(train).get("decoder_a", False))

    def decode_points(self, z_hyp: jax.Array, train: Mapping[str, Flag] | None = None) -> jax.Array:
        """Decode points of A's ball ``(..., latent_dim)`` through the logarithm at the origin."""
        return self.decode(poincare.log_map_origin(z_hyp, c=self.projection_a.c()), train)

    def from_latents(
        self,
        latents: Latents,
        *,
        noise_a: jax.Array | None = None,
        noise_b: jax.Array | None = None,
        train: Mapping[str, Flag] | None = None,
    ) -> ProjectedVAEOutputs:
        r"""Everything behind the encoders: sampling, projections and decoder.

        .. math:: z = \mu + e^{\log\sigma^2 / 2}\,\epsilon

        Arguments as in :meth:`__call__`; latents of frozen encoders may come from a cache.
        """
        z_a = _sample(latents.mu_a, latents.logvar_a, noise_a)
        z_b = _sample(latents.mu_b, latents.logvar_b, noise_b)
        ball_a, ball_b = self.project(z_a, z_b, train)
        tangent = poincare.log_map_origin(ball_a.z, c=ball_a.c)
        return ProjectedVAEOutputs(
            latents=latents,
            z_euc_a=z_a,
            z_euc_b=z_b,
            ball_a=ball_a,
            ball_b=ball_b,
            z_tangent_a=tangent,
            logits_a=self.decode(tangent if self.decode_ball else z_a, train),
        )

    def control(self, outputs: ProjectedVAEOutputs, valuation: jax.Array) -> Control:
        """The controller's values for one batch with valuations ``(n,)``, or v5.12's constants."""
        if not self.use_controller:
            return constant_control()
        posteriors = outputs.latents.by_encoder()
        statistics = batch_statistics(
            posteriors["a"],
            posteriors["b"],
            outputs.ball_a.hyperbolic_radius,
            outputs.ball_b.hyperbolic_radius,
            valuation=valuation,
        )
        return self.controller(statistics)

    def __call__(
        self,
        x: jax.Array,
        *,
        noise_a: jax.Array | None = None,
        noise_b: jax.Array | None = None,
        train: Mapping[str, Flag] | None = None,
    ) -> ProjectedVAEOutputs:
        """Encode, project and decode; deterministic unless noise is given or a part trains.

        Args:
          x: operations, float32 ``(..., n_digits)``.
          noise_a: standard normal noise ``(..., latent_dim)`` of A, or None for the means.
          noise_b: the same for B.
          train: which of :data:`PARTS` train, the others do not: their dropout acts. Values may be
            traced (the gates of homeostasis). Needs the ``dropout`` stream of keys.

        Raises:
          ValueError: if ``train`` names an unknown part.
        """
        latents = self.encode(x, train)
        return self.from_latents(latents, noise_a=noise_a, noise_b=noise_b, train=train)

    def touch(self, x: jax.Array) -> None:
        """Run every part once on ``(n, n_digits)``, so that ``init`` creates all parameters."""
        self.control(self(x), jnp.zeros(x.shape[0], jnp.int32))


def _checked(train: Mapping[str, Flag] | None) -> Mapping[str, Flag]:
    """``train``, or an empty mapping for None."""
    train = train or {}
    if unknown := sorted(set(train) - set(PARTS)):
        raise ValueError(f"train names unknown parts {unknown}; the parts are {PARTS}")
    return train


def _sample(mu: jax.Array, logvar: jax.Array, noise: jax.Array | None) -> jax.Array:
    """The mean, moved by the noise in units of the posterior's deviation where there is any."""
    return mu if noise is None else mu + jnp.exp(0.5 * logvar) * noise


def batch_statistics(
    posterior_a: tuple[jax.Array, jax.Array],
    posterior_b: tuple[jax.Array, jax.Array],
    radius_a: jax.Array,
    radius_b: jax.Array,
    *,
    valuation: jax.Array,
) -> jax.Array:
    """The controller's inputs from one batch.

    Args:
      posterior_a: ``(mu, logvar)`` of encoder A, each ``(n, latent_dim)``.
      posterior_b: the same of encoder B.
      radius_a: hyperbolic radii ``(n,)`` of A.
      radius_b: hyperbolic radii ``(n,)`` of B.
      valuation: integers ``(n,)``.

    Returns:
      ``(8,)``: mean radii, hierarchies (without gradient; 0 where the batch has a single row or
      level) and KLs of A and B; the two entries of losses are 0, as in the reference system.
    """
    zero = jnp.zeros((), radius_a.dtype)
    return jnp.stack(
        [
            radius_a.mean(),
            radius_b.mean(),
            jnp.nan_to_num(spearman(valuation, radius_a)),
            jnp.nan_to_num(spearman(valuation, radius_b)),
            gaussian_kl(*posterior_a).sum(-1).mean(),
            gaussian_kl(*posterior_b).sum(-1).mean(),
            zero,
            zero,
        ]
    )
