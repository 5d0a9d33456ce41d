"""Epochs and memory of this commit against another, measured in turn.

    python experiments/benchmark/compare.py --against=688da24 [--repeats=5] [--json=FILE]

Each repeat runs both commits one after the other for each config, every one in a process of its
own. Figures are medians and the ratio after/before of each pair; the machine's speed drifts less
within a pair than between two runs of the benchmark.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).parents[2]
CONFIGS = {"v5_5": 15, "v5_12_published": 15, "v6": 8}
"""Config -> epochs that are timed after two for warming up."""

# Both layouts of the library: engine functions take the traced fields since 0.2.
CHILD = """
import json, resource, runpy, statistics, sys, time
import jax
name, epochs = sys.argv[1], int(sys.argv[2])
config = runpy.run_path(f"configs/{name}.py")["get_config"]()
try:
    from tvae import config as config_lib
    from tvae.domains import registry
    engine, extra = registry.make_engine(config), (config_lib.hparams(config),)
except ImportError:
    from tvae.tasks import registry
    from tvae.training import optim, step
    settings = optim.OptimizerSettings(**config.optimizer.to_dict())
    engine, extra = step.make_engine(registry.make_task(config), settings), ()
key = jax.random.key(0)
state = engine.init(key, *extra)
seconds = []
for _ in range(epochs + 2):
    start = time.perf_counter()
    state, _ = engine.train_epoch(state, key, *extra)
    jax.block_until_ready(state)
    seconds.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"epoch_s": statistics.median(seconds[2:]), "peak_rss_mb": peak}))
"""


def measure(root, name):
    """Median epoch and peak memory of a config in a checkout."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, name, str(CONFIGS[name])],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def summary(pairs):
    """Medians of both sides and of the ratio of each pair."""
    result = {}
    for key in ("epoch_s", "peak_rss_mb"):
        ratios = [after[key] / before[key] for before, after in pairs]
        result[key] = {
            "before": statistics.median(before[key] for before, _ in pairs),
            "after": statistics.median(after[key] for _, after in pairs),
            "ratio": statistics.median(ratios),
            "ratios": sorted(ratios),
        }
    return result


def main():
    """Compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", required=True, help="commit to compare with")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        other = pathlib.Path(folder) / "before"
        git = ["git", "-C", str(REPOSITORY), "worktree"]
        subprocess.run([*git, "add", "--detach", str(other), options.against], check=True)
        try:
            results = {}
            for name in CONFIGS:
                pairs = []
                for i in range(options.repeats):
                    pairs.append([measure(root, name) for root in (other, REPOSITORY)])
                    ratio = pairs[-1][1]["epoch_s"] / pairs[-1][0]["epoch_s"]
                    print(f"{name} {i + 1}/{options.repeats}: epoch after/before {ratio:.3f}")
                results[name] = summary(pairs)
        finally:
            subprocess.run([*git, "remove", "--force", str(other)], check=True)
    print(json.dumps(results, indent=2))
    if options.json:
        record = {"command": " ".join(["python", *sys.argv]), "results": results}
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
