"""Tensor names of the reference system, and the place of each tensor in a parameter tree.

The names are data of its checkpoints: widths are those that its modules have in every version.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from tvae.geometry.padic import N_DIGITS

Path = tuple[str, ...]
Shape = tuple[int, ...]

ENCODER_WIDTHS = (N_DIGITS, 256, 128, 64)
DECODER_WIDTHS = (32, 64)
RESIDUAL_WIDTH = 128
LOGITS = 3 * N_DIGITS


class Slot(NamedTuple):
    """One tensor of a checkpoint.

    Attributes:
      shape: in the checkpoint; a matrix is ``(outputs, inputs)``, the transpose of a kernel.
      path: where it lies in the parameter tree; empty for a buffer, which goes to the metadata.
    """

    name: str
    shape: Shape
    path: Path


def _linear(name: str, path: Path, n_inputs: int, n_outputs: int) -> list[Slot]:
    return [
        Slot(f"{name}.weight", (n_outputs, n_inputs), (*path, "kernel")),
        Slot(f"{name}.bias", (n_outputs,), (*path, "bias")),
    ]


def _norm(name: str, path: Path, width: int) -> list[Slot]:
    return [
        Slot(f"{name}.weight", (width,), (*path, "scale")),
        Slot(f"{name}.bias", (width,), (*path, "bias")),
    ]


def _stack(
    name: str, path: Path, widths: Sequence[int], *, normalize: bool = False, dropout: bool = False
) -> tuple[list[Slot], str]:
    """Hidden layers of a ``Sequential``, and the name of the layer behind them.

    The numbering also counts activations and dropout.
    """
    stride, slots = 2 + normalize + dropout, []
    for i, (n, width) in enumerate(itertools.pairwise(widths)):
        slots += _linear(f"{name}.{i * stride}", (*path, f"hidden_{i}"), n, width)
        if normalize:
            slots += _norm(f"{name}.{i * stride + 1}", (*path, f"norm_{i}"), width)
    return slots, f"{name}.{stride * (len(widths) - 1)}"


def encoder(letter: str, latent_dim: int, *, improved: bool = False) -> list[Slot]:
    """Slots of encoder A or B; the improved one has layer norm, SiLU and dropout."""
    name, path, widths = f"encoder_{letter}", (f"encoder_{letter.lower()}",), ENCODER_WIDTHS
    slots, _ = _stack(f"{name}.encoder", path, widths, normalize=improved, dropout=improved)
    slots += _linear(f"{name}.fc_mu", (*path, "mu"), widths[-1], latent_dim)
    return slots + _linear(f"{name}.fc_logvar", (*path, "logvar"), widths[-1], latent_dim)


def decoder_a(latent_dim: int, *, improved: bool = False) -> list[Slot]:
    """Slots of decoder A."""
    path, widths = ("decoder_a",), (latent_dim, *DECODER_WIDTHS)
    slots, last = _stack("decoder_A.decoder", path, widths, normalize=improved, dropout=improved)
    return slots + _linear(last, (*path, "logits"), widths[-1], LOGITS)


def decoder_b(latent_dim: int) -> list[Slot]:
    """Slots of v5.5's residual decoder."""
    width = RESIDUAL_WIDTH
    slots = _linear("decoder_B.fc_in", ("decoder_b", "input"), latent_dim, width)
    for i in range(2):
        name, path = f"decoder_B.residual{i + 1}.block", ("decoder_b", f"block_{i}")
        slots += _linear(f"{name}.0", (*path, "hidden"), width, width)
        slots += _linear(f"{name}.2", (*path, "output"), width, width)
    return slots + _linear("decoder_B.fc_out", ("decoder_b", "logits"), width, LOGITS)


def state_net(n_inputs: int) -> list[Slot]:
    """Slots of the StateNet: 9 inputs in v5.5, 12 in its second version."""
    path = ("state_net",)
    return [
        *_linear("state_net.encoder.0", (*path, "encoder_hidden"), n_inputs, 32),
        *_norm("state_net.encoder.1", (*path, "encoder_norm"), 32),
        *_linear("state_net.encoder.3", (*path, "encoder_output"), 32, 8),
        *_linear("state_net.decoder.0", (*path, "decoder_hidden"), 8, 32),
        *_linear("state_net.decoder.2", (*path, "decoder_output"), 32, 4),
    ]


def projection(
    name: str, path: Path, latent_dim: int, *, width: int, n_layers: int, dropout: bool
) -> list[Slot]:
    """Slots of one projection into the ball; dropout layers count in the numbering."""
    slots = [Slot(f"{name}.manifold.isp_c", (), (*path, "inverse_softplus_c"))]
    radius_width = max(32, width // 2)
    for net, n, n_outputs in (("direction", width, latent_dim), ("radius", radius_width, 1)):
        widths, normalize = (latent_dim, *(n,) * n_layers), net == "direction"
        hidden, last = _stack(
            f"{name}.{net}_net", (*path, net), widths, normalize=normalize, dropout=dropout
        )
        slots += hidden + _linear(last, (*path, net, "output"), n, n_outputs)
    return slots


def controller() -> list[Slot]:
    """Slots of the differentiable controller."""
    return [
        *_linear("controller.net.0", ("controller", "hidden_0"), 8, 32),
        *_norm("controller.net.1", ("controller", "norm_0"), 32),
        *_linear("controller.net.3", ("controller", "hidden_1"), 32, 32),
        *_linear("controller.net.5", ("controller", "output"), 32, 6),
    ]


def dual_vae(latent_dim: int, *, state_net_inputs: int) -> list[Slot]:
    """Every tensor of v5.5, in the order of its state dict; no ``state_net_inputs``, no StateNet.

    >>> len(dual_vae(16, state_net_inputs=9))
    50
    """
    return [
        Slot("grad_norm_A_ema", (), ()),
        Slot("grad_norm_B_ema", (), ()),
        *encoder("A", latent_dim),
        *decoder_a(latent_dim),
        *encoder("B", latent_dim),
        *decoder_b(latent_dim),
        *(state_net(state_net_inputs) if state_net_inputs else []),
    ]


def projected_vae(
    latent_dim: int,
    *,
    improved_encoder: bool,
    improved_decoder: bool,
    dual_projection: bool,
    width: int,
    n_layers: int,
    dropout: bool,
    use_controller: bool,
) -> list[Slot]:
    """Every tensor of v5.11 and v5.12, in the order of the state dict.

    Args:
      latent_dim: dimension of the latent spaces.
      improved_encoder: encoders with layer norm.
      improved_decoder: decoder with layer norm.
      dual_projection: one projection for each encoder.
      width: of the direction nets; the radius nets have half of it, at least 32.
      n_layers: hidden layers of the projections' nets.
      dropout: whether the projections have dropout layers.
      use_controller: whether there is a controller.
    """
    slots = [
        *encoder("A", latent_dim, improved=improved_encoder),
        *encoder("B", latent_dim, improved=improved_encoder),
        *decoder_a(latent_dim, improved=improved_decoder),
    ]
    names = {"projection": "projection_a"}
    if dual_projection:
        names = {"projection.proj_A": "projection_a", "projection.proj_B": "projection_b"}
    for name, part in names.items():
        slots += projection(
            name, (part,), latent_dim, width=width, n_layers=n_layers, dropout=dropout
        )
    return slots + (controller() if use_controller else [])
