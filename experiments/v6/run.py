"""Seeds 0..4 of the v6 recipe, each a process of its own that compiles everything.

    python experiments/v6/run.py

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

# Runs a command as a child and prints the child's peak memory; a process of its own, because the
# figure is the maximum over all children so far.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def run(seed, folder):
    """Metrics of one seed, its seconds from process start to end, its peak memory in MB."""
    command = [sys.executable, "-m", "tvae.main", "--config=configs/v6.py"]
    command.append("--config.report=False")
    flags = [f"--config.seed={seed}", f"--workdir={folder}/{seed}", "--compilation_cache=off"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *command, *flags],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds = time.perf_counter() - start
    final = json.loads(pathlib.Path(folder, str(seed), "metrics.json").read_text())
    own = {"seconds": round(seconds, 1), "peak_rss_mb": round(float(done.stdout))}
    return own | {name: final[name] for name in REPORTED}


def main():
    """Run all seeds, print a table, write the range of each figure beside them."""
    with tempfile.TemporaryDirectory() as folder:
        seeds = {seed: run(seed, folder) for seed in range(5)}
    names = ["seconds", "peak_rss_mb", *REPORTED]
    spread = {
        name: {"min": min(values), "max": max(values)}
        for name in names
        for values in [[row[name] for row in seeds.values()]]
    }
    for name in names:
        values = "".join(f"{row[name]:>10.5g}" for row in seeds.values())
        print(f"{name:<40}{values}")
    results = {"command": "python experiments/v6/run.py", "seeds": seeds, "spread": spread}
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
