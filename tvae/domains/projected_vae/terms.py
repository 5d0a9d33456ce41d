"""The objective of v5.11 to v5.12.4: its table, what its terms read, and their target radii."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from chex import Numeric
from ml_collections import ConfigDict

from tvae.domains.objective import Rows, Sources
from tvae.domains.operations.tree import TREE
from tvae.domains.projected_vae import zero_structure
from tvae.domains.projected_vae.module import ProjectedVAEOutputs
from tvae.engine import schedules
from tvae.engine.task import Hparams
from tvae.fields import at_least
from tvae.geometry import padic, poincare
from tvae.losses.levels import target_radius
from tvae.losses.pairs import Pairs
from tvae.losses.registry import term
from tvae.models.controllers import Control
from tvae.models.projections import BallPoints


@flax.struct.dataclass
class Draws:
    """Everything random of a step but dropout.

    Attributes:
      noise_a: standard normal ``(batch, latent_dim)``, of encoder A.
      noise_b: of encoder B.
      pairs: of rows of the batch, by row of the objective; None where all pairs are taken.
      key: of what terms draw themselves; None where the draws are given.
    """

    noise_a: jax.Array
    noise_b: jax.Array
    pairs: dict[str, Pairs | None]
    key: jax.Array | None = None


@flax.struct.dataclass
class Outputs:
    """What the terms read: the model's outputs, and rows ``(batch,)`` that belong to them."""

    vae: ProjectedVAEOutputs
    valuation: jax.Array
    reference_radius: jax.Array
    control: Control
    pairs: dict[str, Pairs | None]
    key: jax.Array | None = None


@term(
    "zero_structure",
    unit="hyperbolic length, and a squared correlation",
    options={
        "valuation_weight": (at_least(0.0), "weight of the zero valuation"),
        "sparsity_weight": (at_least(0.0), "weight of the number of zeros"),
    },
    bounds=(0.0, jnp.inf),
    source="the reference system's CombinedZeroStructureLoss",
    was={"CombinedZeroStructureLoss": "same", "ZeroValuationLoss": "same",
         "ZeroSparsityLoss": "same"},
)  # fmt: skip
def combined_zero_structure(
    radius: jax.Array,
    index: jax.Array,
    *,
    inner: Numeric,
    outer: Numeric,
    valuation_weight: Numeric = 0.5,
    sparsity_weight: Numeric = 0.3,
) -> jax.Array:
    """Zero valuation and zero count against the radius: :mod:`zero_structure`."""
    rows = zero_structure.zero_valuation_loss(radius, index, inner=inner, outer=outer)
    sparsity = zero_structure.zero_sparsity_loss(radius, index)
    return valuation_weight * rows.mean() + sparsity_weight * sparsity


@term(
    "control_penalty",
    unit="1",
    bounds=(0.0, jnp.inf),
    source="the reference system's training of v5.11",
)
def control_penalty(
    tau: jax.Array, weight_radial: jax.Array, weight_geodesic: jax.Array
) -> jax.Array:
    """Keeps the controller from switching the geodesic term off, a scalar."""
    ratio = weight_radial / (weight_geodesic + 1e-6)
    return jax.nn.relu(0.3 - tau) ** 2 + jax.nn.relu(ratio - 3.0) ** 2


OBJECTIVE: Rows = {
    "coverage": {"term": "cross_entropy", "on": "a", "weight": 1.0, "per_position": True},
    "hierarchy_b": {"term": "level_targets", "on": "b", "weight": 5.0},
    "richness_b": {"term": "level_richness", "on": "b", "weight": 2.0},
    "separation_b": {"term": "level_separation", "on": "b", "weight": 3.0},
} | {
    f"{name}_{side}": dict(row) | {"on": side}
    for side in "ab"
    for name, row in {
        "radial": {"term": "radial_hierarchy", "pairs": 1000, "margin_weight": 0.5},
        "rank": {"term": "rank", "weight": 0.5, "pairs": 2000},
        "geodesic": {"term": "tree_geodesic", "weight": 0.3, "pairs": 2000},
    }.items()
}
"""The terms of v5.12, as its training script weighs them."""

SIDE_INPUTS = (
    "logits", "target", "mu", "logvar", "point", "radius", "c", "index", "level", "tree", "inner",
    "outer", "reference_radius", "key",
)  # fmt: skip
CONTROL_INPUTS = ("tau", "weight_radial", "weight_geodesic")


def inputs(config: ConfigDict) -> dict[str, tuple[str, ...]]:
    """What the terms may ask for: both encoders, and the controller where there is one."""
    decoded = {"a": SIDE_INPUTS, "b": tuple(x for x in SIDE_INPUTS if x != "logits")}
    return decoded | {"": CONTROL_INPUTS if config.model.controller else ()}


@dataclasses.dataclass(frozen=True)
class Targets:
    """Target radii of the levels; fields are static.

    Attributes:
      euclidean_unit: they are Euclidean norms; otherwise hyperbolic lengths.
      spread_reference: richness is compared with targets and a given spread, instead of the radii
        at the start of the run.
      euclidean_reference: compare hyperbolic radii with Euclidean norms at the start (legacy).
    """

    euclidean_unit: bool
    spread_reference: bool
    euclidean_reference: bool

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

    def sources(self, outputs: Outputs, index: jax.Array, side: str, hparams: Hparams) -> Sources:
        """What the terms may ask for on the side of an encoder: :func:`inputs`."""
        vae = outputs.vae
        ball = vae.ball_b if side == "b" else vae.ball_a
        mu, logvar = vae.latents.by_encoder()[side]
        logits = {"logits": vae.logits_a} if side == "a" else {}
        return logits | {
            "target": padic.digits(index),
            "mu": mu,
            "logvar": logvar,
            "point": ball.z,
            "radius": ball.hyperbolic_radius,
            "c": ball.c,
            "index": index,
            "level": outputs.valuation,
            "tree": TREE,
            **self.bounds(ball.c, hparams),
            "reference_radius": outputs.reference_radius,
            "key": outputs.key,
        }


def make_targets(config: ConfigDict) -> Targets:
    """The target radii of a validated configuration."""
    return Targets(
        euclidean_unit=config.loss.radius_unit == "euclidean",
        spread_reference=config.loss.richness_spread != 0.0,
        euclidean_reference=config.legacy.euclidean_reference,
    )


def geodesic_share(epoch: jax.Array, hparams: Hparams) -> jax.Array:
    """Share of the geodesic weight that is in force, 0 before phase 2."""
    begin, epochs = hparams["loss.geodesic_start"], hparams["loss.geodesic_ramp_epochs"]
    return jnp.asarray(schedules.ramp(0.0, 1.0, begin=begin, epochs=epochs)(epoch))


def phase_factors(epoch: jax.Array, tau: jax.Array, hparams: Hparams) -> dict[str, jax.Array]:
    """Factors on the weights of terms, by term: the two phases, with ``tau`` of the geodesic."""
    second_phase = epoch >= hparams["loss.geodesic_start"]
    halved = jnp.where(second_phase, hparams["loss.radial_phase2_factor"], 1.0)
    return {"radial_hierarchy": halved, "tree_geodesic": tau}


def control_sources(control: Control) -> Sources:
    """What the terms may ask for of the controller: :func:`inputs`."""
    return {name: getattr(control, name) for name in CONTROL_INPUTS}


def control_factors(control: Control) -> dict[str, jax.Array]:
    """Factors on the values of terms, by term, that the controller sets and learns from."""
    return {"radial_hierarchy": control.weight_radial, "tree_geodesic": control.tau}
