"""Seeds 0..4 of the base recipe, each a process of its own that compiles everything.

    python experiments/v5_5_base/run.py

Takes about two minutes on two CPU cores and writes ``results.json``.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parents[1]
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


def run(seed, folder):
    """Metrics of one seed and its seconds from process start to end."""
    command = [sys.executable, "-m", "tvae.main", "--config=configs/v5_5_base.py"]
    command.append("--config.report=False")
    flags = [f"--config.seed={seed}", f"--workdir={folder}/{seed}", "--compilation_cache=off"]
    start = time.perf_counter()
    subprocess.run(command + flags, cwd=REPOSITORY, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    final = json.loads(pathlib.Path(folder, str(seed), "metrics.json").read_text())
    return {"seconds": round(seconds, 1)} | {name: final[name] for name in REPORTED}


def main():
    """Run all seeds, print a table, write the worst of each figure beside them."""
    with tempfile.TemporaryDirectory() as folder:
        seeds = {seed: run(seed, folder) for seed in range(5)}
    worst = {name: min(row[name] for row in seeds.values()) for name in REPORTED}
    worst["seconds"] = max(row["seconds"] for row in seeds.values())
    for name in ["seconds", *REPORTED]:
        values = "".join(f"{row[name]:>10.5g}" for row in seeds.values())
        print(f"{name:<34}{values}   worst {worst[name]:.5g}")
    command = "python experiments/v5_5_base/run.py"
    results = {"command": command, "seeds": seeds, "worst": worst}
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
