"""What is measured on a dual VAE; all functions are pure and jit-able.

The headline is ``eval/coverage_mu_a`` and ``_b``: the share of operations that each VAE's own
decoder reproduces exactly from its own posterior mean, without the other VAE's leak.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from tvae.domains import latent_use
from tvae.domains.dual_vae.module import DualVAE
from tvae.domains.operations import coverage, data
from tvae.domains.operations.data import Split
from tvae.domains.views import method_of
from tvae.engine.task import Metrics, Params
from tvae.geometry import padic
from tvae.metrics import latent
from tvae.metrics.definitions import Entry

PRIOR_DRAWS = 195_000
"""Categorical prior samples of the final evaluation (v5.5's rule)."""
ARGMAX_DRAWS = 50_000
"""Argmax prior samples of the final evaluation."""

_OWN_KEYS = {
    "eval/latent_entropy": "latent/entropy",
    "eval/kl": "latent/kl",
    "eval/kl_per_dimension": "latent/kl_per_dimension",
    "eval/active_dimensions": "latent/active_dimensions",
}
"""v5.5's own keys for measures that every domain has, without the suffix of an encoder."""


def short(draws: int) -> str:
    """How metric names write a number of draws.

    >>> short(195_000), short(1_500)
    ('195k', '1500')
    """
    return f"{draws // 1000}k" if draws % 1000 == 0 else str(draws)


def coverage_mu(model: DualVAE, params: Params, split: Split | None = None) -> Metrics:
    """``eval/coverage_mu_a`` and ``_b``: exact reconstruction from the own mean, all operations.

    With a split also ``eval/coverage_mu_train_a`` and so on, over its parts.
    """
    vae = model.bind({"params": params})
    posterior = vae.encode(data.all_operations(n_digits=model.n_digits))
    exact = {
        "a": coverage.exact_operations(vae.decode_a(posterior.mu_a)),
        "b": coverage.exact_operations(vae.decode_b(posterior.mu_b)),
    }
    metrics = {}
    for encoder, hit in exact.items():
        metrics[f"eval/coverage_mu_{encoder}"] = coverage.share(hit)
        for part in ("train", "val", "test") if split else ():
            of_part = coverage.share(hit[getattr(split, part)])
            metrics[f"eval/coverage_mu_{part}_{encoder}"] = of_part
    return metrics


def coverage_coupled(model: DualVAE, params: Params, rho: jax.Array) -> Metrics:
    """Exact reconstruction of the coupled forward pass: means mixed by ``rho``, then decoded.

    With a leak, A can read the answer from B's latent: compare with ``eval/coverage_mu_a``.
    """
    x = data.all_operations(n_digits=model.n_digits)
    zeros = jnp.zeros((x.shape[0], model.latent_dim))
    outputs = model.bind({"params": params})(x, zeros, zeros, rho=rho)
    return {
        "eval/coverage_coupled_a": coverage.share(coverage.exact_operations(outputs.logits_a)),
        "eval/coverage_coupled_b": coverage.share(coverage.exact_operations(outputs.logits_b)),
        "eval/rho": jnp.asarray(rho, jnp.float32),
    }


def prior_coverage(
    model: DualVAE, params: Params, key: jax.Array, *, categorical_draws: int, argmax_draws: int
) -> Metrics:
    """Prior coverage of both decoders, each beside its uniform-noise baseline; 0 draws = none.

    Returns:
      ``eval/prior_coverage_<n>_a`` (categorical), ``eval/prior_coverage_argmax_<n>_a``, the same
      for B, and ``eval/prior_coverage_<n>_uniform``.
    """
    n_operations = padic.count(n_digits=model.n_digits)
    rules = (
        ("", coverage.prior_coverage_categorical, categorical_draws),
        ("argmax_", coverage.prior_coverage_argmax, argmax_draws),
    )
    metrics: Metrics = {}
    keys = iter(jax.random.split(key, 4))
    for rule, measure, draws in rules:
        if draws == 0:
            continue
        name = f"eval/prior_coverage_{rule}{short(draws)}"
        for vae in "ab":
            metrics[f"{name}_{vae}"] = measure(
                functools.partial(method_of(model, f"decode_{vae}"), params),
                next(keys),
                draws=draws,
                latent_dim=model.latent_dim,
                n_digits=model.n_digits,
            )
        uniform = coverage.uniform_baseline(draws, n_operations=n_operations)
        metrics[f"{name}_uniform"] = jnp.float32(uniform)
    return metrics


def worst_coverage(metrics: Metrics, *, argmax_draws: int) -> Metrics:
    """``eval/worst_coverage``: what a base is for, as one number to select and stop by.

    The smaller over the two VAEs of reconstruction coverage times argmax prior coverage; its
    ceiling is that of the prior coverage. Empty where the latter is not measured.
    """
    if argmax_draws == 0:
        return {}
    prior = f"eval/prior_coverage_argmax_{short(argmax_draws)}"
    products = [metrics[f"eval/coverage_mu_{v}"] * metrics[f"{prior}_{v}"] for v in "ab"]
    return {"eval/worst_coverage": jnp.minimum(*products)}


def use_of_latents(model: DualVAE, params: Params) -> Metrics:
    """``latent/*`` over all operations, and v5.5's own keys for four of the same measures.

    ``eval/kl_per_dimension_*`` is a vector ``(latent_dim,)`` in nats; the rest are scalars.
    """
    x = data.all_operations(n_digits=model.n_digits)
    found = latent_use.measure(model.bind({"params": params}).encode(x).by_encoder())
    return found | {
        f"{key}_{vae}": found[f"{same}_{vae}"] for key, same in _OWN_KEYS.items() for vae in "ab"
    }


def measure(
    model: DualVAE,
    params: Params,
    key: jax.Array,
    *,
    rho: jax.Array | float | None,
    split: Split | None,
) -> Metrics:
    """All measures with the final numbers of draws, compiled in parts; not for use inside ``jit``.

    Args:
      model: the module.
      params: its parameters.
      key: of the prior draws.
      rho: permeability of the coupled pass; None = do not measure it.
      split: of the operations; None = measure the whole space only.
    """
    draws = {"categorical_draws": PRIOR_DRAWS, "argmax_draws": ARGMAX_DRAWS}
    parts: list[Callable[[Params], Metrics]] = [
        lambda params: coverage_mu(model, params, split),
        lambda params: prior_coverage(model, params, key, **draws),
        lambda params: use_of_latents(model, params),
    ]
    if rho is not None:
        mixed = jnp.float32(rho)
        parts.insert(1, lambda params: coverage_coupled(model, params, mixed))
    metrics: Metrics = {}
    for part in parts:
        metrics |= jax.jit(part)(params)
    return metrics


_MEANS = "posterior means of all operations"
_VALIDATION = "means of the validation split, coupled; needs the state of training"
_SPLIT = Entry("share of the training split that decodes from the own mean", "its means", 1.0)

DEFINITIONS = {
    "eval/coverage_mu_train": _SPLIT,
    "eval/coverage_mu_val": _SPLIT._replace(text=_SPLIT.text.replace("training", "validation")),
    "eval/coverage_mu_test": Entry(
        "share of the test split, never trained on, that decodes from the own mean",
        "its means",
        1.0,
        note='The published "holdout 100 %" draws from all operations, four in five trained on.',
    ),
    "eval/coverage_coupled": Entry(
        "share of operations reproduced by the forward pass that mixes both means by rho",
        _MEANS,
        1.0,
        note="Each VAE can read the answer through the other's leak: compare coverage_mu.",
    ),
    "eval/worst_coverage": Entry(
        "smaller over both VAEs of reconstruction coverage times argmax prior coverage",
        "means and draws of the prior",
    ),
    "eval/rho": Entry(
        "share of the other VAE's latent in the coupled pass",
        "state at the end of training, not a parameter",
        better="neither",
    ),
    "eval/latent_entropy": Entry(
        "mean entropy of the latent dimensions' histograms over [-3, 3], nats",
        _MEANS,
        math.log(latent.HISTOGRAM_BINS),
        same_as=_OWN_KEYS["eval/latent_entropy"],
    ),
    "eval/kl": Entry(
        "KL divergence from the prior, nats", _MEANS, better="neither", same_as=_OWN_KEYS["eval/kl"]
    ),
    "eval/kl_per_dimension": Entry(
        "KL divergence from the prior, nats, by latent dimension",
        _MEANS,
        better="neither",
        same_as=_OWN_KEYS["eval/kl_per_dimension"],
    ),
    "eval/active_dimensions": Entry(
        "latent dimensions whose mean has a variance above 0.01",
        _MEANS,
        note="At most latent_dim.",
        same_as=_OWN_KEYS["eval/active_dimensions"],
    ),
    "val/loss": Entry("weighted sum of the trained terms", _VALIDATION, better="lower"),
    "val/cross_entropy": Entry("cross-entropy, nats per operation", _VALIDATION, better="lower"),
    "val/kl": Entry("KL divergence with free bits, nats", _VALIDATION, better="neither"),
    "val/output_entropy": Entry("entropy of decoded digits, nats", _VALIDATION, better="neither"),
    "val/repulsion": Entry("mean kernel of pairs of latents", _VALIDATION, better="neither"),
    "val/entropy_alignment": Entry(
        "difference of both VAEs' histogram entropies, nats", _VALIDATION, better="lower"
    ),
}
"""Metric key without the suffix of an encoder -> entry."""
