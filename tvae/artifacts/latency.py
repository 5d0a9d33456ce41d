"""How long a model takes: encode, embed and decode by batch size."""

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tvae.geometry import ternary
from tvae.model import Model

BATCHES = (1, 64)
"""Batch sizes that are measured beside the whole space."""
_LEAST_CALLS, _MOST_CALLS = 20, 200
_SECONDS = 1.0
"""Time for the calls of one function and batch size, once the least number is reached."""


def sample(call: Callable[[], Any]) -> list[float]:
    """Seconds of each of many calls, results waited for; the first, which compiles, left out."""
    jax.block_until_ready(call())
    seconds: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(seconds) < _LEAST_CALLS or (len(seconds) < _MOST_CALLS and time.perf_counter() < end):
        start = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    return seconds


def _functions(model: Model) -> dict[str, tuple[Callable[[jax.Array], Any], bool]]:
    """Function by name, and whether it takes operations (else latents)."""
    functions: dict[str, tuple[Callable[[jax.Array], Any], bool]] = {"encode": (model.encode, True)}
    if model.embeddings:
        functions["embed"] = (model.embed, True)
    functions["decode"] = (model.decode, False)
    return functions


def profile(model: Model) -> dict[str, Any]:
    """Measure a model on the default device.

    Args:
      model: any.

    Returns:
      ``device``, ``jax``, and ``latency``: rows of ``function``, ``batch``, ``calls``, ``p50_ms``,
      ``p95_ms`` and ``per_second`` (operations, at the median). ``not_applicable`` names functions
      that the model has not.
    """
    rows = []
    for name, (function, takes_operations) in _functions(model).items():
        for batch in (*BATCHES, model.n_operations):
            index = jnp.arange(batch) % model.n_operations
            x = ternary.values(index, n_digits=model.n_digits)
            argument = x if takes_operations else jnp.zeros((batch, model.latent_dim))
            milliseconds = 1e3 * np.asarray(
                sample(lambda function=function, argument=argument: function(argument))
            )
            p50, p95 = np.percentile(milliseconds, (50, 95))
            rows.append(
                {
                    "function": name,
                    "batch": batch,
                    "calls": milliseconds.size,
                    "p50_ms": float(p50),
                    "p95_ms": float(p95),
                    "per_second": float(1e3 * batch / p50),
                }
            )
    missing = {} if model.embeddings else {"embed": "the model has no ball"}
    return {
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "latency": rows,
        "not_applicable": missing,
    }


def resources(model: Model) -> dict[str, Any]:
    """What a model takes: numbers, bytes, and the peak of the process that measured it."""
    leaves = jax.tree.leaves(model.params)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "parameters": sum(leaf.size for leaf in leaves),
        "parameter_bytes": sum(leaf.nbytes for leaf in leaves),
        # macOS counts bytes, Linux kibibytes.
        "peak_resident_bytes": peak if sys.platform == "darwin" else peak * 1024,
    }
