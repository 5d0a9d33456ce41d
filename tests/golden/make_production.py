"""Copy the golden cases that a fresh clone needs out of the reference data.

Usage, from the root of the repository, with the reference data beside it:

    python tests/golden/make_production.py

Writes ``production_losses.npz``, ``production_homeostasis.npz`` and ``production_metrics.npz`` next
to this file. A key is ``<case>|<array>``; ``<case>|params`` and ``<case>|tolerance`` hold JSON.
"""

import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent.parent.parent / "shared" / "reference" / "golden"

LOSSES = (
    "loss_rich_hierarchy/full_levels_original_batch",
    "loss_rich_hierarchy/missing_levels_original_batch",
    "loss_rich_hierarchy/batch_of_one",
    "loss_radial_stratification/default_full",
    "loss_radial_stratification/mse_weighted_c2",
    "loss_padic_geodesic/geodesic_v5_12_4_config",
    "loss_padic_geodesic/geodesic_mse_c2",
    "loss_padic_geodesic/geodesic_duplicates",
    "loss_padic_geodesic/combined_tau0.3",
    "loss_padic_geodesic/radial_hierarchy_v5_12_4_config",
    "loss_padic_geodesic/radial_hierarchy_batch1",
    "loss_padic_geodesic/global_rank_train_v5_12",
    "loss_padic_geodesic/global_rank_all_pairs",
    "loss_padic_geodesic/global_rank_one_level",
    "loss_padic_geodesic/monotonic_default",
    "loss_padic_geodesic/monotonic_hard",
    "loss_padic_geodesic/monotonic_one_level",
    "loss_zero_structure/combined_v5_12_4",
    "loss_zero_structure/sparsity_constant_count",
    "loss_zero_structure/zero_features",
)
HOMEOSTASIS = ("oscillating", "ratchet_to_floor", "falling_Q_tightens", "nan_hierarchy")
METRICS = (
    "comprehensive_and_quick",
    "spearman",
    "stratified_batches_config_512",
    "stratified_batches_small",
    "triplet_concordance_n1500_t800",
    "triplet_concordance_c2_n400_t300",
    "triplet_concordance_too_few_triplets",
)
# Kept out: float64 twins, strings that other arrays already say, and diagnostics not compared.
DROPPED = ("f64", "f32.metric", "out.state_summary", "out.annealing_summary", "out.state_after")


def gather(cases: dict[str, dict], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Arrays of the named cases under their long keys."""
    arrays: dict[str, np.ndarray] = {}
    for name in names:
        case = cases[name]
        with np.load(GOLDEN / case["file"]) as data:
            for key in data.files:
                if not key.startswith(DROPPED) and not key.endswith("_raw"):
                    arrays[f"{name}|{key}"] = data[key]
        arrays[f"{name}|params"] = np.asarray(json.dumps(case["params"]))
        arrays[f"{name}|tolerance"] = np.asarray(json.dumps(case["tolerance"]))
    return arrays


def main() -> None:
    """Write the three files."""
    manifest = json.loads((GOLDEN / "manifest.json").read_text())
    cases = {case["id"]: case for case in manifest["cases"]}
    families = {
        "losses": LOSSES,
        "homeostasis": tuple(f"homeostasis/{name}" for name in HOMEOSTASIS),
        "metrics": tuple(f"metrics/{name}" for name in METRICS),
    }
    for family, names in families.items():
        np.savez_compressed(HERE / f"production_{family}.npz", **gather(cases, names))


if __name__ == "__main__":
    main()
