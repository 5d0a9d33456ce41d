"""A drug with 10 to 100 measured isolates, predicted with and without the labels of other drugs.

    python experiments/few_shot/run.py --data=DIR

``DIR`` holds the tables of ``experiments/hiv_resistance``. Needs the extra ``baselines``. Takes
about two CPU minutes and writes ``results.json``.
"""

import argparse
import os
import pathlib
import sys
import time

# Two threads of BLAS that wait for each other cost more than they save at these sizes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

from tvae.domains.sequences import (
    baselines,
    crossvalidation,
    encoding,
    few_shot,
    hivdb,
    samples,
    splits,
)

TARGETS = {"BIC": ("ini",), "CAB": ("ini",), "TPV": ("pi",), "RPV": ("nrti", "nnrti")}
SIZES = (10, 20, 50, 100)
DRAWS = 10
FOLDS = 5
LARGEST_SHARE = 0.75
"""Of a drug's isolates, at most this share is learnt from; the others test."""


def read_table(folder, names):
    """The table of a class of drugs; two of one gene are joined."""
    tables = [hivdb.read(pathlib.Path(folder) / f"stanford_hivdb_{name}.txt") for name in names]
    return tables[0] if len(tables) == 1 else hivdb.join(*tables, "RT")


def forest(rows, label, drawn, sizes, seed):
    """Predictions of forests that see the features of the support alone."""
    one = rows._replace(targets=rows.targets[:, [label]], censored=rows.censored[:, [label]])
    tested = rows.features[drawn.test]
    found = [
        baselines.forest(one.take(drawn.support[:size]), tested, seed)["forest"][:, 0]
        for size in sizes
    ]
    return np.stack(found)


def measure(table, drug):
    """Scores of all methods on one drug: method -> size -> means over draws."""
    label = table.labels.index(drug)
    groups = splits.genotype_groups(table)
    rows = samples.make_samples(table, encoding.find_features(table, "share"), groups)
    folds = splits.make_folds(groups, FOLDS, 0, "genotype", table.header)
    others = few_shot.predictions_of_others(rows, label, folds)
    known = rows.known[:, label]
    sizes = [size for size in SIZES if size <= LARGEST_SHARE * known.sum()]
    scores = {}
    for seed in range(DRAWS):
        generator = np.random.default_rng(seed)
        drawn = few_shot.draw(groups, known, max(sizes), generator)
        targets = rows.targets[:, label]
        found = few_shot.predict(rows.features, others, targets, drawn, sizes)
        found["forest"] = forest(rows, label, drawn, sizes, seed)
        noise = generator.normal(size=others.shape)
        control = few_shot.predict(rows.features, noise, targets, drawn, sizes)
        found["ridge_on_random_vectors"] = control["ridge_on_predictions"]
        for name, predicted in found.items():
            for size, values in zip(sizes, predicted, strict=True):
                score = crossvalidation.score(targets[drawn.test], values)
                scores.setdefault(name, {}).setdefault(size, []).append(score)
    result = {"rows": int(known.sum()), "test_rows": len(drawn.test), "others": others.shape[1]}
    for name, by_size in scores.items():
        result[name] = {}
        for size, draws in by_size.items():
            # A forest or ridge that learns nothing predicts one value, which orders nothing.
            values = np.nan_to_num([(each.pearson, each.spearman) for each in draws])
            result[name][str(size)] = {
                "pearson": round(float(values[:, 0].mean()), 3),
                "spearman": round(float(values[:, 1].mean()), 3),
                "spearman_sd": round(float(values[:, 1].std()), 3),
            }
    return result


def main():
    """Measure all drugs, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="folder of the tables")
    folder = parser.parse_args().data
    start = time.process_time()
    drugs = {}
    for drug, names in TARGETS.items():
        drugs[drug] = found = measure(read_table(folder, names), drug)
        print(f"{drug}: {found['rows']} isolates, of which {found['test_rows']} test")
        for method, by_size in found.items():
            if isinstance(by_size, dict):
                cells = (f"{s}: {x['pearson']:.2f}/{x['spearman']:.2f}" for s, x in by_size.items())
                print(f"  {method:26}", *cells, flush=True)
        jax.clear_caches()  # tables have other shapes, so that no compiled program is of use again
    seconds = round(time.process_time() - start, 1)
    seed_study.write_results(__file__, {"draws": DRAWS, "drugs": drugs, "cpu_seconds": seconds})
    print(f"{seconds} CPU seconds")


if __name__ == "__main__":
    main()
