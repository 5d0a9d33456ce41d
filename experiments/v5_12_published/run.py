"""Seeds 0..4 of the published recipe, with and without the zero-structure term.

    python experiments/v5_12_published/run.py

Each seed is measured from the means and, as the original measures, from posterior samples: every
second epoch up to 22 with the term, up to 40 without it. Takes about six minutes on two CPU cores
and writes ``results.json``.
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
    "eval/coverage_ball",
    "eval/hierarchy_a",
    "eval/hierarchy_b",
    "eval/richness_a",
    "eval/richness_b",
    "eval/q_quick_b",
    "eval/q_comprehensive_b",
]
CASES = {"published": (22, []), "without_zero_structure": (40, ["--config.loss.zero_weight=0.0"])}


def run(seed, epochs, flags, folder):
    """The last evaluation of a run, from samples and from the means."""
    command = [sys.executable, "-m", "tvae.main", "--config=configs/v5_12_published.py"]
    command.append("--config.report=False")
    flags = [*flags, f"--config.seed={seed}", f"--config.epochs={epochs}", f"--workdir={folder}"]
    subprocess.run(command + flags, cwd=REPOSITORY, check=True, capture_output=True)
    sampled = json.loads(pathlib.Path(folder, "metrics.jsonl").read_text().splitlines()[-1])
    final = json.loads(pathlib.Path(folder, "metrics.json").read_text())
    both = {"means": final, "samples": sampled}
    return {kind: {name: row[name] for name in REPORTED} for kind, row in both.items()}


def main():
    """Run all, print ranges over seeds, write everything."""
    results = {"command": "python experiments/v5_12_published/run.py"}
    for case, (epochs, flags) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            seeds = {s: run(s, epochs, flags, f"{folder}/{s}") for s in range(5)}
        results[case] = {"epochs": epochs, "seeds": seeds}
        for kind in ("means", "samples"):
            print(f"{case}, {epochs} epochs, from {kind}")
            for name in REPORTED:
                values = [row[kind][name] for row in seeds.values()]
                print(f"  {name:<26}{min(values):>10.5f} .. {max(values):.5f}")
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
