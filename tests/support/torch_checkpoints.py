"""Checkpoints with random weights under the reference system's names, and their modules."""

from typing import Any

import flax.linen as nn
import numpy as np
from ml_collections import ConfigDict

from tests.support.torch_files import save
from tvae.convert import names
from tvae.convert.importer import Imported
from tvae.domains import registry

PUBLISHED: dict[str, Any] = {
    "improved_encoder": False,
    "improved_decoder": False,
    "dual_projection": True,
    "width": 64,
    "n_layers": 2,
    "dropout": True,
    "use_controller": True,
}


def weights(slots: list[names.Slot], seed: int = 0) -> dict[str, np.ndarray]:
    """Random tensors under the original's names."""
    rng = np.random.default_rng(seed)
    return {
        slot.name: np.asarray(0.1 * rng.standard_normal(slot.shape), np.float32) for slot in slots
    }


def adam(indices: range, tensors: list[np.ndarray], **group: Any) -> dict[str, Any]:
    """State of an Adam optimizer over tensors, as PyTorch numbers them."""
    state = {
        i: {"step": np.array(7, np.float32), "exp_avg": t + 1, "exp_avg_sq": np.square(t)}
        for i, t in zip(indices, tensors, strict=True)
    }
    return {"state": state, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), **group}]}


def like_v5_5(state_net_inputs: int = 9) -> dict[str, Any]:
    """A checkpoint such as v5.5 writes, with random numbers."""
    model = weights(names.dual_vae(16, state_net_inputs=state_net_inputs))
    trained = [t for name, t in model.items() if not name.startswith(("state_net", "grad_norm"))]
    return {
        "epoch": 3,
        "model": model,
        "optimizer": adam(range(38), trained, params=list(range(48))),
        "best_val_loss": 0.5,
        "coverage_A_history": [100, 19683],
        "lambda3": np.float64(0.25),
        "rho": 0.26125,
        "phase": 2,
        "grad_balance_achieved": False,
        "statenet_corrections": {"delta_lr": [0.1, 0.2]},
    }


GOLDEN = like_v5_5()
GOLDEN_FILE = save({key: value for key, value in GOLDEN.items() if key != "lambda3"})
SMALL_FILE = save({"model": GOLDEN["model"], "rho": 0.25})


def module_of(imported: Imported) -> nn.Module:
    """The module of an imported checkpoint, made by its domain."""
    config = ConfigDict(imported.metadata["config"])
    return registry.get(config.task).make_views(config).module
