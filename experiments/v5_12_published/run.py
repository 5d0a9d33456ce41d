"""Seeds 0..4 of the published config, with and without the zero-structure term.

    python experiments/v5_12_published/run.py [--base=DIR ...]

Each seed is measured from the means and, as the original measures, from posterior samples: every
second epoch up to 22 with the term, up to 40 without it. Takes about six minutes on two CPU cores
and writes ``results.json``. With ``--base``, which may be repeated: two seeds of
the config on each of these bases instead, added to ``results.json`` under ``bases``.
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

REPORTED = [
    "eval/coverage_mu_a",
    "eval/coverage_ball",
    "eval/hierarchy_a",
    "eval/hierarchy_b",
    "eval/richness_a",
    "eval/richness_b",
    "eval/q_quick_b",
    "eval/q_comprehensive_b",
]
CASES = {
    "published": (22, []),
    "without_zero_structure": (40, [f"--config.objective.zero_{side}.weight=0.0" for side in "ab"]),
}


def study(title: str, seeds: int, epochs: int, flags: list[str]) -> dict[int, dict[str, dict]]:
    """One case over seeds: its last evaluation, from samples and from the means."""
    found = {}
    for seed in range(seeds):
        given = [*flags, f"--config.seed={seed}", f"--config.epochs={epochs}"]
        run = seed_study.train("v5_12_published", *given)
        both = {"means": run.final, "samples": run.rows[-1]}
        found[seed] = {kind: {key: row[key] for key in REPORTED} for kind, row in both.items()}
    for kind in ("means", "samples"):
        rows = {seed: both[kind] for seed, both in found.items()}
        seed_study.print_seeds(f"{title}, {epochs} epochs, from {kind}", rows)
    return found


def main() -> None:
    """Run the study asked for and write everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", action="append", default=[], help="folder of a v5.5 checkpoint")
    bases = parser.parse_args().base
    output = pathlib.Path(__file__).parent / "results.json"
    results = json.loads(output.read_text()) if output.exists() else {}
    for base in bases:
        flags = [f"--config.base_checkpoint={base}"]
        row = study(f"base {base}", 2, CASES["published"][0], flags)
        results.setdefault("bases", {})[pathlib.Path(base).name] = row
    if not bases:
        for case, (epochs, flags) in CASES.items():
            results[case] = {"epochs": epochs, "seeds": study(case, 5, epochs, flags)}
    seed_study.write_results(__file__, results)


if __name__ == "__main__":
    main()
