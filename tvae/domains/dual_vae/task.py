"""v5.5 as a task: the dual VAE, its losses, schedules, dynamics and evaluation put together."""

import dataclasses
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.domains.dual_vae import dynamics, evaluation
from tvae.domains.dual_vae.dynamics import Dynamics
from tvae.domains.dual_vae.module import DualVAE, DualVAEOutputs
from tvae.domains.dual_vae.schedules import Schedules, make_schedules
from tvae.domains.dual_vae.setup import make_model, make_split
from tvae.domains.operations import data
from tvae.engine.task import Metrics, Observation, Params, Task
from tvae.geometry import padic as ternary
from tvae.losses import divergence, levels, likelihood, regularizers
from tvae.metrics import latent


@flax.struct.dataclass
class Outputs:
    """Forward outputs and the statistics that several consumers share.

    Attributes:
      vae: outputs of the model.
      kl_a: free-bits KL of A per row, ``(batch,)``.
      kl_b: the same for B.
      entropy_a: histogram entropy of A's latents in the batch, scalar.
      entropy_b: the same for B.
    """

    vae: DualVAEOutputs
    kl_a: jax.Array
    kl_b: jax.Array
    entropy_a: jax.Array
    entropy_b: jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class DualVAETask:
    """The functions of the task, over what is static in a run.

    Attributes:
      config: the validated configuration.
      model: the module.
      split: which operations train, select and test.
      schedules: values per epoch.
    """

    config: ConfigDict
    model: DualVAE
    split: data.Split
    schedules: Schedules

    def init(self, key: jax.Array) -> tuple[Params, Dynamics]:
        """Fresh parameters and dynamics."""
        example = jnp.zeros((1, self.model.n_digits))
        params = self.model.init(key, example, method=DualVAE.touch)["params"]
        first = dynamics.init_dynamics(
            lambda_start=self.config.dynamics.lambda_start,
            lambda3=self.config.dynamics.lambda3_base,
            rho=self.config.coupling.rho_min,
        )
        return params, first

    def begin_epoch(self, aux: Dynamics, epoch: jax.Array) -> Dynamics:
        """Move the dynamics to the start of an epoch."""
        return dynamics.begin_epoch(
            aux,
            epoch,
            self.schedules.lambda3(epoch),
            shape=dynamics.Permeability(**self.config.coupling.to_dict()),
            adaptive=self.config.dynamics.adaptive,
        )

    def batches(self, epoch: jax.Array, key: jax.Array) -> data.Batch:
        """The training split in random order."""
        key = jax.random.fold_in(key, epoch)
        return data.shuffled_batches(key, self.split.train, batch_size=self.config.data.batch_size)

    def forward(self, params: Params, aux: Dynamics, batch: data.Batch, key: jax.Array) -> Outputs:
        """Training forward pass: sampled latents, mixed by the current permeability."""
        noise = jax.random.normal(key, (2, *batch.index.shape, self.model.latent_dim))
        noise_a = self.schedules.temperature_a(aux.epoch) * noise[0]
        noise_b = self.schedules.temperature_b(aux.epoch) * noise[1]
        return self.forward_with_noise(params, aux, batch, noise_a, noise_b)

    def forward_with_noise(
        self,
        params: Params,
        aux: Dynamics,
        batch: data.Batch,
        noise_a: jax.Array,
        noise_b: jax.Array,
    ) -> Outputs:
        """Forward pass with given noise ``(batch, latent_dim)``; zeros decode the means."""
        x = ternary.values(batch.index, n_digits=self.model.n_digits)
        vae = self.model.bind({"params": params})(x, noise_a, noise_b, rho=aux.rho)
        free_bits = self.config.loss.free_bits
        posterior = vae.latents
        return Outputs(
            vae=vae,
            kl_a=divergence.free_bits_kl(posterior.mu_a, posterior.logvar_a, free_bits=free_bits),
            kl_b=divergence.free_bits_kl(posterior.mu_b, posterior.logvar_b, free_bits=free_bits),
            entropy_a=latent.histogram_entropy(vae.z_a, batch.mask),
            entropy_b=latent.histogram_entropy(vae.z_b, batch.mask),
        )

    def terms(self) -> dict[str, Callable[[Outputs, data.Batch], jax.Array]]:
        """Unweighted loss terms; those whose configured weight is 0 throughout are left out."""

        def digit(batch: data.Batch) -> jax.Array:
            return ternary.digits(batch.index, n_digits=self.model.n_digits)

        mean, cross_entropy = levels.masked_mean, likelihood.cross_entropy
        loss, dyn = self.config.loss, self.config.dynamics
        terms: dict[str, Callable[[Outputs, data.Batch], jax.Array]] = {
            "cross_entropy_a": lambda o, b: mean(cross_entropy(o.vae.logits_a, digit(b)), b.mask),
            "cross_entropy_b": lambda o, b: mean(cross_entropy(o.vae.logits_b, digit(b)), b.mask),
            "kl_a": lambda o, b: mean(o.kl_a, b.mask),
            "kl_b": lambda o, b: mean(o.kl_b, b.mask),
        }
        if loss.entropy_weight > 0:
            terms["output_entropy_b"] = lambda o, b: regularizers.output_entropy(
                o.vae.logits_b, b.mask
            )
        if loss.repulsion_weight > 0:
            terms["repulsion_b"] = lambda o, b: regularizers.repulsion(
                o.vae.z_b, b.mask, sigma=loss.repulsion_sigma
            )
        if dyn.lambda3_base > 0 or dyn.lambda3_amplitude > 0:
            # Histogram entropies carry no gradient: this term only shifts the loss (v5.5).
            terms["entropy_alignment"] = lambda o, _: jnp.abs(o.entropy_a - o.entropy_b)
        return terms

    def weights(self, aux: Dynamics) -> Metrics:
        """Weights of the terms in training, gradient balance included."""
        scales = (jnp.float32(1.0), jnp.float32(1.0))
        if self.config.dynamics.gradient_balance:
            scales = dynamics.balance_scales(aux)
        return self._scaled_weights(aux, *scales)

    def _scaled_weights(self, aux: Dynamics, scale_a: jax.Array, scale_b: jax.Array) -> Metrics:
        loss = self.config.loss
        weight_a, weight_b = aux.lambda1 * scale_a, aux.lambda2 * scale_b
        weights = {
            "cross_entropy_a": weight_a,
            "cross_entropy_b": weight_b,
            "kl_a": weight_a * self.schedules.beta_a(aux.epoch),
            "kl_b": weight_b * self.schedules.beta_b(aux.epoch),
            "output_entropy_b": -weight_b * loss.entropy_weight,
            "repulsion_b": weight_b * loss.repulsion_weight,
            "entropy_alignment": aux.lambda3,
        }
        return {name: weights[name] for name in self.terms()}

    def update_aux(
        self, aux: Dynamics, params: Params, outputs: Outputs, metrics: Metrics
    ) -> tuple[Dynamics, jax.Array]:
        """StateNet's corrections at the first step of an epoch, and the gradient-norm averages."""
        rate = self.schedules.learning_rate(aux.epoch)
        settings = self.config.dynamics

        def correct(aux: Dynamics) -> Dynamics:
            inputs = dynamics.statistics(
                aux, (outputs.entropy_a, outputs.entropy_b), (metrics["kl_a"], metrics["kl_b"])
            )
            delta = self.model.bind({"params": params}).correct(inputs)
            return dynamics.apply_corrections(
                aux,
                delta,
                rate,
                rate_scale=settings.statenet_rate_scale,
                lambda_scale=settings.statenet_lambda_scale,
            )

        if settings.statenet:
            aux = jax.lax.cond(aux.step == 0, correct, lambda aux: aux, aux)
        aux = dynamics.observe_gradients(
            aux, metrics["grad_norm/vae_a"], metrics["grad_norm/vae_b"]
        )
        return aux, rate * aux.rate_factor

    def monitor(self, aux: Dynamics) -> Metrics:
        """What the dynamics did in this epoch."""
        epoch = aux.epoch
        return {
            "schedule/learning_rate": self.schedules.learning_rate(epoch) * aux.rate_factor,
            "schedule/temperature_a": self.schedules.temperature_a(epoch),
            "schedule/temperature_b": self.schedules.temperature_b(epoch),
            "schedule/beta_a": self.schedules.beta_a(epoch),
            "schedule/beta_b": self.schedules.beta_b(epoch),
            "dynamics/lambda1": aux.lambda1,
            "dynamics/lambda2": aux.lambda2,
            "dynamics/lambda3": aux.lambda3,
            "dynamics/rho": aux.rho,
            "dynamics/phase": aux.phase,
            "dynamics/balanced": aux.balanced,
            "dynamics/gradient_ratio": aux.ratio,
        }

    def group_of(self, path: str) -> str:
        """Optimizer group of a parameter: vae_a, vae_b, or frozen for StateNet."""
        part = path.split("/")[0]
        return {
            "encoder_a": "vae_a",
            "decoder_a": "vae_a",
            "encoder_b": "vae_b",
            "decoder_b": "vae_b",
            "state_net": "frozen",
        }[part]

    def observe(self, aux: Dynamics, params: Params, metrics: Metrics) -> Observation:
        """Hand measured prior coverages to the lambda rule."""
        draws = self.config.evaluation.prior_draws
        if draws == 0:
            return Observation(aux, params)
        name = f"eval/prior_coverage_{evaluation.short(draws)}"
        a, b = metrics[f"{name}_a"], metrics[f"{name}_b"]
        return Observation(dataclasses.replace(aux, coverage_a=a, coverage_b=b), params)

    def validation(self, params: Params, aux: Dynamics) -> Metrics:
        """Loss and terms on the validation split from the means, averaged over its batches."""
        batches = data.in_batches(self.split.val, batch_size=self.config.data.batch_size)
        one = jnp.float32(1.0)
        weights = self._scaled_weights(aux, one, one)
        terms = self.terms()

        def measure(batch: data.Batch) -> Metrics:
            zeros = jnp.zeros((*batch.index.shape, self.model.latent_dim))
            outputs = self.forward_with_noise(params, aux, batch, zeros, zeros)
            values = {name: term(outputs, batch) for name, term in terms.items()}
            loss = sum((weights[name] * value for name, value in values.items()), jnp.float32(0))
            return {"loss": loss} | values

        means = jax.tree.map(jnp.mean, jax.lax.map(measure, batches))
        return {f"val/{name}": value for name, value in means.items()}

    def evaluate(self, params: Params, aux: Dynamics, key: jax.Array) -> Metrics:
        """The periodic evaluation: validation loss, exact reconstruction, prior coverage."""
        settings = self.config.evaluation
        metrics = evaluation.coverage_mu(self.model, params) | evaluation.prior_coverage(
            self.model,
            params,
            key,
            categorical_draws=settings.prior_draws,
            argmax_draws=settings.argmax_draws,
        )
        worst = evaluation.worst_coverage(metrics, argmax_draws=settings.argmax_draws)
        return self.validation(params, aux) | metrics | worst

    def final_evaluate(self, params: Params, aux: Dynamics, key: jax.Array) -> Metrics:
        """Everything that is worth reporting once."""
        split = self.split if self.config.evaluation.by_split else None
        measured = evaluation.measure(self.model, params, key, rho=aux.rho, split=split)
        return jax.jit(self.validation)(params, aux) | measured

    def task(self) -> Task:
        """These functions as the engine takes them."""
        return Task(
            steps_per_epoch=-(-self.split.train.size // self.config.data.batch_size),
            init=self.init,
            begin_epoch=self.begin_epoch,
            batches=self.batches,
            forward=self.forward,
            terms=self.terms(),
            weights=self.weights,
            update_aux=self.update_aux,
            monitor=self.monitor,
            group_of=self.group_of,
            groups={"vae_a": 1.0, "vae_b": 1.0},
            gates=lambda _: {},
            evaluate=jax.jit(self.evaluate),
            observe=self.observe,
            final_evaluate=self.final_evaluate,
        )


def make_domain(config: ConfigDict) -> DualVAETask:
    """The dual VAE of a validated configuration."""
    return DualVAETask(config, make_model(config), make_split(config), make_schedules(config))
