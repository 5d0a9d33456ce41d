"""Latency of exported programs by batch size, and memory of a model."""

import functools
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tvae.model import Model

BATCHES = (1, 64)
"""Batch sizes that are measured beside the whole space."""
SUFFIX = ".jax_export"
_LEAST_CALLS, _MOST_CALLS = 30, 300
_SECONDS = 2.0
"""Time for the calls of one program and batch size, once the least number is reached."""


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


def _row(name: str, batch: int, call: Callable[[], Any]) -> dict[str, Any]:
    milliseconds = 1e3 * np.array(sample(call))
    p50, p95 = np.percentile(milliseconds, (50, 95))
    times = {"p50_ms": float(p50), "p95_ms": float(p95), "per_second": float(1e3 * batch / p50)}
    return {"program": name, "batch": batch, "calls": milliseconds.size, **times}


def profile(export: pathlib.Path, *, whole: int | None) -> dict[str, Any]:
    """Measure the exported programs on the default device.

    Args:
      export: folder of ``<program>.jax_export`` files, each of one array with a leading batch axis.
      whole: the largest batch, all items; None where they are not a finite set.
    """
    rows = []
    for path in sorted(export.glob(f"*{SUFFIX}")):
        exported = jax.export.deserialize(bytearray(path.read_bytes()))
        program = jax.jit(exported.call)
        (argument,) = exported.in_avals
        for batch in (*BATCHES, *([whole] if whole else [])):
            # The time does not depend on the values.
            x = jnp.zeros((batch, *argument.shape[1:]), argument.dtype)
            rows.append(_row(path.name.removesuffix(SUFFIX), batch, functools.partial(program, x)))
    return {"device": jax.devices()[0].device_kind, "jax": jax.__version__, "latency": rows}


def resources(model: Model) -> dict[str, Any]:
    """Numbers and bytes of a model, and the peak memory of this process where it is known."""
    leaves = jax.tree.leaves(model.params)
    return {
        "parameters": sum(leaf.size for leaf in leaves),
        "parameter_bytes": sum(leaf.nbytes for leaf in leaves),
        "peak_resident_bytes": _peak_resident_bytes(),
    }


def _peak_resident_bytes() -> int | None:
    try:
        import resource  # absent on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux kibibytes.
    return peak if sys.platform == "darwin" else peak * 1024
