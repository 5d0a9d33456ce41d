"""What richness and tree fidelity cost: short runs of the v6 config with one or two fields changed.

    python experiments/frontier/run.py [--draw]

Takes about four minutes on two CPU cores and writes ``results.json`` and ``frontier.png``; with
``--draw`` only the picture, from ``results.json``.
"""

import argparse
import json
import pathlib
import sys

import matplotlib as mpl

import tvae
import tvae.config
from tvae.domains.operations import bands

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

HERE = pathlib.Path(__file__).parent
EPOCHS = 20
REPORTED = [
    "coverage_ball",
    "hierarchy",
    "richness",
    "tree_fidelity",
    "dist_corr_comprehensive",
    "q_comprehensive",
]

# Spread inside a level: first up to the bands' ends, then past them into the neighbours.
GAPS = [(0, 0.05), (0.35, 0.05), (0.7, 0.05), (0.9, 0), (0.95, -0.05), (0.95, -0.2), (1.0, -0.3)]
GAP, MARGIN = "objective.radius.gap", "objective.radius.margin"
SPREAD = [{GAP: float(gap), MARGIN: float(margin)} for gap, margin in GAPS]
# The same lengths pulled by the tree and by the level gaps: which correlation gives way?
TREES = [(0.0, 10.0), (0.3, 10.0), (3.0, 10.0), (30.0, 10.0), (30.0, 1.0), (30.0, 0.0)]
TREE, CHORD = "objective.tree.weight", "objective.chord.weight"
PULL = [{TREE: tree, CHORD: chord} for tree, chord in TREES]

LARGEST_RICHNESS = bands.richness_floor(outer=3.56, inner=0.05, gap=1.0)

# The original's checkpoint analysis, encoder B unless said otherwise; radii by their file's unit.
PUBLISHED = {
    "v5_12 best_Q": (-0.8288, 0.00102),
    "v5_12_4 best_Q": (-0.8169, 0.00315),
    "v5_12_3 best_Q": (-0.8128, 0.00398),
    "homeostatic_rich (A)": (-0.6944, 0.0066),
    "max_hierarchy (A)": (-0.8298, 2.6e-4),
    "README's claim": (-0.8321, 0.00787),
}


def measure(changes: dict[str, float]) -> dict[str, float]:
    """Train with some fields changed and measure the embedding."""
    config = tvae.config.read_file(seed_study.REPOSITORY / "configs" / "v6.py")
    config.epochs = EPOCHS
    config.learning_rate.warmup_epochs = 0.05 * EPOCHS
    config.update_from_flattened_dict(changes)
    metrics = tvae.train(config).card["metrics"]
    row = changes | {name: round(metrics[f"eval/{name}"], 6) for name in REPORTED}
    print(json.dumps(row))
    return row


def annotate(axes, name, point, spot):
    """A name beside a point; ``spot`` is where, in points, with a thin line if that is far."""
    axes.annotate(
        name,
        point,
        xytext=spot,
        textcoords="offset points",
        fontsize=8,
        ha="right" if spot[0] < 0 else "left",
        va="center",
        arrowprops={"arrowstyle": "-", "lw": 0.4, "color": "grey", "shrinkA": 0, "shrinkB": 3},
    )


def draw(rows):
    """Both frontiers, with the published points on the first."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    spread = rows["spread"]
    line = [[-row["hierarchy"], row["richness"]] for row in spread]
    left.plot(*zip(*line, strict=True), "o-", label="v6, 20 epochs")
    # Four points lie together at the ceiling: their names are drawn apart.
    spots = [(10, 0), (10, 0), (10, 0), (10, -11), (10, 4), (-8, -11), (8, 9)]
    for row, point, spot in zip(spread, line, spots, strict=True):
        annotate(left, f"{row[GAP]:g}, {row[MARGIN]:g}", point, spot)
    for name, (hierarchy, richness) in PUBLISHED.items():
        left.plot(-hierarchy, richness, "x", label=name)
    left.axvline(0.83205, color="grey", lw=0.5)
    left.axhline(LARGEST_RICHNESS, color="grey", lw=0.5)
    left.set(
        title="spread inside the levels (gap, margin)",
        xlabel="|hierarchy|, ceiling 0.83205",
        ylabel=f"richness; {LARGEST_RICHNESS:.4f} fills the bands",
        yscale="log",
        xlim=(0.645, 0.87),
    )
    left.legend(fontsize=8, loc="lower left")
    for key, label in (("spread", "spread inside the levels"), ("pull", "tree and chord weights")):
        line = [[row["tree_fidelity"], row["dist_corr_comprehensive"]] for row in rows[key]]
        right.plot(*zip(*line, strict=True), "o-", label=label)
    spots = [(0, -12), (0, -12), (-14, -22), (10, 8), (-10, 0), (-10, 0)]
    for row, spot in zip(rows["pull"], spots, strict=True):
        name = f"{row[TREE]:g}, {row[CHORD]:g}"
        annotate(right, name, (row["tree_fidelity"], row["dist_corr_comprehensive"]), spot)
    right.axvline(0.83202, color="grey", lw=0.5)
    right.axhline(0.91461, color="grey", lw=0.5)
    right.set(
        title="pull of the pairs (weights of tree, chord)",
        xlabel="tree fidelity, ceiling 0.83202",
        ylabel="dist_corr_comprehensive, ceiling 0.9146",
        xlim=(0.5, 0.88),
    )
    right.legend(fontsize=8, loc="lower left")
    figure.savefig(HERE / "frontier.png", dpi=90)


def main():
    """Sweep, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", action="store_true", help="draw results.json again")
    if parser.parse_args().draw:
        draw(json.loads((HERE / "results.json").read_text()))
        return
    rows = {
        name: [measure(changes) for changes in sweep]
        for name, sweep in (("spread", SPREAD), ("pull", PULL))
    }
    seed_study.write_results(__file__, {"epochs": EPOCHS} | rows)
    draw(rows)


if __name__ == "__main__":
    main()
