"""Seed 0 of v6 and v5_12_4 with the Python and the packages that run this script.

    python experiments/versions/run.py

Adds this environment to ``results.json``, beside those of other versions of Python, and prints
which figures lie outside the five seeds of ``experiments/v6`` and ``experiments/v5_12_4``.
Takes about two minutes on two CPU cores.
"""

import json
import pathlib
import platform
import sys
from importlib import metadata

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "numpy")
REPORTED = {
    "v6": (
        "eval/coverage_ball",
        "eval/hierarchy",
        "eval/richness",
        "eval/tree_fidelity",
        "eval/q_comprehensive",
        "eval/q_quick",
    ),
    "v5_12_4": (
        "eval/coverage_ball",
        "eval/coverage_mu_a",
        "eval/hierarchy_b",
        "eval/richness_b",
        "eval/tree_fidelity_b",
        "eval/q_comprehensive_b",
        "eval/q_quick_b",
    ),
}


def measure(config: str) -> dict[str, float]:
    """Train, and print each figure beside the range of the five seeds."""
    stored = seed_study.REPOSITORY / "experiments" / config / "results.json"
    seeds = json.loads(stored.read_text())["seeds"].values()
    final = seed_study.train(config, "--config.seed=0").final
    for name in REPORTED[config]:
        low, high = (choose(seed[name] for seed in seeds) for choose in (min, max))
        place = "inside" if low <= final[name] <= high else "OUTSIDE"
        print(f"{config:<8} {name:<24} {final[name]:>10.6g}  {place} {low:.6g} .. {high:.6g}")
    return {name: final[name] for name in REPORTED[config]}


def main() -> None:
    """Measure, and keep what other versions of Python measured."""
    path = pathlib.Path(__file__).with_name("results.json")
    known = json.loads(path.read_text())["environments"] if path.exists() else {}
    python = "{}.{}".format(*sys.version_info)
    known[python] = {
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in PACKAGES},
        **{config: measure(config) for config in REPORTED},
    }
    seed_study.write_results(__file__, {"environments": dict(sorted(known.items()))})


if __name__ == "__main__":
    main()
