"""Training runs with random configurations: none may end non-finite without saying so.

    python experiments/v5_12_robustness/run.py [--runs=200] [--resume]

Each run draws every numeric field of the task from its documented range, trains a tiny model for
two epochs through the public loop and ends in one of three ways: finite, refused by name before it
starts, or stopped by the loop with the metric that diverged. Anything else fails. Takes about an
hour on two CPU cores, most of it compilation, and writes ``results.json``.
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

from tvae import config as config_lib
from tvae.tasks import registry
from tvae.training import loop
from tvae.types import UserError

HERE = pathlib.Path(__file__).parent
# Fields drawn log-uniformly from these ranges.
RANGES = {
    "optimizer.weight_decay": (1e-6, 1e-1),
    "optimizer.grad_clip": (1e-2, 1e2),
    "learning_rate.peak": (1e-5, 1e-1),
    "model.curvature": (1e-2, 1e2),
    "model.posterior_noise": (1e-2, 3.0),
    "groups.encoder_a_rate": (1e-3, 10.0),
    "groups.encoder_b_rate": (1e-3, 10.0),
    "groups.decoder_rate": (1e-3, 10.0),
    "loss.coverage_weight": (1e-2, 1e2),
    "loss.hierarchy_weight": (1e-2, 1e2),
    "loss.richness_weight": (1e-2, 1e2),
    "loss.richness_spread": (1e-2, 2.0),
    "loss.separation_weight": (1e-2, 1e2),
    "loss.radial_weight": (1e-2, 1e2),
    "loss.margin_weight": (1e-2, 1e1),
    "loss.rank_weight": (1e-2, 1e2),
    "loss.rank_temperature": (1e-3, 1e1),
    "loss.geodesic_weight": (1e-2, 1e2),
    "loss.geodesic_max_distance": (1e-2, 1e2),
    "loss.zero_weight": (1e-2, 1e2),
    "loss.monotonic_weight": (1e-2, 1e2),
    "loss.stratification_weight": (1e-2, 1e2),
}
CHOICES = {
    "data.batch_size": (512, 2048, 8192),
    "model.latent_dim": (1, 2, 16),
    "model.encoder": ("plain", "improved"),
    "model.decoder": ("plain", "improved"),
    "model.decode": ("ball", "latent"),
    "model.projection": ("single", "dual", "shared_direction"),
    "model.projection_layers": (1, 2),
    "model.projection_dropout": (0.0, 0.1, 0.9),
    "model.max_norm": (0.01, 0.5, 0.95, 0.999),
    "model.learnable_curvature": (False, True),
    "model.controller": (False, True),
    "groups.encoder_a": ("frozen", "tuned", "gated", "trained"),
    "groups.encoder_b": ("frozen", "gated", "trained"),
    "groups.decoder": ("frozen", "tuned", "trained"),
    "loss.radius_unit": ("hyperbolic", "euclidean"),
    "loss.inner_radius": (0.0, 0.08, 0.5),
    "loss.outer_radius": (0.6, 0.9, 0.999),
    "loss.margin_pairs": (1, 1000),
    "loss.rank_pairs": (1, 2000),
    "loss.geodesic_pairs": (1, 2000),
    "loss.geodesic_start": (0, 1),
    "homeostasis.corrected": (False, True),
    "homeostasis.reset_moments": (False, True),
    "model.translated": (False, True),
    "optimizer.kind": ("adamw", "adam_l2", "riemannian_adam"),
}


def draw(rng):
    """A configuration of tiny networks with random values everywhere else."""
    config = config_lib.default("ternary_vae")
    fields = {name: math.exp(rng.uniform(*map(math.log, r))) for name, r in RANGES.items()}
    fields |= {name: options[rng.integers(len(options))] for name, options in CHOICES.items()}
    fields |= {
        "base_checkpoint": "",
        "seed": int(rng.integers(2**31)),
        "epochs": 2,
        "log_every_epochs": 1,
        "evaluation.every_epochs": 2,
        "groups.tuning_epochs": 1,
        "model.encoder_widths": (16,),
        "model.decoder_widths": (16,),
        "model.projection_width": 8,
    }
    config.update_from_flattened_dict(fields)
    if config.optimizer.kind == "riemannian_adam":  # refused without these two
        config.model.translated, config.model.learnable_curvature = True, False
    return config


def outcome(config, folder):
    """How a run ends, and the line that says so."""
    try:
        config_lib.validate(config)
    except UserError as error:
        return "refused", str(error)
    try:
        final = loop.train(config, registry.make_task(config), folder)
    except UserError as error:
        return "stopped", str(error)
    numbers = [v for v in final.values() if isinstance(v, float)]
    return ("finite" if all(map(math.isfinite, numbers)) else "non-finite"), ""


def run(seed):
    """One run: its seed, how it ended, and the line that says so."""
    with tempfile.TemporaryDirectory() as folder:
        return seed, *outcome(draw(np.random.default_rng(seed)), pathlib.Path(folder))


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
    counts, lines = collections.Counter(before.get("counts")), before.get("errors", {})
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        rest = pool.imap(run, range(first, arguments.runs))
        for done, (seed, kind, line) in enumerate(rest, start=first + 1):
            counts[kind] += 1
            if line:
                lines[seed] = line
            print(f"{seed} {kind} {line}", flush=True)
            results = {
                "command": f"python experiments/v5_12_robustness/run.py --runs={arguments.runs}",
                "runs": done,
                "counts": counts,
                "errors": lines,
            }
            # After every run: what was done counts, even if the rest is not waited for.
            output.write_text(json.dumps(results, indent=2) + "\n")
            if kind == "non-finite":
                raise SystemExit(f"run {seed} ended non-finite without an error")


if __name__ == "__main__":
    main()
