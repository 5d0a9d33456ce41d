"""Adam's moments: numbered lists of a PyTorch optimizer to trees like the parameters, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tvae.convert.names import Slot
from tvae.convert.placement import Named, from_tree, to_float32, to_tree
from tvae.errors import UserError

MOMENTS = ("exp_avg", "exp_avg_sq")

# Names of v5.12's parameter groups, and the prefix of the tensors in each.
_GROUP_PREFIXES = {
    **{part: f"projection.{part}." for part in ("proj_A", "proj_B")},
    **{p: f"{p}." for p in ("projection", "controller", "encoder_A", "encoder_B", "decoder_A")},
}


def _members(group: Mapping[str, Any], parameters: Sequence[Slot]) -> list[Slot]:
    """Tensors of a parameter group, in the optimizer's order."""
    prefix = _GROUP_PREFIXES.get(str(group.get("name")))
    if prefix is not None:
        members = [slot for slot in parameters if slot.name.startswith(prefix)]
    else:
        # One nameless group: the trained part in v5.11, all in v5.5.
        trained = [s for s in parameters if s.name.startswith(("projection.", "controller."))]
        members = trained if len(group["params"]) == len(trained) else list(parameters)
    if (n := len(group["params"])) != len(members):
        raise UserError(f"optimizer: a group of {n} tensors fits no part of the model")
    return members


def _moment(name: str, state: Mapping[Slot, Any], parameters: Sequence[Slot]) -> Named:
    tensors: Named = {}
    for slot in parameters:
        raw = state[slot][name] if slot in state else np.zeros(slot.shape, np.float32)
        array = to_float32(np.asarray(raw))
        if array.shape != slot.shape:
            raise UserError(f"optimizer: {name} of {slot.name} has shape {array.shape}")
        if not np.isfinite(array).all():
            raise UserError(f"optimizer: {name} of {slot.name} is not finite")
        tensors[slot.name] = array
    return tensors


def read_moments(optimizer: Any, slots: list[Slot]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Order an Adam optimizer's state as the parameters are ordered.

    Returns:
      ``({moment: tree like the parameters}, settings)``. Tensors that were never updated have
      zeros. The settings hold ``steps``, the number of updates by tensor name,
      ``tensor_steps``, whether those were tensors, and ``param_groups`` with names for numbers.

    Raises:
      UserError: if the state is not Adam's or does not fit the model.
    """
    parameters = [slot for slot in slots if slot.path]
    try:
        groups = optimizer["param_groups"]
        numbered = {
            number: slot
            for group in groups
            for number, slot in zip(group["params"], _members(group, parameters), strict=True)
        }
        state = {numbered[index]: entry for index, entry in optimizer["state"].items()}
        settings = {
            "steps": {
                slot.name: int(np.asarray(entry["step"]).reshape(()).item())
                for slot, entry in state.items()
            },
            # Older and foreign optimizers count in integers.
            "tensor_steps": any(isinstance(entry["step"], np.ndarray) for entry in state.values()),
            "param_groups": [
                {**group, "params": [numbered[index].name for index in group["params"]]}
                for group in groups
            ],
        }
        named = {moment: _moment(moment, state, parameters) for moment in MOMENTS}
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise UserError("optimizer: this is not the state of an Adam optimizer") from None
    return {moment: to_tree(tensors, slots) for moment, tensors in named.items()}, settings


def write_moments(
    moments: Mapping[str, Any], settings: Mapping[str, Any], slots: list[Slot]
) -> dict[str, Any]:
    """The reverse of :func:`read_moments`; the tensors of an update are NumPy arrays."""
    named = {moment: from_tree(moments[moment], slots) for moment in MOMENTS}
    number: dict[str, int] = {}
    groups = []
    for group in settings["param_groups"]:
        params = [number.setdefault(name, len(number)) for name in group["params"]]
        groups.append({**group, "params": params, "betas": tuple(group["betas"])})
    state = {
        number[name]: {
            "step": np.float32(step) if settings["tensor_steps"] else step,
            **{moment: named[moment][name] for moment in MOMENTS},
        }
        for name, step in settings["steps"].items()
    }
    return {"state": state, "param_groups": groups}
