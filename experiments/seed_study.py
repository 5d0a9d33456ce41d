"""What the experiments share: runs of the training command, tables over seeds, ``results.json``."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

REPOSITORY = pathlib.Path(__file__).parents[1]

# Runs a command as a child and prints the child's peak memory; a process of its own, because the
# figure is the maximum over all children so far.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


class Finished(NamedTuple):
    """A finished run.

    Attributes:
      seconds: from process start to end.
      peak_rss_mb: largest resident memory.
      final: the final metrics.
      rows: the metrics of each epoch.
    """

    seconds: float
    peak_rss_mb: float
    final: dict[str, Any]
    rows: list[dict[str, Any]]


def train(config: str, *flags: str) -> Finished:
    """Train in a process of its own.

    Args:
      config: name of a file in ``configs/``.
      flags: of the command, such as ``--config.seed=3``.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder, "run")
        command = [sys.executable, "-m", "tvae.main", f"--config=configs/{config}.py"]
        command += ["--config.report=False", f"--workdir={run}", *flags]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *command],
            cwd=REPOSITORY,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        seconds = time.perf_counter() - start
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        final = json.loads((run / "metrics.json").read_text())
    return Finished(round(seconds, 1), round(float(done.stdout)), final, rows)


def train_seeds(
    config: str,
    reported: Iterable[str],
    *,
    seeds: int = 5,
    cold: bool = True,
    own: Sequence[str] = (),
) -> dict[int, dict[str, float]]:
    """Train with the seeds from 0 and print a table.

    Args:
      config: name of a file in ``configs/``.
      reported: final metrics that are kept.
      seeds: how many.
      cold: compile everything anew, so that the seconds are those of a first run.
      own: attributes of :class:`Finished` that are kept before the metrics.

    Returns:
      Seed -> figures.
    """
    flags = ["--compilation_cache=off"] if cold else []
    found = {}
    for seed in range(seeds):
        run = train(config, f"--config.seed={seed}", *flags)
        found[seed] = {name: getattr(run, name) for name in own}
        found[seed] |= {name: run.final[name] for name in reported}
    print_seeds(config, found)
    return found


def spread(seeds: dict[int, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Smallest and largest of each figure over seeds."""
    columns = {name: [row[name] for row in seeds.values()] for name in next(iter(seeds.values()))}
    return {name: {"min": min(found), "max": max(found)} for name, found in columns.items()}


def print_seeds(title: str, seeds: dict[int, dict[str, float]]) -> None:
    """Print each figure by seed, and its range."""
    print(title)
    for name, ends in spread(seeds).items():
        values = "".join(f"{row[name]:>10.5g}" for row in seeds.values())
        print(f"  {name:<38}{values}   {ends['min']:.6g} .. {ends['max']:.6g}", flush=True)


def write_results(script: str, results: dict[str, Any], *, indent: int | None = 2) -> None:
    """Write ``results.json`` beside an experiment's script, with the command that made it."""
    path = pathlib.Path(script).resolve()
    command = {"command": f"python {path.relative_to(REPOSITORY)}"}
    text = json.dumps(command | results, indent=indent) + "\n"
    (path.parent / "results.json").write_text(text)
