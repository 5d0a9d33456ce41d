"""HIV drug resistance from sequences, every model on the same folds: 23 drugs and CAB.

    python experiments/hiv_resistance/run.py --data=DIR

``DIR`` holds the filtered tables of the Stanford HIV Drug Resistance Database, which are not part
of this repository (see README.md). Needs the extra ``baselines``, and uses LightGBM if it is
installed. Takes about 11 minutes on two CPU cores and writes ``results.json``. ``--seeds=0,1``
names the seeds of the genotype-grouped folds; the first is also that of the cluster-grouped ones.
"""

import argparse
import os
import pathlib
import resource
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
    hivdb,
    intervals,
    samples,
    splits,
)

FOLDS = 5
DISTANCE = 2
CLASSES = {
    "INI": ("RAL", "EVG", "DTG", "BIC"),
    "PI": ("FPV", "ATV", "IDV", "LPV", "NFV", "SQV", "TPV", "DRV"),
    "RT": ("3TC", "ABC", "AZT", "D4T", "DDI", "TDF", "EFV", "NVP", "ETR", "RPV", "DOR"),
}
APART = "CAB"
SCORES = ("pearson", "spearman", "r2", "mae")
AVERAGES = {
    "ridge_and_forest": ("ridge", "forest"),
    "ridge_and_boosting": ("ridge", "boosting"),
    "two_stage_and_forest": ("two_stage", "forest"),
    "two_stage_and_boosting": ("two_stage", "boosting"),
}


def read_tables(folder):
    """One table a class; NRTI and NNRTI are joined, both being measured on the same gene."""
    names = ("pi", "ini", "nrti", "nnrti")
    read = {x: hivdb.read(pathlib.Path(folder) / f"stanford_hivdb_{x}.txt") for x in names}
    joined = hivdb.join(read["nrti"], read["nnrti"], "RT")
    tables = {"INI": read["ini"], "PI": read["pi"], "RT": joined}
    for name, table in tables.items():
        print(f"{name}: {len(table.ids)} rows, problems: {len(table.problems)}")
        print("".join(f"  {problem}\n" for problem in table.problems), end="")
    return tables


def evaluate(table, groups, near, kind, seed, predictors):
    """Scores, intervals, leaks and seconds of one table on one set of folds."""
    folds = splits.make_folds(groups, FOLDS, seed, kind, table.header)
    leaks = splits.check_leaks(table, folds, near)
    print(f"{table.name}, {kind} folds, seed {seed}: {leaks}", flush=True)
    rows = samples.make_samples(table, encoding.find_features(table, "share"), groups)
    found = crossvalidation.cross_validate(rows, folds, predictors, seed)
    predictions = {k: v for k, v in found.predictions.items() if not k.startswith("half_width")}
    predictions |= {
        name: (predictions[one] + predictions[other]) / 2
        for name, (one, other) in AVERAGES.items()
        if one in predictions and other in predictions
    }
    drugs = {
        drug: {
            name: crossvalidation.score(rows.targets[:, label], values[:, label])
            for name, values in predictions.items()
        }
        for label, drug in enumerate(table.labels)
    }
    covered = {
        drug: {
            level: crossvalidation.coverage(
                rows.targets[:, label],
                predictions["two_stage"][:, label],
                rows.censored[:, label],
                found.predictions[crossvalidation.half_width_name(level)][:, label],
            )
            for level in intervals.LEVELS
        }
        for label, drug in enumerate(table.labels)
    }
    for drug, models in drugs.items():
        shown = (f"{m} {s.pearson:.3f}/{s.spearman:.3f}" for m, s in models.items() if m != "mean")
        print(f"  {drug}:", *shown, *(f"{c.covered:.3f}" for c in covered[drug].values()))
    checks = leaks._asdict() | {"folds": folds.digest}
    return {"drugs": drugs, "covered": covered, "leaks": checks, "seconds": found.seconds}


def mean_scores(drugs, names, model):
    """Mean scores of a model over those of some drugs that every model can be scored on.

    All rows of a drug may be in one fold, whose training rows then have no value of it.
    """
    scored = [drugs[name][model] for name in names if not np.isnan(drugs[name]["ridge"].pearson)]
    return {key: round(float(np.mean([getattr(s, key) for s in scored])), 4) for key in SCORES}


