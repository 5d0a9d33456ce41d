"""Seeds 0..2 of the two v5.11 configs.

    python experiments/v5_11/run.py

Each seed is a process of its own, measured from the means by its final table. Takes about three
minutes on two CPU cores and writes ``results.json``.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

REPORTED = [
    "eval/coverage_mu_a",
    "eval/hierarchy_a",
    "eval/hierarchy_b",
    "eval/richness_a",
    "eval/richness_b",
    "eval/tree_fidelity_a",
    "eval/tree_fidelity_b",
    "eval/q_quick_b",
]


def main() -> None:
    """Run all, print ranges over seeds, write everything."""
    names = ("v5_11", "v5_11_homeostatic")
    seeds = {name: seed_study.train_seeds(name, REPORTED, seeds=3, cold=False) for name in names}
    seed_study.write_results(__file__, seeds)


if __name__ == "__main__":
    main()
