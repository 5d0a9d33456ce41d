"""What a run of the ternary VAE carries beside its parameters, and how homeostasis moves it."""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.domains.projected_vae.homeostasis import update_homeostasis
from tvae.domains.projected_vae.homeostasis_state import (
    CORRECTED,
    PARITY,
    Corrections,
    HomeostasisConfig,
    HomeostasisState,
    Measurements,
    init_homeostasis,
)
from tvae.engine.task import Metrics, Observation, Params

GATED = ("encoder_a", "encoder_b", "controller")
"""Groups that homeostasis may gate, in the order of its arrays."""


@flax.struct.dataclass
class State:
    """The untrained state.

    Attributes:
      epoch: present epoch, int32.
      restart_epoch: epoch in which the learning rate's schedule last began, int32.
      tau: share of the geodesic weight in force.
      hierarchy_a: of the last evaluation; 0 before the first.
      controller_grad_norm: of the last step; NaN without a controller.
      reference_radius: what B's richness is compared with, one for each operation.
      latents: encoder ("a" or "b") -> (mu, logvar) of all operations, for frozen encoders.
      snapshot: encoder A's last weights of full coverage; empty where it is never gated.
      homeostasis: its memory.
    """

    epoch: jax.Array
    restart_epoch: jax.Array
    tau: jax.Array
    hierarchy_a: jax.Array
    controller_grad_norm: jax.Array
    reference_radius: jax.Array
    latents: dict[str, tuple[jax.Array, jax.Array]]
    snapshot: Any
    homeostasis: HomeostasisState


@dataclasses.dataclass(frozen=True, eq=False)
class Regulation:
    """Homeostasis and the gates of a configuration.

    Attributes:
      config: the validated configuration.
    """

    config: ConfigDict

    @property
    def corrections(self) -> Corrections:
        """What of the original is mended."""
        return CORRECTED if self.config.homeostasis.corrected else PARITY

    @property
    def thresholds(self) -> HomeostasisConfig:
        """Homeostasis's own settings."""
        given = self.config.homeostasis.to_dict()
        return HomeostasisConfig(**{name: given[name] for name in HomeostasisConfig._fields})

    def init(self) -> HomeostasisState:
        """State before the first evaluation."""
        return init_homeostasis(self.thresholds, corrections=self.corrections)

    def snapshot(self, params: Params) -> Any:
        """What a rollback would need, at the start."""
        groups = self.config.groups
        kept = groups.encoder_a == "gated" and self.corrections.rollback
        return jax.tree.map(jnp.copy, params["encoder_a"]) if kept else {}

    def gates(self, state: State) -> dict[str, jax.Array]:
        """Which of the groups that can be closed learn, bool scalars."""
        groups = self.config.groups
        tuning = state.epoch < groups.tuning_epochs
        learns = dict(zip(GATED, ~state.homeostasis.frozen, strict=True))
        gates = {}
        for name in (*GATED, "decoder"):
            if name == "controller" and not self.config.model.controller:
                continue
            when = getattr(groups, name)
            if when == "tuned":
                gates[name] = tuning
            elif when == "gated":
                gates[name] = tuning | learns[name] if name == "encoder_a" else learns[name]
        return gates

    def observe(self, state: State, params: Params, metrics: Metrics) -> Observation:
        """What an evaluation changes: gates, snapshot or rollback of A, learning-rate restart."""
        settings = self.config.homeostasis
        state = dataclasses.replace(
            state, hierarchy_a=metrics["eval/hierarchy_a"].astype(jnp.float32)
        )
        if not settings.enabled:
            return Observation(state, params)
        next_state, decision = update_homeostasis(
            state.homeostasis,
            self._measurements(state, metrics),
            config=self.thresholds,
            corrections=self.corrections,
        )
        # The original takes no notice of a change of the controller alone.
        changed = decision.changed[:2].any()
        restart = state.restart_epoch
        if settings.restart_schedule:
            restart = jnp.where(changed, state.epoch + 1, restart)
        snapshot = state.snapshot
        if snapshot:
            now = params["encoder_a"]
            rolled = _choose(decision.rollback, snapshot, now)
            snapshot = _choose(decision.snapshot, now, snapshot)
            params = {**params, "encoder_a": rolled}
        state = dataclasses.replace(
            state, homeostasis=next_state, restart_epoch=restart, snapshot=snapshot
        )
        return Observation(state, params, changed if settings.reset_moments else None)

    def _measurements(self, state: State, metrics: Metrics) -> Measurements:
        """What homeostasis is told; the original mixes A's hierarchy with B's correlation."""
        corrected = self.config.homeostasis.corrected
        return Measurements(
            epoch=state.epoch,
            coverage=metrics["eval/coverage_ball" if corrected else "eval/coverage_mu_a"],
            hierarchy_a=metrics["eval/hierarchy_a"],
            hierarchy_b=metrics["eval/hierarchy_b"],
            dist_corr_a=metrics[f"eval/dist_corr_quick_{'a' if corrected else 'b'}"],
            dist_corr_b=metrics["eval/dist_corr_quick_b"],
            controller_grad_norm=state.controller_grad_norm,
        )


def _choose(condition: jax.Array, chosen: Any, otherwise: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), chosen, otherwise)
