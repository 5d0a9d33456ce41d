"""Make the v5.12 golden file of a fresh clone from ``../shared/reference/v5_12``.

    python tests/golden/make_v5_12.py

One training step of the published line. Encoder A is frozen and its parameters are left out: its
latents are an input here. Of each large output every 97th number is kept: enough to tell any
error of a layer. The step of the improved networks is only read from ``../shared``.
"""

import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
SOURCE = HERE.parents[2] / "shared" / "reference" / "v5_12"
STRIDE = 97
OUTPUTS = ("grad_phase", "param1/", "out/")
DROPPED = ("encoder_A", "controller", "isp_c")
SCALARS = ("total_", "grad_norm", "rich/", "zero_")
INPUTS = ("param0/", "batch_idx", "eps_B", "original_radii")


def thin(golden: dict[str, np.ndarray], stride: int = STRIDE) -> dict[str, np.ndarray]:
    """What the test needs, large outputs thinned and flat."""
    kept = {"z_A": golden["out/z_A_euc"]}
    for name, array in golden.items():
        part = name.split("/")[-1]
        if any(word in name for word in DROPPED) or name.startswith("param1/decoder"):
            continue
        if name.startswith(("radial_", "rank_", "geo_")) and part in ("i", "j", "loss"):
            kept[name] = array.astype(np.int16) if part != "loss" else array
        elif name.startswith(OUTPUTS):
            kept[name] = array.ravel()[::stride]
        elif name.startswith(SCALARS) or name.startswith(INPUTS):
            kept[name] = array
    index = golden["batch_idx"]
    kept["batch_idx"] = index.astype(np.int16)
    kept["original_radii"] = golden["original_radii"][index]
    return kept


def main() -> None:
    """Write the file."""
    with np.load(SOURCE / "golden_step_init_frozen.npz") as file:
        np.savez_compressed(HERE / "v5_12_step.npz", **thin(dict(file)))


if __name__ == "__main__":
    main()
