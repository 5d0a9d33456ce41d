"""v5.11 to v5.12.4 as a task: two encoders, their projections into the ball, and one decoder."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.domains.dual_vae.module import Latents
from tvae.domains.operations.sampling import StratifiedCounts, stratified_counts, stratified_indices
from tvae.domains.projected_vae import evaluation
from tvae.domains.projected_vae.base import init_params, load_base, make_model, transplant
from tvae.domains.projected_vae.module import PARTS, ProjectedVAE
from tvae.domains.projected_vae.state import Regulation, State
from tvae.domains.projected_vae.terms import Draws, Objective, Outputs
from tvae.engine.learning_rate import make_learning_rate
from tvae.engine.optim import FROZEN
from tvae.engine.task import Metrics, Observation, Params, Task
from tvae.geometry import padic as ternary
from tvae.models.layers import Flag

ENCODERS = ("encoder_a", "encoder_b")
CLOSABLE = (*ENCODERS, "decoder", "controller")
"""Groups that the configuration may freeze; the projections always learn."""


@dataclasses.dataclass(frozen=True, eq=False)
class ProjectedVAETask:
    """The functions of the task, over what is static in a run.

    Attributes:
      config: the validated configuration.
      model: the module.
      base: part -> parameters that the run starts from.
      counts: rows of a batch by level.
      objective: terms and weights.
      regulation: gates and homeostasis.
      learning_rate: of an epoch since the schedule began.
    """

    config: ConfigDict
    model: ProjectedVAE
    base: dict[str, Any]
    counts: StratifiedCounts
    objective: Objective
    regulation: Regulation
    learning_rate: Callable[[jax.Array], jax.Array]

    def init(self, key: jax.Array) -> tuple[Params, State]:
        """Parameters, with those of the base in their places, and what follows from them."""
        params = transplant(init_params(self.model, key), self.base)
        index = jnp.arange(ternary.count())
        outputs = self.model.bind({"params": params})(ternary.values(index))
        latents = outputs.latents
        cached = {
            "encoder_a": (latents.mu_a, latents.logvar_a),
            "encoder_b": (latents.mu_b, latents.logvar_b),
        }
        return params, State(
            epoch=jnp.int32(0),
            restart_epoch=jnp.int32(0),
            tau=jnp.float32(0.0),
            hierarchy_a=jnp.float32(0.0),
            controller_grad_norm=jnp.float32(jnp.nan),
            reference_radius=self.objective.reference_radius(outputs.ball_b),
            latents={name: cached[name] for name in ENCODERS if self._is_frozen(name)},
            snapshot=self.regulation.snapshot(params),
            homeostasis=self.regulation.init(),
        )

    def _is_frozen(self, group: str) -> bool:
        return group in CLOSABLE and getattr(self.config.groups, group) == "frozen"

    def begin_epoch(self, aux: State, epoch: jax.Array) -> State:
        """Move the clock, and the geodesic ramp unless A's hierarchy holds it."""
        held = aux.hierarchy_a <= self.config.loss.geodesic_hold_hierarchy
        tau = jnp.where(held, aux.tau, self.objective.tau(epoch))
        return dataclasses.replace(aux, epoch=jnp.asarray(epoch, jnp.int32), tau=tau)

    def batches(self, epoch: jax.Array, key: jax.Array) -> jax.Array:
        """Operations of the epoch's stratified batches, int32 ``(steps, batch)``."""
        keys = jax.random.split(jax.random.fold_in(key, epoch), self.steps_per_epoch)
        return jax.vmap(lambda key: stratified_indices(key, self.counts))(keys)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that draw about as many operations as there are."""
        return -(-ternary.count() // self.config.data.batch_size)

    def forward(self, params: Params, aux: State, batch: jax.Array, key: jax.Array) -> Outputs:
        """Training forward pass: sampled latents, dropout in the parts that learn."""
        draw_key, dropout_key = jax.random.split(key)
        draws = self.objective.draw(draw_key)
        return self.forward_with_draws(params, aux, batch, draws, dropout_key)

    def forward_with_draws(
        self, params: Params, aux: State, batch: jax.Array, draws: Draws, dropout_key: jax.Array
    ) -> Outputs:
        """Forward pass with given noise and pairs."""
        vae = self.model.bind({"params": params}, rngs={"dropout": dropout_key})
        train = self._training_parts(aux)
        latents = self._latents(vae, aux, batch, train)
        scale = self.config.model.posterior_noise
        outputs = vae.from_latents(
            latents,
            noise_a=scale * draws.noise_a if scale else None,
            noise_b=scale * draws.noise_b if scale else None,
            train=train,
        )
        valuation = ternary.valuation(batch)
        return Outputs(
            vae=outputs,
            valuation=valuation,
            reference_radius=aux.reference_radius[batch],
            control=vae.control(outputs, valuation),
            pairs_a=draws.pairs_a,
            pairs_b=draws.pairs_b,
        )

    def _training_parts(self, aux: State) -> dict[str, Flag]:
        """Which parts learn, for their dropout."""
        gates = self.regulation.gates(aux)
        groups = {part: part.removesuffix("_a") if "decoder" in part else part for part in PARTS}
        return {
            part: gates.get(group, not self._is_frozen(group)) for part, group in groups.items()
        }

    def _latents(
        self, vae: ProjectedVAE, aux: State, batch: jax.Array, train: Mapping[str, Flag]
    ) -> Latents:
        """Posterior parameters of a batch: frozen encoders are looked up, the others run."""
        x = ternary.values(batch)
        posterior = []
        for name, encoder in zip(ENCODERS, (vae.encoder_a, vae.encoder_b), strict=True):
            if name in aux.latents:
                mu, logvar = aux.latents[name]
                posterior += [mu[batch], logvar[batch]]
            else:
                posterior += [*encoder(x, train[name])]
        return Latents(*posterior)

    def weights(self, aux: State) -> Metrics:
        """Weights of the terms."""
        return self.objective.weights(aux.epoch, aux.tau)

    def update_aux(
        self, aux: State, params: Params, outputs: Outputs, metrics: Metrics
    ) -> tuple[State, jax.Array]:
        """Note the controller's gradient; the learning rate since the schedule's last start."""
        del params, outputs
        if self.config.model.controller and not self._is_frozen("controller"):
            norm = metrics["grad_norm/controller"]
            aux = dataclasses.replace(aux, controller_grad_norm=norm)
        return aux, self._rate(aux)

    def _rate(self, aux: State) -> jax.Array:
        return self.learning_rate(aux.epoch - aux.restart_epoch)

    def monitor(self, aux: State) -> Metrics:
        """Schedules and gates of this epoch."""
        memory = aux.homeostasis
        gates = {
            f"gate/{name}": gate.astype(jnp.float32)
            for name, gate in self.regulation.gates(aux).items()
        }
        return gates | {
            "schedule/learning_rate": self._rate(aux),
            "schedule/tau": aux.tau,
            "homeostasis/coverage_freeze": memory.coverage_freeze,
            "homeostasis/patience_encoder_b": memory.patience[1].astype(jnp.float32),
            "homeostasis/cycles": memory.cycles.sum().astype(jnp.float32),
        }

    def group_of(self, path: str) -> str:
        """Optimizer group of a parameter."""
        group = {
            "encoder_a": "encoder_a",
            "encoder_b": "encoder_b",
            "decoder_a": "decoder",
            "projection_a": "projection_a",
            "projection_b": "projection_b",
            "controller": "controller",
        }[path.split("/")[0]]
        return FROZEN if self._is_frozen(group) else group

    def ball_of(self, path: str) -> float:
        """Curvature magnitude of the ball that a parameter is a point of; 0 for the others."""
        return self.config.model.curvature if path.endswith("translation/point") else 0.0

    def groups(self) -> dict[str, float]:
        """Factor on the learning rate of every group that may learn."""
        groups = self.config.groups
        factors = {
            "encoder_a": groups.encoder_a_rate,
            "encoder_b": groups.encoder_b_rate,
            "decoder": groups.decoder_rate,
            "projection_a": groups.projection_a_rate,
            "projection_b": groups.projection_b_rate,
            "controller": groups.controller_rate,
        }
        absent = {
            "projection_b": not self.model.dual_projection,
            "controller": not self.model.use_controller,
        }
        return {
            name: factor
            for name, factor in factors.items()
            if not absent.get(name, False) and not self._is_frozen(name)
        }

    def evaluate(self, params: Params, aux: State, key: jax.Array) -> Metrics:
        """All measures, from the means unless ``config.evaluation.sampled``."""
        del aux
        noise = None
        if self.config.evaluation.sampled:
            shape = (ternary.count(), self.config.model.latent_dim)
            key_a, key_b = jax.random.split(key)
            noise = (jax.random.normal(key_a, shape), jax.random.normal(key_b, shape))
        return evaluation.measure(self.model, params, noise=noise)

    def observe(self, aux: State, params: Params, metrics: Metrics) -> Observation:
        """Let homeostasis look at an evaluation."""
        return self.regulation.observe(aux, params, metrics)

    def final_evaluate(self, params: Params, aux: State, key: jax.Array) -> Metrics:
        """The same measures, always from the means."""
        del aux, key
        return evaluation.measure(self.model, params, noise=None)

    def task(self) -> Task:
        """These functions as the engine takes them."""
        return Task(
            steps_per_epoch=self.steps_per_epoch,
            init=self.init,
            begin_epoch=self.begin_epoch,
            batches=self.batches,
            forward=self.forward,
            terms=self.objective.terms(),
            weights=self.weights,
            gates=self.regulation.gates,
            update_aux=self.update_aux,
            monitor=self.monitor,
            group_of=self.group_of,
            ball_of=self.ball_of,
            groups=self.groups(),
            evaluate=self.evaluate,
            observe=self.observe,
            final_evaluate=self.final_evaluate,
        )


def make_domain(config: ConfigDict) -> ProjectedVAETask:
    """The ternary VAE of a validated configuration.

    Raises:
      UserError: if the base checkpoint is missing or does not fit.
    """
    model = make_model(config)
    return ProjectedVAETask(
        config=config,
        model=model,
        base=load_base(config.base_checkpoint, model),
        counts=stratified_counts(config.data.batch_size, config.data.high_valuation_share),
        objective=Objective(config),
        regulation=Regulation(config),
        learning_rate=make_learning_rate(config.learning_rate, epochs=config.epochs),
    )
