"""The objective of the production line: its terms, their random pairs, and their weights."""

import dataclasses
import functools
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.domains.operations.tree import TREE
from tvae.domains.projected_vae import zero_structure
from tvae.domains.projected_vae.module import ProjectedVAEOutputs
from tvae.engine.task import Metrics
from tvae.geometry import padic as ternary
from tvae.geometry import poincare
from tvae.losses import distances, level_means, likelihood, radial, ranking
from tvae.losses.levels import target_radius
from tvae.losses.pairs import Pairs, sample_pairs
from tvae.models.controllers import Control
from tvae.models.projections import BallPoints


@flax.struct.dataclass
class PairDraws:
    """Pairs of rows of a batch, for one encoder; None where all pairs are taken."""

    margin: Pairs | None
    rank: Pairs | None
    geodesic: Pairs | None


@flax.struct.dataclass
class Draws:
    """Everything random of a step but dropout.

    Attributes:
      noise_a: standard normal ``(batch, latent_dim)`` of A's posterior.
      noise_b: the same of B's.
      pairs_a: pairs for A's terms.
      pairs_b: pairs for B's terms.
    """

    noise_a: jax.Array
    noise_b: jax.Array
    pairs_a: PairDraws
    pairs_b: PairDraws


@flax.struct.dataclass
class Outputs:
    """What the terms read.

    Attributes:
      vae: outputs of the model.
      valuation: of the batch's operations, int32 ``(batch,)``.
      reference_radius: what B's richness is compared with, ``(batch,)``.
      control: the controller's values, or constants.
      pairs_a: pairs for A's terms.
      pairs_b: pairs for B's terms.
    """

    vae: ProjectedVAEOutputs
    valuation: jax.Array
    reference_radius: jax.Array
    control: Control
    pairs_a: PairDraws
    pairs_b: PairDraws

    def side(self, encoder: str) -> tuple[BallPoints, PairDraws]:
        """Points and pairs of encoder "a" or "b"."""
        if encoder == "a":
            return self.vae.ball_a, self.pairs_a
        return self.vae.ball_b, self.pairs_b


Term = Callable[[Outputs, jax.Array], jax.Array]
"""``(outputs, index) -> scalar`` with the batch's operations ``(batch,)``."""


