"""Working directories as runs leave them, with random models and made-up histories."""

import contextlib
import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.conftest import load_config
from tests.support.engines import bound_engine
from tvae.config import default
from tvae.runs import checkpoint, files, workdir


def small_configs():
    """One configuration a task, small enough to initialise in a second."""
    dual = load_config("fast")
    dual.targets.at_least = ConfigDict({"eval/coverage_mu_a": 0.9})
    hyperbolic = load_config("v6")
    hyperbolic.targets.at_least = ConfigDict({"eval/tree_fidelity": 0.83, "eval/absent": 1.0})
    ternary = default("projected_vae")
    ternary.base_checkpoint = ""
    for model in (hyperbolic.model, ternary.model):
        model.encoder_widths = model.decoder_widths = (16,)
    return {config.task: config for config in (dual, hyperbolic, ternary)}


def history(task, table, epochs=40):
    """Rows of a run: falling losses, and what the task's panels and gates need."""
    rows = []
    for epoch in range(epochs):
        falls = float(np.exp(-epoch / 8))
        row = {"epoch": epoch, "train/loss": falls + 0.1, "train/grad_norm": 3 * falls}
        row |= {"train/weight_norm": 10.0, "schedule/learning_rate": 1e-3 * (1 - epoch / epochs)}
        for name in table:
            row[f"train/{name}"] = 2 * falls
            row[f"train/weighted/{name}"] = row["train/loss"] / len(table)
        if task == "projected_vae":
            row |= {"gate/encoder_a": float(epoch > 20), "gate/encoder_b": 1.0}
        if epoch % 5 == 4:
            row |= {"eval/score": 1.0 - falls, "eval/coverage_mu_a": 1.0 - falls}
            if task == "hyperbolic_vae":
                row |= {"eval/tree_fidelity": 0.8 - falls, "eval/hierarchy": -0.832}
            else:
                row |= {"eval/hierarchy_b": -0.8 + falls}
        rows.append(row)
    return rows


def make_run(folder, config):
    """A finished run of random parameters."""
    workdir.prepare(folder, config, resume=False)
    # Any parameters do, and drawing them here compiles nothing.
    draw = np.random.default_rng(0)
    state = jax.tree.map(
        lambda leaf: (0.2 * draw.normal(size=leaf.shape)).astype(leaf.dtype),
        bound_engine(config).shapes(),
    )
    with contextlib.closing(checkpoint.RunCheckpoints(folder / files.CHECKPOINTS)) as store:
        store.save(7, state, {"epoch": 40}, score=0.0)
    rows = history(config.task, config.objective)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / files.METRICS_FILE).write_text(lines)
    final = {key: value for row in rows for key, value in row.items() if key.startswith("eval/")}
    final |= {"eval/kl_per_dimension_a": [0.1, 0.2], "train/epochs": 40, "train/best_epoch": 35}
    (folder / files.FINAL_FILE).write_text(json.dumps(final))
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Task -> working directory."""
    home = tmp_path_factory.mktemp("reported")
    return {task: make_run(home / task, config) for task, config in small_configs().items()}
