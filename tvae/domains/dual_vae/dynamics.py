"""v5.5's dynamics: permeability, loss weights and gradient balance as pure state transitions.

The quirks are the reference system's (the lambda rule has the wrong sign for balancing, the norms
are taken after clipping, StateNet is never trained): its trajectory depends on them.
"""

import dataclasses
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

Number = jax.Array | float

LAMBDA_BOUNDS = (0.5, 0.95)
LAMBDA3_BOUNDS = (0.15, 0.75)
RATE_BOUNDS = (1e-6, 0.01)
SCALE_BOUNDS = (0.5, 2.0)
BALANCED_RATIO = (0.8, 1.2)


@flax.struct.dataclass
class Dynamics:
    """State of the dynamics; scalars, float32 unless said otherwise.

    Attributes:
      epoch: int32.
      step: within the epoch, int32.
      lambda1: weight of A's loss.
      lambda2: weight of B's loss.
      lambda3: weight of the entropy alignment.
      rho: permeability.
      phase: 1 isolation, 2 consolidation, 3 resonant, 4 ultra; int32.
      balanced: whether the gradient ratio was in (0.8, 1.2) at the start of the epoch; bool.
      momentum: of the gradient-norm averages.
      ratio: G_B / G_A at the start of the epoch.
      norm_a: moving average of A's clipped gradient norm (G_A).
      norm_b: the same for B.
      coverage_a: A's last measured prior coverage, share; 0 before the first evaluation.
      coverage_b: the same for B.
      rate_factor: StateNet's factor on the learning rate of this epoch.
    """

    epoch: jax.Array
    step: jax.Array
    lambda1: jax.Array
    lambda2: jax.Array
    lambda3: jax.Array
    rho: jax.Array
    phase: jax.Array
    balanced: jax.Array
    momentum: jax.Array
    ratio: jax.Array
    norm_a: jax.Array
    norm_b: jax.Array
    coverage_a: jax.Array
    coverage_b: jax.Array
    rate_factor: jax.Array


class Permeability(NamedTuple):
    """Shape of rho over the epochs, numbers or traced scalars; fields as in ``config.coupling``."""

    rho_min: Number
    rho_consolidated: Number
    rho_max: Number
    isolation_epochs: Number
    consolidation_end: Number
    resonant_ramp_epochs: Number
    ultra_epoch: Number


def init_dynamics(*, lambda_start: Number, lambda3: Number, rho: Number) -> Dynamics:
    """The state before the first epoch."""
    return Dynamics(
        epoch=jnp.int32(0),
        step=jnp.int32(0),
        lambda1=jnp.float32(lambda_start),
        lambda2=jnp.float32(lambda_start),
        lambda3=jnp.float32(lambda3),
        rho=jnp.float32(rho),
        phase=jnp.int32(1),
        balanced=jnp.bool_(False),
        momentum=jnp.float32(0.9),
        ratio=jnp.float32(1.0),
        norm_a=jnp.float32(1.0),
        norm_b=jnp.float32(1.0),
        coverage_a=jnp.float32(0.0),
        coverage_b=jnp.float32(0.0),
        rate_factor=jnp.float32(1.0),
    )


def permeability(
    epoch: jax.Array, phase: jax.Array, balanced: jax.Array, shape: Permeability
) -> tuple[jax.Array, jax.Array]:
    """Permeability and phase of an epoch, float32 and int32 scalars.

    ``phase`` is that of the epoch before, kept in the resonant interval while the gradients did not
    balance at its start.
    """
    s = shape
    e = jnp.asarray(epoch, jnp.float32)
    ramp_epochs = jnp.maximum(s.consolidation_end - s.isolation_epochs, 1)
    consolidating = s.rho_min + (e - s.isolation_epochs) / ramp_epochs * (
        s.rho_consolidated - s.rho_min
    )
    ramp = jnp.minimum(1.0, (e - s.consolidation_end) / s.resonant_ramp_epochs)
    resonant = s.rho_consolidated + ramp * (s.rho_max - s.rho_consolidated)
    intervals = [e >= s.ultra_epoch, e < s.isolation_epochs, e < s.consolidation_end]
    rho = jnp.select(
        intervals,
        [jnp.float32(s.rho_max), jnp.float32(s.rho_min), consolidating],
        jnp.where(balanced, resonant, s.rho_consolidated),
    )
    fourth, first, second, third = (jnp.int32(n) for n in (4, 1, 2, 3))
    late = jnp.where(balanced, third, phase)
    return rho, jnp.select(intervals, [fourth, first, second], late)


def gradient_ratio(state: Dynamics) -> jax.Array:
    """``G_B / (G_A + 1e-8)``."""
    return state.norm_b / (state.norm_a + 1e-8)


