"""Training runs with random configurations: none may end non-finite without saying so.

    python experiments/v5_12_robustness/run.py [--runs=200] [--resume]

Each run draws every field of the task but sizes from its documented range, trains a tiny model for
two epochs through ``tvae.train`` and ends in one of two ways: finite, or stopped by the loop with
the metric that diverged. Anything else fails. Draws whose fields do not go together are refused by
name before the run and drawn again. Takes 45 minutes on two CPU cores, most of it compilation, and
writes ``results.json``.
"""

import argparse
import collections
import json
import math
import multiprocessing
import os
import pathlib
import tempfile

# Each program runs for a second: compiling it well would take longer. Read when JAX starts.
os.environ["XLA_FLAGS"] = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import numpy as np

import tvae
from tvae import config as config_lib
from tvae.errors import UserError

HERE = pathlib.Path(__file__).parent
# What decides how long a run takes, and not whether it is finite.
FIXED = {
    "base_checkpoint": "",
    "report": False,
    "epochs": 2,
    "log_every_epochs": 1,
    "checkpoint.every_epochs": 2,
    "evaluation.every_epochs": 2,
    "evaluation.sampled": False,
    "model.encoder_widths": (16,),
    "model.decoder_widths": (16,),
    "model.projection_width": 8,
}
# Sizes, of which few are enough.
SIZES = {
    "data.batch_size": (512, 2048, 8192),
    "model.latent_dim": (1, 2, 16),
    "model.projection_layers": (1, 2),
} | {
    f"objective.{name}_{side}.pairs": (0, 1, 2000)
    for name in ("radial", "rank", "geodesic")
    for side in "ab"
}
MORE_WHOLE, MORE = 20, (1e-3, 1e2)  # above a lower bound where there is no upper one


def draw_field(rng, default, check):
    """A value of a field, uniform in its range; log-uniform where there is no upper bound."""
    if isinstance(default, bool):
        return bool(rng.integers(2))
    if check.choices:
        return str(rng.choice(check.choices))
    if check.low is None or check.several:
        return default
    if isinstance(default, int):
        low = int(check.low) + check.low_excluded
        high = low + MORE_WHOLE if check.high is None else int(check.high)
        return int(rng.integers(low, high + 1))
    if check.high is None:
        return check.low + math.exp(rng.uniform(*map(math.log, MORE)))
    return rng.uniform(check.low, check.high)


def draw(rng):
    """A configuration of tiny networks, every other field anywhere in its documented range.

    Returns:
      The first that is accepted, and how many were refused before it, for fields that do not go
      together.
    """
    known = dict(config_lib.leaves(config_lib.default("projected_vae")))
    table = config_lib.fields("projected_vae")
    for refused in range(1000):
        fields = {
            path: draw_field(rng, default, table[path].check)
            for path, default in known.items()
            if path in table and path != "task"  # names of terms and sides stay
        }
        fields |= {name: options[rng.integers(len(options))] for name, options in SIZES.items()}
        config = config_lib.default("projected_vae")
        config.update_from_flattened_dict(fields | FIXED)
        try:
            config_lib.validate(config)
        except UserError:
            continue
        return config, refused
    raise RuntimeError("expected a configuration that is accepted among 1000")


def outcome(config, folder):
    """How a run ends, and the line that says so."""
    try:
        final = tvae.train(config, folder).card["metrics"]
    except UserError as error:
        return "stopped", str(error).replace(str(folder), "WORKDIR")
    numbers = [v for v in final.values() if isinstance(v, float)]
    return ("finite" if all(map(math.isfinite, numbers)) else "non-finite"), ""


def run(seed):
    """One run: its seed, draws that were refused before it, how it ended, what it said."""
    config, refused = draw(np.random.default_rng(seed))
    with tempfile.TemporaryDirectory() as folder:
        return seed, refused, *outcome(config, pathlib.Path(folder))


def main():
    """Run all, count the ways they end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="go on from results.json")
    arguments = parser.parse_args()
    output = HERE / "results.json"
    before = json.loads(output.read_text()) if arguments.resume else {}
    first = before.get("runs", 0)
    counts, lines = collections.Counter(before.get("counts")), before.get("stopped", [])
    redrawn = before.get("refused_draws", 0)
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        rest = pool.imap(run, range(first, arguments.runs))
        for done, (seed, refused, kind, line) in enumerate(rest, start=first + 1):
            counts[kind] += 1
            redrawn += refused
            if line:
                lines.append({"run": seed, "said": line})
            print(f"{seed} {kind} {line}", flush=True)
            results = {
                "command": f"python experiments/v5_12_robustness/run.py --runs={arguments.runs}",
                "runs": done,
                "counts": counts,
                "refused_draws": redrawn,
                "stopped": lines,
            }
            # After every run: what was done counts, even if the rest is not waited for.
            output.write_text(json.dumps(results, indent=2) + "\n")
            if kind == "non-finite":
                raise SystemExit(f"run {seed} ended non-finite without an error")


if __name__ == "__main__":
    main()