@dataclasses.dataclass(frozen=True, eq=False)
class Objective:
    """Terms and weights of a configuration.

    Attributes:
      config: the validated configuration.
    """

    config: ConfigDict

    def draw(self, key: jax.Array) -> Draws:
        """All draws of a step."""
        loss, size = self.config.loss, self.config.data.batch_size
        noise_key, *pair_keys = jax.random.split(key, 7)
        noise = jax.random.normal(noise_key, (2, size, self.config.model.latent_dim))
        counts = (loss.margin_pairs, loss.rank_pairs, loss.geodesic_pairs)

        def draw_pairs(keys: list[jax.Array]) -> PairDraws:
            return PairDraws(
                *(
                    sample_pairs(key, batch_size=size, n_pairs=n) if n else None
                    for key, n in zip(keys, counts, strict=True)
                )
            )

        return Draws(noise[0], noise[1], draw_pairs(pair_keys[:3]), draw_pairs(pair_keys[3:]))

    def bounds(self, c: jax.Array) -> dict[str, jax.Array]:
        """Target radii of valuations 9 and 0 as hyperbolic lengths: ``inner`` and ``outer``."""
        loss = self.config.loss
        lengths = {"inner": loss.inner_radius, "outer": loss.outer_radius}
        if loss.radius_unit == "hyperbolic":
            return {name: jnp.float32(length) for name, length in lengths.items()}
        return {
            name: poincare.radius_of_norm(length / jnp.sqrt(c), c=c)
            for name, length in lengths.items()
        }

    def reference_radius(self, start: BallPoints) -> jax.Array:
        """What B's richness is compared with, one radius for each operation.

        Args:
          start: B's points of all operations at the start of the run.

        Returns:
          ``(19683,)``: the radii at the start, or, where ``loss.richness_spread`` is set, targets
          plus and minus that many level spacings by the operation's last nonzero digit.
        """
        loss = self.config.loss
        if loss.richness_spread == 0.0:
            euclidean = self.config.legacy.euclidean_reference
            return start.euclidean_norm if euclidean else start.hyperbolic_radius
        index = jnp.arange(ternary.count())
        valuation, bounds = TREE.level(index), self.bounds(start.c)
        spacing = (bounds["outer"] - bounds["inner"]) / TREE.depth
        last_digit = index // TREE.p**valuation % TREE.p
        side = (last_digit == 2).astype(jnp.float32) - (last_digit == 1)
        return target_radius(valuation, tree=TREE, **bounds) + loss.richness_spread * spacing * side

    def coverage(self, outputs: Outputs, index: jax.Array) -> jax.Array:
        """A's cross-entropy, mean over rows and digits (nats per digit)."""
        rows = likelihood.cross_entropy(outputs.vae.logits_a, ternary.digits(index))
        return rows.mean() / ternary.N_DIGITS

    def rich(self, outputs: Outputs) -> level_means.RichHierarchyTerms:
        """The three terms on B's level statistics."""
        ball = outputs.vae.ball_b
        return level_means.rich_hierarchy(
            ball.hyperbolic_radius,
            outputs.valuation,
            outputs.reference_radius,
            tree=TREE,
            **self.bounds(ball.c),
            min_richness_ratio=self.config.loss.min_richness_ratio,
        )

    def radial(self, outputs: Outputs, _: jax.Array, *, encoder: str) -> jax.Array:
        """Squared distances from the radial targets, and the margin; the controller's factor."""
        ball, pairs = outputs.side(encoder)
        radius, valuation, bounds = ball.hyperbolic_radius, outputs.valuation, self.bounds(ball.c)
        rows = radial.radial_hierarchy(radius, valuation, tree=TREE, **bounds)
        value = (radial.exponential_weight(valuation) * rows).mean()
        margin = radial.radial_margin(radius, valuation, tree=TREE, pairs=pairs.margin, **bounds)
        value += self.config.loss.margin_weight * margin
        return value * outputs.control.weight_radial if self.config.model.controller else value

    def rank(self, outputs: Outputs, _: jax.Array, *, encoder: str) -> jax.Array:
        """Order of the radii of pairs."""
        ball, pairs = outputs.side(encoder)
        temperature = self.config.loss.rank_temperature
        return ranking.global_rank(
            ball.hyperbolic_radius, outputs.valuation, temperature=temperature, pairs=pairs.rank
        )

    def geodesic(self, outputs: Outputs, index: jax.Array, *, encoder: str) -> jax.Array:
        """Distances of pairs against the 3-adic ones; the controller's tau."""
        ball, pairs = outputs.side(encoder)
        value = distances.tree_geodesic(
            ball.z,
            index,
            tree=TREE,
            c=ball.c,
            pairs=pairs.geodesic,
            max_distance=self.config.loss.geodesic_max_distance,
            level_scale=self.config.loss.geodesic_scale,
        )
        return value * outputs.control.tau if self.config.model.controller else value

    def zero(self, outputs: Outputs, index: jax.Array, *, encoder: str) -> jax.Array:
        """Zero valuation and zero count against the radius."""
        ball = outputs.side(encoder)[0]
        radius, loss = ball.hyperbolic_radius, self.config.loss
        bounds = self.bounds(ball.c)
        valuation = zero_structure.zero_valuation_loss(
            radius, index, inner=bounds["inner"], outer=bounds["outer"]
        ).mean()
        sparsity = zero_structure.zero_sparsity_loss(radius, index)
        return loss.zero_valuation_weight * valuation + loss.zero_sparsity_weight * sparsity

    def monotonic(self, outputs: Outputs, _: jax.Array, *, encoder: str) -> jax.Array:
        """Order and targets of the level means."""
        ball = outputs.side(encoder)[0]
        terms = level_means.monotonic_radial(
            ball.hyperbolic_radius, outputs.valuation, tree=TREE, **self.bounds(ball.c)
        )
        return terms.order + 0.5 * terms.target

    def stratification(self, outputs: Outputs, _: jax.Array, *, encoder: str) -> jax.Array:
        """Smooth distances from the radial targets."""
        ball = outputs.side(encoder)[0]
        bounds = self.bounds(ball.c)
        rows = radial.radial_stratification(
            ball.hyperbolic_radius,
            outputs.valuation,
            tree=TREE,
            inner=bounds["inner"],
            outer=bounds["outer"],
        )
        return rows.mean()

    def control_penalty(self, outputs: Outputs, _: jax.Array) -> jax.Array:
        """Keeps the controller from switching the geodesic term off (v5.11)."""
        control = outputs.control
        ratio = control.weight_radial / (control.weight_geodesic + 1e-6)
        return jax.nn.relu(0.3 - control.tau) ** 2 + jax.nn.relu(ratio - 3.0) ** 2

    def _constant_weights(self) -> dict[str, float]:
        """Weights of all terms before schedules."""
        loss = self.config.loss
        both = {
            "radial": loss.radial_weight,
            "rank": loss.rank_weight,
            "geodesic": loss.geodesic_weight,
            "zero": loss.zero_weight * self.config.legacy.zero_factor,
            "monotonic": loss.monotonic_weight,
            "stratification": loss.stratification_weight,
        }
        return {
            "coverage": loss.coverage_weight,
            "hierarchy_b": loss.hierarchy_weight,
            "richness_b": loss.richness_weight,
            "separation_b": loss.separation_weight,
            **{f"{name}_{encoder}": weight for name, weight in both.items() for encoder in "ab"},
            "control_penalty": float(self.config.model.controller),
        }

    def terms(self) -> dict[str, Term]:
        """Unweighted terms; those whose weight is 0 throughout are left out."""
        functions: dict[str, Term] = {
            "coverage": self.coverage,
            "hierarchy_b": lambda outputs, _: self.rich(outputs).hierarchy,
            "richness_b": lambda outputs, _: self.rich(outputs).richness,
            "separation_b": lambda outputs, _: self.rich(outputs).separation,
            "control_penalty": self.control_penalty,
        }
        for term in (
            self.radial,
            self.rank,
            self.geodesic,
            self.zero,
            self.monotonic,
            self.stratification,
        ):
            for encoder in "ab":
                functions[f"{term.__name__}_{encoder}"] = functools.partial(term, encoder=encoder)
        weights = self._constant_weights()
        return {name: term for name, term in functions.items() if weights[name] > 0}

    def tau(self, epoch: jax.Array) -> jax.Array:
        """Share of the geodesic weight that is in force, 0 before phase 2."""
        loss = self.config.loss
        since = (epoch - loss.geodesic_start).astype(jnp.float32)
        if loss.geodesic_ramp_epochs == 0:
            return (since >= 0).astype(jnp.float32)
        return jnp.clip(since / loss.geodesic_ramp_epochs, 0.0, 1.0)

    def weights(self, epoch: jax.Array, tau: jax.Array) -> Metrics:
        """Weights of :meth:`terms` in an epoch.

        Args:
          epoch: int32 scalar.
          tau: share of the geodesic weight, float32 scalar.

        Returns:
          Term -> float32 scalar.
        """
        loss = self.config.loss
        second_phase = epoch >= loss.geodesic_start
        radial_factor = jnp.where(second_phase, loss.radial_phase2_factor, 1.0)
        factors = {f"radial_{e}": radial_factor for e in "ab"}
        factors |= {f"geodesic_{e}": tau for e in "ab"}
        constant = self._constant_weights()
        return {
            name: jnp.float32(constant[name]) * factors.get(name, jnp.float32(1.0))
            for name in self.terms()
        }
