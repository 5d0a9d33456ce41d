"""The objective of v5.11 to v5.12.4: its terms, their random pairs, and their weights."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tvae.domains.operations.tree import TREE
from tvae.domains.projected_vae import zero_structure
from tvae.domains.projected_vae.module import ProjectedVAEOutputs
from tvae.engine.task import Hparams, Metrics
from tvae.geometry import padic, poincare
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
    """Everything random of a step but dropout; noise is standard normal ``(batch, latent_dim)``."""

    noise_a: jax.Array
    noise_b: jax.Array
    pairs_a: PairDraws
    pairs_b: PairDraws


@flax.struct.dataclass
class Outputs:
    """What the terms read: the model's outputs, and rows ``(batch,)`` that belong to them."""

    vae: ProjectedVAEOutputs
    valuation: jax.Array
    reference_radius: jax.Array
    control: Control
    pairs_a: PairDraws
    pairs_b: PairDraws


@dataclasses.dataclass(frozen=True)
class Side:
    """What the terms of one encoder read; ``bounds`` are its target radii."""

    index: jax.Array
    valuation: jax.Array
    control: Control
    ball: BallPoints
    pairs: PairDraws
    bounds: dict[str, jax.Array]


ENCODERS = "ab"


@dataclasses.dataclass(frozen=True)
class Objective:
    """Terms and weights of v5.11 to v5.12.4; fields are static.

    Attributes:
      batch_size: operations per step.
      latent_dim: dimension of each encoder's latent space.
      pairs: pairs per batch and encoder of margin, rank and geodesic terms; 0 = all.
      euclidean_unit: target radii are Euclidean norms; otherwise hyperbolic lengths.
      spread_reference: richness is compared with targets and a given spread, instead of the radii
        at the start of the run.
      euclidean_reference: compare hyperbolic radii with Euclidean norms at the start (legacy).
      controller: a controller sets tau and the radial weight.
      active: names of the terms that are on.
    """

    batch_size: int
    latent_dim: int
    pairs: tuple[int, int, int]
    euclidean_unit: bool
    spread_reference: bool
    euclidean_reference: bool
    controller: bool
    active: frozenset[str]

    def draw(self, key: jax.Array) -> Draws:
        """All draws of a step."""
        noise_key, pair_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (2, self.batch_size, self.latent_dim))
        # One draw for all: each costs the CPU a loop of small kernels, and time to compile it.
        pairs = sample_pairs(pair_key, batch_size=self.batch_size, n_pairs=2 * sum(self.pairs))
        ends = [int(end) for end in np.cumsum(2 * self.pairs)]
        parts = [
            Pairs(*(x[end - n : end] for x in pairs)) if n else None
            for n, end in zip(2 * self.pairs, ends, strict=True)
        ]
        return Draws(noise[0], noise[1], PairDraws(*parts[:3]), PairDraws(*parts[3:]))

    def bounds(self, c: jax.Array, hparams: Hparams) -> dict[str, jax.Array]:
        """Target radii of valuations 9 and 0 as hyperbolic lengths: ``inner`` and ``outer``."""
        lengths = {"inner": hparams["loss.inner_radius"], "outer": hparams["loss.outer_radius"]}
        if not self.euclidean_unit:
            return lengths
        return {
            name: poincare.radius_of_norm(length / jnp.sqrt(c), c=c)
            for name, length in lengths.items()
        }

    def reference_radius(self, start: BallPoints, hparams: Hparams) -> jax.Array:
        """What B's richness is compared with, one radius for each operation, ``(19683,)``.

        B's radii at the start of the run, or, where ``loss.richness_spread`` is set, targets plus
        and minus that many level spacings by the operation's last nonzero digit.
        """
        if not self.spread_reference:
            return start.euclidean_norm if self.euclidean_reference else start.hyperbolic_radius
        index = jnp.arange(TREE.n_leaves)
        valuation, bounds = TREE.level(index), self.bounds(start.c, hparams)
        spacing = (bounds["outer"] - bounds["inner"]) / TREE.depth
        last_digit = index // TREE.p**valuation % TREE.p
        side = (last_digit == 2).astype(jnp.float32) - (last_digit == 1)
        spread = hparams["loss.richness_spread"] * spacing * side
        return target_radius(valuation, tree=TREE, **bounds) + spread

    def terms(self, outputs: Outputs, index: jax.Array, hparams: Hparams) -> Metrics:
        """Unweighted terms of operations ``(batch,)``; one whose weight is 0 is left out."""
        paired = {
            "radial": self._radial,
            "rank": self._rank,
            "geodesic": self._geodesic,
            "zero": self._zero,
            "monotonic": self._monotonic,
            "stratification": self._stratification,
        }
        values = {}
        if "coverage" in self.active:
            values["coverage"] = self._coverage(outputs, index)
        if self.active & {"hierarchy_b", "richness_b", "separation_b"}:
            rich = self._rich(outputs, hparams)._asdict()
            values |= {f"{k}_b": term for k, term in rich.items() if f"{k}_b" in self.active}
        if "control_penalty" in self.active:
            values["control_penalty"] = self._control_penalty(outputs.control)
        for name, term in paired.items():
            for encoder in ENCODERS:
                if f"{name}_{encoder}" in self.active:
                    side = self._side(outputs, index, encoder, hparams)
                    values[f"{name}_{encoder}"] = term(side, hparams)
        return values

    def _side(self, outputs: Outputs, index: jax.Array, encoder: str, hparams: Hparams) -> Side:
        vae, of_b = outputs.vae, encoder == "b"
        ball = vae.ball_b if of_b else vae.ball_a
        pairs = outputs.pairs_b if of_b else outputs.pairs_a
        bounds = self.bounds(ball.c, hparams)
        return Side(index, outputs.valuation, outputs.control, ball, pairs, bounds)

    def _coverage(self, outputs: Outputs, index: jax.Array) -> jax.Array:
        """A's cross-entropy, mean over rows and digits (nats per digit)."""
        rows = likelihood.cross_entropy(outputs.vae.logits_a, padic.digits(index))
        return rows.mean() / padic.N_DIGITS

    def _rich(self, outputs: Outputs, hparams: Hparams) -> level_means.RichHierarchyTerms:
        """The three terms on B's level statistics."""
        ball = outputs.vae.ball_b
        return level_means.rich_hierarchy(
            ball.hyperbolic_radius,
            outputs.valuation,
            outputs.reference_radius,
            tree=TREE,
            **self.bounds(ball.c, hparams),
            min_richness_ratio=hparams["loss.min_richness_ratio"],
        )

    def _radial(self, side: Side, hparams: Hparams) -> jax.Array:
        """Squared distances from the radial targets, and the margin; the controller's factor."""
        radius, valuation = side.ball.hyperbolic_radius, side.valuation
        rows = radial.radial_hierarchy(radius, valuation, tree=TREE, **side.bounds)
        value = (radial.exponential_weight(valuation) * rows).mean()
        margin = radial.radial_margin(
            radius, valuation, tree=TREE, pairs=side.pairs.margin, **side.bounds
        )
        value += hparams["loss.margin_weight"] * margin
        return value * side.control.weight_radial if self.controller else value

    def _rank(self, side: Side, hparams: Hparams) -> jax.Array:
        """Order of the radii of pairs."""
        radius, temperature = side.ball.hyperbolic_radius, hparams["loss.rank_temperature"]
        return ranking.global_rank(
            radius, side.valuation, temperature=temperature, pairs=side.pairs.rank
        )

    def _geodesic(self, side: Side, hparams: Hparams) -> jax.Array:
        """Distances of pairs against the 3-adic ones; the controller's tau."""
        value = distances.tree_geodesic(
            side.ball.z,
            side.index,
            tree=TREE,
            c=side.ball.c,
            pairs=side.pairs.geodesic,
            max_distance=hparams["loss.geodesic_max_distance"],
            level_scale=hparams["loss.geodesic_scale"],
        )
        return value * side.control.tau if self.controller else value

    def _zero(self, side: Side, hparams: Hparams) -> jax.Array:
        """Zero valuation and zero count against the radius."""
        radius, index = side.ball.hyperbolic_radius, side.index
        inner, outer = side.bounds["inner"], side.bounds["outer"]
        rows = zero_structure.zero_valuation_loss(radius, index, inner=inner, outer=outer)
        valuation = rows.mean()
        sparsity = zero_structure.zero_sparsity_loss(radius, index)
        return (
            hparams["loss.zero_valuation_weight"] * valuation
            + hparams["loss.zero_sparsity_weight"] * sparsity
        )

    def _monotonic(self, side: Side, hparams: Hparams) -> jax.Array:
        """Order and targets of the level means."""
        del hparams
        radius = side.ball.hyperbolic_radius
        terms = level_means.monotonic_radial(radius, side.valuation, tree=TREE, **side.bounds)
        return terms.order + 0.5 * terms.target

    def _stratification(self, side: Side, hparams: Hparams) -> jax.Array:
        """Smooth distances from the radial targets."""
        del hparams
        radius, valuation = side.ball.hyperbolic_radius, side.valuation
        inner, outer = side.bounds["inner"], side.bounds["outer"]
        rows = radial.radial_stratification(radius, valuation, tree=TREE, inner=inner, outer=outer)
        return rows.mean()

    def _control_penalty(self, control: Control) -> jax.Array:
        """Keeps the controller from switching the geodesic term off (v5.11)."""
        ratio = control.weight_radial / (control.weight_geodesic + 1e-6)
        return jax.nn.relu(0.3 - control.tau) ** 2 + jax.nn.relu(ratio - 3.0) ** 2

    def tau(self, epoch: jax.Array, hparams: Hparams) -> jax.Array:
        """Share of the geodesic weight that is in force, 0 before phase 2."""
        since = (epoch - hparams["loss.geodesic_start"]).astype(jnp.float32)
        ramp = hparams["loss.geodesic_ramp_epochs"]
        ramped = jnp.clip(since / jnp.maximum(ramp, 1.0), 0.0, 1.0)
        return jnp.where(ramp == 0, (since >= 0).astype(jnp.float32), ramped)

    def weights(self, epoch: jax.Array, tau: jax.Array, hparams: Hparams) -> Metrics:
        """Weights of :meth:`terms` in an epoch, with ``tau`` of the geodesic one in force."""
        second_phase = epoch >= hparams["loss.geodesic_start"]
        halved = jnp.where(second_phase, hparams["loss.radial_phase2_factor"], 1.0)
        weights = {name: hparams[path] for name, path in WEIGHTS.items() if name in self.active}
        factors = {"radial": halved, "geodesic": tau, "zero": hparams["legacy.zero_factor"]}
        for name, factor in factors.items():
            for term in (f"{name}_{encoder}" for encoder in ENCODERS):
                if term in weights:
                    weights[term] = weights[term] * factor
        return weights


