"""Seeds 0..2 of the two v5.11 recipes.

    python experiments/v5_11/run.py

Each seed is a process of its own, measured from the means by its final table. Takes about three
minutes on two CPU cores and writes ``results.json``.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parents[1]
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


def run(name, seed, folder):
    """The final metrics of one run."""
    command = [sys.executable, "-m", "tvae.main", f"--config=configs/{name}.py"]
    flags = [f"--config.seed={seed}", "--config.report=False", f"--workdir={folder}"]
    subprocess.run(command + flags, cwd=REPOSITORY, check=True, capture_output=True)
    final = json.loads(pathlib.Path(folder, "metrics.json").read_text())
    return {key: final[key] for key in REPORTED}


def main():
    """Run all, print ranges over seeds, write everything."""
    results = {"command": "python experiments/v5_11/run.py"}
    for name in ("v5_11", "v5_11_homeostatic"):
        with tempfile.TemporaryDirectory() as folder:
            results[name] = {seed: run(name, seed, f"{folder}/{seed}") for seed in range(3)}
        print(name)
        for key in REPORTED:
            values = [row[key] for row in results[name].values()]
            print(f"  {key:<24}{min(values):>10.5f} .. {max(values):.5f}")
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
