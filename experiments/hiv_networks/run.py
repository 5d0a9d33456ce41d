"""Networks beside Gaussian processes, ridge and trees on the HIV tables, through the domain.

    python experiments/hiv_networks/run.py --data=DIR

``DIR`` holds the filtered tables of the Stanford HIV Drug Resistance Database, which are not part
of this repository (see README.md). Needs the extra ``baselines``, and uses LightGBM if it is
installed. Takes about 12 minutes on two CPU cores and writes ``results.json``. Each table and kind
of folds, and each change of the networks, is a process of its own; ``--parts=FOLDER`` keeps their
results, of which those that exist are not run again, and with ``--part=INI,genotype,0`` or
``--part=ablation,squared_error,0`` one of them is run.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

# Two threads of BLAS that wait for each other cost more than they save at these sizes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

from tvae import config as config_lib
from tvae.domains import registry
from tvae.domains.sequences import baselines, crossvalidation, evaluation, source
from tvae.engine import loop, step

CLASSES = {
    "INI": ("RAL", "EVG", "DTG", "BIC"),
    "PI": ("FPV", "ATV", "IDV", "LPV", "NFV", "SQV", "TPV", "DRV"),
    "RT": ("3TC", "ABC", "AZT", "D4T", "DDI", "TDF", "EFV", "NVP", "ETR", "RPV", "DOR"),
}
TABLES = {"INI": ("ini",), "PI": ("pi",), "RT": ("nrti", "nnrti")}
PARTS = (
    *((name, "genotype", seed) for seed in ("0", "1") for name in TABLES),
    ("INI", "cluster", "0"),
)
MEMBERS = 3
SCORES = ("pearson", "spearman", "mae")
AVERAGES = {
    "process_and_network": ("process", "network"),
    "process_and_ensemble": ("process", "ensemble"),
    "process_and_boosting": ("process", "boosting"),
    "process_ensemble_and_boosting": ("process", "ensemble", "boosting"),
    "ridge_and_forest": ("ridge", "forest"),
    "ridge_and_boosting": ("ridge", "boosting"),
}
LIKELIHOOD = {"term": "tobit_nll", "weight": 1.0}
DECODER = {
    "term": "binary_nll",
    "weight": 5.0,
    "inputs": {"prediction": "feature_logits", "observed": "every_feature"},
}
ABLATIONS = {
    "as_it_is": {},
    "without_bounds": {"objective": {"likelihood": {"term": "gaussian_nll"}}},
    "one_deviation": {"model.heteroscedastic": False},
    "squared_error": {"objective": {"likelihood": {"term": "squared_error"}}},
    "gaussian_latents": {
        "model.latent": "gaussian",
        "objective": {
            "likelihood": LIKELIHOOD,
            "decoder": DECODER,
            "kl": {"term": "gaussian_kl", "weight": 1e-3},
        },
    },
    "poincare_latents": {
        "model.latent": "poincare",
        "objective": {
            "likelihood": LIKELIHOOD,
            "decoder": DECODER,
            "kl": {"term": "wrapped_normal_kl", "weight": 1e-3},
        },
    },
}


def make_config(folder, name, kind, seed, **changes):
    """The recipe with a table and its folds."""
    config = config_lib.default("sequences")
    paths = [str(pathlib.Path(folder) / f"stanford_hivdb_{each}.txt") for each in TABLES[name]]
    config.data.table = paths[0]
    config.data.joined = paths[1] if len(paths) > 1 else ""
    config.data.groups, config.data.fold_seed, config.seed = kind, seed, seed
    rows = changes.pop("objective", None)
    if rows:
        config.objective = rows
    config.update_from_flattened_dict(changes)
    config_lib.validate(config)
    return registry.get("sequences").resolve(config)


def train(config):
    """Task and parameters at the end of training."""
    task = registry.make_task(config)
    engine = step.make_engine(task, loop.optimizer_settings(config))
    hparams, key = config_lib.hparams(config), jax.random.key(config.seed)
    state = engine.init(key, hparams)
    state = state.replace(params=task.solve(state.params))
    for _ in range(config.epochs):
        state, _ = engine.train_epoch(state, key, hparams)
    return task, state.params


def networks_of(task, params, member):
    """Held-out predictions of the networks of one member."""
    one = {"network": jax.tree.map(lambda x: x[member::MEMBERS], params["network"])}
    predictor = type(task.predictor)(
        task.predictor.sizes, "network", 1, task.predictor.module, task.predictor.likelihood
    )
    return np.asarray(predictor.held_out(params | one, 0.02).network)


def scores(targets, predicted, labels):
    """Scores of each label."""
    found = {}
    for label, y, p in zip(labels, targets.T, np.asarray(predicted, np.float64).T, strict=True):
        one = crossvalidation.score(y, p)
        found[label] = {key: getattr(one, key) for key in SCORES}
    return found


def evaluate(folder, name, kind, seed):
    """Scores of all models of one table on one set of folds; seconds are those of the CPU."""
    start = time.process_time()
    config = make_config(folder, name, kind, seed, **{"model.members": MEMBERS})
    task, params = train(config)
    loaded = source.load(config.data)
    found = task.predictor.held_out(params, 0.02)
    predictions = {
        "ridge": found.linear,
        "process": found.process,
        "network": networks_of(task, params, 0),
        "ensemble": found.network,
    }
    seconds = {"domain": time.process_time() - start}
    trees = {"forest": baselines.forest}
    if baselines.has_boosting():
        trees["boosting"] = baselines.boosting
    start = time.process_time()
    out = crossvalidation.cross_validate(loaded.samples, loaded.folds, trees, seed)
    seconds["trees"] = time.process_time() - start
    predictions |= out.predictions
    predictions |= {
        key: sum(np.asarray(predictions[one]) for one in names) / len(names)
        for key, names in AVERAGES.items()
        if set(names) <= set(predictions)
    }
    measured = evaluation.measure(task.predictor, params, 0.02, task.contents)
    kept = ("coverage", "width")
    return {
        "scores": {
            model: scores(loaded.samples.targets, each, loaded.table.labels)
            for model, each in predictions.items()
        },
        "intervals": {k[5:]: float(v) for k, v in measured.items() if k[5:].startswith(kept)},
        "leaks": dict(task.contents.leaks) | {"folds": loaded.folds.digest},
        "seconds": seconds,
    }


def ablate(folder, name, seed):
    """Mean scores over INI's drugs of networks alone, with another objective or latents."""
    changes = {"model.kind": "network", "model.members": MEMBERS} | ABLATIONS[name]
    config = make_config(folder, "INI", "genotype", seed, **changes)
    task, params = train(config)
    loaded = source.load(config.data)
    held_out = task.predictor.held_out(params, 0.02).network
    each = scores(loaded.samples.targets, held_out, loaded.table.labels)
    return {key: round(mean(each, CLASSES["INI"], key), 4) for key in SCORES}