WEIGHTS = {
    "coverage": "loss.coverage_weight",
    "hierarchy_b": "loss.hierarchy_weight",
    "richness_b": "loss.richness_weight",
    "separation_b": "loss.separation_weight",
} | {
    f"{name}_{encoder}": f"loss.{name}_weight"
    for name in ("radial", "rank", "geodesic", "zero", "monotonic", "stratification")
    for encoder in ENCODERS
}
"""Term -> field of its weight; the controller's penalty always has weight 1."""


def make_objective(config: ConfigDict) -> Objective:
    """The objective of a validated configuration."""
    loss, model = config.loss, config.model
    values = {name: getattr(loss, path.removeprefix("loss.")) for name, path in WEIGHTS.items()}
    active = {
        name
        for name, weight in values.items()
        if weight > 0 and (config.legacy.zero_factor > 0 or not name.startswith("zero"))
    }
    return Objective(
        batch_size=config.data.batch_size,
        latent_dim=model.latent_dim,
        pairs=(loss.margin_pairs, loss.rank_pairs, loss.geodesic_pairs),
        euclidean_unit=loss.radius_unit == "euclidean",
        spread_reference=loss.richness_spread != 0.0,
        euclidean_reference=config.legacy.euclidean_reference,
        controller=model.controller,
        active=frozenset(active | ({"control_penalty"} if model.controller else set())),
    )
