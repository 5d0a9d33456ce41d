"""An untrained checkpoint for tests that need a model but no result."""

import json
import pathlib

import jax
import numpy as np

from tests.conftest import load_config
from tests.support.engines import bound_engine
from tvae.runs import parameters


def write_untrained(folder: pathlib.Path) -> pathlib.Path:
    """Write a dual VAE of five digits with random weights, as it would ship."""
    config = load_config("fast")
    shapes = bound_engine(config).shapes().params
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda s: (0.1 * rng.normal(size=s.shape)).astype(s.dtype), shapes)
    metadata = {"config": json.loads(config.to_json()), "metrics": {"eval/rho": 0.5}}
    parameters.save_params(folder, params, metadata)
    return folder
