"""Seeds 0..4 of the base config, each a process of its own that compiles everything.

    python experiments/v5_5_base/run.py

Takes about two minutes on two CPU cores and writes ``results.json``.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

REPORTED = [
    "eval/coverage_mu_a",
    "eval/coverage_mu_b",
    "eval/coverage_mu_test_a",
    "eval/coverage_mu_test_b",
    "eval/prior_coverage_195k_a",
    "eval/prior_coverage_195k_b",
    "eval/prior_coverage_argmax_50k_a",
    "eval/prior_coverage_argmax_50k_b",
]


def main() -> None:
    """Run all seeds, print a table, write the worst of each figure beside them."""
    seeds = seed_study.train_seeds("v5_5_base", REPORTED, own=("seconds",))
    ends = seed_study.spread(seeds)
    worst = {name: ends[name]["min"] for name in REPORTED} | {"seconds": ends["seconds"]["max"]}
    seed_study.write_results(__file__, {"seeds": seeds, "worst": worst})


if __name__ == "__main__":
    main()
