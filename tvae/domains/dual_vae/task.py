"""v5.5 as a task: the dual VAE, its losses, schedules, dynamics and evaluation."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.domains.dual_vae import dynamics, evaluation
from tvae.domains.dual_vae.dynamics import Dynamics
from tvae.domains.dual_vae.module import DualVAE, DualVAEOutputs, make_model
from tvae.domains.dual_vae.schedules import Schedules, make_schedules
from tvae.domains.objective import Objective, Sources, make_objective
from tvae.domains.operations import data
from tvae.engine.task import Hparams, Metrics, Observation, Params, Task, section, weighted_sum
from tvae.geometry import padic
from tvae.losses import levels
from tvae.losses.pairs import Pairs
from tvae.metrics import latent

LOGGED = ("lambda1", "lambda2", "lambda3", "rho", "phase", "balanced")


@flax.struct.dataclass
class Outputs:
    """Forward outputs, and histogram entropies of the latents.

    Attributes:
      vae: outputs of the model.
      entropy_a: of A's latent, nats.
      entropy_b: of B's.
      key: of what terms draw; the same in every pass with given noise.
      pairs: of rows of the batch, by row of the objective; None where all pairs are taken.
    """

    vae: DualVAEOutputs
    entropy_a: jax.Array
    entropy_b: jax.Array
    key: jax.Array
    pairs: dict[str, Pairs | None] = flax.struct.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class DualVAETask(Task):
    """The training problem of v5.5; aux is a :class:`Dynamics`.

    Attributes:
      module: the network.
      split_settings: fractions and seed that made ``split``.
      split: operations that train, select and test.
      batch_size: operations per step.
      schedules: values per epoch.
      objective: terms and weights.
      gradient_balance: scale each VAE's loss by the ratio of gradient-norm averages.
      adaptive: let the gradient ratio move loss weights and momentum.
      statenet: let the (untrained) StateNet correct rate and loss weights once per epoch.
      prior_draws: categorical prior samples of the periodic evaluation.
      argmax_draws: argmax prior samples of the periodic evaluation.
      by_split: measure the parts of the split apart at the end.
    """

    module: DualVAE
    split_settings: tuple[float, float, int]
    split: data.Split = dataclasses.field(compare=False, repr=False)
    batch_size: int
    schedules: Schedules
    objective: Objective
    gradient_balance: bool
    adaptive: bool
    statenet: bool
    prior_draws: int
    argmax_draws: int
    by_split: bool

    @property
    def steps_per_epoch(self) -> int:  # type: ignore[override]
        """Batches that hold every training operation once."""
        return -(-self.split.train.size // self.batch_size)

    def init(self, key: jax.Array, hparams: Hparams) -> tuple[Params, Dynamics]:
        """Fresh parameters and dynamics."""
        example = jnp.zeros((1, self.module.n_digits))
        params = self.module.init(key, example, method=DualVAE.touch)["params"]
        first = dynamics.init_dynamics(
            lambda_start=hparams["dynamics.lambda_start"],
            lambda3=hparams["dynamics.lambda3_base"],
            rho=hparams["coupling.rho_min"],
        )
        return params, first

    def begin_epoch(self, aux: Dynamics, epoch: jax.Array, hparams: Hparams) -> Dynamics:
        """Move the dynamics to the start of an epoch."""
        return dynamics.begin_epoch(
            aux,
            epoch,
            self.schedules.lambda3(epoch, hparams),
            shape=dynamics.Permeability(**section(hparams, "coupling")),
            adaptive=self.adaptive,
        )

    def batches(self, epoch: jax.Array, key: jax.Array) -> data.Batch:
        """The training split in random order."""
        key = jax.random.fold_in(key, epoch)
        return data.shuffled_batches(key, self.split.train, batch_size=self.batch_size)

    def forward(
        self, params: Params, aux: Dynamics, batch: data.Batch, key: jax.Array, hparams: Hparams
    ) -> Outputs:
        """Training forward pass: sampled latents, mixed by the current permeability."""
        noise = jax.random.normal(key, (2, *batch.index.shape, self.module.latent_dim))
        noise_a = self.schedules.temperature_a(aux.epoch, hparams) * noise[0]
        noise_b = self.schedules.temperature_b(aux.epoch, hparams) * noise[1]
        outputs = self.forward_with_noise(params, aux, batch, (noise_a, noise_b))
        term_key, pair_key = (jax.random.fold_in(key, i) for i in range(2))
        pairs = self.objective.draw_pairs(pair_key, batch_size=batch.index.size)
        return dataclasses.replace(outputs, key=term_key, pairs=pairs)

    def forward_with_noise(
        self,
        params: Params,
        aux: Dynamics,
        batch: data.Batch,
        noise: tuple[jax.Array, jax.Array],
    ) -> Outputs:
        """Forward pass with given noise of A and B ``(batch, latent_dim)``; zeros decode means."""
        x = padic.values(batch.index, n_digits=self.module.n_digits)
        vae = self.module.bind({"params": params})(x, *noise, rho=aux.rho)
        return Outputs(
            vae=vae,
            entropy_a=latent.histogram_entropy(vae.z_a, batch.mask),
            entropy_b=latent.histogram_entropy(vae.z_b, batch.mask),
            key=jax.random.key(0),
        )

    def terms(self, outputs: Outputs, batch: data.Batch, hparams: Hparams) -> Metrics:
        """Unweighted loss terms; those of single operations are means over real rows."""
        return self.objective.terms(
            lambda side: self.sources(outputs, batch, side),
            hparams,
            reduce=lambda rows: levels.masked_mean(rows, batch.mask),
            pairs=outputs.pairs,
        )

    def sources(self, outputs: Outputs, batch: data.Batch, side: str) -> Sources:
        """What the terms may ask for on a side: :data:`tvae.domains.dual_vae.terms.INPUTS`."""
        tree = padic.PadicTree(3, self.module.n_digits)
        shared = {
            "entropy_a": outputs.entropy_a,
            "entropy_b": outputs.entropy_b,
            "index": batch.index,
            "level": tree.level(batch.index),
            "tree": tree,
            "target": padic.digits(batch.index, n_digits=self.module.n_digits),
            "where": batch.mask > 0.0,
            "key": outputs.key,
        }
        if not side:
            return shared
        vae = outputs.vae
        mu, logvar = vae.latents.by_encoder()[side]
        logits, z = (vae.logits_b, vae.z_b) if side == "b" else (vae.logits_a, vae.z_a)
        return shared | {"logits": logits, "mu": mu, "logvar": logvar, "z": z}

    def weights(self, aux: Dynamics, hparams: Hparams) -> Metrics:
        """Weights of the terms in training, gradient balance included."""
        scales = dynamics.balance_scales(aux) if self.gradient_balance else (1.0, 1.0)
        return self._scaled_weights(aux, hparams, *scales)

    def _scaled_weights(
        self,
        aux: Dynamics,
        hparams: Hparams,
        scale_a: jax.Array | float,
        scale_b: jax.Array | float,
    ) -> Metrics:
        """Weights of the table, times lambda of the side and beta of its KL."""
        weights = self.objective.weights(aux.epoch, hparams)
        by_side = {"a": aux.lambda1 * scale_a, "b": aux.lambda2 * scale_b}
        beta = {
            "a": self.schedules.beta_a(aux.epoch, hparams),
            "b": self.schedules.beta_b(aux.epoch, hparams),
        }
        for entry in self.objective.entries:
            name, side = entry.name, entry.side
            if entry.term.name == "entropy_alignment":
                weights[name] = weights[name] * aux.lambda3
            if side:
                weights[name] = weights[name] * by_side[side]
            if side and entry.term.name == "gaussian_kl":
                weights[name] = weights[name] * beta[side]
        return weights

    def before_update(
        self, aux: Dynamics, params: Params, outputs: Outputs, metrics: Metrics, hparams: Hparams
    ) -> Dynamics:
        """StateNet's corrections at the first step of an epoch, and the gradient-norm averages."""

        def correct(aux: Dynamics) -> Dynamics:
            inputs = dynamics.statistics(
                aux, (outputs.entropy_a, outputs.entropy_b), (metrics["kl_a"], metrics["kl_b"])
            )
            return dynamics.apply_corrections(
                aux,
                self.module.bind({"params": params}).correct(inputs),
                self.schedules.learning_rate(aux.epoch, hparams),
                rate_scale=hparams["dynamics.statenet_rate_scale"],
                lambda_scale=hparams["dynamics.statenet_lambda_scale"],
            )

        if self.statenet:
            aux = jax.lax.cond(aux.step == 0, correct, lambda aux: aux, aux)
        return dynamics.observe_gradients(
            aux, metrics["grad_norm/vae_a"], metrics["grad_norm/vae_b"]
        )

    def learning_rate(self, aux: Dynamics, hparams: Hparams) -> jax.Array:
        """The scheduled rate times StateNet's factor."""
        return self.schedules.learning_rate(aux.epoch, hparams) * aux.rate_factor

    def monitor(self, aux: Dynamics, hparams: Hparams) -> Metrics:
        """Schedules and dynamics of this epoch."""
        epoch, schedules = aux.epoch, self.schedules
        return {
            "schedule/learning_rate": self.learning_rate(aux, hparams),
            "schedule/temperature_a": schedules.temperature_a(epoch, hparams),
            "schedule/temperature_b": schedules.temperature_b(epoch, hparams),
            "schedule/beta_a": schedules.beta_a(epoch, hparams),
            "schedule/beta_b": schedules.beta_b(epoch, hparams),
            **{f"dynamics/{name}": getattr(aux, name) for name in LOGGED},
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

    def groups(self, hparams: Hparams) -> dict[str, float]:
        """Both VAEs learn at the full rate."""
        del hparams
        return {"vae_a": 1.0, "vae_b": 1.0}

    def observe(
        self, aux: Dynamics, params: Params, metrics: Metrics, hparams: Hparams
    ) -> Observation:
        """Hand measured prior coverages to the lambda rule."""
        del hparams
        if self.prior_draws == 0:
            return Observation(aux, params)
        name = f"eval/prior_coverage_{evaluation.short(self.prior_draws)}"
        a, b = metrics[f"{name}_a"], metrics[f"{name}_b"]
        return Observation(dataclasses.replace(aux, coverage_a=a, coverage_b=b), params)

    def validation(self, params: Params, aux: Dynamics, hparams: Hparams) -> Metrics:
        """Loss and terms on the validation split from the means, averaged over its batches."""
        batches = data.in_batches(self.split.val, batch_size=self.batch_size)
        weights = self._scaled_weights(aux, hparams, 1.0, 1.0)

        def measure(batch: data.Batch) -> Metrics:
            zeros = jnp.zeros((*batch.index.shape, self.module.latent_dim))
            outputs = self.forward_with_noise(params, aux, batch, (zeros, zeros))
            terms = self.terms(outputs, batch, hparams)
            return {"loss": weighted_sum(terms, weights)} | terms

        means = jax.tree.map(jnp.mean, jax.lax.map(measure, batches))
        return {f"val/{name}": value for name, value in means.items()}

    def evaluate(self, params: Params, aux: Dynamics, key: jax.Array, hparams: Hparams) -> Metrics:
        """The periodic evaluation: validation loss, exact reconstruction, prior coverage."""
        metrics = evaluation.coverage_mu(self.module, params) | evaluation.prior_coverage(
            self.module,
            params,
            key,
            categorical_draws=self.prior_draws,
            argmax_draws=self.argmax_draws,
        )
        worst = evaluation.worst_coverage(metrics, argmax_draws=self.argmax_draws)
        return self.validation(params, aux, hparams) | metrics | worst

    def final_evaluate(
        self, params: Params, aux: Dynamics, key: jax.Array, hparams: Hparams
    ) -> Metrics:
        """Everything that is worth reporting once."""
        split = self.split if self.by_split else None
        measured = evaluation.measure(self.module, params, key, rho=aux.rho, split=split)
        return jax.jit(self.validation)(params, aux, hparams) | measured


def make_split(config: ConfigDict) -> data.Split:
    """The split of the operations that the configuration describes."""
    return data.split(
        jax.random.key(config.data.split_seed),
        n_digits=config.data.n_digits,
        train_fraction=config.data.train_fraction,
        val_fraction=config.data.val_fraction,
    )


def make_task(config: ConfigDict) -> DualVAETask:
    """The task of a validated configuration."""
    data_, dynamics_ = config.data, config.dynamics
    return DualVAETask(
        module=make_model(config),
        split_settings=(data_.train_fraction, data_.val_fraction, data_.split_seed),
        split=make_split(config),
        batch_size=data_.batch_size,
        schedules=make_schedules(config),
        objective=make_objective(config.objective.to_dict()),
        gradient_balance=dynamics_.gradient_balance,
        adaptive=dynamics_.adaptive,
        statenet=dynamics_.statenet,
        prior_draws=config.evaluation.prior_draws,
        argmax_draws=config.evaluation.argmax_draws,
        by_split=config.evaluation.by_split,
    )
