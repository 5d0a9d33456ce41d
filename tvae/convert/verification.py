"""Recomputed metrics of an imported checkpoint beside the recorded ones."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.convert.importer import Imported
from tvae.domains import registry
from tvae.domains.projected_vae import evaluation
from tvae.domains.projected_vae.module import ProjectedVAE
from tvae.engine import step
from tvae.engine.task import Metrics
from tvae.errors import UserError
from tvae.geometry import padic
from tvae.runs import text

_SAMPLED = ("hierarchy", "richness")  # measures of posterior samples that v5.12 records


def measure(imported: Imported) -> dict[str, float]:
    """The domain's final evaluation of imported weights, as :meth:`tvae.model.Model.metrics`.

    Returns:
      The scalar metrics. v5.5: the coupled pass only where the checkpoint has a rho. v5.11 and
      later: also hierarchy and richness of posterior samples, as the reference system measures
      them (``eval/hierarchy_sampled_a``).

    Raises:
      UserError: if the checkpoint's rho is not in [0, 1].
    """
    rho = imported.metadata["state"].get("rho", 0.0)
    if not (isinstance(rho, (int, float)) and 0 <= rho <= 1):
        raise UserError(f"rho in the checkpoint: expected a number in [0, 1], got {rho!r}")
    config = ConfigDict(imported.metadata["config"])
    views = registry.get(config.task).make_views(config)
    key = step.purpose_key(jax.random.key(config.seed), step.Purpose.FINAL_EVALUATE)
    recorded = imported.metadata["metrics"]
    metrics = views.measure(imported.params, key, recorded)
    if isinstance(views.module, ProjectedVAE):
        metrics = metrics | _measure_samples(views.module, imported.params, key)
    return {name: float(value) for name, value in metrics.items() if jnp.ndim(value) == 0}


def _measure_samples(module: ProjectedVAE, params: Any, key: jax.Array) -> Metrics:
    shape = (padic.count(), module.encoder.latent_dim)
    key_a, key_b = jax.random.split(key)
    noise = (jax.random.normal(key_a, shape), jax.random.normal(key_b, shape))
    found = evaluation.measure(module, params, noise=noise)
    return {f"eval/{m}_sampled_{v}": found[f"eval/{m}_{v}"] for v in "ab" for m in _SAMPLED}


def recorded(metadata: Mapping[str, Any]) -> dict[str, float]:
    """Metrics that the checkpoint's training recorded, under the names of :func:`measure`."""
    state = metadata["state"]
    metrics = state.get("metrics")
    metrics = metrics if isinstance(metrics, dict) else {}
    found = {"eval/rho": state.get("rho"), "eval/coverage_mu_a": metrics.get("coverage")}
    for vae in ("a", "b"):
        history = state.get(f"coverage_{vae.upper()}_history")
        if isinstance(history, list) and history and isinstance(history[-1], int):
            found[f"eval/prior_coverage_195k_{vae}"] = history[-1] / padic.count()
        for name in _SAMPLED:
            found[f"eval/{name}_sampled_{vae}"] = metrics.get(f"{name}_{vae.upper()}")
    return {name: value for name, value in found.items() if isinstance(value, (int, float))}


def comparison_table(measured: Mapping[str, float], stored: Mapping[str, float]) -> str:
    """Three columns of text: metric, recomputed, recorded (a dash where nothing is recorded).

    >>> print(comparison_table({"eval/rho": 0.1, "eval/x": 1.0}, {"eval/rho": 0.1}))
    metric      recomputed    recorded
    eval/rho           0.1         0.1
    eval/x               1           -
    """
    rows = [(m, text.number(x), text.number(stored.get(m))) for m, x in measured.items()]
    return text.table(rows, ("metric", "recomputed", "recorded"), right=2)
