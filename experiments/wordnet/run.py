"""WordNet's nouns and mammals as tables of points: hyperbolic and Euclidean, same code and budget.

    python experiments/wordnet/run.py --data=FOLDER --part=mammals_5d

``FOLDER`` holds ``data.noun`` and ``index.noun`` of WordNet 3.0, as in Debian's package
``wordnet-base`` (``apt-get download wordnet-base``, then ``dpkg-deb -x``). Each part writes its
rows into ``results.json``: the mammals five seeds of ten seconds, the nouns one seed of one to five
minutes on two cores, for each geometry. Figures are exact, of all nodes and the whole closure,
but for the Euclidean nouns. Link prediction has a script of its own, entailment.py.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

import tvae
import tvae.config
from tvae.engine.loop import Control, Phase

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

RESULTS = pathlib.Path(__file__).with_name("results.json")
NOUNS = {"learning_rate.peak": 0.04, "epochs": 190, "model.max_radius": 13.0}
PARTS = {
    "mammals_5d": ({"data.root": "mammal.n.01", "model.latent_dim": 5}, range(5)),
    "nouns_10d": ({**NOUNS, "epochs": 500, "model.latent_dim": 10}, range(1)),
    "nouns_5d": ({**NOUNS, "model.latent_dim": 5}, range(1)),
    "nouns_2d": ({**NOUNS, "model.latent_dim": 2}, range(1)),
}
_FLAT = {"model.geometry": "euclidean"}
EUCLIDEAN = {part: _FLAT | {"learning_rate.peak": 0.1} for part in PARTS if "nouns" in part}
EUCLIDEAN["mammals_5d"] = _FLAT
"""Changes of the Euclidean rows; all else, the start along the tree and the steps included, is the
same. The rate of the nouns was the better one of .1 and .4 in 30 epochs."""


def measure(data, seed, changes):
    """Exact figures of one run, and its CPU seconds without reading and the final evaluation."""
    config = tvae.config.default("hierarchy")
    config.data.edges, config.seed = data, seed
    config.update_from_flattened_dict(changes)
    config.evaluation.every_epochs = config.checkpoint.every_epochs = config.epochs
    at = {}

    def between(phase):
        at.setdefault(phase, time.process_time())
        at[Phase.FINAL] = time.process_time()

    def progress(done, of, metrics):
        if done % 10 == 0:
            print(f"{done}/{of} {float(metrics.get('train/loss', 0)):.4f}", flush=True)

    metrics = tvae.train(config, control=Control(between=between, progress=progress)).card[
        "metrics"
    ]
    row = {name: round(metrics[f"eval/{name}"], 4) for name in ("mean_rank", "map")}
    row["cpu_seconds"] = round(at[Phase.FINAL] - at[Phase.START], 1)
    print(row, flush=True)
    return row


def study(data, part, geometry):
    """Median figures over the seeds of a part, and each seed's."""
    changes, seeds = PARTS[part]
    if geometry == "euclidean":
        changes = {**changes, **EUCLIDEAN[part]}
    rows = [measure(data, seed, changes) for seed in seeds]
    median = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    return median | {"seeds": rows, "changes": changes}


def main():
    """Run a part and write its rows beside those of the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder of WordNet's dictionary files")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--geometry", choices=("lorentz", "euclidean"), action="append")
    given = parser.parse_args()
    if not pathlib.Path(given.data, "data.noun").exists():
        sys.exit(f"skipped: {given.data} holds no data.noun; see the docstring for its package")
    for part in given.part or PARTS:
        for geometry in given.geometry or ("lorentz", "euclidean"):
            found = study(given.data, part, geometry)
            results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            row = results.get(part, {})
            row |= {"euclidean": found} if geometry == "euclidean" else found
            seed_study.write_results(__file__, results | {part: row})


if __name__ == "__main__":
    main()
