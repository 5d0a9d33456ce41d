"""Seeds 0..4 of the v6 config, each a process of its own that compiles everything.

    python experiments/v6/run.py

Takes about two minutes on two CPU cores and writes ``results.json``.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

# Larger is better, but for hierarchy.
REPORTED = [
    "eval/coverage_ball",
    "eval/coverage_sampled",
    "eval/hierarchy",
    "eval/richness",
    "eval/tree_fidelity",
    "eval/q_comprehensive",
    "eval/q_quick",
    "eval/dist_corr_comprehensive",
    "eval/dist_corr_quick",
    "eval/hamming_correlation",
    "eval/triplet_concordance",
    "eval/ultrametric_compliance",
    "eval/neighbour_valuation_consistency",
    "eval/intrinsic_dimension",
    *(f"eval/radius_v{level}" for level in range(10)),
]


def main() -> None:
    """Run all seeds, print a table, write the range of each figure beside them."""
    seeds = seed_study.train_seeds("v6", REPORTED, own=("seconds", "peak_rss_mb"))
    seed_study.write_results(__file__, {"seeds": seeds, "spread": seed_study.spread(seeds)})


if __name__ == "__main__":
    main()
