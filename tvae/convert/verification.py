"""What an imported checkpoint does, beside what it says of itself."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from tvae.convert.configuration import make_module
from tvae.convert.importer import Imported
from tvae.domains.dual_vae import evaluation as dual_vae_evaluation
from tvae.domains.dual_vae.module import DualVAE
from tvae.domains.operations import coverage
from tvae.domains.projected_vae.module import ProjectedVAE
from tvae.engine.task import Metrics
from tvae.errors import UserError
from tvae.geometry import padic as ternary
from tvae.metrics import hierarchy, ranks

_N_DIGITS = 9
# Any fixed key serves: a sampled metric shows whether the weights are right, not more.
_SEED = 0


def _measure_dual(model: DualVAE, params: Any, rho: float | None) -> Metrics:
    draws = dual_vae_evaluation.PRIOR_DRAWS
    metrics = dual_vae_evaluation.coverage_mu(model, params) | dual_vae_evaluation.prior_coverage(
        model, params, jax.random.key(_SEED), categorical_draws=draws, argmax_draws=0
    )
    # The mixing of the coupled pass is no weight: without its rho there is nothing to measure.
    if rho is not None:
        metrics |= dual_vae_evaluation.coverage_coupled(model, params, jnp.float32(rho))
    return metrics


def _measure_ternary(model: ProjectedVAE, params: Any) -> Metrics:
    index = jnp.arange(ternary.count(n_digits=_N_DIGITS))
    digit = ternary.digits(index, n_digits=_N_DIGITS)
    valuation = ternary.valuation(index, n_digits=_N_DIGITS)
    variables = {"params": params}
    x = ternary.values(index, n_digits=_N_DIGITS)
    mean: Any = model.apply(variables, x)
    key_a, key_b = jax.random.split(jax.random.key(_SEED))
    shape = mean.latents.mu_a.shape
    sample: Any = model.apply(
        variables,
        x,
        noise_a=jax.random.normal(key_a, shape),
        noise_b=jax.random.normal(key_b, shape),
    )
    own: Any = model.apply(variables, mean.latents.mu_a, method=ProjectedVAE.decode)
    metrics = {
        "eval/coverage_mu_a": coverage.share(coverage.exact_match(own, digit)),
        "eval/coverage_forward_a": coverage.share(coverage.exact_match(mean.logits_a, digit)),
    }
    for kind, outputs in (("sampled", sample), ("mu", mean)):
        for vae, ball in (("a", outputs.ball_a), ("b", outputs.ball_b)):
            radius = ball.hyperbolic_radius
            metrics[f"eval/hierarchy_{kind}_{vae}"] = ranks.spearman(valuation, radius)
            metrics[f"eval/richness_{kind}_{vae}"] = hierarchy.richness(radius, valuation)
            metrics[f"eval/hyperbolic_radius_{kind}_{vae}"] = radius.mean()
    return metrics


def measure(imported: Imported) -> dict[str, float]:
    """Coverage and reconstruction over all operations, from the imported weights.

    Args:
      imported: a converted checkpoint.

    Returns:
      v5.5: exact reconstruction from the own mean and, if the checkpoint has a rho, from the
      coupled pass; prior coverage by the original's rule. v5.11 and later: exact reconstruction
      from the mean and of the forward pass; hierarchy (Spearman correlation of valuation and
      radius), richness (variance of the radius inside the levels) and mean radius of sampled
      points, as the original measures them, and of the means.

    Raises:
      UserError: if the checkpoint's rho is no share.
    """
    model = make_module(imported.metadata)
    if isinstance(model, DualVAE):
        rho = imported.metadata["state"].get("rho")
        if rho is not None and not (isinstance(rho, (int, float)) and 0 <= rho <= 1):
            raise UserError("rho in the checkpoint is no number in [0, 1]")
        metrics = jax.jit(lambda params: _measure_dual(model, params, rho))(imported.params)
    else:
        metrics = jax.jit(lambda params: _measure_ternary(model, params))(imported.params)
    return {name: float(value) for name, value in metrics.items()}


def recorded(metadata: Mapping[str, Any]) -> dict[str, float]:
    """What the checkpoint says of itself, under the names of :func:`measure`."""
    state = metadata["state"]
    count = ternary.count(n_digits=_N_DIGITS)
    said: dict[str, Any] = {}
    for vae in ("a", "b"):
        history = state.get(f"coverage_{vae.upper()}_history")
        if isinstance(history, list) and history and isinstance(history[-1], int):
            said[f"eval/prior_coverage_195k_{vae}"] = history[-1] / count
    said["eval/rho"] = state.get("rho")
    metrics = state.get("metrics")
    metrics = metrics if isinstance(metrics, dict) else {}
    said["eval/coverage_mu_a"] = metrics.get("coverage")
    for vae in ("a", "b"):
        for name in ("hierarchy", "richness"):
            said[f"eval/{name}_sampled_{vae}"] = metrics.get(f"{name}_{vae.upper()}")
        radius = metrics.get(f"mean_radius_{vae.upper()}")
        said[f"eval/hyperbolic_radius_sampled_{vae}"] = radius
    return {name: value for name, value in said.items() if isinstance(value, (int, float))}


def comparison_table(measured: Mapping[str, float], said: Mapping[str, float]) -> str:
    """Three columns of text: metric, recomputed, recorded (a dash where the file says nothing).

    >>> print(comparison_table({"eval/rho": 0.1, "eval/x": 1.0}, {"eval/rho": 0.1}))
    metric    recomputed  recorded
    eval/rho         0.1       0.1
    eval/x             1         -
    """
    width = max(map(len, measured))
    rows = [f"{'metric':<{width}}  recomputed  recorded"]
    for name, value in measured.items():
        beside = f"{said[name]:.6g}" if name in said else "-"
        rows.append(f"{name:<{width}}  {value:>10.6g}  {beside:>8}")
    return "\n".join(rows)