def mean(each, labels, key):
    """Mean of a score over the labels that have one."""
    values = [each[label][key] for label in labels]
    return float(np.mean([value for value in values if not np.isnan(value)]))


def run_parts(folder, kept):
    """Results of all parts, each by a process of its own; part -> results."""
    parts = list(PARTS)
    parts += [("ablation", name, seed) for name in ABLATIONS for seed in ("0", "1")]
    for part in parts:
        if not part_file(kept, part).exists():
            command = [sys.executable, __file__, f"--data={folder}", f"--parts={kept}"]
            subprocess.run([*command, f"--part={','.join(part)}"], check=True)
    return {part: json.loads(part_file(kept, part).read_text()) for part in parts}


def part_file(kept, part):
    """Where the results of a part are kept."""
    return pathlib.Path(kept) / f"{'_'.join(part)}.json"


def summarise(parts, kind, seed):
    """Mean scores over all drugs and over classes, and intervals, of one set of folds."""
    chosen = {name: parts[name, kind, seed] for name in TABLES if (name, kind, seed) in PARTS}
    models = list(chosen["INI"]["scores"])
    drugs = {}
    for model in models:
        drugs[model] = {}
        for each in chosen.values():
            drugs[model] |= each["scores"][model]
    # All rows of a drug may be in one fold, whose training rows then have no value of it.
    scored = {
        name: [label for label in labels if not np.isnan(drugs["ridge"][label]["pearson"])]
        for name, labels in CLASSES.items()
        if name in chosen
    }
    every = [label for labels in scored.values() for label in labels]
    return {
        "models": {
            model: {key: round(mean(drugs[model], every, key), 4) for key in SCORES}
            for model in models
        },
        "classes": {
            name: {
                model: {key: round(mean(drugs[model], labels, key), 4) for key in SCORES}
                for model in models
            }
            for name, labels in scored.items()
        },
        "intervals": {name: each["intervals"] for name, each in chosen.items()},
        "leaks": {name: each["leaks"] for name, each in chosen.items()},
        "cpu_seconds": {name: each["seconds"] for name, each in chosen.items()},
        "peak_rss_mb": {name: each["peak_rss_mb"] for name, each in chosen.items()},
    }


def averages(seeds):
    """Scores of each model and its gain over ridge, averaged over the seeds of the folds."""
    found = {}
    for model in seeds[0]["models"]:
        each = [one["models"] for one in seeds]
        found[model] = {k: round(float(np.mean([o[model][k] for o in each])), 4) for k in SCORES}
        for key in SCORES[:2]:
            gain = np.mean([one[model][key] - one["ridge"][key] for one in each])
            found[model][f"gain_over_ridge_{key}"] = round(float(gain), 4)
    return found


def main():
    """Run all parts, print tables, write the results; or run one part."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="folder of the tables")
    parser.add_argument("--parts", default="", help="folder that keeps results of parts")
    parser.add_argument("--part", default="", help="the one part to run, such as INI,genotype,0")
    chosen = parser.parse_args()
    if chosen.part:
        name, kind, seed = chosen.part.split(",")
        if name == "ablation":
            found = ablate(chosen.data, kind, int(seed))
        else:
            found = evaluate(chosen.data, name, kind, int(seed))
            found["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        part_file(chosen.parts, (name, kind, seed)).write_text(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        parts = run_parts(chosen.data, chosen.parts or folder)
    seeds = {f"genotype, seed {seed}": summarise(parts, "genotype", seed) for seed in ("0", "1")}
    results = {
        "mean": averages(list(seeds.values())),
        "ablations_on_INI": {
            name: {f"seed {seed}": parts["ablation", name, seed] for seed in ("0", "1")}
            for name in ABLATIONS
        },
    }
    for model, each in results["mean"].items():
        print(f"{model:32}", *(f"{key} {value:.4f}" for key, value in each.items()))
    for name, each in results["ablations_on_INI"].items():
        print(f"{name:32}", each)
    cluster = {"cluster, INI alone": summarise(parts, "cluster", "0")}
    seed_study.write_results(__file__, results | seeds | cluster)


if __name__ == "__main__":
    main()
