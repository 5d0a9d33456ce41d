"""Train the faithful v5.5 config and draw its trajectory beside the original's.

    python experiments/v5_5_reproduction/run.py

Takes about a minute on two CPU cores; writes ``results.json`` and ``trajectory.png``.
"""

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
    ("val/loss", "validation loss", "log"),
    ("train/kl_a", "KL of A (nats, free bits)", "log"),
    ("train/kl_b", "KL of B (nats, free bits)", "log"),
    ("eval/coverage_mu_a", "A exact from its own mean", "linear"),
    ("eval/coverage_mu_b", "B exact from its own mean", "linear"),
    ("eval/prior_coverage_195k_a", "A: distinct of 195k prior draws", "linear"),
]


def draw(rows, original):
    """Six panels, ours as a line and the original's figures as points."""
    figure, axes = plt.subplots(2, 3, figsize=(13, 7), sharex=True, layout="constrained")
    for axis, (name, title, scale) in zip(axes.flat, PANELS, strict=True):
        epochs = original["exact_epoch"] if "coverage_mu" in name else original["epoch"]
        axis.plot([row["epoch"] for row in rows], [row[name] for row in rows], label="this code")
        axis.plot(epochs, original[name], "o", ms=4, label="original")
        axis.set(title=title, yscale=scale, xlabel="epoch")
        axis.axvline(50, color="grey", lw=0.5)
    axes[0, 0].legend()
    figure.suptitle("v5.5: the KL weight of B is switched on at epoch 50")
    figure.savefig(HERE / "trajectory.png", dpi=90)


def summarise(rows):
    """The marks of the trajectory."""
    before, first = rows[:50], min(rows, key=lambda row: row["val/loss"])
    return {
        "epochs": len(rows),
        "val_loss_epoch_5": rows[5]["val/loss"],
        "best_val_loss": first["val/loss"],
        "best_epoch": first["epoch"],
        "largest_kl_b_before_50": max(row["train/kl_b"] for row in before),
        "train_loss_49": rows[49]["train/loss"],
        "train_loss_50": rows[50]["train/loss"],
        "exact_a_49": rows[49]["eval/coverage_mu_a"],
        "first_epoch_both_exact_from_mu": next(
            row["epoch"]
            for row in rows
            if row["eval/coverage_mu_a"] == row["eval/coverage_mu_b"] == 1.0
        ),
        "prior_coverage_195k_a_end": rows[-1]["eval/prior_coverage_195k_a"],
        "prior_coverage_195k_b_end": rows[-1]["eval/prior_coverage_195k_b"],
    }


def main():
    """Train, summarise, draw."""
    original = json.loads((HERE / "original.json").read_text())
    rows = seed_study.train("v5_5").rows
    marks = summarise(rows)
    for name, value in marks.items():
        print(f"{name:<28}{value:.6g}")
    kept = ["epoch", *(name for name, _, _ in PANELS), "train/loss"]
    trajectory = {name: [round(row[name], 6) for row in rows] for name in kept}
    seed_study.write_results(__file__, {"marks": marks, "trajectory": trajectory}, indent=None)
    draw(rows, original)


if __name__ == "__main__":
    main()
