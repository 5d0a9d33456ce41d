"""Do codons, ternary latents or tree metrics add anything to sequence models beyond noise?

    python experiments/latent_features/run.py --s669=FILE --ini=FILE --latents=DIR

``FILE``: ``s669_full.csv`` (see README.md) and ``stanford_hivdb_ini.txt``; ``DIR``, which may be
left out, holds latents of the reference system's v5.11 as ``z_A_hyp.npy`` and ``z_B_hyp.npy``.
Needs the extra ``baselines``. Takes about three CPU minutes and writes ``results.json``.
"""

import argparse
import os
import pathlib
import sys
import time

# Two threads of BLAS that wait for each other cost more than they save at these sizes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import residues
import seed_study
import stability

from tvae.domains.sequences import crossvalidation, encoding, hivdb, samples, splits
from tvae.domains.sequences.alphabets import PROTEIN
from tvae.losses import genetic_code as code

FOLD_SEEDS = (0, 1)
LABELS_APART = ("CAB",)
OF_INTEGRASE = ("v6, by bases", "v5.11 A, by bases", "tree, by bases", "random 0", "random 1")
"""The sets that are measured on HIV's integrase too, where each takes longer."""
MIN_ROWS = 4
"""Rows that must differ from the reference at a position, for its residues' vectors to count."""


def measure_stability(path, sets):
    """Scores on S669: of models without further vectors, and of each with each set of them."""
    wild, mutant, y, proteins = stability.read(path)
    letters = np.eye(len(code.RESIDUES))
    properties = residues.properties()
    one_hot = np.concatenate([letters[wild], letters[mutant]], 1)
    plain = np.concatenate([one_hot, stability.pair_features(properties, wild, mutant)], 1)
    found = {}
    for name, further in {"none": None, **sets}.items():
        pairs = [] if further is None else [stability.pair_features(further, wild, mutant)]
        x = np.concatenate([plain, *pairs], 1)
        of_letters = np.concatenate([one_hot, *pairs], 1)
        models = {
            "ridge": (stability.ridge_model, x),
            "forest": (stability.forest_model, of_letters),
            "process": (
                stability.process_model(properties, further, wild, mutant, proteins),
                x,
            ),
        }
        predicted = {
            model: [stability.out_of_fold(fit, own, y, proteins, seed) for seed in FOLD_SEEDS]
            for model, (fit, own) in models.items()
        }
        both = zip(predicted["process"], predicted["forest"], strict=True)
        predicted["process_and_forest"] = [(one + other) / 2 for one, other in both]
        found[name] = {model: stability.scores(each, y) for model, each in predicted.items()}
        show("S669", name, {model: each["spearman"] for model, each in found[name].items()})
    return found


def position_vectors(table, vectors):
    """Vectors of the letters less those of the reference, of mixtures the mean: ``(n, p c)``."""
    bits = np.asarray([PROTEIN.cell(letter) for letter in code.RESIDUES], np.uint32)
    mutated = ((table.cells & ~table.reference) != 0).sum(0) >= MIN_ROWS
    cells, reference = table.cells[:, mutated], table.reference[mutated]

    def mean(of):
        present = (of[..., None] & bits) != 0
        count = present.sum(-1, keepdims=True)
        return (present @ vectors) / np.maximum(count, 1), count > 0

    (value, some), (origin, _) = mean(cells), mean(reference)
    return np.where(some, value - origin, 0).reshape(len(cells), -1)


def measure_integrase(path, sets):
    """Mean correlations of ridge regression on letters and vectors, of the drugs but CAB."""
    table = hivdb.read(path)
    groups = splits.genotype_groups(table)
    rows = samples.make_samples(table, encoding.find_features(table, "share"), groups)
    scored = [i for i, label in enumerate(table.labels) if label not in LABELS_APART]
    rows = rows._replace(targets=rows.targets[:, scored], censored=rows.censored[:, scored])
    found = {}
    for name, vectors in {"none": None, **sets}.items():
        x = rows.features
        if vectors is not None:
            own = position_vectors(table, vectors)
            # As much variance a position as its letters have together.
            x = np.concatenate([x, own / np.sqrt(vectors.shape[1])], 1)
        # Weights lie in the span of the rows: in a basis of it the fit is the same, and smaller.
        basis = np.linalg.qr(x.T.astype(np.float64))[0]
        made = rows._replace(features=(x @ basis).astype(np.float32))
        by_seed = []
        for seed in FOLD_SEEDS:
            folds = splits.make_folds(groups, 5, seed, "genotype", table.header)
            out = crossvalidation.cross_validate(made, folds, {"ridge": ridge_predictor})
            scores = [
                crossvalidation.score(y, p)
                for y, p in zip(made.targets.T, out.predictions["ridge"].T, strict=True)
            ]
            by_seed.append(np.mean([(s.pearson, s.spearman) for s in scores], 0))
        pearson, spearman = np.mean(by_seed, 0)
        found[name] = {"pearson": round(float(pearson), 4), "spearman": round(float(spearman), 4)}
        show("INI", name, found[name])
    return found


def ridge_predictor(train, features, seed):
    """Ridge regression of all labels."""
    known = train.known
    stacked = np.concatenate([train.features, features])
    hidden = np.full((len(features), known.shape[1]), np.nan)
    targets = np.concatenate([train.targets, hidden])
    columns = [
        stability.ridge_model(stacked, y, ~np.isnan(y), seed)[len(known) :] for y in targets.T
    ]
    return {"ridge": np.stack(columns, 1)}


def show(task, name, figures):
    """Print one row."""
    print(f"{task} {name:20}", *(f"{key} {x:.4f}" for key, x in figures.items()), flush=True)


def main():
    """Measure both tasks with all sets of vectors, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--s669", required=True, help="table of S669")
    parser.add_argument("--ini", required=True, help="table INI of HIVDB")
    parser.add_argument("--latents", help="folder of latents of v5.11")
    chosen = parser.parse_args()
    start = time.process_time()
    sets = residues.feature_sets(chosen.latents)
    results = {
        "sizes": {name: vectors.shape[1] for name, vectors in sets.items()},
        "s669": measure_stability(chosen.s669, sets),
        "ini": measure_integrase(chosen.ini, {k: v for k, v in sets.items() if k in OF_INTEGRASE}),
    }
    results["cpu_seconds"] = round(time.process_time() - start, 1)
    seed_study.write_results(__file__, results)


if __name__ == "__main__":
    main()
