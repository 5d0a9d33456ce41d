"""Untrained state of a projected VAE, and how homeostasis moves it."""

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
from tvae.engine.task import Hparams, Metrics, Observation, Params

GATED = ("encoder_a", "encoder_b", "controller")
"""Groups that homeostasis may gate, in the order of its arrays."""
CLOSABLE = (*GATED, "decoder")


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


@dataclasses.dataclass(frozen=True)
class Regulation:
    """Homeostasis and the gates; fields are static, as in ``config.homeostasis``.

    Attributes:
      learns: group -> when it learns: "frozen", "tuned", "gated" or "trained", as pairs.
      controller: whether the model has a controller.
    """

    learns: tuple[tuple[str, str], ...]
    controller: bool
    enabled: bool
    corrected: bool
    annealing: bool
    reset_moments: bool
    restart_schedule: bool

    def when(self, group: str) -> str:
        """When a group learns; groups that the configuration does not name always do."""
        return dict(self.learns).get(group, "trained")

    @property
    def corrections(self) -> Corrections:
        """Which faults of the reference system are mended."""
        return CORRECTED if self.corrected else PARITY

    def thresholds(self, hparams: Hparams) -> HomeostasisConfig:
        """Homeostasis's own settings."""
        static = {"enabled": self.enabled, "annealing": self.annealing}
        traced = set(HomeostasisConfig._fields) - set(static)
        return HomeostasisConfig(**static, **{k: hparams[f"homeostasis.{k}"] for k in traced})

    def init(self, hparams: Hparams) -> HomeostasisState:
        """State before the first evaluation."""
        return init_homeostasis(self.thresholds(hparams), corrections=self.corrections)

    def snapshot(self, params: Params) -> Any:
        """What a rollback would need, at the start."""
        kept = self.when("encoder_a") == "gated" and self.corrections.rollback
        return jax.tree.map(jnp.copy, params["encoder_a"]) if kept else {}

    def gates(self, state: State, hparams: Hparams) -> dict[str, jax.Array]:
        """Which of the groups that can be closed learn, bool scalars."""
        tuning = state.epoch < hparams["groups.tuning_epochs"]
        learns = dict(zip(GATED, ~state.homeostasis.frozen, strict=True))
        gates = {}
        for name in CLOSABLE:
            if name == "controller" and not self.controller:
                continue
            when = self.when(name)
            if when == "tuned":
                gates[name] = tuning
            elif when == "gated":
                gates[name] = tuning | learns[name] if name == "encoder_a" else learns[name]
        return gates

    def observe(
        self, state: State, params: Params, metrics: Metrics, hparams: Hparams
    ) -> Observation:
        """What an evaluation changes: gates, snapshot or rollback of A, learning-rate restart."""
        hierarchy_a = metrics["eval/hierarchy_a"].astype(jnp.float32)
        state = dataclasses.replace(state, hierarchy_a=hierarchy_a)
        if not self.enabled:
            return Observation(state, params)
        next_state, decision = update_homeostasis(
            state.homeostasis,
            self._measurements(state, metrics),
            config=self.thresholds(hparams),
            corrections=self.corrections,
        )
        # The reference system takes no notice of a change of the controller alone.
        changed = decision.changed[:2].any()
        restart, snapshot = state.restart_epoch, state.snapshot
        if self.restart_schedule:
            restart = jnp.where(changed, state.epoch + 1, restart)
        if snapshot:
            now = params["encoder_a"]
            params = {**params, "encoder_a": _choose(decision.rollback, snapshot, now)}
            snapshot = _choose(decision.snapshot, now, snapshot)
        state = dataclasses.replace(
            state, homeostasis=next_state, restart_epoch=restart, snapshot=snapshot
        )
        return Observation(state, params, changed if self.reset_moments else None)

    def _measurements(self, state: State, metrics: Metrics) -> Measurements:
        """Inputs of homeostasis; the reference mixes A's hierarchy with B's correlation."""
        coverage, of_a = ("ball", "a") if self.corrected else ("mu_a", "b")
        return Measurements(
            epoch=state.epoch,
            coverage=metrics[f"eval/coverage_{coverage}"],
            hierarchy_a=metrics["eval/hierarchy_a"],
            hierarchy_b=metrics["eval/hierarchy_b"],
            dist_corr_a=metrics[f"eval/dist_corr_quick_{of_a}"],
            dist_corr_b=metrics["eval/dist_corr_quick_b"],
            controller_grad_norm=state.controller_grad_norm,
        )


def _choose(condition: jax.Array, chosen: Any, otherwise: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), chosen, otherwise)


def make_regulation(config: ConfigDict) -> Regulation:
    """The gates and homeostasis of a validated configuration."""
    groups, homeostasis = config.groups, config.homeostasis
    flags = ("enabled", "corrected", "annealing", "reset_moments", "restart_schedule")
    return Regulation(
        learns=tuple((name, groups[name]) for name in CLOSABLE),
        controller=config.model.controller,
        **{name: homeostasis[name] for name in flags},
    )
