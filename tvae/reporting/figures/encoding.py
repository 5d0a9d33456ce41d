"""Numbers as the page carries them: compact and as precise as a picture needs."""

import base64
from typing import Any

import numpy as np


def typed(values: np.ndarray) -> dict[str, Any]:
    """An array as plotly.js decodes it: base64 of little-endian float32.

    >>> typed(np.array([1.0]))
    {'dtype': 'f4', 'bdata': 'AACAPw=='}
    """
    return {"dtype": "f4", "bdata": _base64(np.asarray(values, "<f4"))}


def quantised(values: np.ndarray) -> dict[str, Any]:
    """An array in 16 bits an entry: ``value = low + step * integer``.

    Args:
      values: ``(n,)``, finite.

    Returns:
      ``{"low", "step", "bdata"}`` with base64 of little-endian uint16; the error is at most half
      a step, 1/131,070 of the range.

    >>> quantised(np.array([0.0, 65535.0]))["step"]
    1.0
    """
    low = float(values.min())
    step = (float(values.max()) - low) / 65535.0 or 1.0
    integer = np.rint((values - low) / step).astype("<u2")
    return {"low": low, "step": step, "bdata": _base64(integer)}


def shown(value: Any) -> str:
    """A metric's value in at most five significant digits.

    >>> shown(0.83205029), shown(1.0), shown([1, 2]), shown(float("nan"))
    ('0.83205', '1', '2 values', 'nan')
    """
    return f"{len(value)} values" if isinstance(value, list) else f"{value:.5g}"


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
