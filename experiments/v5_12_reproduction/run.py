"""Train the published v5.12.4 config and draw its trajectory beside the original's.

    python experiments/v5_12_reproduction/run.py [--base=checkpoints/v5_5_faithful]

Takes about a minute on two CPU cores; writes ``results.json`` and ``trajectory.png``. ``--base`` is
the frozen autoencoder to start from: the shipped one, or one converted from the original.
"""

import argparse
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

HERE = pathlib.Path(__file__).parent
PANELS = [
    ("hierarchy_b", "hierarchy of B"),
    ("hierarchy_a", "hierarchy of A"),
    ("q_quick_b", "quick Q of B"),
    ("richness_a", "richness of A"),
    ("richness_b", "richness of B"),
    ("radius_v0_a", "mean radius of valuation 0, A"),
]


def draw(rows, original):
    """Six panels: ours as a line, the original's run as points, its published figures as stars."""
    figure, axes = plt.subplots(2, 3, figsize=(13, 7), sharex=True, layout="constrained")
    epochs = [row["epoch"] for row in rows]
    published = original["published"]
    for axis, (name, title) in zip(axes.flat, PANELS, strict=True):
        axis.plot(epochs, [row[f"eval/{name}"] for row in rows], label="this code")
        axis.plot(original["epoch"], original[name], "o", ms=3, label="original, run again")
        if name in published:
            axis.plot(published["epoch"], published[name], "k*", ms=10, label="original, published")
        axis.set(title=title, xlabel="epoch")
        axis.axvline(30, color="grey", lw=0.5)
    axes[0, 0].legend()
    figure.suptitle("v5.12.4 as published, from posterior samples; phase 2 begins at epoch 30")
    figure.savefig(HERE / "trajectory.png", dpi=80)


def main():
    """Train, draw, write the trajectory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="checkpoints/v5_5_faithful")
    arguments = parser.parse_args()
    original = json.loads((HERE / "original.json").read_text())
    run = seed_study.train("v5_12_published", f"--config.base_checkpoint={arguments.base}")
    rows = [row for row in run.rows if "eval/hierarchy_b" in row]
    draw(rows, original)
    kept = [f"eval/{name}" for name, _ in PANELS]
    kept += ["train/loss", "gate/encoder_a", "gate/encoder_b", "eval/coverage_mu_a"]
    trajectory = {name: [round(row[name], 5) for row in rows] for name in ["epoch", *kept]}
    seed_study.write_results(__file__, {"trajectory": trajectory}, indent=None)
    print("epoch " + " ".join(f"{name:>12}" for name, _ in PANELS))
    for row in rows:
        print(f"{row['epoch']:>5} " + " ".join(f"{row[f'eval/{n}']:>12.4f}" for n, _ in PANELS))


if __name__ == "__main__":
    main()
