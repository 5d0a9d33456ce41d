"""Populations against single runs: what 32 members of v6 cost, and how throughput grows.

    python experiments/population/run.py --part=cost       # 10 minutes on two cores
    python experiments/population/run.py --part=curve      # 5 minutes

``cost``: a single run of v6 and a population of 32, from the call to the written final metrics,
each in a process of its own without a compilation cache; in pairs, medians. Lowering and
compilation, by JAX's own events, are counted apart. ``curve``: epochs of all members in a second,
by number of members. Writes its part of ``results.json``.
"""

import argparse
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import jax

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import seed_study

RESULTS = pathlib.Path(__file__).with_name("results.json")
MEMBERS, PAIRS = 32, 2
SIZES = (1, 2, 4, 8, 32)
CURVE_EPOCHS = 6
COMPILING = ("jaxpr_to_mlir_module_duration", "backend_compile_duration")
"""Ends of the names of JAX's events; those of tracing nest, and stay in the cost."""


def seconds_of(members, devices):
    """Seconds of a training, without and of compilation; of no member by tvae.train."""
    jax.config.update("jax_num_cpu_devices", devices)
    import tvae

    compiling = []

    def note(event, seconds, **_):
        if event.endswith(COMPILING):
            compiling.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(note)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        if members:
            tvae.train_population("v6", pathlib.Path(folder, "all"), seeds=members)
        else:
            tvae.train("v6", pathlib.Path(folder, "one"))
        whole = time.perf_counter() - start
    return [whole - sum(compiling), sum(compiling)]


def epoch_seconds(members, devices):
    """Median seconds of an epoch of all members, without compilation, evaluation and saving."""
    jax.config.update("jax_num_cpu_devices", devices)
    import tvae
    import tvae.config
    from tvae.engine.loop import Control

    config = tvae.config.read_file("v6")
    config.epochs = config.checkpoint.every_epochs = config.evaluation.every_epochs = CURVE_EPOCHS
    config.log_every_epochs = 1

    at = []
    control = Control(progress=lambda *_: at.append(time.perf_counter()))
    with tempfile.TemporaryDirectory() as folder:
        tvae.train_population(
            config,
            pathlib.Path(folder, "all"),
            seeds=members,
            chunk=members,
            control=control,
        )
    # The first gap compiles, the last one evaluates and saves.
    return [statistics.median(b - a for a, b in itertools.pairwise(at[1:-1]))]


def in_a_process(what, members, devices):
    """A measurement in a new process without a compilation cache."""
    command = [sys.executable, __file__, "--measure", what, str(members), str(devices)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure_cost(devices):
    """Pairs of a population and a single run."""
    pairs = []
    for _ in range(PAIRS):
        alone, together = (in_a_process("cost", m, d) for m, d in ((0, 1), (MEMBERS, devices)))
        pairs.append(
            {
                "single_seconds": round(alone[0], 2),
                "single_compile_seconds": round(alone[1], 2),
                "population_seconds": round(together[0], 2),
                "population_compile_seconds": round(together[1], 2),
                "cost": round(together[0] / (MEMBERS * alone[0]), 3),
            }
        )
        print(pairs[-1], flush=True)
    compiling = [p["population_compile_seconds"] / p["single_compile_seconds"] for p in pairs]
    return {
        "cost_per_32_single_runs": statistics.median(p["cost"] for p in pairs),
        "compile_ratio": round(statistics.median(compiling), 2),
        "cost_pairs": {"members": MEMBERS, "devices": devices, "pairs": pairs},
    }


def measure_curve(devices):
    """Members times epochs in a second, for each size of the population."""
    rows = []
    for members in SIZES:
        (seconds,) = in_a_process("curve", members, devices)
        rate = round(members / seconds, 2)
        rows.append({"members": members, "epoch_seconds": round(seconds, 3), "per_second": rate})
        print(rows[-1], flush=True)
    return {"throughput": {"devices": devices, "rows": rows}}


def main():
    """Measure a part and write it beside the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("cost", "curve"), action="append", help="default: all")
    parser.add_argument("--devices", type=int, default=2, help="of the CPU, one for each core")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        what, members, devices = given.measure[0], *map(int, given.measure[1:])
        print(json.dumps({"cost": seconds_of, "curve": epoch_seconds}[what](members, devices)))
        return
    for part in given.part or ("cost", "curve"):
        found = {"cost": measure_cost, "curve": measure_curve}[part](given.devices)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        seed_study.write_results(__file__, results | found)


if __name__ == "__main__":
    main()
