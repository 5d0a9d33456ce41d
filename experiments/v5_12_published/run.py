"""Seeds 0..4 of the published recipe, with and without the zero-structure term.

    python experiments/v5_12_published/run.py [--base=DIR ...]

Each seed is measured from the means and, as the original measures, from posterior samples: every
second epoch up to 22 with the term, up to 40 without it. Takes about six minutes on two CPU cores
and writes ``results.json``. With ``--base``, which may be repeated: two seeds of
the recipe on each of these bases instead, added to ``results.json`` under ``bases``.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parents[1]
REPORTED = [
    "eval/coverage_mu_a",
    "eval/coverage_ball",
    "eval/hierarchy_a",
    "eval/hierarchy_b",
    "eval/richness_a",
    "eval/richness_b",
    "eval/q_quick_b",
    "eval/q_comprehensive_b",
]
CASES = {"published": (22, []), "without_zero_structure": (40, ["--config.loss.zero_weight=0.0"])}


def run(seed, epochs, flags, folder):
    """The last evaluation of a run, from samples and from the means."""
    command = [sys.executable, "-m", "tvae.main", "--config=configs/v5_12_published.py"]
    command.append("--config.report=False")
    flags = [*flags, f"--config.seed={seed}", f"--config.epochs={epochs}", f"--workdir={folder}"]
    subprocess.run(command + flags, cwd=REPOSITORY, check=True, capture_output=True)
    sampled = json.loads(pathlib.Path(folder, "metrics.jsonl").read_text().splitlines()[-1])
    final = json.loads(pathlib.Path(folder, "metrics.json").read_text())
    both = {"means": final, "samples": sampled}
    return {kind: {name: row[name] for name in REPORTED} for kind, row in both.items()}


def report(title, seeds):
    """Print ranges over seeds."""
    for kind in ("means", "samples"):
        print(f"{title}, from {kind}", flush=True)
        for name in REPORTED:
            values = [row[kind][name] for row in seeds.values()]
            print(f"  {name:<26}{min(values):>10.5f} .. {max(values):.5f}", flush=True)


def study(title, seeds, epochs, flags):
    """One case over seeds."""
    with tempfile.TemporaryDirectory() as folder:
        rows = {s: run(s, epochs, flags, f"{folder}/{s}") for s in range(seeds)}
    report(f"{title}, {epochs} epochs", rows)
    return rows


def main():
    """Run the study asked for and write everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", action="append", default=[], help="folder of a v5.5 checkpoint")
    bases = parser.parse_args().base
    output = HERE / "results.json"
    results = json.loads(output.read_text()) if output.exists() else {}
    for base in bases:
        flags = [f"--config.base_checkpoint={base}"]
        row = study(f"base {base}", 2, CASES["published"][0], flags)
        results.setdefault("bases", {})[pathlib.Path(base).name] = row
    if not bases:
        results["command"] = "python experiments/v5_12_published/run.py"
        for case, (epochs, flags) in CASES.items():
            results[case] = {"epochs": epochs, "seeds": study(case, 5, epochs, flags)}
    output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
