"""Populations against single runs: what 32 members of v6 cost.

    python experiments/population/run.py       # 4 minutes on two cores

A single run of v6 and a population of 32, from the call to the written final metrics, each in a
process of its own without a compilation cache; in pairs, medians. Lowering and compilation, by
JAX's own events, are counted apart.
"""

import argparse
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

MEMBERS, PAIRS = 32, 1
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


def in_a_process(members, devices):
    """A measurement in a new process without a compilation cache."""
    command = [sys.executable, __file__, "--measure", str(members), str(devices)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure_cost(devices):
    """Pairs of a population and a single run."""
    pairs = []
    for _ in range(PAIRS):
        alone, together = (in_a_process(m, d) for m, d in ((0, 1), (MEMBERS, devices)))
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


def main():
    """Measure and write ``results.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=2, help="of the CPU, one for each core")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(seconds_of(*map(int, given.measure))))
        return
    seed_study.write_results(__file__, measure_cost(given.devices))


if __name__ == "__main__":
    main()
