"""v5.11 to v5.12.4 as a task: two encoders, their projections into the ball, and one decoder."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.domains.dual_vae.module import Latents
from tvae.domains.objective import Objective, Sources, make_objective
from tvae.domains.operations import data
from tvae.domains.operations.sampling import StratifiedCounts, stratified_counts, stratified_indices
from tvae.domains.projected_vae import evaluation
from tvae.domains.projected_vae.base import Base, init_params, load_base, make_model, transplant
from tvae.domains.projected_vae.config import FIELDS
from tvae.domains.projected_vae.module import ProjectedVAE
from tvae.domains.projected_vae.state import Regulation, State, make_regulation
from tvae.domains.projected_vae.terms import (
    Draws,
    Outputs,
    Targets,
    control_factors,
    control_sources,
    geodesic_share,
    make_targets,
    phase_factors,
)
from tvae.engine import task as task_lib
from tvae.engine.optim import FROZEN
from tvae.engine.schedules import LearningRate, make_learning_rate
from tvae.engine.task import Hparams, Metrics, Observation, Params, Task
from tvae.geometry import padic
from tvae.models import prng
from tvae.models.layers import Flag

ENCODERS = ("encoder_a", "encoder_b")
GROUP_OF = {
    "encoder_a": "encoder_a",
    "encoder_b": "encoder_b",
    "decoder_a": "decoder",
    "projection_a": "projection_a",
    "projection_b": "projection_b",
    "controller": "controller",
}
"""Part of the model -> its optimizer group."""


def with_values(module: ProjectedVAE, hparams: Mapping[str, Any]) -> ProjectedVAE:
    """The module with the traced fields of ``config.model``."""
    bounds = None
    if module.encoder.logvar_bounds is not None:
        bounds = (hparams["model.logvar_min"], hparams["model.logvar_max"])
    return module.clone(
        encoder=module.encoder.clone(logvar_bounds=bounds),
        projection=module.projection.clone(
            curvature=hparams["model.curvature"], max_norm=hparams["model.max_norm"]
        ),
    )


@dataclasses.dataclass(frozen=True)
class ProjectedVAETask(Task):
    """The training problem of v5.11 to v5.12.4; aux is a :class:`State`.

    Attributes:
      module: the network.
      base: parameters that the run starts from.
      batch_size: operations per step.
      counts: rows of a batch by level.
      objective: terms and weights.
      targets: target radii of the terms.
      regulation: gates and homeostasis.
      rate: learning rate of an epoch since the schedule began.
      noisy: the posterior is sampled in training.
      sampled: the periodic evaluation measures posterior samples, as the reference does.
    """

    module: ProjectedVAE
    base: Base
    batch_size: int
    counts: StratifiedCounts
    objective: Objective
    targets: Targets
    regulation: Regulation
    rate: LearningRate
    noisy: bool
    sampled: bool

    def bound(self, hparams: Hparams) -> ProjectedVAE:
        """The module with its traced values."""
        return with_values(self.module, hparams)

    def init(self, key: jax.Array, hparams: Hparams) -> tuple[Params, State]:
        """Parameters, with those of the base in their places, and what follows from them."""
        module = self.bound(hparams)
        params = transplant(init_params(module, key), self.base.parts)
        return params, self._first_state(params, hparams)

    def adopt(self, params: Params, aux: State, hparams: Hparams) -> State:
        """What follows from other parameters than those of :meth:`init`."""
        del aux
        return self._first_state(params, hparams)

    def _first_state(self, params: Params, hparams: Hparams) -> State:
        outputs = self.bound(hparams).bind({"params": params})(data.all_operations())
        posteriors = outputs.latents.by_encoder()
        return State(
            epoch=jnp.int32(0),
            restart_epoch=jnp.int32(0),
            tau=jnp.float32(0.0),
            hierarchy_a=jnp.float32(0.0),
            controller_grad_norm=jnp.float32(jnp.nan),
            reference_radius=self.targets.reference_radius(outputs.ball_b, hparams),
            latents={k: posteriors[k[-1]] for k in ENCODERS if self._is_frozen(k)},
            snapshot=self.regulation.snapshot(params),
            homeostasis=self.regulation.init(hparams),
        )

    def _is_frozen(self, group: str) -> bool:
        return self.regulation.when(group) == "frozen"

    def begin_epoch(self, aux: State, epoch: jax.Array, hparams: Hparams) -> State:
        """Move the clock, and the geodesic ramp unless A's hierarchy holds it."""
        held = aux.hierarchy_a <= hparams["loss.geodesic_hold_hierarchy"]
        tau = jnp.where(held, aux.tau, geodesic_share(epoch, hparams))
        return dataclasses.replace(aux, epoch=jnp.asarray(epoch, jnp.int32), tau=tau)

    def batches(self, epoch: jax.Array, key: jax.Array) -> jax.Array:
        """Operations of the epoch's stratified batches, int32 ``(steps, batch)``."""
        keys = jax.random.split(jax.random.fold_in(key, epoch), self.steps_per_epoch)
        return jax.vmap(lambda key: stratified_indices(key, self.counts))(keys)

    @property
    def steps_per_epoch(self) -> int:  # type: ignore[override]
        """Steps that draw about as many operations as there are."""
        return -(-padic.count() // self.batch_size)

    def forward(
        self, params: Params, aux: State, batch: jax.Array, key: jax.Array, hparams: Hparams
    ) -> Outputs:
        """Training forward pass: sampled latents, dropout in the parts that learn."""
        draw_key, dropout_key = jax.random.split(key)
        draws = self.draw(draw_key)
        return self.forward_with_draws(params, aux, batch, draws, dropout_key, hparams)

    def draw(self, key: jax.Array) -> Draws:
        """All draws of a step but dropout."""
        noise_key, pair_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (2, self.batch_size, self.module.encoder.latent_dim))
        pairs = self.objective.draw_pairs(pair_key, batch_size=self.batch_size)
        return Draws(noise[0], noise[1], pairs, key=jax.random.fold_in(key, 0))

    def forward_with_draws(
        self,
        params: Params,
        aux: State,
        batch: jax.Array,
        draws: Draws,
        dropout_key: jax.Array,
        hparams: Hparams,
    ) -> Outputs:
        """Forward pass with given noise and pairs."""
        streams = {"dropout": prng.mixing_key(dropout_key)}
        vae = self.bound(hparams).bind({"params": params}, rngs=streams)
        train = self._training_parts(aux, hparams)
        latents = self._latents(vae, aux, batch, train)
        scale = hparams["model.posterior_noise"]
        noise_a = scale * draws.noise_a if self.noisy else None
        noise_b = scale * draws.noise_b if self.noisy else None
        outputs = vae.from_latents(latents, noise_a=noise_a, noise_b=noise_b, train=train)
        valuation = padic.valuation(batch)
        return Outputs(
            vae=outputs,
            valuation=valuation,
            reference_radius=aux.reference_radius[batch],
            control=vae.control(outputs, valuation),
            pairs=draws.pairs,
            key=draws.key,
        )

    def _training_parts(self, aux: State, hparams: Hparams) -> dict[str, Flag]:
        """Which parts learn, for their dropout."""
        gates = self.regulation.gates(aux, hparams)
        return {
            part: gates.get(group, not self._is_frozen(group)) for part, group in GROUP_OF.items()
        }

    def _latents(
        self, vae: ProjectedVAE, aux: State, batch: jax.Array, train: Mapping[str, Flag]
    ) -> Latents:
        """Posterior parameters of a batch: frozen encoders are looked up, the others run."""
        x = padic.values(batch)
        posterior = []
        for name, encoder in zip(ENCODERS, (vae.encoder_a, vae.encoder_b), strict=True):
            if name in aux.latents:
                mu, logvar = aux.latents[name]
                posterior += [mu[batch], logvar[batch]]
            else:
                posterior += [*encoder(x, train[name])]
        return Latents(*posterior)

    def terms(self, outputs: Outputs, batch: jax.Array, hparams: Hparams) -> Metrics:
        """Unweighted terms; the controller, where there is one, scales some of them."""
        control = control_sources(outputs.control) if self.module.use_controller else {}

        def sources(side: str) -> Sources:
            return self.targets.sources(outputs, batch, side, hparams) if side else control

        found = self.objective.terms(
            sources,
            hparams,
            reduce=jnp.mean,
            pairs=outputs.pairs,
        )
        if not self.module.use_controller:
            return found
        return self.objective.scaled(found, control_factors(outputs.control))

    def weights(self, aux: State, hparams: Hparams) -> Metrics:
        """Weights of the terms in the phase of an epoch."""
        weights = self.objective.weights(aux.epoch, hparams)
        return self.objective.scaled(weights, phase_factors(aux.epoch, aux.tau, hparams))

    def before_update(
        self, aux: State, params: Params, outputs: Outputs, metrics: Metrics, hparams: Hparams
    ) -> State:
        """Note the norm of the controller's gradient."""
        del params, outputs, hparams
        if not self.module.use_controller or self._is_frozen("controller"):
            return aux
        return dataclasses.replace(aux, controller_grad_norm=metrics["grad_norm/controller"])

    def learning_rate(self, aux: State, hparams: Hparams) -> jax.Array:
        """The rate since the schedule's last start."""
        return self.rate(aux.epoch - aux.restart_epoch, hparams)

    def gates(self, aux: State, hparams: Hparams) -> dict[str, jax.Array]:
        """Which of the groups that can be closed learn."""
        return self.regulation.gates(aux, hparams)

    def monitor(self, aux: State, hparams: Hparams) -> Metrics:
        """Schedules and gates of this epoch."""
        memory, gates = aux.homeostasis, self.gates(aux, hparams)
        return {f"gate/{name}": gate.astype(jnp.float32) for name, gate in gates.items()} | {
            "schedule/learning_rate": self.learning_rate(aux, hparams),
            "schedule/tau": aux.tau,
            "homeostasis/coverage_freeze": memory.coverage_freeze,
            "homeostasis/patience_encoder_b": memory.patience[1].astype(jnp.float32),
            "homeostasis/cycles": memory.cycles.sum().astype(jnp.float32),
        }

    def group_of(self, path: str) -> str:
        """Optimizer group of a parameter."""
        group = GROUP_OF[path.split("/")[0]]
        return FROZEN if self._is_frozen(group) else group

    def ball_of(self, path: str) -> str:
        """The learned translations are points of the ball."""
        return "model.curvature" if path.endswith("translation/point") else ""

    def groups(self, hparams: Hparams) -> dict[str, jax.Array]:
        """Factor on the learning rate of every group that may learn."""
        absent = {
            "projection_b": not self.module.dual_projection,
            "controller": not self.module.use_controller,
        }
        return {
            group: hparams[f"groups.{group}_rate"]
            for group in GROUP_OF.values()
            if not absent.get(group, False) and not self._is_frozen(group)
        }

    def evaluate(self, params: Params, aux: State, key: jax.Array, hparams: Hparams) -> Metrics:
        """All measures, from the means unless ``sampled``."""
        del aux
        noise = None
        if self.sampled:
            shape = (padic.count(), self.module.encoder.latent_dim)
            key_a, key_b = jax.random.split(key)
            noise = (jax.random.normal(key_a, shape), jax.random.normal(key_b, shape))
        return evaluation.measure(self.bound(hparams), params, noise=noise)

    def observe(
        self, aux: State, params: Params, metrics: Metrics, hparams: Hparams
    ) -> Observation:
        """Let homeostasis look at an evaluation."""
        return self.regulation.observe(aux, params, metrics, hparams)

    def final_evaluate(
        self, params: Params, aux: State, key: jax.Array, hparams: Hparams
    ) -> Metrics:
        """The same measures, always from the means."""
        from_means = dataclasses.replace(self, sampled=False)
        latents = jax.jit(functools.partial(evaluation.use_of_latents, self.module))(params)
        return task_lib.evaluate(from_means, params, aux, key, hparams) | latents


def make_task(config: ConfigDict) -> ProjectedVAETask:
    """The task of a validated configuration.

    Raises:
      UserError: if the base checkpoint is missing or does not fit.
    """
    # Defaults in place of traced values: tasks that differ in nothing else are equal.
    module = with_values(make_model(config), {k: f.default for k, f in FIELDS.items()})
    return ProjectedVAETask(
        module=module,
        base=load_base(config.base_checkpoint, module),
        batch_size=config.data.batch_size,
        counts=stratified_counts(config.data.batch_size, config.data.high_valuation_share),
        objective=make_objective(config.objective.to_dict()),
        targets=make_targets(config),
        regulation=make_regulation(config),
        rate=make_learning_rate(config.learning_rate, epochs=config.epochs),
        noisy=config.model.posterior_noise > 0.0,
        sampled=config.evaluation.sampled,
    )