def balance_scales(state: Dynamics) -> tuple[jax.Array, jax.Array]:
    """Factors on the losses of A and B from the current gradient-norm averages."""
    scale_a = jnp.clip(gradient_ratio(state), *SCALE_BOUNDS)
    scale_b = jnp.clip(state.norm_a / (state.norm_b + 1e-8), *SCALE_BOUNDS)
    return scale_a, scale_b


def adapt_lambdas(state: Dynamics, ratio: jax.Array) -> tuple[jax.Array, jax.Array]:
    """lambda1 and lambda2 after the epoch rule, from the gradient ratio and the coverages.

    A's weight *rises* while A's gradient is the larger one (ratio below 0.8): positive feedback.
    """
    low, high = BALANCED_RATIO
    move = 0.02 * ((ratio < low).astype(jnp.float32) - (ratio > high).astype(jnp.float32))
    known = (state.coverage_a > 0) & (state.coverage_b > 0)
    usable = (ratio > low) & (ratio < high) & known
    relative = state.coverage_b / (state.coverage_a + 1e-6)
    tilt = jnp.where(relative > 1.5, 0.05, jnp.where(relative < 0.67, -0.05, 0.0)) * usable
    lambda1 = jnp.clip((state.lambda1 + move) * (1.0 + tilt), *LAMBDA_BOUNDS)
    lambda2 = jnp.clip((state.lambda2 - move) * (1.0 - tilt), *LAMBDA_BOUNDS)
    return lambda1, lambda2


def begin_epoch(
    state: Dynamics, epoch: jax.Array, lambda3: jax.Array, *, shape: Permeability, adaptive: bool
) -> Dynamics:
    """The transition at the start of an epoch; the scheduled ``lambda3`` replaces StateNet's.

    Where ``adaptive``, apply the lambda rule, the momentum rule and the balance flag.
    """
    ratio = gradient_ratio(state)
    # The permeability uses the flag of the epoch before: it is computed before the flag changes.
    rho, phase = permeability(epoch, state.phase, state.balanced, shape)
    state = dataclasses.replace(
        state,
        epoch=jnp.asarray(epoch, jnp.int32),
        step=jnp.int32(0),
        rho=rho,
        phase=phase,
        ratio=ratio,
        lambda3=lambda3,
        rate_factor=jnp.float32(1.0),
    )
    if not adaptive:
        return state
    balanced = (ratio > BALANCED_RATIO[0]) & (ratio < BALANCED_RATIO[1])
    lambda1, lambda2 = adapt_lambdas(state, ratio)
    first = state.epoch == 0
    return dataclasses.replace(
        state,
        balanced=balanced,
        momentum=jnp.where(balanced, jnp.float32(0.95), jnp.float32(0.5)),
        lambda1=jnp.where(first, state.lambda1, lambda1),
        lambda2=jnp.where(first, state.lambda2, lambda2),
    )


def statistics(
    state: Dynamics, entropies: tuple[jax.Array, jax.Array], kls: tuple[jax.Array, jax.Array]
) -> jax.Array:
    """StateNet's input ``(9,)``: H_A, H_B, KL_A, KL_B, ratio, rho, lambda1, lambda2, lambda3."""
    s = state
    values = (*entropies, *kls, s.ratio, s.rho, s.lambda1, s.lambda2, s.lambda3)
    return jnp.stack([jnp.asarray(v, jnp.float32) for v in values])


def apply_corrections(
    state: Dynamics, delta: jax.Array, rate: jax.Array, *, rate_scale: Number, lambda_scale: Number
) -> Dynamics:
    """Let StateNet's output move the learning rate and the lambdas, within their bounds.

    ``delta`` is ``(4,)`` in (-1, 1), for the rate (relative change) and the lambdas (absolute).
    """
    corrected = jnp.clip(rate * (1.0 + rate_scale * delta[0]), *RATE_BOUNDS)
    return dataclasses.replace(
        state,
        rate_factor=corrected / jnp.maximum(rate, RATE_BOUNDS[0]),
        lambda1=jnp.clip(state.lambda1 + lambda_scale * delta[1], *LAMBDA_BOUNDS),
        lambda2=jnp.clip(state.lambda2 + lambda_scale * delta[2], *LAMBDA_BOUNDS),
        lambda3=jnp.clip(state.lambda3 + lambda_scale * delta[3], *LAMBDA3_BOUNDS),
    )


def observe_gradients(state: Dynamics, norm_a: jax.Array, norm_b: jax.Array) -> Dynamics:
    """Update the averages with the clipped gradient norms of a step; a norm of 0 is skipped."""

    def average(old: jax.Array, norm: jax.Array) -> jax.Array:
        return jnp.where(norm > 0.0, state.momentum * old + (1.0 - state.momentum) * norm, old)

    return dataclasses.replace(
        state,
        norm_a=average(state.norm_a, norm_a),
        norm_b=average(state.norm_b, norm_b),
        step=state.step + 1,
    )
