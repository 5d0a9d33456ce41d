"""Places of new ICD-10-CM codes from their texts: whole level-4 subtrees are held out.

    python experiments/icd10/run.py

A tenth of the 10,096 subtrees of level 4 is held out whole, about 4,200 codes. From the text alone
their chapter, section and category are predicted; hF1 is the share of right ones. Each row is run
on three splits, about a minute of CPU time each; ``--row`` and ``--split`` choose some. Needs the
package ``simple-icd-10-cm``, and scikit-learn for one of the baselines.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

import tvae
import tvae.config
from tvae.domains.hierarchy_vae.study import make_study
from tvae.engine.loop import Control, Phase

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import codes
import linear
import seed_study

RESULTS = pathlib.Path(__file__).with_name("results.json")
LEVELS = ("chapter", "section", "category")
SPLITS = (0, 1, 2)
CHANGES = {
    "model.inputs": "features",
    "model.lineage_levels": 3,
    "model.direct": True,
    "model.latent_dim": 10,
    "model.max_radius": 10.0,
    "model.bag_width": 128,
    "model.encoder_widths": (128,),
    "model.decoder_widths": (128,),
    "model.token_dropout": 0.4,
    "data.held_out_level": 4,
    "data.held_out_share": 0.1,
    "data.block": 4,
    "data.blocks": 128,
    "objective.path.weight": 0.0,
    "objective.siblings.weight": 0.0,
    "data.tokens": 64,
    "evaluation.distances": False,
    "learning_rate.peak": 3e-3,
    "epochs": 4,
}
ROWS = {
    "hyperbolic": {"model.geometry": "lorentz"},
    "euclidean": {"model.geometry": "euclidean"},
    "hyperbolic_point_alone": {"model.geometry": "lorentz", "model.direct": False},
    "euclidean_point_alone": {"model.geometry": "euclidean", "model.direct": False},
}
"""VAEs; without ``model.direct`` the ten numbers of the point decide alone."""
BASELINES = ("linear_heads", "linear_category_alone", "tfidf_nearest")


def make_config(edges, split, changes):
    """The configuration of a row on a split."""
    config = tvae.config.default("hierarchy_vae")
    config.data.edges, config.data.split_seed = str(edges), split
    config.update_from_flattened_dict(CHANGES | changes)
    config.evaluation.every_epochs = config.checkpoint.every_epochs = config.epochs
    return config


def train(config):
    """Shares of right ancestors by level, and CPU seconds of training with compilation."""
    at = {}

    def between(phase):
        at.setdefault(phase, time.process_time())
        at[Phase.FINAL] = time.process_time()

    metrics = tvae.train(config, control=Control(between=between)).card["metrics"]
    shares = [metrics[f"eval/ancestors_right_level_{k}"] for k in (1, 2, 3)]
    return shares, at[Phase.FINAL] - at[Phase.START]


def baseline(name, config):
    """The same of a baseline."""
    study, start = make_study(config), time.process_time()
    if name == "tfidf_nearest":
        found = codes.nearest_by_tfidf(study.known, study.seen, len(LEVELS))
    else:
        levels = (1, 2, 3) if name == "linear_heads" else (3,)
        found = linear.predict(study, config, levels=levels)
    right = study.codes.lineage[found, 1:4] == study.codes.lineage[study.unseen, 1:4]
    return right.mean(0).tolist(), time.process_time() - start


def summarise(results):
    """The best VAE in hyperbolic space, and its twin, by the median over the splits."""

    def row(name):
        splits = results["rows"].get(name, {}).values()
        if not splits:
            return {}
        keys = ("hf1", *LEVELS, "cpu_seconds")
        found = {key: round(statistics.median(s[key] for s in splits), 4) for key in keys}
        return found | {"splits": len(splits)}

    return results | {
        "median": {name: row(name) for name in results["rows"]},
        "best": row("hyperbolic") | {"euclidean": row("euclidean")},
    }


def main():
    """Run rows and write them beside the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", choices=(*ROWS, *BASELINES), action="append")
    parser.add_argument("--split", type=int, action="append", help="default: 0, 1 and 2")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        edges = pathlib.Path(folder) / "icd10cm.csv"
        codes.write_edges(edges)
        for split in given.split or SPLITS:
            for name in given.row or (*ROWS, *BASELINES):
                config = make_config(edges, split, ROWS.get(name, {}))
                found = train(config) if name in ROWS else baseline(name, config)
                shares, seconds = found
                row = {"hf1": round(float(np.mean(shares)), 4)}
                row |= {k: round(float(v), 4) for k, v in zip(LEVELS, shares, strict=True)}
                row |= {"cpu_seconds": round(seconds, 1)}
                print(split, name, row, flush=True)
                results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}}
                results["rows"].setdefault(name, {})[str(split)] = row
                seed_study.write_results(__file__, summarise(results))


if __name__ == "__main__":
    main()
