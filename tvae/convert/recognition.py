"""Recognition of a checkpoint's model by the names and shapes of its tensors."""

import itertools
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tvae.convert import names
from tvae.convert.torch_file.zip_archive import printable
from tvae.errors import UserError

KINDS = ("v5_5", "v5_11", "v5_12")
PAYLOAD_KEYS = ("model", "model_state", "model_state_dict")

# Parts of names that torch.compile, DataParallel and checkpoint wrappers insert.
_WRAPPERS = frozenset({"_orig_mod", "module", "_checkpoint_wrapped_module"})
_MAX_PROJECTION_LAYERS = 4
MAX_TENSORS = 2000
"""Of a state dict: models of the reference system have at most some hundred."""
_LIKELY_LATENT_DIM = 16
_LIKELY_WIDTH = 64

Weights = dict[str, np.ndarray]


class Layout(NamedTuple):
    """A recognised model: one of ``KINDS``, its sizes and options as plain values, its tensors."""

    kind: str
    model: dict[str, Any]
    slots: list[names.Slot]


def find_weights(payload: Any) -> tuple[str, Weights]:
    """The state dict of a checkpoint and its key there (empty for a bare state dict).

    Names lose the parts that wrappers added; tensors listed twice thereby must be equal.

    Raises:
      UserError: if there is none, more than one, or one with contradicting tensors.
    """
    if not isinstance(payload, dict):
        raise UserError(f"holds a {type(payload).__name__} instead of a dictionary")
    present = [key for key in PAYLOAD_KEYS if isinstance(payload.get(key), dict)]
    if len(present) > 1:
        raise UserError(f"holds more than one state dict: {', '.join(present)}")
    key = present[0] if present else ""
    state_dict = payload[key] if key else payload
    if len(state_dict) > MAX_TENSORS:
        raise UserError(f"has {len(state_dict)} names in its state dict, more than {MAX_TENSORS}")
    if not any(isinstance(value, np.ndarray) for value in state_dict.values()):
        raise UserError(f"holds no state dict under any of {', '.join(PAYLOAD_KEYS)}")
    weights: Weights = {}
    for raw_name, value in state_dict.items():
        name = canonical_name(str(raw_name))
        if not isinstance(value, np.ndarray):
            raise UserError(f"'{printable(name)}' in its state dict is not a tensor")
        if name in weights and not _identical(weights[name], value):
            raise UserError(f"holds two different tensors for '{printable(name)}'")
        weights[name] = value
    return key, weights


def _identical(x: np.ndarray, y: np.ndarray) -> bool:
    return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


def canonical_name(name: str) -> str:
    """A tensor's name without the parts that wrappers added.

    >>> canonical_name("_orig_mod.encoder_A.sequential_part.0.weight")
    'encoder_A.encoder.0.weight'
    >>> canonical_name("module.decoder_A.decoder.sequential_part.2.bias")
    'decoder_A.decoder.2.bias'
    """
    parts: list[str] = []
    for part in name.split("."):
        if part == "sequential_part" and parts:
            # Gradient checkpointing keeps the stack of ``encoder_A`` beside ``encoder_A.encoder``.
            stack = parts[-1].split("_")[0]
            parts += [stack] if stack != parts[-1] else []
        elif part not in _WRAPPERS:
            parts.append(part)
    return ".".join(parts)


def _vote(weights: Mapping[str, np.ndarray], pattern: str, default: int) -> int:
    """Commonest length of the vectors whose name matches: one wrong shape does not mislead."""
    sizes = [
        array.size
        for name, array in weights.items()
        if re.fullmatch(pattern, name) and array.ndim == 1 and array.size
    ]
    return statistics.mode(sizes) if sizes else default


def _candidates(weights: Weights) -> Iterator[tuple[dict[str, Any], list[names.Slot]]]:
    """Every model that this library can hold, in the sizes that the tensors suggest."""
    latent_dim = _vote(weights, r"encoder_[AB]\.fc_(mu|logvar)\.bias", _LIKELY_LATENT_DIM)
    first = weights.get("state_net.encoder.0.weight")
    for inputs in (12 if first is not None and first.shape[1:] == (12,) else 9, 0):
        model = {"latent_dim": latent_dim, "state_net_inputs": inputs}
        yield model, names.dual_vae(**model)
    flags = (False, True)
    choices: dict[str, Sequence[int]] = {
        "latent_dim": (latent_dim,),
        "improved_encoder": flags,
        "improved_decoder": flags,
        "dual_projection": flags,
        "width": (_vote(weights, r"projection\..*direction_net\.[01]\.bias", _LIKELY_WIDTH),),
        "n_layers": range(1, _MAX_PROJECTION_LAYERS + 1),
        "dropout": flags,
        "use_controller": flags,
    }
    for values in itertools.product(*choices.values()):
        choice: dict[str, Any] = dict(zip(choices, values, strict=True))
        yield choice, names.projected_vae(**choice)


def recognise(weights: Weights, payload_key: str, kind: str = "auto") -> Layout:
    """Find the model whose names are closest to the checkpoint's.

    :func:`tvae.convert.placement.place` checks that it fits. v5.11 and v5.12 share their names, so
    that between those two the expected ``kind`` decides.

    Raises:
      UserError: if no name is known, or the kind is unknown or not the one expected.
    """
    if kind not in ("auto", *KINDS):
        raise UserError(f"kind '{printable(kind)}' is none of auto, {', '.join(KINDS)}")
    present = set(weights)

    def distance(candidate: tuple[dict[str, Any], list[names.Slot]]) -> int:
        return len(present.symmetric_difference(slot.name for slot in candidate[1]))

    model, slots = min(_candidates(weights), key=distance)
    if not present.intersection(slot.name for slot in slots):
        example = printable(min(present))
        raise UserError(f"holds none of the reference system's tensors (but e.g. '{example}')")
    found = "v5_5"
    if "width" in model:
        old = payload_key == "model_state" or not model["dual_projection"]
        found = "v5_11" if old or model["n_layers"] == 1 else "v5_12"
    kind = found if kind == "auto" else kind
    if (kind == "v5_5") != (found == "v5_5"):
        raise UserError(f"looks like {found}, not {kind}")
    return Layout(kind, model, slots)
