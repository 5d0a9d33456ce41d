"""Make poincare.npz: the ball's golden cases in the form that the tests read.

Run from the repository's root, beside ../shared: ``python tests/golden/make_poincare.py``.
Per case: inputs, cotangents, and the float64 result of the original with the error bound for a
float32 implementation, ``1e-5 |ref| + max(1e-6, 8 |f32 - ref|)``.
"""

import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
SOURCE = HERE.parent.parent.parent / "shared" / "reference" / "golden" / "geometry_poincare"


def case(name: str) -> dict[str, np.ndarray]:
    """Inputs, references and bounds of one case, by their keys in poincare.npz."""
    with np.load(SOURCE / f"{name}.npz") as z:
        kept = {f"{name}/{k}": z[k] for k in z.files if k.startswith("in.") and "row" not in k}
        for key in (k.removeprefix("f32.") for k in z.files if k.startswith("f32.")):
            precise = f"f64e32.{key}" if f"f64e32.{key}" in z.files else f"f64.{key}"
            ref = z[precise]
            bound = 1e-5 * np.abs(ref) + np.maximum(1e-6, 8 * np.abs(z[f"f32.{key}"] - ref))
            kept[f"{name}/ref.{key}"] = ref.astype(np.float32)
            kept[f"{name}/bound.{key}"] = bound.max(axis=tuple(range(1, ref.ndim))).astype("f4")
    return kept


if __name__ == "__main__":
    arrays = {}
    for kind in ("interior", "boundary", "degenerate", "distance_matrix"):
        for c in (0.5, 1.0, 2.0):
            made = case(f"{kind}_c{c}")
            # Eight of the twenty interior rows tell as much.
            arrays |= {k: v[:8] for k, v in made.items()} if kind == "interior" else made
    np.savez_compressed(HERE / "poincare.npz", **arrays)
