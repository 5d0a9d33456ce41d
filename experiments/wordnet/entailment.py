"""Link prediction on WordNet's nouns: is one item above another? Published splits, three shares.

    python experiments/wordnet/entailment.py --splits=FOLDER --part=10

``FOLDER`` holds the splits of Ganea et al. (2018), ``vocab.gz``, ``train_*percent.gz``,
``valid.gz`` and ``valid_neg.gz``: numbers of parent and child. Trained are the basic edges and
0, 10 or 25 % of the other pairs of the closure. Half of the pairs of ``valid``, with 10 negatives
each, choose the rule, the other half gives F1; ``--models=FOLDER`` keeps the models, which score
further pairs: ``tvae evaluate --checkpoint=FOLDER/10 --pairs=FILE``.
"""

import argparse
import gzip
import json
import pathlib
import sys
import tempfile
import time

import jax
import numpy as np

import tvae
import tvae.config
from tvae.domains.hierarchy import link_prediction, readers
from tvae.domains.hierarchy.links import read_links
from tvae.domains.hierarchy.start import walk
from tvae.metrics.link_prediction import agreement

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

RESULTS = pathlib.Path(__file__).with_name("results.json")
ROOT = "entity.n.01"
"""Above the three roots of the basic edges; the vocabulary of the splits leaves it out."""
COMMAND = "python experiments/wordnet/entailment.py --splits=FOLDER"
CHANGES = {"learning_rate.peak": 0.04, "epochs": 10, "model.max_radius": 13.0,
           "data.positives": "edges", "evaluation.exact_up_to": 100}  # fmt: skip
ROWS = {
    "lorentz": {},
    "euclidean": {"model.geometry": "euclidean"},
    "unlearnt_are_negatives": {"data.negatives": "unlearnt"},
}
"""Geometry of the row; in the last one ancestors that are not learnt are to be far."""


def read_pairs(file):
    """Parent and child of each line, numbers ``(n, 2)``."""
    with gzip.open(file, "rt") as lines:
        return np.loadtxt(lines, dtype=np.int64)


def write_csv(file, names, pairs, label=None):
    """Pairs as a file of child, parent and label."""
    rows = [f"{names[child]},{names[parent]}" for parent, child in pairs]
    if label is not None:
        rows = [f"{row},{int(y)}" for row, y in zip(rows, label, strict=True)]
    heading = "child,parent" + (",label" if label is not None else "")
    file.write_text("\n".join([heading, *rows]) + "\n")


def prepare(splits, folder, percent):
    """Write the edges, the further training pairs and the labelled pairs as CSV files."""
    with gzip.open(splits / "vocab.gz", "rt") as lines:
        names = dict(line.split() for line in lines)
    names = {int(number): name for number, name in names.items()}
    basic = read_pairs(splits / "train_0percent.gz")
    write_csv(folder / "edges.csv", names, basic)
    roots = sorted(names.keys() - set(basic[:, 1].tolist()))
    with (folder / "edges.csv").open("a") as file:
        file.writelines(f"{names[root]},{ROOT}\n" for root in roots)
    given = read_pairs(splits / f"train_{percent}percent.gz")
    known = {tuple(pair) for pair in basic.tolist()}
    further = [pair for pair in given.tolist() if tuple(pair) not in known]
    if further:
        write_csv(folder / "pairs.csv", names, further)
    valid, negative = (read_pairs(splits / f"{name}.gz") for name in ("valid", "valid_neg"))
    label = np.repeat([True, False], [len(valid), len(negative)])
    write_csv(folder / "valid.csv", names, np.concatenate([valid, negative]), label)
    return bool(further)


def reachability(known, links):
    """F1 of the closure of the training edges themselves: what no embedding needs to find."""
    offset, ancestor = known.closure
    pair = np.repeat(np.arange(len(known)), np.diff(offset)) * len(known) + ancestor
    found = np.isin(links.item.astype(np.int64) * len(known) + links.ancestor, pair)
    return agreement(found, links.label).f1


def measure(splits, percent, row, models):
    """F1 of one training, its rule, and the CPU seconds of training and evaluation."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        has_pairs = prepare(splits, folder, percent)
        config = tvae.config.default("hierarchy")
        config.data.edges, config.evaluation.pairs = f"{folder}/edges.csv", f"{folder}/valid.csv"
        if has_pairs:
            config.data.pairs = f"{folder}/pairs.csv"
        config.update_from_flattened_dict(CHANGES | ROWS[row])
        config.evaluation.every_epochs = config.checkpoint.every_epochs = config.epochs
        start = time.process_time()
        model = tvae.train(config)
        seconds = time.process_time() - start
        if models and row == "lorentz":
            model.save(pathlib.Path(models, str(percent)))
        found = {
            name.removeprefix("eval/link_"): round(value, 4)
            for name, value in model.card["metrics"].items()
            if name.startswith("eval/link_")
        }
        found["cpu_seconds"] = round(seconds, 1)
        print(percent, row, found, flush=True)
        return found | {"untrained": baselines(folder)} if row == "lorentz" else found


def baselines(folder):
    """F1 of following the edges, and of the start along the tree without any training."""
    known = readers.read(folder / "edges.csv")
    links = read_links(folder / "valid.csv", known, labelled=True)
    points = walk(known, jax.random.key(0), 10, 0.3)
    start = link_prediction.measure("lorentz", points, links)
    return {
        "reachability_f1": round(reachability(known, links), 4),
        "start_f1": round(float(start["eval/link_f1"]), 4),
    }


def main():
    """Run the shares and write their rows beside those of the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", required=True, type=pathlib.Path)
    parser.add_argument("--part", choices=("0", "10", "25"), action="append", help="default: all")
    parser.add_argument("--row", choices=list(ROWS), action="append")
    parser.add_argument("--models", help="folder for the trained models")
    given = parser.parse_args()
    if not (given.splits / "valid_neg.gz").exists():
        sys.exit(f"skipped: {given.splits} holds no valid_neg.gz; see the docstring for the splits")
    for part in given.part or ("0", "10", "25"):
        for row in given.row or ROWS:
            found = measure(given.splits, int(part), row, given.models)
            results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            shares = results.get("entailment", {}) | {"command": COMMAND}
            share = shares.get(part, {})
            share |= found if row == "lorentz" else {row: found}
            seed_study.write_results(__file__, results | {"entailment": shares | {part: share}})


if __name__ == "__main__":
    main()
