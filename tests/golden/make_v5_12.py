"""Make the v5.12 golden files of a fresh clone from ``../shared/reference/v5_12``.

    python tests/golden/make_v5_12.py

Of each of the two training steps all inputs are kept (parameters in float32, pairs in int16), and
of each large output every 97th number: enough to tell any error of a layer. Encoder A and the
decoder do not move in these steps, so their parameters are kept once, before the step.
"""

import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
SOURCE = HERE.parents[2] / "shared" / "reference" / "v5_12"
STRIDE = 97
OUTPUTS = ("out/", "grad_", "param1/", "gradz_")
"""Prefixes of what the step computed."""


def thin(name: str, array: np.ndarray) -> np.ndarray:
    """Inputs and small outputs whole, large outputs thinned and flat."""
    return array.ravel()[::STRIDE] if name.startswith(OUTPUTS) and array.size > STRIDE else array
