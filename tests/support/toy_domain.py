"""A domain registered from outside: points of two rings in R^4, a Gaussian VAE of linear layers."""

import jax
import jax.numpy as jnp

import tvae
from tvae.domains.domain import Domain
from tvae.domains.views import LATENT, Posterior, Views
from tvae.engine.task import Task
from tvae.fields import Field, at_least
from tvae.losses.divergence import gaussian_kl


def encode(params, x):
    return Posterior(*jnp.split(x @ params["encoder"], 2, -1))


def decode(params, z):
    return z @ params["decoder"]


class Rings(Task):
    steps_per_epoch = 5

    def init(self, key, hparams):
        weights = 0.5 * jax.random.normal(key, (6, 4))
        return {"encoder": weights[:4], "decoder": weights[4:]}, {}

    def batches(self, epoch, key):
        angle = 6.3 * jax.random.uniform(jax.random.fold_in(key, epoch), (5, 32))
        ring = jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
        return jnp.einsum("snd,nr->snrd", ring, jnp.eye(2)[jnp.arange(32) % 2]).reshape(5, 32, 4)

    def forward(self, params, aux, batch, key, hparams):
        q = encode(params, batch)
        z = q.mu_a + jnp.exp(0.5 * q.logvar_a) * jax.random.normal(key, q.mu_a.shape)
        return q, decode(params, z)

    def terms(self, outputs, batch, hparams):
        kl = gaussian_kl(outputs[0].mu_a, outputs[0].logvar_a).sum(-1).mean()
        return {"error": jnp.mean((outputs[1] - batch) ** 2), "kl": hparams["loss.kl"] * kl}

    def evaluate(self, params, aux, key, hparams):
        x = self.batches(0, jax.random.key(0))
        return {"eval/error": jnp.mean((decode(params, encode(params, x).mu_a) - x) ** 2)}


TASK = Rings()
VIEWS = Views(
    latent_dim=2,
    input_shape=(4,),
    encode=encode,
    decode={LATENT: {"a": decode}},
    measure=lambda params, key, recorded: TASK.evaluate(params, {}, key, {}),
)
FIELDS = {"loss.kl": Field(0.01, at_least(0.0), "weight of the KL divergence", traced=True)}
DEFAULTS = {"epochs": 4, "checkpoint.every_epochs": 1, "early_stop.metric": "eval/error"}
MAKERS = {"make_task": lambda config: TASK, "make_views": lambda config: VIEWS}
DOMAIN = tvae.register(Domain(name="rings", fields=FIELDS, defaults=DEFAULTS, **MAKERS))
