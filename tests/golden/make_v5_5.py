"""Make the v5.5 golden files of a fresh clone from ``../shared/reference/v5_5``.

    python tests/golden/make_v5_5.py

Schedules are copied whole. Of a training step all inputs are kept, and of each large output every
41st number: enough to tell any error of a layer, at a third of the size.
"""

import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
SOURCE = HERE.parents[2] / "shared" / "reference" / "v5_5"
STRIDE = 41


def thin(name: str, array: np.ndarray) -> np.ndarray:
    """Inputs and small outputs whole, large outputs thinned and flat."""
    is_large_output = name.startswith(("out.", "grad.", "after.")) and array.size > STRIDE
    return array.ravel()[::STRIDE] if is_large_output else array


def main() -> None:
    for step in ("init", "epoch10"):
        with np.load(SOURCE / f"golden_step_{step}.npz") as golden:
            kept = {name: thin(name, golden[name]) for name in golden.files}
            # Errors are measured against the largest value of the whole tensor.
            for name in golden.files:
                if name.startswith(("out.", "grad.", "after.")):
                    kept[f"largest.{name}"] = np.abs(golden[name]).max()
        del kept["x"]  # follows from op_index
        np.savez_compressed(HERE / f"v5_5_step_{step}.npz", **kept)
    with np.load(SOURCE / "schedules.npz") as schedules:
        np.savez_compressed(HERE / "v5_5_schedules.npz", **schedules)


if __name__ == "__main__":
    main()
