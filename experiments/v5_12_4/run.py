"""Seeds 0..4 of the default config, each a process of its own that compiles everything.

    python experiments/v5_12_4/run.py

Takes about four minutes on two CPU cores and writes ``results.json``.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

# Measure, and which end of the five is the worst.
REPORTED = {
    "eval/coverage_ball": "min",
    "eval/coverage_mu_a": "min",
    "eval/hierarchy_a": "max",
    "eval/hierarchy_b": "max",
    "eval/richness_a": "min",
    "eval/richness_b": "min",
    "eval/q_quick_b": "min",
    "eval/q_comprehensive_b": "min",
    "eval/tree_fidelity_a": "min",
    "eval/tree_fidelity_b": "min",
}


def main() -> None:
    """Run all seeds, print a table, write the worst of each figure beside them."""
    seeds = seed_study.train_seeds("v5_12_4", REPORTED, own=("seconds",))
    ends = seed_study.spread(seeds)
    worst = {name: ends[name][end] for name, end in ({"seconds": "max"} | REPORTED).items()}
    seed_study.write_results(__file__, {"seeds": seeds, "worst": worst})


if __name__ == "__main__":
    main()