def summarise(parts):
    """Results of one kind of folds and one seed, from those of the tables."""
    drugs = {drug: value for part in parts.values() for drug, value in part["drugs"].items()}
    models = list(drugs[APART])
    all_of_them = [drug for names in CLASSES.values() for drug in names]
    # Models of correlations, so not the mean, which has none.
    correlated = [model for model in models if model != "mean"]
    covered = {}
    for name, part in parts.items():
        covered[name] = {}
        for level in intervals.LEVELS:
            found = [part["covered"][drug][level] for drug in CLASSES[name]]
            found = [each for each in found if not np.isnan(each.covered)]
            covered[name][f"covered_{100 * level:.0f}"] = round(
                float(np.mean([each.covered for each in found])), 4
            )
            covered[name][f"width_{100 * level:.0f}"] = round(
                float(np.mean([each.width for each in found])), 3
            )
    return {
        "models": {model: mean_scores(drugs, all_of_them, model) for model in correlated}
        | {"mean": {key: mean_scores(drugs, all_of_them, "mean")[key] for key in ("r2", "mae")}},
        "classes": {
            name: {model: mean_scores(drugs, names, model) for model in correlated}
            for name, names in CLASSES.items()
        },
        "drugs": {
            drug: {"rows": value["ridge"].rows}
            | {
                model: {key: round(getattr(value[model], key), 4) for key in SCORES[:2]}
                for model in correlated
                if not np.isnan(value[model].pearson)
            }
            for drug, value in drugs.items()
        },
        "intervals": covered,
        "leaks": {name: part["leaks"] for name, part in parts.items()},
        "seconds": {
            model: round(sum(part["seconds"].get(model, 0) for part in parts.values()), 1)
            for model in next(iter(parts.values()))["seconds"]
        },
    }


def without_signal(table, groups, kind, seed):
    """Controls: correlations after rows of labels are shuffled, and of random features."""
    generator = np.random.default_rng(seed)
    rows = samples.make_samples(table, encoding.find_features(table, "share"), groups)
    folds = splits.make_folds(groups, FOLDS, seed, kind)
    order = generator.permutation(len(groups))
    shuffled = rows._replace(targets=rows.targets[order], censored=rows.censored[order])
    random = generator.random(rows.features.shape, np.float32)
    random = rows._replace(features=random[groups])  # of identical sequences the same
    found = {}
    for name, made in (("shuffled_labels", shuffled), ("random_vectors", random)):
        out = crossvalidation.cross_validate(
            made, folds, {"two_stage": crossvalidation.means_only}, seed
        )
        scored = [
            crossvalidation.score(made.targets[:, label], out.predictions["two_stage"][:, label])
            for label, drug in enumerate(table.labels)
            if drug != APART
        ]
        found[name] = {key: [getattr(each, key) for each in scored] for key in SCORES[:2]}
    return found


def average(kind_results):
    """Figures of the two-stage model and its gain over ridge, averaged over seeds."""
    seeds = [each["models"] for each in kind_results["seeds"].values()]
    found = {}
    for key in SCORES[:2]:
        values = [models["two_stage"][key] for models in seeds]
        gains = [models["two_stage"][key] - models["ridge"][key] for models in seeds]
        found[key] = round(float(np.mean(values)), 4)
        found[f"gain_over_ridge_{key}"] = round(float(np.mean(gains)), 4)
    return found


def measure(tables, seeds, predictors):
    """Parts of both kinds of folds, by kind, seed and table, and the controls."""
    parts, controls = {}, {"shuffled_labels": {}, "random_vectors": {}}
    for name, table in tables.items():
        near = splits.near_rows(table, DISTANCE)
        genotypes = splits.genotype_groups(table)
        kinds = {"genotype": genotypes, "cluster": splits.cluster_groups(table, near)}
        chosen = [("genotype", seed) for seed in seeds] + [("cluster", seeds[0])]
        for kind, seed in chosen:
            found = evaluate(table, kinds[kind], near, kind, seed, predictors)
            parts.setdefault(kind, {}).setdefault(seed, {})[name] = found
        for control, scores in without_signal(table, genotypes, "genotype", seeds[0]).items():
            for key, values in scores.items():
                controls[control].setdefault(key, []).extend(values)
        jax.clear_caches()  # tables have other shapes, so that no compiled program is of use again
    return parts, controls


def show(results):
    """Print the scores of all models and the intervals."""
    for kind, result in results.items():
        for seed, found in result["seeds"].items():
            print(f"\n{kind} folds, seed {seed}")
            for model, scores in found["models"].items():
                print(f"  {model:24}", *(f"{key} {value:.4f}" for key, value in scores.items()))
            for name, covered in found["intervals"].items():
                print(f"  {name:24}", *(f"{key} {value:.3f}" for key, value in covered.items()))


def main():
    """Measure all models on both kinds of folds, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="folder of the tables")
    parser.add_argument("--seeds", default="0,1", help="seeds of the folds")
    chosen = parser.parse_args()
    start = time.perf_counter()
    seeds = [int(seed) for seed in chosen.seeds.split(",")]
    predictors = {
        "two_stage": crossvalidation.two_stage_predictor,
        "mean": baselines.mean,
        "forest": baselines.forest,
    }
    if baselines.has_boosting():
        predictors["boosting"] = baselines.boosting
    parts, controls = measure(read_tables(chosen.data), seeds, predictors)
    results = {
        kind: {"seeds": {str(seed): summarise(tables) for seed, tables in by_seed.items()}}
        for kind, by_seed in parts.items()
    }
    show(results)
    summary = {
        "mean": average(results["genotype"]),
        "mean_on_clusters": average(results["cluster"]),
        "controls": {
            control: {key: round(float(np.mean(values)), 4) for key, values in scores.items()}
            for control, scores in controls.items()
        },
        "seconds": round(time.perf_counter() - start, 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(f"\n{summary}")
    seed_study.write_results(__file__, summary | results)


if __name__ == "__main__":
    main()
