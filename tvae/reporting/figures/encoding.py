"""Arrays as the page carries them: base64 of little-endian numbers."""

import base64
from typing import Any

import numpy as np


def encode_array(values: np.ndarray) -> dict[str, Any]:
    """``{"dtype", "bdata"}`` as base.js decodes it, from an array ``(n,)``.

    Floats are carried as float32, non-negative integers as uint16 or uint32.

    >>> encode_array(np.array([1.0])), encode_array(np.array([1]))
    ({'dtype': 'f4', 'bdata': 'AACAPw=='}, {'dtype': 'u2', 'bdata': 'AQA='})
    """
    dtype = "f4"
    if np.issubdtype(values.dtype, np.integer):
        dtype = "u2" if values.max(initial=0) < 2**16 else "u4"
    data = np.ascontiguousarray(values, f"<{dtype}").tobytes()
    return {"dtype": dtype, "bdata": base64.b64encode(data).decode("ascii")}


def quantise(values: np.ndarray) -> dict[str, Any]:
    """Finite values ``(n,)`` in 16 bits an entry: ``value = low + step * integer``.

    Returns ``{"low", "step", "dtype", "bdata"}``; the error is at most 1/131,070 of the range.

    >>> quantise(np.array([0.0, 65535.0]))["step"]
    1.0
    """
    low = float(values.min())
    step = (float(values.max()) - low) / 65535.0 or 1.0
    integers = np.rint((values - low) / step).astype(int)
    return {"low": low, "step": step, **encode_array(integers)}
