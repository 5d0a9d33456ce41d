"""How fast: training, evaluation, compilation, memory.

    python experiments/benchmark/run.py [--json=FILE] [--repeats=9]

Every figure is the median over repeats in one process, with the spread beside it. The machine's
own float32 matrix-product rate is measured in the same process, so that a slow machine shows.
"""

import argparse
import json
import pathlib
import runpy
import statistics
import subprocess
import sys
import tempfile
import time

import jax
import jax.numpy as jnp

from tvae import config as config_lib
from tvae.domains import registry
from tvae.domains.dual_vae import evaluation as dual_vae_evaluation
from tvae.geometry import poincare
from tvae.geometry.padic import PadicTree
from tvae.losses import registry as registry_of_terms
from tvae.runs import checkpoint

REPOSITORY = pathlib.Path(__file__).parents[2]

# Medians of the original system (PyTorch, one thread of a comparable machine).
ORIGINAL = {
    "v5_5_epoch_s": 1.98,
    "v5_5_coverage_s": 2.24,
    "v5_12_epoch_s": 1.09,
    "metrics_s": 0.47,
}
PAIR_TERMS = ("repulsion", "rank", "tree_geodesic", "soft_ranking", "clip")


def times(call, repeats):
    """Wall seconds of each call; the result must be complete before the clock stops."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    return seconds


def matmul_rate(repeats):
    """Best float32 FLOP/s of a 2048-cubed matrix product."""
    x = jnp.ones((2048, 2048))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(x, x))
    return 2 * 2048**3 / min(times(lambda: product(x, x), repeats))


def training_flops(params, *, rows):
    """FLOPs of the matrix products of forward and backward pass over a number of rows."""
    trained = {name: part for name, part in params.items() if name != "state_net"}
    kernels = sum(x.size for x in jax.tree.leaves(trained) if x.ndim == 2)
    return 6 * kernels * rows


def make(config):
    """The compiled functions of a configuration, and its traced fields."""
    return registry.make_engine(config), config_lib.hparams(config)


def measure_v5_5(repeats):
    """Epoch, coverage and compilation of the v5.5 config."""
    config = config_lib.default()
    task = registry.make_task(config)
    engine, hparams = make(config)
    key = jax.random.key(0)
    state = engine.init(key, hparams)
    start = time.perf_counter()
    train_epoch = engine.train_epoch.lower(state, key, hparams).compile()
    compile_seconds = time.perf_counter() - start

    def epoch():
        nonlocal state
        state, _ = train_epoch(state, key, hparams)
        return state

    epoch()
    seconds = {"v5_5_epoch_s": times(epoch, repeats)}
    coverage = jax.jit(
        lambda params, key: dual_vae_evaluation.prior_coverage(
            task.module, params, key, categorical_draws=195_000, argmax_draws=0
        )
    )
    jax.block_until_ready(coverage(state.params, key))
    seconds["v5_5_coverage_s"] = times(lambda: coverage(state.params, key), repeats)
    rows = task.steps_per_epoch * config.data.batch_size
    flops = training_flops(state.params, rows=rows)
    return seconds, compile_seconds, flops


def load_config(name):
    """The configuration of ``configs/<name>.py``."""
    return runpy.run_path(str(REPOSITORY / "configs" / f"{name}.py"))["get_config"]()


def measure_v5_12(repeats):
    """Epoch of the published config, all losses, and its full evaluation of all operations."""
    config = load_config("v5_12_published")
    # The second phase is the dearer one: it adds the distances of the tree.
    config.loss.geodesic_start = 0
    engine, hparams = make(config)
    key = jax.random.key(0)
    state, _ = engine.train_epoch(engine.init(key, hparams), key, hparams)
    state, _ = engine.evaluate(state, key, hparams)

    def epoch():
        nonlocal state
        state, _ = engine.train_epoch(state, key, hparams)
        return state

    def evaluate():
        nonlocal state
        state, metrics = engine.evaluate(state, key, hparams)
        return metrics

    return {"v5_12_epoch_s": times(epoch, repeats), "metrics_s": times(evaluate, repeats)}


def measure_pairs(repeats, n_rows=4096, dim=64):
    """Value and gradient of terms on all pairs of a large batch, which are made in blocks.

    Returns:
      ``pairs_<term>_per_us``: pairs of the batch in a microsecond, medians.
    """
    tree = PadicTree(3, 9)
    key = jax.random.key(0)
    index = jax.random.randint(key, (n_rows,), 0, tree.n_leaves)
    given = {"index": index, "level": tree.level(index), "tree": tree, "c": 1.0, "pairs": None}
    found = {}
    for name in PAIR_TERMS:
        term = registry_of_terms.get(name)

        def loss(point, term=term):
            radius = poincare.hyperbolic_radius(point, c=1.0)
            offered = given | {"point": point, "z": point, "x": point, "y": -point}
            offered["radius"] = radius
            names = (*term.inputs, *(n for n in term.optional if n == "pairs"))
            return term.function(**{n: offered[n] for n in names})

        step = jax.jit(jax.value_and_grad(loss))
        point = jax.random.uniform(key, (n_rows, dim), minval=-0.1, maxval=0.1)
        jax.block_until_ready(step(point))
        seconds = statistics.median(times(lambda step=step, x=point: step(x), repeats))
        found[f"pairs_{name}_per_us"] = n_rows**2 / seconds / 1e6
    return found


def measure_saving(repeats):
    """What saving costs the v5.5 config, as shares of the time of the epochs between two saves.

    Intervals of ``checkpoint.every_epochs`` epochs, with a save at the start and without, alternate
    in one process. ``async_save_epoch_share`` is the ratio of their medians less one: the copy to
    the host and what the writing thread takes from the epochs while it works.
    ``async_save_blocked_share`` is the copy alone, the time in which training stands still.
    """
    config = config_lib.default()
    every = config.checkpoint.every_epochs
    engine, hparams = make(config)
    key = jax.random.key(0)
    state, _ = engine.train_epoch(engine.init(key, hparams), key, hparams)
    seconds, blocked = {True: [], False: []}, []
    with (
        tempfile.TemporaryDirectory() as folder,
        checkpoint.RunCheckpoints(pathlib.Path(folder) / "checkpoints") as store,
    ):
        for i in range(2 * repeats):
            saves = i % 2 == 0
            start = time.perf_counter()
            if saves:
                store.save(int(state.step), state, {}, score=None)
                blocked.append(time.perf_counter() - start)
            for _ in range(every):
                state, _ = engine.train_epoch(state, key, hparams)
            jax.block_until_ready(state)
            seconds[saves].append(time.perf_counter() - start)
            store.wait()
    with_saves, without = (statistics.median(seconds[saves]) for saves in (True, False))
    return {
        "async_save_epoch_share": with_saves / without - 1.0,
        "async_save_blocked_share": statistics.median(blocked) / without,
    }


# A fresh interpreter starts the run: a child of this process would inherit its memory as a peak.
LAUNCHER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def run_command(*flags):
    """Seconds and peak memory in MB of a whole run that finds no compiled programs."""
    with tempfile.TemporaryDirectory() as folder:
        flags = [
            *flags,
            f"--workdir={folder}/run",
            "--compilation_cache=off",
            "--config.report=False",
        ]
        command = [sys.executable, "-m", "tvae.main", *flags]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", LAUNCHER, *command],
            cwd=REPOSITORY,
            check=True,
            capture_output=True,
            text=True,
        )
        return time.perf_counter() - start, float(done.stdout)


def main():
    """Measure all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures to this file")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    rate = matmul_rate(arguments.repeats)
    seconds, compile_seconds, flops = measure_v5_5(arguments.repeats)
    seconds |= measure_v5_12(arguments.repeats)
    figures = {name: statistics.median(values) for name, values in seconds.items()}
    figures |= {
        "v5_5_compile_s": compile_seconds,
        **measure_saving(arguments.repeats),
        **measure_pairs(arguments.repeats),
        "matmul_share": flops / figures["v5_5_epoch_s"] / rate,
        "peak_rss_mb": run_command("--config=configs/v5_5.py", "--config.epochs=3")[1],
        "v6_total_s": run_command("--config=configs/v6.py")[0],
    }
    device = jax.devices()[0]
    print(f"{device.device_kind}, jax {jax.__version__}, matmul {rate / 1e9:.0f} GFLOP/s float32")
    print(f"{'figure':<26}{'median':>10}{'min':>10}{'max':>10}{'original':>10}{'ratio':>8}")
    for name, value in figures.items():
        low, high = (f(seconds.get(name, [value])) for f in (min, max))
        original = ORIGINAL.get(name)
        beside = f"{original:>10.2f}{original / value:>7.1f}x" if original else ""
        print(f"{name:<26}{value:>10.4f}{low:>10.4f}{high:>10.4f}{beside}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
